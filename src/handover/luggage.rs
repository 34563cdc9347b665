//! The connections that move, and the bytes that they hold.
//!
//! All workers stand still from the moment when the connections leave the server until the successor
//! serves. Few bytes may travel in between, also when clients have sent many. A connection
//! travels *early* if it holds few bytes: with others, in a frame, before the successor serves. All
//! others travel *late*: after the successor serves, one by one, those with few bytes first. No client
//! of a late connection notices more than a slower request, since it holds part of a request that is
//! not complete, or answers that its client does not read.
//!
//! ```text
//! Connections   for each: bytes held (8), bytes unsent (8), the bytes themselves   │ sockets
//! Late          bytes held (8), bytes unsent (8)                                   │ socket
//! Bytes         the bytes held, then the bytes unsent, in as many frames as needed
//! ```

use std::os::fd::OwnedFd;

use crate::limits::{
    HANDOVER_EARLY_BYTES_MAX, HANDOVER_EARLY_CONNECTION_BYTES_MAX, HANDOVER_FRAME_BYTES_MAX,
};
use crate::server::{Departed, Moved};
use crate::sys::passing::DESCRIPTORS_PER_MESSAGE_MAX;

/// Bytes of the two lengths.
const LENGTHS_BYTES: usize = 16;
// The longest frame of early connections.
const _: () = assert!(
    DESCRIPTORS_PER_MESSAGE_MAX * (LENGTHS_BYTES + HANDOVER_EARLY_CONNECTION_BYTES_MAX)
        <= HANDOVER_FRAME_BYTES_MAX
);

/// Divides connections into those that travel early and those that travel late, the latter in the
/// order of their bytes.
pub fn divide(connections: Vec<Moved>) -> (Vec<Moved>, Vec<Moved>) {
    let mut early_bytes = 0;
    let is_early = |moved: &Moved| {
        let bytes = bytes_of(moved);
        let fits = bytes <= HANDOVER_EARLY_CONNECTION_BYTES_MAX
            && early_bytes + bytes <= HANDOVER_EARLY_BYTES_MAX;
        early_bytes += if fits { bytes } else { 0 };
        fits
    };
    let (early, mut late): (Vec<_>, Vec<_>) = connections.into_iter().partition(is_early);
    late.sort_by_key(bytes_of);
    (early, late)
}

fn bytes_of(moved: &Moved) -> usize {
    moved.held.len() + moved.unsent.len()
}

/// Writes the content of a frame of early connections.
pub fn write_early(connections: &[Moved]) -> Vec<u8> {
    let mut content = Vec::new();
    for moved in connections {
        content.extend_from_slice(&write_lengths(moved));
        moved.held.parts().into_iter().for_each(|part| content.extend_from_slice(part));
        content.extend_from_slice(&moved.unsent);
    }
    content
}

/// Reads a frame of early connections; `None` if the bytes do not fit the sockets.
pub fn read_early(mut content: &[u8], sockets: Vec<OwnedFd>) -> Option<Vec<Moved>> {
    let mut read = |socket| {
        let ([held_bytes, unsent_bytes], rest) = read_lengths(content)?;
        let (held, rest) = rest.split_at_checked(held_bytes)?;
        let (unsent, rest) = rest.split_at_checked(unsent_bytes)?;
        content = rest;
        Some(Moved { socket, held: held.to_vec().into(), unsent: unsent.to_vec() })
    };
    let connections = sockets.into_iter().map(&mut read).collect::<Option<_>>();
    connections.filter(|_| content.is_empty())
}

/// The sockets of the servers for clients and for operators, on their way to a successor or back.
#[derive(Debug, Default)]
pub struct Doors {
    /// What the server for clients gave up.
    pub clients: Departed,
    /// What the server for operators gave up; nothing if there is none.
    pub operators: Departed,
}

/// Returns the two lengths of a connection, as they stand before its bytes.
pub fn write_lengths(moved: &Moved) -> [u8; LENGTHS_BYTES] {
    let [held, unsent] = [moved.held.len(), moved.unsent.len()].map(|length| length as u64);
    (u128::from(held) | u128::from(unsent) << 64).to_le_bytes()
}

fn read_lengths(content: &[u8]) -> Option<([usize; 2], &[u8])> {
    let (lengths, rest) = content.split_first_chunk::<LENGTHS_BYTES>()?;
    let lengths = u128::from_le_bytes(*lengths);
    let [held, unsent] = [lengths as u64, (lengths >> 64) as u64].map(usize::try_from);
    Some(([held.ok()?, unsent.ok()?], rest))
}

/// Returns the bytes of a late connection, in pieces of a frame each.
pub fn pieces(moved: &Moved) -> impl Iterator<Item = &[u8]> {
    let parts = moved.held.parts().into_iter().chain([&moved.unsent[..]]);
    parts.flat_map(|part| part.chunks(HANDOVER_FRAME_BYTES_MAX))
}

