//! Incidents that are over: what they looked like, what they were called, and what people said
//! about them. Later ones are compared with these.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::engine::alert::Severity;
use crate::engine::detect::budget::Turned;
use crate::rules::{Role, See};
use crate::series::{Feedback, Verdict, stable_hash};
use crate::time::{Span, Timestamp};

/// Incidents remembered; the oldest are forgotten first.
const INCIDENTS_MAX: usize = 1_000;
/// Incidents that ended longer ago than this are forgotten.
const KEPT: Span = Span::from_hours(24 * 400);
/// What every piece of evidence said is kept for this many of the newest; for older ones only if
/// somebody said what they were.
const ANSWERS_KEPT: usize = 200;
/// Two patterns are alike when they share this much of what either holds. Of a beginning this much
/// must have moved then.
pub const ALIKE_MIN: f64 = 0.6;
/// What moved less than this, as a share of the strongest, may have been noise.
const MOVED_MIN: f64 = 0.3;
/// A pattern is a habit after this many verdicts that nothing was wrong.
const HABIT_MIN: usize = 2;

/// Which way a role of a service went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Way {
    /// Above its baseline.
    Up,
    /// Below its baseline.
    Down,
    /// It stopped reporting.
    Silent,
}

/// What moved near an onset, by service and role: how strongly, as a share of the strongest, above
/// 0 to 1. Beside what moves strongly noise then weighs little.
pub type Pattern = BTreeMap<(String, Role, Way), f64>;

/// What an incident looked like when it was named, and its moves when it stood highest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The service in which it began.
    pub root: String,
    /// What moved.
    pub pattern: Pattern,
    /// By cause, what each piece of its evidence said: [`mark`] of the evidence, and whether it
    /// was seen. What was not known is left out.
    pub answers: BTreeMap<String, Vec<(u32, bool)>>,
}

/// Stands for what a piece of evidence looks for, in [`Trace::answers`]: rule files change, and
/// places in a list would change their meaning with them.
pub fn mark(see: &See) -> u32 {
    let [a, b, c, d, ..] = stable_hash(&[&format!("{see:?}")]).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// What people said about an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judged {
    /// What it was worth.
    pub verdict: Verdict,
    /// The true cause, where somebody found it.
    pub cause: Option<String>,
}

impl Judged {
    /// The newest word counts. A true cause stays until another is given, or the verdict says
    /// that there was nothing to find.
    pub fn hear(judged: &mut Option<Self>, feedback: &Feedback) {
        let before = judged.take().and_then(|judged| judged.cause);
        let cause = feedback.cause.clone().or(before);
        let cause = cause.filter(|_| feedback.verdict != Verdict::False);
        *judged = Some(Self { verdict: feedback.verdict, cause });
    }

    /// The cause to learn from: a duplicate's has been counted with the other one.
    fn teaches(&self) -> Option<&str> {
        self.cause.as_deref().filter(|_| self.verdict != Verdict::Duplicate)
    }
}

/// How far an incident turned the controllers, and whose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Charge {
    /// The service whose own controller was turned.
    pub service: String,
    /// How far.
    pub turned: Turned,
}

/// An incident that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Its id.
    pub id: String,
    /// When it began.
    pub onset: Timestamp,
    /// When it was over.
    pub ended: Timestamp,
    /// The cause that led, and its probability.
    pub cause: Option<(String, f64)>,
    /// The highest that it reached.
    pub severity: Severity,
    /// The highest that any of its services stood against its notice threshold.
    pub peak: f64,
    /// What it looked like.
    pub trace: Trace,
    /// What it turned, at its notice and at its alert.
    pub charges: [Option<Charge>; 2],
    /// What people said.
    pub judged: Option<Judged>,
}

impl Ended {
    /// The cause that a person confirmed.
    pub fn confirmed(&self) -> Option<&str> {
        self.judged.as_ref().and_then(Judged::teaches)
    }
}

/// A pattern that people called no trouble again and again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Habit {
    /// How many times.
    pub times: usize,
    /// The highest standing that was called so.
    pub peak: f64,
}

/// The incidents that are remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// In the order in which they ended.
    incidents: VecDeque<Ended>,
}

