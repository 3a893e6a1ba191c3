//! TLS: real certificates by openssl, a real client.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};

use grayflag::http::tls as http_tls;
use reqwest::{Certificate, Identity};

use super::*;

/// An authority and what it signed, in a folder.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let authority = Self(TempDir::new().unwrap());
        authority.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=ca \
             -keyout ca.key -out ca.pem",
        );
        authority
    }

    fn openssl(&self, args: &str) {
        let mut command = Command::new("openssl");
        let done = command.args(args.split_whitespace()).current_dir(self.0.path());
        let done = done.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// A key, and a certificate of the authority that holds for some days, or held.
    fn sign(&self, name: &str, days: &str) {
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} \
             -keyout {name}.key -out {name}.csr"
        ));
        std::fs::write(self.path("ext"), "subjectAltName=IP:127.0.0.1").unwrap();
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} \
             -extfile ext -out {name}.pem"
        ));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn config(&self, name: &str) -> http_tls::Config {
        http_tls::Config {
            cert_file: self.path(&format!("{name}.pem")),
            key_file: self.path(&format!("{name}.key")),
            client_ca_file: None,
        }
    }

    fn client(&self) -> reqwest::ClientBuilder {
        let ca = Certificate::from_pem(&std::fs::read(self.path("ca.pem")).unwrap()).unwrap();
        // One connection for each request: each shows the certificate anew.
        Client::builder().no_proxy().tls_certs_only([ca]).tls_info(true).pool_max_idle_per_host(0)
    }
}

/// The clock of the server: openssl's now, and further on when told.
fn clock() -> (Now, Arc<AtomicI64>) {
    let done = Command::new("date").arg("+%s").output().unwrap();
    let start: i64 = String::from_utf8(done.stdout).unwrap().trim().parse().unwrap();
    let ahead = Arc::new(AtomicI64::new(0));
    let moved = ahead.clone();
    (Arc::new(move || Timestamp::from_secs(start + moved.load(Ordering::SeqCst))), ahead)
}

/// A server with these files; its port.
async fn serve(tls: http_tls::Config, now: &Now) -> (u16, CancellationToken, TempDir) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = TempDir::new().unwrap();
    let store = StoreHandle::new(Store::open(&dir.path().join("state.db")).unwrap());
    let listen = ([127, 0, 0, 1], 0).into();
    let config = Config { listen, tls: Some(tls), ..Config::default() };
    let bound = http::bind(&config, now).await.unwrap();
    let port = bound.address().unwrap().port();
    let api = Api::new(config, Vec::new(), store, now.clone());
    let stop = CancellationToken::new();
    tokio::spawn(http::serve(bound, api, stop.clone()));
    (port, stop, dir)
}

/// The certificate that a request was answered with.
async fn shown(client: reqwest::ClientBuilder, port: u16) -> Result<Vec<u8>, reqwest::Error> {
    let url = format!("https://127.0.0.1:{port}/-/healthy");
    let response = client.build().unwrap().get(url).send().await?;
    assert_eq!(
        (response.status(), response.version()),
        (StatusCode::OK, reqwest::Version::HTTP_11)
    );
    let info = response.extensions().get::<reqwest::tls::TlsInfo>().unwrap();
    Ok(info.peer_certificate().unwrap().to_vec())
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
    let authority = Authority::new();
    for name in ["first", "second"] {
        authority.sign(name, "10");
    }
    let copy = |from: &str, to: &str| {
        for end in ["pem", "key"] {
            std::fs::copy(
                authority.path(&format!("{from}.{end}")),
                authority.path(&format!("{to}.{end}")),
            )
            .unwrap();
        }
    };
    copy("first", "live");
    let (now, ahead) = clock();
    let (port, stop, _dir) = serve(authority.config("live"), &now).await;
    let first = shown(authority.client(), port).await.unwrap();
    let plain = Client::builder().no_proxy().build().unwrap();
    assert!(plain.get(format!("http://127.0.0.1:{port}/-/healthy")).send().await.is_err());
    assert!(shown(Client::builder().no_proxy(), port).await.is_err(), "nobody knows the authority");

    copy("second", "live");
    assert_eq!(shown(authority.client(), port).await.unwrap(), first, "looked at shortly before");
    ahead.fetch_add(6, Ordering::SeqCst);
    let second = shown(authority.client(), port).await.unwrap();
    assert_ne!(second, first);

    // A key that belongs to another certificate, half a file, none: what was good is kept.
    let broken: [&dyn Fn(); 3] = [
        &|| {
            std::fs::copy(authority.path("first.key"), authority.path("live.key")).unwrap();
        },
        &|| std::fs::write(authority.path("live.pem"), "-----BEGIN CERTIFICATE-----\nMII").unwrap(),
        &|| std::fs::remove_file(authority.path("live.pem")).unwrap(),
    ];
    for break_it in broken {
        break_it();
        ahead.fetch_add(6, Ordering::SeqCst);
        assert_eq!(shown(authority.client(), port).await.unwrap(), second);
    }
    copy("first", "live");
    ahead.fetch_add(6, Ordering::SeqCst);
    assert_eq!(shown(authority.client(), port).await.unwrap(), first, "and repaired");
    stop.cancel();
}

