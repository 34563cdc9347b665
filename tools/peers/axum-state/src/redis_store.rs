//! Redis: a set of users and two numbers, changed in one transaction. One connection carries the
//! transactions of all requests, pipelined, as redis-rs recommends.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, RedisError};

use crate::{Event, Failed, Statistics};

const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// How long Redis may take to listen.
const LOOKS_MAX: u32 = 500;

pub struct RedisStore {
    connection: MultiplexedConnection,
}

impl RedisStore {
    /// Connects to the Redis that listens at `socket`, once it does.
    pub async fn connect(socket: &str) -> RedisStore {
        let client = Client::open(format!("unix://{socket}")).expect("the path of a socket");
        for _ in 0..LOOKS_MAX {
            if let Ok(connection) = client.get_multiplexed_async_connection().await {
                return RedisStore { connection };
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        panic!("Redis does not listen at {socket}");
    }

    pub async fn add(&self, events: Vec<Event>) -> Result<(), Failed> {
        let sum: f64 = events.iter().map(|event| event.value).sum();
        let users: Vec<&str> = events.iter().map(|event| &*event.user_id).collect();
        if users.is_empty() {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        pipe.atomic();
        pipe.cmd("SADD").arg("users").arg(&users).ignore();
        pipe.cmd("INCRBY").arg("events").arg(users.len()).ignore();
        pipe.cmd("INCRBYFLOAT").arg("sum").arg(sum).ignore();
        pipe.query_async(&mut self.connection.clone()).await.map_err(failed)
    }

    pub async fn statistics(&self) -> Result<Statistics, Failed> {
        let mut pipe = redis::pipe();
        pipe.atomic().cmd("GET").arg("events").cmd("SCARD").arg("users").cmd("GET").arg("sum");
        let read = pipe.query_async(&mut self.connection.clone()).await;
        let (events, users, sum): (Option<u64>, u64, Option<f64>) = read.map_err(failed)?;
        Ok(Statistics::new(events.unwrap_or(0), users, sum.unwrap_or(0.0)))
    }
}

fn failed(error: RedisError) -> Failed {
    eprintln!("{error}");
    Failed
}
