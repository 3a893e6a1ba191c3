//! The digest: put together from what the store and the engine know, when its moment has come.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::DigestPlan;
use crate::engine::Engine;
use crate::engine::alert::{Alert, Severity, State};
use crate::engine::silent::SilentSignal;
use crate::notify::digest::{
    BudgetUse, Changes, Digest, Every, KeptQuiet, Line, Noisy, Silent, Told, Undelivered,
    UsersFirst, Watched,
};
use crate::series::{Change, Verdict};
use crate::store::{HeldRow, NOTE_BREAK, Note, NoteKind, Store, StoreError};
use crate::time::{Span, Timestamp};

/// So many false or expected incidents make a signal or a cause noisy,
const UNWANTED_MIN: usize = 2;
/// or so many incidents at all.
const INCIDENTS_MIN: usize = 4;

/// What a digest asks of the engine, so that it can be put together elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    watched: Watched,
    silent: Vec<SilentSignal>,
    changes: Vec<Change>,
    notices_a_week: f64,
    alerts_a_week: f64,
}

impl Standing {
    /// What the engine knows at present.
    pub fn of(engine: &Engine) -> Self {
        let (series, services, judged) = engine.census();
        let (notices_a_week, alerts_a_week) = engine.accepted();
        Self {
            watched: Watched { services, judged, signals: engine.signals_seen(), series },
            silent: engine.silent(),
            changes: engine.changes().to_vec(),
            notices_a_week,
            alerts_a_week,
        }
    }
}

/// The times whose digests are due with `tick`, when `before` was the tick before it and `newest`
/// is the newest that there is to process.
///
/// While days are caught up, only the newest of each kind is told.
pub(super) fn due(
    plan: &DigestPlan,
    (before, tick): (Timestamp, Timestamp),
    newest: Timestamp,
) -> Vec<(Every, Timestamp, Timestamp)> {
    let whole = [Every::Day, Every::Week].into_iter().filter_map(|every| {
        let (from, to) = time_before(plan, every, newest.max(tick))?;
        Some((every, from, to))
    });
    whole.filter(|(_, _, to)| before < *to && *to <= tick).collect()
}

/// The newest whole time of a kind that ends at or before an instant; none where such a digest is
/// never told.
pub fn time_before(
    plan: &DigestPlan,
    every: Every,
    at: Timestamp,
) -> Option<(Timestamp, Timestamp)> {
    let moment = match every {
        Every::Day => plan.daily.as_ref(),
        Every::Week => plan.weekly.as_ref(),
    }?;
    let to = moment.last(at, &plan.timezone)?;
    let from = moment.last(to - Span::from_millis(1), &plan.timezone)?;
    Some((from, to))
}

/// Puts a digest together.
///
/// # Errors
///
/// When the state file cannot be read.
pub fn gather(
    store: &Store,
    standing: &Standing,
    every: Every,
    (from, to): (Timestamp, Timestamp),
) -> Result<Digest, StoreError> {
    let seen = incidents(store, from, to)?;
    let notes = store.notes(from, to)?;
    let mut latest: Vec<&Seen> = seen.values().collect();
    latest.sort_by_key(|one| (std::cmp::Reverse(one.newest.started_at), &one.newest.incident));
    let is_mild = |one: &&&Seen| one.highest == Severity::Notice;
    let mut loud: Vec<&&Seen> = latest.iter().filter(|one| !is_mild(one)).collect();
    // Stable: the latest first among those of one severity.
    loud.sort_by_key(|one| std::cmp::Reverse(one.highest));
    let lines = |kind| notes.iter().filter(move |note| note.kind == kind).map(line).collect();
    let mut digest = Digest::new(every, from, to);
    digest.watched = standing.watched;
    digest.critical = loud.iter().filter(|one| one.highest == Severity::Critical).count();
    digest.incidents = loud.iter().map(|one| one.told()).collect();
    digest.notices = latest.iter().filter(is_mild).map(|one| one.told()).collect();
    digest.users_first = latest.iter().filter_map(|one| one.users_first()).collect();
    digest.crept = lines(NoteKind::Crept);
    digest.relevelled = lines(NoteKind::Relevelled);
    digest.held_back = notes.iter().filter_map(|note| held_back(note, &seen)).collect();
    digest.kept_quiet = kept_quiet(store.held_between(from, to)?, &seen).into_iter().collect();
    digest.noisy = noisy(&latest).into_iter().collect();
    digest.silent = silent(standing, &notes, to).into_iter().collect();
    digest.changes = changes(standing, &seen, (from, to));
    digest.budget = budget(standing, &latest, to - from);
    let troubles = store.troubles_between(from, to)?.into_iter().map(|row| Undelivered {
        receiver: row.receiver,
        given_up: row.given_up,
        retried: row.retried,
        error: row.error,
    });
    digest.delivery = troubles.collect();
    Ok(digest)
}

