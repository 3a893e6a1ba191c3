//! Ten thousand alerts that wait go out in bounded memory, and soon.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use grayflag::clock;
use grayflag::engine::alert::Alert;
use grayflag::notify::delivery::Delivery;
use grayflag::notify::handle::StoreHandle;
use grayflag::notify::pace::Rate;
use grayflag::notify::post::PostConfig;
use grayflag::notify::receiver::{PaceConfig, ReceiverConfig, ReceiverKind};
use grayflag::notify::templates::Templates;
use grayflag::notify::webhook::WebhookConfig;
use grayflag::store::{Dispatch, RowState, Store, Tick};
use grayflag::time::Span;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

const ALERTS: usize = 10_000;
/// All of them together take 40 MB as JSON.
const KIB_MAX: u64 = 24 << 10;
/// A minute's worth of what the disk writes safely, on a slow machine.
const TIME_MAX: Span = Span::from_mins(3);

/// A line of the process's status, in KiB.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    found.trim_matches([':', ' ', '\t', 'k', 'B']).parse().unwrap()
}

fn put(store: &mut Store) {
    let sample: Alert = serde_json::from_str(include_str!("data/messages/firing.json")).unwrap();
    for hundred in 0..ALERTS / 100 {
        let alerts: Vec<Alert> = (0..100)
            .map(|number| {
                let incident = format!("incident-{:05}", hundred * 100 + number);
                Alert { incident, ..sample.clone() }
            })
            .collect();
        let to = |alert| Dispatch { receiver: "hook".to_owned(), alert, hold: None };
        let deliveries: Vec<Dispatch> = (0..100).map(to).collect();
        let tick = Tick {
            last_tick: sample.at,
            snapshot: None,
            alerts: &alerts,
            charts: &[],
            deliveries: &deliveries,
        };
        assert_eq!(store.commit(&tick).unwrap().messages, 100);
    }
}

type Taken = Arc<Mutex<(usize, BTreeSet<String>)>>;

async fn take(State(taken): State<Taken>, headers: HeaderMap) {
    let key = headers.get("idempotency-key").unwrap().to_str().unwrap().to_owned();
    let mut taken = taken.lock().unwrap();
    taken.0 += 1;
    taken.1.insert(key);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_alerts_go_out_once_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(&folder.path().join("state.db")).unwrap();
    put(&mut store);
    let taken = Taken::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let app = Router::new().fallback(take).with_state(Arc::clone(&taken));
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });

    let post = PostConfig { url: SecretString::from(url), headers: Vec::new(), ca_file: None };
    let kind = ReceiverKind::Webhook(Box::new(WebhookConfig { post, signing_secret: None }));
    let pace = PaceConfig { rate: Some(Rate::per_minute(60_000)), at_once: 4 };
    let receiver = ReceiverConfig { name: "hook".to_owned(), kind, pace };
    let targets = receiver.open(&Templates::default()).unwrap();
    let store = StoreHandle::new(store);
    let delivery = Delivery::new(store.clone(), targets, Arc::new(clock::now), 1);
    let (before, begun) = (memory("VmRSS"), clock::now());
    // The peak so far is that of filling the outbox.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let stop = CancellationToken::new();
    let running = tokio::spawn(delivery.run(stop.clone()));
    loop {
        let waiting = store.with(|store| store.pending_count()).await.unwrap();
        let took = clock::now() - begun;
        if waiting == 0 {
            let grown = memory("VmHWM").saturating_sub(before);
            println!("{ALERTS} alerts in {took}, {grown} KiB more at most");
            assert!(grown < KIB_MAX, "{grown} KiB");
            break;
        }
        assert!(took < TIME_MAX, "{waiting} still wait");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    running.await.unwrap();
    server.abort();
    let (count, keys) = taken.lock().unwrap().clone();
    assert_eq!((count, keys.len()), (ALERTS, ALERTS));
    let done = store.with(|store| store.count(RowState::Done)).await.unwrap();
    assert_eq!(done, ALERTS as u64);
}
