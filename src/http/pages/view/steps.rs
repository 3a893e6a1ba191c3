//! The steps of an incident, each with who did it and when.

use serde::Serialize;

use super::{Reader, When};
use crate::engine::alert::Alert;
use crate::notify::view::clean;
use crate::series::stable_hash;
use crate::store::Done;

/// A list of steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::http::pages) struct StepList {
    name: &'static str,
    steps: Vec<Step>,
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
        ("Fix", &steps.fix),
        ("Verify", &steps.verify),
    ]
}

/// The steps of an alert, and what was done that it does not tell any more. Nothing is ticked off
/// in the list of what to avoid.
pub(in crate::http::pages) fn steps(
    alert: &Alert,
    done: &[Done],
    reader: Reader<'_>,
) -> Vec<StepList> {
    let by = |done: &Done| DoneBy { at: reader.clock(done.at), by: done.by.as_deref().map(clean) };
    let step = |list: &str, text: &String| {
        let key = key(list, text);
        let done = done.iter().find(|done| done.step == key).map(by);
        Step { key, text: clean(text), done }
    };
    let mut all: Vec<StepList> = lists(alert)
        .into_iter()
        .filter(|(_, items)| !items.is_empty())
        .map(|(name, items)| StepList {
            name,
            steps: items.iter().map(|text| step(name, text)).collect(),
        })
        .collect();
    let told = |key: &str| all.iter().flat_map(|list| &list.steps).any(|step| step.key == key);
    let gone: Vec<Step> = done
        .iter()
        .filter(|done| !told(&done.step))
        .map(|done| Step { key: done.step.clone(), text: clean(&done.text), done: Some(by(done)) })
        .collect();
    if !gone.is_empty() {
        all.push(StepList { name: "Done before the advice changed", steps: gone });
    }
    all
}

/// The text of a step that an alert tells, by its key.
pub(in crate::http::pages) fn text_of(alert: &Alert, wanted: &str) -> Option<String> {
    let all = lists(alert).into_iter();
    let mut keyed = all.flat_map(|(list, items)| items.iter().map(move |text| (list, text)));
    keyed.find(|(list, text)| key(list, text) == wanted).map(|(_, text)| clean(text))
}

fn key(list: &str, text: &str) -> String {
    format!("{:016x}", stable_hash(&[list, text]) >> 64)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::notify::sample;

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
}
