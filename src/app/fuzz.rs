//! Whole connections with the real handler, against a scripted peer.
//!
//! The peer sends any bytes in any pieces, and reads in any pieces. The answers must be those to the
//! same bytes in one piece, and the counted events must be those that a plain reader finds in them.

use super::front::App;
use super::pages::Sender;
use super::shared::Shared;
use crate::event::{self, Events, Scratch};
use crate::http::{ContentLimits, Exchange, Extras, Memo, Method, Step};
use crate::limits::BODY_BYTES_MAX_DEFAULT;
use crate::options::{Invocation, Origins, parse};
use crate::server::fuzz::{Outcome, Script, converse};
use crate::server::meters::Closed;

/// Small, so that a fuzzer reaches the limit.
const CONTENT_LIMITS: ContentLimits = ContentLimits::with_exception(64, "/events", 128);

const INPUT_BYTES_MAX: usize = 1024;
/// Deeper than a turn, with requests of the usual size.
const DEEP_INPUT_BYTES_MAX: usize = 32 * 1024;

/// The interim answer depends on whether the content is already there (RFC 9110, 10.1.1), so it is
/// left out of comparisons.
const INTERIM: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Runs one connection from its begin to its end. The first byte of the input is the seed for the
/// lengths of the pieces. The second byte is the number of repetitions of the rest, so that short inputs
/// make deep pipelines.
pub fn connection(input: &[u8]) {
    let [seed, repeats, input @ ..] = input else { return };
    // One in 16 is deep: they take their time.
    let bytes_max = if seed % 16 == 0 { DEEP_INPUT_BYTES_MAX } else { INPUT_BYTES_MAX };
    let repeats = (1 + usize::from(repeats % 64)).min(bytes_max / input.len().max(1));
    let input = input.repeat(repeats.max(1));
    // The page differs with the time it is asked at.
    if memchr::memmem::find(&input, b"metrics").is_some() {
        return;
    }
    let all = || Box::new(|| usize::MAX / 2) as Box<dyn FnMut() -> usize>;
    // Byte by byte, or nearly so where that would take for ever.
    let least = 1 + input.len() / 2_000;
    let ones = || Box::new(move || least) as Box<dyn FnMut() -> usize>;
    let mixed = |seed: u8, limit: usize| {
        let mut state = u32::from(seed);
        Box::new(move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            1 + (state >> 16) as usize % limit
        }) as Box<dyn FnMut() -> usize>
    };
    let whole =
        run(&input, Script { turn_bytes: input.len() + 1, piece_bytes: all(), room_bytes: all() });
    assert_eq!(whole.1, model(&input), "counted");
    let scripts = [
        Script { turn_bytes: 64, piece_bytes: all(), room_bytes: ones() },
        Script { turn_bytes: 1024, piece_bytes: ones(), room_bytes: all() },
        Script {
            turn_bytes: 100 + usize::from(*seed),
            piece_bytes: mixed(*seed, 200),
            room_bytes: mixed(!*seed, 300),
        },
    ];
    for script in scripts {
        assert_eq!(run(&input, script), whole);
    }
}

/// The answers, why the connection ended, and how many events were counted.
fn run(input: &[u8], mut script: Script) -> ((Vec<u8>, Closed), u64) {
    let Ok(Invocation::Run { options, .. }) = parse(["--workers=1".into()], []) else {
        unreachable!("the options are valid");
    };
    let shared = Shared::new(&options, options.workers, [1, 2]).expect("memory");
    let mut app = App::new(&shared, 0, 0);
    let Outcome { mut answers, closed } = converse(&mut app, CONTENT_LIMITS, input, &mut script);
    while let Some(at) = memchr::memmem::find(&answers, INTERIM) {
        answers.drain(at..at + INTERIM.len());
    }
    ((answers, closed), shared.statistics.snapshot().events)
}

