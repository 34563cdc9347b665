//! The double nearest to any decimal number, in a time that is bounded by its length.
//!
//! The first 19 significant digits bound the number from both sides. If both bounds round to the same
//! double, that is the result; `str::parse` rounds a bound, since it is quick for 19 digits and right. If
//! not, the two doubles are neighbours, because 19 digits are finer than any double. Then the number is
//! compared with the middle between them, as integers:
//!
//! ```text
//! number = D × 10^t    D: up to 768 digits, and whether digits after them are not zero
//! middle = H × 2^k     H: twice the digits of the lower double, and one
//!
//! D × 5^t × 2^t  <=>  H × 2^k      negative powers go to the other side as positive ones
//! ```
//!
//! `str::parse` alone would be right too, but where 19 digits do not decide it takes up to 19 µs for a
//! number of 27 bytes, which a client may repeat thousands of times. Here it is less than 1 µs.
//!
//! 768 digits suffice: the middle between two doubles has no more than 767 significant digits, so digits
//! after them only tell whether the number is a little more than what the first 768 are.

use std::cmp::Ordering;

/// Significant digits that bound the number; they and their successor fit in a `u64`.
const BOUND_DIGITS: usize = 19;
/// Significant digits that are compared with the middle.
const COMPARED_DIGITS_MAX: usize = 768;
/// A power of ten above all doubles, also if the digits before it are a small fraction of one.
const POWER_MAX: i64 = 1_000;

/// Returns the double nearest to `digits` × 10^`exponent`, ties to even; infinity if it is out of range.
/// `digits` are ASCII digits, perhaps with one point among them.
pub(super) fn nearest(digits: &[u8], exponent: i64) -> f64 {
    let digits = Significant::of(digits, exponent);
    let (bound, scale) = digits.leading(BOUND_DIGITS);
    if bound == 0 {
        return 0.0;
    }
    let low = bound_to_f64(bound, scale);
    if digits.are_zeros_from(BOUND_DIGITS) {
        return low;
    }
    let high = bound_to_f64(bound + 1, scale);
    if low == high {
        return low;
    }
    debug_assert_eq!(low.to_bits() + 1, high.to_bits(), "the bounds are neighbours");
    match digits.compare_with_middle_above(low) {
        Ordering::Less => low,
        Ordering::Greater => high,
        Ordering::Equal if low.to_bits().is_multiple_of(2) => low,
        Ordering::Equal => high,
    }
}

/// Returns the double nearest to `bound` × 10^`scale`; `bound` is at most 10^19.
fn bound_to_f64(bound: u64, scale: i64) -> f64 {
    // Beyond these the result is zero or infinity in any case.
    let scale = scale.clamp(-POWER_MAX, POWER_MAX);
    // With 19 digits at most, std has one quick way for all numbers.
    let (bound, scale) =
        if bound.is_multiple_of(10) { (bound / 10, scale + 1) } else { (bound, scale) };
    let text = [itoa::Buffer::new().format(bound), "e", itoa::Buffer::new().format(scale)].concat();
    text.parse().expect("std reads digits with an exponent")
}

/// The digits of a number from the first one on that is not zero.
struct Significant<'a> {
    integer: &'a [u8],
    fraction: &'a [u8],
    /// The power of ten of the last digit.
    last_power: i64,
}

impl<'a> Significant<'a> {
    fn of(digits: &'a [u8], exponent: i64) -> Self {
        let point_at = memchr::memchr(b'.', digits);
        let (mut integer, mut fraction) =
            point_at.map_or((digits, &[][..]), |at| (&digits[..at], &digits[at + 1..]));
        let last_power = exponent.saturating_sub(fraction.len() as i64);
        integer = &integer[leading_zeros(integer)..];
        if integer.is_empty() {
            fraction = &fraction[leading_zeros(fraction)..];
        }
        Significant { integer, fraction, last_power }
    }

    /// Returns the digits in their order, without the point.
    fn digits(&self) -> impl Iterator<Item = u64> {
        self.integer.iter().chain(self.fraction).map(|digit| u64::from(digit - b'0'))
    }

    /// Returns the power of ten of the digit before place `count`, or of the last one.
    fn power_before(&self, count: usize) -> i64 {
        let dropped = (self.integer.len() + self.fraction.len()).saturating_sub(count);
        self.last_power.saturating_add(dropped as i64)
    }

