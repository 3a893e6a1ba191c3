//! `[poll]`, `[budget]` and `[store]`: the sections of a few values each.

use std::path::PathBuf;

use jiff::tz::TimeZone;

use super::Context;
use crate::problem::{At, Table, quoted};
use crate::rules::Budget;
use crate::time::Span;

/// The shortest time between ticks.
pub const INTERVAL_MIN: Span = Span::SECOND;

/// Every interval divides this evenly, so that longer steps of history fall on the grid.
pub const INTERVAL_GRID: Span = Span::from_mins(5);

/// Samples later than this are not waited for.
pub const SETTLE_MAX: Span = Span::from_mins(10);

/// With less there is no baseline for the time of day.
pub const HISTORY_MIN: Span = Span::DAY.times(3);

/// More would teach habits that are gone.
pub const HISTORY_MAX: Span = Span::WEEK.times(8);

/// A budget of more alerts a week than this is no budget.
const ALERTS_PER_WEEK_MAX: f64 = 10_000.0;

/// When and over what time the backend is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Poll {
    /// The grid of ticks.
    pub interval: Span,
    /// How long a tick waits for late samples.
    pub settle: Span,
    /// What is read at first start to learn baselines.
    pub history: Span,
    /// For time of week and calendar boundaries.
    pub timezone: TimeZone,
}

impl Default for Poll {
    fn default() -> Self {
        Self {
            interval: Span::from_secs(30),
            settle: Span::from_secs(20),
            history: Span::WEEK.times(4),
            timezone: TimeZone::UTC,
        }
    }
}

/// Where state is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// The SQLite file.
    pub path: PathBuf,
}

/// The file's name unless told otherwise.
const STORE_FILE: &str = "grayflag.db";

impl Default for Store {
    fn default() -> Self {
        Self { path: PathBuf::from(STORE_FILE) }
    }
}

impl Store {
    /// The default file, beside the configuration.
    pub(super) fn new(context: &Context<'_>) -> Self {
        Self { path: context.resolve(STORE_FILE) }
    }
}

/// Reads `[poll]`.
pub(super) fn poll(table: Table<'_>) -> Poll {
    let default = Poll::default();
    let interval = interval(&table, "interval");
    let settle = table.span_within("settle", Span::ZERO..=SETTLE_MAX);
    let history = table.span_within("history", HISTORY_MIN..=HISTORY_MAX);
    let timezone = timezone(&table);
    table.finish();
    Poll {
        interval: interval.unwrap_or(default.interval),
        settle: settle.map_or(default.settle, |at| at.value),
        history: history.map_or(default.history, |at| at.value),
        timezone: timezone.unwrap_or(default.timezone),
    }
}

/// The time between ticks, which must divide [`INTERVAL_GRID`] evenly.
pub(crate) fn interval(table: &Table<'_>, key: &'static str) -> Option<Span> {
    let interval = table.span_within(key, INTERVAL_MIN..=INTERVAL_GRID)?;
    let even = divides(interval.value);
    if !even {
        let what = format!("{} does not divide {INTERVAL_GRID} evenly", interval.value);
        table.wrong_hint(key, &interval.at, &what, &nearest_intervals(interval.value));
    }
    even.then_some(interval.value)
}

/// The zone under `timezone`.
pub(crate) fn timezone(table: &Table<'_>) -> Option<TimeZone> {
    let name = table.filled("timezone")?;
    let zone = TimeZone::get(name.value);
    if zone.is_err() {
        let what = format!("no time zone is called {}", quoted(name.value));
        let hint = "use a name of the IANA database such as `UTC` or `Europe/Berlin`; the system needs its tzdata package for others than `UTC`";
        table.wrong_hint("timezone", &name.at, &what, hint);
    }
    zone.ok()
}

fn divides(interval: Span) -> bool {
    INTERVAL_GRID.as_millis() % interval.as_millis() == 0
}

