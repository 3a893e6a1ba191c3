//! Incidents and notes, a row each.

use serde::Serialize;

use super::{Link, Reader, When, lasted};
use crate::format;
use crate::notify::view::clean;
use crate::store::{Note, Summary};

/// An incident in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::http::pages) struct IncidentRow {
    /// `notice`, `warning`, `critical`.
    pub(in crate::http::pages) severity: String,
    /// Whether it is over.
    over: bool,
    /// What happens, with the way to its page.
    title: Link,
    /// Whose.
    service: Link,
    began: When,
    /// `lasted 40m`, or `goes on for 2h`.
    lasted: String,
    /// When it was told last, which its title's values are of; none once it is over.
    told: Option<When>,
    /// The leading cause and how likely it is.
    cause: Option<String>,
    /// Who looks after it: a name, or that somebody does.
    acknowledged: Option<String>,
    /// What keeps messages about it back.
    held: Option<String>,
    /// What was said last.
    verdict: Option<String>,
}

impl IncidentRow {
    /// A row for a reader.
    pub(in crate::http::pages) fn new(one: &Summary, reader: Reader<'_>) -> Self {
        let cause = one.cause.as_ref().zip(one.probability).map(|(cause, p)| {
            format!("{} {}", clean(&cause.replace(['-', '_'], " ")), format::probability(p))
        });
        let lasted = match one.ended_at {
            Some(end) => format!("lasted {}", lasted(one.started_at, end)),
            None => format!("for {}", lasted(one.started_at, reader.now)),
        };
        let held = one.held.first().map(|held| clean(&held.by));
        Self {
            severity: one.severity.clone(),
            over: one.ended_at.is_some(),
            title: Link::incident(&one.incident, &one.title),
            service: Link::service(&one.service),
            began: reader.clock(one.started_at),
            lasted,
            told: one.ended_at.is_none().then(|| reader.clock(one.told_at)),
            cause,
            acknowledged: one
                .acknowledged
                .as_ref()
                .map(|word| word.by.as_deref().map_or_else(|| "somebody".to_owned(), clean)),
            held,
            verdict: one.feedback.last().map(|said| said.verdict.to_string()),
        }
    }
}

/// Something that was noticed beside incidents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::http::pages) struct NoteRow {
    /// Whose; nowhere where it concerns all.
    service: Option<Link>,
    text: String,
    /// When it was noticed last.
    until: When,
}

impl NoteRow {
    /// A row for a reader.
    pub(in crate::http::pages) fn new(note: &Note, reader: Reader<'_>) -> Self {
        Self {
            service: (!note.service.is_empty()).then(|| Link::service(&note.service)),
            text: clean(&note.text),
            until: reader.clock(note.until),
        }
    }
}
