//! Who we are and whom we trust: headers as they arrive, and TLS with a real Prometheus.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[path = "common/bad_backend.rs"]
#[expect(dead_code, reason = "only its good side is used here")]
mod bad_backend;
#[expect(dead_code, reason = "only Prometheus is started here")]
mod common;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use bad_backend::{Answer, BadBackend};
use common::{History, Installed, Prometheus, Server};
use grayflag::rules::Rules;
use grayflag::source::{BasicAuth, Config, Prometheus as Source, ReadPlan, SourceError, Tls};
use grayflag::time::{Span, Timestamp};
use secrecy::SecretString;

/// 2026-03-01T00:00:00Z.
const START: i64 = 1_772_323_200;

fn plan() -> ReadPlan {
    ReadPlan::new(&Rules { topology: Some("lab_calls".to_owned()), ..Rules::default() })
}

async fn read(source: &Source) -> Result<usize, SourceError> {
    let at = Timestamp::from_secs(START);
    source.read(&mut plan(), at, at, Span::from_secs(30)).await.map(|reading| reading.ticks())
}

#[tokio::test]
async fn headers_user_and_token_arrive_and_tokens_are_read_again() {
    let backend = BadBackend::start(Answer::Good).await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    let mut config = Config::new(format!("{}/tenant/7/prometheus/", backend.url()));
    config.headers = vec![
        ("X-Scope-OrgID".to_owned(), SecretString::from("team-7")),
        ("X-Other".to_owned(), SecretString::from("1")),
    ];
    config.bearer_token_file = Some(token.clone());
    let source = Source::new(config.clone()).unwrap();
    let error = read(&source).await.unwrap_err();
    assert_eq!(error.class(), "file");
    assert!(error.to_string().contains("token, named by source.bearer_token_file"), "{error}");
    for written in ["first\n", "second"] {
        std::fs::write(&token, written).unwrap();
        assert_eq!(read(&source).await, Ok(1));
        let request = backend.requests().remove(0);
        assert_eq!(request.headers["authorization"], format!("Bearer {}", written.trim()));
        assert_eq!(request.headers["x-scope-orgid"], "team-7");
        assert_eq!(request.headers["x-other"], "1");
        assert_eq!(request.line, "POST /tenant/7/prometheus/api/v1/query_range HTTP/1.1");
    }
    std::fs::write(&token, "line\nbreak").unwrap();
    let error = read(&source).await.unwrap_err();
    assert_eq!(error.class(), "file");
    assert!(!error.to_string().contains("break"), "{error}");
    config.bearer_token_file = None;
    let password = SecretString::from("hunter2");
    config.basic_auth = Some(BasicAuth { username: "anna".to_owned(), password });
    assert_eq!(read(&Source::new(config.clone()).unwrap()).await, Ok(1));
    let request = backend.requests().remove(0);
    assert_eq!(request.headers["authorization"], "Basic YW5uYTpodW50ZXIy");
    config.headers = vec![("X-Token".to_owned(), SecretString::from("hunter2\r\nX-Evil: 1"))];
    let error = Source::new(config).unwrap_err();
    assert_eq!(error.class(), "config");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

/// Keys and certificates in a directory of their own, made by the openssl command.
struct Certificates {
    dir: tempfile::TempDir,
}

impl Certificates {
    fn new() -> Self {
        let made = Self { dir: tempfile::tempdir().unwrap() };
        made.self_signed("ca", "lab CA");
        made.self_signed("other-ca", "other CA");
        made.self_signed("lone", "localhost");
        made.signed("server", "DNS:prometheus.lab,IP:127.0.0.1");
        made.signed("elsewhere", "DNS:prometheus.lab");
        made.signed("client", "DNS:grayflag.lab");
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What plain `openssl req -x509` makes: a certificate that is a CA.
    fn self_signed(&self, name: &str, common_name: &str) {
        self.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "3650",
            "-subj",
            &format!("/CN={common_name}"),
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.pem"),
        ]);
    }

    fn signed(&self, name: &str, names: &str) {
        let extensions = format!("subjectAltName={names}\nbasicConstraints=CA:FALSE\n");
        std::fs::write(self.path(&format!("{name}.ext")), extensions).unwrap();
        self.openssl(&[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            &format!("{name}.key"),
            "-out",
            &format!("{name}.csr"),
        ]);
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &format!("{name}.csr"),
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "3650",
            "-extfile",
            &format!("{name}.ext"),
            "-out",
            &format!("{name}.pem"),
        ]);
    }

    fn openssl(&self, arguments: &[&str]) {
        let made =
            Command::new("openssl").args(arguments).current_dir(self.dir.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// A Prometheus that shows this certificate and asks clients for one if told to.
    async fn prometheus(&self, installed: &Installed, name: &str, ask_clients: bool) -> Server {
        let path = |file: String| self.path(&file).display().to_string();
        let (cert, key) = (path(format!("{name}.pem")), path(format!("{name}.key")));
        let mut web = format!("tls_server_config:\n  cert_file: {cert}\n  key_file: {key}\n");
        if ask_clients {
            web += "  client_auth_type: RequireAndVerifyClientCert\n";
            writeln!(web, "  client_ca_file: {}", path("ca.pem".to_owned())).unwrap();
        }
        let file = self.path(&format!("web-{name}.yml"));
        std::fs::write(&file, web).unwrap();
        let calls = History::default().series(
            "lab_calls",
            r#"client="web",server="db""#,
            (START, 30),
            [1.0, 1.0],
        );
        let argument = format!("--web.config.file={}", file.display());
        Prometheus::start(installed, &calls.openmetrics(), &[&argument]).await
    }
}

/// The outcome of one reading with these options.
async fn with(server: &Server, tls: Tls) -> Result<usize, SourceError> {
    let mut config = Config::new(server.url.replace("http://", "https://"));
    config.tls = tls;
    read(&Source::new(config).unwrap()).await
}

fn trusting(ca: &Path) -> Tls {
    Tls { ca_file: Some(ca.to_owned()), ..Tls::default() }
}

fn assert_refused(outcome: Result<usize, SourceError>, hint: &str) {
    let error = outcome.unwrap_err();
    assert_eq!(error.class(), "tls", "{error}");
    assert!(error.to_string().contains(hint), "{error}");
}

#[tokio::test]
async fn trust_goes_to_the_given_ca_and_every_refusal_says_what_to_do() {
    let made = Certificates::new();
    let ca = made.path("ca.pem");
    for installed in Installed::all() {
        println!("{}prometheus with TLS", installed.name);
        let server = made.prometheus(&installed, "server", false).await;
        assert_eq!(with(&server, trusting(&ca)).await, Ok(1));
        assert_refused(with(&server, Tls::default()).await, "tls.ca_file");
        assert_refused(with(&server, trusting(&made.path("other-ca.pem"))).await, "tls.ca_file");
        let plain = Source::new(Config::new(&server.url)).unwrap();
        assert_eq!(read(&plain).await.unwrap_err().class(), "not_found");

        let server = made.prometheus(&installed, "elsewhere", false).await;
        assert_refused(with(&server, trusting(&ca)).await, "tls.server_name");
        let named = |name: &str| Tls { server_name: Some(name.to_owned()), ..trusting(&ca) };
        assert_eq!(with(&server, named("prometheus.lab")).await, Ok(1));
        assert_refused(with(&server, named("other.lab")).await, "tls.server_name");

        let server = made.prometheus(&installed, "lone", false).await;
        let outcome = with(&server, trusting(&made.path("lone.pem"))).await;
        assert_refused(outcome, "shows a certificate that is a CA");
    }
    let server = Prometheus::start_with_openmetrics("").await;
    assert_refused(with(&server, trusting(&ca)).await, "does not speak TLS");
}

#[tokio::test]
async fn a_server_that_asks_for_our_certificate_gets_it() {
    let made = Certificates::new();
    let ca = made.path("ca.pem");
    let ours = |name: &str| Tls {
        cert_file: Some(made.path(&format!("{name}.pem"))),
        key_file: Some(made.path(&format!("{name}.key"))),
        ..trusting(&ca)
    };
    for installed in Installed::all() {
        println!("{}prometheus with client certificates", installed.name);
        let server = made.prometheus(&installed, "server", true).await;
        assert_eq!(with(&server, ours("client")).await, Ok(1));
        for tls in [trusting(&ca), ours("other-ca")] {
            // Whether the server's alert or the end of the connection is seen first is a race.
            let error = with(&server, tls).await.unwrap_err();
            assert!(["tls", "interrupted"].contains(&error.class()), "{error}");
            assert!(error.to_string().contains("tls.cert_file"), "{error}");
        }
    }
}

#[test]
fn certificate_files_that_cannot_be_used_are_named() {
    let made = Certificates::new();
    let refused = |tls: Tls| {
        let mut config = Config::new("https://127.0.0.1:9090");
        config.tls = tls;
        Source::new(config).unwrap_err().to_string()
    };
    let missing = refused(trusting(&made.path("none.pem")));
    assert!(missing.contains("none.pem, named by source.tls.ca_file"), "{missing}");
    let no_pem = refused(trusting(&made.path("server.ext")));
    assert!(no_pem.contains("server.ext has no certificate in PEM"), "{no_pem}");
    let no_key = refused(Tls {
        cert_file: Some(made.path("client.pem")),
        key_file: Some(made.path("client.ext")),
        ..Tls::default()
    });
    assert!(no_key.contains("client.pem and the key are not a pair"), "{no_key}");
}
