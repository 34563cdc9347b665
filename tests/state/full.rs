//! A full disk: new users are refused, known users go on, and so do new ones when there is space again.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Scratch;
use super::support::{Client, Server, Stats, command, event, eventually, post, skip};

/// A file system of its own, of this number of bytes; gone when dropped.
struct Disk(CString);

impl Disk {
    fn mount(path: &Path, bytes: u64) -> Option<Disk> {
        fs::create_dir(path).unwrap();
        let target = CString::new(path.as_os_str().as_bytes()).unwrap();
        let options = CString::new(format!("size={bytes},mode=700")).unwrap();
        let kind = c"tmpfs".as_ptr();
        // SAFETY: mount(2) reads strings that end in zero and live for the call.
        let status =
            unsafe { libc::mount(kind, target.as_ptr(), kind, 0, options.as_ptr().cast()) };
        (status == 0).then_some(Disk(target))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // SAFETY: umount2(2) reads a string that ends in zero.
        unsafe { libc::umount2(self.0.as_ptr(), libc::MNT_DETACH) };
    }
}

/// Sends batches of 500 new users until one is refused. Returns how many were counted.
fn fill(client: &mut Client, name: &str) -> u64 {
    for batch in 0.. {
        let line = |user| {
            let id = format!("{name}_{batch}_{user}_{}", "x".repeat(100));
            format!("{{\"userId\":\"{id}\",\"value\":1}}\n")
        };
        client.send(post("/events", &(0..500).map(line).collect::<String>()).as_bytes());
        let answer = client.answer();
        match answer.status {
            200 => {}
            507 => {
                assert!(answer.text().contains("The disk of the state directory is full"));
                return batch * 500;
            }
            other => panic!("{other}: {}", answer.text()),
        }
        assert!(batch < 1_000, "it is never full");
    }
    unreachable!("the numbers of batches have no end")
}

/// Fills the disk, tries, frees it by `free`, and tries again.
fn full_and_free(arguments: &[&str], state: &Path, free: impl FnOnce(&Server)) {
    let with_state = || {
        let mut command = command(arguments);
        command.arg("--state").arg(state);
        command
    };
    let server = Server::run(&mut with_state());
    let mut client = server.connect();
    client.send(event("known", 1.0).as_bytes());
    assert_eq!(client.answer().status, 200);
    let mut count = 1 + fill(&mut client, "first");
    let mut users = count;
    server.line_with("the disk is full: new users are refused until there is space");
    assert_eq!(server.metric("millrace_journal_disk_full"), 1.0);
    for _ in 0..300 {
        client.send(event("known", 1.0).as_bytes());
        assert_eq!(client.answer().status, 200);
        count += 1;
    }
    let is_same = |stats: Stats, users| {
        assert_eq!((stats.events, stats.users, stats.sum), (count, users, Some(count as f64)));
    };
    is_same(Stats::parse(&server.stats()), users);

    // A crash, and a start on the full disk: everything is there, known users go on.
    drop(server);
    let server = Server::run(&mut with_state());
    is_same(Stats::parse(&server.stats()), users);
    assert_eq!(server.once(&event("known", 1.0)).status, 200);
    count += 1;
    let mut client = server.connect();
    let more = fill(&mut client, "second");
    (count, users) = (count + more, users + more);

    free(&server);
    eventually("new users are counted again", || {
        client.send(event("after", 1.0).as_bytes());
        let status = client.answer().status;
        assert!([200, 507].contains(&status), "{status}");
        status == 200
    });
    (count, users) = (count + 1, users + 1);
    server.line_with("there is space on the disk again");
    assert_eq!(server.metric("millrace_journal_disk_full"), 0.0);
    drop(server);
    let server = Server::run(&mut with_state());
    let stats = Stats::parse(&server.stats());
    assert_eq!((stats.events, stats.users), (count, users));
    drop(server);
}

#[test]
fn a_full_file_system_refuses_new_users_until_there_is_space() {
    let scratch = Scratch::new();
    let path = scratch.path.join("disk");
    let Some(disk) = Disk::mount(&path, 8 << 20) else {
        return skip("not allowed to mount a file system of its own: a full disk");
    };
    for fsync in ["everysec", "always"] {
        let other = path.join("other");
        fs::write(&other, vec![0; 3 << 20]).unwrap();
        let arguments = ["--workers", "1", "--fsync", fsync];
        let state = path.join(fsync);
        full_and_free(&arguments, &state, |_| fs::remove_file(&other).unwrap());
        fs::remove_dir_all(&state).unwrap();
    }
    // A directory that cannot even be made.
    fs::write(path.join("all"), vec![0; 7 << 20]).unwrap();
    let _ = fs::write(path.join("rest"), vec![0; 2 << 20]);
    let mut full = command(&[]);
    let Err((status, lines)) = Server::try_run(full.arg("--state").arg(path.join("new"))) else {
        panic!("it starts without a byte of space");
    };
    assert_eq!((status.code(), lines.len()), (Some(1), 1), "{lines:?}");
    assert!(lines[0].contains("free some space"), "{lines:?}");
    drop(disk);
}

/// What a file may have is limited, not the disk: the same for anyone, without a file system of its own.
#[test]
fn a_limit_of_file_sizes_is_a_full_disk() {
    let scratch = Scratch::new();
    let state = scratch.state();
    let limit = |server: &Server, bytes: u64| {
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
        let id = server.process_id() as i32;
        // SAFETY: prlimit(2) reads one structure, which is there, and writes nothing.
        let status = unsafe { libc::prlimit(id, libc::RLIMIT_FSIZE, &limit, std::ptr::null_mut()) };
        assert_eq!(status, 0);
    };
    let server = Server::run(scratch.command(&["--workers", "1"]).arg("--state").arg(&state));
    // Within a page, so that the last write of zeros is a short one.
    limit(&server, (3 << 20) + 1_000);
    let mut client = server.connect();
    let count = fill(&mut client, "first");
    server.line_with("the disk is full");
    limit(&server, libc::RLIM_INFINITY);
    eventually("new users are counted again", || {
        client.send(event("after", 1.0).as_bytes());
        client.answer().status == 200
    });
    drop(server);
    let server = Server::run(&mut scratch.command(&["--workers", "1"]));
    let stats = Stats::parse(&server.stats());
    assert_eq!((stats.events, stats.users), (count + 1, count + 1));
}
