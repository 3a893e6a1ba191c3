//! What is wrong with an answer. Pure: rows in, problems out.

use std::collections::{BTreeMap, BTreeSet};

use super::ask::{Asked, Purpose};
use super::{Answered, Problem};
use crate::problem::{did_you_mean, listed, quoted};
use crate::rules::{Role, Signal, load, metrics, packs};
use crate::series::Labels;
use crate::source::{InstantRow, RangeRow, RangeRows, SourceError};

/// A backend's own words are cut here: some repeat whole queries.
const WORDS_CHARS_MAX: usize = 300;
/// With fewer points there is nothing to say about how values move.
const POINTS_MIN: usize = 20;
/// A series with less of the points than this is mostly missing.
const PRESENT_MIN: f64 = 0.5;
/// An answer that takes longer is too dear for every tick.
const SLOW_MS: u64 = 2_000;
/// So many series of one query are dear to keep.
const SERIES_MANY: usize = 2_000;
/// Something that falls more often in an hour does not fall because it starts anew.
const FALLS_MAX: f64 = 20.0;
/// Bounds further apart than this factor hide what happens between them.
const COARSE: f64 = 2.0;
/// Packs that are named for one signal.
const PACKS_MAX: usize = 3;

/// Counts what is in an answer.
pub(super) fn count(asked: &Asked<'_>, rows: &RangeRows, answered: &mut Answered) {
    let values = |label: &str| -> usize {
        let found = rows.rows.iter().filter_map(|row| row.labels.get(label));
        found.filter(|value| !value.is_empty()).collect::<BTreeSet<_>>().len()
    };
    answered.series = rows.total;
    answered.services = asked.needs.first().map_or(0, |label| values(label));
    if let Purpose::Signal(signal) = asked.purpose {
        answered.peers = signal.peer.as_deref().map_or(0, values);
    }
    answered.points = middle(rows);
}

/// Points of the middle series.
fn middle(rows: &RangeRows) -> usize {
    let mut points: Vec<usize> = rows.rows.iter().map(|row| row.values.len()).collect();
    points.sort_unstable();
    points.get(points.len() / 2).copied().unwrap_or(0)
}

/// What a backend says against a query, in one line.
pub(super) fn refused(error: &SourceError) -> Problem {
    let text = error.to_string();
    let (text, hint) = text.split_once("\nhint: ").map_or((&*text, None), |(t, h)| (t, Some(h)));
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().take(WORDS_CHARS_MAX).map(plain).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    Problem { kind: "refused", useless: true, text: short, hint: hint.map(str::to_owned) }
}

/// Everything that an answer shows by itself, the worst first.
pub(super) fn problems(
    asked: &Asked<'_>,
    rows: &RangeRows,
    (expected, took): (usize, u64),
    names: &BTreeSet<String>,
) -> Vec<Problem> {
    if rows.total == 0 {
        return vec![nothing(asked, names)];
    }
    let mut problems = Vec::new();
    problems.extend(nameless(asked, rows));
    if let Purpose::Signal(signal) = asked.purpose {
        problems.extend(duplicates(signal, rows));
        problems.extend(mostly_missing(rows, expected));
        problems.extend(only_grows(signal, rows));
        problems.extend(flat(signal, rows));
    }
    problems.extend(dear(rows, took));
    problems
}

fn weak(kind: &'static str, text: String, hint: impl Into<String>) -> Problem {
    Problem { kind, useless: false, text, hint: Some(hint.into()) }
}

/// Nothing matches: which metric is not there, which is near, and which pack would fit.
fn nothing(asked: &Asked<'_>, names: &BTreeSet<String>) -> Problem {
    let named = metrics(&asked.query);
    let missing: Vec<&str> =
        named.iter().map(|metric| metric.name.as_str()).filter(|n| !names.contains(*n)).collect();
    if missing.is_empty() || names.is_empty() {
        let text = "matches nothing now".to_owned();
        let hint = "the metrics are there: do the matchers fit, and do both sides of an operator have the same labels?";
        let hint = if names.is_empty() || named.is_empty() {
            "are these metrics scraped, and are they named like this?"
        } else {
            hint
        };
        return empty(text, hint.to_owned());
    }
    let text = format!("matches nothing: the backend has no {}", listed(missing.iter().copied()));
    let near = missing.iter().find_map(|name| {
        did_you_mean(name, names.iter().map(String::as_str), "").filter(|h| h.starts_with("did"))
    });
    let fitting = match asked.purpose {
        Purpose::Signal(signal) => packs_for(signal, names),
        _ => Vec::new(),
    };
    let hint = match (near, fitting.as_slice()) {
        (Some(near), _) => near,
        (None, []) => {
            "is it scraped? `grayflag discover` says which packs fit this backend".to_owned()
        }
        (None, packs) => format!(
            "{} of the program fit this backend: add \"builtin:{}\" to `rules.paths`",
            listed(packs.iter().copied()),
            packs[0]
        ),
    };
    empty(text, hint)
}

