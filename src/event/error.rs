//! Why a body is not an event, or not a list of events: one variant for each cause, with its sentence
//! and its label.
//!
//! A wrong event has the same cause, and so the same sentence, alone and in a list. Only the causes
//! that speak of where a text begins and ends are different in a list, where the end of the event is
//! not the end of the body: [`FrameError`] holds those.

use std::fmt;

/// Why a text is not an event. Each of these is the client's fault and is answered `400`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventError {
    /// The text is empty, or only white space.
    Empty,
    /// The text begins with U+FEFF, which RFC 8259 section 8.1 forbids to send.
    ByteOrderMark,
    /// The first byte does not open an object.
    NotObject,
    /// The text ends before it is complete.
    Truncated,
    /// Another byte than white space follows the object.
    TrailingBytes,
    /// No string stands where the name of a member must stand; also after a trailing comma.
    NameExpected,
    /// No colon follows the name of a member.
    ColonExpected,
    /// A byte cannot begin a value, or a literal is misspelt.
    ValueExpected,
    /// Neither a comma nor the matching closing bracket follows a value.
    CommaExpected,
    /// One of U+0000 to U+001F stands in a string without an escape.
    ControlCharacter,
    /// A backslash does not begin an escape of RFC 8259 section 7.
    EscapeInvalid,
    /// A `\u` escape is one half of a UTF-16 surrogate pair, and the other half is missing.
    SurrogateLone,
    /// A string is not UTF-8.
    Utf8Invalid,
    /// A number is outside the grammar of RFC 8259 section 6.
    NumberInvalid,
    /// A member is nested deeper than [`JSON_DEPTH_MAX`](crate::limits::JSON_DEPTH_MAX).
    TooDeep,
    /// There is no member `userId`.
    UserIdMissing,
    /// `userId` is valid JSON, but not a string.
    UserIdNotString,
    /// `userId` is the empty string.
    UserIdEmpty,
    /// `userId` is longer than [`USER_ID_BYTES_MAX`](crate::limits::USER_ID_BYTES_MAX).
    UserIdTooLong,
    /// There is no member `value`.
    ValueMissing,
    /// `value` is valid JSON, but not a number.
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

    /// Returns one sentence: what is wrong, and what is right. It holds no quote, backslash or control
    /// character, so it can stand in a JSON string as it is.
    pub const fn message(self) -> &'static str {
        self.texts().1
    }

    /// Returns a short label in snake_case, for metrics.
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
                "A byte order mark stands before an event; JSON must be sent without one.",
            ),
            Self::NotObject => (
                "not_an_object",
                "An event is not a JSON object; it must be one, with userId and value.",
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

/// Why a body is not a list of events although no event in it is wrong in itself. Each of these is
/// the client's fault and is answered `400`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameError {
    /// The first byte that is not white space begins neither an array nor an object.
    StartUnexpected,
    /// A line ends in the middle of an event.
    LineTooShort,
    /// Another byte than white space follows an event on its line.
    LineTooLong,
    /// The body ends between two events of an array, or before the first one.
    ArrayNotClosed,
    /// Neither a comma nor the closing bracket follows an event of an array.
    CommaExpected,
    /// A comma stands before the first event of an array, after the last one, or after a comma.
    CommaExtra,
    /// Another byte than white space follows the array.
    TrailingBytes,
    /// An event has more bytes than one may have. This is answered `413`.
    EventTooLarge,
}

impl FrameError {
    /// Every variant once, in the order of declaration.
    pub const ALL: [FrameError; 8] = [
        Self::StartUnexpected,
        Self::LineTooShort,
        Self::LineTooLong,
        Self::ArrayNotClosed,
        Self::CommaExpected,
        Self::CommaExtra,
        Self::TrailingBytes,
        Self::EventTooLarge,
    ];

