//! The protocol state of one connection: bytes in, whole requests out. No socket, no clock.
//!
//! The caller keeps the bytes of the request under way in one contiguous buffer, from its first byte
//! on. It calls [`Exchange::advance`] whenever there are more:
//!
//! ```text
//! input   | head of the request | content so far | what follows |
//!         0               head.length                          len
//! ```
//!
//! The result is one of three. A whole [`Request`] borrows from the buffer. For an incomplete request
//! it is the number of bytes that must be kept until more arrive; that can be less than what was
//! there, because a chunked body is decoded in place. A [`Refusal`] ends the connection.

use super::body::Decoder;
use super::content::{ContentLimit, ContentLimits};
use super::error::HttpError;
use super::framing::Framing;
use super::head::{Head, Parsed, Parser};
use super::memo::Memo;
use super::refusal::Refusal;
use super::replay::Replay;
use super::request::Request;

/// The protocol state of one connection.
#[derive(Debug)]
pub struct Exchange {
    state: State,
    content_limits: ContentLimits,
}

#[derive(Debug)]
enum State {
    /// Between two requests, or within a head.
    Head(Parser),
    /// Within content of known length.
    Length { head: Head, whole_bytes: usize },
    /// Within a chunked body.
    Chunked(ChunkedBody),
    /// Behind a chunked body that is whole and decoded.
    Decoded { head: Head, content_end: usize, consumed: usize, put_back: bool },
}

/// A chunked body that is incomplete, and the head before it.
#[derive(Debug)]
struct ChunkedBody {
    head: Head,
    decoder: Decoder,
    /// Where the content decoded so far ends.
    content_end: usize,
    /// The limit of the content.
    limit: ContentLimit,
}

/// The result of a look at the input.
#[derive(Debug)]
pub enum Step<'b> {
    /// One whole request.
    Request {
        /// The request.
        request: Request<'b>,
        /// Bytes of input that it took. The next request begins there.
        consumed: usize,
    },
    /// The request is incomplete.
    More {
        /// Bytes at the start of the input that must be there at the next call.
        kept: usize,
        /// Whether the client waits for `100 Continue` now; at most once for each request.
        send_continue: bool,
    },
    /// The client broke the protocol. The refusal must be answered and the connection closed.
    Error(Refusal),
}

/// The part of a request that the exchange waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The request line or the header section.
    Head,
    /// The content.
    Body,
}

impl Exchange {
    /// Returns the state of a fresh connection, whose requests have no more content than
    /// `content_limits` allow.
    pub fn new(content_limits: impl Into<ContentLimits>) -> Self {
        Exchange { state: State::Head(Parser::default()), content_limits: content_limits.into() }
    }

    /// Returns the part that the exchange waits for, if a request is under way.
    pub fn stage(&self) -> Stage {
        match self.state {
            State::Head(_) | State::Decoded { put_back: false, .. } => Stage::Head,
            State::Length { .. } | State::Chunked(_) | State::Decoded { .. } => Stage::Body,
        }
    }

    /// Returns how many bytes the request under way has in all, if that is known.
    pub fn expected_bytes(&self) -> Option<usize> {
        match self.state {
            State::Length { whole_bytes, .. } => Some(whole_bytes),
            State::Head(_) | State::Chunked(_) | State::Decoded { .. } => None,
        }
    }

    /// Returns bytes that bring the exchange of a fresh connection to where this one is. `kept` are
    /// the bytes that this one asked to keep. With them a connection can move to another process.
    pub fn replay(&self, mut kept: Vec<u8>) -> Replay {
        match &self.state {
            State::Chunked(body) => {
                kept.truncate(body.content_end);
                let (between, after) = body.decoder.replay(kept.len() - body.head.length);
                Replay::new(kept, body.head.length, between, after)
            }
            State::Decoded { head, content_end, consumed, put_back: true } => {
                let between = format!("{:x}\r\n", content_end - head.length).into_bytes();
                let after = [b"\r\n0\r\n\r\n", &kept[*consumed..]].concat();
                kept.truncate(*content_end);
                Replay::new(kept, head.length, between, after)
            }
            State::Head(_) | State::Length { .. } | State::Decoded { .. } => kept.into(),
        }
    }

    /// Takes back the request that the last call returned, which has content: the next call, with the
    /// same input, returns it again.
    pub fn put_back(&mut self) {
        // A request without a transfer coding is read anew. A chunked one cannot be, since its content
        // was decoded where it lay.
        if let State::Decoded { put_back, .. } = &mut self.state {
            *put_back = true;
        }
    }

