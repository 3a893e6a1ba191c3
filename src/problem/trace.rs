//! Which keys a reader of files knows, told by the reader itself: what schemas are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

/// What a key's value can be.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Known, and not looked at in the cases that were tried.
    Any,
    /// A text.
    Text,
    /// A text that says something.
    Filled,
    /// A length of time.
    Duration,
    /// A finite number.
    Number,
    /// A whole number within bounds.
    Integer(RangeInclusive<i64>),
    /// Yes or no.
    Boolean,
    /// One word of a few.
    Word(BTreeSet<String>),
    /// A list of texts, none of them empty.
    Texts,
    /// A list of words of a few.
    Words(BTreeSet<String>),
    /// A table.
    Table,
    /// A list of tables.
    Tables,
}

/// One key of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// What its value can be; several where it depends on other keys.
    pub kinds: Vec<Kind>,
    /// How often it was missed or would have been.
    required: usize,
}

/// One table of a file, wherever it can stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Visited {
    visits: usize,
    /// Its keys.
    pub keys: BTreeMap<&'static str, Asked>,
    /// What values can be under keys that the user chooses; empty where they cannot be chosen.
    pub open: Vec<Kind>,
}

impl Visited {
    /// Whether the table is nothing without the key, in all cases that were tried.
    pub fn requires(&self, key: &str) -> bool {
        self.keys.get(key).is_some_and(|asked| self.visits <= asked.required)
    }
}

/// Every table that was read, by path: `receiver[].email` is the table `email` in the list of
/// tables `receiver`, `*` stands for a key that the user chose.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// By path; the top level is the empty one.
    pub tables: BTreeMap<String, Visited>,
}

impl Trace {
    /// The path of a table under a key.
    pub fn below(path: &str, key: &str) -> String {
        if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
    }

    /// The path of a table in a list under a key.
    pub fn below_list(path: &str, key: &str) -> String {
        format!("{}[]", Self::below(path, key))
    }

    /// Takes over what another file told.
    pub fn extend(&mut self, other: Self) {
        for (path, visited) in other.tables {
            let table = self.tables.entry(path).or_default();
            table.visits += visited.visits;
            for kind in visited.open {
                add(&mut table.open, kind);
            }
            for (key, asked) in visited.keys {
                let known = table.keys.entry(key).or_default();
                known.required += asked.required;
                for kind in asked.kinds {
                    add(&mut known.kinds, kind);
                }
            }
        }
    }

    pub(super) fn visit(&mut self, path: &str) {
        self.tables.entry(path.to_owned()).or_default().visits += 1;
    }

    pub(super) fn ask(&mut self, path: &str, key: &'static str, kind: Kind) {
        let table = self.tables.entry(path.to_owned()).or_default();
        add(&mut table.keys.entry(key).or_default().kinds, kind);
    }

    pub(super) fn require(&mut self, path: &str, key: &'static str) {
        let table = self.tables.entry(path.to_owned()).or_default();
        table.keys.entry(key).or_default().required += 1;
    }

    pub(super) fn open(&mut self, path: &str, kinds: &[Kind]) {
        let table = self.tables.entry(path.to_owned()).or_default();
        for kind in kinds {
            add(&mut table.open, kind.clone());
        }
    }
}

/// Adds what a value can be. What says more takes the place of what says less: a word is read as a
/// text first.
fn add(kinds: &mut Vec<Kind>, kind: Kind) {
    for known in kinds.iter_mut() {
        match (&mut *known, &kind) {
            (Kind::Word(words), Kind::Word(more)) | (Kind::Words(words), Kind::Words(more)) => {
                words.extend(more.iter().cloned());
                return;
            }
            (known, kind) if *known == *kind || says_less(kind, known) => return,
            (known, kind) if says_less(known, kind) => {
                *known = kind.clone();
                return;
            }
            _ => {}
        }
    }
    kinds.push(kind);
}

fn says_less(less: &Kind, more: &Kind) -> bool {
    match less {
        Kind::Any => true,
        Kind::Text => matches!(more, Kind::Filled | Kind::Word(_)),
        Kind::Texts => matches!(more, Kind::Words(_)),
        _ => false,
    }
}
