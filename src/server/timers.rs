//! Time-outs of one worker's connections.
//!
//! Each class of time-out has one duration, so a list in the order of arming is sorted by deadline:
//! arming appends, expiring pops the front, and neither depends on how many connections wait. The
//! lists are threaded through an array indexed like the connections' slots, and nothing is
//! allocated.
//!
//! A busy connection would move to the back of the idle list with every request, and touch its
//! neighbours' cache lines for it. So it stays where it is while its last arming is younger than
//! [`REARM_GRANULARITY_MS`], and every deadline is late by that much: never early.

use std::time::Duration;

use crate::limits::REARM_GRANULARITY_MS;
use crate::sys::clock::Moment;

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The rest of a header section.
    Header,
    /// The rest of a body.
    Body,
    /// The next request.
    Idle,
    /// The peer to read its answers.
    Write,
    /// The peer to close, after the last answer.
    Linger,
}

const CLASS_COUNT: usize = 5;

/// The duration of each class.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Durations {
    pub header: Duration,
    pub body: Duration,
    pub idle: Duration,
    pub write: Duration,
    pub linger: Duration,
}

/// At most one armed time-out for each slot.
pub struct Timers {
    durations_ms: [u64; CLASS_COUNT],
    lists: [List; CLASS_COUNT],
    links: Vec<Link>,
}

#[derive(Clone, Copy)]
struct List {
    front: u32,
    back: u32,
}

#[derive(Clone, Copy)]
struct Link {
    previous: u32,
    next: u32,
    armed_at_ms: u64,
    class: Option<Class>,
}

/// No slot.
const NONE: u32 = u32::MAX;

impl Timers {
    /// No time-out is armed.
    pub fn new(durations: &Durations) -> Self {
        let Durations { header, body, idle, write, linger } = *durations;
        let to_ms = |duration: Duration| {
            u64::try_from(duration.as_millis())
                .unwrap_or(u64::MAX)
                .saturating_add(REARM_GRANULARITY_MS)
        };
        Timers {
            durations_ms: [header, body, idle, write, linger].map(to_ms),
            lists: [List { front: NONE, back: NONE }; CLASS_COUNT],
            links: Vec::new(),
        }
    }

    /// Starts the time-out of `class` for the slot, in place of any other. If the same class is
    /// armed already, it starts anew only with `restart`.
    #[inline]
    pub fn arm(&mut self, slot: u32, class: Class, restart: bool, now: Moment) {
        if let Some(link) = self.links.get(slot as usize)
            && link.class == Some(class)
            && (!restart || now.ms().saturating_sub(link.armed_at_ms) < REARM_GRANULARITY_MS)
        {
            return;
        }
        self.disarm(slot);
        self.append(slot, class, now);
    }

    /// Takes the slot's time-out back, if there is one.
    pub fn disarm(&mut self, slot: u32) {
        let Some(&Link { previous, next, class: Some(class), .. }) = self.links.get(slot as usize)
        else {
            return;
        };
        match previous {
            NONE => self.lists[class as usize].front = next,
            _ => self.links[previous as usize].next = next,
        }
        match next {
            NONE => self.lists[class as usize].back = previous,
            _ => self.links[next as usize].previous = previous,
        }
        self.links[slot as usize].class = None;
    }

    /// A slot whose time-out is over at `now`; it is disarmed.
    pub fn pop_expired(&mut self, now: Moment) -> Option<(u32, Class)> {
        let (slot, class, _) =
            self.fronts().find(|&(_, _, deadline_ms)| deadline_ms <= now.ms())?;
        self.disarm(slot);
        Some((slot, class))
    }

    /// How long from `now` until the next time-out is over; `None` if none is armed.
    pub fn next_in(&self, now: Moment) -> Option<Duration> {
        let deadline_ms = self.fronts().map(|(_, _, deadline_ms)| deadline_ms).min()?;
        Some(Duration::from_millis(deadline_ms.saturating_sub(now.ms())))
    }

