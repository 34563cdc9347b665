//! Answers, written into a buffer: the usual one copied whole, the others put together.
//!
//! What changes in the usual answer is its `Date` alone, so [`Responses::refresh`] prepares it once
//! a second, in as many copies as a pipelining client is likely to have earned at once, and
//! answering events is one copy of bytes.

use super::date::{DATE_BYTES, imf_fixdate};
use super::head::Version;

/// Copies of the usual answer that are prepared in one piece.
const PREPARED_COUNT: usize = 16;

/// The statuses this server sends (RFC 9110, 15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Status {
    Ok,
    NoContent,
    BadRequest,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    ContentTooLarge,
    UriTooLong,
    UnsupportedMediaType,
    ExpectationFailed,
    FieldsTooLarge,
    InternalServerError,
    NotImplemented,
    ServiceUnavailable,
    VersionNotSupported,
    InsufficientStorage,
}

impl Status {
    /// Every status once, in the order of declaration.
    pub const ALL: [Status; 17] = [
        Status::Ok,
        Status::NoContent,
        Status::BadRequest,
        Status::Forbidden,
        Status::NotFound,
        Status::MethodNotAllowed,
        Status::RequestTimeout,
        Status::ContentTooLarge,
        Status::UriTooLong,
        Status::UnsupportedMediaType,
        Status::ExpectationFailed,
        Status::FieldsTooLarge,
        Status::InternalServerError,
        Status::NotImplemented,
        Status::ServiceUnavailable,
        Status::VersionNotSupported,
        Status::InsufficientStorage,
    ];

    /// The three digits.
    pub const fn code(self) -> u16 {
        self.row().0
    }

    /// The status code and reason phrase as they stand in a status line.
    pub const fn phrase(self) -> &'static str {
        self.row().1
    }

    const fn row(self) -> (u16, &'static str) {
        match self {
            Status::Ok => (200, "200 OK"),
            Status::NoContent => (204, "204 No Content"),
            Status::BadRequest => (400, "400 Bad Request"),
            Status::Forbidden => (403, "403 Forbidden"),
            Status::NotFound => (404, "404 Not Found"),
            Status::MethodNotAllowed => (405, "405 Method Not Allowed"),
            Status::RequestTimeout => (408, "408 Request Timeout"),
            Status::ContentTooLarge => (413, "413 Content Too Large"),
            Status::UriTooLong => (414, "414 URI Too Long"),
            Status::UnsupportedMediaType => (415, "415 Unsupported Media Type"),
            Status::ExpectationFailed => (417, "417 Expectation Failed"),
            Status::FieldsTooLarge => (431, "431 Request Header Fields Too Large"),
            Status::InternalServerError => (500, "500 Internal Server Error"),
            Status::NotImplemented => (501, "501 Not Implemented"),
            Status::ServiceUnavailable => (503, "503 Service Unavailable"),
            Status::VersionNotSupported => (505, "505 HTTP Version Not Supported"),
            Status::InsufficientStorage => (507, "507 Insufficient Storage"),
        }
    }
}

/// What an answer says about the connection after it (RFC 9112, 9.3 and 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// It goes on, as is usual in HTTP/1.1: nothing is said.
    Implied,
    /// It goes on, and an HTTP/1.0 client has to be told so.
    Announced,
    /// It ends.
    Close,
}

impl Persistence {
    /// What to say to a client of this version.
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
    /// These bytes, of this media type.
    Bytes(&'static str, &'a [u8]),
    /// The head that these bytes would have, for `HEAD` (RFC 9110, 9.3.2).
    HeadOf(&'static str, &'a [u8]),
    /// Content of this media type that follows until the connection ends (RFC 9112, 6.3, item 8).
    Stream(&'static str),
}

/// `100 Continue` (RFC 9110, 15.2.1), the one interim response.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Answers of one worker, with the date of the present second in them.
pub struct Responses {
    unix_s: u64,
    date: [u8; DATE_BYTES],
    /// [`PREPARED_COUNT`] times the usual answer: `200`, no content, connection goes on.
    usual: Vec<u8>,
}

impl Responses {
    /// Answers dated `unix_s`, in whole seconds since 1970.
    pub fn new(unix_s: u64) -> Self {
        let mut responses = Responses { unix_s, date: imf_fixdate(unix_s), usual: Vec::new() };
        responses.prepare();
        responses
    }

    /// Brings the date to `unix_s`; next to free while the second lasts.
    #[inline]
    pub fn refresh(&mut self, unix_s: u64) {
        if unix_s != self.unix_s {
            self.unix_s = unix_s;
            self.date = imf_fixdate(unix_s);
            self.prepare();
        }
    }

    /// `count` times the usual answer: `200`, no content, connection goes on.
    #[inline]
    pub fn write_usual(&self, out: &mut Vec<u8>, mut count: usize) {
        let length = self.usual.len() / PREPARED_COUNT;
        while count > PREPARED_COUNT {
            out.extend_from_slice(&self.usual);
            count -= PREPARED_COUNT;
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
        for _ in 0..PREPARED_COUNT {
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
    fn statuses_are_listed_in_order_and_name_their_code() {
        for (i, status) in Status::ALL.into_iter().enumerate() {
            assert_eq!(status as usize, i);
            assert!(status.phrase().starts_with(&format!("{} ", status.code())));
        }
    }

    #[test]
    fn the_usual_answer_is_what_would_be_written() {
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
