//! Names the probable cause of an incident from what is known near its onset, with the evidence
//! for and against, or says that no cause is clear.
//!
//! Nothing here knows a particular cause: causes are rules. Each is scored by likelihood ratios
//! (naive Bayes) from two points of view, that of the service in which the trouble begins and
//! that of its callers (METHODS 2.9).

mod boundary;
mod calls;
mod changes;
mod climb;
mod culprit;
mod cycle;
mod dominance;
mod doubt;
mod evidence;
mod load;
mod peer;
mod recurrence;
mod scene;
mod steps;
mod unknown;
mod versions;
mod weights;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::engine::alert::{CLEAR_MIN, Culprit, NamedCause};
use crate::engine::past::{Trace, mark};
use crate::rules::{Cause, Role, Steps};
use crate::time::Timestamp;

pub use crate::rules::UNEXPLAINED;
pub(super) use calls::share_of_calls;
pub use changes::came_too_late;
pub use scene::{FELT, Scene, View, series_near};
pub(super) use scene::{MOVED_MIN, is_call};
pub(super) use steps::query_of;
pub use weights::{one_of_its_kind, rests_on};

use evidence::Looks;
use recurrence::Precedent;
use weights::{Weighed, damp};

/// Nor is a cause called clear that is not this much more probable than the next.
const CLEAR_RATIO: f64 = 1.6;
/// Logits are divided by this before they become probabilities. Fitted on simulated incidents, so
/// that of causes told with 70 % about 70 % are right: evidence of the same role is damped and
/// rare causes are many, so that what is left says more than it seems (METHODS 2.9).
const TEMPERATURE: f64 = 0.65;
/// Evidence that says less than this is weighed and not told.
const TOLD_MIN: f64 = 0.15;
/// A cause less probable than this is not told, unless it is the next best.
const TOLD_FROM: f64 = 0.01;
/// Causes told in an alert, at most.
const CAUSES_TOLD: usize = 4;

/// Which causes explain an incident, and what to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The service that the alert should name.
    pub service: String,
    /// Most probable first.
    pub causes: Vec<NamedCause>,
    /// The leading cause's title.
    pub title: String,
    /// The leading cause's steps, filled in with what is known when they are told.
    pub steps: Steps,
    /// When the cause was named and the numbers of its evidence were taken.
    pub at: Timestamp,
    /// When the trouble that it explains began.
    pub onset: Timestamp,
    /// Where that can lie.
    pub onset_range: [Timestamp; 2],
    /// What was looked at and found normal, when the steps were filled in.
    pub checked: Vec<String>,
    /// What the incident looked like: for those that come later.
    pub trace: Trace,
}

/// What one cause's evidence came to from one point of view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CauseLooks {
    /// Id of the cause.
    pub cause: String,
    /// From where it was looked.
    pub view: View,
    /// One per piece of its evidence, in its order: seen, not seen, or not known.
    pub seen: Vec<Option<bool>>,
}

/// A cause from the point of view that suits it best.
struct Suspect<'a> {
    cause: &'a Cause,
    logit: f64,
    evidence: Vec<Weighed>,
    /// What earlier incidents of the same look say about it, beside its own evidence.
    precedent: Option<Precedent>,
    culprit: Culprit,
    view: View,
}

