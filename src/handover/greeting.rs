//! The first frame of a hand-over, by which a successor finds its predecessor.

use std::os::fd::RawFd;

/// The descriptor at which a successor finds the channel: the first one after the standard streams.
pub const CHANNEL_DESCRIPTOR: RawFd = 3;

/// Set in the environment of a successor by servers of format 1.
pub const OLD_VARIABLE: &str = "MILLRACE_SUCCESSOR";

/// The format of all frames; changes when one does.
const FORMAT: u32 = 2;
/// The first bytes of the greeting.
pub const MAGIC: &[u8; 8] = b"millrace";

/// Writes the greeting: the magic, the format, the number of workers.
pub fn write_hello(workers: usize) -> Vec<u8> {
    let mut hello = MAGIC.to_vec();
    hello.extend_from_slice(&FORMAT.to_le_bytes());
    hello.extend_from_slice(&(workers as u32).to_le_bytes());
    hello
}

/// Reads the greeting; returns the number of workers, or a message for the operator.
pub fn read_hello(content: &[u8]) -> Result<usize, String> {
    let numbers = content.strip_prefix(MAGIC).and_then(|rest| rest.split_first_chunk::<4>());
    let Some((&format, rest)) = numbers else {
        return Err("this is no hand-over of millrace".to_owned());
    };
    match (u32::from_le_bytes(format), <[u8; 4]>::try_from(rest)) {
        (FORMAT, Ok(workers)) => Ok(u32::from_le_bytes(workers) as usize),
        (format, _) => Err(format!(
            "the running server hands over in format {format}, the new program takes {FORMAT}: stop the one and start the other"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_format_is_told_so() {
        let mut hello = write_hello(7);
        assert_eq!(read_hello(&hello), Ok(7));
        assert!(read_hello(&hello[..10]).is_err());
        hello[8] += 1;
        assert!(read_hello(&hello).unwrap_err().contains("stop the one"));
        assert!(read_hello(b"GET / HT").is_err());
    }
}
