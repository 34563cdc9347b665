//! Many events in one body: a JSON array, or one event on each line (NDJSON).
//!
//! ```text
//! body  = *space                                       no events
//!       / *space "[" [ event *( "," event ) ] "]" *space
//!       / line *( LF line )
//! line  = *( SP / HTAB / CR )                          ignored
//!       / event                                        without a line feed inside
//! event = *space object *space                         as `/event` takes it
//! space = SP / HTAB / LF / CR
//! ```
//!
//! The first byte that is not white space decides between an array and lines. Only a line feed ends a
//! line. A carriage return is white space, as JSON has it: before the line feed, at the beginning of
//! the line, or in the event; alone it ends no line. No other byte is white space: a form feed, a
//! vertical tab, a NUL or a byte order mark between or around events is an error.
//!
//! A line, together with its line feed, has exactly the verdict that it has as a body of `/event`. Two
//! errors have other words, since they speak of where the body ends: `Truncated` is `LineTooShort` if
//! a line feed ends the line, and `TrailingBytes` is `LineTooLong`.
//!
//! The usual text has a short way (`usual`), which `next` tries first and which is small enough to be
//! inlined. It takes an event only together with its line end, or with the comma before it; the first
//! event of an array, the last line without its line feed, and every fault go the general way.
//! Nothing counts lines on the way: an error counts the line feeds before it.

use super::cursor::{Cursor, without_space};
use super::error::{EventError, EventsCause, EventsError, FrameError};
use super::json;
use super::model::{Event, Scratch};
use super::usual;

/// The events of a body, one after the other.
///
/// ```
/// use millrace::event::{Events, Scratch};
///
/// let body = br#"[{"userId":"a","value":1}, {"userId":"b","value":2.5}]"#;
/// let mut scratch = Scratch::new();
/// let mut events = Events::new(body, 1_000);
/// let mut sum = 0.0;
/// while let Some(event) = events.next(&mut scratch) {
///     sum += event?.value;
/// }
/// assert_eq!((events.count(), sum), (2, 3.5));
/// # Ok::<(), millrace::event::EventsError>(())
/// ```
///
/// It is not an `Iterator`, because an event may borrow its id from the caller's scratch: the caller
/// must be done with an event before it asks for the next. Nothing is allocated. The body is valid as
/// a whole only when `next` has returned `None`: until then, keep the events in a batch that can be
/// thrown away. To bound the number of events, stop at the first event beyond the bound.
pub struct Events<'a> {
    body: &'a [u8],
    /// The end of `body` that is still to be read. For lines it begins a line; in an array it follows
    /// the opening bracket or an event.
    rest: &'a [u8],
    frame: Frame,
    count: usize,
    /// Bytes that an event may have.
    event_bytes_max: usize,
}

/// How far a body was read, without the body: see [`Events::place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPlace {
    /// Bytes that were read.
    read: usize,
    frame: Frame,
    count: usize,
}

/// The text around the events, and the place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Frame {
    /// Nothing was read.
    Start,
    /// One event on each line, between two lines.
    Lines,
    /// In an array, after its opening bracket.
    ArrayStart,
    /// In an array, after an event.
    Array,
    /// The end, or a fault.
    End,
}

impl<'a> Events<'a> {
    /// Returns the events of `body`, of which none may have more than `event_bytes_max` bytes. Reads
    /// nothing yet.
    pub fn new(body: &'a [u8], event_bytes_max: usize) -> Self {
        Self { body, rest: body, frame: Frame::Start, count: 0, event_bytes_max }
    }

    /// Returns the events of `body` from `place` on: another `Events` of the same body was there.
    ///
    /// # Panics
    ///
    /// If `body` is shorter than that.
    pub fn resume(body: &'a [u8], event_bytes_max: usize, place: ListPlace) -> Self {
        let ListPlace { read, frame, count } = place;
        Self { body, rest: &body[read..], frame, count, event_bytes_max }
    }

    /// Returns the place between the last event and the next one.
    pub fn place(&self) -> ListPlace {
        ListPlace { read: self.bytes_read(), frame: self.frame, count: self.count }
    }

    /// Returns how many bytes of the body were read.
    pub fn bytes_read(&self) -> usize {
        self.body.len() - self.rest.len()
    }

