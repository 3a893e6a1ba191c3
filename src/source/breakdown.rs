//! Answers the engine's questions about label values: one range query each, at the data's time.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::decode::Rows;
use super::{Prometheus, SourceError};
use crate::engine::breakdown::{Sums, Windows};
use crate::rules::{Breakdown, LABEL_PLACEHOLDER, Rules, Signal};
use crate::series::{Answer, LabelValue, Question};
use crate::time::Timestamp;

/// Longest that the questions of one tick are waited for at once.
const ANSWERS_TIME_MAX: Duration = Duration::from_secs(5);
/// Questions that are asked at the same time.
const CONCURRENCY: usize = 2;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    #[error("the signal has no breakdown any more")]
    Gone,
    #[error("no answer within {ANSWERS_TIME_MAX:?}")]
    Late,
    #[error(transparent)]
    Failed(#[from] SourceError),
}

impl Unanswered {
    /// Whether this may say something about the backend, not about the one question.
    const fn may_be_about_backend(&self) -> bool {
        match self {
            Self::Gone => false,
            Self::Late => true,
            Self::Failed(error) => error.may_be_about_backend(),
        }
    }
}

/// What came of a question.
type Given = Result<Vec<LabelValue>, Unanswered>;

/// What came of questions.
#[derive(Debug)]
pub struct Answers {
    /// In their order: what is late, or cannot be had, is told as such.
    pub answers: Vec<Answer>,
    /// Why the backend is gone, where questions have no answer because of that.
    pub gone: Option<SourceError>,
}

impl Prometheus {
    /// Asks questions. Takes at most five seconds; where some fail in a way that may be the
    /// backend's, as long again for each of a probe, those that are asked once more, and another
    /// probe where these fail so too.
    pub async fn answers(&self, questions: &[Question], rules: &Rules) -> Answers {
        let mut given = self.answers_at_once(questions, rules).await;
        let doubted = |given: &Given| given.as_ref().is_err_and(Unanswered::may_be_about_backend);
        let mut gone = None;
        if given.iter().any(doubted) {
            // Either these questions are too much for it, or it went away.
            gone = self.away().await;
            let again = if gone.is_none() { asked_again(&given) } else { Vec::new() };
            if !again.is_empty() {
                // It is there now, so it may have come back since.
                let asked: Vec<Question> = again.iter().map(|&at| questions[at].clone()).collect();
                let new = self.answers_at_once(&asked, rules).await;
                if new.iter().any(doubted) {
                    gone = self.away().await;
                }
                again.into_iter().zip(new).for_each(|(at, new)| given[at] = new);
            }
        }
        let told = questions.iter().zip(given).map(|(question, values)| Answer {
            question: question.clone(),
            values: values.map_err(|unanswered| unanswered.to_string()),
        });
        Answers { answers: told.collect(), gone }
    }

    /// Why the backend is gone, if it is.
    async fn away(&self) -> Option<SourceError> {
        match self.client.authorization().await {
            Ok(authorization) => self.probe(&authorization).await.err(),
            Err(error) => Some(error),
        }
    }

    /// What comes of each question, as far as it comes in time.
    async fn answers_at_once(&self, questions: &[Question], rules: &Rules) -> Vec<Given> {
        let mut given: Vec<Given> = questions.iter().map(|_| Err(Unanswered::Late)).collect();
        let asked = questions.iter().enumerate().map(|(place, question)| async move {
            let signal = rules.signal(&question.signal);
            let breakdown = signal.and_then(|signal| Some((signal, signal.breakdown.as_ref()?)));
            let values = match breakdown {
                Some(of) => self.breakdown(question, of).await.map_err(Unanswered::from),
                None => Err(Unanswered::Gone),
            };
            (place, values)
        });
        let mut answers = stream::iter(asked).buffer_unordered(CONCURRENCY);
        let all = async {
            while let Some((place, values)) = answers.next().await {
                given[place] = values;
            }
        };
        // Out of time, what was answered until then counts.
        let late = tokio::time::timeout(ANSWERS_TIME_MAX, all).await.is_err();
        tracing::debug!(questions = questions.len(), late, "breakdowns");
        drop(answers);
        given
    }

