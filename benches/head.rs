//! The head of a request beside the alternatives: httparse, which hyper and actix-web use, and
//! picohttpparser, which h2o uses.
//!
//! Both of them read syntax only: the name and the value of each field. The figures of millrace include
//! more: framing, persistence, host, expectation and content coding, all checked, and the path of the
//! target. `millrace` is the way in which its server reads most heads: by a comparison with the one
//! before, from which only the digits of `Content-Length` may differ. `millrace_first` is a head that
//! differs in anything else.

// For the function that criterion's macro makes.
#![allow(missing_docs, unsafe_code)]

use std::hint::black_box;
use std::mem::MaybeUninit;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millrace::http::Memo;
use millrace::http::head::{Parsed, Parser};

const FIELDS_MAX: usize = 32;

const HEADS: [(&str, &str); 4] = [
    // The head of the challenge's client and of wrk.
    (
        "usual",
        "POST /event HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n\
         Content-Length: 34\r\n\r\n",
    ),
    (
        "go",
        "POST /event HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: Go-http-client/1.1\r\n\
         Content-Length: 34\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n",
    ),
    ("least", "GET /stats HTTP/1.1\r\nHost: a\r\n\r\n"),
    (
        "browser",
        "GET / HTTP/1.1\r\nHost: millrace.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; \
         rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: text/html,application/xhtml+xml,\
         application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.7,de;q=0.3\r\n\
         Accept-Encoding: gzip, deflate, br, zstd\r\nDNT: 1\r\nConnection: keep-alive\r\n\
         Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n\
         Sec-Fetch-Site: none\r\nPriority: u=0, i\r\n\r\n",
    ),
];

fn millrace_first(head: &[u8]) -> usize {
    match Parser::default().parse(black_box(head)) {
        Ok(Parsed::Complete(head)) => head.length,
        outcome => panic!("{outcome:?}"),
    }
}

fn httparse(head: &[u8]) -> usize {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(black_box(head), &mut fields);
    parsed.expect("valid").unwrap()
}

fn picohttpparser(head: &[u8]) -> usize {
    use std::ptr::null;
    let head = black_box(head);
    let mut fields =
        [const { MaybeUninit::<picohttpparser_sys::phr_header>::uninit() }; FIELDS_MAX];
    let mut count = FIELDS_MAX;
    let (mut method, mut method_bytes) = (null(), 0);
    let (mut path, mut path_bytes) = (null(), 0);
    let mut minor_version = 0;
    // SAFETY: every pointer is to a local that outlives the call; the count is the array's length.
    let parsed = unsafe {
        picohttpparser_sys::phr_parse_request(
            head.as_ptr().cast(),
            head.len(),
            &raw mut method,
            &raw mut method_bytes,
            &raw mut path,
            &raw mut path_bytes,
            &raw mut minor_version,
            fields.as_mut_ptr().cast(),
            &raw mut count,
            0,
        )
    };
    black_box((method, path, &fields));
    usize::try_from(parsed).expect("valid")
}

fn head(c: &mut Criterion) {
    for (name, head) in HEADS {
        let head = head.as_bytes();
        let mut group = c.benchmark_group(format!("head/{name}"));
        group.throughput(Throughput::Bytes(head.len() as u64));
        let mut memo = Memo::default();
        let mut parser = Parser::default();
        let Ok(Parsed::Complete(first)) = parser.parse(head) else { panic!("{name} is no head") };
        memo.remember(head, &first, parser.content_length_digits());
        group.bench_function("millrace", |b| {
            b.iter(|| memo.recall(black_box(head)).map(|(_, length, _)| length).expect("the same"));
        });
        for (parser, parse) in [
            ("millrace_first", millrace_first as fn(&[u8]) -> usize),
            ("httparse", httparse),
            ("picohttpparser", picohttpparser),
        ] {
            assert_eq!(parse(head), head.len(), "{parser}");
            group.bench_function(parser, |b| b.iter(|| parse(head)));
        }
        group.finish();
    }
}

criterion_group!(benches, head);
criterion_main!(benches);
