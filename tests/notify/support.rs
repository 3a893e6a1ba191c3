//! What the tests of this folder share: sample alerts, receivers, a running delivery.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use grayflag::engine::alert::Alert;
use grayflag::notify::delivery::{Clock, Delivery};
use grayflag::notify::email::{EmailConfig, Relay, Tls};
use grayflag::notify::handle::StoreHandle;
use grayflag::notify::message::Message;
use grayflag::notify::post::PostConfig;
use grayflag::notify::receiver::{Content, Envelope, PaceConfig, ReceiverConfig, ReceiverKind};
use grayflag::notify::status::StatusBoard;
use grayflag::notify::templates::Templates;
use grayflag::notify::webhook::WebhookConfig;
use grayflag::store::{Dispatch, Hold, Store, Tick};
use grayflag::time::{Span, Timestamp};
use secrecy::SecretString;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long anything may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(30);

/// The folder of sample alerts and of the messages made of them.
pub(crate) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/messages")
}

/// A sample alert: `firing`, `updated`, `resolved` or `unclear`.
pub(crate) fn sample(name: &str) -> Alert {
    let json = std::fs::read_to_string(data().join(format!("{name}.json"))).unwrap();
    serde_json::from_str(&json).unwrap()
}

/// The message in grayflag's own templates.
pub(crate) fn message(alert: &Alert, now: Timestamp) -> Message {
    Templates::default().message(alert, now)
}

/// Compares with the file, or writes it when `UPDATE_SNAPSHOTS` is set.
pub(crate) fn golden(name: &str, found: &str) {
    let path = data().join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{name} differs; UPDATE_SNAPSHOTS=1 writes it anew. Found:\n{found}"
    );
}

/// Mail through a server on this machine, encrypted if it offers that.
pub(crate) fn mail_to(to: &[&str], port: u16) -> EmailConfig {
    EmailConfig {
        to: to.iter().map(|address| address.parse().unwrap()).collect(),
        from: "grayflag <grayflag@example.com>".parse().unwrap(),
        relay: Relay { host: "127.0.0.1".to_owned(), port, tls: Tls::Opportunistic },
        login: None,
        ca_file: None,
    }
}

/// A receiver of mail named `mail`.
pub(crate) fn mail(config: EmailConfig) -> ReceiverConfig {
    receiver("mail", ReceiverKind::Email(Box::new(config)))
}

/// A receiver of HTTP.
pub(crate) fn hook(name: &str, url: &str) -> ReceiverConfig {
    let post = PostConfig { url: SecretString::from(url), headers: Vec::new(), ca_file: None };
    let config = WebhookConfig { post, signing_secret: None };
    receiver(name, ReceiverKind::Webhook(Box::new(config)))
}

/// A receiver that is sent messages at the pace of its kind.
pub(crate) fn receiver(name: &str, kind: ReceiverKind) -> ReceiverConfig {
    ReceiverConfig { name: name.to_owned(), kind, pace: PaceConfig::default() }
}

/// A message that goes out at once.
fn to(receiver: &str, alert: usize) -> Dispatch {
    Dispatch { receiver: receiver.to_owned(), alert, hold: None }
}

/// A first message about an incident.
pub(crate) fn envelope<'a>(alert: &'a Alert, json: &'a str, key: &'a str) -> Envelope<'a> {
    let content = Content::Alert(alert, None);
    Envelope { content, json, key, first: key, handle: None, now: alert.at }
}

/// A delivery at work, with a clock that the test moves.
pub(crate) struct Running {
    pub(crate) store: StoreHandle,
    pub(crate) board: StatusBoard,
    names: Vec<String>,
    stop: CancellationToken,
    clock: Arc<AtomicI64>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(path: &Path, receivers: &[ReceiverConfig], now: Timestamp) -> Self {
        let clock = Arc::new(AtomicI64::new(now.as_millis()));
        let read = Arc::clone(&clock);
        let read = Arc::new(move || Timestamp::from_millis(read.load(Ordering::SeqCst)));
        Self::start_with(path, receivers, read, clock)
    }

