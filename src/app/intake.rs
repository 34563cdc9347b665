//! Events on their way into the statistics: staged, committed, answered.
//!
//! A staged request is a group of the worker's shard: one event of `/event`, or all events of one
//! `/events`. Nearly all requests get the usual answer; the intake keeps nothing for them. It keeps a note
//! for each request with another answer, and after a commit the numbers of the refused requests.

use std::net::SocketAddr;
use std::ops::Range;

use super::access_log::LinePlace;
use super::answers::{Answers, JSON};
use super::draft::{Bounds, Draft, DraftFault, Slice};
use super::json::{counted_body, error_body};
use super::keeper::{self, LaneLedger};
use super::meters::{BatchRefusal, Row};
use super::pages::grant;
use super::routes::RouteNumber;
use crate::event::{self, EventError, Events, EventsError, Scratch};
use crate::http::{Content, Persistence, Request, Status};
use crate::journal::Fsync;
use crate::limits::{BATCH_EVENTS_MAX, KEPT_BATCH_EVENTS_MAX, SYNCED_BATCH_EVENTS_MAX};
use crate::log;
use crate::stats::{Lack, RefusedGroup, Shard};

/// Holds the staged requests of one worker.
pub(super) struct Intake {
    shard: Shard,
    /// The lane that keeps batches before they are published; `None` without a state directory.
    ledger: Option<LaneLedger>,
    /// Where the answers of `/event` and `/events` are counted.
    rows: Rows,
    /// What the events of one request may be.
    bounds: Bounds,
    /// Staged events after which a commit follows at once.
    batch_events_max: usize,
    scratch: Scratch,
    /// Requests of this round that were committed.
    committed: u32,
    /// Those of them that were refused, in the order of their numbers.
    refused: Vec<RefusedGroup>,
    /// Requests of this round whose answer is not the usual one, in the order of their numbers.
    notes: Vec<Note>,
}

/// Where answers are counted.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    /// Those of `/event`.
    pub one: Row,
    /// Those of `/events`.
    pub many: Row,
}

/// What the answer to one staged request needs.
struct Note {
    number: u32,
    persistence: Persistence,
    line: Option<LinePlace>,
    kind: Kind,
    /// The field lines by which a browser lets a page see the answer; empty for most.
    grant: String,
}

/// Names what was staged.
#[derive(Clone, Copy)]
enum Kind {
    /// An event of `/event`.
    One,
    /// This number of events of `/events`.
    Many(usize),
}

/// Why the content of `/events` is not staged.
pub(super) enum Unstaged {
    /// It has no events.
    Empty,
    /// It is not a list of events.
    Malformed(EventsError),
    /// It has more events than one request may have.
    TooMany,
    /// There is no memory to read it.
    Memory,
}

impl From<DraftFault> for Unstaged {
    fn from(fault: DraftFault) -> Unstaged {
        match fault {
            DraftFault::Malformed(error) => Unstaged::Malformed(error),
            DraftFault::TooMany => Unstaged::TooMany,
            DraftFault::Memory => Unstaged::Memory,
        }
    }
}

