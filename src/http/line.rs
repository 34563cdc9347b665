//! Where the lines of a head end, also while they are incomplete.
//!
//! A line ends with CRLF and holds no other control character than HTAB. So an incomplete line that
//! holds one can be refused at once: no later byte can make it right. That includes a CR without its
//! LF, and an LF without its CR (RFC 9112, 2.2, lets a recipient refuse both).

use super::scan::field_value_length;
use crate::limits::EMPTY_LINES_MAX;

/// The end of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// It has not arrived. A CR at the very end of the input may become a CRLF.
    Missing,
    /// Its CRLF is here.
    At(usize),
    /// A control character is here that may stand in no line.
    Broken(usize),
}

impl LineEnd {
    /// Looks for the end of a line, of which the bytes before `at` hold neither a control character
    /// nor an end.
    #[inline(always)]
    pub fn find(input: &[u8], at: usize) -> LineEnd {
        let at = at + field_value_length(&input[at..]);
        match input[at..] {
            [] | [b'\r'] => LineEnd::Missing,
            [b'\r', b'\n', ..] => LineEnd::At(at),
            _ => LineEnd::Broken(at),
        }
    }
}

/// Returns how many bytes of `input` are empty lines before a request line: CRLF or LF, at most
/// [`EMPTY_LINES_MAX`] of them.
///
/// Old clients send an empty line after the content of a request (RFC 9112, 2.2). A bare LF is
/// harmless here, unlike anywhere else: there is no line before it that it could end.
pub fn empty_lines_length(input: &[u8]) -> usize {
    let mut length = 0;
    for _ in 0..EMPTY_LINES_MAX {
        match input[length..] {
            [b'\n', ..] => length += "\n".len(),
            [b'\r', b'\n', ..] => length += "\r\n".len(),
            _ => break,
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends() {
        for (input, expected) in [
            ("", LineEnd::Missing),
            ("a\tb \u{e4}", LineEnd::Missing),
            ("a\r", LineEnd::Missing),
            ("a\r\n", LineEnd::At(1)),
            ("\r\nb", LineEnd::At(0)),
            ("a\n", LineEnd::Broken(1)),
            ("a\rb\r\n", LineEnd::Broken(1)),
            ("a\r\r\n", LineEnd::Broken(1)),
            ("ab\0c", LineEnd::Broken(2)),
            ("ab\x7f", LineEnd::Broken(2)),
        ] {
            assert_eq!(LineEnd::find(input.as_bytes(), 0), expected, "{input:?}");
        }
    }

    #[test]
    fn empty_lines() {
        for (input, length) in [
            ("", 0),
            ("\r", 0),
            ("GET", 0),
            ("\n", 1),
            ("\r\nGET", 2),
            ("\n\r\n\r", 3),
            ("\r\r\n", 0),
            ("\n\n\n\n\n\n\n\n\n", 8),
        ] {
            assert_eq!(empty_lines_length(input.as_bytes()), length, "{input:?}");
        }
    }
}
