//! Queries, looked at before a backend sees them. Errors are only what no backend could accept:
//! brackets and quotes without a partner, characters that no query has. The rest is advice, because
//! backends know more than the parser does: MetricsQL, and functions newer than it.

use std::ops::Range;

use promql_parser::parser::Expr;

use super::{Role, SERVICE_LABEL};
use crate::problem::{At, Problem, Table, did_you_mean, listed};

mod habits;
mod labels;
mod metrics;
mod narrow;

pub use metrics::{Metric, metrics};
pub use narrow::narrowed;

/// Longer queries, and those with deeper brackets, are not looked into: nobody wrote them by hand.
const READ_CHARS_MAX: usize = 16 * 1024;
const READ_DEPTH_MAX: usize = 100;

/// Longer numbers are no lengths of time.
const DIGITS_MAX: usize = 12;

/// Characters that neither PromQL nor MetricsQL has outside of texts, and what they should be.
const STRANGE: [(&str, &str); 6] = [
    ("\u{201c}\u{201d}\u{201e}\u{ab}\u{bb}", "a text stands in straight quotes, `\"`"),
    ("\u{2018}\u{2019}", "a text stands in straight quotes, `'`"),
    ("\u{a0}\u{2007}\u{202f}\u{200b}\u{feff}", "write a plain space in its place"),
    ("&", "write `and`"),
    ("|", "write `or`"),
    (";?", "remove it"),
];

/// What is wrong with a query's structure, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) at: Range<usize>,
    pub(super) message: String,
}

/// The PromQL under a key: not empty and of sound structure.
pub(crate) fn query(table: &Table<'_>, key: &'static str) -> Option<String> {
    let text = table.filled(key)?;
    match structure(text.value) {
        None => Some(text.value.to_owned()),
        Some(broken) => {
            table.wrong(key, &table.part(&text, broken.at), &broken.message);
            None
        }
    }
}

/// Functions that are misspelt most.
const FUNCTIONS: [&str; 16] = [
    "absent",
    "avg_over_time",
    "clamp_max",
    "clamp_min",
    "delta",
    "deriv",
    "histogram_quantile",
    "increase",
    "irate",
    "label_join",
    "label_replace",
    "max_over_time",
    "min_over_time",
    "quantile_over_time",
    "rate",
    "sum_over_time",
];

/// A label that the rows of a query must have, and the key that says so.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    /// The key that names it.
    pub(crate) key: &'static str,
    /// The label.
    pub(crate) label: &'a str,
    /// Where it is named; where it goes without saying, the query is pointed at.
    pub(crate) at: Option<Range<usize>>,
}

impl<'a> Wanted<'a> {
    /// The label that a key names.
    pub(crate) fn named(key: &'static str, label: &At<&'a str>) -> Self {
        Self { key, label: label.value, at: Some(label.at.clone()) }
    }

    /// The label that names the service.
    pub(crate) fn service(label: Option<&At<&'a str>>) -> Self {
        let usual = Self { key: "service", label: SERVICE_LABEL, at: None };
        label.map_or(usual, |label| Self::named("service", label))
    }
}

