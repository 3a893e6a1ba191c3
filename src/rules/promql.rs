//! The structure of a query: brackets, braces and quotes. The backend knows the language; what
//! is told here is only what no backend could accept.

use std::ops::Range;

use crate::problem::Table;

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
            _ => {}
        }
    }
    let (at, c) = open.pop()?;
    broken(at, format!("this `{c}` is never closed"))
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
}
