//! grayflag as its user sees it: the program, a config file, a simulated past in a real backend,
//! and receivers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use grayflag::lab::{self, Fault, FaultPlan, History, Lab, Severity, Truth};
use grayflag::store::Store;
use grayflag::time::{Span, Timestamp};
use tempfile::TempDir;

/// What baselines learn from.
pub(crate) const HISTORY: Span = Span::WEEK.times(3);
/// Between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(20);

/// A simulated past: weeks to learn from, then what went wrong.
pub(crate) struct World {
    /// For promtool: seconds.
    pub(crate) openmetrics: String,
    pub(crate) truth: Vec<Truth>,
}

impl World {
    /// Three weeks before `from` every five minutes, which is all that learning asks for; from
    /// then on every minute, until `to`.
    pub(crate) fn simulate(from: Timestamp, to: Timestamp, faults: Vec<FaultPlan>) -> Self {
        let scrape = Span::MINUTE;
        let start = from - HISTORY;
        let mut lab = Lab::new(lab::Settings { seed: 3, start, scrape, faults }).unwrap();
        let mut history = History::new(start, scrape);
        while lab.now() < to {
            let scraped = lab.scrape();
            if from <= scraped.at || scraped.at.floor_to(Span::from_mins(5)) == scraped.at {
                history.push(lab.series(), &scraped);
            }
        }
        let mut text = Vec::new();
        history.write_openmetrics(&mut text).unwrap();
        Self { openmetrics: String::from_utf8(text).unwrap(), truth: lab.truth() }
    }

    /// The same past, moved in time: it can end now whatever the hour, and show the same.
    pub(crate) fn moved(&self, by: Span) -> String {
        let mut text = String::with_capacity(self.openmetrics.len());
        for line in self.openmetrics.lines() {
            if line.starts_with('#') {
                text.push_str(line);
            } else {
                let (head, at) = line.rsplit_once(' ').unwrap();
                write!(text, "{head} {}", at.parse::<i64>().unwrap() + by.as_secs()).unwrap();
            }
            text.push('\n');
        }
        text
    }

    /// The text that VictoriaMetrics imports: milliseconds.
    pub(crate) fn prometheus_text(&self) -> String {
        let samples = self.openmetrics.lines().filter(|line| !line.starts_with('#'));
        samples.fold(String::with_capacity(self.openmetrics.len() * 6 / 5), |mut text, line| {
            text.push_str(line);
            text.push_str("000\n");
            text
        })
    }
}

/// A fault of middling severity.
pub(crate) fn fault(fault: Fault, onset: Timestamp, hours: i64) -> FaultPlan {
    FaultPlan { fault, onset, severity: Severity::Middling, end: onset + Span::from_hours(hours) }
}

/// A folder with a config file, as a user has one.
pub(crate) struct Home {
    dir: TempDir,
}

impl Home {
    /// The lab's signals, all causes, the fleet's topology and objectives; `more` is for
    /// receivers and routes.
    pub(crate) fn new(backend: &str, interval: &str, more: &str) -> Self {
        let home = Self { dir: TempDir::new().unwrap() };
        home.configure(backend, interval, more);
        home
    }