    /// Returns one sentence as [`EventError::message`] does.
    pub const fn message(self) -> &'static str {
        self.texts().1
    }

    /// Returns a short label in snake_case, for metrics. It is not the label of an [`EventError`].
    pub const fn reason(self) -> &'static str {
        self.texts().0
    }

    const fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::StartUnexpected => (
                "list_start_unexpected",
                "The body begins with neither an array nor an object; it must be a JSON array of \
                 events, or one event on each line.",
            ),
            Self::LineTooShort => (
                "line_too_short",
                "A line ends in the middle of an event; an event must stand on one line, or in a \
                 JSON array of events.",
            ),
            Self::LineTooLong => (
                "line_too_long",
                "More bytes follow an event on its line; each event must stand on a line of its \
                 own, without commas between the lines.",
            ),
            Self::ArrayNotClosed => (
                "array_not_closed",
                "The body ends before the array of events is closed; it must end with a closing \
                 bracket.",
            ),
            Self::CommaExpected => (
                "array_comma_expected",
                "An event of the array is followed by something unexpected; a comma or the \
                 closing bracket must follow it.",
            ),
            Self::CommaExtra => (
                "array_comma_extra",
                "An event is missing beside a comma of the array; a comma must stand between two \
                 events, and nowhere else.",
            ),
            Self::TrailingBytes => (
                "array_trailing_bytes",
                "More bytes follow the array of events; the body must end with the array.",
            ),
            Self::EventTooLarge => (
                "event_too_large",
                "An event has more bytes than one may have; send a smaller one, or raise --max-body.",
            ),
        }
    }
}

/// Why a body is not a list of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventsCause {
    /// An event is wrong, as it would be alone.
    Event(EventError),
    /// The text around the events is wrong.
    Frame(FrameError),
}

impl EventsCause {
    /// Returns the sentence of the cause.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Event(error) => error.message(),
            Self::Frame(error) => error.message(),
        }
    }

    /// Returns the label of the cause.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Event(error) => error.reason(),
            Self::Frame(error) => error.reason(),
        }
    }
}

impl From<EventError> for EventsCause {
    fn from(error: EventError) -> Self {
        Self::Event(error)
    }
}

impl From<FrameError> for EventsCause {
    fn from(error: FrameError) -> Self {
        Self::Frame(error)
    }
}

/// Why a body is not a list of events, and where: the first fault in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventsError {
    /// What is wrong.
    pub cause: EventsCause,
    /// The number of the wrong event, from 0. For a fault behind the last event, or where an event
    /// is missing, the number of events before it.
    pub index: usize,
    /// The line of the body that holds the byte at `offset`, from 1. A line feed ends a line.
    pub line: usize,
    /// The position in the body of the fault's first byte, from 0.
    ///
    /// The fault in a text is the first character, or the first escape of a string, that cannot stand
    /// where it stands: no text after it can make it right. If a text ends too early, the fault is its end: the line
    /// feed, or the end of the body. An event that is a valid JSON object, but whose `userId` or
    /// `value` is wrong, is a fault as a whole, so this is the position of its opening brace.
    pub offset: usize,
}

impl fmt::Display for EventsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cause, index, line, offset } = self;
        write!(f, "event {index}, line {line}, byte {offset}: {}", cause.message())
    }
}

impl std::error::Error for EventsError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{JSON_DEPTH_MAX, USER_ID_BYTES_MAX};

    fn causes() -> Vec<EventsCause> {
        let events = EventError::ALL.map(EventsCause::Event);
        let frames = FrameError::ALL.map(EventsCause::Frame);
        [&events[..], &frames[..]].concat()
    }

    #[test]
    fn every_message_can_stand_in_a_json_string_as_it_is() {
        for cause in causes() {
            let message = cause.message();
            let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
            assert!(message.bytes().all(plain), "{message}");
            assert!(message.ends_with('.') && message.contains(';'), "{message}");
        }
    }

    #[test]
    fn every_reason_is_a_label_of_its_own() {
        let causes = causes();
        for (index, cause) in causes.iter().enumerate() {
            let reason = cause.reason();
            assert!(reason.bytes().all(|b| matches!(b, b'a'..=b'z' | b'_' | b'8')), "{reason}");
            assert!(causes[..index].iter().all(|earlier| earlier.reason() != reason), "{reason}");
        }
    }

    #[test]
    fn an_error_prints_its_message_and_its_place() {
        let error = EventError::ValueMissing;
        assert_eq!(error.to_string(), error.message());
        let cause = EventsCause::Event(error);
        let error = EventsError { cause, index: 2, line: 3, offset: 40 };
        let expected = format!("event 2, line 3, byte 40: {}", cause.message());
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn messages_name_the_limits_in_force() {
        assert!(EventError::TooDeep.message().contains(&JSON_DEPTH_MAX.to_string()));
        let id_bytes_max = USER_ID_BYTES_MAX.to_string();
        assert!(EventError::UserIdEmpty.message().contains(&id_bytes_max));
        assert!(EventError::UserIdTooLong.message().contains(&id_bytes_max));
    }
}
