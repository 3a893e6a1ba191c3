//! How the daemon stands, over the API.

use grayflag::engine::outcome::{Report, Silence};
use grayflag::http::reload::{Reloaded, Reloader};
use grayflag::notify::delivery::Delivery;
use grayflag::notify::post::PostConfig;
use grayflag::notify::receiver::{PaceConfig, ReceiverConfig, ReceiverKind};
use grayflag::notify::templates::Templates;
use grayflag::notify::webhook::WebhookConfig;
use grayflag::store::{Dispatch, Hold};
use secrecy::SecretString;

use super::*;

impl Served {
    /// The same with something else about its API, at another address.
    pub(super) async fn serve_with(mut self, change: impl FnOnce(Api) -> Api) -> Self {
        let config = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
        let bound = http::bind(&config, &(Arc::new(|| NOW) as Now)).await.unwrap();
        self.url = format!("http://{}", bound.address().unwrap());
        self.api = change(self.api.clone());
        self.task = tokio::spawn(http::serve(bound, self.api.clone(), self.stop.clone()));
        self
    }

    /// As after a tick that was processed a moment ago.
    pub(super) fn is_ready(&self) {
        self.api.telemetry().ticked(NOW, 1.0, 1, &Outcome::default());
    }
}

fn hook(name: &str) -> ReceiverConfig {
    // Nobody listens there.
    let url = SecretString::from("http://127.0.0.1:1/");
    let post = PostConfig { url, headers: Vec::new(), ca_file: None };
    let kind = ReceiverKind::Webhook(Box::new(WebhookConfig { post, signing_secret: None }));
    ReceiverConfig { name: name.to_owned(), kind, pace: PaceConfig::default() }
}

#[tokio::test]
async fn the_status_says_how_far_it_is_and_how_receivers_fare() {
    let stop = CancellationToken::new();
    let _ends = stop.clone().drop_guard();
    let served = Served::start_with(
        |_| {},
        |store| {
            let targets = ["away", "idle"].iter();
            let targets = targets.flat_map(|name| hook(name).open(&Templates::default()).unwrap());
            let delivery = Delivery::new(store.clone(), targets.collect(), Arc::new(|| NOW), 1);
            let board = delivery.status();
            tokio::spawn(delivery.run(stop.clone()));
            board
        },
    )
    .await;
    let (status, first) = served.get("/api/v1/status").await;
    assert_eq!(status, StatusCode::OK, "{first}");
    let idle = json!({
        "sent": 0, "kept_alive": 0, "failed": {}, "dead": 0, "not_laid_out": 0,
        "sent_at": null, "error": null, "rest_until": null
    });
    let nothing = json!({
        "version": env!("CARGO_PKG_VERSION"), "ready": false, "last_tick": null,
        "began_at": null, "ticks": 0, "sources": [],
        "learning": {"until": null, "services": 0, "judged": 0, "series": 0},
        "receivers": {"away": idle, "idle": idle},
        "outbox": {"pending": 0, "held": 0, "dead": 0, "oldest_seconds": null},
        "store": first["store"],
        "budget": {
            "alerts": {"used": 0, "accepted": 0.0}, "notices": {"used": 0, "accepted": 0.0}
        },
        "reloads": {"taken": 0, "refused": 0, "at": null, "last": null}
    });
    assert_eq!(first, nothing);
    assert!(first["store"]["bytes"].as_u64().unwrap() > 4_096);

    served.is_ready();
    let mut alert = sample::alerts().swap_remove(0);
    alert.at = NOW;
    let last_tick = NOW;
    let commit = move |store: &mut Store| {
        let hold = Hold::new(NOW + Span::HOUR, "silence 1");
        let to = |receiver: &str, hold| Dispatch { receiver: receiver.to_owned(), alert: 0, hold };
        let deliveries = [to("away", None), to("idle", Some(hold))];
        let alerts = std::slice::from_ref(&alert);
        let (charts, deliveries) = (&[], &deliveries);
        store.commit(&Tick { last_tick, snapshot: None, alerts, charts, deliveries })
    };
    served.store.with(commit).await.unwrap();
    served.store.news();
    let tried = async {
        loop {
            let (_, standing) = served.get("/api/v1/status").await;
            if !standing["receivers"]["away"]["error"].is_null() {
                return standing;
            }
            tokio::task::yield_now().await;
        }
    };
    let standing = tokio::time::timeout(Duration::from_secs(20), tried).await.unwrap();
    assert_eq!(standing["last_tick"], last_tick.to_string());
    assert_eq!((&standing["ready"], &standing["receivers"]["idle"]), (&json!(true), &idle));
    assert_eq!(standing["receivers"]["away"]["failed"], json!({"network": 1}));
    let outbox = json!({"pending": 1, "held": 1, "dead": 0, "oldest_seconds": 0.0});
    assert_eq!(standing["outbox"], outbox);
}

