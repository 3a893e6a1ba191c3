//! One replay from its first tick to its last, for whoever wants to look on.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::cli::Failure;
use crate::cli::progress::Progress;
use crate::clock;
use crate::config::{Config, Machine, World as _};
use crate::daemon::settings;
use crate::engine::archive::MemoryArchive;
use crate::problem::count;
use crate::replay::{Driver, Ticked};
use crate::scorecard::{Record, Truth, Watch};
use crate::source::{Cache, CacheUse, Prometheus};
use crate::time::{Span, Timestamp};

/// Where downloads are kept between replays.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct CacheArgs {
    /// Keep downloads in this folder [default: grayflag/replay in $XDG_CACHE_HOME or ~/.cache]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    pub(in crate::cli) cache: Option<PathBuf>,
    /// Keep no downloads, and use none
    #[arg(long)]
    pub(in crate::cli) no_cache: bool,
}

impl CacheArgs {
    /// The backend of a configuration, with what is kept of it.
    pub(in crate::cli) fn source(&self, config: &Config) -> Result<Prometheus, Failure> {
        let source = Prometheus::new(config.source.clone()).map_err(Failure::of)?;
        Ok(match self.folder() {
            Some(folder) => {
                source.with_cache(Cache::open(&folder, clock::now()).map_err(Failure::of)?)
            }
            None => source,
        })
    }

    /// Where the platform says that caches are; a user without a home keeps nothing.
    fn folder(&self) -> Option<PathBuf> {
        if self.no_cache {
            return None;
        }
        if self.cache.is_some() {
            return self.cache.clone();
        }
        let absolute = |name| Machine.variable(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let home = || absolute("HOME").map(|home| home.join(".cache"));
        let base = absolute("XDG_CACHE_HOME").or_else(home)?;
        Some(base.join("grayflag").join("replay"))
    }
}

/// The range that is replayed: up to what live has seen, as what is newer may still come in.
/// Refuses one that cannot be replayed.
pub(in crate::cli) fn settled_range(
    config: &Config,
    from: Timestamp,
    to: Timestamp,
) -> Result<(Timestamp, Timestamp), Failure> {
    let now = clock::now();
    let settled = now - config.poll.settle;
    if to < from {
        return Err(Failure::could_not(format!(
            "cannot replay from {from} to {to}: that is backwards"
        )));
    }
    if now < to {
        return Err(Failure::could_not(format!(
            "cannot replay to {to}: it is {now} now\nhint: `grayflag run` watches what is to come"
        )));
    }
    if settled < from {
        return Err(Failure::could_not(format!(
            "cannot replay from {from}: nothing has settled since, it is {now} now"
        )));
    }
    Ok((from, to.min(settled)))
}

/// What came of a replay.
pub(in crate::cli) struct Replayed {
    /// What it told, condensed.
    pub(in crate::cli) record: Record,
    /// What the user should know of it, each once.
    pub(in crate::cli) warnings: Vec<String>,
}

/// What is replayed.
pub(in crate::cli) struct Past<'a> {
    /// The rules and how they are run.
    pub(in crate::cli) config: &'a Config,
    /// Where the data comes from.
    pub(in crate::cli) source: &'a Prometheus,
    /// First and last instant that may alert.
    pub(in crate::cli) range: (Timestamp, Timestamp),
    /// What really happened.
    pub(in crate::cli) truths: &'a [Truth],
    /// Ends it early.
    pub(in crate::cli) stop: &'a CancellationToken,
}

impl Past<'_> {
    /// Replays; `each` sees every tick that may alert.
    pub(in crate::cli) async fn replay(
        &self,
        progress: &mut Progress,
        mut each: impl FnMut(&Ticked<'_>) -> Result<(), Failure>,
    ) -> Result<Replayed, Failure> {
        let Self { config, source, range: (from, to), truths, stop } = *self;
        let rules = Arc::new(config.rules.clone());
        let archive = Box::<MemoryArchive>::default();
        let mut driver = Driver::new(rules, settings(config, from), archive);
        driver.outside().annotations(&config.annotations).map_err(Failure::of)?;
        let mut watch = Watch::new(truths.to_vec(), (from, to));
        let first = driver.next_tick();
        let mut learns = true;
        progress.begin("learning", seconds(from - first));
        let mut shown = Ok(());
        let read = driver
            .advance(source, to, |ticked| {
                if ticked.learning {
                    progress.reach(seconds(ticked.at - first));
                } else {
                    if std::mem::take(&mut learns) {
                        progress.begin("replaying", seconds(to - from));
                    }
                    progress.reach(seconds(ticked.at - from));
                    watch.take(ticked.at, &ticked.outcome, ticked.engine);
                    shown = each(&ticked);
                }
                shown.is_ok() && !stop.is_cancelled()
            })
            .await;
        progress.end();
        shown?;
        read.map_err(Failure::of)?;
        if stop.is_cancelled() {
            return Err(Failure::could_not(
                "stopped before the end; what was printed is incomplete",
            ));
        }
        let mut warnings: Vec<String> =
            driver.warnings().iter().chain(driver.news()).cloned().collect();
        warnings.extend(source.cache().map(|cache| told(cache.used())).unwrap_or_default());
        if driver.engine().is_blank() {
            warnings.push(
                "no signal returned a single series in this range\nhint: `grayflag check` looks at the rules; try one of their queries in the backend"
                    .to_owned(),
            );
        }
        Ok(Replayed { record: watch.finish(driver.engine()), warnings })
    }
}

/// What of a cache a user should know.
fn told(used: CacheUse) -> Vec<String> {
    let mut told = Vec::new();
    if used.away {
        told.push("the backend is away: what was kept of it is used as it was".to_owned());
    }
    if used.changed > 0 {
        let what = count(usize::try_from(used.changed).unwrap_or(usize::MAX), "kept answer");
        told.push(format!("{what} no longer agreed with the backend, and are downloaded anew"));
    }
    if used.damaged > 0 {
        let what = count(usize::try_from(used.damaged).unwrap_or(usize::MAX), "kept answer");
        told.push(format!("{what} were damaged, and are downloaded anew"));
    }
    if used.full {
        told.push("some downloads could not be kept: is the disk full?".to_owned());
    }
    told
}

fn seconds(span: Span) -> u64 {
    u64::try_from(span.as_secs()).unwrap_or(0)
}
