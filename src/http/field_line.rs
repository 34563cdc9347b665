//! A field line (RFC 9112, 5): `field-name ":" OWS field-value OWS CRLF`.

use std::ops::Range;

use super::scan::{TOKEN, field_value_length, trim};

/// A whole field line that follows the grammar.
#[derive(Clone, Debug)]
pub struct FieldLine<'b> {
    /// Its name.
    pub name: &'b [u8],
    /// Where its value is in the input, without the white space around it.
    pub value: Range<usize>,
    /// Where the next line begins.
    pub end: usize,
}

impl<'b> FieldLine<'b> {
    /// Reads the line that begins at `at`; `None` if it is incomplete, malformed or empty.
    #[inline(always)]
    pub fn read(input: &'b [u8], at: usize) -> Option<FieldLine<'b>> {
        let line = &input[at..];
        let name_length = TOKEN.run_length(line);
        if name_length == 0 || line.get(name_length) != Some(&b':') {
            return None;
        }
        let value_at = name_length + ":".len();
        let value_end = value_at + field_value_length(&line[value_at..]);
        if !line[value_end..].starts_with(b"\r\n") {
            return None;
        }
        let value = trim(line, value_at..value_end);
        let value = at + value.start..at + value.end;
        Some(FieldLine { name: &line[..name_length], value, end: at + value_end + "\r\n".len() })
    }

    /// Returns the lines of the header section that begins at `at`.
    pub fn all(input: &'b [u8], at: usize) -> impl Iterator<Item = FieldLine<'b>> + Clone {
        std::iter::successors(FieldLine::read(input, at), move |line| {
            FieldLine::read(input, line.end)
        })
    }
}
