//! What stands behind the `?`: every parameter once, of those that there are; and pages of lists.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::extract::Query;
use axum::http::Uri;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::{Field, Refusal};
use crate::problem::did_you_mean;

/// Entries of one answer unless told otherwise.
pub(super) const LIMIT_DEFAULT: u32 = 100;
/// Entries of one answer.
pub(super) const LIMIT_MAX: u32 = 1_000;
/// Characters of one parameter.
const VALUE_CHARS_MAX: usize = 4_000;

/// The parameters of a request, read one by one; [`Self::finish`] says what is wrong with them.
#[derive(Debug)]
pub(super) struct Parameters {
    given: BTreeMap<String, String>,
    wrong: Vec<Field>,
}

impl Parameters {
    /// Those of an address; others than `known` are wrong.
    pub(super) fn new(uri: &Uri, known: &[&str]) -> Self {
        let mut read = Self { given: BTreeMap::new(), wrong: Vec::new() };
        let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
            read.refuse("", "the query is not of the form `name=value&name=value`");
            return read;
        };
        for (name, value) in pairs {
            if !known.contains(&name.as_str()) {
                let hint = did_you_mean(&name, known.iter().copied(), "parameters");
                let hint = hint.unwrap_or_else(|| "this takes none".to_owned());
                read.refuse(&name, &format!("there is no such parameter; {hint}"));
            } else if VALUE_CHARS_MAX < value.len() {
                read.refuse(&name, &format!("must have at most {VALUE_CHARS_MAX} bytes"));
            } else if read.given.insert(name.clone(), value).is_some() {
                read.refuse(&name, "is given twice");
            }
        }
        read
    }

    /// Says that a parameter is wrong, and how it would be right.
    pub(super) fn refuse(&mut self, name: &str, detail: &str) {
        self.wrong.push(Field { pointer: name.to_owned(), detail: detail.to_owned() });
    }

    /// A parameter as it is written.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.given.remove(name)
    }

    /// A parameter that must be of a kind; `words` says of which.
    pub(super) fn parsed<T: FromStr>(&mut self, name: &str, words: &str) -> Option<T> {
        let parsed = self.text(name)?.parse().ok();
        if parsed.is_none() {
            self.refuse(name, &format!("must be {words}"));
        }
        parsed
    }

    /// One of several, by name.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, all: &[(&str, T)]) -> Option<T> {
        let text = self.text(name)?;
        let found = all.iter().find(|(known, _)| *known == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<&str> = all.iter().map(|(known, _)| *known).collect();
            self.refuse(name, &format!("must be one of {}", names.join(", ")));
        }
        found
    }

    /// How many entries are asked for.
    pub(super) fn limit(&mut self) -> u32 {
        let Some(text) = self.text("limit") else { return LIMIT_DEFAULT };
        let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        if limit.is_none() {
            self.refuse("limit", &format!("must be a number from 1 to {LIMIT_MAX}"));
        }
        limit.unwrap_or(LIMIT_DEFAULT)
    }

    /// After which entry the page begins: what an earlier answer gave as `next`.
    pub(super) fn after<T: DeserializeOwned>(&mut self) -> Option<T> {
        let text = self.text("after")?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let key = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if key.is_none() {
            self.refuse("after", "must be what an answer of the same list gave as `next`");
        }
        key
    }

    /// Everything that was wrong, if anything was.
    ///
    /// # Errors
    ///
    /// That.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        if self.wrong.is_empty() { Ok(()) } else { Err(Refusal::parameters(self.wrong)) }
    }
}

/// One page of a list that may be longer.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Where the next one begins; none where this is the last.
    pub(super) next: Option<String>,
}

impl<T> Page<T> {
    /// At most `limit` entries; the last of them is named by its key. Of what comes after them only
    /// one is looked at.
    pub(super) fn of<K: Serialize>(
        all: impl IntoIterator<Item = T>,
        limit: u32,
        key: impl FnOnce(&T) -> K,
    ) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut all = all.into_iter();
        let items: Vec<T> = all.by_ref().take(limit).collect();
        let more = all.next().is_some();
        let next = items.last().filter(|_| more).map(|last| cursor(&key(last)));
        Self { items, next }
    }
}

/// A place in a list, as clients hand it back. Opaque: only this list reads it.
pub(super) fn cursor(key: &impl Serialize) -> String {
    // Texts and numbers always become JSON.
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(read: Parameters) -> Vec<String> {
        read.wrong.into_iter().map(|field| format!("{} {}", field.pointer, field.detail)).collect()
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_parameter() {
        let uri: Uri = "/?limt=1&limit=0&open=maybe&after=%21&open=true&score=x".parse().unwrap();
        let mut read = Parameters::new(&uri, &["limit", "open", "after", "score"]);
        assert_eq!(read.limit(), LIMIT_DEFAULT);
        assert_eq!(read.after::<String>(), None);
        assert_eq!(read.parsed::<f64>("score", "a number"), None);
        assert_eq!(read.choice("open", &[("true", 1)]), Some(1));
        assert_eq!(
            told(read),
            [
                "limt there is no such parameter; did you mean `limit`?",
                "open is given twice",
                "limit must be a number from 1 to 1000",
                "after must be what an answer of the same list gave as `next`",
                "score must be a number",
            ]
        );
        let uri: Uri = "/?a=%ff".parse().unwrap();
        assert_eq!(told(Parameters::new(&uri, &["a"])).len(), 0, "read as a replacement");
    }

    #[test]
    fn pages_join_to_the_whole_list() {
        let mut after = None;
        let mut seen = Vec::new();
        for _ in 0..4 {
            let rest = (0..10).filter(|n| after.is_none_or(|after| *n > after));
            let page = Page::of(rest, 3, |n| *n);
            seen.extend(page.items);
            let Some(next) = page.next else { break };
            let uri: Uri = format!("/?after={next}").parse().unwrap();
            after = Parameters::new(&uri, &["after"]).after::<i32>();
        }
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
        assert_eq!(Page::of(0..3, 3, |n| *n).next, None, "a full page may be the last");
    }
}
