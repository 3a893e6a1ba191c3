//! The daemon's API as a deploy script uses it: over a crash, an address in use, a plain end.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
#[path = "common/e2e.rs"]
mod e2e;

use std::time::Duration;

use e2e::{Daemon, Home};
use serde_json::{Value, json};

/// A port of the loopback interface that nothing listens on: the backend is away all the time.
const NOBODY: &str = "http://127.0.0.1:1";
const SOON: Duration = Duration::from_secs(20);

/// A running daemon and the address of its API, which it logs.
async fn run(home: &Home, earlier: usize) -> (Daemon, String) {
    let mut daemon = home.run(&[]);
    let address = daemon.address(earlier, SOON).await;
    (daemon, address)
}

async fn post(address: &str, change: &Value) -> (u16, Value) {
    let request = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = request.post(format!("http://{address}/api/v1/changes"));
    let request = request.header("content-type", "application/json").body(change.to_string());
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
}

async fn get(address: &str, path: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = client.get(format!("http://{address}{path}")).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// What a container's health check runs: only the daemon's address is needed of its file.
fn health_checks(address: &str) {
    let home = Home::new(NOBODY, "1m", "");
    let config = std::fs::read_to_string(home.config()).unwrap();
    let asks = |listen: &str, more: &[&str]| {
        std::fs::write(home.config(), config.replace("\"127.0.0.1:0\"", listen)).unwrap();
        let asked = home.command("healthy").args(more).output().unwrap();
        (asked.status.code(), String::from_utf8(asked.stderr).unwrap())
    };
    let address = format!("\"{address}\"");
    assert_eq!(asks(&address, &[]), (Some(0), String::new()));
    let everywhere = address.replace("127.0.0.1", "0.0.0.0") + "\ntoken = \"0123456789abcdef\"";
    assert_eq!(asks(&everywhere, &[]), (Some(0), String::new()));
    let (status, told) = asks(&address, &["--ready"]);
    assert!(status == Some(1) && told.contains("/-/ready says 503"), "{told}");
    let (status, told) = asks("\"127.0.0.1:1\"", &[]);
    let said = "error: no daemon answers at 127.0.0.1:1";
    assert!(status == Some(1) && told.starts_with(said), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_posted_survives_a_crash_and_an_end_is_an_end() {
    // A second test of this process may have set it already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let home = Home::new(NOBODY, "1m", "");
    let (daemon, address) = run(&home, 0).await;
    // The backend is away: the API takes changes all the same.
    let (status, told) =
        post(&address, &json!({"kind": "deploy", "service": "checkout", "what": "v42"})).await;
    assert_eq!(status, 201, "{told}");
    assert_eq!(get(&address, "/-/healthy").await.0, 200);
    assert_eq!(get(&address, "/-/ready").await.0, 503);

    health_checks(&address);

    // Another one cannot have the address, and says so.
    let other = Home::new(NOBODY, "1m", "");
    let config = std::fs::read_to_string(other.config()).unwrap();
    std::fs::write(other.config(), config.replace("127.0.0.1:0", &address)).unwrap();
    let mut second = other.run(&[]);
    assert_eq!(second.ended(SOON).await.code(), Some(2));
    let log = second.log();
    assert!(log.contains(&format!("error: cannot listen on {address}")), "{log}");
    assert!(log.contains("hint: is another grayflag running?"), "{log}");

    daemon.kill();
    let (mut daemon, address) = run(&home, 1).await;
    let (_, listed) = get(&address, "/api/v1/changes").await;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["changes"][0]["id"], told["changes"][0]["id"]);
    let again = &told["changes"][0];
    let repeated = json!({
        "kind": again["kind"], "service": again["service"], "what": again["what"], "at": again["at"]
    });
    assert_eq!(post(&address, &repeated).await.0, 200, "known already");
    daemon.terminate();
    assert_eq!(daemon.ended(SOON).await.code(), Some(0));
}
