//! How much a piece of evidence says: alone, beside others about the same thing, and against the
//! causes that are still in question.

use crate::engine::diagnose::Suspect;
use crate::engine::diagnose::evidence::{Gap, Looked};
use crate::rules::{Evidence, Role, See};
use crate::series::Labels;

/// One piece of evidence never says more than this: ln 50. ln 12 (METHODS 2.9) was too little for
/// what defines a cause to be heard among twenty others.
pub(super) const LLR_MAX: f64 = 3.912_023_005_428_146;
/// Of several pieces about the same role the strongest counts in full and every further one this
/// much: what rests on one series is not independent (METHODS 2.9).
const SAME_ROLE_FACTOR: f64 = 0.5;
/// From this weight on a piece is told as strong: it makes the cause four times as probable as it
/// would be without, or a quarter.
const STRONG_MIN: f64 = 1.386_294_361_119_890_6;
/// How that is told.
const STRONG: &str = " [strong]";

/// One piece of evidence, looked up.
#[derive(Clone, Debug)]
pub(super) struct Weighed {
    /// For a person.
    pub(super) text: String,
    /// Whether it was seen; none: not known.
    pub(super) seen: Option<bool>,
    /// Natural logarithm of P(what is) under this cause over P under others; 0 when not known.
    pub(super) llr: f64,
    /// P(what is) under this cause and under another.
    chances: [f64; 2],
    /// Labels that narrow the culprit down.
    pub(super) names: Labels,
    /// Why it is not known, where `text` does not say.
    pub(super) gap: Option<Gap>,
}

impl Weighed {
    /// Weighs what was looked up.
    pub(super) fn new(evidence: &Evidence, looked: &Looked) -> Self {
        // Where chance gives as much as what would bring it, seeing it says nothing; it never says
        // the opposite, nor does its absence.
        let Evidence { mut likely, mut otherwise, .. } = *evidence;
        if let Some(chance) = looked.chance {
            if likely < otherwise {
                likely = chance.clamp(likely, otherwise);
            } else {
                otherwise = chance.clamp(otherwise, likely);
            }
        }
        let chances = match looked.seen {
            Some(true) => [likely, otherwise],
            Some(false) => [1.0 - likely, 1.0 - otherwise],
            None => [1.0; 2],
        };
        let llr = (chances[0] / chances[1]).ln().clamp(-LLR_MAX, LLR_MAX);
        let Looked { seen, text, names, gap, .. } = looked.clone();
        Self { text, seen, llr, chances, names, gap }
    }
}

/// Takes from pieces that rest on the same role as a stronger one that says the same.
pub(super) fn damp(evidence: &[Evidence], weighed: &mut [Weighed]) {
    let mut order: Vec<usize> = (0..weighed.len()).collect();
    order.sort_by(|&a, &b| weighed[b].llr.abs().total_cmp(&weighed[a].llr.abs()).then(a.cmp(&b)));
    let mut counted: Vec<(Role, bool)> = Vec::new();
    for place in order {
        let speaks_for = weighed[place].llr > 0.0;
        let roles = rests_on(&evidence[place].see);
        if roles.iter().any(|&role| counted.contains(&(role, speaks_for))) {
            weighed[place].llr *= SAME_ROLE_FACTOR;
        }
        if weighed[place].llr != 0.0 {
            counted.extend(roles.into_iter().map(|role| (role, speaks_for)));
        }
    }
}

/// The roles that a piece of evidence rests on, one for all that measure the same thing.
pub fn rests_on(see: &See) -> Vec<Role> {
    let roles = match see {
        See::RoleIs { role, .. } => vec![*role],
        See::Order { first, then, .. } => vec![*first, *then],
        See::PeerApart { of } | See::ValueDominates { of, .. } => of.iter().copied().collect(),
        See::TrafficExplains | See::TrafficKnee => vec![Role::Traffic],
        See::NewVersionWorse | See::VersionsMixed => vec![Role::Version],
        See::GoodputFlatWhileAttemptsGrow | See::LoopClosing => vec![Role::Attempts],
        See::Change { .. }
        | See::WindowsWorse { .. }
        | See::Services { .. }
        | See::CalleeAnomalous
        | See::Dependencies { .. }
        | See::InsideMoved
        | See::AtBoundary
        | See::RecursByClock => vec![],
    };
    roles.into_iter().map(one_of_its_kind).collect()
}