impl Intake {
    /// Returns an intake into `shard`, for requests within `bounds`.
    pub fn new(shard: Shard, ledger: Option<LaneLedger>, rows: Rows, bounds: Bounds) -> Intake {
        let batch_events_max = match ledger.as_ref().map(LaneLedger::fsync) {
            None => BATCH_EVENTS_MAX,
            Some(Fsync::EverySecond) => KEPT_BATCH_EVENTS_MAX,
            Some(Fsync::Always) => SYNCED_BATCH_EVENTS_MAX,
        };
        Intake {
            shard,
            ledger,
            batch_events_max,
            rows,
            bounds,
            scratch: Scratch::new(),
            committed: 0,
            refused: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Returns the number that the next staged request will have.
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
        if self.shard.staged_events() >= self.batch_events_max {
            // Not by `self.commit()`: the event may be borrowed from `self.scratch`.
            let Intake { shard, ledger, committed, refused, .. } = self;
            commit(shard, ledger, committed, refused);
        }
        let persistence = Persistence::of(request.version, request.persistent);
        let is_usual = persistence == Persistence::Implied && request.extras.is_none();
        if !is_usual || answers.access_log.is_some() {
            let number = self.committed + self.shard.staged() as u32;
            self.notes.push(Note::of(number, answers, peer, request, Kind::One));
        }
        self.shard.stage(event.user_id, event.value);
        Ok(())
    }

    /// Stages all events in the content of `request`, as one group.
    ///
    /// # Errors
    /// If there is nothing to stage. Then nothing is staged.
    pub fn stage_many(
        &mut self,
        answers: &mut Answers,
        peer: &SocketAddr,
        request: &Request<'_>,
    ) -> Result<(), Unstaged> {
        let number = self.make_room();
        let count = self.stage_list(request.content)?;
        self.note_many(number, count, answers, peer, request)
    }

    /// Reads the next slice of a large content, and keeps it in `draft`. After the last one, stages all of
    /// the events as one group.
    ///
    /// # Errors
    /// As [`stage_many`](Self::stage_many).
    pub fn stage_large(
        &mut self,
        answers: &mut Answers,
        peer: &SocketAddr,
        request: &Request<'_>,
        draft: &mut Option<Box<Draft>>,
    ) -> Result<Slice, Unstaged> {
        let mut read = draft.take().unwrap_or_default();
        let slice = read.read(request.content, self.bounds, &mut self.scratch)?;
        if slice != Slice::Whole {
            *draft = Some(read);
            return Ok(slice);
        }
        let number = self.make_room();
        let count = self.stage_draft(&read);
        self.note_many(number, count, answers, peer, request)?;
        Ok(Slice::Whole)
    }

    /// Commits a batch that is full. Returns the number of the next staged request.
    fn make_room(&mut self) -> u32 {
        if self.shard.staged_events() >= self.batch_events_max {
            self.commit();
        }
        self.staged()
    }

    /// Notes what the answer to a staged list needs.
    fn note_many(
        &mut self,
        number: u32,
        count: usize,
        answers: &mut Answers,
        peer: &SocketAddr,
        request: &Request<'_>,
    ) -> Result<(), Unstaged> {
        if count == 0 {
            return Err(Unstaged::Empty);
        }
        self.notes.push(Note::of(number, answers, peer, request, Kind::Many(count)));
        Ok(())
    }

    /// Stages the events of a list, as one group. Returns their number; of none there is no group.
    fn stage_list(&mut self, list: &[u8]) -> Result<usize, Unstaged> {
        let mut group = self.shard.open_group();
        let mut events = Events::new(list, self.bounds.event_bytes_max);
        while let Some(event) = events.next(&mut self.scratch) {
            let event = event.map_err(Unstaged::Malformed)?;
            if events.count() > self.bounds.events_max {
                return Err(Unstaged::TooMany);
            }
            group.stage(event.user_id, event.value);
        }
        Ok(group.close())
    }

    /// Stages the events of a draft, as one group. Returns their number; of none there is no group.
    fn stage_draft(&mut self, draft: &Draft) -> usize {
        let mut group = self.shard.open_group();
        for (user_id, value) in draft.events() {
            group.stage(user_id, value);
        }
        group.close()
    }

    /// Publishes what is staged.
    #[inline]
    pub fn commit(&mut self) {
        let Intake { shard, ledger, committed, refused, .. } = self;
        commit(shard, ledger, committed, refused);
    }

    /// Returns whether a commit is so costly that it should serve a whole round.
    #[inline(always)]
    pub fn is_kept(&self) -> bool {
        self.ledger.is_some()
    }

    /// Gives the lane back. Nothing is committed any more.
    pub fn depart(&mut self) {
        self.ledger = None;
    }

    /// Appends the answers of committed requests.
    #[inline]
    pub fn answer(&mut self, staged: Range<u32>, answers: &mut Answers, out: &mut Vec<u8>) {
        if self.notes.is_empty() && self.refused.is_empty() {
            answers.responses.write_usual(out, staged.len());
            answers.meters().count(self.rows.one, Status::Ok, staged.len() as u64);
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
            let kind = note.map_or(Kind::One, |note| note.kind);
            let refusal = self.refused.binary_search_by_key(&number, |refusal| refusal.group);
            let lack = refusal.ok().map(|index| self.refused[index].lack);
            let (status, body) = verdict(kind, lack, answers);
            let content = match &body {
                Some(body) => Content::Bytes(JSON, body),
                None => Content::Empty,
            };
            let grant = note.map_or("", |note| &note.grant);
            answers.responses.write(out, status, persistence, grant, content);
            let row = match kind {
                Kind::One => self.rows.one,
                Kind::Many(_) => self.rows.many,
            };
            answers.meters().count(row, status, 1);
            let line = note.and_then(|note| note.line);
            if let (Some(line), Some(access_log)) = (line, &mut answers.access_log) {
                access_log.complete(line, status, &out[start..]);
            }
        }
    }

    /// Begins a new round: the numbers begin at 0 again.
    #[inline]
    pub fn settled(&mut self) {
        self.committed = 0;
        self.refused.clear();
        self.notes.clear();
    }

    /// Forgets the requests from number `from` on that are not committed.
    pub fn abandon(&mut self, from: u32) {
        let kept = from.max(self.committed);
        self.shard.truncate((kept - self.committed) as usize);
        self.notes.retain(|note| note.number < kept);
    }
}

impl Note {
    #[cold]
    fn of(
        number: u32,
        answers: &mut Answers,
        peer: &SocketAddr,
        request: &Request<'_>,
        kind: Kind,
    ) -> Note {
        let route = match kind {
            Kind::One => RouteNumber::EVENT.route(),
            Kind::Many(_) => RouteNumber::EVENTS.route(),
        };
        Note {
            number,
            persistence: Persistence::of(request.version, request.persistent),
            line: answers.access_log.as_mut().map(|log| log.line(peer, request)),
            kind,
            grant: grant(&answers.shared, request, route),
        }
    }
}

/// Publishes the requests staged in `shard`, and notes which were refused.
#[inline]
fn commit(
    shard: &mut Shard,
    ledger: &mut Option<LaneLedger>,
    committed: &mut u32,
    refused: &mut Vec<RefusedGroup>,
) {
    let staged = shard.staged() as u32;
    if staged > 0 {
        let of_batch = match ledger {
            None => shard.commit(),
            Some(ledger) => {
                let _whole = keeper::Whole;
                shard.commit_kept(ledger).unwrap_or_else(|error| keeper::end(&error))
            }
        };
        if !of_batch.is_none() {
            let numbered =
                |it: &RefusedGroup| RefusedGroup { group: *committed + it.group, lack: it.lack };
            refused.extend(of_batch.groups().iter().map(numbered));
        }
        *committed += staged;
    }
}

/// Returns status and content of the answer to a committed request, and counts its outcome.
fn verdict(kind: Kind, lack: Option<Lack>, answers: &Answers) -> (Status, Option<Vec<u8>>) {
    let meters = answers.meters();
    if lack == Some(Lack::Memory) {
        meters.memory_refused.add(1);
        log::error("events of new users are refused: there is no memory for another user", &[]);
    }
    if lack == Some(Lack::Disk) {
        meters.disk_refused.add(1);
        log::error("events of new users are refused: the disk of the state directory is full", &[]);
    }
    if lack == Some(Lack::Place) {
        log::debug("events of new users are refused: --max-users is reached", &[]);
    }
    match (kind, lack) {
        (Kind::One, None) => (Status::Ok, None),
        (Kind::One, Some(lack)) => {
            if lack == Lack::Place {
                meters.users_refused.add(1);
            }
            (Status::InsufficientStorage, Some(error_body(not_counted(lack, "this event was"))))
        }
        (Kind::Many(events), None) => {
            meters.count_batch(events);
            (Status::Ok, Some(counted_body(events)))
        }
        (Kind::Many(_), Some(lack)) => {
            meters.refuse_batch(BatchRefusal::Lack(lack));
            let message = not_counted(lack, "none of these events were");
            (Status::InsufficientStorage, Some(error_body(message)))
        }
    }
}

/// Returns the text of `507`; `which` are the events that were not counted.
fn not_counted(lack: Lack, which: &str) -> String {
    match lack {
        Lack::Place => format!(
            "The limit of distinct users is reached, so {which} not counted; raise --max-users to take more."
        ),
        Lack::Memory => format!(
            "There is no memory for another user, so {which} not counted; events of known users still are."
        ),
        Lack::Disk => format!(
            "The disk of the state directory is full, so {which} not counted; events of known users still are."
        ),
    }
}