/// The nearest intervals of whole seconds that fit the grid.
fn nearest_intervals(interval: Span) -> String {
    let seconds = interval.as_secs();
    let fits = |&seconds: &i64| divides(Span::from_secs(seconds));
    let below = (1..=seconds).rev().find(fits).unwrap_or(1);
    let above = (seconds + 1..=INTERVAL_GRID.as_secs()).find(fits).unwrap_or(300);
    format!("the nearest that do are `{}` and `{}`", Span::from_secs(below), Span::from_secs(above))
}

/// Reads `[budget]`.
pub(super) fn budget(table: Table<'_>) -> Option<Budget> {
    let default = Budget::default();
    let alerts = table.filled("alerts").map(|text| rate(&table, "alerts", &text));
    let notices = table.filled("notices").map(|text| rate(&table, "notices", &text));
    let alerts = alerts.unwrap_or(Some(default.alerts_per_week));
    let notices = notices.unwrap_or(Some(default.notices_per_week));
    if let (Some(alerts), Some(notices)) = (alerts, notices)
        && notices < alerts
    {
        let key = if table.has("notices") { "notices" } else { "alerts" };
        let hint = "every alert begins as a notice: accept at least as many notices as alerts";
        let what = "fewer notices than alerts are accepted";
        table.wrong_hint(key, &table.at_value(key), what, hint);
    }
    table.finish();
    Some(Budget { alerts_per_week: alerts?, notices_per_week: notices? })
}

/// How many a week: `1/month` with months of 30 days.
fn rate(table: &Table<'_>, key: &str, text: &At<&str>) -> Option<f64> {
    let form = "a number per `day`, `week` or `month`, such as `1/week`";
    let wrong = |what: &str, hint: &str| {
        table.wrong_hint(key, &text.at, what, hint);
        None
    };
    let parsed = text.value.split_once('/').and_then(|(number, unit)| {
        let per_week = match unit.trim() {
            "day" => 7.0,
            "week" => 1.0,
            "month" => 7.0 / 30.0,
            _ => return None,
        };
        Some((number.trim().parse::<f64>().ok()?, per_week))
    });
    let Some((number, per_week)) = parsed else {
        let what = format!("expected {form}, found {}", quoted(text.value));
        return wrong(&what, "fractions are fine: `0.25/week` is one in four weeks");
    };
    if !(number.is_finite() && 0.0 < number) {
        return wrong("must be more than 0", "no detector is never wrong; accept few: `1/month`");
    }
    let rate = number * per_week;
    if ALERTS_PER_WEEK_MAX < rate {
        let what = format!("must be at most {ALERTS_PER_WEEK_MAX} a week");
        return wrong(&what, "a budget is per service");
    }
    Some(rate)
}

/// Reads `[store]`.
pub(super) fn store(table: Table<'_>, context: &Context<'_>) -> Option<Store> {
    let url = table.filled("url");
    let store = match &url {
        None => Some(Store::new(context)),
        Some(url) => store_path(&table, url).map(|path| Store { path: context.resolve(path) }),
    };
    table.finish();
    store
}

fn store_path<'u>(table: &Table<'_>, url: &At<&'u str>) -> Option<&'u str> {
    let hint = "write the file's path after `sqlite:`, for example `sqlite:grayflag.db`";
    let Some((scheme, rest)) = url.value.split_once(':') else {
        table.wrong_hint("url", &url.at, "expected `sqlite:` and a path", hint);
        return None;
    };
    let path = rest.strip_prefix("//").unwrap_or(rest);
    match scheme {
        "sqlite" if path.is_empty() => {
            table.wrong_hint("url", &url.at, "names no file", hint);
            None
        }
        "sqlite" if path.starts_with(':') => {
            let hint = "state must outlive the process: name a file, `sqlite:grayflag.db`";
            table.wrong_hint("url", &url.at, "cannot be in memory", hint);
            None
        }
        "sqlite" => Some(path),
        "postgres" | "postgresql" => {
            let hint = "use `sqlite:grayflag.db` with one replica";
            let what = "PostgreSQL is not supported by this build yet";
            table.wrong_hint("url", &url.at, what, hint);
            None
        }
        _ => {
            // The scheme alone: the rest may hold a password.
            let what = format!("{} stores are not known", quoted(scheme));
            table.wrong_hint("url", &url.at, &what, hint);
            None
        }
    }
}
