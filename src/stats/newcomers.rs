//! The events of one batch whose ids are new: each new id once.
//!
//! A batch of many new users asks for each id whether it came before in the batch. A small table with
//! open addressing answers that; its entries carry the number of their batch, so that clearing it
//! costs nothing.

use super::batch::Batch;

/// Events whose ids are new, in the order of the batch.
pub(super) struct Newcomers {
    events: Vec<u32>,
    /// A power of two of entries, at least twice as many as `events`.
    table: Vec<Entry>,
    /// The number of the present batch; never 0.
    batch: u32,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    batch: u32,
    event: u32,
}

const TABLE_ENTRIES_MIN: usize = 256;

impl Newcomers {
    /// Returns an empty list.
    pub fn new() -> Newcomers {
        Newcomers { events: Vec::new(), table: vec![Entry::default(); TABLE_ENTRIES_MIN], batch: 1 }
    }

    /// Begins a new batch.
    pub fn clear(&mut self) {
        self.events.clear();
        self.batch = self.batch.wrapping_add(1);
        if self.batch == 0 {
            self.table.fill(Entry::default());
            self.batch = 1;
        }
    }

    /// Returns the number of events.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns an event by its number in this list.
    pub fn event(&self, index: usize) -> usize {
        self.events[index] as usize
    }

    /// Returns the events.
    pub fn events(&self) -> impl Iterator<Item = usize> {
        self.events.iter().map(|&event| event as usize)
    }

    /// Returns whether an event in this list has this id.
    pub fn has(&self, hash: u64, id: &[u8], batch: &Batch) -> bool {
        if self.events.is_empty() {
            return false;
        }
        let mut at = self.start(hash);
        while self.table[at].batch == self.batch {
            if batch.id(self.table[at].event as usize) == (hash, id) {
                return true;
            }
            at = self.next(at);
        }
        false
    }

    /// Adds an event whose id no event in this list has.
    pub fn add(&mut self, event: u32, batch: &Batch) {
        self.events.push(event);
        if 2 * self.events.len() > self.table.len() {
            self.table = vec![Entry::default(); 2 * self.table.len()];
            (0..self.events.len()).for_each(|index| self.enter(index, batch));
        } else {
            self.enter(self.events.len() - 1, batch);
        }
    }

    /// Forgets the events from number `length` on.
    pub fn truncate(&mut self, length: usize, batch: &Batch) {
        while self.events.len() > length {
            let Some(event) = self.events.pop() else { return };
            // The last one that was entered: no other entry was put aside because of it.
            let (hash, _) = batch.id(event as usize);
            let mut at = self.start(hash);
            while self.table[at].event != event || self.table[at].batch != self.batch {
                at = self.next(at);
            }
            self.table[at] = Entry::default();
        }
    }

    fn enter(&mut self, index: usize, batch: &Batch) {
        let event = self.events[index];
        let mut at = self.start(batch.id(event as usize).0);
        while self.table[at].batch == self.batch {
            at = self.next(at);
        }
        self.table[at] = Entry { batch: self.batch, event };
    }

    fn start(&self, hash: u64) -> usize {
        hash as usize & (self.table.len() - 1)
    }

    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.table.len() - 1)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_id_is_found_once_and_the_last_ones_can_be_forgotten() {
        for hash_bits in [0, 3, 64] {
            let mut batch = Batch::new();
            let hash = |i: u64| if hash_bits == 0 { 7 } else { i.wrapping_mul(0x9e37_79b9) };
            for i in 0..1_000_u64 {
                batch.push(hash(i % 400), &(i % 400).to_le_bytes(), 1.0);
            }
            let mut newcomers = Newcomers::new();
            for _ in 0..3 {
                newcomers.clear();
                let mut expected = HashSet::new();
                for event in 0..batch.len() {
                    let (hash, id) = batch.id(event);
                    let is_new = expected.insert(id.to_vec());
                    assert_eq!(newcomers.has(hash, id, &batch), !is_new, "{event}");
                    if is_new {
                        newcomers.add(event as u32, &batch);
                    }
                }
                assert_eq!(newcomers.len(), 400);
                newcomers.truncate(100, &batch);
                for event in 0..400 {
                    let (hash, id) = batch.id(event);
                    assert_eq!(newcomers.has(hash, id, &batch), event < 100, "{event}");
                }
            }
        }
    }
}