/// An incident of the time.
struct Seen {
    newest: Alert,
    /// Its highest severity in this time.
    highest: Severity,
    /// The severity of its first message, if that fell into this time.
    first: Option<Severity>,
    /// The newest that was said of it.
    verdict: Option<Verdict>,
    /// Every change that was near it.
    near: BTreeSet<(String, Timestamp)>,
}

/// The incidents that were told of between two instants or went on all the while, by id.
fn incidents(
    store: &Store,
    from: Timestamp,
    to: Timestamp,
) -> Result<BTreeMap<String, Seen>, StoreError> {
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    for alert in store.open_at(from)?.into_iter().chain(store.alerts_between(from, to)?) {
        let highest = alert.severity;
        let first = (alert.state == State::Firing && from <= alert.at).then_some(alert.severity);
        let near = alert.changes.iter().map(|change| (change.service.clone(), change.at));
        let near: BTreeSet<_> = near.collect();
        match seen.get_mut(&alert.incident) {
            None => {
                let one = Seen { newest: alert, highest, first, verdict: None, near };
                seen.insert(one.newest.incident.clone(), one);
            }
            Some(one) => {
                one.highest = one.highest.max(highest);
                one.first = one.first.or(first);
                one.near.extend(near);
                one.newest = alert;
            }
        }
    }
    for (id, one) in &mut seen {
        one.verdict = store.feedback_of(id)?.last().map(|opinion| opinion.verdict);
    }
    Ok(seen)
}

impl Seen {
    fn told(&self) -> Told {
        let alert = &self.newest;
        let leading = alert.causes.first();
        Told {
            incident: alert.incident.clone(),
            service: alert.service.clone(),
            severity: self.highest.name().to_owned(),
            title: alert.news().1.to_owned(),
            cause: leading.map(|cause| cause.id.clone()),
            probability: leading.map(|cause| cause.probability),
            started_at: alert.started_at,
            ended_at: (alert.state == State::Resolved).then_some(alert.at),
            verdict: self.verdict,
        }
    }

    /// Users were affected when it was first told: nobody was warned before them.
    fn users_first(&self) -> Option<UsersFirst> {
        (self.first == Some(Severity::Critical)).then(|| UsersFirst {
            incident: self.newest.incident.clone(),
            service: self.newest.service.clone(),
            title: self.newest.news().1.to_owned(),
            why: "users were affected already when it was first told".to_owned(),
        })
    }

    fn is_unwanted(&self) -> bool {
        matches!(self.verdict, Some(Verdict::False | Verdict::Expected))
    }

    /// Whether it counts against the budget, as far as anybody can tell.
    fn is_charged(&self) -> bool {
        self.first.is_some()
            && self.highest < Severity::Critical
            && self.verdict != Some(Verdict::Useful)
    }
}

fn line(note: &Note) -> Line {
    Line { service: note.service.clone(), at: note.at, text: note.text.clone() }
}

fn held_back(note: &Note, seen: &BTreeMap<String, Seen>) -> Option<Line> {
    let why = match note.kind {
        NoteKind::Budget => "stayed a notice because the alert budget was used up",
        NoteKind::Habit => "stayed a notice because its like was called false or expected before",
        _ => return None,
    };
    let about = seen.get(&note.subject).map(|one| &one.newest);
    let title =
        about.map_or_else(|| format!("incident {}", note.subject), |a| a.news().1.to_owned());
    let service = about.map_or_else(String::new, |alert| alert.service.clone());
    Some(Line { service, at: note.at, text: format!("{title}: {why}") })
}

