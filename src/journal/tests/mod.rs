//! What the journal promises, tried on a disk in memory and on real files.

mod bugs;
mod cells;
mod crashes;
mod damage;
mod running;
mod salvage;
mod world;
