//! The command line: arguments in, an exit status out. Data goes to standard output, everything
//! else to standard error.

pub mod check;
pub mod check_backend;
pub mod coverage;
pub mod demo;
pub mod digest;
pub mod discover;
mod failure;
pub mod feedback;
mod generated;
pub mod healthy;
mod instant;
mod logging;
pub mod outbox;
pub mod progress;
pub mod replay;
pub mod retro;
pub mod routes;
pub mod run;
pub mod send_test;
pub mod silence;
mod table;
mod templates;
pub mod test;
mod truths;
pub mod tune;
mod unread;

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, Fingerprint, Machine};

pub use failure::Failure;

use crate::notify::text::Style;
use demo::{DemoArgs, DemoError};
use progress::Progress;

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
    #[command(after_long_help = check::HELP)]
    Check {
        #[command(flatten)]
        config: ConfigPath,
        #[command(flatten)]
        args: check::CheckArgs,
    },
    /// Run the past through the same engine and print the alerts it would have given
    #[command(after_long_help = replay::HELP)]
    Replay {
        #[command(flatten)]
        config: ConfigPath,
        #[command(flatten)]
        args: replay::ReplayArgs,
    },
    /// Try changes of the rules on the past, and say what each would gain and cost
    #[command(after_long_help = tune::HELP)]
    Tune {
        #[command(flatten)]
        config: ConfigPath,
        #[command(flatten)]
        args: tune::TuneArgs,
    },
    /// Review an incident: what was known, when, by which signal, and what was missing
    #[command(after_long_help = retro::HELP)]
    Retro {
        #[command(flatten)]
        config: ConfigPath,
        #[command(flatten)]
        args: retro::RetroArgs,
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
    /// Say that somebody looks after an incident
    #[command(after_long_help = ACKNOWLEDGE_HELP)]
    Acknowledge {
        #[command(flatten)]
        config: ConfigPath,
        #[command(flatten)]
        args: feedback::AcknowledgeArgs,
    },
    /// Say what an incident was worth, and what it was
    #[command(after_long_help = FEEDBACK_HELP)]
    Feedback {
        #[command(flatten)]
        config: ConfigPath,
        #[command(flatten)]
        args: feedback::FeedbackArgs,
    },
    /// Print what a digest would say now
    #[command(after_long_help = DIGEST_HELP)]
    Digest {
        #[command(flatten)]
        config: ConfigPath,
        #[command(flatten)]
        args: digest::DigestArgs,
    },
    /// Send a labelled sample to a receiver, and say what it answered
    #[command(after_long_help = SEND_TEST_HELP)]
    SendTest {
        #[command(flatten)]
        config: ConfigPath,
        #[command(flatten)]
        args: send_test::SendTestArgs,
    },
    /// Ask the running daemon whether it is well: for health checks of containers
    Healthy {
        #[command(flatten)]
        config: ConfigPath,
        #[command(flatten)]
        args: healthy::HealthyArgs,
    },
    /// List messages that have not arrived; retry or drop them
    #[command(after_long_help = OUTBOX_HELP)]
    Outbox {
        #[command(flatten)]
        config: ConfigPath,
        #[command(flatten)]
        args: outbox::OutboxArgs,
    },
    /// Keep alerts that match from everybody for a while
    #[command(after_long_help = SILENCE_HELP)]
    Silence {
        #[command(flatten)]
        config: ConfigPath,
        #[command(subcommand)]
        command: silence::SilenceCommand,
    },
    /// Show who would get an alert, and why
    Routes {
        #[command(flatten)]
        config: ConfigPath,
        #[command(subcommand)]
        command: RoutesCommand,
    },
    /// Run rule tests: written series through the same engine, and the alerts that must come
    #[command(after_long_help = test::HELP)]
    Test(test::TestArgs),
    /// Print the documented default configuration, or write the templates of messages
    Config(ConfigArgs),
    /// Print the JSON schema of a kind of file, for editors
    #[command(after_long_help = generated::SCHEMA_HELP)]
    Schema(generated::SchemaArgs),
    /// Print the completions of a shell
    #[command(after_long_help = generated::COMPLETIONS_HELP)]
    Completions(generated::CompletionsArgs),
}

const RUN_HELP: &str = "\
Examples:
  grayflag run --config grayflag.toml
  grayflag run --config grayflag.toml --rehearse 2026-03-01T00:00:00Z --to 2026-03-02T00:00:00Z

A rehearsal lives through the past as if it were now, as fast as the backend answers: same
store, same receivers, same messages. Stop with Ctrl-C or SIGTERM; the next start goes on where
this one stopped.

Exit status: 0 stopped, 2 could not start.";

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

const ACKNOWLEDGE_HELP: &str = "\
Examples:
  grayflag acknowledge checkout-20260301T0212Z-4f1a
  grayflag acknowledge checkout-20260301T0212Z-4f1a --by oncall

Works while the daemon runs, which tells PagerDuty and Opsgenie within 10 s, where they were told
of the incident, so that they call nobody else. The first word counts.

Exit status: 0 written, or acknowledged before, 2 could not be written.";

const DIGEST_HELP: &str = "\
Examples:
  grayflag digest
  grayflag digest --weekly --format json
  grayflag digest --at 2026-03-02T08:00:00Z --format html > digest.html

Reads the state file, whether the daemon runs or not, and sends nothing. Counts of what is watched
and what is silent are those of the last hour.

Exit status: 0 printed, 2 could not be done.";

const SEND_TEST_HELP: &str = "\
Examples:
  grayflag send-test oncall
  grayflag send-test chat --state all