    /// Returns the whole request at the start of `input`, if its head is the remembered one and it
    /// has no transfer coding; nearly all requests are such. After `None`,
    /// [`advance`](Self::advance) must decide.
    #[inline(always)]
    pub fn recall<'b>(&mut self, input: &'b [u8], memo: &Memo) -> Option<(Request<'b>, usize)> {
        let State::Head(parser) = &mut self.state else { return None };
        let (head, length, content_bytes) = memo.recall(input)?;
        if content_bytes > self.content_limits.least() as u64 {
            return None;
        }
        let end = length + content_bytes as usize;
        let content = input.get(length..end)?;
        parser.restart();
        Some((Request::new(head, input, content), end))
    }

    /// Looks at `input`, which begins where the request under way begins and holds at least the bytes
    /// that the last call asked to keep. A head that is read is remembered in `memo`.
    ///
    /// After an error the exchange must not be used again.
    ///
    /// Never inlined: beside [`recall`](Self::recall), which answers nearly every request, it would
    /// take the registers that the caller's loop needs.
    #[inline(never)]
    pub fn advance<'b>(&mut self, input: &'b mut [u8], memo: &mut Memo) -> Step<'b> {
        match &mut self.state {
            State::Head(parser) => {
                let parser = std::mem::take(parser);
                self.advance_head(parser, input, memo)
            }
            State::Length { head, whole_bytes } => {
                let (head, whole_bytes) = (*head, *whole_bytes);
                if input.len() < whole_bytes {
                    return Step::More { kept: input.len(), send_continue: false };
                }
                self.state = State::Head(Parser::default());
                whole(&head, input, whole_bytes, whole_bytes)
            }
            State::Chunked(body) => {
                let (step, decoded) = body.advance(input, body.content_end);
                if let Some(decoded) = decoded {
                    self.state = decoded;
                }
                step
            }
            State::Decoded { head, content_end, consumed, put_back: put_back @ true } => {
                *put_back = false;
                whole(head, input, *content_end, *consumed)
            }
            State::Decoded { .. } => self.advance_head(Parser::default(), input, memo),
        }
    }

    #[inline]
    fn advance_head<'b>(
        &mut self,
        mut parser: Parser,
        input: &'b mut [u8],
        memo: &mut Memo,
    ) -> Step<'b> {
        match parser.parse(input) {
            Ok(Parsed::Complete(head)) => {
                memo.remember(input, &head, parser.content_length_digits());
                self.state = State::Head(Parser::default());
                self.begin_content(head, input)
            }
            Ok(Parsed::Partial) => {
                self.state = State::Head(parser);
                Step::More { kept: input.len(), send_continue: false }
            }
            Err(error) => Step::Error(Refusal::new(error, input)),
        }
    }

    /// Looks at the content behind a head that has just been read.
    #[inline]
    fn begin_content<'b>(&mut self, head: Head, input: &'b mut [u8]) -> Step<'b> {
        let limit = self.content_limits.of(head.path.of(input));
        let Framing::Length(content_bytes) = head.framing else {
            let decoder = Decoder::new(limit.bytes);
            let mut body = ChunkedBody { head, decoder, content_end: head.length, limit };
            let (step, decoded) = body.advance(input, head.length);
            self.state = decoded.unwrap_or(State::Chunked(body));
            return step;
        };
        if content_bytes > limit.bytes as u64 {
            return Step::Error(Refusal::too_large(limit, input));
        }
        let whole_bytes = head.length + content_bytes as usize;
        if whole_bytes > input.len() {
            // A client that waits for `100 Continue` has not sent its content yet.
            let send_continue = head.expects_continue && head.length == input.len();
            self.state = State::Length { head, whole_bytes };
            return Step::More { kept: input.len(), send_continue };
        }
        whole(&head, input, whole_bytes, whole_bytes)
    }
}

impl ChunkedBody {
    /// Decodes the input from `read_at` on. Returns also the state behind the body, if it is whole.
    fn advance<'b>(&mut self, input: &'b mut [u8], read_at: usize) -> (Step<'b>, Option<State>) {
        let nothing_sent = read_at == self.head.length && input.len() == read_at;
        let step = match self.decoder.decode(input, self.content_end, read_at) {
            Ok(progress) if progress.complete => {
                let (head, content_end, consumed) =
                    (self.head, progress.write_at, progress.read_at);
                let decoded = State::Decoded { head, content_end, consumed, put_back: false };
                return (whole(&head, input, content_end, consumed), Some(decoded));
            }
            Ok(progress) => {
                self.content_end = progress.write_at;
                Step::More {
                    kept: progress.write_at,
                    send_continue: self.head.expects_continue && nothing_sent,
                }
            }
            Err(HttpError::ContentTooLarge) => Step::Error(Refusal::too_large(self.limit, input)),
            Err(error) => Step::Error(Refusal::new(error, input)),
        };
        (step, None)
    }
}

