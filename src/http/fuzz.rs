//! What one input of a fuzzer must fulfil: the verdict is the same in one piece, byte by byte, and
//! in pieces whose sizes come from the input itself. Property tests call the same functions.

use super::body::Decoder;
use super::error::HttpError;
use super::exchange::{Exchange, Step};
use super::head::{Head, Parsed, Parser};
use super::memo::Memo;
use super::method::Method;

/// Small, so that a fuzzer reaches the limit.
const CONTENT_BYTES_MAX: usize = 32;

/// The head parser. The first byte of the input seeds the pieces.
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

/// The chunked decoder: the content, and how many bytes of input it took.
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

/// A connection's exchange: all requests that come out of it, and the error that ends it.
pub fn exchange(input: &[u8]) {
    check(input, |input, cuts| {
        let (mut exchange, mut memo) = (Exchange::new(CONTENT_BYTES_MAX), Memo::default());
        let mut requests: Vec<(Method, Vec<u8>, Vec<u8>, bool)> = Vec::new();
        let (mut held, mut taken) = (Vec::new(), 0);
        for cut in cuts {
            held.extend_from_slice(&input[taken..cut]);
            taken = cut;
            while !held.is_empty() {
                if let Some((request, consumed)) = exchange.recall(&held, &memo) {
                    assert!(consumed > 0 && request.content.len() <= CONTENT_BYTES_MAX);
                    let (path, content) = (request.path().to_vec(), request.content.to_vec());
                    requests.push((request.method, path, content, request.persistent));
                    held.drain(..consumed);
                    continue;
                }
                match exchange.advance(&mut held, &mut memo) {
                    Step::Request { request, consumed } => {
                        assert!(consumed > 0 && request.content.len() <= CONTENT_BYTES_MAX);
                        let (path, content) = (request.path().to_vec(), request.content.to_vec());
                        requests.push((request.method, path, content, request.persistent));
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
    });
}

/// `run` gives one outcome for any rising list of cuts that ends with the input.
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

    proptest! {
        #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 500 }, failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_bytes_pass(input in proptest::collection::vec(any::<u8>(), 0..100)) {
            super::head(&input);
            super::chunked(&input);
            super::exchange(&input);
        }
    }
}
