//! Events a worker has accepted and not yet published.
//!
//! A request's bytes are gone before the batch is published, so ids are copied, one after another,
//! and hashed while they are near. Nothing here is shared.

use crate::limits::USER_ID_BYTES_MAX;

/// Events of one batch: enough that a section's cost is spread thin, few enough that a section,
/// which a reader may wait for, lasts some microseconds.
pub const BATCH_EVENTS_MAX: usize = 64;

/// Up to [`BATCH_EVENTS_MAX`] events in the order of their arrival.
pub(super) struct Batch {
    count: usize,
    values: [f64; BATCH_EVENTS_MAX],
    hashes: [u64; BATCH_EVENTS_MAX],
    /// Where each id ends in `ids`; the first begins at 0.
    ends: [u16; BATCH_EVENTS_MAX],
    ids: [u8; IDS_BYTES_MAX],
}

impl Batch {
    /// On the heap, since it is large; only what is used of it is touched.
    pub fn new() -> Box<Self> {
        Box::new(Batch {
            count: 0,
            values: [0.0; BATCH_EVENTS_MAX],
            hashes: [0; BATCH_EVENTS_MAX],
            ends: [0; BATCH_EVENTS_MAX],
            ids: [0; IDS_BYTES_MAX],
        })
    }

    pub fn len(&self) -> usize {
        self.count
    }

    /// Adds an event. There must be room for it.
    #[inline(always)]
    pub fn push(&mut self, hash: u64, id: &[u8], value: f64) {
        let index = self.count;
        assert!(index < BATCH_EVENTS_MAX, "a full batch is to be published first");
        assert!((1..=USER_ID_BYTES_MAX).contains(&id.len()));
        debug_assert!(value.is_finite());
        let start = self.id_start(index);
        let end = start + id.len();
        copy_short(id, &mut self.ids[start..end]);
        self.ends[index] = end as u16;
        self.hashes[index] = hash;
        self.values[index] = value;
        self.count = index + 1;
    }

    pub fn values(&self) -> &[f64] {
        &self.values[..self.count]
    }

    pub fn hashes(&self) -> &[u64] {
        &self.hashes[..self.count]
    }

    /// The hash and the bytes of each id.
    #[inline(always)]
    pub fn ids(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut start = 0;
        self.hashes().iter().zip(&self.ends).map(move |(&hash, &end)| {
            let id = &self.ids[start..usize::from(end)];
            start = usize::from(end);
            (hash, id)
        })
    }

    pub fn clear(&mut self) {
        self.count = 0;
    }

    #[inline]
    fn id_start(&self, index: usize) -> usize {
        match index {
            0 => 0,
            _ => usize::from(self.ends[index - 1]),
        }
    }
}

/// Copies `id` to a slice of its length; without a call where it has 8 to 16 bytes, as most have: its
/// first and its last 8 may overlap.
#[inline(always)]
fn copy_short(id: &[u8], to: &mut [u8]) {
    match (id.first_chunk::<8>(), id.last_chunk::<8>()) {
        (Some(first), Some(last)) if id.len() <= 16 => {
            to[..8].copy_from_slice(first);
            let last_at = to.len() - 8;
            to[last_at..].copy_from_slice(last);
        }
        _ => to.copy_from_slice(id),
    }
}

const IDS_BYTES_MAX: usize = BATCH_EVENTS_MAX * USER_ID_BYTES_MAX;
const _: () = assert!(IDS_BYTES_MAX <= u16::MAX as usize);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn holds_ids_of_every_length() {
        let bytes: Vec<u8> = (1..=USER_ID_BYTES_MAX).map(|i| (i * 7) as u8).collect();
        for length in 1..=bytes.len() {
            let mut batch = Batch::new();
            batch.push(1, &bytes[..length], 1.0);
            batch.push(2, &bytes[bytes.len() - length..], 2.0);
            let ids: Vec<_> = batch.ids().collect();
            assert_eq!(ids, [(1, &bytes[..length]), (2, &bytes[bytes.len() - length..])]);
        }
    }

    #[test]
    fn holds_the_longest_ids() {
        let mut batch = Batch::new();
        for round in 0..2_u8 {
            for i in 0..BATCH_EVENTS_MAX {
                batch.push(i as u64, &[round + i as u8; USER_ID_BYTES_MAX], i as f64);
            }
            for (i, (hash, id)) in batch.ids().enumerate() {
                assert_eq!(id, [round + i as u8; USER_ID_BYTES_MAX]);
                assert_eq!((hash, batch.values()[i]), (i as u64, i as f64));
            }
            batch.clear();
            assert_eq!((batch.len(), batch.values()), (0, &[][..]));
        }
    }
}
