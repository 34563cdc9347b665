//! The challenge's contract on axum, with what people would use to keep the counts: Redis or SQLite.
//!
//! `peer-axum-state PORT redis SOCKET` uses a Redis that listens at a Unix socket, and whose own options
//! decide about syncs. `peer-axum-state PORT sqlite DIRECTORY everysec|always` opens a database in WAL
//! mode. An answer is sent when the store has acknowledged the event. `POST /events` takes a JSON array,
//! all of it or none.

mod redis_store;
mod sqlite_store;

use std::env;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use redis_store::RedisStore;
use sqlite_store::SqliteStore;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    user_id: String,
    value: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Statistics {
    total_requests: u64,
    unique_users: u64,
    sum: f64,
    avg: f64,
}

impl Statistics {
    fn new(total_requests: u64, unique_users: u64, sum: f64) -> Statistics {
        let avg = if total_requests == 0 { 0.0 } else { sum / total_requests as f64 };
        Statistics { total_requests, unique_users, sum, avg }
    }
}

#[derive(Serialize)]
struct Counted {
    counted: usize,
}

/// The store has not taken the events. The answer is 500.
#[derive(Debug)]
pub struct Failed;

enum Store {
    Redis(RedisStore),
    Sqlite(SqliteStore),
}

impl Store {
    async fn add(&self, events: Vec<Event>) -> Result<(), Failed> {
        match self {
            Store::Redis(store) => store.add(events).await,
            Store::Sqlite(store) => store.add(events).await,
        }
    }

    async fn statistics(&self) -> Result<Statistics, Failed> {
        match self {
            Store::Redis(store) => store.statistics().await,
            Store::Sqlite(store) => store.statistics().await,
        }
    }
}

type Shared = Arc<Store>;

async fn event(State(store): State<Shared>, Json(event): Json<Event>) -> StatusCode {
    if event.user_id.is_empty() {
        return StatusCode::BAD_REQUEST;
    }
    match store.add(vec![event]).await {
        Ok(()) => StatusCode::OK,
        Err(Failed) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn events(
    State(store): State<Shared>,
    Json(events): Json<Vec<Event>>,
) -> Result<Json<Counted>, StatusCode> {
    if events.iter().any(|event| event.user_id.is_empty()) {
        return Err(StatusCode::BAD_REQUEST);
    }
    let counted = events.len();
    match store.add(events).await {
        Ok(()) => Ok(Json(Counted { counted })),
        Err(Failed) => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

async fn stats(State(store): State<Shared>) -> Result<Json<Statistics>, StatusCode> {
    let statistics = store.statistics().await;
    statistics.map(Json).map_err(|Failed| StatusCode::INTERNAL_SERVER_ERROR)
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // As many threads as processors it may use.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (port, store) = match arguments[..] {
            [port, "redis", socket] => (port, Store::Redis(RedisStore::connect(socket).await)),
            [port, "sqlite", directory, fsync @ ("everysec" | "always")] => {
                (port, Store::Sqlite(SqliteStore::open(directory, fsync == "always")))
            }
            _ => panic!("usage: PORT redis SOCKET, or PORT sqlite DIRECTORY everysec|always"),
        };
        let app = Router::new()
            .route("/event", post(event))
            .route("/events", post(events))
            .route("/stats", get(stats))
            .with_state(Arc::new(store));
        let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
        use axum::serve::ListenerExt;
        let listener = listener.tap_io(|stream| {
            // Answers leave at once, as those of the others do.
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, app).await
    })
}
