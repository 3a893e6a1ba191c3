//! Mail through a real server, with the faults that real ones have.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use grayflag::engine::alert::Alert;
use grayflag::notify::email::Tls;
use grayflag::notify::error::{Class, NotifyError, Retry};
use grayflag::notify::receiver::{ReceiverConfig, ReceiverError};
use grayflag::notify::templates::Templates;
use grayflag::store::{RowState, Which};
use grayflag::time::Span;
use mail_parser::MessageParser;
use secrecy::SecretString;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

use crate::smtp::{Certificates, Sink};
use crate::support::{Running, envelope, mail, mail_to, sample};

fn state(dir: &TempDir) -> PathBuf {
    dir.path().join("state.db")
}

fn header(mail: &[u8], name: &str) -> Option<String> {
    let parsed = MessageParser::default().parse(mail).unwrap();
    parsed.header_raw(name).map(|value| value.trim().to_owned())
}

/// Sends one alert and says how it went.
async fn send(config: grayflag::notify::email::EmailConfig) -> Result<(), NotifyError> {
    let alert = sample("firing");
    let target = mail(config).open(&Templates::default()).unwrap().remove(0);
    let json = alert.to_json();
    let envelope = envelope(&alert, &json, "k");
    target.send(envelope).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_mail_about_an_incident_is_never_an_update() {
    let sink = Sink::start(json!({}));
    let dir = TempDir::new().unwrap();
    let alert = sample("updated");
    let receivers = [mail(mail_to(&["ops@example.com"], sink.port))];
    let running = Running::start(&state(&dir), &receivers, alert.at);
    running.commit(vec![alert.clone()]).await;
    running.until_empty().await;
    running.stop().await;
    let mails = sink.mails();
    let parsed = MessageParser::default().parse(&mails[0]).unwrap();
    assert!(parsed.subject().unwrap().starts_with("[critical] checkout"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_arrives_whole() {
    let sink = Sink::start(json!({}));
    let dir = TempDir::new().unwrap();
    let mut alert = sample("firing");
    "Zahlung wartet – naïve café ✓\r\nBcc: everyone@example.com".clone_into(&mut alert.title);
    let receivers = [mail(mail_to(&["ops@example.com"], sink.port))];
    let running = Running::start(&state(&dir), &receivers, alert.at);
    running.commit(vec![alert.clone()]).await;
    running.until_empty().await;
    running.stop().await;

    let mails = sink.mails();
    assert_eq!(mails.len(), 1);
    let parsed = MessageParser::default().parse(&mails[0]).unwrap();
    let title = "Zahlung wartet – naïve café ✓ Bcc: everyone@example.com";
    let subject = parsed.subject().unwrap();
    assert!(subject.starts_with(&format!("[warning] checkout: {title}; since ")), "{subject}");
    assert_eq!(parsed.header_raw("X-To").unwrap().trim(), "ops@example.com");
    assert!(parsed.bcc().is_none());
    assert_eq!(parsed.from().unwrap().first().unwrap().address().unwrap(), "grayflag@example.com");
    assert_eq!(parsed.date().unwrap().to_rfc3339(), "2026-03-01T02:30:00Z");
    assert_eq!(parsed.header_raw("Auto-Submitted").unwrap().trim(), "auto-generated");
    assert_eq!((parsed.text_body_count(), parsed.html_body_count()), (1, 1));
    let expected = Templates::default().message(&alert, alert.at);
    assert_eq!(parsed.body_text(0).unwrap().replace("\r\n", "\n"), expected.text);
    let html = parsed.body_html(0).unwrap().replace("\r\n", "\n");
    assert_eq!(html, expected.html.unwrap());
    assert!(html.contains(title));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_one_thread() {
    let sink = Sink::start(json!({}));
    let dir = TempDir::new().unwrap();
    let receivers = [mail(mail_to(&["ops@example.com"], sink.port))];
    let alerts: Vec<Alert> = ["firing", "updated", "resolved"].map(sample).into();
    let running = Running::start(&state(&dir), &receivers, alerts[2].at);
    running.commit(alerts).await;
    running.until_empty().await;
    running.stop().await;

    let mails = sink.mails();
    let subjects: Vec<String> = mails
        .iter()
        .map(|m| MessageParser::default().parse(m).unwrap().subject().unwrap().to_owned())
        .collect();
    assert!(subjects[0].starts_with("[warning] checkout"), "in order: {subjects:?}");
    assert!(subjects[1].starts_with("[now critical] checkout"));
    assert!(subjects[2].starts_with("[resolved] checkout"));
    let first = header(&mails[0], "Message-ID").unwrap();
    assert_eq!(header(&mails[0], "References"), None);
    for mail in &mails[1..] {
        assert_eq!(header(mail, "References").as_ref(), Some(&first));
        assert_eq!(header(mail, "In-Reply-To").as_ref(), Some(&first));
        assert_ne!(header(mail, "Message-ID").as_ref(), Some(&first));
    }
    let importance: Vec<_> = mails.iter().map(|m| header(m, "Importance")).collect();
    assert_eq!(importance[0], None);
    assert_eq!(importance[1].as_deref(), Some("high"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refused_recipient_costs_the_others_nothing() {
    let sink = Sink::start(json!({ "refuse": ["gone@example.com"] }));
    let dir = TempDir::new().unwrap();
    let to = ["a@example.com", "gone@example.com", "b@example.com", "a@example.com"];
    let receivers = [mail(mail_to(&to, sink.port))];
    let alert = sample("firing");
    let running = Running::start(&state(&dir), &receivers, alert.at);
    running.commit(vec![alert.clone()]).await;
    running.until_empty().await;
    let id = format!("{}/mail/gone@example.com", alert.id());
    let (state, attempts, error) =
        running.store.with(move |s| s.message(&id)).await.unwrap().unwrap();
    assert_eq!((state, attempts), (RowState::Dead, 1));
    assert!(error.unwrap().contains("no such user"));
    running.stop().await;
    let to: BTreeSet<String> = sink.mails().iter().map(|m| header(m, "X-To").unwrap()).collect();
    assert_eq!(to, BTreeSet::from(["a@example.com", "b@example.com"].map(str::to_owned)));
    assert_eq!(sink.mails().len(), 2, "a name given twice gets one mail");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greylisted_mail_arrives_once() {
    let sink = Sink::start(json!({ "greylist": 3 }));
    let dir = TempDir::new().unwrap();
    let receivers = [mail(mail_to(&["ops@example.com"], sink.port))];
    let alert = sample("firing");
    let running = Running::start(&state(&dir), &receivers, alert.at);
    running.commit(vec![alert]).await;
    running.until_empty_in(20).await;
    let status = running.board.of("mail/ops@example.com");
    assert_eq!((status.sent, status.dead, status.error), (1, 0, None));
    assert_eq!(status.failed.get("busy"), Some(&3));
    running.stop().await;
    assert_eq!((sink.mails().len(), sink.attempts().len()), (1, 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_cut_within_a_mail_loses_nothing() {
    let sink = Sink::start(json!({ "cut": 2 }));
    let dir = TempDir::new().unwrap();
    let receivers = [mail(mail_to(&["ops@example.com"], sink.port))];
    let alert = sample("firing");
    let running = Running::start(&state(&dir), &receivers, alert.at);
    running.commit(vec![alert]).await;
    running.until_empty_in(20).await;
    assert_eq!(running.board.of("mail/ops@example.com").failed.get("network"), Some(&2));
    running.stop().await;
    assert_eq!((sink.mails().len(), sink.attempts().len()), (1, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_acknowledgement_repeats_a_mail_that_can_be_recognised() {
    let sink = Sink::start(json!({ "lose_ack": 1 }));
    let dir = TempDir::new().unwrap();
    let receivers = [mail(mail_to(&["ops@example.com"], sink.port))];
    let alert = sample("firing");
    let running = Running::start(&state(&dir), &receivers, alert.at);
    running.commit(vec![alert]).await;
    running.until_empty_in(20).await;
    running.stop().await;
    let ids: Vec<_> = sink.mails().iter().map(|m| header(m, "Message-ID").unwrap()).collect();
    assert_eq!(ids.len(), 2, "nobody can tell whether the first was taken");
    assert_eq!(ids[0], ids[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_that_is_refused_for_good_is_kept_and_holds_up_no_other() {
    let sink = Sink::start(json!({ "data_reply": "554 5.7.1 looks like spam" }));
    let good = Sink::start(json!({}));
    let dir = TempDir::new().unwrap();
    let other =
        ReceiverConfig { name: "other".to_owned(), ..mail(mail_to(&["b@example.com"], good.port)) };
    let receivers = [mail(mail_to(&["a@example.com"], sink.port)), other];
    let alert = sample("firing");
    let running = Running::start(&state(&dir), &receivers, alert.at);
    running.commit(vec![alert]).await;
    running.until_empty().await;
    assert_eq!(running.store.with(|s| s.count(RowState::Dead)).await.unwrap(), 1);
    let status = running.board.of("mail/a@example.com");
    assert_eq!((status.dead, status.sent), (1, 0));
    assert!(status.error.unwrap().contains("looks like spam"));
    running.stop().await;
    assert_eq!((sink.mails().len(), good.mails().len()), (0, 1));
    assert_eq!(sink.attempts(), ["a@example.com"], "not tried again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_and_then_slow_gets_a_mail_once() {
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let dir = TempDir::new().unwrap();
    let alert = sample("firing");
    let receivers = [mail(mail_to(&["ops@example.com"], port))];
    let running = Running::start(&state(&dir), &receivers, alert.at);
    running.commit(vec![alert.clone()]).await;
    let id = format!("{}/mail/ops@example.com", alert.id());
    let tried = move |s: &grayflag::store::Store| 1 <= s.message(&id).unwrap().unwrap().1;
    running.until("the first failure", tried).await;
    let sink = Sink::start(json!({ "port": port, "slow": 0.2 }));
    running.until_empty_in(10).await;
    running.stop().await;
    assert_eq!(sink.mails().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_content_is_for_good() {
    let sink = Sink::start(json!({ "data_reply": "554 5.7.1 looks like spam" }));
    let error = send(mail_to(&["ops@example.com"], sink.port)).await.unwrap_err();
    assert_eq!((error.class(), error.retry()), (Class::Refused, Retry::Never));
    assert!(error.to_string().contains("looks like spam"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_and_login_work_as_configured() {
    let certificates = Certificates::make();
    let (cert, key) = (certificates.text("leaf.pem"), certificates.text("leaf.key"));
    let login = ("grayflag".to_owned(), SecretString::from("correct horse"));
    let starttls =
        Sink::start(json!({ "cert": cert, "key": key, "auth": ["grayflag", "correct horse"] }));
    let implicit = Sink::start(json!({
        "cert": cert, "key": key, "implicit": true, "auth": ["grayflag", "correct horse"]
    }));
    for (sink, tls) in [(&starttls, Tls::Required), (&implicit, Tls::Implicit)] {
        let mut config = mail_to(&["ops@example.com"], sink.port);
        config.relay.tls = tls;
        config.login = Some(login.clone());
        // Without the authority the certificate means nothing.
        let error = send(config.clone()).await.unwrap_err();
        assert_eq!((error.class(), error.retry()), (Class::Tls, Retry::Later), "{error}");
        config.ca_file = Some(certificates.path("ca.pem"));
        send(config.clone()).await.unwrap();
        let mails = sink.mails();
        assert_eq!(mails.len(), 1);
        assert_eq!(header(&mails[0], "X-Tls").unwrap(), "True");
        assert_eq!(header(&mails[0], "X-Login").unwrap(), "True");
        // A wrong password may be put right: another try, and no word of it in the error.
        config.login = Some(("grayflag".to_owned(), SecretString::from("battery staple")));
        let error = send(config).await.unwrap_err();
        assert_eq!((error.class(), error.retry()), (Class::Auth, Retry::Later), "{error}");
        assert!(!format!("{error} {error:?}").contains("battery"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opportunistic_takes_what_there_is_and_required_nothing_less() {
    let certificates = Certificates::make();
    let plain = Sink::start(json!({}));
    let own = Sink::start(json!({
        "cert": certificates.text("self.pem"), "key": certificates.text("self.key")
    }));
    let to = ["ops@example.com"];
    let through = |sink: &Sink, tls| {
        let mut config = mail_to(&to, sink.port);
        config.relay.tls = tls;
        config
    };
    for (sink, encrypted, tls) in [
        (&plain, "False", Tls::Opportunistic),
        (&own, "True", Tls::Opportunistic),
        (&own, "False", Tls::None),
    ] {
        send(through(sink, tls)).await.unwrap();
        assert_eq!(header(sink.mails().last().unwrap(), "X-Tls").unwrap(), encrypted);
    }
    let error = send(through(&plain, Tls::Required)).await.unwrap_err();
    assert_eq!(error.retry(), Retry::Later);
    assert!(error.to_string().contains("STARTTLS"), "{error}");
    // Trusted but marked as an authority: rustls refuses, and the error says what to do.
    let mut config = through(&own, Tls::Required);
    config.ca_file = Some(certificates.path("self.pem"));
    let error = send(config).await.unwrap_err();
    assert_eq!(error.class(), Class::Tls);
    assert!(error.to_string().contains("marked as an authority"), "{error}");
    assert_eq!((plain.mails().len(), own.mails().len()), (1, 2));
}

#[tokio::test]
async fn nobody_at_home_is_tried_again() {
    let port = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let error = send(mail_to(&["ops@example.com"], port)).await.unwrap_err();
    assert_eq!((error.class(), error.retry()), (Class::Network, Retry::Later), "{error}");
}

#[test]
fn settings_that_cannot_work_are_refused_at_the_start() {
    let mut config = mail_to(&["ops@example.com"], 25);
    config.relay.host = "mail.example.com".to_owned();
    config.login = Some(("grayflag".to_owned(), SecretString::from("correct horse")));
    let error = mail(config).open(&Templates::default()).unwrap_err();
    assert!(matches!(error, ReceiverError::PlainLogin { .. }), "{error}");
    let error = mail(mail_to(&[], 25)).open(&Templates::default()).unwrap_err();
    assert!(matches!(error, ReceiverError::Nobody { .. }), "{error}");
    let mut config = mail_to(&["ops@example.com"], 465);
    config.ca_file = Some("/nonexistent/ca.pem".into());
    let error = mail(config).open(&Templates::default()).unwrap_err();
    assert_eq!(error.to_string(), "receiver `mail`: cannot read `/nonexistent/ca.pem`");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_day_a_mail_is_given_up_and_can_be_retried() {
    let sink = Sink::start(json!({ "greylist": 2 }));
    let dir = TempDir::new().unwrap();
    let receivers = [mail(mail_to(&["ops@example.com"], sink.port))];
    let alert = sample("firing");
    // Decided two days ago, while nothing ran: its day begins with the first attempt.
    let running = Running::start(&state(&dir), &receivers, alert.at + Span::from_hours(48));
    running.commit(vec![alert]).await;
    let failed = |n: u32| {
        move |s: &grayflag::store::Store| {
            s.alerts(1).unwrap().first().is_some_and(|json| {
                let alert: Alert = serde_json::from_str(json).unwrap();
                let id = format!("{}/mail/ops@example.com", alert.id());
                s.message(&id).unwrap().unwrap().1 == n
            })
        }
    };
    running.until("the first failure", failed(1)).await;
    running.pass(Span::DAY);
    running.until("the second failure", failed(2)).await;
    assert_eq!(running.store.with(|s| s.count(RowState::Dead)).await.unwrap(), 1);
    assert_eq!(running.board.of("mail/ops@example.com").dead, 1);
    let now = sample("firing").at + Span::from_hours(72);
    assert_eq!(running.store.with(move |s| s.retry(&Which::Dead(None), now)).await.unwrap(), 1);
    running.until_empty_in(10).await;
    running.stop().await;
    assert_eq!(sink.mails().len(), 1);
    let text = MessageParser::default()
        .parse(&sink.mails()[0])
        .unwrap()
        .body_text(0)
        .unwrap()
        .into_owned();
    assert!(text.contains("This is late 3d"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_leaves_what_hangs_to_the_next_start() {
    let hanging = Sink::start(json!({ "hang": true }));
    let good = Sink::start(json!({}));
    let dir = TempDir::new().unwrap();
    let alert = sample("firing");
    let receivers = |port| [mail(mail_to(&["ops@example.com"], port))];
    let running = Running::start(&state(&dir), &receivers(hanging.port), alert.at);
    running.commit(vec![alert.clone()]).await;
    let begun = hanging.log();
    let asked = move |_: &grayflag::store::Store| begun.exists();
    running.until("the server has the mail in hand", asked).await;
    running.stop().await;

    let running = Running::start(&state(&dir), &receivers(good.port), alert.at);
    running.until_empty().await;
    assert_eq!(running.board.of("mail/ops@example.com").sent, 1);
    running.stop().await;
    assert_eq!((hanging.mails().len(), good.mails().len()), (0, 1));
}

/// A server whose clock is the test's: it takes `patience` over what it is asked for with `slow`.
async fn take_one(listener: TcpListener, slow: &str, patience: Duration) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 ready\r\n").await.unwrap();
    let (mut line, mut in_message) = (String::new(), false);
    while stream.read_line(&mut line).await.is_ok_and(|bytes| 0 < bytes) {
        let asked = line.trim_end().to_owned();
        line.clear();
        if in_message && asked != "." {
            continue;
        }
        if asked.starts_with(slow) {
            tokio::time::sleep(patience).await;
        }
        in_message = asked == "DATA";
        let answer = if in_message { "354 go on\r\n" } else { "250 done\r\n" };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_may_take_minutes_over_a_message_and_not_over_a_command() {
    for (slow, minutes, limit) in
        [(".", 9, None), (".", 11, Some("600 seconds")), ("RCPT", 1, Some("45 seconds"))]
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = mail_to(&["ops@example.com"], listener.local_addr().unwrap().port());
        let server = tokio::spawn(take_one(listener, slow, Duration::from_secs(60 * minutes)));
        let error = send(config).await.err();
        let said = error.as_ref().map(ToString::to_string).unwrap_or_default();
        assert_eq!(
            error.map(|e| (e.class(), e.retry())),
            limit.map(|_| (Class::Timeout, Retry::Later))
        );
        assert!(said.contains(limit.unwrap_or_default()), "{slow}, {minutes}: {said}");
        server.abort();
    }
}
