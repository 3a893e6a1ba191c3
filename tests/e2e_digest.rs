//! Digests as their readers get them: a real Prometheus with two days of a fleet, a real mail
//! server, kills, a gap, and the commands beside them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
mod common;
#[expect(dead_code, reason = "shared")]
#[path = "common/e2e.rs"]
mod e2e;
#[expect(dead_code, reason = "shared")]
#[path = "common/smtp.rs"]
mod smtp;

use std::time::Duration;

use common::Prometheus;
use e2e::{Home, World, fault};
use grayflag::lab::Fault;
use grayflag::notify::digest::Digest;
use grayflag::store::RowState;
use grayflag::time::{Span, Timestamp};
use mail_parser::MessageParser;
use serde_json::json;
use smtp::Sink;

/// Longer than any run here takes.
const DEADLINE: Duration = Duration::from_secs(240);

/// A Tuesday morning, an hour before the digest: the first whole day ends on Wednesday.
fn from() -> Timestamp {
    "2026-03-03T07:00:00Z".parse().unwrap()
}

fn eight(days: i64) -> Timestamp {
    from() + Span::HOUR + Span::DAY.times(days)
}

fn config(sink: &Sink) -> String {
    format!(
        "[[receiver]]\nname = \"team\"\nemail = {{ to = [\"team@example.com\"], \
         from = \"grayflag@example.com\", smtp = \"smtp://127.0.0.1:{}\", tls = \"none\" }}\n\n\
         [digest]\ndaily = \"08:00\"\nweekly = \"never\"\n",
        sink.port
    )
}

/// Subjects and texts of the digests among the mails.
fn digests(sink: &Sink) -> Vec<(String, String)> {
    let mails = sink.mails();
    let parsed = mails.iter().map(|mail| MessageParser::default().parse(mail).unwrap());
    let told = parsed
        .map(|mail| (mail.subject().unwrap().to_owned(), mail.body_text(0).unwrap().into_owned()));
    told.filter(|(subject, _)| subject.starts_with("[daily digest]")).collect()
}

/// Runs until `to`; with a clock that begins at `begin`.
async fn run(home: &Home, begin: Timestamp, to: Timestamp) {
    let mut daemon = home.run(&["--rehearse", &begin.to_string(), "--to", &to.to_string()]);
    assert_eq!(daemon.ended(DEADLINE).await.code(), Some(0), "{}", daemon.log());
}

fn printed(home: &Home, args: &[&str]) -> String {
    let done = home.command("digest").args(args).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test]
async fn a_daily_digest_arrives_once_over_kills_and_gaps() {
    let slow = fault(Fault::SlowDependency, eight(0) + Span::from_hours(4), 5);
    let world = World::simulate(from(), eight(2) + Span::HOUR, vec![slow]);
    let backend = Prometheus::start_with_openmetrics(&world.openmetrics).await;
    let sink = Sink::start(json!({}));
    let home = Home::new(&backend.url, "5m", &config(&sink));
    let soon = eight(1) + Span::HOUR;

    // Killed again and again around the first digest, and before its end.
    run(&home, from(), eight(1) - Span::HOUR).await;
    assert_eq!(digests(&sink), [], "nobody watched the whole day before");
    for wait in [150, 400, 700] {
        let (begin, to) = (from().to_string(), soon.to_string());
        let mut daemon = home.run(&["--rehearse", &begin, "--to", &to]);
        let wait = Duration::from_millis(wait);
        if tokio::time::timeout(wait, daemon.ended(DEADLINE)).await.is_err() {
            daemon.kill();
        }
    }
    run(&home, from(), soon).await;
    let told = digests(&sink);
    assert_eq!(told.len(), 1, "{told:#?}");
    let (subject, text) = &told[0];
    assert!(subject.contains("critical") || subject.contains("warning"), "{subject}");
    assert!(text.contains("INCIDENTS") && text.contains("payments"), "{text}");
    assert!(text.contains("slow dependency"), "{text}");

    // What somebody says of it later is in the digest that is asked for.
    let at = eight(1).to_string();
    let digest: Digest =
        serde_json::from_str(&printed(&home, &["--at", &at, "--format", "json"])).unwrap();
    let one = &digest.incidents.items[0];
    assert_eq!(one.verdict, None);
    assert!(digest.watched.services > 3 && digest.watched.judged > 3, "{:?}", digest.watched);
    let said = home.command("feedback").args([&one.incident, "useful"]).output().unwrap();
    assert!(said.status.success());
    let text = printed(&home, &["--at", &at]);
    assert!(text.contains("called useful"), "{text}");
    assert!(printed(&home, &["--weekly", "--format", "html"]).contains("<html"));

    // A gap over the rest: of what was missed the newest is told.
    let late = eight(2) + Span::from_mins(30);
    run(&home, late, late).await;
    let told = digests(&sink);
    assert_eq!(told.len(), 2, "{told:#?}");
    let store = home.store();
    assert_eq!(store.digests(10).unwrap().len(), 2);
    assert_eq!(store.count(RowState::Pending).unwrap() + store.count(RowState::Dead).unwrap(), 0);
    assert_eq!(sink.mails().len() as u64, store.count(RowState::Done).unwrap());
}

