//! What the daemon shows of its engine to those who ask over HTTP.
//!
//! The engine belongs to the loop that polls. It leaves an overview behind after its ticks, which
//! anybody may read at any time, and answers further questions between two ticks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::engine::Engine;
use crate::engine::overview::Overview;

/// Questions that wait for the loop; more are refused.
const ASKED_MAX: usize = 64;
/// Longest wait for an answer: the loop may be reading from a slow backend, or learning, and pages
/// are shown without it then.
const PATIENCE: Duration = Duration::from_millis(400);

/// A question about the engine.
type Question = Box<dyn FnOnce(&Engine) + Send>;

/// The side that asks. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Live {
    overview: watch::Receiver<Arc<Overview>>,
    questions: mpsc::Sender<Question>,
}

/// The side of the loop.
#[derive(Debug)]
pub struct Stage {
    overview: watch::Sender<Arc<Overview>>,
    questions: mpsc::Receiver<Question>,
}

/// Both sides. Nothing is shown before the first [`Stage::show`].
pub fn live() -> (Stage, Live) {
    let (overview, shown) = watch::channel(Arc::default());
    let (questions, asked) = mpsc::channel(ASKED_MAX);
    (Stage { overview, questions: asked }, Live { overview: shown, questions })
}

impl Live {
    /// How everything stood when the loop showed it last.
    pub fn overview(&self) -> Arc<Overview> {
        self.overview.borrow().clone()
    }

    /// Waits for the next overview; false when there will be none.
    pub async fn changed(&mut self) -> bool {
        self.overview.changed().await.is_ok()
    }

    /// Asks the engine; none when the loop is busy for longer than a reader waits, or has ended.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Engine) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let asked = self.questions.try_send(Box::new(move |engine| {
            // Whoever asked may have gone; that is no trouble of the engine's.
            let _ = answer.send(question(engine));
        }));
        asked.ok()?;
        tokio::time::timeout(PATIENCE, answered).await.ok()?.ok()
    }
}

impl Stage {
    /// Shows an overview.
    pub fn show(&self, overview: Overview) {
        self.overview.send_replace(Arc::new(overview));
    }

    /// Answers what was asked so far.
    pub fn answer(&mut self, engine: &Engine) {
        while let Ok(question) = self.questions.try_recv() {
            question(engine);
        }
    }

    /// Answers one question as soon as there is one; waits for ever once nobody can ask.
    pub async fn answer_next(&mut self, engine: &Engine) {
        match self.questions.recv().await {
            Some(question) => question(engine),
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::engine::Settings;
    use crate::rules::Rules;
    use crate::time::{Span, Timestamp};

    fn engine() -> Engine {
        let settings = Settings {
            interval: Span::from_secs(30),
            history: Span::WEEK,
            timezone: TimeZone::UTC,
            alerts_from: Timestamp::from_secs(0),
            pages_url: None,
            source_url: None,
        };
        Engine::new(Arc::new(Rules::default()), settings)
    }

    #[tokio::test]
    async fn questions_are_answered_between_ticks() {
        let (mut stage, live) = live();
        let asked = tokio::spawn(async move { live.ask(Engine::census).await });
        stage.answer_next(&engine()).await;
        assert_eq!(asked.await.unwrap(), Some((0, 0, 0)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_loop_is_not_waited_for_long() {
        let (_stage, live) = live();
        assert_eq!(live.ask(Engine::census).await, None);
    }
}
