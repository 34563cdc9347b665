//! The handler of the operators' server (`--admin-listen`): the routes that show and change the
//! statistics, and none that counts.
//!
//! It stages nothing, so nothing is ever owed, and a commit has nothing to do.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use super::answers::Answers;
use super::reply::reply;
use super::routes::{Entrance, resolve_any};
use super::shared::Shared;
use crate::http::{Refusal, Request};
use crate::server::{Detached, Handler, Part, Reply};

/// Handles the requests of operators.
pub struct AdminApp {
    answers: Answers,
}

impl AdminApp {
    /// Returns the handler of a server whose `workers` workers count.
    pub fn new(shared: &Arc<Shared>, workers: usize, unix_s: u64) -> AdminApp {
        AdminApp { answers: Answers::new(shared, workers, unix_s) }
    }
}

impl Handler for AdminApp {
    type Draft = ();

    fn tick(&mut self, unix_s: u64) {
        self.answers.refresh(unix_s);
    }

    fn turn(&mut self) {
        self.answers.forget_reading();
    }

    fn request(&mut self, peer: &SocketAddr, request: &Request<'_>, out: &mut Vec<u8>) -> Reply {
        let entrance = Entrance::Operators;
        let resolution = resolve_any(request, entrance);
        reply(&mut self.answers, entrance, resolution, peer, request, out)
    }

    /// No request is called large.
    fn request_large(
        &mut self,
        peer: &SocketAddr,
        request: &Request<'_>,
        _draft: &mut Option<Box<()>>,
        out: &mut Vec<u8>,
    ) -> Part {
        self.request(peer, request, out);
        Part::Answered
    }

    fn staged(&self) -> u32 {
        0
    }

    fn commits_once_a_round(&self) -> bool {
        false
    }

    fn commit(&mut self) {}

    fn answer(&mut self, _staged: Range<u32>, _out: &mut Vec<u8>) {}

    fn settled(&mut self) {
        self.answers.settled();
    }

    fn round_over(&mut self) {
        self.answers.round_over();
    }

    fn abandon(&mut self, _from: u32) {}

    fn refuse(&mut self, peer: &SocketAddr, refusal: Refusal, out: &mut Vec<u8>) {
        self.answers.refuse(peer, refusal, out);
    }

    fn overloaded(&mut self, head_only: bool, out: &mut Vec<u8>) {
        self.answers.overloaded(head_only, out);
    }

    fn lacking_memory(&mut self, head_only: bool, out: &mut Vec<u8>) {
        self.answers.lacking_memory(head_only, out);
    }

    fn detached(&mut self, connection: Detached) {
        self.answers.shared.streams.take(connection);
    }

    fn depart(&mut self) {}

    fn drain(&mut self) {
        self.answers.shared.begin_draining();
    }
}
