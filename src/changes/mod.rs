//! Where change events come from: the rows of change queries, told apart from what was there
//! before; annotations; and what is posted.

pub mod grafana;
pub mod outside;
mod rollout;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::engine::changes::CHANGES_AHEAD;
use crate::rules::{ChangeBy, ChangeRule, metrics};
use crate::series::Change;
use crate::time::Timestamp;

use rollout::Rollouts;

/// What one change rule remembers at most, counted in values over all services.
///
/// At the limit the values that were gone for longest are forgotten; while none is gone, new
/// values are neither remembered nor reported.
pub const REMEMBERED_MAX: usize = 50_000;

/// One row of a change query at one tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row<'a> {
    /// Value of the rule's service label.
    pub service: &'a str,
    /// For [`ChangeBy::Appears`] the value of that label; otherwise the row's further labels.
    pub what: &'a str,
    /// The sample.
    pub value: f64,
}

/// What has been seen already, per change rule: state that the caller keeps from tick to tick
/// and over restarts, so that no event is told twice and none is forgotten.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeenChanges {
    rules: BTreeMap<String, Seen>,
}

/// What one rule has seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Seen {
    /// The first tick with rows: what was there then is known, not news.
    since: Timestamp,
    /// By service, then by what.
    services: BTreeMap<String, BTreeMap<String, Value>>,
    /// How many values there are.
    count: usize,
    /// By `appears`: values that came and have not replaced the others yet.
    rollouts: Rollouts,
}

/// The last sight of one value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Value {
    at: Timestamp,
    number: f64,
    /// A rollout ended with it gone: if it comes back, that is news.
    replaced: bool,
}

impl SeenChanges {
    /// Turns the rows that `rule`'s query gave at `tick` into the events that they tell of, in
    /// order of time, service and what.
    ///
    /// The rows of the first tick that has any are known, not events: nobody can say when they
    /// came. After that, an event is
    ///
    /// - by `appears`: a label value that this service did not have before, or that another one
    ///   replaced. It is told again, with its end, when the values that it came beside are gone;
    /// - by `timestamp`: a time that was not told before, since the first tick and at most
    ///   [`CHANGES_AHEAD`] ahead;
    /// - by `step`: a row whose number differs from the last one seen, however long ago; a row
    ///   without further labels is called by the query's metric.
    ///
    /// Ticks go forward. A tick at which the query was not answered is left out: what changed
    /// meanwhile is told at the next one. The order of rows does not matter, unless two of them
    /// share service and what; then the larger number counts.
    pub fn notice(&mut self, rule: &ChangeRule, tick: Timestamp, rows: &[Row<'_>]) -> Vec<Change> {
        let key = key_of(rule);
        if rows.is_empty() {
            return Vec::new();
        }
        let first = !self.rules.contains_key(&key);
        let seen = self.rules.entry(key).or_insert(Seen {
            since: tick,
            services: BTreeMap::new(),
            count: 0,
            rollouts: Rollouts::default(),
        });
        let rows = merged(rule, rows);
        let metric = only_metric(rule);
        // Before anything is forgotten to make room: what is here now stays.
        for (service, what) in rows.keys() {
            if let Some(value) = seen.services.get_mut(*service).and_then(|s| s.get_mut(*what)) {
                value.at = tick;
            }
        }
        let mut changes: Vec<Change> = rows
            .into_iter()
            .filter_map(|((service, what), number)| {
                // Nobody knows what two bare numbers are.
                let name = if what.is_empty() { metric.as_deref() } else { None };
                let (at, what) =
                    seen.sight(&rule.by, tick, &Row { service, what, value: number })?;
                let end = rule.lasts.map(|lasts| at + lasts);
                let what = match name.filter(|_| rule.by == ChangeBy::Step) {
                    Some(name) => format!("{name} {what}"),
                    None => what,
                };
                (!first).then(|| change(rule, (at, end), service.to_owned(), what))
            })
            .collect();
        let over = seen.rollouts.over(tick, &mut seen.services);
        changes
            .extend(over.into_iter().map(|o| change(rule, (o.at, Some(o.end)), o.service, o.what)));
        changes.sort();
        changes
    }

    /// Forgets rules that are no longer configured.
    pub fn retain(&mut self, rules: &[ChangeRule]) {
        let keys: Vec<String> = rules.iter().map(key_of).collect();
        self.rules.retain(|key, _| keys.contains(key));
    }
}

impl Seen {
    /// Remembers one row; its event's time and text, if it is one.
    fn sight(
        &mut self,
        by: &ChangeBy,
        tick: Timestamp,
        row: &Row<'_>,
    ) -> Option<(Timestamp, String)> {
        match by {
            ChangeBy::Appears(_) => {
                let (known, before) = self.remember(row.service, row.what, tick, row.value);
                let news = known && before.is_none_or(|before| before.replaced);
                if news
                    && self.since < tick
                    && let Some(values) = self.services.get(row.service)
                {
                    self.rollouts.begin(row.service, row.what, tick, values);
                }
                news.then(|| (tick, row.what.to_owned()))
            }
            ChangeBy::Timestamp => {
                let at = Timestamp::from_secs_f64(row.value)?;
                // Exporters say 0 for "never". What is planned for later is told when it is near: the
                // engine would leave it out now, and so would a number in another unit be.
                if at <= Timestamp::default() || tick + CHANGES_AHEAD < at {
                    return None;
                }
                let (known, before) =
                    self.remember(row.service, &at.as_millis().to_string(), tick, row.value);
                (known && before.is_none() && self.since < at).then(|| (at, row.what.to_owned()))
            }
            ChangeBy::Step => {
                let (_, before) = self.remember(row.service, row.what, tick, row.value);
                let before = before?.number;
                let moved = before.total_cmp(&row.value).is_ne();
                let space = if row.what.is_empty() { "" } else { " " };
                moved.then(|| (tick, format!("{}{space}{before} → {}", row.what, row.value)))
            }
        }
    }

