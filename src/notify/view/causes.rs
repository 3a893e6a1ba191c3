//! The causes of an alert as its messages show them: the strongest reasons, and no more of them
//! than a tired person reads.

use serde::Serialize;

use super::{LIST_MAX, clean, with_labels};
use crate::engine::alert::{Alert, Culprit, NOT_EXPLAINED, NOT_MEASURED, NOT_REPORTED, NamedCause};
use crate::format;
use crate::rules::UNEXPLAINED;

/// What is told of the cause that leads.
const LEADING: Reasons = Reasons { supports: 5, against: 3, unknown: 2 };
/// What is told of the others: enough to see why they do not lead.
const OTHER: Reasons = Reasons { supports: 2, against: 2, unknown: 0 };

/// Of a cause more probable than this, others are told in one line.
const SURE_MIN: f64 = 0.9;
/// A cause less probable than this is not worth a reader's time, unless it leads.
const OTHER_MIN: f64 = 0.03;

/// A cause.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cause {
    /// Its name in words.
    pub name: String,
    /// How sure, as a number.
    pub probability: String,
    /// How sure, in words.
    pub likelihood: &'static str,
    /// What is to blame.
    pub culprit: String,
    /// The strongest evidence for it.
    pub supports: Vec<String>,
    /// The strongest evidence against it.
    pub against: Vec<String>,
    /// What could not be looked up; of the leading cause only.
    pub unknown: Vec<String>,
    /// What nobody measures or reports; of the leading cause only.
    pub blind: Option<String>,
    /// What moved and is no part of what the cause does; of the leading cause only.
    pub unexplained: Option<String>,
}

impl Cause {
    /// In a few words: `18% bad deploy: payments`.
    pub fn short(&self) -> String {
        format!("{} {}: {}", self.probability, self.name, self.culprit)
    }
}

/// How many entries of a cause's lists are told.
#[derive(Clone, Copy)]
struct Reasons {
    supports: usize,
    against: usize,
    unknown: usize,
}

pub(super) fn causes(alert: &Alert) -> Vec<Cause> {
    let causes = &alert.causes;
    let told = std::iter::once(LEADING).chain(std::iter::repeat(OTHER));
    let listed = |(place, c): &(usize, &NamedCause)| *place == 0 || is_listed(causes, c);
    let listed = causes.iter().enumerate().filter(listed).take(LIST_MAX);
    listed.zip(told).map(|((_, c), told)| cause(c, &alert.service, told)).collect()
}

/// Whether a cause that does not lead is told with its reasons.
fn is_listed(causes: &[NamedCause], other: &NamedCause) -> bool {
    !is_sure(causes) && other.probability >= OTHER_MIN
}

/// Whether the first cause leaves so little to others that one line about them is enough.
fn is_sure(causes: &[NamedCause]) -> bool {
    causes.first().is_some_and(|c| c.id != UNEXPLAINED && c.probability > SURE_MIN)
}

/// The next best known cause beside a known one that leads, with what speaks against it the most,
/// where it is not among those that are told with their reasons: whoever opens one message of an
/// incident, be it the last, learns what else it could be.
pub(super) fn rival(alert: &Alert) -> Option<String> {
    let causes = &alert.causes;
    let lead = causes.first().filter(|lead| lead.id != UNEXPLAINED)?;
    // That others wait for what is to blame is no other cause.
    let restates = |cause: &&NamedCause| lead.culprit.is_restated_by(&cause.culprit);
    let others = causes.iter().skip(1).filter(|cause| cause.id != UNEXPLAINED);
    let next = others.clone().find(|c| !restates(c)).or(others.clone().next());
    let next = next.filter(|next| !is_listed(causes, next))?;
    let told = cause(next, &alert.service, OTHER);
    let against = match told.against.first().or(told.unexplained.as_ref()) {
        Some(against) => format!("against it: {against}"),
        None => "nothing speaks against it, but less for it than for the first".to_owned(),
    };
    Some(clean(&format!("{}; {against}", told.short())))
}

fn cause(cause: &NamedCause, service: &str, told: Reasons) -> Cause {
    let leads = told.unknown > 0;
    let (failed, blind) = split(&cause.unknown, &[NOT_MEASURED, NOT_REPORTED]);
    let (against, unexplained) = split(&cause.against, &[NOT_EXPLAINED]);
    Cause {
        name: clean(&cause.id.replace(['-', '_'], " ")),
        probability: format::probability(cause.probability),
        likelihood: format::likelihood(cause.probability),
        culprit: clean(&blamed(&cause.culprit, service)),
        supports: strongest(&cause.evidence_for, told.supports),
        against: strongest(against, told.against),
        unknown: strongest(failed, told.unknown),
        blind: blind.filter(|_| leads).map(|blind| clean(blind)),
        unexplained: unexplained.filter(|_| leads).map(|signals| clean(signals)),
    }
}

/// Who is blamed in an alert about a service. That service as somebody's dependency is itself, seen
/// from the other side.
fn blamed(culprit: &Culprit, service: &str) -> String {
    let name = with_labels(&culprit.service, &culprit.labels);
    if culprit.service == service && culprit.dependency() == Some(service) {
        format!("{name} as its callers see it")
    } else {
        name
    }
}

/// Reasons come with the strongest first; those left out are weaker, and are in the alert's JSON.
fn strongest(reasons: &[String], most: usize) -> Vec<String> {
    reasons.iter().take(most).map(|reason| clean(reason)).collect()
}

/// The reasons, and apart from them the last one where it begins with one of these.
fn split<'a>(reasons: &'a [String], heads: &[&str]) -> (&'a [String], Option<&'a String>) {
    match reasons.split_last() {
        Some((last, others)) if heads.iter().any(|head| last.starts_with(head)) => {
            (others, Some(last))
        }
        _ => (reasons, None),
    }
}
