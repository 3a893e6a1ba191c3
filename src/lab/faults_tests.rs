use super::tests::{column, ratio};
use super::*;

/// A lab in which one thing goes wrong on a Tuesday morning, or at its natural hour after; and the
/// same lab without it.
fn pair(fault: Fault, severity: Severity, seed: u64, scrape: Span) -> (FaultPlan, Lab, Lab) {
    let nine: Timestamp = "2026-03-03T09:00:00Z".parse().unwrap();
    let onset = fault.natural_onset(nine);
    let plan = FaultPlan { fault, onset, severity, end: onset + Span::from_hours(10) };
    let start = onset - Span::from_hours(2);
    let lab = |faults| Lab::new(Settings { seed, start, scrape, faults }).unwrap();
    (plan, lab(vec![plan]), lab(Vec::new()))
}

/// Hours from the onset until users notice; none if they do not before the fault ends.
fn hours(fault: Fault, severity: Severity, seed: u64) -> Option<f64> {
    let (plan, mut lab, _) = pair(fault, severity, seed, Span::from_mins(5));
    while lab.now() < plan.end {
        lab.scrape();
    }
    let truth = lab.truth()[0];
    assert_eq!(truth.cause, fault.cause().unwrap_or(NOTHING));
    assert_eq!(truth.onset, plan.onset);
    truth.noticed.map(|noticed| (noticed - plan.onset).as_hours_f64())
}

/// Hours from onset within which users notice a fault of middling severity that begins on a
/// working morning; infinite where they never do.
fn expected_hours(fault: Fault) -> (f64, f64) {
    match fault {
        Fault::SlowDependency
        | Fault::RetryAmplification
        | Fault::PoolExhaustion
        | Fault::QueueBacklog
        | Fault::WriteRace
        | Fault::NetworkPath
        | Fault::UnexplainedDrift => (3.0, 8.0),
        // A benign deploy of web on the way starts the leak anew.
        Fault::ResourceLeak => (3.0, 9.0),
        // Users notice once enough instances run the new version.
        Fault::BadDeploy => (0.5, 2.0),
        // What fails for certain is noticed sooner than what slows.
        Fault::MixedDeploy
        | Fault::DataShape
        | Fault::HotTenant
        | Fault::Overload
        | Fault::ThirdPartyThrottling
        | Fault::ResourceContention
        | Fault::InstanceOutlier => (1.5, 6.0),
        // Few threads are enough until a quarter of an hour is busy, if one is.
        Fault::ConfigChange => (0.1, f64::INFINITY),
        // The job holds its locks while the night is still busy.
        Fault::TimeBoundary => (1.5, 3.0),
        _ => (f64::INFINITY, f64::INFINITY),
    }
}

/// `cargo test --lib lab::faults -- --nocapture` prints when users notice.
#[test]
fn users_notice_each_fault_in_its_time_and_a_stronger_one_sooner() {
    let told = |hours: Option<f64>| hours.map_or("never".to_owned(), |h| format!("{h:.1} h"));
    let mut wrong = Vec::new();
    println!("\n| fault | faint | middling | strong |\n|---|---|---|---|");
    for info in FAULTS {
        let by_severity = [Severity::Faint, Severity::Middling, Severity::Strong]
            .map(|severity| hours(info.fault, severity, 1));
        let [faint, middling, strong] = by_severity;
        println!("| {} | {} | {} | {} |", info.id, told(faint), told(middling), told(strong));
        let late = |hours: Option<f64>| hours.unwrap_or(f64::INFINITY);
        let (soonest, latest) = expected_hours(info.fault);
        for hours in [middling, hours(info.fault, Severity::Middling, 2)] {
            if !(soonest <= late(hours) && late(hours) <= latest) {
                wrong.push(format!("{}: {}", info.id, told(hours)));
            }
        }
        if !(late(strong) <= late(middling) && late(middling) <= late(faint)) {
            wrong.push(format!("{}: a stronger one comes later", info.id));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What something must move, early, against the same hours without it; and what it must leave.
struct Sign {
    fault: Fault,
    /// Series that move, and the factor that they pass: upwards above 1, downwards below.
    moves: &'static [(&'static str, f64)],
    /// Series that stay within 10 %.
    stays: &'static [&'static str],
}

