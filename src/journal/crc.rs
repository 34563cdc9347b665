//! CRC-32C (Castagnoli, RFC 3720 appendix B.4), running.
//!
//! x86-64 has an instruction for it, 8 bytes at a time, which every processor since 2008 has; the
//! portable version slices by 8 with tables made at compile time. The tests run both on the published
//! vectors and against each other.

#![allow(unsafe_code)] // One call of a function that needs SSE 4.2, after asking for it.

/// A checksum under way. Bytes may be added in pieces; the value depends on their sequence alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crc {
    /// The register of the algorithm: the checksum's complement.
    register: u32,
}

impl Crc {
    /// Returns the checksum of no bytes.
    pub const fn new() -> Self {
        Crc { register: !0 }
    }

    /// Returns the checksum that had this value, to go on with.
    pub const fn resume(value: u32) -> Self {
        Crc { register: !value }
    }

    /// Returns the checksum with `bytes` added.
    #[must_use]
    pub fn extend(self, bytes: &[u8]) -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("sse4.2") {
            // SAFETY: the processor has SSE 4.2, asked in the line above.
            return Crc { register: unsafe { by_instruction(self.register, bytes) } };
        }
        Crc { register: by_tables(self.register, bytes) }
    }

    /// Returns the checksum of all bytes so far.
    pub const fn value(self) -> u32 {
        !self.register
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
fn by_instruction(register: u32, bytes: &[u8]) -> u32 {
    use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u64};
    let (words, rest) = bytes.as_chunks::<8>();
    let mut wide = u64::from(register);
    for word in words {
        wide = _mm_crc32_u64(wide, u64::from_le_bytes(*word));
    }
    rest.iter().fold(wide as u32, |register, &byte| _mm_crc32_u8(register, byte))
}

fn by_tables(mut register: u32, bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let both = u64::from_le_bytes(*word) ^ u64::from(register);
        register = both
            .to_le_bytes()
            .into_iter()
            .enumerate()
            .fold(0, |sum, (i, byte)| sum ^ TABLES[7 - i][usize::from(byte)]);
    }
    rest.iter().fold(register, |register, &byte| {
        (register >> 8) ^ TABLES[0][usize::from(register as u8 ^ byte)]
    })
}

/// The polynomial 0x1EDC6F41, its lowest power in the highest bit.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// `TABLES[n][b]`: what byte `b` adds to the register when `n` more bytes follow it.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut register = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            register = (register >> 1) ^ (POLYNOMIAL & (register & 1).wrapping_neg());
            bit += 1;
        }
        tables[0][byte] = register;
        byte += 1;
    }
    let mut n = 1;
    while n < 8 {
        let mut byte = 0;
        while byte < 256 {
            let register = tables[n - 1][byte];
            tables[n][byte] = (register >> 8) ^ tables[0][(register & 0xff) as usize];
            byte += 1;
        }
        n += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An iSCSI read command, RFC 3720 appendix B.4.
    const COMMAND: [u8; 48] = [
        0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x14, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0,
        0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0,
    ];

    fn portable(bytes: &[u8]) -> u32 {
        !by_tables(!0, bytes)
    }

    #[test]
    fn published_vectors() {
        let up: Vec<u8> = (0..32).collect();
        let down: Vec<u8> = (0..32).rev().collect();
        for (bytes, value) in [
            (&[0; 32][..], 0x8A91_36AA),
            (&[0xff; 32], 0x62A8_AB43),
            (&up, 0x46DD_794E),
            (&down, 0x113F_DB5C),
            (&COMMAND, 0xD996_3A56),
            (b"123456789", 0xE306_9283),
            (b"", 0),
        ] {
            assert_eq!(Crc::new().extend(bytes).value(), value, "{bytes:x?}");
            assert_eq!(portable(bytes), value, "{bytes:x?}, portable");
        }
    }

    #[test]
    fn both_versions_agree_on_every_length_and_start() {
        let bytes: Vec<u8> = (0..600_u32).map(|i| (i * i * 31 / 8) as u8).collect();
        for start in 0..9 {
            for end in start..bytes.len() {
                let bytes = &bytes[start..end];
                assert_eq!(Crc::new().extend(bytes).value(), portable(bytes), "{start}..{end}");
            }
        }
    }

    #[test]
    fn pieces_make_the_same_as_the_whole() {
        let bytes: Vec<u8> = (0..255).collect();
        let whole = Crc::new().extend(&bytes);
        for cut in 0..bytes.len() {
            let first = Crc::new().extend(&bytes[..cut]);
            assert_eq!(first.extend(&bytes[cut..]), whole);
            assert_eq!(Crc::resume(first.value()).extend(&bytes[cut..]), whole);
        }
    }
}
