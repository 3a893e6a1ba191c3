//! Every metric: its name, kind, labels and meaning. What is served and what docs/metrics.md says
//! are made from these.

use std::fmt::Write as _;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, and begins again at zero with the process.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts in buckets, with sum and count.
    Histogram,
}

/// A metric as users know it.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The family's name, in base units; of a counter without `_total`.
    pub family: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels, in order.
    pub labels: &'static [&'static str],
    /// What it means, without a full stop at the end.
    pub help: &'static str,
}

impl Kind {
    /// As the formats name it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl Metric {
    /// The name as queries use it; of a histogram without the suffixes of its parts.
    pub fn name(&self) -> String {
        let end = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{}{end}", self.family)
    }
}

type Labels = &'static [&'static str];

const fn counter(family: &'static str, labels: Labels, help: &'static str) -> Metric {
    Metric { family, kind: Kind::Counter, labels, help }
}

const fn gauge(family: &'static str, labels: Labels, help: &'static str) -> Metric {
    Metric { family, kind: Kind::Gauge, labels, help }
}

const fn histogram(family: &'static str, labels: Labels, help: &'static str) -> Metric {
    Metric { family, kind: Kind::Histogram, labels, help }
}

/// Declares metrics, and the list of all of them in the order of the text.
macro_rules! catalogue {
    ($($id:ident = $metric:expr;)*) => {
        $(pub(super) const $id: Metric = $metric;)*
        /// All of them, in the order in which they are served and described.
        pub const ALL: &[Metric] = &[$($id),*];
    };
}