const CHECKOUT_CPU: &str = r#"lab_cpu{instance="checkout-1",service="checkout"}"#;
const CHECKOUT_CPU_2: &str = r#"lab_cpu{instance="checkout-2",service="checkout"}"#;
const CHECKOUT_P50: &str = r#"lab_latency_p50{service="checkout"}"#;
const CHECKOUT_P99: &str = r#"lab_latency_p99{instance="checkout-1",service="checkout"}"#;
const CHECKOUT_P99_2: &str = r#"lab_latency_p99{instance="checkout-2",service="checkout"}"#;
const CHECKOUT_ERRORS: &str = r#"lab_errors{service="checkout"}"#;
const CHECKOUT_TRAFFIC: &str = r#"lab_traffic{service="checkout"}"#;
const CONFLICTS: &str = r#"lab_conflicts{service="checkout"}"#;
const DB_CPU: &str = r#"lab_cpu{instance="orders-db-1",service="orders-db"}"#;
const DB_DISK: &str = r#"lab_disk{instance="orders-db-1",service="orders-db"}"#;
const LOCK_WAIT: &str = r#"lab_lock_wait{service="orders-db"}"#;
const LOGS: &str = r#"lab_log_volume{service="checkout"}"#;
const MEMORY: &str = r#"lab_memory{instance="web-1",service="web"}"#;
const POOL_USE: &str = r#"lab_pool_use{pool="orders-db",service="checkout"}"#;
const QUEUE_AGE: &str = r#"lab_queue_age{queue="emails",service="worker"}"#;
const QUEUE_DEPTH: &str = r#"lab_queue_depth{queue="emails",service="worker"}"#;
const TO_BANK: &str = r#"lab_dependency_latency{dependency="bank",service="payments"}"#;
const TO_CACHE: &str = r#"lab_dependency_latency{dependency="cache",service="web"}"#;
const TO_CHECKOUT: &str = r#"lab_dependency_latency{dependency="checkout",service="web"}"#;
const TO_DB: &str = r#"lab_dependency_latency{dependency="orders-db",service="checkout"}"#;
const TO_PAYMENTS: &str = r#"lab_dependency_latency{dependency="payments",service="checkout"}"#;
const SENT_TO_PAYMENTS: &str = r#"lab_attempts{dependency="payments",service="checkout"}"#;
const REFUSED_BY_BANK: &str = r#"lab_dependency_errors{dependency="bank",service="payments"}"#;
const WEB_CPU: &str = r#"lab_cpu{instance="web-1",service="web"}"#;
const WEB_GOODPUT: &str = r#"lab_goodput{service="web"}"#;
const WEB_HIT: &str = r#"lab_cache_hit{instance="web-1",service="web"}"#;
const WEB_HIT_2: &str = r#"lab_cache_hit{instance="web-2",service="web"}"#;
const WEB_P50: &str = r#"lab_latency_p50{service="web"}"#;
const WEB_P99: &str = r#"lab_latency_p99{instance="web-1",service="web"}"#;
const WEB_TRAFFIC: &str = r#"lab_traffic{service="web"}"#;
const WORKER_P50: &str = r#"lab_latency_p50{service="worker"}"#;

const fn sign(
    fault: Fault,
    moves: &'static [(&'static str, f64)],
    stays: &'static [&'static str],
) -> Sign {
    Sign { fault, moves, stays }
}

