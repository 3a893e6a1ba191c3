//! A made-up incident and digest, to try receivers and templates on. Every one of them says that
//! it is a test.

use std::collections::BTreeMap;

use super::digest::{
    BudgetUse, Changes, Digest, Every, KeptQuiet, Line, Listed, Noisy, Silent, Told, Undelivered,
    UsersFirst, Watched,
};
use crate::engine::alert::{Alert, Severity, State};
use crate::engine::chart::{Band, Bound, Chart, Panel};
use crate::series::Verdict;
use crate::time::{Span, Timestamp};

/// When the sample's incident fires.
const FIRES: Timestamp = Timestamp::from_secs(1_772_332_200);
/// From the first message to the one that says that users are affected.
const UPDATED_AFTER: Span = Span::from_hours(1);
/// From the first message to the last.
const RESOLVED_AFTER: Span = Span::from_hours(4);
/// How much of the past the chart shows.
const SHOWN: Span = Span::from_hours(12);
/// Time between two values of the chart.
const STEP: Span = Span::from_mins(5);

/// The first message of an incident, the one that says that users are affected, and the last.
pub fn alerts() -> Vec<Alert> {
    let Some(firing) = firing() else { return Vec::new() };
    let mut updated = Alert { state: State::Updated, at: FIRES + UPDATED_AFTER, ..firing.clone() };
    updated.severity = Severity::Critical;
    "Test: payments answers more slowly; users of checkout are affected"
        .clone_into(&mut updated.title);
    "affected: latency of checkout 913 ms (usual 310 ms, users notice from 800 ms)"
        .clone_into(&mut updated.users);
    updated.services = ["checkout", "orders", "payments"].map(str::to_owned).to_vec();
    let mut resolved =
        Alert { state: State::Resolved, at: FIRES + RESOLVED_AFTER, ..updated.clone() };
    resolved.forecast = None;
    "were affected; at the end: latency of checkout 322 ms, as usual"
        .clone_into(&mut resolved.users);
    vec![firing, updated, resolved]
}

/// The same incident as if its first message were decided at `now`, under an id of its own: the
/// receiver must not take it for one that it knows.
pub fn alerts_at(now: Timestamp) -> Vec<Alert> {
    let by = now - FIRES;
    let incident = format!("test-{}", now.as_secs());
    let mut alerts = alerts();
    for alert in &mut alerts {
        move_by(alert, by);
        alert.incident.clone_from(&incident);
        // Nobody has a page of an incident that does not exist.
        alert.links.clear();
    }
    alerts
}

/// The file is part of the program; a test rules out that it cannot be read.
fn firing() -> Option<Alert> {
    serde_json::from_str(include_str!("sample/alert.json")).ok()
}

fn move_by(alert: &mut Alert, by: Span) {
    let near = alert.changes.iter_mut().map(|change| &mut change.at);
    let onsets = alert.signals.iter_mut().map(|signal| &mut signal.onset);
    let forecast = alert.forecast.iter_mut().flat_map(|forecast| {
        let (earliest, latest) = &mut forecast.range;
        [Some(&mut forecast.at), Some(earliest), latest.as_mut()].into_iter().flatten()
    });
    let own = [&mut alert.at, &mut alert.started_at].into_iter().chain(&mut alert.started_at_range);
    for at in own.chain(near).chain(onsets).chain(forecast) {
        *at = *at + by;
    }
}

/// What can be drawn of [`alerts`].
pub fn chart() -> Chart {
    chart_at(FIRES)
}

/// What can be drawn of [`alerts_at`].
pub fn chart_at(now: Timestamp) -> Chart {
    let from = now - SHOWN;
    let panel = |signal: &str, (unit, usual, risen): (&str, f64, f64), onset: Span| {
        let onset = now - onset;
        let mut panel = Panel {
            service: "checkout".to_owned(),
            signal: signal.to_owned(),
            unit: Some(unit.to_owned()),
            onset,
            ..Panel::default()
        };
        let mut at = from;
        while at < now {
            let expected = usual * (1.0 + 0.15 * wave(at, SHOWN));
            // Two waves that share no period look like noise, and are the same each time.
            let noise = 0.03 * (wave(at, Span::from_mins(37)) + wave(at, Span::from_mins(11)));
            let share = (at - onset).as_secs_f64() / (now - onset).as_secs_f64();
            let value = expected * (1.0 + noise) + (risen - usual) * share.max(0.0);
            panel.values.push(Some(narrow(value)));
            let [low, centre, high] = [0.88, 1.0, 1.14].map(|part| narrow(part * expected));
            panel.expected.push(Some(Band { low, centre, high }));
            at = at + STEP;
        }
        panel
    };
    let dependency = BTreeMap::from([("dependency".to_owned(), "payments".to_owned())]);
    let mut waits = panel("dependency-latency-p99", ("seconds", 0.204, 0.32), Span::from_mins(18));
    waits.labels.clone_from(&dependency);
    let mut latency = panel("http-latency-p99", ("seconds", 0.31, 0.42), Span::from_mins(12));
    latency.threshold = Some(0.8);
    latency.bound = Bound::Objective;
    let mut retries = panel("retry-share", ("ratio", 0.011, 0.034), Span::from_mins(9));
    retries.labels = dependency;
    Chart { from, step: STEP, panels: vec![waits, latency, retries] }
}

