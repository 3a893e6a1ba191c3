//! Changes that are not in the metrics: posted ones and annotations, each given to the engine at
//! the first tick that may know it.

use std::collections::VecDeque;

use crate::series::Change;
use crate::time::Timestamp;

use super::grafana::{Annotations, Grafana, GrafanaError};

/// A change that somebody posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Position in the order of posting: rising, so that none is taken twice.
    pub number: i64,
    /// Name of the change: a hash of what it is.
    pub id: String,
    /// When it was posted: ticks up to then did not know it.
    pub posted_at: Timestamp,
    /// The change.
    pub change: Change,
}

/// Changes from outside of the metrics, on their way to the engine.
#[derive(Debug, Default)]
pub struct Outside {
    grafanas: Vec<Grafana>,
    /// The number of the last posted change that the engine was given.
    taken: i64,
    /// Posted changes that no tick has taken yet, in order of number.
    posted: VecDeque<Posted>,
    /// Annotations that no tick has taken yet, in order of time.
    marked: VecDeque<Change>,
    /// What began and what ended, not told yet.
    news: Vec<String>,
}

impl Outside {
    /// Posted changes up to number `taken` were given to the engine already.
    pub fn new(taken: i64) -> Self {
        Self { taken, ..Self::default() }
    }

    /// Reads these annotations too.
    ///
    /// # Errors
    ///
    /// Options that cannot work.
    pub fn annotations(&mut self, configs: &[Annotations]) -> Result<(), GrafanaError> {
        for config in configs {
            self.grafanas.push(Grafana::new(config.clone())?);
        }
        Ok(())
    }

    /// The number of the last posted change that the engine was given.
    pub fn taken(&self) -> i64 {
        self.taken
    }

    /// The number of the last posted change that is known here: later ones are wanted.
    pub fn known(&self) -> i64 {
        self.posted.back().map_or(self.taken, |last| last.number)
    }

    /// Takes changes that were posted, in order of number.
    pub fn post(&mut self, posted: impl IntoIterator<Item = Posted>) {
        for one in posted {
            if self.known() < one.number {
                self.posted.push_back(one);
            }
        }
    }

    /// What began and what ended since it was asked for last: that a Grafana does not answer, and
    /// that it does again. Each outage is here once, and its end is.
    pub fn take_news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }

    /// Reads what is marked in a range of ticks; returns what is wrong with it, for the user.
    pub async fn read(&mut self, from: Timestamp, to: Timestamp) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut marked = Vec::new();
        let reads = self.grafanas.iter_mut().map(|grafana| async move {
            let was_away = grafana.away_since();
            (was_away, grafana.read(from, to).await, grafana)
        });
        for (was_away, read, grafana) in futures_util::future::join_all(reads).await {
            let (url, about) = (grafana.url(), grafana.about());
            match (&read, was_away) {
                (Err(problem), None) => {
                    self.news.push(format!("{about} are not known: {problem}"));
                }
                (Ok(_), Some(since)) if grafana.away_since().is_none() => {
                    self.news.push(format!("{about} are known again, those since {since} too"));
                }
                _ => {}
            }
            marked.extend(read.unwrap_or_default());
            if 0 < grafana.unnamed() {
                warnings.push(format!(
                    "some annotations of {url} have no tag that names a service; they are left out"
                ));
            }
        }
        marked.extend(self.marked.drain(..));
        marked.sort();
        marked.dedup();
        self.marked = marked.into();
        warnings
    }

    /// What a tick may know and no earlier one did.
    ///
    /// A posted change is known to the first tick after it was posted, whenever that tick is
    /// processed: so a tick that is processed again after a crash knows the same.
    pub fn due(&mut self, tick: Timestamp) -> Vec<Change> {
        let mut due = Vec::new();
        while self.marked.front().is_some_and(|change| change.at <= tick) {
            due.extend(self.marked.pop_front());
        }
        while self.posted.front().is_some_and(|posted| posted.posted_at < tick) {
            if let Some(posted) = self.posted.pop_front() {
                self.taken = posted.number;
                due.push(posted.change);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::ChangeKind;

    fn posted(number: i64, posted_at: i64) -> Posted {
        let change = Change {
            at: Timestamp::from_secs(posted_at - 100),
            end: None,
            kind: ChangeKind::Deploy,
            service: "web".to_owned(),
            what: number.to_string(),
        };
        let posted_at = Timestamp::from_secs(posted_at);
        Posted { number, id: String::new(), posted_at, change }
    }

    fn told(outside: &mut Outside, tick: i64) -> Vec<String> {
        outside.due(Timestamp::from_secs(tick)).into_iter().map(|change| change.what).collect()
    }

    #[test]
    fn a_posted_change_is_taken_once_by_the_first_tick_after_it() {
        let mut outside = Outside::new(4);
        outside.post([posted(4, 10), posted(5, 30), posted(7, 31)]);
        outside.post([posted(7, 31), posted(8, 90)]);
        assert_eq!(outside.known(), 8);
        assert_eq!(told(&mut outside, 30), [""; 0]);
        assert_eq!(outside.taken(), 4);
        assert_eq!(told(&mut outside, 60), ["5", "7"]);
        assert_eq!(outside.taken(), 7);
        // The same again from what is stored: a restart between the two.
        let mut again = Outside::new(outside.taken());
        again.post([posted(5, 30), posted(7, 31), posted(8, 90)]);
        assert_eq!(told(&mut again, 90), [""; 0]);
        assert_eq!(told(&mut again, 120), ["8"]);
        assert_eq!(told(&mut outside, 120), ["8"]);
    }
}