#[rustfmt::skip]
const SIGNS: [Sign; 43] = [
    sign(Fault::SlowDependency, &[(TO_PAYMENTS, 1.3)], &[CHECKOUT_CPU, TO_DB, TO_BANK, WEB_TRAFFIC]),
    sign(Fault::RetryAmplification, &[(SENT_TO_PAYMENTS, 1.1)], &[WEB_TRAFFIC, TO_DB]),
    sign(Fault::PoolExhaustion, &[(POOL_USE, 1.3)], &[TO_DB, TO_PAYMENTS, LOCK_WAIT]),
    sign(Fault::QueueBacklog, &[(QUEUE_AGE, 1.2)], &[CHECKOUT_TRAFFIC, WEB_P50, WORKER_P50]),
    sign(Fault::BadDeploy, &[(CHECKOUT_P99, 1.2)], &[TO_PAYMENTS, TO_DB]),
    sign(Fault::ResourceLeak, &[(MEMORY, 1.3)], &[CHECKOUT_P50, WEB_TRAFFIC]),
    sign(Fault::HotTenant, &[(CHECKOUT_CPU, 1.2), (CHECKOUT_P99, 1.2)], &[TO_DB, TO_PAYMENTS, WEB_TRAFFIC]),
    sign(Fault::WriteRace, &[(CONFLICTS, 5.0), (LOCK_WAIT, 10.0)], &[CHECKOUT_TRAFFIC, TO_DB, DB_CPU]),
    sign(Fault::CacheDivergence, &[(WEB_HIT, 0.8)], &[WEB_HIT_2, WEB_TRAFFIC, CHECKOUT_P50]),
    sign(Fault::MixedDeploy, &[(CHECKOUT_ERRORS, 10.0), (CONFLICTS, 5.0)], &[CHECKOUT_P50, TO_DB, TO_PAYMENTS, CHECKOUT_CPU]),
    sign(Fault::ConfigChange, &[(CHECKOUT_P99, 1.15)], &[CHECKOUT_CPU, TO_DB, TO_PAYMENTS, POOL_USE]),
    sign(Fault::ThirdPartyThrottling, &[(REFUSED_BY_BANK, 5.0)], &[WEB_TRAFFIC, TO_BANK, TO_DB]),
    sign(Fault::Overload, &[(WEB_TRAFFIC, 1.2), (WEB_CPU, 1.2), (CHECKOUT_CPU, 1.2)], &[TO_BANK]),
    sign(Fault::ResourceContention, &[(DB_CPU, 2.0), (DB_DISK, 2.0), (TO_DB, 1.3)], &[WEB_TRAFFIC, CHECKOUT_CPU, TO_PAYMENTS]),
    sign(Fault::TimeBoundary, &[(LOCK_WAIT, 100.0), (CHECKOUT_P99, 1.3)], &[WEB_TRAFFIC, TO_PAYMENTS]),
    sign(Fault::LogFlood, &[(LOGS, 8.0), (CHECKOUT_CPU, 1.2)], &[CHECKOUT_TRAFFIC, TO_DB, TO_PAYMENTS]),
    sign(Fault::DataShape, &[(CHECKOUT_ERRORS, 10.0)], &[CHECKOUT_P50, CHECKOUT_P99, CHECKOUT_TRAFFIC, TO_DB]),
    sign(Fault::InstanceOutlier, &[(CHECKOUT_CPU_2, 1.5), (CHECKOUT_P99_2, 1.3)], &[CHECKOUT_CPU, CHECKOUT_P99, TO_DB]),
    sign(Fault::NetworkPath, &[(TO_DB, 1.5), (TO_CACHE, 2.0), (TO_PAYMENTS, 1.2)], &[DB_CPU, CHECKOUT_CPU, WEB_CPU, TO_BANK]),
    sign(Fault::UnexplainedDrift, &[(WEB_P50, 1.2)], &[WEB_CPU, CHECKOUT_P50, TO_CHECKOUT]),
    sign(Fault::LookAlike(Like::HarmlessDeploy), &[(TO_PAYMENTS, 1.3)], &[CHECKOUT_CPU, TO_DB]),
    sign(Fault::LookAlike(Like::EveryTenant), &[(WEB_TRAFFIC, 1.2)], &[TO_BANK]),
    sign(Fault::LookAlike(Like::Hammered), &[(SENT_TO_PAYMENTS, 1.1)], &[WEB_TRAFFIC]),
    sign(Fault::LookAlike(Like::DatabaseFirst), &[(DB_DISK, 2.0), (TO_DB, 1.12)], &[DB_CPU, TO_PAYMENTS]),
    sign(Fault::LookAlike(Like::MemoryOfTraffic), &[(WEB_TRAFFIC, 1.15), (MEMORY, 1.1)], &[TO_DB]),
    sign(Fault::LookAlike(Like::StuckHead), &[(QUEUE_AGE, 20.0)], &[QUEUE_DEPTH, WORKER_P50]),
    sign(Fault::LookAlike(Like::ConflictsOfOne), &[(CONFLICTS, 5.0)], &[LOCK_WAIT, CHECKOUT_TRAFFIC]),
    sign(Fault::LookAlike(Like::ColdCaches), &[(WEB_HIT, 0.85), (WEB_HIT_2, 0.85)], &[WEB_TRAFFIC]),
    sign(Fault::LookAlike(Like::HarmlessStall), &[(REFUSED_BY_BANK, 5.0)], &[LOCK_WAIT, CHECKOUT_CPU]),
    sign(Fault::LookAlike(Like::LateConfig), &[(POOL_USE, 1.3)], &[TO_DB, CHECKOUT_CPU]),
    sign(Fault::LookAlike(Like::Sale), &[(CHECKOUT_TRAFFIC, 1.2), (SENT_TO_PAYMENTS, 1.2)], &[TO_BANK]),
    sign(Fault::LookAlike(Like::DeployAtPeak), &[(CHECKOUT_P99, 1.2)], &[TO_PAYMENTS]),
    sign(Fault::LookAlike(Like::BusyDay), &[(WEB_CPU, 1.05), (WEB_TRAFFIC, 1.05)], &[TO_PAYMENTS, TO_DB]),
    sign(Fault::LookAlike(Like::AfterMidnight), &[(TO_PAYMENTS, 1.3)], &[LOCK_WAIT, TO_DB]),
    sign(Fault::LookAlike(Like::TalkativeErrors), &[(CHECKOUT_ERRORS, 10.0), (LOGS, 1.2)], &[CHECKOUT_CPU, CHECKOUT_P50]),
    sign(Fault::LookAlike(Like::ErrorsEverywhere), &[(CHECKOUT_ERRORS, 10.0)], &[CHECKOUT_CPU, CHECKOUT_P50]),
    sign(Fault::LookAlike(Like::BadCanary), &[(CHECKOUT_CPU, 1.3)], &[CHECKOUT_CPU_2, TO_DB]),
    sign(Fault::LookAlike(Like::SlowForAll), &[(TO_DB, 1.2)], &[DB_CPU, TO_PAYMENTS, TO_CACHE]),
    sign(Fault::LookAlike(Like::RefusedRetries), &[(REFUSED_BY_BANK, 5.0)], &[WEB_TRAFFIC, TO_BANK]),
    sign(Fault::LookAlike(Like::SlowCreep), &[(TO_PAYMENTS, 1.1)], &[TO_DB, CHECKOUT_CPU]),
    sign(Fault::Outside(Outside::LostResults), &[(WEB_GOODPUT, 0.9)], &[WEB_P50, WEB_P99, WEB_TRAFFIC]),
    sign(Fault::Outside(Outside::SkewedClock), &[(QUEUE_AGE, 5.0)], &[QUEUE_DEPTH, WORKER_P50]),
    sign(Fault::Outside(Outside::SlowNames), &[(WEB_P99, 1.1)], &[WEB_CPU, CHECKOUT_P50, TO_CHECKOUT]),
];

