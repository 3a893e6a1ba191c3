//! Which label value it was: a small culprit among many tenants, and incidents of a video platform
//! whose slice is known.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use grayflag::stats::skew::{Levels, Surprise, Way, rank, skew};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Poisson, StandardNormal};
use serde_json::Value;

use crate::Options;
use crate::known::data::{Recorded, read};
use crate::report::{Part, Table};

/// Tenants, their requests a second in sum, and by how much all of them grow.
const TENANTS: u32 = 50;
const REQUESTS: f64 = 200.0;
const GROWTH: f64 = 1.3;
/// How long the culprit was watched, in seconds.
const WATCHED: f64 = 1_800.0;
/// Simulations per row.
const RUNS: u64 = 1_000;
/// 69 production incidents by cdn, bitrate, isp, p2p and device: shaido987/riskloc@08cd777c, MIT.
const ROBUSTSPOT: &str = "robustspot";
/// What others published for a greedy excess share: the first label value is right.
const GREEDY_FIRST: f64 = 0.93;
/// Minutes are counted here, so that a level is a number of events.
const ONE_MINUTE: f64 = 1.0;

/// Ways to rank the values of several labels; the place of the label, and of the value in it.
type Ranking = fn(&[Vec<Levels>], f64) -> Vec<(usize, usize)>;

const RANKINGS: [(&str, Ranking); 3] =
    [("grayflag", ours), ("largest growth", largest_growth), ("surprise (Adtributor)", surprise)];

/// Measures and publishes the section.
pub(crate) fn run(options: &Options) {
    let mut part = Part::new("breakdown", "Which label value it was");
    part.prose = format!(
        "{TENANTS} tenants with sizes by Zipf's law and {REQUESTS} requests a second, all growing \
         by {GROWTH}, one of rank 6 to 25 by more; each strays by a tenth. {RUNS} runs a row, seed \
         {}. RobustSpot: 69 incidents of a video platform, stalled viewers by label value in the \
         minute of the onset beside the minutes before; first is right when the value is part of \
         the labelled slice.\n",
        options.seed
    );
    part.tables.push(tenants(options.seed));
    match options.data.as_deref().and_then(|data| incidents(&data.join(ROBUSTSPOT))) {
        Some(cases) => {
            let (table, first) = robustspot(&cases);
            part.tables.push(table);
            let what = "label value named first, 69 incidents of RobustSpot".to_owned();
            part.summary.push((what, format!("{first:.2}")));
            if first < GREEDY_FIRST {
                let said = format!(
                    "RobustSpot: a greedy excess share is said to be {GREEDY_FIRST} first."
                );
                part.caveats.push(said);
            }
        }
        None => part.caveats.push("RobustSpot was not there: give `--data DIR`.".to_owned()),
    }
    part.publish(options.tuning);
}

fn ours(labels: &[Vec<Levels>], seconds: f64) -> Vec<(usize, usize)> {
    rank(labels, seconds, Way::More).iter().map(|(label, value)| (*label, value.place)).collect()
}

fn largest_growth(labels: &[Vec<Levels>], _: f64) -> Vec<(usize, usize)> {
    by(labels, |value, _| value.since - value.before)
}

/// Jensen and Shannon's divergence between the shares before and since, of those that grew.
fn surprise(labels: &[Vec<Levels>], _: f64) -> Vec<(usize, usize)> {
    by(labels, |value, all| {
        let (p, q) = (value.before / all.before.max(1e-12), value.since / all.since.max(1e-12));
        let part = |a: f64| if a > 0.0 { a * (2.0 * a / (p + q)).ln() } else { 0.0 };
        if q > p { 0.5 * (part(p) + part(q)) } else { 0.0 }
    })
}

