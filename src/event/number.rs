//! Numbers: RFC 8259 section 6, and the double nearest to them.
//!
//! ```text
//! number = [ "-" ] int [ frac ] [ exp ]       int = "0" / digit1-9 *digit
//! frac   = "." 1*digit                        exp = ( "e" / "E" ) [ "-" / "+" ] 1*digit
//! ```
//!
//! Up to eight digits are read in one look, without a branch on their number: numbers differ in
//! length from event to event, and a mispredicted branch costs more than the arithmetic.
//! Rounding is exact for a number of any length. The first of three ways that applies is taken:
//!
//! 1. Digits that fit in 53 bits, scaled by at most 10^22, are two exact doubles and one operation,
//!    which IEEE 754 rounds correctly (Clinger, "How to read floating point numbers accurately", 1990).
//! 2. Digits that fit in 64 bits, divided by at most 10^19, are one integer division. Its quotient
//!    has more bits than a double, and its remainder shows whether the quotient is exact. This covers
//!    the 17 digits with which other languages print doubles. Of more digits the first 19 bound the
//!    number from both sides, and nearly always both bounds round to the same double.
//! 3. `decimal` rounds the rest, which is rare in events.

use super::cursor::{Cursor, WORD_BYTES, repeat};
use super::decimal;
use super::error::EventError;

/// A valid number, not yet rounded.
#[derive(Clone, Copy)]
pub(super) struct Number<'a> {
    text: &'a [u8],
    is_negative: bool,
    digits: Digits,
    /// The number after the `e`; zero if there is no `e`.
    exponent: i64,
}

impl<'a> Number<'a> {
    /// Reads a number up to the first byte that cannot belong to it. The caller checks that byte.
    #[inline(always)]
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, EventError> {
        let start = cursor.clone();
        let is_negative = cursor.take(b'-');
        let digits = match Digits::in_word(cursor.word()) {
            Some(digits) => {
                cursor.advance(digits.text_bytes());
                digits
            }
            None => Digits::read(cursor)?,
        };
        let exponent = match cursor.peek() {
            Some(b'e' | b'E') => read_exponent(cursor)?,
            _ => 0,
        };
        Ok(Self { text: cursor.since(&start), is_negative, digits, exponent })
    }

    /// Returns the value of the digits at the beginning of `word`, and the number of bytes they take,
    /// if they are valid and at most seven, perhaps with a point among them.
    #[inline(always)]
    pub(super) fn in_word(word: u64) -> Option<(f64, usize)> {
        let digits = Digits::in_word(word)?;
        let integer = digits.mantissa as f64;
        if digits.fraction_count == 0 {
            return Some((integer, digits.integer_count));
        }
        // Both are exact, so the division rounds once, correctly.
        Some((integer / EXACT_POWERS_OF_TEN[digits.fraction_count], digits.text_bytes()))
    }

    /// Returns the nearest double, ties to even; an infinity if the number is out of range.
    #[inline(always)]
    pub(super) fn to_f64(self) -> f64 {
        // The number is `mantissa` × 10^`scale`, or a little more if digits were dropped.
        let Digits { mantissa, fraction_count, dropped_count, .. } = self.digits;
        let scale = self.exponent.saturating_add(dropped_count as i64 - fraction_count as i64);
        let power = usize::try_from(scale.unsigned_abs()).unwrap_or(usize::MAX);
        let magnitude = match EXACT_POWERS_OF_TEN.get(power) {
            Some(power) if dropped_count == 0 && mantissa <= EXACT_INTEGER_MAX => {
                let mantissa = mantissa as f64;
                if scale < 0 { mantissa / power } else { mantissa * power }
            }
            _ => match self.digits.divide(scale) {
                Some(quotient) => quotient,
                None => return self.round_text(),
            },
        };
        if self.is_negative { -magnitude } else { magnitude }
    }

    #[cold]
    fn round_text(self) -> f64 {
        let digits = &self.text[usize::from(self.is_negative)..][..self.digits.text_bytes()];
        let magnitude = decimal::nearest(digits, self.exponent);
        if self.is_negative { -magnitude } else { magnitude }
    }
}

