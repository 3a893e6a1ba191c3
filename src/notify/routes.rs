//! Which alerts go where, and which wait: decided once, when the alert is decided, and kept in the
//! outbox.

use std::collections::{BTreeMap, BTreeSet};

use super::receiver::ReceiverConfig;
use crate::engine::alert::{Alert, Severity, State};
use crate::engine::maintenance::work_on;
use crate::hours::Schedule;
use crate::matcher::{Matcher, Subject};
use crate::rules::{Maintenance, Service};
use crate::series::Change;
use crate::store::{Dispatch, Hold, Silence};
use crate::time::{Span, Timestamp};

/// An incident is over after an hour without a trace. What planned work did, and what ended with
/// it, is therefore told only so long after it, or it would be told at the end of every window.
/// What users feel does not wait for that.
pub const SETTLES: Span = Span::from_mins(75);

/// Alerts that match go to these receivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// What the alert must be like.
    pub matcher: Matcher,
    /// When it must have been decided.
    pub hours: Option<Schedule>,
    /// Whether it is for what interrupts a person and matched no other route.
    pub default: bool,
    /// Whether the routes after it are not for what matches.
    pub stop: bool,
    /// Names of receivers.
    pub to: Vec<String>,
}

/// When a receiver is not to be disturbed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// The hours.
    pub schedule: Schedule,
    /// What disturbs all the same.
    pub except: Vec<Severity>,
}

/// What decides who is told and when, besides the alert.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// In the order of the file.
    pub routes: &'a [Route],
    /// Where alerts can go.
    pub receivers: &'a [ReceiverConfig],
    /// Quiet hours, by name of receiver.
    pub quiet: &'a BTreeMap<String, Quiet>,
    /// What is known of services, by name: their owners.
    pub services: &'a BTreeMap<String, Service>,
    /// Recurring windows of planned work.
    pub maintenance: &'a [Maintenance],
    /// Changes; announced maintenance is among them.
    pub changes: &'a [Change],
    /// Silences that may hold now.
    pub silences: &'a [Silence],
    /// When it is decided: silences and quiet hours are about when messages would arrive.
    pub now: Timestamp,
}

/// Who was told of each incident, by name of target.
pub type Told = BTreeMap<String, BTreeSet<String>>;

/// What a route says to an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes where the route leads.
    Matches,
    /// It does not, for these reasons.
    Misses(Vec<String>),
}

/// What every route says to an alert, in their order.
pub fn verdicts(alert: &Alert, policy: &Policy<'_>) -> Vec<Verdict> {
    let subject = Subject::new(alert, policy.services);
    let (mut any, mut stopped) = (false, false);
    let mut verdicts: Vec<Verdict> = policy
        .routes
        .iter()
        .map(|route| {
            let misses = match (route.default, stopped) {
                (true, _) => Vec::new(),
                (_, true) => vec!["a route before it has `stop`".to_owned()],
                _ => misses(alert, route, &subject),
            };
            let matches = !route.default && misses.is_empty();
            any |= matches;
            stopped |= matches && route.stop;
            if misses.is_empty() { Verdict::Matches } else { Verdict::Misses(misses) }
        })
        .collect();
    // Only now it is known what is left for them.
    let notice = alert.severity == Severity::Notice;
    let reason = match (any, notice) {
        (true, _) => "another route matches",
        (_, true) => "a notice is told in the digest, unless a route names it",
        _ => return verdicts,
    };
    for (verdict, _) in verdicts.iter_mut().zip(policy.routes).filter(|(_, route)| route.default) {
        *verdict = Verdict::Misses(vec![reason.to_owned()]);
    }
    verdicts
}

fn misses(alert: &Alert, route: &Route, subject: &Subject<'_>) -> Vec<String> {
    let mut misses = route.matcher.misses(subject);
    if let Some(hours) = route.hours.as_ref().filter(|hours| hours.until(alert.at).is_none()) {
        misses.push(format!("{} is not in {hours}", alert.at));
    }
    misses
}

