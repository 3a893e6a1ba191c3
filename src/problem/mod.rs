//! Problems in files that users wrote: every one, with file, line, column, excerpt and hint.
//!
//! A [`Document`] is one parsed file; its [`Table`]s are read key by key and record what is
//! wrong, so that one run tells everything there is to mend.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

mod document;
mod mask;
mod nearest;
mod read;
mod render;
mod table;
mod trace;
mod value;

pub use document::{Document, FILE_BYTES_MAX, SourceFile};
pub use mask::is_variable;
pub use nearest::{did_you_mean, listed, quoted};
pub use table::Table;
pub use trace::{Asked, Kind, Trace, Visited};
pub use value::At;

/// More problems than this are counted, not kept: nobody mends the thousandth first.
pub const PROBLEMS_MAX: usize = 500;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but does not do what its author hopes.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A stretch of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The path as the user gave it.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// In bytes of the file.
    pub span: Range<usize>,
}

/// One thing that is wrong, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: lowercase, without a full stop.
    pub message: String,
    /// What to do about it, where there is a remedy.
    pub hint: Option<String>,
    /// A second place that explains the first, with what it is.
    pub also: Option<(Place, String)>,
    /// It says that something is not there. A file with broken syntax may well hold it in the
    /// part that could not be read, so such problems wait until the syntax is mended.
    pub(crate) absence: bool,
}

impl Problem {
    /// An error at a place.
    pub fn error(place: Place, message: impl Into<String>) -> Self {
        Self {
            place,
            severity: Severity::Error,
            message: printable(&message.into()),
            hint: None,
            also: None,
            absence: false,
        }
    }

    /// A warning at a place.
    pub fn warning(place: Place, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message) }
    }

    /// Adds the remedy.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(printable(&hint.into()));
        self
    }

    /// Adds a second place and what it is.
    #[must_use]
    pub fn also(mut self, place: Place, label: impl Into<String>) -> Self {
        self.also = Some((place, printable(&label.into())));
        self
    }

    /// By place, then by text, so that a report has one order only.
    fn order(&self) -> (&str, usize, usize, Severity, &str) {
        let Place { file, line, column, .. } = &self.place;
        (file, *line, *column, self.severity, &self.message)
    }

    /// Marks the problem as one of something that is not there.
    #[must_use]
    pub fn of_absence(mut self) -> Self {
        self.absence = true;
        self
    }
}

impl fmt::Display for Problem {
    /// The one-line form: `error: rules/http.toml:14:13: …`, with a second line for the hint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, column, .. } = &self.place;
        write!(f, "{}: {}:{line}:{column}: {}", self.severity, printable(file), self.message)?;
        if let Some((at, label)) = &self.also {
            write!(f, " ({label}: {}:{}:{})", printable(&at.file), at.line, at.column)?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

/// All problems of all files, in order of file and line, with the texts to show excerpts of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    /// By file; secrets are masked before a text comes here.
    texts: BTreeMap<String, String>,
    left_out: usize,
    /// Whether any of those left out was an error.
    error_left_out: bool,
}

impl Problems {
    /// Takes over another collection.
    pub fn extend(&mut self, other: Self) {
        self.texts.extend(other.texts);
        self.left_out += other.left_out;
        self.error_left_out |= other.error_left_out;
        for problem in other.list {
            self.keep(problem);
        }
        self.list.sort_by(|a, b| a.order().cmp(&b.order()));
    }

    /// Adds one problem that needs no excerpt.
    pub fn push(&mut self, problem: Problem) {
        self.keep(problem);
        self.list.sort_by(|a, b| a.order().cmp(&b.order()));
    }

    fn keep(&mut self, problem: Problem) {
        if self.list.len() < PROBLEMS_MAX {
            self.list.push(problem);
        } else {
            self.left_out += 1;
            self.error_left_out |= problem.severity == Severity::Error;
        }
    }

    /// In order of file and line.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// Nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Something is wrong enough that the files cannot be used.
    pub fn has_errors(&self) -> bool {
        self.error_left_out || self.list.iter().any(|p| p.severity == Severity::Error)
    }

    /// How many there are, those beyond [`PROBLEMS_MAX`] included.
    pub fn len(&self) -> usize {
        self.list.len() + self.left_out
    }

    /// `3 problems in 2 files`.
    pub fn summary(&self) -> String {
        let mut files: Vec<&str> = self.list.iter().map(|p| p.place.file.as_str()).collect();
        files.dedup();
        let mut text =
            format!("{} in {}", count(self.len(), "problem"), count(files.len(), "file"));
        if self.left_out > 0 {
            text = format!("{text} (the first {PROBLEMS_MAX} shown)");
        }
        text
    }

    /// Every problem with an excerpt and carets under the place; colours only if asked for.
    pub fn render(&self, colour: bool) -> String {
        let texts = |file: &str| self.texts.get(file).map(String::as_str);
        self.list.iter().map(|problem| render::render(problem, &texts, colour)).collect()
    }

    /// Every problem in its one-line form.
    pub fn lines(&self) -> String {
        let lines: Vec<String> = self.list.iter().map(ToString::to_string).collect();
        lines.join("\n")
    }
}

/// `1 file`, `2 files`.
pub fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("{n} {noun}") } else { format!("{n} {noun}s") }
}

/// Control characters from a file must not drive the reader's terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(file: &str, line: usize) -> Place {
        Place { file: file.to_owned(), line, column: 1, span: 0..0 }
    }

    #[test]
    fn problems_stand_in_order_of_file_and_line() {
        let mut problems = Problems::default();
        for (file, line) in [("b.toml", 1), ("a.toml", 9), ("a.toml", 10), ("a.toml", 2)] {
            problems.push(Problem::error(at(file, line), "wrong"));
        }
        let order: Vec<_> =
            problems.iter().map(|p| (p.place.file.as_str(), p.place.line)).collect();
        assert_eq!(order, [("a.toml", 2), ("a.toml", 9), ("a.toml", 10), ("b.toml", 1)]);
        assert_eq!(problems.summary(), "4 problems in 2 files");
    }

    #[test]
    fn warnings_alone_are_no_errors() {
        let mut problems = Problems::default();
        problems.push(Problem::warning(at("a.toml", 1), "odd"));
        assert!(!problems.has_errors());
        problems.push(Problem::error(at("a.toml", 1), "wrong"));
        assert!(problems.has_errors());
    }

    #[test]
    fn the_list_is_bounded_and_says_so() {
        let mut problems = Problems::default();
        for line in 0..=PROBLEMS_MAX {
            problems.push(Problem::warning(at("a.toml", line), "odd"));
        }
        assert_eq!(problems.iter().count(), PROBLEMS_MAX);
        assert_eq!(problems.summary(), "501 problems in 1 file (the first 500 shown)");
        assert!(!problems.has_errors());
        problems.push(Problem::error(at("a.toml", 1), "wrong"));
        assert!(problems.has_errors(), "an error beyond the limit still counts");
    }

    #[test]
    fn the_one_line_form_shows_no_control_character() {
        let problem = Problem::error(at("a\u{1b}.toml", 1), "bad \u{1b}[31m\nname").hint("x\ty");
        let text = problem.to_string();
        assert_eq!(
            text,
            "error: a\u{fffd}.toml:1:1: bad \u{fffd}[31m\u{fffd}name\nhint: x\u{fffd}y"
        );
    }
}
