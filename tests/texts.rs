//! What an alert says: that its numbers are those of what it speaks of, agree with each other and
//! answer what is asked.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use grayflag::engine::alert::{Alert, MovedSignal, NOT_EXPLAINED, State};
use grayflag::engine::{Engine, Settings};
use grayflag::format;
use grayflag::rules::{
    Cause, Evidence, Role, RoleState, Rules, See, Service, Signal, Steps, UNEXPLAINED,
};
use grayflag::series::{Batch, Labels, Sample, Series};
use grayflag::time::{Span, Timestamp};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

const TICK: Span = Span::from_mins(1);
const HISTORY: Span = Span::from_hours(15 * 24);

fn start() -> Timestamp {
    "2026-03-04T09:00:00Z".parse().unwrap()
}

/// Signal, service, whom it calls, usual level, and what the trouble multiplies it by. What moves
/// the most is the caller's.
const SERIES: [(&str, &str, Option<&str>, f64, f64); 9] = [
    ("p99", "shop", None, 0.3, 1.4),
    ("p99", "web", None, 0.5, 1.0),
    ("failed", "shop", None, 0.01, 1.0),
    ("processor", "shop", None, 0.2, 1.4),
    ("processor", "web", None, 0.4, 1.9),
    ("calls", "web", Some("shop"), 0.3, 1.4),
    ("sent", "shop", Some("bank"), 36.0, 1.0),
    ("garbage", "shop", None, 0.01, 1.0),
    ("refused", "shop", Some("bank"), 0.36, 3.0),
];

fn cause(id: &str, likely: f64, steps: Steps) -> Cause {
    let see = |role| See::RoleIs { role, is: RoleState::Rising };
    let evidence = |role, likely| Evidence { see: see(role), likely, otherwise: 0.1 };
    Cause {
        id: id.to_owned(),
        title: "Something is short".to_owned(),
        explain: String::new(),
        prior: 0.2,
        evidence: vec![evidence(Role::Cpu, likely), evidence(Role::Latency, likely)],
        steps,
    }
}

fn rules() -> Rules {
    let signal = |name: &str, role, unit: &str| Signal {
        unit: Some(unit.to_owned()),
        dependency: matches!(role, Role::DependencyLatency | Role::Attempts | Role::Throttled)
            .then(|| "server".to_owned()),
        ..Signal::plain(name, role)
    };
    let first_ten_minutes = [
        "Processor: {{ roles.cpu.now }} (usual {{ roles.cpu.expected }}).",
        "Calls: {{ levels.attempts }}.",
        "Query: `{{ queries.cpu }}`, `{{ queries.throttled }}`.",
        "Refused: {{ roles.throttled.share }} of the calls made.",
    ];
    let first_ten_minutes = first_ten_minutes.map(str::to_owned).to_vec();
    let refused = "Refused: {{ roles.throttled.now }} (usual {{ roles.throttled.expected }}).";
    let refused = vec![refused.to_owned()];
    let calls = |names: &[&str]| Service {
        depends_on: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Service::default()
    };
    Rules {
        signals: vec![
            signal("p99", Role::Latency, "seconds"),
            signal("failed", Role::Errors, "ratio"),
            signal("processor", Role::Cpu, "ratio"),
            signal("calls", Role::DependencyLatency, "seconds"),
            signal("sent", Role::Attempts, "per second"),
            signal("garbage", Role::Gc, "ratio"),
            signal("refused", Role::Throttled, "per second"),
        ],
        causes: vec![
            cause("shortage", 0.98, Steps { first_ten_minutes, ..Steps::default() }),
            cause("rival", 0.02, Steps { first_ten_minutes: refused, ..Steps::default() }),
            Cause { prior: 0.01, ..cause(UNEXPLAINED, 0.1, Steps::default()) },
        ],
        services: BTreeMap::from([("web".to_owned(), calls(&["shop"]))]),
        ..Rules::default()
    }
}

/// What is told of a shop that is short of something, and of the site that calls it.
static TOLD: LazyLock<Vec<Alert>> = LazyLock::new(|| {
    let settings = Settings {
        interval: TICK,
        history: HISTORY,
        timezone: jiff::tz::TimeZone::UTC,
        alerts_from: start(),
        pages_url: None,
        source_url: None,
    };
    let mut engine = Engine::new(Arc::new(rules()), settings);
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut noise = [0.0; SERIES.len()];
    let series = SERIES.map(|(signal, service, server, ..)| {
        let labels = server.map(|server| ("server".to_owned(), server.to_owned()));
        let labels: Labels = labels.into_iter().collect();
        Arc::new(Series::new(signal, service, None, server.map(str::to_owned), labels))
    });
    let (mut at, mut alerts) = (start() - HISTORY, Vec::new());
    while at < start() + Span::from_hours(30) {
        let since = (at - start()).as_hours_f64();
        let hours = since.max(0.0);
        let mut batch = Batch { span: TICK, ..Batch::default() };
        for (place, (.., usual, factor)) in SERIES.iter().enumerate() {
            noise[place] = 0.6 * noise[place] + 0.8 * rng.sample::<f64, _>(StandardNormal);
            let risen = if hours < 4.0 { factor.powf(hours.min(1.0)) } else { 1.0 };
            // What does not move is calm, so that it is normal beyond doubt.
            let calm = if since > -12.0 && *factor <= 1.0 { 0.2 } else { 1.0 };
            let value = usual * risen * (0.04 * calm * noise[place]).exp();
            batch.samples.push(Sample { series: series[place].clone(), value });
        }
        alerts.extend(engine.step(at, &batch).alerts);
        at = at + TICK;
    }
    alerts
});

