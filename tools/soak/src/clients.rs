//! The kinds of clients. A visit is one connection from its beginning to its end. It fails if the
//! server breaks one of its promises.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use socket2::SockRef;

use crate::ledger::Ledger;
use crate::server::Statistics;
use crate::wire::{Wire, get, post};

/// What all clients share.
pub struct Context<'a> {
    pub address: SocketAddr,
    pub ledger: &'a Ledger,
    pub running: &'a AtomicBool,
}

pub struct Kind {
    pub name: &'static str,
    /// The number of such clients at a time.
    pub clients: usize,
    pub visit: fn(&Context<'_>, &mut Rng, usize) -> Result<(), String>,
}

pub const KINDS: &[Kind] = &[
    Kind { name: "good", clients: 8, visit: good },
    Kind { name: "in pieces", clients: 4, visit: in_pieces },
    Kind { name: "pipelining", clients: 4, visit: pipelining },
    Kind { name: "batching", clients: 3, visit: batching },
    Kind { name: "bad event", clients: 2, visit: bad_event },
    Kind { name: "bad protocol", clients: 4, visit: bad_protocol },
    Kind { name: "slow", clients: 24, visit: slow },
    Kind { name: "slow reader", clients: 4, visit: slow_reader },
    Kind { name: "deaf", clients: 8, visit: deaf },
    Kind { name: "silent", clients: 16, visit: silent },
    Kind { name: "vanishing", clients: 4, visit: vanishing },
    Kind { name: "half-closing", clients: 2, visit: half_closing },
    Kind { name: "watching", clients: 1, visit: watching },
];

/// Returns a user, a value, and the content of the event.
fn event(random: &mut Rng, kind: &str, client: usize) -> (String, u32, String) {
    let (user, value) = (format!("{kind}-{client}-{}", random.u32(..500)), random.u32(..1000));
    let content = format!("{{\"userId\":\"{user}\",\"value\":{value}}}");
    (user, value, content)
}

fn pause(random: &mut Rng, max_ms: u64) {
    thread::sleep(Duration::from_millis(random.u64(..=max_ms)));
}

/// Sends one event at a time, in every form that a request can have.
fn good(context: &Context<'_>, random: &mut Rng, client: usize) -> Result<(), String> {
    let mut wire = Wire::connect(context.address)?;
    for _ in 0..random.u32(1..2_000) {
        let (user, value, content) = event(random, "good", client);
        let length = content.len();
        let request = match random.u8(..20) {
            0 => format!(
                "POST /event?q HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: {length}\r\n\r\n{content}"
            ),
            1 => format!(
                "POST http://x/event HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{content}"
            ),
            2 => chunked(random, &content),
            3 => {
                let head = format!(
                    "POST /event HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
                );
                wire.send(head.as_bytes())?;
                wire.expect(100)?;
                content
            }
            _ => post(&content),
        };
        wire.send(request.as_bytes())?;
        wire.expect(200)?;
        context.ledger.counted(&user, value, 1);
        if !context.running.load(Ordering::Relaxed) {
            break;
        }
    }
    if random.bool() {
        let (user, value, content) = event(random, "good", client);
        wire.send(post(&content).replace("Host", "Connection: close\r\nHost").as_bytes())?;
        if !wire.expect(200)?.last {
            return Err("the close was not announced".into());
        }
        context.ledger.counted(&user, value, 1);
        wire.expect_end()?;
    }
    Ok(())
}

/// Returns the content in chunks of random sizes, sometimes with extensions and trailer fields.
fn chunked(random: &mut Rng, content: &str) -> String {
    let mut request =
        String::from("POST /event HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut rest = content;
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(random.usize(1..=rest.len()));
        let extension = if random.u8(..4) == 0 { ";a=\"b\"" } else { "" };
        request += &format!("{:x}{extension}\r\n{chunk}\r\n", chunk.len());
        rest = later;
    }
    request += if random.bool() { "0\r\nX-Sum: 1\r\n\r\n" } else { "0\r\n\r\n" };
    request
}

/// Sends valid requests, several at a time, cut anywhere.
fn in_pieces(context: &Context<'_>, random: &mut Rng, client: usize) -> Result<(), String> {
    let mut wire = Wire::connect(context.address)?;
    for _ in 0..random.u32(1..50) {
        let events: Vec<_> =
            (0..random.u32(1..8)).map(|_| event(random, "pieces", client)).collect();
        let mut requests = String::new();
        for (_, _, content) in &events {
            requests += &if random.bool() { post(content) } else { chunked(random, content) };
        }
        let mut rest = requests.as_bytes();
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(random.usize(1..=rest.len().min(60)));
            wire.send(piece)?;
            rest = later;
            if random.u8(..20) == 0 {
                pause(random, 2);
            }
        }
        for (user, value, _) in &events {
            wire.expect(200)?;
            context.ledger.counted(user, *value, 1);
        }
    }
    Ok(())
}

