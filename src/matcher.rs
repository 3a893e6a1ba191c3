//! What alerts something is about: the same words in routes and in silences.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::alert::{Alert, Severity};
use crate::rules::Service;

/// Values of one key, at most.
pub const VALUES_MAX: usize = 100;
/// Characters of one value.
pub const VALUE_CHARS_MAX: usize = 200;

/// A value as it is written, in which `*` stands for any text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Pattern(String);

/// What an alert must be like. Of each key one value must match, and every key that is there must;
/// without any key it is every alert.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Matcher {
    /// How much it matters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub severity: Vec<Severity>,
    /// A service in the incident.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub service: Vec<Pattern>,
    /// The owner of a service in the incident.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owner: Vec<Pattern>,
    /// Id of the leading cause.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cause: Vec<Pattern>,
    /// A signal that moved.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signal: Vec<Pattern>,
    /// Labels of the signals that moved, of the leading cause's culprit and of the breakdown.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub label: BTreeMap<String, Vec<Pattern>>,
}

/// What a matcher looks at in an alert.
#[derive(Clone, Debug)]
pub struct Subject<'a> {
    severity: Severity,
    services: BTreeSet<&'a str>,
    owners: BTreeSet<&'a str>,
    cause: Option<&'a str>,
    signals: BTreeSet<&'a str>,
    labels: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Subject<'a> {
    /// What is known of an alert; `described` says who owns what.
    pub fn new(alert: &'a Alert, described: &'a BTreeMap<String, Service>) -> Self {
        let all = std::iter::once(&alert.service).chain(&alert.services);
        let services: BTreeSet<&str> = all.map(String::as_str).collect();
        let described = services.iter().filter_map(|name| described.get(*name));
        let owners = described.filter_map(|service| service.owner.as_deref()).collect();
        let leading = alert.causes.first();
        let signals = alert.signals.iter().flat_map(|signal| &signal.labels);
        let culprit = leading.into_iter().flat_map(|cause| &cause.culprit.labels);
        let values = alert.breakdown.iter().map(|part| (part.label.as_str(), part.value.as_str()));
        let labels = signals.chain(culprit).map(|(name, value)| (name.as_str(), value.as_str()));
        Self {
            severity: alert.severity,
            services,
            owners,
            cause: leading.map(|cause| cause.id.as_str()),
            signals: alert.signals.iter().map(|signal| signal.signal.as_str()).collect(),
            labels: labels.chain(values).collect(),
        }
    }
}

impl Matcher {
    /// Whether it says nothing, and so is about every alert.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it has more values of a key than one may, or longer ones.
    pub fn is_too_large(&self) -> bool {
        let lists = [&self.service, &self.owner, &self.cause, &self.signal];
        let lists = || lists.into_iter().chain(self.label.values());
        let long = |text: &str| VALUE_CHARS_MAX < text.chars().count();
        VALUES_MAX < self.severity.len()
            || VALUES_MAX < self.label.len()
            || self.label.keys().any(|name| long(name))
            || lists().any(|list| VALUES_MAX < list.len())
            || lists().flatten().any(|pattern| long(&pattern.0))
    }

    /// Whether it is about an alert.
    pub fn matches(&self, subject: &Subject<'_>) -> bool {
        self.keys(subject).all(|key| key.is_met)
    }

    /// For each key that does not match, what it wants and what there is.
    pub fn misses(&self, subject: &Subject<'_>) -> Vec<String> {
        let missed = self.keys(subject).filter(|key| !key.is_met);
        missed.map(|key| format!("{} is {}, not {}", key.name, key.found, key.wanted)).collect()
    }

