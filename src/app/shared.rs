//! The data that the handlers of all workers share.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::limits::KEEPER_PATIENCE_MS;

use super::json::write_statistics;
use super::keeper::Keeper;
use super::meters::{RequestMeters, Row};
use crate::options::{Options, Origins, Proxies};
use crate::server::meters::Meters;
use crate::server::streams::Streams;
use crate::stats::Statistics;
use crate::sys::{clock, process};

/// Holds the data that the handlers of all workers share.
pub struct Shared {
    /// The statistics.
    pub statistics: Arc<Statistics>,
    /// The counts of the server, a row for each worker.
    pub server_meters: Arc<[Meters]>,
    /// The counts of the operators' server, one row; zero if there is no such server.
    pub operators_meters: Arc<[Meters]>,
    /// The counts of requests, a row for each worker, and then one for the operators' server.
    pub(super) request_meters: Box<[RequestMeters]>,
    /// The rows of the request meters that are in use, with their labels.
    pub(super) rows: Box<[(Row, &'static str)]>,
    /// The statistics on disk, if there is a state directory.
    keeper: Mutex<Option<Arc<Keeper>>>,
    /// The watchers of the dashboard.
    pub(super) streams: Arc<Streams>,
    /// When the process began to serve, on the clock of [`clock::exact_ns`].
    pub(super) started_ns: u64,
    /// Events that one request of `/events` may have.
    pub(super) events_max: usize,
    /// Bytes that one event may have.
    pub(super) event_bytes_max: usize,
    /// Connections that there may be, as soon as that is known; 0 before.
    connections_max: AtomicUsize,
    /// Users that there may be.
    pub(super) users_max: Option<u64>,
    pub(super) reset_allowed: bool,
    /// Whether operators have a server of their own.
    pub(super) has_operators_server: bool,
    /// The origins whose pages may send events.
    pub(super) allow_origin: Origins,
    pub(super) access_log: bool,
    /// The proxies whose word about a client's address the access log takes.
    pub(super) trusted_proxy: Proxies,
    pub(super) draining: AtomicBool,
    /// Whether the stop is announced, see [`announce_stop`](Shared::announce_stop).
    stop_announced: AtomicBool,
    /// The source of the metrics of the process; `None` where there is no `/proc`.
    pub(super) process: Option<process::Source>,
}

impl Shared {
    /// Returns what `workers` workers share; the statistics are zero, and ids are hashed with `keys`.
    /// `rows` are the routes by which requests are counted. Returns `None` if there is no memory for it.
    pub(super) fn with_rows(
        options: &Options,
        workers: usize,
        keys: [u64; 2],
        rows: Box<[(Row, &'static str)]>,
    ) -> Option<Arc<Shared>> {
        Some(Arc::new(Shared {
            statistics: Statistics::try_new(workers, keys, options.max_users)?,
            server_meters: (0..workers).map(|_| Meters::default()).collect(),
            operators_meters: [Meters::default()].into(),
            request_meters: (0..=workers).map(|_| RequestMeters::default()).collect(),
            rows,
            keeper: Mutex::new(None),
            streams: Arc::new(Streams::new()),
            started_ns: clock::exact_ns(),
            events_max: options.max_batch_events,
            event_bytes_max: options.max_body_bytes,
            connections_max: AtomicUsize::new(0),
            users_max: options.max_users,
            reset_allowed: options.allow_reset,
            has_operators_server: options.admin_listen.is_some(),
            allow_origin: options.allow_origin.clone(),
            access_log: options.access_log,
            trusted_proxy: options.trusted_proxy.clone(),
            draining: AtomicBool::new(false),
            stop_announced: AtomicBool::new(false),
            process: process::Source::open().ok(),
        }))
    }

    /// Returns the counts of all servers, a row for each of their threads: the workers first.
    pub fn all_meters(&self) -> impl Iterator<Item = &Meters> {
        self.server_meters.iter().chain(self.operators_meters.iter())
    }

    /// Notes how many connections there may be, for operators to see.
    pub fn note_connections_max(&self, connections_max: usize) {
        self.connections_max.store(connections_max, Ordering::Relaxed);
    }

    /// Returns how many connections there may be.
    pub(super) fn connections_max(&self) -> usize {
        self.connections_max.load(Ordering::Relaxed)
    }

    /// Notes that the server stops: `/health` says so, and no stream begins.
    pub(super) fn begin_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Makes `/health` answer that the server is about to stop, while everything else goes on.
    pub fn announce_stop(&self) {
        self.stop_announced.store(true, Ordering::Relaxed);
    }

    /// Returns whether load balancers should send clients elsewhere.
    pub(super) fn is_leaving(&self) -> bool {
        self.draining.load(Ordering::Relaxed) || self.stop_announced.load(Ordering::Relaxed)
    }

    /// Returns the keeper of the statistics, if they are kept.
    pub fn keeper(&self) -> Option<Arc<Keeper>> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the statistics from now on. Workers that are made later use it.
    pub fn keep(&self, keeper: Keeper) {
        *self.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keeper));
    }

    /// Takes the keeper back, after the last worker has ended or departed. `None` if there is none, or
    /// a worker still has it.
    pub fn take_keeper(&self) -> Option<Keeper> {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let deadline = Instant::now() + Duration::from_millis(KEEPER_PATIENCE_MS);
        // A thread that just reads its figures has it for a moment.
        loop {
            match Arc::try_unwrap(keeper) {
                Ok(keeper) => return Some(keeper),
                Err(_) if Instant::now() > deadline => return None,
                Err(shared) => keeper = shared,
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Returns the statistics as JSON, as `GET /stats` answers them.
    pub fn statistics_json(&self) -> String {
        let mut json = Vec::new();
        write_statistics(&mut json, &self.statistics.snapshot());
        String::from_utf8_lossy(&json).into_owned()
    }
}