/// Warns of what the query under `key` cannot give or does not say. `filled` is the query as the
/// backend gets it; `role` is what its values mean, if anything.
pub(crate) fn advise(
    table: &Table<'_>,
    key: &'static str,
    filled: &str,
    role: Option<Role>,
    wanted: &[Wanted<'_>],
) {
    let Some(text) = table.text(key).filter(|_| structure(filled).is_none()) else { return };
    let warn = |at: Range<usize>, what: &str, hint: &str| {
        let message = format!("`{key}` {}: {what}", table.whereabouts());
        Problem::warning(table.document().place(at), message).hint(hint)
    };
    if let Some(dollar) = text.value.find("[$") {
        let hint = "Grafana fills such names in, grayflag does not: write a length such as `[5m]`";
        let at = table.part(&text, dollar + 1..dollar + 2);
        table.report(warn(at, "`$` begins a name of Grafana's", hint));
        return;
    }
    let expr = match read(filled) {
        None => return,
        Some(Ok(expr)) => expr,
        Some(Err(reason)) => {
            let what = format!("cannot be read as PromQL: {reason}");
            let hint = format!(
                "{}if the backend takes it, as one with MetricsQL or newer functions may, ignore this; `grayflag check --backend` asks it",
                likely_remedy(&reason)
            );
            table.report(warn(text.at.clone(), &what, &hint));
            return;
        }
    };
    for (reason, lacking) in lacking(&expr, wanted) {
        let labels = listed(lacking.iter().map(|wanted| wanted.label));
        let word = if labels.contains(',') { "labels" } else { "label" };
        let what = format!("no row can have the {word} {labels}: {reason}");
        let problem = warn(text.at.clone(), &what, remedy(&reason, &lacking));
        let named = lacking.into_iter().find_map(|wanted| wanted.at.clone());
        table.report(match named {
            Some(at) => problem.also(table.document().place(at), "wanted here"),
            None => problem,
        });
    }
    for odd in role.map(|role| habits::odd(&expr, role)).unwrap_or_default() {
        let at = part_of(table, &text, &odd.part);
        table.report(warn(at, &odd.what, &odd.hint));
    }
}

/// The labels that no row can have, together where the reason is the same.
fn lacking<'w, 'a>(expr: &Expr, wanted: &'w [Wanted<'a>]) -> Vec<(String, Vec<&'w Wanted<'a>>)> {
    let mut lacking: Vec<(String, Vec<&Wanted<'_>>)> = Vec::new();
    for one in wanted {
        let Some(reason) = labels::missing(expr, one.label) else { continue };
        match lacking.iter_mut().find(|(known, _)| *known == reason) {
            // A label with two meanings is told elsewhere.
            Some((_, same)) if same.iter().any(|other| other.label == one.label) => {}
            Some((_, same)) => same.push(one),
            None => lacking.push((reason, vec![one])),
        }
    }
    lacking
}

/// What to do about labels that rows lack.
fn remedy(reason: &str, lacking: &[&Wanted<'_>]) -> &'static str {
    let is = |key: &str| lacking.iter().any(|wanted| wanted.key == key);
    let dropped = reason.contains("drops it") || reason.contains("leaves no labels");
    match () {
        () if is("client") || is("server") => {
            "rows need `client` and `server`; `label_replace` gives other labels these names"
        }
        () if is("service") && dropped => {
            "rows without it are left out: keep it in every `by (…)`, or say with `service = \"…\"` which label names the service"
        }
        () if is("service") => "rows that name no service are left out: ask for the service too",
        () if dropped => "keep it in every `by (…)`, or do not name it here",
        () => "ask for it too, or do not name it here",
    }
}

/// What to do about a query that cannot be read, before the backend is asked.
fn likely_remedy(reason: &str) -> String {
    if reason.contains("expected type matrix") {
        return "give it a range, `[5m]`; ".to_owned();
    }
    let name = reason.strip_prefix("unknown function with name '");
    let name = name.and_then(|rest| rest.split('\'').next());
    let near = name.and_then(|name| did_you_mean(name, FUNCTIONS, ""));
    near.filter(|near| near.starts_with("did")).map(|near| format!("{near} ")).unwrap_or_default()
}

/// Where a part of a query stands, if it stands there as it is.
fn part_of(table: &Table<'_>, text: &At<&str>, part: &str) -> Range<usize> {
    let found = text.value.find(part);
    found.map_or(text.at.clone(), |start| table.part(text, start..start + part.len()))
}

/// The query as a tree, or why it is none; nothing where it is not looked into.
fn read(query: &str) -> Option<Result<Expr, String>> {
    let depth = query.matches(['(', '[', '{']).count();
    if READ_CHARS_MAX < query.len() || READ_DEPTH_MAX < depth || holds_odd_length(query) {
        return None;
    }
    let read = promql_parser::parser::parse(&with_plain_texts(query));
    // Its own words for "I do not know why" say nothing to a user.
    Some(read.map_err(|reason| match reason.trim() {
        "invalid promql query" => "its parts do not fit together".to_owned(),
        reason => reason.replace('\n', " "),
    }))
}

/// Numbers that may be lengths of time which the parser cannot hold: it would panic.
fn holds_odd_length(query: &str) -> bool {
    let mut lower = query.to_ascii_lowercase();
    lower.retain(|c| !c.is_whitespace());
    let bytes = lower.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let long = (0..bytes.len()).any(|at| (at..at + DIGITS_MAX).all(digit));
    let exponent = |at: usize| {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let number = at.checked_sub(1).and_then(|before| bytes.get(before));
        number.is_some_and(|c| c.is_ascii_digit() || *c == b'.')
            && digit(at + sign + 1)
            && digit(at + sign + 2)
    };
    let large = lower.match_indices('e').any(|(at, _)| exponent(at));
    let in_brackets = || lower.split('[').skip(1).filter_map(|part| part.split(']').next());
    let odd = |length: &str| ["inf", "nan", "-"].iter().any(|odd| length.contains(odd));
    long || large
        || in_brackets().any(odd)
        || lower.split("offset").skip(1).any(|after| {
            let after = after.trim_start_matches(['+', '-']);
            after.starts_with("inf") || after.starts_with("nan")
        })
}

/// Texts in backticks, which the parser reads as if they had escapes, written with them.
fn with_plain_texts(query: &str) -> String {
    let mut plain = String::with_capacity(query.len());
    let mut quote: Option<char> = None;
    let mut chars = query.chars();
    while let Some(c) = chars.next() {
        match quote {
            None => {
                quote = Some(c).filter(|c| matches!(c, '"' | '\'' | '`'));
                plain.push(if c == '`' { '"' } else { c });
            }
            Some('`') => match c {
                '`' => {
                    quote = None;
                    plain.push('"');
                }
                '"' | '\\' => plain.extend(['\\', c]),
                '\n' => plain.push_str("\\n"),
                c => plain.push(c),
            },
            Some(open) => {
                plain.push(c);
                if c == '\\' {
                    plain.extend(chars.next());
                } else if c == open {
                    quote = None;
                }
            }
        }
    }
    plain
}

/// Finds the first bracket or quote without a partner.
pub(super) fn structure(query: &str) -> Option<Broken> {
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut chars = query.char_indices();
    let broken = |at: usize, message: String| Some(Broken { at: at..at + 1, message });
    while let Some((at, c)) = chars.next() {
        match c {
            '"' | '\'' | '`' => {
                let mut closed = false;
                while let Some((_, inner)) = chars.next() {
                    // In backticks a backslash is only a backslash.
                    if inner == '\\' && c != '`' {
                        chars.next();
                    } else if inner == c {
                        closed = true;
                        break;
                    }
                }
                if !closed {
                    return broken(at, format!("this {c} opens a string that is never closed"));
                }
            }
            '#' => {
                chars.by_ref().find(|&(_, c)| c == '\n');
            }
            '(' | '[' | '{' => open.push((at, c)),
            ')' | ']' | '}' => match open.pop() {
                None => return broken(at, format!("this `{c}` closes nothing")),
                Some((_, opening)) if partner(opening) != c => {
                    let message =
                        format!("this `{c}` closes a `{opening}`, expected `{}`", partner(opening));
                    return broken(at, message);
                }
                Some(_) => {}
            },
            _ => {
                if let Some((_, hint)) = STRANGE.iter().find(|(strange, _)| strange.contains(c)) {
                    let message = if c.is_ascii_graphic() || c.is_alphanumeric() || is_quote(c) {
                        format!("`{c}` has no meaning in a query: {hint}")
                    } else {
                        format!("an invisible character, U+{:04X}: {hint}", u32::from(c))
                    };
                    let broken = Broken { at: at..at + c.len_utf8(), message };
                    return Some(broken);
                }
            }
        }
    }
    let (at, c) = open.pop()?;
    broken(at, format!("this `{c}` is never closed"))
}

fn is_quote(c: char) -> bool {
    STRANGE.iter().take(2).any(|(quotes, _)| quotes.contains(c))
}

fn partner(opening: char) -> char {
    match opening {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_queries_pass() {
        for query in [
            "up",
            "histogram_quantile(0.99, sum by (le) (rate(x_bucket{a=~\"b|c\"}[5m])))",
            r#"up{a="\")", b='}', c=`\`}"#,
            "sum( # a comment with ) and \"\n up)",
            "rate(x[5m:30s] offset 1h @ start())",
            "sum by ({{label}}) (x)",
        ] {
            assert_eq!(structure(query), None, "{query}");
        }
    }

    #[test]
    fn what_has_no_partner_is_pointed_at() {
        for (query, at, part) in [
            ("sum(rate(x[5m])", 3, "`(` is never closed"),
            ("up}", 2, "`}` closes nothing"),
            ("rate(x[5m))", 9, "closes a `[`, expected `]`"),
            ("up{a=\"b}", 5, "opens a string"),
            ("up{a='b\\'}", 5, "opens a string"),
        ] {
            let broken = structure(query).unwrap();
            assert_eq!(broken.at.start, at, "{query}");
            assert!(broken.message.contains(part), "{query}: {}", broken.message);
        }
    }

    #[test]
    fn characters_that_no_query_has_are_errors() {
        for (query, at, part) in [
            ("up{a=\u{201c}b\u{201d}}", 5, "straight quotes"),
            ("sum(up);", 7, "`;` has no meaning"),
            ("sum(up)\u{a0}> 1", 7, "an invisible character, U+00A0"),
            ("up && x", 3, "`&` has no meaning"),
        ] {
            let broken = structure(query).unwrap();
            assert_eq!(broken.at.start, at, "{query}");
            assert!(broken.message.contains(part), "{query}: {}", broken.message);
        }
        assert_eq!(structure("up{a=\"x;y|z\u{201c}\"} # what? & why"), None);
    }

    #[test]
    fn texts_in_backticks_are_read_as_the_backend_does() {
        assert_eq!(with_plain_texts(r#"a{b=~`\d"x`,c="`\"`"}"#), r#"a{b=~"\\d\"x",c="`\"`"}"#);
        assert!(read(r"up{a=~`\d+\.\w`}").unwrap().is_ok());
    }

    #[test]
    fn what_the_parser_does_not_know_is_a_reason_and_not_a_panic() {
        for query in [
            "range_median(x[5m])",
            "rate(x)",
            "sum by (a) x",
            "x[5m] offset 1e99",
            "x[1e300]",
            "x[nan]",
            "x[-5]",
            "x[99999999999999999999y]",
            "x @ 1e300",
            "x offset 99999999999999999999",
            "0x",
            "{",
            "\u{1f600}",
            "x{a=~\"(\"}",
            "topk(x)",
            "rate()",
        ] {
            assert!(!matches!(read(query), Some(Ok(_))), "{query}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(
            parts in proptest::collection::vec(proptest::sample::select(vec![
                "x", "sum", " by ", " on ", "(", ")", "[", "]", "{", "}", "5m", "1e9", "0x1", "inf",
                "nan", "-", "+", "@", " offset ", ",", "=", "=~", "\"a\"", "`b`", "5", ".", ":",
                "rate", " or ", "start()", "end()", "bool", "\u{e4}", "#", "\n", "1.5", "9w",
            ]), 0..14)
        ) {
            let query = parts.concat();
            let _ = read(&query).map(|read| read.map(|expr| (
                labels::missing(&expr, "service"),
                habits::odd(&expr, Role::Latency),
            )));
        }
    }
}