    /// Writes the config file anew.
    pub(crate) fn configure(&self, backend: &str, interval: &str, more: &str) {
        let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");
        let mut text = format!(
            "[poll]\ninterval = \"{interval}\"\nhistory = \"3w\"\n\n\
             [source]\nkind = \"prometheus\"\nurl = \"{backend}\"\ntimeout = \"5s\"\n\n\
             [store]\nurl = \"sqlite:state.db\"\n\n\
             [http]\nlisten = \"127.0.0.1:0\"\n\n\
             [budget]\nalerts = \"0.25/month\"\nnotices = \"1/month\"\n\n\
             [rules]\npaths = [\"{rules}/signals/lab.toml\", \"{rules}/causes/*.toml\"]\n\n\
             [[change]]\nkind = \"deploy\"\nquery = \"lab_build_info\"\nappears = \"version\"\n\n"
        );
        let mut calls: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (caller, callee) in lab::topology() {
            calls.entry(caller).or_default().push(callee);
        }
        for (service, callees) in calls {
            writeln!(text, "[[service]]\nname = \"{service}\"\ndepends_on = {callees:?}").unwrap();
            if ["web", "checkout"].contains(&service) {
                text.push_str("objective = { latency = \"1200ms\", errors = \"2%\" }\n");
            }
            text.push('\n');
        }
        text.push_str(more);
        std::fs::write(self.config(), text).unwrap();
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("grayflag.toml")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program with a command and this config.
    pub(crate) fn command(&self, command: &str) -> Command {
        let mut grayflag = Command::new(env!("CARGO_BIN_EXE_grayflag"));
        grayflag.arg(command).arg("--config").arg(self.config());
        // Ports come again: what an earlier test downloaded is nobody's business.
        grayflag.env("XDG_CACHE_HOME", self.path("caches"));
        grayflag
    }

    /// Starts the daemon; its log goes on after what is there.
    pub(crate) fn run(&self, args: &[&str]) -> Daemon {
        let log = self.path("log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child = self
            .command("run")
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Daemon { child, log }
    }

    /// The alerts of a replay, one line each.
    pub(crate) async fn replay(&self, from: Timestamp, to: Timestamp) -> Vec<String> {
        let mut command = self.command("replay");
        command.args(["--format", "jsonl", "--from", &from.to_string(), "--to", &to.to_string()]);
        let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// The alerts in the state file, oldest first; the daemon must have ended.
    pub(crate) fn alerts(&self) -> Vec<String> {
        let mut alerts = self.store().alerts(10_000).unwrap();
        alerts.reverse();
        alerts
    }

    /// The state file; the daemon must have ended.
    pub(crate) fn store(&self) -> Store {
        Store::open(&self.path("state.db")).unwrap()
    }

    /// The newest tick in the state file, which the daemon may be writing.
    pub(crate) fn last_tick(&self) -> Option<Timestamp> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let file = rusqlite::Connection::open_with_flags(self.path("state.db"), flags).ok()?;
        file.busy_timeout(Duration::from_secs(5)).unwrap();
        let last = file.query_row("SELECT last_tick FROM meta", [], |row| row.get(0));
        last.ok().map(Timestamp::from_millis)
    }
}

/// A running daemon; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Waits until it ends by itself.
    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        let mut ended = None;
        poll(within, || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        })
        .await;
        ended.unwrap_or_else(|| panic!("still running after {within:?}: {}", self.log()))
    }

    /// Waits until something holds while it runs.
    pub(crate) async fn until(&mut self, within: Duration, mut holds: impl FnMut(&str) -> bool) {
        let held = poll(within, || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended with {ended:?}: {}", self.log());
            holds(&self.log())
        })
        .await;
        assert!(held, "not within {within:?}: {}", self.log());
    }

    /// The address of its API, which it logs; so many ran before it.
    pub(crate) async fn address(&mut self, earlier: usize, within: Duration) -> String {
        let mut address = String::new();
        self.until(within, |log| {
            let mut served = log.lines().filter(|line| line.contains("serving the API"));
            let line = served.nth(earlier).unwrap_or_default();
            let after = line.split_once("address=").map_or("", |(_, after)| after);
            after.split_whitespace().next().unwrap_or_default().clone_into(&mut address);
            !address.is_empty()
        })
        .await;
        address
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Any signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([format!("-{name}"), pid]).status().unwrap().success());
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// All that was logged to its file.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The most memory that it had, in bytes.
    pub(crate) fn memory_max(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again and again; false if it does not hold in time.
pub(crate) async fn poll(within: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let wait = async {
        while !holds() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(within, wait).await.is_ok()
}

/// One message that the server has taken.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) key: String,
    pub(crate) body: String,
}

/// A server for webhooks that takes everything.
pub(crate) struct Hooks {
    url: String,
    taken: Arc<Mutex<Vec<Taken>>>,
}

impl Hooks {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let taken: Arc<Mutex<Vec<Taken>>> = Arc::default();
        let app = Router::new().fallback(take).with_state(Arc::clone(&taken));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, taken }
    }

    /// Receiver and route: every severity goes here.
    pub(crate) fn config(&self) -> String {
        format!(
            "[[receiver]]\nname = \"hook\"\nwebhook = {{ url = \"{}\" }}\n\n[[route]]\n\
             match = {{ severity = [\"notice\", \"warning\", \"critical\"] }}\nto = [\"hook\"]\n",
            self.url
        )
    }

    /// Every delivery, in order of arrival.
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    /// What was delivered, in order of arrival.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.taken().into_iter().map(|taken| taken.body).collect()
    }
}

async fn take(State(taken): State<Arc<Mutex<Vec<Taken>>>>, headers: HeaderMap, body: String) {
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    taken.lock().unwrap().push(Taken { key, body });
}

/// A text in a file of the repository.
pub(crate) fn repository(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}
