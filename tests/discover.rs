//! What is found in a backend that refuses some questions.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[path = "common/bad_backend.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod bad_backend;

use std::process::{Command, Stdio};

use bad_backend::{Answer, BadBackend};
use grayflag::discover::{Found, discover};
use grayflag::source::{Config, Prometheus};
use grayflag::time::Timestamp;

const JSON: &str = "content-type: application/json\r\n";
const REFUSED: Answer = Answer::Status(
    422,
    JSON,
    r#"{"status":"error","errorType":"execution","error":"too many series"}"#,
);
/// The metric, where it is asked for alone.
const ALONE: &str = "%22istio_requests_total%22%7D";

async fn found(backend: &BadBackend) -> Found {
    // A second test of this process may have set it already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let source = Prometheus::new(Config::new(backend.url())).unwrap();
    discover(&source, Timestamp::from_secs(1_772_323_200), |_| {}).await.unwrap()
}

#[tokio::test]
async fn a_backend_that_refuses_helper_queries_is_looked_at_all_the_same() {
    let backend = BadBackend::start(Answer::Good).await;
    backend.answer("target_info", REFUSED);
    backend.answer("%7C", REFUSED);
    let present = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"istio_requests_total"},"value":[1,"1"]}]}}"#;
    backend.answer(ALONE, Answer::Status(200, JSON, present));
    let found = found(&backend).await;
    assert!(found.topology.unwrap().contains("istio_requests_total"));
    let markers: Vec<&str> = found.markers.iter().map(|marker| marker.about.as_str()).collect();
    assert_eq!(markers.len(), 2, "{markers:?}");
    let istio = found.packs.iter().find(|pack| pack.name == "istio").unwrap();
    let asked = istio.signals.iter().filter(|one| one.rows.is_some_and(|rows| rows > 0));
    assert!(asked.clone().count() > 0, "{istio:?}");
    assert!(asked.clone().all(|one| Some(one.nameless) == one.rows));
    assert!(!istio.fits, "no row says which service it is about");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_no_further_gets_the_files_all_the_same() {
    let backend = BadBackend::start(Answer::Good).await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_grayflag"));
    command.args(["discover", "--url", &backend.url(), "--write"]).arg(folder.path());
    let ended = tokio::task::spawn_blocking(move || {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        child.wait_with_output().unwrap()
    });
    let output = ended.await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("wrote "), "{said}");
    assert!(folder.path().join("grayflag.toml").exists(), "{said}");
}
