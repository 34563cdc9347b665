//! Comma-separated lists in field values (RFC 9110, 5.6.1), read in one way for every list field.
//!
//! - A field that stands in several lines is one list (RFC 9110, 5.3).
//! - Empty elements are ignored, wherever they stand and however many there are. The bound on the
//!   header section bounds them, and to skip one costs one comparison.
//! - A comma within a quoted string is part of its element.

use super::scan::trim;

/// Returns the elements of one line of a list field, without the empty ones.
pub fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    parts(value, b',').filter(|element| !element.is_empty())
}

/// Splits `value` at each `separator` outside of quoted strings (RFC 9110, 5.6.4), and takes the
/// white space around each part away. A quoted string without its end reaches to the end.
pub fn parts(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> + Clone {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let value = rest?;
        let end = part_length(value, separator);
        rest = value.get(end + 1..);
        Some(&value[trim(value, 0..end)])
    })
}

/// Bytes of `value` before the first `separator` outside of quoted strings.
fn part_length(value: &[u8], separator: u8) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    value
        .iter()
        .position(|&byte| {
            if escaped {
                escaped = false;
            } else if quoted {
                escaped = byte == b'\\';
                quoted = byte != b'"';
            } else {
                quoted = byte == b'"';
                return byte == separator;
            }
            false
        })
        .unwrap_or(value.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_elements_are_ignored_and_quoted_commas_are_kept() {
        for (value, expected) in [
            ("", &[][..]),
            (",", &[]),
            (" ,\t, ", &[]),
            ("a", &["a"]),
            (",a", &["a"]),
            ("a,", &["a"]),
            (" a\t,, b c ,", &["a", "b c"]),
            ("a;x=\"b,c\",d", &["a;x=\"b,c\"", "d"]),
            ("\"a\\\",b\",c", &["\"a\\\",b\"", "c"]),
            ("\"a\\\\\",b", &["\"a\\\\\"", "b"]),
            ("a\\,b", &["a\\", "b"]), // an escape only within quotes
            ("a,\"b,c", &["a", "\"b,c"]),
            ("\"\"a,b", &["\"\"a", "b"]),
        ] {
            let found: Vec<&[u8]> = elements(value.as_bytes()).collect();
            let expected: Vec<&[u8]> = expected.iter().map(|text| text.as_bytes()).collect();
            assert_eq!(found, expected, "{value:?}");
        }
    }

    #[test]
    fn parts_may_be_empty() {
        let found: Vec<&[u8]> = parts(b"a; q=1;;\"b;c\"", b';').collect();
        assert_eq!(found, [&b"a"[..], b"q=1", b"", b"\"b;c\""]);
    }
}
