//! Directories that cannot be used: one line that names the path and what to do, exit status 1, and
//! nothing changed. `--check` prints the same line. And directories that can be used: `--check` makes
//! and changes nothing.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, io};

use super::Scratch;
use super::support::{Server, command, event, skip};

/// A user that is not the superuser.
const OTHER_USER: u32 = 65_534;

/// Makes a directory that a server has used: two users, two lanes.
fn used(path: &Path) {
    let server = Server::run(command(&["--workers", "2"]).arg("--state").arg(path));
    for user in ["a", "b"] {
        assert_eq!(server.once(&event(user, 1.0)).status, 200);
    }
    server.stop();
}

/// A file or directory: its name, mode, owner and content.
type Entry = (OsString, u32, u32, Vec<u8>);

/// Returns all that is in a directory, or at a path that is none.
pub fn snapshot(path: &Path) -> io::Result<Vec<Entry>> {
    let metadata = fs::metadata(path)?;
    if metadata.is_file() {
        return Ok(vec![("".into(), metadata.mode(), metadata.uid(), fs::read(path)?)]);
    }
    let mut all = vec![("".into(), metadata.mode(), metadata.uid(), Vec::new())];
    for entry in fs::read_dir(path)? {
        let (name, path) = {
            let entry = entry?;
            (entry.file_name(), entry.path())
        };
        let metadata = fs::metadata(&path)?;
        all.push((name, metadata.mode(), metadata.uid(), fs::read(&path)?));
    }
    all.sort();
    Ok(all)
}

/// Runs a server that must not start, and `--check` with the same arguments. Returns the line.
fn refusal(command: impl Fn() -> Command, path: &Path) -> String {
    let before = snapshot(path).ok();
    let mut lines = Vec::new();
    for check in [false, true] {
        let mut command = command();
        command.arg("--state").arg(path).args(check.then_some("--check"));
        let (status, printed) = match Server::try_run(&mut command) {
            Ok(_) => panic!("it is not refused: {}", path.display()),
            Err(ended) => ended,
        };
        let [text] = &printed[..] else { panic!("more than a line: {printed:?}") };
        assert_eq!(status.code(), Some(1), "--check {check}: {text}");
        lines.push(text.clone());
    }
    assert_eq!(lines[0], lines[1], "--check prints another line");
    assert!(snapshot(path).ok() == before, "changed: {}", lines[0]);
    lines.swap_remove(0)
}

fn patch(path: &Path, offsets: &[u64], bytes: &[u8]) {
    let file = fs::File::options().write(true).open(path).expect("the file is there");
    offsets.iter().for_each(|&offset| file.write_all_at(bytes, offset).expect("written"));
}

#[test]
fn what_cannot_be_used_is_refused_and_left_as_it_was() {
    type Arrange = fn(&Path);
    let cases: [(&str, Arrange, &[&str]); 12] = [
        ("a file", |path| fs::write(path, "x").unwrap(), &["choose the path of a directory"]),
        (
            "other files",
            |path| {
                fs::create_dir(path).unwrap();
                fs::write(path.join("notes"), "x").unwrap();
            },
            &["\"notes\"", "use an empty or a new directory"],
        ),
        (
            "no parent",
            |path| {
                let _ = fs::remove_dir(path.parent().unwrap());
            },
            &["make the directory above it first"],
        ),
        (
            "no control file",
            |path| {
                used(path);
                fs::remove_file(path.join("control")).unwrap();
            },
            &["/control: is missing", "--salvage"],
        ),
        (
            "no lane",
            |path| {
                used(path);
                fs::remove_file(path.join("lane-0001")).unwrap();
            },
            &["/lane-0001: is missing", "--salvage"],
        ),
        (
            "text",
            |path| {
                used(path);
                fs::write(path.join("control"), "notes ".repeat(2_000)).unwrap();
            },
            &["/control: damaged at byte 0: this is not a control file of millrace"],
        ),
        (
            "newer",
            |path| {
                used(path);
                patch(&path.join("control"), &[8, 4_104], &99_u32.to_le_bytes());
            },
            &["/control: written by a newer version", "format 99", "use that version"],
        ),
        (
            "newer lane",
            |path| {
                used(path);
                patch(&path.join("lane-0001"), &[8], &99_u32.to_le_bytes());
            },
            &["/lane-0001: written by a newer version", "format 99"],
        ),
        (
            "short control file",
            |path| {
                used(path);
                fs::File::options()
                    .write(true)
                    .open(path.join("control"))
                    .unwrap()
                    .set_len(4_500)
                    .unwrap();
            },
            &["/control: damaged at byte", "too short", "--salvage"],
        ),
        (
            "lanes changed places",
            |path| {
                used(path);
                fs::rename(path.join("lane-0000"), path.join("x")).unwrap();
                fs::rename(path.join("lane-0001"), path.join("lane-0000")).unwrap();
                fs::rename(path.join("x"), path.join("lane-0001")).unwrap();
            },
            &["/lane-0000: ", "--salvage"],
        ),
        (
            "a lane of another directory",
            |path| {
                let other = path.with_extension("other");
                used(path);
                used(&other);
                fs::copy(other.join("lane-0001"), path.join("lane-0001")).unwrap();
            },
            &["/lane-0001: ", "--salvage"],
        ),
        (
            "a flipped bit in an id",
            |path| {
                used(path);
                for lane in ["lane-0000", "lane-0001"] {
                    patch(&path.join(lane), &[65_536], b"\x7f");
                }
            },
            &["/lane-000", "damaged at byte 65536", "--salvage"],
        ),
    ];
    for (name, arrange, parts) in cases {
        let scratch = Scratch::new();
        let path = scratch.path.join("above/state");
        fs::create_dir(scratch.path.join("above")).unwrap();
        arrange(&path);
        let line = refusal(|| command(&[]), &path);
        let begin = format!("millrace: {}", path.display());
        assert!(line.starts_with(&begin), "{name}: {line}");
        assert!(parts.iter().all(|part| line.contains(part)), "{name}: {line}");
    }
}

