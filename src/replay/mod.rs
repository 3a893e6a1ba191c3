//! Drives the engine over the ticks that a source holds.
//!
//! There is one way from a source to the engine: [`Driver::advance`]. A replay is one call of
//! it; the live loop is the same call again and again, each time up to the present. A first
//! start, a restart and a gap are therefore one path.

mod asking;

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::asking::Asking;
use crate::changes::SeenChanges;
use crate::changes::outside::Outside;
use crate::engine::archive::{Archive, ArchiveError, MemoryArchive};
use crate::engine::grid::BLOCK;
use crate::engine::outcome::Outcome;
use crate::engine::snapshot::SnapshotError;
use crate::engine::{Engine, Settings};
use crate::rules::Rules;
use crate::series::Feedback;
use crate::source::{Prometheus, ReadPlan, SourceError, VALUES_MAX};
use crate::telemetry::{Telemetry, Work};
use crate::time::{Span, Timestamp};

/// Ticks that one reading asks for, at most: a week of blocks, and a power of two for chunks.
const TICKS_MAX: usize = 2_048;
/// Queries are read in one go only as far as a quarter of what a reading may hold, since series
/// that are not known yet may be among the answers.
const VALUES_AIMED: usize = VALUES_MAX / 4;

/// An engine with the place that it has reached in a source.
#[derive(Debug)]
pub struct Driver {
    engine: Engine,
    seen: SeenChanges,
    outside: Outside,
    plan: ReadPlan,
    settings: Settings,
    warnings: Vec<String>,
    /// See [`Self::news`].
    news: Vec<String>,
    /// What people said and no tick has heard yet, in order of number.
    feedback: VecDeque<Feedback>,
    telemetry: Telemetry,
    asking: Asking,
}

/// What a driver keeps beside the engine's own snapshot.
#[derive(Serialize, Deserialize)]
struct Kept {
    engine: Vec<u8>,
    seen: SeenChanges,
    /// The number of the last posted change that the engine was given.
    posted: i64,
    /// A restart must not move it: what was missed while down may alert.
    alerts_from: Timestamp,
}

/// Why ticks could not be processed.
#[derive(Debug, thiserror::Error)]
pub enum AdvanceError {
    /// The backend gave nothing, or went away on the way: ticks processed so far stay processed,
    /// and the next call goes on with the first one that was not.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The past could not be kept or read. The driver must not be used any further, nor its state
    /// be kept: what was learned since was learned from holes.
    #[error("cannot keep or read what series did before")]
    Archive(#[from] ArchiveError),
}

/// One processed tick, handed to whoever drives.
#[derive(Debug)]
pub struct Ticked<'a> {
    /// The tick.
    pub at: Timestamp,
    /// True while the past only teaches.
    pub learning: bool,
    /// What was decided.
    pub outcome: Outcome,
    /// The engine after it.
    pub engine: &'a Engine,
}

impl Driver {
    /// Starts from nothing: the first call of [`Self::advance`] learns from the history before
    /// `settings.alerts_from`. The archive must be empty.
    pub fn new(rules: Arc<Rules>, settings: Settings, archive: Box<dyn Archive>) -> Self {
        Self {
            plan: ReadPlan::new(&rules),
            engine: Engine::with_archive(rules, settings.clone(), archive),
            seen: SeenChanges::default(),
            outside: Outside::default(),
            settings,
            warnings: Vec::new(),
            news: Vec::new(),
            feedback: VecDeque::new(),
            telemetry: Telemetry::default(),
            asking: Asking::default(),
        }
    }

    /// Goes on from a snapshot, with the archive that the driver had from which it was taken. The
    /// first instant that may alert is the snapshot's, whatever `settings` say: otherwise the ticks
    /// missed while down would only teach.
    ///
    /// # Errors
    ///
    /// Bytes of another version or damaged ones.
    pub fn restore(
        rules: Arc<Rules>,
        mut settings: Settings,
        version: u32,
        bytes: &[u8],
        archive: Box<dyn Archive>,
    ) -> Result<Self, SnapshotError> {
        let kept: Kept =
            postcard::from_bytes(bytes).map_err(|e| SnapshotError::Damaged(e.to_string()))?;
        settings.alerts_from = kept.alerts_from;
        let mut seen = kept.seen;
        seen.retain(&rules.changes);
        Ok(Self {
            plan: ReadPlan::new(&rules),
            engine: Engine::restore(rules, settings.clone(), version, &kept.engine, archive)?,
            seen,
            outside: Outside::new(kept.posted),
            settings,
            warnings: Vec::new(),
            news: Vec::new(),
            feedback: VecDeque::new(),
            telemetry: Telemetry::default(),
            asking: Asking::default(),
        })
    }

