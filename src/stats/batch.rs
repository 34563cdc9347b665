//! Events that a worker has accepted and not yet published, in groups.
//!
//! A *group* is one request: it has one or more events and gets one verdict. Nearly all groups have
//! one event. So an event is a group of its own unless it is marked as one that follows the event
//! before it, and a batch without such marks is counted without looking for groups.
//!
//! The bytes of a request are overwritten before its batch is published. So the batch copies each id, one
//! behind another, and hashes it while it is in the cache. Nothing here is shared.

use std::ops::Range;

use crate::limits::{BATCH_EVENTS_KEPT_MAX, BATCH_EVENTS_MAX, USER_ID_BYTES_MAX};

/// Holds events in the order of their arrival.
pub(super) struct Batch {
    events: Vec<StagedEvent>,
    /// How many of the events follow the one before in its group.
    followers: usize,
    /// The bytes of the ids, one behind another, then room; all of it is initialized.
    ids: Box<[u8]>,
    ids_used: usize,
}

/// A staged event.
#[derive(Clone, Copy)]
pub(super) struct StagedEvent {
    hash: u64,
    pub value: f64,
    /// Where the id ends in `ids`; it begins where the one before ends.
    id_end: u32,
    /// Whether it belongs to the group of the event before it.
    follows: bool,
}

impl Batch {
    /// Returns an empty batch.
    pub fn new() -> Self {
        Batch {
            events: Vec::with_capacity(BATCH_EVENTS_MAX),
            followers: 0,
            ids: vec![0; IDS_BYTES].into_boxed_slice(),
            ids_used: 0,
        }
    }

    /// Returns the number of events.
    #[inline]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Returns the number of groups.
    #[inline]
    pub fn group_count(&self) -> usize {
        self.events.len() - self.followers
    }

    /// Returns whether each event is a group of its own.
    #[inline]
    pub fn is_single(&self) -> bool {
        self.followers == 0
    }

    /// Adds an event that is a group of its own, or the first of one. Its id has 1 to 256 bytes.
    #[inline(always)]
    pub fn push(&mut self, hash: u64, id: &[u8], value: f64) {
        self.push_event(hash, id, value, false);
    }

    /// Adds an event to the group of the one before.
    #[inline(always)]
    pub fn push_follower(&mut self, hash: u64, id: &[u8], value: f64) {
        self.push_event(hash, id, value, true);
        self.followers += 1;
    }

    #[inline(always)]
    fn push_event(&mut self, hash: u64, id: &[u8], value: f64, follows: bool) {
        debug_assert!((1..=USER_ID_BYTES_MAX).contains(&id.len()) && value.is_finite());
        let (start, end) = (self.ids_used, self.ids_used + id.len());
        match self.ids.get_mut(start..end) {
            Some(room) => copy_short(id, room),
            None => self.grow_for(id),
        }
        self.ids_used = end;
        self.events.push(StagedEvent { hash, value, id_end: end as u32, follows });
    }

    /// Forgets the last group.
    pub fn pop_group(&mut self) {
        self.truncate(self.group_count().saturating_sub(1));
    }

    /// Forgets all groups but the first `groups`.
    pub fn truncate(&mut self, groups: usize) {
        if groups < self.group_count() {
            let events = self.groups().nth(groups).map_or(0, |group| group.start);
            self.events.truncate(events);
            self.followers = events - groups;
            self.ids_used = self.ids_end(events);
        }
    }

    /// Forgets everything. Memory that an unusually large group needed is given back.
    #[inline]
    pub fn clear(&mut self) {
        self.events.clear();
        self.followers = 0;
        self.ids_used = 0;
        if self.events.capacity() > BATCH_EVENTS_KEPT_MAX
            || self.ids.len() > BATCH_EVENTS_KEPT_MAX * ID_BYTES_USUAL
        {
            *self = Batch::new();
        }
    }

    /// Returns some events.
    #[inline]
    pub fn events(&self, events: Range<usize>) -> &[StagedEvent] {
        &self.events[events]
    }

    /// Returns the hashes of the ids of some events.
    #[inline]
    pub fn hashes(&self, events: Range<usize>) -> impl Iterator<Item = u64> {
        self.events[events].iter().map(|event| event.hash)
    }

    /// Returns the hash and the bytes of each id of some events.
    #[inline(always)]
    pub fn ids(&self, events: Range<usize>) -> impl Iterator<Item = (u64, &[u8])> + Clone {
        let mut start = self.ids_end(events.start);
        self.events[events].iter().map(move |event| {
            let end = event.id_end as usize;
            let id = &self.ids[start..end];
            start = end;
            (event.hash, id)
        })
    }