/// Returns the number of events in the bytes, without sockets, turns or batches.
fn model(input: &[u8]) -> u64 {
    let (mut input, mut events) = (input.to_vec(), 0);
    let mut exchange = Exchange::new(CONTENT_LIMITS);
    let mut rest = &mut input[..];
    while !rest.is_empty() {
        let Step::Request { request, consumed } = exchange.advance(rest, &mut Memo::default())
        else {
            break;
        };
        let is_taken = !request.extras.has(Extras::CODED_CONTENT)
            && Sender::of(&request, &Origins::None) == Sender::Own;
        if request.method == Method::Post && is_taken {
            events += match request.path() {
                b"/event" => u64::from(event::parse(request.content, &mut Scratch::new()).is_ok()),
                b"/events" => many(request.content),
                _ => 0,
            };
        }
        if !request.persistent {
            break;
        }
        rest = &mut rest[consumed..];
    }
    events
}

/// Returns the number of events that a body of `/events` counts.
fn many(body: &[u8]) -> u64 {
    let (mut events, mut scratch) = (Events::new(body, BODY_BYTES_MAX_DEFAULT), Scratch::new());
    while let Some(event) = events.next(&mut scratch) {
        if event.is_err() {
            return 0;
        }
    }
    events.count() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    /// Pieces of requests that make whole ones often enough.
    const PIECES: &[&str] = &[
        "POST /event HTTP/1.1\r\nHost: t\r\nOrigin: http://t\r\nContent-Length: 24\r\n\r\n{\"userId\":\"p\",\"value\":1}",
        "POST /event HTTP/1.1\r\nHost: t\r\nOrigin: null\r\nContent-Length: 24\r\n\r\n{\"userId\":\"p\",\"value\":1}",
        "POST /event HTTP/1.1\r\nHost: t\r\nSec-Fetch-Site: cross-site\r\nContent-Length: 24\r\n\r\n{\"userId\":\"p\",\"value\":1}",
        "POST /event HTTP/1.1\r\nHost: t\r\nContent-Length: 24\r\n\r\n{\"userId\":\"u\",\"value\":1}",
        "POST /event HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n",
        "18\r\n{\"userId\":\"v\",\"value\":2}\r\n0\r\n\r\n",
        "POST /event HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 24\r\n\r\n",
        "{\"userId\":\"w\",\"value\":3}",
        "POST /event HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}",
        "POST /events HTTP/1.1\r\nHost: t\r\nContent-Length: 51\r\n\r\n{\"userId\":\"u\",\"value\":1}\n{\"userId\":\"w\",\"value\":1}\r\n",
        "POST /events HTTP/1.1\r\nHost: t\r\nContent-Length: 28\r\n\r\n[{\"userId\":\"x\",\"value\":1}]\n",
        "POST /events HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /events HTTP/1.1\r\nHost: t\r\nContent-Length: 29\r\n\r\n{\"userId\":\"w\",\"value\":1}\nbad",
        "POST /events HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n",
        "GET /stats HTTP/1.1\r\nHost: t\r\n\r\n",
        "HEAD /health HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET /nowhere HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
        "POST /event HTTP/1.1\r\nHost: t\r\nContent-Length: 65\r\n\r\n",
        "HEAD /stats HTTP/1.1\r\nHost: t\r\nExpect: x\r\n\r\n",
        "POST /event HTTP/1.1\r\nHost: t\r\nContent-Encoding: gzip\r\nContent-Length: 24\r\n\r\n",
        "\r\n",
        "\n",
        "x",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 300 }, failure_persistence: None, ..Default::default() })]

        #[test]
        fn answers_do_not_depend_on_how_bytes_travel(
            seed in prop_oneof![any::<u8>(), Just(0)],
            repeats in select(vec![0u8, 0, 1, 7, 63]),
            pieces in proptest::collection::vec(select(PIECES), 0..8),
        ) {
            let mut input = vec![seed, repeats];
            input.extend_from_slice(pieces.concat().as_bytes());
            super::connection(&input);
        }

        #[test]
        fn any_bytes_pass(input in proptest::collection::vec(any::<u8>(), 0..200)) {
            super::connection(&input);
        }
    }

    #[test]
    fn pipelines_deeper_than_a_turn_pass() {
        let input = PIECES[0].repeat(20) + PIECES[6];
        for seed in [0, 16, 208] {
            super::connection(&[&[seed, 63][..], input.as_bytes()].concat());
        }
    }
}
