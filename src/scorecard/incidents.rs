//! `incidents.toml`: what really happened, told by people.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::problem::{Document, Problem, Problems, SourceFile, Table, Trace, did_you_mean, quoted};
use crate::time::Timestamp;

/// More incidents than this in one file are refused: years of a large fleet.
pub const INCIDENTS_MAX: usize = 10_000;

/// One thing that really went wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Truth {
    /// When it began to go wrong, as far as is known.
    pub onset: Timestamp,
    /// Where users felt it, or where it was wrong.
    pub service: String,
    /// When a person or an objective noticed; none if nobody did.
    pub noticed: Option<Timestamp>,
    /// When it was over; none if that is not known.
    pub end: Option<Timestamp>,
    /// Id of the cause that it turned out to be.
    pub cause: Option<String>,
    /// Anything else worth keeping.
    pub note: Option<String>,
}

/// Reads a file of incidents, in order of onset; what is wrong with it is among the problems, and
/// with an error in it the list is not to be used. A cause that is none of `causes` is a warning:
/// it may well have been one that no rule describes.
pub fn parse(file: &SourceFile, causes: Option<&BTreeSet<&str>>) -> (Vec<Truth>, Problems) {
    let document = Document::parse(file);
    let truths = read(&document, causes);
    (truths, document.finish())
}

/// The keys that a file of incidents can have, as far as `file` has the tables that they stand in.
pub fn keys(file: &SourceFile) -> Trace {
    let document = Document::traced(file);
    read(&document, None);
    document.keys()
}

fn read(document: &Document<'_>, causes: Option<&BTreeSet<&str>>) -> Vec<Truth> {
    let root = document.root();
    let tables = root.tables("incident");
    if tables.len() > INCIDENTS_MAX {
        let what = format!("more than {INCIDENTS_MAX} incidents");
        root.wrong_hint("incident", &root.at_value("incident"), &what, "split the file");
    }
    if !root.has("incident") {
        let problem = root.error(0..0, "there is no [[incident]] in this file");
        let hint = "write at least one `[[incident]]` with its `service` and `onset`";
        root.report(problem.hint(hint).of_absence());
    }
    let mut seen = BTreeMap::new();
    let mut truths: Vec<Truth> = tables
        .into_iter()
        .take(INCIDENTS_MAX)
        .filter_map(|table| truth(table, causes, &mut seen))
        .collect();
    truths.sort();
    root.finish();
    truths
}

/// Line by service and onset of the incidents read so far.
type Seen = BTreeMap<(String, Timestamp), usize>;

fn truth(table: Table<'_>, causes: Option<&BTreeSet<&str>>, seen: &mut Seen) -> Option<Truth> {
    let t = &table;
    let service = t.required("service", Table::filled);
    let onset = t.required("onset", instant);
    let later = |key: &'static str| {
        let at = instant(t, key)?;
        if onset.is_some_and(|onset| at < onset) {
            t.wrong(key, &t.at_value(key), "lies before `onset`");
        }
        Some(at)
    };
    let noticed = later("noticed");
    let end = later("end");
    let cause = t.filled("cause");
    if let (Some(cause), Some(causes)) = (&cause, causes)
        && !causes.contains(cause.value)
    {
        let message =
            format!("no rule knows the cause {} {}", quoted(cause.value), t.whereabouts());
        let problem = Problem::warning(t.document().place(cause.at.clone()), message);
        let hint = did_you_mean(cause.value, causes.iter().copied(), "causes in these rules");
        t.report(problem.hint(hint.unwrap_or_else(|| "it can never be named".to_owned())));
    }
    let text = |key| t.filled(key).map(|text| text.value.to_owned());
    let note = text("note");
    let service = service.map(|service| service.value.to_owned());
    if let (Some(service), Some(onset)) = (&service, onset) {
        let line = t.document().place(t.at()).line;
        if let Some(first) = seen.insert((service.clone(), onset), line) {
            let what =
                format!("the incident in line {first} has the same service and the same onset");
            t.wrong_hint("onset", &t.at_value("onset"), &what, "each is told once");
        }
    }
    let cause = cause.map(|cause| cause.value.to_owned());
    table.finish();
    Some(Truth { onset: onset?, service: service?, noticed, end, cause, note })
}

/// An instant as RFC 3339.
fn instant(table: &Table<'_>, key: &'static str) -> Option<Timestamp> {
    let text = table.filled(key)?;
    match text.value.parse() {
        Ok(at) => Some(at),
        Err(error) => {
            table.wrong(key, &text.at, &format!("{error}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn read(text: &str, causes: Option<&[&str]>) -> (Vec<Truth>, Vec<String>) {
        let file = SourceFile { path: PathBuf::from("i.toml"), text: text.to_owned() };
        let causes = causes.map(|causes| causes.iter().copied().collect());
        let (truths, problems) = parse(&file, causes.as_ref());
        (truths, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn incidents_are_read_in_order_of_onset() {
        let (truths, problems) = read(
            r#"
[[incident]]
service = "checkout"
onset = "2026-03-01T02:10:00Z"
noticed = "2026-03-01T05:40:00Z"
end = "2026-03-01T07:00:00Z"
cause = "slow-dependency"
note = "the bank was slow"
[[incident]]
service = "web"
onset = "2026-02-01T00:00:00Z"
"#,
            Some(&["slow-dependency"]),
        );
        assert_eq!(problems, [""; 0]);
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!((truths[0].service.as_str(), truths[0].noticed), ("web", None));
        assert_eq!(truths[1].noticed, Some(at("2026-03-01T05:40:00Z")));
        assert_eq!(truths[1].end, Some(at("2026-03-01T07:00:00Z")));
        assert_eq!(truths[1].cause.as_deref(), Some("slow-dependency"));
        assert_eq!(truths[1].note.as_deref(), Some("the bank was slow"));
    }

    #[test]
    fn every_mistake_is_told_with_its_place_and_remedy() {
        let (_, problems) = read(
            r#"[[incident]]
onset = "yesterday"
[[incident]]
service = "web"
onset = "2026-03-01T02:10:00Z"
notised = "2026-03-01T02:20:00Z"
end = "2026-03-01T02:00:00Z"
cause = "slow-dependancy"
[[incident]]
service = "web"
onset = "2026-03-01T02:10:00Z"
"#,
            Some(&["slow-dependency"]),
        );
        assert_eq!(
            problems,
            [
                "error: i.toml:1:1: missing key `service` in [[incident]]",
                "error: i.toml:2:9: `onset` in [[incident]]: `yesterday` is not an instant; write RFC 3339, for example `2026-03-01T02:10:00Z`",
                "error: i.toml:6:1: unknown key `notised` in [[incident]]\nhint: did you mean `noticed`?",
                "error: i.toml:7:7: `end` in [[incident]]: lies before `onset`",
                "warning: i.toml:8:9: no rule knows the cause `slow-dependancy` in [[incident]]\nhint: did you mean `slow-dependency`?",
                "error: i.toml:11:9: `onset` in [[incident]]: the incident in line 3 has the same service and the same onset\nhint: each is told once",
            ]
        );
        let (_, problems) = read("[[incidents]]\nservice = 'x'", None);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("there is no [[incident]]"), "{problems:?}");
        assert!(problems[1].contains("did you mean `incident`?"), "{problems:?}");
    }
}
