//! From the text of a value to the value.
//!
//! Every error is the rest of a sentence that begins with the value in quotes, and says what would be
//! right: "is not a whole number from 1 to 1024".

use std::fmt::{self, Display};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// Reads a whole number in decimal digits.
///
/// # Errors
/// If the text is anything else, or the number is out of range.
pub fn whole<N>(text: &str, range: RangeInclusive<N>) -> Result<N, String>
where
    N: FromStr + PartialOrd + Display,
{
    // `FromStr` would also take a plus sign.
    Some(text)
        .filter(|text| is_digits(text))
        .and_then(|digits| digits.parse().ok())
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("is not a whole number from {} to {}", range.start(), range.end()))
}

/// Reads a number of bytes: digits, and perhaps `K`, `M` or `G`, which stand for powers of 1,024.
/// Either case will do, and a `B` or `iB` may follow, as in `64KiB`.
///
/// ```
/// assert_eq!(millrace::cli::value::bytes("64K", 1..=1 << 30), Ok(65_536));
/// ```
///
/// # Errors
/// If the text is anything else, or the number is out of range.
pub fn bytes(text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    let parse = || {
        let (digits, unit) = split_unit(text);
        let shift = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            _ => return None,
        };
        let number: u64 = Some(digits).filter(|digits| is_digits(digits))?.parse().ok()?;
        number.checked_mul(1 << shift)
    };
    parse().filter(|number| range.contains(number)).ok_or_else(|| {
        let (min, max) = (Bytes(*range.start()), Bytes(*range.end()));
        format!("is not a number of bytes from {min} to {max}, such as 65536, 64K or 1M")
    })
}

/// Reads a time: a number, perhaps with decimals, of seconds, or of what follows it: `ms`, `s`, `m`
/// or `h`.
///
/// ```
/// use std::time::Duration;
/// let day = Duration::from_secs(86_400);
/// assert_eq!(millrace::cli::value::time("1.5m", Duration::ZERO..=day), Ok(Duration::from_secs(90)));
/// ```
///
/// # Errors
/// If the text is anything else, or the time is out of range.
pub fn time(text: &str, range: RangeInclusive<Duration>) -> Result<Duration, String> {
    let parse = || {
        let (number, unit) = split_unit(text);
        let nanoseconds: u64 = match unit.to_ascii_lowercase().as_str() {
            "ms" => 1_000_000,
            "" | "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        decimal(number, nanoseconds).map(Duration::from_nanos)
    };
    parse().filter(|time| range.contains(time)).ok_or_else(|| {
        let (min, max) = (Time(*range.start()), Time(*range.end()));
        format!("is not a time from {min} to {max}, such as 10, 2.5, 500ms, 10s or 2m")
    })
}

/// Reads yes or no, in the words that environments use.
///
/// # Errors
/// If the text is none of them.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("is not yes or no (or on, off, true, false, 1, 0)".to_owned()),
    }
}

/// Reads one of some names, in either case.
///
/// # Errors
/// If the text is none of them.
pub fn choice<T: Copy>(text: &str, names: &[(&str, T)]) -> Result<T, String> {
    let found = names.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|&(_, value)| value).ok_or_else(|| {
        let names: Vec<&str> = names.iter().map(|&(name, _)| name).collect();
        match names.split_last() {
            Some((last, others)) => format!("is not {} or {last}", others.join(", ")),
            None => "is nothing that can be chosen".to_owned(),
        }
    })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Splits `64KiB` into `64` and `KiB`.
fn split_unit(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()))
}

/// The product of a decimal number, such as `2.5`, and `unit`, without what lies behind the point of
/// the product. Computed in whole numbers, so that `0.3` is exactly 300 of 1,000.
fn decimal(text: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let mut product = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let mut rest = unit;
    for digit in fraction.bytes() {
        rest /= 10;
        product = product.checked_add(rest * u64::from(digit - b'0'))?;
    }
    Some(product)
}