#[tokio::test]
async fn clients_show_a_certificate_where_that_is_wanted() {
    let authority = Authority::new();
    for name in ["server", "client"] {
        authority.sign(name, "10");
    }
    let tls = http_tls::Config {
        client_ca_file: Some(authority.path("ca.pem")),
        ..authority.config("server")
    };
    let (port, stop, _dir) = serve(tls, &clock().0).await;
    assert!(shown(authority.client(), port).await.is_err(), "without one");
    let mut pem = std::fs::read(authority.path("client.key")).unwrap();
    pem.extend(std::fs::read(authority.path("client.pem")).unwrap());
    let known = authority.client().identity(Identity::from_pem(&pem).unwrap());
    shown(known, port).await.unwrap();
    let stranger = Authority::new();
    stranger.sign("client", "10");
    let mut pem = std::fs::read(stranger.path("client.key")).unwrap();
    pem.extend(std::fs::read(stranger.path("client.pem")).unwrap());
    let stranger = authority.client().identity(Identity::from_pem(&pem).unwrap());
    assert!(shown(stranger, port).await.is_err(), "of somebody else's");
    stop.cancel();
}

#[tokio::test]
async fn what_cannot_be_served_is_told_at_the_start() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let authority = Authority::new();
    authority.sign("good", "10");
    authority.sign("other", "10");
    std::fs::write(authority.path("text"), "no PEM").unwrap();
    let (now, ahead) = clock();
    let good = authority.config("good");
    let file = |name: &str| authority.path(name);
    let with = |change: &dyn Fn(&mut http_tls::Config)| {
        let mut config = good.clone();
        change(&mut config);
        config
    };
    let refused = async |tls: http_tls::Config| {
        let listen = ([127, 0, 0, 1], 0).into();
        let config = Config { listen, tls: Some(tls), ..Config::default() };
        http::bind(&config, &now).await.unwrap_err().to_string()
    };
    for (config, part) in [
        (
            with(&|tls| tls.key_file = file("other.key")),
            "cannot be used together: keys may not be consistent",
        ),
        (with(&|tls| tls.key_file = file("text")), "/text` of `http.tls` has no private key"),
        (
            with(&|tls| tls.cert_file = file("good.key")),
            "/good.key` of `http.tls` has no certificate",
        ),
        (with(&|tls| tls.cert_file = file("none")), "cannot read `"),
        (
            with(&|tls| tls.client_ca_file = Some(file("text"))),
            "/text` of `http.tls` has no certificate",
        ),
    ] {
        let told = refused(config).await;
        assert!(told.contains(part), "{told}");
    }
    for days in [11, -1] {
        ahead.store(days * 86_400, Ordering::SeqCst);
        let told = refused(good.clone()).await;
        assert!(told.contains("holds from ") && told.contains("hint: renew it"), "{told}");
    }
    assert!(Path::new(&file("good.pem")).exists());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_goes_nowhere_is_given_up() {
    let authority = Authority::new();
    authority.sign("server", "10");
    let (port, stop, _dir) = serve(authority.config("server"), &clock().0).await;
    let mut silent = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut nothing = [0; 1];
    let read = tokio::time::timeout(Duration::from_secs(30), silent.read(&mut nothing)).await;
    assert_eq!(read.expect("closed in time").unwrap(), 0);
    stop.cancel();
}

/// What `grayflag healthy` says of a server at this port whose configuration has this `tls`.
fn healthy(folder: &Path, port: u16, tls: &str) -> Option<i32> {
    let config = format!("[http]\nlisten = \"127.0.0.1:{port}\"\n{tls}");
    std::fs::write(folder.join("grayflag.toml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_grayflag"));
    let config = folder.join("grayflag.toml");
    command.arg("healthy").arg("--config").arg(config).output().unwrap().status.code()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_speaks_as_the_server_does() {
    let authority = Authority::new();
    authority.sign("live", "10");
    let (now, _) = clock();
    let folder = authority.0.path();
    let files = "cert_file = \"live.pem\", key_file = \"live.key\"";
    let (port, stop, _dir) = serve(authority.config("live"), &now).await;
    assert_eq!(healthy(folder, port, &format!("tls = {{ {files} }}")), Some(0));
    assert_eq!(healthy(folder, port, ""), Some(1), "plain HTTP is not what it speaks");
    stop.cancel();
    let client_ca_file = Some(authority.path("ca.pem"));
    let (port, _stop, _dir) =
        serve(http_tls::Config { client_ca_file, ..authority.config("live") }, &now).await;
    let tls = format!("tls = {{ {files}, client_ca_file = \"ca.pem\" }}");
    assert_eq!(healthy(folder, port, &tls), Some(0), "it shows the server's own certificate");
}
