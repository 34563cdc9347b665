//! The table of cases: the bytes that are sent, the statuses of the answers, the state of the
//! connection after them, and the number of events that are counted.
//!
//! A new case is one line:
//!
//! ```text
//! open(&[200, 404], 1, …)    these answers, the connection goes on, one event counted
//! last(&[200], 1, …)         the same, but the connection is closed after the last answer
//! refused(400, …)            this answer, closed, nothing counted, nothing behind it processed
//! ```
//!
//! The cases are in the order of the rules in docs/http.md, which names their headings. Each heading
//! names the source of its rule.

/// A whole, valid request that counts one event.
pub const EVENT: &str =
    "POST /event HTTP/1.1\r\nHost: t\r\nContent-Length: 25\r\n\r\n{\"userId\":\"u\",\"value\":1}\n";
/// Its content, of 25 (hexadecimal 19) bytes.
pub const BODY: &str = "{\"userId\":\"u\",\"value\":1}\n";
/// The start of a request, without its framing.
pub const POST: &str = "POST /event HTTP/1.1\r\nHost: t\r\n";
/// The start of a request with chunked content.
pub const CHUNKED: &str = "POST /event HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
/// A whole request except for its last empty line.
const GET: &str = "GET /health HTTP/1.1\r\nHost: t\r\n";
/// The content of a valid event as one chunk, and the last chunk. The trailer section may follow.
const CHUNK: &str = "19\r\n{\"userId\":\"u\",\"value\":1}\n\r\n0\r\n";

/// The state of the connection after the case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum After {
    Open,
    Closed,
}

pub struct Case {
    pub bytes: String,
    pub statuses: &'static [u16],
    pub after: After,
    pub counted: u64,
}

fn open(statuses: &'static [u16], counted: u64, bytes: impl Into<String>) -> Case {
    Case { bytes: bytes.into(), statuses, after: After::Open, counted }
}

fn last(statuses: &'static [u16], counted: u64, bytes: impl Into<String>) -> Case {
    Case { bytes: bytes.into(), statuses, after: After::Closed, counted }
}

/// Adds a valid request behind the case, which must not be processed.
fn refused(status: u16, bytes: impl Into<String>) -> Case {
    let statuses: &[u16] = match status {
        400 => &[400],
        413 => &[413],
        414 => &[414],
        417 => &[417],
        431 => &[431],
        501 => &[501],
        505 => &[505],
        _ => panic!("no refusal has status {status}"),
    };
    Case { bytes: bytes.into() + EVENT, statuses, after: After::Closed, counted: 0 }
}

