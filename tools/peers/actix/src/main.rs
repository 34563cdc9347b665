//! The challenge's contract on actix-web. `POST /events` takes a JSON array, all of it or none.

use std::collections::HashSet;
use std::sync::Mutex;

use actix_web::{App, HttpResponse, HttpServer, get, post, web};
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
    fn add(&mut self, Event { user_id, value }: Event) {
        self.count += 1;
        self.sum += value;
        if !self.users.contains(&user_id) {
            self.users.insert(user_id);
        }
    }
}

#[derive(Serialize)]
struct Counted {
    counted: usize,
}

type Shared = web::Data<Mutex<Store>>;

#[post("/event")]
async fn event(store: Shared, event: web::Json<Event>) -> HttpResponse {
    if event.user_id.is_empty() {
        return HttpResponse::BadRequest().finish();
    }
    store.lock().expect("nothing panics with the lock held").add(event.into_inner());
    HttpResponse::Ok().finish()
}

#[post("/events")]
async fn events(store: Shared, events: web::Json<Vec<Event>>) -> HttpResponse {
    if events.iter().any(|one| one.user_id.is_empty()) {
        return HttpResponse::BadRequest().finish();
    }
    let counted = events.len();
    let mut store = store.lock().expect("nothing panics with the lock held");
    events.into_inner().into_iter().for_each(|one| store.add(one));
    HttpResponse::Ok().json(Counted { counted })
}

#[get("/stats")]
async fn stats(store: Shared) -> web::Json<Statistics> {
    let store = store.lock().expect("nothing panics with the lock held");
    let avg = if store.count == 0 { 0.0 } else { store.sum / store.count as f64 };
    web::Json(Statistics {
        total_requests: store.count,
        unique_users: store.users.len(),
        sum: store.sum,
        avg,
    })
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).expect("a port");
    let store = Shared::default();
    // One worker for each processor it may use, each taking as many connections as come.
    let workers = std::thread::available_parallelism()?.get();
    let app =
        move || App::new().app_data(store.clone()).service(event).service(events).service(stats);
    HttpServer::new(app)
        .workers(workers)
        .backlog(4096)
        .bind(format!("127.0.0.1:{port}"))?
        .run()
        .await
}
