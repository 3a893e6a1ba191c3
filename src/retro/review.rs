//! The review as a document: every text cleaned, every number and time formatted, every list cut.

use std::collections::BTreeSet;

use serde::Serialize;

use super::gaps::gaps;
use super::timeline::{Kind, first_stir, is_clear, is_same, labels, named, sights, timeline};
use super::verdict::{answer, headline, noticed, short_lead, spoken};
use super::{Case, Noticed, Watched, Witness};
use crate::course::Sight;
use crate::engine::alert::{Alert, State};
use crate::format;
use crate::notify::chart::{Look, sparkline, svg};
use crate::notify::view::{Cause, View, clean};
use crate::time::{Span, Timestamp};

/// Signals in the table.
const SIGNALS_MAX: usize = 16;
/// Events of the timeline.
const EVENTS_MAX: usize = 60;
/// Entries of any other list.
const LIST_MAX: usize = 20;

/// A post-incident review.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Review {
    /// What happened, in one line.
    pub headline: String,
    /// What the system knew before users did, in one sentence.
    pub answer: String,
    /// What a reader wants to know first.
    pub facts: Vec<Fact>,
    /// What was known when.
    pub events: Vec<Event>,
    /// Events left out.
    pub events_more: usize,
    /// The signals in the order in which they began to move.
    pub signals: Vec<SignalRow>,
    /// The signals drawn, as SVG; empty where nothing can be drawn.
    pub chart: String,
    /// Causes considered, most probable first.
    pub causes: Vec<Cause>,
    /// Label values that explain it.
    pub breakdown: Vec<String>,
    /// What was looked at and found normal.
    pub checked: Vec<String>,
    /// What was decided and not told, or not as loudly.
    pub held: Vec<String>,
    /// What was not seen.
    pub gaps: Vec<String>,
    /// What to do, by heading.
    pub follow_ups: Vec<Group>,
    /// Commands that show it again.
    pub commands: Vec<String>,
    /// How all this is known.
    pub sources: Vec<String>,
}

/// A name and what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What it says.
    pub name: &'static str,
    /// The answer.
    pub value: String,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// When, on the reader's clock.
    pub at: String,
    /// When, for programs.
    pub instant: String,
    /// How long before users noticed; empty where that is not known.
    pub lead: String,
    /// What kind of thing: a severity, `weak sign`, `signal`, `change`, `delivery`, `people`, `users`.
    pub kind: &'static str,
    /// What happened.
    pub words: String,
    /// How it is known: `replay`, `state file`, `both` or `told`.
    pub origin: &'static str,
}

/// A signal that moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignalRow {
    /// Service, name and labels.
    pub name: String,
    /// When it began to move.
    pub onset: String,
    /// Where that can lie.
    pub range: String,
    /// When it was first seen to move.
    pub seen: String,
    /// What was expected.
    pub usual: String,
    /// What it was when it was last told of.
    pub now: String,
    /// `up` or `down`.
    pub direction: String,
    /// What it did, in one line of blocks; empty where that is not known.
    pub trend: String,
}

/// Steps under a heading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The heading.
    pub name: &'static str,
    /// The steps.
    pub items: Vec<String>,
}

/// Puts everything that is known about an incident into one document. The same input always gives
/// the same document.
pub fn review(case: &Case<'_>, watched: &Watched) -> Review {
    let noticed = noticed(case, watched);
    let shown = &case.subject.shown;
    let view = View::in_zone(shown, shown.at, case.zone);
    let events = timeline(case, watched, noticed);
    let gaps = gaps(case, watched);
    Review {
        headline: clean(&headline(case)),
        answer: clean(&answer(case, watched, noticed)),
        facts: facts(case, watched, noticed),
        events_more: events.len().saturating_sub(EVENTS_MAX),
        events: events
            .into_iter()
            .take(EVENTS_MAX)
            .map(|happened| Event {
                at: format::clock(happened.at, case.at, case.zone),
                instant: happened.at.to_string(),
                lead: noticed
                    .filter(|_| happened.kind != Kind::Users)
                    .map_or_else(String::new, |noticed| short_lead(happened.at, noticed.at)),
                kind: happened.kind.name(),
                words: clean(&happened.words),
                origin: happened.origin.name(),
            })
            .collect(),
        signals: signals(case, watched),
        chart: svg(&case.chart, shown, case.zone, Look::System),
        causes: view.causes,
        breakdown: view.breakdown,
        checked: view.checked,
        held: held(case, watched),
        gaps: gaps.iter().take(LIST_MAX).map(|gap| clean(&gap.what)).collect(),
        follow_ups: follow_ups(shown, gaps.iter().map(|gap| clean(&gap.action)).collect()),
        commands: commands(case, watched),
        sources: sources(case, watched, noticed),
    }
}

