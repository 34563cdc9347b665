use proptest::prelude::*;

use super::*;

const CONTENT_BYTES_MAX: usize = 64;

/// The content and how many bytes of input it took; `None` while it is incomplete.
type Outcome = Result<Option<(Vec<u8>, usize)>, HttpError>;

fn decode_in_pieces(input: &[u8], cuts: &[usize]) -> Outcome {
    let mut decoder = Decoder::new(CONTENT_BYTES_MAX);
    let mut content = Vec::new();
    let mut taken = 0;
    for cut in cuts.iter().map(|&cut| cut.min(input.len())).chain([input.len()]) {
        let content_bytes = content.len();
        content.extend_from_slice(&input[taken..cut.max(taken)]);
        taken = cut.max(taken);
        let progress = decoder.decode(&mut content, content_bytes, content_bytes)?;
        let unread = content.len() - progress.read_at;
        content.truncate(progress.write_at);
        if progress.complete {
            return Ok(Some((content, taken - unread)));
        }
    }
    Ok(None)
}

fn check(input: &[u8]) -> Outcome {
    let whole = decode_in_pieces(input, &[]);
    let cuts: Vec<usize> = (0..input.len()).collect();
    assert_eq!(decode_in_pieces(input, &cuts), whole, "byte by byte: {}", input.escape_ascii());
    whole
}

