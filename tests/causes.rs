//! The shipped causes: every file loads without a problem, weighs evidence on both sides, and has
//! steps that say something whatever an incident knows.

#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::collections::{BTreeMap, BTreeSet};

use grayflag::rules::{self, Cause, Evidence, Role, Steps};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Value, json};

/// Longer than this without any facts filled in is not a step but an essay.
const STEP_CHARS_MAX: usize = 280;

/// Pairs that are easily taken for each other (the first is true, the second must lose).
const LOOK_ALIKES: [(&str, &str); 29] = [
    ("hot-tenant", "overload"),
    ("overload", "hot-tenant"),
    ("overload", "resource-contention"),
    ("overload", "third-party-throttling"),
    ("resource-contention", "overload"),
    ("resource-contention", "log-flood"),
    ("log-flood", "resource-contention"),
    ("write-race", "data-shape"),
    ("write-race", "mixed-deploy"),
    ("data-shape", "write-race"),
    ("data-shape", "hot-tenant"),
    ("data-shape", "bad-deploy"),
    ("cache-divergence", "instance-outlier"),
    ("instance-outlier", "cache-divergence"),
    ("instance-outlier", "bad-deploy"),
    ("bad-deploy", "instance-outlier"),
    ("bad-deploy", "config-change"),
    ("bad-deploy", "mixed-deploy"),
    ("mixed-deploy", "bad-deploy"),
    ("config-change", "bad-deploy"),
    ("config-change", "pool-exhaustion"),
    ("third-party-throttling", "retry-amplification"),
    ("retry-amplification", "third-party-throttling"),
    ("slow-dependency", "network-path"),
    ("slow-dependency", "retry-amplification"),
    ("network-path", "slow-dependency"),
    ("pool-exhaustion", "slow-dependency"),
    ("resource-leak", "resource-contention"),
    ("time-boundary", "queue-backlog"),
];

/// One piece of evidence moves the odds of two look-alikes apart by at least this factor.
const APART_MIN: f64 = 2.0;

/// The shipped causes by file name without its ending. Each file is read alone and without any
/// problem: what a rule file can get wrong in general is the parser's to say.
fn shipped() -> BTreeMap<String, Cause> {
    let mut causes = BTreeMap::new();
    for file in rules::builtin_causes() {
        let name = file.path.file_stem().unwrap().to_str().unwrap().to_owned();
        let (set, problems) = rules::load(&[file]);
        assert!(problems.is_empty(), "{}", problems.render(false));
        assert_eq!((set.causes.len(), set.signals.len()), (1, 0), "{name}: one cause per file");
        causes.extend(set.causes.into_iter().map(|cause| (name.clone(), cause)));
    }
    causes
}

/// The six lists, in the order in which a person works through them.
fn lists(steps: &Steps) -> [(&str, &[String]); 6] {
    [
        ("first_ten_minutes", &steps.first_ten_minutes),
        ("compare", &steps.compare),
        ("reproduce", &steps.reproduce),
        ("fix", &steps.fix),
        ("verify", &steps.verify),
        ("avoid", &steps.avoid),
    ]
}

fn signal(role: &str) -> Value {
    json!({
        "service": "checkout", "signal": format!("lab-{role}"), "role": role,
        "labels": {"dependency": "payments"}, "query": format!("max by (service) (lab_{role})"),
        "now": "412 ms", "expected": "80 ms", "onset": "02:40 UTC", "direction": "up",
    })
}

/// An incident of which everything is known.
fn rich() -> Value {
    let by_role = |make: &dyn Fn(&str) -> Value| {
        Role::ALL.iter().map(|role| (role.name().to_owned(), make(role.name()))).collect::<Value>()
    };
    json!({
        "service": "checkout", "culprit": "payments", "dependency": "payments",
        "label": "tenant", "value": "acme", "since": "02:12 UTC", "ago": "3h10m", "peer": "checkout-3",
        "services": ["checkout", "payments", "web"],
        "signals": [signal("latency"), signal("cpu")],
        "changes": [{"kind": "deploy", "service": "checkout", "at": "02:05 UTC", "what": "v41"}],
        "roles": by_role(&signal),
        "levels": by_role(&|role| json!(format!("{role} of checkout: 412 ms, as usual"))),
        "queries": by_role(&|role| json!(format!("max by (service) (lab_{role})"))),
        "splits": by_role(&|role| json!({
            "label": "tenant", "query": format!("sum by (tenant) (lab_{role})"),
            "one": format!("sum by (tenant) (lab_{role}{{tenant=\"acme\"}})"),
        })),
        "seen_before": "the same pattern was seen at 2026-02-11 03:10 UTC, lasted 2h10m",
    })
}

/// An incident of which almost nothing is known.
fn bare() -> Value {
    json!({
        "service": "checkout", "culprit": "checkout", "dependency": "", "label": "", "value": "",
        "since": "02:12 UTC", "ago": "3h10m", "peer": "", "services": ["checkout"], "signals": [],
        "changes": [], "roles": {}, "levels": {}, "queries": {}, "splits": {}, "seen_before": "",
    })
}

