//! What could not be looked up, in as few words as possible: a person reads it in the night.

use crate::engine::alert::{NOT_MEASURED, NOT_REPORTED};
use crate::engine::diagnose::evidence::Gap;
use crate::engine::diagnose::weights::Weighed;

/// Failed look-ups one by one, then all blind spots in one entry, those of signals with the service
/// in which the trouble begins. Questions that do not arise are left out.
pub(super) fn told(evidence: &[Weighed], root: &str) -> Vec<String> {
    let of_gap = |gap: Option<Gap>| {
        let mut texts: Vec<&str> = Vec::new();
        for weighed in evidence.iter().filter(|w| w.seen.is_none() && w.gap == gap) {
            if !texts.contains(&weighed.text.as_str()) {
                texts.push(&weighed.text);
            }
        }
        texts
    };
    let mut lines: Vec<String> = of_gap(None).into_iter().map(str::to_owned).collect();
    let unmeasured = format!("{NOT_MEASURED} at {root}: ");
    let blind: Vec<String> = [(Gap::Unmeasured, &*unmeasured), (Gap::Unreported, NOT_REPORTED)]
        .into_iter()
        .map(|(gap, head)| (of_gap(Some(gap)).join(", "), head))
        .filter(|(names, _)| !names.is_empty())
        .map(|(names, head)| format!("{head}{names}"))
        .collect();
    if !blind.is_empty() {
        lines.push(blind.join("; "));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::diagnose::evidence::Looked;
    use crate::rules::{Evidence, See};

    fn lines(looked: &[Looked]) -> Vec<String> {
        let rule = Evidence { see: See::TrafficExplains, likely: 0.8, otherwise: 0.2 };
        let weighed: Vec<Weighed> =
            looked.iter().map(|looked| Weighed::new(&rule, looked)).collect();
        told(&weighed, "web")
    }

    #[test]
    fn blind_spots_are_one_entry_at_the_end_and_idle_questions_none() {
        let failed = |text: &str| Looked::new(None, text.to_owned());
        let told = lines(&[
            Looked::unmeasured("retries"),
            failed("latency of web is silent"),
            Looked::unreported("maintenance"),
            Looked::idle(),
            Looked::unmeasured("throttled"),
            Looked::unmeasured("retries"),
            failed("latency of web is silent"),
            Looked::new(Some(true), "traffic rose".to_owned()),
        ]);
        let blind = "not measured at web: retries, throttled; not reported: maintenance";
        assert_eq!(told, ["latency of web is silent", blind]);
        assert_eq!(lines(&[Looked::unreported("scaling")]), ["not reported: scaling"]);
        assert!(lines(&[Looked::idle()]).is_empty());
    }
}
