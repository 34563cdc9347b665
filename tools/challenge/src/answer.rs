//! Reads the answers of any HTTP/1 server: content by length, chunked, or until the connection
//! closes. Interim answers are skipped.
//!
//! A server sends the same head again and again. A head that equals the one before it, byte by byte,
//! has the same meaning and is not parsed again.

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The server closes the connection after it.
    pub closes: bool,
    /// `Millrace-Duplicate: true`: the request had been counted before.
    pub is_duplicate: bool,
}

/// What is at the start of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// A whole answer, and its length in bytes.
    Answer(Answer, usize),
    /// The start of an answer.
    Partial,
    /// Something that is not an answer.
    Malformed,
}

/// How the end of content is found (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    answer: Answer,
    framing: Framing,
    length: usize,
}

/// Reads the answers of one thread's connections.
#[derive(Default)]
pub struct Reader {
    last: Vec<u8>,
    last_head: Option<Head>,
}

impl Reader {
    /// Reads one answer. `ended`: the server has closed, so no more input will come.
    pub fn read(&mut self, input: &[u8], ended: bool) -> Read {
        let mut at = 0;
        loop {
            let head = match self.head(&input[at..]) {
                Ok(Some(head)) => head,
                Ok(None) => return Read::Partial,
                Err(()) => return Read::Malformed,
            };
            at += head.length;
            if (100..200).contains(&head.answer.status) {
                continue;
            }
            let content = &input[at..];
            let content_bytes = match head.framing {
                Framing::Length(length) => (content.len() >= length).then_some(length),
                Framing::UntilClose => ended.then_some(content.len()),
                Framing::Chunked => match chunked_length(content) {
                    Ok(length) => length,
                    Err(()) => return Read::Malformed,
                },
            };
            return content_bytes
                .map_or(Read::Partial, |bytes| Read::Answer(head.answer, at + bytes));
        }
    }

    fn head(&mut self, input: &[u8]) -> Result<Option<Head>, ()> {
        if let Some(head) = self.last_head
            && input.starts_with(&self.last)
        {
            return Ok(Some(head));
        }
        let head = parse_head(input)?;
        if let Some(head) = head {
            self.last.clear();
            self.last.extend_from_slice(&input[..head.length]);
            self.last_head = Some(head);
        }
        Ok(head)
    }
}

/// Returns status and content of an answer that has been received as a whole. Interim answers before
/// it are skipped.
pub fn whole(input: &[u8]) -> Option<(u16, Vec<u8>)> {
    let head = parse_head(input).ok()??;
    let content = &input[head.length..];
    if (100..200).contains(&head.answer.status) {
        return whole(content);
    }
    let content = match head.framing {
        Framing::Length(length) => content.get(..length)?.to_vec(),
        Framing::UntilClose => content.to_vec(),
        Framing::Chunked => {
            let mut decoded = Vec::new();
            let mut at = 0;
            while let Ok(httparse::Status::Complete((bytes, size))) =
                httparse::parse_chunk_size(content.get(at..)?)
            {
                let size = usize::try_from(size).ok()?;
                if size == 0 {
                    break;
                }
                decoded
                    .extend_from_slice(content.get(at + bytes..(at + bytes).checked_add(size)?)?);
                at += bytes + size + 2;
            }
            decoded
        }
    };
    Some((head.answer.status, content))
}