/// The receivers of an alert by its routes alone, each once, in the order of the routes.
pub fn route(alert: &Alert, policy: &Policy<'_>) -> Vec<String> {
    let mut receivers: Vec<String> = Vec::new();
    let matching = policy.routes.iter().zip(verdicts(alert, policy));
    for (route, _) in matching.filter(|(_, verdict)| *verdict == Verdict::Matches) {
        for receiver in &route.to {
            if !receivers.contains(receiver) {
                receivers.push(receiver.clone());
            }
        }
    }
    receivers
}

/// The deliveries of a tick's alerts.
///
/// - `firing` goes where its routes say.
/// - `updated` goes there too, and to everybody told before: whoever knows of an incident must
///   not keep a wrong picture of it, and whoever its new severity concerns must hear of it.
/// - `resolved` goes to those told before and to nobody else, and never waits.
///
/// What a silence, maintenance or quiet hours hold waits for the last of them. `told` holds what
/// the store knows of the incidents in `alerts` and is brought up to date, so that an incident
/// which begins and ends within one batch is told whole.
pub fn plan(alerts: &[Alert], policy: &Policy<'_>, told: &mut Told) -> Vec<Dispatch> {
    let mut deliveries = Vec::new();
    for (index, alert) in alerts.iter().enumerate() {
        let told = told.entry(alert.incident.clone()).or_default();
        let matching = route(alert, policy);
        let held = holds(alert, policy);
        for receiver in policy.receivers {
            let routed = matching.contains(&receiver.name);
            let quiet = quiet(alert, &receiver.name, policy);
            let hold = Hold::all(held.iter().cloned().chain(quiet));
            for target in receiver.targets() {
                let goes = match alert.state {
                    State::Firing => routed,
                    State::Updated => routed || told.contains(&target),
                    State::Resolved => told.contains(&target),
                };
                if goes {
                    told.insert(target.clone());
                    let hold = hold.clone();
                    deliveries.push(Dispatch { receiver: target, alert: index, hold });
                }
            }
        }
    }
    deliveries
}

/// What keeps an alert from everybody.
fn holds(alert: &Alert, policy: &Policy<'_>) -> Vec<Hold> {
    if alert.state == State::Resolved {
        return Vec::new();
    }
    let subject = Subject::new(alert, policy.services);
    let silences = policy
        .silences
        .iter()
        .filter(|silence| silence.holds_at(policy.now) && silence.matcher.matches(&subject));
    let silences = silences.map(|silence| Hold::new(silence.ends_at, silence.name()));
    let work = maintenance(alert, policy).filter(|hold| policy.now < hold.until);
    work.into_iter().chain(silences).collect()
}

/// Planned work on every service of an incident, now or when it began. What the work breaks
/// elsewhere is news.
fn maintenance(alert: &Alert, policy: &Policy<'_>) -> Option<Hold> {
    // What began with the work may be told of, too, while it is not known to be over with it.
    let instants = [alert.at, alert.started_at, alert.started_at_range[1]];
    Hold::all(instants.into_iter().filter_map(|at| work(alert, at, policy)))
}

/// The work at an instant, until the first of the services is done and has settled.
fn work(alert: &Alert, at: Timestamp, policy: &Policy<'_>) -> Option<Hold> {
    let work = |service: &str| work_on(service, at, policy.maintenance, policy.changes);
    let leading = work(&alert.service)?;
    let others: Option<Vec<Timestamp>> =
        alert.services.iter().map(|service| work(service).map(|work| work.until)).collect();
    let until = others?.into_iter().fold(leading.until, Timestamp::min);
    let settles = if alert.severity == Severity::Critical { Span::ZERO } else { SETTLES };
    Some(Hold::new(until + settles, leading.name))
}

fn quiet(alert: &Alert, receiver: &str, policy: &Policy<'_>) -> Option<Hold> {
    let quiet = policy.quiet.get(receiver)?;
    let disturbs = alert.state == State::Resolved || quiet.except.contains(&alert.severity);
    let until = quiet.schedule.until(policy.now).filter(|_| !disturbs)?;
    Some(Hold::new(until, format!("quiet hours of {receiver}")))
}
