//! A large request of `/events`, read in slices.
//!
//! A body may have a mebibyte, and a client can choose bytes that take long to read. So a worker reads a
//! large body in slices, one in each turn of its connection, and serves its other connections in
//! between. Nothing is staged before the last event is read: the events read so far wait in a draft,
//! which belongs to the connection.

use std::collections::TryReserveError;

use crate::event::{Event, Events, EventsError, ListPlace, Scratch};
use crate::limits::{COST_CONTENT_BYTES, MANY_SLICE_BYTES};

/// The events of a body, as far as it was read.
#[derive(Debug, Default)]
pub struct Draft {
    /// The place in the body; `None` before its first byte.
    place: Option<ListPlace>,
    /// The ids, one behind the other.
    ids: Vec<u8>,
    /// The end of each event's id, and the event's value.
    events: Vec<(usize, f64)>,
}

/// What the events of a request may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Their number.
    pub events_max: usize,
    /// Bytes of one.
    pub event_bytes_max: usize,
}

/// How far a slice has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slice {
    /// There is more to read.
    Unfinished {
        /// What the slice cost, in events of `/event`.
        cost: u32,
    },
    /// The body is read to its end.
    Whole,
}

/// Why a draft is thrown away.
#[derive(Debug)]
pub enum DraftFault {
    /// The body is not a list of events.
    Malformed(EventsError),
    /// It has more events than one request may have.
    TooMany,
    /// There is no memory for the draft.
    Memory,
}

impl From<TryReserveError> for DraftFault {
    fn from(_: TryReserveError) -> DraftFault {
        DraftFault::Memory
    }
}

/// Returns whether a body is read in slices.
pub fn is_large(body: &[u8]) -> bool {
    body.len() > MANY_SLICE_BYTES
}

impl Draft {
    /// Reads a slice of `body`, which must be the same at each call.
    ///
    /// # Errors
    /// If the body is to be refused. Then the draft is of no use any more.
    pub fn read(
        &mut self,
        body: &[u8],
        bounds: Bounds,
        scratch: &mut Scratch,
    ) -> Result<Slice, DraftFault> {
        let Bounds { events_max, event_bytes_max } = bounds;
        let mut events = match self.place {
            None => Events::new(body, event_bytes_max),
            Some(place) => Events::resume(body, event_bytes_max, place),
        };
        let start = events.bytes_read();
        while let Some(event) = events.next(scratch) {
            let event = event.map_err(DraftFault::Malformed)?;
            if events.count() > events_max {
                return Err(DraftFault::TooMany);
            }
            self.push(event)?;
            let bytes = events.bytes_read() - start;
            if bytes >= MANY_SLICE_BYTES {
                self.place = Some(events.place());
                return Ok(Slice::Unfinished { cost: (bytes / COST_CONTENT_BYTES) as u32 });
            }
        }
        Ok(Slice::Whole)
    }

    fn push(&mut self, event: Event<'_>) -> Result<(), TryReserveError> {
        self.ids.try_reserve(event.user_id.len())?;
        self.events.try_reserve(1)?;
        self.ids.extend_from_slice(event.user_id);
        self.events.push((self.ids.len(), event.value));
        Ok(())
    }

    /// Returns the events that were read: id and value of each.
    pub fn events(&self) -> impl Iterator<Item = (&[u8], f64)> {
        let starts = std::iter::once(0).chain(self.events.iter().map(|&(end, _)| end));
        starts.zip(&self.events).map(|(start, &(end, value))| (&self.ids[start..end], value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{App, Shared, content_limits};
    use crate::limits::TURN_BYTES_MAX;
    use crate::options::{Invocation, parse};
    use crate::server::offline::Offline;

    const BOUNDS: Bounds = Bounds { events_max: 20_000, event_bytes_max: 1_000 };

    fn lines(count: usize) -> String {
        (0..count).map(|i| format!("{{\"userId\":\"user_{i}\",\"value\":{i}.5}}\n")).collect()
    }

    /// Reads a body to its end. Returns the number of slices.
    fn read(body: &str, bounds: Bounds) -> Result<(Draft, usize), DraftFault> {
        let (mut draft, mut slices) = (Draft::default(), 1);
        while let Slice::Unfinished { cost } =
            draft.read(body.as_bytes(), bounds, &mut Scratch::new())?
        {
            assert!(cost as usize >= MANY_SLICE_BYTES / COST_CONTENT_BYTES);
            slices += 1;
        }
        Ok((draft, slices))
    }

    #[test]
    fn a_body_has_the_same_events_in_slices_as_in_one() {
        for count in [0, 1, 3_000, 20_000] {
            let lines = lines(count);
            let array = format!("[{}]", lines.trim_end().replace('\n', " , "));
            for body in [lines, array] {
                let (draft, slices) = read(&body, BOUNDS).unwrap();
                assert_eq!(
                    slices,
                    1 + body.len() / (MANY_SLICE_BYTES + 40),
                    "{} bytes",
                    body.len()
                );
                assert!(draft.events().enumerate().all(|(i, (id, value))| {
                    id == format!("user_{i}").as_bytes() && value == i as f64 + 0.5
                }));
                assert_eq!(draft.events().count(), count);
            }
        }
    }

    /// The worker serves its other connections between these turns.
    #[test]
    fn a_large_request_takes_a_turn_for_each_slice_and_is_answered_once() {
        let Ok(Invocation::Run { options, .. }) = parse(["--workers=1".into()], []) else {
            panic!("the options are valid");
        };
        // The costliest event that there may be, as often as fits.
        let event = format!("{{\"userId\":\"u\",\"value\":1,\"x\":[0{}]}}\n", ",0".repeat(32_000));
        let body = event.repeat((1 << 20) / event.len());
        let head = "POST /events HTTP/1.1\r\nHost: t\r\n";
        for request in [
            format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()),
            format!(
                "{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            ),
        ] {
            let shared = Shared::new(&options, 1, [1, 2]).expect("memory");
            let app = App::new(&shared, 0, 0);
            let mut connection = Offline::new(app, content_limits(&options));
            for piece in request.as_bytes().chunks(TURN_BYTES_MAX) {
                assert!(connection.turn(piece).is_empty(), "no answer before the last slice");
            }
            let mut turns = 1;
            while connection.turn(b"").is_empty() {
                assert_eq!(shared.statistics.snapshot().events, 0, "all or none");
                turns += 1;
                assert!(turns < 100, "it does not come to its end");
            }
            // The event under way at the end of a slice belongs to it.
            let slices = body.len() / (MANY_SLICE_BYTES + event.len());
            assert!(turns >= slices, "{turns} turns for {slices} slices");
            let events = shared.statistics.snapshot().events;
            assert_eq!(events, (body.len() / event.len()) as u64);
        }
    }

    #[test]
    fn a_fault_in_a_later_slice_is_found_at_its_place() {
        let body = lines(10_000) + "{\n";
        let Err(DraftFault::Malformed(error)) = read(&body, BOUNDS) else { panic!("no fault") };
        assert_eq!((error.index, error.line, error.offset), (10_000, 10_001, body.len() - 1));
        let bounds = Bounds { events_max: 9_999, ..BOUNDS };
        assert!(matches!(read(&lines(10_000), bounds), Err(DraftFault::TooMany)));
        let bounds = Bounds { event_bytes_max: 36, ..BOUNDS };
        let Err(DraftFault::Malformed(error)) = read(&lines(10_000), bounds) else {
            panic!("no fault")
        };
        assert_eq!((error.index, error.cause.reason()), (1_000, "event_too_large"));
    }
}