/// Sends hundreds of requests at once. Every reading behind them must hold their events.
fn pipelining(context: &Context<'_>, random: &mut Rng, client: usize) -> Result<(), String> {
    let mut wire = Wire::connect(context.address)?;
    for _ in 0..random.u32(1..20) {
        let (user, value, content) = event(random, "pipeline", client);
        let count = random.u64(1..400);
        let before = context.ledger.certain();
        let batch = post(&content).repeat(count as usize) + &get("/stats");
        wire.send(batch.as_bytes())?;
        for _ in 0..count {
            wire.expect(200)?;
        }
        let statistics = wire.expect(200)?.content;
        let statistics = Statistics::parse(&String::from_utf8_lossy(&statistics))?;
        if statistics.events < before + count {
            return Err(format!("a reading lacks events: {statistics}, {before} + {count}"));
        }
        context.ledger.counted(&user, value, count);
    }
    Ok(())
}

/// Sends lists of events, small ones and large ones, as lines or as an array, whole or in chunks. One of
/// them is wrong now and then, and nothing of it is counted. The reading behind each holds it whole.
fn batching(context: &Context<'_>, random: &mut Rng, client: usize) -> Result<(), String> {
    let mut wire = Wire::connect(context.address)?;
    for _ in 0..random.u32(1..40) {
        let (user, value, content) = event(random, "batch", client);
        // Some are so large that they are read in slices.
        let padding = " ".repeat(if random.u8(..4) == 0 { 80 } else { 0 });
        let count = random.usize(1..=2_000);
        let mut events = vec![content + &padding; count];
        let is_wrong = random.u8(..8) == 0;
        if is_wrong {
            events[random.usize(..count)] = "{\"userId\":\"never\"}".to_owned();
        }
        let body = match random.bool() {
            true => format!("[{}]", events.join(",")),
            false => events.join("\n"),
        };
        let request = match random.bool() {
            true => post(&body),
            false => chunked(random, &body),
        };
        let before = context.ledger.certain();
        wire.send((request.replacen("/event ", "/events ", 1) + &get("/stats")).as_bytes())?;
        let answer = wire.expect(if is_wrong { 400 } else { 200 })?;
        let counted = if is_wrong { 0 } else { count as u64 };
        if !is_wrong && answer.content != format!("{{\"counted\":{count}}}").as_bytes() {
            return Err(format!("{} of {count} events", answer.content.escape_ascii()));
        }
        let statistics = wire.expect(200)?.content;
        let statistics = Statistics::parse(&String::from_utf8_lossy(&statistics))?;
        if statistics.events < before + counted {
            return Err(format!("a reading lacks events: {statistics}, {before} + {counted}"));
        }
        if counted > 0 {
            context.ledger.counted(&user, value, counted);
        }
    }
    Ok(())
}