    /// Whether the value is remembered now, and what was remembered of it before.
    fn remember(
        &mut self,
        service: &str,
        what: &str,
        at: Timestamp,
        number: f64,
    ) -> (bool, Option<Value>) {
        let value = Value { at, number, replaced: false };
        if let Some(old) = self.services.get_mut(service).and_then(|s| s.get_mut(what)) {
            return (true, Some(std::mem::replace(old, value)));
        }
        if REMEMBERED_MAX <= self.count && !self.forget_oldest(at) {
            return (false, None);
        }
        self.count += 1;
        self.services.entry(service.to_owned()).or_default().insert(what.to_owned(), value);
        (true, None)
    }

    /// Forgets the tenth of the values that was gone for longest; false if all are here now.
    fn forget_oldest(&mut self, now: Timestamp) -> bool {
        let mut gone: Vec<Timestamp> = self
            .services
            .values()
            .flat_map(BTreeMap::values)
            .map(|value| value.at)
            .filter(|&at| at < now)
            .collect();
        gone.sort_unstable();
        let Some(&limit) = gone.get((REMEMBERED_MAX / 10).min(gone.len().saturating_sub(1))) else {
            return false;
        };
        for values in self.services.values_mut() {
            values.retain(|_, value| limit < value.at);
        }
        self.services.retain(|_, values| !values.is_empty());
        self.count = self.services.values().map(BTreeMap::len).sum();
        true
    }
}

fn change(
    rule: &ChangeRule,
    (at, end): (Timestamp, Option<Timestamp>),
    service: String,
    what: String,
) -> Change {
    Change { at, end, kind: rule.kind, service, what }
}

/// The metric that a rule reads, where it reads one alone by its numbers.
fn only_metric(rule: &ChangeRule) -> Option<String> {
    let mut metrics = match rule.by {
        ChangeBy::Step => metrics(&rule.query),
        _ => Vec::new(),
    };
    metrics.pop().filter(|_| metrics.is_empty()).map(|metric| metric.name)
}

/// The rule's name in the state: its text, so that reordering the configuration changes nothing.
fn key_of(rule: &ChangeRule) -> String {
    let by = match &rule.by {
        ChangeBy::Appears(label) => format!("appears {label}"),
        ChangeBy::Timestamp => "timestamp".to_owned(),
        ChangeBy::Step => "step".to_owned(),
    };
    format!("{} by {by} of {}: {}", rule.kind, rule.service, rule.query)
}

/// The rows in order, the largest number where several share a place.
fn merged<'a>(rule: &ChangeRule, rows: &[Row<'a>]) -> BTreeMap<(&'a str, &'a str), f64> {
    let mut merged = BTreeMap::new();
    for row in rows.iter().filter(|row| row.value.is_finite() && !row.service.is_empty()) {
        if matches!(rule.by, ChangeBy::Appears(_)) && row.what.is_empty() {
            continue;
        }
        let number = merged.entry((row.service, row.what)).or_insert(row.value);
        *number = row.value.max(*number);
    }
    merged
}

#[cfg(test)]
mod tests;