    /// The front of each list that has one, with its deadline.
    fn fronts(&self) -> impl Iterator<Item = (u32, Class, u64)> + '_ {
        self.lists.iter().filter(|list| list.front != NONE).map(|list| {
            let link = &self.links[list.front as usize];
            let class = link.class.expect("what is in a list is armed");
            (list.front, class, link.armed_at_ms.saturating_add(self.durations_ms[class as usize]))
        })
    }

    fn append(&mut self, slot: u32, class: Class, now: Moment) {
        if self.links.len() <= slot as usize {
            let unarmed = Link { previous: NONE, next: NONE, armed_at_ms: 0, class: None };
            self.links.resize(slot as usize + 1, unarmed);
        }
        let list = &mut self.lists[class as usize];
        let previous = std::mem::replace(&mut list.back, slot);
        match previous {
            NONE => list.front = slot,
            _ => self.links[previous as usize].next = slot,
        }
        self.links[slot as usize] =
            Link { previous, next: NONE, armed_at_ms: now.ms(), class: Some(class) };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const DURATIONS: Durations = Durations {
        header: Duration::from_millis(10_000),
        body: Duration::from_millis(30_000),
        idle: Duration::from_millis(75_000),
        write: Duration::from_millis(30_000),
        linger: Duration::from_millis(2_000),
    };

    fn at(ms: u64) -> Moment {
        Moment::from_ms(ms)
    }

    #[test]
    fn a_time_out_is_never_early_and_hardly_late() {
        let mut timers = Timers::new(&DURATIONS);
        timers.arm(3, Class::Idle, true, at(1_000));
        timers.arm(3, Class::Idle, true, at(1_000 + REARM_GRANULARITY_MS - 1)); // too soon to move
        let armed_last = 1_000 + REARM_GRANULARITY_MS - 1;
        assert_eq!(timers.pop_expired(at(armed_last + 74_999)), None);
        assert_eq!(
            timers.pop_expired(at(armed_last + 75_000 + REARM_GRANULARITY_MS)),
            Some((3, Class::Idle))
        );
        assert_eq!(timers.next_in(at(0)), None);
    }

    #[test]
    fn a_class_that_goes_on_keeps_its_start() {
        let mut timers = Timers::new(&DURATIONS);
        timers.arm(0, Class::Header, true, at(0));
        timers.arm(0, Class::Header, false, at(9_000));
        assert_eq!(timers.pop_expired(at(10_000 + REARM_GRANULARITY_MS)), Some((0, Class::Header)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

        #[test]
        fn agrees_with_a_map_of_deadlines(steps in proptest::collection::vec((0u32..6, 0usize..7, 0u64..20_000), 0..60)) {
            let classes = [Class::Header, Class::Body, Class::Idle, Class::Write, Class::Linger];
            let mut timers = Timers::new(&DURATIONS);
            let mut model: BTreeMap<u32, (u64, usize)> = BTreeMap::new();
            let mut now = 0;
            for (slot, action, pause) in steps {
                now += pause;
                if action < CLASS_COUNT {
                    timers.disarm(slot);
                    timers.arm(slot, classes[action], true, at(now));
                    model.insert(slot, (now + timers.durations_ms[action], action));
                } else if action == CLASS_COUNT {
                    timers.disarm(slot);
                    model.remove(&slot);
                } else {
                    while let Some((slot, class)) = timers.pop_expired(at(now)) {
                        let (deadline, armed) = model.remove(&slot).unwrap();
                        prop_assert!(deadline <= now && armed == class as usize);
                    }
                    prop_assert!(model.values().all(|&(deadline, _)| deadline > now));
                }
                let next = model.values().map(|&(deadline, _)| deadline).min();
                prop_assert_eq!(timers.next_in(at(now)), next.map(|ms| Duration::from_millis(ms.saturating_sub(now))));
            }
        }
    }
}
