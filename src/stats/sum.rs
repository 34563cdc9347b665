//! The exact sum of any number of finite doubles, in a fixed 544 bytes.
//!
//! This is the small superaccumulator of R. M. Neal, "Fast exact summation using small and large
//! superaccumulators" (2015), arXiv:1505.05571. A finite double is `m * 2^(e - 1075)` with an
//! integer `m < 2^53` and an exponent field `e` of 1 to 2046, so every sum of doubles is a multiple
//! of 2^-1075, and is held as one wide integer in overlapping chunks:
//!
//! ```text
//! sum = ( chunk[0] + chunk[1] * 2^32 + chunk[2] * 2^64 + … ) * 2^-1075
//! ```
//!
//! Chunks are 32 bits apart but 64 wide and signed. The low five bits of `e` shift `m`, the others
//! choose the chunk; the part below 2^32 is added to that chunk, the rest to the next. No carry
//! moves then: an addend is below 2^52, so a chunk takes [`ADDS_BETWEEN_CARRIES`] of them before
//! carries have to be propagated, which costs a tenth of a nanosecond an addition.
//!
//! Nothing is rounded before [`Sum::round`]. So the order of additions, how they were spread over
//! accumulators that were [merged](Sum::merge), and sums that leave the range of a double in
//! between make no difference.

/// Bits between two chunks.
const CHUNK_BITS: u32 = 32;

/// What a chunk holds once carries have moved: its lowest 32 bits.
const CHUNK_MASK: i64 = (1 << CHUNK_BITS) - 1;

/// Chunks 0 to 64 take addends; the two above make room for 2^64 of the largest, and for a sign.
const CHUNK_COUNT: usize = 67;

/// Additions that cannot overflow a chunk: each adds less than 2^52 + 2^32 to what is below 2^32.
const ADDS_BETWEEN_CARRIES: u32 = 1 << 10;
const _: () =
    assert!(ADDS_BETWEEN_CARRIES as u64 * ((1 << 52) + (1 << 32)) < i64::MAX as u64 - (1 << 33));

/// Bits of a double's fraction field.
const FRACTION_BITS: u32 = 52;

/// The exact sum of the doubles added to it.
#[derive(Clone, Debug)]
pub struct Sum {
    chunks: [i64; CHUNK_COUNT],
    adds_left: u32,
}

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Sum = Sum { chunks: [0; CHUNK_COUNT], adds_left: ADDS_BETWEEN_CARRIES };

    /// Adds `value`, which must be finite.
    #[inline(always)]
    pub fn add(&mut self, value: f64) {
        debug_assert!(value.is_finite());
        if self.adds_left == 0 {
            self.carry();
        }
        self.adds_left -= 1;
        let bits = value.to_bits();
        let exponent_field = (bits >> FRACTION_BITS) as u32 & 0x7ff;
        // A subnormal has the exponent of the smallest normal number, and no implicit bit.
        let is_normal = u32::from(exponent_field != 0);
        let exponent = exponent_field + 1 - is_normal;
        let mantissa = (bits & ((1 << FRACTION_BITS) - 1)) | u64::from(is_normal) << FRACTION_BITS;
        let index = (exponent / CHUNK_BITS) as usize;
        let shift = exponent % CHUNK_BITS;
        // The shift may push high bits out; they are in `high`.
        let low = (mantissa << shift) as i64 & CHUNK_MASK;
        let high = (mantissa >> (CHUNK_BITS - shift)) as i64;
        // Negation without a branch: the sign of a value is not predictable.
        let sign = bits as i64 >> 63;
        self.chunks[index] += (low ^ sign) - sign;
        self.chunks[index + 1] += (high ^ sign) - sign;
    }

    /// Adds what `other` holds.
    pub fn merge(&mut self, other: &Sum) {
        let mut other = other.clone();
        other.carry();
        self.carry();
        for (chunk, more) in self.chunks.iter_mut().zip(other.chunks) {
            *chunk += more;
        }
        self.carry();
    }

    /// The double nearest to the sum, ties to even (IEEE 754, roundTiesToEven); `None` if that is
    /// beyond the largest double. A sum of exactly zero is `0.0`.
    pub fn round(&self) -> Option<f64> {
        let mut sum = self.clone();
        sum.carry();
        let is_negative = sum.chunks[CHUNK_COUNT - 1] < 0;
        if is_negative {
            sum.chunks.iter_mut().for_each(|chunk| *chunk = -*chunk);
            sum.carry();
        }
        let magnitude = sum.round_magnitude()?;
        Some(if is_negative { -magnitude } else { magnitude })
    }

    /// [`round`](Self::round) of a sum that is not negative and whose carries have moved.
    fn round_magnitude(&self) -> Option<f64> {
        let Some(bit_length) = self.bit_length() else { return Some(0.0) };
        // The lowest bit that the double keeps: 53 bits, but nothing below 2^-1074, which is bit 1.
        let kept_at = (bit_length - 1).saturating_sub(FRACTION_BITS).max(1);
        if kept_at > 2046 {
            return None;
        }
        let mantissa = self.bits_from(kept_at);
        let half = self.bits_from(kept_at - 1) & 1;
        let rounds_up = half == 1 && (mantissa & 1 == 1 || self.any_below(kept_at - 1));
        // The implicit bit of the mantissa adds one to the exponent field, and so does a carry out
        // of it: the encoding of doubles is made for that.
        let bits = (u64::from(kept_at - 1) << FRACTION_BITS) + mantissa + u64::from(rounds_up);
        Some(f64::from_bits(bits)).filter(|double| double.is_finite())
    }

    /// Moves carries up, so that all chunks but the last are from 0 to 2^32 - 1.
    #[cold]
    fn carry(&mut self) {
        let (top, chunks) = self.chunks.split_last_mut().expect("there are chunks");
        let mut carry = 0;
        for chunk in chunks {
            let whole = *chunk + carry;
            *chunk = whole & CHUNK_MASK;
            carry = whole >> CHUNK_BITS;
        }
        *top += carry;
        self.adds_left = ADDS_BETWEEN_CARRIES;
    }

    /// Bits up to the highest one that is set; `None` if none is.
    fn bit_length(&self) -> Option<u32> {
        let index = self.chunks.iter().rposition(|&chunk| chunk != 0)?;
        Some(index as u32 * CHUNK_BITS + u64::BITS - self.chunks[index].leading_zeros())
    }

    /// The integer without its lowest `at` bits, for an `at` that leaves at most 54 bits.
    fn bits_from(&self, at: u32) -> u64 {
        let index = (at / CHUNK_BITS) as usize;
        let mut bits = 0u128;
        // 54 bits that begin within a chunk reach into the two above it. The topmost is 64 wide.
        for (i, &chunk) in self.chunks[index..].iter().take(3).enumerate() {
            bits |= (chunk as u128) << (i as u32 * CHUNK_BITS);
        }
        (bits >> (at % CHUNK_BITS)) as u64
    }

    /// Whether any of the lowest `at` bits is set.
    fn any_below(&self, at: u32) -> bool {
        let index = (at / CHUNK_BITS) as usize;
        let partial = self.chunks[index] & ((1 << (at % CHUNK_BITS)) - 1);
        partial != 0 || self.chunks[..index].iter().any(|&chunk| chunk != 0)
    }
}

#[cfg(test)]
mod tests;
