use proptest::prelude::*;

use super::*;

/// One outcome, comparable: what was read, or the error.
type Outcome =
    Result<Option<(Method, Version, usize, Vec<u8>, Vec<u8>, Framing, bool, bool)>, HttpError>;

fn parse_whole(input: &[u8]) -> Outcome {
    outcome(Parser::default().parse(input), input)
}

fn parse_in_pieces(input: &[u8], cuts: &[usize]) -> Outcome {
    let mut parser = Parser::default();
    for &cut in cuts {
        match parser.parse(&input[..cut.min(input.len())]) {
            Ok(Parsed::Partial) => {}
            other => return outcome(other, input),
        }
    }
    outcome(parser.parse(input), input)
}

fn outcome(parsed: Result<Parsed<Head>, HttpError>, input: &[u8]) -> Outcome {
    parsed.map(|parsed| match parsed {
        Parsed::Partial => None,
        Parsed::Complete(head) => Some((
            head.method,
            head.version,
            head.length,
            head.target.of(input).to_vec(),
            head.path.of(input).to_vec(),
            head.framing,
            head.persistent,
            head.expects_continue,
        )),
    })
}

/// The same verdict in one piece and byte by byte.
fn check(input: &[u8]) -> Outcome {
    let whole = parse_whole(input);
    let cuts: Vec<usize> = (0..input.len()).collect();
    assert_eq!(
        parse_in_pieces(input, &cuts),
        whole,
        "byte by byte: {:?}",
        input.escape_ascii().to_string()
    );
    whole
}

#[test]
fn usual_heads() {
    let input = b"POST /event HTTP/1.1\r\nHost: h:1\r\nContent-Length: 7\r\n\r\n{\"a\":1}";
    let (method, version, length, target, path, framing, persistent, _) =
        check(input).unwrap().unwrap();
    assert_eq!((method, version, length), (Method::Post, Version::Http11, input.len() - 7));
    assert_eq!((&target[..], &path[..]), (&b"/event"[..], &b"/event"[..]));
    assert_eq!((framing, persistent), (Framing::Length(7), true));

    let input = b"\r\n\n\n\r\n\r\n\n\n\r\nHEAD /stats?now HTTP/1.0\r\nX:\t a\tb \t\r\n\r\n";
    let (method, version, length, target, path, framing, persistent, _) =
        check(input).unwrap().unwrap();
    assert_eq!((method, version, length), (Method::Head, Version::Http10, input.len()));
    assert_eq!((&target[..], &path[..]), (&b"/stats?now"[..], &b"/stats"[..]));
    assert_eq!((framing, persistent), (Framing::Length(0), false));
}

#[test]
fn malformed_heads() {
    use HttpError as E;
    for (input, expected) in [
        (&b"GET  / HTTP/1.1\r\n"[..], E::RequestLine),
        (b"GET /\r\n", E::RequestLine),
        (b"GET / HTTP/1.1 \r\n", E::RequestLine),
        (b" GET / HTTP/1.1\r\n", E::RequestLine),
        (b"GET\t/ HTTP/1.1\r\n", E::RequestLine),
        (b"GET / HTTP/1.1\n", E::RequestLine),
        (b"GET / HTTP/1.1\r\r\n", E::RequestLine),
        (b"G(T / HTTP/1.1\r\n", E::RequestLine),
        (b"\r\n\n\r\n\n\r\n\n\r\n\n\r\nGET / HTTP/1.1\r\n", E::RequestLine),
        (b"\n\n\n\n\n\n\n\n\nGET / HTTP/1.1\r\n", E::RequestLine),
        (b"\n\rGET / HTTP/1.1\r\n", E::RequestLine),
        (b"\x16\x03\x01", E::RequestLine),
        (b"GET / http/1.1\r\n", E::Version),
        (b"GET / HTTP/1.10\r\n", E::Version),
        (b"GET / HTTP/1\r\n", E::Version),
        (b"GET / HTTP/2.0\r\n", E::VersionUnsupported),
        (b"GET / HTTP/0.9\r\n", E::VersionUnsupported),
        (b"GET /\x00 HTTP/1.1\r\n", E::RequestLine),
        (b"GET /\xc3\xa4 HTTP/1.1\r\n", E::Target),
        (b"GET / HTTP/1.1\r\n Host: h\r\n", E::FieldFolded),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\tx\r\n", E::FieldFolded),
        (b"GET / HTTP/1.1\r\nHost : h\r\n", E::FieldLine),
        (b"GET / HTTP/1.1\r\nHost\r\n", E::FieldLine),
        (b"GET / HTTP/1.1\r\n: h\r\n", E::FieldLine),
        (b"GET / HTTP/1.1\r\nH\x01: h\r\n", E::FieldLine),
        (b"GET / HTTP/1.1\r\nX: a\x00b\r\n", E::FieldLine),
        (b"GET / HTTP/1.1\r\nX: a\x7fb\r\n", E::FieldLine),
        (b"GET / HTTP/1.1\r\nX: a\rb\r\n", E::FieldLine),
        (b"GET / HTTP/1.1\r\nX: a\n", E::FieldLine),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\n", E::FieldLine),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\rX\n", E::FieldLine),
        (b"GET / HTTP/1.1\r\n\r\n", E::HostMissing),
    ] {
        assert_eq!(check(input), Err(expected), "{}", input.escape_ascii());
    }
}

