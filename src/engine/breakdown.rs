//! Which label values explain trouble: what to ask about, and what came of it.
//!
//! The engine cannot ask a backend. It keeps questions, whoever drives it answers them, and the
//! answers count from the next block on.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::engine::detect::drift::Direction;
use crate::rules::{Rules, Scale, Signal, Worse};
use crate::series::{Answer, LabelValue, Question};
use crate::stats::skew::{Levels, Surprise, Way, skew};
use crate::time::{Span, Timestamp};

/// What happened longer ago than this is left out of the levels since the onset: by then
/// everything has moved.
pub const SINCE_MAX: Span = Span::from_hours(6);
/// A level needs at least this long, whatever the onset.
const SINCE_MIN: Span = Span::from_mins(15);
/// An onset longer ago than this has no usual level before it that still counts.
const ONSET_MAX: Span = Span::WEEK;
/// Questions that are open at the same time.
pub const QUESTIONS_MAX: usize = 12;
/// Signals of one service that are asked about at a time.
const SIGNALS_MAX: usize = 2;
/// Labels of one signal that are asked about, the first ones.
const LABELS_MAX: usize = 3;
/// A service that is only near its threshold is asked about this often.
const NEAR_PAUSE: Span = Span::from_mins(30);
/// An open incident may be asked about again after this long.
const NAMING_PAUSE: Span = Span::from_mins(10);
/// How often the same is asked in one incident: when it opens, and three times more.
const TIMES_MAX: u32 = 4;
/// What was learned is forgotten after this long, unless an incident is open.
const KEPT: Span = Span::from_hours(2);
/// Things asked about that are remembered; beyond, the ones asked longest ago are forgotten.
const REMEMBERED_MAX: usize = 10_000;
/// Values of one label that are remembered.
const VALUES_MAX: usize = 5;

/// Questions, and what is known from the answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Breakdowns {
    open: Vec<Question>,
    about: BTreeMap<Subject, Asked>,
}

/// What a question is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Subject {
    service: String,
    signal: String,
    label: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Asked {
    at: Timestamp,
    /// When the incident opened for which it was asked; none if it was not yet one.
    incident: Option<Timestamp>,
    /// How often it was asked for that.
    times: u32,
    known: Option<Known>,
}

/// What is known about one label of one signal of one service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// What was asked.
    pub question: Question,
    /// What came of it, or why nobody knows.
    pub division: Result<Division, String>,
}

/// How a signal is divided among the values of a label.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Division {
    /// How many values there are.
    pub values: usize,
    /// Those that explain the move, strongest first; often none.
    pub explaining: Vec<Dominant>,
}

/// A label value that explains a move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dominant {
    /// The value.
    pub value: String,
    /// Whether it holds more than usual, or less.
    pub direction: Direction,
    /// Its share since the onset, 0 to 1.
    pub share: f64,
    /// Its share before, 0 to 1.
    pub usual_share: f64,
    /// By what values of several labels are compared.
    pub strength: f64,
}

/// A service that is worth asking about.
#[derive(Clone, Debug)]
pub struct Topic<'a> {
    /// Its name.
    pub service: String,
    /// When its trouble began.
    pub onset: Timestamp,
    /// When the incident opened; none while there is none.
    pub incident: Option<Timestamp>,
    /// What to ask about, in this order.
    pub signals: Vec<&'a Signal>,
}

impl Breakdowns {
    /// The questions that wait for an answer, in the order in which they were posed.
    pub fn open(&self) -> &[Question] {
        &self.open
    }

