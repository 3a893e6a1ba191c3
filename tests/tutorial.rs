//! docs/tutorial.md, as somebody who types what stands there: a real Prometheus, and the program.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "shared")]
mod common;
#[expect(dead_code, reason = "shared")]
#[path = "common/e2e.rs"]
mod e2e;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use common::Prometheus;
use e2e::{Hooks, poll, repository};
use grayflag::clock;
use grayflag::time::{Span, Timestamp};

/// How long a single thing may take on a busy machine.
const SOON: Duration = Duration::from_secs(120);
/// Where the tutorial thinks the backend and the API are.
const BACKEND: &str = "http://127.0.0.1:9090";
const API: &str = "127.0.0.1:9469";
const HOOK: &str = "https://example.com/hooks/grayflag";

/// Requests between two scrapes: two a second, more than the pack asks for.
const PER_SCRAPE: usize = 240;

/// What the tutorial asks its reader to do, in order.
#[derive(Debug)]
enum Step {
    Type(String),
    Add(String),
}

/// Lines behind `$` of blocks of `console`, and blocks of `toml`.
fn steps(text: &str) -> Vec<Step> {
    let (mut steps, mut block) = (Vec::new(), None);
    for line in text.lines() {
        match (line.strip_prefix("```"), block) {
            (Some(language), None) => {
                block = Some(language);
                if language == "toml" {
                    steps.push(Step::Add(String::new()));
                }
            }
            (Some(_), Some(_)) => block = None,
            (None, Some("console")) => {
                let command = line.strip_prefix("$ ").unwrap_or_else(|| panic!("no `$`: {line}"));
                steps.push(Step::Type(command.to_owned()));
            }
            (None, Some("toml")) => {
                if let Some(Step::Add(text)) = steps.last_mut() {
                    writeln!(text, "{line}").unwrap();
                }
            }
            _ => {}
        }
    }
    steps
}

/// Ten days of two services, scraped every two minutes, until somewhat later than now: the reader
/// takes some time. For eight hours, checkout has been three times as slow.
fn metrics(now: Timestamp) -> String {
    let scrape = Span::from_mins(2);
    let buckets = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6];
    let mut text = String::from("# TYPE http_server_request_duration_seconds histogram\n");
    for (number, job) in ["checkout", "payments"].into_iter().enumerate() {
        let mut counts = [0_u64; 7];
        let mut sum = 0.0;
        let mut at = now - Span::from_hours(240);
        let mut noise = 7 + number as u64;
        while at <= now + Span::from_mins(40) {
            let slow = if job == "checkout" && now - at < Span::from_hours(8) { 3.0 } else { 1.0 };
            for _ in 0..PER_SCRAPE {
                // Numerical Recipes' generator: plain, and the same everywhere.
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let uniform = ((noise >> 33) as f64 + 0.5) / (1_u64 << 31) as f64;
                let took = -uniform.ln() * 0.06 * slow;
                sum += took;
                for (count, bound) in counts.iter_mut().zip(buckets) {
                    *count += u64::from(took <= bound);
                }
                counts[6] += 1;
            }
            let labels = format!("job=\"{job}\",instance=\"{job}-0\"");
            let name = "http_server_request_duration_seconds";
            let at_secs = at.as_millis() / 1000;
            for (count, bound) in counts.iter().zip(buckets) {
                writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {count} {at_secs}")
                    .unwrap();
            }
            let all = counts[6];
            writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {all} {at_secs}").unwrap();
            writeln!(text, "{name}_count{{{labels}}} {all} {at_secs}").unwrap();
            writeln!(text, "{name}_sum{{{labels}}} {sum} {at_secs}").unwrap();
            at = at + scrape;
        }
    }
    text + "# EOF\n"
}

/// The reader: a folder, and what differs between the tutorial's machine and this one.
struct Reader {
    folder: tempfile::TempDir,
    backend: String,
    hook: String,
    api: String,
    daemon: Option<Child>,
}

impl Reader {
    fn here(&self, text: &str) -> String {
        text.replace(BACKEND, &self.backend).replace(API, &self.api).replace(HOOK, &self.hook)
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("grayflag.toml")
    }

    /// Types a command; the daemon goes on in a terminal of its own.
    fn types(&mut self, command: &str) -> Option<Output> {
        let program = Path::new(env!("CARGO_BIN_EXE_grayflag")).parent().unwrap();
        let path = std::env::var_os("PATH").unwrap();
        let folders = std::iter::once(program.to_owned()).chain(std::env::split_paths(&path));
        let path = std::env::join_paths(folders).unwrap();
        let mut shell = Command::new("sh");
        // The daemon is the process itself, so that it can be stopped.
        let command = if command == "grayflag run" { "exec grayflag run" } else { command };
        shell.args(["-c", &self.here(command)]).current_dir(self.folder.path()).env("PATH", path);
        shell.stdin(Stdio::null()).env("NO_PROXY", "*");
        if command.ends_with("grayflag run") {
            let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
            self.daemon = Some(shell.stderr(log).spawn().unwrap());
            return None;
        }
        Some(shell.output().unwrap())
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_tutorial_works() {
    let now = clock::now().floor_to(Span::from_mins(2));
    let prometheus = Prometheus::start_with_openmetrics(&metrics(now)).await;
    let hooks = Hooks::start().await;
    let hook = hooks.config().split('"').find(|part| part.starts_with("http")).unwrap().to_owned();
    let mut reader = Reader {
        folder: tempfile::tempdir().unwrap(),
        backend: prometheus.url.clone(),
        hook,
        api: format!("127.0.0.1:{}", common::free_port()),
        daemon: None,
    };
    let steps = steps(&repository("docs/tutorial.md"));
    assert!(14 <= steps.len(), "{steps:#?}");
    for step in steps {
        match step {
            Step::Add(text) => {
                let config = std::fs::read_to_string(reader.config()).unwrap();
                let api = format!("[http]\nlisten = \"{}\"\n", reader.api);
                assert!(!config.contains("\n[http]"), "it has an address of its own: {config}");
                std::fs::write(reader.config(), format!("{config}\n{api}\n{}", reader.here(&text)))
                    .unwrap();
            }
            Step::Type(command) => {
                let mut output = None;
                // The daemon takes a moment, and says so by its exit status.
                let waits = command.starts_with("grayflag healthy");
                let done = poll(SOON, || {
                    output = reader.types(&command);
                    output.as_ref().is_none_or(|output| output.status.success()) || !waits
                })
                .await;
                let Some(Output { status, stdout, stderr }) = output else { continue };
                let stdout = String::from_utf8(stdout).unwrap();
                let stderr = String::from_utf8(stderr).unwrap();
                assert!(done && status.success(), "{command}: {status}\n{stdout}\n{stderr}");
                let says = match command.split(' ').nth(1).unwrap() {
                    "demo" if command.contains("--list") => "resource-leak",
                    "demo" => "In the end it named",
                    "discover" => "http",
                    "coverage" => "payments",
                    "replay" => "checkout latency",
                    "send-test" => "taken",
                    _ => "",
                };
                assert!(stdout.contains(says), "{command} does not say {says}: {stdout}\n{stderr}");
            }
        }
    }
    assert!(hooks.bodies().iter().any(|body| body.contains("Test")), "{:?}", hooks.bodies());
}