/// Between -1 and 1, once around in `period`.
fn wave(at: Timestamp, period: Span) -> f64 {
    let turn = at.as_millis().rem_euclid(period.as_millis()) as f64 / period.as_millis() as f64;
    (std::f64::consts::TAU * turn).sin()
}

#[expect(clippy::cast_possible_truncation, reason = "charts hold short floats")]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// A week in which there was something of everything.
pub fn digest() -> Digest {
    digest_at(FIRES.floor_to(Span::HOUR) + Span::from_hours(6))
}

/// The same week as if it ended at `to`.
pub fn digest_at(to: Timestamp) -> Digest {
    let ago = |hours| to - Span::from_hours(hours);
    let line = |service: &str, hours, text: &str| Line {
        service: service.to_owned(),
        at: ago(hours),
        text: format!("Test: {text}"),
    };
    let incident = told(to, ("checkout", "critical", "slow-dependency"), 6, Some(2));
    let notice = told(to, ("search", "notice", "resource-leak"), 50, None);
    let mut digest = Digest::new(Every::Week, to - Span::WEEK, to);
    digest.watched = Watched { services: 12, judged: 11, signals: 31, series: 1_840 };
    digest.users_first = Listed::from_iter([UsersFirst {
        incident: incident.incident.clone(),
        service: incident.service.clone(),
        title: incident.title.clone(),
        why: "users were affected already when it was first told".to_owned(),
    }]);
    digest.noisy = Listed::from_iter([Noisy {
        kind: "signal".to_owned(),
        name: "retry-share".to_owned(),
        incidents: 3,
        unwanted: 2,
        advice: "raise its `min_effect` or `min_traffic`: small moves of it matter to nobody"
            .to_owned(),
    }]);
    digest.kept_quiet = Listed::from_iter([KeptQuiet {
        incident: notice.incident.clone(),
        service: notice.service.clone(),
        title: notice.title.clone(),
        by: "quiet hours of oncall".to_owned(),
        receivers: vec!["oncall".to_owned()],
        waiting: 0,
        never_sent: 1,
    }]);
    digest.incidents = Listed::from_iter([incident]);
    digest.notices = Listed::from_iter([notice]);
    digest.crept = Listed::from_iter([line(
        "search",
        30,
        "memory crept by 14% in 4 weeks, from 2.1 GiB to 2.4 GiB",
    )]);
    digest.relevelled = Listed::from_iter([line(
        "orders",
        70,
        "http-latency-p99 is 2.1 spreads higher since a deploy: normal now",
    )]);
    digest.held_back =
        Listed::from_iter([line("orders", 90, "held as a notice: the alert budget was used up")]);
    digest.silent = Listed::from_iter([Silent {
        service: "payments".to_owned(),
        signal: "pool-wait-p99".to_owned(),
        since: ago(41),
        until: None,
        why: "no data".to_owned(),
    }]);
    let listed = digest.incidents.items.iter();
    digest.critical = listed.filter(|one| one.severity == Severity::Critical.name()).count();
    digest.changes = Changes { total: 9, without_incident: 8 };
    digest.budget =
        BudgetUse { alerts: 1, alerts_accepted: 2.6, notices: 4, notices_accepted: 11.0 };
    digest.delivery = Listed::from_iter([Undelivered {
        receiver: "chat".to_owned(),
        given_up: 1,
        retried: 0,
        error: "cannot post: no answer in time".to_owned(),
    }]);
    digest
}

fn told(
    to: Timestamp,
    (service, severity, cause): (&str, &str, &str),
    hours: i64,
    lasted: Option<i64>,
) -> Told {
    let started_at = to - Span::from_hours(hours);
    Told {
        incident: format!("test-{service}-{}", started_at.as_secs()),
        service: service.to_owned(),
        severity: severity.to_owned(),
        title: format!("Test: {} in {service}", cause.replace('-', " ")),
        cause: Some(cause.to_owned()),
        probability: Some(0.71),
        started_at,
        ended_at: lasted.map(|hours| started_at + Span::from_hours(hours)),
        verdict: lasted.map(|_| Verdict::Useful),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_whole_and_say_that_they_are_tests() {
        let alerts = alerts();
        let states: Vec<State> = alerts.iter().map(|alert| alert.state).collect();
        assert_eq!(states, [State::Firing, State::Updated, State::Resolved]);
        assert_eq!(alerts[0].at, FIRES);
        for alert in &alerts {
            assert!(alert.title.starts_with("Test: ") && alert.incident.starts_with("test-"));
        }
        let chart = chart();
        for panel in &chart.panels {
            assert_eq!((panel.values.len(), panel.expected.len()), (144, 144));
        }
        let digest = digest();
        let again: Digest = serde_json::from_str(&digest.to_json()).unwrap();
        assert_eq!(again, digest);
    }

    #[test]
    fn the_whole_sample_moves_to_the_present() {
        let now = FIRES + Span::from_hours(1_000);
        let (old, new) = (alerts(), alerts_at(now));
        assert_eq!(new[0].at, now);
        for (old, new) in old.iter().zip(&new) {
            assert_eq!(new.at - new.started_at, old.at - old.started_at);
            assert_eq!(new.at - new.signals[0].onset, old.at - old.signals[0].onset);
            assert_eq!(new.at - new.changes[0].at, old.at - old.changes[0].at);
            assert_eq!(new.incident, format!("test-{}", now.as_secs()));
            assert!(new.links.is_empty());
        }
        assert_eq!(chart_at(now).from, now - SHOWN);
    }
}
