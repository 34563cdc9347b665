//! Numbers: RFC 8259 section 6, and the double nearest to them.
//!
//! ```text
//! number = [ "-" ] int [ frac ] [ exp ]
//! int    = "0" / digit1-9 *digit        frac = "." 1*digit        exp = ("e" / "E") ["-" / "+"] 1*digit
//! ```
//!
//! Digits are read up to eight in a look, without a branch on how many there are: the lengths of
//! numbers vary from event to event, and a mispredicted branch costs more than the arithmetic.
//! Whatever fits in 53 bits and is scaled by at most 10^22 is two exact doubles and one correctly
//! rounded operation (Clinger, "How to read floating point numbers accurately", 1990). The rest,
//! rare in events, goes to std, which rounds correctly from any length (Eisel-Lemire, then exact).

use super::EventError;
use super::cursor::{Cursor, WORD_BYTES};

/// A number, proved valid, not yet rounded: ±`mantissa` × 10^`exponent`, or else its text.
#[derive(Clone, Copy)]
pub(super) struct Number<'a> {
    text: &'a [u8],
    is_negative: bool,
    digits: Digits,
    /// Of the power of ten that the digits, as one integer, are scaled by.
    exponent: i64,
}

impl<'a> Number<'a> {
    /// Reads a number. It ends where the grammar does; what may follow is the caller's affair.
    #[inline(always)]
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, EventError> {
        let start = cursor.clone();
        let is_negative = cursor.take(b'-');

        let starts_with_zero = cursor.peek() == Some(b'0');
        let digits = match Digits::in_word(cursor.word()) {
            Some(digits) => {
                cursor.advance(digits.text_bytes());
                digits
            }
            None => Digits::read(cursor)?,
        };
        if starts_with_zero && digits.integer_count > 1 {
            return Err(EventError::NumberInvalid);
        }
        let mut exponent = -(digits.fraction_count as i64);
        if let Some(b'e' | b'E') = cursor.peek() {
            exponent = exponent.saturating_add(read_exponent(cursor)?);
        }
        Ok(Self {
            text: cursor.since(&start),
            is_negative,
            digits,
            exponent,
        })
    }

    /// The nearest double, ties to even; an infinity if out of range.
    #[inline(always)]
    pub(super) fn to_f64(self) -> f64 {
        let Digits { mantissa, integer_count, fraction_count } = self.digits;
        if integer_count + fraction_count > MANTISSA_DIGITS_MAX || mantissa > EXACT_INTEGER_MAX {
            return self.round_text();
        }
        let mantissa = mantissa as f64;
        let Some(&power) = EXACT_POWERS_OF_TEN.get(self.exponent.unsigned_abs() as usize) else {
            return self.round_text();
        };
        let magnitude = if self.exponent < 0 { mantissa / power } else { mantissa * power };
        if self.is_negative { -magnitude } else { magnitude }
    }

    #[cold]
    fn round_text(self) -> f64 {
        str::from_utf8(self.text)
            .ok()
            .and_then(|text| text.parse().ok())
            .expect("JSON's numbers are ASCII and a subset of what std reads")
    }
}

/// The digits before and behind the point.
#[derive(Clone, Copy)]
struct Digits {
    /// All of them as one integer; meaningless beyond [`MANTISSA_DIGITS_MAX`].
    mantissa: u64,
    integer_count: usize,
    /// Zero where there is no point.
    fraction_count: usize,
}

impl Digits {
    /// The digits that `word` begins with, if they and what ends them lie within it: the usual
    /// value, for which the point is taken out so that one conversion does for both sides.
    #[inline(always)]
    fn in_word(word: u64) -> Option<Self> {
        let integer_count = leading_digits(word);
        if word.unbounded_shr(8 * integer_count as u32) as u8 != b'.' {
            let mantissa = decimal(word, integer_count);
            return (1..WORD_BYTES)
                .contains(&integer_count)
                .then_some(Self { mantissa, integer_count, fraction_count: 0 });
        }
        let integer = (1 << (8 * integer_count)) - 1;
        let joined = word & integer | word >> 8 & !integer;
        let count = leading_digits(joined);
        (0 < integer_count && integer_count < count && count < WORD_BYTES - 1).then(|| Self {
            mantissa: decimal(joined, count),
            integer_count,
            fraction_count: count - integer_count,
        })
    }

