//! One log line, as text or as JSON.
//!
//! A value may contain what a client has sent, so a value can neither end the line nor forge another
//! field: in both formats everything but plain characters is escaped. A long value is cut, which keeps
//! a line below the size that a pipe takes in one piece.

use std::fmt::{self, Display, Write};
use std::net::{IpAddr, SocketAddr};
use std::{io, time::Duration};

use super::level::{Format, Level};
use crate::calendar::civil_date;
use crate::limits::LOG_VALUE_BYTES_MAX;

/// The value of a field. Numbers and truth values stand bare in JSON, everything else is a string.
///
/// A type without an implementation is logged through `format_args!("{it}")`.
pub trait Value: Display {
    /// Returns whether the displayed value is a JSON value by itself.
    fn is_bare(&self) -> bool {
        false
    }
}

macro_rules! values {
    ($bare:literal: $($value:ty),*) => {
        $(impl Value for $value {
            fn is_bare(&self) -> bool {
                $bare
            }
        })*
    };
}

values!(true: bool, u8, u16, u32, u64, usize, i32, i64);
values!(false: str, String, io::Error, IpAddr, SocketAddr, fmt::Arguments<'_>);

/// A line's named values, in the order in which they are to appear.
pub type Fields<'a> = &'a [(&'a str, &'a dyn Value)];

/// A text that is JSON by itself, such as an object.
pub struct Json<'a>(pub &'a str);

impl Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Value for Json<'_> {
    fn is_bare(&self) -> bool {
        true
    }
}

impl<T: Value + ?Sized> Value for &T {
    fn is_bare(&self) -> bool {
        T::is_bare(self)
    }
}

/// Returns the whole line, with its line feed. `since_1970` is the time of the event.
pub(super) fn render(
    format: Format,
    since_1970: Duration,
    level: Level,
    message: &str,
    fields: Fields,
    suppressed: u32,
) -> String {
    let note: (&str, &dyn Value) = ("suppressed", &suppressed);
    let note = (suppressed > 0).then_some(&note);
    let fields = fields.iter().chain(note);
    let (time, level) = (Timestamp(since_1970), level.name());
    let mut line = String::with_capacity(128);
    // Writing to a `String` cannot fail.
    let _ = match format {
        Format::Text => {
            let _ = write!(line, "{time} {:<5} ", level.to_ascii_uppercase());
            escape(&mut line, message);
            fields.for_each(|(name, value)| text_field(&mut line, name, *value));
            line.write_str("\n")
        }
        Format::Json => {
            let _ = write!(line, "{{\"ts\":\"{time}\",\"level\":\"{level}\",\"message\":\"");
            escape(&mut line, message);
            line.push('"');
            fields.for_each(|(name, value)| json_field(&mut line, name, *value));
            line.write_str("}\n")
        }
    };
    line
}

/// Appends ` name=value`, the value in quotes unless it is one plain word.
fn text_field(line: &mut String, name: &str, value: &dyn Value) {
    let value = cut(value.to_string());
    let plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=' | '\\');
    line.push(' ');
    line.push_str(name);
    line.push('=');
    if !value.is_empty() && value.chars().all(plain) {
        line.push_str(&value);
    } else {
        line.push('"');
        escape(line, &value);
        line.push('"');
    }
}

/// Appends `,"name":value`.
fn json_field(line: &mut String, name: &str, value: &dyn Value) {
    let text = value.to_string();
    line.push_str(",\"");
    escape(line, name);
    line.push_str("\":");
    if value.is_bare() {
        line.push_str(&text);
    } else {
        line.push('"');
        escape(line, &cut(text));
        line.push('"');
    }
}

/// Appends `text`. Escapes the characters that a JSON string must not contain (RFC 8259, section 7), and
/// the other characters that a terminal or a reader of lines would act upon.
fn escape(line: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' | '\\' => line.extend(['\\', c]),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            // Control characters and the two line separators all lie below U+10000.
            _ if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let _ = write!(line, "\\u{:04x}", u32::from(c));
            }
            _ => line.push(c),
        }
    }
}

