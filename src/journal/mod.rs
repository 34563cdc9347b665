//! Bytes that outlive the process: a state for each worker, and records that are only ever added.
//!
//! It does not depend on the statistics. A caller's worker appends records (ids of users) to its
//! [`Lane`] and commits them together with a small state (its totals, absolute), once a round:
//!
//! ```text
//! journal    lane.append(record) …, lane.commit(state)     when it returns, a crash cannot take it back
//! publish    what was committed, with the commit's Mark    readers see it
//! answer
//! ```
//!
//! A commit can also replace *cells*: small values, each with a number of its own, that
//! change in place (`lane.put_cell`). They are part of the commit: a recovery has all of them or none.
//!
//! Totals are absolute and records are never removed, so nothing here grows with events: a commit is one
//! sector, written over the one 64 commits ago, and the records behind the last ones. What a crash takes
//! and why recovery is right stands in docs/durability.md; each file argues its own part at its top.
//!
//! ```text
//! crc  layout  mark  slot  segment  cell    bytes
//! storage  disk                         a file system, and one in memory that crashes
//! control  enter                        what concerns all lanes; the way into a directory
//! choice  visit  recovery               from a directory to a state and all records; writes nothing
//! begin  prepare                        from there to lanes, by steps that a crash may interrupt
//! lane  cells  space  checkpoint  running    at work
//! salvage  salvage_cells                going on without what is damaged, when asked to
//! luggage                               to another process
//! ```
//!
//! Deliberately not here: what the bytes mean, sockets, signals, and any repair that is not asked for.

mod begin;
mod cell;
mod cells;
mod checkpoint;
mod choice;
mod control;
mod crc;
#[cfg(any(test, fuzzing))]
mod disk;
mod enter;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod lane;
mod layout;
mod luggage;
mod mark;
mod prepare;
mod recovery;
mod refusal;
mod running;
mod salvage;
mod salvage_cells;
mod segment;
mod shared;
mod slot;
mod space;
mod storage;
#[cfg(test)]
mod tests;
mod visit;

pub use checkpoint::{Caller, PublishedCut};
pub use control::Soundness;
pub use lane::{Lane, StagedPoint};
pub use luggage::{Packed, receive};
pub use mark::Mark;
pub use recovery::{Recovered, Recovery, open, open_existing};
pub use refusal::{Damage, Unusable};
pub use running::{Figures, Journal};
pub use salvage::{Loss, salvage};
pub use shared::{Fsync, MeterReading};
pub use space::Full;
pub use storage::{Directory, File, Storage};
pub use visit::{ReadProgress, Visited};