    /// The same for digits of any number.
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, EventError> {
        let (mut mantissa, integer_count) = read_digits(cursor, 0)?;
        let mut fraction_count = 0;
        if cursor.take(b'.') {
            (mantissa, fraction_count) = read_digits(cursor, mantissa)?;
        }
        Ok(Self { mantissa, integer_count, fraction_count })
    }

    /// Bytes that the digits and the point take.
    fn text_bytes(self) -> usize {
        self.integer_count + self.fraction_count + usize::from(self.fraction_count > 0)
    }
}

/// Reads at least one digit; returns `number` with them appended, and how many they were.
#[inline(always)]
fn read_digits(cursor: &mut Cursor<'_>, mut number: u64) -> Result<(u64, usize), EventError> {
    let mut digits = 0;
    loop {
        let word = cursor.word();
        let count = leading_digits(word);
        // Wraps beyond `MANTISSA_DIGITS_MAX` digits, where nobody reads it.
        number = number.wrapping_mul(POWERS_OF_TEN[count]).wrapping_add(decimal(word, count));
        digits += count;
        cursor.advance(count);
        if count < WORD_BYTES {
            break;
        }
    }
    if digits == 0 {
        return Err(cursor.unexpected(EventError::NumberInvalid));
    }
    Ok((number, digits))
}

/// Reads an exponent from its `e`; one of too many digits to count is as good as an infinite one.
#[cold]
fn read_exponent(cursor: &mut Cursor<'_>) -> Result<i64, EventError> {
    cursor.advance(1);
    let is_negative = cursor.take(b'-');
    if !is_negative {
        cursor.take(b'+');
    }
    let (magnitude, digits) = read_digits(cursor, 0)?;
    let magnitude = if digits > EXPONENT_DIGITS_MAX { i64::MAX } else { magnitude as i64 };
    Ok(if is_negative { -magnitude } else { magnitude })
}

/// How many of the bytes, from the lowest on, are ASCII digits.
#[inline(always)]
fn leading_digits(word: u64) -> usize {
    // Digits become 0 to 9. Adding sets the high bit of what is 10 or more; it can carry only out
    // of a byte that has it set already, so that the lowest mark is exact.
    let offset = word ^ ASCII_ZEROS;
    let others = (offset.wrapping_add(repeat(0x80 - 10)) | offset) & repeat(0x80);
    others.trailing_zeros() as usize / 8
}

/// The integer that the lowest `count` bytes, ASCII digits, are in decimal.
#[inline(always)]
fn decimal(word: u64, count: usize) -> u64 {
    // The missing digits become zeros in front, so that eight digits are the only case. Then
    // neighbours are joined: to pairs, and with two multiplications to fours and to eight.
    let digits = (word ^ ASCII_ZEROS).unbounded_shl(8 * (WORD_BYTES - count) as u32);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    const EVEN_PAIRS: u64 = 0x0000_00FF_0000_00FF;
    const EVEN_WEIGHTS: u64 = 100 + (1_000_000 << 32);
    const ODD_WEIGHTS: u64 = 1 + (10_000 << 32);
    let even = (pairs & EVEN_PAIRS).wrapping_mul(EVEN_WEIGHTS);
    let odd = (pairs >> 16 & EVEN_PAIRS).wrapping_mul(ODD_WEIGHTS);
    even.wrapping_add(odd) >> 32
}

const fn repeat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; WORD_BYTES])
}

const ASCII_ZEROS: u64 = repeat(b'0');

/// Decimal digits that always fit in a `u64`.
const MANTISSA_DIGITS_MAX: usize = 19;
/// Digits of an exponent that fit in an `i64` with room for the length of any fraction.
const EXPONENT_DIGITS_MAX: usize = 18;
/// Every integer up to here is a double.
const EXACT_INTEGER_MAX: u64 = 1 << f64::MANTISSA_DIGITS;

/// Indexed by the digits that one word can add.
const POWERS_OF_TEN: [u64; WORD_BYTES + 1] =
    [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// The powers of ten that are doubles: 5^22 < 2^53 < 5^23.
const EXACT_POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];
const _: () = assert!(5_u64.pow(22) < EXACT_INTEGER_MAX && EXACT_INTEGER_MAX < 5_u64.pow(23));
