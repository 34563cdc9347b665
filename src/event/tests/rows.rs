//! Rows of bodies with their outcome: every rule of the contract, one line for each case.

use crate::event::{EventError, Scratch, fuzz, fuzz_events, parse};
use crate::limits::{JSON_DEPTH_MAX, USER_ID_BYTES_MAX};

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
    // Repeated members: the last one counts, and the earlier ones may have any type.
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
    // Ties, and digits far behind that break them.
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
    (r#"{"value":1,"userId":"\u00"}"#,                    EventError::EscapeInvalid),
    (r#"{"value":1,"userId":"\u0g"#,                      EventError::EscapeInvalid),
    ("{\"x\":\"\\\n\",\"userId\":\"a\",\"value\":1}",     EventError::EscapeInvalid),
    (r#"{"userId":"\ud83d","value":1}"#,                  EventError::SurrogateLone),
    (r#"{"userId":"\ude00","value":1}"#,                  EventError::SurrogateLone),
    (r#"{"userId":"\ude00\ud83d","value":1}"#,            EventError::SurrogateLone),
    (r#"{"value":1,"userId":"\ude00"#,                    EventError::SurrogateLone),
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
    (r#"{"userId":"a","value":00."#,                      EventError::NumberInvalid),
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
        "{ \"a\" : [ true , false, null, {\"b\":-1.5e+7} ], \"userId\":\"\\u00e9\\ud83d\\uDE00\\n\u{10348}\",\"value\":-0.5e-2 }".as_bytes();
    assert!(parse(body, &mut Scratch::new()).is_ok());
    for len in 1..body.len() {
        check(&body[..len], Err(EventError::Truncated));
    }
}

#[test]
fn ids_may_have_1_to_256_bytes_after_unescaping() {
    let plain = |bytes: usize| "x".repeat(bytes);
    let escaped = |bytes: usize| "\\u0078".repeat(bytes);
    for bytes in (1..=USER_ID_BYTES_MAX).step_by(if cfg!(miri) { 51 } else { 1 }) {
        for id in [plain(bytes), escaped(bytes)] {
            let body = format!(r#"{{"userId":"{id}","value":1}}"#);
            check(body.as_bytes(), Ok((&plain(bytes), 1.0)));
        }
    }
    for bytes in [USER_ID_BYTES_MAX + 1, USER_ID_BYTES_MAX + 2, 1_000] {
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
            check(nested(1_000).as_bytes(), Err(EventError::TooDeep));
        }
    }
    // Each level has its own bracket.
    let alternating = format!(r#"{}0{}"#, r#"[{"a":"#.repeat(64), "}]".repeat(64));
    let body = format!(r#"{{"x":{alternating},"userId":"a","value":1}}"#);
    check(body.as_bytes(), Ok(("a", 1.0)));
    let swapped = alternating.replacen("}]", "]}", 1);
    let body = format!(r#"{{"x":{swapped},"userId":"a","value":1}}"#);
    check(body.as_bytes(), Err(EventError::CommaExpected));
}

#[test]
fn the_first_fault_of_a_string_is_told() {
    for (string, error) in [
        (&b"\xFF\x01"[..], EventError::Utf8Invalid),
        (b"\xFF\\x", EventError::Utf8Invalid),
        (b"\xC3\\u00", EventError::Utf8Invalid),
        (b"\xFF", EventError::Utf8Invalid),
        (b"\xF0\x9F", EventError::Truncated),
        (b"\x01\xFF\"", EventError::ControlCharacter),
        (b"\\x\xFF\"", EventError::EscapeInvalid),
    ] {
        check(&[br#"{"userId":""#, string].concat(), Err(error));
    }
}

/// Parses a body and compares the outcome, values by their bits. Then judges it as a list of events,
/// in lines and in an array.
fn check(body: &[u8], expected: Result<(&str, f64), EventError>) {
    let mut scratch = Scratch::new();
    let outcome = parse(body, &mut scratch).map(|event| (event.user_id, event.value.to_bits()));
    let expected = expected.map(|(id, value)| (id.as_bytes(), value.to_bits()));
    assert_eq!(outcome, expected, "{}", String::from_utf8_lossy(body));
    fuzz(body);
    fuzz_events(body);
    let usual = br#"{"userId":"a","value":1}"#.as_slice();
    fuzz_events(&[usual, b"\n", body, b"\r\n", usual].concat());
    fuzz_events(&[b"[".as_slice(), body, b"]"].concat());
    fuzz_events(&[b"[".as_slice(), usual, b" ,", body, b"\n,", usual, b"]"].concat());
}
