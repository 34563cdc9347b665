//! Properties of all bodies of many events: made of valid, damaged and curious bodies of one event,
//! of tokens in any order, of any bytes.
//!
//! What decides is `parse`, which has its own oracles: a list must give for each body what `parse`
//! gives for it alone. serde_json judges the frame.

use super::properties::{damaged_byte, json, number, quote, token, user_id};
use crate::event::{EventError, Events, EventsCause, FrameError, Scratch, fuzz_events, parse};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::value::RawValue;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 1_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn lines_give_what_their_bodies_give_alone(
        bodies in vec(body(), 0..8),
        ends in vec(prop::sample::select(vec!["\n", "\r\n", "\n\n", "\r\n \t\r\n", " \n"]), 8),
        last_has_end in any::<bool>(),
    ) {
        // The first body decides that these are lines, and a line feed in a body would cut it.
        let mut bodies = bodies;
        bodies.retain(|body| !body.contains(&b'\n'));
        bodies.insert(0, USUAL.into());

        let mut list = Vec::new();
        let mut expected = Vec::new();
        for (index, body) in bodies.iter().enumerate() {
            let is_last = index + 1 == bodies.len();
            let end = if is_last && !last_has_end { "" } else { ends[index % ends.len()] };
            list.extend_from_slice(body);
            list.extend_from_slice(end.as_bytes());
            expected.push(expected_of_line(body, !end.is_empty()));
        }
        prop_assert_eq!(read(&list), judged(expected), "{}", String::from_utf8_lossy(&list));
        fuzz_events(&list);
    }

    #[test]
    fn an_array_gives_what_its_bodies_give_alone(
        bodies in vec(body(), 0..8),
        spaces in vec("[ \t\r\n]{0,3}", 20),
    ) {
        let mut list = format!("{}[", spaces[0]).into_bytes();
        let mut expected = Vec::new();
        for (index, body) in bodies.iter().enumerate() {
            if index > 0 {
                list.push(b',');
            }
            list.extend_from_slice(spaces[2 * index % 20].as_bytes());
            list.extend_from_slice(body);
            list.extend_from_slice(spaces[(2 * index + 1) % 20].as_bytes());
            expected.push(own(body).map_err(EventsCause::Event));
        }
        list.extend_from_slice(format!("]{}", spaces[19]).as_bytes());
        fuzz_events(&list);

        // These bodies end elsewhere than they do alone: the text after them decides.
        let are_ends_moved = [EventError::Empty, EventError::Truncated, EventError::TrailingBytes];
        let first_fault = expected.iter().find_map(|verdict| verdict.as_ref().err());
        let is_decided = first_fault.is_none_or(|cause| {
            are_ends_moved.iter().all(|&error| *cause != EventsCause::Event(error))
        });
        // So is a body that begins with a byte of the array's own.
        let is_of_array =
            |body: &Vec<u8>| matches!(body.trim_ascii_start().first(), Some(b']' | b','));
        if is_decided && !bodies.iter().any(is_of_array) {
            prop_assert_eq!(read(&list), judged(expected), "{}", String::from_utf8_lossy(&list));
        }
    }

    #[test]
    fn an_array_is_one_to_serde_json(
        bodies in vec(body(), 0..4),
        separators in vec(prop::sample::select(vec![",", ",", ",", " ,\n", "", ",,", "]", "\n", "[", "\0", "\x0c"]), 4),
        begin in prop::sample::select(vec!["[", "[", "[", " [\n", "[,", "[[", ""]),
        end in prop::sample::select(vec!["]", "]", "]", "\n]\r\n", ",]", "", "]]", "],", "]\0"]),
    ) {
        let mut list = begin.as_bytes().to_vec();
        for (index, body) in bodies.iter().enumerate() {
            if index > 0 {
                list.extend_from_slice(separators[index].as_bytes());
            }
            list.extend_from_slice(body);
        }
        list.extend_from_slice(end.as_bytes());
        fuzz_events(&list);
        if list.trim_ascii_start().first() == Some(&b'[') {
            let elements = serde_json::from_slice::<Vec<&RawValue>>(&list);
            let is_list = elements.is_ok_and(|elements| {
                elements.iter().all(|element| own(element.get().as_bytes()).is_ok())
            });
            prop_assert_eq!(read(&list).1.is_none(), is_list, "{}", String::from_utf8_lossy(&list));
        }
    }

    #[test]
    fn lines_are_lines_to_serde_json(
        bodies in vec(body(), 0..4),
        separators in vec(prop::sample::select(vec!["\n", "\n", "\r\n", "\n \n", "", ",", "\r", "\0\n", "\n\x0c\n"]), 4),
    ) {
        let mut list = USUAL.to_vec();
        for (body, separator) in bodies.iter().zip(separators) {
            list.extend_from_slice(separator.as_bytes());
            list.extend_from_slice(body);
        }
        fuzz_events(&list);
        let is_blank = |line: &[u8]| line.iter().all(|byte| b" \t\r".contains(byte));
        let is_list = list.split(|&byte| byte == b'\n').filter(|line| !is_blank(line)).all(|line| {
            serde_json::from_slice::<&RawValue>(line).is_ok() && own(line).is_ok()
        });
        prop_assert_eq!(read(&list).1.is_none(), is_list, "{}", String::from_utf8_lossy(&list));
    }

    #[test]
    fn texts_close_to_the_usual_are_judged_as_by_the_oracle(
        events in vec(("[a-z_0-9]{0,20}|[ -~]{0,20}", "[0-9]{1,9}(\\.[0-9]{1,8})?|-?[0-9.e]{0,9}", "\\}|[ \\},]{0,2}"), 0..6),
        separators in vec("\n|\r\n|,|, |,\n|,\r\n  |[,\r\n \\]\\[]{0,3}", 6),
        begin in "\\[?", end in "\\]?",
    ) {
        let mut list = begin;
        for ((id, number, brace), separator) in events.iter().zip(&separators) {
            list += &format!("{{\"userId\":\"{id}\",\"value\":{number}{brace}{separator}");
        }
        fuzz_events((list + &end).as_bytes());
    }

    #[test]
    fn tokens_in_any_order_are_judged_as_by_the_oracle(tokens in vec(token(), 0..24), usual in 0_usize..3) {
        let tokens = tokens.concat();
        let list = [b"[".as_slice(), USUAL, tokens.as_bytes()];
        fuzz_events(&list[usual..].concat());
    }

    #[test]
    fn arbitrary_bytes_are_judged_as_by_the_oracle(list in vec(any::<u8>(), 0..200), usual in 0_usize..3) {
        fuzz_events(&[b"[".as_slice(), USUAL, &list][usual..].concat());
    }
}

