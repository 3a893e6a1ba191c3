//! What the engine saw of a test, in words: how near a service came to being told, what held it
//! back, and the whole course of it. Times count from the end of the warm-up.

use super::run::Seen;
use crate::course::{Course, Kept, Look, Occasion};
use crate::engine::alert::{Alert, NamedCause, Severity};
use crate::engine::appraise::{Move, Reach};
use crate::engine::correlate::FINDING_MIN;
use crate::format;
use crate::notify::view::clean;
use crate::time::{Span, Timestamp};

/// Reasons for silence told, at most.
const SILENCES_TOLD: usize = 4;
/// Moves told of one look, at most.
const MOVES_TOLD: usize = 3;
/// Causes told of one look, at most.
const CAUSES_TOLD: usize = 3;
/// Pieces of missing evidence told of one look, at most.
const UNKNOWN_TOLD: usize = 2;

/// How high an incident of a service rose and what kept it from rising higher: a line each.
pub(super) fn how_severe(
    seen: &Seen,
    (service, incident): (&str, &str),
    wanted: Severity,
    from: Timestamp,
) -> Vec<String> {
    let course = seen.courses.get(service);
    let highest = course.and_then(|course| {
        let path = course.path.iter();
        path.reduce(|a, b| if b.reach.alert() > a.reach.alert() { b } else { a })
    });
    let mut lines = Vec::new();
    lines.extend(highest.map(|point| {
        let (alert, at) = (point.reach.alert(), offset(point.at, from));
        format!("strongest: {alert:.2} of what an alert takes, at {at}")
    }));
    if wanted == Severity::Critical && course.is_none_or(|course| course.users.is_none()) {
        let why =
            "no latency, errors or queue age was beyond its objective for a quarter of an hour";
        lines.push(why.to_owned());
    }
    lines.extend(gates(seen, &[incident], from));
    lines
}

/// How near a service came to being told until an instant, and what held it back: a line each.
pub(super) fn how_near(
    seen: &Seen,
    service: &str,
    from: Timestamp,
    until: Option<Timestamp>,
) -> Vec<String> {
    let in_time = |at: Timestamp| until.is_none_or(|until| at <= until);
    let course = seen.courses.get(service);
    let Some(course) = course.filter(|course| !course.path.is_empty()) else {
        let last = course.and_then(|course| course.looks.last());
        let mute = last.and_then(|look| look.appraisal.mute.first());
        let why = mute.map_or_else(String::new, |mute| format!(": {}: {}", mute.signal, mute.why));
        return vec![format!("it could not be judged at any time{why}")];
    };
    let within = course.path.iter().filter(|point| in_time(point.at));
    let nearest = within
        .reduce(|best, next| if next.reach.notice() > best.reach.notice() { next } else { best });
    let counted = nearest.map(|point| {
        let (notice, alert) = (point.reach.notice(), point.reach.alert());
        let at = offset(point.at, from);
        format!("{notice:.2} of what a notice takes, {alert:.2} of an alert, at {at}")
    });
    let looks = course.peak.iter().chain(&course.looks).filter(|look| in_time(look.at));
    let strongest =
        looks.reduce(|best, next| if potential(next) > potential(best) { next } else { best });
    match (strongest, counted) {
        (Some(look), Some(counted)) => match what_held(look, from) {
            Held::Yes(held) => vec![held, format!("without what was held: {counted}")],
            Held::No(why) => vec![format!("strongest: {counted}"), why],
        },
        (_, counted) => {
            counted.map(|counted| format!("strongest: {counted}")).into_iter().collect()
        }
    }
}

fn potential(look: &Look) -> f64 {
    look.appraisal.reach.map_or(0.0, |reach| reach.potential())
}

/// Whether something kept a service from being told, in words.
enum Held {
    Yes(String),
    No(String),
}

/// What kept a service from being told at an instant, or that nothing did.
fn what_held(look: &Look, from: Timestamp) -> Held {
    let (at, appraisal) = (offset(look.at, from), &look.appraisal);
    if let Some((held, too_small)) = appraisal.held() {
        let alone = held.notice.unwrap_or_default();
        let name = name(held);
        return Held::Yes(format!(
            "strongest at {at}: {alone:.2} of what a notice takes, held by min_effect: {name} \
             {too_small}"
        ));
    }
    Held::No(match (&appraisal.incident, appraisal.moves.first(), appraisal.mute.first()) {
        (Some(incident), ..) => format!("at {at} it was part of incident {incident}"),
        (_, Some(first), _) => format!("nothing held it at {at}: {}", moves(first, from)),
        (_, _, Some(mute)) => format!("nothing moved; {}: {}", mute.signal, mute.why),
        _ => "nothing moved".to_owned(),
    })
}

/// Why things were not told: about these, as the engine names them.
pub(super) fn gates(seen: &Seen, about: &[&str], from: Timestamp) -> Vec<String> {
    seen.silences
        .about(about)
        .take(SILENCES_TOLD)
        .map(|Kept { what, why, first, last }| {
            let [since, until] = [first, last].map(|at| offset(*at, from));
            if first == last {
                format!("{what}: {why} (at {until})")
            } else {
                format!("{what}: {why} ({since} to {until})")
            }
        })
        .collect()
}