/// A line that no later byte can make right is refused before its end arrives.
#[test]
fn a_control_character_is_refused_at_once() {
    use HttpError as E;
    for (input, expected) in [
        (&b"GET / HTTP/1.1\rL"[..], E::RequestLine),
        (b"GET / HTTP/1.1\r\r", E::RequestLine),
        (b"GET / HTTP/1.1\n", E::RequestLine),
        (b"GET /\x00", E::RequestLine),
        (b"GET /\x7f", E::RequestLine),
        (b"G\rE", E::RequestLine),
        (b"\rG", E::RequestLine),
        (b"\r\n\rG", E::RequestLine),
        (b"GET / HTTP/1.1\r\nHost: h\rX", E::FieldLine),
        (b"GET / HTTP/1.1\r\nHost: h\n", E::FieldLine),
        (b"GET / HTTP/1.1\r\nHo\x01", E::FieldLine),
        (b"GET / HTTP/1.1\r\nHost: \x1b", E::FieldLine),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\rX", E::FieldLine),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\n", E::FieldLine),
        (b"GET / HTTP/1.1\r\nHost: h\r\n \x00", E::FieldFolded),
    ] {
        let before = &input[..input.len() - 1];
        assert_eq!(check(before), Ok(None), "before the last byte: {}", input.escape_ascii());
        assert_eq!(check(input), Err(expected), "{}", input.escape_ascii());
    }
}

/// Beside each limit, every byte that decides gives the same verdict in every split.
#[test]
fn a_verdict_near_a_limit_does_not_depend_on_the_split() {
    let starts = [
        ("GET /", REQUEST_LINE_BYTES_MAX),
        ("GET / HTTP/1.1\r\nHost: h\r\nX: ", "GET / HTTP/1.1\r\n".len() + HEADER_SECTION_BYTES_MAX),
        ("GET / HTTP/1.1\r\n ", "GET / HTTP/1.1\r\n".len() + HEADER_SECTION_BYTES_MAX),
    ];
    for (start, limit) in starts {
        for length in limit - 5..limit + 5 {
            for end in ["\r\n", "\r\n\r\n", "\n", "\rX", "\r\r\n", "\0", "\r", ""] {
                let input = format!("{start}{}{end}", "a".repeat(length - start.len()));
                let whole = parse_whole(input.as_bytes());
                for cut in length - 2..input.len() {
                    let cuts: Vec<usize> = (cut..input.len()).collect();
                    let pieces = parse_in_pieces(input.as_bytes(), &cuts);
                    assert_eq!(pieces, whole, "{length} of {limit}, {end:?}, cut at {cut}");
                }
            }
        }
    }
}

#[test]
fn limits_hold_to_the_byte() {
    let line = |target_bytes: usize| {
        format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(target_bytes))
    };
    let around = "GET / HTTP/1.1".len();
    assert!(check(line(REQUEST_LINE_BYTES_MAX - around).as_bytes()).is_ok());
    assert_eq!(
        check(line(REQUEST_LINE_BYTES_MAX - around + 1).as_bytes()),
        Err(HttpError::RequestLineTooLong)
    );
    assert_eq!(check(&[b'a'; REQUEST_LINE_BYTES_MAX]), Ok(None));
    assert_eq!(check(&[b'a'; REQUEST_LINE_BYTES_MAX + 1]), Err(HttpError::MethodTooLong));

    let section = |bytes: usize| {
        let around = "Host: h\r\nX: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "a".repeat(bytes - around))
    };
    assert!(check(section(HEADER_SECTION_BYTES_MAX).as_bytes()).is_ok());
    assert_eq!(
        check(section(HEADER_SECTION_BYTES_MAX + 1).as_bytes()),
        Err(HttpError::FieldsTooLarge)
    );
    assert_eq!(
        check(section(HEADER_SECTION_BYTES_MAX + 3).as_bytes()),
        Err(HttpError::FieldsTooLarge)
    );

    let fields =
        |count: usize| format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "a: b\r\n".repeat(count - 1));
    assert!(check(fields(FIELD_COUNT_MAX).as_bytes()).is_ok());
    assert_eq!(check(fields(FIELD_COUNT_MAX + 1).as_bytes()), Err(HttpError::FieldsTooLarge));
}

/// Fragments that make valid heads often, and nearly valid ones more often.
pub(in crate::http) fn piece() -> impl Strategy<Value = Vec<u8>> {
    let fragments: Vec<&[u8]> = vec![
        b"GET",
        b"POST",
        b" ",
        b" ",
        b"/",
        b"/event",
        b"http://h/p",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"Host",
        b": ",
        b":",
        b"h",
        b"Content-Length: 3",
        b"Transfer-Encoding: chunked",
        b"\n",
        b"\r",
        b"\t",
        b"\0",
        b"Transfer-Encoding: ,chunked",
        b"Host: [::1]:80",
        b"Host: h%4",
        b"Content-Encoding: gzip",
        b"/?{a}|b^c`\\",
        b"CONNECT h:443",
        b"OPTIONS *",
        b"Connection: close",
        b"Expect: 100-continue",
        b"GET / HTTP/1.1\r\nHost: h\r\n",
        b"POST /event HTTP/1.1\r\n",
        b"\xff",
    ];
    prop_oneof![
        9 => proptest::sample::select(fragments).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 1..4),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 2000 }, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_split_gives_the_same_result(
        pieces in proptest::collection::vec(piece(), 0..16),
        mut cuts in proptest::collection::vec(0usize..200, 0..6),
    ) {
        let input = pieces.concat();
        cuts.sort_unstable();
        prop_assert_eq!(parse_in_pieces(&input, &cuts), check(&input));
    }
}