/// The digits before and after the point.
#[derive(Clone, Copy, Default)]
struct Digits {
    /// The first [`MANTISSA_DIGITS_MAX`] of them as one integer.
    mantissa: u64,
    integer_count: usize,
    /// Zero where there is no point.
    fraction_count: usize,
    /// The number of digits at the end that are not in `mantissa`.
    dropped_count: usize,
}

impl Digits {
    /// Returns the digits at the beginning of `word` if they are valid, and they and the byte after
    /// them lie within it: the usual value. The point is taken out so that one conversion reads both sides of it.
    #[inline(always)]
    fn in_word(word: u64) -> Option<Self> {
        let others = other_bytes(word);
        let integer_count = lowest_place(others);
        if integer_count > 1 && word as u8 == b'0' {
            return None;
        }
        if word.unbounded_shr(8 * integer_count as u32) as u8 != b'.' {
            let mantissa = decimal(word, integer_count);
            return (1..WORD_BYTES).contains(&integer_count).then_some(Self {
                mantissa,
                integer_count,
                ..Self::default()
            });
        }
        // The mark of a point carries nothing into the byte above it, so the next mark is exact too.
        let end = lowest_place(others & (others - 1));
        let fraction_count = end - integer_count - 1;
        if integer_count == 0 || fraction_count == 0 || end == WORD_BYTES {
            return None;
        }
        let integer = (1 << (8 * integer_count)) - 1;
        let joined = word & integer | word >> 8 & !integer;
        let mantissa = decimal(joined, integer_count + fraction_count);
        Some(Self { mantissa, integer_count, fraction_count, dropped_count: 0 })
    }

    /// Reads any number of digits, perhaps with a point among them.
    #[inline(never)]
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, EventError> {
        let mut second = cursor.clone();
        if second.take(b'0') && matches!(second.peek(), Some(b'0'..=b'9')) {
            *cursor = second;
            return Err(EventError::NumberInvalid);
        }
        let mut digits = Self::default();
        digits.integer_count = digits.read_run(cursor)?;
        if cursor.take(b'.') {
            digits.fraction_count = digits.read_run(cursor)?;
        }
        Ok(digits)
    }

    /// Appends all digits up to another byte. Returns their number, which is at least one.
    #[inline(always)]
    fn read_run(&mut self, cursor: &mut Cursor<'_>) -> Result<usize, EventError> {
        let mut run_count = 0;
        loop {
            let word = cursor.word();
            let count = leading_digits(word);
            let kept_before = self.integer_count + run_count - self.dropped_count;
            let kept = count.min(MANTISSA_DIGITS_MAX - kept_before);
            self.mantissa = self.mantissa * POWERS_OF_TEN[kept] + decimal(word, kept);
            self.dropped_count += count - kept;
            run_count += count;
            cursor.advance(count);
            if count < WORD_BYTES {
                break;
            }
        }
        if run_count == 0 {
            return Err(cursor.unexpected(EventError::NumberInvalid));
        }
        Ok(run_count)
    }

    /// Returns the number of bytes that the digits and the point take.
    fn text_bytes(self) -> usize {
        self.integer_count + self.fraction_count + usize::from(self.fraction_count > 0)
    }

    /// Returns the double nearest to these digits × 10^`scale`, if a division decides it.
    #[inline(never)]
    fn divide(self, scale: i64) -> Option<f64> {
        let divisor_power = usize::try_from(scale.checked_neg()?).ok()?;
        let divisor = *POWERS_OF_TEN.get(divisor_power)?;
        if self.mantissa == 0 {
            return None;
        }
        let quotient = divide_rounded(self.mantissa, divisor);
        // The dropped digits are less than one in the last place that was kept.
        let is_decided =
            self.dropped_count == 0 || quotient == divide_rounded(self.mantissa + 1, divisor);
        is_decided.then_some(quotient)
    }
}

