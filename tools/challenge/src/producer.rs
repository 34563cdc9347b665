//! A producer counts its requests and may send them again: the client's side of exactly once.
//!
//! A producer has a name and numbers its requests 1, 2, 3, …. The server keeps the last number that
//! it has counted for each name. When an answer is lost, the producer sends the same number with the
//! same events again, and the answer tells whether the request had been counted before:
//!
//! ```text
//! 200                              it is counted now
//! 200 Millrace-Duplicate: true     it was the last one that the server counted
//! 409 {"last":L}, L >= its number  it was counted, and others after it
//! 409 {"last":L}, L <  its number  it is not counted: a request before it is missing, or another
//!                                  connection has just sent the same number. Send it again later
//! 503                              not counted: the server is busy or stops. Send it again
//! ```
//!
//! Requests stay with their producer until they are answered, and are sent in the order of their
//! numbers. So several can be in flight: those that follow a missing one are refused as gaps, and
//! are sent again behind it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::connection::{Lost, Request};
use crate::plan::Slice;

/// Pause before a request that could not be counted is sent again.
const PAUSE: Duration = Duration::from_millis(10);

/// What the answer to a numbered request means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Counted now.
    Counted,
    /// Counted before; its answer was lost.
    Duplicate,
    /// Not counted, and to be sent again.
    Again,
    /// Not counted, and it never will be.
    Refused,
    /// The server has no memory of requests that it has answered.
    Forgotten,
}

/// What a server answers to a numbered request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reply {
    pub status: u16,
    /// `Millrace-Duplicate: true`.
    pub is_duplicate: bool,
    /// `last` of a `409`.
    pub last: Option<u64>,
}

/// One producer.
pub struct Producer {
    name: String,
    /// The highest number that was given to a request.
    numbered: u64,
    /// The highest number that was answered as counted.
    counted: u64,
    /// Requests to send again, in the order of their numbers.
    again: VecDeque<Request>,
    /// Until when nothing is sent, so that a conflict is not asked about without a pause.
    paused_until: Option<Instant>,
    /// A request was refused for good. The numbers behind it would be gaps for ever.
    is_refused: bool,
}

impl Producer {
    /// Makes a producer that has not sent anything.
    pub fn new(name: String) -> Producer {
        Producer {
            name,
            numbered: 0,
            counted: 0,
            again: VecDeque::new(),
            paused_until: None,
            is_refused: false,
        }
    }

    /// Gives the next number to a request with these events.
    pub fn number(&mut self, slice: Slice) -> Request {
        self.numbered += 1;
        Request { slice, number: self.numbered }
    }

    /// Returns the next request that has to be sent again.
    pub fn next_again(&mut self) -> Option<Request> {
        self.again.pop_front()
    }

    /// Returns the number of requests that have to be sent again.
    pub fn again(&self) -> usize {
        self.again.len()
    }

    /// Whether it waits a little before it sends again.
    pub fn is_paused(&mut self, now: Instant) -> bool {
        self.paused_until = self.paused_until.filter(|&until| until > now);
        self.paused_until.is_some()
    }

    /// Appends the header lines that number a request.
    pub fn fields(&self, number: u64) -> String {
        format!("Millrace-Producer: {}\r\nMillrace-Seq: {number}\r\n", self.name)
    }

    /// Takes back the requests of a connection that has ended.
    pub fn take_back(&mut self, lost: Lost) {
        self.again.extend(lost.unanswered);
        self.again.extend(lost.unsent);
        self.sort();
    }

    /// Judges the answer to a request. One that is not counted is kept, to be sent again.
    pub fn judge(&mut self, request: Request, reply: Reply, now: Instant) -> Verdict {
        let verdict = verdict(request.number, reply, self.counted);
        match verdict {
            Verdict::Counted | Verdict::Duplicate => {
                self.counted = self.counted.max(request.number);
            }
            Verdict::Again => {
                self.again.push_back(request);
                self.sort();
                self.paused_until = Some(now + PAUSE);
            }
            Verdict::Refused | Verdict::Forgotten => self.is_refused = true,
        }
        verdict
    }

    /// Whether a request was refused for good, so that nothing more can be counted.
    pub fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Gives up: returns the requests that would have been sent again.
    pub fn give_up(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.again).into()
    }

    fn sort(&mut self) {
        self.again.make_contiguous().sort_by_key(|request| request.number);
    }
}

