//! What a service manager hears of the real program, over a real socket.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
mod common;
#[expect(dead_code, reason = "shared")]
#[path = "common/e2e.rs"]
mod e2e;

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::Prometheus;
use e2e::{Home, World, poll};
use grayflag::time::{Span, Timestamp};

/// How long a single thing may take on a busy machine.
const SOON: Duration = Duration::from_secs(60);
/// What the daemon is told of the watchdog: it is fed four times as often.
const WATCHDOG: Duration = Duration::from_secs(2);
/// A port of the loopback interface that nothing listens on.
const NOBODY: &str = "http://127.0.0.1:1";

/// A service manager with one service.
struct Manager {
    service: Child,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    /// Starts the daemon as systemd does; `args` are further ones.
    fn start(home: &Home, args: &[&str]) -> Self {
        let path = home.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let hears = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(len) = socket.recv(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..len]).into_owned();
                hears.lock().unwrap().extend(text.lines().map(str::to_owned));
            }
        });
        let mut command: Command = home.command("run");
        let service = command
            .args(args)
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())
            .stderr(std::fs::File::create(home.path("log")).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        Self { service, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    fn count(&self, what: &str) -> usize {
        self.heard().iter().filter(|line| line.starts_with(what)).count()
    }

    /// Waits until something was said so often.
    async fn hears(&mut self, what: &str, times: usize) {
        let held = poll(SOON, || times <= self.count(what)).await;
        let ended = self.service.try_wait().unwrap();
        assert!(held, "not {times} × {what} ({ended:?}): {:#?}", self.heard());
    }

    /// Whether the service would be restarted: nothing feeds the watchdog for three times as long
    /// as it waits, so that a busy machine is no reason.
    async fn misses(&self, within: Duration) -> bool {
        let silence = async {
            let mut fed = self.count("WATCHDOG=1");
            while poll(WATCHDOG * 3, || fed < self.count("WATCHDOG=1")).await {
                fed = self.count("WATCHDOG=1");
            }
        };
        tokio::time::timeout(within, silence).await.is_ok()
    }

    async fn stop(mut self) {
        let pid = self.service.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.hears("STOPPING=1", 1).await;
        let mut ended = None;
        poll(SOON, || {
            ended = self.service.try_wait().unwrap();
            ended.is_some()
        })
        .await;
        assert_eq!(ended.and_then(|ended| ended.code()), Some(0));
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_is_away_keeps_neither_start_nor_watchdog() {
    let home = Home::new(NOBODY, "1s", "");
    let mut manager = Manager::start(&home, &[]);
    manager.hears("READY=1", 1).await;
    manager.hears("STATUS=Backend cannot be read (connect); last tick none", 1).await;
    // Longer than the watchdog's time: it is fed while the backend is waited for.
    manager.hears("WATCHDOG=1", 12).await;
    assert_eq!(manager.count("READY=1"), 1);
    manager.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manager_hears_how_learning_and_watching_go() {
    let from: Timestamp = "2026-03-03T06:00:00Z".parse().unwrap();
    let world = World::simulate(from, from + Span::from_hours(1), Vec::new());
    let prometheus = Prometheus::start_with_openmetrics(&world.openmetrics).await;
    let home = Home::new(&prometheus.url, "5m", "");
    let to = from + Span::from_mins(30);
    let args = ["--rehearse", &from.to_string(), "--to", &to.to_string()];
    let mut manager = Manager::start(&home, &args);
    manager.hears("STOPPING=1", 1).await;
    let heard = manager.heard();
    let at = |what: &str| heard.iter().position(|line| line == what);
    let places = [
        at("READY=1"),
        at("STATUS=Learning from history: 0 %"),
        at("STATUS=Learning from history: 50 %"),
        heard.iter().position(|line| {
            line.starts_with("STATUS=Watching ")
                && line.ends_with(&format!(" services; last tick {from}"))
        }),
        at("STOPPING=1"),
    ];
    assert!(places.iter().all(Option::is_some), "{places:?} {heard:#?}");
    assert!(places.is_sorted(), "{places:?} {heard:#?}");
    let learning = manager.count("STATUS=Learning");
    assert!((20..=101).contains(&learning), "each percent once: {learning}");
}

/// Reading a token from a file system that hangs has no time limit of its own: the loop waits and
/// waits, and only the watchdog ends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_loop_that_hangs_misses_the_watchdog() {
    let home = Home::new(NOBODY, "1s", "");
    std::fs::write(home.path("token"), "0123456789abcdef").unwrap();
    let rules = "[[signal]]\nname = \"a\"\nrole = \"latency\"\nquery = \"a\"\n";
    std::fs::write(home.path("a.toml"), rules).unwrap();
    let config = format!(
        "[poll]\ninterval = \"1s\"\n[source]\nurl = \"{NOBODY}\"\ntimeout = \"1s\"\n\
         bearer_token_file = \"token\"\n[store]\nurl = \"sqlite:state.db\"\n\
         [http]\nlisten = \"127.0.0.1:0\"\n[rules]\npaths = [\"a.toml\"]\n"
    );
    std::fs::write(home.config(), config).unwrap();
    let mut manager = Manager::start(&home, &[]);
    manager.hears("WATCHDOG=1", 8).await;
    std::fs::remove_file(home.path("token")).unwrap();
    assert!(Command::new("mkfifo").arg(home.path("token")).status().unwrap().success());
    assert!(manager.misses(SOON).await, "{:#?}", manager.heard());
}
