//! Every pack against what its exporters expose, in every real backend that is installed.
//!
//! Each file of tests/data/exporters has a window of time of its own in one history, so that one
//! server shows them one after the other. docs/packs.md says which file is from where.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[expect(dead_code, reason = "other tests start other servers")]
mod common;
#[path = "common/exposition.rs"]
mod exposition_file;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use common::{History, Installed, Prometheus, VictoriaMetrics};
use exposition_file::Exposition;
use grayflag::discover::{Found, discover, pack_text};
use grayflag::rules::{self, LABEL_PLACEHOLDER, Pack, Role, Signal, StandIn};
use grayflag::source::{Config, InstantRow, Prometheus as Source};
use grayflag::time::Timestamp;

/// 2026-03-01T00:00:00Z.
const START: i64 = 1_772_323_200;
/// Between the beginnings of two files: more than any query looks back, and any delay.
const WINDOW: i64 = 2 * 3600;
const STEP: i64 = 30;
/// Half an hour: more than the longest range and delay together.
const SCRAPES: i64 = 61;
const DOCS: &str = "docs/packs.md";
const TABLE: &str = "| pack | proven against |\n|---|---|\n";

/// Packs without a text form: native histograms are seen live only, in tests/exporters.sh.
const LIVE_ONLY: [(&str, &str); 1] = [(
    "http-native",
    "tests/exporters.sh only, with native histograms of client_golang 1.14 in Prometheus 3.5; they have no text form",
)];

const LIVE_SIGNALS: [&str; 1] = ["prometheus-latency-p99-native"];

fn history(files: &[Exposition]) -> History {
    let windows = (0..).map(|n| START + n * WINDOW);
    files.iter().zip(windows).fold(History::default(), |history, (file, start)| {
        file.add_to(history, (start, STEP), SCRAPES)
    })
}

/// When the newest scrape of a file is.
fn end(place: usize) -> Timestamp {
    let start = START + i64::try_from(place).unwrap() * WINDOW;
    Timestamp::from_secs(start + (SCRAPES - 1) * STEP)
}

fn signals(pack: &Pack) -> Vec<Signal> {
    let (set, problems) = rules::load(&[pack.file()]);
    assert!(problems.is_empty(), "{}", problems.render(false));
    set.signals
}

fn pack(name: &str) -> Pack {
    rules::packs().find(|pack| pack.name == name).unwrap_or_else(|| panic!("no pack {name}"))
}

#[tokio::test]
async fn every_pack_reads_what_its_exporters_expose() {
    let files = Exposition::all();
    let history = history(&files);
    let (openmetrics, text) = (history.openmetrics(), history.prometheus_text());
    for installed in Installed::all() {
        let prometheus = Prometheus::start(&installed, &openmetrics, &[]).await;
        let victoria = VictoriaMetrics::start_with(&installed, &text).await;
        for (kind, server) in [("prometheus", &prometheus), ("victoria-metrics", &victoria)] {
            let source = source(&server.url);
            let mut wrong = Vec::new();
            for (place, file) in files.iter().enumerate() {
                wrong.extend(misread(&source, file, end(place)).await);
                let found = discover(&source, end(place), |_| {}).await.unwrap();
                wrong.extend(misfits(file, &found));
            }
            assert!(wrong.is_empty(), "{}{kind}:\n{}", installed.name, wrong.join("\n"));
        }
    }
}

fn source(url: &str) -> Source {
    // A second test of this process may have set it already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Source::new(Config::new(url)).unwrap()
}

/// Packs that fit and should not, or should and do not.
fn misfits(file: &Exposition, found: &Found) -> Option<String> {
    let fit: BTreeSet<&str> =
        found.packs.iter().filter(|pack| pack.fits).map(|pack| pack.name.as_str()).collect();
    let mut expected: BTreeSet<&str> = file.also.iter().map(String::as_str).collect();
    expected.insert(&file.pack);
    (fit != expected).then(|| format!("{}: {fit:?} fit, not {expected:?}", file.name))
}