/// What an answer means to the request with this number, if all up to `counted` were answered.
fn verdict(number: u64, reply: Reply, counted: u64) -> Verdict {
    match (reply.status, reply.last) {
        (200..=299, _) if reply.is_duplicate => Verdict::Duplicate,
        (200..=299, _) => Verdict::Counted,
        (409, Some(last)) if last < counted => Verdict::Forgotten,
        (409, Some(last)) if last >= number => Verdict::Duplicate,
        (409, Some(_)) | (503, _) => Verdict::Again,
        _ => Verdict::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_a_meaning() {
        for (number, counted, status, is_duplicate, last, expected) in [
            (5, 4, 200, false, None, Verdict::Counted),
            (5, 4, 204, false, None, Verdict::Counted),
            (5, 4, 200, true, None, Verdict::Duplicate),
            (5, 4, 409, false, Some(5), Verdict::Duplicate),
            (5, 4, 409, false, Some(9), Verdict::Duplicate),
            (5, 4, 409, false, Some(4), Verdict::Again),
            (7, 4, 409, false, Some(4), Verdict::Again),
            (5, 4, 409, false, Some(3), Verdict::Forgotten),
            (1, 0, 409, false, Some(0), Verdict::Again),
            (5, 4, 409, false, None, Verdict::Refused),
            (5, 4, 503, false, None, Verdict::Again),
            (5, 4, 400, false, None, Verdict::Refused),
            (5, 4, 507, false, None, Verdict::Refused),
        ] {
            let reply = Reply { status, is_duplicate, last };
            assert_eq!(verdict(number, reply, counted), expected, "{number} {counted} {reply:?}");
        }
    }

    /// A server that counts as CONTRACT.md says, and that loses some answers.
    #[derive(Default)]
    struct Model {
        last: u64,
        events: Vec<u64>,
    }

    impl Model {
        fn reply(&mut self, request: Request) -> Reply {
            match request.number {
                number if number == self.last + 1 => {
                    self.last = number;
                    self.events.push(request.slice.first);
                    Reply { status: 200, ..Reply::default() }
                }
                number if number == self.last => {
                    Reply { status: 200, is_duplicate: true, last: None }
                }
                _ => Reply { status: 409, last: Some(self.last), ..Reply::default() },
            }
        }
    }

    /// Each step sends a pipeline. The connection ends after `handled` of its requests were handled
    /// and `answered` of them answered.
    #[test]
    fn any_loss_in_any_pipeline_is_counted_once() {
        const EVENTS: u64 = 40;
        for depth in [1, 2, 5, 16] {
            for handled in 0..=depth {
                for answered in 0..=handled {
                    let mut model = Model::default();
                    let mut producer = Producer::new("p".to_owned());
                    let (mut next, mut acknowledged, mut step) = (0, 0, 0);
                    let now = Instant::now();
                    while acknowledged < EVENTS {
                        step += 1;
                        assert!(step < 1_000, "{depth} {handled} {answered}");
                        let mut pipeline = Vec::new();
                        while pipeline.len() < depth {
                            let again = producer.next_again();
                            let fresh = (next < EVENTS).then_some(Slice { first: next, count: 1 });
                            let Some(request) =
                                again.or_else(|| fresh.map(|slice| producer.number(slice)))
                            else {
                                break;
                            };
                            next += u64::from(again.is_none());
                            pipeline.push(request);
                        }
                        // Every other connection lives long enough.
                        let (handled, answered) =
                            if step % 2 == 0 { (depth, depth) } else { (handled, answered) };
                        let replies: Vec<(Request, Reply)> = pipeline
                            .iter()
                            .take(handled)
                            .map(|&request| (request, model.reply(request)))
                            .collect();
                        for &(request, reply) in replies.iter().take(answered) {
                            match producer.judge(request, reply, now) {
                                Verdict::Counted | Verdict::Duplicate => acknowledged += 1,
                                Verdict::Again => {}
                                other => panic!("{other:?}: {request:?} {reply:?}"),
                            }
                        }
                        let unanswered = pipeline.split_off(answered.min(pipeline.len()));
                        producer.take_back(Lost { unanswered, unsent: Vec::new() });
                    }
                    assert_eq!(model.events, (0..EVENTS).collect::<Vec<_>>());
                }
            }
        }
    }

    #[test]
    fn a_refused_request_makes_gaps_that_are_sent_again_in_order() {
        let mut producer = Producer::new("p".to_owned());
        let now = Instant::now();
        let requests: Vec<Request> =
            (0..4).map(|first| producer.number(Slice { first, count: 1 })).collect();
        let gap = Reply { status: 409, last: Some(0), ..Reply::default() };
        let busy = Reply { status: 503, ..Reply::default() };
        for (&request, reply) in requests.iter().zip([busy, gap, gap, gap]) {
            assert_eq!(producer.judge(request, reply, now), Verdict::Again);
        }
        assert!(producer.is_paused(now) && !producer.is_paused(now + PAUSE));
        let again: Vec<Request> = std::iter::from_fn(|| producer.next_again()).collect();
        assert_eq!(again, requests);
        assert_eq!(producer.fields(3), "Millrace-Producer: p\r\nMillrace-Seq: 3\r\n");
    }
}
