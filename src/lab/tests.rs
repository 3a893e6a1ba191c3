use proptest::prelude::*;

use super::blueprint::CHECKOUT_DB;
use super::fleet::POOL;
use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn lab(seed: u64, scrape: i64, faults: Vec<FaultPlan>) -> Lab {
    let start = at("2026-03-02T00:00:00Z");
    Lab::new(Settings { seed, start, scrape: Span::from_secs(scrape), faults }).unwrap()
}

pub(super) fn tuesday_at_nine(fault: Fault, severity: Severity) -> FaultPlan {
    let onset = at("2026-03-03T09:00:00Z");
    FaultPlan { fault, onset, severity, end: onset + Span::from_hours(9) }
}

/// The values of the one series that prints as `name`.
pub(super) fn column(history: &History, name: &str) -> Vec<Option<f64>> {
    let found = history.series().iter().position(|series| series.to_string() == name);
    let index = found.unwrap_or_else(|| panic!("no series {name}"));
    (0..history.rows()).map(|row| history.value(index, row)).collect()
}

fn openmetrics(seed: u64) -> String {
    let mut lab = lab(seed, 30, vec![tuesday_at_nine(Fault::BadDeploy, Severity::Middling)]);
    let history = History::record(&mut lab, at("2026-03-03T12:00:00Z"));
    let mut text = Vec::new();
    history.write_openmetrics(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let first = openmetrics(7);
    assert_eq!(first, openmetrics(7));
    assert_ne!(first, openmetrics(8));
}

#[test]
fn a_fault_changes_nothing_before_its_onset() {
    let until = at("2026-03-03T08:59:00Z");
    let plan = tuesday_at_nine(Fault::RetryAmplification, Severity::Strong);
    let (mut with, mut without) = (lab(4, 60, vec![plan]), lab(4, 60, vec![]));
    while with.now() < until {
        assert_eq!(with.scrape(), without.scrape());
    }
}

#[test]
fn a_plan_added_later_is_the_same_as_one_made_at_the_start() {
    let plan = tuesday_at_nine(Fault::SlowDependency, Severity::Strong);
    let mut planned = lab(4, 60, vec![plan]);
    let mut added = lab(4, 60, vec![]);
    while planned.now() < at("2026-03-03T08:50:00Z") {
        assert_eq!(planned.scrape(), added.scrape());
    }
    let mut calm = added.clone();
    added.plan(plan).unwrap();
    while planned.now() < at("2026-03-03T16:00:00Z") {
        assert_eq!(planned.scrape(), added.scrape());
        calm.scrape();
    }
    assert!(planned.truth()[0].noticed.is_some());
    assert_eq!(planned.truth(), added.truth());
    assert_eq!(calm.truth(), []);
    assert_eq!(added.plan(plan), Err(LabError::Begun(Fault::SlowDependency)));
}

#[test]
fn settings_that_cannot_be_followed_are_refused() {
    let start = at("2026-03-02T00:00:00Z");
    let with = |scrape, faults| Lab::new(Settings { seed: 1, start, scrape, faults }).err();
    for bad in [Span::ZERO, Span::from_secs(15), Span::from_mins(6), Span::from_secs(-30)] {
        assert_eq!(with(bad, vec![]), Some(LabError::Scrape(bad)));
    }
    let mut plan = tuesday_at_nine(Fault::BadDeploy, Severity::Faint);
    plan.end = plan.onset - Span::SECOND;
    assert_eq!(with(Span::MINUTE, vec![plan]), Some(LabError::Plan(Fault::BadDeploy)));
    assert_eq!(with(Span::MINUTE, vec![plan; 1_001]), Some(LabError::TooMany(1_001)));
    assert_eq!(with(Span::from_secs(10), vec![]), None);
}

#[test]
fn in_weeks_without_faults_users_notice_nothing() {
    for seed in 0..5 {
        let mut lab = lab(seed, 300, vec![]);
        let end = lab.settings().start + Span::WEEK.times(4);
        let versions = |lab: &Lab| {
            lab.series().iter().filter(|series| series.metric == "lab_build_info").count()
        };
        lab.scrape();
        let before = versions(&lab);
        while lab.now() < end {
            lab.scrape();
        }
        assert_eq!(lab.noticed(), [], "seed {seed}");
        assert!(versions(&lab) > before + 10, "benign deploys happened: seed {seed}");
    }
}

#[test]
fn a_quiet_week_has_gaps_like_production() {
    let mut lab = lab(2, 30, vec![]);
    let history = History::record(&mut lab, at("2026-03-09T00:00:00Z"));
    let all = column(&history, r#"lab_traffic{service="web"}"#);
    let missing = all.iter().filter(|v| v.is_none()).count() as f64 / all.len() as f64;
    assert!((0.002..0.02).contains(&missing), "{missing}");
    let errors = column(&history, r#"lab_errors{service="checkout"}"#);
    let seen: Vec<f64> = errors.into_iter().flatten().collect();
    let mean = seen.iter().sum::<f64>() / seen.len() as f64;
    assert!((0.0002..0.001).contains(&mean), "{mean}");
    assert!(seen.contains(&0.0), "errors are rare enough for windows without any");
}

/// Ratio of the mean over half an hour before `end` with and without a fault.
pub(super) fn ratio(with: &History, without: &History, name: &str, end: Timestamp) -> f64 {
    let mean = |history: &History| {
        let column = column(history, name);
        let seen: Vec<f64> = (0..history.rows())
            .filter(|&row| end - Span::from_mins(30) < history.at(row) && history.at(row) <= end)
            .filter_map(|row| column[row])
            .collect();
        seen.iter().sum::<f64>() / seen.len() as f64
    };
    mean(with) / mean(without)
}

#[test]
fn a_telemetry_gap_silences_one_service_and_hurts_nobody() {
    let plan = tuesday_at_nine(Fault::TelemetryGap, Severity::Middling);
    let mut lab = lab(6, 60, vec![plan]);
    let history = History::record(&mut lab, plan.end + Span::HOUR);
    let seen = |name: &str| {
        let column = column(&history, name);
        let rows = (0..history.rows())
            .filter(|&row| plan.onset <= history.at(row) && history.at(row) < plan.end);
        rows.filter(|&row| column[row].is_some()).count()
    };
    assert_eq!(seen(r#"lab_traffic{service="payments"}"#), 0);
    assert_eq!(
        seen(r#"lab_build_info{instance="payments-1",service="payments",version="v32"}"#),
        0
    );
    assert!(seen(r#"lab_dependency_latency{dependency="payments",service="checkout"}"#) > 500);
    assert!(column(&history, r#"lab_traffic{service="payments"}"#).last().unwrap().is_some());
    assert_eq!(lab.noticed(), []);
}

#[test]
fn retries_multiply_attempts_while_goodput_does_not_grow() {
    let plan = tuesday_at_nine(Fault::RetryAmplification, Severity::Strong);
    let (mut with, mut without) = (lab(9, 60, vec![plan]), lab(9, 60, vec![]));
    let end = plan.onset + Span::from_hours(5);
    let histories = (History::record(&mut with, end), History::record(&mut without, end));
    let change = |name: &str| ratio(&histories.0, &histories.1, name, end);
    assert!(change(r#"lab_attempts{dependency="payments",service="checkout"}"#) > 1.4);
    assert!(change(r#"lab_goodput{service="checkout"}"#) < 1.01);
    assert!(change(r#"lab_retries{dependency="payments",service="checkout"}"#) > 20.0);
}

#[test]
fn no_mail_is_lost_or_doubled_and_the_queue_keeps_littles_law() {
    let plan = tuesday_at_nine(Fault::QueueBacklog, Severity::Middling);
    let mut lab = lab(3, 60, vec![plan]);
    while lab.now() < plan.onset + Span::from_hours(7) {
        lab.scrape();
    }
    let (enqueued, done, dropped, waiting) = lab.mails();
    assert!(waiting > 10_000.0, "a backlog has built up: {waiting}");
    assert!((enqueued - done - dropped - waiting).abs() < 1e-6 * enqueued);
    // L = λ·W with the arrivals of the time that the oldest has waited.
    let age = lab.fleet.mails.age(lab.fleet.clock());
    let rate = lab.fleet.tier(blueprint::Service::Checkout).good;
    assert!((waiting / (rate * age) - 1.0).abs() < 0.15, "{waiting} {rate} {age}");
}

/// A fleet that has run an hour under steady arrivals and pressure.
fn settled(requests: f64, pressure: &Pressure) -> Fleet {
    let mut fleet = Fleet::new(11);
    let start = at("2026-03-02T04:00:00Z");
    for n in 0..360 {
        let arrivals = traffic::Arrivals { requests, batch: 0.0, world: 0.5 };
        fleet.step(start + Span::from_secs(10 * n), arrivals, pressure);
    }
    fleet
}

/// Whatever is broken down adds up to the whole, by tenant and by route.
#[test]
fn parts_add_up_to_the_whole() {
    for pressure in [
        Pressure::NONE,
        Pressure { tenant_orders: 9.0, tenant_weight: 6.0, ..Pressure::NONE },
        Pressure { route_errors: 0.6, tenant_conflicts: 0.4, ..Pressure::NONE },
        Pressure { crowd: 90.0, bank_quota: 0.3, ..Pressure::NONE },
    ] {
        let fleet = settled(90.0, &pressure);
        for service in [blueprint::Service::Web, blueprint::Service::Checkout] {
            let tier = fleet.tier(service);
            let (tenants, routes) = fleet.parts(service, &pressure);
            for parts in [tenants, routes] {
                let sum = |read: fn(&tenants::Part) -> f64| parts.iter().map(read).sum::<f64>();
                let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * (1.0 + b);
                let (requests, errors) = (sum(|part| part.requests), sum(|part| part.errors));
                assert!(near(requests, tier.arrivals), "{requests} {}", tier.arrivals);
                assert!(near(errors, tier.arrivals - tier.good), "{service:?} {errors}");
                let seconds = sum(|part| part.seconds);
                assert!(near(seconds, tier.arrivals * tier.time.mean), "{service:?} {seconds}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn more_load_never_relieves_anything(load in 5.0..120.0_f64, more in 0.5..40.0_f64) {
        // Up to what web can do: beyond that, what it gives up spares the services behind it.
        let (a, b) = (settled(load, &Pressure::NONE), settled(load + more, &Pressure::NONE));
        for (before, after) in a.tiers.iter().zip(&b.tiers) {
            for (before, after) in before.instances.iter().zip(&after.instances) {
                prop_assert!(before.cpu <= after.cpu + 1e-9, "{}", before.cpu - after.cpu);
            }
        }
        prop_assert!(a.order.p99 <= b.order.p99 * (1.0 + 1e-9));
        prop_assert!(a.pool.used <= b.pool.used + 1e-9);
    }

    #[test]
    fn overload_is_felt_at_the_door(load in 160.0..300.0_f64, more in 0.5..100.0_f64) {
        let (a, b) = (settled(load, &Pressure::NONE), settled(load + more, &Pressure::NONE));
        prop_assert!(a.order.p99 <= b.order.p99 * (1.0 + 1e-9));
        prop_assert!(a.browse.failed <= b.browse.failed + 1e-9);
        // What is served never exceeds what the cores can do.
        let web = b.tier(blueprint::Service::Web);
        prop_assert!(web.good <= 3.0 * 2.0 / 0.022 / 0.7);
    }

    #[test]
    fn the_pool_keeps_littles_law(load in 5.0..200.0_f64, leaked in 0.0..6.0_f64) {
        let fleet = settled(load, &Pressure { pool_leaked: leaked, ..Pressure::NONE });
        let orders = fleet.edges[CHECKOUT_DB].wanted / 3.0;
        // Three queries, each with its share of retries, and 50 ms of the code's own.
        let hold = 3.0 * fleet.edges[CHECKOUT_DB].calls.time.mean + 0.05;
        let expected = leaked + (orders * hold).min(POOL - leaked);
        prop_assert!((fleet.pool.used * POOL - expected).abs() < 0.02 * expected + 1e-6,
            "{} {expected}", fleet.pool.used * POOL);
    }

    #[test]
    fn a_slower_dependency_is_felt_all_the_way_up(slower in 1.0..6.0_f64) {
        let before = settled(100.0, &Pressure::NONE);
        let after = settled(100.0, &Pressure { payments_time: slower, ..Pressure::NONE });
        let time = |fleet: &Fleet, service| fleet.tier(service).time.mean;
        for service in [blueprint::Service::Payments, blueprint::Service::Checkout,
            blueprint::Service::Web] {
            prop_assert!(time(&before, service) <= time(&after, service) + 1e-12);
        }
        prop_assert!(before.order.p99 <= after.order.p99 + 1e-12);
        prop_assert!((before.browse.p99 / after.browse.p99 - 1.0).abs() < 0.5);
    }
}

#[test]
fn the_topology_names_the_services_and_nothing_else() {
    let edges = topology();
    assert!(edges.contains(&("checkout", "payments")));
    assert!(edges.contains(&("checkout", "orders-db")));
    assert!(edges.contains(&("checkout", "worker")));
    let lab = lab(1, 60, vec![]);
    let known = |name: &str| lab.series().iter().any(|s| s.labels["service"] == name);
    assert!(edges.iter().all(|(caller, callee)| known(caller) && known(callee)));
}
