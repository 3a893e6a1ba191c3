//! A file of rule tests: parsed, then validated, with the rule files that it names.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::bind::{Bound, Unbound, bind};
use super::notation::{Malformed, values, values_len};
use super::{Expectation, Suite, Test, Written, last};
use crate::config::{Context, HISTORY_MAX, HISTORY_MIN, World};
use crate::config::{interval, rule_files_named, services, timezone};
use crate::engine::alert::Severity;
use crate::engine::grid::BLOCK;
use crate::problem::{Document, Problems, SourceFile, Table, Trace, did_you_mean, quoted};
use crate::rules::{RuleSet, Rules};
use crate::selector::series_name;
use crate::series::{Change, ChangeKind};
use crate::time::{Span, Timestamp};

/// More seeds than this say nothing more.
pub const SEEDS_MAX: i64 = 1_000;
/// More series than this are no test any more but a load.
pub const SERIES_MAX: usize = 1_000;
/// Values of all series of one test together: 80 MB for each seed that runs at a time.
pub const VALUES_MAX: usize = 10_000_000;
/// More tests than this in one file are refused.
const TESTS_MAX: usize = 1_000;
/// More changes than this in one test are refused.
const CHANGES_MAX: usize = 1_000;
const STEP_DEFAULT: Span = Span::MINUTE;
const WARM_UP_DEFAULT: Span = Span::WEEK.times(3);

/// What came of reading a file of tests.
#[derive(Debug)]
#[must_use = "problems that nobody reads help nobody"]
pub struct Loaded {
    /// The tests, if no problem is an error.
    pub suite: Option<Suite>,
    /// Everything that is wrong with the file and with the rules that it names.
    pub problems: Problems,
}

/// Why a file of tests could not even be looked at.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the tests `{}`", path.display())]
pub struct ReadError {
    path: PathBuf,
    source: io::Error,
}

/// What all tests of a file share.
struct Common {
    start: Option<Timestamp>,
    step: Span,
    timezone: TimeZone,
    rules: Arc<Rules>,
    /// False where rules are missing or wrong: what they do not hold may exist.
    complete: bool,
}

/// Reads a file of tests and the rule files that it names.
///
/// # Errors
///
/// Only if the file itself cannot be read; what is wrong inside is among the problems.
pub fn load(path: &Path, world: &dyn World) -> Result<Loaded, ReadError> {
    let bytes = world.read(path).map_err(|source| ReadError { path: path.to_owned(), source })?;
    let mut problems = Problems::default();
    let file = match SourceFile::from_bytes(path, bytes) {
        Ok(file) => file,
        Err(problem) => {
            problems.push(*problem);
            return Ok(Loaded { suite: None, problems });
        }
    };
    let context = Context::beside(path, world);
    let document = Document::parse(&file);
    let tests = read(&document, &context, &mut problems);
    problems.extend(document.finish());
    let suite = Suite { file: path.display().to_string(), tests };
    Ok(Loaded { suite: Some(suite).filter(|_| !problems.has_errors()), problems })
}

/// The keys that a file of tests can have, as far as `file` has the tables that they stand in.
pub fn keys(file: &SourceFile, world: &dyn World) -> Trace {
    let document = Document::traced(file);
    let _ = read(&document, &Context::beside(&file.path, world), &mut Problems::default());
    document.keys()
}

