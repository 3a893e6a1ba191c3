//! What would have been seen earlier: roles that nothing measured or that had fallen silent,
//! objectives that nobody set, and moves that were too small to count.

use std::collections::{BTreeMap, BTreeSet};

use super::timeline::{first_word, is_same};
use super::{Case, Watched};
use crate::coverage::{Coverage, State};
use crate::engine::alert::MovedSignal;
use crate::engine::diagnose::{UNEXPLAINED, rests_on};
use crate::format;
use crate::rules::{Role, Rules};

/// Services whose gaps are told: the one in question and those nearest to it.
const SERVICES_MAX: usize = 4;
/// Packs named for one gap.
const PACKS_MAX: usize = 4;
/// Moves told that were too small to count.
const HELD_MAX: usize = 4;

/// Something that was not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// What was missing.
    pub(super) what: String,
    /// What to do about it.
    pub(super) action: String,
}

/// Everything that would have helped, the service in question first.
pub(super) fn gaps(case: &Case<'_>, watched: &Watched) -> Vec<Gap> {
    let mut services: Vec<&str> = case.subject.services.iter().map(String::as_str).collect();
    services.sort_by_key(|name| *name != case.subject.service);
    services.truncate(SERVICES_MAX);
    let mut gaps: Vec<Gap> = earlier(case, watched, &services);
    if let Some(coverage) = &case.coverage {
        gaps.extend(services.iter().flat_map(|name| unseen(coverage, name)));
        gaps.extend(unmeasured(coverage, &services, &roles_wanted(case)));
    }
    gaps.extend(services.iter().filter_map(|name| no_objective(case.rules, name)));
    gaps
}

/// The roles that would tell the causes in question from others.
fn roles_wanted(case: &Case<'_>) -> BTreeSet<&'static str> {
    let named = |id: &str| case.subject.shown.causes.iter().any(|cause| cause.id == id);
    let any = case.subject.shown.causes.iter().all(|cause| cause.id == UNEXPLAINED);
    let causes = case.rules.causes.iter().filter(|cause| any || named(&cause.id));
    let roles = causes.flat_map(|cause| &cause.evidence).flat_map(|one| rests_on(&one.see));
    roles.map(Role::name).collect()
}

/// A service without any data, or roles of it that had some before.
fn unseen(coverage: &Coverage, name: &str) -> Vec<Gap> {
    let Some(service) = coverage.services.iter().find(|service| service.service == name) else {
        return vec![Gap {
            what: format!("{name}: no signal had data"),
            action: format!("Give {name} signals: `grayflag discover` says which packs fit."),
        }];
    };
    let silent = service.roles.iter().filter(|covered| covered.state == State::Silent);
    let told = silent.map(|covered| {
        let (signals, role) = (covered.signals.join(", "), &covered.role);
        Gap {
            what: format!("{name}: {role} was silent at the time ({signals} had data before)"),
            action: format!("Find out why {signals} of {name} has no data."),
        }
    });
    told.collect()
}

/// Roles that nothing gives, those that the same services lack in one entry.
fn unmeasured(coverage: &Coverage, services: &[&str], wanted: &BTreeSet<&'static str>) -> Vec<Gap> {
    let mut lacking: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in services {
        let known = coverage.services.iter().find(|service| service.service == **name);
        for covered in known.iter().flat_map(|service| &service.roles) {
            if covered.state == State::Missing && wanted.contains(covered.role.as_str()) {
                lacking.entry(&covered.role).or_default().push(name);
            }
        }
    }
    let mut groups: BTreeMap<Vec<&str>, Vec<&str>> = BTreeMap::new();
    for (role, services) in lacking {
        groups.entry(services).or_default().push(role);
    }
    let told = groups.into_iter().map(|(services, roles)| {
        let (services, names) = (services.join(", "), roles.join(", "));
        let packs = packs_for(coverage, &roles);
        let from =
            if packs.is_empty() { String::new() } else { format!(", for example with {packs}") };
        Gap {
            what: format!("{services}: {names} not measured, which would tell these causes apart"),
            action: format!("Measure {names} of {services}{from}."),
        }
    });
    told.collect()
}

/// The packs that give the most of these roles.
fn packs_for(coverage: &Coverage, roles: &[&str]) -> String {
    let mut given: BTreeMap<&str, usize> = BTreeMap::new();
    for pack in roles.iter().filter_map(|role| coverage.packs.get(*role)).flatten() {
        *given.entry(pack).or_default() += 1;
    }
    let mut packs: Vec<(&str, usize)> = given.into_iter().collect();
    packs.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let names: Vec<&str> = packs.into_iter().take(PACKS_MAX).map(|(name, _)| name).collect();
    if names.is_empty() { String::new() } else { format!("the packs {}", names.join(", ")) }
}

fn no_objective(rules: &Rules, name: &str) -> Option<Gap> {
    let said = rules.services.get(name);
    if said.is_some_and(|s| s.objective_latency.is_some() || s.objective_errors.is_some()) {
        return None;
    }
    // Users feel what nobody calls; inside, an objective is a matter of taste.
    let called = rules
        .services
        .values()
        .any(|service| service.depends_on.iter().any(|callee| callee == name));
    (!called).then(|| Gap {
        what: format!("{name}: no objective is set; what its users notice is guessed from history"),
        action: format!("Set an `objective` for {name}."),
    })
}

/// Moves that were clear before the first word and did not count.
fn earlier(case: &Case<'_>, watched: &Watched, services: &[&str]) -> Vec<Gap> {
    let first = first_word(case, watched);
    let before = |at| first.is_none_or(|alert| alert.started_at <= at && at < alert.at);
    let mut gaps: Vec<(MovedSignal, Gap)> = Vec::new();
    for name in services {
        let Some(course) = watched.courses.all.get(*name) else { continue };
        for look in course.timeline().into_iter().filter(|look| before(look.at)) {
            let Some((held, too_small)) = look.appraisal.held() else { continue };
            let signal = &held.signal;
            let known = |(other, _): &(MovedSignal, Gap)| is_same(other, signal);
            if held.notice.is_none_or(|notice| notice < 1.0) || gaps.iter().any(known) {
                continue;
            }
            let at = format::clock(look.at, case.at, case.zone);
            let what = format!(
                "{} {} was beyond the height of a notice at {at} and did not count: it {too_small}",
                signal.service, signal.signal
            );
            let (service, name) = (&signal.service, &signal.signal);
            let action = format!(
                "Consider a smaller `min_effect` for {name}, if such a move of {service} matters."
            );
            gaps.push((signal.clone(), Gap { what, action }));
        }
    }
    gaps.into_iter().take(HELD_MAX).map(|(_, gap)| gap).collect()
}