#[test]
fn each_moves_its_own_metrics_before_users_notice_and_leaves_what_tells_it_from_others() {
    let mut wrong = Vec::new();
    for Sign { fault, moves, stays } in SIGNS {
        let (plan, mut with, mut without) = pair(fault, Severity::Middling, 5, Span::MINUTE);
        let histories =
            (History::record(&mut with, plan.end), History::record(&mut without, plan.end));
        let noticed = with.truth()[0].noticed.unwrap_or(plan.onset + Span::from_hours(5));
        // A little past half-way from onset to notice: where an early warning has to find something.
        let early = plan.onset + Span::from_millis((noticed - plan.onset).as_millis() * 6 / 10);
        // The means are over half an hour.
        let early = early.max(plan.onset + Span::from_mins(35));
        let moved = |name: &str| ratio(&histories.0, &histories.1, name, early);
        for &(name, factor) in moves {
            let moved = moved(name);
            let enough = if factor > 1.0 { moved > factor } else { moved < factor };
            if !enough {
                wrong.push(format!("{fault}: {name} moved by {moved}"));
            }
        }
        for name in stays {
            let moved = moved(name);
            if !(0.9..1.1).contains(&moved) {
                wrong.push(format!("{fault}: {name} moved by {moved} and should stay"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_nothing_hurts_nobody() {
    for like in LOOKALIKES.iter().filter(|like| like.cause.is_none()) {
        for seed in 1..=3 {
            let (fault, severity) = (like.info.fault, Severity::Middling);
            let (plan, mut with, mut without) = pair(fault, severity, seed, Span::from_mins(5));
            while with.now() < plan.end {
                with.scrape();
                without.scrape();
            }
            // A burst may hurt on a busy day; it would have hurt on any other.
            let noticed = |lab: &Lab| lab.noticed().len();
            assert!(noticed(&with) <= noticed(&without), "{} seed {seed}", like.info.id);
        }
    }
}

/// Rows of a column in which its number moved.
fn steps(history: &History, name: &str) -> Vec<Timestamp> {
    let column: Vec<(usize, f64)> = column(history, name)
        .into_iter()
        .enumerate()
        .filter_map(|(row, value)| Some((row, value?)))
        .collect();
    let moved = column.windows(2).filter(|pair| pair[0].1.to_bits() != pair[1].1.to_bits());
    moved.map(|pair| history.at(pair[1].0)).collect()
}

#[test]
fn what_is_done_on_purpose_is_told_when_it_is_done() {
    let near = |at: Timestamp, steps: &[Timestamp]| {
        steps.iter().any(|step| at <= *step && *step <= at + Span::from_mins(2))
    };
    for (fault, service, after) in [
        (Fault::ConfigChange, "checkout", 0),
        (Fault::LookAlike(Like::ColdCaches), "web", 0),
        (Fault::LookAlike(Like::LateConfig), "checkout", 3),
    ] {
        let (plan, mut lab, _) = pair(fault, Severity::Middling, 2, Span::MINUTE);
        let history = History::record(&mut lab, plan.end);
        let steps = steps(&history, &format!("lab_config_version{{service=\"{service}\"}}"));
        assert!(near(plan.onset + Span::from_hours(after), &steps), "{fault}: {steps:?}");
        assert!(steps.len() < 4, "{fault}: {steps:?}");
    }
    let planned = Fault::LookAlike(Like::PlannedSilence);
    let (plan, mut lab, _) = pair(planned, Severity::Middling, 2, Span::MINUTE);
    let history = History::record(&mut lab, plan.end - Span::MINUTE);
    let told = column(&history, r#"lab_maintenance{service="payments"}"#);
    assert_eq!(*told.last().unwrap(), Some(plan.onset.as_secs() as f64));
    assert_eq!(*column(&history, r#"lab_traffic{service="payments"}"#).last().unwrap(), None);
}

/// Versions that `checkout` runs at the end of a history.
fn versions(history: &History) -> usize {
    let end = history.end().unwrap();
    let runs = |(index, series): (usize, &LabSeries)| {
        let ours = series.metric == "lab_build_info" && series.labels["service"] == "checkout";
        let up = ours && history.latest(index, end, Span::from_mins(5)).is_some();
        up.then(|| series.labels["version"].clone())
    };
    let found = history.series().iter().enumerate().filter_map(runs);
    found.collect::<std::collections::BTreeSet<String>>().len()
}

#[test]
fn a_stalled_rollout_stays_half_way_and_its_trouble_ends_with_it() {
    let (plan, mut lab, _) = pair(Fault::MixedDeploy, Severity::Middling, 2, Span::MINUTE);
    let mut history = History::record(&mut lab, plan.onset + Span::from_hours(6));
    assert_eq!(versions(&history), 2);
    let recent = |history: &History| {
        let errors = column(history, CHECKOUT_ERRORS);
        errors.into_iter().rev().flatten().take(10).sum::<f64>() / 10.0
    };
    assert!(recent(&history) > 0.01, "{}", recent(&history));
    history.extend(&mut lab, plan.end + Span::HOUR);
    assert_eq!(versions(&history), 1, "the rollout is complete");
    assert!(recent(&history) < 0.004, "{}", recent(&history));
}
