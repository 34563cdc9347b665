//! What a user meant by the name of an option, or of a variable, that does not exist.
//!
//! An advice is a clause that follows a colon: "did you mean '--workers'?". Suggestions are made only
//! where a name is so similar that the advice is more likely to help than to mislead.

use super::row::{Program, Row};

/// Most options that one advice names.
const NAMED_MAX: usize = 3;
/// Characters that word processors and web pages make of hyphens.
const DASHES: [char; 6] = ['\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2212}'];

/// Returns what to write instead of the option `name`, which has its hyphens and no value.
pub(super) fn option<O, A>(program: &Program<O, A>, name: &str) -> Option<String> {
    if let Some(hint) = program.hints.iter().find(|hint| hint.names.contains(&name)) {
        return Some(hint.instead.to_owned());
    }
    let bare = name.trim_start_matches('-');
    if let Some(row) = program.rows.iter().find(|row| row.long == bare) {
        return Some(format!("write --{} with two hyphens", row.long));
    }
    if name.len() == 2 {
        let letter = bare.chars().next().map(|c| match c.is_ascii_lowercase() {
            true => c.to_ascii_uppercase(),
            false => c.to_ascii_lowercase(),
        });
        let row = program.rows.iter().find(|row| row.short.is_some() && row.short == letter)?;
        return Some(format!("did you mean '-{}' for --{}?", letter?, row.long));
    }
    if let Some(positive) = name.strip_prefix("--no-") {
        let row = similar(program, positive).into_iter().find(|row| row.is_switch());
        if let Some(row) = row {
            return Some(format!("write --{}=no", row.long));
        }
    }
    let meant = similar(program, bare).into_iter().map(|row| format!("'--{}'", row.long));
    did_you_mean(meant.collect())
}

/// Returns what to set instead of the variable whose name, without the prefix, is `rest`.
pub(super) fn variable<O, A>(program: &Program<O, A>, rest: &str) -> Option<String> {
    let long = rest.to_ascii_lowercase().replace('_', "-");
    let on_command_line = |row: &&Row<O, A>| row.long == long && row.variable().is_none();
    if let Some(row) = program.rows.iter().find(on_command_line) {
        return Some(format!("--{} works on the command line only", row.long));
    }
    let name = format!("--{long}");
    if let Some(hint) = program.hints.iter().find(|hint| hint.names.contains(&name.as_str())) {
        return Some(hint.instead.to_owned());
    }
    let meant = similar(program, &long);
    did_you_mean(meant.into_iter().filter_map(|row| program.variable(row)).collect())
}

/// Returns what to write instead of an argument without hyphens.
pub(super) fn operand<O, A>(program: &Program<O, A>, argument: &str) -> Option<String> {
    if argument.starts_with(program.prefix) && argument.contains('=') {
        let assignment = argument.escape_debug();
        return Some(format!("write it before the program: {assignment} {}", program.name));
    }
    let name = argument.split('=').next().unwrap_or_default();
    program.rows.iter().find(|row| row.long == name).map(|row| format!("write --{}", row.long))
}

/// Returns the option that was meant by a word with one hyphen, or with a dash that is no hyphen.
/// Only a word that is an option's name but for one slip counts: `-w4` and `-lhost:80` are values.
pub(super) fn mistyped_hyphens<O, A>(
    program: &Program<O, A>,
    argument: &str,
) -> Option<&'static str> {
    let word = argument.trim_start_matches(|c| c == '-' || DASHES.contains(&c));
    let hyphens = &argument[..argument.len() - word.len()];
    let name = word.split('=').next().unwrap_or_default();
    if hyphens.is_empty() || hyphens == "--" || name.len() < 3 {
        return None;
    }
    let slips_max = usize::from(name.len() >= 5);
    let row = program.rows.iter().find(|row| distance(name, row.long) <= slips_max)?;
    Some(row.long)
}

/// The options whose name is like `long`, the most similar first.
fn similar<O, A>(program: &Program<O, A>, long: &str) -> Vec<&'static Row<O, A>> {
    let rows = || program.rows.iter();
    let plain = |name: &str| name.replace(['-', '_'], "").to_ascii_lowercase();
    let wanted = plain(long);
    if wanted.len() < 2 {
        return Vec::new();
    }
    if let Some(row) = rows().find(|row| plain(row.long) == wanted) {
        return vec![row];
    }
    let longer: Vec<_> = rows().filter(|row| plain(row.long).starts_with(&wanted)).collect();
    if (1..=NAMED_MAX).contains(&longer.len()) {
        return longer;
    }
    rows()
        .map(|row| (row, distance(&wanted, &plain(row.long))))
        .min_by_key(|&(_, slips)| slips)
        // Two slips, or one in three letters of a longer name, still are a likeness. A word of two
        // letters is two slips away from any other.
        .filter(|(row, slips)| wanted.len() > 2 && *slips <= 2.max(row.long.len().div_ceil(3)))
        .filter(|(_, slips)| *slips < wanted.len())
        .map(|(row, _)| vec![row])
        .unwrap_or_default()
}

fn did_you_mean(names: Vec<String>) -> Option<String> {
    let (last, others) = names.split_last()?;
    let names =
        if others.is_empty() { last.clone() } else { format!("{} or {last}", others.join(", ")) };
    Some(format!("did you mean {names}?"))
}

/// Counts the insertions, deletions, substitutions and swaps of neighbours that lead from `a` to `b`
/// (Damerau and Levenshtein, "optimal string alignment"), byte by byte.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    // Row `i` holds the distances from the first `i` bytes of `a` to each beginning of `b`.
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substitution = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = substitution.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted_in_slips() {
        for (a, b, slips) in [
            ("", "", 0),
            ("", "abc", 3),
            ("listen", "listen", 0),
            ("lsiten", "listen", 1),
            ("liste", "listen", 1),
            ("llisten", "listen", 1),
            ("lixten", "listen", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (slips, slips), "{a} {b}");
        }
    }
}
