//! How often one place in the code may log.
//!
//! Time is cut into windows of [`LOG_WINDOW_S`] seconds. In each of them, a place may write
//! [`LOG_LINES_PER_SITE_MAX`] lines; a place is identified by the address of its `Location`, so it needs
//! no name. Suppressed lines are counted, and the next line of the same place shows the count. If the
//! place never writes again, the count is not shown.
//!
//! There is no lock: a slot is claimed once with a compare-and-swap, and window and count share one
//! word.

use std::panic::Location;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::limits::{LOG_LINES_PER_SITE_MAX, LOG_WINDOW_S};

/// The places that have logged so far.
pub(super) struct Sites {
    slots: [Slot; SLOT_COUNT],
}

/// More than the number of places that log. If there are more one day, the late ones share the last
/// slot, and with it their allowance.
const SLOT_COUNT: usize = 256;

struct Slot {
    /// The address of the place's `Location`; 0 while the slot is free.
    site: AtomicUsize,
    /// The number of the window in the upper half, the lines written or dropped in it in the lower half.
    usage: AtomicU64,
}

impl Sites {
    pub(super) const fn new() -> Self {
        Self { slots: [const { Slot::free() }; SLOT_COUNT] }
    }

    /// Returns `None` if `site` must not write a line at `unix_s`, otherwise the number of its lines that
    /// were suppressed since the last one.
    pub(super) fn admit(&self, site: &'static Location<'static>, unix_s: u64) -> Option<u32> {
        self.slot(std::ptr::from_ref(site).addr()).admit((unix_s / LOG_WINDOW_S) as u32)
    }

    fn slot(&self, site: usize) -> &Slot {
        self.slots[..SLOT_COUNT - 1]
            .iter()
            .find(|slot| {
                // Only the address itself is shared, no memory behind it: `Relaxed` is enough.
                match slot.site.compare_exchange(0, site, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => true,
                    Err(owner) => owner == site,
                }
            })
            .unwrap_or(&self.slots[SLOT_COUNT - 1])
    }
}

impl Slot {
    const fn free() -> Self {
        Self { site: AtomicUsize::new(0), usage: AtomicU64::new(0) }
    }

    fn admit(&self, window: u32) -> Option<u32> {
        let next = |usage| match unpack(usage) {
            (same, count) if same == window => pack(window, count.saturating_add(1)),
            _ => pack(window, 1),
        };
        let previous = self
            .usage
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |usage| Some(next(usage)));
        let previous = previous.unwrap_or_else(|usage| usage);
        match unpack(previous) {
            (same, count) if same == window => (count < LOG_LINES_PER_SITE_MAX).then_some(0),
            (_, count) => Some(count.saturating_sub(LOG_LINES_PER_SITE_MAX)),
        }
    }
}

const fn pack(window: u32, count: u32) -> u64 {
    (window as u64) << 32 | count as u64
}

const fn unpack(usage: u64) -> (u32, u32) {
    ((usage >> 32) as u32, usage as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    const MAX: u32 = LOG_LINES_PER_SITE_MAX;

    #[test]
    fn each_window_has_an_allowance_and_shows_what_the_last_one_suppressed() {
        let sites = Sites::new();
        let (here, there) = (Location::caller(), other_place());
        let ask = |site, unix_s, times: u32| {
            (0..times).filter_map(|_| sites.admit(site, unix_s)).collect::<Vec<_>>()
        };
        let start = 1_000 * LOG_WINDOW_S;
        assert_eq!(ask(here, start, MAX), vec![0; MAX as usize]);
        assert!(ask(here, start + LOG_WINDOW_S - 1, 7).is_empty());
        assert_eq!(ask(there, start, 1), [0], "another place has its own allowance");
        assert_eq!(ask(here, start + LOG_WINDOW_S, 2), [7, 0], "told once");
        assert_eq!(ask(here, start, 1), [0], "a clock set back opens a window too");
    }

    #[test]
    fn places_beyond_the_table_share_its_last_slot() {
        let sites = Sites::new();
        for address in 1..SLOT_COUNT {
            assert!(std::ptr::eq(sites.slot(address), &raw const sites.slots[address - 1]));
        }
        for address in [SLOT_COUNT, SLOT_COUNT + 1] {
            assert!(std::ptr::eq(sites.slot(address), &raw const sites.slots[SLOT_COUNT - 1]));
        }
        assert!(std::ptr::eq(sites.slot(3), &raw const sites.slots[2]), "found again");
    }

    #[test]
    fn threads_together_get_no_more_than_the_allowance() {
        let sites = Sites::new();
        let site = Location::caller();
        let admitted: usize = thread::scope(|scope| {
            let ask = || (0..1_000).filter_map(|_| sites.admit(site, 5)).count();
            let threads = [scope.spawn(ask), scope.spawn(ask), scope.spawn(ask)];
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(admitted, MAX as usize);
    }

    fn other_place() -> &'static Location<'static> {
        Location::caller()
    }
}
