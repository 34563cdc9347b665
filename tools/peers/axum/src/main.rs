//! The challenge's contract on axum, which stands on hyper and tokio. `POST /events` takes a JSON
//! array, all of it or none.

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

impl Store {
    fn add(&mut self, event: Event) {
        self.count += 1;
        self.sum += event.value;
        if !self.users.contains(&event.user_id) {
            self.users.insert(event.user_id);
        }
    }
}

#[derive(Serialize)]
struct Counted {
    counted: usize,
}

type Shared = Arc<Mutex<Store>>;

async fn event(State(store): State<Shared>, Json(event): Json<Event>) -> StatusCode {
    if event.user_id.is_empty() {
        return StatusCode::BAD_REQUEST;
    }
    store.lock().expect("nothing panics with the lock held").add(event);
    StatusCode::OK
}

async fn events(
    State(store): State<Shared>,
    Json(events): Json<Vec<Event>>,
) -> Result<Json<Counted>, StatusCode> {
    if events.iter().any(|event| event.user_id.is_empty()) {
        return Err(StatusCode::BAD_REQUEST);
    }
    let counted = events.len();
    let mut store = store.lock().expect("nothing panics with the lock held");
    events.into_iter().for_each(|event| store.add(event));
    Ok(Json(Counted { counted }))
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
            .route("/events", post(events))
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