    /// Returns the hash and the bytes of the id of one event.
    #[inline]
    pub fn id(&self, event: usize) -> (u64, &[u8]) {
        let staged = &self.events[event];
        (staged.hash, &self.ids[self.ids_end(event)..staged.id_end as usize])
    }

    /// Returns which events each group has.
    pub fn groups(&self) -> impl Iterator<Item = Range<usize>> {
        let mut start = 0;
        std::iter::from_fn(move || {
            let followers = self.events.get(start + 1..)?.iter().take_while(|event| event.follows);
            let group = start..start + 1 + followers.count();
            start = group.end;
            Some(group)
        })
    }

    /// Returns where the ids of the first `events` events end.
    #[inline]
    fn ids_end(&self, events: usize) -> usize {
        events.checked_sub(1).map_or(0, |last| self.events[last].id_end as usize)
    }

    /// Doubles the room and copies `id` into it.
    #[cold]
    #[inline(never)]
    fn grow_for(&mut self, id: &[u8]) {
        let mut longer = std::mem::take(&mut self.ids).into_vec();
        longer.resize(2 * longer.len(), 0);
        longer[self.ids_used..][..id.len()].copy_from_slice(id);
        self.ids = longer.into_boxed_slice();
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

/// Bytes of a usual id, for the first size of `ids`.
const ID_BYTES_USUAL: usize = 32;
const IDS_BYTES: usize = BATCH_EVENTS_MAX * ID_BYTES_USUAL;
// Doubling makes room for the longest id.
const _: () = assert!(IDS_BYTES >= USER_ID_BYTES_MAX);

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
            let ids: Vec<_> = batch.ids(0..2).collect();
            assert_eq!(ids, [(1, &bytes[..length]), (2, &bytes[bytes.len() - length..])]);
            assert!(batch.ids(1..2).eq([(2, &bytes[bytes.len() - length..])]));
        }
    }

    #[test]
    fn grows_and_is_used_again() {
        let mut batch = Batch::new();
        for count in [3, 5 * BATCH_EVENTS_MAX, 7] {
            for i in 0..count {
                batch.push(i as u64, &[i as u8; USER_ID_BYTES_MAX], i as f64);
            }
            assert_eq!((batch.len(), batch.group_count()), (count, count));
            for (i, (hash, id)) in batch.ids(0..count).enumerate() {
                assert_eq!(id, [i as u8; USER_ID_BYTES_MAX]);
                assert_eq!(hash, i as u64);
            }
            let values = batch.events(0..count).iter().map(|event| event.value);
            assert!(values.eq((0..count).map(|i| i as f64)));
            batch.clear();
            assert_eq!((batch.len(), batch.group_count()), (0, 0));
        }
    }

    #[test]
    fn a_large_group_does_not_hold_memory_for_ever() {
        let mut batch = Batch::new();
        batch.push(0, b"id", 0.0);
        (0..BATCH_EVENTS_KEPT_MAX).for_each(|_| batch.push_follower(0, b"id", 0.0));
        batch.clear();
        assert!(batch.events.capacity() < BATCH_EVENTS_KEPT_MAX && batch.ids.len() == IDS_BYTES);
    }

    #[test]
    fn groups_of_any_size_are_told_apart() {
        let mut batch = Batch::new();
        let mut expected = Vec::new();
        for (number, size) in [1, 1, 3, 1, 2, 2, 1].into_iter().enumerate() {
            let start = batch.len();
            batch.push(0, b"id", number as f64);
            (1..size).for_each(|_| batch.push_follower(0, b"id", number as f64));
            expected.push(start..start + size);
            assert!(batch.groups().eq(expected.iter().cloned()));
            assert_eq!(batch.group_count(), expected.len());
        }
        batch.push(0, b"abandoned", 9.0);
        batch.push_follower(0, b"abandoned", 9.0);
        batch.pop_group();
        while !expected.is_empty() {
            assert!(batch.groups().eq(expected.iter().cloned()));
            assert_eq!(batch.len(), expected.last().map_or(0, |group| group.end));
            expected.pop();
            batch.truncate(expected.len());
            assert_eq!(batch.group_count(), expected.len());
        }
        batch.push(0, b"again", 1.0);
        assert!(batch.is_single() && batch.groups().eq(std::iter::once(0..1)));
        assert!(batch.ids(0..1).eq([(0, &b"again"[..])]));
    }
}
