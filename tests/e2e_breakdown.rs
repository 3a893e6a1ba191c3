//! Breakdown queries against real backends: which label value it is, in time, and what a query
//! that hangs or fails costs.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
mod common;
#[expect(dead_code, reason = "shared")]
#[path = "common/fault_proxy.rs"]
mod fault_proxy;

use std::sync::Arc;
use std::time::Duration;

use common::{History, Installed, Prometheus, VictoriaMetrics};
use fault_proxy::{FaultProxy, Mode};
use grayflag::engine::Settings;
use grayflag::engine::alert::{Alert, State};
use grayflag::engine::archive::MemoryArchive;
use grayflag::replay::Driver;
use grayflag::rules::{self, Breakdown, Role, Rules, Signal};
use grayflag::source::{self, Config};
use grayflag::time::{Span, Timestamp};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

const TICK: Span = Span::from_mins(5);
const HISTORY: Span = Span::WEEK;
/// How long the engine lives after the history.
const LIVE: Span = Span::from_hours(18);
const TENANTS: [(&str, f64); 5] =
    [("zeta", 40.0), ("beta", 25.0), ("acme", 8.0), ("gamma", 12.0), ("delta", 15.0)];

/// Growth of the logarithm per hour, and for how many hours.
const STEADY: [f64; 2] = [0.0, 0.0];
const SLOWER: [f64; 2] = [0.06, 6.0];
/// Five times as much within twelve minutes.
const HOT: [f64; 2] = [8.0, 0.2];

fn start() -> Timestamp {
    "2026-03-03T00:00:00Z".parse().unwrap()
}

