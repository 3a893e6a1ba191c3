//! `grayflag tune`: which changes of the rules would gain how much lead for how many false alarms.

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use futures_util::{StreamExt as _, stream};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::instant::instant;
use super::progress::Progress;
use super::replay::{CacheArgs, Past, Replayed, settled_range};
use super::table::write_table;
use super::{Failure, truths};
use crate::config::Config;
use crate::problem::{count, did_you_mean, quoted};
use crate::scorecard::{Change, Figures, Gain, Scorecard, Split, Truth, candidates};
use crate::source::Prometheus;
use crate::time::{Span, Timestamp};

/// Replays at a time: each holds weeks of every series in memory.
const PARALLEL_MAX: usize = 4;
/// With fewer incidents than this, a gain may well be luck.
const INCIDENTS_FEW: usize = 10;

/// What `grayflag tune --help` ends with.
pub(super) const HELP: &str = "\
Examples:
  grayflag tune --incidents incidents.toml --from 2026-01-01T00:00:00Z --to 2026-03-01T00:00:00Z
  grayflag tune --incidents incidents.toml --from … --to … --signal http-latency-p99

Replays the range once for each change that may be worth it: a larger or smaller min_effect, more
traffic required, one direction only, without the signal, half or twice a budget. Changes are
chosen by the earlier incidents and judged by the later ones. Prints what each would gain and
cost, and those that are worth it as a diff; changes no file.

Exit status: 0 done, 2 could not be done.";

/// Options of `grayflag tune`.
#[derive(Debug, Args)]
pub struct TuneArgs {
    /// What really happened (incidents.toml)
    #[arg(long, value_name = "FILE")]
    incidents: PathBuf,
    /// First instant that may alert (RFC 3339, Unix seconds or `now`)
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Timestamp,
    /// Last instant; `now` for the newest that has settled
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Timestamp,
    /// Try changes of this signal only
    #[arg(long, value_name = "NAME")]
    signal: Option<String>,
    /// Try at most so many changes
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=500))]
    trials: u16,
    #[command(flatten)]
    cache: CacheArgs,
}

/// One change and what it came to.
struct Trial {
    change: Change,
    earlier: Gain,
    later: Option<Gain>,
}

impl Trial {
    /// Whether it is worth it, as far as can be told.
    fn is_useful(&self) -> bool {
        self.earlier.worth > 0.0 && self.later.is_none_or(|later| later.worth >= 0.0)
    }
}

/// Tries changes and prints what they are worth.
///
/// # Errors
///
/// A range that is none, incidents or a backend that cannot be read, or a stop before the end.
pub async fn run(config: Config, args: TuneArgs, stop: CancellationToken) -> Result<(), Failure> {
    let range = settled_range(&config, args.from, args.to)?;
    if let Some(name) = &args.signal {
        known(&config, name)?;
    }
    let truths = truths::load(&args.incidents, &config.rules)?;
    if !truths.iter().any(|truth| range.0 <= truth.onset && truth.onset <= range.1) {
        let from_to = format!("{} to {}", args.from, args.to);
        return Err(Failure::could_not(format!(
            "cannot tune: no incident of `{}` lies in {from_to}",
            args.incidents.display()
        )));
    }
    let source = Arc::new(args.cache.source(&config)?);
    let bench = Bench { config: Arc::new(config), source, range, truths: truths.into(), stop };
    let mut progress = Progress::quiet();
    let Replayed { record: base, warnings } =
        Box::pin(bench.replay(&bench.config, &mut progress)).await?;
    {
        let mut err = io::stderr().lock();
        for warning in warnings {
            writeln!(err, "warning: {warning}")?;
        }
    }
    if base.services == 0 {
        return Err(Failure::could_not(
            "cannot tune: no service could be judged in this range\nhint: `grayflag check --backend` tries every query",
        ));
    }
    let split = Split::of(&bench.truths, range);
    let changes = {
        let chosen = split.at.map_or_else(|| base.clone(), |at| base.between(args.from, at));
        let card = Scorecard::new(&bench.truths, &chosen);
        candidates(&bench.config.rules, &card, args.signal.as_deref())
    };
    let all = changes.len();
    let changes: Vec<Change> = changes.into_iter().take(usize::from(args.trials)).collect();
    let figures = split.figures(&bench.truths, &base);
    let mut trials = bench.try_all(changes, split, &figures, &mut progress).await?;
    trials.sort_by(|a, b| {
        b.earlier
            .worth
            .total_cmp(&a.earlier.worth)
            .then_with(|| a.change.to_string().cmp(&b.change.to_string()))
    });
    print(&bench, split, &figures, (&trials, all), &mut io::stdout())?;
    Ok(())
}

fn known(config: &Config, name: &str) -> Result<(), Failure> {
    let names = || config.rules.signals.iter().map(|signal| signal.name.as_str());
    if names().any(|known| known == name) {
        return Ok(());
    }
    let hint = did_you_mean(name, names(), "signals").unwrap_or_default();
    Err(Failure::could_not(format!("the rules have no signal {}\nhint: {hint}", quoted(name))))
}

/// What all trials share.
struct Bench {
    config: Arc<Config>,
    source: Arc<Prometheus>,
    range: (Timestamp, Timestamp),
    truths: Arc<[Truth]>,
    stop: CancellationToken,
}