fn facts(case: &Case<'_>, watched: &Watched, noticed: Option<Noticed>) -> Vec<Fact> {
    let clock = |at| format::clock(at, case.at, case.zone);
    let with_lead = |at: Timestamp| match noticed {
        Some(noticed) => format!("{}, {} users noticed", clock(at), short_lead(at, noticed.at)),
        None => clock(at),
    };
    let shown = &case.subject.shown;
    let told = spoken(case, watched);
    let told = || told.iter().copied();
    let others: Vec<&str> = case.subject.services.iter().map(String::as_str).collect();
    let mut facts = vec![Fact { name: "Services", value: others.join(", ") }];
    if !shown.signals.is_empty() {
        let [earliest, latest] = shown.started_at_range.map(clock);
        let value = if earliest == latest {
            with_lead(shown.started_at)
        } else {
            format!(
                "{}, at the earliest {earliest}, at the latest {latest}",
                with_lead(shown.started_at)
            )
        };
        facts.push(Fact { name: "Began", value });
    }
    let mut add = |name, value: Option<String>| {
        facts.extend(value.map(|value| Fact { name, value }));
    };
    add(
        "First weak sign",
        first_stir(case, watched).map(|(at, name)| format!("{}, {name}", with_lead(at))),
    );
    add("First word", told().next().map(|a| format!("{}, a {}", with_lead(a.at), a.severity)));
    add(
        "Cause named",
        told().find(|alert| is_clear(alert)).map(|a| format!("{}, {}", with_lead(a.at), named(a))),
    );
    add("Severity", told().map(|alert| alert.severity).max().map(|severity| severity.to_string()));
    add(
        "Users noticed",
        Some(noticed.map_or_else(
            || "not known".to_owned(),
            |n| format!("{}, {}", clock(n.at), witness(n.by)),
        )),
    );
    let over = told().rfind(|alert| alert.state == State::Resolved);
    add(
        "Over",
        over.map(|alert| {
            format!("{}, after {}", clock(alert.at), (alert.at - alert.started_at).rough())
        }),
    );
    add(
        "Incident",
        (!case.subject.incidents.is_empty()).then(|| case.subject.incidents.join(", ")),
    );
    for fact in &mut facts {
        fact.value = clean(&fact.value);
    }
    facts
}

const fn witness(by: Witness) -> &'static str {
    match by {
        Witness::Asked => "as given with --noticed",
        Witness::File => "as the file of incidents says",
        Witness::Objective => "when signals had been beyond the objective for 15m",
    }
}

fn signals(case: &Case<'_>, watched: &Watched) -> Vec<SignalRow> {
    let mut sights: Vec<&Sight> = sights(case, watched);
    let last = |sight: &Sight| {
        let mut told = case.subject.shown.signals.iter();
        told.find(|signal| is_same(signal, &sight.signal)).unwrap_or(&sight.signal).clone()
    };
    sights.sort_by_key(|sight| (sight.onset, sight.at));
    let clock = |at| format::clock(at, case.at, case.zone);
    let row = |sight: &&Sight| {
        let signal = last(sight);
        let unit = signal.unit.as_deref();
        let drawn = case.chart.panel_of(&signal);
        let [earliest, latest] = sight.onset_range.map(clock);
        SignalRow {
            name: clean(&format!("{} {}{}", signal.service, signal.signal, labels(&signal.labels))),
            onset: clock(sight.onset),
            range: format!("{earliest} to {latest}"),
            seen: clock(sight.at),
            usual: clean(&format::optional(signal.expected, unit)),
            now: clean(&format::optional(signal.now, unit)),
            direction: clean(&signal.direction),
            trend: drawn.map_or_else(String::new, |panel| sparkline(&panel.values)),
        }
    };
    sights.iter().take(SIGNALS_MAX).map(row).collect()
}

