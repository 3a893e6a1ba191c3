//! The signature of webhooks.

use grayflag::notify::receiver::ReceiverKind;
use grayflag::notify::templates::Templates;

use grayflag::notify::sample::digest as sample_digest;

use super::{Api, SIGNING_SECRET, Seen, send, send_digest};
use crate::support::{receiver, sample};

/// What a receiver does to check a message: the time, and the code that openssl computes.
fn verify(seen: &Seen, seconds: i64) -> bool {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let header = seen.header("x-grayflag-signature").unwrap();
    let (time, code) = header.split_once(",v1=").unwrap();
    assert_eq!(time, format!("t={seconds}"));
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", SIGNING_SECRET])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut signed = format!("{seconds}.").into_bytes();
    signed.extend(&seen.body);
    openssl.stdin.take().unwrap().write_all(&signed).unwrap();
    let told = openssl.wait_with_output().unwrap().stdout;
    String::from_utf8(told).unwrap().trim_end().ends_with(&format!("= {code}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_finds_the_same_signature() {
    let api = Api::start().await;
    let target = api.target("webhook");
    for state in ["firing", "updated", "resolved"] {
        let alert = sample(state);
        send(&target, &alert, None).await.unwrap();
        let seen = api.take().remove(0);
        assert_eq!(seen.header("x-grayflag-event"), Some(state));
        assert!(verify(&seen, alert.at.as_secs()));
    }
    send_digest(&target).await.unwrap();
    let seen = api.take().remove(0);
    assert_eq!(seen.header("x-grayflag-event"), Some("digest"));
    assert_eq!(seen.json()["schema"], "grayflag.digest/v1");
    assert!(verify(&seen, sample_digest().to.as_secs()));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_nothing_is_signed() {
    let api = Api::start().await;
    let ReceiverKind::Webhook(mut config) = api.receiver("webhook").kind else { panic!() };
    config.signing_secret = None;
    let kind = ReceiverKind::Webhook(config);
    let receiver = receiver("hook", kind);
    let target = receiver.open(&Templates::default()).unwrap().remove(0);
    send(&target, &sample("firing"), None).await.unwrap();
    assert_eq!(api.take()[0].header("x-grayflag-signature"), None);
}
