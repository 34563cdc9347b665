//! Why a body is not an event: one variant a cause, each with its sentence and its label.

use std::fmt;

/// Why a body is not an event. Every one of them is the client's fault and is answered `400`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventError {
    /// Nothing, or nothing but white space.
    Empty,
    /// U+FEFF first, which RFC 8259 section 8.1 forbids to send.
    ByteOrderMark,
    /// The first byte opens no object.
    NotObject,
    /// The text ends before it is complete.
    Truncated,
    /// Something other than white space after the object.
    TrailingBytes,
    /// No string where the name of a member must stand; also after a trailing comma.
    NameExpected,
    /// No colon after the name of a member.
    ColonExpected,
    /// A byte that begins no value, or a misspelt literal.
    ValueExpected,
    /// Neither a comma nor the matching closing bracket after a value.
    CommaExpected,
    /// U+0000 to U+001F raw in a string.
    ControlCharacter,
    /// A backslash that is not followed by an escape of RFC 8259 section 7.
    EscapeInvalid,
    /// Half of a UTF-16 surrogate pair in `\u` escapes.
    SurrogateLone,
    /// A string that is not UTF-8.
    Utf8Invalid,
    /// A number outside the grammar of RFC 8259 section 6.
    NumberInvalid,
    /// A member nested deeper than [`JSON_DEPTH_MAX`](crate::limits::JSON_DEPTH_MAX).
    TooDeep,
    /// No member `userId`.
    UserIdMissing,
    /// `userId` is valid JSON, but no string.
    UserIdNotString,
    /// `userId` is the empty string.
    UserIdEmpty,
    /// `userId` is longer than [`USER_ID_BYTES_MAX`](crate::limits::USER_ID_BYTES_MAX).
    UserIdTooLong,
    /// No member `value`.
    ValueMissing,
    /// `value` is valid JSON, but no number.
    ValueNotNumber,
    /// `value` rounds to an infinity.
    ValueOutOfRange,
}

impl EventError {
    /// Every variant once, in the order of declaration.
    pub const ALL: [EventError; 22] = [
        Self::Empty,
        Self::ByteOrderMark,
        Self::NotObject,
        Self::Truncated,
        Self::TrailingBytes,
        Self::NameExpected,
        Self::ColonExpected,
        Self::ValueExpected,
        Self::CommaExpected,
        Self::ControlCharacter,
        Self::EscapeInvalid,
        Self::SurrogateLone,
        Self::Utf8Invalid,
        Self::NumberInvalid,
        Self::TooDeep,
        Self::UserIdMissing,
        Self::UserIdNotString,
        Self::UserIdEmpty,
        Self::UserIdTooLong,
        Self::ValueMissing,
        Self::ValueNotNumber,
        Self::ValueOutOfRange,
    ];

    /// One sentence: what was wrong and what would be right. Holds no quote, backslash or control
    /// character, so that it can stand in a JSON string as it is.
    pub const fn message(self) -> &'static str {
        self.texts().1
    }

    /// A short label in snake_case, for metrics.
    pub const fn reason(self) -> &'static str {
        self.texts().0
    }

    // A table: one row for each cause.
    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Empty => {
                ("body_empty", "The body is empty; it must be a JSON object with userId and value.")
            }
            Self::ByteOrderMark => (
                "byte_order_mark",
                "The body begins with a byte order mark; JSON must be sent without one.",
            ),
            Self::NotObject => (
                "not_an_object",
                "The body is not a JSON object; it must be one, with userId and value.",
            ),
            Self::Truncated => (
                "json_truncated",
                "The body ends in the middle of the JSON text; it must be complete.",
            ),
            Self::TrailingBytes => (
                "trailing_bytes",
                "More bytes follow the JSON object; the body must be exactly one object.",
            ),
            Self::NameExpected => (
                "name_expected",
                "A member name is missing; it must be a string in double quotes, and no comma may \
                 stand before a closing brace.",
            ),
            Self::ColonExpected => {
                ("colon_expected", "A colon is missing; one must follow the name of each member.")
            }
            Self::ValueExpected => (
                "value_expected",
                "A value is not JSON; it must be an object, array, string, number, true, false or \
                 null.",
            ),
            Self::CommaExpected => (
                "comma_expected",
                "A value is followed by something unexpected; a comma or the matching closing \
                 bracket must follow it.",
            ),
            Self::ControlCharacter => (
                "control_character",
                "A string holds a raw control character; it must be written as an escape.",
            ),
            Self::EscapeInvalid => (
                "escape_invalid",
                "A string holds an escape that JSON does not have; a backslash must itself be \
                 escaped.",
            ),
            Self::SurrogateLone => (
                "surrogate_lone",
                "A string holds half of a surrogate pair; both halves must be given.",
            ),
            Self::Utf8Invalid => {
                ("utf8_invalid", "A string is not valid UTF-8; JSON must be encoded in UTF-8.")
            }
            Self::NumberInvalid => (
                "number_invalid",
                "A number is malformed; it must be like -12.5e3, without plus sign or leading \
                 zeros and with digits on both sides of a point.",
            ),
            Self::TooDeep => (
                "too_deep",
                "A member is nested too deeply; 128 levels of arrays and objects are allowed.",
            ),
            Self::UserIdMissing => {
                ("user_id_missing", "The member userId is missing; it must be a string.")
            }
            Self::UserIdNotString => {
                ("user_id_not_string", "The member userId is not a string; it must be one.")
            }
            Self::UserIdEmpty => {
                ("user_id_empty", "The member userId is empty; it must have 1 to 256 bytes.")
            }
            Self::UserIdTooLong => {
                ("user_id_too_long", "The member userId is too long; it must have 1 to 256 bytes.")
            }
            Self::ValueMissing => {
                ("value_missing", "The member value is missing; it must be a number.")
            }
            Self::ValueNotNumber => {
                ("value_not_number", "The member value is not a number; it must be one.")
            }
            Self::ValueOutOfRange => (
                "value_out_of_range",
                "The member value is out of range; it must be finite as a 64-bit IEEE 754 number.",
            ),
        }
    }
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for EventError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{JSON_DEPTH_MAX, USER_ID_BYTES_MAX};

    #[test]
    fn every_message_can_stand_in_a_json_string_as_it_is() {
        for error in EventError::ALL {
            let message = error.message();
            let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
            assert!(message.bytes().all(plain), "{message}");
            assert!(message.ends_with('.') && message.contains(';'), "{message}");
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn every_reason_is_a_label_of_its_own() {
        for (index, error) in EventError::ALL.iter().enumerate() {
            let reason = error.reason();
            assert!(reason.bytes().all(|b| matches!(b, b'a'..=b'z' | b'_' | b'8')), "{reason}");
            assert!(
                EventError::ALL[..index].iter().all(|earlier| earlier.reason() != reason),
                "{reason}"
            );
        }
    }

    #[test]
    fn messages_name_the_limits_in_force() {
        assert!(EventError::TooDeep.message().contains(&JSON_DEPTH_MAX.to_string()));
        let id_bytes_max = USER_ID_BYTES_MAX.to_string();
        assert!(EventError::UserIdEmpty.message().contains(&id_bytes_max));
        assert!(EventError::UserIdTooLong.message().contains(&id_bytes_max));
    }
}
