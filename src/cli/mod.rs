//! The command line: arguments in, an exit status out. Data goes to standard output, everything
//! else to standard error.

pub mod check;
pub mod check_backend;
pub mod coverage;
pub mod demo;
pub mod discover;
mod failure;
pub mod feedback;
mod logging;
pub mod progress;
pub mod replay;
pub mod run;
pub mod test;
mod unread;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::config::{self, Config, Machine};
use crate::source::Prometheus;

pub use failure::Failure;

use crate::notify::text::Style;
use demo::{DemoArgs, DemoError};
use progress::Progress;
use unread::Unread;

/// Sees the weak signals before an incident, names the probable cause, and hands over the next
/// steps.
///
/// grayflag runs next to a Prometheus-compatible backend and reads it; it never writes to it.
/// Try `grayflag demo` first: it needs nothing else.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch a backend and send alerts, until stopped
    #[command(after_long_help = RUN_HELP)]
    Run {
        #[command(flatten)]
        config: ConfigPath,
        #[command(flatten)]
        args: run::RunArgs,
    },
    /// Show the whole product on a simulated fleet; needs no backend
    Demo(DemoArgs),
    /// Say everything that is wrong with a configuration and its rules
    Check {
        #[command(flatten)]
        config: ConfigPath,
        /// Ask the backend every query too, and say which fail or return nothing
        #[arg(long)]
        backend: bool,
    },
    /// Run the past through the same engine and print the alerts it would have given
    #[command(after_long_help = REPLAY_HELP)]
    Replay {
        #[command(flatten)]
        config: ConfigPath,
        #[command(flatten)]
        args: replay::ReplayArgs,
    },
    /// Look at a backend: which packs of signals fit, and a configuration to start from
    #[command(after_long_help = DISCOVER_HELP)]
    Discover {
        #[command(flatten)]
        config: ConfigPath,
        #[command(flatten)]
        args: discover::DiscoverArgs,
    },
    /// Say what would be seen of each service, and what would not
    #[command(after_long_help = COVERAGE_HELP)]
    Coverage {
        #[command(flatten)]
        config: ConfigPath,
        #[command(flatten)]
        args: coverage::CoverageArgs,
    },
    /// List the incidents that the daemon has told
    Incidents {
        #[command(flatten)]
        config: ConfigPath,
        #[command(flatten)]
        args: feedback::IncidentsArgs,
    },
    /// Say what an incident was worth, and what it was
    #[command(after_long_help = FEEDBACK_HELP)]
    Feedback {
        #[command(flatten)]
        config: ConfigPath,
        #[command(flatten)]
        args: feedback::FeedbackArgs,
    },
    /// Run rule tests: written series through the same engine, and the alerts that must come
    #[command(after_long_help = TEST_HELP)]
    Test(test::TestArgs),
    /// Print the documented default configuration
    Config(ConfigArgs),
}

const RUN_HELP: &str = "\
Examples:
  grayflag run --config grayflag.toml
  grayflag run --config grayflag.toml --rehearse 2026-03-01T00:00:00Z --to 2026-03-02T00:00:00Z

A rehearsal lives through the past as if it were now, as fast as the backend answers: same
store, same receivers, same messages. Stop with Ctrl-C or SIGTERM; the next start goes on where
this one stopped.

Exit status: 0 stopped, 2 could not start.";

const REPLAY_HELP: &str = "\
Examples:
  grayflag replay --from 2026-03-01T00:00:00Z --to 2026-03-08T00:00:00Z
  grayflag replay --from 1772323200 --to 1772928000 --format jsonl --output alerts.jsonl
  grayflag replay --from … --to … --scores scores.csv

Learns from the history before --from (poll.history), gives no alerts for it, then gives what
`grayflag run` would have given from --from to --to. Touches neither store nor receivers.

Exit status: 0 done, 2 could not be done.";

const DISCOVER_HELP: &str = "\
Examples:
  grayflag discover --url http://127.0.0.1:9090
  grayflag discover --url http://127.0.0.1:9090 --write .

Asks the backend for the metrics that the built-in packs need, tries the queries of those that it
has, and says why the others do not fit. With --write, it leaves a grayflag.toml and the packs
that fit, signals without data behind `#`; no file that is there is touched. Without --url, the
source of the configuration is asked: headers, tokens and certificates are taken from there.

Exit status: 0 done, 2 could not be done.";

const COVERAGE_HELP: &str = "\
Examples:
  grayflag coverage
  grayflag coverage --service checkout
  grayflag coverage --format html > coverage.html

Asks every signal's query now, a day and a week ago. A role of a service is bound (a signal gives
it), silent (it had data in the last week and has none now) or missing; then come the questions
of the review that nothing would answer, the causes that nothing would show, and packs that would
add what is missing.

Exit status: 0 done, 2 could not be done.";

const FEEDBACK_HELP: &str = "\
Examples:
  grayflag feedback checkout-20260301T0212Z-4f1a useful --cause slow-dependency
  grayflag feedback checkout-20260301T0212Z-4f1a false --note \"the backup runs every Sunday\"