impl Bench {
    async fn replay(&self, config: &Config, progress: &mut Progress) -> Result<Replayed, Failure> {
        let Self { source, range, truths, stop, .. } = self;
        let past = Past { config, source, range: *range, truths, stop };
        past.replay(progress, |_| Ok(())).await
    }

    /// One replay for each change, some at a time.
    async fn try_all(
        &self,
        changes: Vec<Change>,
        split: Split,
        base: &(Figures, Option<Figures>),
        progress: &mut Progress,
    ) -> Result<Vec<Trial>, Failure> {
        let parallel = std::thread::available_parallelism().map_or(1, usize::from);
        progress.begin("trying changes", changes.len() as u64);
        let mut running = stream::iter(changes.into_iter().map(|change| {
            let bench = Self {
                config: Arc::clone(&self.config),
                source: Arc::clone(&self.source),
                range: self.range,
                truths: Arc::clone(&self.truths),
                stop: self.stop.clone(),
            };
            // A thread of its own for each: a replay computes for longer than it waits.
            tokio::task::spawn_blocking(move || {
                let rules = change.apply(&bench.config.rules);
                let config = Config { rules, ..Config::clone(&bench.config) };
                let mut progress = Progress::lines(io::sink());
                let replay = bench.replay(&config, &mut progress);
                Handle::current().block_on(replay).map(|replayed| (change, replayed.record))
            })
        }))
        .buffered(parallel.min(PARALLEL_MAX));
        let mut trials = Vec::new();
        while let Some(done) = running.next().await {
            let (change, record) = done.map_err(Failure::of)??;
            let (earlier, later) = split.figures(&self.truths, &record);
            let held_out = base.1.as_ref().zip(later.as_ref());
            trials.push(Trial {
                change,
                earlier: Gain::of(&base.0, &earlier),
                later: held_out.map(|(base, later)| Gain::of(base, later)),
            });
            progress.reach(trials.len() as u64);
        }
        progress.end();
        Ok(trials)
    }
}

fn print(
    bench: &Bench,
    split: Split,
    (earlier, later): &(Figures, Option<Figures>),
    (trials, all): (&[Trial], usize),
    out: &mut dyn Write,
) -> io::Result<()> {
    let few = earlier.incidents < INCIDENTS_FEW;
    match (split.at, later) {
        (Some(at), Some(later)) => writeln!(
            out,
            "Chosen by {} before {at}, judged by {} since.",
            count(earlier.incidents, "incident"),
            later.incidents
        )?,
        _ => writeln!(
            out,
            "Chosen by {}, judged by none: too few to hold any out. What looks good here may be luck.",
            count(earlier.incidents, "incident")
        )?,
    }
    if few && split.at.is_some() {
        writeln!(out, "So few incidents say little: believe only what gains much in both parts.")?;
    }
    let caught = earlier.incidents - earlier.missed;
    writeln!(
        out,
        "As it is, in the earlier part: {caught} of {} caught, {}, {} in all.\n",
        earlier.incidents,
        count(earlier.false_alerts, "false alert"),
        count(earlier.false_notices, "false incident")
    )?;
    let rows = trials.iter().map(|trial| {
        let [caught, lead, alerts, notices, worth] = cells(&trial.earlier);
        let later = trial.later.as_ref().map(cells);
        let [l_caught, l_lead, l_alerts, l_notices, l_worth] =
            later.unwrap_or_else(|| std::array::from_fn(|_| "-".to_owned()));
        let change = trial.change.to_string();
        [
            change, caught, lead, alerts, notices, worth, l_caught, l_lead, l_alerts, l_notices,
            l_worth,
        ]
    });
    let heads = [
        "CHANGE",
        "CAUGHT",
        "LEAD",
        "FALSE ALERTS",
        "FALSE",
        "WORTH",
        "LATER: CAUGHT",
        "LEAD",
        "FALSE ALERTS",
        "FALSE",
        "WORTH",
    ];
    write_table(heads, rows, out)?;
    if trials.len() < all {
        let more = all - trials.len();
        writeln!(out, "{more} more were not tried; --trials raises the limit")?;
    }
    let useful: Vec<&Trial> = trials.iter().filter(|trial| trial.is_useful()).collect();
    if useful.is_empty() {
        writeln!(out, "\nNo change is worth it.")?;
    }
    for trial in useful {
        writeln!(out, "\n{}", trial.change)?;
        out.write_all(dressed(&trial.change.diff(&bench.config.rules)).as_bytes())?;
    }
    Ok(())
}

/// A diff, in the colours of diffs on a terminal.
fn dressed(diff: &str) -> String {
    if !io::stdout().is_terminal() {
        return diff.to_owned();
    }
    let line = |line: &str| match line.chars().next() {
        Some('-') => format!("\u{1b}[31m{line}\u{1b}[0m\n"),
        Some('+') => format!("\u{1b}[32m{line}\u{1b}[0m\n"),
        _ => format!("{line}\n"),
    };
    diff.lines().map(line).collect()
}

fn cells(gain: &Gain) -> [String; 5] {
    let signed = |value: f64| if value == 0.0 { "0".to_owned() } else { format!("{value:+}") };
    let lead = match gain.lead {
        None => "-".to_owned(),
        Some(lead) if lead > Span::ZERO => format!("+{}", lead.rough()),
        Some(lead) => lead.rough(),
    };
    let worth = format!("{:+.0}", gain.worth);
    [signed(gain.caught), lead, signed(gain.false_alerts), signed(gain.false_notices), worth]
}
