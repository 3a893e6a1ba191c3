//! Whether one value of a label holds far more than its usual share.

use std::collections::BTreeSet;

use crate::engine::breakdown::{Dominant, Known, alternatives, nothing_known, toward_trouble};
use crate::engine::detect::drift::Direction;
use crate::engine::diagnose::evidence::Looked;
use crate::engine::diagnose::scene::Scene;
use crate::format;
use crate::rules::{Role, See, Signal};
use crate::series::Labels;

/// Whether a value dominates, of the role and the label where they are given; none where nothing
/// was looked up.
pub(super) fn look(scene: &Scene<'_>, of: Option<Role>, label: Option<&str>) -> Looked {
    if let Some((known, signal, dominant)) = dominating(scene, of, label) {
        let (share, usual) = (format::share(dominant.share), format::share(dominant.usual_share));
        let (label, what, root) = (&known.question.label, signal.divided(), &scene.root);
        let value = &dominant.value;
        let text = match dominant.direction {
            Direction::Up => {
                let more = also(scene, of, (known, signal, dominant));
                format!("{label} {value} has {share} of the {what} of {root} (usual {usual}){more}")
            }
            Direction::Down => format!(
                "{label} {value} lost its share of the {what} of {root}: {share} (usual {usual})"
            ),
        };
        let names = Labels::from([(known.question.label.clone(), dominant.value.clone())]);
        return Looked { names, ..Looked::new(Some(true), text) };
    }
    let known = || looked_up(scene, of, label).map(|(known, _)| known);
    if known().next().is_none() {
        // Where it can be, it is asked for as soon as the trouble is near.
        let can_be = scene.rules.signals.iter().any(|signal| {
            let by = signal.breakdown.as_ref().filter(|_| of.is_none_or(|of| signal.role == of));
            by.is_some_and(|b| label.is_none_or(|label| b.by.iter().any(|known| known == label)))
        });
        return if can_be { Looked::idle() } else { Looked::unmeasured(subject(of, label)) };
    }
    let answered = known().filter(|known| known.division.is_ok());
    let labels: BTreeSet<&str> = answered.map(|known| known.question.label.as_str()).collect();
    if labels.is_empty() {
        return Looked::new(None, nothing_known(known()).join("; "));
    }
    let labels: Vec<&str> = labels.into_iter().collect();
    let by = of.map_or_else(String::new, |of| format!(" in {}", of.words()));
    let text = format!("no {} of {} stands out{by}", alternatives(&labels), scene.root);
    Looked::new(Some(false), text)
}

/// What else the same value has more of: `, 15.7% of the time spent (usual 4.04%)`. Where the question
/// is about one role, only what no cause asks for, because that is told with its own answer.
fn also(
    scene: &Scene<'_>,
    of: Option<Role>,
    (known, signal, dominant): (&Known, &Signal, &Dominant),
) -> String {
    let evidence = scene.rules.causes.iter().flat_map(|cause| &cause.evidence);
    let asked: Vec<Role> = evidence
        .filter_map(|piece| match &piece.see {
            See::ValueDominates { of, .. } => *of,
            _ => None,
        })
        .collect();
    let others = looked_up(scene, None, Some(&known.question.label))
        .filter(|(_, other)| of.is_none() || !asked.contains(&other.role));
    // Two percentiles are the same time spent.
    let mut told = BTreeSet::from([signal.divided()]);
    let held = others.filter_map(|(other, signal)| {
        let explaining = &other.division.as_ref().ok()?.explaining;
        let same = explaining
            .iter()
            .find(|one| one.value == dominant.value && one.direction == Direction::Up)?;
        let [share, usual] = [same.share, same.usual_share].map(format::share);
        let what = signal.divided();
        told.insert(what).then(|| format!(", {share} of the {what} (usual {usual})"))
    });
    held.collect()
}

/// The label and the value that hold the most beyond their usual share.
pub(super) fn strongest<'a>(scene: &'a Scene<'_>) -> Option<(&'a str, &'a str)> {
    let (known, _, dominant) = dominating(scene, None, None)?;
    Some((&known.question.label, &dominant.value))
}

/// The strongest value toward the trouble.
fn dominating<'a>(
    scene: &'a Scene<'_>,
    of: Option<Role>,
    label: Option<&str>,
) -> Option<(&'a Known, &'a Signal, &'a Dominant)> {
    looked_up(scene, of, label)
        .filter_map(|(known, signal)| {
            let explaining = &known.division.as_ref().ok()?.explaining;
            let toward = toward_trouble(signal.worse);
            let dominant = explaining.iter().find(|dominant| dominant.direction == toward)?;
            Some((known, signal, dominant))
        })
        .max_by(|a, b| a.2.strength.total_cmp(&b.2.strength))
}

/// What is known about the service in which the trouble begins.
fn looked_up<'a>(
    scene: &'a Scene<'_>,
    of: Option<Role>,
    label: Option<&str>,
) -> impl Iterator<Item = (&'a Known, &'a Signal)> + Clone {
    let (breakdowns, rules, onset) = (scene.breakdowns, scene.rules, scene.onset);
    breakdowns.known(&scene.root).filter_map(move |known| {
        let signal = rules.signal(&known.question.signal)?;
        let asked = of.is_none_or(|of| signal.role == of)
            && label.is_none_or(|label| known.question.label == label);
        // What an earlier incident showed says nothing about this one.
        (asked && known.question.until > onset).then_some((known, signal))
    })
}

fn subject(of: Option<Role>, label: Option<&str>) -> String {
    let of = of.map_or("any signal", Role::words);
    format!("{of} by {}", label.unwrap_or("any label"))
}
