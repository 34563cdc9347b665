//! SQLite in WAL mode: one thread writes, and one transaction holds all events that wait for it.
//! `synchronous=NORMAL` syncs at checkpoints alone, so that a power loss takes the last transactions;
//! `synchronous=FULL` syncs each one.

use std::path::Path;
use std::thread;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::{Event, Failed, Statistics};

/// Requests whose events are in one transaction, at most.
const TRANSACTION_REQUESTS_MAX: usize = 4_096;

enum Job {
    Add(Vec<Event>, oneshot::Sender<()>),
    Read(oneshot::Sender<Statistics>),
}

pub struct SqliteStore {
    jobs: mpsc::UnboundedSender<Job>,
}

impl SqliteStore {
    /// Opens a database in `directory` and starts its thread.
    pub fn open(directory: &str, is_synced: bool) -> SqliteStore {
        let mut database =
            Connection::open(Path::new(directory).join("counts.sqlite")).expect("a database");
        let synchronous = if is_synced { "FULL" } else { "NORMAL" };
        database.pragma_update(None, "journal_mode", "WAL").expect("WAL mode");
        database.pragma_update(None, "synchronous", synchronous).expect("set");
        let tables = "CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS totals (one INTEGER PRIMARY KEY, events INTEGER, sum REAL);
             INSERT OR IGNORE INTO totals VALUES (1, 0, 0.0);";
        database.execute_batch(tables).expect("tables");
        let (jobs, mut waiting) = mpsc::unbounded_channel();
        thread::spawn(move || {
            let mut round = Vec::new();
            while waiting.blocking_recv_many(&mut round, TRANSACTION_REQUESTS_MAX) > 0 {
                // A failed transaction drops the senders, so that its requests are answered 500.
                if let Err(error) = run(&mut database, round.drain(..)) {
                    eprintln!("{error}");
                }
            }
        });
        SqliteStore { jobs }
    }

    pub async fn add(&self, events: Vec<Event>) -> Result<(), Failed> {
        let (done, answer) = oneshot::channel();
        self.jobs.send(Job::Add(events, done)).map_err(|_| Failed)?;
        answer.await.map_err(|_| Failed)
    }

    pub async fn statistics(&self) -> Result<Statistics, Failed> {
        let (done, answer) = oneshot::channel();
        self.jobs.send(Job::Read(done)).map_err(|_| Failed)?;
        answer.await.map_err(|_| Failed)
    }
}

/// Does all jobs in one transaction, then answers them.
fn run(database: &mut Connection, jobs: impl Iterator<Item = Job>) -> rusqlite::Result<()> {
    let transaction = database.transaction()?;
    let (mut added, mut readers) = (Vec::new(), Vec::new());
    let (mut count, mut sum) = (0_i64, 0.0);
    {
        let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO users VALUES (?1)")?;
        for job in jobs {
            match job {
                Job::Add(events, done) => {
                    for event in events {
                        insert.execute([&event.user_id])?;
                        count += 1;
                        sum += event.value;
                    }
                    added.push(done);
                }
                Job::Read(done) => readers.push(done),
            }
        }
        let mut update =
            transaction.prepare_cached("UPDATE totals SET events = events + ?1, sum = sum + ?2")?;
        if count > 0 {
            update.execute((count, sum))?;
        }
    }
    transaction.commit()?;
    for done in added {
        let _ = done.send(());
    }
    if !readers.is_empty() {
        let users: i64 = database.query_row("SELECT count(*) FROM users", [], |row| row.get(0))?;
        let (events, sum): (i64, f64) =
            database.query_row("SELECT events, sum FROM totals", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        for done in readers {
            let statistics = Statistics::new(events.cast_unsigned(), users.cast_unsigned(), sum);
            let _ = done.send(statistics);
        }
    }
    Ok(())
}