catalogue! {
    BUILD = gauge("grayflag_build_info", &["version"], "Always 1; the version that runs");
    READY = gauge("grayflag_ready", &[], "1 while `/-/ready` says 200: learned, and the last tick is fresh");

    LAST_TICK = gauge("grayflag_last_tick_timestamp_seconds", &[],
        "The newest tick that was processed, also before a restart, as unix time; 0 before the first");
    LAG = gauge("grayflag_tick_lag_seconds", &[],
        "Time since the newest tick; at most interval and settle while all is well. 0 before the first");
    BEHIND = gauge("grayflag_ticks_behind", &[], "Ticks that are due and not processed yet");
    INTERVAL = gauge("grayflag_tick_interval_seconds", &[], "`poll.interval`");
    TICKS = counter("grayflag_ticks", &[], "Ticks processed, those of the history that is learned among them");
    LEARNED = gauge("grayflag_learned_ratio", &[], "Share of the history that is learned at the first start; 1 from then on");
    SAMPLES = counter("grayflag_samples", &[], "Samples handed to the engine");
    LATE = counter("grayflag_late_samples", &[], "Samples left out because their tick had been processed");
    BEYOND = counter("grayflag_samples_beyond_limit", &[], "Samples left out because too many series are known");
    WORK = histogram("grayflag_work_duration_seconds", &["work"],
        "Time that one piece of work took: `read` one range of ticks from the backend, `step` one tick through the engine, `write` one tick to the state file");

    SOURCE_UP = gauge("grayflag_source_up", &[], "1 while the last reading of the backend gave ticks");
    REQUESTS = counter("grayflag_source_requests", &[], "Queries sent to the backend, further attempts included");
    FAILURES = counter("grayflag_source_failures", &["class"], "Queries to the backend that failed");
    RECEIVED = counter("grayflag_source_received_bytes", &[], "Bytes of the backend's answers, after decompression");
    UNANSWERED = gauge("grayflag_signals_unanswered", &[], "Signals whose query had no answer at the newest tick");
    QUESTIONS = counter("grayflag_breakdown_questions", &[], "Questions about label values that the engine asked");
    ANSWERS = counter("grayflag_breakdown_answers", &["outcome"], "What came of them: `ok` or `failed`");

    SERIES = gauge("grayflag_series", &["health"], "Series that are watched, by what can be said of them");
    SERVICES = gauge("grayflag_services", &[], "Services that are watched");
    JUDGED = gauge("grayflag_services_judged", &[], "Services that have enough history to be judged");
    SILENT = gauge("grayflag_services_silent", &[], "Services that say nothing and should");
    STANDING = gauge("grayflag_service_standing", &["service", "budget"],
        "How far a service is over its threshold for `notices` and `alerts`: 1 is at the threshold");
    SERVICES_LEFT_OUT = gauge("grayflag_services_left_out", &[], "Services without `grayflag_service_standing`, because there are too many");
    SCORE = gauge("grayflag_signal_score", &["service", "signal", "role", "series"],
        "From 0 to 1: 0.5 is at the service's notice threshold by itself, 0.94 at twice that. `series` has the labels that keep series of one signal apart");
    VALUE = gauge("grayflag_signal_value", &["service", "signal", "role", "series"], "The value at the newest tick, in the signal's unit");
    EXPECTED = gauge("grayflag_signal_expected", &["service", "signal", "role", "series"], "What is expected now");
    LOW = gauge("grayflag_signal_low", &["service", "signal", "role", "series"], "Below this lie 2.5 % of normal values now");
    HIGH = gauge("grayflag_signal_high", &["service", "signal", "role", "series"], "Above this lie 2.5 % of normal values now");
    SERIES_LEFT_OUT = gauge("grayflag_signal_series_left_out", &[], "Series without the five metrics before, because there are too many: those with the lowest scores");

    ALERTS = counter("grayflag_alerts", &["severity", "state"], "Alerts that were decided");
    INCIDENTS = gauge("grayflag_incidents_open", &["severity"], "Incidents that go on");
    UNTOLD = counter("grayflag_untold", &["reason"], "What the engine kept to itself, once for each thing and block, by reason");
    ACCEPTED = gauge("grayflag_budget_accepted_per_week", &["budget"], "False alarms a week that `[budget]` accepts of the services that are judged");
    USED = gauge("grayflag_budget_used_last_week", &["budget"],
        "Incidents of the last seven days that count against the budget: users were not affected, and nobody called them useful");
    FACTOR = gauge("grayflag_budget_factor", &["budget"], "By how much the fleet's controllers raise thresholds: above 1 after more alarms than accepted");
    SILENCES = gauge("grayflag_silences_open", &[], "Silences that are not over");

    STORE_READABLE = gauge("grayflag_store_readable", &[], "1 while the state file can be read");
    STORE_SIZE = gauge("grayflag_store_size_bytes", &[], "Size of the state file");
    SNAPSHOT_SIZE = gauge("grayflag_store_snapshot_size_bytes", &[], "Size of the engine's last snapshot");
    SNAPSHOT_AT = gauge("grayflag_store_snapshot_timestamp_seconds", &[], "The tick of the engine's last snapshot, as unix time; 0 without one");
    OUTBOX = gauge("grayflag_outbox_messages", &["receiver", "state"],
        "Messages that wait (`pending`), wait for a silence, maintenance or quiet hours (`held`), or were given up (`dead`)");
    OUTBOX_AGE = gauge("grayflag_outbox_oldest_age_seconds", &["receiver", "state"], "Age of the oldest of them");
    DELIVERIES = counter("grayflag_deliveries", &["receiver", "outcome"],
        "Messages that a receiver took (`delivered`), took again because their incident goes on (`repeated`), or that were `given_up`");
    DELIVERY_FAILURES = counter("grayflag_delivery_failures", &["receiver", "class"], "Attempts that failed");
    DELIVERY_SECONDS = counter("grayflag_delivery_busy_seconds", &["receiver"], "Time that attempts took, whatever came of them");
    DELIVERED_AT = gauge("grayflag_delivery_last_success_timestamp_seconds", &["receiver"], "When a receiver last took a message, as unix time; 0 before the first");
    RECEIVER_FAILING = gauge("grayflag_receiver_failing", &["receiver"], "1 while the last attempt failed");
    TEMPLATE_FAILURES = counter("grayflag_template_failures", &["receiver"], "Messages that went out without layout, because a template failed");

    RELOADS = counter("grayflag_config_reloads", &["outcome"], "Configurations that were loaded while running: `ok` or `failed`");
    RELOAD_OK = gauge("grayflag_config_last_reload_successful", &[], "0 while the file holds a configuration that could not be loaded");
    RELOADED_AT = gauge("grayflag_config_last_reload_success_timestamp_seconds", &[], "When the configuration in use was loaded, as unix time; 0 for that of the start");
    HEARTBEATS = counter("grayflag_heartbeats", &["outcome"], "Signs of life sent to `[heartbeat]`: `ok` or `failed`");
    HEARTBEAT_AT = gauge("grayflag_heartbeat_last_success_timestamp_seconds", &[], "When the last one was taken, as unix time; 0 before the first");
    LIMITS = counter("grayflag_limit_reached", &["limit"], "How often something was left out at a limit");

    HTTP_REQUESTS = counter("grayflag_http_requests", &["route", "code"], "Requests to the API, by pattern of the path and class of the status");
    HTTP_DURATION = histogram("grayflag_http_request_duration_seconds", &["route"], "Time that they took");

    PROCESS_CPU = counter("process_cpu_seconds", &[], "CPU time of the process");
    PROCESS_MEMORY = gauge("process_resident_memory_bytes", &[], "Memory of the process");
    PROCESS_FDS = gauge("process_open_fds", &[], "Open file descriptors");
    PROCESS_FDS_MAX = gauge("process_max_fds", &[], "How many it may open");
    PROCESS_START = gauge("process_start_time_seconds", &[], "When the process began, as unix time");
}

/// All of them as a table of Markdown, for docs/metrics.md.
pub fn reference() -> String {
    let mut text = String::from("| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for metric in ALL {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a text cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            metric.name(),
            metric.kind.name(),
            labels.join(" "),
            metric.help
        );
    }
    text
}
