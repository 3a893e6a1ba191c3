//! What values of a table can be read as: texts, numbers, lengths of time, words of a few.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use toml::de::DeValue;

use super::value::{DURATION, integer, kind, number};
use super::{At, Kind, Table, did_you_mean, quoted};
use crate::time::Span;

impl<'d> Table<'d> {
    /// A text.
    pub fn text(&self, key: &'static str) -> Option<At<&'d str>> {
        self.asks(key, || Kind::Text);
        self.typed(key, "a string", |value| value.as_str())
    }

    /// A text that says something.
    pub fn filled(&self, key: &'static str) -> Option<At<&'d str>> {
        self.asks(key, || Kind::Filled);
        let text = self.text(key)?;
        if text.value.trim().is_empty() {
            self.wrong(key, &text.at, "must not be empty");
            return None;
        }
        Some(text)
    }

    /// A finite number, with or without a fraction.
    pub fn number(&self, key: &'static str) -> Option<At<f64>> {
        self.asks(key, || Kind::Number);
        self.typed(key, "a finite number", number)
    }

    /// A whole number within bounds.
    pub fn integer(&self, key: &'static str, bounds: RangeInclusive<i64>) -> Option<At<i64>> {
        self.asks(key, || Kind::Integer(bounds.clone()));
        let found = self.typed(key, "a whole number", integer)?;
        if !bounds.contains(&found.value) {
            let (low, high) = bounds.into_inner();
            self.wrong(key, &found.at, &format!("must lie between {low} and {high}"));
            return None;
        }
        Some(found)
    }

    /// Yes or no.
    pub fn boolean(&self, key: &'static str) -> Option<At<bool>> {
        self.asks(key, || Kind::Boolean);
        self.typed(key, "`true` or `false`", DeValue::as_bool)
    }

    /// A length of time.
    pub fn span(&self, key: &'static str) -> Option<At<Span>> {
        self.asks(key, || Kind::Duration);
        let text = self.typed(key, DURATION, |value| value.as_str())?;
        if let Ok(span) = text.value.parse::<Span>() {
            return Some(At { value: span, at: text.at });
        }
        let what = format!("expected {DURATION}, found {}", quoted(text.value));
        let hint =
            "a duration is whole numbers with ms, s, m, h, d, w or y, largest first: `1h30m`";
        self.wrong_hint(key, &text.at, &what, hint);
        None
    }

    /// A length of time within bounds.
    pub fn span_within(&self, key: &'static str, bounds: RangeInclusive<Span>) -> Option<At<Span>> {
        let found = self.span(key)?;
        if !bounds.contains(&found.value) {
            let (low, high) = bounds.into_inner();
            self.wrong(key, &found.at, &format!("must lie between {low} and {high}"));
            return None;
        }
        Some(found)
    }

    /// One word of a few; the nearest is suggested for another one.
    pub fn choice<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<At<T>> {
        self.asks(key, || Kind::Word(words_of(words)));
        let text = self.text(key)?;
        let value = self.chosen(key, &text, words)?;
        Some(At { value, at: text.at })
    }

    /// Several words of a few.
    pub fn choices<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<Vec<T>> {
        self.asks(key, || Kind::Words(words_of(words)));
        let texts = self.texts(key)?;
        texts.iter().map(|text| self.chosen(key, text, words)).collect()
    }

    fn chosen<T: Copy>(&self, key: &str, text: &At<&str>, words: &[(&str, T)]) -> Option<T> {
        let value = words.iter().find(|(word, _)| *word == text.value);
        if value.is_none() {
            let message = format!("cannot be {}", quoted(text.value));
            let known = words.iter().map(|(word, _)| *word);
            let hint = did_you_mean(text.value, known, "it can be").unwrap_or_default();
            self.wrong_hint(key, &text.at, &message, &hint);
        }
        value.map(|(_, value)| *value)
    }

    /// A list of texts, none of them empty.
    pub fn texts(&self, key: &'static str) -> Option<Vec<At<&'d str>>> {
        self.asks(key, || Kind::Texts);
        let array = self.typed(key, "a list of strings", |value| value.as_array())?;
        let mut texts = Vec::with_capacity(array.value.len());
        let mut good = true;
        for item in array.value {
            match item.get_ref().as_str() {
                Some(text) if !text.trim().is_empty() => {
                    texts.push(At { value: text, at: item.span() });
                }
                Some(_) => {
                    self.wrong(key, &item.span(), "must not hold an empty string");
                    good = false;
                }
                None => {
                    let found = kind(item.get_ref());
                    let what = format!("expected a list of strings, found {found} in it");
                    self.wrong(key, &item.span(), &what);
                    good = false;
                }
            }
        }
        good.then_some(texts)
    }
}

fn words_of<T>(words: &[(&str, T)]) -> BTreeSet<String> {
    words.iter().map(|(word, _)| (*word).to_owned()).collect()
}
