//! A replay beside what really happened, against other rules, as a page, and over kept downloads:
//! the program, and a simulated past in a real backend.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
mod common;
#[expect(dead_code, reason = "shared")]
#[path = "common/e2e.rs"]
mod e2e;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, SystemTime};

use common::{Installed, Server, VictoriaMetrics};
use e2e::{Home, World, fault, poll};
use grayflag::engine::alert::{Alert, State};
use grayflag::lab::{Fault, Truth};
use grayflag::time::{Span, Timestamp};
use serde_json::Value;

/// As the scorecard documents it.
const SLACK: Span = Span::HOUR;

struct Past {
    server: Server,
    home: Home,
    truth: Vec<Truth>,
    from: Timestamp,
    to: Timestamp,
}

impl Past {
    /// Three faults in two days and a half.
    async fn new() -> Self {
        let from: Timestamp = "2026-03-03T06:00:00Z".parse().unwrap();
        let to = from + Span::from_hours(60);
        let at = |hours| from + Span::from_hours(hours);
        let faults = vec![
            fault(Fault::SlowDependency, at(2), 5),
            fault(Fault::QueueBacklog, at(22), 6),
            fault(Fault::CacheDivergence, at(44), 8),
        ];
        let world = World::simulate(from, to, faults);
        let text = world.prometheus_text();
        let server = VictoriaMetrics::start_with(&Installed::all()[0], &text).await;
        let home = Home::new(&server.url, "5m", "");
        let mut incidents = String::new();
        for truth in &world.truth {
            let Truth { service, onset, end, cause, .. } = truth;
            write!(
                incidents,
                "[[incident]]\nservice = \"{service}\"\nonset = \"{onset}\"\nend = \"{end}\"\n\
                 cause = \"{cause}\"\n"
            )
            .unwrap();
            if let Some(noticed) = truth.noticed {
                writeln!(incidents, "noticed = \"{noticed}\"").unwrap();
            }
        }
        std::fs::write(home.path("incidents.toml"), incidents).unwrap();
        Self { server, home, truth: world.truth, from, to }
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = self.home.command("replay");
        command.args(["--from", &self.from.to_string(), "--to", &self.to.to_string()]);
        command.args(args).current_dir(self.home.path("incidents.toml").parent().unwrap());
        command
    }

