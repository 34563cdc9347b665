//! The handler of the operators' server (`--admin-listen`): the routes that show and change the
//! statistics, and none that counts.
//!
//! It stages nothing, so nothing is ever owed, and a commit has nothing to do.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::answers::Answers;
use super::operator;
use super::pages::Sender;
use super::routes::{Entrance, Resolution, Service, allowed, not_found, resolve_any};
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
        let resolution = resolve_any(request, Entrance::Operators);
        let page = Sender::of(request, &self.answers.shared.allow_origin);
        let grant = resolution.route().map(|route| page.grant(route)).unwrap_or_default();
        let clerk = self.answers.clerk(resolution.row(), peer, request, out).granting(&grant);
        let reply = match resolution {
            _ if page == Sender::Foreign && resolution.is_change() => operator::foreign_page(clerk),
            Resolution::Found(number) => match number.route().service {
                Service::Plain(answer) | Service::OfStatistics(answer) => answer(clerk),
                // The table has no such route at this door.
                Service::Event | Service::Events => {
                    operator::nothing(clerk, &not_found(Entrance::Operators))
                }
            },
            Resolution::Options(number) => {
                let permission = resolution.route().map(|route| page.permission(route, request));
                operator::options(clerk, allowed(number), &permission.unwrap_or_default())
            }
            Resolution::MethodNotAllowed(route) => {
                operator::method_not_allowed(clerk, allowed(route))
            }
            Resolution::NotFound => operator::nothing(clerk, &not_found(Entrance::Operators)),
            Resolution::NotImplemented => operator::not_implemented(clerk),
        };
        match (reply, resolution.cost()) {
            (Reply::Answered { .. }, Some(cost)) => Reply::Answered { cost },
            (reply, _) => reply,
        }
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
        if let Some(access_log) = &mut self.answers.access_log {
            access_log.settle();
        }
    }

    fn round_over(&mut self) {
        if let Some(access_log) = &mut self.answers.access_log {
            access_log.settle();
            access_log.flush();
        }
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
        self.answers.shared.draining.store(true, Ordering::Relaxed);
    }
}
