//! Hides secrets before a file's text can be shown: an excerpt in a build log is public.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// A key whose name holds one of these has a secret for its value.
const SECRET_WORDS: [&str; 10] = [
    "password",
    "passwd",
    "secret",
    "token",
    "credential",
    "api_key",
    "routing_key",
    "webhook_url",
    "authorization",
    "cookie",
];

/// Every value below a key of this name may be a secret: header names are the user's.
const SECRET_TABLE: &str = "headers";

/// In a table of this name the address is a secret, though it is called `url` as others are:
/// whoever knows it can pretend that all is well.
const SECRET_URL_TABLE: &str = "heartbeat";

/// Keys that name where a secret is kept, which is worth showing.
const REFERENCES: [&str; 2] = ["file", "env"];

/// The text with every secret replaced by stars, byte for byte, so that places stay right.
pub(super) fn mask(text: &str, root: &DeTable<'_>, broken: bool) -> String {
    let mut hidden = Vec::new();
    walk_table(root, false, text, &mut hidden);
    hidden.extend(secret_urls(root));
    if broken {
        // What could not be parsed is not in the tree, so lines are looked at as well.
        broken_lines(text, &mut hidden);
    }
    hidden.sort_by_key(|range| range.start);
    let mut hidden = hidden.into_iter().peekable();
    let mut covered = 0;
    let mut masked = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        while let Some(range) = hidden.next_if(|range| range.start <= at) {
            covered = covered.max(range.end);
        }
        if at < covered && !matches!(c, '\n' | '\r' | '"' | '\'') {
            masked.extend(std::iter::repeat_n('*', c.len_utf8()));
        } else {
            masked.push(c);
        }
    }
    masked
}

/// The values of `url` in every table of the name that makes them secrets.
fn secret_urls<'t>(root: &'t DeTable<'_>) -> impl Iterator<Item = Range<usize>> + 't {
    let named = root.iter().filter(|(key, _)| key.get_ref() == SECRET_URL_TABLE);
    let tables = named.filter_map(|(_, value)| value.get_ref().as_table());
    let values = tables.flat_map(|table| table.iter().filter(|(key, _)| key.get_ref() == "url"));
    values.map(|(_, value)| value.span())
}

fn walk_table(table: &DeTable<'_>, secret: bool, text: &str, hidden: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        let name = key.get_ref();
        // A variable's name is worth showing, a secret that was put in its place is not.
        let misplaced =
            name.ends_with("env") && value.get_ref().as_str().is_some_and(|v| !is_variable(v));
        let secret =
            misplaced || !is_reference(name) && (secret || is_secret(name) || name == SECRET_TABLE);
        walk(value.get_ref(), &value.span(), secret, (text, hidden));
    }
}

fn walk(
    value: &DeValue<'_>,
    span: &Range<usize>,
    secret: bool,
    (text, hidden): (&str, &mut Vec<Range<usize>>),
) {
    match value {
        DeValue::Table(table) => walk_table(table, secret, text, hidden),
        DeValue::Array(array) => {
            for item in array {
                walk(item.get_ref(), &item.span(), secret, (text, &mut *hidden));
            }
        }
        _ if secret => hidden.push(span.clone()),
        DeValue::String(_) => hidden.extend(user_info(text, span)),
        _ => {}
    }
}

/// The `user:password` of a URL inside `span`.
fn user_info(text: &str, span: &Range<usize>) -> Option<Range<usize>> {
    let raw = text.get(span.clone())?;
    let start = raw.find("://")? + 3;
    let rest = raw.get(start..)?;
    let authority = rest.find(['/', '?', '#', '\n']).unwrap_or(rest.len());
    let end = rest.get(..authority)?.rfind('@')?;
    Some(span.start + start..span.start + start + end)
}