/// Shortens `text` to the longest beginning that is no more than the limit, and marks the cut.
fn cut(mut text: String) -> String {
    if text.len() > LOG_VALUE_BYTES_MAX {
        // `str::floor_char_boundary` is younger than the oldest compiler supported.
        let end = (0..=LOG_VALUE_BYTES_MAX).rev().find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

/// Time since 1970, displayed as RFC 3339 says, in UTC with milliseconds.
struct Timestamp(Duration);

impl Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (year, month, day) = civil_date(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        let ms = self.0.subsec_millis();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_millis(1_795_464_000_123);

    #[test]
    fn lines_read_as_documented() {
        let error = io::Error::other("no \"room\"");
        let peer: SocketAddr = "[::1]:80".parse().unwrap();
        let cases: [(&str, Fields, u32, &str, &str); 6] = [
            ("started", &[], 0, "started", r#""message":"started""#),
            (
                "accept failed",
                &[("error", &error), ("worker", &3_usize), ("peer", &peer)],
                0,
                r#"accept failed error="no \"room\"" worker=3 peer=[::1]:80"#,
                r#""message":"accept failed","error":"no \"room\"","worker":3,"peer":"[::1]:80""#,
            ),
            (
                "m",
                &[("a", &"")],
                9,
                r#"m a="" suppressed=9"#,
                r#""message":"m","a":"","suppressed":9"#,
            ),
            (
                "m",
                &[("a", &"x\ny=\u{1b}[2J"), ("b", &true)],
                0,
                r#"m a="x\ny=\u001b[2J" b=true"#,
                r#""message":"m","a":"x\ny=\u001b[2J","b":true"#,
            ),
            (
                "ends\r\nhere",
                &[("a", &"12"), ("b", &-12_i64)],
                0,
                r"ends\r\nhere a=12 b=-12",
                r#""message":"ends\r\nhere","a":"12","b":-12"#,
            ),
            (
                "m",
                &[("a", &format_args!("{}\u{2028}", 'é')), ("b", &"a\\")],
                0,
                r#"m a="é\u2028" b="a\\""#,
                r#""message":"m","a":"é\u2028","b":"a\\""#,
            ),
        ];
        for (message, fields, suppressed, text, json) in cases {
            assert_eq!(
                render(Format::Text, TIME, Level::Warn, message, fields, suppressed),
                format!("2026-11-23T20:00:00.123Z WARN  {text}\n")
            );
            let line = render(Format::Json, TIME, Level::Warn, message, fields, suppressed);
            let expected =
                format!("{{\"ts\":\"2026-11-23T20:00:00.123Z\",\"level\":\"warn\",{json}}}\n");
            assert_eq!(line, expected);
            let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(parsed["message"], message);
        }
        let line = render(Format::Text, TIME, Level::Error, "m", &[], 0);
        assert_eq!(line, "2026-11-23T20:00:00.123Z ERROR m\n");
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        for filler in ["x", "é", "日", "🦀"] {
            let cut = cut(filler.repeat(LOG_VALUE_BYTES_MAX + 1));
            let kept = cut.strip_suffix('…').unwrap();
            assert!((LOG_VALUE_BYTES_MAX - 3..=LOG_VALUE_BYTES_MAX).contains(&kept.len()));
            assert!(kept.chars().all(|c| filler.starts_with(c)));
        }
        let whole = "x".repeat(LOG_VALUE_BYTES_MAX);
        assert_eq!(cut(whole.clone()), whole);
    }

    #[test]
    fn times_are_utc_in_the_gregorian_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (1_709_251_200, "2024-03-01T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
        ] {
            assert_eq!(Timestamp(Duration::from_secs(seconds)).to_string(), expected);
        }
    }
}
