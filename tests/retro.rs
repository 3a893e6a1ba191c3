//! `grayflag retro` as a user types it: what the system knew before users did, from a replay of the
//! lab's fleet and from what a daemon's state file remembers.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
mod common;
#[expect(dead_code, reason = "shared")]
#[path = "common/e2e.rs"]
mod e2e;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, LazyLock, RwLock};
use std::time::Duration;

use common::{Installed, VictoriaMetrics};
use e2e::{HISTORY, Home, Hooks, World, fault};
use grayflag::course::{Look, Occasion};
use grayflag::engine::alert::{Alert, MovedSignal};
use grayflag::engine::appraise::{Appraisal, Move, TooSmall};
use grayflag::engine::chart::Chart;
use grayflag::lab::endpoint::{self, Shared};
use grayflag::lab::{self, Fault, History, Lab};
use grayflag::retro::{
    Case, Noticed, Record, Review, Subject, Watched, Witness, html, markdown, review,
};
use grayflag::rules::{MinEffect, Rules};
use grayflag::time::{Span, Timestamp};
use tokio::net::TcpListener;

/// Midnight before Monday, 2 March 2026.
const FROM: Timestamp = Timestamp::from_secs(1_772_409_600);
/// When payments begins to slow down.
const ONSET: Timestamp = Timestamp::from_secs(1_772_409_600 + 8 * 3_600);

/// Three quiet weeks, a quiet night, and a dependency that slows from eight o'clock on for seven
/// hours.
static PAST: LazyLock<Shared> = LazyLock::new(|| {
    let faults = vec![fault(Fault::SlowDependency, ONSET, 7)];
    let settings = lab::Settings { seed: 3, start: FROM - HISTORY, scrape: Span::MINUTE, faults };
    let past = History::record(&mut Lab::new(settings).unwrap(), ONSET + Span::from_hours(10));
    Arc::new(RwLock::new(past))
});

/// A home whose backend is the lab.
async fn home() -> Home {
    let past = tokio::task::spawn_blocking(|| Arc::clone(&PAST)).await.unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(endpoint::serve(listener, past, std::future::pending()));
    Home::new(&format!("http://{address}"), "5m", "")
}

