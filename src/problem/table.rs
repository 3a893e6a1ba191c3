//! A table that is read key by key. What has the wrong type, is missing, or was never asked
//! for becomes a problem with its place.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::value::{DURATION, integer, kind};
use super::{At, Document, Kind, Problem, Trace, did_you_mean, quoted};

/// One table of a document.
///
/// Reading a key marks it as known; [`Table::finish`] reports the keys that nobody read. So
/// every key has to be read, also where its value turns out not to be needed.
#[must_use = "a table that is not finished keeps its unknown keys to itself"]
pub struct Table<'d> {
    document: &'d Document<'d>,
    content: &'d DeTable<'d>,
    at: Range<usize>,
    /// How messages call it: `[poll]`, ``signal `http-latency` ``; empty for the top level.
    title: String,
    /// Keys that were asked for, in that order: what exists, for suggestions.
    known: RefCell<Vec<&'static str>>,
    /// Where it stands in the file's tree; empty where keys are not traced.
    path: String,
}

impl<'d> Table<'d> {
    pub(super) fn new(
        document: &'d Document<'d>,
        content: &'d DeTable<'d>,
        (at, title): (Range<usize>, String),
        path: String,
    ) -> Self {
        document.trace(|trace| trace.visit(&path));
        Self { document, content, at, title, known: RefCell::default(), path }
    }

    /// Tells what a key's value can be.
    pub(super) fn asks(&self, key: &'static str, kind: impl FnOnce() -> Kind) {
        self.document.trace(|trace| trace.ask(&self.path, key, kind()));
    }

    /// The path of a table below; empty where keys are not traced.
    fn path_below(&self, path: impl FnOnce(&str) -> String) -> String {
        if self.document.is_traced() { path(&self.path) } else { String::new() }
    }

    /// Calls the table by a better name from here on.
    pub fn rename(&mut self, title: impl Into<String>) {
        self.title = title.into();
    }

    /// How messages call the table; empty for the top level.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// How messages say where something is: ``in signal `http-latency` ``.
    pub fn whereabouts(&self) -> String {
        if self.title.is_empty() {
            "at the top level".to_owned()
        } else {
            format!("in {}", self.title)
        }
    }

    /// Where the table begins.
    pub fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    /// The document it belongs to.
    pub fn document(&self) -> &'d Document<'d> {
        self.document
    }

    /// Whether the key is there, whatever its value.
    pub fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Whether a key holds a list.
    pub fn is_list(&self, key: &str) -> bool {
        self.entry(key).is_some_and(|(_, value)| value.get_ref().as_array().is_some())
    }

    /// Whether the key's value is a list of nothing.
    pub fn is_empty_list(&self, key: &str) -> bool {
        let list = self.entry(key).and_then(|(_, value)| value.get_ref().as_array());
        list.is_some_and(|list| list.is_empty())
    }

    /// Where the key's value stands; the table's own place without it.
    pub fn at_value(&self, key: &str) -> Range<usize> {
        self.entry(key).map_or(self.at(), |(_, value)| value.span())
    }

    /// Where the key stands; the table's own place without it.
    pub fn at_key(&self, key: &str) -> Range<usize> {
        self.entry(key).map_or(self.at(), |(span, _)| span)
    }