    fn keys<'m>(&'m self, of: &'m Subject<'_>) -> impl Iterator<Item = Key> + 'm {
        let severities: Vec<&str> = self.severity.iter().map(|one| one.name()).collect();
        let severity = (!severities.is_empty()).then(|| Key {
            name: "severity".to_owned(),
            is_met: self.severity.contains(&of.severity),
            found: of.severity.to_string(),
            wanted: any_of(severities.into_iter()),
        });
        let lists = [
            ("service", &self.service, of.services.iter().copied().collect::<Vec<_>>()),
            ("owner", &self.owner, of.owners.iter().copied().collect()),
            ("cause", &self.cause, of.cause.into_iter().collect()),
            ("signal", &self.signal, of.signals.iter().copied().collect()),
        ];
        let lists = lists.into_iter().map(|(name, wanted, found)| (name.to_owned(), wanted, found));
        let labels = self.label.iter().map(|(name, wanted)| {
            let found = of.labels.iter().filter(move |(known, _)| known == name);
            (format!("label {name}"), wanted, found.map(|(_, value)| *value).collect())
        });
        let asked = lists.chain(labels).filter(|(_, wanted, _)| !wanted.is_empty());
        severity.into_iter().chain(asked.map(|(name, wanted, found)| Key {
            name,
            is_met: wanted.iter().any(|pattern| found.iter().any(|value| pattern.matches(value))),
            found: any_of(found.into_iter()),
            wanted: any_of(wanted.iter().map(|pattern| pattern.0.as_str())),
        }))
    }
}

/// How one key of a matcher fares.
struct Key {
    name: String,
    is_met: bool,
    found: String,
    wanted: String,
}

fn any_of<'a>(values: impl Iterator<Item = &'a str>) -> String {
    let values: Vec<&str> = values.collect();
    if values.is_empty() { "none".to_owned() } else { values.join(" or ") }
}

impl fmt::Display for Matcher {
    /// `service=checkout cause=slow-*`; `everything` for an empty one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("everything");
        }
        let texts = |list: &[Pattern]| list.iter().map(|p| p.0.clone()).collect::<Vec<_>>();
        let severities = self.severity.iter().map(|one| one.name().to_owned()).collect();
        let lists = [
            ("severity".to_owned(), severities),
            ("service".to_owned(), texts(&self.service)),
            ("owner".to_owned(), texts(&self.owner)),
            ("cause".to_owned(), texts(&self.cause)),
            ("signal".to_owned(), texts(&self.signal)),
        ];
        let labels = self.label.iter().map(|(name, list)| (format!("label.{name}"), texts(list)));
        let parts = lists.into_iter().chain(labels).filter(|(_, list)| !list.is_empty());
        let parts: Vec<String> =
            parts.map(|(name, list)| format!("{name}={}", list.join(","))).collect();
        f.write_str(&parts.join(" "))
    }
}

impl Pattern {
    /// Whether a text is like it. Cost: O(length of both) for each `*`.
    pub fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
            return false;
        };
        let mut parts: Vec<&str> = parts.collect();
        // Without a `*` nothing may be left.
        let Some(last) = parts.pop() else { return rest.is_empty() };
        // The first place for each part leaves most to those after it.
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = rest.get(at + part.len()..).unwrap_or_default();
        }
        rest.ends_with(last)
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for one value only.
    pub fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl FromStr for Pattern {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::from(text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, want) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("web", "web", true),
            ("web", "web-1", false),
            ("web-*", "web-1", true),
            ("web-*", "web", false),
            ("*-db", "orders-db", true),
            ("*-db", "orders-db2", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*ba", "aba", false),
            ("*ä*", "bär", true),
        ] {
            assert_eq!(Pattern::from(pattern).matches(text), want, "{pattern:?} {text:?}");
        }
    }

    proptest! {
        /// The quick search finds what trying every way does.
        #[test]
        fn patterns_match_as_the_plain_definition_does(pattern in "[ab*]{0,6}", text in "[ab]{0,7}") {
            fn plain(pattern: &[u8], text: &[u8]) -> bool {
                match pattern.split_first() {
                    None => text.is_empty(),
                    Some((b'*', rest)) => (0..=text.len()).any(|at| plain(rest, &text[at..])),
                    Some((c, rest)) => text.first() == Some(c) && plain(rest, &text[1..]),
                }
            }
            let quick = Pattern::from(pattern.as_str()).matches(&text);
            prop_assert_eq!(quick, plain(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