fn read(document: &Document<'_>, context: &Context<'_>, problems: &mut Problems) -> Vec<Test> {
    let root = document.root();
    let rules = rule_files_named(&root, "rules", context);
    let (set, rule_problems) = crate::rules::load(&rules.files);
    // Where a file is missing, what would be in it may exist.
    let complete = !rule_problems.has_errors() && !rules.files.is_empty() && !document.has_errors();
    problems.extend(rules.problems);
    problems.extend(rule_problems);
    if !root.has("rules") {
        let problem = root.error(0..0, "missing key `rules` at the top level");
        let hint = "name the rules under test: `rules = [\"../signals/*.toml\", \"builtin\"]`";
        root.report(problem.hint(hint).of_absence());
    }
    let RuleSet { signals, causes, changes, .. } = set;
    let common = Common {
        start: root.required("start", start),
        step: interval(&root, "step").unwrap_or(STEP_DEFAULT),
        timezone: timezone(&root).unwrap_or(TimeZone::UTC),
        rules: Arc::new(Rules {
            signals,
            causes,
            changes,
            services: services(&root),
            ..Rules::default()
        }),
        complete,
    };
    let tests = tests(&root, &common);
    root.finish();
    tests
}

/// An instant on the grid of blocks.
fn start(table: &Table<'_>, key: &'static str) -> Option<Timestamp> {
    let text = table.filled(key)?;
    match text.value.parse::<Timestamp>() {
        Err(error) => table.wrong(key, &text.at, &error.to_string()),
        Ok(start) if start.floor_to(BLOCK) != start => {
            let hint = format!("blocks begin every {BLOCK}, so values must");
            table.wrong_hint(key, &text.at, &format!("must lie on a multiple of {BLOCK}"), &hint);
        }
        Ok(start) => return Some(start),
    }
    None
}

fn tests(root: &Table<'_>, common: &Common) -> Vec<Test> {
    let tables = root.tables("test");
    if !root.has("test") {
        let problem = root.error(0..0, "there is no [[test]] in this file");
        root.report(problem.hint("write at least one `[[test]]` with its series").of_absence());
    }
    if tables.len() > TESTS_MAX {
        root.wrong("test", &root.at_value("test"), &format!("more than {TESTS_MAX} tests"));
    }
    let mut names = BTreeSet::new();
    let tables = tables.into_iter().take(TESTS_MAX);
    tables.filter_map(|table| test(table, common, &mut names)).collect()
}

fn test(mut table: Table<'_>, common: &Common, names: &mut BTreeSet<String>) -> Option<Test> {
    let name = table.required("name", Table::filled);
    if let Some(name) = &name {
        table.rename(format!("test {}", quoted(name.value)));
        if !names.insert(name.value.to_owned()) {
            table.wrong("name", &name.at, "another test of this file has the same");
        }
    }
    let t = &table;
    let warm_up = warm_up(t).unwrap_or(WARM_UP_DEFAULT);
    let timezone = timezone(t).unwrap_or_else(|| common.timezone.clone());
    let seeds = t.integer("seeds", 1..=SEEDS_MAX).map_or(1, |at| at.value.unsigned_abs());
    let must_pass = must_pass(t, seeds).unwrap_or(seeds);
    let series = all_series(t, common);
    let bound = bound(t, common, &series);
    let changes = changes(t, common.start.unwrap_or_default() + warm_up);
    let longest = series.iter().map(|series| values_len(&series.items)).max();
    let judged = Judged {
        services: bound.services(),
        span: longest.map(|longest| last(longest, common.step) + warm_up.times(-1)),
    };
    if judged.span.is_some_and(|span| span <= Span::ZERO) {
        let message = format!("no series goes on after the warm-up {}", t.whereabouts());
        let hint = format!("the warm-up takes {warm_up}, and only what comes later is judged");
        t.report(t.error(t.at(), message).hint(hint));
    }
    let expectations = t.tables("expect").into_iter();
    let expectations = expectations.filter_map(|one| expectation(one, common, &judged)).collect();
    let line = t.document().place(t.at()).line;
    table.finish();
    Some(Test {
        name: name?.value.to_owned(),
        line,
        rules: Arc::clone(&common.rules),
        start: common.start?,
        step: common.step,
        warm_up,
        timezone,
        seeds,
        must_pass,
        changes,
        series,
        bound,
        expectations,
    })
}

