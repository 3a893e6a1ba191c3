//! All metrics at one instant: what was counted, and what stands elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::alert::{Severity, State};
use crate::engine::overview::Overview;
use crate::notify::status::Status;
use crate::source::Counting;
use crate::store::Figures;
use crate::time::Timestamp;

use super::catalogue as known;
use super::health::Work;
use super::process::Process;
use super::sheet::{Format, Sheet};
use super::{Counts, Telemetry, signals};

/// What stands elsewhere, at the instant at which somebody asks.
#[derive(Clone, Debug)]
pub struct Scene {
    /// That instant.
    pub now: Timestamp,
    /// The engine at the newest tick that was shown.
    pub overview: Arc<Overview>,
    /// How receivers fare, by target.
    pub receivers: BTreeMap<String, Status>,
    /// What the state file holds; none if it cannot be read.
    pub figures: Option<Figures>,
    /// This process, where the system says.
    pub process: Option<Process>,
}

/// Seconds since 1970; zero for what never was.
fn unix(at: Option<Timestamp>) -> f64 {
    at.map_or(0.0, Timestamp::as_secs_f64)
}

impl Telemetry {
    /// All metrics. Cost: O(services and series), some 400 bytes for each that is shown.
    pub fn page(&self, scene: &Scene, format: Format) -> String {
        let is_ready = self.ready(scene.now).is_ok();
        let mut sheet = Sheet::default();
        sheet.rows(known::BUILD, [([env!("CARGO_PKG_VERSION")], 1.0)]);
        sheet.number(known::READY, f64::from(is_ready));
        // Each holds the counts for itself: the loop must not wait for thousands of series.
        self.lock().ticks(&mut sheet, scene.now);
        self.lock().source(&mut sheet);
        signals::put(&mut sheet, &scene.overview);
        self.lock().told(&mut sheet, scene);
        store(&mut sheet, scene.figures.as_ref());
        deliveries(&mut sheet, &scene.receivers);
        self.lock().around(&mut sheet);
        if let Some(process) = &scene.process {
            of_process(&mut sheet, process);
        }
        sheet.text(format)
    }
}

impl Counts {
    fn ticks(&self, sheet: &mut Sheet, now: Timestamp) {
        let lag = self.last_tick.map_or(0.0, |at| (now - at).as_secs_f64().max(0.0));
        sheet.number(known::LAST_TICK, unix(self.last_tick));
        sheet.number(known::LAG, lag);
        let interval = self.interval.as_secs_f64();
        let due = ((lag - self.settle.as_secs_f64()) / interval).floor();
        sheet.number(known::BEHIND, if due.is_finite() { due.max(0.0) } else { 0.0 });
        sheet.number(known::INTERVAL, interval);
        sheet.number(known::TICKS, self.ticks as f64);
        sheet.number(known::LEARNED, self.learned);
        sheet.number(known::SAMPLES, self.samples as f64);
        sheet.number(known::LATE, self.late as f64);
        sheet.number(known::BEYOND, self.beyond as f64);
        sheet.histograms(known::WORK, self.work.iter().map(|(work, h)| (Work::name(*work), h)));
    }

    fn source(&self, sheet: &mut Sheet) {
        let counters = self.source.as_ref().map(Counting::read).unwrap_or_default();
        sheet.number(known::SOURCE_UP, f64::from(self.away.is_none()));
        sheet.number(known::REQUESTS, counters.requests as f64);
        let failures = counters.failures.iter();
        sheet.rows(known::FAILURES, failures.map(|(class, count)| ([*class], *count as f64)));
        sheet.number(known::RECEIVED, counters.bytes as f64);
        sheet.number(known::UNANSWERED, self.unanswered as f64);
        sheet.number(known::QUESTIONS, self.questions as f64);
        sheet.rows(known::ANSWERS, self.answers.rows());
    }

    fn told(&self, sheet: &mut Sheet, scene: &Scene) {
        let mut alerts = Vec::new();
        for severity in Severity::ALL {
            for state in [State::Firing, State::Updated, State::Resolved] {
                let key = (severity.name(), state.name());
                let count = self.alerts.get(&key).copied().unwrap_or(0);
                alerts.push(([key.0, key.1], count as f64));
            }
        }
        sheet.rows(known::ALERTS, alerts);
        if let Some(figures) = &scene.figures {
            let open = |severity: Severity| figures.open.get(severity.name()).copied().unwrap_or(0);
            let rows = Severity::ALL.map(|severity| ([severity.name()], open(severity) as f64));
            sheet.rows(known::INCIDENTS, rows);
        }
        let untold = self.untold.iter();
        sheet.rows(known::UNTOLD, untold.map(|(reason, count)| ([*reason], *count as f64)));
        let by_budget =
            |[notices, alerts]: [f64; 2]| [(["notices"], notices), (["alerts"], alerts)];
        sheet.rows(known::ACCEPTED, by_budget(scene.overview.accepted));
        if let Some(figures) = &scene.figures {
            sheet.rows(known::USED, by_budget(figures.charged.map(|count| count as f64)));
        }
        sheet.rows(known::FACTOR, by_budget(scene.overview.factors));
        if let Some(figures) = &scene.figures {
            sheet.number(known::SILENCES, figures.silences as f64);
        }
    }

