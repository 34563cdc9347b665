//! A model of the hand-over: every order of steps of two processes and of events from outside.
//!
//! Each process takes its steps in the order of the code in `successor` (the server's side) and
//! `predecessor` (the successor's side). Between any two steps, any event may come: the kernel ends
//! either process, either one is told to stop, or both are, another restart is asked for, the
//! successor fails. A process that hangs or is stopped takes no step while the other one goes on, and
//! the other one's patience ends: the search covers all of that, because it tries every process at
//! every step, and the end of patience at every wait.
//!
//! The search visits every state that can be reached, and judges each one, and once more those in
//! which nothing can happen any more. The rules of the protocol can be switched off one by one; a test
//! checks that each of them is needed.

use std::collections::HashSet;

/// The rules of the protocol.
#[derive(Clone, Copy)]
struct Rules {
    /// Only a process that has taken the token serves.
    token: bool,
    /// The successor announces that it serves before it does.
    announced_first: bool,
    /// The server waits for the announcement before it gives the state up.
    answered: bool,
    /// A server that is told to stop after it has handed over passes that on.
    passed_on: bool,
    /// A successor that is told to stop twice, by a signal and by its predecessor, stops once.
    echo_ignored: bool,
    /// A successor that has everything serves although its predecessor has ended.
    orphan_serves: bool,
}

