//! Real servers for tests: each on a free loopback port, with its own directory, gone when
//! dropped. A test crate that uses only some of this says so where it names the module:
//! `#[expect(dead_code, reason = "shared")] mod common;`.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Longest that a server may take to answer after its start.
const START_MAX: Duration = Duration::from_secs(30);

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: String,
    child: Child,
    dir: TempDir,
}

/// Starts Prometheus servers.
pub(crate) struct Prometheus;

/// Starts VictoriaMetrics servers.
pub(crate) struct VictoriaMetrics;

/// Programs of one installation.
#[derive(Clone, Debug)]
pub(crate) struct Installed {
    /// How a test calls it: `prometheus 2.42.0`.
    pub(crate) name: String,
    prometheus: PathBuf,
    promtool: PathBuf,
    victoria_metrics: PathBuf,
}

/// Samples that are loaded into a server before a test.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    series: Vec<Loaded>,
}

#[derive(Clone, Debug)]
struct Loaded {
    metric: String,
    labels: String,
    /// Unix seconds and value.
    samples: Vec<(i64, f64)>,
}

impl History {
    /// Adds a series with a sample every `step` seconds from `start`; NaN leaves one out.
    pub(crate) fn series(
        mut self,
        name: &str,
        labels: &str,
        (start, step): (i64, i64),
        values: impl IntoIterator<Item = f64>,
    ) -> Self {
        let times = (0..).map(|n| start + n * step);
        let samples = times.zip(values).filter(|(_, value)| !value.is_nan()).collect();
        self.series.push(Loaded { metric: name.to_owned(), labels: labels.to_owned(), samples });
        self
    }

    /// The text that promtool makes blocks from.
    pub(crate) fn openmetrics(&self) -> String {
        let mut text = self.text(1, true);
        text.push_str("# EOF\n");
        text
    }

    /// The text that VictoriaMetrics imports.
    pub(crate) fn prometheus_text(&self) -> String {
        self.text(1_000, false)
    }

    fn text(&self, time_unit: i64, types: bool) -> String {
        let mut series: Vec<_> = self.series.iter().collect();
        // A metric's series must stand together.
        series.sort_by(|a, b| a.metric.cmp(&b.metric));
        let (mut text, mut last) = (String::new(), "");
        for Loaded { metric: name, labels, samples } in series {
            if types && last != name {
                writeln!(text, "# TYPE {name} gauge").unwrap();
                last = name;
            }
            for (time, value) in samples {
                writeln!(text, "{name}{{{labels}}} {value} {}", time * time_unit).unwrap();
            }
        }
        text
    }
}

impl Installed {
    /// What the PATH has, and what the directory in `GRAYFLAG_NEWER` has, if it is set.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self {
            name: String::new(),
            prometheus: "prometheus".into(),
            promtool: "promtool".into(),
            victoria_metrics: "victoria-metrics".into(),
        }];
        if let Some(dir) = std::env::var_os("GRAYFLAG_NEWER").map(PathBuf::from) {
            all.push(Self {
                name: "newer ".to_owned(),
                prometheus: dir.join("prometheus/usr/bin/prometheus"),
                promtool: dir.join("promtool/usr/bin/promtool"),
                victoria_metrics: dir.join("victoria-metrics/usr/bin/victoria-metrics"),
            });
        }
        all
    }
}

impl Prometheus {
    /// The installed one with this history.
    pub(crate) async fn start_with_openmetrics(text: &str) -> Server {
        Self::start(&Installed::all()[0], text, &[]).await
    }

    /// The installed one, empty, with this configuration file.
    pub(crate) async fn start_with_config(config: &str) -> Server {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("prometheus.yml"), config).unwrap();
        Self::start_in(dir, &Installed::all()[0], &[]).await
    }

    /// A given one with this history and further arguments.
    pub(crate) async fn start(installed: &Installed, text: &str, arguments: &[&str]) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("prometheus.yml"), "").unwrap();
        std::fs::create_dir(at("data")).unwrap();
        if !text.is_empty() {
            std::fs::write(at("history.om"), text).unwrap();
            // It reads the whole text once for each block, and blocks of two hours are many.
            let made = Command::new(&installed.promtool)
                .args(["tsdb", "create-blocks-from", "--max-block-duration=1500h", "openmetrics"])
                .args([at("history.om"), at("data")])
                .output()
                .unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        Self::start_in(dir, installed, arguments).await
    }

    async fn start_in(dir: TempDir, installed: &Installed, arguments: &[&str]) -> Server {
        let at = |name: &str| dir.path().join(name);
        let port = free_port();
        let mut command = Command::new(&installed.prometheus);
        command
            .arg(format!("--config.file={}", at("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", at("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--storage.tsdb.retention.time=100y", "--log.level=error"])
            .args(arguments);
        Server::start(command, dir, port, "/-/ready").await
    }
}

impl VictoriaMetrics {
    /// The installed one, empty.
    pub(crate) async fn start() -> Server {
        Self::start_with(&Installed::all()[0], "").await
    }

    /// A given one with this history, in the text format with milliseconds.
    pub(crate) async fn start_with(installed: &Installed, text: &str) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut command = Command::new(&installed.victoria_metrics);
        command
            .arg(format!("-storageDataPath={}", dir.path().join("data").display()))
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .args(["-retentionPeriod=100y", "-loggerLevel=ERROR"]);
        let server = Server::start(command, dir, port, "/health").await;
        if !text.is_empty() {
            server.import(text).await;
        }
        server
    }
}

impl Server {
    /// Starts a server and waits until it answers at `ready`.
    pub(crate) async fn start(mut command: Command, dir: TempDir, port: u16, ready: &str) -> Self {
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut server = Self { url: format!("http://127.0.0.1:{port}"), child, dir };
        let url = format!("{}{ready}", server.url);
        let http = reqwest::Client::new();
        let answers = async {
            loop {
                match http.get(&url).send().await {
                    // A server that wants TLS says 400 to plain requests: it is up.
                    Ok(answer) if answer.status().as_u16() < 500 => return true,
                    _ if server.child.try_wait().unwrap().is_some() => return false,
                    _ => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let up = tokio::time::timeout(START_MAX, answers).await == Ok(true);
        assert!(up, "{command:?} does not answer: {}", server.log());
        server
    }

    /// What the server wrote.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("log")).unwrap()
    }

    /// Holds the process still, or lets it go on: `STOP` or `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Its directory.
    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Loads samples into a running VictoriaMetrics.
    pub(crate) async fn import(&self, text: &str) {
        let http = reqwest::Client::new();
        let url = format!("{}/api/v1/import/prometheus", self.url);
        let answer = http.post(url).body(text.to_owned()).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        let url = format!("{}/internal/force_flush", self.url);
        assert!(http.get(url).send().await.unwrap().status().is_success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on at the moment.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
