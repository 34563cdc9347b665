//! The event body beside the alternatives: serde_json, sonic-rs and simd-json on the same bytes.
//!
//! The alternatives read into the same typed struct, whose id is borrowed where it can be. They do not
//! do what the contract adds (length of the id, depth, repeated members). simd-json unescapes in
//! place, so it gets a fresh copy of the body each time. The copy is part of its time, as it would be
//! in a server that must keep its read buffer intact. simd-json keeps its buffers, and the buffer for
//! the copy.
//!
//! Each shape of `event` is one body, read again and again, but `mixed` is 1,024 bodies like those of
//! the challenge, with ids and values of many lengths, so that no branch predictor can learn the text.
//! Its figure is for one body.
//!
//! `events` is 1,000 such events in one body: the figure is for 1,000 events, so a microsecond of it is
//! a nanosecond for an event. Where a library has a reader of a stream of values, it reads the lines;
//! simd-json has none and reads line by line. Arrays are read into a `Vec` that the library makes,
//! since none of them has another way.

// Of the function that criterion's macro makes.
#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millrace::event::{Events, Scratch, parse};
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

/// Bodies of a mebibyte that take as long as a client can make them take. A worker reads one at a time,
/// so this is how long its other clients wait for one.
fn hostile(c: &mut Criterion) {
    const BYTES: usize = 1 << 20;
    let skipped = |open: &str, unit: &str, close: &str| {
        let (head, tail) = ("{\"userId\":\"u\",\"value\":1,\"x\":", "}");
        let room = BYTES - head.len() - tail.len() - open.len() - close.len();
        let units = room / unit.len();
        format!("{head}{open}{}{close}{tail}", unit.repeat(units))
    };
    let events = |event: &dyn Fn(usize) -> String, count: usize| {
        (0..count).map(event).collect::<Vec<_>>().join("\n")
    };
    // Just above the middle between two doubles, so that no few digits of it decide.
    let middle = "2.4703282292062327208828439643411e-324";
    let long = format!("0.{}{}", "0".repeat(40), "1234567890".repeat(45));
    let bodies = [
        ("numbers", skipped("[0", ",0", "]")),
        ("decimals", skipped("[0", ",1.5e3", "]")),
        ("strings", skipped("[0", ",\"\"", "]")),
        ("escapes", skipped("\"", "\\n", "\"")),
        ("unicode_escapes", skipped("\"", "\\ud83d\\ude00", "\"")),
        ("utf8", skipped("\"", "я", "\"")),
        ("empty_arrays", skipped("[0", ",[]", "]")),
        ("nested", skipped("[0", &format!(",{}{}", "[".repeat(60), "]".repeat(60)), "]")),
        ("objects", skipped("[0", ",{\"\":0}", "]")),
        ("literals", skipped("[0", ",null", "]")),
        ("members", skipped("0", ",\"\":0", "")),
        ("ids_again", skipped("0", ",\"userId\":\"\\n\"", "")),
        ("values_again", skipped("0", &format!(",\"value\":{middle}"), "")),
        ("blanks", skipped("", " ", "0")),
        ("blank_lines", "\n".repeat(BYTES)),
        ("middles", events(&|i| format!("{{\"userId\":\"u{i}\",\"value\":{middle}}}"), 2_000)),
        ("long_numbers", events(&|i| format!("{{\"userId\":\"u{i}\",\"value\":{long}}}"), 2_000)),
        (
            "long_ids",
            events(&|_| format!("{{\"userId\":\"{}\",\"value\":1}}", "\\u00e9".repeat(80)), 2_000),
        ),
    ];
    let mut group = c.benchmark_group("hostile");
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(300));
    for (name, body) in bodies {
        let mut scratch = Scratch::new();
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut events = Events::new(black_box(body.as_bytes()), usize::MAX);
                let mut sum = 0.0;
                while let Some(event) = events.next(&mut scratch) {
                    sum += event.expect("valid").value;
                }
                sum
            });
        });
    }
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

/// Returns the time of `count` calls, which read the bodies in turn.
fn time(count: u64, bodies: &[String], mut parse: impl FnMut(&[u8]) -> (usize, f64)) -> Duration {
    let start = Instant::now();
    for body in bodies.iter().cycle().take(count as usize) {
        black_box(parse(body.as_bytes()));
    }
    start.elapsed()
}

