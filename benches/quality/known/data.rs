//! Reads a folder of recorded series with labels.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::real::{json, packed};

/// One recorded series.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) metric: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// Unix seconds and value, in order of time.
    pub(crate) points: Vec<(i64, f64)>,
}

impl Recorded {
    /// The value of a label; empty without it.
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// Points within `from..=to`.
    pub(crate) fn within(&self, from: i64, to: i64) -> impl Iterator<Item = (i64, f64)> {
        self.points.iter().copied().filter(move |(at, _)| (from..=to).contains(at))
    }
}

/// Series with what is known about them.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    /// In order of their keys.
    pub(crate) series: Vec<Recorded>,
    pub(crate) labels: Value,
}

impl Folder {
    /// The labelled incidents.
    pub(crate) fn incidents(&self) -> &[Value] {
        self.labels["incidents"].as_array().map_or(&[], Vec::as_slice)
    }

    /// Clean time of a scenario: its first and last second.
    pub(crate) fn clean(&self, scenario: &str) -> Option<(i64, i64)> {
        let windows = self.labels["null_windows"].as_array()?;
        let window = windows.iter().find(|window| window["scenario"] == scenario)?;
        Some((window["start"].as_i64()?, window["end"].as_i64()?))
    }
}

/// The folder's series and labels; none when it is not there or not whole.
pub(crate) fn read(folder: &Path) -> Option<Folder> {
    let named = json(&folder.join("series.json"))?;
    let labels = json(&folder.join("labels.json"))?;
    let mut series: BTreeMap<u64, Recorded> = BTreeMap::new();
    for (key, about) in named.as_object()? {
        let texts = about["labels"].as_object()?.iter();
        let labels = texts.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        let labels = labels.collect::<Option<BTreeMap<String, String>>>()?;
        let metric = about["metric"].as_str()?.to_owned();
        series.insert(key.parse().ok()?, Recorded { metric, labels, points: Vec::new() });
    }
    for line in packed(&folder.join("series.csv.gz"))?.lines().skip(1) {
        let mut fields = line.split(',');
        let at: i64 = fields.next()?.parse().ok()?;
        let recorded = series.get_mut(&fields.next()?.parse().ok()?)?;
        recorded.points.push((at, fields.next()?.parse().ok()?));
    }
    let mut series: Vec<Recorded> = series.into_values().collect();
    for recorded in &mut series {
        recorded.points.sort_by_key(|(at, _)| *at);
    }
    Some(Folder { series, labels })
}
