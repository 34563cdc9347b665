//! Exact statistics of events: how many, of how many users, and the sum of their values.
//!
//! [`Statistics`] holds everything. Each worker counts in a [`Shard`] of its own. A [`Snapshot`] holds
//! the numbers at one instant. A [`Cut`] holds the whole state at one instant; its ids are copied while
//! counting goes on. An [`image`] is a cut as bytes. Three parts are below them and do not depend on one
//! another:
//!
//! - `section`: batches that become visible whole, and instants at which everything is read;
//! - [`sum`]: an exact sum of doubles;
//! - `users`: an exact set of ids.
//!
//! `totals` and `batch` hold what one worker has counted and is about to count; `kept` commits a batch
//! that must be on a disk first; `recovery` takes in what an earlier process kept.
//!
//! This room leaves out sockets, text, files, the clock, and the source of random keys.

mod batch;
mod cut;
pub mod image;
mod kept;
mod newcomers;
mod recovery;
mod section;
mod shard;
mod snapshot;
mod statistics;
pub mod sum;
mod sync;
mod totals;
mod users;

pub use cut::{Counted, Cut, Ids};
pub use kept::{KeptTotals, Ledger};
pub use recovery::Recovering;
pub use shard::{OpenGroup, Refused, Shard};
pub use snapshot::Snapshot;
pub use statistics::Statistics;
pub use totals::{KeptMark, RefusedGroup};
pub use users::{Lack, Positions, stored_ids};

#[cfg(all(test, not(loom)))]
mod tests;
