//! Reads any backend that speaks the Prometheus query API: Prometheus, VictoriaMetrics, Thanos,
//! Mimir, Cortex. The only place that knows their JSON.
//!
//! A reading covers a range of ticks: one request per query of the rules, bounded in time,
//! size and number. What one query cannot answer is told as such; a backend that answers nothing
//! is an error, and the same ticks are read again later.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures_util::{StreamExt, stream};

use crate::time::{Span, Timestamp};

mod breakdown;
mod cache;
mod client;
mod column;
mod config;
mod counters;
mod decode;
mod error;
mod flavour;
mod instant;
mod lookup;
mod plan;
mod reading;
mod table;
mod text;
mod tls;

pub use breakdown::Answers;
pub use cache::{CACHE_AGE_MIN, CACHE_BYTES_MAX, Cache, CacheError, CacheUse};
pub use config::{BasicAuth, Config, Tls};
pub use counters::{Counters, Counting};
pub use error::SourceError;
pub use flavour::Flavour;
pub use instant::{INSTANT_ROWS_MAX, InstantRow};
pub use lookup::{RANGE_ROWS_MAX, RangeRow, RangeRows};
pub use plan::{ReadPlan, SERIES_MAX, SERIES_PER_QUERY_MAX};
pub use reading::{Reading, VALUES_MAX};

use client::{Authorization, Client};
use decode::Head;
use plan::Query;
use table::{Table, Window};

/// Attempts at one request, the first included.
const ATTEMPTS_MAX: usize = 3;
/// Wait before the second attempt; doubles, with jitter.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// A backend that wants a longer wait is not asked again in this reading.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);
/// Longest that a probe may take.
const PROBE_TIMEOUT_MAX: Duration = Duration::from_secs(5);
/// So many queries in a row that fail because of the backend, and it is probed.
const FAILURES_BEFORE_PROBE: usize = 4;
/// How often one request is divided because the backend gives fewer points at once.
const DIVISIONS_MAX: usize = 64;

/// A backend that speaks the Prometheus query API.
#[derive(Debug)]
pub struct Prometheus {
    client: Client,
    /// Only for those who read the past again and again.
    cache: Option<Cache>,
}

impl Prometheus {
    /// Prepares to read from a backend; connects to nothing yet.
    ///
    /// # Errors
    ///
    /// Options that cannot work, and certificate files that cannot be read.
    pub fn new(config: Config) -> Result<Self, SourceError> {
        Client::new(config).map(|client| Self { client, cache: None })
    }

