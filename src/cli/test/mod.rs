//! `grayflag test`: rule tests, each with all its seeds.

use std::io::{self, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use clap::Args;
use regex::Regex;
use tokio_util::sync::CancellationToken;

use super::Failure;
use super::progress::Progress;
use super::unread::Unread;
use crate::config::{Machine, World};
use crate::notify::view::clean;
use crate::problem::{Problems, count};
use crate::rule_test::{Miss, Seen, Suite, Test, judge, load, run as run_seed, timeline};

mod junit;

/// What `--help` says after the options.
pub(super) const HELP: &str = "\
Examples:
  grayflag test rules/tests/slow-dependency.toml
  grayflag test rules/tests
  grayflag test rules/tests --run 'before users notice' --explain
  grayflag test rules/tests --junit results.xml

docs/rules.md, \"Testing rules\", says how tests are written.

Exit status: 0 all passed, 1 a test failed, 2 could not be done.";

/// Seeds of one test whose misses are printed; the others are counted.
const SEEDS_SHOWN: usize = 3;

/// Options of `grayflag test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Files of tests; of a folder, every `.toml` file in it
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Only tests whose names this regular expression finds; plain words are one
    #[arg(long, value_name = "PATTERN", alias = "only")]
    run: Option<Regex>,
    /// Print what the engine saw of each service over time, and what it held back
    #[arg(long)]
    explain: bool,
    /// Write the results as JUnit XML too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
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

/// A test with what came of its seeds.
struct Ran<'t> {
    suite: &'t Suite,
    test: &'t Test,
    seeds: Vec<Judged>,
}

impl Ran<'_> {
    /// The seeds that came out as they should not.
    fn bad(&self) -> impl Iterator<Item = &Judged> {
        self.seeds.iter().filter(|judged| !judged.misses.is_empty())
    }

    fn good(&self) -> usize {
        self.seeds.len() - self.bad().count()
    }

    fn passed(&self) -> bool {
        self.test.must_pass <= self.good() as u64
    }
}

/// Runs the tests and prints a line for each, on threads that may block.
///
/// # Errors
///
/// Status 1 when a test fails; 2 when files cannot be read, have mistakes or hold no test of that
/// name, when results cannot be written, or when stopped before the end.
pub async fn run(args: TestArgs, stop: CancellationToken) -> Result<(), Failure> {
    tokio::task::spawn_blocking(move || run_all(&args, &stop))
        .await
        .unwrap_or_else(|problem| Err(Failure::of(problem)))
}

fn run_all(args: &TestArgs, stop: &CancellationToken) -> Result<(), Failure> {
    let suites = suites(&args.files)?;
    let wanted = |test: &Test| args.run.as_ref().is_none_or(|run| run.is_match(&test.name));
    let tests: Vec<(&Suite, &Test)> = suites
        .iter()
        .flat_map(|suite| suite.tests.iter().map(move |test| (suite, test)))
        .filter(|(_, test)| wanted(test))
        .collect();
    if tests.is_empty() {
        let run = args.run.as_ref().map(Regex::as_str).unwrap_or_default();
        return Err(Failure::could_not(format!("no test has a name with `{run}` in it")));
    }
    let cases: Vec<Case<'_>> = tests
        .iter()
        .flat_map(|&(_, test)| (1..=test.seeds).map(move |seed| Case { test, seed }))
        .collect();
    let judged = all(&cases, args.explain, stop).ok_or_else(|| {
        Failure::could_not("stopped before the end; what was finished is not told")
    })?;
    let mut judged = judged.into_iter();
    let ran: Vec<Ran<'_>> = tests
        .into_iter()
        .map(|(suite, test)| {
            let seeds = usize::try_from(test.seeds).unwrap_or(usize::MAX);
            Ran { suite, test, seeds: judged.by_ref().take(seeds).collect() }
        })
        .collect();
    if let Some(path) = &args.junit {
        let text = junit::junit(&ran).map_err(Failure::of)?;
        std::fs::write(path, text).map_err(|problem| {
            Failure::could_not(format!("cannot write `{}`: {problem}", path.display()))
        })?;
    }
    let pen = Pen { colour: io::stdout().is_terminal() };
    let mut out = Unread::new(io::stdout().lock());
    for one in &ran {
        report(&mut out, one, args.explain, pen)?;
    }
    let failed = ran.iter().filter(|one| !one.passed()).count();
    let verdict = format!("{} passed, {failed} failed", count(ran.len() - failed, "test"));
    writeln!(out, "{}", if failed == 0 { pen.good(&verdict) } else { pen.bad(&verdict) })?;
    if failed == 0 { Ok(()) } else { Err(Failure::silent(1)) }
}

/// Writes with colour, or without.
#[derive(Clone, Copy)]
struct Pen {
    colour: bool,
}

impl Pen {
    fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    fn bad(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
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
fn all(cases: &[Case<'_>], explain: bool, stop: &CancellationToken) -> Option<Vec<Judged>> {
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
                    let seen = run_seed(test, *seed, explain);
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

/// Prints one test.
fn report(out: &mut impl Write, ran: &Ran<'_>, explain: bool, pen: Pen) -> io::Result<()> {
    let (seeds, good, passed) = (ran.seeds.len(), ran.good(), ran.passed());
    let Test { name, line, must_pass, .. } = ran.test;
    let (file, name) = (&ran.suite.file, clean(name));
    let verdict = if passed { pen.good("pass") } else { pen.bad("FAIL") };
    write!(out, "{verdict}  {file}:{line}  {name}")?;
    if seeds > 1 && good == seeds {
        write!(out, " ({good} seeds)")?;
    } else if seeds > 1 {
        write!(out, " ({good} of {seeds} seeds, {must_pass} must pass)")?;
    }
    writeln!(out)?;
    let bad: Vec<&Judged> = ran.bad().collect();
    let shown = match (passed, explain) {
        (_, true) => bad.len(),
        (true, false) => 0,
        (false, false) => bad.len().min(SEEDS_SHOWN),
    };
    for line in misses(&bad[..shown], seeds) {
        writeln!(out, "      {line}")?;
    }
    if !passed && shown < bad.len() {
        writeln!(out, "      and {} more", count(bad.len() - shown, "seed"))?;
    }
    if explain {
        for judged in &ran.seeds {
            if seeds > 1 {
                writeln!(out, "      seed {}", judged.seen.seed)?;
            }
            for line in timeline(&judged.seen, ran.test.alerts_from()) {
                writeln!(out, "      {}", pen.faint(&line))?;
            }
        }
    }
    Ok(())
}

/// What these seeds of a test missed and how near they were, a line each; where it has several,
/// with the seed.
fn misses(bad: &[&Judged], seeds: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for Judged { seen, misses } in bad {
        let seed = if seeds > 1 { format!("seed {}: ", seen.seed) } else { String::new() };
        for Miss { what, near } in misses {
            lines.push(clean(&format!("{seed}{what}")));
            lines.extend(near.iter().map(|line| format!("  {}", clean(line))));
        }
    }
    lines
}