fn mixed_bodies() -> Vec<String> {
    let mut random = Random(42);
    (0..1024)
        .map(|_| {
            let (user, whole, hundredths) =
                (random.below(75_000), random.below(1_000), random.below(100));
            format!(r#"{{"userId": "user_{user}", "value": {whole}.{hundredths}}}"#)
        })
        .collect()
}

fn events(c: &mut Criterion) {
    let mut random = Random(42);
    let bodies: Vec<String> = (0..EVENT_COUNT)
        .map(|_| {
            let (user, whole) = (random.below(75_000), random.below(1_000));
            format!(r#"{{"userId":"user_{user}","value":{whole}.5}}"#)
        })
        .collect();
    let lines = bodies.join("\n");
    let array = format!("[{}]", bodies.join(","));
    compare_lines(c, lines.as_bytes());
    compare_array(c, array.as_bytes());
}

fn compare_lines(c: &mut Criterion, lines: &[u8]) {
    let mut buffers = simd_json::Buffers::default();
    let mut copy = Vec::with_capacity(lines.len());
    compare_events(
        c,
        "events/lines",
        lines,
        |body| total(serde_json::Deserializer::from_slice(body).into_iter().map(Result::unwrap)),
        // Its stream ends with an error; that it has read all is asserted.
        |body| total(sonic_rs::Deserializer::from_slice(body).into_stream().map_while(Result::ok)),
        |body| {
            copy.clear();
            copy.extend_from_slice(body);
            copy.split_mut(|&byte| byte == b'\n').filter(|line| !line.is_empty()).fold(
                (0, 0.0),
                |(id_bytes, sum), line| {
                    let event: TypedEvent<'_> =
                        simd_json::serde::from_slice_with_buffers(line, &mut buffers)
                            .expect("valid");
                    (id_bytes + event.user_id.len(), sum + event.value)
                },
            )
        },
    );
}

fn compare_array(c: &mut Criterion, array: &[u8]) {
    let mut buffers = simd_json::Buffers::default();
    let mut copy = Vec::with_capacity(array.len());
    compare_events(
        c,
        "events/array",
        array,
        |body| total(serde_json::from_slice::<Vec<_>>(body).expect("valid")),
        |body| total(sonic_rs::from_slice::<Vec<_>>(body).expect("valid")),
        |body| {
            copy.clear();
            copy.extend_from_slice(body);
            let events: Vec<TypedEvent<'_>> =
                simd_json::serde::from_slice_with_buffers(&mut copy, &mut buffers).expect("valid");
            total(events)
        },
    );
}

/// Measures readers that return the bytes of all ids and the sum of all values.
fn compare_events(
    c: &mut Criterion,
    name: &str,
    body: &[u8],
    mut serde_json: impl FnMut(&[u8]) -> (usize, f64),
    mut sonic_rs: impl FnMut(&[u8]) -> (usize, f64),
    mut simd_json: impl FnMut(&[u8]) -> (usize, f64),
) {
    let mut scratch = Scratch::new();
    let mut millrace = |body: &[u8]| read_events(body, &mut scratch);
    let expected = millrace(body);
    assert_eq!(expected, serde_json(body));
    assert_eq!(expected, sonic_rs(body));
    assert_eq!(expected, simd_json(body));

    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(EVENT_COUNT));
    group.bench_function("millrace", |b| b.iter(|| millrace(black_box(body))));
    group.bench_function("serde_json", |b| b.iter(|| serde_json(black_box(body))));
    group.bench_function("sonic_rs", |b| b.iter(|| sonic_rs(black_box(body))));
    group.bench_function("simd_json", |b| b.iter(|| simd_json(black_box(body))));
    group.finish();
}

#[inline(never)]
fn read_events(body: &[u8], scratch: &mut Scratch) -> (usize, f64) {
    let mut events = Events::new(body, usize::MAX);
    let (mut id_bytes, mut sum) = (0, 0.0);
    while let Some(event) = events.next(scratch) {
        let event = event.expect("valid");
        id_bytes += event.user_id.len();
        sum += event.value;
    }
    (id_bytes, sum)
}

fn total<'a>(events: impl IntoIterator<Item = TypedEvent<'a>>) -> (usize, f64) {
    events.into_iter().fold((0, 0.0), |(id_bytes, sum), event| {
        (id_bytes + event.user_id.len(), sum + event.value)
    })
}

/// Events in one body.
const EVENT_COUNT: u64 = 1_000;

/// Knuth's MMIX generator, whose high bits are good enough here.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
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
    targets = event, events, hostile
}
criterion_main!(benches);