fn broken_lines(text: &str, hidden: &mut Vec<Range<usize>>) {
    let mut start = 0;
    let (mut in_secret_table, mut in_url_table) = (false, false);
    for line in text.split_inclusive('\n') {
        let span = start..start + line.len();
        let trimmed = line.trim_start();
        if trimmed.starts_with('[') {
            in_secret_table = trimmed.contains(SECRET_TABLE);
            in_url_table = trimmed.contains(SECRET_URL_TABLE);
        }
        let is_url = (in_url_table && trimmed.starts_with("url")) || is_url_of_one_line(trimmed);
        let named = is_secret(line) || line.contains(SECRET_TABLE) || is_url;
        // What is opened here may go on over lines, and nobody knows where it should have ended.
        in_secret_table |= line.contains(SECRET_TABLE)
            || (named && (line.contains("\"\"\"") || line.contains("'''")));
        if (named || in_secret_table) && !trimmed.starts_with('#') {
            // From the first `=` behind the word on; without one the whole line.
            let lower = line.to_ascii_lowercase();
            let words = SECRET_WORDS.iter().chain([&SECRET_TABLE]);
            let word = words.filter_map(|word| lower.find(word)).min().unwrap_or(0);
            let value = lower.get(word..).and_then(|rest| rest.find('='));
            hidden.push(start + value.map_or(0, |value| word + value + 1)..span.end);
        } else {
            hidden.extend(user_info(text, &span));
        }
        start = span.end;
    }
}

/// Whether a text has the form of an environment variable's name.
pub fn is_variable(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
}

/// `heartbeat = { url = … }`, or `heartbeat.url = …`.
fn is_url_of_one_line(line: &str) -> bool {
    line.starts_with(SECRET_URL_TABLE) && line.contains("url")
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase().replace('-', "_");
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

fn is_reference(name: &str) -> bool {
    REFERENCES.iter().any(|end| name == *end || name.ends_with(&format!("_{end}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(text: &str) -> String {
        let (root, errors) = DeTable::parse_recoverable(text);
        mask(text, root.get_ref(), !errors.is_empty())
    }

    #[test]
    fn secrets_are_hidden_and_places_stay() {
        for (text, want) in [
            ("password = \"hünter\"", "password = \"*******\""),
            ("password = 1234", "password = ****"),
            ("password_file = \"/run/x\"", "password_file = \"/run/x\""),
            (
                "headers = { A = \"b c\", D = { file = \"e\" } }",
                "headers = { A = \"***\", D = { file = \"e\" } }",
            ),
            ("[source.headers]\nX = 'y'", "[source.headers]\nX = '*'"),
            ("url = \"http://a:b@c/d@e\"", "url = \"http://***@c/d@e\""),
            ("password_env = \"PASS_1\"", "password_env = \"PASS_1\""),
            ("password_env = \"hunter-2\"", "password_env = \"********\""),
            (
                "[heartbeat]\nurl = \"http://a/b\"\nevery = \"1m\"\nurl_file = \"c\"",
                "[heartbeat]\nurl = \"**********\"\nevery = \"1m\"\nurl_file = \"c\"",
            ),
            ("heartbeat.url = 'x'", "heartbeat.url = '*'"),
            ("query = 'up{x=\"a@b\"}'", "query = 'up{x=\"a@b\"}'"),
        ] {
            assert_eq!(masked(text), want);
        }
    }

    #[test]
    fn secrets_on_broken_lines_are_hidden_too() {
        for text in [
            "password = \"hunter2",
            "basic_auth = { username = \"u\", password = \"hunter2\" \nx = 1",
            "x = = 1\n[source.headers]\nX-Key = hunter2",
            "url = \"http://u:hunter2@h\nx = = 1",
            "headers = {\n  \"X-Key\" = \"hunter2\n}",
            "[heartbeat]\nurl = https://h/hunter2\nx = = 1",
            "heartbeat = { url = \"https://h/hunter2 }",
            "password = \"\"\"\nhunter2\nx = 1",
            "x = [\nbearer_token: hunter2\n",
        ] {
            assert!(!masked(text).contains("hunter2"), "{text}");
        }
    }
}