/// Displays a number of bytes in the largest unit in which it is whole.
struct Bytes(u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let units = [("G", 30), ("M", 20), ("K", 10)];
        let whole = |&(_, shift): &(&str, u32)| self.0 > 0 && self.0.is_multiple_of(1 << shift);
        match units.iter().find(|unit| whole(unit)) {
            Some((unit, shift)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

/// Displays a time in the largest unit in which it is whole.
struct Time(Duration);

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let ms = self.0.as_millis();
        let units = [("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        match units.iter().find(|(_, unit)| ms > 0 && ms.is_multiple_of(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", ms / unit),
            None if ms == 0 => f.write_str("0"),
            None => write!(f, "{ms}ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn bytes_have_units() {
        for (text, expected) in [
            ("1", 1),
            ("1b", 1),
            ("1k", 1 << 10),
            ("64K", 64 << 10),
            ("64KB", 64 << 10),
            ("64KiB", 64 << 10),
            ("3m", 3 << 20),
            ("2G", 2 << 30),
            ("2gib", 2 << 30),
            ("8589934591G", 8_589_934_591 << 30),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(bytes(text, 1..=u64::MAX), Ok(expected), "{text}");
        }
        for text in [
            "",
            "K",
            "-1",
            "+1",
            "1.5K",
            "1 K",
            "K1",
            "1T",
            "1KK",
            "1Ki",
            "0x10",
            "1e3",
            "1,000",
            "17179869184G",
            "18446744073709551616",
            "٣",
            "1K ",
        ] {
            assert!(bytes(text, 1..=u64::MAX).is_err(), "{text}");
        }
        assert_eq!(
            bytes("0", 1..=1 << 30).unwrap_err(),
            "is not a number of bytes from 1 to 1G, such as 65536, 64K or 1M"
        );
        assert!(bytes("2K", 1..=2047).is_err());
    }

    #[test]
    fn times_have_units() {
        for (text, ms) in [
            ("10", 10_000),
            ("2.5", 2_500),
            ("0.001", 1),
            ("0.3", 300),
            ("0.29", 290),
            ("500ms", 500),
            ("1.5s", 1_500),
            ("2m", 120_000),
            ("1.5M", 90_000),
            ("24h", 86_400_000),
            ("0.5h", 1_800_000),
        ] {
            assert_eq!(time(text, Duration::ZERO..=DAY), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "",
            "s",
            ".",
            ".5",
            "5.",
            "1.2.3",
            "-1",
            "+1",
            "1e3",
            "inf",
            "nan",
            "10 s",
            "1m30s",
            "1d",
            "10sec",
            "25h",
            "99999999999999999999",
            "1us",
        ] {
            assert!(time(text, Duration::ZERO..=DAY).is_err(), "{text}");
        }
        assert_eq!(
            time("0", Duration::from_millis(1)..=DAY).unwrap_err(),
            "is not a time from 1ms to 24h, such as 10, 2.5, 500ms, 10s or 2m"
        );
    }

    #[test]
    fn limits_are_shown_in_their_largest_unit() {
        for (number, shown) in [(0, "0"), (1, "1"), (1024, "1K"), (1536, "1536"), (1 << 30, "1G")] {
            assert_eq!(Bytes(number).to_string(), shown);
        }
        for (ms, shown) in [(0, "0"), (1, "1ms"), (1_000, "1s"), (90_000, "90s"), (3_600_000, "1h")]
        {
            assert_eq!(Time(Duration::from_millis(ms)).to_string(), shown);
        }
    }

    #[test]
    fn names_are_taken_in_either_case() {
        let names = [("one", 1), ("two", 2), ("three", 3)];
        assert_eq!(choice("two", &names), Ok(2));
        assert_eq!(choice("TWO", &names), Ok(2));
        assert_eq!(choice("four", &names).unwrap_err(), "is not one, two or three");
        assert_eq!(switch("On"), Ok(true));
        assert!(switch("").is_err());
    }
}