    fn replay(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn done(&self, args: &[&str]) -> String {
        let output = self.replay(args);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn summary(&self, args: &[&str]) -> Value {
        self.done(&[args, &["--summary", "summary.json"]].concat());
        serde_json::from_slice(&std::fs::read(self.home.path("summary.json")).unwrap()).unwrap()
    }

    /// Every kept answer with the time at which it was written.
    fn kept(&self, folder: &str) -> BTreeMap<PathBuf, SystemTime> {
        let Ok(entries) = std::fs::read_dir(self.home.path(folder)) else { return BTreeMap::new() };
        let written = |path: &Path| std::fs::metadata(path).and_then(|m| m.modified()).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "answer"))
            .map(|path| (path.clone(), written(&path)))
            .collect()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_replay_is_scored_compared_and_shown() {
    let past = Past::new().await;
    agrees_with_the_truth(&past);
    bounds_decide_the_exit_status(&past);
    other_rules_are_compared(&past);
    the_page_stands_alone(&past);
}

/// The scorecard says what the alerts and the lab's own truth say.
fn agrees_with_the_truth(past: &Past) {
    let lines = past.done(&["--format", "jsonl", "--incidents", "incidents.toml"]);
    let alerts: Vec<Alert> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let summary = past.summary(&["--incidents", "incidents.toml"]);
    let card = &summary["scorecard"];
    let scored = card["incidents"].as_array().unwrap();
    assert_eq!(scored.len(), past.truth.len());
    for (one, truth) in scored.iter().zip(&past.truth) {
        let about = alerts.iter().filter(|alert| alert.state != State::Resolved).find(|alert| {
            let blamed = alert.causes.first().map(|cause| cause.culprit.service.as_str());
            let named = alert.services.iter().any(|s| s == truth.service);
            let in_time = truth.onset - SLACK <= alert.at && alert.at <= truth.end + SLACK;
            in_time && (named || blamed == Some(truth.service))
        });
        let told = about.map(|alert| alert.at.to_string());
        assert_eq!(one["caught"]["at"].as_str(), told.as_deref(), "{one}");
        let fate = match (about, truth.noticed) {
            (None, _) => "missed",
            (Some(alert), Some(noticed)) if noticed < alert.at => "after",
            (Some(_), _) => "before",
        };
        assert_eq!(one["fate"], fate, "{one}");
    }
    // Otherwise nothing above was checked.
    assert!(card["figures"]["caught"].as_f64().unwrap() > 0.5, "{card}");
    assert_eq!(card["causes"].as_array().unwrap().len(), 3, "{card}");
}

fn bounds_decide_the_exit_status(past: &Past) {
    let with = |bounds| {
        past.replay(&["--format", "jsonl", "--incidents", "incidents.toml", "--require", bounds])
    };
    let kept = with("caught>=50%,false_alerts_per_week<=50");
    assert_eq!(kept.status.code(), Some(0), "{}", said(&kept));
    let missed = with("delay<=1s,caught>=50%");
    assert_eq!(missed.status.code(), Some(1));
    let told = said(&missed);
    assert!(told.contains("missed: delay<=1s is required: it is "), "{told}");
    assert!(!told.contains("caught"), "{told}");
    let nonsense = with("caugth>=1");
    assert_eq!(nonsense.status.code(), Some(2));
    assert!(said(&nonsense).contains("did you mean `caught`?"), "{}", said(&nonsense));
}

fn other_rules_are_compared(past: &Past) {
    let config = std::fs::read_to_string(past.home.config()).unwrap();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/rules/signals/lab.toml");
    let signals = std::fs::read_to_string(shipped).unwrap();
    // The same queries, and nothing that they give is large enough to matter to anybody.
    let deaf: String = signals
        .lines()
        .map(|line| {
            if line.starts_with("min_effect") {
                "min_effect = { relative = 1e6, absolute = 1e15 }\n".to_owned()
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    std::fs::write(past.home.path("deaf.toml"), deaf).unwrap();
    let quiet = config.replace(shipped, "deaf.toml");
    assert_ne!(config, quiet);
    std::fs::write(past.home.path("quiet.toml"), quiet).unwrap();
    let before = past.kept("cache").len();
    let args = ["--incidents", "incidents.toml", "--against", "quiet.toml", "--cache", "cache"];
    let summary = past.summary(&args);
    let comparison = &summary["comparison"];
    let told = [0, 1].map(|side| comparison["told"][side].as_u64().unwrap());
    assert!(told[0] > told[1], "{comparison}");
    let only_this = comparison["only_this"].as_array().unwrap();
    let only_other = comparison["only_other"].as_array().unwrap();
    assert_eq!(told[0] - told[1], (only_this.len() - only_other.len()) as u64, "{comparison}");
    for one in comparison["incidents"].as_array().unwrap() {
        assert_ne!(one["fate"][0], "missed", "{one}");
    }
    assert!(!comparison["incidents"].as_array().unwrap().is_empty(), "{comparison}");
    // Both ask for the same queries, so that all that was downloaded served both.
    let after = past.kept("cache").len();
    past.done(&["--cache", "cache", "--format", "jsonl"]);
    assert!(before < after);
    assert_eq!(past.kept("cache").len(), after);
    let same = past.summary(&["--against", "grayflag.toml", "--incidents", "incidents.toml"]);
    for list in ["incidents", "only_this", "only_other", "changed", "signals"] {
        assert!(same["comparison"][list].as_array().unwrap().is_empty(), "{list}: {same}");
    }
}

fn the_page_stands_alone(past: &Past) {
    let args = ["--format", "html", "--incidents", "incidents.toml", "--against", "quiet.toml"];
    let page = past.done(&args);
    for foreign in ["<script", "src=", "<link", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    for part in ["What happened when", "Scorecard", "Comparison with the other rules", "gf-moved"] {
        assert!(page.contains(part), "no {part}");
    }
    for truth in &past.truth {
        assert!(page.contains(truth.cause), "no {}", truth.cause);
    }
    // Every link leads to an incident that is on the page.
    for link in page.split("href=\"#").skip(1) {
        let id = link.split('"').next().unwrap();
        assert!(page.contains(&format!("id=\"{id}\"")), "nothing is called {id}");
    }
}

#[tokio::test]
async fn what_was_downloaded_is_used_again() {
    let past = Past::new().await;
    let args = ["--format", "jsonl", "--cache", "cache"];
    let plain = past.done(&["--format", "jsonl", "--no-cache"]);
    assert!(!plain.is_empty());
    killed_in_the_middle(&past, &args, &plain).await;
    other_queries_alone_are_asked(&past, &args);
    damage_is_mended(&past, &args, &plain);
    the_past_may_change(&past, &args, &plain).await;
    nobody_needs_the_backend(past, &args);
}

async fn killed_in_the_middle(past: &Past, args: &[&str], plain: &str) {
    let mut killed = past.command(args).stdout(Stdio::null()).spawn().unwrap();
    assert!(poll(Duration::from_secs(60), || past.kept("cache").len() > 20).await);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let before = past.kept("cache");
    assert_eq!(past.done(args), plain);
    let after = past.kept("cache");
    assert!(before.len() < after.len(), "it was not killed in the middle");
    for (path, written) in &before {
        assert_eq!(after[path], *written, "asked for again: {}", path.display());
    }
    assert_eq!(past.done(args), plain);
    assert_eq!(past.kept("cache"), after, "the second asks for nothing");
}

fn other_queries_alone_are_asked(past: &Past, args: &[&str]) {
    let before = past.kept("cache");
    let config = std::fs::read_to_string(past.home.config()).unwrap();
    let other = config.replace(
        "query = \"lab_build_info\"",
        "query = \"max(lab_build_info) by (service, version)\"",
    );
    assert_ne!(config, other);
    std::fs::write(past.home.config(), other).unwrap();
    past.done(args);
    let after = past.kept("cache");
    let new = after.len() - before.len();
    let per_query = before.len() / 20;
    assert!(0 < new && new <= per_query, "{new} of {}", after.len());
    for (path, written) in &before {
        assert_eq!(after[path], *written);
    }
    std::fs::write(past.home.config(), config).unwrap();
}

fn damage_is_mended(past: &Past, args: &[&str], plain: &str) {
    let kept: Vec<PathBuf> = past.kept("cache").into_keys().collect();
    for path in kept.iter().step_by(3) {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    for path in kept.iter().skip(1).step_by(3) {
        let length = std::fs::metadata(path).unwrap().len();
        std::fs::File::options().write(true).open(path).unwrap().set_len(length / 2).unwrap();
    }
    let output = past.replay(args);
    assert_eq!(String::from_utf8_lossy(&output.stdout), plain);
    assert!(said(&output).contains("kept answers were damaged"), "{}", said(&output));
    let again = past.replay(args);
    assert_eq!(said(&again), "");
}

/// Whoever fills in history, or puts another backend behind the address, is heard.
async fn the_past_may_change(past: &Past, args: &[&str], plain: &str) {
    let client = reqwest::Client::new();
    let delete = format!("{}/api/v1/admin/tsdb/delete_series", past.server.url);
    let matched = [("match[]", "{__name__=~\"lab_.*\",service=\"checkout\"}")];
    assert!(client.post(&delete).form(&matched).send().await.unwrap().status().is_success());
    let output = past.replay(args);
    let fresh = past.done(&["--format", "jsonl", "--no-cache"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), fresh);
    assert_ne!(fresh, plain);
}

fn nobody_needs_the_backend(past: Past, args: &[&str]) {
    let fresh = past.done(args);
    let mut command = past.command(args);
    drop(past.server);
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), fresh);
    assert!(said(&output).contains("the backend is away"), "{}", said(&output));
}