    /// What is around detection: configuration, heartbeat, limits, the API.
    fn around(&self, sheet: &mut Sheet) {
        sheet.rows(known::RELOADS, self.reloads.rows());
        sheet.number(known::RELOAD_OK, f64::from(!self.reloads.last_failed));
        sheet.number(known::RELOADED_AT, unix(self.reloads.ok_at));
        sheet.rows(known::HEARTBEATS, self.heartbeats.rows());
        sheet.number(known::HEARTBEAT_AT, unix(self.heartbeats.ok_at));
        let limits = self.limits.iter();
        sheet.rows(known::LIMITS, limits.map(|(limit, count)| ([limit.name()], *count as f64)));
        let requests = self.requests.iter();
        let row = |((route, class), count): (&(String, &'static str), &u64)| {
            ([route.clone(), (*class).to_owned()], *count as f64)
        };
        let requests: Vec<([String; 2], f64)> = requests.map(row).collect();
        let rows =
            requests.iter().map(|([route, class], n)| ([route.as_str(), class.as_str()], *n));
        sheet.rows(known::HTTP_REQUESTS, rows);
        let routes = self.routes.iter();
        sheet.histograms(known::HTTP_DURATION, routes.map(|(route, h)| (route.as_str(), h)));
    }
}

fn store(sheet: &mut Sheet, figures: Option<&Figures>) {
    sheet.number(known::STORE_READABLE, f64::from(figures.is_some()));
    let Some(figures) = figures else { return };
    sheet.number(known::STORE_SIZE, figures.file_bytes as f64);
    let snapshot = figures.snapshot;
    sheet.number(known::SNAPSHOT_SIZE, snapshot.map_or(0.0, |(_, bytes)| bytes as f64));
    sheet.number(known::SNAPSHOT_AT, unix(snapshot.map(|(at, _)| at)));
    let queues =
        || figures.outbox.iter().map(|queue| ([queue.receiver.as_str(), queue.state], queue));
    sheet.rows(known::OUTBOX, queues().map(|(labels, queue)| (labels, queue.messages as f64)));
    let age = |at: Timestamp| (figures.at - at).as_secs_f64().max(0.0);
    sheet.rows(known::OUTBOX_AGE, queues().map(|(labels, queue)| (labels, age(queue.oldest))));
}

fn deliveries(sheet: &mut Sheet, receivers: &BTreeMap<String, Status>) {
    let all = || receivers.iter().map(|(name, status)| (name.as_str(), status));
    let outcomes = all().flat_map(|(name, status)| {
        [
            ([name, "delivered"], status.sent as f64),
            ([name, "repeated"], status.kept_alive as f64),
            ([name, "given_up"], status.dead as f64),
        ]
    });
    sheet.rows(known::DELIVERIES, outcomes);
    let failures = all().flat_map(|(name, status)| {
        status.failed.iter().map(move |(class, count)| ([name, *class], *count as f64))
    });
    sheet.rows(known::DELIVERY_FAILURES, failures);
    let mut each = |metric, of: fn(&Status) -> f64| {
        sheet.rows(metric, all().map(|(name, status)| ([name], of(status))));
    };
    each(known::DELIVERY_SECONDS, |status| status.busy.as_secs_f64());
    each(known::DELIVERED_AT, |status| unix(status.sent_at));
    each(known::RECEIVER_FAILING, |status| f64::from(status.error.is_some()));
    each(known::TEMPLATE_FAILURES, |status| status.not_laid_out as f64);
}

fn of_process(sheet: &mut Sheet, process: &Process) {
    sheet.number(known::PROCESS_CPU, process.cpu_seconds);
    sheet.number(known::PROCESS_MEMORY, process.resident_bytes);
    sheet.number(known::PROCESS_FDS, process.open_fds);
    if let Some(most) = process.max_fds {
        sheet.number(known::PROCESS_FDS_MAX, most);
    }
    sheet.number(known::PROCESS_START, process.started_at);
}