#[tokio::test]
async fn a_test_is_sent_without_a_daemon() {
    let sink = Sink::start(json!({ "refuse": ["gone@example.com"] }));
    let email = |name: &str, to: &str, port: u16| {
        format!(
            "[[receiver]]\nname = \"{name}\"\nemail = {{ to = [\"{to}\"], \
             smtp = \"smtp://127.0.0.1:{port}\", tls = \"none\" }}\n\n"
        )
    };
    let hooks = e2e::Hooks::start().await;
    let receivers = [
        email("team", "team@example.com", sink.port),
        email("gone", "gone@example.com", sink.port),
        email("away", "team@example.com", 1),
        hooks.config(),
    ];
    let home = Home::new("http://127.0.0.1:1", "5m", &receivers.concat());
    let send = async |args: &[&str]| {
        let mut command = home.command("send-test");
        command.args(args);
        let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (done.status.code(), text(done.stdout), text(done.stderr))
    };
    let (code, out, _) = send(&["team"]).await;
    assert_eq!((code, out.as_str()), (Some(0), "team/team@example.com: firing taken\n"));
    let (code, out, _) = send(&["hook", "--state", "all"]).await;
    let words: Vec<&str> = out.lines().collect();
    assert_eq!(code, Some(0), "{out}");
    assert_eq!(
        words,
        ["hook: firing taken", "hook: updated taken", "hook: resolved taken", "hook: digest taken"]
    );
    for body in hooks.bodies() {
        assert!(body.contains("Test: ") && body.contains("\"test-"), "{body}");
    }
    let keys: std::collections::BTreeSet<_> =
        hooks.taken().into_iter().map(|taken| taken.key).collect();
    assert_eq!(keys.len(), 4, "{keys:?}");
    let (code, out, err) = send(&["gone"]).await;
    assert_eq!(code, Some(2));
    assert!(out.contains("gone/gone@example.com: firing not taken: "), "{out}");
    assert!(err.contains("no such user") && err.contains("hint: "), "{err}");
    let (code, _, err) = send(&["away", "--state", "digest"]).await;
    assert_eq!(code, Some(2));
    assert!(err.contains("hint: is the address right"), "{err}");
    let (code, _, err) = send(&["teem"]).await;
    assert_eq!(code, Some(2));
    assert!(err.contains("no receiver is called `teem`") && err.contains("team"), "{err}");
    let mails = sink.mails();
    assert_eq!(mails.len(), 1, "one test was asked for and taken");
    let subject = MessageParser::default().parse(&mails[0]).unwrap().subject().unwrap().to_owned();
    let title =
        "[warning] checkout: Test: payments answers more slowly; checkout waits and retries; ";
    assert!(subject.starts_with(title), "{subject}");
    assert!(!home.path("state.db").exists(), "a test leaves nothing behind");
}
