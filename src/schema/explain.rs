//! What keys are for: the comments above them in the examples.

use std::collections::{BTreeMap, BTreeSet};

use crate::problem::Trace;

/// Explanations by path of key: `poll.interval`, `receiver[].email`.
#[derive(Debug, Default)]
pub(super) struct Explained {
    texts: BTreeMap<String, String>,
    /// Paths of lists of tables.
    lists: BTreeSet<String>,
}

impl Explained {
    /// Takes the comments of an example; what is explained already stays.
    pub(super) fn read(&mut self, text: &str) {
        let mut table = String::new();
        let mut above = String::new();
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("##") {
                if !above.is_empty() {
                    above.push(' ');
                }
                above.push_str(comment.trim());
                continue;
            }
            let about = std::mem::take(&mut above);
            let list = line.strip_prefix("[[").and_then(|rest| rest.split("]]").next());
            let header = line.strip_prefix('[').and_then(|rest| rest.split(']').next());
            let (key, inside) = match (list, header) {
                (Some(list), _) => {
                    let path = self.resolve(list);
                    self.lists.insert(path.clone());
                    (path.clone(), Some(format!("{path}[]")))
                }
                (None, Some(header)) => {
                    let path = self.resolve(header);
                    (path.clone(), Some(path))
                }
                (None, None) => match line.split_once('=') {
                    Some((key, _)) if is_key(key.trim()) => {
                        (Trace::below(&table, key.trim()), None)
                    }
                    _ => continue,
                },
            };
            table = inside.unwrap_or(table);
            if !about.is_empty() {
                // What stands over one entry of a table whose keys are free is about the table.
                let key = key.strip_suffix(".*").map_or(key.clone(), str::to_owned);
                self.texts.entry(key).or_insert(about);
            }
        }
    }

    /// What a key is for. Ways to give a secret are explained together, at one of its keys.
    pub(super) fn of(&self, path: &str) -> Option<&str> {
        let own = self.texts.get(path);
        let stem = path.strip_suffix("_file").or_else(|| path.strip_suffix("_env"));
        let stem = stem.unwrap_or(path);
        let twins = ["", "_file", "_env"].into_iter();
        let twin = || twins.clone().find_map(|end| self.texts.get(&format!("{stem}{end}")));
        own.or_else(twin).map(String::as_str)
    }

    /// The path of a header: `receiver.email` after `[[receiver]]` is `receiver[].email`.
    fn resolve(&self, header: &str) -> String {
        let mut parts = header.trim().split('.').peekable();
        let mut path = String::new();
        while let Some(part) = parts.next() {
            path = Trace::below(&path, part.trim().trim_matches('\''));
            if parts.peek().is_some() && self.lists.contains(&path) {
                path.push_str("[]");
            }
        }
        path
    }
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_explain_what_stands_below_them() {
        let mut explained = Explained::default();
        explained.read(
            "## A list.\n[[a]]\n## One,\n## in two lines.\nb = 1\n\n[a.c]\n## A file; or `d`.\nd_file = \"x\"\n[e]\nb = 2\n",
        );
        for (path, want) in [
            ("a", Some("A list.")),
            ("a[].b", Some("One, in two lines.")),
            ("a[].c", None),
            ("a[].c.d_file", Some("A file; or `d`.")),
            ("a[].c.d", Some("A file; or `d`.")),
            ("a[].c.d_env", Some("A file; or `d`.")),
            ("e.b", None),
        ] {
            assert_eq!(explained.of(path), want, "{path}");
        }
    }
}