/// What of a test can be expected to be told.
struct Judged<'t> {
    services: BTreeSet<&'t str>,
    /// From the end of the warm-up to the last value; none where no series could be read.
    span: Option<Span>,
}

fn warm_up(table: &Table<'_>) -> Option<Span> {
    let warm_up = table.span_within("warm_up", HISTORY_MIN..=HISTORY_MAX)?;
    if warm_up.value.as_millis() % BLOCK.as_millis() != 0 {
        table.wrong("warm_up", &warm_up.at, &format!("must be a multiple of {BLOCK}"));
        return None;
    }
    Some(warm_up.value)
}

/// How many seeds must pass, from the share under `pass`.
fn must_pass(table: &Table<'_>, seeds: u64) -> Option<u64> {
    let share = table.number("pass")?;
    if !(0.0 < share.value && share.value <= 1.0) {
        let hint = "it is the share of the seeds that must pass: `0.9`";
        table.wrong_hint("pass", &share.at, "must be more than 0 and at most 1", hint);
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most as large as the number of seeds"
    )]
    Some((share.value * seeds as f64 - 1e-9).ceil() as u64)
}

fn all_series(table: &Table<'_>, common: &Common) -> Vec<Written> {
    let tables = table.tables("series");
    if !table.has("series") {
        let message = format!("no [[test.series]] {}", table.whereabouts());
        table.report(table.error(table.at(), message).of_absence());
    }
    if tables.len() > SERIES_MAX {
        let what = format!("more than {SERIES_MAX} series");
        table.wrong("series", &table.at_value("series"), &what);
    }
    let mut all = Vec::new();
    let mut total = 0_usize;
    for one in tables.into_iter().take(SERIES_MAX) {
        if let Some(written) = series(&one, common.step) {
            total = total.saturating_add(values_len(&written.items));
            if total > VALUES_MAX {
                let what = format!("the series have more than {VALUES_MAX} values together");
                let hint = "use a longer `step`, or split the test";
                one.wrong_hint("values", &one.at_value("values"), &what, hint);
                total = 0;
            } else {
                all.push(written);
            }
        }
        one.finish();
    }
    all
}

fn series(table: &Table<'_>, step: Span) -> Option<Written> {
    let text = table.required("series", Table::filled);
    let named = text.as_ref().and_then(|text| match series_name(text.value) {
        Ok(named) => Some(named),
        Err(error) => {
            let at = table.part(text, error.at..error.at + 1);
            let hint = "write `metric{service=\"checkout\"}`, or `signal:NAME{service=\"checkout\"}` for the results of a query";
            table.wrong_hint("series", &at, &error.to_string(), hint);
            None
        }
    });
    let items =
        table.required("values", Table::filled).and_then(|text| match values(text.value, step) {
            Ok(items) => Some(items),
            Err(Malformed { at, message }) => {
                table.wrong("values", &table.part(&text, at), &message);
                None
            }
        });
    let (text, (name, labels)) = (text?, named?);
    Some(Written { text: text.value.to_owned(), name, labels, items: items?, at: text.at })
}

/// What the series mean, or why some mean nothing.
fn bound(table: &Table<'_>, common: &Common, series: &[Written]) -> Bound {
    match bind(&common.rules.signals, series) {
        Ok(bound) => bound,
        Err(_) if !common.complete => Bound::default(),
        Err(problems) => {
            for Unbound { written, message, hint } in problems {
                let Written { at, text, .. } = &series[written];
                let message = format!("{} {}: {message}", quoted(text), table.whereabouts());
                table.report(table.error(at.clone(), message).hint(hint));
            }
            Bound::default()
        }
    }
}