/// What is wrong with the answers to a pack's queries.
async fn misread(source: &Source, file: &Exposition, now: Timestamp) -> Vec<String> {
    let mut wrong = Vec::new();
    for signal in signals(&pack(&file.pack)) {
        let mut say = |what: String| wrong.push(format!("{}, {}: {what}", file.name, signal.name));
        let at = now - signal.delay;
        let rows = source.query(&signal.query, at).await.unwrap();
        let missing: Vec<&String> = signal.requires.iter().filter(|name| !file.has(name)).collect();
        match (file.lacks(&signal.name), rows.is_empty()) {
            (true, true) => continue,
            (true, false) => say("has rows, and the file says that it has none".to_owned()),
            (false, true) => say(format!("no rows; not in the file: {missing:?}")),
            (false, false) if missing.is_empty() => {}
            (false, false) => say(format!("has rows without what it requires: {missing:?}")),
        }
        rows_of(file, &signal, &rows).into_iter().for_each(&mut say);
        if let Some(traffic) = &signal.min_traffic {
            let rows = source.query(&traffic.query, at).await.unwrap();
            if !rows.iter().any(|row| 0.0 < row.value && labelled(row, &signal.service)) {
                say("its min_traffic finds none".to_owned());
            }
        }
        for label in signal.breakdown.iter().flat_map(|breakdown| &breakdown.by) {
            let query = &signal.breakdown.as_ref().unwrap().query;
            let query = query.replace(LABEL_PLACEHOLDER, label);
            let rows = source.query(&query, at).await.unwrap();
            let told = rows.iter().any(|row| {
                0.0 < row.value && labelled(row, label) && labelled(row, &signal.service)
            });
            if !told && !file.quiet.contains(&signal.name) {
                say(format!("its breakdown by `{label}` names nothing"));
            }
        }
    }
    wrong
}

fn labelled(row: &InstantRow, label: &str) -> bool {
    row.labels.get(label).is_some_and(|value| !value.is_empty())
}

/// What is wrong with the rows of a signal: labels that it declares, and values that cannot be.
fn rows_of(file: &Exposition, signal: &Signal, rows: &[InstantRow]) -> Vec<String> {
    let mut wrong = Vec::new();
    let nameless = rows.iter().filter(|row| !labelled(row, &signal.service)).count();
    if 0 < nameless {
        wrong.push(format!("{nameless} rows without `{}`", signal.service));
    }
    let kept = [&signal.peer, &signal.dependency].into_iter().flatten().chain(&signal.split);
    for label in kept {
        if !rows.iter().any(|row| labelled(row, label)) {
            wrong.push(format!("no row has the label `{label}`"));
        }
    }
    let greatest = rows.iter().map(|row| row.value).fold(f64::NEG_INFINITY, f64::max);
    let most = most(file, signal);
    for row in rows.iter().filter(|row| !(0.0..=most).contains(&row.value)) {
        wrong.push(format!("{} {} is not within 0 to {most}", row.value, unit(signal)));
    }
    // A matcher that never matches would hide behind the zeros that stand in for no trouble.
    let trouble = matches!(
        signal.role,
        Role::Errors | Role::DependencyErrors | Role::Throttled | Role::Conflicts | Role::Retries
    );
    let moves = matches!(signal.role, Role::Traffic | Role::Attempts | Role::Goodput)
        || signal.query.contains("histogram_quantile");
    let quiet = file.quiet.contains(&signal.name);
    if (trouble || moves) && !quiet && greatest <= 0.0 {
        wrong.push("is 0, and the file does not say that it is quiet".to_owned());
    } else if quiet && 0.0 < greatest {
        wrong.push("is not quiet".to_owned());
    }
    wrong
}

fn unit(signal: &Signal) -> &str {
    signal.unit.as_deref().unwrap_or_else(|| panic!("{} has no unit", signal.name))
}

