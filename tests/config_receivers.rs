//! What receivers behind the API of a service are read as.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::fs;

use grayflag::config::{self, Config, Machine};
use grayflag::notify::pace::Rate;
use grayflag::notify::receiver::{PaceConfig, ReceiverConfig, ReceiverKind};
use grayflag::notify::slack::SlackConfig;
use grayflag::time::Span;
use secrecy::ExposeSecret as _;

/// The receivers of a configuration without problems.
fn receivers(text: &str) -> Vec<ReceiverConfig> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grayflag.toml");
    fs::write(folder.path().join("key"), "https://example.com/from/a/file\n").unwrap();
    fs::write(&path, text).unwrap();
    let loaded = config::load(&path, &Machine).unwrap();
    assert!(loaded.problems.is_empty(), "{}", loaded.problems.render(false));
    loaded.config.map(|Config { receivers, .. }| receivers).unwrap()
}

fn one(kind: &str) -> ReceiverKind {
    let mut found = receivers(&format!("[[receiver]]\nname = \"a\"\n{kind}\n"));
    assert_eq!(found[0].targets(), ["a"]);
    found.remove(0).kind
}

#[test]
fn slack_is_a_webhook_or_an_app() {
    let kind = one(r#"slack = { webhook_url = "https://hooks.slack.com/services/T/B/x" }"#);
    let ReceiverKind::Slack(slack) = kind else { panic!("Slack") };
    let SlackConfig::Webhook(post) = *slack else { panic!("a webhook") };
    assert_eq!(post.url.expose_secret(), "https://hooks.slack.com/services/T/B/x");
    let kind = one(r##"slack = { token = "xoxb-1", channel = "#alerts" }"##);
    let ReceiverKind::Slack(slack) = kind else { panic!("Slack") };
    let SlackConfig::App(app) = *slack else { panic!("an app") };
    assert_eq!(app.api_url, "https://slack.com/api");
    assert_eq!((app.token.expose_secret(), app.channel.as_str()), ("xoxb-1", "#alerts"));
}

#[test]
fn regions_have_addresses_of_their_own() {
    let key = "0123456789abcdef0123456789abcdef";
    for (more, want) in [
        ("", "https://events.pagerduty.com/v2/enqueue"),
        (", region = \"us\"", "https://events.pagerduty.com/v2/enqueue"),
        (", region = \"eu\"", "https://events.eu.pagerduty.com/v2/enqueue"),
        (", api_url = \"http://proxy:1/v2/enqueue/\"", "http://proxy:1/v2/enqueue"),
    ] {
        let kind = one(&format!("pagerduty = {{ routing_key = \"{key}\"{more} }}"));
        let ReceiverKind::PagerDuty(pager) = kind else { panic!("PagerDuty") };
        assert_eq!(pager.api_url, want);
        assert_eq!(pager.routing_key.expose_secret(), key);
    }
    for (more, want) in
        [("", "https://api.opsgenie.com"), (", region = \"eu\"", "https://api.eu.opsgenie.com")]
    {
        let kind = one(&format!("opsgenie = {{ api_key = \"k-1\"{more} }}"));
        let ReceiverKind::Opsgenie(pager) = kind else { panic!("Opsgenie") };
        assert_eq!((pager.api_url.as_str(), pager.api_key.expose_secret()), (want, "k-1"));
    }
}

#[test]
fn webhooks_of_services_can_stand_in_a_file() {
    let want = "https://example.com/from/a/file";
    let ReceiverKind::Teams(teams) = one(r#"teams = { webhook_url_file = "key" }"#) else {
        panic!("Teams")
    };
    assert_eq!(teams.post.url.expose_secret(), want);
    let ReceiverKind::Discord(discord) = one(r#"discord = { webhook_url_file = "key" }"#) else {
        panic!("Discord")
    };
    assert_eq!(discord.post.url.expose_secret(), want);
}

#[test]
fn telegram_has_a_chat_and_perhaps_a_topic() {
    for (more, topic) in [("", None), (", message_thread_id = 4", Some(4))] {
        let kind =
            one(&format!("telegram = {{ token = \"1:A-b_c\", chat_id = \"-100123\"{more} }}"));
        let ReceiverKind::Telegram(telegram) = kind else { panic!("Telegram") };
        assert_eq!(telegram.api_url, "https://api.telegram.org");
        assert_eq!((telegram.chat_id.as_str(), telegram.message_thread_id), ("-100123", topic));
        assert_eq!(telegram.token.expose_secret(), "1:A-b_c");
    }
}

#[test]
fn what_webhooks_get_can_be_signed() {
    let kind = one(r#"webhook = { url = "http://h/x", signing_secret = "0123456789abcdef" }"#);
    let ReceiverKind::Webhook(hook) = kind else { panic!("a webhook") };
    assert_eq!(hook.signing_secret.unwrap().expose_secret(), "0123456789abcdef");
}

#[test]
fn no_secret_is_printed() {
    let text = r##"
        [[receiver]]
        name = "a"
        slack = { token = "xoxb-hunter2", channel = "#alerts" }
        [[receiver]]
        name = "b"
        slack = { webhook_url = "https://hooks.slack.com/services/T/B/hunter2" }
        [[receiver]]
        name = "c"
        pagerduty = { routing_key = "hunter2hunter2hunter2hunter20000" }
        [[receiver]]
        name = "d"
        opsgenie = { api_key = "hunter2" }
        [[receiver]]
        name = "e"
        teams = { webhook_url = "https://example.com/?sig=hunter2" }
        [[receiver]]
        name = "f"
        discord = { webhook_url = "https://discord.com/api/webhooks/1/hunter2" }
        [[receiver]]
        name = "g"
        telegram = { token = "1:hunter2", chat_id = "@alerts" }
        [[receiver]]
        name = "h"
        webhook = { url = "https://example.com", signing_secret = "hunter2hunter2hunter2" }
    "##;
    let shown = format!("{:?}", receivers(text));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn an_alertmanager_is_read_with_owners_and_pace() {
    let text = "[[service]]\nname = \"checkout\"\nowner = \"checkout-team\"\n\
                [[receiver]]\nname = \"am\"\nrate = \"5/s\"\nat_once = 4\n\
                [receiver.alertmanager]\nurls = [\"http://am-0:9093/am\", \"https://am-1\"]\n\
                bearer_token_file = \"key\"\n\
                labels = { team = \"shop\" }\nkeep_alive = \"30s\"\n";
    let found = receivers(text);
    let [receiver] = found.as_slice() else { panic!("one receiver") };
    assert_eq!(receiver.targets(), ["am/am-0:9093/am", "am/am-1:443"]);
    let rate = Rate { messages: 5, per: Span::SECOND };
    assert_eq!(receiver.pace, PaceConfig { rate: Some(rate), at_once: 4 });
    let ReceiverKind::Alertmanager(am) = &receiver.kind else { panic!("an Alertmanager") };
    assert_eq!(am.keep_alive, Span::from_secs(30));
    assert_eq!((&*am.labels["team"], &*am.owners["checkout"]), ("shop", "checkout-team"));
    let [(name, value)] = am.headers.as_slice() else { panic!("one header") };
    assert_eq!(
        (name.as_str(), value.expose_secret()),
        ("Authorization", "Bearer https://example.com/from/a/file")
    );
}
