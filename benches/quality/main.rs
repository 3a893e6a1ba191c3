//! Every figure of docs/quality.md, from fixed seeds.
//!
//! `cargo bench --bench quality` runs all sections, `cargo bench --bench quality -- budget delay`
//! some. `--tuning` uses other seeds: constants are chosen on those, and judged on the rest.
//! `--data DIR` names a folder with real data sets; without it they are left out, and said to be.
//! `--fleets 20` simulates so many fleets, or single services. `--looks FILE` writes, a line of JSON each, what evidence
//! was seen under which cause, and what was told: likelihoods are estimated from it, with
//! `--tuning`. `--only ID,ID` then lives through these faults alone, or measures the budget on these
//! sets alone, and `--first 15` begins with another tuning seed.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed benchmark")]
#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::print_stderr, reason = "progress of a run of minutes")]
#![expect(clippy::disallowed_methods, reason = "it tells how long a section took")]

mod breakdown;
mod budget;
mod calm;
mod causes;
mod delay;
mod feed;
mod fleet;
mod incidents;
mod joint;
mod known;
mod picture;
mod real;
mod report;
mod rivals;
mod robustness;
mod sets;
mod stream;
mod work;

use std::path::PathBuf;
use std::time::Instant;

/// What the command line asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Sections to run; all when empty.
    sections: Vec<String>,
    /// First seed: judging seeds begin at 1001, tuning seeds at 1.
    pub(crate) seed: u64,
    /// Print only: figures from tuning seeds judge nothing.
    pub(crate) tuning: bool,
    /// Where real data sets are.
    pub(crate) data: Option<PathBuf>,
    /// How many fleets to simulate instead of a section's own number.
    pub(crate) fleets: Option<u64>,
    /// Where to write what evidence was seen under which cause, for estimating likelihoods.
    pub(crate) looks: Option<PathBuf>,
    /// With tuning seeds: the faults to live through, or the sets of the budget; all when empty.
    pub(crate) only: Vec<String>,
}

impl Options {
    /// Whether a fault or a set of this name is asked for.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

/// Measures a section and publishes it.
type Section = fn(&Options);

fn options() -> Options {
    let mut sections = Vec::new();
    let (mut tuning, mut data, mut fleets) = (false, None, None);
    let (mut looks, mut only, mut first) = (None, Vec::new(), 1);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--bench" => {}
            "--tuning" => tuning = true,
            "--fleets" => fleets = arguments.next().and_then(|n| n.parse().ok()),
            "--looks" => looks = arguments.next().map(PathBuf::from),
            "--only" => {
                only = arguments.next().unwrap().split(',').map(str::to_owned).collect();
            }
            "--first" => first = arguments.next().unwrap().parse().unwrap(),
            "--data" => data = arguments.next().map(PathBuf::from),
            _ => sections.push(argument),
        }
    }
    assert!(tuning || (only.is_empty() && first == 1), "judging takes all faults of all seeds");
    let seed = if tuning { first } else { 1_001 };
    Options { sections, seed, tuning, data, fleets, looks, only }
}

fn main() {
    let options = options();
    let wanted = |name: &str| {
        options.sections.is_empty() || options.sections.iter().any(|section| section == name)
    };
    let sections: [(&str, Section); 8] = [
        ("budget", budget::run),
        ("delay", delay::run),
        ("joint", joint::run),
        ("incidents", incidents::run),
        ("causes", causes::run),
        ("breakdown", breakdown::run),
        ("known", known::run),
        ("robustness", robustness::run),
    ];
    for (name, run) in sections {
        if wanted(name) {
            let started = Instant::now();
            run(&options);
            eprintln!("{name}: {:.0} s", started.elapsed().as_secs_f64());
        }
    }
}