fn signal<'a>(alert: &'a Alert, service: &str, name: &str) -> &'a MovedSignal {
    let found = alert.signals.iter().find(|s| s.service == service && s.signal == name);
    found.unwrap_or_else(|| panic!("{name} of {service}: {:#?}", alert.signals))
}

/// The newest alert in which the shop is to blame and the site is in trouble too.
fn told() -> &'static Alert {
    let blames = |alert: &&Alert| {
        let named = alert.causes.first().is_some_and(|c| {
            c.id == "shortage" && c.culprit.service == "shop" && alert.named_at.is_none()
        });
        named && alert.services.len() == 2
    };
    TOLD.iter().find(blames).unwrap_or_else(|| panic!("{:#?}", *TOLD))
}

#[test]
fn a_step_about_the_culprit_tells_the_culprits_numbers() {
    let alert = told();
    let (of_shop, of_web) = (signal(alert, "shop", "processor"), signal(alert, "web", "processor"));
    assert!(of_web.p_value <= of_shop.p_value, "the other is the louder one");
    let told = |s: &MovedSignal| format::optional_pair([s.now, s.expected], s.unit.as_deref());
    let [now, usual] = told(of_shop);
    let step = format!("Processor: {now} (usual {usual}).");
    assert_eq!(alert.steps.first_ten_minutes[0], step);
}

#[test]
fn a_step_can_tell_what_did_not_move() {
    let step = &told().steps.first_ten_minutes[1];
    assert!(step.starts_with("Calls: attempts of shop to bank: 3"), "{step}");
    assert!(step.ends_with(" per second, as usual."), "{step}");
}

#[test]
fn a_step_asks_for_the_rows_of_the_culprit() {
    let step = &told().steps.first_ten_minutes[2];
    let queries = r#"`processor{service="shop"}`, `refused{server="bank",service="shop"}`"#;
    assert_eq!(*step, format!("Query: {queries}."));
}

#[test]
fn calls_that_are_counted_are_a_share_of_those_made() {
    let alert = told();
    let share = signal(alert, "shop", "refused").share_of_calls.unwrap();
    assert!((0.012..0.035).contains(&share), "more than one percent: {share}");
    let step = &alert.steps.first_ten_minutes[3];
    assert_eq!(*step, format!("Refused: {} of the calls made.", format::share(share)));
    assert_eq!(signal(alert, "shop", "p99").share_of_calls, None);
}

#[test]
fn evidence_and_signals_tell_one_value() {
    let alert = told();
    let [now, usual] = {
        let signal = signal(alert, "shop", "p99");
        format::optional_pair([signal.now, signal.expected], signal.unit.as_deref())
    };
    let line = format!("latency of shop rose to {now} (usual {usual})");
    let known = |text: &String| text.starts_with(&line);
    assert!(alert.causes[0].evidence_for.iter().any(known), "{line}: {:#?}", alert.causes[0]);
}

#[test]
fn calls_to_what_is_in_trouble_are_no_trouble_of_their_own() {
    let alert = told();
    signal(alert, "web", "calls");
    let unexplained = alert.causes[0].against.iter().find(|text| text.starts_with(NOT_EXPLAINED));
    assert!(!unexplained.is_some_and(|text| text.contains("dependency")), "{unexplained:?}");
}

#[test]
fn what_users_feel_is_told_of_those_that_they_face() {
    let alert = told();
    assert!(alert.users.starts_with("not affected yet: latency of web "), "{}", alert.users);
    assert!(alert.users.ends_with("as usual"), "{}", alert.users);
}

#[test]
fn what_is_felt_is_the_first_of_what_is_normal() {
    let checked = &told().checked;
    assert!(checked[0].starts_with("errors of shop: "), "{checked:?}");
    assert!(checked.iter().any(|line| line.starts_with("gc of shop: ")), "{checked:?}");
}

#[test]
fn the_next_best_cause_is_named_however_improbable() {
    let causes = &told().causes;
    assert!(causes[0].probability > 0.98, "{causes:#?}");
    let rival = causes.iter().find(|cause| cause.id == "rival").unwrap();
    assert!(rival.probability < 0.01 && !rival.against.is_empty(), "{rival:#?}");
}

#[test]
fn numbers_that_are_kept_say_when_they_were_taken() {
    let last = TOLD.last().unwrap();
    let named = last.named_at.unwrap_or_else(|| panic!("{last:#?}"));
    assert!(named < last.at && last.started_at < named, "{named} {last:#?}");
    assert_eq!(told().named_at, None, "taken now");
}

#[test]
fn steps_tell_the_numbers_of_now_whenever_the_cause_was_named() {
    let later = |alert: &&Alert| alert.named_at.is_some() && alert.state == State::Updated;
    let late: Vec<&Alert> = TOLD.iter().filter(later).collect();
    assert!(late.len() > 1, "{:#?}", *TOLD);
    for alert in late {
        assert_eq!(alert.causes[0].id, "rival");
        let refused = signal(alert, "shop", "refused");
        let told = [refused.now, refused.expected];
        let [now, usual] = format::optional_pair(told, refused.unit.as_deref());
        assert_eq!(alert.steps.first_ten_minutes, [format!("Refused: {now} (usual {usual}).")]);
    }
}
