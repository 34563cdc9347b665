//! Properties of all bodies of one event: made valid, damaged, of tokens in any order, of any bytes.
//!
//! Two oracles stand against the parser: `oracle` follows the contract; serde_json reads only JSON,
//! but others wrote it.

use crate::event::{Event, EventError, Scratch, fuzz, parse};
use crate::limits::USER_ID_BYTES_MAX;
use proptest::collection::vec;
use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

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
    fn texts_close_to_the_usual_are_judged_as_by_the_oracle(
        id in "[a-z_0-9]{0,20}|[ -~]{0,40}|.{0,20}|[a-z]{250,260}",
        number in "[0-9]{1,4}|-?[0-9]{0,9}(\\.[0-9]{0,9})?(e[0-9])?",
        spaces in vec(" ?", 3),
        end in "\\}|[ \\},]{0,2}",
    ) {
        let [a, b, c] = [0, 1, 2].map(|place| &spaces[place]);
        fuzz(format!("{{\"userId\":{a}\"{id}\",{b}\"value\":{c}{number}{end}").as_bytes());
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

/// The contract in terms of serde_json. It stops at 128 levels, the outer object included, where the
/// parser takes one more; no body here is so deep.
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

/// Reads the strings in a raw value in full: serde_json only scans a raw value, so lone surrogates
/// pass. (`serde_json::Value` cannot be used, because it does not take `1e400`.)
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

/// Returns a string in quotes. Each character has the next of `forms`: 0 is the character itself, the
/// others are one or two `\u` escapes of either case, or the short escape if there is one.
pub(super) fn quote(text: &str, forms: &[usize]) -> String {
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

pub(super) fn user_id() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9_]{1,24}", ".{1,20}", vec(any::<char>(), 1..64).prop_map(String::from_iter)]
}

/// The text of a valid number, often near a border of the exact path.
pub(super) fn number() -> impl Strategy<Value = String> {
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
pub(super) fn json(depth: u32) -> impl Strategy<Value = String> {
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

pub(super) fn token() -> impl Strategy<Value = &'static str> {
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

/// The replacement of a byte: one with a meaning in JSON, any other, or none.
pub(super) fn damaged_byte() -> impl Strategy<Value = Option<u8>> {
    let meaningful = prop::sample::select(b"{}[]\",:\\u01eE+-. \n\0\x80\xC3".to_vec());
    prop_oneof![meaningful.prop_map(Some), any::<u8>().prop_map(Some), Just(None)]
}