    /// What `read` gives for the key; a problem if the key is not there.
    pub fn required<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&Self, &'static str) -> Option<T>,
    ) -> Option<T> {
        self.document.trace(|trace| trace.require(&self.path, key));
        if !self.has(key) {
            let message = format!("missing key `{key}` {}", self.whereabouts());
            self.report(self.error(self.at(), message).of_absence());
        }
        read(self, key)
    }

    /// A table.
    pub fn table(&self, key: &'static str) -> Option<Table<'d>> {
        self.asks(key, || Kind::Table);
        let found = self.typed(key, "a table", |value| value.as_table())?;
        let title = if self.title.is_empty() {
            format!("[{key}]")
        } else if let Some(outer) = self.title.strip_suffix(']')
            && outer.starts_with('[')
            && !outer.starts_with("[[")
        {
            format!("{outer}.{key}]")
        } else {
            format!("`{key}` of {}", self.title)
        };
        let path = self.path_below(|path| Trace::below(path, key));
        Some(Self::new(self.document, found.value, (found.at, title), path))
    }

    /// A list of tables, written `[[key]]`; empty if the key is not there.
    pub fn tables(&self, key: &'static str) -> Vec<Table<'d>> {
        self.asks(key, || Kind::Tables);
        let what = format!("a list of tables, written `[[{}]]`", self.path(key));
        let Some(array) = self.typed(key, &what, |value| value.as_array()) else {
            return Vec::new();
        };
        let mut tables = Vec::with_capacity(array.value.len());
        for item in array.value {
            if let Some(table) = item.get_ref().as_table() {
                let title = format!("[[{}]]", self.path(key));
                let path = self.path_below(|path| Trace::below_list(path, key));
                tables.push(Self::new(self.document, table, (item.span(), title), path));
            } else {
                let found = kind(item.get_ref());
                self.wrong(key, &item.span(), &format!("expected {what}, found {found}"));
            }
        }
        tables
    }

    /// Marks keys as known that are read only in some cases.
    pub fn know(&self, keys: &[&'static str]) {
        for key in keys {
            self.asks(key, || Kind::Any);
        }
        self.known.borrow_mut().extend(keys);
    }

    /// Whether a key is there that is not marked as known so far.
    pub fn has_unknown(&self) -> bool {
        let known = self.known.borrow();
        self.content.keys().any(|key| !known.contains(&key.get_ref().as_ref()))
    }

    /// Every key with its value, for tables whose keys the user chooses; `kinds` are what values
    /// can be.
    pub fn entries(
        &self,
        kinds: &[Kind],
    ) -> impl Iterator<Item = (At<&'d str>, &'d Spanned<DeValue<'d>>)> {
        self.document.trace(|trace| trace.open(&self.path, kinds));
        self.content
            .iter()
            .map(|(key, value)| (At { value: key.get_ref().as_ref(), at: key.span() }, value))
    }

    /// A table below a key that the user chose.
    pub fn inner(&self, title: String, value: &'d Spanned<DeValue<'d>>) -> Option<Table<'d>> {
        let table = value.get_ref().as_table()?;
        let path = self.path_below(|path| Trace::below(path, "*"));
        Some(Self::new(self.document, table, (value.span(), title), path))
    }

    /// Reports the keys that were never read, with the nearest known key.
    pub fn finish(self) {
        let known = self.known.borrow();
        for (key, _) in self.content {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let message = format!("unknown key {} {}", quoted(name), self.whereabouts());
            let problem = self.error(key.span(), message);
            // A suggestion that nobody sees is not worth the comparisons.
            if self.document.is_full() {
                self.report(problem);
                continue;
            }
            self.report(match did_you_mean(name, known.iter().copied(), "known keys") {
                Some(hint) => problem.hint(hint),
                None => problem,
            });
        }
    }

    /// Records a problem of the document.
    pub fn report(&self, problem: Problem) {
        self.document.report(problem);
    }

    /// An error at a place of this document, not yet recorded.
    pub fn error(&self, at: Range<usize>, message: impl Into<String>) -> Problem {
        Problem::error(self.document.place(at), message)
    }

    /// Records that a key's value is wrong.
    pub fn wrong(&self, key: &str, at: &Range<usize>, what: &str) {
        let message = format!("`{key}` {}: {what}", self.whereabouts());
        self.report(self.error(at.clone(), message));
    }

    /// Records that a key's value is wrong, and the remedy.
    pub fn wrong_hint(&self, key: &str, at: &Range<usize>, what: &str, hint: &str) {
        let message = format!("`{key}` {}: {what}", self.whereabouts());
        self.report(self.error(at.clone(), message).hint(hint));
    }

    /// The stretch of the file that holds a part of a text's value; all of it where escapes
    /// make the value differ from what is written.
    pub fn part(&self, text: &At<&str>, part: Range<usize>) -> Range<usize> {
        let file = &self.document.file().text;
        let raw = file.get(text.at.clone()).unwrap_or_default();
        let found = raw.find(text.value).filter(|_| !text.value.is_empty());
        found.map_or(text.at.clone(), |offset| {
            let start = text.at.start + offset;
            start + part.start..start + part.end.max(part.start + 1)
        })
    }

    fn path(&self, key: &str) -> String {
        let outer = self.title.trim_matches(['[', ']']);
        // Titles such as ``cause `x` `` name one table; the heading names its kind.
        let outer = outer.split(' ').next().unwrap_or_default();
        if outer.is_empty() { key.to_owned() } else { format!("{outer}.{key}") }
    }

    fn entry(&self, key: &str) -> Option<(Range<usize>, &'d Spanned<DeValue<'d>>)> {
        let mut entries = self.content.iter();
        let (name, value) = entries.find(|(name, _)| name.get_ref() == key)?;
        Some((name.span(), value))
    }

    /// The value under a key as `read` sees it; a problem if it does not.
    pub(super) fn typed<T>(
        &self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&'d DeValue<'d>) -> Option<T>,
    ) -> Option<At<T>> {
        if !self.known.borrow().contains(&key) {
            self.known.borrow_mut().push(key);
        }
        let (_, value) = self.entry(key)?;
        let Some(found) = read(value.get_ref()) else {
            let found = kind(value.get_ref());
            let what = format!("expected {expected}, found {found}");
            match integer(value.get_ref()).filter(|_| expected == DURATION) {
                Some(n) => {
                    let hint = format!("a duration is text with a unit: `\"{n}s\"`");
                    self.wrong_hint(key, &value.span(), &what, &hint);
                }
                None => self.wrong(key, &value.span(), &what),
            }
            return None;
        };
        Some(At { value: found, at: value.span() })
    }
}

