//! No circle between files of a room.
//!
//! File A depends on file B if A names something that B defines, by a path that begins with
//! `super`, `self`, `crate` or the name of a child. Two things are no dependency:
//!
//! - `mod child;` and `pub use child::Thing;`: with them a parent only shows what its children define;
//! - a name that the parent shows, used by another child: it leads to the file that defines it.
//!
//! So a parent may be a front that shows its children, or a base whose definitions its children use,
//! or on top and use them. It must not be base and top at once: neither of the two files
//! could be read without the other.
//!
//! Tests are left out: they name everything, and nothing names them.

use std::collections::{BTreeMap, BTreeSet};

use super::exceptions;
use super::source::{Source, production_sources};

/// A module's path from the crate's root.
type Module = Vec<String>;

/// What a file names, and by which names.
struct File {
    path: String,
    /// Every path that is named, with the name that it gets here.
    named: Vec<Named>,
    code: String,
}

struct Named {
    path: Module,
    alias: String,
    /// `pub use` of a child: the file shows it and does not depend on it.
    is_shown: bool,
}

type Files = BTreeMap<Module, File>;

fn module_of(path: &str) -> Module {
    let below = path.strip_prefix("src/").expect("below src");
    let below = below.trim_end_matches(".rs").trim_end_matches("/mod");
    below.split('/').filter(|name| !["lib", "main"].contains(name)).map(str::to_owned).collect()
}

fn read_files(sources: &[Source]) -> Files {
    let mut files: Files = BTreeMap::new();
    let modules: BTreeSet<Module> = sources.iter().map(|it| module_of(&it.path)).collect();
    for source in sources.iter().filter(|it| it.path != "src/main.rs") {
        let module = module_of(&source.path);
        let code = source.code_without_tests();
        let named = names(&code, &module, &modules);
        files.insert(module, File { path: source.path.clone(), named, code });
    }
    files
}

/// Every path in the code that leads into the crate.
fn names(code: &str, module: &Module, modules: &BTreeSet<Module>) -> Vec<Named> {
    let mut found = Vec::new();
    let mut before = "";
    let mut rest = code;
    // The names that a statement begins with: `pub`, `use`.
    let mut statement = Vec::new();
    while let Some(start) = rest.find(|c: char| c.is_alphanumeric() || c == '_' || c == ';') {
        let between = &rest[..start];
        rest = &rest[start..];
        if between.contains(['{', '}']) {
            statement.clear();
        }
        if let Some(after) = rest.strip_prefix(';') {
            statement.clear();
            rest = after;
            continue;
        }
        let name = first_name(rest);
        rest = &rest[name.len()..];
        let is_inside_a_path = between.trim_end().ends_with("::") || between.ends_with(['.', '\'']);
        let mut child = module.clone();
        child.push(name.to_owned());
        let is_child = modules.contains(&child) && before != "mod" && before != "fn";
        let start = match name {
            "crate" => Some(Vec::new()),
            "self" => Some(module.clone()),
            "super" => Some(parent(module)),
            _ if is_child => Some(child),
            _ => None,
        };
        let start = start.filter(|_| !is_inside_a_path && rest.starts_with("::"));
        if let Some(start) = start {
            let is_public_use =
                statement.first() == Some(&"pub") && statement.last() == Some(&"use");
            let tail = tree(&rest[2..], start, &mut found, is_public_use);
            rest = &rest[2 + tail..];
        }
        statement.push(name);
        before = name;
    }
    found
}

/// Reads what follows a `::`: a name, a group of names or a star. Returns its length.
fn tree(text: &str, mut path: Module, found: &mut Vec<Named>, is_shown: bool) -> usize {
    let whole = text.len();
    let mut text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        text = group;
        loop {
            text = text.trim_start();
            match text.chars().next() {
                Some('}') => return whole - text.len() + 1,
                Some(',') => text = &text[1..],
                Some(_) => {
                    let length = tree(text, path.clone(), found, is_shown);
                    text = &text[length.max(1)..];
                }
                None => return whole,
            }
        }
    }
    let name = first_name(text);
    if name.is_empty() {
        // A star, or the type arguments of what has been read.
        let alias = if text.starts_with('*') { "*" } else { "" };
        found.push(Named { path, alias: alias.to_owned(), is_shown });
        return whole - text.len() + alias.len();
    }
    text = &text[name.len()..];
    match name {
        "super" => path = parent(&path),
        "self" => {}
        _ => path.push(name.to_owned()),
    }
    if let Some(rest) = text.strip_prefix("::") {
        return whole - rest.len() + tree(rest, path, found, is_shown);
    }
    let mut alias = path.last().cloned().unwrap_or_default();
    if let Some(rest) = text.trim_start().strip_prefix("as ") {
        alias = first_name(rest.trim_start()).to_owned();
        text = &rest.trim_start()[alias.len()..];
    }
    found.push(Named { path, alias, is_shown });
    whole - text.len()
}

fn first_name(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_alphanumeric() && character != '_');
    &text[..end.unwrap_or(text.len())]
}

fn parent(module: &Module) -> Module {
    module[..module.len().saturating_sub(1)].to_vec()
}

