//! How long files and functions may be, and what must not be on a request's way.

use super::exceptions;
use super::source::{Source, item_end, production_sources};

/// Lines of a file with its own tests, which are read beside what they test.
const FILE_LINES_MAX: usize = 500;

/// Lines of a function, from its name to its closing brace.
const FUNCTION_LINES_MAX: usize = 60;

/// The comment above a function that is one long table: its rows need no limit.
const TABLE: &str = "// A table: ";

/// Rooms that a request passes through.
const ON_THE_WAY: [&str; 3] = ["http", "server", "app"];

#[test]
fn files_have_one_subject_and_a_head() {
    let sources = [production_sources("src"), production_sources("tools")].concat();
    for source in &sources {
        // A fuzz target is one call.
        let is_target = source.path.starts_with("tools/fuzz");
        assert!(is_target || source.text.starts_with("//!"), "{} has no head", source.path);
    }
    let long = sources.iter().filter(|source| source.text.lines().count() > FILE_LINES_MAX);
    let found: Vec<_> = long
        .map(|source| (source.path.clone(), format!("{} lines", source.text.lines().count())))
        .collect();
    exceptions::judge("files that are too long", &found, exceptions::LONG_FILES);
}

/// The name, the first line (from 0) and the number of lines of each function.
fn functions(source: &Source) -> Vec<(String, usize, usize)> {
    let code = source.code_without_tests();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let is_word = !code[..at].ends_with(|it: char| it.is_alphanumeric() || it == '_');
        let name: String =
            code[at + 3..].chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect();
        if is_word && !name.is_empty() {
            let body = &code[at..item_end(&code, at)];
            let line = code[..at].matches('\n').count();
            found.push((name, line, body.matches('\n').count() + 1));
        }
    }
    found
}

fn is_table(source: &Source, line: usize) -> bool {
    let above: Vec<&str> = source.text.lines().take(line).collect();
    let near = above.iter().rev().take_while(|text| {
        let text = text.trim_start();
        text.starts_with("//") || text.starts_with("#[")
    });
    near.into_iter().any(|text| text.contains(TABLE))
}

#[test]
fn functions_fit_on_a_page() {
    let mut found = Vec::new();
    for source in [production_sources("src"), production_sources("tools")].concat() {
        for (name, line, count) in functions(&source) {
            if count > FUNCTION_LINES_MAX && !is_table(&source, line) {
                found.push((format!("{} {name}", source.path), format!("{count} lines")));
            }
        }
    }
    exceptions::judge("functions that are too long", &found, exceptions::LONG_FUNCTIONS);
}

#[test]
fn nothing_on_a_requests_way_is_called_unreachable() {
    let on_the_way = |source: &Source| ON_THE_WAY.contains(&source.room());
    let mut found = Vec::new();
    for source in production_sources("src").into_iter().filter(on_the_way) {
        let count = source.code_without_tests().matches("unreachable!").count();
        if count > 0 {
            found.push((source.path, format!("{count} times")));
        }
    }
    exceptions::judge("unreachable! on a request's way", &found, exceptions::UNREACHABLE);
}

#[test]
fn lines_of_functions_are_counted() {
    let text = "fn a() {\n    if x { \"}\" }\n}\n// A table: rows.\n#[inline]\nfn b(f: fn(u8) -> [u8; 2]) -> u8 {\n1\n}\ntrait T {\n    fn c();\n}\n";
    let source = Source::new("src/x.rs", text.to_owned());
    let found = functions(&source);
    let expected = [("a", 0, 3), ("b", 5, 3), ("c", 9, 1)];
    assert_eq!(found, expected.map(|(name, line, count)| (name.to_owned(), line, count)));
    assert_eq!(
        found.iter().map(|it| is_table(&source, it.1)).collect::<Vec<_>>(),
        [false, true, false]
    );
}