#[tokio::test]
async fn the_status_says_how_the_backend_fares() {
    let served = Served::start(|_| {}).await;
    let progress = served.api.progress();
    let ago = |seconds| NOW - Span::from_secs(seconds);
    progress.begins(ago(600), "http://127.0.0.1:9090");
    progress.met("Prometheus 2.42.0".to_owned());
    let report = Report {
        silences: vec![("p99".to_owned(), Silence::Unanswered { reason: "422".to_owned() })],
        ..Report::default()
    };
    progress.ticked((ago(90), ago(60)), Some(NOW), &report);
    served.is_ready();
    progress.is_away(ago(30), "network", "connection refused".to_owned());
    let (_, standing) = served.get("/api/v1/status").await;
    let source = json!({
        "url": "http://127.0.0.1:9090", "flavour": "Prometheus 2.42.0",
        "tick": ago(90).to_string(), "read_at": ago(60).to_string(), "lag_seconds": 90.0,
        "error": {"class": "network", "problem": "connection refused", "since": ago(30).to_string()},
        "unanswered": 1
    });
    assert_eq!(standing["sources"], json!([source]));
    assert_eq!(
        (&standing["ticks"], &standing["began_at"]),
        (&json!(1), &json!(ago(600).to_string()))
    );
    assert_eq!(standing["learning"]["until"], NOW.to_string());
    progress.is_back();
    let (_, standing) = served.get("/api/v1/status").await;
    assert_eq!(standing["sources"][0]["error"], Value::Null);
}

#[tokio::test]
async fn the_page_says_what_is_wrong_with_backend_and_configuration() {
    let (reloader, _wished) = Reloader::new();
    let served = Served::start(|_| {}).await;
    let source_url = Some("http://127.0.0.1:9090".to_owned());
    let facts = Facts { source_url, ..Facts::default() };
    let change = |api: Api| api.with_reloader(reloader.clone()).with_facts(facts);
    let served = served.serve_with(change).await;
    let page = || async {
        served.request(Method::GET, "/status").send().await.unwrap().text().await.unwrap()
    };
    let calm = page().await;
    assert!(calm.contains("0 taken up, 0 refused") && calm.contains("no tick was processed yet"));
    let progress = served.api.progress();
    progress.begins(NOW - Span::HOUR, "http://127.0.0.1:9090");
    progress.met("Prometheus 2.42.0".to_owned());
    progress.is_away(NOW - Span::from_mins(5), "network", "connection refused".to_owned());
    let problem = "error: no <such> key\n --> grayflag.toml:3:1".to_owned();
    reloader.remember(NOW, &Reloaded::Refused { problem });
    let told = page().await;
    for part in [
        "Prometheus 2.42.0",
        "connection refused",
        "(5m ago)",
        "stays in force",
        "no &lt;such&gt; key\n --&gt; grayflag.toml:3:1",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    progress.is_back();
    reloader.remember(NOW, &Reloaded::Changed { changes: vec!["signal added: p99".to_owned()] });
    let told = page().await;
    assert!(told.contains("signal added: p99") && told.contains("1 taken up, 1 refused"), "{told}");
    assert!(!told.contains("connection refused") && !told.contains("such"), "{told}");
}
