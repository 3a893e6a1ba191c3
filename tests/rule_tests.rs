//! `grayflag test`: the shipped rules pass their tests, and a test that fails says how near it was.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::path::Path;
use std::process::{Command, Output};

use grayflag::config::Machine;
use grayflag::rule_test::{Test, load};
use grayflag::rules::{builtin_causes, packs};

fn test(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_grayflag"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("test").args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_shipped_rules_pass_their_tests() {
    let output = test(&["rules/tests"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout) + &text(&output.stderr));
    assert!(text(&output.stdout).ends_with(" passed, 0 failed\n"), "{}", text(&output.stdout));
}

#[test]
fn the_shipped_packs_pass_their_tests() {
    let output = test(&["rules/tests/packs"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout) + &text(&output.stderr));
    assert!(text(&output.stdout).ends_with(" passed, 0 failed\n"), "{}", text(&output.stdout));
}

#[test]
fn every_shipped_pack_names_a_trouble_and_is_quiet_without() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/tests/packs");
    for pack in packs() {
        let path = dir.join(format!("{}.toml", pack.name));
        let tests = load(&path, &Machine).unwrap().suite.unwrap().tests;
        let named = |test: &Test| test.expectations.iter().any(|told| told.cause.is_some());
        assert!(tests.iter().any(named), "{}: no trouble is named", pack.name);
        let quiet = tests.iter().any(|test| test.expectations.is_empty());
        assert!(quiet, "{}: no test is quiet", pack.name);
        // Its own signals are tested, not only what stands beside them.
        let text = std::fs::read_to_string(&path).unwrap();
        let signals = grayflag::rules::load(&[pack.file()]).0.signals;
        let own = signals.iter().any(|own| text.contains(&format!("'signal:{}{{", own.name)));
        assert!(own, "{}: no series is of its signals", pack.name);
    }
}

/// A cause that is named whatever happens would pass its own case alone.
#[test]
fn every_shipped_cause_has_its_case_and_a_look_alike() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/tests");
    for shipped in builtin_causes() {
        // The file of a cause is called like the cause.
        let cause = shipped.path.file_stem().and_then(|id| id.to_str()).unwrap();
        let suite = load(&dir.join(format!("{cause}.toml")), &Machine).unwrap().suite.unwrap();
        let names = |test: &&Test| {
            test.expectations.iter().any(|expected| expected.cause.as_deref() == Some(cause))
        };
        let named = suite.tests.iter().filter(names).count();
        assert!(0 < named, "{cause}: no test names it");
        assert!(named < suite.tests.len(), "{cause}: no test has a look-alike");
    }
}

