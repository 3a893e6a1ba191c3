//! `grayflag demo`: one incident on a simulated fleet, from weeks before it until after users
//! notice. Everything but the fleet is the product: grayflag reads it over HTTP, as it reads any
//! backend, and knows nothing else about it.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::SocketAddr;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use tokio_util::sync::CancellationToken;

use crate::daemon::DaemonError;
use crate::lab::{FAULTS, Fault, LabError};
use crate::notify::text::Style;
use crate::replay::AdvanceError;
use crate::source::SourceError;

mod serve;
mod stage;
mod story;
mod told;
mod verdict;
mod watch;

use crate::cli::progress::Progress;

/// Tell one incident on a simulated fleet; no backend needed
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct DemoArgs {
    /// What goes wrong; `--list` shows all
    #[arg(
        long,
        value_name = "CAUSE",
        default_value = "slow-dependency",
        hide_possible_values = true,
        value_parser = fault_parser()
    )]
    pub fault: Fault,
    /// Another seed is another fleet with other noise; the same seed tells the same story
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Print what can go wrong, one per line, and end
    #[arg(long)]
    pub list: bool,
    /// Then show the same days on grayflag's pages, until Ctrl-C
    #[arg(long, conflicts_with = "list")]
    pub serve: bool,
    /// With --serve: where the pages are served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9469", requires = "serve")]
    pub listen: SocketAddr,
}

/// How a demo ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It printed everything.
    Told,
    /// It was stopped before it had anything to tell.
    Stopped,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The rules that the program carries are wrong.
    #[error("cannot use the rules of the simulated fleet: {0}")]
    Rules(String),
    /// The fleet cannot be built.
    #[error("cannot build the simulated fleet")]
    Lab(#[from] LabError),
    /// No socket on the loopback interface.
    #[error("cannot serve the simulated fleet on 127.0.0.1")]
    Listen(#[source] io::Error),
    /// The fleet's endpoint cannot be read.
    #[error("cannot read the simulated fleet")]
    Source(#[from] SourceError),
    /// The watch over it ended early.
    #[error("cannot watch the simulated fleet")]
    Advance(#[from] AdvanceError),
    /// The pages cannot be had there.
    #[error(
        "cannot serve pages on {0}\nhint: `--listen` takes another address, such as 127.0.0.1:9470"
    )]
    Pages(SocketAddr, #[source] io::Error),
    /// The daemon behind the pages ended early.
    #[error("cannot show the pages")]
    Daemon(#[from] DaemonError),
    /// The story cannot be written.
    #[error("cannot write the story")]
    Write(#[source] io::Error),
}

/// Simulates the fleet, watches it through the incident, and writes the story to `out`.
///
/// The story depends on the arguments alone. When `stop` is cancelled it ends soon, without a
/// story.
///
/// # Errors
///
/// When the fleet cannot be built, served or read, or `out` cannot be written to.
pub async fn run(
    args: &DemoArgs,
    out: &mut dyn Write,
    style: Style,
    progress: &mut Progress,
    stop: &CancellationToken,
) -> Result<Ended, DemoError> {
    let mut write = |text: &str| {
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(DemoError::Write)
    };
    if args.list {
        return write(&list()).map(|()| Ended::Told);
    }
    // Better now than after two minutes.
    let address = if args.serve { Some(serve::free(args.listen)?) } else { None };
    let watched = Box::pin(watch::watch(args.fault, args.seed, progress, stop)).await;
    progress.end();
    let Some((told, stage)) = watched? else { return Ok(Ended::Stopped) };
    write(&story::story(&told, style))?;
    if let Some(address) = address {
        Box::pin(serve::serve(&stage, address, &mut write, stop)).await?;
    }
    Ok(Ended::Told)
}

/// Every fault with what it does, one per line.
fn list() -> String {
    let widest = FAULTS.iter().map(|info| info.id.len()).max().unwrap_or(0);
    FAULTS.iter().fold(String::new(), |mut list, info| {
        // Writing to a text cannot fail.
        let _ = writeln!(list, "{:widest$}  {}", info.id, info.about);
        list
    })
}

fn fault_parser() -> impl clap::builder::TypedValueParser<Value = Fault> {
    PossibleValuesParser::new(FAULTS.map(|info| info.id)).try_map(|id| {
        Fault::from_id(&id).ok_or_else(|| io::Error::other("the list of faults is incomplete"))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        demo: DemoArgs,
    }

    #[test]
    fn arguments_have_defaults_and_mistakes_have_remedies() {
        let parse = |args: &[&str]| Cli::try_parse_from([&["demo"], args].concat());
        let listen = ([127, 0, 0, 1], 9469).into();
        let fault = Fault::SlowDependency;
        let defaults = DemoArgs { fault, seed: 1, list: false, serve: false, listen };
        assert_eq!(parse(&[]).unwrap().demo, defaults);
        let other = parse(&["--fault", "queue-backlog", "--seed", "7"]).unwrap().demo;
        assert_eq!((other.fault, other.seed), (Fault::QueueBacklog, 7));
        let said = parse(&["--fault", "queue-backlogs"]).unwrap_err().to_string();
        assert!(said.contains("'queue-backlog'"), "{said}");
    }

    #[test]
    fn the_list_has_a_line_for_every_fault() {
        let list = list();
        assert_eq!(list.lines().count(), FAULTS.len());
        for (line, info) in list.lines().zip(FAULTS) {
            assert!(line.starts_with(info.id) && line.ends_with(info.about), "{line}");
            assert!(line.chars().count() <= 100, "{line}");
        }
    }
}