/// Weighs every cause against the scene. Cost: O(causes · evidence · series of the scene).
pub fn diagnose(scene: &Scene<'_>) -> Diagnosis {
    let mut suspects = suspects(scene);
    suspects.sort_by(|a, b| b.logit.total_cmp(&a.logit).then(a.cause.id.cmp(&b.cause.id)));
    let mut ranked = posteriors(&suspects);
    let honest = |place: usize| suspects[place].cause.id == UNEXPLAINED;
    // Of two that are as probable the honest one leads.
    let tie = |a: usize, b: usize| honest(b).cmp(&honest(a)).then(a.cmp(&b));
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| tie(a.0, b.0)));
    let Some(leading) = ranked.first().map(|&(i, _)| &suspects[i]) else {
        return Diagnosis::default();
    };
    // The next best is named however improbable: who reads wonders what else it could be.
    let others = ranked.iter().skip(1).map(|&(i, _)| i).filter(|&i| !honest(i));
    let restates = |i: usize| leading.culprit.is_restated_by(&suspects[i].culprit);
    let rival = others.clone().find(|&i| !restates(i)).or(others.clone().next());
    let told = |&&(i, probability): &&(usize, f64)| probability >= TOLD_FROM && Some(i) != rival;
    let mut chosen: Vec<(usize, f64)> =
        ranked.iter().filter(told).take(CAUSES_TOLD - 1).copied().collect();
    chosen.extend(ranked.iter().filter(|&&(i, _)| Some(i) == rival));
    chosen.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| tie(a.0, b.0)));
    let told = |(i, probability)| named((&suspects, &scene.root), i, probability);
    let causes = chosen.into_iter().map(told).collect();
    let service = scene.subject(leading.view);
    let steps = steps::fill(&leading.cause.steps, scene, (&service, &leading.culprit));
    Diagnosis {
        service,
        causes,
        title: title(leading, &scene.root),
        steps,
        at: scene.now,
        onset: scene.onset,
        onset_range: scene.onset_range,
        checked: scene.checked(&in_question(ranked.iter().map(|&(i, _)| suspects[i].cause))),
        trace: trace(scene, &suspects),
    }
}

/// A diagnosis that was made earlier, with its steps filled in as things stand now. The cause and
/// its evidence stay as they were seen near the onset; who acts on it needs the numbers of now.
pub(super) fn renewed(scene: &Scene<'_>, named: &Diagnosis) -> Diagnosis {
    let mut renewed = named.clone();
    let mut told = named.causes.iter().filter_map(|cause| scene.rules.cause(&cause.id)).peekable();
    // Rules may have changed since.
    let lead = named.causes.first().filter(|lead| told.peek().is_some_and(|c| c.id == lead.id));
    if let (Some(lead), Some(cause)) = (lead, told.peek()) {
        renewed.steps = steps::fill(&cause.steps, scene, (&named.service, &lead.culprit));
        renewed.checked = scene.checked(&in_question(told));
    }
    renewed
}

/// The roles that causes speak of, in their order.
fn in_question<'a>(causes: impl Iterator<Item = &'a Cause>) -> Vec<Role> {
    let evidence = causes.flat_map(|cause| &cause.evidence);
    evidence.flat_map(|piece| rests_on(&piece.see)).collect()
}

fn trace(scene: &Scene<'_>, suspects: &[Suspect<'_>]) -> Trace {
    let answers = suspects.iter().map(|suspect| {
        let looked = suspect.cause.evidence.iter().zip(&suspect.evidence);
        let known = looked.filter_map(|(e, weighed)| Some((mark(&e.see), weighed.seen?)));
        (suspect.cause.id.clone(), known.collect::<Vec<_>>())
    });
    Trace {
        root: scene.root.clone(),
        pattern: scene.pattern.clone(),
        answers: answers.filter(|(_, known)| !known.is_empty()).collect(),
    }
}

fn suspects<'a>(scene: &'a Scene<'a>) -> Vec<Suspect<'a>> {
    let mut looks = Looks::new(scene);
    let views = scene.views();
    let best = |cause: &'a Cause, looks: &mut Looks<'a>| {
        let all = views.iter().map(|&view| suspect(scene, view, cause, looks));
        all.reduce(|best, next| if next.logit > best.logit { next } else { best })
    };
    scene.rules.causes.iter().filter_map(|cause| best(cause, &mut looks)).collect()
}

fn suspect<'a>(
    scene: &Scene<'_>,
    view: View,
    cause: &'a Cause,
    looks: &mut Looks<'a>,
) -> Suspect<'a> {
    let mut evidence: Vec<Weighed> =
        cause.evidence.iter().map(|piece| looks.weigh(view, piece)).collect();
    damp(&cause.evidence, &mut evidence);
    let precedent = recurrence::precedent(scene, cause);
    let known = precedent.as_ref().map_or(0.0, |precedent| precedent.llr);
    let logit = cause.prior.ln() + known + evidence.iter().map(|w| w.llr).sum::<f64>();
    let culprit = scene.culprit(view, cause, &evidence);
    Suspect { cause, logit, evidence, precedent, culprit, view }
}

