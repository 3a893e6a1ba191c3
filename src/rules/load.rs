//! Rule files: parsed, then validated, with all their problems at once.

use std::collections::BTreeMap;

use super::{Cause, ChangeRule, Signal, parse_cause, parse_change, parse_signal};
use crate::problem::{Document, Place, Problem, Problems, SourceFile, Table, Trace, quoted};

/// More signals than this are refused: each is a query per tick.
pub const SIGNALS_MAX: usize = 5_000;

/// More causes than this are refused: each is weighed for every incident.
pub const CAUSES_MAX: usize = 500;

/// More change queries than this are refused: each is asked at every tick.
pub const CHANGES_MAX: usize = 500;

/// What the rule files say, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleSet {
    /// Names are unique.
    pub signals: Vec<Signal>,
    /// Ids are unique.
    pub causes: Vec<Cause>,
    /// Queries for change events.
    pub changes: Vec<ChangeRule>,
    /// Where each signal says its name.
    pub signal_places: BTreeMap<String, Place>,
    /// Where each cause says its id.
    pub cause_places: BTreeMap<String, Place>,
}

/// Reads rule files. With errors among the problems the set is incomplete and not to be used.
pub fn load(files: &[SourceFile]) -> (RuleSet, Problems) {
    let mut set = RuleSet::default();
    let mut problems = Problems::default();
    let mut signals = Names::new("signal", SIGNALS_MAX);
    let mut causes = Names::new("cause", CAUSES_MAX);
    for file in files {
        let document = Document::parse(file);
        read(&document, &mut set, (&mut signals, &mut causes));
        problems.extend(document.finish());
    }
    set.signal_places = signals.first;
    set.cause_places = causes.first;
    (set, problems)
}

/// The keys that rule files can have, as far as `file` has the tables that they stand in.
pub fn keys(file: &SourceFile) -> Trace {
    let document = Document::traced(file);
    let mut names = (Names::new("signal", SIGNALS_MAX), Names::new("cause", CAUSES_MAX));
    read(&document, &mut RuleSet::default(), (&mut names.0, &mut names.1));
    document.keys()
}

fn read(document: &Document<'_>, set: &mut RuleSet, (signals, causes): (&mut Names, &mut Names)) {
    let root = document.root();
    for table in root.tables("signal") {
        set.signals.extend(parse_signal::signal(table, signals));
    }
    for table in root.tables("cause") {
        set.causes.extend(parse_cause::cause(table, causes));
    }
    let changes = root.tables("change");
    if set.changes.len() + changes.len() > CHANGES_MAX {
        let message = format!("more than {CHANGES_MAX} [[change]] queries");
        let problem = Problem::error(document.place(root.at_key("change")), message);
        document.report(problem.hint("let one query answer for all services"));
    }
    set.changes.extend(changes.into_iter().filter_map(parse_change::change));
    let known = ["signal", "cause", "change"];
    if !known.iter().any(|key| root.has(key)) && !root.has_unknown() {
        let message = "no [[signal]], no [[cause]] and no [[change]] in this file";
        let place = document.place(0..0);
        document.report(
            Problem::warning(place, message)
                .hint("remove the file, or the pattern that names it")
                .of_absence(),
        );
    }
    root.finish();
}

/// Names that must be unique over all files, and where each was first given.
#[derive(Debug)]
pub(crate) struct Names {
    what: &'static str,
    limit: usize,
    first: BTreeMap<String, Place>,
}

impl Names {
    /// No names yet, of at most `limit` things called `what`.
    pub(crate) fn new(what: &'static str, limit: usize) -> Self {
        Self { what, limit, first: BTreeMap::new() }
    }

    /// Reads the name under `key`, calls the table by it, and reports one that is taken.
    pub(crate) fn claim(&mut self, table: &mut Table<'_>, key: &'static str) -> Option<String> {
        let name = table.required(key, Table::filled)?;
        table.rename(format!("{} {}", self.what, quoted(name.value)));
        let place = table.document().place(name.at.clone());
        if let Some(first) = self.first.get(name.value) {
            let message = format!("the {} {} is there twice", self.what, quoted(name.value));
            let problem = Problem::error(place, message)
                .also(first.clone(), "first")
                .hint(format!("give one of the two another {key}, or remove it"));
            table.report(problem);
            return None;
        }
        if self.first.len() == self.limit {
            let message = format!("more than {} {}s", self.limit, self.what);
            table.report(
                Problem::error(place.clone(), message)
                    .hint("split the fleet over several grayflags"),
            );
        }
        if self.first.len() <= self.limit {
            self.first.insert(name.value.to_owned(), place);
        }
        Some(name.value.to_owned())
    }

    /// All names with their places, in order of name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.first.iter().map(|(name, place)| (name.as_str(), place))
    }
}

/// Reports a name with characters that would need quoting in links, labels and file names.
pub(super) fn plain_name(table: &Table<'_>, key: &'static str, name: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !name.chars().all(plain) {
        table.wrong_hint(
            key,
            &table.at_value(key),
            &format!("{} has characters that names cannot have", quoted(name)),
            "use letters, digits, `-`, `_` and `.`",
        );
    }
}