/// Sends invalid events in valid HTTP. They are refused and not counted, and the connection goes on.
fn bad_event(context: &Context<'_>, random: &mut Rng, client: usize) -> Result<(), String> {
    const BODIES: &[&str] = &[
        "",
        "{}",
        "[]",
        "{\"userId\":\"\",\"value\":1}",
        "{\"userId\":\"bad\",\"value\":1e400}",
        "{\"userId\":\"bad\",\"value\":NaN}",
        "{\"userId\":\"bad\",\"value\":1,}",
        "{\"userId\":\"bad\",\"value\":1} x",
        "{\"userId\":7,\"value\":1}",
        "{\"userId\":\"\\ud800\",\"value\":1}",
    ];
    let mut wire = Wire::connect(context.address)?;
    for _ in 0..random.u32(1..200) {
        let body = BODIES[random.usize(..BODIES.len())];
        wire.send(post(body).as_bytes())?;
        wire.expect(400)?;
        let (user, value, content) = event(random, "bad", client);
        wire.send(post(&content).as_bytes())?;
        wire.expect(200)?;
        context.ledger.counted(&user, value, 1);
    }
    Ok(())
}

/// Sends a violation of the protocol between valid events. The events before it are counted, the
/// violation is answered, and what follows it is not read.
fn bad_protocol(context: &Context<'_>, random: &mut Rng, client: usize) -> Result<(), String> {
    const VIOLATIONS: &[(u16, &str)] = &[
        (400, "GET  / HTTP/1.1\r\nHost: x\r\n\r\n"),
        (400, "GET / HTTP/1.1\nHost: x\n\n"),
        (400, "GET / HTTP/1.1\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost : x\r\n\r\n"),
        (400, "POST /event HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n1"),
        (
            400,
            "POST /event HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (400, "POST /event HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
        (413, "POST /event HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"),
        (417, "POST /event HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: luck\r\n\r\n1"),
        (
            501,
            "POST /event HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: zip, chunked\r\n\r\n0\r\n\r\n",
        ),
        (505, "GET / HTTP/3.0\r\nHost: x\r\n\r\n"),
        (400, "\x16\x03\x01\x02\x00"),
    ];
    let mut wire = Wire::connect(context.address)?;
    let (status, violation) = VIOLATIONS[random.usize(..VIOLATIONS.len())];
    let (user, value, content) = event(random, "violation", client);
    let before = random.u64(..5);
    let behind = post(&content).repeat(random.usize(..50));
    let batch = post(&content).repeat(before as usize) + violation + &behind;
    wire.send_refused(batch.as_bytes())?;
    for _ in 0..before {
        wire.expect(200)?;
    }
    if before > 0 {
        context.ledger.counted(&user, value, before);
    }
    if !wire.expect(status)?.last {
        return Err(format!("the close was not announced after {violation:?}"));
    }
    wire.expect_end()
}

/// Trickles a request: fast enough, or until it is answered `408`.
fn slow(context: &Context<'_>, random: &mut Rng, client: usize) -> Result<(), String> {
    let mut wire = Wire::connect(context.address)?;
    let (user, value, content) = event(random, "slow", client);
    let request = post(&content);
    if random.bool() {
        // Two thirds of a second at most, for time-outs of one and a half.
        for piece in request.as_bytes().chunks(request.len() / 8 + 1) {
            wire.send(piece)?;
            pause(random, 80);
        }
        wire.expect(200)?;
        context.ledger.counted(&user, value, 1);
        return Ok(());
    }
    let sent = random.usize(1..request.len());
    for piece in request.as_bytes()[..sent].chunks(sent / 8 + 1) {
        wire.send(piece)?;
        pause(random, 40);
    }
    wire.expect(408)?;
    wire.expect_end()
}

/// Asks for far more than all buffers hold, and reads it slowly, but without a stop. It gets every
/// answer.
fn slow_reader(context: &Context<'_>, random: &mut Rng, _: usize) -> Result<(), String> {
    let mut wire = Wire::connect(context.address)?;
    SockRef::from(&wire.stream)
        .set_recv_buffer_size(8 * 1024)
        .map_err(|error| error.to_string())?;
    let answers = random.usize(200..600);
    let mut writer = wire.stream.try_clone().map_err(|error| error.to_string())?;
    let requests = get("/metrics").repeat(answers);
    let sender = thread::spawn(move || writer.write_all(requests.as_bytes()));
    for number in 0..answers {
        let answer = wire.expect(200).map_err(|error| format!("answer {number}: {error}"))?;
        if !answer.content.ends_with(b"\n") {
            return Err("half a page".into());
        }
        pause(random, 6);
    }
    sender.join().expect("it does not panic").map_err(|error| format!("send: {error}"))
}

/// Sends for ever and reads nothing. Back-pressure stops it, and the write time-out closes it.
fn deaf(context: &Context<'_>, random: &mut Rng, _: usize) -> Result<(), String> {
    const BYTES_MAX: usize = 64 << 20;
    let wire = Wire::connect(context.address)?;
    let small = SockRef::from(&wire.stream).set_recv_buffer_size(4 * 1024);
    small.map_err(|error| error.to_string())?;
    wire.stream.set_nonblocking(true).map_err(|error| error.to_string())?;
    let batch = get("/metrics").repeat(200);
    let (start, mut sent) = (Instant::now(), 0);
    loop {
        match (&wire.stream).write(&batch.as_bytes()[sent % batch.len()..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => pause(random, 50),
            Err(_) => return Ok(()),
        }
        if sent > BYTES_MAX || start.elapsed() > Duration::from_secs(15) {
            return Err(format!("not closed after {sent} bytes and {:?}", start.elapsed()));
        }
    }
}

/// Sends nothing, at first or after an event, until the idle time-out closes the connection.
fn silent(context: &Context<'_>, random: &mut Rng, client: usize) -> Result<(), String> {
    let mut wire = Wire::connect(context.address)?;
    if random.bool() {
        let (user, value, content) = event(random, "silent", client);
        wire.send(post(&content).as_bytes())?;
        wire.expect(200)?;
        context.ledger.counted(&user, value, 1);
    }
    wire.expect_end()
}

/// Leaves with a reset, in the middle of anything.
fn vanishing(context: &Context<'_>, random: &mut Rng, client: usize) -> Result<(), String> {
    let mut wire = Wire::connect(context.address)?;
    match random.u8(..6) {
        0 => {}
        1 => {
            let (_, _, content) = event(random, "never", client);
            let request = post(&content);
            wire.send(&request.as_bytes()[..random.usize(1..request.len())])?;
        }
        2 => wire.send(get("/metrics").repeat(random.usize(1..200)).as_bytes())?,
        3 => wire.send(b"NONSENSE\r\n\r\n")?,
        // The client cannot find out whether these were counted.
        _ => {
            let requests: String =
                (0..random.u32(1..20)).map(|_| post(&context.ledger.uncertain_event())).collect();
            wire.send(requests.as_bytes())?;
        }
    }
    if random.bool() {
        pause(random, 3);
    }
    wire.vanish();
    Ok(())
}

/// Ends its side after its requests, and still gets all answers.
fn half_closing(context: &Context<'_>, random: &mut Rng, client: usize) -> Result<(), String> {
    let mut wire = Wire::connect(context.address)?;
    let (user, value, content) = event(random, "half", client);
    let count = random.u64(1..300);
    let partial = &post(&content)[..random.usize(..20)];
    wire.send((post(&content).repeat(count as usize) + partial).as_bytes())?;
    wire.half_close()?;
    for _ in 0..count {
        wire.expect(200)?;
    }
    context.ledger.counted(&user, value, count);
    wire.expect_end()
}

/// Reads the statistics. They never go back, and they hold what was certain before.
fn watching(context: &Context<'_>, random: &mut Rng, _: usize) -> Result<(), String> {
    let mut wire = Wire::connect(context.address)?;
    let mut last = 0;
    for _ in 0..random.u32(1..200) {
        let certain = context.ledger.certain();
        wire.send(get("/stats").as_bytes())?;
        let content = wire.expect(200)?.content;
        let now = Statistics::parse(&String::from_utf8_lossy(&content))?;
        if now.events < last.max(certain) || now.users > now.events {
            return Err(format!("{now}, after {last}, with {certain} certain"));
        }
        last = now.events;
        pause(random, 20);
    }
    let mut rest = Vec::new();
    wire.half_close()?;
    wire.stream.read_to_end(&mut rest).map_err(|error| error.to_string())?;
    if rest.is_empty() { Ok(()) } else { Err("unasked-for bytes".into()) }
}