    /// Returns the number of events that `next` has returned.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Reads the next event. Returns `None` at the end of a valid body.
    ///
    /// The id is borrowed from the body, or from `scratch` if it was written with escapes.
    ///
    /// # Errors
    ///
    /// The first fault in the body; after it, `None`.
    #[inline(always)]
    pub fn next<'s>(&mut self, scratch: &'s mut Scratch) -> Option<Result<Event<'s>, EventsError>>
    where
        'a: 's,
    {
        if let Some((event, rest)) = self.read_usual() {
            self.rest = rest;
            self.count += 1;
            return Some(Ok(event));
        }
        self.next_any(scratch)
    }

    /// Returns the next event and what follows it, if both are the usual text.
    #[inline(always)]
    fn read_usual(&self) -> Option<(Event<'a>, &'a [u8])> {
        let text = match (self.frame, self.rest) {
            (Frame::Lines, line) => line,
            (Frame::Array, [b',', text @ ..]) => without_space(text),
            _ => return None,
        };
        let (event, rest) = usual::read_first(text)?;
        if text.len() - rest.len() > self.event_bytes_max {
            return None;
        }
        match rest {
            _ if self.frame == Frame::Array => Some((event, rest)),
            [b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..] => Some((event, rest)),
            _ => None,
        }
    }

    /// Reads the next event of any text, the usual ones too.
    #[inline(never)]
    pub(super) fn next_any<'s>(
        &mut self,
        scratch: &'s mut Scratch,
    ) -> Option<Result<Event<'s>, EventsError>>
    where
        'a: 's,
    {
        let read = match self.frame {
            Frame::Start => self.read_start(scratch),
            Frame::Lines => self.read_line(scratch),
            Frame::ArrayStart | Frame::Array => self.read_element(scratch),
            Frame::End => Ok(None),
        };
        match read {
            Ok(Some(event)) => {
                self.count += 1;
                Some(Ok(event))
            }
            Ok(None) => {
                self.frame = Frame::End;
                None
            }
            Err(fault) => Some(Err(self.refuse(fault))),
        }
    }

    /// Finds out which kind of body this is, and reads its first event.
    fn read_start<'s>(&mut self, scratch: &'s mut Scratch) -> Read<'s>
    where
        'a: 's,
    {
        self.rest = without_space(self.rest);
        match self.rest {
            [] => Ok(None),
            [b'{', ..] => {
                self.frame = Frame::Lines;
                self.read_line(scratch)
            }
            [b'[', rest @ ..] => {
                self.rest = rest;
                self.frame = Frame::ArrayStart;
                self.read_element(scratch)
            }
            [0xEF, 0xBB, 0xBF, ..] => Err(self.fault(0, EventError::ByteOrderMark)),
            _ => Err(self.fault(0, FrameError::StartUnexpected)),
        }
    }

    /// Reads the next line that is not empty.
    fn read_line<'s>(&mut self, scratch: &'s mut Scratch) -> Read<'s>
    where
        'a: 's,
    {
        // White space may stand before an event, so empty lines need no code of their own.
        self.rest = without_space(self.rest);
        if self.rest.is_empty() {
            return Ok(None);
        }
        let line_feed_at = memchr::memchr(b'\n', self.rest);
        let (line, rest) = self.rest.split_at(line_feed_at.map_or(self.rest.len(), |at| at + 1));
        let event = line.strip_suffix(b"\n").unwrap_or(line);
        if event.strip_suffix(b"\r").unwrap_or(event).len() > self.event_bytes_max {
            return Err(self.fault(0, FrameError::EventTooLarge));
        }
        let mut cursor = Cursor::new(line);
        let members =
            json::read_text(&mut cursor).map_err(|error| match (error, line_feed_at) {
                (EventError::TrailingBytes, _) => {
                    self.fault(cursor.offset(), FrameError::LineTooLong)
                }
                (EventError::Truncated, Some(at)) => self.fault(at, FrameError::LineTooShort),
                _ => self.fault(cursor.offset(), error),
            })?;
        let event = members.into_event(scratch).map_err(|error| self.fault(0, error))?;
        self.rest = rest;
        Ok(Some(event))
    }

    /// Reads the next element of an array, or the end of the array and of the body.
    fn read_element<'s>(&mut self, scratch: &'s mut Scratch) -> Read<'s>
    where
        'a: 's,
    {
        self.rest = without_space(self.rest);
        match self.rest {
            [b']', rest @ ..] => {
                self.rest = without_space(rest);
                return match self.rest {
                    [] => Ok(None),
                    _ => Err(self.fault(0, FrameError::TrailingBytes)),
                };
            }
            [b',', rest @ ..] if self.frame == Frame::Array => self.rest = without_space(rest),
            [_, ..] if self.frame == Frame::Array => {
                // The event before this byte is the one that is followed by something unexpected.
                let fault = self.fault(0, FrameError::CommaExpected);
                return Err(Fault { index: self.count - 1, ..fault });
            }
            _ => {}
        }
        // Here an event must begin.
        match self.rest {
            [] => return Err(self.fault(0, FrameError::ArrayNotClosed)),
            [b',' | b']', ..] => return Err(self.fault(0, FrameError::CommaExtra)),
            _ => {}
        }
        // An event that is too large ends the reading where it becomes so.
        let text = &self.rest[..self.rest.len().min(self.event_bytes_max)];
        let mut cursor = Cursor::new(text);
        let members = json::read_object(&mut cursor).map_err(|error| match error {
            EventError::Truncated if text.len() < self.rest.len() => {
                self.fault(0, FrameError::EventTooLarge)
            }
            _ => self.fault(cursor.offset(), error),
        })?;
        let event = members.into_event(scratch).map_err(|error| self.fault(0, error))?;
        self.rest = &self.rest[cursor.offset()..];
        self.frame = Frame::Array;
        Ok(Some(event))
    }

    /// Returns a fault that lies `bytes` after the beginning of `rest`.
    #[cold]
    fn fault(&self, bytes: usize, cause: impl Into<EventsCause>) -> Fault {
        let offset = self.body.len() - self.rest.len() + bytes;
        Fault { cause: cause.into(), index: self.count, offset }
    }

    /// Ends the reading at a fault.
    #[cold]
    fn refuse(&mut self, fault: Fault) -> EventsError {
        self.frame = Frame::End;
        let Fault { cause, index, offset } = fault;
        let line = 1 + memchr::memchr_iter(b'\n', &self.body[..offset]).count();
        EventsError { cause, index, line, offset }
    }
}

/// An event, or `None` at the end of the body, or the first fault.
type Read<'a> = Result<Option<Event<'a>>, Fault>;

/// An [`EventsError`] whose line was not counted yet.
struct Fault {
    cause: EventsCause,
    index: usize,
    offset: usize,
}