    /// Poses what is due: what was asked the least for its incident, and of that the first topics
    /// first. Questions that nobody answered since the last call are dropped.
    pub fn ask(&mut self, now: Timestamp, topics: &[Topic<'_>]) {
        self.open.clear();
        let mut due: Vec<(u32, usize, Subject)> = Vec::new();
        for (place, topic) in topics.iter().enumerate() {
            let of_signals = topic.signals.iter().map(|signal| self.due(topic, signal, now));
            let chosen = of_signals.filter(|due| !due.is_empty()).take(SIGNALS_MAX).flatten();
            due.extend(chosen.map(|subject| (self.times(&subject, topic), place, subject)));
        }
        due.sort_by_key(|(times, place, _)| (*times, *place));
        for (_, place, subject) in due.into_iter().take(QUESTIONS_MAX) {
            self.pose(subject, &topics[place], now);
        }
    }

    /// What is due about one signal.
    fn due(&self, topic: &Topic<'_>, signal: &Signal, now: Timestamp) -> Vec<Subject> {
        let labels = signal.breakdown.iter().flat_map(|b| &b.by).take(LABELS_MAX);
        let subjects = labels.map(|label| Subject {
            service: topic.service.clone(),
            signal: signal.name.clone(),
            label: label.clone(),
        });
        subjects.filter(|subject| self.is_due(subject, topic.incident, now)).collect()
    }

    /// How often it was asked for the topic's incident.
    fn times(&self, subject: &Subject, topic: &Topic<'_>) -> u32 {
        let asked = self.about.get(subject).filter(|asked| asked.incident == topic.incident);
        asked.map_or(0, |asked| asked.times)
    }

    fn is_due(&self, subject: &Subject, incident: Option<Timestamp>, now: Timestamp) -> bool {
        let Some(asked) = self.about.get(subject) else { return true };
        match incident {
            None => now - asked.at >= NEAR_PAUSE,
            Some(_) if asked.incident != incident => true,
            Some(_) => asked.times < TIMES_MAX && now - asked.at >= NAMING_PAUSE,
        }
    }

    fn pose(&mut self, subject: Subject, topic: &Topic<'_>, now: Timestamp) {
        let onset = topic.onset.min(now - SINCE_MIN).max(now - ONSET_MAX);
        let Subject { service, signal, label } = subject.clone();
        self.open.push(Question { signal, service, label, onset, until: now });
        let incident = topic.incident;
        let times = self.times(&subject, topic).saturating_add(1);
        let known = self.about.remove(&subject).and_then(|before| before.known);
        self.about.insert(subject, Asked { at: now, incident, times, known });
    }

    /// Takes an answer to an open question; any other is ignored. A failure does not take back
    /// what was known before.
    pub fn take(&mut self, rules: &Rules, answer: &Answer) {
        let Some(place) = self.open.iter().position(|open| *open == answer.question) else {
            return;
        };
        let question = self.open.remove(place);
        let subject = Subject {
            service: question.service.clone(),
            signal: question.signal.clone(),
            label: question.label.clone(),
        };
        let signal = rules.signals.iter().find(|signal| signal.name == question.signal);
        let (Some(signal), Some(asked)) = (signal, self.about.get_mut(&subject)) else { return };
        let division = match &answer.values {
            Ok(values) => Ok(divide(signal, &question, values)),
            Err(reason) => Err(reason.clone()),
        };
        let was_known = asked.known.as_ref().is_some_and(|known| known.division.is_ok());
        if division.is_ok() || !was_known {
            asked.known = Some(Known { question, division });
        }
    }

    /// Forgets what is old, but nothing about the services that are `in_trouble`.
    pub fn forget(&mut self, now: Timestamp, in_trouble: &BTreeSet<&str>) {
        self.about.retain(|subject, asked| {
            now - asked.at <= KEPT || in_trouble.contains(subject.service.as_str())
        });
        while self.about.len() > REMEMBERED_MAX {
            let oldest = self.about.iter().min_by_key(|(_, asked)| asked.at);
            let Some(oldest) = oldest.map(|(subject, _)| subject.clone()) else { return };
            self.about.remove(&oldest);
        }
    }

    /// What is known about a service, in order of signal and label.
    pub fn known<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Known> {
        let about = self.about.iter().filter(move |(subject, _)| subject.service == service);
        about.filter_map(|(_, asked)| asked.known.as_ref())
    }
}

/// Which way a label value stands out that is to blame for a signal's trouble. More traffic of one
/// value is trouble; less of it is a value that left.
pub const fn toward_trouble(worse: Worse) -> Direction {
    match worse {
        Worse::Up | Worse::Either => Direction::Up,
        Worse::Down => Direction::Down,
    }
}

/// Which values of the label explain what moved.
fn divide(signal: &Signal, question: &Question, values: &[LabelValue]) -> Division {
    let seconds = (question.until - question.onset).min(SINCE_MAX).as_secs_f64();
    let levels: Vec<Levels> =
        values.iter().map(|v| Levels { before: v.before, since: v.since }).collect();
    let is_share = |level: f64| (0.0..=1.0).contains(&level);
    let shares = levels.iter().all(|l| is_share(l.before) && is_share(l.since));
    // Of a share that should be high, such as hits, what is missing is the trouble.
    let missing = signal.scale == Scale::Logit && signal.worse == Worse::Down && shares;
    let directions: &[Direction] = match signal.worse {
        Worse::Up => &[Direction::Up],
        Worse::Down => &[Direction::Down],
        Worse::Either => &[Direction::Up, Direction::Down],
    };
    let mut explaining: Vec<Dominant> = Vec::new();
    for &direction in directions {
        let found = if missing {
            let rest = |l: &Levels| Levels { before: 1.0 - l.before, since: 1.0 - l.since };
            skew(&levels.iter().map(rest).collect::<Vec<_>>(), seconds, Way::More)
        } else {
            skew(&levels, seconds, way(direction))
        };
        let found = found.unwrap_or_default().into_iter().filter(|surprise| surprise.explains);
        explaining.extend(found.map(|surprise| dominant(values, direction, surprise)));
    }
    explaining.truncate(VALUES_MAX);
    Division { values: values.len(), explaining }
}

const fn way(direction: Direction) -> Way {
    match direction {
        Direction::Up => Way::More,
        Direction::Down => Way::Less,
    }
}

fn dominant(values: &[LabelValue], direction: Direction, surprise: Surprise) -> Dominant {
    Dominant {
        value: values[surprise.place].value.clone(),
        direction,
        share: surprise.share,
        usual_share: surprise.usual_share,
        strength: surprise.strength(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Breakdown, Role};

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_secs(1_772_331_000) + Span::from_mins(minutes)
    }

    fn signal(name: &str, role: Role, by: &[&str]) -> Signal {
        let by = by.iter().map(|&label| label.to_owned()).collect();
        let query = "sum by (service, {{label}}) (x)".to_owned();
        Signal { breakdown: Some(Breakdown { by, query }), ..Signal::plain(name, role) }
    }

    fn rules() -> Rules {
        let signals = vec![
            signal("errors", Role::Errors, &["tenant", "route"]),
            signal("hits", Role::CacheHit, &["pod"]),
            signal("work", Role::Traffic, &["tenant", "route", "zone", "caller"]),
        ];
        Rules { signals, ..Rules::default() }
    }

    fn topic(rules: &Rules, incident: Option<i64>) -> Topic<'_> {
        let signals = rules.signals.iter().collect();
        Topic { service: "web".to_owned(), onset: at(0), incident: incident.map(at), signals }
    }

