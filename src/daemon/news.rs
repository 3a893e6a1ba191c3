//! What the daemon tells beside incidents, written down with the ticks.

use tracing::{error, info};

use super::digest::{Standing, due, gather};
use super::{DaemonError, Poller};
use crate::store::NewDigest;
use crate::time::Timestamp;

impl Poller {
    /// Writes down what was noticed, and the digests whose moment lies among the ticks after the
    /// first and up to the second. Before these ticks are committed: after a crash in between they
    /// are processed again, and what is written already is not written twice.
    pub(super) async fn tell_news(
        &mut self,
        ticks: (Timestamp, Timestamp),
        newest: Timestamp,
    ) -> Result<(), DaemonError> {
        let notes = self.notebook.drain();
        if !notes.is_empty() {
            self.store.with(move |store| store.note(&notes)).await?;
        }
        let (plan, began) = (&self.config.digest, self.driver.began());
        if plan.to.is_empty() {
            return Ok(());
        }
        for (every, from, to) in due(plan, ticks, newest) {
            let (standing, to_whom) = (Standing::of(self.driver.engine()), plan.to.clone());
            let told = self.store.with(move |store| {
                // At first nothing is told of a time in which nobody watched from its beginning.
                if from < began && store.digests(1)?.is_empty() {
                    return Ok(false);
                }
                let digest = match gather(store, &standing, every, (from, to)) {
                    Ok(digest) => digest,
                    // Detection goes on without a digest.
                    Err(problem) => {
                        let cause = std::error::Error::source(&problem).map(ToString::to_string);
                        error!(%problem, cause, class = problem.class(), "no digest");
                        return Ok(false);
                    }
                };
                let (id, json) = (digest.id(), digest.to_json());
                store.keep_digest(&NewDigest { id: &id, at: to, json: &json, to: &to_whom })
            });
            if told.await? {
                info!(every = every.name(), until = %to, "digest");
                self.store.news();
            }
        }
        Ok(())
    }
}
