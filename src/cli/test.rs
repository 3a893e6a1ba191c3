//! `grayflag test`: rule tests, each with all its seeds.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::Failure;
use super::progress::Progress;
use super::unread::Unread;
use crate::config::{Machine, World};
use crate::problem::{Problems, count};
use crate::rule_test::{Miss, Seen, Suite, Test, judge, load, run as run_seed, shares};

/// Seeds of one test whose misses are printed; the others are counted.
const SEEDS_SHOWN: usize = 3;

/// Options of `grayflag test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Files of tests; of a folder, every `.toml` file in it
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Only tests whose names contain this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Print what every seed was told, and when
    #[arg(long)]
    explain: bool,
}

/// One seed of one test.
struct Case<'t> {
    test: &'t Test,
    seed: u64,
}

/// What came of a case.
struct Judged {
    seen: Seen,
    misses: Vec<Miss>,
}

/// Runs the tests and prints a line for each.
///
/// # Errors
///
/// Status 1 when a test fails; 2 when files cannot be read, have mistakes or hold no test of that
/// name, or when stopped before the end.
pub fn run(args: &TestArgs, stop: &CancellationToken) -> Result<(), Failure> {
    let suites = suites(&args.files)?;
    let wanted = |test: &Test| args.only.as_ref().is_none_or(|part| test.name.contains(part));
    let tests: Vec<(&Suite, &Test)> = suites
        .iter()
        .flat_map(|suite| suite.tests.iter().map(move |test| (suite, test)))
        .filter(|(_, test)| wanted(test))
        .collect();
    if tests.is_empty() {
        let only = args.only.as_deref().unwrap_or_default();
        return Err(Failure::could_not(format!("no test has a name with `{only}` in it")));
    }
    let cases: Vec<Case<'_>> = tests
        .iter()
        .flat_map(|&(_, test)| (1..=test.seeds).map(move |seed| Case { test, seed }))
        .collect();
    let judged = all(&cases, stop).ok_or_else(|| {
        Failure::could_not("stopped before the end; what was finished is not told")
    })?;
    let mut judged = judged.into_iter();
    let mut out = Unread::new(io::stdout().lock());
    let mut failed = 0;
    for (suite, test) in &tests {
        let seeds = usize::try_from(test.seeds).unwrap_or(usize::MAX);
        let seeds: Vec<Judged> = judged.by_ref().take(seeds).collect();
        failed += usize::from(!report(&mut out, (suite, test), &seeds, args.explain)?);
    }
    let passed = tests.len() - failed;
    writeln!(out, "{} passed, {failed} failed", count(passed, "test"))?;
    if failed == 0 { Ok(()) } else { Err(Failure::silent(1)) }
}

/// Reads every file; all their mistakes are told at once.
fn suites(paths: &[PathBuf]) -> Result<Vec<Suite>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            files.extend(in_folder(path)?);
        } else {
            files.push(path.clone());
        }
    }
    let mut problems = Problems::default();
    let mut suites = Vec::new();
    for path in &files {
        let loaded = load(path, &Machine).map_err(Failure::of)?;
        problems.extend(loaded.problems);
        suites.extend(loaded.suite);
    }
    if !problems.is_empty() {
        let mut err = io::stderr().lock();
        err.write_all(problems.render(err.is_terminal()).as_bytes())?;
    }
    if problems.has_errors() {
        return Err(Failure::could_not(format!("nothing was tested: {}", problems.summary())));
    }
    Ok(suites)
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let shown = folder.display();
    let mut files = Machine.list(folder).map_err(|error| {
        Failure::could_not(format!("cannot read the folder `{shown}`: {error}"))
    })?;
    files.retain(|path| path.is_file() && path.extension().is_some_and(|end| end == "toml"));
    files.sort();
    if files.is_empty() {
        return Err(Failure::could_not(format!("no `.toml` file is in the folder `{shown}`")));
    }
    Ok(files)
}

/// Runs every case, as many at a time as there are processors; none when it had to stop.
fn all(cases: &[Case<'_>], stop: &CancellationToken) -> Option<Vec<Judged>> {
    let next = AtomicUsize::new(0);
    let mut judged: Vec<Option<Judged>> = cases.iter().map(|_| None).collect();
    let mut progress = Progress::quiet();
    progress.begin("testing", cases.len() as u64);
    let workers = thread::available_parallelism().map_or(1, usize::from).min(cases.len());
    let (done, results) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..workers {
            let done = done.clone();
            let next = &next;
            scope.spawn(move || {
                while !stop.is_cancelled() {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(Case { test, seed }) = cases.get(place) else { return };
                    let seen = run_seed(test, *seed);
                    let misses = judge(test, &seen);
                    // Nobody listens any more only when all is lost anyway.
                    let _ = done.send((place, Judged { seen, misses }));
                }
            });
        }
        drop(done);
        for (finished, (place, result)) in (1..).zip(results) {
            judged[place] = Some(result);
            progress.reach(finished);
        }
    });
    progress.end();
    judged.into_iter().collect()
}

/// Prints one test; true when it passed.
fn report(
    out: &mut impl Write,
    (suite, test): (&Suite, &Test),
    seeds: &[Judged],
    explain: bool,
) -> io::Result<bool> {
    let good = seeds.iter().filter(|judged| judged.misses.is_empty()).count();
    let passed = test.must_pass <= good as u64;
    let Test { name, line, .. } = test;
    let file = &suite.file;
    let verdict = if passed { "pass" } else { "FAIL" };
    write!(out, "{verdict}  {file}:{line}  {name}")?;
    if seeds.len() > 1 && good == seeds.len() {
        write!(out, " ({good} seeds)")?;
    } else if seeds.len() > 1 {
        write!(out, " ({good} of {} seeds, {} must pass)", seeds.len(), test.must_pass)?;
    }
    writeln!(out)?;
    if explain {
        for judged in seeds {
            told(out, test, &judged.seen)?;
        }
    }
    let bad: Vec<&Judged> = seeds.iter().filter(|judged| !judged.misses.is_empty()).collect();
    let shown = match (passed, explain) {
        (_, true) => bad.len(),
        (true, false) => 0,
        (false, false) => SEEDS_SHOWN,
    };
    for Judged { seen, misses } in bad.iter().take(shown) {
        for Miss { what, near } in misses {
            let seed =
                if seeds.len() > 1 { format!("seed {}: ", seen.seed) } else { String::new() };
            writeln!(out, "      {seed}{what}")?;
            for line in near {
                writeln!(out, "        {line}")?;
            }
        }
    }
    if !passed && shown < bad.len() {
        writeln!(out, "      and {} more", count(bad.len() - shown, "seed"))?;
    }
    Ok(passed)
}

/// What one seed was told, and when.
fn told(out: &mut impl Write, test: &Test, seen: &Seen) -> io::Result<()> {
    let seed = seen.seed;
    for alert in &seen.alerts {
        let (at, service) = (alert.at - test.alerts_from(), &alert.service);
        let (state, severity, causes) = (alert.state, alert.severity, shares(alert));
        writeln!(out, "      seed {seed}: +{at} {state} {severity} {service}: {causes}")?;
    }
    for (service, peak) in &seen.peaks {
        let at = peak.at - test.alerts_from();
        let notice = peak.notice;
        writeln!(out, "      seed {seed}: {service} strongest at +{at}: {notice:.2} of a notice")?;
    }
    Ok(())
}
