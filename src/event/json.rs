//! Objects, arrays and members: RFC 8259 sections 2 to 5.
//!
//! The outer object is read member by member. The last `userId` and the last `value` are kept, so of
//! a repeated member the last one counts, and an earlier one of the wrong type does no harm. Every
//! other value is only proved to be JSON. The client chooses how deep a value is nested, so values
//! are not read by recursion: a stack holds one bit for each level.

use super::cursor::Cursor;
use super::error::EventError;
use super::model::{Event, Scratch};
use super::number::Number;
use super::string::RawString;
use crate::limits::{JSON_DEPTH_MAX, USER_ID_BYTES_MAX};

/// The members of an event, each from its last occurrence. The text around them is valid.
pub(super) struct Members<'a> {
    /// `UserIdMissing` and `UserIdNotString` are the only errors.
    pub(super) user_id: Result<RawString<'a>, EventError>,
    /// `ValueMissing` and `ValueNotNumber` are the only errors. It is rounded later, since of a repeated
    /// member only the last one counts, and rounding can take longer than reading.
    pub(super) value: Result<Number<'a>, EventError>,
}

impl<'a> Members<'a> {
    /// Returns the event that has these members.
    #[inline(always)]
    pub(super) fn into_event<'s>(self, scratch: &'s mut Scratch) -> Result<Event<'s>, EventError>
    where
        'a: 's,
    {
        let user_id = user_id(self.user_id?, scratch)?;
        let value = self.value?.to_f64();
        if value.is_finite() {
            Ok(Event { user_id, value })
        } else {
            Err(EventError::ValueOutOfRange)
        }
    }
}

fn user_id<'a>(raw: RawString<'a>, scratch: &'a mut Scratch) -> Result<&'a [u8], EventError> {
    let id = raw.unescape(&mut scratch.bytes).ok_or(EventError::UserIdTooLong)?;
    match id.len() {
        0 => Err(EventError::UserIdEmpty),
        1..=USER_ID_BYTES_MAX => Ok(id),
        _ => Err(EventError::UserIdTooLong),
    }
}

/// Reads a text that must be one object and nothing else.
#[inline(always)]
pub(super) fn read_text<'a>(cursor: &mut Cursor<'a>) -> Result<Members<'a>, EventError> {
    let members = read_object(cursor)?;
    cursor.skip_space();
    if cursor.peek().is_some() {
        return Err(EventError::TrailingBytes);
    }
    Ok(members)
}

/// Reads one object up to its closing brace.
#[inline(always)]
pub(super) fn read_object<'a>(cursor: &mut Cursor<'a>) -> Result<Members<'a>, EventError> {
    let mut members =
        Members { user_id: Err(EventError::UserIdMissing), value: Err(EventError::ValueMissing) };

    if !cursor.take_token(b'{') {
        return Err(no_object(cursor));
    }
    cursor.skip_space();
    if cursor.take(b'}') {
        return Ok(members);
    }
    loop {
        match read_name(cursor)? {
            Name::UserId => members.user_id = read_user_id(cursor)?,
            Name::Value => members.value = read_value(cursor)?,
            Name::Other => skip_value(cursor)?,
        }
        if cursor.take_token(b',') {
            cursor.skip_space();
        } else if cursor.take(b'}') {
            return Ok(members);
        } else {
            return Err(cursor.unexpected(EventError::CommaExpected));
        }
    }
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

/// Reads a member's name, its colon and the white space around the colon; stops before the value.
#[inline(always)]
fn read_name(cursor: &mut Cursor<'_>) -> Result<Name, EventError> {
    const USER_ID: u64 = u64::from_le_bytes(*b"\"userId\"");
    const VALUE: u64 = u64::from_le_bytes(*b"\"value\"\0");
    const SEVEN_BYTES: u64 = u64::MAX >> 8;

    // One comparison finds each of the two names, quotes included, as it is nearly always written.
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

/// Reads any name. It may still be one of the two, written with escapes.
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
fn read_value<'a>(cursor: &mut Cursor<'a>) -> Result<Result<Number<'a>, EventError>, EventError> {
    if let Some(b'-' | b'0'..=b'9') = cursor.peek() {
        return Ok(Ok(Number::read(cursor)?));
    }
    skip_value(cursor)?;
    Ok(Err(EventError::ValueNotNumber))
}

/// Steps over one value of any type and proves that it is JSON.
#[inline(never)]
fn skip_value(cursor: &mut Cursor<'_>) -> Result<(), EventError> {
    let mut nesting = Nesting::default();
    loop {
        // Here a value must begin. An array or object that is not empty begins another one.
        match cursor.peek() {
            Some(b'{') => {
                nesting.open(Bracket::Object)?;
                cursor.advance(1);
                cursor.skip_space();
                if cursor.peek() != Some(b'}') {
                    read_name(cursor)?;
                    continue;
                }
            }
            Some(b'[') => {
                nesting.open(Bracket::Array)?;
                cursor.advance(1);
                cursor.skip_space();
                if cursor.peek() != Some(b']') {
                    continue;
                }
            }
            _ => skip_scalar(cursor)?,
        }
        // Here a value has ended, or an array or object is empty. Close every bracket that ends here.
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
    if cursor.rest().starts_with(literal) {
        cursor.advance(literal.len());
        return Ok(());
    }
    // The fault is the first byte that differs.
    let equal_count = literal.iter().zip(cursor.rest()).take_while(|(a, b)| a == b).count();
    cursor.advance(equal_count);
    Err(cursor.unexpected(EventError::ValueExpected))
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

/// The open brackets, the innermost in the lowest bit; a set bit is an object.
#[derive(Default)]
struct Nesting {
    objects: u128,
    depth: usize,
}

// One bit for each level.
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
