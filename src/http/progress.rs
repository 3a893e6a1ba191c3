//! How far the loop is with the backend: written after every tick, read by whoever asks. How much
//! was done is counted in [`crate::telemetry`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::outcome::{Report, Silence};
use crate::time::Timestamp;

/// Shared between the loop and the API. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<Reached>>);

/// What the loop has reached.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// When the loop began, over all reloads.
    pub began: Option<Timestamp>,
    /// The backend, as messages name it.
    pub backend: String,
    /// Which product answers there; none before it has.
    pub flavour: Option<String>,
    /// The newest tick processed, also where it only taught, and when that was.
    pub newest: Option<(Timestamp, Timestamp)>,
    /// Until when the past is being learned, while it is.
    pub learning_until: Option<Timestamp>,
    /// Why the backend cannot be read, while it cannot.
    pub away: Option<Away>,
    /// Signals that had no answer at the newest tick, with what the backend said. No more than
    /// there are rules.
    pub unanswered: BTreeMap<String, String>,
}

/// A backend that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    /// A word for the kind of trouble.
    pub class: &'static str,
    /// What happened last.
    pub problem: String,
    /// When it began.
    pub since: Timestamp,
}

impl Progress {
    /// What is reached now.
    pub fn reached(&self) -> Reached {
        self.lock().clone()
    }

    /// The loop begins to read a backend, or goes on with it after a reload.
    pub fn begins(&self, now: Timestamp, backend: &str) {
        let mut reached = self.lock();
        reached.began.get_or_insert(now);
        if reached.backend != backend {
            backend.clone_into(&mut reached.backend);
            // What another one said and lacked is over.
            (reached.flavour, reached.away) = (None, None);
            reached.unanswered.clear();
        }
    }

    /// The backend said what it is.
    pub fn met(&self, flavour: String) {
        self.lock().flavour = Some(flavour);
    }

    /// A tick was processed; `learning_until` says until when the past only teaches.
    pub fn ticked(
        &self,
        (tick, now): (Timestamp, Timestamp),
        learning_until: Option<Timestamp>,
        report: &Report,
    ) {
        let unanswered = report.silences.iter().filter_map(|(signal, silence)| match silence {
            Silence::Unanswered { reason } => Some((signal.clone(), reason.clone())),
            _ => None,
        });
        let mut reached = self.lock();
        reached.unanswered = unanswered.collect();
        reached.newest = Some((tick, now));
        reached.learning_until = learning_until;
    }

    /// The backend could not be read.
    pub fn is_away(&self, now: Timestamp, class: &'static str, problem: String) {
        let mut reached = self.lock();
        let since = reached.away.as_ref().map_or(now, |away| away.since);
        reached.away = Some(Away { class, problem, since });
    }

    /// The backend can be read again.
    pub fn is_back(&self) {
        self.lock().away = None;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Reached> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_told_since_it_began_until_it_is_over() {
        let at = Timestamp::from_secs;
        let progress = Progress::default();
        progress.is_away(at(10), "network", "refused".to_owned());
        progress.is_away(at(20), "timeout", "no answer".to_owned());
        let away = Away { class: "timeout", problem: "no answer".to_owned(), since: at(10) };
        assert_eq!(progress.reached().away, Some(away));
        progress.is_back();
        assert_eq!(progress.reached().away, None);
        let reason = "too many series".to_owned();
        let silences = vec![("q".to_owned(), Silence::Unanswered { reason })];
        progress.ticked((at(30), at(50)), None, &Report { silences, ..Report::default() });
        let reached = progress.reached();
        assert_eq!(reached.newest, Some((at(30), at(50))));
        assert_eq!(reached.unanswered["q"], "too many series");
        progress.ticked((at(60), at(80)), None, &Report::default());
        assert!(progress.reached().unanswered.is_empty());
    }

    #[test]
    fn a_reload_goes_on_and_another_backend_begins_anew() {
        let at = Timestamp::from_secs;
        let progress = Progress::default();
        progress.begins(at(10), "http://a");
        progress.met("Prometheus 3".to_owned());
        progress.is_away(at(20), "network", "refused".to_owned());
        progress.begins(at(30), "http://a");
        let reached = progress.reached();
        assert_eq!(
            (reached.began, reached.flavour.as_deref()),
            (Some(at(10)), Some("Prometheus 3"))
        );
        assert_eq!(reached.away.map(|away| away.since), Some(at(20)));
        progress.begins(at(40), "http://b");
        let reached = progress.reached();
        assert_eq!((reached.began, reached.flavour, reached.away), (Some(at(10)), None, None));
    }
}
