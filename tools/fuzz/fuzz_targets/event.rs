#![no_main]
//! The event body, against three oracles: the contract written a second time (`event::fuzz`),
//! serde_json for what is JSON, and the standard library for the value.

use libfuzzer_sys::fuzz_target;
use millrace::event::{EventError, Scratch, parse};
use millrace::limits::USER_ID_BYTES_MAX;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    millrace::event::fuzz(body);
    // With this name serde_json passes numbers to itself.
    if body.windows(11).any(|part| part == b"$serde_json") {
        return;
    }
    let mut scratch = Scratch::new();
    match parse(body, &mut scratch) {
        Ok(event) => {
            let (id, value) = read(body).expect("serde_json takes what is taken");
            assert_eq!(event.user_id, id.as_bytes());
            assert_eq!(event.value.to_bits(), value.to_bits());
        }
        // Only the contract bounds the depth.
        Err(EventError::TooDeep) => {}
        Err(error) => assert_eq!(read(body), None, "{error:?}, but serde_json takes it"),
    }
});

/// The event as serde_json reads it, its numbers kept as they were written.
fn read(body: &[u8]) -> Option<(String, f64)> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    deserializer.disable_recursion_limit();
    let json: Value = serde::Deserialize::deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    let members = json.as_object()?;
    let id = members.get("userId")?.as_str()?;
    let Value::Number(number) = members.get("value")? else { return None };
    let value: f64 = number.as_str().parse().ok()?;
    ((1..=USER_ID_BYTES_MAX).contains(&id.len()) && value.is_finite()).then(|| (id.to_owned(), value))
}
