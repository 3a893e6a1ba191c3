//! `[digest]`: when news of a day or week are told, and to whom.

use jiff::tz::TimeZone;

use super::poll::timezone;
use super::receivers::stranger;
use crate::hours::Moment;
use crate::notify::receiver::ReceiverConfig;
use crate::problem::{Table, quoted};
use crate::rules::Names;

/// When digests are told.
const DAILY: &str = "08:00";
const WEEKLY: &str = "Mon 08:00";
/// In place of a moment.
pub(super) const NEVER: &str = "never";

/// When digests are told, and to whom.
#[derive(Clone, Debug, PartialEq)]
pub struct DigestPlan {
    /// Every day at this time; none for never.
    pub daily: Option<Moment>,
    /// Every week at this time; none for never.
    pub weekly: Option<Moment>,
    /// Whose wall clock that is.
    pub timezone: TimeZone,
    /// Names of the targets.
    pub to: Vec<String>,
}

impl DigestPlan {
    /// Daily and weekly, to all whom people read.
    pub(super) fn new(timezone: TimeZone, receivers: &[ReceiverConfig]) -> Self {
        let [daily, weekly] = [DAILY, WEEKLY].map(|text| text.parse().ok());
        let people = receivers.iter().filter(|receiver| !receiver.kind.keeps_open());
        Self { daily, weekly, timezone, to: people.flat_map(ReceiverConfig::targets).collect() }
    }
}

/// Reads `[digest]`. `names` are those of all receivers, with errors or without.
pub(super) fn digest(
    table: Table<'_>,
    zone: &TimeZone,
    receivers: &[ReceiverConfig],
    names: &Names,
) -> DigestPlan {
    let default = DigestPlan::new(zone.clone(), receivers);
    let daily = moment(&table, "daily", default.daily, "07:30");
    let weekly = moment(&table, "weekly", default.weekly, "Mon 07:30");
    let timezone = timezone(&table).unwrap_or(default.timezone);
    let to = to(&table, receivers, names).unwrap_or(default.to);
    table.finish();
    DigestPlan { daily, weekly, timezone, to }
}

fn moment(
    table: &Table<'_>,
    key: &'static str,
    default: Option<Moment>,
    example: &str,
) -> Option<Moment> {
    let Some(text) = table.filled(key) else { return default };
    if text.value == NEVER {
        return None;
    }
    let weekly = key == "weekly";
    let moment = text.value.parse::<Moment>().ok().filter(|moment| moment.is_weekly() == weekly);
    if moment.is_none() {
        let what = if weekly { "a day and a time of day" } else { "a time of day" };
        let what = format!("{} is not {what}", quoted(text.value));
        let hint = format!("write it as in \"{example}\", or \"{NEVER}\"");
        table.wrong_hint(key, &text.at, &what, &hint);
    }
    moment
}

/// The targets of the receivers that are named.
fn to(table: &Table<'_>, receivers: &[ReceiverConfig], names: &Names) -> Option<Vec<String>> {
    let mut targets = Vec::new();
    for text in table.texts("to")? {
        if let Some((what, hint)) = stranger(names, text.value) {
            table.wrong_hint("to", &text.at, &what, &hint);
        }
        let Some(receiver) = receivers.iter().find(|receiver| receiver.name == text.value) else {
            continue;
        };
        if receiver.kind.keeps_open() {
            let what = format!("{} opens incidents, and a digest is none", quoted(text.value));
            table.wrong_hint("to", &text.at, &what, "name a receiver that people read");
        }
        targets.extend(receiver.targets());
    }
    Some(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_moments_are_moments() {
        let plan = DigestPlan::new(TimeZone::UTC, &[]);
        assert!(plan.daily.is_some_and(|moment| !moment.is_weekly()));
        assert!(plan.weekly.is_some_and(|moment| moment.is_weekly()));
    }
}
