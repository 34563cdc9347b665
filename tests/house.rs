//! The rules of the house as tests: which room may name which, how long files and functions are,
//! where unsafe code lives, what documents list, which words are used.

#[path = "house/circles.rs"]
mod circles;
#[path = "house/exceptions.rs"]
mod exceptions;
#[path = "house/size.rs"]
mod size;
#[path = "house/source.rs"]
mod source;
#[path = "house/words.rs"]
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use source::{Source, files, read, root, sources};

/// The rooms, and those of them that each may name: only rooms above it, so that there is no circle.
/// `ARCHITECTURE.md` draws the same.
const ARROWS: &[(&str, &[&str])] = &[
    ("mailbox", &[]),
    ("limits", &[]),
    ("calendar", &[]),
    ("sys", &[]),
    ("log", &["calendar", "limits", "sys"]),
    ("cli", &[]),
    ("journal", &["limits", "log", "sys"]),
    ("http", &["calendar", "limits"]),
    ("options", &["cli", "limits", "log", "sys", "http", "journal"]),
    ("event", &["limits"]),
    ("stats", &["limits"]),
    ("server", &["limits", "log", "mailbox", "sys", "http"]),
    ("app", &["limits", "log", "sys", "http", "event", "stats", "server", "options", "journal"]),
    ("health", &["limits", "options"]),
    ("service", &["limits", "log", "sys"]),
    ("handover", &["limits", "sys", "server", "stats"]),
    (
        "supervisor",
        &[
            "limits", "log", "mailbox", "sys", "stats", "journal", "options", "server", "app",
            "handover", "service",
        ],
    ),
    ("main", &["cli", "log", "options", "health", "supervisor"]),
];

/// Returns the rooms that a text names by a path from the crate's root, alone or in a group of imports.
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

/// Returns the other rooms that a file names.
fn others_named(source: &Source) -> BTreeSet<String> {
    // The program names the library's rooms from outside.
    let code = source.code.replace("millrace::", "crate::");
    let is_other_room =
        |name: &&str| *name != source.room() && ARROWS.iter().any(|(room, _)| room == name);
    rooms_named(&code).into_iter().filter(is_other_room).map(str::to_owned).collect()
}

#[test]
fn rooms_name_exactly_those_they_may() {
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources("src").into_iter().filter(|source| source.room() != "lib") {
        let row = ARROWS.iter().find(|(room, _)| *room == source.room());
        let (_, allowed) = row.unwrap_or_else(|| panic!("{} is in no room", source.path));
        for other in others_named(&source) {
            assert!(allowed.contains(&other.as_str()), "{} names {other}", source.path);
            named.entry(source.room().to_owned()).or_default().insert(other);
        }
    }
    let mut unused = Vec::new();
    for (index, (room, allowed)) in ARROWS.iter().enumerate() {
        for other in *allowed {
            if !named.get(*room).is_some_and(|others| others.contains(*other)) {
                unused.push(format!("{room} → {other}"));
            }
            let is_above = ARROWS[..index].iter().any(|(above, _)| above == other);
            assert!(is_above, "{other} is not above {room} in the table");
        }
    }
    assert!(unused.is_empty(), "arrows that no file needs: {unused:?}");
}

/// Returns the public types that a file declares, if it is part of the program.
fn public_types(source: &Source) -> Vec<&str> {
    let is_of_tests =
        ["tests", "fuzz", "oracle", "model"].iter().any(|it| source.path.contains(it));
    let lines = source.code.lines().filter(|_| !is_of_tests);
    lines
        .filter_map(|line| {
            let declared = line.strip_prefix("pub ")?;
            let kinds = ["struct ", "enum ", "trait ", "type ", "union "];
            kinds.iter().find_map(|kind| declared.strip_prefix(kind)).map(first_name)
        })
        .collect()
}

/// A room and one that it names have no public types of the same name, so that a name means one thing
/// wherever it is read.
#[test]
fn a_type_means_one_thing_in_neighbouring_rooms() {
    let all = sources("src");
    let mut types: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in &all {
        types.entry(source.room()).or_default().extend(public_types(source));
    }
    let mut doubles = Vec::new();
    for (room, neighbours) in ARROWS {
        for neighbour in *neighbours {
            let (Some(own), Some(others)) = (types.get(room), types.get(neighbour)) else {
                continue;
            };
            doubles.extend(
                own.intersection(others).map(|name| format!("{name}: {room}, {neighbour}")),
            );
        }
    }
    // The one is the other, with its parameters.
    doubles.retain(|double| double != "Invocation: options, cli");
    assert!(doubles.is_empty(), "types of one name: {doubles:#?}");
}

