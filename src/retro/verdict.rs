//! What the review comes to: one line that anybody understands, and one sentence that answers what
//! the system knew before users did.

use super::timeline::{first_stir, is_clear, named};
use super::{Case, Noticed, Watched, Witness};
use crate::course::Course;
use crate::engine::alert::{Alert, Severity, State};
use crate::format;
use crate::time::{Span, Timestamp};

/// When users noticed: as somebody said, else when signals were beyond the objective.
pub(super) fn noticed(case: &Case<'_>, watched: &Watched) -> Option<Noticed> {
    let objective = || {
        let courses = case.subject.services.iter().filter_map(|name| watched.courses.all.get(name));
        // What was so for long before is another story.
        let began = case.subject.shown.started_at - Span::HOUR;
        let at = courses.filter_map(|course| course.users).filter(|at| began <= *at).min()?;
        Some(Noticed { at, by: Witness::Objective })
    };
    case.noticed.or_else(objective)
}

/// Everything that was told about it, in order: what the state file remembers, or the replay's
/// alerts where it remembers none.
pub(super) fn spoken<'c>(case: &'c Case<'_>, watched: &'c Watched) -> Vec<&'c Alert> {
    let recorded: &[Alert] = case.record.as_ref().map_or(&[], |record| &record.alerts);
    let replayed = watched.alerts.iter().filter(|alert| case.subject.has(alert));
    if recorded.is_empty() { replayed.collect() } else { recorded.iter().collect() }
}

/// What happened, in one line.
pub(super) fn headline(case: &Case<'_>) -> String {
    let shown = &case.subject.shown;
    let service = &case.subject.service;
    if case.subject.incidents.is_empty() {
        let mut told = case.record.iter().flat_map(|record| &record.alerts);
        let spoken = told.rfind(|alert| alert.state != State::Resolved);
        let title = spoken.map_or("nothing was told", |alert| alert.news().1);
        return format!("{service}: {title}");
    }
    let leading = shown.causes.first().filter(|_| is_clear(shown));
    let Some(leading) = leading else {
        return format!("{service}: {}", shown.news().1);
    };
    let cause = case.rules.cause(&leading.id);
    let title = cause.map_or(leading.id.as_str(), |cause| cause.title.as_str());
    let culprit = &leading.culprit.service;
    if culprit == service || culprit.is_empty() {
        format!("{service}: {title}")
    } else {
        format!("{service}: {title}: {culprit}")
    }
}

/// What the system knew before users did, in one sentence.
pub(super) fn answer(case: &Case<'_>, watched: &Watched, noticed: Option<Noticed>) -> String {
    let clock = |at| format::clock(at, case.at, case.zone);
    let told = spoken(case, watched);
    let recorded = case.record.as_ref().is_some_and(|record| !record.alerts.is_empty());
    let who = if recorded { "grayflag" } else { "the replay" };
    let Some(first) = told.first() else { return unsaid(case, watched) };
    let told = || told.iter().copied();
    let weak = first_stir(case, watched).map(|(at, _)| at).filter(|at| *at < first.at);
    let clear = told().find(|alert| is_clear(alert));
    let interrupted = told().find(|alert| Severity::Warning <= alert.severity);
    let since = |at: Timestamp| match noticed {
        Some(noticed) => short_lead(at, noticed.at),
        None => format!("{} after it began", (at - first.started_at).max(Span::ZERO).rough()),
    };
    let mut parts = Vec::new();
    parts.extend(
        weak.map(|at| format!("showed a first weak sign at {} ({})", clock(at), since(at))),
    );
    parts.push(format!("told a {} at {} ({})", first.severity, clock(first.at), since(first.at)));
    let later = interrupted.filter(|alert| alert.at != first.at || first.severity < alert.severity);
    parts.extend(
        later.map(|a| format!("gave a {} at {} ({})", a.severity, clock(a.at), since(a.at))),
    );
    parts.push(match clear {
        Some(alert) => format!("named {} at {}", named(alert), clock(alert.at)),
        None => "named no clear cause".to_owned(),
    });
    let did = joined(&parts);
    match noticed {
        None => format!("When users noticed is not known: {who} {did}."),
        Some(noticed) if first.at < noticed.at => {
            format!("Yes, it knew before users, who noticed at {}: {who} {did}.", clock(noticed.at))
        }
        Some(noticed) => {
            format!("No, users knew first, at {}: {who} {did}.", clock(noticed.at))
        }
    }
}

/// Nothing was told: the strongest evidence that there was, and what held it.
fn unsaid(case: &Case<'_>, watched: &Watched) -> String {
    let course = watched.courses.all.get(&case.subject.service);
    let why = course.map_or_else(
        || "it was not watched at all".to_owned(),
        |course| strongest(course, &|at| format::clock(at, case.at, case.zone)),
    );
    format!("Nothing was told of {}: {why}.", case.subject.service)
}

/// How near a service came to being told and what held it, in words.
fn strongest(course: &Course, clock: &dyn Fn(Timestamp) -> String) -> String {
    let Some(peak) = course.peak.as_ref().filter(|_| !course.path.is_empty()) else {
        return "it was too young to be judged".to_owned();
    };
    let reach = peak.appraisal.reach.unwrap_or_default();
    let at = clock(peak.at);
    if let Some((held, too_small)) = peak.appraisal.held() {
        return format!(
            "the strongest evidence was {} at {at}, {:.2} of what a notice takes, held by \
             min_effect: it {too_small}",
            held.signal.signal,
            held.notice.unwrap_or_default(),
        );
    }
    let what = peak.appraisal.moves.first().map(|one| one.signal.signal.as_str());
    match (what, peak.appraisal.mute.first()) {
        (Some(signal), _) => format!(
            "the strongest evidence was {signal} at {at}, {:.2} of what a notice takes; nothing \
             held it, it was too weak",
            reach.notice()
        ),
        (None, Some(mute)) => format!("nothing moved; {}: {}", mute.signal, mute.why),
        (None, None) => "nothing moved".to_owned(),
    }
}

/// `5h5m before`, where it is clear that users are meant.
pub(super) fn short_lead(at: Timestamp, noticed: Timestamp) -> String {
    match noticed - at {
        Span::ZERO => "at the same time".to_owned(),
        lead if lead < Span::ZERO => format!("{} after", (at - noticed).rough()),
        lead => format!("{} before", lead.rough()),
    }
}

fn joined(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}
