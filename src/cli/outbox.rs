//! `grayflag outbox`: what has not arrived, and what becomes of it, beside a running daemon.

use std::io::Write;

use clap::{Args, Subcommand, ValueEnum};
use jiff::tz::TimeZone;

use super::Failure;
use super::table::write_table;
use crate::clock;
use crate::config::Config;
use crate::format;
use crate::notify::receiver::ReceiverConfig;
use crate::notify::view::clean;
use crate::problem::{did_you_mean, quoted};
use crate::store::{ListedMessage, MessageFilter, Store, Which};
use crate::time::Timestamp;

/// Options of `grayflag outbox`.
#[derive(Debug, Args)]
pub struct OutboxArgs {
    #[command(subcommand)]
    deed: Option<Deed>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only these; without it what has not arrived: pending, held and dead
    #[arg(long, value_enum)]
    state: Option<Standing>,
    /// Only those to this receiver: its name, or one address such as oncall/ops@example.com
    #[arg(long, value_name = "NAME")]
    receiver: Option<String>,
    /// How many, newest first
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// A table, or one JSON object a line
    #[arg(long, value_enum, default_value_t = Form::Table)]
    format: Form,
}

#[derive(Debug, Subcommand)]
enum Deed {
    /// Send messages anew that were given up, or one that waits or is held
    Retry {
        #[command(flatten)]
        what: What,
    },
    /// Forget messages that were given up, or one that waits or is held: nobody gets them
    Drop {
        #[command(flatten)]
        what: What,
    },
}

#[derive(Debug, Args)]
struct What {
    /// The message, as `grayflag outbox` shows it
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Option<String>,
    /// Everything that was given up
    #[arg(long)]
    all: bool,
    /// With --all: only to this receiver
    #[arg(long, value_name = "NAME", requires = "all")]
    receiver: Option<String>,
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Standing {
    /// On its way
    Pending,
    /// Kept back by a silence, quiet hours or maintenance
    Held,
    /// Given up
    Dead,
    /// Arrived
    Done,
    /// Never sent, because something newer took its place while it was held
    Superseded,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    Table,
    Json,
}

impl Standing {
    const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Held => "held",
            Self::Dead => "dead",
            Self::Done => "done",
            Self::Superseded => "superseded",
        }
    }
}

/// Does what the arguments say.
///
/// # Errors
///
/// A receiver or a message that does not exist, and a state file that cannot be used.
pub fn outbox(config: &Config, args: OutboxArgs, out: &mut dyn Write) -> Result<(), Failure> {
    if args.deed.is_some() && (args.list.state.is_some() || args.list.receiver.is_some()) {
        let message = "`--state` and `--receiver` before `retry` or `drop` do nothing";
        let hint = "write `--all --receiver NAME` behind it";
        return Err(Failure::could_not(format!("{message}\nhint: {hint}")));
    }
    let mut store = Store::open_beside(&config.store.path).map_err(Failure::of)?;
    match args.deed {
        None => list(config, &store, args.list, out),
        Some(Deed::Retry { what }) => {
            let which = which(config, &store, what)?;
            check_reachable(config, &store, &which)?;
            let count = store.retry(&which, clock::now()).map_err(Failure::of)?;
            writeln!(
                out,
                "{} on the way again; a daemon that runs looks within 10 s, or once the receiver has rested",
                many(count)
            )?;
            Ok(())
        }
        Some(Deed::Drop { what }) => {
            let which = which(config, &store, what)?;
            let count = store.drop_messages(&which).map_err(Failure::of)?;
            writeln!(out, "{} dropped", many(count))?;
            Ok(())
        }
    }
}

fn many(count: usize) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

fn which(config: &Config, store: &Store, what: What) -> Result<Which, Failure> {
    check_receiver(config, store, what.receiver.as_deref())?;
    Ok(what.id.map_or(Which::Dead(what.receiver), Which::One))
}

/// A receiver that neither the configuration nor the outbox knows is a slip of the keyboard.
fn check_receiver(config: &Config, store: &Store, name: Option<&str>) -> Result<(), Failure> {
    let Some(name) = name else { return Ok(()) };
    let configured = known(config);
    let filter = MessageFilter { state: None, receiver: Some(name.to_owned()), limit: 1 };
    let waits = store.messages(&filter, clock::now()).map_err(Failure::of)?;
    if configured.iter().any(|known| known == name) || !waits.is_empty() {
        return Ok(());
    }
    let hint = did_you_mean(name, configured.iter().map(String::as_str), "receivers");
    let hint = hint.unwrap_or_else(|| "no [[receiver]] is configured".to_owned());
    Err(Failure::could_not(format!("no receiver is called {}\nhint: {hint}", quoted(name))))
}

/// Every receiver, and every address of one.
fn known(config: &Config) -> Vec<String> {
    let receivers = config.receivers.iter();
    receivers.flat_map(|r| std::iter::once(r.name.clone()).chain(r.targets())).collect()
}

/// A message to a receiver that is not configured would only be given up again.
fn check_reachable(config: &Config, store: &Store, which: &Which) -> Result<(), Failure> {
    let targets: Vec<String> = config.receivers.iter().flat_map(ReceiverConfig::targets).collect();
    let (state, receiver) = match which {
        Which::One(_) => (None, None),
        Which::Dead(receiver) => (Some(Standing::Dead.name()), receiver.clone()),
    };
    let filter = MessageFilter { state, receiver, limit: u32::MAX };
    let rows = store.messages(&filter, clock::now()).map_err(Failure::of)?;
    let gone = rows
        .iter()
        .filter(|row| !matches!(which, Which::One(id) if row.id != *id))
        .find(|row| !targets.contains(&row.receiver));
    gone.map_or(Ok(()), |row| {
        let name = quoted(&row.receiver);
        let hint = "configure it again, name another with `--receiver`, or drop the message";
        Err(Failure::could_not(format!("the receiver {name} is not configured\nhint: {hint}")))
    })
}

fn list(
    config: &Config,
    store: &Store,
    args: ListArgs,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    check_receiver(config, store, args.receiver.as_deref())?;
    let state = args.state.map(Standing::name);
    let filter = MessageFilter { state, receiver: args.receiver, limit: args.limit };
    let (now, zone) = (clock::now(), &config.poll.timezone);
    let rows = store.messages(&filter, now).map_err(Failure::of)?;
    match args.format {
        Form::Json => {
            for row in &rows {
                writeln!(out, "{}", serde_json::to_string(row).map_err(Failure::of)?)?;
            }
        }
        Form::Table if rows.is_empty() && state.is_none() => {
            writeln!(out, "everything has arrived")?;
        }
        Form::Table if rows.is_empty() => writeln!(out, "no such message")?,
        Form::Table => write_table(HEADS, rows.iter().map(|row| cells(row, now, zone)), out)?,
    }
    Ok(())
}

const HEADS: [&str; 6] = ["STATE", "AGE", "TRIED", "NEXT", "WHY", "MESSAGE"];

fn cells(row: &ListedMessage, now: Timestamp, zone: &TimeZone) -> [String; 6] {
    let next = row
        .next_attempt_at
        .map(|at| if at <= now { "now".to_owned() } else { format::clock(at, now, zone) });
    let held = row.held_by.as_ref().filter(|_| row.state != "done");
    let why = row.last_error.as_ref().or(held).cloned().unwrap_or_default();
    [
        row.state.clone(),
        (now - row.created_at).rough(),
        row.attempts.to_string(),
        next.unwrap_or_default(),
        why,
        row.id.clone(),
    ]
    .map(|cell| if cell.is_empty() { "-".to_owned() } else { clean(&cell) })
}