fn changes(table: &Table<'_>, origin: Timestamp) -> Vec<Change> {
    let tables = table.tables("change");
    if tables.len() > CHANGES_MAX {
        let what = format!("more than {CHANGES_MAX} changes");
        table.wrong("change", &table.at_value("change"), &what);
    }
    let kinds = ChangeKind::ALL.map(|kind| (kind.name(), kind));
    let mut changes: Vec<Change> = tables
        .into_iter()
        .take(CHANGES_MAX)
        .filter_map(|one| {
            let kind = one.required("kind", |t, key| t.choice(key, &kinds));
            let service = one.required("service", Table::filled);
            let at = one.required("at", offset);
            let end = if one.has("end") { offset(&one, "end") } else { None };
            one.know(&["end"]);
            let what = one.text("what").map_or("", |what| what.value).to_owned();
            if let (Some(at), Some(end)) = (at, end)
                && end < at
            {
                one.wrong("end", &one.at_value("end"), "lies before `at`");
            }
            one.finish();
            Some(Change {
                at: origin + at?,
                end: end.map(|end| origin + end),
                kind: kind?.value,
                service: service?.value.to_owned(),
                what,
            })
        })
        .collect();
    changes.sort();
    changes
}

/// A length of time after the warm-up, or before its end with a minus.
fn offset(table: &Table<'_>, key: &'static str) -> Option<Span> {
    let text = table.filled(key)?;
    let (sign, length) = text.value.strip_prefix('-').map_or((1, text.value), |rest| (-1, rest));
    let span = length.parse::<Span>();
    if span.is_err() {
        let what =
            format!("expected an offset such as `2h` or `-3d`, found {}", quoted(text.value));
        let hint = "it counts from the end of the warm-up";
        table.wrong_hint(key, &text.at, &what, hint);
    }
    Some(span.ok()?.times(sign))
}

fn expectation(table: Table<'_>, common: &Common, judged: &Judged<'_>) -> Option<Expectation> {
    let t = &table;
    let service = t.required("service", Table::filled);
    if let Some(name) = service.as_ref().filter(|name| !judged.services.contains(name.value))
        && !judged.services.is_empty()
    {
        let known = judged.services.iter().copied();
        let hint = did_you_mean(name.value, known, "services with series");
        let what = format!("no series is of service {}", quoted(name.value));
        t.wrong_hint("service", &name.at, &what, &hint.unwrap_or_default());
    }
    let cause = t.filled("cause");
    let ids = || common.rules.causes.iter().map(|cause| cause.id.as_str());
    if let Some(cause) = &cause
        && common.complete
        && !ids().any(|id| id == cause.value)
    {
        let hint = did_you_mean(cause.value, ids(), "causes in these rules");
        let what = format!("the rules have no cause {}", quoted(cause.value));
        t.wrong_hint("cause", &cause.at, &what, &hint.unwrap_or_default());
    }
    let text = |key| t.filled(key).map(|text| text.value.to_owned());
    let (culprit, value) = (text("culprit"), text("value"));
    let severity = t.choice("severity", &Severity::named()).map(|severity| severity.value);
    let window = t.required("alert", Table::table).and_then(window);
    if let (Some((_, before)), Some(span)) = (window, judged.span)
        && Span::ZERO < span
        && span < before
    {
        let what = format!("{before} after the warm-up no series has values");
        let hint = format!("the longest series ends after {span}");
        t.wrong_hint("alert", &t.at_value("alert"), &what, &hint);
    }
    table.finish();
    let (after, before) = window?;
    Some(Expectation {
        service: service?.value.to_owned(),
        cause: cause.map(|cause| cause.value.to_owned()),
        culprit,
        value,
        severity,
        after,
        before,
    })
}

/// When the first alert must come.
fn window(table: Table<'_>) -> Option<(Span, Span)> {
    let after = if table.has("after") { offset(&table, "after") } else { Some(Span::ZERO) };
    table.know(&["after"]);
    let before = table.required("before", offset);
    if let (Some(after), Some(before)) = (after, before)
        && before <= after
    {
        table.wrong("before", &table.at_value("before"), "must lie later than `after`");
    }
    table.finish();
    after.zip(before)
}