/// Every value of every label, the largest score first.
fn by(labels: &[Vec<Levels>], score: fn(&Levels, &Levels) -> f64) -> Vec<(usize, usize)> {
    let mut all: Vec<(f64, usize, usize)> = Vec::new();
    for (label, values) in labels.iter().enumerate() {
        let sum = |part: fn(&Levels) -> f64| values.iter().map(part).sum();
        let whole = Levels { before: sum(|v| v.before), since: sum(|v| v.since) };
        let scored = values.iter().enumerate();
        all.extend(scored.map(|(place, value)| (score(value, &whole), label, place)));
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.into_iter().map(|(_, label, place)| (label, place)).collect()
}

fn tenants(seed: u64) -> Table {
    let mut rows = Vec::new();
    for factor in [1.0, 2.0, 4.0] {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut first = [0_u64; RANKINGS.len()];
        let (mut only, mut any) = (0_u64, 0_u64);
        for run in 0..RUNS {
            let culprit = 5 + usize::try_from(run % 20).unwrap();
            let values = simulate(&mut rng, culprit, factor);
            for (hits, (_, ranking)) in first.iter_mut().zip(RANKINGS) {
                let ranked = ranking(std::slice::from_ref(&values), WATCHED);
                *hits += u64::from(ranked.first() == Some(&(0, culprit)));
            }
            let told: Vec<Surprise> = skew(&values, WATCHED, Way::More).unwrap_or_default();
            let told: Vec<usize> = told.iter().filter(|s| s.explains).map(|s| s.place).collect();
            only += u64::from(told == [culprit]);
            any += u64::from(!told.is_empty());
        }
        let share = |hits: u64| format!("{:.3}", hits as f64 / RUNS as f64);
        let mut row = vec![format!("× {factor}")];
        row.extend(first.map(share));
        row.extend([share(only), share(any)]);
        rows.push(row);
    }
    let mut header = vec!["culprit".to_owned()];
    header.extend(RANKINGS.map(|(name, _)| format!("first: {name}")));
    header.extend(["told alone".to_owned(), "anybody told".to_owned()]);
    let note = "Told: grayflag says that the value explains the move. At × 1 nobody should be.";
    Table {
        id: "breakdown-tenants".to_owned(),
        title: "A small culprit among fifty tenants, share of runs".to_owned(),
        header,
        rows,
        note: note.to_owned(),
    }
}

fn simulate(rng: &mut ChaCha8Rng, culprit: usize, factor: f64) -> Vec<Levels> {
    let sum: f64 = (1..=TENANTS).map(|k| 1.0 / f64::from(k)).sum();
    let mut count = |rate: f64| {
        let strays: f64 = rng.sample(StandardNormal);
        Poisson::new(rate * (0.1 * strays).exp() * WATCHED).unwrap().sample(rng) / WATCHED
    };
    (1..=TENANTS)
        .zip(0..)
        .map(|(k, place)| {
            let usual = REQUESTS / (f64::from(k) * sum);
            let own = if place == culprit { factor } else { 1.0 };
            Levels { before: count(usual), since: count(usual * GROWTH * own) }
        })
        .collect()
}

/// One incident: its labels' values with their levels, and which of them it was.
struct Incident {
    labels: Vec<BTreeMap<String, Levels>>,
    slice: BTreeSet<(usize, String)>,
}

fn robustspot(cases: &[Incident]) -> (Table, f64) {
    let mut rows = Vec::new();
    for (name, ranking) in RANKINGS {
        let hits = |among: usize| -> f64 {
            let hit = cases.iter().filter(|case| {
                let names: Vec<Vec<&String>> =
                    case.labels.iter().map(|values| values.keys().collect()).collect();
                let levels: Vec<Vec<Levels>> =
                    case.labels.iter().map(|values| values.values().copied().collect()).collect();
                let ranked = ranking(&levels, ONE_MINUTE);
                let mut ranked = ranked.iter().take(among);
                ranked.any(|&(l, v)| case.slice.contains(&(l, names[l][v].clone())))
            });
            hit.count() as f64 / cases.len() as f64
        };
        rows.push((name, hits(1), hits(3)));
    }
    let first = rows[0].1;
    let row = |(name, one, three): &(&str, f64, f64)| {
        vec![(*name).to_owned(), format!("{one:.2}"), format!("{three:.2}")]
    };
    let table = Table {
        id: "breakdown-robustspot".to_owned(),
        title: format!("RobustSpot, {} incidents", cases.len()),
        header: ["ranked by", "first", "in the first three"].map(str::to_owned).into(),
        rows: rows.iter().map(row).collect(),
        note: String::new(),
    };
    (table, first)
}

/// Stalled viewers by label value; none where the folder is not there.
fn incidents(folder: &Path) -> Option<Vec<Incident>> {
    let folder = read(folder)?;
    let listed = folder.incidents();
    let place: BTreeMap<&str, usize> =
        listed.iter().zip(0..).filter_map(|(i, at)| Some((i["case"].as_str()?, at))).collect();
    let attributes = |of: &Value| -> Vec<String> {
        let names = of["attributes"].as_array().into_iter().flatten();
        names.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut cases: Vec<Incident> = listed
        .iter()
        .map(|incident| {
            let names = attributes(incident);
            let parts = incident["root_cause"]["dimensions"].as_array().into_iter().flatten();
            let parts = parts.filter_map(Value::as_object).flatten();
            let slice = parts.filter_map(|(label, value)| {
                let label = names.iter().position(|name| name == label)?;
                Some((label, value.as_str()?.to_owned()))
            });
            Incident { labels: vec![BTreeMap::new(); names.len()], slice: slice.collect() }
        })
        .collect();
    let counted = |recorded: &&Recorded| recorded.metric == "video_stalled_viewers";
    for recorded in folder.series.iter().filter(counted) {
        let Some(&case) = place.get(recorded.label("case")) else { continue };
        let (onset, minutes) = (listed[case]["onset"].as_i64()?, &listed[case]["pre_minutes"]);
        let before = recorded.within(i64::MIN, onset - 1).map(|(_, value)| value).sum::<f64>();
        let since = recorded.within(onset, onset).map(|(_, value)| value).sum::<f64>();
        for (label, name) in attributes(&listed[case]).iter().enumerate() {
            let none = Levels { before: 0.0, since: 0.0 };
            let of = cases[case].labels[label].entry(recorded.label(name).to_owned());
            let levels = of.or_insert(none);
            levels.before += before / minutes.as_f64()?;
            levels.since += since;
        }
    }
    Some(cases)
}