    fn asked(breakdowns: &mut Breakdowns, minute: i64, topic: &Topic<'_>) -> Vec<String> {
        breakdowns.ask(at(minute), std::slice::from_ref(topic));
        breakdowns.open().iter().map(|q| format!("{} {}", q.signal, q.label)).collect()
    }

    fn values(levels: &[(&str, f64, f64)]) -> Vec<LabelValue> {
        let one = |&(value, before, since): &(&str, f64, f64)| LabelValue {
            value: value.to_owned(),
            before,
            since,
        };
        levels.iter().map(one).collect()
    }

    #[test]
    fn near_the_threshold_the_same_is_asked_every_half_hour() {
        let rules = rules();
        let (mut breakdowns, near) = (Breakdowns::default(), topic(&rules, None));
        let first = asked(&mut breakdowns, 30, &near);
        assert_eq!(first, ["errors tenant", "errors route", "hits pod"], "two signals");
        let second = asked(&mut breakdowns, 35, &near);
        assert_eq!(second, ["work tenant", "work route", "work zone"], "three labels");
        assert!(asked(&mut breakdowns, 40, &near).is_empty());
        assert_eq!(asked(&mut breakdowns, 60, &near), first);
    }

    #[test]
    fn an_incident_is_asked_about_when_it_opens_and_three_times_more() {
        let mut rules = rules();
        rules.signals.truncate(1);
        let mut breakdowns = Breakdowns::default();
        assert_eq!(asked(&mut breakdowns, 30, &topic(&rules, None)).len(), 2);
        let incident = topic(&rules, Some(35));
        let asked_at: Vec<i64> = (35..175)
            .step_by(5)
            .filter(|&minute| !asked(&mut breakdowns, minute, &incident).is_empty())
            .collect();
        assert_eq!(asked_at, [35, 45, 55, 65]);
        // Another incident is another story.
        assert_eq!(asked(&mut breakdowns, 180, &topic(&rules, Some(180))).len(), 2);
    }

    #[test]
    fn no_more_is_asked_at_once_than_a_backend_can_bear() {
        let rules = rules();
        let topics: Vec<Topic<'_>> =
            (0..9).map(|n| Topic { service: format!("s{n}"), ..topic(&rules, Some(30)) }).collect();
        let mut breakdowns = Breakdowns::default();
        breakdowns.ask(at(30), &topics);
        assert_eq!(breakdowns.open().len(), QUESTIONS_MAX);
        let services: BTreeSet<_> = breakdowns.open().iter().map(|q| &q.service).collect();
        assert_eq!(services.len(), 4, "the first ones");
        breakdowns.ask(at(35), &topics);
        assert!(breakdowns.open().iter().all(|q| q.signal == "work"), "first what they lack");
        breakdowns.ask(at(40), &topics);
        assert!(breakdowns.open().iter().any(|q| q.service == "s5"), "the others are not lost");
    }

    #[test]
    fn the_onset_leaves_time_for_a_level() {
        let rules = rules();
        let mut breakdowns = Breakdowns::default();
        let onset = |breakdowns: &mut Breakdowns, minutes: i64| {
            let topic = Topic { onset: at(minutes), ..topic(&rules, Some(minutes)) };
            breakdowns.ask(at(0), &[topic]);
            breakdowns.open()[0].onset
        };
        assert_eq!(onset(&mut breakdowns, -5), at(-15));
        assert_eq!(onset(&mut breakdowns, -90), at(-90));
        assert_eq!(onset(&mut breakdowns, -60 * 24 * 30), at(-60 * 24 * 7));
    }