    /// Returns the first `count` digits, or all, as an integer and a power of ten.
    fn leading(&self, count: usize) -> (u64, i64) {
        let integer = self.digits().take(count).fold(0, |integer, digit| 10 * integer + digit);
        (integer, self.power_before(count))
    }

    /// Returns whether all digits from place `from` on are zeros.
    fn are_zeros_from(&self, from: usize) -> bool {
        let integer = self.integer.get(from..).unwrap_or_default();
        let from = from.saturating_sub(self.integer.len());
        let fraction = self.fraction.get(from..).unwrap_or_default();
        leading_zeros(integer) == integer.len() && leading_zeros(fraction) == fraction.len()
    }

    /// Compares the number with the middle between `low` and the next larger double.
    fn compare_with_middle_above(&self, low: f64) -> Ordering {
        const STORED_BITS: u32 = f64::MANTISSA_DIGITS - 1;
        let (stored, exponent) =
            (low.to_bits() & ((1 << STORED_BITS) - 1), (low.to_bits() >> STORED_BITS) as i64);
        // Doubles below the normal ones have the smallest exponent and no hidden bit.
        let hidden = u64::from(exponent > 0) << STORED_BITS;
        let power_of_two = exponent.max(1) - 1076;
        let power_of_ten = self.power_before(COMPARED_DIGITS_MAX);

        let mut number = Integer::of_digits(self.digits().take(COMPARED_DIGITS_MAX));
        let mut middle = Integer::of(2 * (stored | hidden) + 1);
        let larger = if power_of_ten < 0 { &mut middle } else { &mut number };
        larger.multiply_by_power_of_five(power_of_ten.unsigned_abs() as usize);
        let shift = power_of_ten - power_of_two;
        let larger = if shift < 0 { &mut middle } else { &mut number };
        larger.shift_left(shift.unsigned_abs() as usize);

        let ordering = number.cmp(&middle);
        if ordering == Ordering::Equal && !self.are_zeros_from(COMPARED_DIGITS_MAX) {
            return Ordering::Greater;
        }
        ordering
    }
}

/// Returns the number of zeros at the beginning of `digits`.
fn leading_zeros(digits: &[u8]) -> usize {
    const ZEROS: [u8; 8] = [b'0'; 8];
    let words = digits.as_chunks().0.iter().take_while(|word| **word == ZEROS).count();
    let at = words * ZEROS.len();
    at + digits[at..].iter().take_while(|&&digit| digit == b'0').count()
}

/// A large unsigned integer.
struct Integer {
    /// 64 bits each, the lowest first.
    limbs: [u64; Self::LIMBS_MAX],
    /// Limbs in use; the highest of them is not zero.
    len: usize,
}

impl Integer {
    /// Both sides of a comparison are nearly equal, and one of them is 768 digits, 54 bits times
    /// 5^1091, or a double's integer of 1,024 bits: fewer than 2,600 bits.
    const LIMBS_MAX: usize = 42;

    fn of(integer: u64) -> Self {
        let mut limbs = [0; Self::LIMBS_MAX];
        limbs[0] = integer;
        Integer { limbs, len: usize::from(integer != 0) }
    }

    fn of_digits(digits: impl Iterator<Item = u64>) -> Self {
        let mut integer = Integer::of(0);
        let (mut part, mut power) = (0, 1);
        for digit in digits {
            (part, power) = (10 * part + digit, 10 * power);
            if power == 10_u64.pow(BOUND_DIGITS as u32) {
                integer.multiply_add(power, part);
                (part, power) = (0, 1);
            }
        }
        integer.multiply_add(power, part);
        integer
    }

    fn multiply_add(&mut self, factor: u64, summand: u64) {
        let mut carry = u128::from(summand);
        for limb in &mut self.limbs[..self.len] {
            carry += u128::from(*limb) * u128::from(factor);
            *limb = carry as u64;
            carry >>= 64;
        }
        if carry > 0 {
            self.limbs[self.len] = carry as u64;
            self.len += 1;
        }
    }

    fn multiply_by_power_of_five(&mut self, power: usize) {
        /// The largest power of five in a `u64` is 5^27.
        const POWER_MAX: usize = 27;
        for _ in 0..power / POWER_MAX {
            self.multiply_add(5_u64.pow(POWER_MAX as u32), 0);
        }
        self.multiply_add(5_u64.pow((power % POWER_MAX) as u32), 0);
    }