    /// Keeps answers to range queries in `cache`, and takes from there what it has.
    #[must_use]
    pub fn with_cache(self, cache: Cache) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// Where answers are kept, if they are.
    pub fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }

    /// The address for messages: without user, password and parameters.
    pub fn url(&self) -> &str {
        &self.client.url
    }

    /// What was asked so far and how it went, for the metrics.
    pub fn counters(&self) -> Counters {
        self.client.counting.read()
    }

    /// The same, to be read at any time.
    pub fn counting(&self) -> Counting {
        self.client.counting.clone()
    }

    /// Reads what the plan wants to know at every tick from `from` to `to`, both included: ticks
    /// are the multiples of `step` since the epoch.
    ///
    /// If the backend goes away on the way, the reading ends before the first tick that is not
    /// complete; [`Reading::next_tick`] says where to go on.
    ///
    /// # Errors
    ///
    /// The backend answered nothing: every query failed in a way that says nothing about the
    /// query. The same ticks can be read later; nothing is lost. Also a range that is no grid,
    /// or that holds too much for one reading.
    pub async fn read(
        &self,
        plan: &mut ReadPlan,
        from: Timestamp,
        to: Timestamp,
        step: Span,
    ) -> Result<Reading, SourceError> {
        let ticks = ticks_of(from, to, step)?;
        let first = from.ceil_to(step);
        let authorization = self.client.authorization().await?;
        plan.begin();
        let mut reading = Reading::new(plan, first, step);
        let mut done = 0;
        while done < ticks {
            let points = self.client.points_max().min(ticks - done);
            let chunk = Window { start: reading.tick(done), step, points, tick: done };
            // Boxed: it is most of what waiting for a replay or a daemon takes.
            match Box::pin(self.read_chunk(plan, &mut reading, chunk, &authorization)).await {
                Ok(()) => done += points,
                Err(error) if done == 0 => return Err(error),
                Err(error) => return Ok(reading.finish(Some(error))),
            }
            reading.complete_until(done);
        }
        Ok(reading.finish(None))
    }

    /// Asks every query about one range of ticks. An error is about the backend as a whole.
    async fn read_chunk(
        &self,
        plan: &mut ReadPlan,
        reading: &mut Reading,
        chunk: Window,
        authorization: &Authorization,
    ) -> Result<(), SourceError> {
        let queries = Arc::clone(&plan.queries);
        let mut asked = Vec::with_capacity(queries.len());
        for query in queries.iter() {
            asked.push(self.fetch(query, chunk, authorization));
        }
        // In order, so that what a reading holds does not depend on who answers first.
        let mut answers = stream::iter(asked).buffered(self.client.concurrency());
        let mut failures: Vec<(usize, SourceError)> = Vec::new();
        let (mut index, mut answered, mut in_a_row) = (0, 0, 0);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(tables) => {
                    (answered, in_a_row) = (answered + 1, 0);
                    for (table, head) in &tables {
                        reading.warn_of_answer(index, head);
                        reading.add(plan, index, table)?;
                    }
                }
                Err(error) => {
                    in_a_row = if error.may_be_about_backend() { in_a_row + 1 } else { 0 };
                    failures.push((index, error));
                }
            }
            index += 1;
            if FAILURES_BEFORE_PROBE <= in_a_row && index < queries.len() {
                // Waiting for every query of a backend that is gone would take very long.
                self.probe(authorization).await?;
                in_a_row = 0;
            }
        }
        if failures.iter().any(|(_, error)| error.may_be_about_backend()) {
            if answered == 0 && failures.iter().all(|(_, error)| error.is_about_backend()) {
                return Err(failures.swap_remove(0).1);
            }
            // Either these queries are too much for it, or it went away on the way.
            self.probe(authorization).await?;
            failures = self.ask_again(plan, reading, (chunk, authorization), failures).await?;
        }
        for (query, error) in &failures {
            reading.add_gap(*query, chunk.tick..chunk.tick + chunk.points, &error.to_string());
        }
        Ok(())
    }

    /// The backend is there now, so it may have come back since these queries failed: what they
    /// are asked for must not be lost. Returns those that fail again.
    async fn ask_again(
        &self,
        plan: &mut ReadPlan,
        reading: &mut Reading,
        (chunk, authorization): (Window, &Authorization),
        failures: Vec<(usize, SourceError)>,
    ) -> Result<Vec<(usize, SourceError)>, SourceError> {
        let queries = Arc::clone(&plan.queries);
        let mut left = Vec::new();
        // One answer that is too large is its query's fault; several may be no answers at all.
        let too_large = |error: &SourceError| matches!(error, SourceError::TooLarge { .. });
        let several = 1 < failures.iter().filter(|(_, error)| too_large(error)).count();
        for (index, error) in failures {
            let again = error.is_about_backend() || (several && too_large(&error));
            if !again {
                left.push((index, error));
                continue;
            }
            match self.fetch(&queries[index], chunk, authorization).await {
                Ok(tables) => {
                    for (table, head) in &tables {
                        reading.warn_of_answer(index, head);
                        reading.add(plan, index, table)?;
                    }
                }
                Err(error) => {
                    if error.may_be_about_backend() {
                        self.probe(authorization).await?;
                    }
                    left.push((index, error));
                }
            }
        }
        Ok(left)
    }

    /// The rows of one query in a range of ticks, in one table or, where the backend gives fewer
    /// points at once, in several.
    async fn fetch<'a>(
        &self,
        query: &'a Query,
        chunk: Window,
        authorization: &Authorization,
    ) -> Result<Vec<(Table<'a>, Head)>, SourceError> {
        let mut windows = vec![Window { start: chunk.start - query.delay, ..chunk }];
        let (mut tables, mut divisions) = (Vec::new(), 0);
        while let Some(window) = windows.pop() {
            match self.fetch_window(query, window, authorization).await {
                Ok(table) => tables.push(table),
                Err(error @ (SourceError::TooManyPoints { .. } | SourceError::TooLarge { .. })) => {
                    divisions += 1;
                    let halves = window.halves().filter(|_| divisions <= DIVISIONS_MAX);
                    let [first, second] = halves.ok_or(error)?;
                    windows.extend([second, first]);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(tables)
    }

    /// One range query, tried again while that may help.
    async fn fetch_window<'a>(
        &self,
        query: &'a Query,
        window: Window,
        authorization: &Authorization,
    ) -> Result<(Table<'a>, Head), SourceError> {
        let seconds = |ms: i64| format!("{}.{:03}", ms.div_euclid(1_000), ms.rem_euclid(1_000));
        let timeout = self.client.timeout();
        let form = [
            ("query", query.promql.clone()),
            ("start", seconds(window.start.as_millis())),
            ("end", seconds(window.end().as_millis())),
            ("step", seconds(window.step.as_millis())),
            ("timeout", format!("{}s", timeout.as_secs().max(1))),
            // VictoriaMetrics would move the range onto a grid of its own and repeat older
            // values at its end; others ignore both.
            ("nocache", "1".to_owned()),
            ("latency_offset", "1ms".to_owned()),
        ];
        let attempt = || async {
            let mut table = Table::new(&query.wanted, window);
            let head = self.ask_range(&form, window.end(), authorization, &mut table).await?;
            Ok((table, head))
        };
        let backoff = ExponentialBuilder::default()
            .with_min_delay(BACKOFF_MIN)
            .with_max_times(ATTEMPTS_MAX - 1)
            .with_jitter();
        let mut last = None;
        let attempts = attempt
            .retry(backoff)
            .when(SourceError::is_retried)
            .notify(|error, wait| {
                tracing::debug!(query = query.name, class = error.class(), ?wait, "asking again");
                last = Some(error.clone());
            })
            .adjust(wait_for);
        let limit = timeout * 2 + RETRY_AFTER_MAX;
        tokio::time::timeout(limit, attempts).await.unwrap_or_else(|_| {
            Err(last.unwrap_or_else(|| SourceError::Timeout {
                url: self.client.url.clone(),
                reason: format!("the limit for all attempts is {limit:?}"),
            }))
        })
    }

    /// The cheapest question there is: tells a backend that is gone from queries that are too
    /// much for it.
    async fn probe(&self, authorization: &Authorization) -> Result<(), SourceError> {
        let timeout = self.client.timeout().min(PROBE_TIMEOUT_MAX);
        match self.client.probe(authorization, timeout).await {
            Err(error) if error.may_be_about_backend() => Err(error),
            _ => Ok(()),
        }
    }
}

/// How long to wait before the next attempt; `None` gives up.
fn wait_for(error: &SourceError, backoff: Option<Duration>) -> Option<Duration> {
    match error.retry_after() {
        Some(wait) if RETRY_AFTER_MAX < wait => None,
        Some(wait) => backoff.map(|backoff| backoff.max(wait)),
        None => backoff,
    }
}

/// How many ticks there are.
fn ticks_of(from: Timestamp, to: Timestamp, step: Span) -> Result<usize, SourceError> {
    let refuse = |reason: &str| {
        let (from, to, step) = (from.to_string(), to.to_string(), step.to_string());
        Err(SourceError::Range { from, to, step, reason: reason.to_owned() })
    };
    if step <= Span::ZERO {
        return refuse("the step must be longer than 0s");
    }
    let length = to.floor_to(step) - from.ceil_to(step);
    if length < Span::ZERO {
        return Ok(0);
    }
    match usize::try_from(length.as_millis() / step.as_millis()) {
        Ok(ticks) if ticks < VALUES_MAX => Ok(ticks + 1),
        _ => refuse("it is too many ticks"),
    }
}