#[rustfmt::skip] // One line for each case.
pub fn cases() -> Vec<Case> {
    let a = |count: usize| "a".repeat(count);
    let fields = |count: usize| "a: b\r\n".repeat(count);
    vec![
        // "Persistent connections, pipelining without limit of depth" (RFC 9112, 9.3).
        open(&[200], 1, EVENT),
        open(&[200; 3], 3, EVENT.repeat(3)),
        open(&[200; 600], 600, EVENT.repeat(600)),
        open(&[200, 200, 404, 200], 2, format!("{EVENT}{GET}\r\nGET /x HTTP/1.1\r\nHost: t\r\n\r\n{EVENT}")),
        open(&[200, 200], 1, format!("GET /health HTTP/1.7\r\nHost: t\r\n\r\n{EVENT}")), // RFC 9110, 2.5

        // "HTTP/1.0 with and without Connection: keep-alive"
        last(&[200], 0, format!("GET /health HTTP/1.0\r\n\r\n{EVENT}")),
        last(&[200], 0, format!("GET /health HTTP/1.0\r\nHost: t\r\nConnection: x\r\n\r\n{EVENT}")),
        last(&[200], 1, format!("POST /event HTTP/1.0\r\nContent-Length: 25\r\n\r\n{BODY}{EVENT}")),
        open(&[200, 200], 1, format!("GET /health HTTP/1.0\r\nConnection: keep-alive\r\n\r\n{EVENT}")),
        open(&[200, 200], 1, format!("GET /health HTTP/1.0\r\nconnection:\tx ,\tKEEP-Alive\r\n\r\n{EVENT}")),
        last(&[200], 0, format!("GET /health HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n{EVENT}")),
        last(&[200], 0, format!("GET /health HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n{EVENT}")),
        open(&[200, 200], 1, format!("GET /health HTTP/1.0\r\nConnection: x\r\nConnection: ,keep-alive\r\n\r\n{EVENT}")),

        // "Connection: close announced on every answer after which we close" (RFC 9112, 9.6)
        last(&[200], 0, format!("{GET}Connection: close\r\n\r\n{EVENT}")),
        last(&[200], 0, format!("{GET}Connection: x, Close\r\n\r\n{EVENT}")),
        last(&[200], 0, format!("{GET}Connection: x\r\nConnection: ,close,\r\n\r\n{EVENT}")),
        last(&[404], 0, format!("GET /x HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n{EVENT}")),
        last(&[200, 400], 1, format!("{EVENT}{POST}Connection: close\r\nContent-Length: 2\r\n\r\n{{}}{EVENT}")),
        open(&[200, 200], 1, format!("{GET}Connection: closed\r\n\r\n{EVENT}")),
        open(&[200, 200], 1, format!("{GET}Connection: keep-alive\r\n\r\n{EVENT}")),

        // "Content-Length and chunked bodies with extensions and trailers" (RFC 9112, 6 and 7.1)
        open(&[400], 0, format!("{POST}\r\n")),
        open(&[400], 0, format!("{POST}Content-Length: 0\r\n\r\n")),
        open(&[200], 1, format!("{POST}content-LENGTH:\t0025 \r\n\r\n{BODY}")),
        open(&[400, 200], 1, format!("{POST}Content-Length: 2\r\n\r\n{{}}{EVENT}")),
        open(&[200], 1, format!("{CHUNKED}{CHUNK}\r\n")),
        open(&[200, 200], 2, format!("{CHUNKED}{CHUNK}\r\n{EVENT}")),
        open(&[400, 200], 1, format!("{CHUNKED}0\r\n\r\n{EVENT}")),
        open(&[200], 1, format!("{POST}TRANSFER-encoding:  Chunked\t\r\n\r\n{CHUNK}\r\n")),
        open(&[200], 1, format!("{CHUNKED}5\r\n{{\"use\r\n14\r\nrId\":\"u\",\"value\":1}}\n\r\n0\r\n\r\n")),
        open(&[200], 1, format!("{CHUNKED}0000000000019\r\n{BODY}\r\n00000\r\n\r\n")),
        open(&[200], 1, format!("{CHUNKED}19;a=\"b\";c\r\n{BODY}\r\n0;d\r\n\r\n")),
        open(&[200], 1, format!("{CHUNKED}19 \t; a = \"\u{e4}\t;\\\"\"\t;b\r\n{BODY}\r\n0;c=d;e\r\n\r\n")),
        open(&[200, 200], 2, format!("{CHUNKED}{CHUNK}X: y\r\nZ:\r\n\r\n{EVENT}")),
        open(&[200, 200], 2, format!("{CHUNKED}{CHUNK}Content-Length: 7\r\nTransfer-Encoding: x\r\nHost: h\r\n\r\n{EVENT}")),
        open(&[200, 200], 2, format!("{CHUNKED}{CHUNK}Connection: close\r\n\r\n{EVENT}")),
        open(&[404, 200], 1, format!("POST /x HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n{EVENT}")),
        open(&[200, 200], 1, format!("{GET}Content-Length: 3\r\n\r\nabc{EVENT}")), // CL.0: content of a GET is content
        open(&[200], 1, format!("{POST}Transfer-Encoding: ,chunked\r\n\r\n{CHUNK}\r\n")), // RFC 9110, 5.6.1: empty elements
        open(&[200], 1, format!("{POST}Transfer-Encoding: chunked\t,,\r\n\r\n{CHUNK}\r\n")),
        open(&[200], 1, format!("{POST}Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNK}\r\n")),
        open(&[501, 200], 1, format!("get /health HTTP/1.1\r\nHost: t\r\n\r\n{EVENT}")), // RFC 9110, 9.1: case matters
        open(&[501, 200], 1, format!("{} /health HTTP/1.1\r\nHost: t\r\n\r\n{EVENT}", a(8000))),
        open(&[501, 200], 1, format!("BREW /x HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc{EVENT}")),
        open(&[405, 200], 1, format!("PUT /event HTTP/1.1\r\nHost: t\r\nContent-Length: 25\r\n\r\n{BODY}{EVENT}")),

        // "Expect: 100-continue": its answers are in main.rs. HTTP/1.0 cannot expect (RFC 9110, 10.1.1).
        open(&[200, 200], 1, format!("{GET}Expect: 100-continue\r\n\r\n{EVENT}")),
        open(&[200, 200], 1, format!("GET /health HTTP/1.0\r\nConnection: keep-alive\r\nExpect: x\r\n\r\n{EVENT}")),
        refused(417, format!("{POST}Content-Length: 25\r\nExpect: 200-maybe\r\n\r\n{BODY}")),
        refused(417, format!("{POST}Content-Length: 25\r\nExpect: 100-continue, x\r\n\r\n{BODY}")),
        refused(417, format!("{POST}Content-Length: 25\r\nExpect: 100-continue\r\nexpect: x\r\n\r\n{BODY}")),
        refused(417, format!("{POST}Content-Length: 25\r\nExpect: x\r\nExpect: 100-continue\r\n\r\n{BODY}")),
        refused(417, format!("{POST}Content-Length: 25\r\nExpect: 100-continue;q=1\r\n\r\n{BODY}")),
        open(&[200, 200], 1, format!("{GET}Expect: ,100-CONTINUE,\r\nExpect:\r\n\r\n{EVENT}")),

        // "Content with a Content-Encoding other than identity: 415" (RFC 9110, 8.4 and 15.5.16)
        open(&[200], 1, format!("{POST}Content-Length: 25\r\nContent-Encoding: Identity,\r\n\r\n{BODY}")),
        open(&[415, 200], 1, format!("{POST}Content-Length: 25\r\nContent-Encoding: gzip\r\n\r\n{BODY}{EVENT}")),
        open(&[415, 200], 1, format!("{POST}Content-Length: 25\r\nContent-Encoding: identity\r\ncontent-encoding: br\r\n\r\n{BODY}{EVENT}")),
        open(&[415, 200], 1, format!("{POST}Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNK}\r\n{EVENT}")),
        open(&[200, 200], 1, format!("{GET}Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc{EVENT}")), // not read

        // "origin-form and absolute-form targets" (RFC 9112, 3.2)
        open(&[200], 1, EVENT.replace("/event", "/event?x=/y?z")),
        open(&[200], 1, EVENT.replace("/event", "http://t/event")),
        open(&[200], 1, EVENT.replace("/event", "HTTP://[::1]:8080/event?x")),
        open(&[200], 1, EVENT.replace("/event", "https://other:/event")),
        open(&[200], 1, EVENT.replace("/event", "http://%74/event?{}")),
        open(&[200], 1, EVENT.replace("/event", "http://[v1.a:b]:/event")),
        open(&[200, 200], 1, format!("GET http://t?x HTTP/1.1\r\nHost: other\r\n\r\n{EVENT}")),
        open(&[200], 1, EVENT.replace("/event", "/event?f={a}|b^c`d\\e[f]%")), // browsers send these (WHATWG URL)
        open(&[404], 0, EVENT.replace("/event", "/event|^[x]")),
        open(&[404], 0, EVENT.replace("/event", "/event/")),
        open(&[404], 0, EVENT.replace("/event", "/%65vent")),
        open(&[404], 0, EVENT.replace("/event", "//event")),
        open(&[404], 0, EVENT.replace("/event", "/./event")),
        open(&[204, 200], 1, format!("OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n{EVENT}")),
        refused(400, "GET * HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET stats HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET t:80 HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET http:///stats HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET http://u@t/stats HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET http://u:p@t/stats HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET http://@t/stats HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET http://t%4/stats HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET http://[::g]/stats HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET http://t:8o/stats HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET http://:80/stats HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET http://t|/stats HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET http://t#x HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET http:/stats HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET ftp://t/stats HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET /stats?x#y HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET /stats?\"x\" HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET /stats?<x> HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET /stats?\u{e4} HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET /sta\\ts HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET ?x HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "POST * HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "OPTIONS *? HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "CONNECT t HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "CONNECT t: HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "CONNECT t:65536 HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "CONNECT u@t:80 HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "CONNECT /event HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "CONNECT http://t:80/ HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET /stats#x HTTP/1.1\r\nHost: t\r\n\r\n"),

        // "bare LF or CR" (RFC 9112, 2.2: if a server accepts a bare LF, another reader may see two requests)
        refused(400, "GET /stats HTTP/1.1\nHost: t\n\n"),
        refused(400, "GET /stats HTTP/1.1\nHost: t\r\n\r\n"),
        refused(400, "GET /stats HTTP/1.1\r\nHost: t\n\r\n"),
        refused(400, "GET /stats HTTP/1.1\r\nHost: t\r\n\n"),
        refused(400, "GET /stats HTTP/1.1\r\nHost: t\r\nX: a\nY: b\r\n\r\n"),
        refused(400, "GET /stats HTTP/1.1\r\nHost: t\r\nX: a\rb\r\n\r\n"),
        refused(400, "GET /stats HTTP/1.1\r\nHost: t\r\nX: a\r\r\n\r\n"),
        refused(400, "GET /stats HTTP/1.1\r\r\nHost: t\r\n\r\n"),
        refused(400, "GET /stats\rHTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET /stats HTTP/1.1\r\nHost: t\r\n\rX\r\n\r\n"),

        // What no later byte can make right is refused at once; nothing follows in these cases.
        last(&[400], 0, "GET / HTTP/1.1\rL"),
        last(&[400], 0, "GET / HTTP/1.1\n"),
        last(&[400], 0, "GET /\0"),
        last(&[400], 0, "GET /stats HTTP/1.1\r\nHost: t\rX"),
        last(&[400], 0, "GET /stats HTTP/1.1\r\nHost: t\n"),
        last(&[400], 0, "GET /stats HTTP/1.1\r\nHost: t\r\n\rX"),
        last(&[400], 0, "GET /stats HTTP/1.1\r\nX\x01"),
        last(&[400], 0, format!("{CHUNKED}1;a\rb")),
        last(&[400], 0, format!("{CHUNKED}{CHUNK}X: a\rb")),

        // Empty lines before a request line are ignored, as many as eight (RFC 9112, 2.2).
        open(&[200], 1, format!("\r\n{EVENT}")),
        open(&[200], 1, format!("\n{EVENT}")),
        open(&[200, 200], 2, format!("\r\n{EVENT}\r\n{EVENT}")),
        open(&[200, 200, 200], 3, format!("{EVENT}\n{EVENT}\r\n\r\n{EVENT}")),
        open(&[200], 1, format!("\r\n\n\n\r\n\n\n\r\n\r\n{EVENT}")),
        refused(400, "\n".repeat(9)),
        refused(400, "\r\n".repeat(9)),
        refused(400, "\n\r\r\n"),
        refused(400, "\n \r\n"),
        refused(400, "\r\r\n"),

        // "obs-fold, white space before the colon or in the start" (RFC 9112, 5.1, 5.2 and 2.2)
        refused(400, format!("{GET}X: a\r\n b\r\n\r\n")),
        refused(400, format!("{GET}X: a\r\n\tb\r\n\r\n")),
        refused(400, format!("{GET}X: a\r\n \r\n\r\n")),
        refused(400, "GET / HTTP/1.1\r\n Host: t\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost : t\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost\t: t\r\n\r\n"),
        refused(400, " GET /stats HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "\tGET /stats HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET  /stats HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET /stats  HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET\t/stats HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET /stats HTTP/1.1 \r\nHost: t\r\n\r\n"),
        refused(400, "GET /stats\r\n\r\n"),
        refused(400, "GET\r\n\r\n"),
        refused(400, "GET /stats HTTP/1.1 x\r\nHost: t\r\n\r\n"),

        // "control characters and NUL, invalid field names" (RFC 9110, 5.1 and 5.5)
        open(&[200, 200], 1, format!("{GET}X:\r\nY: \t \r\nZ: a\tb\u{ff} \r\n!#$%&'*+-.^_`|~9: x\r\n\r\n{EVENT}")),
        refused(400, "GET /sta\tts HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET /sta\0ts HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET /sta\x7fts HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "GET /st\u{e4}ts HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "G\u{e4}T /stats HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "G(T /stats HTTP/1.1\r\nHost: t\r\n\r\n"),
        refused(400, "\x16\x03\x01\x02\0\x01\0\x01\r\n"), // a TLS handshake
        refused(400, format!("{GET}X: a\0b\r\n\r\n")),
        refused(400, format!("{GET}X: a\x01b\r\n\r\n")),
        refused(400, format!("{GET}X: a\x0bb\r\n\r\n")),
        refused(400, format!("{GET}X: a\x7fb\r\n\r\n")),
        refused(400, format!("{GET}X\r\n\r\n")),
        refused(400, format!("{GET}: x\r\n\r\n")),
        refused(400, format!("{GET}X(: x\r\n\r\n")),
        refused(400, format!("{GET}X Y: x\r\n\r\n")),
        refused(400, format!("{GET}\"X\": x\r\n\r\n")),
        refused(400, format!("{GET}X\u{e4}: x\r\n\r\n")),
        refused(400, format!("{GET}X\0: x\r\n\r\n")),

        // "missing Host in 1.1, repeated or malformed Host in any version" (RFC 9112, 3.2)
        open(&[200, 200], 1, format!("GET /health HTTP/1.1\r\nHOST:t\r\n\r\n{EVENT}")),
        open(&[200, 200], 1, format!("GET /health HTTP/1.1\r\nHost:\r\n\r\n{EVENT}")), // an authority may be empty
        open(&[200, 200], 1, format!("GET /health HTTP/1.1\r\nHost: [::1]:80\r\n\r\n{EVENT}")),
        refused(400, "GET / HTTP/1.1\r\n\r\n"),
        refused(400, "GET http://t/stats HTTP/1.1\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        refused(400, "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n"),
        refused(400, "GET / HTTP/1.0\r\nHost: a b\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: :80\r\n\r\n"),
        // "the grammar of Host in full" (RFC 3986, 3.2.2 and 3.2.3)
        open(&[200, 200], 1, format!("GET /health HTTP/1.1\r\nHost: a-b_c~1!$&'()*+,;=.%41%c3:\r\n\r\n{EVENT}")),
        open(&[200, 200], 1, format!("GET /health HTTP/1.1\r\nHost: 127.0.0.1:0000008080\r\n\r\n{EVENT}")),
        open(&[200, 200], 1, format!("GET /health HTTP/1.1\r\nHost: [1:2::ffff:1.2.3.4]:80\r\n\r\n{EVENT}")),
        open(&[200, 200], 1, format!("GET /health HTTP/1.1\r\nHost: [vA.b:c]\r\n\r\n{EVENT}")),
        refused(400, "GET / HTTP/1.1\r\nHost: %\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: a%4\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: a%zz\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: []\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: [1:2]\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: [1::2::3]\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: [v.a]\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: a:-1\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: a|b\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: http://a\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: \u{e4}\r\n\r\n"),
        refused(400, "GET / HTTP/1.1\r\nHost: a\r\nHost:\r\n\r\n"),
        refused(400, "GET / HTTP/1.0\r\nHost: a%4\r\n\r\n"),

        // "Content-Length that is repeated with different values, signed, hex, empty or overflowing"
        refused(400, format!("{POST}Content-Length: 25\r\nContent-Length: 26\r\n\r\n{BODY}")),
        refused(400, format!("{POST}Content-Length: 25\r\nContent-Length: 25\r\n\r\n{BODY}")), // our choice
        refused(400, format!("{POST}Content-Length: 25, 25\r\n\r\n{BODY}")),
        refused(400, format!("{POST}Content-Length: 25,26\r\n\r\n{BODY}")),
        refused(400, format!("{POST}Content-Length: +25\r\n\r\n{BODY}")),
        refused(400, format!("{POST}Content-Length: -25\r\n\r\n{BODY}")),
        refused(400, format!("{POST}Content-Length: -0\r\n\r\n")),
        refused(400, format!("{POST}Content-Length: 0x19\r\n\r\n{BODY}")),
        refused(400, format!("{POST}Content-Length: 2 5\r\n\r\n{BODY}")),
        refused(400, format!("{POST}Content-Length: 25.0\r\n\r\n{BODY}")),
        refused(400, format!("{POST}Content-Length: 2_5\r\n\r\n{BODY}")),
        refused(400, format!("{POST}Content-Length: \u{662}\u{665}\r\n\r\n{BODY}")), // other digits
        refused(400, format!("{POST}Content-Length: \r\n\r\n{BODY}")),
        refused(400, format!("{POST}Content-Length: 99999999999999999999\r\n\r\n{BODY}")),
        refused(400, format!("{POST}Content-Length: 18446744073709551641\r\n\r\n{BODY}")), // 2^64 + 25
        refused(400, "GET /health HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n"),

        // "Content-Length together with Transfer-Encoding" (CL.TE and TE.CL)
        refused(400, format!("{POST}Content-Length: 25\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        refused(400, format!("{POST}Transfer-Encoding: chunked\r\nContent-Length: 25\r\n\r\n0\r\n\r\n")),
        refused(400, format!("{POST}Transfer-Encoding: gzip\r\nContent-Length: 0\r\n\r\n")),

        // "a Transfer-Encoding whose final coding is not chunked or that comes with HTTP/1.0" (TE.TE)
        refused(400, format!("{POST}Transfer-Encoding: gzip\r\n\r\n")),
        refused(400, format!("{POST}Transfer-Encoding: identity\r\n\r\n")),
        refused(400, format!("{POST}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n")),
        refused(400, format!("{POST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n")),
        refused(400, format!("{POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        refused(400, format!("{POST}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n")),
        refused(400, format!("{POST}Transfer-Encoding: identity\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n")),
        refused(400, format!("{POST}Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n")),
        refused(400, format!("{POST}Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n")),
        refused(400, format!("{POST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n")),
        refused(400, format!("{POST}Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n")),
        refused(400, format!("{POST}X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        refused(400, format!("{POST}Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n")),
        refused(400, format!("{POST}Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n")),
        refused(400, format!("{POST}Transfer-Encoding: \r\n\r\n0\r\n\r\n")),
        refused(400, format!("{POST}Transfer-Encoding: ,\r\n\r\n0\r\n\r\n")), // no coding at all
        refused(400, format!("{POST}Content-Length: 25\r\nTransfer-Encoding: ,\r\n\r\n{BODY}")),
        refused(400, format!("{POST}Transfer-Encoding: chunked;\r\n\r\n0\r\n\r\n")),
        refused(400, format!("{POST}Transfer-Encoding: chunked chunked\r\n\r\n0\r\n\r\n")),
        refused(400, format!("{POST}Transfer-Encoding: \"x, chunked\r\n\r\n0\r\n\r\n")),
        refused(400, "POST /event HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),

        // "malformed chunk sizes", and every other place of the chunked coding (RFC 9112, 7.1)
        refused(400, format!("{CHUNKED}x\r\n")),
        refused(400, format!("{CHUNKED}\r\n")),
        refused(400, format!("{CHUNKED}-1\r\n")),
        refused(400, format!("{CHUNKED}+19\r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}0x19\r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED} 19\r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19 \r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}1_9\r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}10000000000000019\r\n")), // overflows
        refused(400, format!("{CHUNKED}ffffffffffffffffff\r\n")),
        refused(400, format!("{CHUNKED};x\r\n")),
        refused(400, format!("{CHUNKED}19;\r\n{BODY}\r\n0\r\n\r\n")), // extensions: RFC 9112, 7.1.1
        refused(400, format!("{CHUNKED}19; \r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19;;a\r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19;=x\r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19;a=\r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19;bad[=x\r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19;a=\"x\r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19;a=\"x\"y\r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19;a=\"x\\\r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19;a\tb\r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19;a \r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19;a=b \r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19;a=\u{e4}\r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19=a\r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19\r\n{BODY}\r\n0;\r\n\r\n")),
        refused(400, format!("{CHUNKED}19;{}\r\n{BODY}\r\n0\r\n\r\n", a(1024))),
        refused(400, format!("{CHUNKED}{}19\r\n{BODY}\r\n0\r\n\r\n", "0".repeat(1024))),
        refused(400, format!("{CHUNKED}19\n{BODY}\r\n0\r\n\r\n")), // TERM.EXT and EXT.TERM: bare LF and CR
        refused(400, format!("{CHUNKED}19;a\nb\r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19;a\rb\r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19;\0\r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19\r{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19\r\n{BODY}X\r\n0\r\n\r\n")), // data longer than the chunk
        refused(400, format!("{CHUNKED}18\r\n{BODY}\r\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19\r\n{BODY}\n0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19\r\n{BODY}\r0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19\r\n{BODY}0\r\n\r\n")),
        refused(400, format!("{CHUNKED}19\r\n{BODY}\r\n0\n\n")),
        refused(400, format!("{CHUNKED}{CHUNK}\n")), // trailer section
        refused(400, format!("{CHUNKED}{CHUNK}\rX")),
        refused(400, format!("{CHUNKED}{CHUNK}X : y\r\n\r\n")),
        refused(400, format!("{CHUNKED}{CHUNK}X\r\n\r\n")),
        refused(400, format!("{CHUNKED}{CHUNK}X: y\n\r\n")),
        refused(400, format!("{CHUNKED}{CHUNK}X: a\0\r\n\r\n")),
        refused(400, format!("{CHUNKED}{CHUNK} X: y\r\n\r\n")),
        refused(400, format!("{CHUNKED}{CHUNK}X: y\r\n z\r\n\r\n")),
        refused(400, format!("{CHUNKED}{CHUNK}GET /stats HTTP/1.1\r\n\r\n")), // a request for a trailer

        // "unknown coding 501, unknown major version 505"
        refused(501, format!("{POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")),
        refused(501, format!("{POST}Transfer-Encoding: x, chunked\r\n\r\n0\r\n\r\n")),
        refused(501, format!("{POST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")),
        refused(505, "GET /stats HTTP/2.0\r\nHost: t\r\n\r\n"),
        refused(505, "GET /stats HTTP/0.9\r\nHost: t\r\n\r\n"),
        refused(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), // HTTP/2 with prior knowledge
        refused(400, "GET /stats HTTP/1.10\r\nHost: t\r\n\r\n"),
        refused(400, "GET /stats HTTP/1\r\nHost: t\r\n\r\n"),
        refused(400, "GET /stats HTTP/1,1\r\nHost: t\r\n\r\n"),
        refused(400, "GET /stats http/1.1\r\nHost: t\r\n\r\n"),

        // "request line 8 KiB (414), header section 16 KiB and 100 fields (431), body 64 KiB (413)"
        open(&[404], 0, format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", a(8192 - 14))),
        refused(414, format!("GET /{} HTTP/1.1\r\nHost: t\r\n\r\n", a(8192 - 13))),
        refused(414, format!("BREW /{} HTTP/1.1\r\nHost: t\r\n\r\n", a(20_000))),
        refused(414, format!("GET / HTTP/1.1{} ", a(20_000))),
        refused(501, a(100_000)), // a method longer than any: RFC 9112, 3
        refused(501, format!("{} / HTTP/1.1\r\nHost: t\r\n\r\n", a(8193))),
        refused(400, format!("{}( / HTTP/1.1\r\nHost: t\r\n\r\n", a(8192))),
        open(&[200], 0, format!("{GET}X: {}\r\n\r\n", a(16_384 - 9 - 5 - 2))),
        refused(431, format!("{GET}X: {}\r\n\r\n", a(16_384 - 9 - 5 - 1))),
        refused(431, format!("{GET}{}", a(20_000))),
        open(&[200], 0, format!("{GET}{}\r\n", fields(99))),
        refused(431, format!("{GET}{}\r\n", fields(100))),
        refused(431, format!("{CHUNKED}{CHUNK}{}\r\n", fields(101))),
        refused(431, format!("{CHUNKED}{CHUNK}X: {}\r\n\r\n", a(16_384))),
        open(&[200], 1, format!("{POST}Content-Length: 65536\r\n\r\n{BODY}{}", " ".repeat(65_536 - 25))),
        open(&[200], 1, format!("{CHUNKED}19\r\n{BODY}\r\nffe7\r\n{}\r\n0\r\n\r\n", " ".repeat(65_536 - 25))),
        refused(413, format!("{POST}Content-Length: 65537\r\n\r\n")),
        refused(413, format!("{POST}Content-Length: 18446744073709551615\r\n\r\n")),
        refused(413, format!("{CHUNKED}10001\r\n")),
        refused(413, format!("{CHUNKED}19\r\n{BODY}\r\nffe8\r\n")),
        refused(413, format!("{CHUNKED}ffffffffffffffff\r\n")),
    ]
}