fn parse_head(input: &[u8]) -> Result<Option<Head>, ()> {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(input) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(()),
    };
    let status = response.code.ok_or(())?;
    let values = |name: &'static str| {
        let named =
            response.headers.iter().filter(move |field| field.name.eq_ignore_ascii_case(name));
        named.flat_map(|field| field.value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii)
    };
    let says =
        |name, what: &str| values(name).any(|value| value.eq_ignore_ascii_case(what.as_bytes()));
    let framing = if status < 200 || status == 204 || status == 304 {
        Framing::Length(0)
    } else if says("transfer-encoding", "chunked") {
        Framing::Chunked
    } else if let Some(length) = values("content-length").next() {
        Framing::Length(
            std::str::from_utf8(length).ok().and_then(|length| length.parse().ok()).ok_or(())?,
        )
    } else {
        Framing::UntilClose
    };
    let persistent = if response.version == Some(0) {
        says("connection", "keep-alive")
    } else {
        !says("connection", "close")
    };
    let closes = !persistent || framing == Framing::UntilClose;
    let is_duplicate = says("millrace-duplicate", "true");
    Ok(Some(Head { answer: Answer { status, closes, is_duplicate }, framing, length }))
}

/// Returns the length of a chunked body with its trailers, or `None` if it is not complete.
fn chunked_length(input: &[u8]) -> Result<Option<usize>, ()> {
    let mut at = 0;
    loop {
        let size = match httparse::parse_chunk_size(&input[at..]) {
            Ok(httparse::Status::Complete((bytes, size))) => {
                at += bytes;
                usize::try_from(size).map_err(drop)?
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(()),
        };
        if size == 0 {
            // Trailer fields, if any, and the empty line.
            loop {
                let Some(end) = input[at..].windows(2).position(|pair| pair == b"\r\n") else {
                    return Ok(None);
                };
                at += end + 2;
                if end == 0 {
                    return Ok(Some(at));
                }
            }
        }
        at = at.checked_add(size).and_then(|at| at.checked_add(2)).ok_or(())?;
        if input.len() < at {
            return Ok(None);
        }
        if &input[at - 2..at] != b"\r\n" {
            return Err(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Answer = Answer { status: 200, closes: false, is_duplicate: false };

    #[test]
    fn every_split_of_every_kind_of_answer() {
        for (input, answer) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", OK),
            ("HTTP/1.1 201 Created\r\ncontent-length: 3\r\n\r\nabc", Answer { status: 201, ..OK }),
            ("HTTP/1.1 204 No Content\r\n\r\n", Answer { status: 204, ..OK }),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x\r\nd\r\n0\r\nT: v\r\n\r\n",
                OK,
            ),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", OK),
            (
                "HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
                Answer { status: 503, closes: true, ..OK },
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", Answer { closes: true, ..OK }),
            (
                "HTTP/1.1 200 OK\r\nmillrace-duplicate: true\r\nContent-Length: 0\r\n\r\n",
                Answer { is_duplicate: true, ..OK },
            ),
            ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", OK),
        ] {
            let mut reader = Reader::default();
            for cut in 0..input.len() {
                assert_eq!(
                    reader.read(&input.as_bytes()[..cut], false),
                    Read::Partial,
                    "{cut} of {input:?}"
                );
            }
            let twice = input.repeat(2);
            assert_eq!(
                reader.read(twice.as_bytes(), false),
                Read::Answer(answer, input.len()),
                "{input:?}"
            );
        }
    }

    #[test]
    fn content_until_close() {
        let input = b"HTTP/1.1 200 OK\r\n\r\nabc";
        let closing = Answer { closes: true, ..OK };
        assert_eq!(Reader::default().read(input, false), Read::Partial);
        assert_eq!(Reader::default().read(input, true), Read::Answer(closing, input.len()));
    }

    #[test]
    fn whole_answers() {
        for input in [
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            "HTTP/1.0 200 OK\r\n\r\nabc",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
        ] {
            assert_eq!(whole(input.as_bytes()), Some((200, b"abc".to_vec())), "{input:?}");
        }
        assert_eq!(whole(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc"), None);
    }

    #[test]
    fn what_is_no_answer() {
        for input in ["HTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"] {
            assert_eq!(
                Reader::default().read(input.as_bytes(), false),
                Read::Malformed,
                "{input:?}"
            );
        }
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n";
        assert_eq!(Reader::default().read(chunked.as_bytes(), false), Read::Malformed);
    }
}
