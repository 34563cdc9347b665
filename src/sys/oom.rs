//! Which process the kernel ends when memory runs out (`oom_score_adj`, proc_pid_oom_score_adj(5)).
//!
//! The kernel ends the process with the highest score, which is the memory it uses plus this
//! adjustment. A process may always raise its own, and lower it again to where it was.

use std::{fs, io};

/// The score at which the kernel ends this process before any other.
const FIRST_TO_END: &str = "1000";

const PATH: &str = "/proc/self/oom_score_adj";

/// While this process is the first that the kernel ends.
#[derive(Debug)]
pub struct Expendable {
    /// The adjustment before.
    before: String,
}

impl Expendable {
    /// Makes this process the first that the kernel ends when memory runs out.
    ///
    /// # Errors
    /// Where `/proc` is not mounted.
    pub fn begin() -> io::Result<Expendable> {
        let before = fs::read_to_string(PATH)?;
        fs::write(PATH, FIRST_TO_END)?;
        Ok(Expendable { before })
    }

    /// Makes this process as worthy as it was before.
    ///
    /// # Errors
    /// If the kernel does not allow it.
    pub fn end(self) -> io::Result<()> {
        fs::write(PATH, self.before.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::alone;
    use super::*;

    #[test]
    fn the_score_rises_and_comes_back() {
        alone("sys::oom::tests::the_score_rises_and_comes_back", || {
            let score = || fs::read_to_string(PATH).unwrap();
            // Not the default, so that a reset to zero would be seen.
            fs::write(PATH, "300").unwrap();
            let expendable = Expendable::begin().unwrap();
            assert_eq!(score().trim(), "1000");
            expendable.end().unwrap();
            assert_eq!(score().trim(), "300");
        });
    }
}