#[test]
fn a_directory_in_use_is_refused_until_its_process_has_ended() {
    let scratch = Scratch::new();
    let path = scratch.state();
    used(&path);
    for _ in 0..20 {
        // A helper process of a server that was killed does not hold the lock.
        let server = Server::run(&mut scratch.command(&[]));
        let line = refusal(|| command(&[]), &path);
        assert!(
            line.contains("another process uses this state directory; stop it first"),
            "{line}"
        );
        assert_eq!(server.count(), 2);
    }
}

#[test]
fn a_directory_of_another_user_or_without_rights_is_refused() {
    let scratch = Scratch::new();
    let root = fs::metadata(&scratch.path).unwrap().uid() == 0;
    let place = env::temp_dir().join(format!("millrace-rights-{}", std::process::id()));
    fs::create_dir(&place).unwrap();
    let _remove = Scratch { path: place.clone() };
    // Another user may not be able to reach the program where it was built.
    let program = place.join("millrace");
    fs::copy(env!("CARGO_BIN_EXE_millrace"), &program).unwrap();
    fs::set_permissions(&place, Permissions::from_mode(0o755)).unwrap();
    let user = if root { OTHER_USER } else { fs::metadata(&scratch.path).unwrap().uid() };
    let as_user = || {
        let mut command = Command::new(&program);
        command.env_clear().args(["--listen", "127.0.0.1:0"]).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        if root {
            command.uid(user).gid(user);
        }
        command
    };
    let give = |path: &Path, mode| {
        if root {
            chown(path, Some(user), Some(user)).unwrap();
        }
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    let check = |path: PathBuf, parts: &[&str]| {
        let line = refusal(as_user, &path);
        let whole = parts.iter().all(|part| line.contains(part));
        assert!(line.starts_with(&format!("millrace: {}", path.display())) && whole, "{line}");
        // So that it can be removed.
        let _ = fs::set_permissions(&path, Permissions::from_mode(0o700));
    };
    let no_right = &["no right to use it", "it must be readable and writable"][..];

    let empty = place.join("empty");
    fs::create_dir(&empty).unwrap();
    give(&empty, 0o500);
    check(empty, no_right);

    let above = place.join("above");
    fs::create_dir(&above).unwrap();
    give(&above, 0o500);
    check(above.join("state"), no_right);

    for name in ["control", "lane-0001"] {
        let path = place.join(format!("read-only-{name}"));
        used(&path);
        give(&path, 0o700);
        for entry in fs::read_dir(&path).unwrap() {
            let entry = entry.unwrap();
            give(&entry.path(), if entry.file_name() == name { 0o400 } else { 0o600 });
        }
        check(path, no_right);
    }
    if !root {
        return skip("not the superuser: directories of other users");
    }
    let foreign = place.join("foreign");
    used(&foreign);
    chown(&foreign, Some(1), Some(1)).unwrap();
    let line = refusal(|| command(&[]), &foreign);
    assert!(
        line.contains("belongs to user 1, but this process runs as user 0; run it as"),
        "{line}"
    );
    chown(&foreign, Some(0), Some(0)).unwrap();
    chown(foreign.join("lane-0000"), Some(1), Some(1)).unwrap();
    let line = refusal(|| command(&[]), &foreign);
    assert!(line.contains("/lane-0000: belongs to user 1"), "{line}");
}

#[test]
fn a_check_makes_and_changes_nothing() {
    let scratch = Scratch::new();
    let checked = |path: &Path| {
        let output = command(&["--check"]).arg("--state").arg(path).stdout(Stdio::piped()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(output.stdout.starts_with(b"the configuration is valid"), "{output:?}");
    };
    checked(&scratch.state());
    assert!(!scratch.state().exists());
    fs::create_dir(scratch.state()).unwrap();
    checked(&scratch.state());
    assert_eq!(fs::read_dir(scratch.state()).unwrap().count(), 0);
    used(&scratch.state());
    let before = snapshot(&scratch.state()).unwrap();
    checked(&scratch.state());
    assert!(snapshot(&scratch.state()).unwrap() == before, "the check has changed it");
    fs::remove_dir_all(scratch.state()).unwrap();
    used(&scratch.state());
    let modes = snapshot(&scratch.state()).unwrap().into_iter().map(|(_, mode, ..)| mode & 0o777);
    // The directory, the control file, and for each of two workers a lane and its cells.
    assert_eq!(modes.collect::<Vec<_>>(), [0o700, 0o600, 0o600, 0o600, 0o600, 0o600]);
}
