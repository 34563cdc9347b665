//! Objects, arrays and members: RFC 8259 sections 2 to 5.
//!
//! The outer object is read member by member; the two that count are kept, each overwriting its
//! predecessor, so that of a repeated member the last one counts and an earlier one of the wrong
//! type does no harm. Every other value is only proved to be JSON. It may be nested, and a client
//! chooses how deep, so that is no recursion but a stack of one bit a level.

use super::EventError;
use super::cursor::Cursor;
use super::number::Number;
use super::string::RawString;
use crate::limits::JSON_DEPTH_MAX;

/// The members of an event, each as its last occurrence left it; the text around them is valid.
pub(super) struct Members<'a> {
    /// `UserIdMissing` and `UserIdNotString` are the only errors.
    pub(super) user_id: Result<RawString<'a>, EventError>,
    /// `ValueMissing`, `ValueNotNumber` and `ValueOutOfRange` are the only errors.
    pub(super) value: Result<f64, EventError>,
}

/// Reads a body that must be one object and nothing else.
pub(super) fn read_members(body: &[u8]) -> Result<Members<'_>, EventError> {
    let mut members =
        Members { user_id: Err(EventError::UserIdMissing), value: Err(EventError::ValueMissing) };
    let mut cursor = Cursor::new(body);

    if !cursor.take_token(b'{') {
        return Err(no_object(&cursor));
    }
    cursor.skip_space();
    if !cursor.take(b'}') {
        loop {
            match read_name(&mut cursor)? {
                Name::UserId => members.user_id = read_user_id(&mut cursor)?,
                Name::Value => members.value = read_value(&mut cursor)?,
                Name::Other => skip_value(&mut cursor)?,
            }
            if cursor.take_token(b',') {
                cursor.skip_space();
            } else if cursor.take(b'}') {
                break;
            } else {
                return Err(cursor.unexpected(EventError::CommaExpected));
            }
        }
    }
    cursor.skip_space();
    if cursor.peek().is_some() {
        return Err(EventError::TrailingBytes);
    }
    Ok(members)
}

#[cold]
fn no_object(cursor: &Cursor<'_>) -> EventError {
    match cursor.rest() {
        [] => EventError::Empty,
        [0xEF, 0xBB, 0xBF, ..] => EventError::ByteOrderMark,
        _ => EventError::NotObject,
    }
}

enum Name {
    UserId,
    Value,
    Other,
}

/// Reads a member's name, its colon and the white space about it; stops before the value.
#[inline(always)]
fn read_name(cursor: &mut Cursor<'_>) -> Result<Name, EventError> {
    const USER_ID: u64 = u64::from_le_bytes(*b"\"userId\"");
    const VALUE: u64 = u64::from_le_bytes(*b"\"value\"\0");
    const SEVEN_BYTES: u64 = u64::MAX >> 8;

    // Both names as they are nearly always written, quotes included, are one comparison each.
    let word = cursor.word();
    let name = if word == USER_ID {
        cursor.advance(8);
        Name::UserId
    } else if word & SEVEN_BYTES == VALUE {
        cursor.advance(7);
        Name::Value
    } else {
        read_other_name(cursor)?
    };
    if !cursor.take_token(b':') {
        return Err(cursor.unexpected(EventError::ColonExpected));
    }
    cursor.skip_space();
    Ok(name)
}

/// Any name at all; it may still be one of the two, written with escapes.
#[cold]
fn read_other_name(cursor: &mut Cursor<'_>) -> Result<Name, EventError> {
    if !cursor.take(b'"') {
        return Err(cursor.unexpected(EventError::NameExpected));
    }
    let mut room = [0; b"userId".len()];
    Ok(match RawString::read(cursor)?.unescape(&mut room) {
        Some(b"userId") => Name::UserId,
        Some(b"value") => Name::Value,
        _ => Name::Other,
    })
}

#[inline(always)]
fn read_user_id<'a>(
    cursor: &mut Cursor<'a>,
) -> Result<Result<RawString<'a>, EventError>, EventError> {
    if cursor.take(b'"') {
        return Ok(Ok(RawString::read(cursor)?));
    }
    skip_value(cursor)?;
    Ok(Err(EventError::UserIdNotString))
}