fn empty(text: String, hint: String) -> Problem {
    Problem { kind: "nothing", useless: true, text, hint: Some(hint) }
}

/// Packs with a signal of the same role for which the backend has everything.
fn packs_for(signal: &Signal, names: &BTreeSet<String>) -> Vec<&'static str> {
    let fits = |other: &Signal| {
        other.role == signal.role && other.requires.iter().all(|name| names.contains(name))
    };
    let fitting = packs().filter(|pack| load(&[pack.file()]).0.signals.iter().any(fits));
    fitting.map(|pack| pack.name).take(PACKS_MAX).collect()
}

/// Rows without a label that they must have are left out.
fn nameless(asked: &Asked<'_>, rows: &RangeRows) -> Option<Problem> {
    let lacks = |row: &RangeRow, label: &str| row.labels.get(label).is_none_or(String::is_empty);
    let lacking = |label: &&&str| rows.rows.iter().filter(|row| lacks(row, label)).count();
    let label = *asked.needs.iter().max_by_key(lacking)?;
    let without = lacking(&&label);
    if without == 0 {
        return None;
    }
    let all = without == rows.rows.len();
    let text = if all {
        format!("none of the {} series has the label {}", rows.total, quoted(label))
    } else {
        format!(
            "{without} of {} series lack the label {} and are left out",
            rows.rows.len(),
            quoted(label)
        )
    };
    let known: BTreeSet<&str> =
        rows.rows.iter().flat_map(|row| row.labels.keys()).map(String::as_str).collect();
    let known: Vec<&str> = known.into_iter().filter(|name| *name != "__name__").collect();
    let hint = if known.is_empty() {
        format!("keep it: `sum by ({label}, …) (…)`")
    } else {
        format!("labels in the answer: {}; name one of them, or keep it in `by (…)`", listed(known))
    };
    Some(Problem { kind: "no-service", useless: all, text, hint: Some(hint) })
}

/// Rows that are the same series, because they differ only by labels that the signal does not name.
fn duplicates(signal: &Signal, rows: &RangeRows) -> Option<Problem> {
    let named: Vec<&str> = std::iter::once(&signal.service)
        .chain(&signal.peer)
        .chain(&signal.dependency)
        .chain(&signal.split)
        .map(String::as_str)
        .collect();
    let mut by_key: BTreeMap<Vec<Option<&String>>, Vec<&Labels>> = BTreeMap::new();
    for row in &rows.rows {
        let key = named.iter().map(|label| row.labels.get(*label)).collect();
        by_key.entry(key).or_default().push(&row.labels);
    }
    let surplus: usize = by_key.values().map(|same| same.len() - 1).sum();
    if surplus == 0 {
        return None;
    }
    let differing: BTreeSet<&str> = by_key
        .values()
        .filter(|same| 1 < same.len())
        .flat_map(|same| {
            let names = same.iter().flat_map(|labels| labels.keys()).collect::<BTreeSet<_>>();
            names.into_iter().filter(|name| {
                let values: BTreeSet<_> = same.iter().map(|labels| labels.get(*name)).collect();
                1 < values.len()
            })
        })
        .map(String::as_str)
        .collect();
    let text = format!(
        "{surplus} of {} series are merged into others: they differ only by {}",
        rows.rows.len(),
        listed(differing)
    );
    Some(weak(
        "duplicates",
        text,
        "name the label as `peer`, `dependency` or in `split`, or sum it away in the query",
    ))
}

fn mostly_missing(rows: &RangeRows, expected: usize) -> Option<Problem> {
    let have = middle(rows);
    let share = have as f64 / expected.max(1) as f64;
    (share < PRESENT_MIN).then(|| {
        let text = format!("the middle series has {have} of {expected} points in the last hour");
        weak("missing", text, "is it scraped often enough for the window of the query, or is it new? Where nothing happens a series should be 0, not absent")
    })
}

