//! The reader of many events written a second time, as plainly as possible, and the assertions that
//! tie the two together. A fuzz target is one call to `fuzz_events`; the tests call it too.
//!
//! The plain reader cuts the body into events and calls `parse` for each: an event must have the same
//! verdict in a list as alone. It cuts lines at line feeds, and an array at the brace that closes an
//! event.

use super::error::{EventError, EventsCause, EventsError, FrameError};
use super::many::Events;
use super::model::{Event, Scratch};
use super::one::parse;
use crate::limits::USER_ID_BYTES_MAX;

/// Asserts all that must hold for any body of many events.
///
/// # Panics
///
/// If something does not hold.
pub fn fuzz_events(body: &[u8]) {
    let expected = read_plainly(body);
    let usual = read(body, |events, scratch| events.next(scratch).map(own));
    let any = read(body, |events, scratch| events.next_any(scratch).map(own));
    assert_eq!(usual.0, expected.events);
    assert_eq!(usual, any, "the short way and the general way differ");
    match (usual.1, expected.fault) {
        (None, None) => {}
        (Some(error), Some(fault)) => {
            assert_eq!((error.cause, error.index), (fault.cause, fault.index));
            assert_place(body, error, fault.at);
        }
        (error, _) => panic!("{error:?}, expected another verdict"),
    }
}

/// An event with its id copied and its value as bits.
type OwnEvent = (Vec<u8>, u64);

fn own(event: Result<Event<'_>, EventsError>) -> Result<OwnEvent, EventsError> {
    event.map(|event| (event.user_id.to_vec(), event.value.to_bits()))
}

/// Reads all events, and the error after them if there is one.
fn read<'a>(
    body: &'a [u8],
    next: impl Fn(&mut Events<'a>, &mut Scratch) -> Option<Result<OwnEvent, EventsError>>,
) -> (Vec<OwnEvent>, Option<EventsError>) {
    // What an earlier event left in the scratch must not show.
    let mut scratch = Scratch { bytes: [b'?'; USER_ID_BYTES_MAX] };
    let mut events = Events::new(body, usize::MAX);
    let mut read = Vec::new();
    let mut fault = None;
    while let Some(event) = next(&mut events, &mut scratch) {
        assert_eq!(fault, None, "something comes after an error");
        match event {
            Ok(event) => read.push(event),
            Err(error) => fault = Some(error),
        }
        assert_eq!(events.count(), read.len());
    }
    assert!(next(&mut events, &mut scratch).is_none(), "something comes after the end");
    (read, fault)
}

#[derive(Default)]
struct Verdict {
    events: Vec<OwnEvent>,
    fault: Option<PlainFault>,
}

struct PlainFault {
    cause: EventsCause,
    index: usize,
    /// Where the wrong event begins, or where the text around the events is wrong.
    at: usize,
}

impl Verdict {
    /// Ends the verdict with a fault at the beginning of `rest`, an end of `body`.
    fn refuse(mut self, cause: impl Into<EventsCause>, body: &[u8], rest: &[u8]) -> Self {
        let (cause, index, at) = (cause.into(), self.events.len(), body.len() - rest.len());
        self.fault = Some(PlainFault { cause, index, at });
        self
    }
}

fn read_plainly(body: &[u8]) -> Verdict {
    let text = trim_start(body);
    match text.first() {
        None => Verdict::default(),
        Some(b'{') => read_lines(body),
        Some(b'[') => read_array(body, &text[1..]),
        Some(_) if text.starts_with("\u{feff}".as_bytes()) => {
            Verdict::default().refuse(EventError::ByteOrderMark, body, text)
        }
        Some(_) => Verdict::default().refuse(FrameError::StartUnexpected, body, text),
    }
}

fn read_lines(body: &[u8]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut rest = body;
    for line in body.split_inclusive(|&byte| byte == b'\n') {
        let cause = match parse_own(line) {
            Ok(event) => {
                verdict.events.push(event);
                None
            }
            Err(EventError::Empty) => None,
            Err(EventError::TrailingBytes) => Some(FrameError::LineTooLong.into()),
            Err(EventError::Truncated) if line.ends_with(b"\n") => {
                Some(FrameError::LineTooShort.into())
            }
            Err(error) => Some(error.into()),
        };
        if let Some(cause) = cause {
            let cause: EventsCause = cause;
            return verdict.refuse(cause, body, trim_start(rest));
        }
        rest = &rest[line.len()..];
    }
    verdict
}

