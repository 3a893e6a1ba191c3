//! Rule files that are right: every key and every default.

use std::path::PathBuf;

use grayflag::problem::SourceFile;
use grayflag::rules::{
    self, Breakdown, Cause, ChangeSide, Evidence, MinEffect, MinTraffic, Role, RoleState, RuleSet,
    Scale, See, Signal, Steps, Worse,
};
use grayflag::series::ChangeKind;
use grayflag::time::Span;

fn load(text: &str) -> RuleSet {
    let file = SourceFile { path: PathBuf::from("r.toml"), text: text.to_owned() };
    let (set, problems) = rules::load(&[file]);
    assert!(problems.is_empty(), "{}", problems.render(false));
    set
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

#[test]
fn a_signal_with_every_key() {
    let set = load(
        r#"
[[signal]]
name       = "http-latency-p99"
role       = "latency"
query      = 'histogram_quantile(0.99, sum by (app, instance, server, queue, zone, le) (rate(http_bucket[5m])))'
service    = "app"
peer       = "instance"
dependency = "server"
split      = ["queue", "zone"]
unit       = "seconds"
worse      = "either"
scale      = "linear"
min_effect = { relative = 0.10, absolute = 0.005 }
min_traffic = { query = 'sum by (app) (rate(http_count[5m]))', at_least = 1 }
limit      = 30
delay      = "90s"
breakdown  = { by = ["tenant"], query = 'sum by (app, {{label}}) (rate(http_errors[5m]))' }
requires   = ["http_bucket"]
"#,
    );
    let want = Signal {
        name: "http-latency-p99".to_owned(),
        role: Role::Latency,
        query: "histogram_quantile(0.99, sum by (app, instance, server, queue, zone, le) (rate(http_bucket[5m])))".to_owned(),
        service: "app".to_owned(),
        peer: Some("instance".to_owned()),
        dependency: Some("server".to_owned()),
        split: owned(&["queue", "zone"]),
        unit: Some("seconds".to_owned()),
        worse: Worse::Either,
        scale: Scale::Linear,
        min_effect: MinEffect { relative: 0.10, absolute: 0.005 },
        min_traffic: Some(MinTraffic {
            query: "sum by (app) (rate(http_count[5m]))".to_owned(),
            at_least: 1.0,
        }),
        limit: Some(30.0),
        delay: Span::from_secs(90),
        breakdown: Some(Breakdown {
            by: owned(&["tenant"]),
            query: "sum by (app, {{label}}) (rate(http_errors[5m]))".to_owned(),
        }),
        requires: owned(&["http_bucket"]),
    };
    assert_eq!(set.signals, [want]);
}

#[test]
fn what_is_left_out_comes_from_the_role() {
    for &role in Role::ALL {
        let set = load(&format!("[[signal]]\nname = \"s\"\nrole = \"{role}\"\nquery = \"q\"\n"));
        let want = Signal {
            name: "s".to_owned(),
            role,
            query: "q".to_owned(),
            service: "service".to_owned(),
            peer: None,
            dependency: None,
            split: Vec::new(),
            unit: None,
            worse: role.worse(),
            scale: role.scale(),
            min_effect: MinEffect::default(),
            min_traffic: None,
            limit: None,
            delay: Span::ZERO,
            breakdown: None,
            requires: Vec::new(),
        };
        assert_eq!(set.signals, [want]);
    }
}

#[test]
fn every_form_of_see_is_understood() {
    let two_hours = Span::from_hours(2);
    let role = |is| See::RoleIs { role: Role::Retries, is };
    let climbing = See::RoleIs { role: Role::Memory, is: RoleState::Climbing };
    let change = |kind, onset, within| See::Change { kinds: vec![kind], onset, within };
    for (written, want) in [
        (r#"{ role = "retries", is = "rising" }"#, role(RoleState::Rising)),
        (r#"{ role = "retries", is = "falling" }"#, role(RoleState::Falling)),
        (r#"{ role = "retries", is = "normal" }"#, role(RoleState::Normal)),
        (r#"{ role = "retries", is = "silent" }"#, role(RoleState::Silent)),
        (
            r#"{ first = "pool_wait", then = "latency" }"#,
            See::Order { first: Role::PoolWait, then: Role::Latency, within: two_hours },
        ),
        (
            r#"{ first = "pool_wait", then = "latency", within = "30m" }"#,
            See::Order { first: Role::PoolWait, then: Role::Latency, within: Span::from_mins(30) },
        ),
        (
            r#"{ change = "deploy", onset = "after" }"#,
            change(ChangeKind::Deploy, ChangeSide::After, two_hours),
        ),
        (
            r#"{ change = "maintenance", onset = "inside", within = "1h" }"#,
            change(ChangeKind::Maintenance, ChangeSide::Inside, Span::HOUR),
        ),
        (
            r#"{ change = "settings", onset = "after" }"#,
            See::Change {
                kinds: vec![ChangeKind::Config, ChangeKind::Flag],
                onset: ChangeSide::After,
                within: two_hours,
            },
        ),
        (
            r#"{ change = "flag", onset = "before" }"#,
            change(ChangeKind::Flag, ChangeSide::Before, two_hours),
        ),
        (r#"{ versions = "new-worse" }"#, See::NewVersionWorse),
        (r#"{ traffic = "explains" }"#, See::TrafficExplains),
        (r#"{ goodput = "flat-while-attempts-grow" }"#, See::GoodputFlatWhileAttemptsGrow),
        (r#"{ services = "many" }"#, See::Services { many: true }),
        (r#"{ services = "one" }"#, See::Services { many: false }),
        (r#"{ callee = "anomalous" }"#, See::CalleeAnomalous),
        (r#"{ peer = "apart" }"#, See::PeerApart { of: None }),
        (r#"{ peer = "apart", of = "cache_hit" }"#, See::PeerApart { of: Some(Role::CacheHit) }),
        (r#"{ role = "memory", is = "climbing" }"#, climbing),
        (r#"{ windows = "deploy" }"#, See::WindowsWorse { kind: ChangeKind::Deploy }),
        (r#"{ versions = "mixed" }"#, See::VersionsMixed),
        (r#"{ traffic = "knee" }"#, See::TrafficKnee),
        (r#"{ loop = "closing" }"#, See::LoopClosing),
        (r#"{ dependencies = "several" }"#, See::Dependencies { several: true }),
        (
            r#"{ value = "dominates", of = "errors", label = "tenant" }"#,
            See::ValueDominates { of: Some(Role::Errors), label: Some("tenant".to_owned()) },
        ),
        (r#"{ value = "dominates" }"#, See::ValueDominates { of: None, label: None }),
        (r#"{ boundary = "clock" }"#, See::AtBoundary),
        (r#"{ recurs = "clock" }"#, See::RecursByClock),
        (r#"{ inside = "moved" }"#, See::InsideMoved),
    ] {
        let set = load(&format!(
            "[[cause]]\nid = \"c\"\ntitle = \"t\"\nexplain = \"e\"\nprior = 0.05\n\
             [[cause.evidence]]\nsee = {written}\nlikely = 0.95\notherwise = 0.08\n"
        ));
        let evidence = Evidence { see: want, likely: 0.95, otherwise: 0.08 };
        assert_eq!(set.causes[0].evidence, [evidence], "{written}");
    }
}

#[test]
fn a_cause_with_all_steps_and_the_one_without_evidence() {
    let set = load(
        r#"
[[cause]]
id = "unexplained-drift"
title = "No clear cause"
explain = "Something drifts."
prior = 0.02
[cause.steps]
first_ten_minutes = ["Look at {{ service }}{% if roles.latency %} ({{ roles.latency.now }}){% endif %}."]
compare = ["{% for s in signals %}{{ s.signal }}: {{ queries[s.role] }} {% endfor %}"]
reproduce = ["c"]
fix = ["d"]
verify = ["e", "f"]
avoid = ["g"]
"#,
    );
    let want = Cause {
        id: rules::UNEXPLAINED.to_owned(),
        title: "No clear cause".to_owned(),
        explain: "Something drifts.".to_owned(),
        prior: 0.02,
        evidence: Vec::new(),
        steps: Steps {
            first_ten_minutes: owned(&[
                "Look at {{ service }}{% if roles.latency %} ({{ roles.latency.now }}){% endif %}.",
            ]),
            compare: owned(&[
                "{% for s in signals %}{{ s.signal }}: {{ queries[s.role] }} {% endfor %}",
            ]),
            reproduce: owned(&["c"]),
            fix: owned(&["d"]),
            verify: owned(&["e", "f"]),
            avoid: owned(&["g"]),
        },
    };
    assert_eq!(set.causes, [want]);
}

#[test]
fn names_are_unique_over_files_and_both_places_are_told() {
    let text = "[[signal]]\nname = \"s\"\nrole = \"cpu\"\nquery = \"q\"\n";
    let file =
        |path: &str, text: &str| SourceFile { path: PathBuf::from(path), text: text.to_owned() };
    let (set, problems) = rules::load(&[file("z.toml", text), file("a.toml", text)]);
    assert_eq!(set.signals.len(), 1);
    assert_eq!(
        problems.lines(),
        "error: a.toml:2:8: the signal `s` is there twice (first: z.toml:2:8)\n\
         hint: give one of the two another name, or remove it"
    );
}
