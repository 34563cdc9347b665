//! How far a run has come: a bar on a terminal, otherwise a line every 100,000 events.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::report::grouped;
use crate::shared::MARK_EVENTS;

/// How often to look.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Shows progress on standard error until `is_done`.
pub fn show(ended: &AtomicU64, count: u64, start: Instant, is_done: impl Fn() -> bool) {
    let is_terminal = io::stderr().is_terminal();
    let bar = if is_terminal { ProgressBar::new(count) } else { ProgressBar::hidden() };
    let template = "{wide_bar} {human_pos}/{human_len} {per_sec} {elapsed}";
    bar.set_style(ProgressStyle::with_template(template).expect("the template is well-formed"));
    let mut told = 0;
    loop {
        let done = is_done();
        let now = ended.load(Ordering::Relaxed);
        bar.set_position(now);
        while !is_terminal && told + MARK_EVENTS <= now {
            told += MARK_EVENTS;
            let rate = now as f64 / start.elapsed().as_secs_f64();
            eprintln!(
                "Completed {}/{} events, {} events/s",
                grouped(told),
                grouped(count),
                grouped(rate as u64)
            );
        }
        if done {
            break;
        }
        thread::sleep(LOOK_INTERVAL);
    }
    bar.finish_and_clear();
}
