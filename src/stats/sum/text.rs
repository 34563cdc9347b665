//! The exact sum as text, which another program can add to another sum without loss.
//!
//! The form is `M "p" E`, and the value is M × 2^E. M is an integer in hexadecimal digits: `0x` stands
//! before the digits, and `-` before that if the sum is negative. E is an integer in decimal digits. C
//! and Python read the same form as a double, correctly rounded (`strtod`, `float.fromhex`). A sum has
//! one text only: M is odd, and zero is `0x0p0`.
//!
//! The reader takes any M and E of which the value is the sum of some doubles. So a program that adds
//! two sums need not make M odd.

use std::fmt::Write;

use super::{CHUNK_COUNT, Sum, TOP_CHUNK};

impl Sum {
    /// Returns the sum without rounding, in the form `M "p" E`: `0x3p-1` is 1.5.
    pub fn to_text(&self) -> String {
        let (negative, digits) = digits_of(self);
        let Some(lowest) = digits.iter().position(|&digit| digit != 0) else {
            return "0x0p0".to_owned();
        };
        let low_bit = lowest as u32 * 32 + digits[lowest].trailing_zeros();
        let shift = low_bit % 32;
        let shifted = (lowest..DIGIT_COUNT).rev().map(|i| {
            let above = digits.get(i + 1).copied().unwrap_or(0);
            ((u64::from(above) << 32 | u64::from(digits[i])) >> shift) as u32
        });
        let mut hexadecimal = String::with_capacity(TEXT_BYTES_MAX);
        for digit in shifted {
            write!(hexadecimal, "{digit:08x}").expect("a string takes all");
        }
        let sign = if negative { "-" } else { "" };
        let exponent = i64::from(low_bit) + LOWEST_EXPONENT;
        format!("{sign}0x{}p{exponent}", hexadecimal.trim_start_matches('0'))
    }

    /// Returns the sum of which `text` is a form; `None` if it is no such form, or if no sum of doubles
    /// has this value.
    pub fn of_text(text: &str) -> Option<Sum> {
        let (negative, magnitude) = match text.strip_prefix('-') {
            Some(magnitude) => (true, magnitude),
            None => (false, text),
        };
        let (hexadecimal, exponent) = magnitude.strip_prefix("0x")?.split_once('p')?;
        if hexadecimal.is_empty() || exponent.starts_with('+') {
            return None;
        }
        let first_bit = i64::from(exponent.parse::<i32>().ok()?) - LOWEST_EXPONENT;
        let mut digits = [0_u32; DIGIT_COUNT];
        for (place, character) in hexadecimal.chars().rev().enumerate() {
            let nibble = character.to_digit(16)?;
            for bit in (0..4).filter(|bit| nibble >> bit & 1 == 1) {
                let bit = usize::try_from(first_bit + 4 * place as i64 + bit).ok()?;
                // Nothing is finer than the smallest subnormal, which is bit 1.
                if bit == 0 {
                    return None;
                }
                *digits.get_mut(bit / 32)? |= 1 << (bit % 32);
            }
        }
        sum_of(negative, &digits)
    }
}

/// Returns whether the sum is negative, and its magnitude in digits of 32 bits, the lowest first.
fn digits_of(sum: &Sum) -> (bool, [u32; DIGIT_COUNT]) {
    let (negative, sum) = sum.sign_and_size();
    let top = sum.chunks[TOP_CHUNK][0];
    let digits = std::array::from_fn(|i| match i {
        CHUNK_COUNT => (top >> 32) as u32,
        _ => sum.chunks[i][0] as u32,
    });
    (negative, digits)
}

/// Returns the sum with this sign and magnitude; `None` if its top chunk would be too large.
fn sum_of(negative: bool, digits: &[u32; DIGIT_COUNT]) -> Option<Sum> {
    let top = i64::from(digits[CHUNK_COUNT]) << 32 | i64::from(digits[TOP_CHUNK]);
    if top >= TOP_END {
        return None;
    }
    let mut sum = Sum::ZERO;
    for (chunk, &digit) in sum.chunks.iter_mut().zip(digits) {
        *chunk = [i64::from(digit), 0];
    }
    sum.chunks[TOP_CHUNK] = [top, 0];
    if negative {
        sum.negate();
    }
    Some(sum)
}

