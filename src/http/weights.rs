//! Fields with weights: `Accept`, `Accept-Encoding` and their like (RFC 9110, 12.4.2).
//!
//! ```text
//! weight = OWS ";" OWS "q=" qvalue
//! qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3"0" ] )
//! ```
//!
//! Two deviations that clients have are read too: `.2` without its zero (Java), and more than three
//! decimals, which are cut off. An element whose weight is anything else is ignored.

use super::list::{elements, parts};
use super::scan::trim_all;

/// The weight of an element that names none.
pub const WEIGHT_MAX: u16 = 1_000;

/// Returns the weight, in thousandths, that a field gives to the first of `names` that it lists;
/// `None` if it lists none of them. 0 means "not acceptable".
///
/// `values` are all lines of the field. `names` go from the most specific to the least, such as
/// `text/plain`, `text/*`, `*/*`. Their case does not matter, nor do parameters other than the
/// weight. Of several elements with the same name the highest weight counts.
pub fn weight<'b>(values: impl Iterator<Item = &'b [u8]> + Clone, names: &[&str]) -> Option<u16> {
    names.iter().find_map(|name| {
        values
            .clone()
            .flat_map(elements)
            .filter_map(read)
            .filter(|(other, _)| other.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, weight)| weight)
            .max()
    })
}

/// The name and the weight of one element; `None` if the weight is malformed.
fn read(element: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = parts(element, b';');
    let name = parts.next()?;
    for parameter in parts {
        let Some(equals) = parameter.iter().position(|&byte| byte == b'=') else { continue };
        let (key, value) = (&parameter[..equals], &parameter[equals + 1..]);
        if trim_all(key).eq_ignore_ascii_case(b"q") {
            return Some((name, qvalue(trim_all(value))?));
        }
    }
    Some((name, WEIGHT_MAX))
}

/// The thousandths of a `qvalue`.
fn qvalue(text: &[u8]) -> Option<u16> {
    let point = text.iter().position(|&byte| byte == b'.').unwrap_or(text.len());
    let decimals = text.get(point + 1..).unwrap_or_default();
    if !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digit = |place: usize| u16::from(decimals.get(place).map_or(0, |digit| digit - b'0'));
    let thousandths = 100 * digit(0) + 10 * digit(1) + digit(2);
    match &text[..point] {
        b"0" => Some(thousandths),
        b"" if !decimals.is_empty() => Some(thousandths),
        b"1" if decimals.iter().all(|&digit| digit == b'0') => Some(WEIGHT_MAX),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_read_in_every_spelling() {
        for (element, expected) in [
            ("gzip", Some(1_000)),
            ("GZip", Some(1_000)),
            ("gzip;q=0", Some(0)),
            ("gzip;Q=0", Some(0)),
            ("gzip;q=0.", Some(0)),
            ("gzip;q=0.000", Some(0)),
            ("gzip ; q=0.5", Some(500)),
            ("gzip;\tq=0.25\t", Some(250)),
            ("gzip;q = 0.125", Some(125)),
            ("gzip;q=.2", Some(200)),
            ("gzip;q=0.8333", Some(833)),
            ("gzip;q=1", Some(1_000)),
            ("gzip;q=1.000", Some(1_000)),
            ("gzip;x=\";q=0\"", Some(1_000)),
            ("gzip;x=\"a\\\";q=0\";q=0.3", Some(300)),
            ("gzip;x;q=0.1;q=0.9", Some(100)),
            ("gzip;qq=0", Some(1_000)),
            ("gzip;q", Some(1_000)),
            ("gzip;", Some(1_000)),
            ("gzip;q=", None),
            ("gzip;q=.", None),
            ("gzip;q=2", None),
            ("gzip;q=1.001", None),
            ("gzip;q=-0", None),
            ("gzip;q=0x", None),
            ("gzip;q=0.5.5", None),
            ("gzip;q=00", None),
            ("gzip;q=\"0\"", None),
            ("xgzip", None),
            ("", None),
        ] {
            let found = weight([element.as_bytes()].into_iter(), &["gzip"]);
            assert_eq!(found, expected, "{element:?}");
        }
    }

    #[test]
    fn the_most_specific_name_decides_over_all_lines() {
        let names = ["text/plain", "text/*", "*/*"];
        for (values, expected) in [
            (&[][..], None),
            (&["image/png"], None),
            (&["*/*;q=0.1"], Some(100)),
            (&["*/*", "text/*;q=0.2"], Some(200)),
            (&["text/*", "text/plain;q=0"], Some(0)),
            (&["TEXT/Plain;version=0.0.4;q=0.3, */*"], Some(300)),
            (&["text/plain;q=0.2", "text/plain;charset=utf-8;q=0.4"], Some(400)),
            (&["text/plain;q=x, text/*;q=0.6"], Some(600)),
            (&["a,", ",text/plain"], Some(1_000)),
        ] {
            let found = weight(values.iter().map(|value| value.as_bytes()), &names);
            assert_eq!(found, expected, "{values:?}");
        }
    }
}
