//! Connections by number: slots that are reused, and keys that outlive them safely.
//!
//! A batch of readiness events can hold one for a connection that an earlier event of the batch
//! closed, and whose slot was given to a fresh one since. So a key carries the generation of its
//! slot, and a stale key finds nothing.

/// Values in numbered slots.
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// A slot's number and its generation; fits a mio token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The number of the slot, counted from 0.
    pub index: u32,
    generation: u32,
}

impl Key {
    /// The key as one number, and back.
    pub fn to_token(self) -> mio::Token {
        const { assert!(usize::BITS >= u64::BITS, "a token holds an index and a generation") };
        mio::Token(self.index as usize | (self.generation as usize) << u32::BITS)
    }

    /// The key of a token made by [`to_token`](Self::to_token).
    pub fn of_token(token: mio::Token) -> Self {
        Key { index: token.0 as u32, generation: (token.0 >> u32::BITS) as u32 }
    }
}

impl<T> Slab<T> {
    /// No slots.
    pub fn new() -> Self {
        Slab { slots: Vec::new(), free: Vec::new() }
    }

    /// Values present.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts the value into the slot that was freed last, so that few slots are warm.
    pub fn insert(&mut self, value: T) -> Key {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, value: None });
            // Token values at the top are taken by the listener and the waker.
            u32::try_from(self.slots.len() - 1).expect("descriptors are fewer than slots")
        });
        let slot = &mut self.slots[index as usize];
        slot.value = Some(value);
        Key { index, generation: slot.generation }
    }

    /// Returns the key that the next inserted value will have.
    pub fn next_key(&self) -> Key {
        let index = self.free.last().copied().unwrap_or(self.slots.len() as u32);
        let generation = self.slots.get(index as usize).map_or(0, |slot| slot.generation);
        Key { index, generation }
    }

    /// The value, unless it has been removed.
    #[inline]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation == key.generation { slot.value.as_mut() } else { None }
    }

    /// Takes the value out and frees its slot.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let value = self
            .slots
            .get_mut(key.index as usize)
            .filter(|slot| slot.generation == key.generation)?
            .value
            .take()?;
        // The generation is 30 bits wide so that no key looks like one of the reserved tokens.
        let slot = &mut self.slots[key.index as usize];
        slot.generation = (slot.generation + 1) & (u32::MAX >> 2);
        self.free.push(key.index);
        Some(value)
    }

    /// The key of what is in a slot now.
    pub fn key_at(&self, index: u32) -> Option<Key> {
        let slot = self.slots.get(index as usize)?;
        slot.value.as_ref().map(|_| Key { index, generation: slot.generation })
    }

    /// The keys of all values.
    pub fn keys(&self) -> Vec<Key> {
        (0..self.slots.len() as u32).filter_map(|index| self.key_at(index)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing_in_a_reused_slot() {
        let mut slab = Slab::new();
        let first = slab.insert("first");
        assert_eq!(slab.remove(first), Some("first"));
        let next = slab.next_key();
        let second = slab.insert("second");
        assert_eq!(second, next);
        assert_eq!(slab.next_key(), Key { index: 1, generation: 0 });
        assert_eq!(first.index, second.index);
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get_mut(second), Some(&mut "second"));
        assert_eq!((slab.len(), slab.keys()), (1, vec![second]));
    }

    #[test]
    fn a_key_survives_being_a_token() {
        let key = Key { index: 7, generation: u32::MAX >> 2 };
        assert_eq!(Key::of_token(key.to_token()), key);
    }
}
