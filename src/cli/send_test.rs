//! `grayflag send-test`: a labelled sample through a real receiver, without daemon and store.

use std::io::Write;

use clap::{Args, ValueEnum};

use super::Failure;
use crate::clock;
use crate::config::Config;
use crate::engine::alert::{Alert, State};
use crate::engine::chart::Chart;
use crate::notify::digest::Digest;
use crate::notify::error::{NotifyError, Retry};
use crate::notify::receiver::{Content, Envelope, Receipt, ReceiverConfig, Target};
use crate::notify::sample;
use crate::notify::view::clean;
use crate::problem::{did_you_mean, quoted};
use crate::time::Timestamp;

/// Options of `grayflag send-test`.
#[derive(Debug, Args)]
pub struct SendTestArgs {
    /// Name of the receiver, as the configuration has it
    receiver: String,
    /// What to send; a pager is told the end too unless told otherwise
    #[arg(long, value_enum)]
    state: Option<Sample>,
}

/// What can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sample {
    /// An incident begins
    Firing,
    /// It changes: users are affected
    Updated,
    /// It is over
    Resolved,
    /// The news of a week
    Digest,
    /// Each of them, in this order
    All,
}

/// One message of the sample.
enum Piece {
    Alert(Box<Alert>),
    Digest(Box<Digest>),
}

/// Sends the sample to every target of a receiver and says what each answered.
///
/// # Errors
///
/// A receiver that does not exist, cannot be set up, or did not take the sample.
pub async fn run(config: &Config, args: &SendTestArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let receiver = find(config, &args.receiver)?;
    let now = clock::now();
    let pieces = pieces(receiver, args.state, now)?;
    let chart = sample::chart_at(now);
    let mut refused = Vec::new();
    for target in receiver.open(&config.templates).map_err(Failure::of)? {
        refused.extend(send(&target, &pieces, &chart, out).await?);
    }
    match refused.as_slice() {
        [] => Ok(()),
        [one] => Err(Failure::could_not(one)),
        [first, others @ ..] => {
            Err(Failure::could_not(format!("{first}\nand {} more, see above", others.len())))
        }
    }
}

fn find<'c>(config: &'c Config, name: &str) -> Result<&'c ReceiverConfig, Failure> {
    config.receivers.iter().find(|receiver| receiver.name == name).ok_or_else(|| {
        let known = config.receivers.iter().map(|receiver| receiver.name.as_str());
        let hint = did_you_mean(name, known, "receivers")
            .unwrap_or_else(|| "the configuration has no [[receiver]]".to_owned());
        Failure::could_not(format!("no receiver is called {}\nhint: {hint}", quoted(name)))
    })
}

/// What is sent, in order.
fn pieces(
    receiver: &ReceiverConfig,
    wanted: Option<Sample>,
    now: Timestamp,
) -> Result<Vec<Piece>, Failure> {
    let keeps_open = receiver.kind.keeps_open();
    if keeps_open && wanted == Some(Sample::Digest) {
        return Err(Failure::could_not(format!(
            "{} opens incidents, and a digest is none\nhint: leave `--state` out",
            quoted(&receiver.name)
        )));
    }
    let is_sent = |state: State| match (wanted, state) {
        (Some(Sample::All), _)
        | (None | Some(Sample::Firing), State::Firing)
        | (Some(Sample::Updated), State::Updated)
        | (Some(Sample::Resolved), State::Resolved) => true,
        // Nobody should have to close by hand what a test opened.
        (None, State::Resolved) => keeps_open,
        _ => false,
    };
    let alerts = sample::alerts_at(now).into_iter().filter(|alert| is_sent(alert.state));
    // None lies in the future: what is told now was decided now.
    let alerts = alerts.map(|alert| Alert { at: now, ..alert });
    let mut pieces: Vec<Piece> = alerts.map(|alert| Piece::Alert(Box::new(alert))).collect();
    let digest = matches!(wanted, Some(Sample::Digest | Sample::All)) && !keeps_open;
    pieces.extend(digest.then(|| Piece::Digest(Box::new(sample::digest_at(now)))));
    Ok(pieces)
}

/// Sends the pieces to one target; returns what it refused. After a refusal the rest would fail
/// in the same way.
async fn send(
    target: &Target,
    pieces: &[Piece],
    chart: &Chart,
    out: &mut dyn Write,
) -> Result<Option<String>, Failure> {
    let name = target.name();
    let (mut first, mut handle): (Option<String>, Option<String>) = (None, None);
    for piece in pieces {
        let (what, id, json) = match piece {
            Piece::Alert(alert) => (alert.state.name(), alert.id(), alert.to_json()),
            Piece::Digest(digest) => ("digest", format!("test-{}", digest.id()), digest.to_json()),
        };
        let key = format!("{id}/{name}");
        let content = match piece {
            Piece::Alert(alert) => Content::Alert(alert, Some(chart)),
            Piece::Digest(digest) => Content::Digest(digest),
        };
        let is_alert = matches!(piece, Piece::Alert(_));
        let envelope = Envelope {
            content,
            json: &json,
            key: &key,
            first: first.as_deref().filter(|_| is_alert).unwrap_or(&key),
            handle: handle.as_deref().filter(|_| is_alert),
            now: clock::now(),
        };
        match target.send(envelope).await {
            Ok(receipt) => {
                writeln!(out, "{}: {what} taken{}", clean(name), remark(&receipt))?;
                handle = receipt.handle.or(handle);
                first.get_or_insert(key);
            }
            Err(error) => {
                let told = format!("{}: {what} not taken: {error}", clean(name));
                writeln!(out, "{told}")?;
                return Ok(Some(format!("{told}\nhint: {}", remedy(&error))));
            }
        }
    }
    Ok(None)
}

fn remark(receipt: &Receipt) -> String {
    receipt.failure.as_ref().map_or_else(String::new, |failure| {
        format!(", but it could not be laid out: {}", clean(failure))
    })
}

fn remedy(error: &NotifyError) -> &'static str {
    match (error.class().name(), error.retry()) {
        ("timeout" | "network", _) => "is the address right, and can it be reached from here?",
        ("tls", _) => {
            "does `ca_file` hold who issued the server's certificate, and is it for this name?"
        }
        ("auth", _) => "see the user, password or token of this receiver",
        ("message", _) => "the message could not be put together: see its templates",
        ("busy" | "server", _) => "the receiver is not well; `grayflag run` would try again",
        (_, Retry::Never) => "the receiver refuses this: see its address, recipient and rights",
        _ => "`grayflag run` would try again",
    }
}
