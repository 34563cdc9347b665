//! The parser of one event written a second time, as plainly as possible, and the assertions that tie
//! the two together. A fuzz target is one call to `fuzz`; the tests call it too.
//!
//! Plain means: characters instead of words, recursion instead of a bit stack, UTF-16 through std
//! instead of arithmetic. It shares nothing with the parser but the limits.

use super::model::{Event, Scratch};
use super::one::{parse, parse_any};
use crate::limits::{JSON_DEPTH_MAX, USER_ID_BYTES_MAX};

/// Asserts all that must hold for any body.
///
/// # Panics
///
/// If something does not hold.
pub fn fuzz(body: &[u8]) {
    // What an earlier event left in the scratch must not show.
    let mut scratch = Scratch { bytes: [b'?'; USER_ID_BYTES_MAX] };
    let outcome = parse(body, &mut scratch);
    // The reader of the usual text and the reader of any text agree.
    assert_eq!(outcome, parse_any(body, &mut Scratch::new()));
    match (outcome, read_event(body)) {
        (Ok(event), Some((id, value))) => {
            assert_eq!(event.user_id, id.as_bytes());
            assert_eq!(event.value.to_bits(), value.to_bits());
            assert_surroundings_decide(body, event);
        }
        (Err(_), None) => {}
        (outcome, expected) => panic!("{outcome:?}, expected {expected:?}"),
    }
}

/// A valid body stays valid with white space around it, and with nothing else.
fn assert_surroundings_decide(body: &[u8], event: Event<'_>) {
    let mut scratch = Scratch::new();
    let spaced = [b" \r\n\t", body, b"\t\n\r "].concat();
    assert_eq!(parse(&spaced, &mut scratch), Ok(event));
    // The same bytes with others after them, which a look of eight bytes could see.
    let followed = [body, b"99999999"].concat();
    assert_eq!(parse(&followed[..body.len()], &mut scratch), Ok(event));
    assert!(parse(&followed, &mut scratch).is_err());
    assert!(parse(&[b"\0", body].concat(), &mut scratch).is_err());
    let trimmed = body.trim_ascii_end();
    assert!(parse(&trimmed[..trimmed.len() - 1], &mut scratch).is_err());
}

/// Returns the user id and the value of a valid body.
fn read_event(body: &[u8]) -> Option<(String, f64)> {
    let mut reader = Reader { text: str::from_utf8(body).ok()? };
    reader.skip_space();
    let members = reader.read_object(0)?;
    reader.skip_space();
    if !reader.text.is_empty() {
        return None;
    }
    let last = |wanted| members.iter().rev().find(|(name, _)| name == wanted).map(|(_, v)| v);
    match (last("userId")?, last("value")?) {
        (Value::String(id), Value::Number(value))
            if (1..=USER_ID_BYTES_MAX).contains(&id.len()) && value.is_finite() =>
        {
            Some((id.clone(), *value))
        }
        _ => None,
    }
}

enum Value {
    String(String),
    Number(f64),
    Other,
}

struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    fn read_value(&mut self, depth: usize) -> Option<Value> {
        let literals = ["true", "false", "null"];
        match self.text.chars().next()? {
            '"' => self.read_string().map(Value::String),
            '-' | '0'..='9' => self.read_number().map(Value::Number),
            '{' if depth < JSON_DEPTH_MAX => self.read_object(depth + 1).map(|_| Value::Other),
            '[' if depth < JSON_DEPTH_MAX => self.read_array(depth + 1).map(|()| Value::Other),
            _ => literals.into_iter().find(|word| self.take(word)).map(|_| Value::Other),
        }
    }

    fn read_object(&mut self, depth: usize) -> Option<Vec<(String, Value)>> {
        let mut members = Vec::new();
        self.expect("{")?;
        self.skip_space();
        if self.take("}") {
            return Some(members);
        }
        loop {
            self.skip_space();
            let name = self.read_string()?;
            self.skip_space();
            self.expect(":")?;
            self.skip_space();
            members.push((name, self.read_value(depth)?));
            self.skip_space();
            if self.take("}") {
                return Some(members);
            }
            self.expect(",")?;
        }
    }

    fn read_array(&mut self, depth: usize) -> Option<()> {
        self.expect("[")?;
        self.skip_space();
        if self.take("]") {
            return Some(());
        }
        loop {
            self.skip_space();
            self.read_value(depth)?;
            self.skip_space();
            if self.take("]") {
                return Some(());
            }
            self.expect(",")?;
        }
    }

    fn read_string(&mut self) -> Option<String> {
        let mut units = Vec::new();
        self.expect("\"")?;
        loop {
            let unit = match self.next()? {
                '"' => return String::from_utf16(&units).ok(),
                '\0'..='\x1F' => return None,
                '\\' => match self.next()? {
                    'u' => {
                        let digits = self.text.get(..4)?;
                        self.expect(digits)?;
                        if !digits.chars().all(|digit| digit.is_ascii_hexdigit()) {
                            return None;
                        }
                        u16::from_str_radix(digits, 16).ok()?
                    }
                    'b' => 0x08,
                    't' => 0x09,
                    'n' => 0x0A,
                    'f' => 0x0C,
                    'r' => 0x0D,
                    same @ ('"' | '\\' | '/') => same as u16,
                    _ => return None,
                },
                plain => {
                    units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
                    continue;
                }
            };
            units.push(unit);
        }
    }

    fn read_number(&mut self) -> Option<f64> {
        let is_part = |c: char| matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E');
        let end = self.text.find(|c| !is_part(c)).unwrap_or(self.text.len());
        let number = &self.text[..end];
        self.expect(number)?;

        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let mut rest = number.strip_prefix('-').unwrap_or(number);
        if let Some((mantissa, exponent)) = rest.split_once(['e', 'E']) {
            if !is_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)) {
                return None;
            }
            rest = mantissa;
        }
        if let Some((integer, fraction)) = rest.split_once('.') {
            if !is_digits(fraction) {
                return None;
            }
            rest = integer;
        }
        if !is_digits(rest) || rest.len() > 1 && rest.starts_with('0') {
            return None;
        }
        number.parse().ok()
    }

    fn skip_space(&mut self) {
        self.text = self.text.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.text.chars();
        let next = chars.next();
        self.text = chars.as_str();
        next
    }

    fn take(&mut self, token: &str) -> bool {
        let rest = self.text.strip_prefix(token);
        self.text = rest.unwrap_or(self.text);
        rest.is_some()
    }

    fn expect(&mut self, token: &str) -> Option<()> {
        self.take(token).then_some(())
    }
}
