//! JSON schemas of the files that users write, for editors: they complete keys, show what each is
//! for, and underline what is wrong.
//!
//! The readers of the files tell which keys they know and what values can be
//! ([`crate::problem::Trace`]): each reads an example that has every table and every form, with
//! the explanation of each key as a comment above it. So there is no second list of keys; what an
//! example lacks, or does not explain, a test finds.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::{self, World, default_text};
use crate::problem::{SourceFile, Trace};
use crate::{rule_test, rules, scorecard};

mod explain;
mod json;

use explain::Explained;

const CONFIG: &str = include_str!("config.toml");
const RULES: &str = include_str!("rules.toml");
const TESTS: &str = include_str!("tests.toml");
const INCIDENTS: &str = include_str!("incidents.toml");

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// `grayflag.toml`.
    Config,
    /// Signals, causes and changes; a file may have all three.
    Rules,
    /// Tests of rules.
    Tests,
    /// `incidents.toml`: what really happened.
    Incidents,
}

impl FileKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Config, Self::Rules, Self::Tests, Self::Incidents];

    /// Its title.
    const fn title(self) -> &'static str {
        match self {
            Self::Config => "Configuration of grayflag",
            Self::Rules => "Rules of grayflag: signals, causes and changes",
            Self::Tests => "Tests of rules of grayflag",
            Self::Incidents => "What really happened, for grayflag to be measured against",
        }
    }
}

/// The schema of a kind of file, JSON Schema draft 7.
///
/// # Cost
/// Some milliseconds: the examples are read.
pub fn schema(kind: FileKind) -> Value {
    let (trace, explained) = known(kind);
    json::schema(kind.title(), &trace, &explained)
}

/// Every key that has no explanation, with the path of its table.
pub fn unexplained(kind: FileKind) -> Vec<String> {
    let (trace, explained) = known(kind);
    let keys = trace
        .tables
        .iter()
        .flat_map(|(path, table)| table.keys.keys().map(move |key| Trace::below(path, key)));
    keys.filter(|key| explained.of(key).is_none()).collect()
}

/// The keys of a file as its reader asks for them, whatever the schema says.
pub fn keys_of(kind: FileKind, file: &SourceFile, world: &dyn World) -> Trace {
    match kind {
        FileKind::Config => config::keys(file, world),
        FileKind::Rules => rules::keys(file),
        FileKind::Tests => rule_test::keys(file, world),
        FileKind::Incidents => scorecard::keys(file),
    }
}

fn known(kind: FileKind) -> (Trace, Explained) {
    let mut trace = Trace::default();
    let mut explained = Explained::default();
    for text in examples(kind) {
        explained.read(&text);
        let file = SourceFile { path: PathBuf::from("example.toml"), text };
        trace.extend(keys_of(kind, &file, &Anything));
    }
    (trace, explained)
}

/// The texts that have every key together.
pub(crate) fn examples(kind: FileKind) -> Vec<String> {
    match kind {
        FileKind::Config => {
            // The default configuration has its options behind `#`.
            let set = |line: &str| line.strip_prefix("# ").map_or(line, |set| set).to_owned();
            let lines: Vec<String> = default_text().lines().map(set).collect();
            vec![CONFIG.to_owned(), lines.join("\n")]
        }
        FileKind::Rules => vec![RULES.to_owned()],
        FileKind::Tests => vec![TESTS.to_owned()],
        FileKind::Incidents => vec![INCIDENTS.to_owned()],
    }
}

/// A world in which every file is there and looks as it should.
struct Anything;

impl World for Anything {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(b"-----BEGIN EXAMPLE-----".to_vec())
    }

    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    fn variable(&self, _: &str) -> Option<String> {
        Some("example".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{Document, Kind};

    #[test]
    fn examples_are_toml() {
        for kind in FileKind::ALL {
            for text in examples(kind) {
                let file = SourceFile { path: PathBuf::from("example.toml"), text };
                let document = Document::parse(&file);
                assert!(!document.has_errors(), "{kind:?}: {}", document.finish().render(false));
            }
        }
    }

    #[test]
    fn examples_have_every_table_and_every_form() {
        for kind in FileKind::ALL {
            let trace = known(kind).0;
            for (path, table) in &trace.tables {
                for (key, asked) in &table.keys {
                    let at = Trace::below(path, key);
                    assert!(asked.kinds != [Kind::Any], "{kind:?}: no example of `{at}`");
                    let below = asked.kinds.iter().filter_map(|kind| match kind {
                        Kind::Table => Some(at.clone()),
                        Kind::Tables => Some(Trace::below_list(path, key)),
                        _ => None,
                    });
                    for below in below {
                        assert!(trace.tables.contains_key(&below), "{kind:?}: no `{below}`");
                    }
                }
            }
        }
    }

    #[test]
    fn every_key_is_explained() {
        for kind in FileKind::ALL {
            let unexplained = unexplained(kind);
            assert!(
                unexplained.is_empty(),
                "write a comment with ## above these in config/default_text.rs or src/schema/*.toml:\n{}",
                unexplained.join("\n")
            );
        }
    }
}
