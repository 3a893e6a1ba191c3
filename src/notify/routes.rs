//! Which alerts go where: decided once, when the alert is decided, and kept in the outbox.

use std::collections::{BTreeMap, BTreeSet};

use super::receiver::ReceiverConfig;
use crate::engine::alert::{Alert, Severity, State};

/// Alerts that match go to these receivers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Severities; empty for all.
    pub severities: Vec<Severity>,
    /// Services, any of which the incident touches; empty for all.
    pub services: Vec<String>,
    /// Ids of causes, one of which must lead; empty for all.
    pub causes: Vec<String>,
    /// Names of receivers.
    pub to: Vec<String>,
}

/// Who was told of each incident, by name of target.
pub type Told = BTreeMap<String, BTreeSet<String>>;

/// The receivers of an alert by its routes alone, each once, in the order of the routes.
pub fn route(alert: &Alert, routes: &[Route]) -> Vec<String> {
    let mut receivers: Vec<String> = Vec::new();
    for route in routes.iter().filter(|route| matches(alert, route)) {
        for receiver in &route.to {
            if !receivers.contains(receiver) {
                receivers.push(receiver.clone());
            }
        }
    }
    receivers
}

/// The deliveries of a tick's alerts: name of target, index of alert.
///
/// - `firing` goes where its routes say.
/// - `updated` goes there too, and to everybody told before: whoever knows of an incident must
///   not keep a wrong picture of it, and whoever its new severity concerns must hear of it.
/// - `resolved` goes to those told before and to nobody else.
///
/// `told` holds what the store knows of the incidents in `alerts` and is brought up to date, so
/// that an incident which begins and ends within one batch is told whole.
pub fn plan(
    alerts: &[Alert],
    routes: &[Route],
    receivers: &[ReceiverConfig],
    told: &mut Told,
) -> Vec<(String, usize)> {
    let mut deliveries = Vec::new();
    let known: Vec<String> = receivers.iter().flat_map(ReceiverConfig::targets).collect();
    for (index, alert) in alerts.iter().enumerate() {
        let told = told.entry(alert.incident.clone()).or_default();
        let matching = route(alert, routes);
        let routed: Vec<String> = matching
            .iter()
            .filter_map(|name| receivers.iter().find(|r| r.name == *name))
            .flat_map(ReceiverConfig::targets)
            .collect();
        let to: Vec<&String> = known
            .iter()
            .filter(|target| match alert.state {
                State::Firing => routed.contains(target),
                State::Updated => routed.contains(target) || told.contains(*target),
                State::Resolved => told.contains(*target),
            })
            .collect();
        for target in to {
            told.insert(target.clone());
            deliveries.push((target.clone(), index));
        }
    }
    deliveries
}

fn matches(alert: &Alert, route: &Route) -> bool {
    let leading = alert.causes.first().map(|cause| &cause.id);
    let severity = route.severities.is_empty() || route.severities.contains(&alert.severity);
    let service = route.services.is_empty()
        || route.services.contains(&alert.service)
        || alert.services.iter().any(|service| route.services.contains(service));
    let cause = route.causes.is_empty() || leading.is_some_and(|id| route.causes.contains(id));
    severity && service && cause
}