fn read_array(body: &[u8], after_bracket: &[u8]) -> Verdict {
    let mut verdict = Verdict::default();
    let mut rest = trim_start(after_bracket);
    if let Some(end) = rest.strip_prefix(b"]") {
        return read_end(verdict, body, end);
    }
    loop {
        match rest.first() {
            None => return verdict.refuse(FrameError::ArrayNotClosed, body, rest),
            Some(b',' | b']') => return verdict.refuse(FrameError::CommaExtra, body, rest),
            Some(_) => {}
        }
        // Other bytes may follow the object here, and only here.
        if let Err(error) = parse_own(rest)
            && error != EventError::TrailingBytes
            && !is_about_members(error)
        {
            return verdict.refuse(error, body, rest);
        }
        let (object, after) = rest.split_at(object_bytes(rest));
        match parse_own(object) {
            Ok(event) => verdict.events.push(event),
            Err(error) => return verdict.refuse(error, body, rest),
        }
        rest = trim_start(after);
        match rest.first() {
            None => return verdict.refuse(FrameError::ArrayNotClosed, body, rest),
            Some(b',') => rest = trim_start(&rest[1..]),
            Some(b']') => return read_end(verdict, body, &rest[1..]),
            Some(_) => {
                let mut verdict = verdict.refuse(FrameError::CommaExpected, body, rest);
                // The event before the unexpected byte is the wrong one.
                verdict.fault =
                    verdict.fault.map(|fault| PlainFault { index: fault.index - 1, ..fault });
                return verdict;
            }
        }
    }
}

fn read_end(verdict: Verdict, body: &[u8], after_bracket: &[u8]) -> Verdict {
    let rest = trim_start(after_bracket);
    if rest.is_empty() { verdict } else { verdict.refuse(FrameError::TrailingBytes, body, rest) }
}

fn parse_own(text: &[u8]) -> Result<OwnEvent, EventError> {
    let mut scratch = Scratch::new();
    parse(text, &mut scratch).map(|event| (event.user_id.to_vec(), event.value.to_bits()))
}

/// Returns whether a text with this error is one valid JSON object, in which only `userId` or `value`
/// is wrong.
fn is_about_members(error: EventError) -> bool {
    matches!(
        error,
        EventError::UserIdMissing
            | EventError::UserIdNotString
            | EventError::UserIdEmpty
            | EventError::UserIdTooLong
            | EventError::ValueMissing
            | EventError::ValueNotNumber
            | EventError::ValueOutOfRange
    )
}

/// Returns the number of bytes of the valid object at the beginning of `text`.
fn object_bytes(text: &[u8]) -> usize {
    let mut depth = 0;
    let mut is_in_string = false;
    let mut bytes = text.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => is_in_string = !is_in_string,
            b'\\' => drop(bytes.next()),
            b'{' if !is_in_string => depth += 1,
            b'}' if !is_in_string => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    panic!("a valid object is closed");
}

fn trim_start(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !b" \t\n\r".contains(byte));
    &text[start.unwrap_or(text.len())..]
}

/// Asserts that an error names the line and the byte that its documentation promises. `event_at` is
/// where the event begins.
fn assert_place(body: &[u8], error: EventsError, event_at: usize) {
    let EventsError { cause, line, offset, .. } = error;
    assert_eq!(line, body[..offset].split(|&byte| byte == b'\n').count());
    let before = &body[event_at..offset];
    match cause {
        EventsCause::Frame(FrameError::LineTooShort) => {
            assert_eq!(body[offset], b'\n');
            assert_eq!(parse_own(before), Err(EventError::Truncated));
        }
        EventsCause::Frame(FrameError::LineTooLong) => {
            assert!(parse_own(before).err().is_none_or(is_about_members));
            assert_eq!(parse_own(&body[event_at..=offset]), Err(EventError::TrailingBytes));
        }
        EventsCause::Frame(_) => assert_eq!(offset, event_at),
        EventsCause::Event(error) if is_about_members(error) => assert_eq!(offset, event_at),
        EventsCause::Event(error) => {
            assert_first_fault(&body[event_at..], offset - event_at, error)
        }
    }
}

/// Asserts that `error` at `at` is the first fault of `text`: before it every part of the text is
/// only too short, and after it every part has this error.
fn assert_first_fault(text: &[u8], at: usize, error: EventError) {
    let fault_bytes = match error {
        EventError::EscapeInvalid | EventError::SurrogateLone => r"\ud83d\ude00".len(),
        EventError::Utf8Invalid => 4,
        EventError::ByteOrderMark => 3,
        _ => 1,
    };
    // All parts of a short text; of a long one, those near its ends and near the fault.
    let is_tried = |len: usize| len.min(len.abs_diff(at)).min(text.len() - len) < 40;
    for len in (0..=text.len()).filter(|&len| is_tried(len)) {
        let verdict = parse_own(&text[..len]);
        if len == 0 {
            assert_eq!(verdict, Err(EventError::Empty));
        } else if len <= at {
            assert_eq!(verdict, Err(EventError::Truncated), "{len} bytes, fault at {at}");
        } else if len >= at + fault_bytes {
            assert_eq!(verdict, Err(error), "{len} bytes, fault at {at}");
        }
    }
}