#[inline(always)]
fn read_value(cursor: &mut Cursor<'_>) -> Result<Result<f64, EventError>, EventError> {
    if let Some(b'-' | b'0'..=b'9') = cursor.peek() {
        let value = Number::read(cursor)?.to_f64();
        return Ok(if value.is_finite() { Ok(value) } else { Err(EventError::ValueOutOfRange) });
    }
    skip_value(cursor)?;
    Ok(Err(EventError::ValueNotNumber))
}

/// Proves that one value, however nested, is JSON.
#[inline(never)]
fn skip_value(cursor: &mut Cursor<'_>) -> Result<(), EventError> {
    let mut nesting = Nesting::default();
    loop {
        // Here a value must begin. An array or object that is not empty begins another one.
        match cursor.peek() {
            Some(b'{') => {
                cursor.advance(1);
                nesting.open(Bracket::Object)?;
                cursor.skip_space();
                if cursor.peek() != Some(b'}') {
                    read_name(cursor)?;
                    continue;
                }
            }
            Some(b'[') => {
                cursor.advance(1);
                nesting.open(Bracket::Array)?;
                cursor.skip_space();
                if cursor.peek() != Some(b']') {
                    continue;
                }
            }
            _ => skip_scalar(cursor)?,
        }
        // Here a value has ended, or nothing stands between two brackets. Close all that closes.
        loop {
            let Some(bracket) = nesting.innermost() else { return Ok(()) };
            if cursor.take_token(bracket.closing()) {
                nesting.close();
            } else if cursor.take(b',') {
                cursor.skip_space();
                if bracket == Bracket::Object {
                    read_name(cursor)?;
                }
                break;
            } else {
                return Err(cursor.unexpected(EventError::CommaExpected));
            }
        }
    }
}

fn skip_scalar(cursor: &mut Cursor<'_>) -> Result<(), EventError> {
    match cursor.peek() {
        Some(b'"') => {
            cursor.advance(1);
            RawString::read(cursor).map(|_| ())
        }
        Some(b'-' | b'0'..=b'9') => Number::read(cursor).map(|_| ()),
        Some(b'+' | b'.') => Err(EventError::NumberInvalid),
        Some(b't') => skip_literal(cursor, b"true"),
        Some(b'f') => skip_literal(cursor, b"false"),
        Some(b'n') => skip_literal(cursor, b"null"),
        Some(_) => Err(EventError::ValueExpected),
        None => Err(EventError::Truncated),
    }
}

fn skip_literal(cursor: &mut Cursor<'_>, literal: &[u8]) -> Result<(), EventError> {
    let rest = cursor.rest();
    if rest.starts_with(literal) {
        cursor.advance(literal.len());
        Ok(())
    } else if literal.starts_with(rest) {
        Err(EventError::Truncated)
    } else {
        Err(EventError::ValueExpected)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Array,
    Object,
}

impl Bracket {
    fn closing(self) -> u8 {
        match self {
            Self::Array => b']',
            Self::Object => b'}',
        }
    }
}

/// The brackets that are open, the innermost in the lowest bit; a set bit is an object.
#[derive(Default)]
struct Nesting {
    objects: u128,
    depth: usize,
}

// A bit a level.
const _: () = assert!(JSON_DEPTH_MAX <= u128::BITS as usize);

impl Nesting {
    fn open(&mut self, bracket: Bracket) -> Result<(), EventError> {
        if self.depth == JSON_DEPTH_MAX {
            return Err(EventError::TooDeep);
        }
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(bracket == Bracket::Object);
        Ok(())
    }

    fn innermost(&self) -> Option<Bracket> {
        let bracket = if self.objects & 1 == 1 { Bracket::Object } else { Bracket::Array };
        (self.depth > 0).then_some(bracket)
    }

    fn close(&mut self) {
        debug_assert!(self.depth > 0);
        self.depth -= 1;
        self.objects >>= 1;
    }
}
