//! The unit files, as systemd reads them; skipped where its tools are not installed.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/deploy")
}

/// What `systemd-analyze` says of a command; `None` if it is not installed.
fn analyze(arguments: &[&str]) -> Option<(bool, String)> {
    match Command::new("systemd-analyze").args(arguments).output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
        }
        Err(_) => {
            support::skip("systemd-analyze is not installed (apt-get install systemd)");
            None
        }
    }
}

#[test]
fn the_units_are_valid_and_leave_little_to_an_intruder() {
    let place = std::env::temp_dir().join(format!("millrace-units-{}", std::process::id()));
    fs::create_dir_all(&place).expect("a folder");
    let service = fs::read_to_string(folder().join("millrace.service")).expect("the service");
    // The program has to be where the unit says that it is.
    let service = service.replace("/usr/bin/millrace", env!("CARGO_BIN_EXE_millrace"));
    // A manual page that is not installed here is no fault of the unit's.
    let service = service.replace("Documentation=man:millrace(1)\n", "");
    fs::write(place.join("millrace.service"), service).expect("written");
    fs::copy(folder().join("millrace.socket"), place.join("millrace.socket")).expect("copied");
    for unit in ["millrace.service", "millrace.socket"] {
        let path = place.join(unit);
        if let Some((success, said)) = analyze(&["verify", path.to_str().expect("text")]) {
            // Other units of the machine may be at fault; ours are named by their files.
            assert!(success && !said.contains("millrace"), "{unit}: {said}");
        }
    }
    let path = place.join("millrace.service");
    let path = path.to_str().expect("text");
    // Exposure in tenths: 0 is none, 100 all there is.
    if let Some((success, said)) = analyze(&["security", "--offline=yes", "--threshold=15", path]) {
        assert!(success, "{said}");
    }
    fs::remove_dir_all(place).expect("removed");
}

#[test]
fn variables_of_the_default_file_are_options() {
    let text = fs::read_to_string(folder().join("millrace.default")).expect("the file");
    let assignments = text.lines().filter_map(|line| line.strip_prefix("#MILLRACE_"));
    let mut count = 0;
    for assignment in assignments {
        let (name, value) = assignment.split_once('=').expect("an assignment");
        let long = name.to_lowercase().replace('_', "-");
        let option = format!("--{long}={value}");
        assert!(millrace::options::parse([option.clone().into()], []).is_ok(), "{option}");
        count += 1;
    }
    assert!(count >= 3);
}
