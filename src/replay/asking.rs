//! What the source says to the questions of a tick, and for how long the tick waits for it.

use crate::engine::Engine;
use crate::series::Answer;
use crate::source::{Answers, Prometheus, SourceError};
use crate::telemetry::Telemetry;

/// How often in a row ticks are put off at most: a backend that is back answers soon, and one that
/// answers everything but questions must not hold up everything.
const WAITS_MAX: usize = 3;

/// Asks, and puts ticks off while the backend is gone.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// How often ticks were put off since one that had no questions, or all of whose questions the
    /// backend was there for.
    waited: usize,
    /// At most.
    waits_max: usize,
}

impl Asking {
    /// From now on ticks wait.
    pub(super) fn wait(&mut self) {
        self.waits_max = WAITS_MAX;
    }

    /// What came of the questions that the engine has.
    ///
    /// # Errors
    ///
    /// The backend is gone, and the tick waits.
    pub(super) async fn answers(
        &mut self,
        source: &Prometheus,
        engine: &Engine,
        telemetry: &Telemetry,
    ) -> Result<Vec<Answer>, SourceError> {
        let questions = engine.questions();
        if questions.is_empty() {
            self.waited = 0;
            return Ok(Vec::new());
        }
        let Answers { answers, gone } = source.answers(&questions, engine.rules()).await;
        if gone.is_none() {
            self.waited = 0;
        }
        if let Some(error) = gone.filter(|_| self.waited < self.waits_max) {
            self.waited += 1;
            telemetry.backend(Some(error.class()));
            return Err(error);
        }
        let failed = answers.iter().filter(|answer| answer.values.is_err()).count();
        telemetry.asked(questions.len(), failed);
        Ok(answers)
    }
}