const USUAL: &[u8] = br#"{"userId":"user_42","value":499.5}"#;

type OwnEvent = (Vec<u8>, u64);

fn own(body: &[u8]) -> Result<OwnEvent, EventError> {
    let mut scratch = Scratch::new();
    parse(body, &mut scratch).map(|event| (event.user_id.to_vec(), event.value.to_bits()))
}

/// Returns the verdict on a body that is a line. A line that is not the last is judged with its line
/// feed, which may stand in the middle of a string or a number.
fn expected_of_line(body: &[u8], has_line_feed: bool) -> Result<OwnEvent, EventsCause> {
    let verdict = match own(body) {
        Err(EventError::Truncated) if has_line_feed => {
            return Err(match own(&[body, b"\n"].concat()) {
                Err(EventError::Truncated) => FrameError::LineTooShort.into(),
                verdict => verdict.expect_err("a line feed completes no event").into(),
            });
        }
        verdict => verdict,
    };
    verdict.map_err(|error| match error {
        EventError::TrailingBytes => FrameError::LineTooLong.into(),
        error => error.into(),
    })
}

/// Returns the events before the first fault, and that fault with its index. Empty bodies are no
/// events.
fn judged(
    verdicts: Vec<Result<OwnEvent, EventsCause>>,
) -> (Vec<OwnEvent>, Option<(EventsCause, usize)>) {
    let mut events = Vec::new();
    for verdict in verdicts {
        match verdict {
            Ok(event) => events.push(event),
            Err(EventsCause::Event(EventError::Empty)) => {}
            Err(cause) => {
                let index = events.len();
                return (events, Some((cause, index)));
            }
        }
    }
    (events, None)
}

fn read(list: &[u8]) -> (Vec<OwnEvent>, Option<(EventsCause, usize)>) {
    let mut scratch = Scratch::new();
    let mut events = Events::new(list, usize::MAX);
    let mut read = Vec::new();
    while let Some(event) = events.next(&mut scratch) {
        match event {
            Ok(event) => read.push((event.user_id.to_vec(), event.value.to_bits())),
            Err(error) => return (read, Some((error.cause, error.index))),
        }
    }
    (read, None)
}

/// A body of one event: nearly always valid, sometimes damaged.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let valid = prop_oneof![
        3 => ("[a-z0-9_]{1,12}", "[0-9]{1,3}(\\.5)?")
            .prop_map(|(id, value)| format!(r#"{{"userId":"{id}","value":{value}}}"#)),
        1 => ("[a-z0-9_]{1,12}", number())
            .prop_map(|(id, value)| format!(r#"{{"userId": "{id}", "value": {value}}}"#)),
        2 => (user_id(), vec(0_usize..4, 1..9), number(), json(2), "[ \t\r]{0,2}").prop_map(
            |(id, forms, value, other, space)| {
                let id = quote(&id, &forms);
                format!(r#"{space}{{{space}"value":{value},"x"{space}:{other},"userId":{id}}}{space}"#)
            }
        ),
    ]
    .prop_map(String::into_bytes);
    let curious = prop::sample::select(vec![
        "",
        " ",
        "null",
        "[]",
        "1",
        "{}",
        "\u{feff}{}",
        "\0",
        "{\"userId\":\"a\"}",
        "{\"value\":1}",
        "{\"userId\":\"\",\"value\":1}",
        "{\"userId\":\"a\",\"value\":1e400}",
        "{\"userId\":1,\"value\":1}",
        "{\"userId\":\"a\",\"value\":\"1\"}",
        "{\"userId\":\"a\",\"value\":1}{\"userId\":\"b\",\"value\":2}",
        "{\"userId\":\"a\",\"value\":1} {}",
        "{\"userId\":\"a\",\"value\":1},",
        "{\"userId\":\"a",
        "{\"userId\":\"a\",\"value\":-",
        "{\"userId\":\"a\\",
        "{\"userId\":nul",
        "{\"userId\":\"a\",",
        "{\"userId\":\"\\ud83d\",\"value\":1}",
    ])
    .prop_map(|body| body.as_bytes().to_vec());
    let damage = vec((any::<prop::sample::Index>(), damaged_byte()), 1..3);
    let damaged = (valid.clone(), damage).prop_map(|(mut body, damage)| {
        for (place, byte) in damage {
            let place = place.index(body.len());
            match byte {
                Some(byte) => body[place] = byte,
                None => drop(body.remove(place)),
            }
        }
        body
    });
    prop_oneof![12 => valid, 1 => curious, 1 => damaged]
}
