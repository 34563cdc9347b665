//! The properties that hold for any input of a fuzzer. For parsers: the verdict is the same in one
//! piece, byte by byte, and in pieces whose sizes come from the input itself. Property tests call the
//! same functions.

use super::authority::Authority;
use super::body::Decoder;
use super::error::HttpError;
use super::exchange::{Exchange, Step};
use super::extras::Extras;
use super::head::{Head, Parsed, Parser};
use super::list::elements;
use super::memo::Memo;
use super::method::Method;
use super::refusal::Refusal;
use super::request::Request;
use super::scan::{FIELD_VALUE, PATH, trim_all};
use super::target;
use super::version::Version;
use super::weights::{WEIGHT_MAX, weight};

/// A small limit, so that a fuzzer reaches it.
const CONTENT_BYTES_MAX: usize = 32;

/// Checks the head parser. The first byte of the input seeds the pieces.
pub fn head(input: &[u8]) {
    check(input, |input, cuts| {
        let mut parser = Parser::default();
        for cut in cuts {
            match parser.parse(&input[..cut]) {
                Ok(Parsed::Partial) => {}
                outcome => return outcome,
            }
        }
        Ok::<Parsed<Head>, HttpError>(Parsed::Partial)
    });
}

/// Checks the chunked decoder: the content, and how many bytes of input it took.
pub fn chunked(input: &[u8]) {
    check(input, |input, cuts| {
        let mut decoder = Decoder::new(CONTENT_BYTES_MAX);
        let (mut content, mut taken) = (Vec::new(), 0);
        for cut in cuts {
            let content_bytes = content.len();
            content.extend_from_slice(&input[taken..cut]);
            taken = cut;
            let progress = decoder.decode(&mut content, content_bytes, content_bytes)?;
            let unread = content.len() - progress.read_at;
            content.truncate(progress.write_at);
            assert!(content.len() <= CONTENT_BYTES_MAX, "more content than allowed");
            if progress.complete {
                return Ok(Some((content, taken - unread)));
            }
        }
        Ok::<_, HttpError>(None)
    });
}

/// Checks the exchange of a connection: all requests that come out of it, and the error that ends it.
/// They are the same whether heads are recalled or all of them are parsed.
pub fn exchange(input: &[u8]) {
    check(input, |input, cuts| {
        let recalled = serve(input, &cuts, true);
        assert_eq!(serve(input, &cuts, false), recalled, "without recalling");
        recalled
    });
}

/// A request that came out of an exchange.
#[derive(Debug, PartialEq)]
struct Seen {
    method: Method,
    version: Version,
    target: Vec<u8>,
    path: Vec<u8>,
    content: Vec<u8>,
    persistent: bool,
    extras: Extras,
}

impl From<Request<'_>> for Seen {
    fn from(request: Request<'_>) -> Seen {
        assert!(request.content.len() <= CONTENT_BYTES_MAX, "more content than allowed");
        Seen {
            method: request.method,
            version: request.version,
            target: request.target().to_vec(),
            path: request.path().to_vec(),
            content: request.content.to_vec(),
            persistent: request.persistent,
            extras: request.extras,
        }
    }
}

fn serve(input: &[u8], cuts: &[usize], recall: bool) -> (Vec<Seen>, Option<Refusal>) {
    let (mut exchange, mut memo) = (Exchange::new(CONTENT_BYTES_MAX), Memo::default());
    let (mut requests, mut held, mut taken) = (Vec::new(), Vec::new(), 0);
    for &cut in cuts {
        held.extend_from_slice(&input[taken..cut]);
        taken = cut;
        while !held.is_empty() {
            let recalled = if recall { exchange.recall(&held, &memo) } else { None };
            let step = match recalled {
                Some((request, consumed)) => Step::Request { request, consumed },
                None => exchange.advance(&mut held, &mut memo),
            };
            match step {
                Step::Request { request, consumed } => {
                    assert!(consumed > 0);
                    requests.push(Seen::from(request));
                    held.drain(..consumed);
                }
                Step::More { kept, .. } => {
                    held.truncate(kept);
                    break;
                }
                Step::Error(refusal) => return (requests, Some(refusal)),
            }
        }
    }
    (requests, None)
}

