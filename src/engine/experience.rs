//! What people's verdicts teach about causes: how usual each is here, and what its evidence is
//! worth here (METHODS 2.9). Computed from the remembered incidents each time, so that a verdict
//! that is taken back leaves no trace, and one that is given twice counts once.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::past::{Ended, Past, mark};
use crate::rules::{Cause, Rules};

/// How many confirmed incidents the rule files' own numbers are worth (METHODS 2.9).
const STRENGTH: f64 = 12.0;

/// The rules as experience has corrected them; the same ones where nobody has confirmed a cause.
///
/// A cause's prior becomes `(12 π + n) / (12 + N)` of the causes' total, with π its share by the
/// rule file, n incidents confirmed as it and N confirmed as any. `likely` becomes
/// `(12 l + s) / (12 + k)` from the k incidents confirmed as the cause in which the evidence was
/// known, s of them seen; `otherwise` the same from the incidents confirmed as another.
///
/// # Cost
/// O(confirmed incidents · evidence), and a copy of the rules; O(incidents) where none is
/// confirmed.
///
/// # Source
/// Posterior means of a Dirichlet and of beta distributions: Gelman et al. (2013), Bayesian Data
/// Analysis, sections 2.4 and 3.4.
pub(super) fn corrected(rules: &Arc<Rules>, past: &Past) -> Arc<Rules> {
    let known = |id: &str| rules.causes.iter().any(|cause| cause.id == id);
    let confirmed: Vec<(&str, &Ended)> = past
        .incidents()
        .filter_map(|incident| Some((incident.confirmed()?, incident)))
        .filter(|(cause, _)| known(cause))
        .collect();
    if confirmed.is_empty() {
        return rules.clone();
    }
    let mut corrected = Rules::clone(rules);
    let total: f64 = rules.causes.iter().map(|cause| cause.prior).sum();
    let all = confirmed.len() as f64;
    for cause in &mut corrected.causes {
        let own = confirmed.iter().filter(|(id, _)| *id == cause.id).count() as f64;
        cause.prior = total * (STRENGTH * cause.prior / total + own) / (STRENGTH + all);
        correct_evidence(cause, &confirmed);
    }
    Arc::new(corrected)
}

/// Seen, and known.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    seen: f64,
    known: f64,
}

impl Counts {
    fn corrected(self, by_file: f64) -> f64 {
        (STRENGTH * by_file + self.seen) / (STRENGTH + self.known)
    }
}

fn correct_evidence(cause: &mut Cause, confirmed: &[(&str, &Ended)]) {
    // By what is looked for: under the cause, and under others.
    let mut counts: BTreeMap<u32, [Counts; 2]> = BTreeMap::new();
    for (id, incident) in confirmed {
        let other = usize::from(*id != cause.id);
        for &(mark, seen) in incident.trace.answers.get(&cause.id).into_iter().flatten() {
            let counts = &mut counts.entry(mark).or_default()[other];
            counts.known += 1.0;
            counts.seen += f64::from(u8::from(seen));
        }
    }
    for evidence in &mut cause.evidence {
        let Some([own, others]) = counts.get(&mark(&evidence.see)) else { continue };
        let speaks_for = evidence.likely > evidence.otherwise;
        let likely = own.corrected(evidence.likely);
        let otherwise = others.corrected(evidence.otherwise);
        // A few incidents may show that evidence is worth nothing. That it means the opposite of
        // what its author wrote takes more than that: then it says nothing.
        let turned = (likely > otherwise) != speaks_for;
        let middle = f64::midpoint(likely, otherwise);
        (evidence.likely, evidence.otherwise) =
            if turned { (middle, middle) } else { (likely, otherwise) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::past::tests::ended;
    use crate::rules::{Evidence, Role, RoleState, See, Steps};
    use crate::series::Verdict;

    const SEE: See = See::RoleIs { role: Role::Retries, is: RoleState::Rising };

    fn rules() -> Arc<Rules> {
        let cause = |id: &str, prior| Cause {
            id: id.to_owned(),
            title: String::new(),
            explain: String::new(),
            prior,
            evidence: vec![Evidence { see: SEE, likely: 0.8, otherwise: 0.2 }],
            steps: Steps::default(),
        };
        let causes = vec![cause("overload", 0.1), cause("bad-deploy", 0.3)];
        Arc::new(Rules { causes, ..Rules::default() })
    }

    fn past(cases: &[(Verdict, Option<&str>, bool)]) -> Past {
        let mut past = Past::default();
        for (days, &(verdict, cause, seen)) in (0..).zip(cases) {
            let mut incident = ended(days, Some((verdict, cause)));
            for id in ["overload", "bad-deploy"] {
                incident.trace.answers.insert(id.to_owned(), vec![(mark(&SEE), seen)]);
            }
            past.remember(incident);
        }
        past
    }

    #[test]
    fn without_a_confirmed_cause_the_rule_files_stand() {
        let nothing_known = past(&[
            (Verdict::Useful, None, true),
            (Verdict::Duplicate, Some("overload"), true),
            (Verdict::Useful, Some("not-in-the-rules"), true),
        ]);
        assert_eq!(corrected(&rules(), &nothing_known), rules());
    }

    #[test]
    fn priors_and_likelihoods_move_by_the_formula() {
        let confirmed = past(&[
            (Verdict::Useful, Some("overload"), false),
            (Verdict::Expected, Some("overload"), true),
            (Verdict::Useful, Some("bad-deploy"), true),
        ]);
        let learned = corrected(&rules(), &confirmed);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        let [overload, deploy] = &learned.causes[..] else { unreachable!("two causes") };
        near(overload.prior, 0.4 * (12.0 * 0.25 + 2.0) / 15.0);
        near(deploy.prior, 0.4 * (12.0 * 0.75 + 1.0) / 15.0);
        near(overload.prior + deploy.prior, 0.4);
        near(overload.evidence[0].likely, (12.0 * 0.8 + 1.0) / 14.0);
        near(overload.evidence[0].otherwise, (12.0 * 0.2 + 1.0) / 13.0);
        near(deploy.evidence[0].likely, (12.0 * 0.8 + 1.0) / 13.0);
        near(deploy.evidence[0].otherwise, (12.0 * 0.2 + 1.0) / 14.0);
    }

    #[test]
    fn evidence_can_lose_its_worth_and_never_turns_around() {
        let never_seen = past(&[(Verdict::Useful, Some("overload"), false); 60]);
        let learned = corrected(&rules(), &never_seen);
        let evidence = &learned.causes[0].evidence[0];
        assert!((evidence.likely - evidence.otherwise).abs() < 1e-12, "{evidence:?}");
        assert!(evidence.likely > 0.0);
        let elsewhere = &learned.causes[1].evidence[0];
        assert!(elsewhere.likely > elsewhere.otherwise);
    }
}
