//! What the server asks of the operating system beyond sockets, one file a subject.
//!
//! The only room that calls libc: the others see plain types and `io::Result`, never a constant
//! of the C library. Sockets and readiness are not here, mio and socket2 wrap those. Linux is
//! assumed (`/proc`, coarse clocks, processor masks).

pub mod affinity;
pub mod clock;
pub mod descriptors;
pub mod errors;
pub mod process;
pub mod random;
pub mod signals;
