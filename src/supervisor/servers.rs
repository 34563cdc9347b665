//! The servers of a process: one for clients, and one for operators if `--admin-listen` asks for it.
//!
//! Both are started by the same code. They share the statistics and nothing else, so neither a
//! crowd of clients nor a worker that stands still keeps operators out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::config::cannot_start;
use crate::app::{self, AdminApp, App};
use crate::handover::Doors;
use crate::limits::{ADMIN_CONNECTIONS_MAX, STOP_PATIENCE_MS};
use crate::log;
use crate::mailbox::Mailbox;
use crate::server::{Bound, Config, Moved, Server};
use crate::sys::clock;

/// Sockets that listen, for the servers of a process.
pub(super) struct BoundDoors {
    pub clients: Bound,
    pub operators: Option<Bound>,
}

/// The servers of a process.
pub(super) struct Servers {
    clients: Server,
    operators: Option<OperatorsServer>,
}

/// The server for operators.
struct OperatorsServer {
    server: Server,
    /// Gets an item when its thread has ended.
    ended: Arc<Mailbox<()>>,
}

impl Servers {
    /// Starts the threads of the servers, which wait for [`begin`](Self::begin). `config` is that of
    /// the server for clients; `done` is called when its last worker has ended.
    ///
    /// # Errors
    /// A message for the operator.
    pub fn start(
        bound: BoundDoors,
        config: Config,
        shared: &Arc<app::Shared>,
        done: impl FnOnce() + Send + 'static,
    ) -> Result<Servers, String> {
        let BoundDoors { clients, operators } = bound;
        let clients = clients
            .start(
                config,
                Arc::clone(&shared.server_meters),
                |worker| App::new(shared, worker, clock::unix_seconds()),
                done,
            )
            .map_err(cannot_start("the workers"))?;
        let operators = operators.map(|bound| OperatorsServer::start(bound, config, shared));
        Ok(Servers { clients, operators: operators.transpose()? })
    }

    /// Lets them serve; to be called once.
    pub fn begin(&self) {
        self.all().for_each(Server::begin);
    }

    /// Makes every thread go round its loop once.
    pub fn rouse(&self) {
        self.all().for_each(Server::rouse);
    }

    /// Returns whether there is a server for operators.
    pub fn has_operators(&self) -> bool {
        self.operators.is_some()
    }

    /// Takes in a connection of a client.
    pub fn arrive(&self, moved: Moved) {
        self.clients.arrive(moved);
    }

    /// Takes listening sockets and connections from all servers, see [`Server::depart`].
    pub fn depart(&self) -> Doors {
        Doors {
            clients: self.clients.depart(),
            operators: self.operators.as_ref().map(|it| it.server.depart()).unwrap_or_default(),
        }
    }

    /// Drains the server for clients. Operators are served on.
    pub fn drain(&self) {
        self.clients.drain();
    }

    /// Ends the workers of the server for clients at once.
    pub fn cut(&self) {
        self.clients.cut();
    }

    /// Waits until all workers of the server for clients have ended.
    pub fn join(&mut self) {
        self.clients.join();
    }

    /// Ends the server for operators, if there is one: lets it answer the requests in flight within a
    /// bounded time, and then cuts its connections.
    pub fn end_operators(&mut self) {
        let Some(OperatorsServer { mut server, ended }) = self.operators.take() else { return };
        for order in [Server::drain, Server::cut] {
            order(&server);
            let deadline = Instant::now() + Duration::from_millis(STOP_PATIENCE_MS);
            if ended.take(Some(deadline)).is_some() {
                return server.join();
            }
        }
        log::error("the operators' thread hangs; the process ends without it", &[]);
    }

    fn all(&self) -> impl Iterator<Item = &Server> {
        [&self.clients].into_iter().chain(self.operators.iter().map(|it| &it.server))
    }
}

impl OperatorsServer {
    /// Starts the thread of the server, which waits for [`Server::begin`].
    fn start(
        bound: Bound,
        config: Config,
        shared: &Arc<app::Shared>,
    ) -> Result<OperatorsServer, String> {
        let ended = Arc::new(Mailbox::new());
        let done = Arc::clone(&ended);
        let workers = config.workers;
        let server = bound
            .start(
                operators_config(config),
                Arc::clone(&shared.operators_meters),
                |_| AdminApp::new(shared, workers, clock::unix_seconds()),
                move || done.put(()),
            )
            .map_err(cannot_start("the server for operators"))?;
        Ok(OperatorsServer { server, ended })
    }
}

/// Returns the configuration of the server for operators, beside one for clients with `config`.
pub(super) fn operators_config(config: Config) -> Config {
    Config {
        threads: "admin",
        workers: 1,
        pin: false,
        connections_max: ADMIN_CONNECTIONS_MAX,
        content_limits: app::admin_content_limits(),
        ..config
    }
}
