//! What grayflag needs to know about the fleet: its signals, every cause of the catalogue, who
//! calls whom, what users expect, and where deploys and other changes show. It is in the program, so that a demo
//! needs no file.

use std::collections::BTreeMap;

use super::{ERRORS_OBJECTIVE, LATENCY_OBJECTIVE, topology};
use crate::problem::Problems;
use crate::rules::{self, ChangeBy, ChangeRule, Rules, Service};
use crate::series::ChangeKind;

/// The services whose answers users see.
const FACING_USERS: [&str; 2] = ["web", "checkout"];

/// The rules for watching the fleet, with the budget at its default.
///
/// # Errors
///
/// What is wrong with the files that the program carries; tests keep this from happening.
pub fn rules() -> Result<Rules, Problems> {
    let (set, problems) = rules::load(&rules::builtin_lab());
    if problems.has_errors() {
        return Err(problems);
    }
    let mut services: BTreeMap<String, Service> = BTreeMap::new();
    for (caller, callee) in topology() {
        services.entry(caller.to_owned()).or_default().depends_on.push(callee.to_owned());
    }
    for name in FACING_USERS {
        let service = services.entry(name.to_owned()).or_default();
        service.objective_latency = Some(LATENCY_OBJECTIVE);
        service.objective_errors = Some(ERRORS_OBJECTIVE);
    }
    let change = |kind, query: &str, by| ChangeRule {
        kind,
        query: query.to_owned(),
        service: "service".to_owned(),
        by,
        lasts: None,
    };
    let changes = vec![
        change(ChangeKind::Deploy, "lab_build_info", ChangeBy::Appears("version".to_owned())),
        change(ChangeKind::Config, "lab_config_version", ChangeBy::Step),
        change(ChangeKind::Migration, "lab_migration", ChangeBy::Timestamp),
        change(ChangeKind::Maintenance, "lab_maintenance", ChangeBy::Timestamp),
    ];
    Ok(Rules { signals: set.signals, causes: set.causes, services, changes, ..Rules::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_whole() {
        let rules = rules().unwrap();
        assert!(rules.signals.iter().all(|signal| signal.query.starts_with("lab_")));
        assert_eq!(rules.services["checkout"].depends_on, ["payments", "orders-db", "worker"]);
        assert_eq!(rules.services["checkout"].objective_latency, Some(1.2));
    }
}
