"""What JSON Schema cannot say of this interface, said to schemathesis."""

import schemathesis
from hypothesis import strategies as st


def fits(text: str) -> bool:
    return 1 <= len(text.encode()) <= 256


# JSON Schema counts characters, the interface counts bytes in UTF-8.
characters = st.characters(codec="utf-8")
schemathesis.openapi.format("at-most-256-bytes", st.text(characters, min_size=1, max_size=256).filter(fits))