/// Returns the double nearest to `dividend` / `divisor`, ties to even; neither may be zero.
fn divide_rounded(dividend: u64, divisor: u64) -> f64 {
    let dividend_shift = dividend.leading_zeros();
    let divisor_shift = divisor.leading_zeros();
    // Both have their highest bit set, so the quotient is between 2^62 and 2^64: ten bits more than
    // a double keeps. The lowest bit may thus stand for all bits that follow it.
    let dividend = u128::from(dividend << dividend_shift) << 63;
    let divisor = u128::from(divisor << divisor_shift);
    let is_inexact = dividend % divisor != 0;
    let quotient = (dividend / divisor) as u64 | u64::from(is_inexact);
    // A power of two between 2^-126 and 1, so that scaling is exact.
    let exponent_bias = (f64::MAX_EXP - 1) as u32;
    let exponent = exponent_bias + divisor_shift - dividend_shift - 63;
    quotient as f64 * f64::from_bits(u64::from(exponent) << (f64::MANTISSA_DIGITS - 1))
}

/// Reads an exponent from its `e` on. One with too many digits for an integer becomes the largest:
/// the value is zero or infinite either way.
#[cold]
fn read_exponent(cursor: &mut Cursor<'_>) -> Result<i64, EventError> {
    cursor.advance(1);
    let is_negative = cursor.take(b'-');
    if !is_negative {
        cursor.take(b'+');
    }
    let mut digits = Digits::default();
    digits.read_run(cursor)?;
    let is_countable = digits.dropped_count == 0;
    let magnitude = i64::try_from(digits.mantissa).ok().filter(|_| is_countable);
    let magnitude = magnitude.unwrap_or(i64::MAX);
    Ok(if is_negative { -magnitude } else { magnitude })
}

/// Returns the number of bytes, from the lowest on, that are ASCII digits.
#[inline(always)]
fn leading_digits(word: u64) -> usize {
    lowest_place(other_bytes(word))
}

/// Marks the bytes that are not ASCII digits, in their high bit. The lowest mark is exact.
#[inline(always)]
fn other_bytes(word: u64) -> u64 {
    // Digits become 0 to 9. The addition sets the high bit of bytes that are 10 or more; it can carry
    // only out of a byte whose high bit is set already, so marks up to the first such byte are exact.
    let offset = word ^ ASCII_ZEROS;
    (offset.wrapping_add(repeat(0x80 - 10)) | offset) & repeat(0x80)
}

/// Returns the place of the lowest marked byte; the number of bytes in a word if there is none.
#[inline(always)]
fn lowest_place(marks: u64) -> usize {
    marks.trailing_zeros() as usize / 8
}

/// Returns the integer that the lowest `count` bytes, which are ASCII digits, mean in decimal.
#[inline(always)]
fn decimal(word: u64, count: usize) -> u64 {
    // The missing digits become zeros in front, so there are always eight digits. Then neighbours are
    // joined: first to pairs, then with two multiplications to fours and to eight.
    let digits = (word ^ ASCII_ZEROS).unbounded_shl(8 * (WORD_BYTES - count) as u32);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    const EVEN_PAIRS: u64 = 0x0000_00FF_0000_00FF;
    const EVEN_WEIGHTS: u64 = 100 + (1_000_000 << 32);
    const ODD_WEIGHTS: u64 = 1 + (10_000 << 32);
    let even = (pairs & EVEN_PAIRS).wrapping_mul(EVEN_WEIGHTS);
    let odd = (pairs >> 16 & EVEN_PAIRS).wrapping_mul(ODD_WEIGHTS);
    even.wrapping_add(odd) >> 32
}

const ASCII_ZEROS: u64 = repeat(b'0');

/// The number of decimal digits that always fit in a `u64`, even with one added in the last place.
const MANTISSA_DIGITS_MAX: usize = 19;
/// Every integer up to this one is a double.
const EXACT_INTEGER_MAX: u64 = 1 << f64::MANTISSA_DIGITS;

