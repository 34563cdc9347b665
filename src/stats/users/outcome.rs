//! The outcome of an insertion, and what a refused user lacked.

/// Tells what became of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was in the set.
    Known,
    /// It was not in the set, and is now.
    New,
    /// It is not in the set, because something was lacking.
    Refused(Lack),
}

/// Names what a new user lacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// A place: the limit of users is reached.
    Place,
    /// Memory.
    Memory,
    /// Room on the disk.
    Disk,
}