/// Values that only grow are counts since a start.
fn only_grows(signal: &Signal, rows: &RangeRows) -> Option<Problem> {
    let level = matches!(
        signal.role,
        Role::Version | Role::ConfigVersion | Role::Custom | Role::Memory | Role::Disk
    );
    let grows = |row: &RangeRow| {
        let steps = || row.values.iter().zip(row.values.iter().skip(1));
        let up = steps().filter(|(a, b)| a < b).count();
        POINTS_MIN <= row.values.len() && steps().all(|(a, b)| a <= b) && row.values.len() < 4 * up
    };
    (!level && rows.rows.iter().all(grows)).then(|| {
        let text = "all values only grow, as counters do".to_owned();
        weak("counter", text, "take the rate: `rate(…[5m])`, or `increase`")
    })
}

/// Values that never move cannot tell anything.
fn flat(signal: &Signal, rows: &RangeRows) -> Option<Problem> {
    let context = signal.role.is_context() || signal.role == Role::Custom;
    let same = |row: &RangeRow| {
        let first = row.values.first().copied().unwrap_or(0.0);
        let equal = row.values.iter().all(|value| value.total_cmp(&first).is_eq());
        // None is what most failures, retries and conflicts are most of the time.
        POINTS_MIN <= row.values.len() && equal && first != 0.0
    };
    (!context && rows.rows.iter().all(same)).then(|| {
        let text = "no value moved in the last hour".to_owned();
        weak("flat", text, "is it a limit, a setting, or a target that is gone?")
    })
}

fn dear(rows: &RangeRows, took: u64) -> Option<Problem> {
    let hint = "sum away labels that nobody looks at, or let a recording rule compute it";
    if SLOW_MS < took {
        Some(weak("slow", format!("the last hour took {took} ms"), hint))
    } else if SERIES_MANY < rows.total {
        Some(weak("many", format!("it has {} series", rows.total), hint))
    } else {
        None
    }
}

/// Upper bounds of buckets, from rows with the label `le`; those without an end are left out.
pub(super) fn bounds(rows: &[InstantRow]) -> Vec<f64> {
    let bound = |row: &InstantRow| row.labels.get("le")?.parse::<f64>().ok();
    let mut bounds: Vec<f64> = rows.iter().filter_map(bound).filter(|b| b.is_finite()).collect();
    bounds.sort_by(f64::total_cmp);
    bounds.dedup();
    bounds
}

/// Quantiles that stay between two bounds of a histogram are made up by interpolation.
pub(super) fn one_bucket(
    asked: &Asked<'_>,
    rows: &RangeRows,
    histogram: &str,
    bounds: &[f64],
) -> Option<Problem> {
    if !asked.query.contains("histogram_quantile") || bounds.len() < 2 {
        return None;
    }
    let bucket = |row: &RangeRow| {
        let of = |value: &f64| bounds.partition_point(|bound| bound < value);
        let first = of(row.values.first()?);
        let all = POINTS_MIN <= row.values.len() && row.values.iter().all(|v| of(v) == first);
        Some(first).filter(|_| all)
    };
    let inside: Vec<usize> = rows.rows.iter().filter_map(bucket).collect();
    let (most, times) = inside
        .iter()
        .map(|bucket| (*bucket, inside.iter().filter(|other| *other == bucket).count()))
        .max_by_key(|(_, times)| *times)?;
    let lower = most.checked_sub(1).and_then(|below| bounds.get(below)).copied().unwrap_or(0.0);
    let upper = bounds.get(most).copied()?;
    let coarse = lower <= 0.0 || COARSE <= upper / lower;
    (coarse && rows.rows.len() <= 2 * times).then(|| {
        let text = format!(
            "{times} of {} series stay within one bucket of {}, {lower} to {upper}: what moves inside it cannot be seen",
            rows.rows.len(),
            quoted(histogram)
        );
        weak("one-bucket", text, "give the histogram bounds around these values, or use native histograms; a mean (`_sum` over `_count`) moves sooner")
    })
}

/// What falls many times an hour is no counter.
pub(super) fn gauge_under_rate(name: &str, falls: f64) -> Option<Problem> {
    (FALLS_MAX < falls).then(|| {
        let text = format!(
            "{} falls {falls} times an hour, so it is no counter, and a rate of it means nothing",
            quoted(name)
        );
        weak("gauge", text, format!("use the value itself, or `deriv({name}[5m])`"))
    })
}