#[test]
fn well_formed() {
    for (input, content) in [
        ("0\r\n\r\n", ""),
        ("000\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("0000000000000000000001\r\nx\r\n0\r\n\r\n", "x"),
        ("1;a=b;c=\"d \\\"\"\r\nx\r\n0;e\r\n\r\n", "x"),
        ("1 \t;a\r\nx\r\n0\r\n\r\n", "x"),
        ("1;a=b\r\nx\r\n0;a;b=\"\"\r\n\r\n", "x"),
        ("1;a;b;c\r\nx\r\n0\r\n\r\n", "x"),
        ("1 ; a\t=\t\"\t \u{e4}\\\\;\\\"\" ;\tb = c\r\nx\r\n0\r\n\r\n", "x"),
        ("1;a ;b\r\nx\r\n0\r\n\r\n", "x"),
        ("1\r\nx\r\n0\r\nContent-Length: 9\r\nX:\ty \r\n\r\n", "x"),
    ] {
        let expected = Ok(Some((content.as_bytes().to_vec(), input.len())));
        assert_eq!(check(input.as_bytes()), expected, "{input:?}");
        let next = format!("{input}GET / HTTP/1.1");
        assert_eq!(check(next.as_bytes()), expected, "with the next request behind it");
    }
}

#[test]
fn malformed() {
    use HttpError as E;
    for (input, expected) in [
        ("\r\n", E::Chunk),
        (" 1\r\n", E::Chunk),
        ("+1\r\n", E::Chunk),
        ("-1\r\n", E::Chunk),
        ("0x1\r\n", E::Chunk),
        ("1_0\r\n", E::Chunk),
        ("g\r\n", E::Chunk),
        (";a\r\n", E::Chunk),
        ("1\n", E::Chunk),
        ("1\rx", E::Chunk),
        ("1 \r\n", E::Chunk),
        ("1 x\r\n", E::Chunk),
        ("1;a\n", E::Chunk),
        ("1;a\0\r\n", E::Chunk),
        ("1;\r\n", E::Chunk),
        ("1;;a\r\n", E::Chunk),
        ("1; \r\n", E::Chunk),
        ("1;a \r\n", E::Chunk),
        ("1;a;\r\n", E::Chunk),
        ("1;a\tb\r\n", E::Chunk),
        ("1;=x\r\n", E::Chunk),
        ("1;a=\r\n", E::Chunk),
        ("1;a= \r\n", E::Chunk),
        ("1;a=;b\r\n", E::Chunk),
        ("1;a==b\r\n", E::Chunk),
        ("1;a=b \r\n", E::Chunk),
        ("1;a=b=c\r\n", E::Chunk),
        ("1;a=b c\r\n", E::Chunk),
        ("1;a=b\"c\"\r\n", E::Chunk),
        ("1;bad[=x\r\n", E::Chunk),
        ("1;\"a\"=x\r\n", E::Chunk),
        ("1;\u{e4}\r\n", E::Chunk),
        ("1;a=\u{e4}\r\n", E::Chunk),
        ("1;a=\"x\r\n", E::Chunk),
        ("1;a=\"x\\\r\n", E::Chunk),
        ("1;a=\"x\ny\"\r\n", E::Chunk),
        ("1;a=\"x\\\n\"\r\n", E::Chunk),
        ("1;a=\"x\u{7f}\"\r\n", E::Chunk),
        ("1;a=\"x\"y\r\n", E::Chunk),
        ("1;a=\"x\" \r\n", E::Chunk),
        ("1;a=\"x\"\n", E::Chunk),
        ("1;a,b\r\n", E::Chunk),
        ("1,a\r\n", E::Chunk),
        ("1=a\r\n", E::Chunk),
        ("1 =a\r\n", E::Chunk),
        ("0;\r\n", E::Chunk),
        ("1;\rx", E::Chunk),
        ("1\r\nxy", E::Chunk),
        ("1\r\nx\n", E::Chunk),
        ("1\r\nx\rx", E::Chunk),
        ("10000000000000000\r\n", E::Chunk),
        ("41\r\n", E::ContentTooLarge),
        ("ffffffffffffffff\r\n", E::ContentTooLarge),
        ("0\r\nX\r\n", E::FieldLine),
        ("0\r\nX : y\r\n", E::FieldLine),
        ("0\r\n: y\r\n", E::FieldLine),
        ("0\r\nX: y\n", E::FieldLine),
        ("0\r\nX: y\rz", E::FieldLine),
        ("0\r\n\n", E::FieldLine),
        ("0\r\n\rx", E::FieldLine),
        ("0\r\n X: y\r\n", E::FieldFolded),
    ] {
        assert_eq!(check(input.as_bytes()), Err(expected), "{input:?}");
    }
}

#[test]
fn limits() {
    let content = "a".repeat(CONTENT_BYTES_MAX);
    assert!(check(format!("40\r\n{content}\r\n0\r\n\r\n").as_bytes()).unwrap().is_some());
    let more = format!("40\r\n{content}\r\n1\r\n");
    assert_eq!(check(more.as_bytes()), Err(HttpError::ContentTooLarge));
    let extension = format!("1;{}", "a".repeat(CHUNK_LINE_BYTES_MAX));
    assert_eq!(check(extension.as_bytes()), Err(HttpError::Chunk));
    let trailers = format!("0\r\n{}", "a: b\r\n".repeat(FIELD_COUNT_MAX + 1));
    assert_eq!(check(trailers.as_bytes()), Err(HttpError::FieldsTooLarge));
    let trailer = format!("0\r\nX: {}", "a".repeat(HEADER_SECTION_BYTES_MAX));
    assert_eq!(check(trailer.as_bytes()), Err(HttpError::FieldsTooLarge));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 8 } else { 1000 }, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_split_gives_the_same_result(
        pieces in proptest::collection::vec(proptest::sample::select(vec![
            "0", "1", "5", "a", "ff", "\r\n", "\r\n", "\r\n\r\n", ";", "x", "hello", " ", ":", "\n", "\r", "X: y",
            "=", "\"", "\\", ";a=b", ";a=\"b\"", "\t", "\u{e4}", "1;a\r\n",
        ]), 0..20),
        mut cuts in proptest::collection::vec(0usize..60, 0..6),
    ) {
        let input = pieces.concat();
        cuts.sort_unstable();
        prop_assert_eq!(decode_in_pieces(input.as_bytes(), &cuts), check(input.as_bytes()));
    }

    #[test]
    fn encoded_content_is_decoded(chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..9), 0..8)) {
        let mut input = Vec::new();
        for chunk in &chunks {
            input.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            input.extend_from_slice(chunk);
            input.extend_from_slice(b"\r\n");
        }
        input.extend_from_slice(b"0\r\n\r\n");
        prop_assert_eq!(check(&input), Ok(Some((chunks.concat(), input.len()))));
    }
}