Needs neither the daemon nor its state. Every message says \"Test\" and belongs to an incident of
its own, `test-…`. Receivers that keep an incident open are told its end at once.

Exit status: 0 taken by every target, 2 refused by one or not reached.";
const OUTBOX_HELP: &str = "\
Examples:
  grayflag outbox
  grayflag outbox --state dead --receiver oncall
  grayflag outbox --format json --state done --limit 1000
  grayflag outbox retry checkout-20260301T0212Z-4f1a/firing/1772331120/oncall
  grayflag outbox retry --all --receiver oncall
  grayflag outbox drop checkout-20260301T0212Z-4f1a/firing/1772331120/oncall

A message is pending while it is on its way, held while a silence, quiet hours or maintenance keep
it back, done once the receiver has it, and dead once it was given up: refused for good, or not
taken for a day. One that was superseded was held until something newer took its place.

Works while the daemon runs, which looks within 10 s; without one, what is retried goes out with
the next start.

Exit status: 0 done, 2 could not be done.";

const SILENCE_HELP: &str = "\
Examples:
  grayflag silence add --service checkout --for 2h --comment \"load test\"
  grayflag silence add --owner 'payments-*' --severity notice --until 2026-03-02T08:00:00Z --comment …
  grayflag silence list
  grayflag silence end 3

Works while the daemon runs: what it decides from now on and matches waits until the silence ends,
and what is over by then is never sent. Everything silenced is on the pages and in the digest;
`resolved` always goes to those who were told.

Exit status: 0 done, 2 could not be done.";

const ROUTES_HELP: &str = "\
Examples:
  grayflag routes test --severity critical --service checkout
  grayflag routes test --cause hot-tenant --label tenant=acme --at 2026-03-01T23:10:00Z
  grayflag routes test --incident checkout-20260301T0212Z-4f1a
  grayflag replay … --format jsonl | grayflag routes test -

Says for every route whether it matches and why not, who gets the alert now, what waits for quiet
hours, silences or maintenance and until when, and who would get `resolved`. Sends nothing.

Exit status: 0 done, 2 could not be done.";

#[derive(Debug, Args)]
struct ConfigPath {
    /// The configuration file
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "GRAYFLAG_CONFIG",
        global = true,
        default_value = "grayflag.toml"
    )]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum RoutesCommand {
    /// Say where an alert would go: one from the options, from the state file, or as JSON
    #[command(after_long_help = ROUTES_HELP)]
    Test(Box<routes::RoutesArgs>),
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// Print every option with its explanation and default
    #[arg(long, required_unless_present = "templates")]
    default: bool,
    /// Write the templates that lay messages out into a folder; files that are there stay
    #[arg(long, value_name = "DIR", conflicts_with = "default")]
    templates: Option<PathBuf>,
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
            Command::Run { config, args } => run::run(config.config, args, stop).await,
            Command::Demo(args) => demo(&args, &stop).await,
            Command::Check { config, args } => check::run(&config.config, &args).await,
            Command::Replay { config, args } => {
                replay::run(load(&config.config)?, args, stop).await
            }
            Command::Tune { config, args } => tune::run(load(&config.config)?, args, stop).await,
            Command::Retro { config, args } => {
                retro::run(load(&config.config)?, args, stop, &mut io::stdout()).await
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
            Command::Acknowledge { config, args } => {
                feedback::acknowledge(&load(&config.config)?, args, &mut io::stdout())
            }
            Command::Digest { config, args } => {
                digest::run(&load(&config.config)?, &args, &mut io::stdout())
            }
            Command::SendTest { config, args } => {
                send_test::run(&load(&config.config)?, &args, &mut io::stdout()).await
            }
            Command::Healthy { config, args } => healthy::run(&load(&config.config)?, &args).await,
            Command::Outbox { config, args } => {
                outbox::outbox(&load(&config.config)?, args, &mut io::stdout())
            }
            Command::Silence { config, command } => {
                silence::run(&load(&config.config)?, command, &mut io::stdout())
            }
            Command::Routes { config, command: RoutesCommand::Test(args) } => {
                routes::test(&load(&config.config)?, &args, &mut io::stdout())
            }
            Command::Test(args) => test::run(args, stop).await,
            Command::Config(args) => config_text(&args),
            Command::Schema(args) => generated::schema(&args, &mut io::stdout()),
            Command::Completions(args) => generated::completions(&args, &mut io::stdout()),
        }
    });
    // A blocked thread (a name that does not resolve) must not hold up the end.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn config_text(args: &ConfigArgs) -> Result<(), Failure> {
    match &args.templates {
        Some(folder) => templates::write(folder, &mut io::stderr()),
        None => io::stdout().write_all(config::default_text().as_bytes()).map_err(Failure::from),
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

/// The configuration, or every problem of it on standard error.
fn load(path: &Path) -> Result<Config, Failure> {
    load_recorded(path).map(|(config, _)| config)
}

/// The same, and what it was read from.
fn load_recorded(path: &Path) -> Result<(Config, Fingerprint), Failure> {
    let loaded = config::load(path, &Machine).map_err(Failure::of)?;
    if !loaded.problems.is_empty() {
        let mut err = io::stderr().lock();
        let text = loaded.problems.render(err.is_terminal());
        err.write_all(text.as_bytes()).map_err(Failure::from)?;
    }
    let config = loaded.config.ok_or_else(|| {
        Failure::could_not(format!("{}: {}", path.display(), loaded.problems.summary()))
    })?;
    Ok((config, loaded.read))
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
