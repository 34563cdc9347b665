//! Answers, written into a buffer: the usual one is copied whole, the others are put together.
//!
//! Only the `Date` of the usual answer ever changes. So [`Responses::refresh`] prepares the answer
//! once a second, in as many copies as a client with pipelined requests usually gets at once. To
//! answer such requests is then one copy of bytes.

use super::date::{DATE_BYTES, imf_fixdate};
use super::status::Status;
use super::version::Version;
use crate::limits::PREPARED_ANSWERS;

/// How an answer announces what becomes of its connection (RFC 9112, 9.3 and 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// The connection goes on. That is usual in HTTP/1.1, so the answer has no field for it.
    Implied,
    /// The connection goes on. An HTTP/1.0 client needs a field to see it.
    Announced,
    /// The connection ends.
    Close,
}

impl Persistence {
    /// Returns the announcement for a client of this version.
    #[inline(always)]
    pub fn of(version: Version, persistent: bool) -> Self {
        match (persistent, version) {
            (true, Version::Http11) => Persistence::Implied,
            (true, Version::Http10) => Persistence::Announced,
            (false, _) => Persistence::Close,
        }
    }

    const fn field_line(self) -> &'static str {
        match self {
            Persistence::Implied => "",
            Persistence::Announced => "Connection: keep-alive\r\n",
            Persistence::Close => "Connection: close\r\n",
        }
    }
}

/// The content of an answer.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// None, and no media type.
    Empty,
    /// A media type and the bytes.
    Bytes(&'static str, &'a [u8]),
    /// As [`Bytes`](Self::Bytes), but only the head is written, for `HEAD` (RFC 9110, 9.3.2).
    HeadOf(&'static str, &'a [u8]),
    /// A media type; the content follows until the connection ends (RFC 9112, 6.3, item 8).
    Stream(&'static str),
}

impl Content<'_> {
    /// Returns what an answer to `HEAD` has of this content, if `head_only`; otherwise the content.
    pub fn without_bytes_if(self, head_only: bool) -> Self {
        match self {
            Content::Bytes(media_type, bytes) if head_only => Content::HeadOf(media_type, bytes),
            content => content,
        }
    }
}

/// `100 Continue` (RFC 9110, 15.2.1), the only interim response.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Writes the answers of one worker, with the date of the present second.
pub struct Responses {
    unix_s: u64,
    date: [u8; DATE_BYTES],
    /// [`PREPARED_ANSWERS`] times the usual answer: `200`, no content, the connection goes on.
    usual: Vec<u8>,
}

impl Responses {
    /// Prepares answers dated `unix_s`, in whole seconds since 1970.
    pub fn new(unix_s: u64) -> Self {
        let mut responses = Responses { unix_s, date: imf_fixdate(unix_s), usual: Vec::new() };
        responses.prepare();
        responses
    }

    /// Brings the date to `unix_s`. Within the same second this is one comparison.
    #[inline]
    pub fn refresh(&mut self, unix_s: u64) {
        if unix_s != self.unix_s {
            self.unix_s = unix_s;
            self.date = imf_fixdate(unix_s);
            self.prepare();
        }
    }

    /// Appends the usual answer `count` times: `200`, no content, the connection goes on.
    #[inline]
    pub fn write_usual(&self, out: &mut Vec<u8>, mut count: usize) {
        let length = self.usual.len() / PREPARED_ANSWERS;
        while count > PREPARED_ANSWERS {
            out.extend_from_slice(&self.usual);
            count -= PREPARED_ANSWERS;
        }
        out.extend_from_slice(&self.usual[..count * length]);
    }

    /// Appends one answer. `fields` are whole further field lines, each with its CRLF.
    ///
    /// A `204` has no content, so its `content` must be [`Content::Empty`]. It has no
    /// `Content-Length` either (RFC 9110, 8.6).
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        status: Status,
        persistence: Persistence,
        fields: &str,
        content: Content<'_>,
    ) {
        debug_assert!(status != Status::NoContent || matches!(content, Content::Empty));
        let (media_type, bytes) = match content {
            Content::Empty if status == Status::NoContent => (None, None),
            Content::Empty => (None, Some(&[][..])),
            Content::Bytes(media_type, bytes) | Content::HeadOf(media_type, bytes) => {
                (Some(media_type), Some(bytes))
            }
            Content::Stream(media_type) => (Some(media_type), None),
        };
        let mut put = |text: &str| out.extend_from_slice(text.as_bytes());
        put("HTTP/1.1 ");
        put(status.phrase());
        put("\r\n");
        if let Some(media_type) = media_type {
            put("Content-Type: ");
            put(media_type);
            put("\r\n");
        }
        put(fields);
        put(persistence.field_line());
        if let Some(bytes) = bytes {
            put("Content-Length: ");
            put(itoa::Buffer::new().format(bytes.len()));
            put("\r\n");
        }
        put("Date: ");
        out.extend_from_slice(&self.date);
        out.extend_from_slice(b"\r\n\r\n");
        if let Content::Bytes(_, bytes) = content {
            out.extend_from_slice(bytes);
        }
    }

    fn prepare(&mut self) {
        let mut usual = std::mem::take(&mut self.usual);
        usual.clear();
        for _ in 0..PREPARED_ANSWERS {
            self.write(&mut usual, Status::Ok, Persistence::Implied, "", Content::Empty);
        }
        self.usual = usual;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&Responses, &mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&Responses::new(784_111_777), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_prepared_answers_equal_the_usual_answer() {
        const ONE: &str =
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
        for count in [0, 1, 15, 16, 17, 100] {
            assert_eq!(text(|responses, out| responses.write_usual(out, count)), ONE.repeat(count));
        }
    }

    #[test]
    fn fields_and_content() {
        let answer = |persistence, content| {
            text(|responses, out| {
                responses.write(out, Status::NotFound, persistence, "X: y\r\n", content)
            })
        };
        const HEAD: &str = "HTTP/1.1 404 Not Found\r\nContent-Type: a/b\r\nX: y\r\n";
        const TAIL: &str = "Content-Length: 2\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
        assert_eq!(
            answer(Persistence::Close, Content::Bytes("a/b", b"{}")),
            format!("{HEAD}Connection: close\r\n{TAIL}{{}}")
        );
        assert_eq!(
            answer(Persistence::Announced, Content::HeadOf("a/b", b"{}")),
            format!("{HEAD}Connection: keep-alive\r\n{TAIL}")
        );
        let (_, date) = TAIL.split_once("\r\n").unwrap();
        assert_eq!(
            answer(Persistence::Close, Content::Stream("a/b")),
            format!("{HEAD}Connection: close\r\n{date}")
        );
    }

    #[test]
    fn no_content_has_no_length() {
        let answer = text(|responses, out| {
            let persistence = Persistence::Implied;
            responses.write(out, Status::NoContent, persistence, "Allow: POST\r\n", Content::Empty);
        });
        assert_eq!(
            answer,
            "HTTP/1.1 204 No Content\r\nAllow: POST\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"
        );
    }

    #[test]
    fn a_new_second_gives_a_new_date() {
        let mut responses = Responses::new(0);
        responses.refresh(1);
        let mut out = Vec::new();
        responses.write_usual(&mut out, 1);
        assert!(String::from_utf8(out).unwrap().contains("Thu, 01 Jan 1970 00:00:01 GMT"));
    }
}