/// The module whose file defines what a path leads to.
fn definition(path: &Module, files: &Files, depth: usize) -> Option<Module> {
    let module = (0..=path.len()).rev().map(|length| path[..length].to_vec());
    let module = module.into_iter().find(|module| files.contains_key(module))?;
    let Some(name) = path.get(module.len()).filter(|_| depth < 10) else { return Some(module) };
    let file = &files[&module];
    if defines(&file.code, name) {
        return Some(module);
    }
    let by_name = file.named.iter().find(|it| it.alias == *name && it.path != *path);
    if let Some(named) = by_name {
        return definition(&named.path, files, depth + 1);
    }
    let shows = |named: &&Named| {
        let is_star = named.alias == "*";
        is_star && files.get(&named.path).is_some_and(|shown| defines(&shown.code, name))
    };
    let by_star = file.named.iter().find(shows);
    Some(by_star.map_or(module, |named| named.path.clone()))
}

fn defines(code: &str, name: &str) -> bool {
    ["fn", "struct", "enum", "trait", "const", "static", "type", "macro_rules!"].iter().any(
        |kind| {
            let words = format!("{kind} {name}");
            let mut places = code.match_indices(&words);
            places.any(|(at, _)| first_name(&code[at + kind.len() + 1..]) == name)
        },
    )
}

/// Which file of a room depends on which, as places in the list of the room's files.
fn dependencies(room: &str, files: &Files) -> BTreeMap<Module, BTreeSet<Module>> {
    let is_in_room = |module: &Module| module.first().is_some_and(|name| name == room);
    let mut edges = BTreeMap::new();
    for (module, file) in files.iter().filter(|(module, _)| is_in_room(module)) {
        let named = file.named.iter().filter(|it| !it.is_shown);
        let targets = named.filter_map(|it| definition(&it.path, files, 0));
        let others = targets.filter(|target| is_in_room(target) && target != module).collect();
        edges.insert(module.clone(), others);
    }
    edges
}

/// The files that are on a circle: those that depend on themselves by way of others.
fn on_circles(edges: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<Module> {
    let reaches_itself = |start: &&Module| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![*start]);
        while let Some(module) = open.pop() {
            open.extend(edges.get(module).into_iter().flatten().filter(|it| seen.insert(*it)));
        }
        seen.contains(*start)
    };
    edges.keys().filter(reaches_itself).cloned().collect()
}

#[test]
fn no_circle_between_files_of_a_room() {
    let files = read_files(&production_sources("src"));
    let rooms: BTreeSet<&str> =
        files.keys().filter_map(|it| it.first().map(String::as_str)).collect();
    let mut found = Vec::new();
    for room in rooms {
        let edges = dependencies(room, &files);
        let circle = on_circles(&edges);
        if !circle.is_empty() {
            let steps = circle.iter().map(|module| {
                let to = edges[module].iter().filter(|it| circle.contains(it));
                let to: Vec<&str> = to.map(|it| files[it].path.as_str()).collect();
                format!("\n  {} -> {}", files[module].path, to.join(", "))
            });
            found.push((room.to_owned(), steps.collect::<String>()));
        }
    }
    exceptions::judge("circles within a room", &found, exceptions::CIRCLES);
}

#[test]
fn dependencies_are_found_and_fronts_are_none() {
    let sources: Vec<Source> = [
        ("src/r/mod.rs", "mod a;\nmod b;\nmod c;\npub use a::A;\npub use c::*;\npub struct Base;"),
        ("src/r/a.rs", "use super::b::{self, B as Other};\npub struct A;"),
        ("src/r/b.rs", "use crate::r::{C, Base};\npub struct B;"),
        ("src/r/c.rs", "pub struct C;\n#[cfg(test)]\nmod tests { use super::super::A; }"),
        ("src/r/d.rs", "fn f() -> super::A { crate::r::C::new::<u8>() }"),
    ]
    .map(|(path, text)| Source::new(path, text.to_owned()))
    .into();
    let files = read_files(&sources);
    let edges = dependencies("r", &files);
    let of = |name: &str| -> Vec<String> {
        let module = ["r".to_owned(), name.to_owned()];
        edges[&module[..usize::from(!name.is_empty()) + 1].to_vec()]
            .iter()
            .map(|it| it.join("::"))
            .collect()
    };
    assert_eq!(of(""), [""; 0]);
    assert_eq!(of("a"), ["r::b"]);
    assert_eq!(of("b"), ["r", "r::c"]);
    assert_eq!(of("c"), [""; 0]);
    assert_eq!(of("d"), ["r::a", "r::c"]);
    assert!(on_circles(&edges).is_empty());
}

#[test]
fn a_circle_is_found() {
    for (parent, child) in [
        ("mod a;\npub struct Base;\nfn f() { a::g() }", "use super::Base;\npub fn g() {}"),
        ("mod a;\nuse a::A;\npub trait T {}", "struct A;\nimpl super::T for A {}"),
    ] {
        let sources = [("src/r/mod.rs", parent), ("src/r/a.rs", child)]
            .map(|(path, text)| Source::new(path, text.to_owned()));
        assert_eq!(on_circles(&dependencies("r", &read_files(&sources))).len(), 2, "{parent}");
    }
}
