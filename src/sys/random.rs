//! Random keys from the kernel, for hashing what peers choose.

#![allow(unsafe_code)] // std keeps its source of random bytes to itself; getrandom(2) is libc's.

use std::io;

/// 128 unpredictable bits, different at each call.
///
/// # Errors
///
/// What the kernel reports; before its pool is seeded, early at boot, the call waits instead.
pub fn keys() -> io::Result<[u64; 2]> {
    let mut bytes = [0_u8; 16];
    loop {
        // SAFETY: the kernel writes at most `bytes.len()` bytes into `bytes`.
        let written = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        if written == bytes.len() as isize {
            let both = u128::from_ne_bytes(bytes);
            return Ok([both as u64, (both >> 64) as u64]);
        }
        let error = io::Error::last_os_error();
        // Up to 256 bytes come whole or not at all: only a signal during the wait is no failure.
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_half_of_two_keys_is_the_same() {
        let ([a, b], [c, d]) = (keys().unwrap(), keys().unwrap());
        let mut halves = [a, b, c, d];
        halves.sort_unstable();
        assert!(halves.windows(2).all(|pair| pair[0] != pair[1]), "{halves:x?}");
    }
}
