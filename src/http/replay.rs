//! The bytes by which an exchange goes on elsewhere: in a fresh connection, in this process or another.
//!
//! A chunked body is decoded where it lies, and must be coded again to move. Only the line before its
//! content and the bytes behind it are new, so a content of many bytes is not copied.

/// Bytes in parts, of which the long ones are the memory in which they were received.
#[derive(Debug, Default)]
pub struct Replay {
    kept: Vec<u8>,
    /// Where in `kept` the bytes of `between` belong.
    between_at: usize,
    between: Vec<u8>,
    after: Vec<u8>,
}

impl Replay {
    /// Puts `between` into `kept` at a place, and `after` behind it.
    ///
    /// # Panics
    /// If `kept` has no such place.
    pub fn new(kept: Vec<u8>, between_at: usize, between: Vec<u8>, after: Vec<u8>) -> Replay {
        assert!(between_at <= kept.len());
        Replay { kept, between_at, between, after }
    }

    /// Returns the number of bytes.
    pub fn len(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    /// Returns whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bytes in the order in which they are to be read.
    pub fn parts(&self) -> [&[u8]; 4] {
        let (before, behind) = self.kept.split_at(self.between_at);
        [before, &self.between, behind, &self.after]
    }

    /// Returns the bytes in one piece; without a copy if they are the bytes that were received.
    pub fn into_bytes(self) -> Vec<u8> {
        if self.between.is_empty() && self.after.is_empty() {
            self.kept
        } else {
            self.parts().concat()
        }
    }
}

impl From<Vec<u8>> for Replay {
    fn from(kept: Vec<u8>) -> Replay {
        Replay { kept, ..Replay::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_in_their_order() {
        let replay = Replay::new(b"headcontent".to_vec(), 4, b"7\r\n".to_vec(), b"\r".to_vec());
        assert_eq!((replay.len(), replay.parts().concat()), (15, b"head7\r\ncontent\r".to_vec()));
        assert_eq!(replay.into_bytes(), b"head7\r\ncontent\r");
        let kept = b"as it is".to_vec();
        let address = kept.as_ptr();
        let bytes = Replay::from(kept).into_bytes();
        assert_eq!((bytes.as_ptr(), &bytes[..]), (address, &b"as it is"[..]));
        assert!(Replay::default().is_empty());
    }
}