    /// From now on counts what it does; by itself it is watched by nobody.
    pub fn watched_by(&mut self, telemetry: &Telemetry) {
        self.telemetry = telemetry.clone();
    }

    /// From now on puts off a tick whose values came when the backend is gone before its questions
    /// are answered, as if its values had not come: otherwise it decides without them, and not as a
    /// replay. A backend that answers everything but questions puts off three of the ticks
    /// that ask in a row, or one thrice.
    pub fn wait_for_answers(&mut self) {
        self.asking.wait();
    }

    /// Everything needed to go on, as bytes of version [`crate::engine::snapshot::VERSION`].
    ///
    /// # Errors
    ///
    /// Only when memory for the bytes cannot be had.
    pub fn snapshot(&self) -> Result<Vec<u8>, SnapshotError> {
        let kept = Kept {
            engine: self.engine.snapshot()?,
            seen: self.seen.clone(),
            posted: self.outside.taken(),
            alerts_from: self.settings.alerts_from,
        };
        postcard::to_stdvec(&kept).map_err(|e| SnapshotError::Damaged(e.to_string()))
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Changes that are not in the metrics, on their way to the engine.
    pub fn outside(&mut self) -> &mut Outside {
        &mut self.outside
    }

    /// The first instant that could alert: from here on somebody watches.
    pub fn began(&self) -> Timestamp {
        self.settings.alerts_from
    }

    /// The next tick to process.
    pub fn next_tick(&self) -> Timestamp {
        let Settings { interval, history, alerts_from, .. } = self.settings;
        let now = self.engine.now();
        let coarse = now.map_or((alerts_from - history).ceil_to(BLOCK), |now| now + BLOCK);
        if self.is_learning(coarse) {
            return coarse;
        }
        // Between the last whole block of history and the first tick that may alert nothing is
        // read: it is no block, and polls may not alert yet.
        let fine = now.map_or(alerts_from, |now| now.floor_to(interval) + interval);
        fine.max(alerts_from.ceil_to(interval))
    }

    /// The last tick of the history before the first that may alert, while that is being learned.
    pub fn learns_until(&self) -> Option<Timestamp> {
        self.is_learning(self.next_tick()).then(|| self.settings.alerts_from - BLOCK)
    }

    /// Learns what signals gave that came, or changed, since the state was kept from which this
    /// driver goes on; nothing is read when there are none. Returns how many there were.
    ///
    /// # Errors
    ///
    /// The backend gave nothing; the engine is as it was, and the same can be asked again, or
    /// [`Self::begin_without_past`].
    pub async fn backfill(&mut self, source: &Prometheus) -> Result<usize, AdvanceError> {
        let strangers = self.engine.strangers();
        let Some(open_since) = self.engine.open_since().filter(|_| !strangers.is_empty()) else {
            return Ok(0);
        };
        let mut rules =
            Rules { changes: Vec::new(), topology: None, ..(**self.engine.rules()).clone() };
        rules.signals.retain(|signal| strangers.contains(&signal.name));
        let settings = Settings { alerts_from: open_since, ..self.settings.clone() };
        let mut apart = Self::new(Arc::new(rules), settings, Box::<MemoryArchive>::default());
        Box::pin(apart.advance(source, open_since - BLOCK, |_| true)).await?;
        self.warnings.append(&mut apart.warnings);
        self.engine.adopt(Some(apart.engine));
        match self.engine.archive_problem() {
            Some(problem) => Err(problem.into()),
            None => Ok(strangers.len()),
        }
    }

    /// New signals begin without history.
    pub fn begin_without_past(&mut self) {
        self.engine.adopt(None);
    }

    /// Hands over what people said about incidents. The first tick after a word was said hears it,
    /// whenever that tick is processed: so a tick that is processed again after a crash hears the
    /// same. What the engine has heard already, or is waiting to be, is left out.
    pub fn tell(&mut self, feedback: Vec<Feedback>) {
        let seen = self.feedback_told();
        self.feedback.extend(feedback.into_iter().filter(|word| word.number > seen));
    }

    /// Number of the newest feedback that was handed over.
    pub fn feedback_told(&self) -> i64 {
        let waiting = self.feedback.back().map(|word| word.number);
        waiting.unwrap_or_else(|| self.engine.feedback_seen())
    }

    /// What the backend's answers of the last [`Self::advance`] were warned of, each once.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What began and what ended during the last [`Self::advance`], such as an outage of a Grafana:
    /// each is here once.
    pub fn news(&self) -> &[String] {
        &self.news
    }

    /// Reads and processes every tick that is due up to `to`, in order, each once.
    ///
    /// `each` sees every tick after it was processed and says whether to go on.
    ///
    /// # Errors
    ///
    /// See [`AdvanceError`].
    pub async fn advance(
        &mut self,
        source: &Prometheus,
        to: Timestamp,
        mut each: impl FnMut(Ticked<'_>) -> bool,
    ) -> Result<(), AdvanceError> {
        self.warnings.clear();
        self.news.clear();
        loop {
            let from = self.next_tick();
            if from > to {
                return Ok(());
            }
            let learning = self.is_learning(from);
            let step = if learning { BLOCK } else { self.settings.interval };
            let last = if learning { to.min(self.settings.alerts_from - BLOCK) } else { to };
            let reads = self.telemetry.begin(Work::Read);
            // Boxed: the futures of whoever drives would be large without it.
            let read = Box::pin(self.read(source, from, last, step)).await;
            self.telemetry.end(&reads);
            self.telemetry.backend(read.as_ref().err().map(SourceError::class));
            let mut reading = read?;
            self.warnings.extend(reading.warnings());
            self.warnings.sort();
            self.warnings.dedup();
            let stopped = reading.stopped().cloned();
            if reading.ticks() == 0 && stopped.is_none() {
                // Asked again, it would be as empty: better an error than a loop without end.
                return Err(AdvanceError::Source(SourceError::Range {
                    from: from.to_string(),
                    to: last.to_string(),
                    step: step.to_string(),
                    reason: "it holds no tick".to_owned(),
                }));
            }
            while reading.has_next() {
                // Before the batch is taken: whoever stops waiting here has missed nothing.
                let answers = self.asking.answers(source, &self.engine, &self.telemetry).await?;
                let Some((at, mut batch)) = reading.next_batch(&mut self.seen) else { break };
                batch.answers = answers;
                batch.feedback = self.heard_at(at);
                batch.changes.extend(self.outside.due(at));
                let steps = self.telemetry.begin(Work::Step);
                let outcome = self.engine.step(at, &batch);
                self.telemetry.end(&steps);
                if let Some(problem) = self.engine.archive_problem() {
                    return Err(problem.into());
                }
                let learned = self.learned_by(at);
                self.telemetry.ticked(at, learned, batch.samples.len(), &outcome);
                if !each(Ticked { at, learning, outcome, engine: &self.engine }) {
                    return Ok(());
                }
            }
            if let Some(error) = stopped {
                self.telemetry.backend(Some(error.class()));
                return Err(error.into());
            }
        }
    }

    /// What was said before a tick and no earlier one heard. Words keep their order: one that was
    /// said by a clock that is ahead holds up those behind it.
    fn heard_at(&mut self, tick: Timestamp) -> Vec<Feedback> {
        let due = self.feedback.iter().take_while(|word| word.at < tick).count();
        self.feedback.drain(..due).collect()
    }

    /// The share of the history that is learned once a tick is processed; 1 where nothing before
    /// the next one only teaches.
    fn learned_by(&self, tick: Timestamp) -> f64 {
        if !self.is_learning(tick + BLOCK) {
            return 1.0;
        }
        let Settings { history, alerts_from, .. } = self.settings;
        (1.0 - (alerts_from - tick).as_secs_f64() / history.as_secs_f64()).clamp(0.0, 1.0)
    }

    /// Ticks before the first that may alert lie on the grid of blocks: weeks are read coarsely.
    fn is_learning(&self, tick: Timestamp) -> bool {
        self.engine.now().is_none_or(|now| now < self.settings.alerts_from)
            && tick + BLOCK <= self.settings.alerts_from
    }

    /// One reading from `from` to at most `last`, as much as memory allows at once.
    async fn read(
        &mut self,
        source: &Prometheus,
        from: Timestamp,
        last: Timestamp,
        step: Span,
    ) -> Result<crate::source::Reading, SourceError> {
        let mut ticks = (VALUES_AIMED / self.plan.series_len().max(1)).clamp(1, TICKS_MAX);
        loop {
            let to = match source.cache() {
                Some(_) => last.min(end_of_chunk(from, step, &mut ticks)),
                None => last.min(from + step.times(i64::try_from(ticks - 1).unwrap_or(0))),
            };
            let read = source.read(&mut self.plan, from, to, step);
            // Side by side: annotations that do not come hold nobody up for long.
            let both = tokio::join!(read, self.outside.read(from, to));
            self.news.extend(self.outside.take_news());
            match both {
                // More series than were known: less of the time at once.
                (Err(SourceError::Range { .. }), _) if ticks > 1 => ticks /= 2,
                (other, warnings) => {
                    self.warnings.extend(warnings);
                    return other;
                }
            }
        }
    }
}

/// The last tick of the chunk that `from` lies in, of at most `ticks` ticks; sets `ticks` to those
/// of a whole chunk. Where a chunk begins depends on the time alone, so that replays of other
/// ranges and of other rules ask for the same ones.
fn end_of_chunk(from: Timestamp, step: Span, ticks: &mut usize) -> Timestamp {
    let mut chunk = TICKS_MAX;
    while *ticks < chunk {
        chunk = chunk.div_ceil(2);
    }
    *ticks = chunk;
    let length = step.times(i64::try_from(chunk).unwrap_or(1));
    from.floor_to(length) + length - step
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::engine::archive::MemoryArchive;
    use crate::series::{Batch, Verdict};

    /// Every tick from the first, as long as `count` says, with whether it only teaches.
    fn ticks(alerts_from: &str, interval: Span, count: usize) -> Vec<(Timestamp, bool)> {
        let settings = Settings {
            interval,
            history: Span::HOUR,
            timezone: TimeZone::UTC,
            alerts_from: alerts_from.parse().unwrap(),
            pages_url: None,
            source_url: None,
        };
        let archive = Box::<MemoryArchive>::default();
        let mut driver = Driver::new(Arc::new(Rules::default()), settings, archive);
        (0..count)
            .map(|_| {
                let tick = driver.next_tick();
                let learning = driver.is_learning(tick);
                let span = if learning { BLOCK } else { interval };
                let _ = driver.engine.step(tick, &Batch { span, ..Batch::default() });
                (tick, learning)
            })
            .collect()
    }

    #[test]
    fn the_engine_is_told_every_word_once() {
        let settings = Settings {
            interval: Span::MINUTE,
            history: Span::HOUR,
            timezone: TimeZone::UTC,
            alerts_from: Timestamp::from_secs(0),
            pages_url: None,
            source_url: None,
        };
        let archive = Box::<MemoryArchive>::default();
        let mut driver = Driver::new(Arc::new(Rules::default()), settings, archive);
        let at = Timestamp::from_secs;
        let word = |number, said| Feedback {
            number,
            at: at(said),
            incident: "gone".to_owned(),
            verdict: Verdict::Useful,
            cause: None,
        };
        let words = || vec![word(2, 540), word(5, 600), word(6, 570), word(7, 700)];
        driver.tell(words()[..2].to_vec());
        assert_eq!((driver.feedback_told(), driver.engine().feedback_seen()), (5, 0));
        driver.tell(words());
        assert_eq!((driver.feedback_told(), driver.feedback.len()), (7, 4));
        let hear = |driver: &mut Driver, tick| -> Vec<i64> {
            let feedback = driver.heard_at(at(tick));
            let numbers = feedback.iter().map(|word| word.number).collect();
            let batch = Batch { span: Span::MINUTE, feedback, ..Batch::default() };
            let _ = driver.engine.step(at(tick), &batch);
            numbers
        };
        assert_eq!(hear(&mut driver, 600), [2], "what is said at a tick is for the next one");
        let state = driver.snapshot().unwrap();
        assert_eq!(hear(&mut driver, 660), [5, 6]);
        assert_eq!((driver.feedback_told(), driver.engine().feedback_seen()), (7, 6));
        // After a crash, all of it is there before the first tick that is processed again.
        let archive = Box::<MemoryArchive>::default();
        let rules = Arc::new(Rules::default());
        let version = crate::engine::snapshot::VERSION;
        let settings = driver.settings.clone();
        let mut again = Driver::restore(rules, settings, version, &state, archive).unwrap();
        again.tell(words());
        assert_eq!(hear(&mut again, 660), [5, 6]);
        for driver in [&mut driver, &mut again] {
            assert_eq!(hear(driver, 720), [7]);
            driver.tell(words());
            assert!(driver.feedback.is_empty());
        }
    }

    #[test]
    fn a_start_between_two_blocks_learns_on_the_grid_and_then_goes_live() {
        for (from, interval) in [
            ("2026-03-03T12:00:00Z", Span::from_secs(30)),
            ("2026-03-03T12:03:30Z", Span::from_secs(30)),
            ("2026-03-03T12:04:00Z", Span::MINUTE),
            ("2026-03-03T12:01:00Z", BLOCK),
        ] {
            let all = ticks(from, interval, 20);
            let (learned, live): (Vec<_>, Vec<_>) = all.iter().partition(|(_, learning)| *learning);
            assert!(learned.iter().all(|(at, _)| at.floor_to(BLOCK) == *at), "{all:?}");
            assert!(learned.windows(2).all(|pair| pair[1].0 - pair[0].0 == BLOCK), "{all:?}");
            let first = from.parse::<Timestamp>().unwrap().ceil_to(interval);
            assert_eq!(live.first().map(|(at, _)| *at), Some(first), "{all:?}");
            assert!(live.windows(2).all(|pair| pair[1].0 - pair[0].0 == interval), "{all:?}");
        }
    }
}
