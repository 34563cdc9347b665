//! Events on their way into the statistics: staged, committed, answered.
//!
//! A staged event is a group of the worker's shard. Nearly all get the usual answer, of which the
//! intake keeps nothing: it keeps a note only for an event whose answer is not the usual one, and
//! after a commit the numbers of those that were refused.

use std::net::SocketAddr;
use std::ops::Range;

use super::access_log::Draft;
use super::answers::{Answers, JSON};
use super::json::error_body;
use super::meters::Row;
use crate::event::{self, EventError, Scratch};
use crate::http::{Content, Persistence, Request, Status};
use crate::log;
use crate::stats::Shard;

/// The text of `507` if the limit of users is reached.
const USERS_FULL: &str = "The limit of distinct users is reached, so this event was not counted; raise --max-users to take more.";
/// The text of `507` if there is no memory for a new user.
const MEMORY_FULL: &str = "There is no memory for another user, so this event was not counted; events of known users still are.";

/// The staged events of one worker.
pub(super) struct Intake {
    shard: Shard,
    /// Where the answers are counted.
    row: Row,
    scratch: Scratch,
    /// Events of this round that were committed.
    committed: u32,
    /// Those of them that were refused, by number.
    refused: Vec<u32>,
    /// Events of this round whose answer is not the usual one, in the order of their numbers.
    notes: Vec<Note>,
}

/// What the answer to one staged event needs.
struct Note {
    number: u32,
    persistence: Persistence,
    draft: Option<Draft>,
}

impl Intake {
    /// Returns an intake into `shard`, whose answers are counted in `row`.
    pub fn new(shard: Shard, row: Row) -> Intake {
        Intake {
            shard,
            row,
            scratch: Scratch::new(),
            committed: 0,
            refused: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Returns the number that the next staged event will have.
    #[inline(always)]
    pub fn staged(&self) -> u32 {
        self.committed + self.shard.staged() as u32
    }

    /// Stages the event in the content of `request`.
    ///
    /// # Errors
    /// If the content is no event.
    #[inline(always)]
    pub fn stage(
        &mut self,
        answers: &mut Answers,
        peer: &SocketAddr,
        request: &Request<'_>,
    ) -> Result<(), EventError> {
        let event = event::parse(request.content, &mut self.scratch)?;
        if self.shard.is_full() {
            // Not by `self.commit()`: the event may be borrowed from `self.scratch`.
            commit(&mut self.shard, &mut self.committed, &mut self.refused);
        }
        let persistence = Persistence::of(request.version, request.persistent);
        if persistence != Persistence::Implied || answers.access_log.is_some() {
            let number = self.committed + self.shard.staged() as u32;
            let draft = answers.access_log.as_mut().map(|log| log.draft(peer, request));
            self.notes.push(Note { number, persistence, draft });
        }
        self.shard.stage(event.user_id, event.value);
        Ok(())
    }

    /// Publishes what is staged.
    #[inline]
    pub fn commit(&mut self) {
        commit(&mut self.shard, &mut self.committed, &mut self.refused);
    }

    /// Appends the answers of committed events.
    #[inline]
    pub fn answer(&mut self, staged: Range<u32>, answers: &mut Answers, out: &mut Vec<u8>) {
        if self.notes.is_empty() && self.refused.is_empty() {
            answers.responses.write_usual(out, staged.len());
            let events = staged.len() as u64;
            answers.meters().count(self.row, Status::Ok, events);
        } else {
            self.answer_unusual(staged, answers, out);
        }
    }

    #[cold]
    fn answer_unusual(&mut self, staged: Range<u32>, answers: &mut Answers, out: &mut Vec<u8>) {
        let first = self.notes.partition_point(|note| note.number < staged.start);
        let mut notes = self.notes[first..].iter().peekable();
        for number in staged {
            let start = out.len();
            let note = notes.next_if(|note| note.number == number);
            let persistence = note.map_or(Persistence::Implied, |note| note.persistence);
            let status = if self.refused.binary_search(&number).is_ok() {
                let body = error_body(self.note_refusal(answers));
                let (status, content) = (Status::InsufficientStorage, Content::Bytes(JSON, &body));
                answers.responses.write(out, status, persistence, "", content);
                status
            } else {
                answers.responses.write(out, Status::Ok, persistence, "", Content::Empty);
                Status::Ok
            };
            answers.meters().count(self.row, status, 1);
            let draft = note.and_then(|note| note.draft);
            if let (Some(draft), Some(access_log)) = (draft, &mut answers.access_log) {
                access_log.complete(draft, status, &out[start..]);
            }
        }
    }

    /// Counts the refusal of an event of a new user, and returns what to tell the client.
    fn note_refusal(&self, answers: &Answers) -> &'static str {
        if !self.shard.has_places(1) {
            answers.meters().users_refused.add(1);
            return USERS_FULL;
        }
        answers.meters().memory_refused.add(1);
        log::error("events of new users are refused: there is no memory for another user", &[]);
        MEMORY_FULL
    }

    /// Begins a new round: the numbers begin at 0 again.
    #[inline]
    pub fn settled(&mut self) {
        self.committed = 0;
        self.refused.clear();
        self.notes.clear();
    }

    /// Forgets the events from number `from` on that are not committed.
    pub fn abandon(&mut self, from: u32) {
        let kept = from.max(self.committed);
        self.shard.truncate((kept - self.committed) as usize);
        self.notes.retain(|note| note.number < kept);
    }
}

/// Publishes the events of `shard`, and notes which were refused.
#[inline]
fn commit(shard: &mut Shard, committed: &mut u32, refused: &mut Vec<u32>) {
    let staged = shard.staged() as u32;
    if staged > 0 {
        let of_batch = shard.commit();
        if !of_batch.is_none() {
            refused.extend(of_batch.groups().iter().map(|group| *committed + group));
        }
        *committed += staged;
    }
}
