//! Source files as the rules of the house see them: code and comments apart, tests left out.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that tools fill: what is in them is not ours.
const NOT_OURS: [&str; 6] = ["target", "build", "node_modules", "corpus", "artifacts", ".git"];

/// Returns the root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads a file below the root.
pub fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below a folder for which `wanted` holds, as a path from the root, sorted.
pub fn files(folder: &str, wanted: fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        let path = Path::new(folder).join(&name);
        if entry.file_type().expect("a type").is_dir() {
            if !NOT_OURS.contains(&name.as_str()) {
                found.extend(files(path.to_str().expect("UTF-8"), wanted));
            }
        } else if wanted(&path) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Whether this is a Rust file.
pub fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

/// A Rust file, taken apart.
#[derive(Clone)]
pub struct Source {
    /// From the root, with slashes.
    pub path: String,
    pub text: String,
    /// The text with spaces in place of comments and of what is between quotes.
    pub code: String,
    /// The text of the comments alone.
    pub comments: String,
}

impl Source {
    pub fn read(path: &Path) -> Source {
        Source::new(path.to_str().expect("UTF-8"), read(path))
    }

    pub fn new(path: &str, text: String) -> Source {
        let (code, comments) = take_apart(&text);
        Source { path: path.to_owned(), text, code, comments }
    }

    /// The room that the file is part of: the first name below `src`.
    pub fn room(&self) -> &str {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        below.split('/').next().expect("a name").trim_end_matches(".rs")
    }

    /// The code without modules and items that exist for tests alone.
    pub fn code_without_tests(&self) -> String {
        let mut code = self.code.clone();
        let mut from = 0;
        while let Some((start, end)) = test_item(&code, from) {
            let blank: String =
                code[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
            code.replace_range(start..end, &blank);
            from = start + 1;
        }
        code
    }
}

/// Every Rust file below a folder.
pub fn sources(folder: &str) -> Vec<Source> {
    files(folder, is_rust).iter().map(|path| Source::read(path)).collect()
}

/// The files below a folder that are part of a program, not of its tests.
pub fn production_sources(folder: &str) -> Vec<Source> {
    let mut all = sources(folder);
    all.retain(|source| !source.path.split('/').any(|name| name == "tests"));
    let tests: Vec<String> = all.iter().flat_map(test_files).collect();
    all.into_iter()
        .filter(|source| {
            let below = |test: &String| {
                source.path == format!("{test}.rs") || source.path.starts_with(&format!("{test}/"))
            };
            !tests.iter().any(below)
        })
        .collect()
}

/// The modules with files of their own that this file declares for tests or fuzzing alone, as paths
/// without their endings.
fn test_files(source: &Source) -> Vec<String> {
    let folder = source.path.strip_suffix("/mod.rs").or(source.path.strip_suffix(".rs"));
    let folder = folder.expect("a Rust file");
    let mut found = Vec::new();
    let mut from = 0;
    while let Some((start, end)) = test_item(&source.code, from) {
        let item = &source.code[start..end];
        let name = item.split("mod ").nth(1).and_then(|rest| rest.strip_suffix(';'));
        found.extend(name.map(|name| format!("{folder}/{}", name.trim())));
        from = end;
    }
    found
}

/// Where the next item is that has a `cfg` with `test` or `fuzzing` in it, but not only without.
fn test_item(code: &str, from: usize) -> Option<(usize, usize)> {
    let start = from + code.get(from..)?.find("#[cfg(")?;
    let attribute_end = start + code[start..].find(")]")? + 2;
    let condition = &code[start..attribute_end];
    let is_test = (condition.contains("test") || condition.contains("fuzzing"))
        && !condition.contains("#[cfg(not(")
        && !condition.contains("any(test, not(");
    let end = item_end(code, attribute_end);
    if is_test { Some((start, end)) } else { test_item(code, attribute_end) }
}

/// The end of the item that begins here: its semicolon, or its closing brace.
pub fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0;
    for (at, character) in code[start..].char_indices() {
        match character {
            '{' => depth += 1,
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            ';' if depth == 0 => return start + at + 1,
            '}' if depth == 1 => return start + at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// Splits a text into code and comments of the same lines. What is between quotes becomes spaces in
/// both.
fn take_apart(text: &str) -> (String, String) {
    let mut parts = Parts { code: String::new(), comments: String::new() };
    let mut rest = text;
    let mut before = ' ';
    while let Some(character) = rest.chars().next() {
        let (length, kind) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), Kind::Comment)
        } else if rest.starts_with("/*") {
            (block_comment_length(rest), Kind::Comment)
        } else if let Some(length) = quoted_length(rest, before) {
            (length, Kind::Quoted)
        } else {
            (character.len_utf8(), Kind::Code)
        };
        let (token, after) = rest.split_at(length);
        parts.push(token, kind);
        before = token.chars().last().unwrap_or(' ');
        rest = after;
    }
    (parts.code, parts.comments)
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Code,
    Comment,
    Quoted,
}

struct Parts {
    code: String,
    comments: String,
}

impl Parts {
    fn push(&mut self, token: &str, kind: Kind) {
        for character in token.chars() {
            let keep = |wanted: bool| if wanted || character == '\n' { character } else { ' ' };
            self.code.push(keep(kind == Kind::Code));
            self.comments.push(keep(kind == Kind::Comment));
        }
    }
}

fn block_comment_length(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of the string or character literal that begins here, if one does.
fn quoted_length(text: &str, before: char) -> Option<usize> {
    let raw = text.strip_prefix("br").or(text.strip_prefix("cr")).or(text.strip_prefix('r'));
    let is_within_a_name = before.is_alphanumeric() || before == '_';
    if let Some(raw) = raw.filter(|_| !is_within_a_name) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = text.len() - raw.len() + hashes + 1;
            return Some(text[start..].find(&end).map_or(text.len(), |at| start + at + end.len()));
        }
    }
    character_length(text).or_else(|| plain_string_length(text))
}

