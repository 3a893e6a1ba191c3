//! What the engine's reports say beside incidents, on its way into the store.

use std::collections::BTreeMap;

use crate::engine::outcome::{Report, Silence};
use crate::engine::track::SERIES_MAX;
use crate::series::Series;
use crate::store::{NOTE_BREAK, Note, NoteKind};
use crate::time::{Span, Timestamp};

/// What goes on is written no more often than this.
const WRITE_EVERY: Span = Span::from_mins(30);
/// Things that are remembered to go on; what is new beyond is left to a later tick.
const GOING_ON_MAX: usize = 10_000;

/// Collects notes between two commits.
#[derive(Debug, Default)]
pub(super) struct Notebook {
    pending: Vec<Note>,
    /// When each thing that goes on was noted last. After a restart everything is noted once
    /// more, and the store knows that it is the same.
    noted: BTreeMap<(NoteKind, String, String), Timestamp>,
}

impl Notebook {
    /// Notes what the report of the tick at `at` says.
    pub(super) fn take(&mut self, at: Timestamp, report: &Report) {
        for crept in &report.crept {
            self.note_series(at, NoteKind::Crept, &crept.series, &crept.to_string());
        }
        for relevelled in &report.relevelled {
            let text = relevelled.to_string();
            self.note_series(at, NoteKind::Relevelled, &relevelled.series, &text);
        }
        for (about, silence) in &report.silences {
            let (kind, service, subject) = match silence {
                Silence::HeldByBudget { .. } => (NoteKind::Budget, "", about.as_str()),
                Silence::Habitual { .. } => (NoteKind::Habit, "", about.as_str()),
                Silence::Calendar { .. } => (NoteKind::Calendar, "", ""),
                Silence::Blind => (NoteKind::Blind, about.as_str(), ""),
                Silence::Unanswered { .. } => (NoteKind::Unanswered, "", about.as_str()),
                Silence::Learning { .. }
                | Silence::NotEnoughHistory { .. }
                | Silence::Joined { .. }
                | Silence::TooManyIncidents { .. }
                | Silence::TooFewPeers { .. } => continue,
            };
            self.note(at, kind, (service, subject), &silence.to_string());
        }
        if report.samples_beyond_limit > 0 {
            let text = format!("series beyond the limit of {SERIES_MAX} are left out");
            self.note(at, NoteKind::Beyond, ("", ""), &text);
        }
    }

    /// What is to be written.
    pub(super) fn drain(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.pending)
    }

    fn note_series(&mut self, at: Timestamp, kind: NoteKind, series: &Series, text: &str) {
        let labels: Vec<&str> = series.labels.values().map(String::as_str).collect();
        let subject = format!("{} {}", series.signal, labels.join(" "));
        self.note(at, kind, (&series.service, subject.trim_end()), text);
    }

    fn note(&mut self, at: Timestamp, kind: NoteKind, whose: (&str, &str), text: &str) {
        let (service, subject) = (whose.0.to_owned(), whose.1.to_owned());
        let key = (kind, service.clone(), subject.clone());
        if self.noted.get(&key).is_some_and(|&last| at - last < WRITE_EVERY) {
            return;
        }
        if self.noted.len() >= GOING_ON_MAX {
            self.noted.retain(|_, last| at - *last < NOTE_BREAK);
        }
        if self.noted.len() < GOING_ON_MAX {
            self.noted.insert(key, at);
            let text = text.to_owned();
            self.pending.push(Note { at, until: at, kind, service, subject, text });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(reason: &str) -> Report {
        let silence = Silence::Unanswered { reason: reason.to_owned() };
        Report { silences: vec![("cpu".to_owned(), silence)], ..Report::default() }
    }

    #[test]
    fn what_goes_on_is_noted_now_and_then() {
        let mut book = Notebook::default();
        let begin = Timestamp::from_secs(1_772_332_200);
        for minute in 0..120 {
            // Backends put instants into what they say.
            book.take(begin + Span::from_mins(minute), &report(&format!("minute {minute}")));
        }
        let notes = book.drain();
        let after: Vec<Span> = notes.iter().map(|note| note.at - begin).collect();
        assert_eq!(after, [0, 30, 60, 90].map(Span::from_mins));
        assert!(book.drain().is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_old_things_make_room() {
        let mut book = Notebook::default();
        let begin = Timestamp::from_secs(1_772_332_200);
        let many = |name: &str| Report {
            silences: (0..2 * GOING_ON_MAX)
                .map(|n| (format!("{name}-{n}"), Silence::Blind))
                .collect(),
            ..Report::default()
        };
        book.take(begin, &many("a"));
        assert_eq!(book.drain().len(), GOING_ON_MAX);
        book.take(begin + Span::HOUR, &many("b"));
        assert_eq!(book.drain().len(), 0);
        book.take(begin + NOTE_BREAK, &many("c"));
        assert_eq!(book.drain().len(), GOING_ON_MAX);
    }
}
