//! Puts the dashboard together: `page FOLDER` reads `template.html`, `style.css` and `script.js` there,
//! and writes `page.html`, `page.html.gz` and `page.policy`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};

fn main() -> ExitCode {
    let Some(folder) = env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("page: which folder?");
        return ExitCode::from(2);
    };
    match assemble(&folder).and_then(|files| write(&folder, &files)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("page: {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

/// A file's name and what is in it.
type File = (&'static str, Vec<u8>);

/// What is made of what stands in `folder`.
fn assemble(folder: &Path) -> io::Result<[File; 3]> {
    let read = |name| fs::read_to_string(folder.join(name));
    let (template, style, script) =
        (read("template.html")?, read("style.css")?, read("script.js")?);
    let page = template.replace("@STYLE@", &style).replace("@SCRIPT@", &script).into_bytes();
    // No time and no name in its head, so that the same page gives the same bytes.
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::best());
    gzip.write_all(&page)?;
    let gzip = gzip.finish()?;
    // Nothing but what is in the page runs, and nothing but this server is asked.
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        source_of(&script),
        source_of(&style),
    );
    Ok([("page.html", page), ("page.html.gz", gzip), ("page.policy", policy.into_bytes())])
}

/// An inline element's hash as a source of a policy (W3C CSP 3, 2.3.1).
fn source_of(element: &str) -> String {
    format!("'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(element)))
}

fn write(folder: &Path, files: &[File]) -> io::Result<()> {
    for (name, content) in files {
        fs::write(folder.join(name), content)?;
        println!("{name}: {} bytes", content.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_is_what_its_sources_make() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src/app/page");
        for (name, content) in assemble(&folder).unwrap() {
            let found = fs::read(folder.join(name)).unwrap();
            assert!(found == content, "{name} is out of date: make page");
        }
    }
}