#[test]
fn a_test_that_fails_says_how_near_it_was() {
    let output = test(&["tests/data/rule_tests/failing.toml"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    let blocks: Vec<&str> = told.split("FAIL  ").skip(1).collect();
    let expected: [(&str, &[&str]); 8] = [
        (
            "failing.toml:6  something where nothing is",
            &[
                "checkout (overload): nothing was told between +0s and +5h",
                "strongest at +1h39m: 0.74 of what a notice takes, held by min_effect: latency moved \
                 1.14%, 10% needed\n",
                "without what was held: 0.00 of what a notice takes, 0.00 of an alert, at +",
            ],
        ),
        (
            "failing.toml:19  nothing where something is",
            &["that nobody expected: ", "slow-dependency 0."],
        ),
        ("failing.toml:27  another cause", &["expected overload, named ", "slow-dependency 0."]),
        ("failing.toml:40  later", &["too early: expected between +4h and +5h"]),
        (
            "failing.toml:52  earlier",
            &["too late: expected between +0s and +2h", "dependency_latency (payments) moved "],
        ),
        ("failing.toml:64  another culprit", &["expected orders-db to be blamed, found payments"]),
        (
            "failing.toml:82  another severity (0 of 2 seeds, 2 must pass)",
            &[
                "seed 1: ",
                "seed 2: ",
                "expected a critical, found a ",
                " of what an alert takes, at +",
                "was beyond its objective for a quarter of an hour",
            ],
        ),
        ("failing.toml:96  another value", &["expected acme to narrow it down, found "]),
    ];
    assert_eq!(blocks.len(), expected.len(), "{told}");
    for (block, (first, parts)) in blocks.iter().zip(expected) {
        assert!(block.starts_with(&format!("tests/data/rule_tests/{first}\n")), "{block}");
        for part in parts {
            assert!(block.contains(part), "no {part:?} in {block}");
        }
    }
    assert!(told.ends_with("0 tests passed, 8 failed\n"), "{told}");
}

#[test]
fn a_share_of_the_seeds_can_be_enough() {
    let dir = tempfile::tempdir().unwrap();
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/rules/tests/signals/roles.toml");
    // Of the ten seeds some, and not all, must be told before the window ends.
    let file = |pass: &str| {
        format!(
            "start = '2024-03-04T00:00:00Z'\nrules = ['{rules}', 'builtin']\n\
             [[test]]\nname = 'a share'\nwarm_up = '1w'\nseeds = 10\n{pass}\n\
             [[test.series]]\nseries = 'dependency_latency{{service=\"a\",dependency=\"b\"}}'\n\
             values = '0.1~8%x1w 0.1..0.15~8%x4h'\n\
             [[test.expect]]\nservice = 'a'\nalert = {{ before = '1h20m' }}\n"
        )
    };
    let path = dir.path().join("share.toml");
    for (pass, status) in [("pass = 0.1", 0), ("", 1)] {
        std::fs::write(&path, file(pass)).unwrap();
        let output = test(&[path.to_str().unwrap()]);
        let told = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{told}");
        assert!(told.contains(" of 10 seeds, "), "{told}");
    }
}

#[test]
fn what_cannot_be_tested_is_status_two() {
    for (args, part) in [
        (&["no/such.toml"][..], "cannot read the tests `no/such.toml`"),
        (&["tests/data/bad/tests-many-mistakes.toml"], "nothing was tested: "),
        (&["tests/common"], "no `.toml` file is in the folder `tests/common`"),
        (&["rules/tests/overload.toml", "--run", "xyzzy"], "no test has a name with `xyzzy` in it"),
    ] {
        let output = test(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(text(&output.stdout), "");
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

/// Compares with the file, or writes it when `UPDATE_SNAPSHOTS` is set.
fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rule_tests").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "UPDATE_SNAPSHOTS=1 writes it anew");
}

#[test]
fn explain_tells_what_the_engine_saw_and_what_it_held_back() {
    let output = test(&["tests/data/rule_tests/gates.toml", "--explain"]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}{}", text(&output.stderr));
    compare("gates.txt", &told);
    for gate in [
        "held by min_effect: moved ",
        "held by min_traffic: at least 50 needed",
        "no data",
        "alert budget used up",
        "it could not be judged at any time: latency: no baseline yet",
    ] {
        assert!(told.contains(gate), "no {gate:?} in {told}");
    }
}

#[test]
fn every_seed_is_explained() {
    let output = test(&["rules/tests/slow-dependency.toml", "--run", "5 %.*users", "--explain"]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}");
    for seed in 1..=3 {
        assert!(told.contains(&format!("\n      seed {seed}\n      checkout\n")), "{told}");
    }
    assert!(told.contains("causes: slow-dependency 0."), "{told}");
}

#[test]
fn ci_servers_get_a_case_for_every_test() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("results.xml");
    let file = "tests/data/rule_tests/failing.toml";
    let args = [file, "--run", "^(something|another severity)", "--junit", path.to_str().unwrap()];
    assert_eq!(test(&args).status.code(), Some(1));
    let written = std::fs::read_to_string(&path).unwrap();
    compare("failing.xml", &written);
    let report = quick_junit::Report::deserialize_from_str(&written).unwrap();
    let suite = &report.test_suites[0];
    assert_eq!((suite.name.as_str(), suite.tests, suite.failures), (file, 2, 2));
    // A file that cannot be written is no verdict.
    let nowhere = test(&[file, "--run", "later", "--junit", "no/such/folder/results.xml"]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(text(&nowhere.stderr).contains("cannot write `no/such/folder/results.xml`"));
}

#[test]
fn a_pattern_that_is_none_says_where() {
    let output = test(&["rules/tests/overload.toml", "--run", "users("]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("unclosed group"), "{}", text(&output.stderr));
}