/// One entry for each incident and reason, in the order in which they were held.
fn kept_quiet(rows: Vec<HeldRow>, seen: &BTreeMap<String, Seen>) -> Vec<KeptQuiet> {
    let mut kept: Vec<KeptQuiet> = Vec::new();
    for HeldRow { incident, receiver, by, waiting, never_sent } in rows {
        if let Some(one) = kept.iter_mut().find(|one| one.incident == incident && one.by == by) {
            one.receivers.push(receiver);
            one.waiting += waiting;
            one.never_sent += never_sent;
            continue;
        }
        let about = seen.get(&incident).map(|one| &one.newest);
        kept.push(KeptQuiet {
            service: about.map_or_else(String::new, |alert| alert.service.clone()),
            title: about.map_or_else(String::new, |alert| alert.news().1.to_owned()),
            receivers: vec![receiver],
            incident,
            by,
            waiting,
            never_sent,
        });
    }
    kept
}

/// Signals and causes that led to several incidents, those that were wanted least first.
fn noisy(seen: &[&Seen]) -> Vec<Noisy> {
    let mut counts: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    for one in seen {
        let signal = one.newest.signals.first().map(|signal| ("signal", signal.signal.as_str()));
        let cause = one.newest.causes.first().map(|cause| ("cause", cause.id.as_str()));
        for leading in signal.into_iter().chain(cause) {
            let (incidents, unwanted) = counts.entry(leading).or_default();
            *incidents += 1;
            *unwanted += usize::from(one.is_unwanted());
        }
    }
    let loud = counts.into_iter().filter(|(_, (incidents, unwanted))| {
        *unwanted >= UNWANTED_MIN || *incidents >= INCIDENTS_MIN
    });
    let mut noisy: Vec<Noisy> = loud
        .map(|((kind, name), (incidents, unwanted))| Noisy {
            kind: kind.to_owned(),
            name: name.to_owned(),
            incidents,
            unwanted,
            advice: advice(kind, unwanted).to_owned(),
        })
        .collect();
    noisy.sort_by_key(|one| std::cmp::Reverse((one.unwanted, one.incidents)));
    noisy
}

fn advice(kind: &str, unwanted: usize) -> &'static str {
    match kind {
        _ if unwanted < UNWANTED_MIN => {
            "say what its incidents were worth: `grayflag feedback INCIDENT useful|false|expected`"
        }
        "signal" => "raise its `min_effect` or `min_traffic`: small moves of it matter to nobody",
        _ => {
            "see whether its evidence fits: `grayflag feedback INCIDENT useful --cause ID` teaches it"
        }
    }
}

/// What had no data, or could not be judged; what goes on first.
fn silent(standing: &Standing, notes: &[Note], to: Timestamp) -> Vec<Silent> {
    let noted = notes.iter().filter_map(|note| {
        let (service, signal, why) = match note.kind {
            NoteKind::Unanswered => ("", note.subject.as_str(), note.text.as_str()),
            NoteKind::Blind => (note.service.as_str(), "", note.text.as_str()),
            NoteKind::Calendar | NoteKind::Beyond => ("", "", note.text.as_str()),
            _ => return None,
        };
        Some(Silent {
            service: service.to_owned(),
            signal: signal.to_owned(),
            since: note.at,
            until: (note.until + NOTE_BREAK < to).then_some(note.until),
            why: why.to_owned(),
        })
    });
    let mut silent: Vec<Silent> = noted.collect();
    // What answered again may be silent for another reason.
    let unanswered = silent.iter().filter(|one| one.until.is_none());
    let unanswered: BTreeSet<String> = unanswered.map(|one| one.signal.clone()).collect();
    let gone = standing.silent.iter().filter(|one| !unanswered.contains(&one.signal));
    silent.extend(gone.map(|SilentSignal { service, signal, since }| Silent {
        service: service.clone(),
        signal: signal.clone(),
        since: *since,
        until: None,
        why: "no data".to_owned(),
    }));
    silent.sort_by_key(|one| (one.until.is_some(), one.since));
    silent
}

fn changes(
    standing: &Standing,
    seen: &BTreeMap<String, Seen>,
    (from, to): (Timestamp, Timestamp),
) -> Changes {
    let all: Vec<&Change> =
        standing.changes.iter().filter(|change| from <= change.at && change.at < to).collect();
    let harmless = all.iter().filter(|change| {
        let key = (change.service.clone(), change.at);
        seen.values().all(|one| !one.near.contains(&key))
    });
    Changes { total: all.len(), without_incident: harmless.count() }
}

