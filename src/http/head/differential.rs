//! The head parser beside httparse, which hyper and actix-web use.
//!
//! httparse reads syntax and leaves the meaning of fields to its caller, so it accepts more. If both
//! accept a head, they must read the same from it. If only httparse accepts it, the reason must be on
//! the list. There must be no head that only this parser accepts.

use proptest::prelude::*;

use super::tests::piece;
use super::*;

/// Heads that only httparse accepts: the verdict of this parser, the head, and the reason.
const STRICTER: &[(HttpError, &str, &str)] = &[
    (
        HttpError::RequestLine,
        "GET / HTTP/1.1\nHost: h\r\n\r\n",
        "A line ends with CRLF. RFC 9112, 2.2 lets a server take a bare LF, but then a proxy that \
         does not may see other requests than we do.",
    ),
    (
        HttpError::RequestLine,
        "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "RFC 9112, 2.2 asks a server to ignore at least one empty line before a request line. We \
         ignore eight; no client has the habit of sending more.",
    ),
    (
        HttpError::Target,
        "GET /\u{e4} HTTP/1.1\r\nHost: h\r\n\r\n",
        "A request target is a URI reference, which is ASCII (RFC 3986, 2).",
    ),
    (
        HttpError::Target,
        "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n",
        "No form of a request target has a fragment (RFC 9112, 3.2).",
    ),
    (
        HttpError::Target,
        "GET /a?b=\"c\" HTTP/1.1\r\nHost: h\r\n\r\n",
        "Of the bytes that RFC 3986 excludes, only those that browsers send are accepted.",
    ),
    (
        HttpError::Target,
        "GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n",
        "User information in an http URI may be taken for the host (RFC 9110, 4.2.4).",
    ),
    (
        HttpError::Target,
        "CONNECT /a HTTP/1.1\r\nHost: h\r\n\r\n",
        "CONNECT has authority-form, with a port (RFC 9112, 3.2.3).",
    ),
    (
        HttpError::Target,
        "GET stats HTTP/1.1\r\nHost: h\r\n\r\n",
        "A target has one of the four forms of RFC 9112, 3.2.",
    ),
    (
        HttpError::FieldLine,
        "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n",
        "A field line ends with CRLF, as any line.",
    ),
    (
        HttpError::FieldLine,
        "GET / HTTP/1.1\r\nHost: h\r\n\n",
        "The empty line that ends a head is CRLF too.",
    ),
    (HttpError::HostMissing, "GET / HTTP/1.1\r\n\r\n", "RFC 9112, 3.2: a server MUST answer 400."),
    (
        HttpError::Host,
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "RFC 9112, 3.2: a server MUST answer 400.",
    ),
    (
        HttpError::Host,
        "GET / HTTP/1.1\r\nHost: h%4\r\n\r\n",
        "A host has two hexadecimal digits behind each percent sign (RFC 3986, 2.1).",
    ),
    (
        HttpError::ContentLength,
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\n",
        "Content-Length is 1*DIGIT (RFC 9110, 8.6).",
    ),
    (
        HttpError::ContentLength,
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
        "RFC 9110, 8.6 lets a recipient accept equal repetitions or refuse them. A proxy that \
         forwards one of the two may not check that they are equal.",
    ),
    (
        HttpError::FramingAmbiguous,
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "RFC 9112, 6.1: a server MAY refuse it, and should when it may be an attack.",
    ),
    (
        HttpError::TransferEncoding,
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        "RFC 9112, 6.3: the end of such content is unknown, so the server MUST answer 400.",
    ),
    (
        HttpError::TransferEncoding,
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        "RFC 9112, 6.1: the framing of such a message is faulty.",
    ),
    (
        HttpError::TransferCodingUnknown,
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x, chunked\r\n\r\n",
        "RFC 9112, 6.1: a coding that the server does not support is answered 501.",
    ),
    (
        HttpError::ExpectationUnknown,
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n",
        "RFC 9110, 10.1.1: what cannot be met may be answered 417.",
    ),
];

/// The reading of httparse: the length, the target and the fields; `None` if the head is incomplete or
/// refused.
type Oracle = Option<(usize, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>)>;

fn httparse_reads(input: &[u8]) -> Oracle {
    let mut fields = [httparse::EMPTY_HEADER; FIELD_COUNT_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(length)) = request.parse(input) else { return None };
    let fields = request.headers.iter().map(|field| (field.name.into(), field.value.into()));
    Some((length, request.path?.into(), fields.collect()))
}

#[test]
fn httparse_accepts_what_is_on_the_list_of_differences() {
    for &(error, head, reason) in STRICTER {
        let input = head.as_bytes();
        assert!(httparse_reads(input).is_some(), "no difference: {head:?}");
        assert_eq!(Parser::default().parse(input), Err(error), "{head:?}: {reason}");
    }
}

#[test]
fn the_list_of_differences_is_documented() {
    let page = include_str!("../../../docs/http.md");
    for &(error, head, reason) in STRICTER {
        let row = format!("| `{}` | `{}` | {reason} |", head.escape_debug(), error.reason());
        assert!(page.contains(&row), "docs/http.md lacks this row:\n{row}");
    }
}

fn field_lines(input: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut at = memchr::memmem::find(input, b"HTTP/1.").expect("a version") + 10;
    let mut fields = Vec::new();
    while let Some(field) = FieldLine::read(input, at) {
        fields.push((field.name.to_vec(), input[field.value].to_vec()));
        at = field.end;
    }
    fields
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 3000 }, failure_persistence: None, ..Default::default() })]

    #[test]
    fn both_read_alike_or_the_difference_is_on_the_list(pieces in proptest::collection::vec(piece(), 0..16)) {
        let input = pieces.concat();
        match Parser::default().parse(&input) {
            Ok(Parsed::Complete(head)) => {
                let expected = Some((head.length, head.target.of(&input).to_vec(), field_lines(&input)));
                prop_assert_eq!(httparse_reads(&input), expected);
            }
            Ok(Parsed::Partial) => prop_assert_eq!(httparse_reads(&input), None),
            Err(error) if httparse_reads(&input).is_some() => {
                prop_assert!(STRICTER.iter().any(|row| row.0 == error), "{error:?} is not on the list");
            }
            Err(_) => {}
        }
    }
}
