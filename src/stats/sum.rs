//! The exact sum of doubles. It is rounded once, when it is read.
//!
//! Radford M. Neal's small superaccumulator ("Fast exact summation using small and large
//! superaccumulators", 2015, arXiv:1505.05571). A double is an integer of 53 bits times a power of
//! two, so that all of them together span less than 2,100 bits. A fixed-point number of this width
//! holds any sum of them without loss. The order of the values, their magnitudes and the intermediate
//! results make no difference.
//!
//! The number is kept as 67 *chunks*. Chunk `i` is a signed integer that counts units of
//! 2^(32 i − 1075), so that neighbours overlap by 32 bits:
//!
//! ```text
//!   chunk i+1   ┌───────────── 64 ─────────────┐
//!   chunk i                     ┌───────────── 64 ─────────────┐
//!                               └──── 32 ──────┘
//!   a double's 53 bits, shifted by 0..=31:  [ high, < 2^52 ][ low, 32 ]
//! ```
//!
//! An addition splits the shifted significand into 32 bits for chunk `i` and the rest, at most
//! 2^52 in magnitude, for chunk `i + 1`; carries wait in the overlap. After 2^11 − 1 additions a
//! chunk could overflow, so before that they are propagated. The top chunk has 63 bits above the
//! weight 2^1037, room for 2^74 times the largest double: more events than a 64-bit count can hold.
//!
//! Added to the paper: every chunk stands twice, and a run of values goes to the two *lanes* in
//! turn. Values of one magnitude meet in one chunk, where each addition waits for the one before
//! to come back from memory: 7 cycles on Zen 5, against 2 for a plain addition. Two lanes halve the
//! wait, after which the work itself, 5 cycles, is what an addition costs.
//!
//! What is left out: infinities and NaN, which the event parser refuses; directed rounding.

mod text;

use std::ops::Range;

/// An exact sum of finite doubles. Fixed size, no allocation.
#[derive(Clone, Debug)]
pub struct Sum {
    chunks: [Chunk; CHUNK_COUNT],
    /// Additions since carries were propagated; every |chunk| ≤ `additions` × 2^52, both lanes
    /// taken together.
    additions: u32,
}

/// The two lanes of a chunk, which count as their sum.
type Chunk = [i64; 2];

impl Sum {
    /// The empty sum, zero.
    pub const ZERO: Sum = Sum { chunks: [[0, 0]; CHUNK_COUNT], additions: 1 };

    /// Adds `value`, which must be finite.
    #[inline]
    pub fn add(&mut self, value: f64) {
        self.make_room(1);
        self.add_without_carry::<0>(value);
    }

    /// Adds the value of each of `items`, which must be finite.
    #[inline]
    pub fn add_all<T>(&mut self, items: &[T], value: impl Fn(&T) -> f64) {
        for run in items.chunks(ADDITIONS_MAX as usize - 1) {
            self.make_room(run.len() as u32);
            let (pairs, rest) = run.as_chunks::<2>();
            for [first, second] in pairs {
                self.add_without_carry::<0>(value(first));
                self.add_without_carry::<1>(value(second));
            }
            rest.iter().for_each(|item| self.add_without_carry::<0>(value(item)));
        }
    }

    /// Adds another sum, as if its values had been added one by one.
    pub fn merge(&mut self, other: &Sum) {
        if self.additions + other.additions > ADDITIONS_MAX {
            self.propagate();
        }
        if self.additions + other.additions > ADDITIONS_MAX {
            let mut other = other.clone();
            other.propagate();
            return self.merge(&other);
        }
        self.additions += other.additions;
        for (chunk, other) in self.chunks.iter_mut().zip(&other.chunks) {
            chunk[0] += other[0] + other[1];
        }
    }

    /// Returns the double nearest to the exact sum, of two equally near ones the even one; `None` where
    /// that would be an infinity (IEEE 754, 4.3.1 roundTiesToEven). A zero is positive.
    pub fn round(&self) -> Option<f64> {
        let (negative, digits) = self.magnitude()?;
        let Some(top) = digits.iter().rposition(|&digit| digit != 0) else {
            return Some(0.0);
        };
        let top_bit = top * 32 + 31 - digits[top].leading_zeros() as usize;
        // Bit 1 has the weight of the smallest subnormal, 2^-1074, and nothing is finer. From
        // there on the number of the lowest bit kept is also the exponent field of the result.
        let low_bit = top_bit.saturating_sub(SIGNIFICAND_BITS - 1).max(1);
        let significand = bits(&digits, low_bit..low_bit + SIGNIFICAND_BITS);
        let half = bits(&digits, low_bit - 1..low_bit) == 1;
        let beyond_half = any_bit_below(&digits, low_bit - 1);
        let round_up = half && (beyond_half || significand & 1 == 1);
        // A significand with its leading bit adds one to the exponent field; one without it is
        // subnormal, field 0; one that rounding has carried to 2^53 adds two. All as they should.
        let encoded = ((low_bit as u64 - 1) << (SIGNIFICAND_BITS - 1)) + significand;
        let encoded = encoded + u64::from(round_up);
        let value = f64::from_bits(encoded);
        (encoded < f64::INFINITY.to_bits()).then_some(if negative { -value } else { value })
    }