/// One role for all that measure the same thing.
pub const fn one_of_its_kind(role: Role) -> Role {
    match role {
        Role::LatencyTypical => Role::Latency,
        Role::PoolUse => Role::PoolWait,
        Role::QueueDepth => Role::QueueAge,
        role => role,
    }
}

/// How much a piece of a suspect's evidence says against the other suspects that are left without
/// it: `w = ln P(s|c) − ln Σ P(c'|rest) P(s|c')`, the sum over all other causes. Where another cause
/// says nothing of this kind, what the piece says of others holds for it.
///
/// # Cost
/// O(causes · evidence).
///
/// # Source
/// The weight of evidence, Good (1950), Probability and the Weighing of Evidence, chapter 6.
pub(super) fn weight(suspects: &[Suspect<'_>], who: usize, piece: usize) -> f64 {
    let weighed = &suspects[who].evidence[piece];
    let see = &suspects[who].cause.evidence[piece].see;
    let [likely, otherwise] = weighed.chances;
    let others = suspects.iter().enumerate().filter(|(i, _)| *i != who).map(|(_, other)| {
        // Another point of view is another look: it says nothing about this one.
        let same = other.cause.evidence.iter().zip(&other.evidence).find(|(evidence, own)| {
            other.view == suspects[who].view && evidence.see == *see && own.seen == weighed.seen
        });
        match same {
            Some((_, own)) => (other.logit - own.llr, own.chances[0]),
            None => (other.logit, otherwise),
        }
    });
    let others: Vec<(f64, f64)> = others.collect();
    let top = others.iter().map(|(logit, _)| *logit).fold(f64::NEG_INFINITY, f64::max);
    let shares = others.iter().map(|(logit, chance)| ((logit - top).exp(), chance));
    let (sum, mean) = shares.fold((0.0, 0.0), |(sum, mean), (p, c)| (sum + p, mean + p * c));
    if sum > 0.0 { (likely / (mean / sum)).ln() } else { weighed.llr }
}

/// The text of a piece for a person, and whether it is strong.
pub(super) fn told(weighed: &Weighed, weight: f64) -> String {
    let strong = weight.abs() >= STRONG_MIN && (weight > 0.0) == (weighed.llr > 0.0);
    format!("{}{}", weighed.text, if strong { STRONG } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RoleState;

    fn piece(role: Role, likely: f64, seen: Option<bool>) -> (Evidence, Weighed) {
        let see = See::RoleIs { role, is: RoleState::Rising };
        let evidence = Evidence { see, likely, otherwise: 0.1 };
        let weighed = Weighed::new(&evidence, &Looked::new(seen, String::new()));
        (evidence, weighed)
    }

    #[test]
    fn what_rests_on_the_same_role_and_says_the_same_counts_half() {
        let (evidence, mut weighed): (Vec<_>, Vec<_>) = [
            piece(Role::PoolUse, 0.4, Some(true)),
            piece(Role::PoolWait, 0.8, Some(true)),
            piece(Role::PoolWait, 0.6, Some(false)),
            piece(Role::Cpu, 0.4, Some(true)),
            piece(Role::Cpu, 0.9, None),
        ]
        .into_iter()
        .unzip();
        let plain: Vec<f64> = weighed.iter().map(|w| w.llr).collect();
        damp(&evidence, &mut weighed);
        for (place, share) in [0.5, 1.0, 1.0, 1.0].into_iter().enumerate() {
            assert!((weighed[place].llr - share * plain[place]).abs() < 1e-12, "{place}");
        }
        assert!(weighed[4].llr.abs() < 1e-12, "what is not known stands in nobody's way");
    }

    #[test]
    fn what_chance_gives_proves_nothing_in_either_direction() {
        let weight = |likely, otherwise, chance| {
            let see = See::AtBoundary;
            let looked = Looked { chance: Some(chance), ..Looked::new(Some(true), String::new()) };
            Weighed::new(&Evidence { see, likely, otherwise }, &looked).llr
        };
        assert!(weight(0.9, 0.1, 0.0) > 2.0 && weight(0.1, 0.9, 0.0) < -2.0);
        for chance in [0.9, 1.0] {
            assert!(weight(0.9, 0.1, chance).abs() < 1e-12, "for a cause");
            assert!(weight(0.1, 0.9, chance).abs() < 1e-12, "against a cause");
        }
    }
}
