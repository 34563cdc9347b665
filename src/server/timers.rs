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
//!
//! The write time-out is checked in [`WRITE_CHECKS`] steps, because it must end soon after a peer has
//! stopped reading, which happens at any moment. The first part of an idle time-out,
//! [`Class::Idle`], is one such step: if the kernel still holds answers of the connection behind it,
//! the peer does not read. The second part is [`Class::Rest`].

use std::time::Duration;

use crate::limits::{REARM_GRANULARITY_MS, WRITE_CHECKS};
use crate::sys::clock::Moment;

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The rest of a header section.
    Header,
    /// The rest of a body.
    Body,
    /// The next request. At its end, the peer should have taken its answers.
    Idle,
    /// The next request, of a peer that has taken its answers.
    Rest,
    /// The peer to read its answers: one of [`WRITE_CHECKS`] parts of the time-out.
    Write,
    /// The peer to close, after the last answer.
    Linger,
}

const CLASS_COUNT: usize = 6;

/// A time-out that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The slot for which it was armed.
    pub slot: u32,
    /// Its class.
    pub class: Class,
    /// Whether it was over before, and [`spare`](Timers::spare) has put it back.
    pub spared: bool,
    armed_at_ms: u64,
}

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
    spared: bool,
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
        let check_ms = to_ms(write).div_ceil(u64::from(WRITE_CHECKS));
        let [header, body, rest, linger] = [header, body, idle, linger].map(to_ms);
        Timers {
            durations_ms: [header, body, rest.min(check_ms), rest, check_ms, linger],
            lists: [List { front: NONE, back: NONE }; CLASS_COUNT],
            links: Vec::new(),
        }
    }

    /// Starts the time-out of `class` for the slot, in place of any other. If the same class is
    /// armed already, it starts anew only with `restart`.
    #[inline]
    pub fn arm(&mut self, slot: u32, class: Class, restart: bool, now: Moment) {
        if let Some(link) = self.links.get(slot as usize) {
            if link.class == Some(class)
                && (!restart || now.ms().saturating_sub(link.armed_at_ms) < REARM_GRANULARITY_MS)
            {
                return;
            }
            if !restart && link.class == Some(Class::Rest) && class == Class::Idle {
                return;
            }
        }
        self.disarm(slot);
        self.append(slot, class, now.ms());
    }

    /// Returns whether an idle time-out has a second part: not if it is shorter than a check.
    pub fn idle_has_rest(&self) -> bool {
        self.durations_ms[Class::Idle as usize] < self.durations_ms[Class::Rest as usize]
    }

    /// Goes on with the second part of an idle time-out whose first part is over.
    pub fn rest(&mut self, expired: Expired) {
        self.append(expired.slot, Class::Rest, expired.armed_at_ms);
    }

    /// Puts time-outs back that are over, in the order in which they were popped. They stay over, and
    /// are popped again, unless they are armed anew or disarmed before.
    pub fn spare(&mut self, expired: impl DoubleEndedIterator<Item = Expired>) {
        for Expired { slot, class, armed_at_ms, .. } in expired.rev() {
            let list = &mut self.lists[class as usize];
            let next = std::mem::replace(&mut list.front, slot);
            match next {
                NONE => list.back = slot,
                _ => self.links[next as usize].previous = slot,
            }
            let class = Some(class);
            self.links[slot as usize] =
                Link { previous: NONE, next, armed_at_ms, class, spared: true };
        }
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

    /// Returns a time-out that is over at `now`, and disarms it.
    pub fn pop_expired(&mut self, now: Moment) -> Option<Expired> {
        let (slot, class, _) =
            self.fronts().find(|&(_, _, deadline_ms)| deadline_ms <= now.ms())?;
        let Link { armed_at_ms, spared, .. } = self.links[slot as usize];
        self.disarm(slot);
        Some(Expired { slot, class, spared, armed_at_ms })
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

    fn append(&mut self, slot: u32, class: Class, armed_at_ms: u64) {
        if self.links.len() <= slot as usize {
            let unarmed =
                Link { previous: NONE, next: NONE, armed_at_ms: 0, class: None, spared: false };
            self.links.resize(slot as usize + 1, unarmed);
        }
        let list = &mut self.lists[class as usize];
        let previous = std::mem::replace(&mut list.back, slot);
        match previous {
            NONE => list.front = slot,
            _ => self.links[previous as usize].next = slot,
        }
        self.links[slot as usize] =
            Link { previous, next: NONE, armed_at_ms, class: Some(class), spared: false };
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

    fn pop(timers: &mut Timers, now_ms: u64) -> Option<(u32, Class)> {
        timers.pop_expired(at(now_ms)).map(|expired| (expired.slot, expired.class))
    }

    #[test]
    fn a_time_out_is_never_early_and_hardly_late() {
        let mut timers = Timers::new(&DURATIONS);
        timers.arm(3, Class::Body, true, at(1_000));
        timers.arm(3, Class::Body, true, at(1_000 + REARM_GRANULARITY_MS - 1)); // too soon to move
        let armed_last = 1_000 + REARM_GRANULARITY_MS - 1;
        assert_eq!(pop(&mut timers, armed_last + 29_999), None);
        let over = armed_last + 30_000 + REARM_GRANULARITY_MS;
        assert_eq!(pop(&mut timers, over), Some((3, Class::Body)));
        assert_eq!(timers.next_in(at(0)), None);
    }

    #[test]
    fn a_class_that_goes_on_keeps_its_start() {
        let mut timers = Timers::new(&DURATIONS);
        timers.arm(0, Class::Header, true, at(0));
        timers.arm(0, Class::Header, false, at(9_000));
        assert_eq!(pop(&mut timers, 10_000 + REARM_GRANULARITY_MS), Some((0, Class::Header)));
    }

    #[test]
    fn an_idle_time_out_has_two_parts_and_one_start() {
        let mut timers = Timers::new(&DURATIONS);
        timers.arm(0, Class::Idle, true, at(500));
        let first = timers.pop_expired(at(500 + 7_525)).unwrap();
        assert_eq!((first.slot, first.class), (0, Class::Idle));
        timers.rest(first);
        // An edge without a request does not start it anew; a request does.
        timers.arm(0, Class::Idle, false, at(20_000));
        let over = 500 + 75_000 + REARM_GRANULARITY_MS;
        assert_eq!(timers.next_in(at(0)), Some(Duration::from_millis(over)));
        timers.arm(0, Class::Idle, true, at(30_000));
        assert_eq!(timers.next_in(at(0)), Some(Duration::from_millis(30_000 + 7_525)));
        // An idle time-out that is shorter than a part of the write time-out is not lengthened.
        let short = Durations { idle: Duration::from_millis(400), ..DURATIONS };
        let mut timers = Timers::new(&short);
        timers.arm(0, Class::Idle, true, at(0));
        assert_eq!(timers.next_in(at(0)), Some(Duration::from_millis(400 + REARM_GRANULARITY_MS)));
    }

    #[test]
    fn what_is_spared_stays_over_in_its_order() {
        let mut timers = Timers::new(&DURATIONS);
        for slot in 0..4 {
            timers.arm(slot, Class::Body, true, at(u64::from(slot)));
        }
        let now = at(2 + 30_000 + REARM_GRANULARITY_MS);
        let expired: Vec<Expired> = std::iter::from_fn(|| timers.pop_expired(now)).collect();
        assert_eq!(
            expired.iter().map(|it| (it.slot, it.spared)).collect::<Vec<_>>(),
            [(0, false), (1, false), (2, false)]
        );
        timers.spare(expired.into_iter());
        assert_eq!(timers.next_in(now), Some(Duration::ZERO));
        timers.arm(1, Class::Body, true, now);
        let expired: Vec<Expired> = std::iter::from_fn(|| timers.pop_expired(now)).collect();
        assert_eq!(
            expired.iter().map(|it| (it.slot, it.spared)).collect::<Vec<_>>(),
            [(0, true), (2, true)]
        );
        let last = timers.pop_expired(at(100_000)).unwrap();
        assert_eq!((last.slot, last.spared), (3, false));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

        #[test]
        fn agrees_with_a_map_of_deadlines(steps in proptest::collection::vec((0u32..6, 0usize..8, 0u64..20_000), 0..60)) {
            let classes = [Class::Header, Class::Body, Class::Idle, Class::Rest, Class::Write, Class::Linger];
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
                    while let Some((slot, class)) = pop(&mut timers, now) {
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