    /// Returns the sum as words, from which [`of_words`](Self::of_words) makes it again in any process:
    /// digits of 32 bits, the lowest first, and a last one with the sign.
    pub fn to_words(&self) -> [i64; WORD_COUNT] {
        let mut sum = self.clone();
        sum.propagate();
        sum.chunks.map(|[digit, _]| digit)
    }

    /// Returns the sum of which [`to_words`](Self::to_words) made these words; `None` if they are no such
    /// words.
    pub fn of_words(words: &[i64; WORD_COUNT]) -> Option<Sum> {
        let (top, digits) = words.split_last()?;
        let valid = digits.iter().all(|digit| (0..1 << 32).contains(digit))
            && top.unsigned_abs() <= 1 << 52;
        valid.then(|| Sum { chunks: words.map(|digit| [digit, 0]), additions: 1 })
    }

    /// Makes sure that `count` more additions cannot overflow a chunk.
    #[inline]
    fn make_room(&mut self, count: u32) {
        if self.additions + count > ADDITIONS_MAX {
            self.propagate();
        }
        self.additions += count;
    }

    /// Without a branch on the sign, which nothing could predict.
    #[inline]
    fn add_without_carry<const LANE: usize>(&mut self, value: f64) {
        debug_assert!(value.is_finite());
        let encoded = value.to_bits();
        let field = (encoded >> (SIGNIFICAND_BITS - 1)) as usize & EXPONENT_FIELD_MASK;
        let fraction = encoded & ((1 << (SIGNIFICAND_BITS - 1)) - 1);
        // Subnormals have the exponent of field 1 and no leading bit.
        let exponent = field.max(1);
        let magnitude = fraction | u64::from(field != 0) << (SIGNIFICAND_BITS - 1);
        let sign = encoded as i64 >> 63;
        let significand = (magnitude as i64 ^ sign) - sign;
        let shift = exponent % 32;
        // Two's complement: the low part is never negative, the high part has the sign.
        let low = significand << shift & 0xffff_ffff;
        let high = significand >> (32 - shift);
        // The mask tells the compiler what is so anyway: a finite double's index is 63 at most.
        let index = (exponent / 32) & 63;
        self.chunks[index][LANE] += low;
        self.chunks[index + 1][LANE] += high;
    }

    /// Moves what exceeds 32 bits of a chunk into the next; all but the top one become digits,
    /// 0..2^32, and the top one carries the sign.
    #[cold]
    fn propagate(&mut self) {
        let mut carry = 0;
        for chunk in &mut self.chunks[..TOP_CHUNK] {
            let value = chunk[0] + chunk[1] + carry;
            *chunk = [value & 0xffff_ffff, 0];
            carry = value >> 32;
        }
        let top = &mut self.chunks[TOP_CHUNK];
        *top = [top[0] + top[1] + carry, 0];
        self.additions = 1;
    }

    /// Returns whether the sum is negative, and its magnitude in digits of 32 bits, the lowest first;
    /// `None` if it needs the top chunk, whose unit is beyond the range of doubles.
    fn magnitude(&self) -> Option<(bool, [u32; TOP_CHUNK])> {
        let (negative, sum) = self.sign_and_size();
        let fits = sum.chunks[TOP_CHUNK][0] == 0;
        fits.then(|| (negative, std::array::from_fn(|i| sum.chunks[i][0] as u32)))
    }

    /// Returns whether the sum is negative, and the same sum without its sign. All of its chunks but the
    /// top one are digits.
    fn sign_and_size(&self) -> (bool, Sum) {
        let mut sum = self.clone();
        sum.propagate();
        let negative = sum.chunks[TOP_CHUNK][0] < 0;
        if negative {
            sum.negate();
        }
        (negative, sum)
    }

    /// Turns the sign. The carries must have been propagated before.
    fn negate(&mut self) {
        self.chunks = self.chunks.map(|[digit, _]| [-digit, 0]);
        self.propagate();
    }
}

impl Default for Sum {
    fn default() -> Self {
        Sum::ZERO
    }
}

/// The bits of `range`, at most 64, the lowest first.
fn bits(digits: &[u32; TOP_CHUNK], range: Range<usize>) -> u64 {
    let digit = |i: usize| u128::from(digits.get(i).copied().unwrap_or(0));
    let first = range.start / 32;
    let window = digit(first) | digit(first + 1) << 32 | digit(first + 2) << 64;
    (window >> (range.start % 32)) as u64 & (u64::MAX >> (64 - range.len()))
}

fn any_bit_below(digits: &[u32; TOP_CHUNK], bit: usize) -> bool {
    let whole = bit / 32;
    digits[..whole].iter().any(|&digit| digit != 0) || digits[whole] & ((1 << (bit % 32)) - 1) != 0
}

/// Bits of a double's significand with its leading bit.
const SIGNIFICAND_BITS: usize = f64::MANTISSA_DIGITS as usize;
const EXPONENT_FIELD_MASK: usize = 0x7ff;
/// The exponent field's upper 6 bits choose one of 64 chunks, the high part needs one more, and
/// two hold what carries beyond the largest double.
const CHUNK_COUNT: usize = 67;
/// Words of a sum on its way to another process.
pub const WORD_COUNT: usize = CHUNK_COUNT;
const TOP_CHUNK: usize = CHUNK_COUNT - 1;
/// Additions of less than 2^52 that fit an `i64`.
const ADDITIONS_MAX: u32 = (1 << 11) - 1;

#[cfg(all(test, not(loom)))]
mod tests;
