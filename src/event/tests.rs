//! The event body from outside: rows of bodies with their outcome, then properties of all bodies.
//!
//! Two oracles stand against the parser: `oracle`, which knows the contract, and serde_json, which
//! knows only JSON but was written by others.

use super::{Event, EventError, Scratch, fuzz, parse};
use crate::limits::{JSON_DEPTH_MAX, USER_ID_BYTES_MAX};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Bodies that are events: body, user id, value.
#[rustfmt::skip]
const ACCEPTED: &[(&str, &str, f64)] = &[
    // The usual shapes.
    (r#"{"userId":"user_42","value":499.5}"#,            "user_42", 499.5),
    (r#"{"userId": "user_42", "value": 499.5}"#,         "user_42", 499.5),
    (r#"{"value":499.5,"userId":"user_42"}"#,            "user_42", 499.5),
    (r#"{ "value" : 499.5 , "userId" : "user_42" }"#,    "user_42", 499.5),
    ("\r\n\t {\n\t\"userId\":\r\"a\",\t\"value\"\n:\n1}\n",  "a",   1.0),
    // Ids.
    (r#"{"userId":"é","value":1}"#,                      "é",       1.0),
    (r#"{"userId":"\u00E9","value":1}"#,                 "é",       1.0),
    (r#"{"userId":"😀","value":1}"#,                     "😀",      1.0),
    (r#"{"userId":"\ud83d\uDE00","value":1}"#,           "😀",      1.0),
    (r#"{"userId":"\u0000","value":1}"#,                 "\0",      1.0),
    (r#"{"userId":"\"\\\/\b\f\n\r\t","value":1}"#,       "\"\\/\x08\x0c\n\r\t", 1.0),
    (r#"{"userId":"1234567\\","value":1}"#,              "1234567\\", 1.0),
    ("{\"userId\":\"\x7f\u{80}\u{7ff}\u{800}\u{ffff}\u{10ffff}\",\"value\":1}", "\x7f\u{80}\u{7ff}\u{800}\u{ffff}\u{10ffff}", 1.0),
    // Names, compared after unescaping.
    (r#"{"user\u0049d":"a","v\u0061lue":1}"#,            "a",       1.0),
    (r#"{"\u0075\u0073\u0065\u0072\u0049\u0064":"a","value":1}"#, "a", 1.0),
    // Repeated members: the last one counts, whatever the earlier ones were.
    (r#"{"userId":"a","userId":"b","value":1,"value":2}"#, "b",     2.0),
    (r#"{"userId":"\u0061","userId":"b","value":1}"#,    "b",       1.0),
    (r#"{"userId":"a","userId":"\u0062","value":1}"#,    "b",       1.0),
    (r#"{"userId":"a","value":1,"user\u0049d":"b"}"#,    "b",       1.0),
    (r#"{"userId":1,"userId":"","userId":"b","value":"x","value":1e400,"value":[{}],"value":2}"#, "b", 2.0),
    // Other members.
    (r#"{"x":null,"userId":"a","y":true,"value":1,"z":false}"#, "a", 1.0),
    (r#"{"x":{},"userId":"a","y":[],"value":1}"#,        "a",       1.0),
    (r#"{"x":{"userId":"b","value":2},"userId":"a","value":1,"y":["value",{"value":3}]}"#, "a", 1.0),
    (r#"{"userid":"b","Value":2,"":0,"userId ":"c","values":3,"userId":"a","value":1}"#, "a", 1.0),
    (r#"{"x":1e400,"y":-0.0e-999999999999999999999,"userId":"a","value":1}"#, "a", 1.0),
    (r#"{"x" : [ 1 , { "a" : [ ] , "b" : { } } , "]}" ] ,"userId":"a","value":1}"#, "a", 1.0),
    (r#"{"x":"\ud83d\ude00\\","userId":"a","value":1}"#, "a",       1.0),
];

/// Numbers that are values.
#[rustfmt::skip]
const NUMBERS: &[(&str, f64)] = &[
    ("0", 0.0), ("-0", -0.0), ("-0.0", -0.0), ("0.0", 0.0), ("0e400", 0.0), ("-0e-400", -0.0),
    ("1", 1.0), ("-1", -1.0), ("10", 10.0), ("1.50", 1.5), ("-12.5e3", -12500.0),
    ("1e5", 1e5), ("1E5", 1e5), ("1e+5", 1e5), ("1e-5", 1e-5), ("1e05", 1e5), ("1.25E-007", 1.25e-7),
    ("12345678", 12345678.0), ("123456789", 123456789.0), ("1234567890123456", 1234567890123456.0),
    ("0.12345678", 0.12345678), ("1.0000000000000000", 1.0), ("0.00000000000000000000001", 1e-23),
    // The borders of the exact path: 2^53 and 10^22.
    ("9007199254740991", 9007199254740991.0), ("9007199254740992", 9007199254740992.0),
    ("9007199254740993", 9007199254740992.0), ("9007199254740995", 9007199254740996.0),
    ("1e22", 1e22), ("1e23", 1e23), ("1e-22", 1e-22), ("1e-23", 1e-23), ("8.5e22", 8.5e22),
    // 19 and 20 digits; more wrap a u64.
    ("9999999999999999999", 1e19), ("18446744073709551616", 18446744073709551616.0),
    ("18446744073709551617.5", 18446744073709551616.0), ("100000000000000000000", 1e20),
    ("0.1000000000000000055511151231257827021181583404541015625", 0.1),
    // Ties and what breaks them a long way behind.
    ("1.00000000000000011102230246251565404236316680908203125", 1.0),
    ("1.00000000000000011102230246251565404236316680908203124", 1.0),
    ("1.00000000000000011102230246251565404236316680908203126", 1.0000000000000002),
    // The borders of the range.
    ("1.7976931348623157e308", f64::MAX), ("-1.7976931348623157e308", f64::MIN),
    ("1.7976931348623158e308", f64::MAX), ("17976931348623157e292", f64::MAX),
    ("2.2250738585072014e-308", f64::MIN_POSITIVE), ("2.2250738585072011e-308", 2.225073858507201e-308),
    ("5e-324", 5e-324), ("2.4703282292062328e-324", 5e-324), ("2.4703282292062327e-324", 0.0),
    ("1e-400", 0.0), ("-1e-400", -0.0), ("1e-99999999999999999999", 0.0),
    ("1e-9223372036854775808", 0.0), ("0.1e-9223372036854775807", 0.0), ("0e9223372036854775808", 0.0),
];

/// Bodies that are not events, with the cause. `Truncated` has its own test.
#[rustfmt::skip]
const REFUSED: &[(&str, EventError)] = &[
    ("",                                                  EventError::Empty),
    (" \r\n\t ",                                          EventError::Empty),
    ("\u{feff}{\"userId\":\"a\",\"value\":1}",            EventError::ByteOrderMark),
    ("[]",                                                EventError::NotObject),
    ("null",                                              EventError::NotObject),
    ("userId=a&value=1",                                  EventError::NotObject),
    ("\u{b}{\"userId\":\"a\",\"value\":1}",               EventError::NotObject),
    ("// a\n{\"userId\":\"a\",\"value\":1}",              EventError::NotObject),
    (r#"{"userId":"a","value":1}}"#,                      EventError::TrailingBytes),
    (r#"{"userId":"a","value":1} {}"#,                    EventError::TrailingBytes),
    (r#"{"userId":"a","value":1},"#,                      EventError::TrailingBytes),
    ("{\"userId\":\"a\",\"value\":1}\0",                  EventError::TrailingBytes),
    ("{}\u{feff}",                                        EventError::TrailingBytes),
    // Structure.
    (r#"{"userId":"a","value":1,}"#,                      EventError::NameExpected),
    (r#"{,"userId":"a","value":1}"#,                      EventError::NameExpected),
    (r#"{"userId":"a",,"value":1}"#,                      EventError::NameExpected),
    (r#"{userId:"a","value":1}"#,                         EventError::NameExpected),
    (r#"{'userId':"a","value":1}"#,                       EventError::NameExpected),
    (r#"{"userId":"a",/**/"value":1}"#,                   EventError::NameExpected),
    (r#"{"x":{"a":1,},"userId":"a","value":1}"#,          EventError::NameExpected),
    (r#"{1:2,"userId":"a","value":1}"#,                   EventError::NameExpected),
    (r#"{"userId""a","value":1}"#,                        EventError::ColonExpected),
    (r#"{"userId","value":1}"#,                           EventError::ColonExpected),
    (r#"{"userId"="a","value":1}"#,                       EventError::ColonExpected),
    (r#"{"userId":"a","value":}"#,                        EventError::ValueExpected),
    (r#"{"userId":"a","value":NaN}"#,                     EventError::ValueExpected),
    (r#"{"userId":"a","value":Infinity}"#,                EventError::ValueExpected),
    (r#"{"userId":"a","value":'1'}"#,                     EventError::ValueExpected),
    (r#"{"x":tru,"userId":"a","value":1}"#,               EventError::ValueExpected),
    (r#"{"x":True,"userId":"a","value":1}"#,              EventError::ValueExpected),
    (r#"{"x":[1,],"userId":"a","value":1}"#,              EventError::ValueExpected),
    (r#"{"x":[,1],"userId":"a","value":1}"#,              EventError::ValueExpected),
    (r#"{"userId":"a""value":1}"#,                        EventError::CommaExpected),
    (r#"{"userId":"a";"value":1}"#,                       EventError::CommaExpected),
    (r#"{"userId":"a","value":1]"#,                       EventError::CommaExpected),
    (r#"{"x":[1},"userId":"a","value":1}"#,               EventError::CommaExpected),
    (r#"{"x":{"a":1],"userId":"a","value":1}"#,           EventError::CommaExpected),
    (r#"{"x":[{"a":[]]},"userId":"a","value":1}"#,        EventError::CommaExpected),
    (r#"{"x":truefalse,"userId":"a","value":1}"#,         EventError::CommaExpected),
    (r#"{"userId":"a","value":1 2}"#,                     EventError::CommaExpected),
    ("{\"userId\":\"a\",\"value\":1\u{a0}}",              EventError::CommaExpected),
    ("{\"userId\":\"a\",\"value\":1\0}",                  EventError::CommaExpected),
    // Strings.
    ("{\"userId\":\"a\nb\",\"value\":1}",                 EventError::ControlCharacter),
    ("{\"userId\":\"\0\",\"value\":1}",                   EventError::ControlCharacter),
    ("{\"userId\":\"12345678\x1f\",\"value\":1}",         EventError::ControlCharacter),
    ("{\"us\ter\":1,\"userId\":\"a\",\"value\":1}",       EventError::ControlCharacter),
    ("{\"x\":\"\t\",\"userId\":\"a\",\"value\":1}",       EventError::ControlCharacter),
    (r#"{"userId":"\a","value":1}"#,                      EventError::EscapeInvalid),
    (r#"{"userId":"\'","value":1}"#,                      EventError::EscapeInvalid),
    (r#"{"userId":"\U0061","value":1}"#,                  EventError::EscapeInvalid),
    (r#"{"userId":"\x61","value":1}"#,                    EventError::EscapeInvalid),
    (r#"{"userId":"\u006","value":1}"#,                   EventError::EscapeInvalid),
    (r#"{"userId":"\u+061","value":1}"#,                  EventError::EscapeInvalid),
    (r#"{"userId":"\u006g","value":1}"#,                  EventError::EscapeInvalid),
    (r#"{"userId":"\ud83d\u","value":1}"#,                EventError::EscapeInvalid),
    ("{\"x\":\"\\\n\",\"userId\":\"a\",\"value\":1}",     EventError::EscapeInvalid),
    (r#"{"userId":"\ud83d","value":1}"#,                  EventError::SurrogateLone),
    (r#"{"userId":"\ude00","value":1}"#,                  EventError::SurrogateLone),
    (r#"{"userId":"\ude00\ud83d","value":1}"#,            EventError::SurrogateLone),
    (r#"{"userId":"\ud83d\ud83d","value":1}"#,            EventError::SurrogateLone),
    (r#"{"userId":"\ud83dx\ude00","value":1}"#,           EventError::SurrogateLone),
    (r#"{"userId":"\ud83d\n","value":1}"#,                EventError::SurrogateLone),
    (r#"{"x":["\uDFFF"],"userId":"a","value":1}"#,        EventError::SurrogateLone),
    (r#"{"\uD800":1,"userId":"a","value":1}"#,            EventError::SurrogateLone),
    // Numbers.
    (r#"{"userId":"a","value":01}"#,                      EventError::NumberInvalid),
    (r#"{"userId":"a","value":-01}"#,                     EventError::NumberInvalid),
    (r#"{"userId":"a","value":00}"#,                      EventError::NumberInvalid),
    (r#"{"userId":"a","value":000000000000}"#,            EventError::NumberInvalid),
    (r#"{"userId":"a","value":+1}"#,                      EventError::NumberInvalid),
    (r#"{"userId":"a","value":.5}"#,                      EventError::NumberInvalid),
    (r#"{"userId":"a","value":-.5}"#,                     EventError::NumberInvalid),
    (r#"{"userId":"a","value":1.}"#,                      EventError::NumberInvalid),
    (r#"{"userId":"a","value":1.e5}"#,                    EventError::NumberInvalid),
    (r#"{"userId":"a","value":-}"#,                       EventError::NumberInvalid),
    (r#"{"userId":"a","value":--1}"#,                     EventError::NumberInvalid),
    (r#"{"userId":"a","value":1e}"#,                      EventError::NumberInvalid),
    (r#"{"userId":"a","value":1e+}"#,                     EventError::NumberInvalid),
    (r#"{"userId":"a","value":1e+-5}"#,                   EventError::NumberInvalid),
    (r#"{"userId":"a","value":1e.5}"#,                    EventError::NumberInvalid),
    (r#"{"userId":"a","value":-Infinity}"#,               EventError::NumberInvalid),
    (r#"{"x":[01],"userId":"a","value":1}"#,              EventError::NumberInvalid),
    (r#"{"userId":"a","value":1.5.5}"#,                   EventError::CommaExpected),
    (r#"{"userId":"a","value":1e5.5}"#,                   EventError::CommaExpected),
    (r#"{"userId":"a","value":0x10}"#,                    EventError::CommaExpected),
    (r#"{"userId":"a","value":1_000}"#,                   EventError::CommaExpected),
    // Members.
    ("{}",                                                EventError::UserIdMissing),
    (r#"{"value":1}"#,                                    EventError::UserIdMissing),
    (r#"{"UserId":"a","value":1}"#,                       EventError::UserIdMissing),
    (r#"{"x":{"userId":"a"},"value":1}"#,                 EventError::UserIdMissing),
    (r#"{"userId":42,"value":1}"#,                        EventError::UserIdNotString),
    (r#"{"userId":null,"value":1}"#,                      EventError::UserIdNotString),
    (r#"{"userId":["a"],"value":1}"#,                     EventError::UserIdNotString),
    (r#"{"userId":"a","userId":{},"value":1}"#,           EventError::UserIdNotString),
    (r#"{"userId":"","value":1}"#,                        EventError::UserIdEmpty),
    (r#"{"userId":"a","value":1,"userId":""}"#,           EventError::UserIdEmpty),
    (r#"{"userId":"a"}"#,                                 EventError::ValueMissing),
    (r#"{"userId":"a","Value":1}"#,                       EventError::ValueMissing),
    (r#"{"userId":"a","value":"1"}"#,                     EventError::ValueNotNumber),
    (r#"{"userId":"a","value":null}"#,                    EventError::ValueNotNumber),
    (r#"{"userId":"a","value":true}"#,                    EventError::ValueNotNumber),
    (r#"{"userId":"a","value":[1]}"#,                     EventError::ValueNotNumber),
    (r#"{"userId":"a","value":1,"value":false}"#,         EventError::ValueNotNumber),
    (r#"{"userId":"a","value":1e400}"#,                   EventError::ValueOutOfRange),
    (r#"{"userId":"a","value":-1e309}"#,                  EventError::ValueOutOfRange),
    (r#"{"userId":"a","value":1.7976931348623159e308}"#,  EventError::ValueOutOfRange),
    (r#"{"userId":"a","value":1e99999999999999999999}"#,  EventError::ValueOutOfRange),
    (r#"{"userId":"a","value":1e9223372036854775807}"#,   EventError::ValueOutOfRange),
    (r#"{"userId":"a","value":1,"value":1e400}"#,         EventError::ValueOutOfRange),
];

/// Strings that are not UTF-8: a stray and a missing continuation, overlong forms, a surrogate,
/// beyond U+10FFFF, bytes that never occur.
const NOT_UTF8: &[&[u8]] = &[
    b"\x80",
    b"\xC3",
    b"\xC3(",
    b"\xE2\x82",
    b"\xC0\x80",
    b"\xC0\xA2",
    b"\xE0\x80\xA2",
    b"\xED\xA0\x80",
    b"\xF4\x90\x80\x80",
    b"\xF5\x80\x80\x80",
    b"\xFE",
    b"\xFF",
    b"\xC3\\u00a9",
];

#[test]
fn rows_accepted() {
    for &(body, id, value) in ACCEPTED {
        check(body.as_bytes(), Ok((id, value)));
    }
    for &(number, value) in NUMBERS {
        check(format!(r#"{{"userId":"a","value":{number}}}"#).as_bytes(), Ok(("a", value)));
        check(format!(r#"{{"value":{number} ,"userId":"a"}}"#).as_bytes(), Ok(("a", value)));
    }
}

#[test]
fn rows_refused() {
    for &(body, error) in REFUSED {
        check(body.as_bytes(), Err(error));
    }
}

#[test]
fn strings_that_are_not_utf8_are_refused_wherever_they_stand() {
    for string in NOT_UTF8 {
        for plain in ["", "1234567", "12345678", "é"] {
            let string = [plain.as_bytes(), string, plain.as_bytes()].concat();
            for (before, after) in [
                (r#"{"userId":""#, r#"","value":1}"#),
                (r#"{"userId":"a","value":1,"x":""#, r#""}"#),
                (r#"{"userId":"a","value":1,"x":[{"a":""#, r#""}]}"#),
                (r#"{"userId":"a","value":1,""#, r#"":0}"#),
            ] {
                let body = [before.as_bytes(), &string, after.as_bytes()].concat();
                check(&body, Err(EventError::Utf8Invalid));
            }
        }
    }
}

#[test]
fn every_part_of_a_body_that_lacks_its_end_is_truncated() {
    let body =
        br#"{ "a" : [ true , false, null, {"b":-1.5e+7} ], "userId":"\u00e9\n","value":-0.5e-2 }"#;
    assert!(parse(body, &mut Scratch::new()).is_ok());
    for len in 1..body.len() {
        check(&body[..len], Err(EventError::Truncated));
    }
}

#[test]
fn ids_may_have_1_to_256_bytes_after_unescaping() {
    let plain = |bytes: usize| "x".repeat(bytes);
    let escaped = |bytes: usize| "\\u0078".repeat(bytes);
    for bytes in 1..=USER_ID_BYTES_MAX {
        for id in [plain(bytes), escaped(bytes)] {
            let body = format!(r#"{{"userId":"{id}","value":1}}"#);
            check(body.as_bytes(), Ok((&plain(bytes), 1.0)));
        }
    }
    for bytes in [USER_ID_BYTES_MAX + 1, USER_ID_BYTES_MAX + 2, 10_000] {
        for id in [plain(bytes), escaped(bytes), plain(bytes - 2) + "\\u00e9"] {
            let body = format!(r#"{{"userId":"{id}","value":1}}"#);
            check(body.as_bytes(), Err(EventError::UserIdTooLong));
            // Only the last one counts.
            let body = format!(r#"{{"userId":"{id}","value":1,"userId":"\u0061"}}"#);
            check(body.as_bytes(), Ok(("a", 1.0)));
        }
    }
}

#[test]
fn members_may_be_nested_128_deep() {
    for (open, inner, close) in [("[", "", "]"), ("[", "0", "]"), (r#"{"a":"#, "0", "}")] {
        for name in ["x", "userId", "value"] {
            let nested = |depth| {
                let value = open.repeat(depth) + inner + &close.repeat(depth);
                format!(r#"{{"{name}":{value},"x":[[]],"userId":"a","value":1}}"#)
            };
            check(nested(JSON_DEPTH_MAX).as_bytes(), Ok(("a", 1.0)));
            check(nested(JSON_DEPTH_MAX + 1).as_bytes(), Err(EventError::TooDeep));
            check(nested(10_000).as_bytes(), Err(EventError::TooDeep));
        }
    }
    // Every level remembers its own bracket.
    let alternating = format!(r#"{}0{}"#, r#"[{"a":"#.repeat(64), "}]".repeat(64));
    let body = format!(r#"{{"x":{alternating},"userId":"a","value":1}}"#);
    check(body.as_bytes(), Ok(("a", 1.0)));
    let swapped = alternating.replacen("}]", "]}", 1);
    let body = format!(r#"{{"x":{swapped},"userId":"a","value":1}}"#);
    check(body.as_bytes(), Err(EventError::CommaExpected));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 1_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn arbitrary_bytes_are_judged_as_by_the_oracle(body in vec(any::<u8>(), 0..200)) {
        fuzz(&body);
    }

    #[test]
    fn json_tokens_in_any_order_are_judged_as_by_the_oracle(tokens in vec(token(), 0..24)) {
        let body = tokens.concat();
        fuzz(format!("{{{body}}}").as_bytes());
        fuzz(format!(r#"{{"userId":"a","value":1,"x":{body}}}"#).as_bytes());
    }

    #[test]
    fn a_valid_body_gives_the_id_and_the_value_that_made_it(
        id in user_id(),
        escapes in vec(0_usize..4, USER_ID_BYTES_MAX),
        value in any::<f64>().prop_filter("finite", |value| value.is_finite()),
        scientific in any::<bool>(),
        others in vec((json_string(), json(3)), 0..4),
        places in any::<[prop::sample::Index; 2]>(),
        spaces in vec("[ \t\r\n]{0,2}", 64),
    ) {
        let number = if scientific { format!("{value:e}") } else { format!("{value}") };
        let mut members: Vec<_> = others
            .into_iter()
            .filter(|(name, _)| !["userId", "value"].contains(&name.as_str()))
            .map(|(name, value)| (quote(&name, &[0]), value))
            .collect();
        members.insert(places[0].index(members.len() + 1), ("\"value\"".into(), number));
        members.insert(
            places[1].index(members.len() + 1),
            ("\"userId\"".into(), quote(&id, &escapes)),
        );
        let mut spaces = spaces.iter().cycle();
        let mut space = || spaces.next().map_or("", String::as_str);
        let members: Vec<_> = members
            .iter()
            .map(|(n, v)| format!("{}{n}{}:{}{v}{}", space(), space(), space(), space()))
            .collect();
        let body = format!("{}{{{}}}{}", space(), members.join(","), space());

        let mut scratch = Scratch::new();
        let event = parse(body.as_bytes(), &mut scratch);
        prop_assert_eq!(event, Ok(Event { user_id: id.as_bytes(), value }), "{}", body);
        fuzz(body.as_bytes());
    }

    #[test]
    fn a_damaged_body_is_judged_as_by_serde_json(
        id in user_id(),
        value in number(),
        other in json(3),
        damage in vec((any::<prop::sample::Index>(), damaged_byte()), 1..4),
    ) {
        let id = quote(&id, &[0, 1, 2, 3]);
        let mut body = format!(r#"{{"userId": {id}, "x":{other}, "value":{value}}}"#).into_bytes();
        for (place, byte) in damage {
            let place = place.index(body.len());
            match byte {
                Some(byte) => body[place] = byte,
                None => drop(body.remove(place)),
            }
        }
        prop_assert_eq!(
            parse(&body, &mut Scratch::new()).is_ok(),
            is_event_to_serde_json(&body),
            "{}", String::from_utf8_lossy(&body)
        );
        fuzz(&body);
    }

    #[test]
    fn a_number_is_what_std_makes_of_it(number in number()) {
        let body = format!(r#"{{"userId":"a","value":{number}}}"#);
        let expected: f64 = number.parse().expect("std reads JSON's numbers");
        let mut scratch = Scratch::new();
        let value = parse(body.as_bytes(), &mut scratch).map(|event| event.value.to_bits());
        let error = Err(EventError::ValueOutOfRange);
        prop_assert_eq!(value, if expected.is_finite() { Ok(expected.to_bits()) } else { error });
    }

    #[test]
    fn text_like_a_number_is_judged_as_by_the_oracle(text in "[-+0-9.eE]{1,24}") {
        fuzz(format!(r#"{{"userId":"a","value":{text}}}"#).as_bytes());
        fuzz(format!(r#"{{"x":{text},"userId":"a","value":1}}"#).as_bytes());
    }

    #[test]
    fn text_like_an_escape_is_judged_as_by_the_oracle(text in r#"([a"\\]|\\u[0-9a-gD]{3,4}|\\ud[89c]00){0,8}"#) {
        fuzz(format!(r#"{{"userId":"{text}","value":1}}"#).as_bytes());
        fuzz(format!(r#"{{"x":"{text}","userId":"a","value":1}}"#).as_bytes());
    }
}

/// Parses a body and compares the outcome; values by their bits.
fn check(body: &[u8], expected: Result<(&str, f64), EventError>) {
    let mut scratch = Scratch::new();
    let outcome = parse(body, &mut scratch).map(|event| (event.user_id, event.value.to_bits()));
    let expected = expected.map(|(id, value)| (id.as_bytes(), value.to_bits()));
    assert_eq!(outcome, expected, "{}", String::from_utf8_lossy(body));
    fuzz(body);
}

/// The contract in terms of serde_json. It stops at 128 levels, outer object included, where we
/// take one more; no body here is so deep.
fn is_event_to_serde_json(body: &[u8]) -> bool {
    let Ok(Members(members)) = serde_json::from_slice(body) else {
        return false;
    };
    let last = |wanted| members.iter().rev().find(|(name, _)| name == wanted);
    let (Some((_, id)), Some((_, value))) = (last("userId"), last("value")) else {
        return false;
    };
    let id = serde_json::from_str::<String>(id.get());
    let value = value.get().parse::<f64>();
    id.is_ok_and(|id| (1..=USER_ID_BYTES_MAX).contains(&id.len()))
        && value.is_ok_and(f64::is_finite)
        && members.iter().all(|(_, value)| is_json_to_serde_json(value))
}

/// A raw value has only been scanned, which lets lone surrogates pass; read its strings in full.
/// (`serde_json::Value` would do, but takes no `1e400`.)
fn is_json_to_serde_json(raw: &RawValue) -> bool {
    match raw.get().as_bytes()[0] {
        b'"' => serde_json::from_str::<String>(raw.get()).is_ok(),
        b'[' => serde_json::from_str::<Vec<&RawValue>>(raw.get())
            .is_ok_and(|values| values.into_iter().all(is_json_to_serde_json)),
        b'{' => serde_json::from_str::<Members<'_>>(raw.get())
            .is_ok_and(|members| members.0.iter().all(|(_, value)| is_json_to_serde_json(value))),
        _ => true,
    }
}

/// All members of an object, repeated ones too.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;

        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(All)
    }
}

/// A string in quotes; each character written as the next of `forms` says: 0 as it is, else as
/// one or two `\u` escapes of either case, or the short escape if there is one.
fn quote(text: &str, forms: &[usize]) -> String {
    let mut quoted = String::from("\"");
    for (character, form) in text.chars().zip(forms.iter().cycle()) {
        let short = "\"\\/\x08\x0c\n\r\t".find(character).map(|i| &r#""\/bfnrt"#[i..=i]);
        let must_escape = matches!(character, '"' | '\\' | '\0'..='\x1F');
        match (form, short) {
            (0, _) if !must_escape => quoted.push(character),
            (0 | 3, Some(letter)) => quoted.extend(["\\", letter]),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    quoted.push_str(&match form {
                        1 => format!("\\u{unit:04X}"),
                        _ => format!("\\u{unit:04x}"),
                    });
                }
            }
        }
    }
    quoted + "\""
}

fn user_id() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9_]{1,24}", ".{1,20}", vec(any::<char>(), 1..64).prop_map(String::from_iter)]
}

/// The text of a valid number, often near a border of the exact path.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,8})(\\.[0-9]{1,8})?",
        "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][-+]?[0-9]{1,3})?",
        "-?[1-9][0-9]{13,20}(\\.0{0,9}[0-9]{1,9})?",
        "-?900719925474099[0-9](e-?[0-9]{1,2})?",
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(|f| format!("{f:e}")),
    ]
}

fn json_string() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z]{0,12}", ".{0,12}"]
}

/// The text of any valid value nested at most `depth` deep.
fn json(depth: u32) -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false", "1e400", "[]", "{}", "\"\""])
            .prop_map(String::from),
        number(),
        (json_string(), vec(0_usize..4, 12)).prop_map(|(text, forms)| quote(&text, &forms)),
    ];
    leaf.prop_recursive(depth, 32, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| format!("[{}]", values.join(" , "))),
            vec((json_string(), inner), 0..4).prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(n, v)| format!("{}: {v}", quote(n, &[0]))).collect();
                format!("{{ {} }}", members.join(","))
            }),
        ]
    })
}

fn token() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\n",
        "\"userId\"",
        "\"value\"",
        "\"x\"",
        "\"\\u0061\"",
        "1",
        "-2.5e3",
        "1e400",
        "null",
        "true",
        "{}",
        "[]",
        "\"userId\":\"b\"",
        "\"value\":2",
        "\"",
        "\\",
    ])
}

/// What takes the place of a byte: one that means something to JSON, any other, or none.
fn damaged_byte() -> impl Strategy<Value = Option<u8>> {
    let meaningful = prop::sample::select(b"{}[]\",:\\u01eE+-. \n\0\x80\xC3".to_vec());
    prop_oneof![meaningful.prop_map(Some), any::<u8>().prop_map(Some), Just(None)]
}