/// What every cause's evidence came to, from both points of view: for whoever counts how often
/// which evidence is seen. Cost: as [`diagnose`].
pub fn looks(scene: &Scene<'_>) -> Vec<CauseLooks> {
    let mut looks = Looks::new(scene);
    let mut all = Vec::new();
    for view in scene.views() {
        for cause in &scene.rules.causes {
            let evidence = cause.evidence.iter();
            let seen = evidence.map(|piece| looks.weigh(view, piece).seen).collect();
            all.push(CauseLooks { cause: cause.id.clone(), view, seen });
        }
    }
    all
}

/// Softmax over the causes; when none is clear, the honest answer takes at least half.
fn posteriors(suspects: &[Suspect<'_>]) -> Vec<(usize, f64)> {
    let top = suspects.iter().map(|s| s.logit).fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> =
        suspects.iter().map(|s| ((s.logit - top) / TEMPERATURE).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let mut shares: Vec<f64> = weights.iter().map(|w| w / sum).collect();
    let Some(honest) = suspects.iter().position(|s| s.cause.id == UNEXPLAINED) else {
        return shares.into_iter().enumerate().collect();
    };
    let mut others: Vec<f64> =
        shares.iter().enumerate().filter(|(i, _)| *i != honest).map(|(_, &p)| p).collect();
    others.sort_by(|a, b| b.total_cmp(a));
    let best = others.first().copied().unwrap_or(0.0);
    // That nothing of the kind explains it is an answer like the others.
    let next = others.get(1).copied().unwrap_or(0.0).max(shares[honest]);
    if (best < CLEAR_MIN || best < CLEAR_RATIO * next) && shares[honest] < CLEAR_MIN {
        let scale = (1.0 - CLEAR_MIN) / (1.0 - shares[honest]);
        for share in &mut shares {
            // Never more than what the honest answer gets, by rounding.
            *share = (*share * scale).min(CLEAR_MIN);
        }
        shares[honest] = CLEAR_MIN;
    }
    shares.into_iter().enumerate().collect()
}

/// The cause's title, and who is to blame where that is not the service itself.
fn title(leading: &Suspect<'_>, root: &str) -> String {
    let culprit = &leading.culprit.service;
    if leading.view == View::Inside && culprit == root {
        leading.cause.title.clone()
    } else {
        format!("{}: {culprit}", leading.cause.title)
    }
}

fn named((suspects, root): (&[Suspect<'_>], &str), who: usize, probability: f64) -> NamedCause {
    let suspect = &suspects[who];
    let sorted = |keep: fn(f64) -> bool| {
        let chosen = suspect.evidence.iter().enumerate().filter(|(_, w)| keep(w.llr));
        let mut chosen: Vec<(f64, &str, String)> = chosen
            .map(|(piece, w)| {
                let weight = weights::weight(suspects, who, piece);
                (weight, w.text.as_str(), weights::told(w, weight))
            })
            .collect();
        let precedent = suspect.precedent.iter().filter(|precedent| keep(precedent.llr));
        chosen.extend(precedent.map(|past| (past.llr, past.text.as_str(), past.text.clone())));
        chosen.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
        // That traffic rises and that it explains the rest is seen in the same movement.
        let mut seen = BTreeSet::new();
        chosen.retain(|(_, text, _)| seen.insert(*text));
        chosen.into_iter().map(|(.., told)| told).collect()
    };
    NamedCause {
        id: suspect.cause.id.clone(),
        // Three digits: more would pretend to a precision that no prior has. Rounded down, or
        // the probabilities of one alert could add up to more than one.
        probability: (probability * 1_000.0 + 1e-9).floor() / 1_000.0,
        culprit: suspect.culprit.clone(),
        evidence_for: sorted(|llr| llr > TOLD_MIN),
        against: sorted(|llr| llr < -TOLD_MIN),
        unknown: unknown::told(&suspect.evidence, root),
    }
}
