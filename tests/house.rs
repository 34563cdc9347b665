//! The rules of the house as tests: who may name whom, where unsafe code lives, what documents list.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, and those of them that each may name.
const ARROWS: [(&str, &[&str]); 16] = [
    ("mailbox", &[]),
    ("limits", &[]),
    ("calendar", &[]),
    ("sys", &["limits"]),
    ("log", &["calendar", "limits", "sys"]),
    ("cli", &[]),
    ("options", &["cli", "limits", "log", "sys"]),
    ("http", &["calendar", "limits"]),
    ("event", &["limits"]),
    ("stats", &["limits"]),
    ("server", &["limits", "log", "mailbox", "sys", "http"]),
    ("app", &["limits", "log", "mailbox", "sys", "http", "event", "stats", "server", "options"]),
    ("health", &["limits", "options"]),
    ("service", &["log", "sys"]),
    ("handover", &["limits", "sys", "server", "stats"]),
    (
        "supervisor",
        &["limits", "log", "mailbox", "sys", "options", "server", "app", "handover", "service"],
    ),
];

const LINES_MAX: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file below a folder, with its text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    files(folder, "rs")
}

/// Every file below a folder whose name has this extension, with its text. What tools have built or
/// fetched is left out.
fn files(folder: &Path, extension: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).expect("a folder");
    let mut entries: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            let name = entry.file_name().expect("a name");
            if !["target", "build", "node_modules"].iter().any(|skipped| name == *skipped) {
                found.extend(files(&entry, extension));
            }
        } else if entry.extension().is_some_and(|found| found == extension) {
            let text = read(&entry);
            found.push((entry, text));
        }
    }
    found
}

/// The text without comments, which may speak of anything.
fn code(text: &str) -> String {
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The rooms a text names by a path from the crate's root, alone or in a group of imports.
fn rooms_named(code: &str) -> Vec<&str> {
    let mut named = Vec::new();
    for start in code.split("crate::").skip(1) {
        let Some(group) = start.strip_prefix('{') else {
            named.push(first_name(start));
            continue;
        };
        // The names at the group's own level: those that follow its brace or one of its commas.
        let mut depth = 1;
        named.push(first_name(group));
        for (at, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => named.push(first_name(&group[at + 1..])),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    named
}

fn first_name(text: &str) -> &str {
    let text = text.trim_start();
    let end = text.find(|character: char| !character.is_alphanumeric() && character != '_');
    &text[..end.unwrap_or(text.len())]
}

#[test]
fn a_room_is_found_wherever_an_import_names_it() {
    let code = "use crate::limits::X; use crate::{\n http::{head::Head, body},\n stats,\n};\n\
                fn f() { crate::event::parse(crate::log) }";
    assert_eq!(rooms_named(code), ["limits", "http", "stats", "", "event", "log"]);
}

#[test]
fn rooms_name_only_those_they_may() {
    for (path, text) in sources(&root().join("src")) {
        let relative = path.strip_prefix(root().join("src")).expect("it is below src");
        let room = relative.components().next().expect("a room").as_os_str().to_string_lossy();
        let room = room.trim_end_matches(".rs");
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
            assert!(["main", "lib"].contains(&room), "{} is in no room", path.display());
            continue;
        };
        let code = code(&text);
        for (other, _) in
            ARROWS.iter().filter(|(other, _)| *other != room && !allowed.contains(other))
        {
            assert!(!rooms_named(&code).contains(other), "{} names {other}", path.display());
        }
    }
}

#[test]
fn the_c_library_is_called_in_one_room() {
    for (path, text) in sources(&root().join("src")) {
        let in_sys = path.starts_with(root().join("src/sys"));
        assert!(in_sys || !code(&text).contains("libc::"), "{} calls libc", path.display());
    }
}

#[test]
fn unsafe_code_says_why_and_why_it_is_safe() {
    for (path, text) in sources(&root().join("src")) {
        if path.ends_with("lib.rs") || !code(&text).contains("unsafe ") {
            continue;
        }
        assert!(
            text.contains("#![allow(unsafe_code)]") || text.contains("#[allow(unsafe_code)]"),
            "{}",
            path.display()
        );
        let lines: Vec<&str> = text.lines().collect();
        for (i, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("unsafe {")) {
            let near = &lines[i.saturating_sub(8)..=i];
            let explained = near.iter().any(|line| line.contains("SAFETY:"));
            assert!(explained, "{}:{}: {}", path.display(), i + 1, line.trim());
        }
    }
}

#[test]
fn files_have_one_subject_and_say_what_it_is() {
    for (path, text) in sources(&root().join("src")) {
        let is_test =
            path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests");
        let lines = text.lines().count();
        assert!(is_test || lines <= LINES_MAX, "{} has {lines} lines", path.display());
        assert!(is_test || text.starts_with("//!"), "{} does not say what it is", path.display());
    }
}

#[test]
fn the_server_has_six_packages_and_no_others() {
    let manifest = read("Cargo.toml");
    let dependencies =
        manifest.split("\n[dependencies]\n").nth(1).and_then(|rest| rest.split("\n\n").next());
    let names: Vec<&str> = dependencies
        .expect("a section")
        .lines()
        .filter_map(|line| line.split([' ', '=']).next())
        .collect();
    assert_eq!(names, ["itoa", "libc", "memchr", "mio", "ryu", "socket2"]);
}

#[test]
fn the_readme_lists_every_option() {
    let readme = read("README.md");
    for row in millrace::options::PROGRAM.rows {
        assert!(readme.contains(&format!("--{}", row.long)), "--{} is not in README.md", row.long);
        let variable = format!("MILLRACE_{}", row.long.to_uppercase().replace('-', "_"));
        assert!(
            row.variable().is_none() || readme.contains(&variable),
            "{variable} is not in README.md"
        );
    }
}

#[test]
fn every_route_is_in_the_readme() {
    let readme = read("README.md");
    for path in
        ["/event", "/stats", "/health", "/metrics", "/reset", "`GET /`", "/live", "/openapi.json"]
    {
        assert!(readme.contains(path), "{path}");
    }
}

/// A skipped test looks like a passed one unless `make test` lists it at its end, which it does for
/// what goes through `support::skip` or, in a shell script, into the file that SKIPPED_TESTS names.
#[test]
fn what_is_skipped_is_listed() {
    for (path, text) in
        sources(&root().join("tests")).into_iter().chain(sources(&root().join("src")))
    {
        let is_exempt = path.ends_with("support/skipped.rs") || path.ends_with("house.rs");
        let by_hand = text.lines().find(|line| {
            line.contains("println!(")
                && ["skipped", "not installed", "not checked"]
                    .iter()
                    .any(|word| line.contains(word))
        });
        assert!(is_exempt || by_hand.is_none(), "{}: call skip: {by_hand:?}", path.display());
    }
    for folder in ["tools", "tests"] {
        for (path, text) in files(&root().join(folder), "sh") {
            let skips = text.lines().any(|line| line.contains("echo") && line.contains("skipped"));
            let lists = text.contains("SKIPPED_TESTS");
            assert!(!skips || lists, "{}: append to $SKIPPED_TESTS", path.display());
        }
    }
}