    /// With the real clock, for servers that have no other.
    pub(crate) fn start_live(path: &Path, receivers: &[ReceiverConfig]) -> Self {
        let unused = Arc::new(AtomicI64::new(0));
        Self::start_with(path, receivers, Arc::new(grayflag::clock::now), unused)
    }

    fn start_with(
        path: &Path,
        receivers: &[ReceiverConfig],
        read: Clock,
        clock: Arc<AtomicI64>,
    ) -> Self {
        let store = StoreHandle::new(Store::open(path).unwrap());
        let targets =
            receivers.iter().flat_map(|r| r.open(&Templates::default()).unwrap()).collect();
        let delivery =
            Delivery::new(store.clone(), targets, read, 1).with_grace(Duration::from_millis(500));
        let (board, stop) = (delivery.status(), CancellationToken::new());
        let task = tokio::spawn(delivery.run(stop.clone()));
        let names = receivers.iter().flat_map(ReceiverConfig::targets).collect();
        Self { store, board, names, stop, clock, task }
    }

    /// Puts alerts into the outbox, each to every target.
    pub(crate) async fn commit(&self, alerts: Vec<Alert>) {
        let names = self.names.clone();
        let deliveries: Vec<Dispatch> = (0..alerts.len())
            .flat_map(|index| names.iter().map(move |name| to(name, index)))
            .collect();
        let commit = move |store: &mut Store| {
            store.commit(&Tick {
                last_tick: alerts.last().unwrap().at,
                snapshot: None,
                alerts: &alerts,
                charts: &[],
                deliveries: &deliveries,
            })
        };
        self.store.with(commit).await.unwrap();
        self.store.news();
    }

    /// Puts one alert into the outbox, held for every target.
    pub(crate) async fn commit_held(&self, alert: Alert, until: Timestamp, by: &str) {
        let hold = Some(Hold::new(until, by));
        let held = |name: &String| Dispatch { hold: hold.clone(), ..to(name, 0) };
        let deliveries: Vec<Dispatch> = self.names.iter().map(held).collect();
        let commit = move |store: &mut Store| {
            store.commit(&Tick {
                last_tick: alert.at,
                snapshot: None,
                alerts: std::slice::from_ref(&alert),
                charts: &[],
                deliveries: &deliveries,
            })
        };
        self.store.with(commit).await.unwrap();
        self.store.news();
    }

    /// Moves the clock.
    pub(crate) fn pass(&self, span: Span) {
        self.clock.fetch_add(span.as_millis(), Ordering::SeqCst);
        self.store.news();
    }

    /// Waits until something holds of the store.
    pub(crate) async fn until(
        &self,
        what: &str,
        holds: impl Fn(&Store) -> bool + Clone + Send + 'static,
    ) {
        let wait = async {
            loop {
                let holds = holds.clone();
                if self.store.with(move |store| Ok(holds(store))).await.unwrap() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(DEADLINE, wait).await.is_err() {
            let waiting = self.board.all();
            panic!("not in time: {what}; {waiting:?}");
        }
    }

    /// Waits until nothing is on its way.
    pub(crate) async fn until_empty(&self) {
        self.until("an empty outbox", |store| store.pending_count().unwrap() == 0).await;
    }

    /// Lets time pass in steps of a minute until nothing is on its way.
    pub(crate) async fn until_empty_in(&self, minutes: i64) {
        for _ in 0..minutes {
            let before = self.board.all();
            self.pass(Span::MINUTE);
            for _ in 0..100 {
                let count = self.store.with(|store| store.pending_count()).await.unwrap();
                if count == 0 {
                    return;
                }
                if self.board.all() != before {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        panic!("still on the way after {minutes} minutes: {:?}", self.board.all());
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.task).await.unwrap().unwrap();
    }
}