impl fmt::Debug for Table<'_> {
    /// Only the name: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("title", &self.title).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::problem::SourceFile;

    /// The problems of a text after `read` went over its top level.
    fn check(text: &str, read: impl FnOnce(&Table<'_>)) -> Vec<String> {
        let file = SourceFile { path: PathBuf::from("t.toml"), text: text.to_owned() };
        let document = Document::parse(&file);
        let root = document.root();
        read(&root);
        root.finish();
        document.finish().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn wrong_types_say_what_was_expected_and_found() {
        let problems = check("a = 5\nb = \"x\"\nc = 1.5\nd = [1]\ne = 1\nf = nan", |t| {
            assert_eq!(t.span("a"), None);
            assert_eq!(t.number("b"), None);
            assert_eq!(t.integer("c", 0..=9), None);
            assert_eq!(t.texts("d"), None);
            assert!(t.table("e").is_none());
            assert_eq!(t.number("f"), None);
        });
        assert_eq!(
            problems,
            [
                "error: t.toml:1:5: `a` at the top level: expected a duration such as `30s`, found an integer\nhint: a duration is text with a unit: `\"5s\"`",
                "error: t.toml:2:5: `b` at the top level: expected a finite number, found a string",
                "error: t.toml:3:5: `c` at the top level: expected a whole number, found a float",
                "error: t.toml:4:6: `d` at the top level: expected a list of strings, found an integer in it",
                "error: t.toml:5:5: `e` at the top level: expected a table, found an integer",
                "error: t.toml:6:5: `f` at the top level: expected a finite number, found not-a-number",
            ]
        );
    }

    #[test]
    fn unread_keys_are_unknown_and_missing_ones_are_told() {
        let problems = check("intervall = \"5s\"", |t| {
            assert_eq!(t.required("interval", Table::span), None);
        });
        assert_eq!(
            problems,
            [
                "error: t.toml:1:1: missing key `interval` at the top level",
                "error: t.toml:1:1: unknown key `intervall` at the top level\nhint: did you mean `interval`?",
            ]
        );
    }

    #[test]
    fn a_broken_line_hides_what_only_follows_from_it() {
        let problems = check("a = 5s\nc = 1", |t| {
            assert_eq!(t.required("b", Table::span), None);
            assert_eq!(t.text("c"), None);
            t.text("a");
        });
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].starts_with("error: t.toml:1:"), "{problems:?}");
        assert!(problems[1].contains("expected a string, found an integer"), "{problems:?}");
    }

    #[test]
    fn parts_of_texts_are_placed_where_they_are_written_plainly() {
        for (text, want) in
            [("a = 'xyz'", 6..7), ("a = '''\nxyz'''", 9..10), ("a = \"x\\u0079z\"", 4..14)]
        {
            check(text, |t| {
                let value = t.text("a").unwrap();
                assert_eq!(t.part(&value, 1..2), want, "{text}");
            });
        }
    }
}
