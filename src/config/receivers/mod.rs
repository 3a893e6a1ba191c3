//! `[[receiver]]`: where alerts can go.

mod alertmanager;
mod email;
mod pagers;
mod posted;
mod slack;
mod telegram;
mod webhook;

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::Context;
use super::routes::quiet;
use crate::notify::pace::Rate;
use crate::notify::receiver::{PaceConfig, ReceiverConfig, ReceiverKind};
use crate::notify::routes::Quiet;
use crate::problem::{Table, did_you_mean, listed, quoted};
use crate::rules::{Names, Service};
use crate::time::Span;

pub(super) use alertmanager::KEEP_ALIVE_DEFAULT;
pub(super) use email::FROM_DEFAULT;

/// More receivers than this are refused.
pub const RECEIVERS_MAX: usize = 200;

/// More messages a second are no limit, and the disk would be one.
const PER_SECOND_MAX: u32 = 1_000;
/// More at once would be a load test of the receiver.
const AT_ONCE_MAX: i64 = 32;

/// Every way to reach a receiver.
const KINDS: [&str; 9] = [
    "email",
    "webhook",
    "slack",
    "pagerduty",
    "opsgenie",
    "teams",
    "discord",
    "telegram",
    "alertmanager",
];

/// What all `[[receiver]]` tables say.
pub(super) struct Receivers {
    /// Those without errors.
    pub(super) list: Vec<ReceiverConfig>,
    /// Those with errors among them, so that routes to them are no errors of their own.
    pub(super) names: Names,
    /// Quiet hours, by name.
    pub(super) quiet: BTreeMap<String, Quiet>,
}

/// What is wrong with a name in a list of receivers, and the remedy; nothing where there is one of
/// this name.
pub(super) fn stranger(names: &Names, name: &str) -> Option<(String, String)> {
    let known = || names.iter().map(|(known, _)| known);
    if known().any(|known| known == name) {
        return None;
    }
    let hint = did_you_mean(name, known(), "receivers")
        .unwrap_or_else(|| "add a [[receiver]] of this name".to_owned());
    Some((format!("no receiver is called {}", quoted(name)), hint))
}

/// Reads every `[[receiver]]`; `usual` is the zone of quiet hours unless told otherwise.
pub(super) fn receivers(
    root: &Table<'_>,
    context: &Context<'_>,
    services: &BTreeMap<String, Service>,
    usual: &TimeZone,
) -> Receivers {
    let mut names = Names::new("receiver", RECEIVERS_MAX);
    let mut list = Vec::new();
    let mut quiet_hours = BTreeMap::new();
    for mut table in root.tables("receiver") {
        let name = names.claim(&mut table, "name");
        if name.as_ref().is_some_and(|name| name.contains('/')) {
            let hint = "use `-`; a `/` stands between a receiver and its address: `oncall/ops@example.com`";
            table.wrong_hint("name", &table.at_value("name"), "must not contain `/`", hint);
        }
        let quiet = quiet(&table, usual);
        quiet_hours.extend(name.clone().zip(quiet));
        let pace = pace(&table);
        let kind = kind(table, context, services);
        let receiver = |(name, kind)| ReceiverConfig { name, kind, pace };
        list.extend(name.zip(kind).map(receiver));
    }
    Receivers { list, names, quiet: quiet_hours }
}

/// How fast it is sent messages.
fn pace(table: &Table<'_>) -> PaceConfig {
    let rate = table.filled("rate").and_then(|text| {
        let parsed = rate(text.value);
        if parsed.is_none() {
            let what =
                format!("expected a number per `s`, `m` or `h`, found {}", quoted(text.value));
            let hint = "for example `1/s` or `60/m`; at most 1000 a second";
            table.wrong_hint("rate", &text.at, &what, hint);
        }
        parsed
    });
    let at_once = table.integer("at_once", 1..=AT_ONCE_MAX);
    let at_once = at_once.and_then(|number| usize::try_from(number.value).ok());
    PaceConfig { rate, at_once: at_once.unwrap_or(PaceConfig::default().at_once) }
}

fn rate(text: &str) -> Option<Rate> {
    let (number, unit) = text.split_once('/')?;
    let (per, seconds) = match unit.trim() {
        "s" => (Span::SECOND, 1),
        "m" => (Span::MINUTE, 60),
        "h" => (Span::HOUR, 3_600),
        _ => return None,
    };
    let messages = number.trim().parse().ok()?;
    (1..=PER_SECOND_MAX * seconds).contains(&messages).then_some(Rate { messages, per })
}

fn kind(
    table: Table<'_>,
    context: &Context<'_>,
    services: &BTreeMap<String, Service>,
) -> Option<ReceiverKind> {
    use ReceiverKind::{
        Alertmanager, Discord, Email, Opsgenie, PagerDuty, Slack, Teams, Telegram, Webhook,
    };
    table.know(&KINDS);
    let of = |key| table.table(key);
    let found = [
        of("email").and_then(|t| email::email(t, context)).map(|c| Email(Box::new(c))),
        of("webhook").and_then(|t| webhook::webhook(t, context)).map(|c| Webhook(Box::new(c))),
        of("slack").and_then(|t| slack::slack(t, context)).map(|c| Slack(Box::new(c))),
        of("pagerduty").and_then(|t| pagers::pagerduty(t, context)).map(|c| PagerDuty(Box::new(c))),
        of("opsgenie").and_then(|t| pagers::opsgenie(t, context)).map(|c| Opsgenie(Box::new(c))),
        of("teams").and_then(|t| posted::teams(t, context)).map(|c| Teams(Box::new(c))),
        of("discord").and_then(|t| posted::discord(t, context)).map(|c| Discord(Box::new(c))),
        of("telegram").and_then(|t| telegram::telegram(t, context)).map(|c| Telegram(Box::new(c))),
        of("alertmanager")
            .and_then(|t| alertmanager::alertmanager(t, context, services))
            .map(|c| Alertmanager(Box::new(c))),
    ];
    let given: Vec<_> = KINDS.into_iter().filter(|key| table.has(key)).collect();
    match given.as_slice() {
        // A misspelt kind is told as such when the table is finished.
        [] if !table.has_unknown() => {
            let message = format!("nothing says how to reach {}", table.title());
            let hint = "add `email = { … }`, `slack = { … }` or another way";
            table.report(table.error(table.at(), message).hint(hint).of_absence());
        }
        [_, second, ..] => {
            let message = format!("{} has several kinds: {}", table.title(), listed(given.clone()));
            let hint = "write one receiver for each; a route can name both";
            table.report(table.error(table.at_key(second), message).hint(hint));
        }
        _ => {}
    }
    table.finish();
    found.into_iter().flatten().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_a_number_per_unit_within_bounds() {
        let per = |messages, per| Some(Rate { messages, per });
        for (text, want) in [
            ("60/m", per(60, Span::MINUTE)),
            (" 1 / s ", per(1, Span::SECOND)),
            ("1000/s", per(1_000, Span::SECOND)),
            ("5/h", per(5, Span::HOUR)),
            ("0/m", None),
            ("1001/s", None),
            ("-1/s", None),
            ("0.5/s", None),
            ("60", None),
            ("60/d", None),
        ] {
            assert_eq!(rate(text), want, "{text}");
        }
    }
}
