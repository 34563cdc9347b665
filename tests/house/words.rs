//! Plain English: phrases that make a reader stop are not used in comments and documents.

use std::path::Path;

use super::exceptions;
use super::source::{Source, files, is_rust, read};

/// The phrase, and what to write instead.
const PHRASES: [(&str, &str); 26] = [
    ("so many", "this number of"),
    ("whoever", "name the one who does it"),
    ("whatever", "name the thing, or: any, every"),
    ("whichever", "any, either"),
    ("nobody", "no client, no thread, no other process"),
    ("somebody", "a client, a thread, another process"),
    ("no one", "no client, no thread, no other process"),
    ("someone", "a client, a thread, another process"),
    ("anybody", "a client, a thread, another process"),
    ("knows nothing", "does not depend on"),
    ("know nothing", "do not depend on"),
    ("knows no", "does not depend on, does not have"),
    ("everybody", "all clients, all threads"),
    ("says nothing", "returns None, prints nothing"),
    ("say nothing", "return None, print nothing"),
    ("a line for people", "a human-readable message"),
    ("one a worker", "one for each worker"),
    ("one a processor", "one for each processor"),
    ("one a connection", "one for each connection"),
    ("one a request", "one for each request"),
    ("one a thread", "one for each thread"),
    ("one a row", "one for each row"),
    ("one a file", "one for each file"),
    ("a line a case", "one line for each case"),
    ("a line a request", "one line for each request"),
    ("a thread a connection", "a thread for each connection"),
];

/// The phrases in a text, each with the words around it. Line ends and comment signs do not matter.
fn phrases(text: &str) -> Vec<String> {
    let is_word = |word: &&str| !["//", "///", "//!", "#", "*", "|", "-"].contains(word);
    let words: Vec<&str> = text.split_whitespace().filter(is_word).collect();
    let bare = |word: &&str| {
        word.trim_matches(|it: char| !it.is_alphanumeric()).to_lowercase().replace('’', "'")
    };
    let bare_words: Vec<String> = words.iter().map(bare).collect();
    let goes_on = |word: &&str| !word.ends_with(['.', ';', ':', ',']);
    let mut found = Vec::new();
    for (phrase, instead) in PHRASES {
        let parts: Vec<&str> = phrase.split(' ').collect();
        for (at, window) in bare_words.windows(parts.len()).enumerate() {
            let is_one_phrase = words[at..at + parts.len() - 1].iter().all(goes_on);
            if is_one_phrase && window.iter().zip(&parts).all(|(word, part)| word == part) {
                let near = &words[at.saturating_sub(3)..words.len().min(at + parts.len() + 3)];
                found.push(format!("\n  '{phrase}' ({instead}): … {} …", near.join(" ")));
            }
        }
    }
    found
}

fn has_prose(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
    is_rust(path)
        || ["md", "sh", "py", "go", "lua", "toml", "service", "socket", "yml"].contains(&extension)
        || ["Makefile", "run", "Dockerfile"].contains(&name)
}

#[test]
fn comments_and_documents_are_in_plain_english() {
    let folders = [".ci", "benches", "docs", "src", "tests", "tools"];
    let mut paths: Vec<_> = folders.iter().flat_map(|folder| files(folder, has_prose)).collect();
    let top = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "Makefile",
        "Cargo.toml",
    ];
    paths.extend(top.iter().map(|name| Path::new(name).to_owned()));
    let mut found = Vec::new();
    for path in paths.iter().filter(|path| !path.ends_with("house/words.rs")) {
        let text = if is_rust(path) { Source::read(path).comments } else { read(path) };
        let phrases = phrases(&text);
        if !phrases.is_empty() {
            found.push((path.to_str().expect("UTF-8").to_owned(), phrases.concat()));
        }
    }
    exceptions::judge("words that are not plain English", &found, exceptions::WORDS);
}

#[test]
fn phrases_are_found_across_lines_and_not_within_words() {
    assert_eq!(phrases("/// Takes so\n/// many, or `Whatever`.").len(), 2);
    assert_eq!(phrases("// so manyfold, nobodys, as they say; nothing").len(), 0);
}
