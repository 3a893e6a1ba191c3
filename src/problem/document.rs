//! One file: parsed with all its syntax errors, and where its problems are gathered.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeTable;

use super::mask::mask;
use super::{PROBLEMS_MAX, Place, Problem, Problems, Table, Trace};

/// A larger file is refused; the largest rule packs have some tens of kilobytes.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// A file's path, as the user should see it, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Shown in problems; relative paths inside the file are relative to its folder.
    pub path: PathBuf,
    /// The whole text.
    pub text: String,
}

impl SourceFile {
    /// A file from the bytes of a disk.
    ///
    /// # Errors
    ///
    /// Returns a problem if the bytes are not UTF-8 or too many.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, Box<Problem>> {
        let place =
            |line, column| Place { file: path.display().to_string(), line, column, span: 0..0 };
        if bytes.len() > FILE_BYTES_MAX {
            let message = format!("the file is larger than {} MiB", FILE_BYTES_MAX >> 20);
            return Err(Box::new(Problem::error(place(1, 1), message).hint("split it")));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { path: path.to_owned(), text }),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let (line, column) =
                    position(&String::from_utf8_lossy(&error.as_bytes()[..good]), good);
                let byte = error.as_bytes().get(good).copied().unwrap_or_default();
                let message = format!("expected UTF-8 text, found byte 0x{byte:02x}");
                let problem = Problem::error(place(line, column), message)
                    .hint("save the file with UTF-8 encoding");
                Err(Box::new(problem))
            }
        }
    }
}

impl SourceFile {
    /// One problem at a stretch of bytes, with the text to show it in: for files that hold no
    /// secret.
    pub fn problem(&self, span: Range<usize>, tell: impl FnOnce(Place) -> Problem) -> Problems {
        let start = boundary(&self.text, span.start);
        let end = boundary(&self.text, span.end.max(start));
        let (line, column) = position(&self.text, start);
        let file = self.path.display().to_string();
        let mut problems = Problems::default();
        problems.texts.insert(file.clone(), self.text.clone());
        problems.push(tell(Place { file, line, column, span: start..end }));
        problems
    }
}

/// The last boundary of characters at or before a byte.
fn boundary(text: &str, at: usize) -> usize {
    let boundary = (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    boundary.unwrap_or(0)
}

/// Line and column, in characters, both from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..boundary(text, at)).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
    let column = before.get(line_start..).map_or(0, |part| part.chars().count()) + 1;
    (line, column)
}

/// A parsed file. What its tables find wrong is gathered here until [`Document::finish`].
pub struct Document<'d> {
    file: &'d SourceFile,
    root: Spanned<DeTable<'d>>,
    /// Where each line begins, so that a place is found without reading the file again.
    lines: Vec<usize>,
    syntax: Vec<Problem>,
    found: RefCell<Problems>,
    /// The keys that were asked for; none where nobody wants to know.
    trace: Option<RefCell<Trace>>,
}

impl<'d> Document<'d> {
    /// Parses a file. Syntax errors are problems; what could be read between them is there.
    pub fn parse(file: &'d SourceFile) -> Self {
        let (root, errors) = DeTable::parse_recoverable(&file.text);
        let ends = file.text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        let mut document =
            Self { file, root, lines, syntax: Vec::new(), found: RefCell::default(), trace: None };
        let mut told = BTreeSet::new();
        for error in errors.into_iter().take(PROBLEMS_MAX) {
            let end = file.text.trim_end().len();
            let place = document.place(error.span().unwrap_or(end..end));
            // The parser stumbles on after its first complaint about a line; one is enough.
            if told.insert(place.line) {
                let message = error.message().replace(['\n', '\r'], " ");
                let problem = Problem::error(place, format!("syntax: {message}"));
                document.syntax.push(match remedy(&message) {
                    Some(hint) => problem.hint(hint),
                    None => problem,
                });
            }
        }
        document
    }

    /// Parses a file that is read to learn which keys the reader knows.
    pub fn traced(file: &'d SourceFile) -> Self {
        Self { trace: Some(RefCell::default()), ..Self::parse(file) }
    }

    /// The keys that were asked for, of a file parsed with [`Document::traced`].
    pub fn keys(self) -> Trace {
        self.trace.map(RefCell::into_inner).unwrap_or_default()
    }

    /// Tells the trace, if there is one.
    pub(super) fn trace(&self, tell: impl FnOnce(&mut Trace)) {
        if let Some(trace) = &self.trace {
            tell(&mut trace.borrow_mut());
        }
    }

