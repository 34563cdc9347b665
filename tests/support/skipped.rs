//! What a test does when it cannot check something: a program is missing, or the kernel refuses.
//!
//! Cargo shows what a test prints only if the test fails, so a skipped test looks like a passed one.
//! Each skip therefore also goes to a file, and `make test` prints that file at its end.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::thread;

/// The environment variable that names the file. `tests/run.sh` sets it; without it, the reason is
/// only printed. It does not begin with `MILLRACE_`, as the server's own variables do.
const FILE_VARIABLE: &str = "SKIPPED_TESTS";

/// Notes that the running test checks less than it could, and why.
pub fn skip(reason: &str) {
    println!("skipped: {reason}");
    let Some(file) = env::var_os(FILE_VARIABLE) else { return };
    let line = format!("{}: {reason}\n", test_name());
    // One write for each line: tests run at the same time.
    let mut file =
        OpenOptions::new().append(true).create(true).open(file).expect("the list of skipped tests");
    file.write_all(line.as_bytes()).expect("written to the list of skipped tests");
}

/// Returns the name of the test's program, then the name of the test itself.
fn test_name() -> String {
    let program = env::current_exe().unwrap_or_default();
    let program = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    // Cargo appends a hash to the file's name; libtest names the thread after the test.
    let program = program.rsplit_once('-').map_or(program.as_str(), |(name, _)| name);
    format!("{program}, {}", thread::current().name().unwrap_or("a test"))
}