#[test]
fn the_architecture_draws_the_same_arrows() {
    let drawn: Vec<String> = ARROWS
        .iter()
        .rev()
        .filter(|(_, others)| !others.is_empty())
        .map(|(room, others)| format!("{room:<10} → {}", others.join(", ")))
        .collect();
    let block = format!("```text\n{}\n```\n", drawn.join("\n"));
    let is_drawn = read("ARCHITECTURE.md").contains(&block);
    assert!(is_drawn, "ARCHITECTURE.md must have this block:\n{block}");
}

/// Every room has one row in the table, and every row a room.
#[test]
fn the_architecture_names_every_room() {
    let text = read("ARCHITECTURE.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let rows: BTreeSet<&str> = rows.filter(|name| name.contains('/')).collect();
    let mut rooms = BTreeSet::new();
    for (folder, files_too) in [("src", true), ("tools", false)] {
        for entry in fs::read_dir(root().join(folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            if files_too || entry.file_type().expect("a type").is_dir() {
                rooms.insert(format!("{folder}/{}", entry.file_name().display()));
            }
        }
    }
    assert_eq!(rows, rooms.iter().map(String::as_str).collect());
}

#[test]
fn the_c_library_is_called_in_one_room() {
    for source in sources("src") {
        let is_allowed = source.room() == "sys" || !source.code.contains("libc::");
        assert!(is_allowed, "{} calls libc", source.path);
    }
}

#[test]
fn unsafe_code_says_why_and_why_it_is_safe() {
    for source in sources("src") {
        if source.path == "src/lib.rs" || !source.code.contains("unsafe ") {
            continue;
        }
        assert!(source.text.contains("allow(unsafe_code)]"), "{}", source.path);
        let lines: Vec<&str> = source.text.lines().collect();
        for (i, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("unsafe {")) {
            let near = &lines[i.saturating_sub(8)..=i];
            let explained = near.iter().any(|line| line.contains("SAFETY:"));
            assert!(explained, "{}:{}: {}", source.path, i + 1, line.trim());
        }
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
fn the_table_of_options_lists_every_option() {
    let path = "docs/options.md";
    let table = read(path);
    for row in millrace::options::PROGRAM.rows {
        assert!(table.contains(&format!("--{}", row.long)), "--{} is not in {path}", row.long);
        let variable = format!("MILLRACE_{}", row.long.to_uppercase().replace('-', "_"));
        let is_listed = row.variable().is_none() || table.contains(&variable);
        assert!(is_listed, "{variable} is not in {path}");
    }
}

#[test]
fn every_route_is_in_the_description_of_the_interface() {
    let description = read("docs/api.md");
    for path in [
        "/event`",
        "/events`",
        "/stats",
        "/health",
        "/metrics",
        "/reset",
        "`GET /`",
        "/live",
        "/openapi.json",
    ] {
        assert!(description.contains(path), "{path}");
    }
}

/// A reader who follows a link of a document finds a file, and docs/README.md leads to every document.
#[test]
fn links_lead_to_files_and_the_index_to_every_document() {
    let is_document = |path: &Path| path.extension().is_some_and(|it| it == "md");
    let mut documents = files("docs", is_document);
    let top = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"];
    documents.extend(top.iter().map(|name| Path::new(name).to_owned()));
    let index = read("docs/README.md");
    for document in &documents {
        let text = read(document);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let folder = document.parent().expect("a folder");
            let exists = root().join(folder).join(file).exists();
            assert!(exists, "{} links to {link}, which does not exist", document.display());
        }
        let name = document.file_name().expect("a name").display().to_string();
        let is_listed = name == "README.md" || !document.starts_with("docs");
        assert!(is_listed || index.contains(&format!("({name})")), "{name} is not in the index");
    }
}

/// A skipped test looks like a passed one unless `make test` lists it at its end, which it does for
/// what goes through `support::skip` or, in a shell script, into the file that SKIPPED_TESTS names.
#[test]
fn what_is_skipped_is_listed() {
    for source in sources("tests").into_iter().chain(sources("src")) {
        let is_exempt = source.path.ends_with("skipped.rs") || source.path.ends_with("house.rs");
        let by_hand = source.text.lines().find(|line| {
            let words = ["skipped", "not installed", "not checked"];
            line.contains("println!(") && words.iter().any(|word| line.contains(word))
        });
        assert!(is_exempt || by_hand.is_none(), "{}: call skip: {by_hand:?}", source.path);
    }
    let is_script = |path: &Path| path.extension().is_some_and(|extension| extension == "sh");
    for path in files("tools", is_script).into_iter().chain(files("tests", is_script)) {
        let text = read(&path);
        let skips = text.lines().any(|line| line.contains("echo") && line.contains("skipped"));
        let lists = text.contains("SKIPPED_TESTS");
        assert!(!skips || lists, "{}: append to $SKIPPED_TESTS", path.display());
    }
}