impl Past {
    /// Remembers an incident that has just ended.
    pub fn remember(&mut self, ended: Ended) {
        let oldest = ended.ended - KEPT;
        self.incidents.push_back(ended);
        self.incidents.retain(|incident| incident.ended >= oldest);
        let excess = self.incidents.len().saturating_sub(INCIDENTS_MAX);
        self.incidents.drain(..excess);
        if let Some(old) = self.incidents.len().checked_sub(ANSWERS_KEPT + 1)
            && self.incidents[old].confirmed().is_none()
        {
            self.incidents[old].trace.answers.clear();
        }
    }

    /// All of them, in the order in which they ended.
    pub fn incidents(&self) -> impl DoubleEndedIterator<Item = &Ended> {
        self.incidents.iter()
    }

    /// The one with this id, to be told what people say.
    pub fn find(&mut self, id: &str) -> Option<&mut Ended> {
        self.incidents.iter_mut().rev().find(|incident| incident.id == id)
    }

    /// Those that began in the same service and looked alike, newest first. Cost: O(those of the
    /// service · pattern).
    pub fn alike<'a>(
        &'a self,
        root: &'a str,
        pattern: &'a Pattern,
    ) -> impl Iterator<Item = &'a Ended> {
        self.of(root).filter(|incident| likeness(&incident.trace.pattern, pattern) >= ALIKE_MIN)
    }

    fn of(&self, root: &str) -> impl Iterator<Item = &Ended> {
        self.incidents.iter().rev().filter(move |incident| incident.trace.root == root)
    }

    /// Whether what looks like this was called false or expected before, at least twice, and never
    /// useful. While it `unfolds`, not all of it may move yet: then also whether what may have begun
    /// like it was, and nothing useful may have.
    ///
    /// Cost: O(those of the service · pattern); while it unfolds, times those of them that were
    /// called false or expected.
    pub fn habit(&self, root: &str, pattern: &Pattern, unfolds: bool) -> Option<Habit> {
        let whole = habit(self.alike(root, pattern));
        whole.or_else(|| unfolds.then(|| self.begun(root, pattern)).flatten())
    }

    /// The newest habit that may have begun like this.
    fn begun(&self, root: &str, pattern: &Pattern) -> Option<Habit> {
        let begun = |incident: &&Ended| known(pattern, &incident.trace.pattern) >= ALIKE_MIN;
        let fits = |incident: &&Ended| {
            begun(incident) || likeness(&incident.trace.pattern, pattern) >= ALIKE_MIN
        };
        let verdict = |incident: &Ended| incident.judged.as_ref().map(|judged| judged.verdict);
        if self.of(root).filter(fits).any(|one| verdict(one) == Some(Verdict::Useful)) {
            return None;
        }
        let untrue = |incident: &&Ended| {
            matches!(verdict(incident), Some(Verdict::False | Verdict::Expected))
        };
        let looks = self.of(root).filter(untrue).filter(begun);
        looks.map(|one| &one.trace.pattern).find_map(|look| habit(self.alike(root, look)))
    }
}

/// What people said about incidents that looked alike, if it was the same again and again.
fn habit<'a>(incidents: impl Iterator<Item = &'a Ended>) -> Option<Habit> {
    let mut habit = Habit { times: 0, peak: 0.0 };
    for incident in incidents {
        match incident.judged.as_ref().map(|judged| judged.verdict) {
            Some(Verdict::Useful) => return None,
            Some(Verdict::False | Verdict::Expected) => {
                habit.times += 1;
                habit.peak = habit.peak.max(incident.peak);
            }
            Some(Verdict::Duplicate) | None => {}
        }
    }
    (habit.times >= HABIT_MIN).then_some(habit)
}

/// What two patterns share, of all that either holds; nothing is like nothing.
///
/// Source: Jaccard's index for weights, Σ min / Σ max: Ioffe (2010), Improved consistent sampling,
/// weighted minhash and L1 sketching, ICDM, section 1.
fn likeness(a: &Pattern, b: &Pattern) -> f64 {
    let shared = shared(a, b);
    share(shared, weight(a) + weight(b) - shared)
}

/// How much of what moves now moved then, however strongly beside what has yet to move; of nothing,
/// nothing is known.
fn known(now: &Pattern, then: &Pattern) -> f64 {
    let moved = |of: &(String, Role, Way)| then.get(of).is_some_and(|weight| *weight >= MOVED_MIN);
    let known = now.iter().filter(|(of, _)| moved(of)).map(|(_, weight)| weight).sum();
    share(known, weight(now))
}

