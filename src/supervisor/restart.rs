//! A restart on request: this process's successor is started, gets everything, and serves.

use std::sync::Arc;
use std::time::Instant;

use super::{Next, Supervisor, failed, say_final_statistics, start_workers};
use crate::handover::Successor;
use crate::log;
use crate::server::{Bound, Departed};
use crate::service::VARIABLES_OF_ONE_PROCESS;

const CANNOT_RESUME: &str = "cannot go on after a failed restart";

impl Supervisor<'_> {
    /// Hands over to a successor, or goes on.
    ///
    /// # Errors
    /// A line for people, if neither is possible.
    pub(super) fn restart(&mut self) -> Result<Next, String> {
        let program = self.program.display().to_string();
        log::info("restarting", &[("program", &program)]);
        let statistics = Arc::clone(&self.shared.statistics);
        let started =
            Successor::start(&self.program, &VARIABLES_OF_ONE_PROCESS, self.config.workers);
        let mut successor = match started {
            Ok(successor) => successor,
            Err(error) => {
                log::error("no restart: the successor does not start", &[("error", &error)]);
                return Ok(Next::Serve);
            }
        };
        let process_id = successor.process_id();
        if let Err(error) = successor.send_users_ahead(&statistics) {
            log::error("no restart: the successor does not listen", &[("error", &error)]);
            successor.end();
            return Ok(Next::Serve);
        }
        let stopped_at = Instant::now();
        let departed = self.server.depart();
        let sent = successor.send_rest(&statistics, &departed);
        if let Err(error) = sent.and_then(|()| successor.go()) {
            log::error("no restart: the successor cannot go on", &[("error", &error)]);
            // Before this process serves again it must be certain that the other does not.
            successor.end();
            return self.resume(departed);
        }
        self.manager.succeeded_by(process_id);
        let pause_us = u64::try_from(stopped_at.elapsed().as_micros()).unwrap_or(u64::MAX);
        let connections = departed.connections.len();
        drop(departed);
        log::info(
            "handed over",
            &[("to", &process_id), ("connections", &connections), ("pause_us", &pause_us)],
        );
        Ok(Next::Succeeded)
    }

    /// Serves again what has departed.
    fn resume(&mut self, departed: Departed) -> Result<Next, String> {
        // The workers that were must have left their shards before others take them.
        self.server.cut();
        self.server.join();
        self.generation += 1;
        let started = Bound::adopt(departed, self.config.workers)
            .map_err(failed(CANNOT_RESUME))
            .and_then(|bound| {
                start_workers(bound, self.config, &self.shared, &self.woken, self.generation)
            });
        self.server = started.inspect_err(|_| say_final_statistics(&self.shared))?;
        self.server.begin();
        Ok(Next::Serve)
    }
}
