//! The man page, from the table, in the macros of man(7).
//!
//! Its sections come in the order of man-pages(7).

use super::row::{Program, Section};

/// Returns the page. It has no date, so that the same source gives the same bytes.
pub(super) fn page<O, A>(program: &Program<O, A>) -> String {
    let Program { name, version, about, .. } = program;
    let title = roff(name).to_uppercase();
    let mut page = Page(format!(".TH {title} 1 \"\" \"{name} {version}\" \"User Commands\"\n"));
    page.section("NAME");
    page.line(&format!("{} \\- {}", roff(name), roff(&decapitalized(about))));
    page.section("SYNOPSIS");
    page.line(&format!(".B {}\n[\\fIOPTIONS\\fR]", roff(name)));
    page.section("DESCRIPTION");
    page.paragraphs(program.description);
    page.section("OPTIONS");
    page.options(program);
    page.terms("SIGNALS", program.signals);
    page.terms("EXIT STATUS", program.exit_statuses);
    page.environment(program);
    page.terms("FILES", program.files);
    page.examples(program.examples);
    page.see_also(program.see_also);
    page.0
}

/// The page under construction.
struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn section(&mut self, title: &str) {
        self.line(&format!(".SH {title}"));
    }

    fn paragraphs(&mut self, paragraphs: &[&str]) {
        for (i, paragraph) in paragraphs.iter().enumerate() {
            if i > 0 {
                self.line(".PP");
            }
            self.line(&roff(paragraph));
        }
    }

    /// A section of terms with their meanings, unless it is empty.
    fn terms(&mut self, title: &str, terms: Section) {
        if terms.is_empty() {
            return;
        }
        self.section(title);
        for (term, meaning) in terms {
            self.line(&format!(".TP\n.B {}\n{}", roff(term), roff(meaning)));
        }
    }

    fn options<O, A>(&mut self, program: &Program<O, A>) {
        for row in program.rows {
            let short = row.short.map_or(String::new(), |short| format!("\\fB\\-{short}\\fR, "));
            let name = row.value_name();
            let value = name.map_or(String::new(), |name| format!(" \\fI{}\\fR", roff(name)));
            self.line(&format!(".TP\n{short}\\fB\\-\\-{}\\fR{value}", roff(row.long)));
            self.line(&format!("{}.", roff(row.summary)));
            if !row.explanation.is_empty() {
                self.line(&roff(row.explanation));
            }
            if let (Some(default), Some(variable)) = (row.default(), program.variable(row)) {
                self.line(&format!(".br\nDefault: {}. Variable: {variable}.", roff(default)));
            }
            self.line(&format!(".br\nExample:\n.B {}", roff(row.example)));
        }
    }

    /// Every variable with its option.
    fn environment<O, A>(&mut self, program: &Program<O, A>) {
        self.section("ENVIRONMENT");
        self.line(&roff(
            "Each variable sets the option that it is named after. An option on the command line \
             wins. An empty variable counts as unset.",
        ));
        for row in program.rows {
            if let Some(variable) = program.variable(row) {
                let (long, summary) = (roff(row.long), roff(row.summary));
                self.line(&format!(".TP\n.B {variable}\n{summary}; as \\fB\\-\\-{long}\\fR."));
            }
        }
    }

    /// Command lines, each behind its explanation, as they are typed.
    fn examples(&mut self, examples: Section) {
        if examples.is_empty() {
            return;
        }
        self.section("EXAMPLES");
        for (i, (command, meaning)) in examples.iter().enumerate() {
            if i > 0 {
                self.line(".PP");
            }
            self.line(&format!("{}\n.PP\n.RS 4\n.nf\n{}\n.fi\n.RE", roff(meaning), roff(command)));
        }
    }

    fn see_also(&mut self, pages: &[&str]) {
        if pages.is_empty() {
            return;
        }
        self.section("SEE ALSO");
        let pages: Vec<String> = pages
            .iter()
            .map(|page| match page.split_once('(') {
                Some((name, section)) => format!("\\fB{}\\fR({section}", roff(name)),
                None => roff(page),
            })
            .collect();
        self.line(&pages.join(",\n"));
    }
}

/// Escapes what roff would take for its own.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('…', "...");
    // A line that begins with a dot or a quote is a request.
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

/// "An event counter" as "an event counter", as the NAME section has it.
fn decapitalized(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or(String::new(), |first| first.to_lowercase().chain(letters).collect())
}
