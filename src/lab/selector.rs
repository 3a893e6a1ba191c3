//! The part of PromQL that the lab's endpoint answers: `metric{label="value",other!="value"}`.

use super::LabSeries;

/// Matchers that one selector may have.
const MATCHERS_MAX: usize = 32;

/// A plain selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector {
    metric: String,
    matchers: Vec<Matcher>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Matcher {
    label: String,
    /// False for `!=`.
    equal: bool,
    value: String,
}

/// Why a query is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot answer `{query}`: {reason} at byte {at}\nhint: the lab answers plain selectors only, \
     for example `lab_errors{{service=\"web\"}}`; use a real backend for expressions"
)]
pub(super) struct SelectorError {
    query: String,
    reason: &'static str,
    at: usize,
}

impl Selector {
    /// Reads a plain selector; anything else is refused.
    pub(super) fn parse(query: &str) -> Result<Self, SelectorError> {
        let mut reader = Reader { query, at: 0 };
        reader.selector().map_err(|reason| SelectorError {
            query: query.chars().take(200).collect(),
            reason,
            at: reader.at,
        })
    }

    /// True if the series is one of those selected. A label that is not there equals "".
    pub(super) fn matches(&self, series: &LabSeries) -> bool {
        let holds = |m: &Matcher| {
            (series.labels.get(&m.label).map_or("", String::as_str) == m.value) == m.equal
        };
        self.metric == series.metric && self.matchers.iter().all(holds)
    }
}

/// Where reading has come to.
struct Reader<'a> {
    query: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn selector(&mut self) -> Result<Selector, &'static str> {
        let metric = self.name(true).ok_or("expected a metric name")?;
        let mut matchers = Vec::new();
        if self.eat("{") {
            while !self.eat("}") {
                if matchers.len() == MATCHERS_MAX {
                    return Err("too many matchers");
                }
                matchers.push(self.matcher()?);
                if !self.eat(",") {
                    if !self.eat("}") {
                        return Err("expected `,` or `}`");
                    }
                    break;
                }
            }
        }
        self.space();
        if self.rest().is_empty() {
            Ok(Selector { metric, matchers })
        } else {
            Err("unexpected text")
        }
    }

    fn matcher(&mut self) -> Result<Matcher, &'static str> {
        let label = self.name(false).ok_or("expected a label name")?;
        let equal = if self.eat("!=") {
            false
        } else if self.rest().starts_with("=~") || !self.eat("=") {
            return Err("expected `=` or `!=`");
        } else {
            true
        };
        Ok(Matcher { label, equal, value: self.text()? })
    }

    fn name(&mut self, colon: bool) -> Option<String> {
        self.space();
        let fits = |(n, c): (usize, char)| {
            c.is_ascii_alphabetic()
                || c == '_'
                || (colon && c == ':')
                || (n > 0 && c.is_ascii_digit())
        };
        let name: String =
            self.rest().chars().enumerate().take_while(|&x| fits(x)).map(|(_, c)| c).collect();
        self.at += name.len();
        (!name.is_empty()).then_some(name)
    }

    fn text(&mut self) -> Result<String, &'static str> {
        self.space();
        let mut chars = self.rest().char_indices();
        let Some((_, quote @ ('"' | '\''))) = chars.next() else {
            return Err("expected a quoted value");
        };
        let mut text = String::new();
        while let Some((n, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.at += n + 1;
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, c @ ('\\' | '"' | '\''))) => text.push(c),
                    _ => return Err("unknown escape"),
                },
                c => text.push(c),
            }
        }
        Err("the value has no end")
    }

    fn eat(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn rest(&self) -> &str {
        self.query.get(self.at..).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Labels;

    #[test]
    fn plain_selectors_match_as_promql_does() {
        let labels = Labels::from([("service".to_owned(), "web \"x\"".to_owned())]);
        let series = LabSeries { metric: "lab_errors", labels };
        for (query, expected) in [
            ("lab_errors", true),
            (" lab_errors { } ", true),
            (r#"lab_errors{service="web \"x\""}"#, true),
            (r#"lab_errors{service='web "x"',}"#, true),
            (r#"lab_errors{service!="web"}"#, true),
            (r#"lab_errors{service="web"}"#, false),
            // A label that is not there is the empty text.
            (r#"lab_errors{peer="",queue!="a"}"#, true),
            ("lab_error", false),
        ] {
            assert_eq!(Selector::parse(query).unwrap().matches(&series), expected, "{query}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_place() {
        for (query, at) in [
            ("", 0),
            ("rate(lab_errors[5m])", 4),
            ("lab_errors[5m]", 10),
            ("lab_errors offset 5m", 11),
            ("lab_errors > 3", 11),
            (r#"lab_errors{a=~"b"}"#, 12),
            (r#"lab_errors{a="b}"#, 13),
            (r#"lab_errors{a="b" b="c"}"#, 17),
            ("lab_errors{=\"b\"}", 11),
            ("{__name__=\"lab_errors\"}", 0),
            ("läb_errors", 1),
        ] {
            let error = Selector::parse(query).unwrap_err();
            assert_eq!(error.at, at, "{query}: {error}");
        }
    }
}
