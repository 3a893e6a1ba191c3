//! A slow dependency, and a mail about it: real Prometheus, real mail server, and once the real
//! clock.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
mod common;
#[expect(dead_code, reason = "shared")]
#[path = "common/e2e.rs"]
mod e2e;
#[path = "common/smtp.rs"]
mod smtp;

use std::time::Duration;

use common::{Prometheus, Server};
use e2e::{Home, World, fault};
use grayflag::clock;
use grayflag::engine::alert::{Alert, State};
use grayflag::lab::Fault;
use grayflag::store::RowState;
use grayflag::time::{Span, Timestamp};
use mail_parser::MessageParser;
use serde_json::json;
use smtp::{Certificates, Sink};

/// When the rehearsals begin, before the present.
const REHEARSED: Span = Span::from_hours(8);
/// When the dependency begins to slow down, before the present.
const ONSET: Span = Span::from_hours(5);

/// The end of the fleet's past as it is simulated: a Tuesday afternoon.
fn simulated() -> Timestamp {
    "2026-03-03T14:00:00Z".parse().unwrap()
}

/// Weeks of the fleet up to [`simulated`] with a dependency that slows down.
fn world() -> World {
    let slow = fault(Fault::SlowDependency, simulated() - ONSET, 100);
    // It goes on into the near future, as a backend that is alive would.
    let until = simulated() + Span::from_mins(15);
    World::simulate(simulated() - REHEARSED, until, vec![slow])
}

/// The present, and a Prometheus that has seen these weeks up to it. The fleet's weekends fall on
/// whatever days they fall then, so nothing here may depend on what exactly is told.
async fn present() -> (Timestamp, Server) {
    let now = clock::now().floor_to(Span::from_mins(5));
    (now, Prometheus::start_with_openmetrics(&world().moved(now - simulated())).await)
}

/// As in the README, with encryption that is required.
fn receiver(sink: &Sink, certificates: &Certificates) -> String {
    format!(
        "[[receiver]]\nname = \"oncall\"\n[receiver.email]\nto = [\"oncall@example.com\"]\n\
         from = \"grayflag@example.com\"\nsmtp = \"smtp://127.0.0.1:{}\"\ntls = \"starttls\"\n\
         ca_file = \"{}\"\n",
        sink.port,
        certificates.text("ca.pem")
    )
}

fn encrypted(certificates: &Certificates) -> Sink {
    Sink::start(
        json!({ "cert": certificates.text("leaf.pem"), "key": certificates.text("leaf.key") }),
    )
}

/// One thread about one incident, with service, cause, culprit and steps in its first mail.
fn assert_one_thread(sink: &Sink, log: &str) {
    let mails = sink.mails();
    let parse = |mail| MessageParser::default().parse(mail).unwrap();
    let first = parse(mails.first().unwrap_or_else(|| panic!("no mail: {log}")));
    let header = |mail: &mail_parser::Message<'_>, name| {
        mail.header_raw(name).map(|value| value.trim().to_owned())
    };
    assert_eq!(header(&first, "References"), None);
    assert_eq!(header(&first, "X-To").as_deref(), Some("oncall@example.com"));
    assert_eq!(header(&first, "X-Tls").as_deref(), Some("True"));
    let subject = first.subject().unwrap();
    // It may have begun as a notice, which nobody is mailed about.
    assert!(subject.starts_with("[warning") || subject.starts_with("[critical"), "{subject}");
    assert!(subject.contains("checkout") || subject.contains("payments"), "{subject}");
    let id = header(&first, "Message-ID").unwrap();
    for later in &mails[1..] {
        let later = parse(later);
        assert_eq!(header(&later, "References").as_ref(), Some(&id), "another thread: {log}");
    }
    let cause: toml::Table = e2e::repository("rules/causes/slow-dependency.toml").parse().unwrap();
    let cause = &cause["cause"][0];
    let newest = parse(mails.last().unwrap());
    let text = newest.body_text(0).unwrap();
    let told = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // The title of the cause begins small where what is felt stands before it.
    let title = cause["title"].as_str().unwrap().split_once(char::is_whitespace).unwrap().1;
    for part in [title.split('{').next().unwrap(), "payments"] {
        assert!(told.contains(part.trim()), "no {part} in {text}");
    }
    // Steps have places for facts; what stands before the first one must be there.
    let steps = cause["steps"]["first_ten_minutes"].as_array().unwrap();
    let beginnings = steps.iter().map(|step| step.as_str().unwrap().split('{').next().unwrap());
    let found = beginnings.filter(|step| step.len() > 20 && told.contains(step.trim())).count();
    assert!(found > 0, "no step of the catalogue in {text}");
}

