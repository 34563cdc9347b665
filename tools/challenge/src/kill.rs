//! Kills the server at random moments of a run, and starts it again.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::server::Server;

/// How often to look whether the next moment has come. Short, since a run of batches is over soon.
const LOOK_INTERVAL: Duration = Duration::from_micros(200);

/// Kills the server `kills` times, each time when a random number of the run's `count` events has
/// ended. Those that did not come in time follow at the end. Returns how long there was no server.
///
/// Runs on the thread that started the server: the kernel ends a server whose starter has ended.
pub fn at_random(
    server: &mut Server,
    kills: u32,
    count: u64,
    ended: &AtomicU64,
    is_done: impl Fn() -> bool,
) -> Result<Duration, String> {
    let mut away = Duration::ZERO;
    for moment in moments(kills, count) {
        while ended.load(Ordering::Relaxed) < moment && !is_done() {
            thread::sleep(LOOK_INTERVAL);
        }
        away += server.kill_and_start()?;
    }
    Ok(away)
}

/// Random numbers of events between the first and the last of them, in order.
fn moments(kills: u32, count: u64) -> Vec<u64> {
    // Each RandomState has keys of its own.
    let random = || RandomState::new().build_hasher().finish();
    let mut moments: Vec<u64> = (0..kills).map(|_| 1 + random() % count.max(1)).collect();
    moments.sort_unstable();
    moments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_in_order_and_within_the_run() {
        let all = moments(100, 1_000);
        assert!(all.is_sorted() && all.iter().all(|moment| (1..=1_000).contains(moment)));
        assert!(all.first() != all.last());
        assert!(moments(0, 10).is_empty());
    }
}
