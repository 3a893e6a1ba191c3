//! `grayflag digest`: what a digest would say, from the state file beside a running daemon.

use std::io::Write;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::Failure;
use super::instant::instant;
use crate::clock;
use crate::config::Config;
use crate::daemon::digest::{Standing, gather, time_before};
use crate::daemon::settings;
use crate::engine::archive::MemoryArchive;
use crate::notify::digest::{Digest, Every};
use crate::replay::Driver;
use crate::store::Store;
use crate::time::{Span, Timestamp};

/// Options of `grayflag digest`.
#[derive(Debug, Args)]
pub struct DigestArgs {
    /// Of the day before; the default
    #[arg(long, conflicts_with = "weekly")]
    daily: bool,
    /// Of the week before
    #[arg(long)]
    weekly: bool,
    /// The end of its time (RFC 3339 or Unix seconds); now unless told otherwise
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<Timestamp>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
}

/// How a digest is printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// As in a mail
    Text,
    /// As in a web hook
    Json,
    /// As in a mail, laid out
    Html,
}

/// Prints the digest of the time up to an instant.
///
/// # Errors
///
/// A state file that cannot be read, or output that cannot be written.
pub fn run(config: &Config, args: &DigestArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let store = Store::open_beside(&config.store.path).map_err(Failure::of)?;
    let every = if args.weekly { Every::Week } else { Every::Day };
    let to = args.at.unwrap_or_else(clock::now);
    let standing = standing(config, &store, to)?;
    let digest = gather(&store, &standing, every, (begin(config, every, to), to));
    let digest = digest.map_err(Failure::of)?;
    let text = match args.format {
        Form::Json => format!("{}\n", digest.to_json()),
        Form::Text => digest.message(&config.templates).text,
        Form::Html => html(config, &digest)?,
    };
    out.write_all(text.as_bytes()).map_err(Failure::from)
}

/// The beginning of a time that ends at `to`: as the daemon's digest would have it where `to` is
/// such a moment, else a day or a week before.
fn begin(config: &Config, every: Every, to: Timestamp) -> Timestamp {
    let length = match every {
        Every::Day => Span::DAY,
        Every::Week => Span::WEEK,
    };
    let told = time_before(&config.digest, every, to).filter(|(_, end)| *end == to);
    told.map_or(to - length, |(from, _)| from)
}

/// What the newest stored state of the engine knows; nothing where there is none that this version
/// reads. It is an hour old at most.
fn standing(config: &Config, store: &Store, to: Timestamp) -> Result<Standing, Failure> {
    let saved = store.resume().map_err(Failure::of)?.and_then(|resume| resume.snapshot);
    let restored = saved.and_then(|saved| {
        let rules = Arc::new(config.rules.clone());
        // Nothing is learned here, so the weeks are not asked for.
        let archive = Box::<MemoryArchive>::default();
        Driver::restore(rules, settings(config, to), saved.version, &saved.bytes, archive).ok()
    });
    Ok(restored.map_or_else(Standing::default, |driver| Standing::of(driver.engine())))
}

fn html(config: &Config, digest: &Digest) -> Result<String, Failure> {
    digest.laid_out(&config.templates, "digest.html").map_err(|problem| {
        Failure::could_not(format!("cannot lay the digest out: {problem}\nhint: see `digest.html`"))
    })
}