/// The incident as it is kept: service, leading cause and culprit.
fn assert_named(alerts: &[String]) {
    let alerts: Vec<Alert> =
        alerts.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let newest = alerts.last().unwrap();
    assert!(["checkout", "payments"].contains(&newest.service.as_str()), "{newest:#?}");
    assert_eq!(newest.causes[0].id, "slow-dependency", "{newest:#?}");
    assert_eq!(newest.causes[0].culprit.service, "payments", "{newest:#?}");
    let firing = alerts.iter().filter(|alert| alert.state == State::Firing).count();
    assert_eq!(firing, 1, "{alerts:#?}");
}

/// Every message was delivered at the first attempt, and no other was made.
fn assert_delivered_once(home: &Home, sink: &Sink) {
    let store = home.store();
    let mails = sink.mails().len();
    assert_eq!(store.count(RowState::Done).unwrap(), mails as u64);
    assert_eq!(store.count(RowState::Pending).unwrap() + store.count(RowState::Dead).unwrap(), 0);
    assert_eq!(sink.attempts().len(), mails);
}

#[tokio::test]
async fn an_incident_that_goes_on_is_mailed_once() {
    let now = simulated();
    let prometheus = Prometheus::start_with_openmetrics(&world().openmetrics).await;
    let certificates = Certificates::make();
    let sink = encrypted(&certificates);
    let home = Home::new(&prometheus.url, "5m", &receiver(&sink, &certificates));
    let from = (now - REHEARSED).to_string();
    let mut daemon = home.run(&["--rehearse", &from, "--to", &now.to_string()]);
    let ended = daemon.ended(Duration::from_secs(120)).await;
    assert_eq!(ended.code(), Some(0), "{}", daemon.log());
    assert_one_thread(&sink, &daemon.log());
    assert_delivered_once(&home, &sink);
    assert_eq!(home.store().resume().unwrap().unwrap().last_tick, now);
    let alerts = home.alerts();
    assert_named(&alerts);

    // Started again, it has nothing to do and nothing to say.
    let mut daemon = home.run(&["--rehearse", &from, "--to", &now.to_string()]);
    assert_eq!(daemon.ended(Duration::from_secs(30)).await.code(), Some(0));
    assert_eq!(home.alerts(), alerts);
    assert_delivered_once(&home, &sink);
}

#[tokio::test]
async fn a_restart_catches_up_with_the_present_and_stops_when_told() {
    let (now, prometheus) = present().await;
    let certificates = Certificates::make();
    let sink = encrypted(&certificates);
    let home = Home::new(&prometheus.url, "5m", &receiver(&sink, &certificates));
    // A rehearsal until shortly after the onset, so that the gap holds the news.
    let (from, until) = (now - REHEARSED, now - ONSET + Span::from_mins(10));
    let mut daemon = home.run(&["--rehearse", &from.to_string(), "--to", &until.to_string()]);
    assert_eq!(daemon.ended(Duration::from_secs(120)).await.code(), Some(0), "{}", daemon.log());
    let before = home.alerts();

    let mut daemon = home.run(&[]);
    let last = now - Span::from_mins(5);
    daemon
        .until(Duration::from_secs(120), |log| {
            home.last_tick().is_some_and(|tick| last <= tick) && log.contains("delivered")
        })
        .await;
    daemon.terminate();
    assert_eq!(daemon.ended(Duration::from_secs(10)).await.code(), Some(0), "{}", daemon.log());
    let reached = home.store().resume().unwrap().unwrap().last_tick;
    assert!(reached <= clock::now(), "{reached}");
    assert_delivered_once(&home, &sink);
    // What a process told that was down for hours is what one tells that never was.
    let alerts = home.alerts();
    assert!(before.len() < alerts.len());
    assert_eq!(alerts, home.replay(from, reached).await);
}
