//! Names the probable cause of an incident from what is known near its onset, with the evidence
//! for and against, or says that no cause is clear.
//!
//! Nothing here knows a particular cause: causes are rules. Each is scored by likelihood ratios
//! (naive Bayes) from two points of view, that of the service in which the trouble begins and
//! that of its callers (METHODS 2.9).

mod evidence;
mod scene;
mod steps;

use serde::{Deserialize, Serialize};

use crate::engine::alert::{Culprit, NamedCause};
use crate::rules::{Cause, Steps};

pub use crate::rules::UNEXPLAINED;
pub use scene::{Scene, View};

/// A cause below this posterior is not called clear.
const CLEAR_MIN: f64 = 0.5;
/// Nor is one that is not this much more probable than the next.
const CLEAR_RATIO: f64 = 1.5;
/// One piece of evidence never says more than this: ln 12 (METHODS 2.9).
const LLR_MAX: f64 = 2.484_906_649_788;
/// Evidence that says less than this is weighed and not told.
const TOLD_MIN: f64 = 0.15;
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
    /// The leading cause's steps, filled in.
    pub steps: Steps,
    /// What was looked at and found normal.
    pub checked: Vec<String>,
}

/// One piece of evidence, looked up.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weighed {
    /// For a person.
    text: String,
    /// Natural logarithm of P(what is) under this cause over P under others; none: not known.
    llr: Option<f64>,
}

/// A cause from the point of view that suits it best.
struct Suspect<'a> {
    cause: &'a Cause,
    logit: f64,
    evidence: Vec<Weighed>,
    culprit: Culprit,
    view: View,
}

/// Weighs every cause against the scene. Cost: O(causes · evidence · series of the scene).
pub fn diagnose(scene: &Scene<'_>) -> Diagnosis {
    let mut suspects: Vec<Suspect<'_>> =
        scene.rules.causes.iter().map(|cause| suspect(scene, cause)).collect();
    suspects.sort_by(|a, b| b.logit.total_cmp(&a.logit).then(a.cause.id.cmp(&b.cause.id)));
    let mut ranked = posteriors(&suspects);
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let Some(leading) = ranked.first().map(|&(i, _)| &suspects[i]) else {
        return Diagnosis::default();
    };
    let causes = ranked
        .iter()
        .filter(|(_, probability)| *probability >= 0.01)
        .take(CAUSES_TOLD)
        .map(|&(i, probability)| named(&suspects[i], probability))
        .collect();
    let service = scene.subject(leading.view);
    let steps = steps::fill(&leading.cause.steps, scene, (&service, &leading.culprit));
    Diagnosis {
        service,
        causes,
        title: title(leading, &scene.root),
        steps,
        checked: scene.checked(),
    }
}

fn suspect<'a>(scene: &Scene<'_>, cause: &'a Cause) -> Suspect<'a> {
    scene
        .views()
        .into_iter()
        .map(|view| {
            let evidence: Vec<Weighed> =
                cause.evidence.iter().map(|e| evidence::weigh(scene, view, e)).collect();
            let logit = cause.prior.ln() + evidence.iter().filter_map(|w| w.llr).sum::<f64>();
            let culprit = scene.culprit(view, cause);
            Suspect { cause, logit, evidence, culprit, view }
        })
        .reduce(|best, next| if next.logit > best.logit { next } else { best })
        .unwrap_or_else(|| Suspect {
            cause,
            logit: cause.prior.ln(),
            evidence: Vec::new(),
            culprit: Culprit::default(),
            view: View::Inside,
        })
}

/// Softmax over the causes; when none is clear, the honest answer takes at least half.
fn posteriors(suspects: &[Suspect<'_>]) -> Vec<(usize, f64)> {
    let top = suspects.iter().map(|s| s.logit).fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = suspects.iter().map(|s| (s.logit - top).exp()).collect();
    let sum: f64 = weights.iter().sum();
    let mut shares: Vec<f64> = weights.iter().map(|w| w / sum).collect();
    let Some(honest) = suspects.iter().position(|s| s.cause.id == UNEXPLAINED) else {
        return shares.into_iter().enumerate().collect();
    };
    let mut others: Vec<f64> =
        shares.iter().enumerate().filter(|(i, _)| *i != honest).map(|(_, &p)| p).collect();
    others.sort_by(|a, b| b.total_cmp(a));
    let best = others.first().copied().unwrap_or(0.0);
    let next = others.get(1).copied().unwrap_or(0.0);
    if (best < CLEAR_MIN || best < CLEAR_RATIO * next) && shares[honest] < CLEAR_MIN {
        let scale = (1.0 - CLEAR_MIN) / (1.0 - shares[honest]);
        for share in &mut shares {
            *share *= scale;
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

fn named(suspect: &Suspect<'_>, probability: f64) -> NamedCause {
    let sorted = |keep: fn(f64) -> bool| {
        let mut chosen: Vec<&Weighed> =
            suspect.evidence.iter().filter(|w| w.llr.is_some_and(keep)).collect();
        chosen.sort_by(|a, b| {
            let size = |w: &Weighed| w.llr.unwrap_or(0.0).abs();
            size(b).total_cmp(&size(a))
        });
        chosen.into_iter().map(|w| w.text.clone()).collect()
    };
    NamedCause {
        id: suspect.cause.id.clone(),
        // Three digits: more would pretend to a precision that no prior has. Rounded down, or
        // the probabilities of one alert could add up to more than one.
        probability: (probability * 1_000.0 + 1e-9).floor() / 1_000.0,
        culprit: suspect.culprit.clone(),
        evidence_for: sorted(|llr| llr > TOLD_MIN),
        against: sorted(|llr| llr < -TOLD_MIN),
        unknown: suspect
            .evidence
            .iter()
            .filter(|w| w.llr.is_none())
            .map(|w| w.text.clone())
            .collect(),
    }
}

/// ln(likely / otherwise) when seen, ln of the complements when not, within ±ln 12.
fn likelihood_ratio(seen: bool, likely: f64, otherwise: f64) -> f64 {
    let ratio = if seen { likely / otherwise } else { (1.0 - likely) / (1.0 - otherwise) };
    ratio.ln().clamp(-LLR_MAX, LLR_MAX)
}
