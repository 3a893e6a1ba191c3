//! Incidents that an earlier state left open. When that state cannot be used any more, nobody
//! would ever resolve them: they are closed, and the message says that their end was not seen.

use crate::config::Config;
use crate::engine::alert::{Alert, State};
use crate::notify::handle::StoreHandle;
use crate::store::{StoreError, Tick};
use crate::time::Timestamp;

use super::routing::Routing;

/// Open incidents looked at; the store holds no more.
const INCIDENTS_MAX: u32 = 10_000;

/// Resolves every incident that the store holds as open, for whoever was told of it. Returns how
/// many there were.
pub(super) async fn close(
    store: &StoreHandle,
    config: &Config,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let routing = Routing::of(config);
    let closed = store
        .with(move |store| {
            let newest = store.incidents(INCIDENTS_MAX, Some(true))?;
            let parsed = newest.iter().filter_map(|json| serde_json::from_str(json).ok());
            let open = parsed.filter(|alert: &Alert| alert.state != State::Resolved);
            let alerts: Vec<Alert> = open.map(|alert| unseen_end(alert, now)).collect();
            let deliveries = routing.plan(store, &alerts, &[], now)?;
            let tick = Tick {
                last_tick: now,
                snapshot: None,
                alerts: &alerts,
                charts: &[],
                deliveries: &deliveries,
            };
            if !alerts.is_empty() {
                store.commit(&tick)?;
            }
            Ok(alerts.len())
        })
        .await?;
    if closed > 0 {
        store.news();
    }
    Ok(closed)
}

fn unseen_end(mut alert: Alert, now: Timestamp) -> Alert {
    alert.title = format!("Closed without its end being seen: {}", alert.news().1);
    alert.state = State::Resolved;
    alert.at = now.max(alert.at);
    alert.forecast = None;
    alert
}
