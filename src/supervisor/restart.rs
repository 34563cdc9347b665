//! A restart on request: this process has its successor started, hands everything over, and ends.
//!
//! A thread of its own hands over. Meanwhile the main thread goes on to give signs of life and to listen to
//! signals. If a stop is asked for in between, the process that has the state at that moment carries it
//! out, see [`handover`](crate::handover).

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::config::failed;
use super::keep;
use super::place::Place;
use super::report::{end_by, say_final_statistics};
use super::servers::{BoundDoors, Servers};
use super::state::Supervisor;
use super::stop::pass_on;
use super::wake::{Phase, Post, Wake, is_stop, report_end};
use crate::app;
use crate::handover::{Doors, Journal, Offer, Successor};
use crate::journal::Packed;
use crate::limits::{HANDOVER_PAUSE_MS, HANDOVER_TIMEOUT_MS};
use crate::log;
use crate::mailbox::Mailbox;
use crate::server::Bound;
use crate::sys::signals::Signal;
use crate::sys::starter::Starter;

const CANNOT_RESUME: &str = "cannot go on after a failed restart";

/// How a request for a restart ended.
pub(super) enum Restart {
    /// This process goes on serving.
    Failed,
    /// This process was told to stop meanwhile, and has the state.
    Stopped,
    /// Another process serves.
    Succeeded(Offer),
}

/// Holds what the thread that hands over needs.
struct HandOver<'h> {
    offer: &'h Offer,
    starter: &'h Starter,
    workers: usize,
    shared: &'h app::Shared,
    servers: &'h Servers,
    woken: &'h Mailbox<Wake>,
}

/// How a hand-over ended.
enum HandOverEnd {
    /// The service stays here; the sockets, if the workers have given them up.
    Kept(Option<(Doors, Option<Packed>)>),
    /// The successor serves.
    HandedOver,
}

impl Supervisor<'_> {
    /// Hands over to a successor, or goes on.
    ///
    /// # Errors
    /// A message for the operator, if neither is possible.
    pub(super) fn restart(&mut self) -> Result<Restart, String> {
        if let Place::Last(why) = self.place {
            log_failure("the service would end with this process", &why);
            return Ok(Restart::Failed);
        }
        let Some(starter) = &self.starter else {
            log_failure("there is no process that starts programs", &"see the start of this log");
            return Ok(Restart::Failed);
        };
        let program = self.program.display().to_string();
        log::info("restarting", &[("program", &program)]);
        let offer = match Offer::new() {
            Ok(offer) => offer,
            Err(error) => {
                log_failure("there is no channel to a successor", &error);
                return Ok(Restart::Failed);
            }
        };
        let woken = Arc::clone(&self.post.woken);
        let hand_over = HandOver {
            offer: &offer,
            starter,
            workers: self.config.workers,
            shared: &self.shared,
            servers: &self.servers,
            woken: &woken,
        };
        let (outcome, stop) = thread::scope(|scope| {
            let thread = thread::Builder::new().name("hand-over".into());
            let thread = match thread.spawn_scoped(scope, || hand_over.run()) {
                Ok(thread) => thread,
                Err(error) => {
                    log_failure("there is no thread for it", &error);
                    return (HandOverEnd::Kept(None), false);
                }
            };
            let stop = attend(&mut self.post, &offer, self.on_terminal, &hand_over);
            // After a panic it is not known what the successor has got.
            let outcome = thread.join().unwrap_or(HandOverEnd::Kept(None));
            (outcome, stop)
        });
        match outcome {
            HandOverEnd::HandedOver => return Ok(Restart::Succeeded(offer)),
            HandOverEnd::Kept(Some((departed, journal))) => self.resume(departed, journal)?,
            HandOverEnd::Kept(None) => {}
        }
        Ok(if stop { Restart::Stopped } else { Restart::Failed })
    }

    /// Serves again with what has departed.
    fn resume(&mut self, departed: Doors, journal: Option<Packed>) -> Result<(), String> {
        // The former workers must have left their shards before others take them.
        self.servers.cut();
        self.servers.join();
        self.servers.end_operators();
        if let Some(journal) = journal {
            keep::resume(journal, self.options, &self.shared, self.config.workers)
                .inspect_err(|_| say_final_statistics(&self.shared))?;
            self.config = keep::with_journal(self.config, &self.shared);
        }
        self.generation += 1;
        let started =
            adopt(departed, self.config.workers).map_err(failed(CANNOT_RESUME)).and_then(|bound| {
                let done = report_end(&self.post.woken, self.generation);
                Servers::start(bound, self.config, &self.shared, done)
            });
        self.servers = started.inspect_err(|_| say_final_statistics(&self.shared))?;
        self.servers.begin();
        Ok(())
    }
}

