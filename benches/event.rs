//! The event body beside the alternatives: serde_json, sonic-rs and simd-json on the same bytes.
//!
//! The alternatives read into the same typed struct, whose id is borrowed where it can be, and
//! are spared what the contract adds (length of the id, depth, repeated members). simd-json
//! unescapes in place, so it gets a fresh copy of the body each time; the copy, into a buffer it
//! keeps, is part of its time, as it would be in a server that must keep its read buffer intact.
//! Its other buffers are kept too.
//!
//! Each shape is one body, over and over, but `mixed`: 1,024 bodies like those of the challenge,
//! ids and values of many lengths, so that no branch predictor can learn the text by heart. Its
//! figure is for one body.

// Of the function that criterion's macro makes.
#![allow(missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use millrace::event::{Scratch, parse};
use serde::Deserialize;
use std::borrow::Cow;
use std::hint::black_box;
use std::time::{Duration, Instant};

const SHAPES: [(&str, &str); 9] = [
    ("usual", r#"{"userId":"user_42","value":499.5}"#),
    ("spaced", r#"{"userId": "user_42", "value": 499.5}"#),
    ("swapped", r#"{"value": 499.5, "userId": "user_42"}"#),
    ("escapes", r#"{"userId": "us\u0065r\t\"\u00e9\"", "value": 499.5}"#),
    ("utf8", r#"{"userId": "пользователь_42", "value": 499.5}"#),
    (
        "long_id",
        r#"{"userId": "6f1e0a52-8c1d-4b0e-9d5e-3f2a7c9b1d44@example.org", "value": 499.5}"#,
    ),
    ("17_digits", r#"{"userId": "user_42", "value": 83.741920348710234}"#),
    ("32_digits", r#"{"userId": "user_42", "value": 499.50000000000000710542735760100}"#),
    (
        "skipped",
        r#"{"userId": "user_42", "context": {"page": "/shop/42", "tags": ["a", "b", {"c": null}], "size": [1280, 720]}, "value": 499.5}"#,
    ),
];

fn event(c: &mut Criterion) {
    for (shape, body) in SHAPES {
        compare(c, shape, &[body.to_owned()]);
    }
    compare(c, "mixed", &mixed_bodies());
}

fn compare(c: &mut Criterion, shape: &str, bodies: &[String]) {
    let mut group = c.benchmark_group(format!("event/{shape}"));

    let mut scratch = Scratch::new();
    let mut millrace = |body: &[u8]| {
        let event = parse(black_box(body), &mut scratch).expect("valid");
        (event.user_id.len(), event.value)
    };
    let serde_json = |body: &[u8]| {
        let event: TypedEvent<'_> = serde_json::from_slice(black_box(body)).expect("valid");
        (event.user_id.len(), event.value)
    };
    let sonic_rs = |body: &[u8]| {
        let event: TypedEvent<'_> = sonic_rs::from_slice(black_box(body)).expect("valid");
        (event.user_id.len(), event.value)
    };
    let mut buffers = simd_json::Buffers::default();
    let mut copy = Vec::with_capacity(4096);
    let mut simd_json = |body: &[u8]| {
        copy.clear();
        copy.extend_from_slice(black_box(body));
        let event: TypedEvent<'_> =
            simd_json::serde::from_slice_with_buffers(&mut copy, &mut buffers).expect("valid");
        (event.user_id.len(), event.value)
    };

    for body in bodies {
        let expected = millrace(body.as_bytes());
        assert_eq!(expected, serde_json(body.as_bytes()), "{body}");
        assert_eq!(expected, sonic_rs(body.as_bytes()), "{body}");
        assert_eq!(expected, simd_json(body.as_bytes()), "{body}");
    }
    group.bench_function("millrace", |b| b.iter_custom(|n| time(n, bodies, &mut millrace)));
    group.bench_function("serde_json", |b| b.iter_custom(|n| time(n, bodies, serde_json)));
    group.bench_function("sonic_rs", |b| b.iter_custom(|n| time(n, bodies, sonic_rs)));
    group.bench_function("simd_json", |b| b.iter_custom(|n| time(n, bodies, &mut simd_json)));
    group.finish();
}

/// The time of `count` calls, going round and round the bodies.
fn time(count: u64, bodies: &[String], mut parse: impl FnMut(&[u8]) -> (usize, f64)) -> Duration {
    let start = Instant::now();
    for body in bodies.iter().cycle().take(count as usize) {
        black_box(parse(body.as_bytes()));
    }
    start.elapsed()
}

fn mixed_bodies() -> Vec<String> {
    let mut random = 42_u64;
    let mut next = |bound| {
        // Knuth's MMIX generator; its high bits are good enough here.
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % bound
    };
    (0..1024)
        .map(|_| {
            format!(
                r#"{{"userId": "user_{}", "value": {}.{}}}"#,
                next(75_000),
                next(1_000),
                next(100)
            )
        })
        .collect()
}

#[derive(Deserialize)]
struct TypedEvent<'a> {
    #[serde(rename = "userId", borrow)]
    user_id: Cow<'a, str>,
    value: f64,
}

fn configuration() -> Criterion {
    Criterion::default()
        .sample_size(50)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_000))
}

criterion_group! {
    name = benches;
    config = configuration();
    targets = event
}
criterion_main!(benches);
