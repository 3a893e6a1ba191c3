//! `grayflag discover`: what a backend has, and a configuration to start from.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Failure;
use super::progress::Progress;
use crate::clock;
use crate::discover::{Found, PackFound, discover, write};
use crate::notify::view::clean;
use crate::problem::count;
use crate::rules::{instead_of_percentile, packs};
use crate::source::{self, Prometheus};

/// Options of `grayflag discover`.
#[derive(Debug, Args)]
pub struct DiscoverArgs {
    /// Address of the backend; without it, that of the configuration
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Write grayflag.toml and the packs that fit into this folder
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
    /// How to print what was found
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// Misfits told by name.
const MISFITS_MAX: usize = 60;
/// Services told by name.
const SERVICES_MAX: usize = 20;

impl DiscoverArgs {
    /// The backend to look at, in place of the configuration's.
    pub(super) fn backend(&self) -> Option<source::Config> {
        self.url.as_deref().map(source::Config::new)
    }
}

/// Looks at a backend and says what was found.
///
/// # Errors
///
/// When the backend cannot be asked, or something cannot be written.
pub async fn run(
    config: source::Config,
    args: DiscoverArgs,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    let source = Prometheus::new(config).map_err(Failure::of)?;
    let mut progress = Progress::quiet();
    progress.begin("trying packs", packs().count() as u64);
    let found = discover(&source, clock::now(), |done| progress.reach(done)).await;
    progress.end();
    let found = found.map_err(Failure::of)?;
    // Before anything is printed: whoever reads may stop early (`| head`), and wants the files.
    // What was found is printed even where they cannot be written.
    let written = args.write.as_ref().map_or_else(|| Ok(Vec::new()), |to| write(&found, to));
    let mut err = io::stderr();
    for path in written.iter().flatten() {
        writeln!(err, "wrote {}", path.display())?;
    }
    match args.format {
        Format::Json => {
            serde_json::to_writer(&mut *out, &found).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        Format::Text => text(&found, out)?,
    }
    written.map(|_| ()).map_err(Failure::of)
}

fn text(found: &Found, out: &mut dyn Write) -> io::Result<()> {
    let fit: Vec<&PackFound> = found.packs.iter().filter(|pack| pack.fits).collect();
    writeln!(out, "{} at {}\n", found.backend, found.at)?;
    writeln!(out, "Packs that fit")?;
    if fit.is_empty() {
        writeln!(
            out,
            "  none: no pack knows these metrics; docs/rules.md says how to bind your own"
        )?;
    }
    for pack in &fit {
        fitting(pack, out)?;
    }
    writeln!(out, "\nPacks that do not fit")?;
    for pack in found.packs.iter().filter(|pack| !pack.fits).take(MISFITS_MAX) {
        writeln!(out, "  {:<20} {}", pack.name, why_not(pack))?;
    }
    writeln!(out, "\n{}", count(found.services.len(), "service"))?;
    for (service, packs) in found.services.iter().take(SERVICES_MAX) {
        let packs: Vec<&str> = packs.iter().map(String::as_str).collect();
        writeln!(out, "  {:<20} {}", clean(service), packs.join(", "))?;
    }
    if found.services.len() > SERVICES_MAX {
        writeln!(out, "  and {} more", found.services.len() - SERVICES_MAX)?;
    }
    writeln!(out, "\nChanges")?;
    for marker in &found.markers {
        writeln!(out, "  {}", marker.about)?;
    }
    if found.markers.is_empty() {
        writeln!(out, "  no metric tells of deploys: post them from CI to /api/v1/changes")?;
    }
    let topology = found.topology.as_deref().unwrap_or(
        "no metric tells who calls whom: write `depends_on` of your services, or collect service-graph metrics",
    );
    writeln!(out, "\nCalls between services\n  {topology}")
}

/// A pack that fits: what of it has data, and what of it is missing.
fn fitting(pack: &PackFound, out: &mut dyn Write) -> io::Result<()> {
    let live = pack.signals.iter().filter(|signal| signal.rows.is_some_and(|rows| 0 < rows));
    let (live, all) = (live.count(), pack.signals.len());
    writeln!(out, "  {:<20} {live} of {} have data", pack.name, count(all, "signal"))?;
    for signal in &pack.signals {
        let what = if let Some(problem) = &signal.problem {
            format!("refused: {}", clean(problem))
        } else if !signal.instead.is_empty() {
            let kinds = signal.instead.values().copied().collect();
            let signals: Vec<&str> = signal.instead.keys().map(String::as_str).collect();
            let what = instead_of_percentile(&kinds);
            format!("{what}: there are no buckets (see {})", signals.join(", "))
        } else if !signal.missing.is_empty() {
            format!("needs {}", signal.missing.join(", "))
        } else if signal.rows == Some(0) {
            "no rows now".to_owned()
        } else if signal.nameless > 0 {
            format!("{} without the label that names the service", count(signal.nameless, "row"))
        } else {
            continue;
        };
        writeln!(out, "    {:<24} {what}", signal.name)?;
    }
    Ok(())
}

/// What stands in the way of a pack: the first of the metrics that it lacks, as the pack's author
/// puts the most important signal first.
fn why_not(pack: &PackFound) -> String {
    let mut missing: Vec<&str> = Vec::new();
    for name in pack.signals.iter().flat_map(|signal| &signal.missing) {
        if !missing.contains(&name.as_str()) {
            missing.push(name);
        }
    }
    match missing.as_slice() {
        [] => "its metrics are there, but no query has rows now".to_owned(),
        [one] => format!("no {one}"),
        [first, rest @ ..] => format!("no {first} and {} more", rest.len()),
    }
}