/// The request whose content ends at `content_end`, read from `consumed` bytes of `input`.
#[inline(always)]
fn whole<'b>(head: &Head, input: &'b [u8], content_end: usize, consumed: usize) -> Step<'b> {
    let content = &input[head.length..content_end];
    Step::Request { request: Request::new(head, input, content), consumed }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::http::Method;

    const CONTENT_BYTES_MAX: usize = 32;

    /// All requests of a connection, and how it ended.
    #[derive(Debug, Default, PartialEq)]
    struct Seen {
        requests: Vec<(Method, Vec<u8>, Vec<u8>, bool)>,
        error: Option<Refusal>,
        continues: usize,
    }

    impl Seen {
        fn note(&mut self, request: &Request<'_>) {
            self.requests.push((
                request.method,
                request.path().to_vec(),
                request.content.to_vec(),
                request.persistent,
            ));
        }
    }

    fn serve_in_pieces(input: &[u8], cuts: &[usize]) -> Seen {
        serve(input, cuts, false)
    }

    /// With `moving`, the connection moves after each piece.
    fn serve(input: &[u8], cuts: &[usize], moving: bool) -> Seen {
        let mut seen = Seen::default();
        let (mut exchange, mut memo) = (Exchange::new(CONTENT_BYTES_MAX), Memo::default());
        let mut buffer = Vec::new();
        let mut taken = 0;
        for cut in cuts.iter().map(|&cut| cut.min(input.len())).chain([input.len()]) {
            buffer.extend_from_slice(&input[taken..cut.max(taken)]);
            taken = cut.max(taken);
            while !buffer.is_empty() {
                if let Some((request, consumed)) = exchange.recall(&buffer, &memo) {
                    seen.note(&request);
                    buffer.drain(..consumed);
                    continue;
                }
                match exchange.advance(&mut buffer, &mut memo) {
                    Step::Request { request, consumed } => {
                        seen.note(&request);
                        buffer.drain(..consumed);
                    }
                    Step::More { kept, send_continue } => {
                        seen.continues += usize::from(send_continue);
                        buffer.truncate(kept);
                        break;
                    }
                    Step::Error(refusal) => {
                        seen.error = Some(refusal);
                        return seen;
                    }
                }
            }
            if moving {
                buffer = exchange.replay(buffer).into_bytes();
                exchange = Exchange::new(CONTENT_BYTES_MAX);
            }
        }
        seen
    }

    fn check(input: &[u8]) -> Seen {
        let whole = serve_in_pieces(input, &[]);
        let cuts: Vec<usize> = (0..input.len()).collect();
        let mut trickled = serve_in_pieces(input, &cuts);
        // Whether `100 Continue` is called for depends on what had arrived, and is not compared.
        trickled.continues = whole.continues;
        assert_eq!(trickled, whole, "byte by byte: {}", input.escape_ascii());
        let mut moved = serve(input, &cuts, true);
        moved.continues = whole.continues;
        assert_eq!(moved, whole, "moved after every byte: {}", input.escape_ascii());
        whole
    }

    /// A request that is put back comes again, also where its content was decoded in place, and also
    /// after a move.
    #[test]
    fn a_request_that_is_put_back_comes_again() {
        let next = "GET / HTTP/1.1\r\nHost: n\r\n\r\n";
        for request in [
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde",
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n",
        ] {
            for is_moved in [false, true] {
                let (mut exchange, mut memo) = (Exchange::new(CONTENT_BYTES_MAX), Memo::default());
                let mut input = format!("{request}{next}").into_bytes();
                for _ in 0..3 {
                    let Step::Request { request, .. } = exchange.advance(&mut input, &mut memo)
                    else {
                        panic!("no request")
                    };
                    assert_eq!(request.content, b"abcde");
                    exchange.put_back();
                }
                assert_eq!(exchange.stage() == Stage::Body, request.contains("chunked"));
                if is_moved {
                    input = exchange.replay(input).into_bytes();
                    exchange = Exchange::new(CONTENT_BYTES_MAX);
                }
                let step = exchange.advance(&mut input, &mut memo);
                let Step::Request { request, consumed } = step else { panic!("{step:?}") };
                assert_eq!(request.content, b"abcde");
                let rest = &mut input[consumed..];
                assert_eq!(rest, next.as_bytes());
                let step = exchange.advance(rest, &mut memo);
                assert!(matches!(step, Step::Request { request, .. } if request.target() == b"/"));
            }
        }
    }

    const HEAD: &str = "POST /event HTTP/1.1\r\nHost: h\r\n";

    /// The head is recalled when a part of it, even the empty line before it, was read already.
    #[test]
    fn a_head_in_two_pieces_is_recalled_and_leaves_nothing_behind() {
        let request = "\r\nPOST /event HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}";
        let (mut exchange, mut memo) = (Exchange::new(CONTENT_BYTES_MAX), Memo::default());
        for cut in 0..request.len() {
            for piece in [&request.as_bytes()[..cut], request.as_bytes(), request.as_bytes()] {
                let mut input = piece.to_vec();
                if let Some((found, consumed)) = exchange.recall(&input, &memo) {
                    assert_eq!((found.content, consumed), (&b"{}"[..], request.len()));
                    continue;
                }
                match exchange.advance(&mut input, &mut memo) {
                    Step::Request { request: found, consumed } => {
                        assert_eq!((found.content, consumed), (&b"{}"[..], request.len()));
                    }
                    Step::More { .. } => assert_eq!(piece.len(), cut),
                    Step::Error(error) => panic!("{error:?} after {cut} bytes"),
                }
            }
        }
    }

    #[test]
    fn requests_follow_one_another() {
        let input = format!(
            "{HEAD}Content-Length: 5\r\n\r\nhello\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n3 ;a=b\r\nabc\r\n02\r\nde\r\n0\r\nt: u\r\n\r\n\
             GET /stats HTTP/1.0\r\n\r\n"
        );
        let seen = check(input.as_bytes());
        let expected = [
            (Method::Post, b"/event".to_vec(), b"hello".to_vec(), true),
            (Method::Post, b"/event".to_vec(), b"abcde".to_vec(), true),
            (Method::Get, b"/stats".to_vec(), b"".to_vec(), false),
        ];
        assert_eq!((seen.requests, seen.error), (expected.to_vec(), None));
    }

    #[test]
    fn too_large_is_known_before_the_content_comes() {
        let seen = check(format!("{HEAD}Content-Length: 33\r\n\r\n").as_bytes());
        assert_eq!(seen.error.map(|refusal| refusal.error), Some(HttpError::ContentTooLarge));
        let seen = check(
            format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n20\r\n{}\r\n1\r\n", "a".repeat(32))
                .as_bytes(),
        );
        assert_eq!(seen.error.map(|refusal| refusal.error), Some(HttpError::ContentTooLarge));
    }

    #[test]
    fn the_go_ahead_is_given_once_and_only_while_no_content_has_come() {
        for framing in ["Content-Length: 2", "Transfer-Encoding: chunked"] {
            let head = format!("{HEAD}{framing}\r\nExpect: 100-continue\r\n\r\n");
            let body = if framing.starts_with('C') { "ab" } else { "2\r\nab\r\n0\r\n\r\n" };
            let input = format!("{head}{body}");
            let whole = serve_in_pieces(input.as_bytes(), &[]);
            assert_eq!((whole.continues, whole.requests.len()), (0, 1));
            let apart = serve_in_pieces(input.as_bytes(), &[head.len(), head.len() + 1]);
            assert_eq!((apart.continues, apart.requests.len()), (1, 1));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 1000 }, failure_persistence: None, ..Default::default() })]

        #[test]
        fn every_split_gives_the_same_requests(
            pieces in proptest::collection::vec(proptest::sample::select(vec![
                "POST /event HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
                "POST /event HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
                "GET /stats HTTP/1.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "\r\n",
                "POST /event HTTP/1.1\r\nHost: h\r\nContent-Length: ", "7", "\r\n\r\n", "x", "\n",
                "POST /event HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
                "HEAD / HTTP/1.1\r\nHost: h\r\n", "HEAD / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n", "0;a=\"b\"\r\n\r\n",
            ]), 0..8),
            mut cuts in proptest::collection::vec(0usize..400, 0..8),
        ) {
            let input = pieces.concat();
            cuts.sort_unstable();
            let mut pieces = serve_in_pieces(input.as_bytes(), &cuts);
            let whole = check(input.as_bytes());
            pieces.continues = whole.continues;
            prop_assert_eq!(pieces, whole);
            crate::http::fuzz::exchange(&[&[7], input.as_bytes()].concat());
        }
    }
}