/// Work by tenant, two effects of it, and another service that has the same tenants. From an hour
/// after `start` on, one tenant of the first has much more, and everything waits longer and longer.
fn history() -> History {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let from = start() - HISTORY;
    let steps = (HISTORY + LIVE).as_secs() / TICK.as_secs() + 1;
    let mut series = |usual: f64, spread: f64, [growth, longest]: [f64; 2]| -> Vec<f64> {
        let mut noise = 0.0;
        let values = (0..steps).map(|step| {
            let shock: f64 = rng.sample(StandardNormal);
            noise = 0.6 * noise + 0.8 * shock;
            let at = from + TICK.times(step);
            let hours = ((at - start()).as_hours_f64() - 1.0).clamp(0.0, longest);
            usual * (spread * noise + growth * hours).exp()
        });
        values.collect()
    };
    let grid = (from.as_secs(), TICK.as_secs());
    let mut history = History::default()
        .series("p99", r#"service="web""#, grid, series(0.2, 0.06, SLOWER))
        .series("wait", r#"service="web""#, grid, series(0.02, 0.06, SLOWER))
        .series("p99", r#"service="shop""#, grid, series(0.2, 0.06, STEADY));
    for (tenant, usual) in TENANTS {
        let growth = if tenant == "acme" { HOT } else { STEADY };
        let web = format!(r#"service="web",tenant="{tenant}""#);
        let shop = format!(r#"service="shop",tenant="{tenant}""#);
        history = history.series("work", &web, grid, series(usual, 0.05, growth)).series(
            "work",
            &shop,
            grid,
            series(usual, 0.05, STEADY),
        );
    }
    history
}

fn rules() -> Arc<Rules> {
    let by = vec!["tenant".to_owned(), "zone".to_owned()];
    let query = "sum by (service, {{label}}) (work)".to_owned();
    let work = Signal {
        query: "sum by (service) (work)".to_owned(),
        breakdown: Some(Breakdown { by, query }),
        ..Signal::plain("work", Role::Traffic)
    };
    let p99 = Signal::plain("p99", Role::Latency);
    // What could not be looked up stands with the causes.
    let (shipped, problems) = rules::load(&rules::builtin_causes());
    assert!(problems.is_empty(), "{}", problems.render(false));
    Arc::new(Rules {
        signals: vec![work, p99, Signal::plain("wait", Role::PoolWait)],
        causes: shipped.causes,
        ..Rules::default()
    })
}

fn driver() -> Driver {
    let settings = Settings {
        interval: TICK,
        history: HISTORY,
        timezone: jiff::tz::TimeZone::UTC,
        alerts_from: start(),
        pages_url: None,
        source_url: None,
    };
    Driver::new(rules(), settings, Box::<MemoryArchive>::default())
}

fn source(url: &str) -> source::Prometheus {
    source::Prometheus::new(Config { timeout: Span::from_secs(60), ..Config::new(url) }).unwrap()
}

/// Everything in one call.
async fn replay(url: &str) -> Vec<Alert> {
    let (mut driver, mut alerts) = (driver(), Vec::new());
    let source = source(url);
    let advanced = driver.advance(&source, start() + LIVE, |ticked| {
        alerts.extend(ticked.outcome.alerts);
        true
    });
    advanced.await.unwrap();
    alerts
}

/// One call per tick, which waits for answers; `before` sees the driver before each. What fails is
/// tried again. Returns also how many calls failed.
async fn live(url: &str, mut before: impl FnMut(&Driver)) -> (Vec<Alert>, usize) {
    let (mut driver, mut alerts, mut failed) = (driver(), Vec::new(), 0);
    driver.wait_for_answers();
    let source = source(url);
    while driver.next_tick() <= start() + LIVE {
        before(&driver);
        let to = driver.learns_until().unwrap_or(driver.next_tick());
        let advance = driver.advance(&source, to, |ticked| {
            alerts.extend(ticked.outcome.alerts);
            true
        });
        // Far less than the source's own limit.
        let advanced = tokio::time::timeout(Duration::from_secs(30), advance).await.unwrap();
        failed += usize::from(advanced.is_err());
    }
    (alerts, failed)
}

fn told(alerts: &[Alert]) -> Vec<(Timestamp, State)> {
    alerts.iter().map(|alert| (alert.at, alert.state)).collect()
}

fn json(alerts: &[Alert]) -> Vec<String> {
    alerts.iter().map(Alert::to_json).collect()
}

#[tokio::test]
async fn the_tenant_that_grew_is_named_by_every_backend_live_and_in_a_replay() {
    let prometheus = Prometheus::start_with_openmetrics(&history().openmetrics()).await;
    let replayed = replay(&prometheus.url).await;
    let firing = &replayed[0];
    assert_eq!((firing.state, firing.service.as_str()), (State::Firing, "web"));
    let [value] = &firing.breakdown[..] else { panic!("{:?}", firing.breakdown) };
    let named = (value.signal.as_str(), value.label.as_str(), value.value.as_str());
    assert_eq!(named, ("work", "tenant", "acme"));
    assert!((0.05..0.15).contains(&value.usual_share), "{value:?}");
    assert!(value.share > 1.5 * value.usual_share, "{value:?}");
    let line = "cannot be split by zone: there is one value alone";
    let unknown: Vec<&String> = firing.causes.iter().flat_map(|cause| &cause.unknown).collect();
    assert!(unknown.iter().any(|told| told.as_str() == line), "{unknown:?}");
    assert!(!firing.checked.iter().any(|told| told.contains("zone")), "{:?}", firing.checked);
    let (alerts, failed) = live(&prometheus.url, |_| ()).await;
    assert_eq!((json(&alerts), failed), (json(&replayed), 0));

    let text = history().prometheus_text();
    let victoria_metrics = VictoriaMetrics::start_with(&Installed::all()[0], &text).await;
    let same = replay(&victoria_metrics.url).await;
    assert_eq!(told(&same), told(&replayed));
    assert_eq!(same[0].breakdown[0].value, "acme");
}

#[tokio::test]
async fn a_breakdown_that_hangs_or_fails_costs_no_alert() {
    let text = history().prometheus_text();
    let backend = VictoriaMetrics::start_with(&Installed::all()[0], &text).await;
    let expected = replay(&backend.url).await;
    let proxy = FaultProxy::start_for(&backend.url, "tenant").await;
    let mut hung = 0;
    proxy.set(Mode::Hang);
    let (alerts, failed) = live(&proxy.url(), |driver| {
        let asked = driver.engine().questions().iter().any(|q| q.label == "tenant");
        hung += usize::from(asked);
        // Once is enough to see that it ends; from then on it fails at once.
        if hung == 2 {
            proxy.set(Mode::Status(422));
        }
    })
    .await;
    assert_eq!(failed, 0);
    assert!(hung > 2, "{hung}");
    assert_eq!(told(&alerts), told(&expected));
    let firing = &alerts[0];
    assert!(firing.breakdown.is_empty());
    let unasked =
        |line: &String| line.contains("by tenant") && line.contains("could not be looked");
    let causes = &firing.causes;
    assert!(causes.iter().any(|cause| cause.unknown.iter().any(unasked)), "{causes:?}");
    assert!(!firing.checked.iter().any(unasked), "{:?}", firing.checked);
}

#[tokio::test]
async fn a_backend_that_goes_before_the_questions_costs_no_answer() {
    let text = history().prometheus_text();
    let backend = VictoriaMetrics::start_with(&Installed::all()[0], &text).await;
    let expected = replay(&backend.url).await;
    let proxy = FaultProxy::start_for(&backend.url, "tenant").await;
    let mut tries = 0;
    let (alerts, failed) = live(&proxy.url(), |_| {
        // Every third try it goes as soon as it is asked for tenants, and is back for the next.
        tries += 1;
        proxy.set(if tries % 3 == 0 { Mode::Goes(503) } else { Mode::Good });
    })
    .await;
    // More than in a row.
    assert!(failed > 3, "{failed}");
    assert!(!expected[0].breakdown.is_empty());
    assert_eq!(json(&alerts), json(&expected));
}

#[tokio::test]
async fn a_backend_that_answers_everything_but_questions_holds_up_three_calls_in_a_row() {
    let text = history().prometheus_text();
    let backend = VictoriaMetrics::start_with(&Installed::all()[0], &text).await;
    let expected = replay(&backend.url).await;
    let proxy = FaultProxy::start_for(&backend.url, "tenant").await;
    // Each time it goes with the questions, and is back for the values of the next call.
    let (alerts, failed) = live(&proxy.url(), |_| proxy.set(Mode::Goes(503))).await;
    assert!(failed > 0 && failed.is_multiple_of(3), "{failed}");
    assert_eq!(told(&alerts), told(&expected));
    proxy.set(Mode::Goes(503));
    assert_eq!(told(&replay(&proxy.url()).await), told(&expected), "a replay does not wait");
}