fn budget(standing: &Standing, seen: &[&Seen], length: Span) -> BudgetUse {
    let charged = || seen.iter().filter(|one| one.is_charged());
    let weeks = length.as_secs_f64() / Span::WEEK.as_secs_f64();
    BudgetUse {
        alerts: charged().filter(|one| one.highest == Severity::Warning).count(),
        alerts_accepted: standing.alerts_a_week * weeks,
        notices: charged().count(),
        notices_accepted: standing.notices_a_week * weeks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> DigestPlan {
        DigestPlan {
            daily: "08:00".parse().ok(),
            weekly: "Mon 08:00".parse().ok(),
            timezone: jiff::tz::TimeZone::get("Europe/Berlin").unwrap(),
            to: Vec::new(),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Kind, and hours of the time that is told.
    fn due_at(before: &str, tick: &str, newest: &str) -> Vec<(Every, f64)> {
        let due = due(&plan(), (at(before), at(tick)), at(newest));
        due.into_iter().map(|(every, from, to)| (every, (to - from).as_hours_f64())).collect()
    }

    #[test]
    fn a_digest_is_due_with_the_first_tick_at_or_after_its_moment() {
        // 3 March 2026 is a Tuesday; Berlin is an hour ahead.
        for (before, tick, want) in [
            ("2026-03-03T06:59:00Z", "2026-03-03T06:59:30Z", vec![]),
            ("2026-03-03T06:59:30Z", "2026-03-03T07:00:00Z", vec![(Every::Day, 24.0)]),
            ("2026-03-03T06:40:00Z", "2026-03-03T07:10:00Z", vec![(Every::Day, 24.0)]),
            ("2026-03-03T07:00:00Z", "2026-03-03T07:00:30Z", vec![]),
            (
                "2026-03-02T06:59:30Z",
                "2026-03-02T07:00:00Z",
                vec![(Every::Day, 24.0), (Every::Week, 168.0)],
            ),
        ] {
            assert_eq!(due_at(before, tick, tick), want, "{tick}");
        }
    }

    #[test]
    fn the_wall_decides_when_daylight_saving_begins_and_ends() {
        // Eight o'clock is an hour earlier in UTC from 29 March on.
        let spring = due_at("2026-03-29T05:59:30Z", "2026-03-29T06:00:00Z", "2026-03-29T06:00:00Z");
        assert_eq!(spring, [(Every::Day, 23.0)]);
        let autumn = due_at("2026-10-25T06:59:30Z", "2026-10-25T07:00:00Z", "2026-10-25T07:00:00Z");
        assert_eq!(autumn, [(Every::Day, 25.0)]);
        let week = due_at("2026-03-30T05:59:30Z", "2026-03-30T06:00:00Z", "2026-03-30T06:00:00Z");
        assert_eq!(week, [(Every::Day, 24.0), (Every::Week, 167.0)]);
    }

    #[test]
    fn of_several_days_that_are_caught_up_only_the_newest_is_told() {
        let newest = "2026-03-05T12:00:00Z";
        assert_eq!(due_at("2026-03-03T06:40:00Z", "2026-03-03T07:10:00Z", newest), []);
        let last = due_at("2026-03-05T06:40:00Z", "2026-03-05T07:10:00Z", newest);
        assert_eq!(last, [(Every::Day, 24.0)]);
        // The week's moment lies in the gap and has no successor.
        let week = due_at("2026-03-02T06:40:00Z", "2026-03-02T07:10:00Z", newest);
        assert_eq!(week, [(Every::Week, 168.0)]);
    }

    #[test]
    fn a_signal_that_answered_again_may_be_silent_still() {
        let [since, to] = ["2026-03-02T08:00:00Z", "2026-03-03T08:00:00Z"].map(at);
        let gone = SilentSignal { service: "web".to_owned(), signal: "p99".to_owned(), since };
        let standing = Standing { silent: vec![gone], ..Standing::default() };
        let (kind, subject) = (NoteKind::Unanswered, "p99".to_owned());
        let (service, text) = (String::new(), "refused".to_owned());
        let mut note = Note { at: since, until: since, kind, service, subject, text };
        let count = |note: &Note| silent(&standing, std::slice::from_ref(note), to).len();
        assert_eq!(count(&note), 2);
        note.until = to;
        assert_eq!(count(&note), 1, "why it is silent is told once");
    }

    #[test]
    fn never_is_never() {
        let plan = DigestPlan { daily: None, weekly: None, ..plan() };
        let ticks = (at("2026-03-02T06:00:00Z"), at("2026-03-02T08:00:00Z"));
        assert_eq!(due(&plan, ticks, ticks.1), []);
        assert_eq!(time_before(&plan, Every::Day, ticks.1), None);
    }
}
