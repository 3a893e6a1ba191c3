//! Lives through the incident as the daemon would, as fast as it goes.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::stage::{FOLLOWED_MAX, LEARNED, LIVE, ONSET, SCRAPE, Stage};
use super::told::{Told, concerns};
use super::{DemoError, stage};
use crate::cli::progress::Progress;
use crate::engine::Settings;
use crate::engine::alert::Alert;
use crate::engine::archive::MemoryArchive;
use crate::engine::grid::BLOCK;
use crate::lab::{self, Fault, Noticed, rivals};
use crate::replay::Driver;
use crate::source::{Config, Prometheus};
use crate::time::{Span, Timestamp};

/// How long is watched after users noticed.
const AFTER_USERS: Span = Span::HOUR;
/// How long is watched after the first alert, where users never notice.
const AFTER_ALERT: Span = Span::from_hours(3);

/// Simulates, learns and watches; none if it was stopped. With the story comes the fleet at its
/// end.
pub(super) async fn watch(
    fault: Fault,
    seed: u64,
    progress: &mut Progress,
    stop: &CancellationToken,
) -> Result<Option<(Told, Stage)>, DemoError> {
    let rules = lab::rules().map_err(|problems| DemoError::Rules(problems.summary()))?;
    let mut stage = Stage::new(fault, seed)?;
    if !stage.simulate(progress, stop).await {
        return Ok(None);
    }
    let served = stage.serve().await?;
    let mut watcher = Watcher {
        source: Prometheus::new(Config {
            // On the loopback it only costs time.
            gzip: false,
            ..Config::new(format!("http://{}", served.address))
        })?,
        driver: Driver::new(Arc::new(rules), settings(), Box::<MemoryArchive>::default()),
        alerts: Vec::new(),
        stop,
    };
    let figures = stage.figures();
    let noticed = stage.foresee();
    let went_on = watcher.learn(figures, progress).await?
        && watcher.live(&mut stage, fault, noticed, progress).await?;
    let alerts = watcher.alerts;
    let onset = fault.natural_onset(ONSET);
    drop(watcher.source);
    served.end().await;
    if !went_on {
        return Ok(None);
    }
    let told = Told {
        fault: fault.info(),
        seed,
        figures,
        onset,
        end: stage.now(),
        noticed,
        alerts,
        threshold: stage.read(rivals::threshold),
        burn_rate: stage.read(rivals::burn_rate),
    };
    Ok(Some((told, stage)))
}

fn settings() -> Settings {
    Settings {
        interval: SCRAPE,
        history: LEARNED,
        timezone: jiff::tz::TimeZone::UTC,
        alerts_from: LIVE,
        pages_url: None,
        source_url: None,
    }
}

/// grayflag in the demo: reads over HTTP, decides, and remembers what it would have sent.
struct Watcher<'a> {
    source: Prometheus,
    driver: Driver,
    alerts: Vec<Alert>,
    stop: &'a CancellationToken,
}

impl Watcher<'_> {
    /// Learns what is normal; false if it was stopped.
    async fn learn(
        &mut self,
        figures: stage::Figures,
        progress: &mut Progress,
    ) -> Result<bool, DemoError> {
        let what = format!(
            "learning from {} samples of {} series over HTTP",
            super::told::grouped(figures.samples),
            figures.series
        );
        let ticks = LEARNED.as_millis() / BLOCK.as_millis();
        progress.begin(&what, ticks.unsigned_abs());
        self.advance(LIVE - SCRAPE, progress).await
    }

    /// Watches until the story is over; false if it was stopped.
    async fn live(
        &mut self,
        stage: &mut Stage,
        fault: Fault,
        noticed: Option<Noticed>,
        progress: &mut Progress,
    ) -> Result<bool, DemoError> {
        let minutes = |span: Span| (span.as_secs() / 60).unsigned_abs();
        let expected = end(noticed, None);
        progress.begin("watching the fleet through an incident", minutes(expected - LIVE));
        // The night is quiet: nobody waits for what is told in it.
        let (mut next, onset) = (ONSET, fault.natural_onset(ONSET));
        loop {
            stage.extend(next);
            if !self.advance(next, progress).await? {
                return Ok(false);
            }
            progress.reach(minutes(next - LIVE));
            let first = self.alerts.iter().find(|alert| concerns(alert, fault.info(), onset));
            if end(noticed, first.map(|alert| alert.at)) <= next {
                return Ok(true);
            }
            next = next + BLOCK;
        }
    }

    /// Processes every tick up to `to`; false if it was stopped.
    async fn advance(&mut self, to: Timestamp, progress: &Progress) -> Result<bool, DemoError> {
        let (alerts, stop) = (&mut self.alerts, self.stop);
        let mut learned = 0;
        let advanced = self.driver.advance(&self.source, to, |ticked| {
            alerts.extend(ticked.outcome.alerts);
            if ticked.learning {
                learned += 1;
                progress.reach(learned);
            }
            !stop.is_cancelled()
        });
        match stop.run_until_cancelled(advanced).await {
            Some(outcome) => outcome.map(|()| !stop.is_cancelled()).map_err(DemoError::from),
            None => Ok(false),
        }
    }
}

/// When there is nothing more to see.
fn end(noticed: Option<Noticed>, first_alert: Option<Timestamp>) -> Timestamp {
    let latest = ONSET + FOLLOWED_MAX;
    match (noticed, first_alert) {
        (Some(noticed), _) => noticed.at + AFTER_USERS,
        (None, Some(alert)) => latest.min(alert + AFTER_ALERT),
        (None, None) => latest,
    }
}