fn render(template: &str, facts: &Value) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    // A key that may be missing can be asked about and must not be printed.
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.render_str(template, Serde(facts))
}

#[test]
fn every_file_is_named_for_its_cause_and_has_a_usable_prior() {
    let causes = shipped();
    let mut total = 0.0;
    for (name, cause) in &causes {
        assert_eq!(&cause.id, name);
        assert!(!cause.title.is_empty() && cause.title.len() <= 60, "{name}: {}", cause.title);
        assert!((80..=500).contains(&cause.explain.len()), "{name}: {}", cause.explain.len());
        total += cause.prior;
    }
    assert!(total <= 1.0, "the priors add up to {total}");
    let silent: Vec<_> = causes.values().filter(|cause| cause.evidence.is_empty()).collect();
    assert_eq!(silent.len(), 1, "only the honest answer has no evidence");
    assert_eq!(silent.first().unwrap().id, rules::UNEXPLAINED);
}

/// The roles whose values a step prints.
fn printed(step: &str) -> BTreeSet<&str> {
    let named = step.split("{{ roles.").skip(1).filter_map(|rest| rest.split_once(".now }}"));
    named.map(|(role, _)| role).filter(|role| Role::from_name(role).is_some()).collect()
}

#[test]
fn a_step_about_one_role_takes_that_roles_onset() {
    for (name, cause) in shipped() {
        for step in &cause.steps.first_ten_minutes {
            if let [role] = Vec::from_iter(printed(step))[..] {
                let text = render(step, &rich()).unwrap();
                assert!(!text.contains("since 02:12 UTC"), "{name}: {role}: {text}");
            }
        }
    }
}

#[test]
fn evidence_says_something_for_and_against() {
    for (name, cause) in &shipped() {
        for Evidence { see, likely, otherwise } in &cause.evidence {
            assert!((likely - otherwise).abs() > 0.009, "{name}: {see:?} says nothing");
        }
        let speaks = |against: bool| {
            cause.evidence.iter().any(|one| (one.likely < one.otherwise) == against)
        };
        assert!(cause.evidence.is_empty() || (speaks(true) && speaks(false)), "{name}");
    }
}

#[test]
fn no_piece_of_evidence_is_counted_twice() {
    for (name, cause) in &shipped() {
        for (i, one) in cause.evidence.iter().enumerate() {
            let again = cause.evidence[..i].iter().any(|other| other.see == one.see);
            assert!(!again, "{name}: {:?}", one.see);
        }
    }
}

/// How far seeing what the first cause expects moves its odds away from those of the second.
fn apart(true_one: &Cause, rival: &Cause) -> f64 {
    let factor = |e: &Evidence| e.likely / e.otherwise;
    let of = |cause: &Cause, one: &Evidence| {
        cause.evidence.iter().find(|e| e.see == one.see).map_or(1.0, factor)
    };
    let expected = true_one.evidence.iter().filter(|e| e.likely > e.otherwise);
    expected.map(|one| factor(one) / of(rival, one)).fold(1.0, f64::max)
}

#[test]
fn look_alikes_are_told_apart_by_what_is_seen() {
    let causes = shipped();
    for (true_one, rival) in LOOK_ALIKES {
        let factor = apart(&causes[true_one], &causes[rival]);
        assert!(factor >= APART_MIN, "{true_one} against {rival}: {factor:.1}");
    }
}

#[test]
fn steps_say_something_whatever_is_known() {
    let (rich, bare) = (rich(), bare());
    for (name, cause) in &shipped() {
        for (list, steps) in lists(&cause.steps) {
            assert!((3..=7).contains(&steps.len()), "{name}.{list}: {} entries", steps.len());
            for step in steps {
                let full = render(step, &rich).unwrap_or_else(|e| panic!("{name}.{list}: {e:#}"));
                let short = render(step, &bare).unwrap_or_else(|e| panic!("{name}.{list}: {e:#}"));
                assert!((20..=STEP_CHARS_MAX).contains(&short.len()), "{name}.{list}: {short}");
                for text in [&full, &short] {
                    assert!(text.starts_with(|c: char| c.is_ascii_uppercase()), "{text}");
                    assert!(!text.contains("  ") && !text.contains(".."), "{text}");
                    assert!(text.ends_with(['.', '?', ';']), "{text}");
                }
            }
        }
    }
}

#[test]
fn what_to_avoid_is_said_as_such() {
    for (name, cause) in &shipped() {
        for step in &cause.steps.avoid {
            assert!(step.starts_with("Do not "), "{name}: {step}");
        }
    }
}

#[test]
fn a_missing_fact_is_noticed() {
    assert!(render("Wait {{ roles.pool_wait.now }}.", &bare()).is_err());
    assert!(render("{{ culprt }}", &rich()).is_err());
}
