//! The challenge's contract on axum, thus hyper and tokio.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    user_id: String,
    value: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Statistics {
    total_requests: u64,
    unique_users: usize,
    sum: f64,
    avg: f64,
}

#[derive(Default)]
struct Store {
    count: u64,
    sum: f64,
    users: HashSet<String>,
}

type Shared = Arc<Mutex<Store>>;

async fn event(State(store): State<Shared>, Json(event): Json<Event>) -> StatusCode {
    if event.user_id.is_empty() {
        return StatusCode::BAD_REQUEST;
    }
    let mut store = store.lock().expect("nothing panics with the lock held");
    store.count += 1;
    store.sum += event.value;
    if !store.users.contains(&event.user_id) {
        store.users.insert(event.user_id);
    }
    StatusCode::OK
}

async fn stats(State(store): State<Shared>) -> Json<Statistics> {
    let store = store.lock().expect("nothing panics with the lock held");
    let avg = if store.count == 0 { 0.0 } else { store.sum / store.count as f64 };
    Json(Statistics {
        total_requests: store.count,
        unique_users: store.users.len(),
        sum: store.sum,
        avg,
    })
}

fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).expect("a port");
    // As many threads as processors it may use.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_io().build()?;
    runtime.block_on(async {
        let app = Router::new()
            .route("/event", post(event))
            .route("/stats", get(stats))
            .with_state(Shared::default());
        let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
        use axum::serve::ListenerExt;
        let listener = listener.tap_io(|stream| {
            // Answers leave at once, as those of the others do.
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, app).await
    })
}