    /// Asks about the signal and gives the answer.
    fn answered(
        breakdowns: &mut Breakdowns,
        (signal, minute): (&str, i64),
        values: Result<Vec<LabelValue>, String>,
    ) -> Known {
        let rules = rules();
        let only = rules.signals.iter().filter(|s| s.name == signal).collect();
        let topic = Topic { signals: only, ..topic(&rules, Some(minute)) };
        breakdowns.ask(at(minute), &[topic]);
        let question = breakdowns.open()[0].clone();
        let answer = Answer { question: question.clone(), values };
        breakdowns.take(&rules, &answer);
        assert!(!breakdowns.open().contains(&question), "it is answered");
        let known = breakdowns.clone();
        known.known("web").find(|known| known.question.signal == signal).unwrap().clone()
    }

    fn explaining(signal: &str, levels: &[(&str, f64, f64)]) -> Vec<(String, Direction)> {
        let mut breakdowns = Breakdowns::default();
        let known = answered(&mut breakdowns, (signal, 60), Ok(values(levels)));
        let found = known.division.unwrap().explaining.into_iter();
        found.map(|dominant| (dominant.value, dominant.direction)).collect()
    }

    #[test]
    fn values_that_explain_are_known_with_their_shares() {
        let mut breakdowns = Breakdowns::default();
        let levels = [("acme", 2.0, 30.0), ("beta", 4.0, 4.1), ("gamma", 4.0, 3.9)];
        let known = answered(&mut breakdowns, ("errors", 60), Ok(values(&levels)));
        let division = known.division.unwrap();
        assert_eq!((division.values, division.explaining.len()), (3, 1));
        let acme = &division.explaining[0];
        assert_eq!((acme.value.as_str(), acme.direction), ("acme", Direction::Up));
        assert!((acme.share - 30.0 / 38.0).abs() < 1e-9 && (acme.usual_share - 0.2).abs() < 1e-9);
    }

    #[test]
    fn which_way_counts_depends_on_what_hurts() {
        let up = |value: &str| vec![(value.to_owned(), Direction::Up)];
        let down = |value: &str| vec![(value.to_owned(), Direction::Down)];
        let fell = [("a", 4.0, 0.2), ("b", 4.0, 4.0), ("c", 4.0, 4.1)];
        assert_eq!(explaining("errors", &fell), [], "fewer errors are no trouble");
        assert_eq!(explaining("work", &fell), down("a"));
        let rose = [("a", 4.0, 20.0), ("b", 4.0, 4.0), ("c", 4.0, 4.1)];
        assert_eq!(explaining("work", &rose), up("a"));
        // Hits are shares: one pod misses ten times as often, and its hits only halved.
        let missed = [("p1", 0.95, 0.5), ("p2", 0.95, 0.95), ("p3", 0.94, 0.94)];
        assert_eq!(explaining("hits", &missed), down("p1"));
    }

    #[test]
    fn a_failure_is_known_but_takes_nothing_back() {
        let mut breakdowns = Breakdowns::default();
        let failed = answered(&mut breakdowns, ("errors", 60), Err("no answer".to_owned()));
        assert_eq!(failed.division, Err("no answer".to_owned()));
        let levels = [("acme", 2.0, 30.0), ("beta", 4.0, 4.1)];
        let known = answered(&mut breakdowns, ("errors", 70), Ok(values(&levels)));
        let still = answered(&mut breakdowns, ("errors", 80), Err("no answer".to_owned()));
        assert!(known.division.is_ok());
        assert_eq!(still, known);
    }

    #[test]
    fn what_nobody_asked_is_ignored() {
        let question = Question {
            signal: "errors".to_owned(),
            service: "web".to_owned(),
            label: "tenant".to_owned(),
            onset: at(0),
            until: at(60),
        };
        let mut breakdowns = Breakdowns::default();
        breakdowns.take(&rules(), &Answer { question, values: Ok(vec![]) });
        assert_eq!(breakdowns, Breakdowns::default());
    }

    #[test]
    fn what_is_old_is_forgotten_unless_there_is_an_incident() {
        let mut breakdowns = Breakdowns::default();
        answered(&mut breakdowns, ("work", 60), Ok(vec![]));
        breakdowns.forget(at(60 + 300), &BTreeSet::from(["web"]));
        assert_eq!(breakdowns.known("web").count(), 1);
        breakdowns.forget(at(60 + 120), &BTreeSet::new());
        assert_eq!(breakdowns.known("web").count(), 1);
        breakdowns.forget(at(60 + 125), &BTreeSet::new());
        assert_eq!(breakdowns.known("web").count(), 0);
    }
}