/// What the engine saw of each service, in order of time, a line each; indented lines belong to
/// the one before them.
pub fn timeline(seen: &Seen, from: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    for (service, course) in &seen.courses {
        lines.push(clean(service));
        for look in course.timeline() {
            lines.push(format!("  {}", looked(look, from)));
            lines.extend(
                details(look, from).into_iter().map(|line| format!("      {}", clean(&line))),
            );
        }
        lines.extend(left_out(course));
        let about = [service.as_str()];
        lines.extend(
            gates(seen, &about, from).into_iter().map(|line| format!("  held    {}", clean(&line))),
        );
    }
    let told: Vec<&str> = {
        let mut ids: Vec<&str> = seen.alerts.iter().map(|a| a.incident.as_str()).collect();
        ids.dedup();
        ids
    };
    let others = gates(seen, &[told, vec!["engine", "fleet"]].concat(), from);
    lines.extend(others.into_iter().map(|line| format!("held    {}", clean(&line))));
    lines
}

fn left_out(course: &Course) -> Option<String> {
    (course.more > 0).then(|| format!("  and {} more instants", course.more))
}

/// One look in a line: when, why, and how far.
fn looked(look: &Look, from: Timestamp) -> String {
    let occasion = match look.occasion {
        Occasion::Begins => "begins".to_owned(),
        Occasion::Stirs => "stirs".to_owned(),
        Occasion::Notice if look.appraisal.held().is_some() => "held".to_owned(),
        Occasion::Notice => "beyond a notice".to_owned(),
        Occasion::Alert => "beyond an alert".to_owned(),
        Occasion::Told(state, severity) => format!("{state} {severity}"),
        Occasion::Strongest => "strongest".to_owned(),
        Occasion::Ends => "ends".to_owned(),
    };
    let at = offset(look.at, from);
    let far = look.appraisal.reach.as_ref().map_or_else(
        || "too young to be judged".to_owned(),
        |Reach { a, g, .. }| {
            format!(
                "A {:.2} G {:.2} of a notice, A {:.2} G {:.2} of an alert",
                a.notice.max(0.0),
                g.notice,
                a.alert.max(0.0),
                g.alert
            )
        },
    );
    format!("{at:<8}{occasion:<17} {far}")
}

fn details(look: &Look, from: Timestamp) -> Vec<String> {
    let Look { appraisal, causes, .. } = look;
    let clear = appraisal.moves.iter().take_while(|one| FINDING_MIN <= one.score).count();
    let told = appraisal.moves.iter().take(clear.clamp(1, MOVES_TOLD));
    let mut lines: Vec<String> = told.map(|one| moves(one, from)).collect();
    lines.extend(appraisal.mute.iter().map(|mute| format!("{}: {}", mute.signal, mute.why)));
    if let Some(leading) = causes.first() {
        lines.push(format!("causes: {}", shares_of(causes.iter().take(CAUSES_TOLD))));
        let unknown = leading.unknown.iter().take(UNKNOWN_TOLD);
        lines.extend(unknown.map(|text| format!("{} not known: {text}", leading.id)));
    }
    lines
}

/// What a series does, and whether it counts.
fn moves(one: &Move, from: Timestamp) -> String {
    let signal = &one.signal;
    let unit = signal.unit.as_deref();
    let [now, expected] = [signal.now, signal.expected].map(|x| format::optional(x, unit));
    let [earliest, latest] = one.onset_range.map(|at| offset(at, from));
    let since = offset(signal.onset, from);
    let range =
        if earliest == latest { String::new() } else { format!(" ({earliest} to {latest})") };
    let held = one
        .held
        .as_ref()
        .map_or_else(String::new, |too_small| format!("; held by min_effect: {too_small}"));
    format!(
        "{} {} since {since}{range}: {now}, usually {expected}, score {:.1}{held}",
        name(one),
        signal.direction,
        one.score
    )
}

/// The signal with the labels that tell it from its siblings.
fn name(one: &Move) -> String {
    let labels: Vec<&str> = one.signal.labels.values().map(String::as_str).collect();
    match labels.as_slice() {
        [] => one.signal.signal.clone(),
        labels => format!("{} ({})", one.signal.signal, labels.join(", ")),
    }
}

/// The causes of an alert with their probabilities: `overload 0.62, slow-dependency 0.21`.
pub(super) fn shares(alert: &Alert) -> String {
    shares_of(alert.causes.iter())
}

fn shares_of<'a>(causes: impl Iterator<Item = &'a NamedCause>) -> String {
    let shares: Vec<String> =
        causes.map(|cause| format!("{} {:.2}", cause.id, cause.probability)).collect();
    if shares.is_empty() { "no cause".to_owned() } else { shares.join(", ") }
}

/// Since the end of the warm-up.
pub(super) fn offset(at: Timestamp, from: Timestamp) -> String {
    signed(at - from)
}

pub(super) fn signed(span: Span) -> String {
    if span < Span::ZERO { span.to_string() } else { format!("+{span}") }
}
