//! Byte classes: tables that are made at compile time, each with its production of the grammar.

/// A set of bytes. To look a byte up is one load.
pub struct ByteClass([bool; 256]);

impl ByteClass {
    /// Returns whether `byte` belongs to the class.
    #[inline(always)]
    pub const fn has(&self, byte: u8) -> bool {
        self.0[byte as usize]
    }

    /// Returns how many bytes at the start of `bytes` belong to the class.
    #[inline(always)]
    pub fn run_length(&self, bytes: &[u8]) -> usize {
        let ends_at = |bytes: &[u8]| bytes.iter().position(|&byte| !self.has(byte));
        // Within a block of known length no byte costs a comparison with the end.
        let (blocks, rest) = bytes.as_chunks::<8>();
        for (number, block) in blocks.iter().enumerate() {
            if let Some(at) = ends_at(block) {
                return number * block.len() + at;
            }
        }
        bytes.len() - rest.len() + ends_at(rest).unwrap_or(rest.len())
    }

    const fn of(members: &[u8]) -> Self {
        ByteClass([false; 256]).and(members)
    }

    const fn and(mut self, members: &[u8]) -> Self {
        let mut i = 0;
        while i < members.len() {
            self.0[members[i] as usize] = true;
            i += 1;
        }
        self
    }

    const fn without(mut self, members: &[u8]) -> Self {
        let mut i = 0;
        while i < members.len() {
            self.0[members[i] as usize] = false;
            i += 1;
        }
        self
    }

    const fn and_range(mut self, first: u8, last: u8) -> Self {
        let mut byte = first as usize;
        while byte <= last as usize {
            self.0[byte] = true;
            byte += 1;
        }
        self
    }

    const fn and_alphanumeric(self) -> Self {
        self.and_range(b'0', b'9').and_range(b'A', b'Z').and_range(b'a', b'z')
    }
}

/// `token = 1*tchar` (RFC 9110, 5.6.2): field names and methods.
pub const TOKEN: ByteClass = ByteClass::of(b"!#$%&'*+-.^_`|~").and_alphanumeric();

/// The bytes of a field value (RFC 9110, 5.5): HTAB, SP, VCHAR and obs-text.
pub const FIELD_VALUE: ByteClass = ByteClass::of(b"\t").and_range(0x20, 0x7e).and_range(0x80, 0xff);

/// The bytes of a path: `pchar` and `/` (RFC 3986, 3.3), and `[`, `]`, `^` and `|`, which browsers
/// send as they are. There is no `#`, because a fragment is never sent (RFC 9110, 7.1).
pub const PATH: ByteClass = ByteClass::of(b"-._~!$&'()*+,;=:@/%").and_alphanumeric().and(b"[]^|");

/// The bytes of a query: those of a path, `?` (RFC 3986, 3.4), and what else browsers send as it is.
pub const QUERY: ByteClass = PATH.and(b"?").and(b"{}`\\");

/// The bytes of a `reg-name` and an `IPv4address` (RFC 3986, 3.2.2), except `%`, which needs two
/// hexadecimal digits behind it.
pub const REG_NAME: ByteClass = ByteClass::of(b"-._~!$&'()*+,;=").and_alphanumeric();

/// `qdtext` (RFC 9110, 5.6.4): the bytes within a quoted string that need no backslash.
pub const QUOTED_TEXT: ByteClass = FIELD_VALUE.without(b"\"\\");

/// `HEXDIG` (RFC 5234, B.1), in both cases.
pub const HEX_DIGIT: ByteClass =
    ByteClass::of(b"").and_range(b'0', b'9').and_range(b'A', b'F').and_range(b'a', b'f');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_agrees_with_its_production_on_all_256_bytes() {
        for byte in 0..=255u8 {
            let c = byte as char;
            let alphanumeric = c.is_ascii_alphanumeric();
            assert_eq!(TOKEN.has(byte), alphanumeric || "!#$%&'*+-.^_`|~".contains(c), "{byte:#x}");
            assert_eq!(
                FIELD_VALUE.has(byte),
                byte == 9 || (byte >= 0x20 && byte != 0x7f),
                "{byte:#x}"
            );
            assert_eq!(HEX_DIGIT.has(byte), c.is_ascii_hexdigit(), "{byte:#x}");
            let unreserved = alphanumeric || "-._~".contains(c);
            let sub_delims = "!$&'()*+,;=".contains(c);
            assert_eq!(REG_NAME.has(byte), unreserved || sub_delims, "{byte:#x}");
            let pchar = unreserved || sub_delims || "%:@".contains(c);
            assert_eq!(PATH.has(byte), pchar || "/[]^|".contains(c), "{byte:#x}");
            let refused = byte <= b' ' || byte >= 0x7f || "\"#<>".contains(c);
            assert_eq!(QUERY.has(byte), !refused, "{byte:#x}");
            let quoted = FIELD_VALUE.has(byte) && !"\"\\".contains(c);
            assert_eq!(QUOTED_TEXT.has(byte), quoted, "{byte:#x}");
        }
    }

    #[test]
    fn a_run_ends_at_the_first_other_byte() {
        assert_eq!(TOKEN.run_length(b"Host: x"), 4);
        assert_eq!(TOKEN.run_length(b""), 0);
        assert_eq!(TOKEN.run_length(b"all"), 3);
    }
}
