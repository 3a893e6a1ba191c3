//! Who gets what, with everything that it depends on: the configuration, what the store knows and
//! which work was announced.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::engine::Engine;
use crate::engine::alert::Alert;
use crate::notify::receiver::ReceiverConfig;
use crate::notify::routes::{Policy, Quiet, Route, Told, plan};
use crate::rules::{Maintenance, Service};
use crate::series::{Change, ChangeKind};
use crate::store::{Dispatch, Silence, Store, StoreError};
use crate::time::Timestamp;

/// The part of the configuration that decides who gets what.
#[derive(Clone, Debug)]
pub struct Routing {
    routes: Vec<Route>,
    receivers: Vec<ReceiverConfig>,
    quiet: BTreeMap<String, Quiet>,
    services: BTreeMap<String, Service>,
    maintenance: Vec<Maintenance>,
}

impl Routing {
    /// What the configuration says.
    pub fn of(config: &Config) -> Self {
        Self {
            routes: config.routes.clone(),
            receivers: config.receivers.clone(),
            quiet: config.quiet.clone(),
            services: config.rules.services.clone(),
            maintenance: config.rules.maintenance.clone(),
        }
    }

    /// The work that was announced to an engine.
    pub(super) fn planned(engine: &Engine) -> Vec<Change> {
        let changes = engine.changes().iter();
        changes.filter(|change| change.kind == ChangeKind::Maintenance).cloned().collect()
    }

    /// The deliveries of alerts that are decided now, with what the store knows.
    pub(super) fn plan(
        &self,
        store: &Store,
        alerts: &[Alert],
        planned: &[Change],
        now: Timestamp,
    ) -> Result<Vec<Dispatch>, StoreError> {
        if alerts.is_empty() {
            return Ok(Vec::new());
        }
        let mut told = Told::new();
        for alert in alerts {
            told.insert(alert.incident.clone(), store.told(&alert.incident)?);
        }
        let silences = store.open_silences(now)?;
        Ok(plan(alerts, &self.policy(&silences, planned, now), &mut told))
    }

    /// What decides, at an instant, with these silences and announced changes.
    pub fn policy<'a>(
        &'a self,
        silences: &'a [Silence],
        changes: &'a [Change],
        now: Timestamp,
    ) -> Policy<'a> {
        Policy {
            routes: &self.routes,
            receivers: &self.receivers,
            quiet: &self.quiet,
            services: &self.services,
            maintenance: &self.maintenance,
            changes,
            silences,
            now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::alert::State;
    use crate::matcher::Matcher;
    use crate::notify::post::PostConfig;
    use crate::notify::receiver::{PaceConfig, ReceiverKind};
    use crate::notify::webhook::WebhookConfig;
    use crate::store::{Draft, Tick};
    use crate::time::Span;

    #[test]
    fn what_the_store_knows_decides_too() {
        let url = "http://127.0.0.1/".into();
        let post = PostConfig { url, headers: Vec::new(), ca_file: None };
        let kind = ReceiverKind::Webhook(Box::new(WebhookConfig { post, signing_secret: None }));
        let config = Config {
            receivers: vec![ReceiverConfig {
                name: "log".to_owned(),
                kind,
                pace: PaceConfig::default(),
            }],
            routes: vec![Route { to: vec!["log".to_owned()], ..Route::default() }],
            ..Config::default()
        };
        let routing = Routing::of(&config);
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(&dir.path().join("state.db")).unwrap();
        let firing: Alert =
            serde_json::from_str(include_str!("../../tests/data/messages/firing.json")).unwrap();
        let now = firing.at;
        let over = Alert { state: State::Resolved, ..firing.clone() };
        let plan = |store: &Store, alert: &Alert| {
            let planned = routing.plan(store, std::slice::from_ref(alert), &[], now).unwrap();
            planned.into_iter().map(|to| to.hold.map(|hold| hold.by)).collect::<Vec<_>>()
        };
        assert_eq!(plan(&store, &over), [], "nobody was told");
        let draft = Draft {
            matcher: Matcher::default(),
            all: true,
            starts_at: now,
            ends_at: now + Span::HOUR,
            comment: "why".to_owned(),
            by: None,
        };
        store.add_silence(draft, now).unwrap();
        assert_eq!(plan(&store, &firing), [Some("silence 1".to_owned())]);
        let deliveries = routing.plan(&store, std::slice::from_ref(&firing), &[], now).unwrap();
        let tick = Tick {
            last_tick: now,
            snapshot: None,
            alerts: &[firing],
            charts: &[],
            deliveries: &deliveries,
        };
        store.commit(&tick).unwrap();
        assert_eq!(plan(&store, &over), [None], "the end never waits");
    }
}