/// What was decided and not told, or not as loudly, by the engine and on the way to people.
fn held(case: &Case<'_>, watched: &Watched) -> Vec<String> {
    let clock = |at| format::clock(at, case.at, case.zone);
    let mut about: Vec<&str> = case.subject.services.iter().map(String::as_str).collect();
    about.extend(case.subject.incidents.iter().map(String::as_str));
    about.extend(["engine", "fleet"]);
    let mut lines: Vec<String> = watched
        .silences
        .about(&about)
        .map(|kept| {
            let (first, last) = (clock(kept.first), clock(kept.last));
            let when = if first == last { first } else { format!("{first} to {last}") };
            format!("{}: {} ({when})", kept.what, kept.why)
        })
        .collect();
    let messages = case.record.iter().flat_map(|record| &record.messages);
    let by: BTreeSet<String> = messages
        .filter_map(|m| {
            Some(format!("messages to {} were held by {}", m.receiver, m.held_by.as_ref()?))
        })
        .collect();
    lines.extend(by);
    lines.iter().take(LIST_MAX).map(|line| clean(line)).collect()
}

fn follow_ups(shown: &Alert, see_earlier: Vec<String>) -> Vec<Group> {
    let texts = |list: &[String]| list.iter().take(LIST_MAX).map(|text| clean(text)).collect();
    let groups = [
        Group { name: "Fix, so that it does not come back", items: texts(&shown.steps.fix) },
        Group { name: "Verify", items: texts(&shown.steps.verify) },
        Group { name: "See it earlier", items: see_earlier },
        Group { name: "Next time, avoid", items: texts(&shown.steps.avoid) },
    ];
    groups.into_iter().filter(|group| !group.items.is_empty()).collect()
}

fn commands(case: &Case<'_>, watched: &Watched) -> Vec<String> {
    let [from, to] = watched.window;
    let service = quoted(&clean(&case.subject.service));
    let (before, after) = ((case.at - from).max(Span::ZERO), (to - case.at).max(Span::ZERO));
    vec![
        format!(
            "grayflag retro --at {} --service {service} --before {before} --after {after}",
            case.at
        ),
        format!("grayflag replay --from {from} --to {to}"),
        format!("grayflag coverage --service {service}"),
    ]
}

/// One word for a shell, whatever is in it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// How all this is known, and what is not.
fn sources(case: &Case<'_>, watched: &Watched, noticed: Option<Noticed>) -> Vec<String> {
    let clock = |at| format::clock(at, case.at, case.zone);
    let [from, to] = watched.window.map(clock);
    let mut lines = vec![
        format!("About {}.", case.subject.because),
        format!(
            "Replay: what today's rules and budgets make of the backend's data from {from} to {to}, \
             after learning from the history before."
        ),
        match &case.record {
            None => {
                "State file: none was read, so that what was really told is not known.".to_owned()
            }
            Some(record) if record.alerts.is_empty() => {
                "State file: it remembers no alert about this.".to_owned()
            }
            Some(record) => format!(
                "State file: what was really told ({} alerts), delivered and said.",
                record.alerts.len()
            ),
        },
    ];
    if case.coverage.is_none() {
        lines.push("What was measured at the time could not be asked.".to_owned());
    }
    if noticed.is_none() {
        lines.push(
            "When users noticed is not known: give --noticed, or set an objective.".to_owned(),
        );
    }
    lines.iter().map(|line| clean(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_for_a_shell_stays_one_word() {
        assert_eq!(quoted("checkout-1"), "checkout-1");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("x'; rm -r /"), "'x'\\''; rm -r /'");
        assert_eq!(quoted("--help"), "'--help'");
    }
}