    /// Whether keys are traced, and so need paths.
    pub(super) fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// The place of a stretch of bytes, widened to whole characters: an excerpt cannot begin
    /// or end inside one, and not every parser counts in them.
    pub fn place(&self, span: Range<usize>) -> Place {
        let text = &self.file.text;
        let start = boundary(text, span.start);
        let end = span.end.clamp(start, text.len());
        let end = (end..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
        let line = self.lines.partition_point(|&begin| begin <= start);
        let begin = self.lines.get(line - 1).copied().unwrap_or_default();
        // A file of nothing but mistakes on one line would be counted through for each of
        // them; those beyond the limit are not shown.
        let counted = text.get(begin..start).filter(|_| !self.is_full());
        let column = counted.map_or(0, |part| part.chars().count());
        Place {
            file: self.file.path.display().to_string(),
            line,
            column: column + 1,
            span: start..end,
        }
    }

    /// The top level.
    pub fn root(&'d self) -> Table<'d> {
        Table::new(self, self.root.get_ref(), (0..0, String::new()), String::new())
    }

    /// The file it was read from.
    pub fn file(&self) -> &'d SourceFile {
        self.file
    }

    /// Records a problem.
    pub fn report(&self, problem: Problem) {
        self.found.borrow_mut().keep(problem);
    }

    /// Whether so many problems were found that further ones are only counted.
    pub(super) fn is_full(&self) -> bool {
        self.found.borrow().list.len() >= PROBLEMS_MAX
    }

    /// Whether an error was found so far.
    pub fn has_errors(&self) -> bool {
        !self.syntax.is_empty() || self.found.borrow().has_errors()
    }

    /// Everything that was found wrong, with the text to show it in.
    pub fn finish(self) -> Problems {
        let lines: BTreeSet<usize> = self.syntax.iter().map(|p| p.place.line).collect();
        let broken = !lines.is_empty();
        let mut problems = Problems::default();
        let mut found = self.found.into_inner();
        // Next to a syntax error other complaints are mostly its echo.
        found.list.retain(|problem| {
            !broken || (!problem.absence && !lines.contains(&problem.place.line))
        });
        problems.extend(Problems { list: self.syntax, ..Problems::default() });
        problems.extend(found);
        // Also without a problem: one may be found later, beside other files.
        let text = mask(&self.file.text, self.root.get_ref(), broken);
        problems.texts.insert(self.file.path.display().to_string(), text);
        problems
    }
}

impl fmt::Debug for Document<'_> {
    /// Only the path: the text may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("path", &self.file.path).finish_non_exhaustive()
    }
}

/// What usually mends the parser's more common complaints.
fn remedy(message: &str) -> Option<&'static str> {
    [
        ("duplicate key", "keep one of the two; tables that repeat are written `[[name]]`"),
        ("string values must be quoted", "write the value in quotes: `\"30s\"`"),
        ("invalid basic string", "close the string with `\"`, and write `\\\\` for a backslash, or use '…', which needs no escapes"),
        ("missing escaped value", "write `\\\\` for a backslash, or use '…', which needs no escapes"),
        ("invalid literal string", "close the string with `'`"),
        ("unclosed array", "close the list with `]`"),
        ("unclosed inline table", "close the table with `}`"),
        ("unclosed table", "close the heading with `]`"),
    ]
    .into_iter()
    .find(|(start, _)| message.starts_with(start))
    .map(|(_, hint)| hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let file = SourceFile { path: PathBuf::from("x"), text: "a\nbcä = 1\r\n".to_owned() };
        let document = Document::parse(&file);
        for (at, want) in
            [(0, (1, 1)), (1, (1, 2)), (2, (2, 1)), (5, (2, 3)), (6, (2, 4)), (99, (3, 1))]
        {
            let place = document.place(at..at);
            assert_eq!((place.line, place.column), want, "{at}");
        }
        let empty = SourceFile { path: PathBuf::from("x"), text: String::new() };
        let place = Document::parse(&empty).place(0..0);
        assert_eq!((place.line, place.column), (1, 1));
    }

    #[test]
    fn places_are_whole_characters() {
        let file = SourceFile { path: PathBuf::from("x"), text: "aäb".to_owned() };
        let document = Document::parse(&file);
        for (span, want) in [(2..2, 1..3), (1..2, 1..3), (0..4, 0..4), (9..12, 4..4)] {
            assert_eq!(document.place(span.clone()).span, want, "{span:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_placed() {
        let problem = SourceFile::from_bytes(Path::new("x.toml"), b"a = 1\nb = \xff".to_vec());
        let problem = problem.unwrap_err();
        assert_eq!((problem.place.line, problem.place.column), (2, 5));
        assert_eq!(problem.message, "expected UTF-8 text, found byte 0xff");
        let large = vec![b'#'; FILE_BYTES_MAX + 1];
        assert!(SourceFile::from_bytes(Path::new("x.toml"), large).is_err());
    }
}
