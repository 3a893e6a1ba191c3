//! The daemon's start, without a backend.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use grayflag::clock::Clock;
use grayflag::config::{Config, Store as StoreConfig};
use grayflag::daemon::{self, Limits};
use grayflag::engine::alert::Alert;
use grayflag::http;
use grayflag::store::{Store, Tick};
use tokio_util::sync::CancellationToken;

/// Stops before the first poll: only the start is of interest.
async fn start(config: &Config) {
    // A second test of this process may have set it already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let stop = CancellationToken::new();
    stop.cancel();
    daemon::run(config.clone(), Clock::Real, Limits::default(), stop, None).await.unwrap();
}

fn states(path: &std::path::Path) -> Vec<(String, String)> {
    let store = Store::open(path).unwrap();
    let read = |json: &String| serde_json::from_str::<Alert>(json).unwrap();
    let alerts = store.alerts(10).unwrap();
    alerts.iter().map(read).map(|a| (a.state.to_string(), a.title)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_whose_state_is_lost_is_closed_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let text = std::fs::read_to_string("tests/data/messages/firing.json").unwrap();
    let open: Alert = serde_json::from_str(&text).unwrap();
    let mut store = Store::open(&path).unwrap();
    let unknown_version = Some((u32::MAX, &b"from another program"[..]));
    let alerts = [open.clone()];
    let tick = Tick {
        last_tick: open.at,
        snapshot: unknown_version,
        alerts: &alerts,
        charts: &[],
        deliveries: &[],
    };
    store.commit(&tick).unwrap();
    drop(store);

    let http = http::Config { listen: ([127, 0, 0, 1], 0).into(), ..http::Config::default() };
    let config = Config { store: StoreConfig { path: path.clone() }, http, ..Config::default() };
    start(&config).await;
    start(&config).await;
    let told = states(&path);
    let closed = format!("Closed without its end being seen: {}", open.title);
    assert_eq!(told, [("resolved".to_owned(), closed), ("firing".to_owned(), open.title)]);
}