/// Checks the readers of field values and of targets. The input is split at its line feeds.
pub fn values(input: &[u8]) {
    let lines = input.split(|&byte| byte == b'\n');
    let lines: Vec<&[u8]> =
        lines.filter(|line| line.iter().all(|&byte| FIELD_VALUE.has(byte))).collect();
    for line in &lines {
        let all: Vec<&[u8]> = elements(line).collect();
        assert!(all.iter().all(|element| !element.is_empty() && trim_all(element) == *element));
        // A quoted string without its end takes the rest of a line, so it stays the last element.
        let joined = all.join(&b" ,\t, "[..]);
        assert!(elements(&joined).eq(all.iter().copied()), "joined again");
        if let Some(Authority { host, port }) = Authority::read(line) {
            let port = port.map(|port| [b":", port].concat()).unwrap_or_default();
            assert_eq!([host, &port].concat(), *line, "nothing is left out");
            assert!(!host.contains(&b'@') && !host.contains(&b'/'));
            let target = [b"http://", *line, b"/x?y"].concat();
            let path = target::path(Method::Get, &target).expect("a valid authority");
            assert_eq!(&target[path], b"/x");
        }
        for method in [Method::Get, Method::Options, Method::Connect] {
            if let Ok(path) = target::path(method, line) {
                assert!(PATH.run_length(&line[path.clone()]) == path.len());
            }
        }
    }
    for names in [&["gzip"][..], &["text/plain", "text/*", "*/*"]] {
        let found = weight(lines.iter().copied(), names);
        assert!(found.is_none_or(|weight| weight <= WEIGHT_MAX));
        let shouted: Vec<Vec<u8>> = lines.iter().map(|line| line.to_ascii_uppercase()).collect();
        assert_eq!(weight(shouted.iter().map(|line| &line[..]), names), found, "in upper case");
    }
}

/// Checks that `run` gives one outcome for any rising list of cuts that ends with the input.
fn check<T: PartialEq + std::fmt::Debug>(input: &[u8], run: impl Fn(&[u8], Vec<usize>) -> T) {
    let (seed, input) = input.split_first().map_or((0, input), |(&seed, rest)| (seed, rest));
    let whole = run(input, vec![input.len()]);
    assert_eq!(run(input, (1..=input.len()).collect()), whole, "byte by byte");
    let mut cuts = Vec::new();
    let (mut at, mut state) = (0, u32::from(seed));
    while at < input.len() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        at = (at + 1 + (state >> 24) as usize % 37).min(input.len());
        cuts.push(at);
    }
    if !cuts.is_empty() {
        assert_eq!(run(input, cuts.clone()), whole, "in pieces {cuts:?}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// Pieces of field values and targets.
    const PIECES: &[&str] = &[
        "a",
        "gzip",
        "text/plain",
        "*/*",
        ",",
        ";",
        "=",
        "q",
        "Q",
        "0",
        "1",
        ".5",
        "\"",
        "\\",
        " ",
        "\t",
        "\n",
        ":",
        "80",
        "[",
        "]",
        "::1",
        "v1.",
        "%",
        "%41",
        "@",
        "/",
        "?",
        "http://",
        "*",
        "{",
        "#",
        "\u{e4}",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 500 }, failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_bytes_pass(input in proptest::collection::vec(any::<u8>(), 0..100)) {
            super::head(&input);
            super::chunked(&input);
            super::exchange(&input);
            super::values(&input);
        }

        #[test]
        fn any_values_pass(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..12)) {
            super::values(pieces.concat().as_bytes());
        }
    }

    #[test]
    #[cfg_attr(miri, ignore)] // reads files
    fn every_seed_passes() {
        let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/fuzz/seeds");
        type Target = (&'static str, fn(&[u8]));
        let targets: [Target; 4] = [
            ("head", super::head),
            ("chunked", super::chunked),
            ("exchange", super::exchange),
            ("values", super::values),
        ];
        for (folder, target) in targets {
            let files: Vec<_> = std::fs::read_dir(seeds.join(folder)).unwrap().collect();
            assert!(files.len() > 1, "{folder}");
            for file in files {
                target(&std::fs::read(file.unwrap().path()).unwrap());
            }
        }
    }
}