const ALL_RULES: Rules = Rules {
    token: true,
    announced_first: true,
    answered: true,
    passed_on: true,
    echo_ignored: true,
    orphan_serves: true,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Server {
    /// It serves, and no restart is under way.
    Serves,
    /// It serves, and sends users ahead.
    Ahead,
    /// Its workers stand still.
    Stopped,
    /// It has sent everything.
    Waits,
    /// The token is gone: it waits for the announcement or for the end of the successor.
    Settles,
    /// It has withdrawn the offer, and ends the successor.
    Withdraws,
    /// The successor serves.
    Behind,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Successor {
    Absent,
    Receives,
    /// It has everything, and its workers wait.
    Complete,
    /// It has the token.
    Took,
    /// It has the token, and has announced that it serves.
    Announced,
    Serves,
    Ended,
}

/// Events from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    KillServer,
    KillSuccessor,
    StopServer,
    StopSuccessor,
    StopBoth,
    Restart,
    Fail,
}

const EVENTS: [Event; 7] = [
    Event::KillServer,
    Event::KillSuccessor,
    Event::StopServer,
    Event::StopSuccessor,
    Event::StopBoth,
    Event::Restart,
    Event::Fail,
];
/// Events in one run.
const EVENTS_MAX: u8 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct World {
    server: Server,
    successor: Successor,
    /// Whether the token is there.
    token: bool,
    /// What is, or was, in the channel.
    all_sent: bool,
    serving_sent: bool,
    refused_sent: bool,
    stop_sent: bool,
    hung_up: bool,
    /// Signals that were not acted on yet.
    server_told: bool,
    successor_told: bool,
    /// Whether a stop was passed on to the successor, whose own signal then means the same stop.
    echo: bool,
    // What has happened.
    stops: u8,
    cuts: u8,
    events: u8,
    server_killed: bool,
    killed_after_announcing: bool,
    successor_killed: bool,
    stop_asked: bool,
    stop_of_successor: bool,
    failed: bool,
    /// The server was killed when the successor had, or could get, everything.
    successor_could: bool,
}

const START: World = World {
    server: Server::Serves,
    successor: Successor::Absent,
    token: false,
    all_sent: false,
    serving_sent: false,
    refused_sent: false,
    stop_sent: false,
    hung_up: false,
    server_told: false,
    successor_told: false,
    echo: false,
    stops: 0,
    cuts: 0,
    events: 0,
    server_killed: false,
    killed_after_announcing: false,
    successor_killed: false,
    stop_asked: false,
    stop_of_successor: false,
    failed: false,
    successor_could: false,
};

impl World {
    fn server_lives(self) -> bool {
        self.server != Server::Ended
    }

    fn successor_lives(self) -> bool {
        !matches!(self.successor, Successor::Absent | Successor::Ended)
    }

    fn server_serves(self) -> bool {
        matches!(self.server, Server::Serves | Server::Ahead)
    }

    fn successor_serves(self) -> bool {
        self.successor == Successor::Serves
    }

    /// The server stops sending, for any reason but the announcement.
    fn settle(mut self, rules: Rules) -> World {
        if self.token || !rules.token {
            self.token = false;
            self.hung_up = true;
            self.server = Server::Withdraws;
        } else {
            self.server = Server::Settles;
        }
        self
    }

    /// All states after one step of the server.
    fn server_steps(self, rules: Rules) -> Vec<World> {
        let mut next = Vec::new();
        let gone = !self.successor_lives() && !self.serving_sent || self.refused_sent;
        match self.server {
            Server::Serves if self.server_told => {
                let stops = self.stops + 1;
                next.push(World { server: Server::Ended, server_told: false, stops, ..self });
            }
            Server::Serves | Server::Ended => {}
            Server::Ahead | Server::Stopped | Server::Waits => {
                match self.server {
                    Server::Ahead => next.push(World { server: Server::Stopped, ..self }),
                    Server::Stopped => {
                        let server = if rules.answered { Server::Waits } else { Server::Behind };
                        next.push(World { server, all_sent: true, ..self });
                    }
                    _ if self.serving_sent => next.push(World { server: Server::Behind, ..self }),
                    // Its patience may end at any time.
                    _ => {}
                }
                if gone || !self.serving_sent {
                    next.push(self.settle(rules));
                }
            }
            Server::Settles if self.serving_sent => {
                next.push(World { server: Server::Behind, ..self });
            }
            Server::Settles if gone => next.push(World { server: Server::Withdraws, ..self }),
            Server::Settles => {}
            Server::Withdraws => {
                let successor = Successor::Ended;
                next.push(World { server: Server::Serves, successor, ..self });
            }
            Server::Behind if self.server_told => {
                let stop_sent = rules.passed_on;
                next.push(World { server_told: false, stop_sent, ..self });
            }
            Server::Behind => next.push(World { server: Server::Ended, ..self }),
        }
        next
    }

    /// The successor gives up.
    fn refuse(self) -> World {
        World { successor: Successor::Ended, refused_sent: true, ..self }
    }

    /// All states after one step of the successor.
    fn successor_steps(self, rules: Rules) -> Vec<World> {
        let mut next = Vec::new();
        let alone = self.hung_up || !self.server_lives();
        match self.successor {
            Successor::Absent | Successor::Ended => {}
            Successor::Receives | Successor::Complete if self.successor_told => {
                next.push(self.refuse());
            }
            Successor::Receives if self.all_sent => {
                next.push(World { successor: Successor::Complete, ..self });
            }
            // Its patience may end, or the server has.
            Successor::Receives => next.push(self.refuse()),
            Successor::Complete if alone && !rules.orphan_serves => next.push(self.refuse()),
            Successor::Complete if self.token || !rules.token => {
                let serves = Successor::Serves;
                let successor = if rules.announced_first { Successor::Took } else { serves };
                next.push(World { successor, token: false, ..self });
            }
            Successor::Complete => next.push(self.refuse()),
            Successor::Took => {
                let successor = Successor::Announced;
                next.push(World { successor, serving_sent: true, ..self });
            }
            Successor::Announced => next.push(World { successor: Successor::Serves, ..self }),
            Successor::Serves => {
                if !rules.announced_first && !self.serving_sent {
                    next.push(World { serving_sent: true, ..self });
                }
                next.extend(self.stop_successor(rules));
            }
        }
        next
    }

    /// The successor serves, and was told to stop, in one way or in both.
    fn stop_successor(self, rules: Rules) -> Vec<World> {
        let stopped = World { successor: Successor::Ended, stops: self.stops + 1, ..self };
        let mut next = Vec::new();
        // The stop takes a while, in which the other word may come. A further signal cuts.
        if self.successor_told && self.stop_sent {
            let cuts = if rules.echo_ignored { 0 } else { 1 };
            next.push(World { successor_told: false, stop_sent: false, cuts, ..stopped });
        } else if self.successor_told || self.stop_sent {
            next.push(World { successor_told: false, stop_sent: false, ..stopped });
        }
        next
    }

    /// The state after an event, if it can come.
    fn after(mut self, event: Event) -> Option<World> {
        self.events += 1;
        let could = self.successor_lives()
            && !self.successor_told
            && (self.all_sent && self.token
                || matches!(
                    self.successor,
                    Successor::Took | Successor::Announced | Successor::Serves
                ));
        let possible = match event {
            Event::KillServer => {
                self.successor_could = could;
                self.server_killed = true;
                let lived = self.server_lives();
                self.server = Server::Ended;
                self.server_told = false;
                lived
            }
            Event::KillSuccessor => {
                let lived = self.successor_lives();
                self.successor_killed = true;
                self.killed_after_announcing |= self.serving_sent;
                self.successor = Successor::Ended;
                self.successor_told = false;
                lived
            }
            Event::StopServer => {
                self.server_told = true;
                self.stop_asked = true;
                self.server_lives()
            }
            Event::StopSuccessor => {
                self.successor_told = true;
                self.stop_of_successor = true;
                self.successor_lives()
            }
            Event::StopBoth => {
                self.server_told = true;
                self.successor_told = true;
                self.stop_asked = true;
                self.server_lives() && self.successor_lives()
            }
            Event::Restart => {
                let idle = self.server == Server::Serves && !self.successor_lives();
                let (server, successor) = (Server::Ahead, Successor::Receives);
                let (token, refused_sent, all_sent) = (true, false, false);
                let hung_up = false;
                self = World { server, successor, token, refused_sent, all_sent, hung_up, ..self };
                idle && !self.server_told
            }
            Event::Fail => {
                let could_fail =
                    matches!(self.successor, Successor::Receives | Successor::Complete);
                self = World { failed: true, ..self.refuse() };
                could_fail
            }
        };
        possible.then_some(self)
    }

    /// A server that is told to stop while it hands over withdraws its offer.
    fn told_steps(self, rules: Rules) -> Option<World> {
        let hands_over = matches!(self.server, Server::Ahead | Server::Stopped | Server::Waits);
        (self.server_told && hands_over).then(|| self.settle(rules))
    }

    /// What is wrong with this state; `is_last` if nothing happens any more.
    fn wrong(self, is_last: bool) -> Option<&'static str> {
        if self.server_serves() && self.successor_serves() {
            return Some("both serve");
        }
        if self.server == Server::Withdraws && self.serving_sent && !self.successor_killed {
            return Some("a successor that serves is ended");
        }
        if self.stops > 1 || self.cuts > 0 {
            return Some("a stop happens twice");
        }
        if !is_last {
            return None;
        }
        let serves = self.server_serves() || self.successor_serves();
        let killed = self.server_killed || self.successor_killed;
        if !killed && self.stop_asked && (serves || self.stops != 1) {
            return Some("a stop is lost");
        }
        if !killed && !self.stop_asked && !self.stop_of_successor && !serves {
            return Some("none serves");
        }
        if !killed && !self.stop_asked && !serves && self.stops != 1 {
            return Some("the service ends without a stop");
        }
        let only_successor_killed =
            self.successor_killed && !self.server_killed && !self.killed_after_announcing;
        if only_successor_killed && !serves && self.stops == 0 {
            return Some("the state is lost with a successor that has not served");
        }
        let only_server_killed = self.server_killed
            && !self.successor_killed
            && !self.failed
            && !self.stop_of_successor
            && !self.stop_asked;
        if only_server_killed && self.successor_could && !self.successor_serves() {
            return Some("none serves although the successor could");
        }
        None
    }
}

