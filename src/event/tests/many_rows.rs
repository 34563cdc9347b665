//! Rows of bodies of many events with their outcome: every rule of the frame, one line for each case.

use crate::event::{EventError, Events, EventsCause, FrameError, Scratch, fuzz_events};

/// Bodies that are lists of events, with the ids. The value of the first event is 1, of the second 2,
/// and so on.
#[rustfmt::skip]
const ACCEPTED: &[(&str, &[&str])] = &[
    // None.
    ("",                                                          &[]),
    (" \r\n\t",                                                   &[]),
    ("[]",                                                        &[]),
    ("\n [ \t\r\n] \n",                                           &[]),
    // Lines.
    (r#"{"userId":"a","value":1}"#,                               &["a"]),
    ("{\"userId\":\"a\",\"value\":1}\n",                          &["a"]),
    ("{\"userId\":\"a\",\"value\":1}\r\n",                        &["a"]),
    ("{\"userId\":\"a\",\"value\":1}\n{\"userId\":\"b\",\"value\":2}", &["a", "b"]),
    ("{\"userId\":\"a\",\"value\":1}\r\n{\"userId\":\"b\",\"value\":2}\r\n", &["a", "b"]),
    ("{\"userId\":\"a\",\"value\":1}\r\n{\"userId\":\"b\",\"value\":2}\n{\"userId\":\"c\",\"value\":3}", &["a", "b", "c"]),
    // Empty lines, also with white space in them.
    ("\n\r\n{\"userId\":\"a\",\"value\":1}\n\n \t\r\n\r\r\n{\"userId\":\"b\",\"value\":2}\n\n \n\t", &["a", "b"]),
    // White space around and in an event; a carriage return is white space.
    (" \t{\"userId\":\"a\",\"value\":1} \t\r\n\r{ \"value\" :\r2 ,\t\"userId\":\"b\" }\r", &["a", "b"]),
    // Arrays.
    (r#"[{"userId":"a","value":1}]"#,                             &["a"]),
    (r#"[{"userId":"a","value":1},{"userId":"b","value":2}]"#,    &["a", "b"]),
    (r#"[{"userId": "a", "value": 1}, {"userId": "b", "value": 2}]"#, &["a", "b"]),
    ("\t[\r\n{\"userId\":\"a\",\"value\":1}\r\n,\r\n  {\"userId\":\"b\",\"value\":2}\n,{\"userId\":\"c\",\"value\":3}\t]\n\n", &["a", "b", "c"]),
    ("[\n  {\n    \"userId\": \"a\",\n    \"value\": 1\n  },\n  {\n    \"userId\": \"b\",\n    \"value\": 2\n  }\n]", &["a", "b"]),
    // Bytes of the frame within strings, and ids with escapes.
    (r#"[{"userId":"],}{[\n","value":1},{"userId":"\u005d","x":"]","value":2}]"#, &["],}{[\n", "]"]),
    ("{\"userId\":\"}{\",\"value\":1}\n{\"userId\":\"\\n\",\"x\":[{}],\"value\":2}", &["}{", "\n"]),
];

const fn event(error: EventError) -> EventsCause {
    EventsCause::Event(error)
}

const fn frame(error: FrameError) -> EventsCause {
    EventsCause::Frame(error)
}

/// Bodies that are not lists of events. A `^` stands before the byte that the error names, and is not
/// part of the body. Then the index, the line and the cause.
#[rustfmt::skip]
const REFUSED: &[(&str, usize, usize, EventsCause)] = &[
    // The beginning.
    ("^null",                                              0, 1, frame(FrameError::StartUnexpected)),
    ("\n \r\n ^\"a\"",                                     0, 3, frame(FrameError::StartUnexpected)),
    ("^userId=a&value=1",                                  0, 1, frame(FrameError::StartUnexpected)),
    ("^]",                                                 0, 1, frame(FrameError::StartUnexpected)),
    ("^,{\"userId\":\"a\",\"value\":1}",                   0, 1, frame(FrameError::StartUnexpected)),
    ("^\0",                                                0, 1, frame(FrameError::StartUnexpected)),
    ("\n^\x0c{\"userId\":\"a\",\"value\":1}",              0, 2, frame(FrameError::StartUnexpected)),
    ("^\u{feff}{\"userId\":\"a\",\"value\":1}",            0, 1, event(EventError::ByteOrderMark)),
    ("\n^\u{feff}[]",                                      0, 2, event(EventError::ByteOrderMark)),
    // Several events on a line.
    ("{\"userId\":\"a\",\"value\":1}^{\"userId\":\"b\",\"value\":2}", 0, 1, frame(FrameError::LineTooLong)),
    ("{\"userId\":\"a\",\"value\":1}\n{\"userId\":\"b\",\"value\":2} ^{", 1, 2, frame(FrameError::LineTooLong)),
    ("{\"userId\":\"a\",\"value\":1}\r^{\"userId\":\"b\",\"value\":2}\r", 0, 1, frame(FrameError::LineTooLong)),
    ("{\"userId\":\"a\",\"value\":1}^,\n{\"userId\":\"b\",\"value\":2}", 0, 1, frame(FrameError::LineTooLong)),
    ("\n{\"userId\":\"a\",\"value\":1}^\0\n",              0, 2, frame(FrameError::LineTooLong)),
    ("{\"userId\":\"a\",\"value\":1}^\x0c\n",              0, 1, frame(FrameError::LineTooLong)),
    ("{\"userId\":\"a\",\"value\":1}^]",                   0, 1, frame(FrameError::LineTooLong)),
    ("{\"userId\":\"\",\"value\":1}^}\n",                  0, 1, frame(FrameError::LineTooLong)),
    // Several lines for an event.
    ("{^\n\"userId\":\"a\",\"value\":1}",                  0, 1, frame(FrameError::LineTooShort)),
    ("{\"userId\":\"a\",\r^\n\"value\":1}",                0, 1, frame(FrameError::LineTooShort)),
    ("{\"userId\":\"a\",\"value\":1}\n{\"userId\":\"b\",\"value\":2^\n}", 1, 2, frame(FrameError::LineTooShort)),
    ("{\"userId\":\"a\",\"value\"^\n\n",                   0, 1, frame(FrameError::LineTooShort)),
    // A line feed within a string, an escape, a number or a literal is wrong there.
    ("{\"userId\":\"a^\nb\",\"value\":1}",                 0, 1, event(EventError::ControlCharacter)),
    ("{\"userId\":\"a^\r\nb\",\"value\":1}",               0, 1, event(EventError::ControlCharacter)),
    ("{\"userId\":\"a^\\\n\",\"value\":1}",                0, 1, event(EventError::EscapeInvalid)),
    ("{\"userId\":\"a^\\u00\n\",\"value\":1}",             0, 1, event(EventError::EscapeInvalid)),
    ("{\"userId\":\"a\",\"value\":-^\n1}",                 0, 1, event(EventError::NumberInvalid)),
    ("{\"userId\":\"a\",\"x\":tru^\ne,\"value\":-1}",      0, 1, event(EventError::ValueExpected)),
    // Lines that are not events.
    ("{\"userId\":\"a\",\"value\":1}\n^[]",                1, 2, event(EventError::NotObject)),
    ("{\"userId\":\"a\",\"value\":1}\n\n \n ^null\n",      1, 4, event(EventError::NotObject)),
    ("{\"userId\":\"a\",\"value\":1}\n^\0\n",              1, 2, event(EventError::NotObject)),
    ("{\"userId\":\"a\",\"value\":1}\n^\x0b\n",            1, 2, event(EventError::NotObject)),
    ("{\"userId\":\"a\",\"value\":1}\n^\u{85}\n",          1, 2, event(EventError::NotObject)),
    ("{\"userId\":\"a\",\"value\":1}\n^\u{feff}{\"userId\":\"b\",\"value\":2}", 1, 2, event(EventError::ByteOrderMark)),
    ("{\"userId\":\"a\",\"value\":1}\n ^{}\n",             1, 2, event(EventError::UserIdMissing)),
    ("{\"userId\":\"a\",\"value\":1}\n{\"userId\":\"b\"^", 1, 2, event(EventError::Truncated)),
    ("{\"userId\":\"a\",\"value\":1}\n{\"userId\":\"b^",   1, 2, event(EventError::Truncated)),
    // The array.
    ("[^",                                                 0, 1, frame(FrameError::ArrayNotClosed)),
    ("\n[ \r\n ^",                                         0, 3, frame(FrameError::ArrayNotClosed)),
    ("[{\"userId\":\"a\",\"value\":1}^",                   1, 1, frame(FrameError::ArrayNotClosed)),
    ("[{\"userId\":\"a\",\"value\":1},\n^",                1, 2, frame(FrameError::ArrayNotClosed)),
    ("[{\"userId\":\"a\",\"value\":1} ^{\"userId\":\"b\",\"value\":2}]", 0, 1, frame(FrameError::CommaExpected)),
    ("[{\"userId\":\"a\",\"value\":1}\n^{\"userId\":\"b\",\"value\":2}]", 0, 2, frame(FrameError::CommaExpected)),
    ("[{\"userId\":\"a\",\"value\":1}^}]",                 0, 1, frame(FrameError::CommaExpected)),
    ("[{\"userId\":\"a\",\"value\":1}^;",                  0, 1, frame(FrameError::CommaExpected)),
    ("[{\"userId\":\"a\",\"value\":1},^]",                 1, 1, frame(FrameError::CommaExtra)),
    ("[{\"userId\":\"a\",\"value\":1}, \n ^]",             1, 2, frame(FrameError::CommaExtra)),
    ("[{\"userId\":\"a\",\"value\":1},^,{\"userId\":\"b\",\"value\":2}]", 1, 1, frame(FrameError::CommaExtra)),
    ("[^,{\"userId\":\"a\",\"value\":1}]",                 0, 1, frame(FrameError::CommaExtra)),
    ("[^,]",                                               0, 1, frame(FrameError::CommaExtra)),
    ("[]^,",                                               0, 1, frame(FrameError::TrailingBytes)),
    ("[{\"userId\":\"a\",\"value\":1}]\n^{\"userId\":\"b\",\"value\":2}", 1, 2, frame(FrameError::TrailingBytes)),
    ("[]\n^[]",                                            0, 2, frame(FrameError::TrailingBytes)),
    ("[]^\0",                                              0, 1, frame(FrameError::TrailingBytes)),
    ("[]^\x0c",                                            0, 1, frame(FrameError::TrailingBytes)),
    // Elements that are not events.
    ("[^null]",                                            0, 1, event(EventError::NotObject)),
    ("[^[{\"userId\":\"a\",\"value\":1}]]",                0, 1, event(EventError::NotObject)),
    ("[{\"userId\":\"a\",\"value\":1},\n^1]",              1, 2, event(EventError::NotObject)),
    ("[^\x0c{\"userId\":\"a\",\"value\":1}]",              0, 1, event(EventError::NotObject)),
    ("[^\u{feff}{\"userId\":\"a\",\"value\":1}]",          0, 1, event(EventError::ByteOrderMark)),
    ("[{\"userId\":\"a\",\"value\":1},\n ^{\"userId\":\"\",\n\"value\":2}]", 1, 2, event(EventError::UserIdEmpty)),
    ("[{\"userId\":\"a\",\"value\":1}, {\"userId\":\"b\"^", 1, 1, event(EventError::Truncated)),
    ("[{\"userId\":\"a\",\"value\":1}, {\"userId\":\"b\"^]", 1, 1, event(EventError::CommaExpected)),
    ("[{\"userId\":\"a\",\"value\":1}, {^{\"userId\":\"b\"", 1, 1, event(EventError::NameExpected)),
    // The byte of the fault, one row for each kind.
    ("[{\"userId\":\"a\",\"value\":1,^}]",                 0, 1, event(EventError::NameExpected)),
    ("[{\"userId\"^,\"value\":1}]",                        0, 1, event(EventError::ColonExpected)),
    ("[{\"userId\":^}]",                                   0, 1, event(EventError::ValueExpected)),
    ("[{\"userId\":nul^}]",                                0, 1, event(EventError::ValueExpected)),
    ("[{\"userId\":\"a\" ^\"value\":1}]",                  0, 1, event(EventError::CommaExpected)),
    ("[{\"userId\":\"a^\t\",\"value\":1}]",                0, 1, event(EventError::ControlCharacter)),
    ("[{\"userId\":\"1234567890^\\x\",\"value\":1}]",      0, 1, event(EventError::EscapeInvalid)),
    ("[{\"userId\":\"a^\\u00g0\",\"value\":1}]",           0, 1, event(EventError::EscapeInvalid)),
    ("[{\"userId\":\"a^\\ud83d\\u0061\",\"value\":1}]",    0, 1, event(EventError::SurrogateLone)),
    ("[{\"userId\":\"a\",\"value\":0^1}]",                 0, 1, event(EventError::NumberInvalid)),
    ("[{\"userId\":\"a\",\"value\":-0^0.x}]",              0, 1, event(EventError::NumberInvalid)),
    ("[{\"userId\":\"a\",\"value\":1.^}]",                 0, 1, event(EventError::NumberInvalid)),
    ("[{\"userId\":\"a\",\"value\":1e+^}]",                0, 1, event(EventError::NumberInvalid)),
    ("[{\"userId\":\"a\",\"value\":^+1}]",                 0, 1, event(EventError::NumberInvalid)),
    // The first fault counts, and events before it do not help.
    ("{\"userId\":\"a\",\"value\":1}\n^{\"userId\":1,\"value\":2}\n{\"userId\":\"c\",\"value\":}", 1, 2, event(EventError::UserIdNotString)),
    ("[{\"userId\":\"a\",\"value\":1},^{\"userId\":\"b\",\"value\":1e400},]", 1, 1, event(EventError::ValueOutOfRange)),
];

#[test]
fn rows_accepted() {
    for (body, ids) in ACCEPTED {
        fuzz_events(body.as_bytes());
        let mut scratch = Scratch::new();
        let mut events = Events::new(body.as_bytes(), usize::MAX);
        for (index, id) in ids.iter().enumerate() {
            assert_eq!(events.count(), index);
            let event = events.next(&mut scratch).expect(body).expect(body);
            assert_eq!((event.user_id, event.value), (id.as_bytes(), index as f64 + 1.0), "{body}");
        }
        assert!(events.next(&mut scratch).is_none(), "{body}");
        assert_eq!(events.count(), ids.len());
    }
}

#[test]
fn rows_refused() {
    for &(marked, index, line, cause) in REFUSED {
        let offset = marked.find('^').expect("a mark");
        check_refused(marked.replacen('^', "", 1).as_bytes(), index, line, offset, cause);
    }
}

#[test]
fn a_fault_that_is_no_character_has_its_byte() {
    let cause = event(EventError::Utf8Invalid);
    for fault in [&b"\xFF"[..], b"\xC3", b"\xE2\x82", b"\xF0\x9F\x98", b"\xED\xA0\x80"] {
        for after in [&b""[..], b"b", b"\\n", b"\x01"] {
            let before = "[\n{\"userId\":\"é";
            let body = [before.as_bytes(), fault, after, b"\",\"value\":1}]"].concat();
            check_refused(&body, 0, 2, before.len(), cause);
        }
    }
    let nested = |depth| "[".repeat(depth);
    let before = format!("[{{\"x\":{}", nested(crate::limits::JSON_DEPTH_MAX));
    let body = format!("{before}[");
    check_refused(body.as_bytes(), 0, 1, before.len(), event(EventError::TooDeep));
}

#[test]
fn every_part_of_a_body_is_a_list_of_whole_events_or_too_short() {
    let usual = r#"{"userId":"user_42","value":499.5}"#;
    let spaced = r#"{"userId": "user_42", "value": 499.5}"#;
    let other = "{\"x\":[{\"y\":null}],\"value\":-1.5e-3,\"userId\":\"\\u0061é\"}";
    for end in ["\n", "\r\n"] {
        let body = [usual, end, spaced, end, other, end, usual].concat();
        for len in 0..=body.len() {
            let part = &body.as_bytes()[..len];
            fuzz_events(part);
            let is_whole = matches!(part.last(), None | Some(b'}' | b'\r' | b'\n'))
                && !part.ends_with(b"null}");
            assert_eq!(read_all(part).is_ok(), is_whole, "{}", String::from_utf8_lossy(part));
        }
    }
    let body = ["[\n", usual, ",", spaced, ", ", other, "\r\n,", usual, "\n]"].concat();
    assert_eq!(read_all(body.as_bytes()), Ok(4));
    for len in 1..body.len() {
        let part = &body.as_bytes()[..len];
        fuzz_events(part);
        let error = read_all(part).expect_err("too short");
        let causes = [event(EventError::Truncated), frame(FrameError::ArrayNotClosed)];
        assert!(causes.contains(&error.0) && error.1 == len, "{error:?} of {len} bytes");
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri reads no files")]
fn every_part_of_every_seed_of_the_fuzz_target_is_judged_as_by_the_oracle() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/fuzz/seeds/events");
    let mut seed_count = 0;
    for entry in std::fs::read_dir(seeds).expect("a folder") {
        let seed = std::fs::read(entry.expect("an entry").path()).expect("a seed");
        for len in 0..=seed.len() {
            fuzz_events(&seed[..len]);
        }
        seed_count += 1;
    }
    assert!(seed_count >= 3);
}

#[test]
fn ids_and_numbers_of_every_length_end_where_they_end() {
    for id_bytes in (1..=300).step_by(if cfg!(miri) { 37 } else { 1 }) {
        for number in ["7", "1234567", "12345678", "0.25", "-1", "83.741920348710234", "1e3", "01"]
        {
            let event = format!("{{\"userId\":\"{}\",\"value\":{number}}}", "x".repeat(id_bytes));
            for separator in [",", ", ", "\n", "\r\n", " \n"] {
                let events = [event.as_str(); 3].join(separator);
                fuzz_events(events.as_bytes());
                fuzz_events(format!("[{events}]").as_bytes());
            }
        }
    }
}

#[test]
fn an_event_that_is_too_large_is_refused_in_every_frame() {
    let small = r#"{"userId":"a","value":1}"#;
    // Spaced, so that it goes the general way; the other one goes the short way.
    for large in [r#"{ "userId" : "a" , "value" : 1 }"#, r#"{"userId":"abcdefgh","value":1}"#] {
        let max = large.len();
        for (body, at) in [
            (large.to_owned(), 0),
            (format!("{small}\n{large}\n{small}\n"), 25),
            (format!("{small}\r\n{large}\r\n"), 26),
            (format!("[{large}]"), 1),
            (format!("[{small}, {large} ,{small}]"), 27),
        ] {
            assert!(read_within(body.as_bytes(), max).is_ok(), "{body}");
            let expected = Err((FrameError::EventTooLarge.into(), at));
            assert_eq!(read_within(body.as_bytes(), max - 1), expected, "{body}");
        }
    }
    // The fault of a larger event comes first if it lies within the bound.
    let fault = read_within(br#"[{"userId":1x,"value":1}]"#, 20);
    assert_eq!(fault, Err((EventError::CommaExpected.into(), 12)));
}

/// Returns the number of events, or the cause and the byte of the error.
fn read_all(body: &[u8]) -> Result<usize, (EventsCause, usize)> {
    read_within(body, usize::MAX)
}

fn read_within(body: &[u8], event_bytes_max: usize) -> Result<usize, (EventsCause, usize)> {
    let mut scratch = Scratch::new();
    let mut events = Events::new(body, event_bytes_max);
    while let Some(event) = events.next(&mut scratch) {
        event.map_err(|error| (error.cause, error.offset))?;
    }
    Ok(events.count())
}

fn check_refused(body: &[u8], index: usize, line: usize, offset: usize, cause: EventsCause) {
    fuzz_events(body);
    let mut scratch = Scratch::new();
    let mut events = Events::new(body, usize::MAX);
    let error = loop {
        if let Err(error) = events.next(&mut scratch).expect("an error comes") {
            break error;
        }
    };
    let place = (error.index, error.line, error.offset, error.cause);
    assert_eq!(place, (index, line, offset, cause), "{}", String::from_utf8_lossy(body));
}