fn plain_string_length(text: &str) -> Option<usize> {
    let mut is_escaped = true; // The opening quote does not close it.
    let text = text.strip_prefix('"').map(|_| text)?;
    for (at, character) in text.char_indices() {
        match character {
            '"' if !is_escaped => return Some(at + 1),
            '\\' if !is_escaped => is_escaped = true,
            _ => is_escaped = false,
        }
    }
    Some(text.len())
}

/// The length of a character literal, which a lifetime is not.
fn character_length(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('\'')?;
    if let Some(escaped) = rest.strip_prefix('\\') {
        // The escaped character may be the quote itself.
        return escaped[1..].find('\'').map(|at| 3 + at + 1);
    }
    let character = rest.chars().next()?;
    rest[character.len_utf8()..].starts_with('\'').then_some(character.len_utf8() + 2)
}

#[test]
fn code_and_comments_are_told_apart() {
    for (text, code, comments) in [
        ("a // b\nc", "a c", "// b"),
        ("a /* b /* c */ d */ e", "a e", "/* b /* c */ d */"),
        (r#"f("// no", '"', '\'', b'{') // yes"#, "f( , , , b )", "// yes"),
        (r##"g(r#"a"b"#, for"x", br"\") // yes"##, "g( , for , )", "// yes"),
        ("<'a> 'b' \"é\\\\\" '\\u{e9}' c", "<'a> c", ""),
    ] {
        let (found_code, found_comments) = take_apart(text);
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeezed(&found_code), squeezed(code), "{text}");
        assert_eq!(squeezed(&found_comments), comments, "{text}");
        assert_eq!(found_code.lines().count(), text.lines().count(), "{text}");
    }
}

#[test]
fn what_is_for_tests_is_left_out() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { {} }\n}\n#[cfg(not(test))]\nfn c() {}\n\
                #[cfg(all(test, not(loom)))]\nmod d;\nfn e() {}\n";
    let code = Source::new("src/x.rs", text.to_owned()).code_without_tests();
    for (name, is_there) in
        [("a()", true), ("b()", false), ("c()", true), ("d;", false), ("e()", true)]
    {
        assert_eq!(code.contains(name), is_there, "{name}: {code}");
    }
    assert_eq!(code.lines().count(), text.lines().count());
}
