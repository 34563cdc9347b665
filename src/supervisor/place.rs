//! The parent of this process, which decides whether another process may take its place.
//!
//! A restart ends this process and leaves its successor behind. Where the service ends with this process,
//! that would lose everything. So a restart is refused for
//!
//! - process 1 of a PID namespace, such as the only process of a container: the kernel ends all
//!   others with it;
//! - the process that a container's init (tini, `docker run --init`), or the runtime itself, has
//!   started: the container ends with it;
//! - a service of systemd that does not report its successor to systemd (not `Type=notify`): systemd
//!   ends all processes of the service with the one that it has started.
//!
//! A successor was started by its predecessor and by none of these, so it may be succeeded again.

use std::os::unix::process::parent_id;
use std::{env, fs, process};

/// Names what is above this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A shell, a service manager that learns of successors, or neither.
    Free,
    /// The service ends with this process; the reason, and what to do.
    Last(&'static str),
}

/// The PID namespace of the machine itself (`PROC_PID_INIT_INO` of linux/proc_ns.h).
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

impl Place {
    /// Finds the place of this process. Must be called early, since a parent may end.
    pub fn find() -> Place {
        let namespace = fs::read_link("/proc/self/ns/pid");
        let facts = Facts {
            id: process::id(),
            parent: parent_id(),
            // Where /proc is not mounted, this is a container of the simplest kind.
            in_container: !namespace.is_ok_and(|name| name.as_os_str() == FIRST_NAMESPACE),
            of_systemd: env::var("SYSTEMD_EXEC_PID")
                .is_ok_and(|id| id == process::id().to_string()),
            notifies: env::var_os("NOTIFY_SOCKET").is_some_and(|path| !path.is_empty()),
        };
        facts.judge()
    }
}

struct Facts {
    id: u32,
    parent: u32,
    in_container: bool,
    of_systemd: bool,
    notifies: bool,
}

impl Facts {
    fn judge(&self) -> Place {
        if self.id == 1 {
            return Place::Last(
                "this is process 1, and its container ends with it; restart the container instead",
            );
        }
        if self.notifies {
            return Place::Free;
        }
        // A process whose parent is outside of its namespace sees 0.
        if self.in_container && self.parent <= 1 {
            return Place::Last(
                "this process was started by the container's first one, and the container ends with it; restart the container instead",
            );
        }
        if self.of_systemd {
            return Place::Last(
                "systemd ends the service with this process; use Type=notify in its unit",
            );
        }
        Place::Free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_which_the_service_ends_is_recognized() {
        // Process id, parent, in a container, started by systemd, reports successors to it.
        for (id, parent, in_container, of_systemd, notifies, words) in [
            (1, 0, true, false, false, "process 1"),
            (1, 0, true, false, true, "process 1"),
            (7, 1, true, false, false, "container"),
            (7, 0, true, false, false, "container"),
            (7, 1, true, true, true, ""),
            (7, 5, true, false, false, ""),
            (900, 1, false, false, false, ""),
            (900, 1, false, true, false, "Type=notify"),
            (900, 800, false, true, false, "Type=notify"),
            (900, 1, false, true, true, ""),
            (900, 800, false, false, false, ""),
        ] {
            let place = Facts { id, parent, in_container, of_systemd, notifies }.judge();
            match place {
                Place::Free => assert_eq!(words, "", "{id} {parent}"),
                Place::Last(why) => assert!(!words.is_empty() && why.contains(words), "{why}"),
            }
        }
    }
}