async fn said(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn retro(home: &Home, at: Timestamp, args: &[&str]) -> String {
    let mut command = home.command("retro");
    command.args(["--at", &at.to_string()]).args(args);
    let output = said(command).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Compares with the file, or writes it when `UPDATE_SNAPSHOTS` is set.
fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/retro").join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "UPDATE_SNAPSHOTS=1 writes it anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_reviewed() {
    let home = home().await;
    let at = ONSET + Span::from_hours(3);
    let noticed = (ONSET + Span::from_mins(349)).to_string();
    let markdown = retro(&home, at, &["--noticed", &noticed]).await;
    compare("slow-dependency.md", &markdown);
    let page = home.path("review.html");
    let to = page.to_str().unwrap();
    let nothing = retro(&home, at, &["--format", "html", "--output", to]).await;
    assert_eq!(nothing, "");
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.contains("<svg") && html.contains("class=\"checklist\""), "{html}");
    for outside in ["<script", "src=", "@import", "http://", "https://"] {
        let plain = html.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
        assert!(!plain.contains(outside), "{outside} in {html}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_was_told_the_strongest_evidence_is() {
    let home = home().await;
    let quiet = FROM + Span::from_hours(3);
    let around = ["--before", "2h", "--after", "1h"];
    let markdown = retro(&home, quiet, &around).await;
    assert!(markdown.contains("nothing was told\n"), "{markdown}");
    assert!(markdown.contains("the strongest evidence was "), "{markdown}");
    assert!(markdown.contains("this service was strongest ("), "{markdown}");
    let other = retro(&home, quiet, &[&around[..], &["--service", "worker"]].concat()).await;
    assert!(other.starts_with("# worker: nothing was told\n"), "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reviewed_is_told_with_a_remedy() {
    let home = home().await;
    std::fs::write(home.path("bad.toml"), "[[incident]]\nservice = 'web'\n").unwrap();
    let bad = home.path("bad.toml");
    let at = (FROM + Span::HOUR).to_string();
    for (args, part) in [
        (&["--at", "2126-01-01T00:00:00Z"][..], "hint: --at is an instant"),
        (&["--at", &at, "--before", "2w", "--after", "1h"], "hint: `grayflag replay` looks at"),
        (&["--at", &at, "--incidents", bad.to_str().unwrap()], "missing key `onset`"),
        (&["--at", &at, "--before", "1h", "--after", "1h", "--service", "wep"], "hint: services"),
    ] {
        let mut command = home.command("retro");
        command.args(args);
        let output = said(command).await;
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(part), "no {part:?} in {told}");
        assert_eq!(text(&output.stdout), "");
    }
}

/// A daemon lived through it, somebody looked after it and said what it was: all that is in the
/// review, marked as what really happened.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_really_told_stands_beside_what_the_replay_shows() {
    let to = ONSET + Span::from_hours(3);
    let world = World::simulate(FROM, to, vec![fault(Fault::SlowDependency, ONSET, 7)]);
    let backend = VictoriaMetrics::start_with(&Installed::all()[0], &world.prometheus_text()).await;
    let hooks = Hooks::start().await;
    let home = Home::new(&backend.url, "5m", &hooks.config());
    let mut daemon = home.run(&["--rehearse", &FROM.to_string(), "--to", &to.to_string()]);
    assert!(daemon.ended(Duration::from_secs(300)).await.success(), "{}", daemon.log());
    let incident = {
        let told = home.store().incidents(1, None).unwrap();
        let alert: Alert = serde_json::from_str(&told[0]).unwrap();
        alert.incident
    };
    for args in [
        &["acknowledge", &incident, "--by", "oncall"][..],
        &["feedback", &incident, "useful", "--cause", "slow-dependency", "--by", "oncall"],
    ] {
        let mut command = home.command(args[0]);
        command.args(&args[1..]);
        assert!(said(command).await.status.success());
    }
    let incidents = home.path("incidents.toml");
    let noticed = ONSET + Span::from_mins(150);
    let file = format!(
        "[[incident]]\nservice = \"checkout\"\nonset = \"{ONSET}\"\nnoticed = \"{noticed}\"\n"
    );
    std::fs::write(&incidents, file).unwrap();
    // From where the daemon began: what is learned later may tell a little earlier or later.
    let args = ["--before", "10h", "--after", "1h", "--incidents", incidents.to_str().unwrap()];
    let markdown = retro(&home, ONSET + Span::from_hours(2), &args).await;
    for part in [
        "Yes, it knew before users, who noticed at 10:30 UTC: ",
        "| **notice** | ",
        " | both |\n",
        "delivered to hook | state file |",
        "acknowledged by oncall | state file |",
        "called useful (slow-dependency) by oncall | state file |",
        "| **users** | users noticed | told |",
        "as the file of incidents says",
    ] {
        assert!(markdown.contains(part), "no {part:?} in {markdown}");
    }
}

/// A window of each width, which says by how much it is too narrow for the page.
#[tokio::test(flavor = "multi_thread")]
async fn no_window_is_too_narrow_for_the_page() {
    let home = home().await;
    let page = home.path("page.html");
    let at = ONSET + Span::from_hours(3);
    let around = ["--before", "3h", "--after", "1h", "--format", "html"];
    let to = ["--output", page.to_str().unwrap()];
    retro(&home, at, &[&around[..], &to].concat()).await;
    let html = std::fs::read_to_string(&page).unwrap();
    let document = html.replace('&', "&amp;").replace('"', "&quot;");
    let frame = |width| format!("<iframe width=\"{width}\" srcdoc=\"{document}\"></iframe>");
    let frames = [320, 700, 1_200].map(frame).concat();
    let asks = "<script>onload = () => { said.textContent = [...document.querySelectorAll('iframe')]\
                .map(frame => { const root = frame.contentDocument.documentElement;\
                return root.scrollWidth - root.clientWidth; }).join(' '); }</script>";
    let framed = format!("<!doctype html><body>{frames}<pre id=\"said\"></pre>{asks}");
    std::fs::write(&page, framed).unwrap();
    let mut command = Command::new(browser());
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .arg(format!("--user-data-dir={}", home.path("profile").display()))
        .arg("--dump-dom")
        .arg(format!("file://{}", page.display()));
    let dom = text(&said(command).await.stdout);
    assert!(dom.contains("<pre id=\"said\">0 0 0</pre>"), "{}", dom.split("<pre").last().unwrap());
}

/// A case without a backend: these alerts, told by the replay, by the state file or by both.
fn reviewed(replayed: &[Alert], recorded: Option<&[Alert]>, noticed: Option<Timestamp>) -> Review {
    reviewed_of(&watched(replayed), recorded, noticed)
}

fn watched(replayed: &[Alert]) -> Watched {
    let at = replayed[0].at;
    let mut watched = Watched::new(at - Span::from_hours(6));
    watched.alerts = replayed.to_vec();
    watched.window[1] = at + Span::from_hours(6);
    watched
}

fn reviewed_of(
    watched: &Watched,
    recorded: Option<&[Alert]>,
    noticed: Option<Timestamp>,
) -> Review {
    let at = watched.alerts[0].at;
    let rules = Rules::default();
    let case = Case {
        at,
        rules: &rules,
        zone: &jiff::tz::TimeZone::UTC,
        subject: Subject::choose(watched, at, None).unwrap(),
        noticed: noticed.map(|at| Noticed { at, by: Witness::Asked }),
        record: recorded.map(|alerts| Record { alerts: alerts.to_vec(), ..Record::default() }),
        coverage: None,
        chart: Chart::default(),
    };
    review(&case, watched)
}

fn firing() -> Alert {
    serde_json::from_str(include_str!("data/messages/firing.json")).unwrap()
}

#[test]
fn the_answer_counts_by_what_was_really_told() {
    let first = firing();
    let mut later = first.clone();
    later.at = first.at + Span::HOUR;
    let noticed = first.at + Span::from_mins(30);
    let replayed = [first.clone()];
    let early = reviewed(&replayed, None, Some(noticed)).answer;
    assert!(early.starts_with("Yes, ") && early.contains("the replay told a "), "{early}");
    let late = reviewed(&replayed, Some(&[later]), Some(noticed));
    assert!(late.answer.starts_with("No, users knew first, "), "{}", late.answer);
    assert!(late.answer.contains(": grayflag told a "), "{}", late.answer);
    let origins: Vec<&str> = late.events.iter().map(|event| event.origin).collect();
    assert_eq!(origins, ["replay", "told", "state file"]);
    let unknown = reviewed(&replayed, Some(&replayed), None);
    assert!(unknown.answer.starts_with("When users noticed is not known: "), "{}", unknown.answer);
    assert_eq!(unknown.events[0].origin, "both");
}

#[test]
fn moves_that_were_too_small_are_told_of_each_service() {
    let mut alert = firing();
    "payments".clone_into(&mut alert.service);
    alert.services = ["checkout", "payments"].map(str::to_owned).to_vec();
    let mut watched = watched(&[alert.clone()]);
    for service in &alert.services {
        let signal = MovedSignal { service: service.clone(), ..alert.signals[0].clone() };
        let needed = MinEffect { absolute: 0.05, relative: 0.1 };
        let held = TooSmall { moved: 0.01, relative: None, needed, unit: None };
        let onset_range = [alert.started_at; 2];
        let notice = Some(1.5);
        let moved = Move { signal, onset_range, score: 5.0, notice, held: Some(held) };
        let looks = [Span::ZERO, Span::MINUTE].map(|later| Look {
            at: alert.started_at + later,
            occasion: Occasion::Notice,
            appraisal: Appraisal {
                at: alert.started_at + later,
                reach: None,
                moves: vec![moved.clone()],
                mute: Vec::new(),
                incident: None,
            },
            causes: Vec::new(),
        });
        watched.courses.all.entry(service.clone()).or_default().looks = looks.to_vec();
    }
    assert!(alert.started_at + Span::MINUTE < alert.at, "before the first word");
    let gaps = reviewed_of(&watched, None, None).gaps;
    let told: Vec<&str> = gaps.iter().map(|gap| gap.split(' ').next().unwrap()).collect();
    assert_eq!(told[..2], ["payments", "checkout"], "the one in question first: {gaps:?}");
    assert!(told[2..].iter().all(|gap| gap.ends_with(':')), "each once: {gaps:?}");
}

#[test]
fn names_from_outside_are_text_and_nothing_else() {
    let evil = "x</title><script>alert(1)</script>|`a` [b](javascript:c) '; rm -r /\n# d";
    let mut alert = firing();
    evil.clone_into(&mut alert.service);
    alert.services = vec![evil.to_owned()];
    alert.title = format!("{evil} is slow");
    alert.causes[0].culprit.service = evil.to_owned();
    alert.causes[0].evidence_for = vec![evil.to_owned()];
    alert.steps.fix = vec![evil.to_owned()];
    alert.checked = vec![evil.to_owned()];
    let review = reviewed(&[alert], None, None);
    let page = html(&review).unwrap();
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
    let markdown = markdown(&review);
    let outside = markdown.split("```").step_by(2).collect::<String>();
    for bare in ["<script", "|`", " [b]", "\n# d"] {
        assert!(!outside.replace("\\<", "").contains(bare), "{bare} in {outside}");
    }
    let command = markdown.split("```").nth(1).unwrap();
    assert!(command.contains("'\\''; rm -r / # d'"), "one word for a shell: {command}");
}

fn browser() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let all = std::env::split_paths(&path).flat_map(|dir| names.map(|name| dir.join(name)));
    all.into_iter().find(|program| program.is_file()).unwrap()
}