/// The most that a value can be, by its unit and its buckets.
fn most(file: &Exposition, signal: &Signal) -> f64 {
    if signal.query.contains("histogram_quantile") {
        let bucket = signal.requires.first().unwrap();
        let thousandth = if signal.query.contains("/ 1000") { 1000.0 } else { 1.0 };
        return file.greatest_bound(bucket) / thousandth;
    }
    match unit(signal) {
        "ratio" => 1.0,
        // The longest that anybody waits in these files.
        "seconds" => 3600.0,
        "seconds/s" => 64.0,
        _ => f64::INFINITY,
    }
}

#[tokio::test]
async fn a_mean_in_place_of_a_percentile_is_told_and_written() {
    let files: Vec<Exposition> = Exposition::all();
    let place = files.iter().position(|file| file.name == "http-spring-plain").unwrap();
    let text = history(&files[place..=place]).openmetrics();
    let server = Prometheus::start(&Installed::all()[0], &text, &[]).await;
    let found = discover(&source(&server.url), end(0), |_| {}).await.unwrap();
    let spring = found.packs.iter().find(|pack| pack.name == "http-spring").unwrap();
    let p99 = spring.signals.iter().find(|one| one.name == "spring-latency-p99").unwrap();
    let expected =
        [("spring-latency-max", StandIn::Slowest), ("spring-latency-mean", StandIn::Mean)];
    let instead: Vec<_> = p99.instead.iter().map(|(name, what)| (name.as_str(), *what)).collect();
    assert_eq!(instead, expected);
    let written = pack_text(spring);
    let expected = "# This backend has no http_server_requests_seconds_bucket.\n\
                    # There is the mean and slowest instead of p99.\n# [[signal]]\n";
    assert!(written.contains(expected), "{written}");
}

#[test]
fn every_signal_has_something_in_some_file() {
    let files = Exposition::all();
    for pack in rules::packs().filter(|pack| LIVE_ONLY.iter().all(|(live, _)| *live != pack.name)) {
        let of_pack: Vec<&Exposition> =
            files.iter().filter(|file| file.pack == pack.name).collect();
        for signal in signals(&pack) {
            let seen = of_pack.iter().any(|file| !file.lacks(&signal.name))
                || LIVE_SIGNALS.contains(&signal.name.as_str());
            assert!(seen, "{}: no file has anything for {}", pack.name, signal.name);
        }
        for name in of_pack.iter().flat_map(|file| file.named()) {
            let known = signals(&pack).iter().any(|signal| signal.name == *name);
            assert!(known, "{}: no signal is called {name}", pack.name);
        }
    }
}

#[test]
fn every_pack_has_a_file_and_the_documents_name_its_source() {
    let mut sources: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in Exposition::all() {
        let told = format!("{} (`tests/data/exporters/{}.prom`)", file.source, file.name);
        sources.entry(file.pack).or_default().push(told);
    }
    for (pack, told) in LIVE_ONLY {
        assert!(!sources.contains_key(pack), "{pack} has a file");
        sources.insert(pack.to_owned(), vec![told.to_owned()]);
    }
    let mut table = TABLE.to_owned();
    for pack in rules::packs() {
        let sources = sources.remove(pack.name);
        let sources = sources.unwrap_or_else(|| panic!("no file for pack {}", pack.name));
        writeln!(table, "| `{}` | {} |", pack.name, sources.join("; ")).unwrap();
    }
    assert!(sources.is_empty(), "files of packs that are not there: {sources:?}");
    let text = fs::read_to_string(DOCS).unwrap();
    let (before, rest) = text.split_once(TABLE).unwrap();
    let after = rest.split_once("\n\n").map_or("", |(_, after)| after);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(DOCS, format!("{before}{table}\n{after}")).unwrap();
    } else {
        assert!(text.contains(&table), "{DOCS} lacks this; UPDATE_SNAPSHOTS=1 writes it:\n{table}");
    }
}