/// Takes up the sockets that the servers of this process have given up.
fn adopt(departed: Doors, workers: usize) -> io::Result<BoundDoors> {
    let Doors { clients, operators } = departed;
    let has_operators = !operators.listeners.is_empty();
    Ok(BoundDoors {
        clients: Bound::adopt(clients, workers)?,
        operators: has_operators.then(|| Bound::adopt(operators, 1)).transpose()?,
    })
}

/// Handles signals and gives signs of life while another thread hands over. Returns whether the
/// process was told to stop.
fn attend(post: &mut Post, offer: &Offer, on_terminal: bool, hand_over: &HandOver<'_>) -> bool {
    let end = Instant::now() + Duration::from_millis(HANDOVER_TIMEOUT_MS + HANDOVER_PAUSE_MS);
    let mut phase = Phase::Serving(hand_over.shared, hand_over.servers);
    let (mut stop, mut served) = (false, false);
    loop {
        let Some(wake) = post.next(None, phase) else { continue };
        match wake {
            Wake::HandOverEnded => return stop,
            Wake::WorkersDepart => phase = Phase::Ending(end),
            Wake::Served(process_id) => {
                post.manager.succeeded_by(process_id);
                served = true;
                if stop {
                    pass_on(offer);
                }
            }
            Wake::Signal(Signal::Fatal(fatal)) => {
                end_by(fatal, offer.withdraw().then_some(hand_over.shared));
            }
            Wake::Signal(Signal::User2) => log::info("a restart is under way already", &[]),
            Wake::Signal(signal) if !is_stop(signal, on_terminal) => {}
            Wake::Signal(_) | Wake::StopPassedOn => {
                if served && !stop {
                    pass_on(offer);
                } else if offer.withdraw() {
                    log::info("told to stop: the hand-over is given up", &[]);
                }
                // Otherwise the successor serves in a moment, and is told then.
                stop = true;
            }
            Wake::Ended(_) | Wake::Connection(_) | Wake::ConnectionsLeft => {}
        }
    }
}

impl HandOver<'_> {
    /// Hands over, and reports the steps to the main thread that concern it.
    fn run(&self) -> HandOverEnd {
        let _end = Announce(self.woken);
        let started = Successor::start(self.offer, self.starter, self.workers);
        let mut successor = match started {
            Ok(successor) => successor,
            Err(error) => return keep_service("the successor does not start", &error),
        };
        let process_id = successor.process_id();
        let statistics = &self.shared.statistics;
        if let Err(error) = successor.send_users_ahead(statistics) {
            successor.end();
            return keep_service("the successor does not listen", &error);
        }
        self.woken.put(Wake::WorkersDepart);
        let stopped_at = Instant::now();
        let mut departed = self.servers.depart();
        let connections = departed.clients.connections.len() + departed.operators.connections.len();
        let journal = match keep::pack(self.shared) {
            Ok(journal) => journal,
            // What was answered is kept, but nothing more can be.
            Err(error) => app::keeper::end(&error),
        };
        let files = journal.as_ref().map(Packed::descriptors).unwrap_or_default();
        let luggage = journal.as_ref().map(|it| Journal { bytes: it.bytes(), files: &files });
        let late = match successor.hand_over(statistics, luggage, &mut departed) {
            Ok(late) => late,
            // The successor has ended by now, so this process may serve again.
            Err(error) => {
                drop(files);
                log_failure("the successor cannot go on", &error);
                return HandOverEnd::Kept(Some((departed, journal)));
            }
        };
        self.woken.put(Wake::Served(process_id));
        let pause_us = u64::try_from(stopped_at.elapsed().as_micros()).unwrap_or(u64::MAX);
        drop(departed);
        log::info(
            "handed over",
            &[
                ("to", &process_id),
                ("connections", &connections),
                ("of_them_late", &late.len()),
                ("pause_us", &pause_us),
            ],
        );
        if let Err(error) = successor.send_late(late) {
            log::warn("connections are lost that hold many bytes", &[("error", &error)]);
        }
        HandOverEnd::HandedOver
    }
}

/// Notes why the service stays here although no worker has stopped.
fn keep_service(what: &str, error: &io::Error) -> HandOverEnd {
    log_failure(what, error);
    HandOverEnd::Kept(None)
}

/// Reports to the main thread that the hand-over has ended, when it is dropped; so also after a panic.
struct Announce<'h>(&'h Mailbox<Wake>);

impl Drop for Announce<'_> {
    fn drop(&mut self) {
        self.0.put(Wake::HandOverEnded);
    }
}

fn log_failure(what: &str, error: &dyn log::Value) {
    log::error(&format!("no restart: {what}"), &[("error", error)]);
}
