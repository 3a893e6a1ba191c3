//! What the loop keeps: ticks with their alerts and state, and the past of what is new in the rules.

use tracing::{error, info, warn};

use super::{DaemonError, Poller, Routing, systemd};
use crate::engine::alert::Alert;
use crate::engine::chart::Chart;
use crate::engine::snapshot;
use crate::replay::AdvanceError;
use crate::source::{Prometheus, SourceError};
use crate::store::Tick;
use crate::telemetry::{Limit, Work};
use crate::time::{Span, Timestamp};

/// The state is written at least this often, in the ticks' time.
const SNAPSHOT_EVERY: Span = Span::HOUR;
/// Attempts at the past of what is new in the rules.
const BACKFILLS_MAX: u32 = 3;

impl Poller {
    /// Keeps the state as it is, so that the next start need not process ticks again.
    pub(super) async fn leave(&mut self) -> Result<(), DaemonError> {
        let watching = self.driver.learns_until().is_none();
        let newest = self.driver.engine().now().filter(|&now| now >= self.driver.began());
        if let Some(tick) = newest.filter(|&tick| watching && self.stored != Some(tick)) {
            self.stored = None;
            self.commit(tick, Vec::new()).await?;
        }
        Ok(())
    }

    /// Learns what came into the rules, or changed in them, since the state was kept. A backend
    /// that cannot give the past of it must not hold up the present for long.
    pub(super) async fn backfill(
        &mut self,
        source: &Prometheus,
    ) -> Result<Result<(), SourceError>, DaemonError> {
        let patience = systemd::patience(&self.config);
        let filled = self.manager.during(patience, self.driver.backfill(source));
        match filled.await {
            Ok(0) => {}
            Ok(signals) => {
                info!(signals, "learned the past of what is new in the rules");
                self.leave().await?;
            }
            Err(AdvanceError::Archive(problem)) => return Err(DaemonError::Archive(problem)),
            Err(AdvanceError::Source(away)) => {
                self.backfills += 1;
                if self.backfills < BACKFILLS_MAX {
                    return Ok(Err(away));
                }
                warn!(problem = %away, "what is new in the rules begins without a past");
                self.driver.begin_without_past();
            }
        }
        self.backfills = 0;
        Ok(Ok(()))
    }

    /// Writes a tick, its alerts and their messages in one transaction, with the engine's state
    /// when that is due or when there are alerts.
    pub(super) async fn commit(
        &mut self,
        tick: Timestamp,
        alerts: Vec<Alert>,
    ) -> Result<(), DaemonError> {
        let due = self.stored.is_none_or(|at| tick - at >= SNAPSHOT_EVERY);
        let state = if due || !alerts.is_empty() { self.driver.snapshot() } else { Ok(Vec::new()) };
        let state = state.unwrap_or_else(|problem| {
            error!(%problem, "state cannot be kept");
            Vec::new()
        });
        if !state.is_empty() {
            self.stored = Some(tick);
        }
        for alert in &alerts {
            info!(
                incident = alert.incident,
                state = %alert.state,
                severity = %alert.severity,
                service = alert.service,
                cause = alert.causes.first().map_or("", |cause| cause.id.as_str()),
                "alert"
            );
        }
        let routing = self.routing.clone();
        let (planned, now) = (Routing::planned(self.driver.engine()), self.clock.now());
        let news = !alerts.is_empty();
        let engine = self.driver.engine();
        let charts: Vec<Chart> = alerts.iter().map(|alert| engine.chart(alert)).collect();
        let writes = self.api.telemetry().begin(Work::Write);
        let committed = self
            .store
            .with(move |store| {
                let deliveries = routing.plan(store, &alerts, &planned, now)?;
                let snapshot = (!state.is_empty()).then_some((snapshot::VERSION, &state[..]));
                let (alerts, charts, deliveries) = (&alerts[..], &charts[..], &deliveries[..]);
                let tick = Tick { last_tick: tick, snapshot, alerts, charts, deliveries };
                store.commit(&tick)
            })
            .await?;
        self.api.telemetry().end(&writes);
        self.api.telemetry().left_out(Limit::Outbox, committed.dropped);
        if news {
            self.store.news();
        }
        Ok(())
    }
}
