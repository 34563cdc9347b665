//! millrace: an event counter that speaks HTTP.
//!
//! Each module is a room with one subject. ARCHITECTURE.md describes the rooms, and tests/house checks
//! which of them may depend on which.

pub mod app;
mod calendar;
pub mod cli;
pub mod event;
pub mod handover;
pub mod health;
pub mod http;
pub mod journal;
pub mod limits;
pub mod log;
mod mailbox;
pub mod options;
pub mod server;
pub mod service;
pub mod stats;
pub mod supervisor;
pub mod sys;
