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
    #[inline]
    pub fn push(&mut self, hash: u64, id: &[u8], value: f64) {
        assert!(self.count < BATCH_EVENTS_MAX, "a full batch is to be published first");
        assert!((1..=USER_ID_BYTES_MAX).contains(&id.len()));
        debug_assert!(value.is_finite());
        let start = self.id_start(self.count);
        let end = start + id.len();
        self.ids[start..end].copy_from_slice(id);
        self.ends[self.count] = end as u16;
        self.hashes[self.count] = hash;
        self.values[self.count] = value;
        self.count += 1;
    }

    pub fn values(&self) -> &[f64] {
        &self.values[..self.count]
    }

    pub fn hashes(&self) -> &[u64] {
        &self.hashes[..self.count]
    }

    #[inline]
    pub fn id(&self, index: usize) -> &[u8] {
        &self.ids[self.id_start(index)..usize::from(self.ends[index])]
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

const IDS_BYTES_MAX: usize = BATCH_EVENTS_MAX * USER_ID_BYTES_MAX;
const _: () = assert!(IDS_BYTES_MAX <= u16::MAX as usize);

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn holds_the_longest_ids() {
        let mut batch = Batch::new();
        for round in 0..2_u8 {
            for i in 0..BATCH_EVENTS_MAX {
                batch.push(i as u64, &[round + i as u8; USER_ID_BYTES_MAX], i as f64);
            }
            for i in 0..BATCH_EVENTS_MAX {
                assert_eq!(batch.id(i), [round + i as u8; USER_ID_BYTES_MAX]);
                assert_eq!((batch.hashes()[i], batch.values()[i]), (i as u64, i as f64));
            }
            batch.clear();
            assert_eq!((batch.len(), batch.values()), (0, &[][..]));
        }
    }
}
