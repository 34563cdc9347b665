//! SipHash-1-3, keyed (J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", 2012).
//!
//! User ids are chosen by clients, so their hash must not be predictable: with random keys of the
//! process, nobody can choose ids that collide. One compression and three finalisation rounds are
//! what the standard libraries of Rust, Python and Ruby trust for this purpose.

/// The keys of one hash function out of 2^128.
#[derive(Clone, Copy)]
pub struct Keys([u64; 2]);

impl Keys {
    /// These should be random, and known to nobody outside the process.
    pub const fn new(keys: [u64; 2]) -> Self {
        Keys(keys)
    }

    /// The hash of `bytes`.
    #[inline]
    pub fn hash(self, bytes: &[u8]) -> u64 {
        let [k0, k1] = self.0;
        let mut state = State {
            v0: k0 ^ u64::from_be_bytes(*b"somepseu"),
            v1: k1 ^ u64::from_be_bytes(*b"dorandom"),
            v2: k0 ^ u64::from_be_bytes(*b"lygenera"),
            v3: k1 ^ u64::from_be_bytes(*b"tedbytes"),
        };
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            state.take(u64::from_le_bytes(*word));
        }
        // The last word holds what is left over and, in its top byte, the length.
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last[7] = bytes.len() as u8;
        state.take(u64::from_le_bytes(last));
        state.finish()
    }
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    #[inline(always)]
    fn take(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.v0 ^= word;
    }

    #[inline(always)]
    fn finish(mut self) -> u64 {
        self.v2 ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }

    #[inline(always)]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use super::*;

    #[test]
    fn agrees_with_the_standard_library_for_every_length() {
        // std's SipHash-1-3 with both keys zero.
        for length in 0..=256usize {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 7 + length) as u8).collect();
            #[allow(deprecated)]
            let mut oracle = std::hash::DefaultHasher::new();
            oracle.write(&bytes);
            assert_eq!(Keys::new([0, 0]).hash(&bytes), oracle.finish(), "length {length}");
        }
    }

    #[test]
    fn keys_matter() {
        assert_ne!(Keys::new([1, 2]).hash(b"user_1"), Keys::new([1, 3]).hash(b"user_1"));
        assert_ne!(Keys::new([1, 2]).hash(b"user_1"), Keys::new([0, 2]).hash(b"user_1"));
    }
}