    /// The values of a label before and since.
    async fn breakdown(
        &self,
        question: &Question,
        (signal, breakdown): (&Signal, &Breakdown),
    ) -> Result<Vec<LabelValue>, SourceError> {
        let authorization = self.client.authorization().await?;
        let windows = Windows::of(question);
        let (start, step) = windows.grid(self.client.points_max());
        let seconds = |at: Timestamp| format!("{:.3}", (at - signal.delay).as_secs_f64());
        let form = [
            ("query", breakdown.query.replace(LABEL_PLACEHOLDER, &question.label)),
            ("start", seconds(start)),
            ("end", seconds(question.until)),
            ("step", format!("{:.3}", step.to_std().as_secs_f64())),
            ("timeout", format!("{}s", ANSWERS_TIME_MAX.as_secs())),
            // As for every other range: VictoriaMetrics would move it onto a grid of its own.
            ("nocache", "1".to_owned()),
            ("latency_offset", "1ms".to_owned()),
        ];
        let mut rows = OfService::new((question, signal), Sums::of(signal, windows));
        self.ask_range(&form, question.until, &authorization, &mut rows).await?;
        Ok(rows.sums.values())
    }
}

/// Which questions are asked once more of a backend that is there. Those for which there was no
/// time would take it again; one answer that is too large is its question's fault, several may be none at all.
fn asked_again(given: &[Given]) -> Vec<usize> {
    let too_large =
        |given: &Given| matches!(given, Err(Unanswered::Failed(SourceError::TooLarge { .. })));
    let several = 1 < given.iter().filter(|given| too_large(given)).count();
    let again = |given: &Given| match given {
        Err(Unanswered::Failed(error)) => error.is_about_backend() || (several && too_large(given)),
        _ => false,
    };
    (0..given.len()).filter(|&at| again(&given[at])).collect()
}

/// Takes the rows of one service out of an answer.
struct OfService<'a> {
    question: &'a Question,
    signal: &'a Signal,
    sums: Sums,
    row: Row,
}

/// The current row: its labels may come after its points.
#[derive(Debug, Default)]
struct Row {
    service: String,
    value: String,
    points: Vec<(f64, f64)>,
}

impl<'a> OfService<'a> {
    fn new((question, signal): (&'a Question, &'a Signal), sums: Sums) -> Self {
        Self { question, signal, sums, row: Row::default() }
    }
}

impl Rows for OfService<'_> {
    fn label(&mut self, name: &str, value: &str) {
        if name == self.signal.service {
            value.clone_into(&mut self.row.service);
        }
        // The same label may be both.
        if name == self.question.label {
            value.clone_into(&mut self.row.value);
        }
    }

    fn point(&mut self, seconds: f64, value: f64) {
        self.row.points.push((seconds, value));
    }

    fn end_row(&mut self) {
        let Row { service, value, points } = std::mem::take(&mut self.row);
        if service != self.question.service {
            return;
        }
        let points = points.into_iter().filter_map(|(seconds, number)| {
            Some((Timestamp::from_secs_f64(seconds)? + self.signal.delay, number))
        });
        self.sums.add(&value, points);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Role;
    use crate::time::Span;

    #[test]
    fn only_rows_of_the_service_count_at_the_time_of_the_data() {
        let until = Timestamp::from_secs(1_772_323_200);
        let question = Question {
            signal: "work".to_owned(),
            service: "web".to_owned(),
            label: "tenant".to_owned(),
            onset: until - Span::from_mins(30),
            until,
        };
        let signal = Signal { delay: Span::from_mins(10), ..Signal::plain("work", Role::Traffic) };
        let mut rows =
            OfService::new((&question, &signal), Sums::of(&signal, Windows::of(&question)));
        for service in ["other", "web"] {
            for minute in (-60..=-10).step_by(5) {
                // It rose at the onset, and the backend had it ten minutes later.
                let level = if minute > -40 { 8.0 } else { 2.0 };
                rows.point((until + Span::from_mins(minute)).as_secs_f64(), level);
            }
            rows.label("tenant", "acme");
            rows.label("service", service);
            rows.end_row();
        }
        let told = rows.sums.values();
        let told: Vec<_> = told.iter().map(|v| (v.value.as_str(), v.before, v.since)).collect();
        assert_eq!(told, [("acme", 2.0, 8.0)]);
    }
}