/// A late connection that is arriving.
pub struct Arriving {
    socket: OwnedFd,
    /// What it holds and what it has not sent; `None` if there is no memory for it.
    parts: Option<[Vec<u8>; 2]>,
    /// Bytes of each part that are still to come.
    missing: [usize; 2],
}

impl Arriving {
    /// Begins with the content of the first frame; `None` if that is malformed.
    pub fn begin(content: &[u8], socket: OwnedFd) -> Option<Arriving> {
        let (missing, []) = read_lengths(content)? else { return None };
        let [mut held, mut unsent] = [Vec::new(), Vec::new()];
        let reserved =
            held.try_reserve_exact(missing[0]).and_then(|()| unsent.try_reserve_exact(missing[1]));
        let parts = reserved.is_ok().then_some([held, unsent]);
        Some(Arriving { socket, parts, missing })
    }

    /// Takes the next piece; false if it is longer than what is missing.
    pub fn take(&mut self, piece: &[u8]) -> bool {
        let [held, unsent] = &mut self.missing;
        let (part, missing) = if *held > 0 { (0, held) } else { (1, unsent) };
        if piece.len() > *missing {
            return false;
        }
        *missing -= piece.len();
        if let Some(parts) = &mut self.parts {
            parts[part].extend_from_slice(piece);
        }
        true
    }

    /// Returns whether all pieces have come.
    pub fn is_complete(&self) -> bool {
        self.missing == [0, 0]
    }

    /// Returns the connection, if there is memory for it.
    pub fn finish(self) -> Option<Moved> {
        let [held, unsent] = self.parts?;
        Some(Moved { socket: self.socket, held: held.into(), unsent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn moved(held: &[u8], unsent: &[u8]) -> Moved {
        let socket = UnixStream::pair().unwrap().0.into();
        Moved { socket, held: held.to_vec().into(), unsent: unsent.to_vec() }
    }

    fn sockets(count: usize) -> Vec<OwnedFd> {
        (0..count).map(|_| UnixStream::pair().unwrap().0.into()).collect()
    }

    fn bytes(moved: &Moved) -> (Vec<u8>, Vec<u8>) {
        (moved.held.parts().concat(), moved.unsent.clone())
    }

    #[test]
    fn early_connections_arrive_as_they_left() {
        let connections = [moved(b"", b""), moved(b"POST /ev", b""), moved(b"x", b"HTTP/1.1 2")];
        let content = write_early(&connections);
        let read = read_early(&content, sockets(3)).unwrap();
        assert!(read.iter().map(bytes).eq(connections.iter().map(bytes)));
        assert!(read_early(&content[..content.len() - 1], sockets(3)).is_none());
        assert!(read_early(&content, sockets(2)).is_none());
        assert!(read_early(&[255; 16], sockets(1)).is_none());
    }

    #[test]
    fn late_connections_arrive_as_they_left() {
        let long: Vec<u8> = (0..HANDOVER_FRAME_BYTES_MAX * 2 + 3).map(|i| i as u8).collect();
        for (held, unsent) in [(&long[..], &b"y"[..]), (b"x", &long), (b"", b"y"), (b"x", b"")] {
            let from = moved(held, unsent);
            let mut arriving =
                Arriving::begin(&write_lengths(&from), sockets(1).remove(0)).unwrap();
            for piece in pieces(&from) {
                assert!(!arriving.is_complete() && arriving.take(piece));
            }
            assert!(arriving.is_complete());
            assert_eq!(bytes(&arriving.finish().unwrap()), bytes(&from));
        }
        let lengths = write_lengths(&moved(b"ab", b"c"));
        assert!(!Arriving::begin(&lengths, sockets(1).remove(0)).unwrap().take(b"abc"));
        assert!(Arriving::begin(b"short", sockets(1).remove(0)).is_none());
        let mut huge = Arriving::begin(&[0x7f; 16], sockets(1).remove(0)).unwrap();
        assert!(huge.take(b"abc") && !huge.is_complete() && huge.finish().is_none());
    }

    #[test]
    fn few_bytes_travel_early() {
        let small = HANDOVER_EARLY_CONNECTION_BYTES_MAX;
        let sizes = [0, small + 1, small, 100_000, 3];
        let (early, late) = divide(sizes.map(|size| moved(&vec![0; size], b"")).into());
        assert!(early.iter().map(bytes_of).eq([0, small, 3]));
        assert!(late.iter().map(bytes_of).eq([small + 1, 100_000]));
        let many = HANDOVER_EARLY_BYTES_MAX / small + 5;
        let (early, late) = divide((0..many).map(|_| moved(&vec![0; small], b"")).collect());
        assert_eq!((early.len(), late.len()), (many - 5, 5));
    }
}
