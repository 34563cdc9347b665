//! SipHash-1-3, the keyed hash of user ids.
//!
//! Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), with one round for each word and
//! three at the end, as in std. Clients choose the ids; without the keys they cannot choose them
//! so that they collide. This room has its own code because std's hasher takes its input in pieces
//! and buffers them, while an id comes in one piece and is most often short.

/// A hash function that two random words select.
#[derive(Clone, Copy)]
pub struct Keyed {
    /// The state before the first word, which depends on the keys alone.
    initial: State,
}

impl Keyed {
    pub fn new(keys: [u64; 2]) -> Self {
        Keyed { initial: State::new(keys) }
    }

    #[inline(always)]
    pub fn hash(self, bytes: &[u8]) -> u64 {
        let mut state = self.initial;
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            state.absorb(u64::from_le_bytes(*word));
        }
        // The last word: what is left, and the length above it.
        state.absorb(last_word(bytes, rest) | (bytes.len() as u64) << 56);
        state.finish()
    }
}

/// Returns `rest`, the up to 7 last of `bytes`, as a little-endian number.
#[inline(always)]
fn last_word(bytes: &[u8], rest: &[u8]) -> u64 {
    match (bytes.last_chunk::<8>(), rest.len()) {
        (_, 0) => 0,
        // Longer inputs: the last 8 bytes, less those that belong to the word before.
        (Some(last), length) => u64::from_le_bytes(*last) >> (64 - 8 * length),
        (None, _) => rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    }
}

#[derive(Clone, Copy)]
struct State {
    v: [u64; 4],
}

impl State {
    fn new([k0, k1]: [u64; 2]) -> Self {
        State {
            v: [
                k0 ^ 0x736f_6d65_7073_6575,
                k1 ^ 0x646f_7261_6e64_6f6d,
                k0 ^ 0x6c79_6765_6e65_7261,
                k1 ^ 0x7465_6462_7974_6573,
            ],
        }
    }

    #[inline(always)]
    fn absorb(&mut self, word: u64) {
        self.v[3] ^= word;
        self.round();
        self.v[0] ^= word;
    }

    #[inline(always)]
    fn finish(mut self) -> u64 {
        self.v[2] ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.v[0] ^ self.v[1] ^ self.v[2] ^ self.v[3]
    }

    #[inline(always)]
    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.v;
        a = a.wrapping_add(b);
        c = c.wrapping_add(d);
        b = b.rotate_left(13) ^ a;
        d = d.rotate_left(16) ^ c;
        a = a.rotate_left(32);
        c = c.wrapping_add(b);
        a = a.wrapping_add(d);
        b = b.rotate_left(17) ^ c;
        d = d.rotate_left(21) ^ a;
        c = c.rotate_left(32);
        self.v = [a, b, c, d];
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::hash::{DefaultHasher, Hasher};

    /// std's default hasher is SipHash-1-3 with keys of zero.
    #[test]
    fn equals_that_of_std() {
        for length in 0..=256_usize {
            let bytes: Vec<u8> = (0..length).map(|i| (i * 131 + length) as u8).collect();
            let mut hasher = DefaultHasher::new();
            hasher.write(&bytes);
            assert_eq!(Keyed::new([0, 0]).hash(&bytes), hasher.finish(), "{length} bytes");
        }
    }

    /// The first vector of SipHash-1-3: no bytes, under the key 0..=15.
    #[test]
    fn keys_count() {
        let keys = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        assert_eq!(Keyed::new(keys).hash(b""), 0xabac_0158_050f_c4dc);
    }
}