Works while the daemon runs, which hears it with its next tick. A confirmed cause makes later
naming better; `useful` keeps thresholds from rising; `expected` takes the levels of an open
incident as normal; what was `false` or `expected` twice stays a notice until it is louder or
reaches users.

Exit status: 0 written, 2 could not be written.";
const TEST_HELP: &str = "\
Examples:
  grayflag test rules/tests/slow-dependency.toml
  grayflag test rules/tests
  grayflag test rules/tests --only 'before users notice' --explain

docs/rules.md, \"Testing rules\", says how tests are written.

Exit status: 0 all passed, 1 a test failed, 2 could not be done.";

#[derive(Debug, Args)]
struct ConfigPath {
    /// The configuration file
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "GRAYFLAG_CONFIG",
        default_value = "grayflag.toml"
    )]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// Print every option with its explanation and default
    #[arg(long, required = true)]
    default: bool,
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return Failure::could_not("cannot set up TLS: another provider is installed").report();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(problem) => {
            return Failure::could_not(format!("cannot start threads: {problem}")).report();
        }
    };
    let done = runtime.block_on(async {
        let stop = stop_on_signals();
        match cli.command {
            Command::Run { config, args } => run::run(load(&config.config)?, args, stop).await,
            Command::Demo(args) => demo(&args, &stop).await,
            Command::Check { config, backend } => check(&config.config, backend).await,
            Command::Replay { config, args } => {
                replay::run(load(&config.config)?, args, stop).await
            }
            Command::Discover { config, args } => {
                let source = match args.backend() {
                    Some(source) => source,
                    None => load(&config.config)?.source,
                };
                discover::run(source, args, &mut io::stdout()).await
            }
            Command::Coverage { config, args } => {
                coverage::run(load(&config.config)?, args, &mut io::stdout()).await
            }
            Command::Incidents { config, args } => {
                feedback::list(&load(&config.config)?, &args, &mut io::stdout())
            }
            Command::Feedback { config, args } => {
                feedback::give(&load(&config.config)?, args, &mut io::stdout())
            }
            Command::Test(args) => tokio::task::spawn_blocking(move || test::run(&args, &stop))
                .await
                .unwrap_or_else(|problem| Err(Failure::of(problem))),
            Command::Config(ConfigArgs { default: _ }) => {
                io::stdout().write_all(config::default_text().as_bytes()).map_err(Failure::from)
            }
        }
    });
    // A blocked thread (a name that does not resolve) must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn demo(args: &DemoArgs, stop: &CancellationToken) -> Result<(), Failure> {
    let mut out = io::stdout();
    let style = Style { colour: out.is_terminal() };
    // Without a terminal it tells its phases plainly: two minutes of silence look like a fault.
    let mut progress =
        if io::stderr().is_terminal() { Progress::bars() } else { Progress::lines(io::stderr()) };
    match demo::run(args, &mut out, style, &mut progress, stop).await {
        Ok(_) => Ok(()),
        Err(DemoError::Write(error)) => Err(Failure::from(error)),
        Err(other) => Err(Failure::of(other)),
    }
}

async fn check(path: &Path, backend: bool) -> Result<(), Failure> {
    let colour = io::stdout().is_terminal();
    let mut out = Unread::new(io::stdout());
    let verdict =
        check::check(path, &Machine, &mut out, colour).map_err(|problem| match problem {
            check::CheckError::Write(problem) => Failure::from(problem),
            problem @ check::CheckError::Config(_) => Failure::of(problem),
        })?;
    if verdict.exit_status() != 0 {
        return Err(Failure::silent(verdict.exit_status()));
    }
    if !backend {
        return Ok(());
    }
    let config = load(path)?;
    let source = Prometheus::new(config.source.clone()).map_err(Failure::of)?;
    // One question first: a backend that is away is one problem and not forty.
    let now = clock::now() - config.poll.settle;
    source.query("1", now).await.map_err(Failure::of)?;
    match check_backend::check(&config, &source, now, &mut out).await? {
        0 => Ok(()),
        _ => Err(Failure::silent(1)),
    }
}

/// The configuration, or every problem of it on standard error.
fn load(path: &Path) -> Result<Config, Failure> {
    let loaded = config::load(path, &Machine).map_err(Failure::of)?;
    if !loaded.problems.is_empty() {
        let mut err = io::stderr().lock();
        let text = loaded.problems.render(err.is_terminal());
        err.write_all(text.as_bytes()).map_err(Failure::from)?;
    }
    loaded.config.ok_or_else(|| {
        Failure::could_not(format!("{}: {}", path.display(), loaded.problems.summary()))
    })
}

/// Cancelled by Ctrl-C or SIGTERM; a second one ends the program at once.
fn stop_on_signals() -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
        let mut wait = async || {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        };
        wait().await;
        token.cancel();
        wait().await;
        #[expect(clippy::exit, reason = "the user asked twice")]
        std::process::exit(130);
    });
    stop
}
