//! No secret of any receiver is printed: in no error, whatever a service echoes, and in no debug
//! text.

use grayflag::notify::templates::Templates;
use serde_json::json;

use super::{
    Api, BOT_TOKEN, GENIE_KEY, KINDS, PATH_TOKEN, ROUTING_KEY, SIGNING_SECRET, SLACK_TOKEN, says,
    send,
};
use crate::support::sample;

const SECRETS: [&str; 6] =
    [SLACK_TOKEN, ROUTING_KEY, GENIE_KEY, BOT_TOKEN, SIGNING_SECRET, PATH_TOKEN];

fn assert_silent(kind: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{kind}: {secret} in {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_holds_a_secret() {
    for kind in KINDS {
        let api = Api::start().await;
        let receiver = api.receiver(kind);
        let target = receiver.open(&Templates::default()).unwrap().remove(0);
        assert_silent(kind, &format!("{receiver:?} {receiver:#?} {target:?} {target:#?}"));
        // A service that sends everything back: in a refusal, in an error of its own, in a
        // success that is none.
        let echo = SECRETS.join(" and ");
        let told = json!({
            "ok": false, "error": echo, "description": echo, "message": echo,
            "response_metadata": { "messages": [echo] },
        });
        for status in [200, 400, 401, 404, 429, 500] {
            api.script([Some(says(status, &told)), Some(says(status, &told))]);
            if let Err(error) = send(&target, &sample("firing"), None).await {
                let own: Vec<_> = SECRETS
                    .iter()
                    .filter(|secret| format!("{error} {error:?}").contains(**secret))
                    .collect();
                // It cannot know the secrets of the other receivers.
                let mine: &[&str] = match kind {
                    "webhook" => &[SIGNING_SECRET, PATH_TOKEN],
                    "slack" => &[SLACK_TOKEN],
                    "pagerduty" => &[ROUTING_KEY],
                    "opsgenie" => &[GENIE_KEY],
                    "telegram" => &[BOT_TOKEN],
                    _ => &[PATH_TOKEN],
                };
                assert!(own.iter().all(|s| !mine.contains(s)), "{kind}, {status}: {error}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_error_of_the_network_holds_a_secret() {
    for kind in KINDS {
        let api = Api::start().await;
        let target = api.target(kind);
        drop(api);
        // The task that serves may take a moment to end.
        let mut error = None;
        for _ in 0..500 {
            if let Err(found) = send(&target, &sample("firing"), None).await {
                error = Some(found);
                break;
            }
            tokio::task::yield_now().await;
        }
        let error = error.unwrap();
        assert_silent(kind, &format!("{error} {error:?}"));
        assert!(error.to_string().starts_with("cannot post to `127.0.0.1`: "), "{error}");
    }
}
