//! How long pages take over a large fleet and a full state file, to be read by a person.

use std::sync::Arc;

use grayflag::clock;
use grayflag::engine::alert::{Alert, State};
use grayflag::engine::overview::{Health, Overview, SeriesStanding, ServiceStanding};
use grayflag::http::live::live;
use grayflag::http::{self, Api, Config, Facts, Now};
use grayflag::notify::handle::StoreHandle;
use grayflag::notify::sample;
use grayflag::rules::{Role, Rules, Signal};
use grayflag::series::{Labels, Series};
use grayflag::store::{Store, Tick};
use grayflag::time::Span;
use reqwest::Client;
use tokio_util::sync::CancellationToken;

use super::inert::NOW;

const INCIDENTS: i64 = 10_000;
const SERVICES: usize = 2_000;
const SERIES_EACH: usize = 50;

fn nth(n: i64) -> Alert {
    let mut alert = sample::alerts_at(NOW).remove(0);
    alert.incident = format!("web-{n}");
    alert.service = format!("service-{:04}", n % 2_000);
    alert.at = NOW - Span::MINUTE.times(INCIDENTS - n);
    alert.state = if n % 500 == 0 { State::Firing } else { State::Resolved };
    alert
}

fn overview() -> Overview {
    let role = |n: usize| Role::ALL[n % Role::ALL.len()];
    let standing = |service: &str, n: usize| SeriesStanding {
        series: Arc::new(Series::new(&format!("s{n}"), service, None, None, Labels::new())),
        role: role(n),
        value: Some(0.4),
        usual: Some([0.1, 0.2, 0.3]),
        score: 0.1,
        moved: None,
        health: Health::Judged,
        seen: Some(NOW),
        peers: 3,
    };
    let service = |n: usize| {
        let name = format!("service-{n:04}");
        ServiceStanding {
            standing: None,
            weeks: 1.0,
            silent_since: None,
            alerts_left: 1.0,
            incidents: vec![],
            calls: vec![],
            series: (0..SERIES_EACH).map(|n| standing(&name, n)).collect(),
            service: name,
        }
    };
    let services = (0..SERVICES).map(service).collect();
    Overview { at: Some(NOW), services, ..Overview::default() }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures: `cargo test --release --test pages -- --ignored --nocapture`"]
async fn pages_of_a_large_fleet_are_quick() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(&dir.path().join("state.db")).unwrap();
    let alerts: Vec<Alert> = (1..=INCIDENTS).map(nth).collect();
    for alerts in alerts.chunks(1_000) {
        let last_tick = alerts.last().unwrap().at;
        store
            .commit(&Tick { last_tick, snapshot: None, alerts, charts: &[], deliveries: &[] })
            .unwrap();
    }
    let config = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
    let now: Now = Arc::new(|| NOW);
    let bound = http::bind(&config, &now).await.unwrap();
    let url = format!("http://{}", bound.address().unwrap());
    let (stage, live) = live();
    stage.show(overview());
    // No engine answers, and nobody waits for one: it adds its charts of one service at most.
    drop(stage);
    let signals =
        (0..SERIES_EACH).map(|n| Signal::plain(&format!("s{n}"), Role::ALL[n % Role::ALL.len()]));
    let rules = Arc::new(Rules { signals: signals.collect(), ..Rules::default() });
    let api = Api::new(config, vec![], StoreHandle::new(store), now);
    let api = api.with_live(live).with_facts(Facts { rules, ..Facts::default() });
    tokio::spawn(http::serve(bound, api, CancellationToken::new()));
    let client = Client::builder().no_proxy().build().unwrap();
    let last = format!("/incidents/web-{INCIDENTS}");
    let paths = [
        "/",
        "/incidents",
        "/incidents?open=false&severity=notice",
        "/incidents?service=checkout",
        "/incidents?service=service-0042",
        &last,
        "/services/service-0042",
        "/rules",
        "/changes",
        "/coverage",
        "/silences",
        "/status",
    ];
    let mut heavy = Vec::new();
    for path in paths {
        let mut best = Span::DAY;
        let mut bytes = 0;
        for _ in 0..5 {
            let begun = clock::now();
            let answer = client.get(format!("{url}{path}")).send().await.unwrap();
            assert!(answer.status().is_success(), "{path}");
            bytes = answer.bytes().await.unwrap().len();
            best = best.min(clock::now() - begun);
        }
        println!("{:>5} ms {bytes:>7} bytes  {path}", best.as_millis());
        heavy.extend((bytes > 180_000).then_some(path));
    }
    assert!(heavy.is_empty(), "with style and script over 200 KB: {heavy:?}");
}
