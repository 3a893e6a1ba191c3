//! Configurations that change under a running daemon: good ones are taken up, bad ones are told,
//! and no tick or alert is lost or doubled over it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
mod common;
#[expect(dead_code, reason = "shared")]
#[path = "common/e2e.rs"]
mod e2e;

use std::time::Duration;

use common::Prometheus;
use e2e::{Daemon, Home, Hooks, World, fault};
use grayflag::lab::Fault;
use grayflag::notify::sample;
use grayflag::store::{Dispatch, RowState, Tick};
use grayflag::time::{Span, Timestamp};
use tokio::net::TcpListener;

/// Where the API is served, as the log says.
fn address(log: &str) -> Option<String> {
    let (_, rest) = log.split_once("serving the API")?;
    let address = rest.split("address=").nth(1)?.split_whitespace().next()?;
    Some(address.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned())
}

/// Asks for a reload; the status and what was answered.
async fn reload(daemon: &Daemon) -> (u16, String) {
    let address = address(&daemon.log()).unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.post(format!("http://{address}/-/reload")).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn reloads_of_good_and_bad_files_lose_no_tick_and_double_no_alert() {
    let from: Timestamp = "2026-03-03T06:00:00Z".parse().unwrap();
    let to = from + Span::from_hours(14);
    let slow = fault(Fault::SlowDependency, from + Span::from_hours(1), 6);
    let world = World::simulate(from, to, vec![slow]);
    let backend = Prometheus::start_with_openmetrics(&world.openmetrics).await;
    let hooks = Hooks::start().await;
    let home = Home::new(&backend.url, "1m", &hooks.config());
    let expected = home.replay(from, to).await;
    assert!(expected.len() > 2, "an incident with a beginning and an end: {expected:#?}");

    let args = ["--rehearse", &from.to_string(), "--to", &to.to_string()];
    let mut daemon = home.run(&args);
    daemon.until(Duration::from_secs(60), |_| home.last_tick().is_some()).await;
    let (mut good, mut bad) = (0, 0);
    while home.last_tick().is_none_or(|at| at < to - Span::HOUR) && good + bad < 40 {
        let turn = good + bad;
        let more = if turn % 3 == 2 {
            bad += 1;
            "[[receiver\n".to_owned()
        } else {
            good += 1;
            format!("[log]\nfilter = \"info,nothing{turn}=debug\"\n")
        };
        home.configure(&backend.url, "1m", &format!("{}\n{more}", hooks.config()));
        daemon.signal("HUP");
        let (taken, refused) = (good, bad);
        daemon
            .until(Duration::from_secs(30), |log| {
                log.matches("configuration taken up").count() >= taken
                    && log.matches("configuration cannot be used").count() >= refused
            })
            .await;
    }
    assert!(good >= 2 && bad >= 1, "{good} and {bad}: {}", daemon.log());
    let status = daemon.ended(Duration::from_secs(120)).await;
    let log = daemon.log();
    assert_eq!(status.code(), Some(0), "{log}");

    let deliveries: Vec<String> = hooks.taken().into_iter().map(|taken| taken.body).collect();
    assert_eq!(deliveries, expected, "{log}");
    assert_eq!(home.alerts(), expected);
    let store = home.store();
    assert_eq!(store.resume().unwrap().unwrap().last_tick, to);
    assert_eq!(store.count(RowState::Done).unwrap(), expected.len() as u64);
    assert_eq!(store.count(RowState::Pending).unwrap(), 0);
}

#[tokio::test]
async fn a_reload_says_what_changed_and_what_is_wrong() {
    // Nothing listens there: a daemon that waits for its backend takes up files all the same.
    let home = Home::new("http://127.0.0.1:1", "30s", "");
    let mut daemon = home.run(&[]);
    daemon.until(Duration::from_secs(30), |log| address(log).is_some()).await;
    assert_eq!(reload(&daemon).await, (200, r#"{"outcome":"unchanged"}"#.to_owned()));

    home.configure("http://127.0.0.1:1", "30s", "[log]\nfilter = \"debug\"\n");
    let (status, said) = reload(&daemon).await;
    assert_eq!(
        (status, said.as_str()),
        (200, r#"{"outcome":"changed","changes":["[log] changed"]}"#)
    );
    daemon.until(Duration::from_secs(30), |log| log.matches("serving the API").count() == 2).await;
    daemon.until(Duration::from_secs(30), |log| log.contains("DEBUG")).await;

    home.configure("http://127.0.0.1:1", "30s", "[log]\nfiltre = \"debug\"\n");
    let (status, said) = reload(&daemon).await;
    assert_eq!(status, 422, "{said}");
    assert!(said.contains("filtre") && said.contains("filter"), "{said}");
    assert_eq!(reload(&daemon).await.0, 422, "what cannot be used cannot be used twice");
    home.configure("http://127.0.0.1:1", "30s", "[log]\nfilter = \"debug\"\n");
    assert_eq!(reload(&daemon).await, (200, r#"{"outcome":"unchanged"}"#.to_owned()));
    home.configure("http://127.0.0.1:1", "30s", "[log]\nfiltre = \"debug\"\n");

    let text = std::fs::read_to_string(home.config()).unwrap();
    let text = text.replace("filtre", "filter").replace("sqlite:state.db", "sqlite:other.db");
    std::fs::write(home.config(), text).unwrap();
    let (status, said) = reload(&daemon).await;
    assert_eq!(status, 422, "{said}");
    assert!(said.contains("`store.url` cannot change"), "{said}");

    let address = address(&daemon.log()).unwrap();
    let told = reqwest::get(format!("http://{address}/api/v1/status")).await.unwrap();
    let told: serde_json::Value = serde_json::from_str(&told.text().await.unwrap()).unwrap();
    assert_eq!((&told["reloads"]["taken"], &told["reloads"]["refused"]), (&1.into(), &3.into()));
    assert_eq!(told["reloads"]["last"]["outcome"], "refused");
    daemon.terminate();
    assert_eq!(daemon.ended(Duration::from_secs(20)).await.code(), Some(0), "{}", daemon.log());
}

#[tokio::test]
async fn a_changed_file_behind_a_link_is_seen_without_being_told() {
    let home = Home::new("http://127.0.0.1:1", "30s", "");
    // As a ConfigMap is mounted: the file is a link into a folder that is a link.
    let text = std::fs::read_to_string(home.config()).unwrap();
    for (folder, more) in [("one", ""), ("two", "[log]\nfilter = \"debug\"\n")] {
        std::fs::create_dir(home.path(folder)).unwrap();
        std::fs::write(home.path(folder).join("grayflag.toml"), format!("{text}{more}")).unwrap();
    }
    let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, home.path(at)).unwrap();
    link("one", "data");
    std::fs::remove_file(home.config()).unwrap();
    link("data/grayflag.toml", "grayflag.toml");
    let mut daemon = home.run(&[]);
    daemon.until(Duration::from_secs(30), |log| address(log).is_some()).await;
    link("two", "new");
    std::fs::rename(home.path("new"), home.path("data")).unwrap();
    daemon.until(Duration::from_secs(60), |log| log.contains("configuration taken up")).await;
}

#[tokio::test]
async fn a_reload_that_waits_for_a_receiver_keeps_no_reader_waiting() {
    // It takes connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let receiver = format!("[[receiver]]\nname = \"hook\"\nwebhook = {{ url = \"{url}\" }}\n");
    let home = Home::new("http://127.0.0.1:1", "30s", &receiver);
    let alerts = [sample::alerts().pop().unwrap()];
    let deliveries = [Dispatch { receiver: "hook".to_owned(), alert: 0, hold: None }];
    let (last_tick, snapshot) = (alerts[0].at, None);
    let tick = Tick { last_tick, snapshot, alerts: &alerts, charts: &[], deliveries: &deliveries };
    home.store().commit(&tick).unwrap();
    let daemon = home.run(&[]);
    let taken = tokio::time::timeout(Duration::from_secs(30), silent.accept()).await;
    let (_held, _) = taken.expect("the message is in hand").unwrap();

    home.configure("http://127.0.0.1:1", "30s", &format!("[log]\nfilter = \"debug\"\n{receiver}"));
    assert_eq!(reload(&daemon).await.0, 200);
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0);
    let client = client.timeout(Duration::from_secs(2)).build().unwrap();
    let status = format!("http://{}/status", address(&daemon.log()).unwrap());
    let mut answers = 0;
    while daemon.log().matches("serving the API").count() < 2 {
        match client.get(&status).send().await {
            Ok(answer) => answers += u32::from(answer.status().is_success()),
            // A connection that the old server had just taken may be closed.
            Err(problem) => assert!(!problem.is_timeout(), "{problem}: {}", daemon.log()),
        }
    }
    assert!(answers > 3, "the message kept the reload for a while: {answers}");
}
