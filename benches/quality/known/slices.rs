//! RobustSpot: which values of which attributes had the stalled viewers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use grayflag::stats::skew::{Levels, Surprise, Way, rank};
use serde_json::Value;

use super::data::{Recorded, read};

const MINUTE: i64 = 60;
/// Stalled viewers are counted at an instant and not over time.
const INSTANT: f64 = 1.0;
/// A further cut must hold this share of what moved within the cuts before it: the right one
/// holds all of it but noise.
const NEXT_MIN: f64 = 0.9;

/// Attribute and value.
type Cut = (String, String);

/// One incident: what it was, and what we say.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    /// Each a set of cuts that were to blame together.
    pub(crate) truth: Vec<BTreeSet<Cut>>,
    /// Cuts in the order in which they were found.
    pub(crate) found: Vec<Cut>,
}

impl Judged {
    /// Whether the first cut is one of those to blame.
    pub(crate) fn first_is_right(&self) -> bool {
        let first = self.found.first();
        first.is_some_and(|cut| self.truth.iter().any(|cuts| cuts.contains(cut)))
    }

    /// Whether what was found is exactly one of the sets to blame.
    pub(crate) fn is_exact(&self) -> bool {
        let found: BTreeSet<Cut> = self.found.iter().cloned().collect();
        self.truth.contains(&found)
    }
}

/// Stalled viewers of one combination of all attributes.
struct Leaf<'a> {
    labels: &'a BTreeMap<String, String>,
    levels: Levels,
}

/// Finds the cut that explains the most, then the next within it, as long as one does.
fn cuts(leaves: &[Leaf<'_>], attributes: &[String]) -> Vec<Cut> {
    let mut found: Vec<Cut> = Vec::new();
    loop {
        let within: Vec<&Leaf<'_>> = leaves
            .iter()
            .filter(|leaf| found.iter().all(|(name, value)| leaf.labels.get(name) == Some(value)))
            .collect();
        let open = attributes.iter().filter(|name| found.iter().all(|(cut, _)| cut != *name));
        let divisions: Vec<(&String, BTreeMap<&String, Levels>)> =
            open.map(|name| (name, divide(&within, name))).collect();
        let levels: Vec<Vec<Levels>> =
            divisions.iter().map(|(_, parts)| parts.values().copied().collect()).collect();
        let ranked = rank(&levels, INSTANT, Way::More);
        // The first is told in any case: something moved, or nobody would ask.
        let goes_on = |s: &Surprise| found.is_empty() || s.explains && s.excess_share > NEXT_MIN;
        let Some((division, best)) = ranked.first().filter(|(_, s)| goes_on(s)) else {
            return found;
        };
        let (name, parts) = &divisions[*division];
        let value = parts.keys().nth(best.place).unwrap();
        found.push(((*name).clone(), (*value).clone()));
    }
}

/// Levels by value of an attribute.
fn divide<'a>(leaves: &[&Leaf<'a>], name: &str) -> BTreeMap<&'a String, Levels> {
    let mut parts: BTreeMap<&String, Levels> = BTreeMap::new();
    for leaf in leaves {
        let Some(value) = leaf.labels.get(name) else { continue };
        let part = parts.entry(value).or_insert(Levels { before: 0.0, since: 0.0 });
        part.before += leaf.levels.before;
        part.since += leaf.levels.since;
    }
    parts
}

/// A combination's mean before the onset and at it; missing minutes had nobody.
fn levels(recorded: &Recorded, from: i64, onset: i64) -> Levels {
    let sum = |from, to| recorded.within(from, to).map(|(_, value)| value).sum::<f64>();
    let minutes = ((onset - from) / MINUTE).max(1) as f64;
    Levels { before: sum(from, onset - MINUTE) / minutes, since: sum(onset, onset) }
}

fn judge<'a>(incident: &Value, all: &[&'a Recorded]) -> Option<Judged> {
    let (from, onset) = (incident["window"][0].as_i64()?, incident["onset"].as_i64()?);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let attributes = incident["attributes"].as_array()?.iter().map(text);
    let attributes: Vec<String> = attributes.collect::<Option<_>>()?;
    let leaf = |recorded: &&'a Recorded| Leaf {
        labels: &recorded.labels,
        levels: levels(recorded, from, onset),
    };
    let leaves: Vec<Leaf<'_>> = all.iter().map(leaf).collect();
    let cut = |(name, value): (&String, &Value)| Some((name.clone(), text(value)?));
    let set = |dimensions: &Value| dimensions.as_object()?.iter().map(cut).collect();
    let truth = incident["root_cause"]["dimensions"].as_array()?.iter().map(set);
    Some(Judged { truth: truth.collect::<Option<_>>()?, found: cuts(&leaves, &attributes) })
}

/// Every incident; none when the data is not there.
pub(crate) fn incidents(data: &Path) -> Option<Vec<Judged>> {
    let folder = read(&data.join("robustspot"))?;
    let mut stalled: BTreeMap<&str, Vec<&Recorded>> = BTreeMap::new();
    for recorded in folder.series.iter().filter(|r| r.metric == "video_stalled_viewers") {
        stalled.entry(recorded.label("case")).or_default().push(recorded);
    }
    let judged = folder.incidents().iter().map(|incident| {
        let all = stalled.get(incident["case"].as_str()?)?;
        judge(incident, all)
    });
    judged.collect()
}
