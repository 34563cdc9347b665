//! Random keys from the kernel, for hashing ids that clients choose.

#![allow(unsafe_code)] // getrandom(2) is not in std.

use std::io;

/// Returns 128 unpredictable bits, different at each call. Waits early at boot, until the kernel has
/// collected enough of them.
///
/// # Errors
///
/// Those of getrandom(2).
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
        // Up to 256 bytes come whole or not at all. A signal during the wait is no failure.
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