/// The powers of ten that fit in a `u64`.
const POWERS_OF_TEN: [u64; MANTISSA_DIGITS_MAX + 1] = {
    let mut powers = [1; MANTISSA_DIGITS_MAX + 1];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// The powers of ten that are doubles: 5^22 < 2^53 < 5^23.
const EXACT_POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];
const _: () = assert!(5_u64.pow(22) < EXACT_INTEGER_MAX && EXACT_INTEGER_MAX < 5_u64.pow(23));

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigUint;
    use proptest::prelude::*;

    #[test]
    fn leading_digits_is_exact_for_every_pair_of_bytes_at_every_place() {
        for place in 0..WORD_BYTES - 1 {
            for pair in (0..=u16::MAX).step_by(if cfg!(miri) { 251 } else { 1 }) {
                let mut bytes = [b'5'; WORD_BYTES];
                bytes[place..place + 2].copy_from_slice(&pair.to_le_bytes());
                let expected = bytes.iter().position(|byte| !byte.is_ascii_digit());
                let count = leading_digits(u64::from_le_bytes(bytes));
                assert_eq!(count, expected.unwrap_or(WORD_BYTES), "{bytes:02x?}");
            }
        }
    }

    #[test]
    fn decimal_reads_the_lowest_digits_and_no_others() {
        for text in [b"00000000", b"12345678", b"99999999", b"90000009", b"1x/:.\"\0\xFF"] {
            for count in 0..=leading_digits(u64::from_le_bytes(*text)) {
                let digits = str::from_utf8(&text[..count]).expect("digits");
                let expected = digits.parse().unwrap_or(0);
                assert_eq!(decimal(u64::from_le_bytes(*text), count), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn a_short_number_is_the_same_in_a_word_as_in_a_run() {
        // Every arrangement of the bytes that matter, before every terminator.
        let alphabet = b"079.,}e";
        let length = if cfg!(miri) { 3 } else { WORD_BYTES as u32 };
        for choice in 0..alphabet.len().pow(length) {
            let mut choice = choice;
            let bytes = [(); WORD_BYTES].map(|()| {
                let byte = alphabet[choice % alphabet.len()];
                choice /= alphabet.len();
                byte
            });
            let Some(digits) = Digits::in_word(u64::from_le_bytes(bytes)) else { continue };
            let mut cursor = Cursor::new(&bytes);
            let expected = Digits::read(&mut cursor).expect("valid");
            assert_eq!(cursor.rest().len(), WORD_BYTES - digits.text_bytes());
            assert_eq!(
                (digits.mantissa, digits.integer_count, digits.fraction_count),
                (expected.mantissa, expected.integer_count, expected.fraction_count),
                "{bytes:?}",
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 4 } else { 10_000 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn division_rounds_as_std_does(mantissa in 1..=u64::MAX, bits in 0..64_u32, power in 0..20_usize) {
            let mantissa = mantissa >> bits | 1;
            let quotient = divide_rounded(mantissa, POWERS_OF_TEN[power]);
            let expected: f64 = format!("{mantissa}e-{power}").parse().expect("a number");
            prop_assert_eq!(quotient.to_bits(), expected.to_bits());
        }

        /// The integer that lies halfway between two doubles, and its neighbours, all over 10^power.
        #[test]
        fn division_tells_ties_from_their_neighbours(
            double in 1_u64 << 52..1 << 53,
            shift in 0..4_u32,
            power in 0..20_usize,
        ) {
            let tie = (2 * double + 1) << shift;
            for mantissa in [tie - 1, tie, tie + 1] {
                let divisor = POWERS_OF_TEN[power];
                let quotient = divide_rounded(mantissa, divisor);
                prop_assert!(is_nearest(quotient, mantissa, divisor), "{mantissa} / {divisor}");
            }
        }
    }

    /// Returns whether no neighbour of `double` is nearer to the quotient. Computes in integers, all
    /// of them times 2^200.
    fn is_nearest(double: f64, dividend: u64, divisor: u64) -> bool {
        let exact = BigUint::from(dividend) << 200;
        let distance = |bits: u64| {
            let exponent = (bits >> 52) as i64 - 1075;
            let mantissa = BigUint::from(bits & ((1 << 52) - 1) | 1 << 52);
            let scaled = (mantissa << (200 + exponent)) * divisor;
            if scaled > exact { scaled - &exact } else { &exact - scaled }
        };
        let bits = double.to_bits();
        let own = distance(bits);
        [bits - 1, bits + 1]
            .into_iter()
            .map(distance)
            .all(|other| own < other || own == other && bits.is_multiple_of(2))
    }
}