fn shared(a: &Pattern, b: &Pattern) -> f64 {
    a.iter().filter_map(|(moved, x)| Some(b.get(moved)?.min(*x))).sum()
}

fn weight(pattern: &Pattern) -> f64 {
    pattern.values().sum()
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An hour-long incident of `shop`, `days` after the first of 2026.
    pub(crate) fn ended(days: i64, judged: Option<(Verdict, Option<&str>)>) -> Ended {
        let onset = Timestamp::from_secs(1_767_225_600) + Span::DAY.times(days);
        let judged =
            judged.map(|(verdict, cause)| Judged { verdict, cause: cause.map(str::to_owned) });
        Ended {
            id: format!("shop-{days}"),
            onset,
            ended: onset + Span::HOUR,
            cause: None,
            severity: Severity::Notice,
            peak: 1.2,
            trace: Trace { root: "shop".to_owned(), pattern: pattern(3), ..Trace::default() },
            charges: [None, None],
            judged,
        }
    }

    /// The first `n` roles of a shop, up, one as strongly as the other.
    pub(crate) fn pattern(n: usize) -> Pattern {
        Role::ALL.iter().take(n).map(|&role| (("shop".to_owned(), role, Way::Up), 1.0)).collect()
    }

    #[test]
    fn alike_is_the_same_service_and_most_of_the_moves() {
        let mut past = Past::default();
        past.remember(ended(1, None));
        for (pattern, found) in [(pattern(3), 1), (pattern(5), 1), (pattern(6), 0), (pattern(1), 0)]
        {
            assert_eq!(past.alike("shop", &pattern).count(), found, "{pattern:?}");
        }
        assert_eq!(past.alike("web", &pattern(3)).count(), 0);
        let mut blank = ended(2, None);
        blank.trace.pattern.clear();
        past.remember(blank);
        assert_eq!(past.alike("shop", &Pattern::new()).count(), 0, "nothing is like nothing");
        assert_eq!(past.habit("shop", &Pattern::new(), true), None);
    }

    #[test]
    fn what_moves_weakly_beside_the_rest_says_little() {
        let mut past = Past::default();
        past.remember(ended(1, None));
        let with = |noise: f64| {
            let mut noisy = pattern(8);
            noisy.values_mut().skip(3).for_each(|weight| *weight = noise);
            past.alike("shop", &noisy).count()
        };
        assert_eq!((with(0.3), with(0.9)), (1, 0));
    }

    #[test]
    fn a_habit_takes_two_verdicts_and_no_contradiction() {
        let mut past = Past::default();
        past.remember(ended(1, Some((Verdict::False, None))));
        past.remember(ended(2, Some((Verdict::Duplicate, None))));
        assert_eq!(past.habit("shop", &pattern(3), false), None);
        past.remember(Ended { peak: 1.7, ..ended(3, Some((Verdict::Expected, None))) });
        let twice = Some(Habit { times: 2, peak: 1.7 });
        assert_eq!(past.habit("shop", &pattern(3), false), twice);
        assert_eq!(past.habit("shop", &pattern(9), false), None, "another pattern");
        past.remember(ended(4, Some((Verdict::Useful, None))));
        assert_eq!(past.habit("shop", &pattern(3), false), None);
    }

    #[test]
    fn the_beginning_of_a_habit_is_one_as_long_as_it_unfolds() {
        let mut past = Past::default();
        past.remember(ended(1, Some((Verdict::False, None))));
        past.remember(ended(2, Some((Verdict::False, None))));
        let times = |n, unfolds| past.habit("shop", &pattern(n), unfolds).map_or(0, |h| h.times);
        assert_eq!([times(1, true), times(1, false)], [2, 0], "what moved then does not move");
        assert_eq!([times(5, true), times(6, true)], [2, 0], "something else moves");
    }

    /// One that was called so, in which the weights of the first roles were these.
    fn weighed(days: i64, verdict: Verdict, peak: f64, weights: &[f64]) -> Ended {
        let mut one = Ended { peak, ..ended(days, Some((verdict, None))) };
        let roles = pattern(weights.len()).into_keys().zip(weights);
        one.trace.pattern =
            roles.filter(|(_, weight)| **weight > 0.0).map(|(of, weight)| (of, *weight)).collect();
        one
    }

    #[test]
    fn a_beginning_that_fits_several_looks_is_a_habit_of_one_of_them() {
        let mut past = Past::default();
        past.remember(weighed(1, Verdict::False, 9.0, &[1.0, 1.0, 0.0]));
        past.remember(weighed(2, Verdict::Expected, 1.2, &[1.0, 0.0, 1.0]));
        assert_eq!(past.habit("shop", &pattern(1), true), None, "each was called so once");
        past.remember(weighed(3, Verdict::False, 1.4, &[1.0, 0.0, 1.0]));
        let second = Some(Habit { times: 2, peak: 1.4 });
        assert_eq!(past.habit("shop", &pattern(1), true), second);
        past.remember(weighed(4, Verdict::Useful, 1.4, &[1.0, 1.0, 1.0, 1.0]));
        assert_eq!(past.habit("shop", &pattern(1), true), None, "it may be the useful one");
        let whole = weighed(5, Verdict::False, 1.0, &[1.0, 0.0, 1.0]).trace.pattern;
        assert_eq!(past.habit("shop", &whole, true), second, "that one looks otherwise");
    }

    #[test]
    fn what_looks_like_something_useful_is_no_habit_of_another_look() {
        let useful = weighed(3, Verdict::Useful, 1.4, &[1.0, 0.29, 0.29, 0.29]);
        let now = useful.trace.pattern.clone();
        let mut past = Past::default();
        for days in 1..3 {
            past.remember(weighed(days, Verdict::False, 1.4, &[1.0, 0.9, 0.9, 0.9]));
        }
        assert!(past.habit("shop", &now, true).is_some());
        past.remember(useful);
        assert_eq!(past.habit("shop", &now, true), None);
    }

    #[test]
    fn a_habit_may_begin_with_what_moves_less_and_not_with_what_is_noise() {
        let mut past = Past::default();
        for days in 1..3 {
            past.remember(weighed(days, Verdict::False, 1.2, &[1.0, 0.5, 0.2]));
        }
        let alone = |place: usize| pattern(3).into_iter().skip(place).take(1).collect::<Pattern>();
        let begins = |place| past.habit("shop", &alone(place), true).is_some();
        assert_eq!([0, 1, 2].map(begins), [true, true, false]);
    }

    #[test]
    fn memory_is_bounded_by_number_by_age_and_in_detail() {
        let mut past = Past::default();
        let detailed = |hours: i64, judged| {
            let mut one = ended(0, judged);
            (one.onset, one.ended) =
                (one.onset + Span::from_hours(hours), one.ended + Span::from_hours(hours));
            one.trace.answers.insert("overload".to_owned(), vec![(7, true)]);
            one
        };
        past.remember(detailed(0, Some((Verdict::Useful, Some("overload")))));
        for hours in 1..=300 {
            past.remember(detailed(hours, None));
        }
        let with = past.incidents().filter(|one| !one.trace.answers.is_empty()).count();
        assert_eq!(with, ANSWERS_KEPT + 1, "the confirmed one is kept whole");
        for hours in 301..1_300 {
            past.remember(detailed(hours, None));
        }
        assert_eq!(past.incidents().count(), INCIDENTS_MAX);
        past.remember(detailed(24 * 400 + 1_200, None));
        assert_eq!(past.incidents().count(), 101, "400 days are enough");
    }

    #[test]
    fn the_newest_word_counts_and_a_cause_stays() {
        let say = |verdict, cause: Option<&str>| Feedback {
            number: 1,
            at: Timestamp::from_secs(0),
            incident: String::new(),
            verdict,
            cause: cause.map(str::to_owned),
        };
        let mut judged = None;
        Judged::hear(&mut judged, &say(Verdict::Expected, Some("overload")));
        Judged::hear(&mut judged, &say(Verdict::Useful, None));
        let both = Judged { verdict: Verdict::Useful, cause: Some("overload".to_owned()) };
        assert_eq!(judged, Some(both));
        Judged::hear(&mut judged, &say(Verdict::False, None));
        assert_eq!(judged, Some(Judged { verdict: Verdict::False, cause: None }));
    }
}