    fn shift_left(&mut self, bits: usize) {
        self.multiply_add(1 << (bits % 64), 0);
        if self.len > 0 {
            let limbs = bits / 64;
            self.limbs.copy_within(..self.len, limbs);
            self.limbs[..limbs].fill(0);
            self.len += limbs;
        }
    }

    fn cmp(&self, other: &Integer) -> Ordering {
        let limbs = |it: &Integer| it.limbs.into_iter().rev();
        limbs(self).cmp(limbs(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigUint;
    use proptest::prelude::*;

    /// Asserts that a number is rounded as std rounds it.
    fn check(digits: &str, exponent: i64) {
        let expected: f64 = format!("{digits}e{exponent}").parse().expect("a number");
        let found = nearest(digits.as_bytes(), exponent);
        assert_eq!(found.to_bits(), expected.to_bits(), "{digits}e{exponent}");
    }

    /// Returns the middle between a double and the next larger one: digits, and a power of ten.
    fn middle_above(double: f64) -> (String, i64) {
        let (stored, exponent) = (double.to_bits() & ((1 << 52) - 1), double.to_bits() >> 52);
        let hidden = if exponent > 0 { 1 << 52 } else { 0 };
        let odd = BigUint::from(2 * (stored | hidden) + 1);
        match exponent.max(1) as i64 - 1076 {
            power @ 0.. => ((odd << power).to_string(), 0),
            power => ((odd * BigUint::from(5_u8).pow(-power as u32)).to_string(), power),
        }
    }

    /// Asserts that the middle above a double, numbers close to it, and the first digits of it are rounded
    /// right, in all places of the point.
    fn check_middle(double: f64) {
        let (digits, power) = middle_above(double);
        let changed = |by: i8| {
            let mut bytes = digits.clone().into_bytes();
            let last = bytes.last_mut().expect("digits");
            *last = last.wrapping_add_signed(by).clamp(b'0', b'9');
            String::from_utf8(bytes).expect("digits")
        };
        for digits in [digits.clone(), changed(1), changed(-1)] {
            check(&digits, power);
            check(&format!("{digits}{}", "0".repeat(800)), power - 800);
            check(&format!("{digits}{}1", "0".repeat(800)), power - 801);
            check(&format!("000.00{digits}"), power + 2 + digits.len() as i64);
        }
        for count in (1..digits.len()).filter(|count| count % 29 < 3) {
            let (first, rest) = digits.split_at(count);
            check(&format!("{first}.{rest}"), power + rest.len() as i64);
            check(first, power + rest.len() as i64);
            check(&format!("0.{first}"), power + digits.len() as i64);
        }
    }

    #[test]
    fn the_borders_of_the_doubles_are_rounded_right() {
        let (tiny, least, most) = (f64::from_bits(1), f64::MIN_POSITIVE, f64::MAX);
        for double in [0.0, tiny, least.next_down(), least, 1.0, 9e15, 1e22, most.next_down(), most]
        {
            check_middle(double);
        }
        for (digits, exponent) in [("0", 0), ("0.000", i64::MAX), ("00", i64::MIN)] {
            check(digits, exponent.clamp(-9_999, 9_999));
            assert_eq!(nearest(digits.as_bytes(), exponent), 0.0);
        }
        for digits in ["1", "9999999999999999999", "99999999999999999999", "0.1"] {
            for exponent in [-400, -343, -324, -308, 0, 289, 308, 309, 400] {
                check(digits, exponent);
            }
            assert_eq!(nearest(digits.as_bytes(), i64::MAX), f64::INFINITY);
            assert_eq!(nearest(digits.as_bytes(), i64::MIN), 0.0);
        }
        let zeros = "0".repeat(5_000);
        check(&format!("0.{zeros}123"), 5_000);
        check(&format!("{zeros}123{zeros}"), -5_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: if cfg!(miri) { 2 } else { 300 },
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn the_middle_of_any_two_doubles_and_its_neighbours_are_rounded_right(
            bits in 0..f64::INFINITY.to_bits(),
        ) {
            check_middle(f64::from_bits(bits));
        }

        #[test]
        fn any_digits_are_rounded_as_std_does(
            digits in "[0-9]{1,40}(\\.[0-9]{1,40})?|0\\.0{0,40}[0-9]{1,900}|[19]{1,2}0{10,30}[0-9]{1,3}",
            exponent in -400..400_i64,
        ) {
            check(&digits, exponent);
        }
    }
}