/// Visits every state; the number of states, or what is wrong with one of them.
fn search(rules: Rules) -> Result<usize, String> {
    let (mut seen, mut open) = (HashSet::from([START]), vec![START]);
    while let Some(world) = open.pop() {
        let mut inner = world.server_steps(rules);
        inner.extend(world.successor_steps(rules));
        inner.extend(world.told_steps(rules));
        if let Some(wrong) = world.wrong(inner.is_empty()) {
            return Err(format!("{wrong}: {world:?}"));
        }
        if world.events < EVENTS_MAX {
            inner.extend(EVENTS.into_iter().filter_map(|event| world.after(event)));
        }
        for next in inner {
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    Ok(seen.len())
}

#[test]
fn every_order_of_steps_and_events_ends_well() {
    let states = search(ALL_RULES).unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(states > 1_000, "{states} states");
    println!("{states} states");
}

#[test]
fn every_rule_is_needed() {
    for (name, rules, expected) in [
        ("token", Rules { token: false, ..ALL_RULES }, "serve"),
        ("announced first", Rules { announced_first: false, ..ALL_RULES }, ""),
        ("answered", Rules { answered: false, ..ALL_RULES }, ""),
        ("passed on", Rules { passed_on: false, ..ALL_RULES }, "a stop is lost"),
        ("echo", Rules { echo_ignored: false, ..ALL_RULES }, "twice"),
        ("orphan", Rules { orphan_serves: false, ..ALL_RULES }, "although the successor could"),
    ] {
        let wrong = search(rules).expect_err(name);
        assert!(wrong.contains(expected), "{name}: {wrong}");
    }
}
