//! The steps of an incident, each with who did it and when.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Reader, When};
use crate::engine::alert::{Alert, State};
use crate::notify::view::clean;
use crate::series::stable_hash;
use crate::store::Done;

const FIX: &str = "Fix";
const VERIFY: &str = "Verify";

/// A list of steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::http::pages) struct StepList {
    name: &'static str,
    steps: Vec<Step>,
    /// Whether it is shown only to who asks: what was advised while an incident went on.
    folded: bool,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::http::pages) struct Step {
    /// What identifies it within the incident.
    pub(in crate::http::pages) key: String,
    pub(in crate::http::pages) text: String,
    done: Option<DoneBy>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct DoneBy {
    at: When,
    by: Option<String>,
}

/// The lists that have steps, in the order to take them: what must not be done comes second, where
/// it is seen in time.
fn lists(alert: &Alert) -> [(&'static str, &[String]); 6] {
    let steps = &alert.steps;
    [
        ("First ten minutes", &steps.first_ten_minutes),
        ("Avoid", &steps.avoid),
        ("Compare", &steps.compare),
        ("Reproduce", &steps.reproduce),
        (FIX, &steps.fix),
        (VERIFY, &steps.verify),
    ]
}

/// The steps of an alert, and what was done that it does not tell any more. Nothing is ticked off
/// in the list of what to avoid. Once an incident is over, what keeps it from coming back is first,
/// then what was done; the rest is folded.
pub(in crate::http::pages) fn steps(
    alert: &Alert,
    done: &[Done],
    reader: Reader<'_>,
) -> Vec<StepList> {
    let over = alert.state == State::Resolved;
    let mut all = told(alert, done, reader);
    let known = |key: &str| all.iter().flat_map(|list| &list.steps).any(|step| step.key == key);
    let mut gone: Vec<Step> = done
        .iter()
        .filter(|done| !known(&done.step))
        .map(|done| Step {
            key: done.step.clone(),
            text: clean(&done.text),
            done: Some(by(done, reader)),
        })
        .collect();
    if over {
        for list in &mut all {
            if list.name == FIX {
                list.name = "Fix, so that it does not come back";
            } else if list.name != VERIFY {
                list.folded = true;
                gone.extend(list.steps.extract_if(.., |step| step.done.is_some()));
            }
        }
        all.retain(|list| !list.steps.is_empty());
    }
    if !gone.is_empty() {
        let name = if over { "Done" } else { "Done before the advice changed" };
        all.push(StepList { name, steps: gone, folded: false });
    }
    all.sort_by_key(|list| list.folded);
    all
}

/// The lists of an alert that have steps.
fn told(alert: &Alert, done: &[Done], reader: Reader<'_>) -> Vec<StepList> {
    let mut all: Vec<StepList> = Vec::new();
    for (name, key, text) in keyed(alert) {
        let done = done.iter().find(|done| done.step == key).map(|done| by(done, reader));
        let step = Step { key, text: clean(text), done };
        match all.last_mut().filter(|list| list.name == name) {
            Some(list) => list.steps.push(step),
            None => all.push(StepList { name, steps: vec![step], folded: false }),
        }
    }
    all
}

fn by(done: &Done, reader: Reader<'_>) -> DoneBy {
    DoneBy { at: reader.clock(done.at), by: done.by.as_deref().map(clean) }
}

/// The text of a step that an alert tells, by its key.
pub(in crate::http::pages) fn text_of(alert: &Alert, wanted: &str) -> Option<String> {
    keyed(alert).into_iter().find(|(_, key, _)| key == wanted).map(|(.., text)| clean(text))
}

/// Every step with its list and what identifies it: what it says but for its measurements, which a
/// newer alert tells anew. Of steps that differ in nothing else, each has its place.
fn keyed(alert: &Alert) -> Vec<(&'static str, String, &String)> {
    let mut seen: BTreeMap<(&str, String), u32> = BTreeMap::new();
    let all = lists(alert).into_iter();
    let each = all.flat_map(|(list, items)| items.iter().map(move |text| (list, text)));
    let keyed = each.map(|(list, text)| {
        let words = unmeasured(text);
        let place = seen.entry((list, words.clone())).or_default();
        let key = stable_hash(&[list, &words, &place.to_string()]) >> 64;
        *place += 1;
        (list, format!("{key:016x}"), text)
    });
    keyed.collect()
}

/// Units, and what else stands beside numbers and goes with them.
const UNITS: [&str; 27] = [
    "s", "ms", "µs", "ns", "B", "KiB", "MiB", "GiB", "TiB", "KiB/s", "MiB/s", "GiB/s", "B/s",
    "per", "second", "minute", "hour", "day", "minutes", "hours", "days", "ago", "in", "UTC",
    "under", "usual", "about",
];

/// A text without numbers, times, durations and their units. A name with a number in it stays, and
/// so do addresses and versions: a step about one of them is not that about another.
fn unmeasured(text: &str) -> String {
    let bare =
        |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric() && c != '/').to_owned();
    let measures = |word: &&str| {
        let word = bare(word);
        let dots = word.matches('.').count();
        let is_name = dots > 1 || (dots == 1 && word.contains(':'));
        let is_number = word.starts_with(|c: char| c.is_ascii_digit()) && !is_name;
        is_number || UNITS.contains(&word.as_str())
    };
    text.split_whitespace().filter(|word| !measures(word)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::notify::sample;

    #[test]
    fn numbers_are_left_out_and_names_stay() {
        let same = |a, b| unmeasured(a) == unmeasured(b);
        assert!(same(
            "takes 315 ms (usual 221 ms) at 08:20 UTC",
            "takes 1.2 s (usual 221 ms) at 9:05 UTC"
        ));
        assert!(!same("ask 10.0.3.7:8080", "ask 10.0.3.9:8080"));
        assert!(!same("The new one is 2.3.1.", "The new one is 2.3.2."));
        assert!(!same("restart web1.eu:80", "restart web2.eu:80"));
    }

    #[test]
    fn ticks_stay_with_their_steps_when_the_advice_changes() {
        let alert = sample::alerts().remove(0);
        let reader = Reader { now: alert.at, zone: &TimeZone::UTC };
        let first = steps(&alert, &[], reader)[0].steps[0].clone();
        let text = text_of(&alert, &first.key).unwrap();
        assert_eq!(text, first.text);
        let by = Some("oncall".to_owned());
        let done = [Done { step: first.key.clone(), text, at: alert.at, by }];
        assert!(steps(&alert, &done, reader)[0].steps[0].done.is_some());
        let mut other = alert.clone();
        other.steps.first_ten_minutes.remove(0);
        let lists = steps(&other, &done, reader);
        let last = lists.last().unwrap();
        assert_eq!(last.name, "Done before the advice changed");
        assert_eq!(last.steps[0].text, first.text);
        assert_eq!(text_of(&other, &first.key), None, "what is not told cannot be done anew");
    }

    #[test]
    fn a_tick_stays_when_only_numbers_change() {
        let mut alert = sample::alerts().remove(0);
        let text = |ms: &str, at: &str| {
            format!("Confirm it since {at} UTC. Calls take {ms} (usual 221 ms). Query: `web-2`.")
        };
        alert.steps.first_ten_minutes = vec![text("315 ms", "08:20")];
        let before = keyed(&alert)[0].1.clone();
        alert.steps.first_ten_minutes = vec![text("1.2 s", "2026-03-02 08:20"), text("1 s", "1")];
        let after = keyed(&alert);
        assert_eq!(after[0].1, before);
        assert_ne!(after[1].1, before, "two steps of a list are never one");
        alert.steps.first_ten_minutes = vec![text("315 ms", "08:20").replace("web-2", "web-3")];
        assert_ne!(keyed(&alert)[0].1, before, "a name is no number");
    }

    #[test]
    fn once_it_is_over_what_was_done_stays_and_the_rest_is_folded() {
        let mut alert = sample::alerts().remove(0);
        let reader = Reader { now: alert.at, zone: &TimeZone::UTC };
        let first = steps(&alert, &[], reader)[0].steps[0].clone();
        let done = [Done { step: first.key, text: first.text, at: alert.at, by: None }];
        alert.state = State::Resolved;
        let lists = steps(&alert, &done, reader);
        let open: Vec<_> = lists.iter().filter(|list| !list.folded).map(|list| list.name).collect();
        assert_eq!(open, ["Fix, so that it does not come back", "Verify", "Done"]);
        assert!(lists.iter().any(|list| list.folded));
        let keys: Vec<_> = lists.iter().flat_map(|list| &list.steps).map(|s| &s.key).collect();
        let once: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(once.len(), keys.len(), "a button of each");
    }
}