/// The top chunk exceeds 32 bits, so its magnitude takes two digits.
const DIGIT_COUNT: usize = CHUNK_COUNT + 1;
/// The exponent of two that belongs to bit 0 of chunk 0.
const LOWEST_EXPONENT: i64 = -1075;
/// A top chunk from here on could overflow in later additions. The sum of 2^64 doubles stays below.
const TOP_END: i64 = 1 << 52;
/// A sign, `0x`, the digits, `p`, and an exponent with its sign.
const TEXT_BYTES_MAX: usize = 1 + 2 + 8 * DIGIT_COUNT + 1 + 5;

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use num_bigint::BigInt;
    use proptest::prelude::*;

    /// Reads a text with big integers, in units of 2^-1074.
    fn value(text: &str) -> BigInt {
        let (integer, exponent) = text.split_once('p').expect("an exponent");
        let integer = BigInt::parse_bytes(integer.replacen("0x", "", 1).as_bytes(), 16);
        let places = 1_074 + exponent.parse::<i64>().expect("a decimal integer");
        integer.expect("a hexadecimal integer") << places
    }

    fn sum(values: &[f64]) -> Sum {
        let mut sum = Sum::ZERO;
        sum.add_all(values, |&value| value);
        sum
    }

    /// Any finite double.
    fn finite() -> impl Strategy<Value = f64> {
        any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite())
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 4 } else { 1_000 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn a_text_has_the_value_of_the_sum_and_is_read_as_the_same_sum(
            values in prop::collection::vec(finite(), 0..20),
        ) {
            let sum = sum(&values);
            let text = sum.to_text();
            prop_assert!(text.len() <= TEXT_BYTES_MAX);
            let parts = values.iter().map(|&value| value_of_double(value));
            prop_assert_eq!(value(&text), parts.sum::<BigInt>());
            let (integer, _) = text.split_once('p').expect("an exponent");
            let is_odd = integer.ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f']);
            prop_assert!(is_odd || text == "0x0p0", "{}", text);
            let again = Sum::of_text(&text).expect("a sum's text");
            prop_assert_eq!(again.to_words(), sum.to_words());
        }

        /// As a program does that adds the exports of two servers.
        #[test]
        fn texts_of_two_sums_can_be_added(
            first in prop::collection::vec(finite(), 0..20),
            second in prop::collection::vec(finite(), 0..20),
        ) {
            let total = value(&sum(&first).to_text()) + value(&sum(&second).to_text());
            let (sign, magnitude) = (total < BigInt::from(0), total.magnitude());
            let text = format!("{}0x{magnitude:x}p-1074", if sign { "-" } else { "" });
            let all = [first, second].concat();
            let read = Sum::of_text(&text).expect("a sum of doubles");
            prop_assert_eq!(read.to_words(), sum(&all).to_words());
        }

        #[test]
        fn no_text_breaks_the_reader(text in "-?0?x?[0-9a-fA-F]{0,8}p?[-+]?[0-9]{0,12}\\PC?") {
            if let Some(sum) = Sum::of_text(&text) {
                let again = Sum::of_text(&sum.to_text()).expect("a sum's text");
                prop_assert_eq!(again.to_words(), sum.to_words());
            }
        }
    }

    /// The value of a double in units of 2^-1074, from its bits.
    fn value_of_double(value: f64) -> BigInt {
        let field = value.to_bits() >> 52 & 0x7ff;
        let fraction = value.to_bits() & ((1 << 52) - 1);
        let (significand, places) =
            if field == 0 { (fraction, 0) } else { (fraction | 1 << 52, field - 1) };
        let magnitude = BigInt::from(significand) << places;
        if value.is_sign_negative() { -magnitude } else { magnitude }
    }

    #[test]
    fn known_texts() {
        let cases: &[(&[f64], &str)] = &[
            (&[], "0x0p0"),
            (&[-0.0], "0x0p0"),
            (&[1.0, -1.0], "0x0p0"),
            (&[1.0], "0x1p0"),
            (&[1.5], "0x3p-1"),
            (&[-6.0], "-0x3p1"),
            (&[0.1], "0xccccccccccccdp-55"),
            (&[4_294_967_296.0], "0x1p32"),
            (&[4_294_967_297.0], "0x100000001p0"),
            (&[5e-324], "0x1p-1074"),
            (&[-5e-324, -5e-324], "-0x1p-1073"),
            (&[f64::MAX], "0x1fffffffffffffp971"),
            (&[f64::MAX, f64::MAX], "0x1fffffffffffffp972"),
            (&[-f64::MAX; 4], "-0x1fffffffffffffp973"),
        ];
        for (values, text) in cases {
            assert_eq!(sum(values).to_text(), *text, "{values:?}");
            let read = Sum::of_text(text).expect(text);
            assert_eq!(read.to_words(), sum(values).to_words(), "{text}");
        }
    }

    #[test]
    fn other_spellings_are_read() {
        let cases = [
            ("-0x0p0", 0.0),
            ("0x0p2000000000", 0.0),
            ("0x10p0", 16.0),
            ("0x000000000000000000Fp-1", 7.5),
            ("-0xABp00", -171.0),
            ("0x2p-1075", 5e-324),
            ("0x1000p-1086", 5e-324),
        ];
        for (text, value) in cases {
            let read = Sum::of_text(text).expect(text);
            assert_eq!(read.to_words(), sum(&[value]).to_words(), "{text}");
        }
    }

    #[test]
    fn what_is_no_sum_is_refused() {
        let cases = [
            "",
            "-",
            "0x",
            "0xp0",
            "0x1",
            "0x1p",
            "0x1p-",
            "1p0",
            "x1p0",
            "0X1p0",
            "0x1P0",
            "+0x1p0",
            "--0x1p0",
            "0x-1p0",
            "0x+1p0",
            "0x1p+1",
            "0x1p1.0",
            "0x1.8p0",
            "0xgp0",
            "0x1p0 ",
            " 0x1p0",
            "0x 1p0",
            "0x1_0p0",
            "0x1p0p0",
            "0x1p0x1",
            "0x1p99999999999",
            "nan",
            "null",
            "0xép0",
            // Finer than the smallest double, and beyond any sum of doubles.
            "0x1p-1075",
            "0x1p-1076",
            "0x3p-1075",
            "0x1p1089",
            "-0x1p1089",
            "0x1p1101",
            "0x1p1102",
            "0x1p2147483647",
            "0x1p-2147483648",
        ];
        for text in cases {
            assert!(Sum::of_text(text).is_none(), "{text:?}");
        }
        // The largest that is taken, of either sign, is a sum as any other.
        for sign in ["", "-"] {
            let text = format!("{sign}0x1p1088");
            let mut read = Sum::of_text(&text).expect("in range");
            assert_eq!((read.to_text(), read.round()), (text, None));
            assert!(Sum::of_words(&read.to_words()).is_some());
            let twin = read.clone();
            read.negate();
            read.merge(&twin);
            assert_eq!(read.to_text(), "0x0p0");
        }
    }
}
