//! What an option of the kind `Generate` prints: the man page, or the completions of a shell.
//!
//! The program that they describe makes them from its own table, so they always agree with it; a
//! release packs what its own binary prints.

use super::row::{GENERATED, Program};
use super::{man, shells, value};

type Writer<O, A> = fn(&Program<O, A>) -> String;

/// Returns the text called `what`.
///
/// # Errors
/// If there is no such text; the error is one of a value.
pub(super) fn generate<O, A>(program: &Program<O, A>, what: &str) -> Result<String, String> {
    let writers: [(&str, Writer<O, A>); 4] =
        [("man", man::page), ("bash", shells::bash), ("zsh", shells::zsh), ("fish", shells::fish)];
    debug_assert!(GENERATED.split('|').eq(writers.iter().map(|(name, _)| *name)));
    value::choice(what, &writers).map(|write| write(program))
}
