//! What an exporter exposes, as a text file with its source, made into an hour's history.
//!
//! Lines before the first sample tell about it: `# Source:`, and where there is reason `# Pack:`
//! (the pack, where the file is not called like it), `# Without:` (signals that have nothing here)
//! or `# Only:` (the only ones that have something), `# Quiet:` (signals of trouble that has not
//! happened here), `# Also:` (other packs that fit), `# Grows:` (counters that the exporter does not
//! type as such), `# Hours:` (how long the counters ran, if not one), `# Taken:` (when).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use grayflag::time::Timestamp;

use super::History;

/// A file of `tests/data/exporters`.
#[derive(Clone, Debug)]
pub(crate) struct Exposition {
    pub(crate) name: String,
    pub(crate) pack: String,
    pub(crate) source: String,
    without: BTreeSet<String>,
    only: BTreeSet<String>,
    pub(crate) quiet: BTreeSet<String>,
    pub(crate) also: BTreeSet<String>,
    hours: f64,
    taken: Option<Timestamp>,
    samples: Vec<Sample>,
}

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: String,
    value: f64,
    grows: bool,
}

impl Exposition {
    /// All files, in order of name.
    pub(crate) fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/exporters");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut all: Vec<Self> = files.map(|path| Self::read(&path)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    fn read(path: &Path) -> Self {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(path).unwrap();
        let told = |key: &str| {
            let mark = format!("# {key}: ");
            text.lines().find_map(|line| line.strip_prefix(&mark)).map(str::to_owned)
        };
        let list = |key: &str| -> BTreeSet<String> {
            told(key).iter().flat_map(|text| text.split(", ")).map(str::to_owned).collect()
        };
        let source = told("Source").unwrap_or_else(|| panic!("{name} does not say its source"));
        let grows = list("Grows");
        let mut types = BTreeMap::new();
        let mut samples = Vec::new();
        for line in text.lines() {
            if let Some(line) = line.strip_prefix("# TYPE ") {
                let (metric, kind) = line.split_once(' ').unwrap();
                types.insert(metric.to_owned(), kind.to_owned());
            } else if !line.is_empty() && !line.starts_with('#') {
                samples.push(Sample::read(line, &types, &grows));
            }
        }
        assert!(!samples.is_empty(), "{name} has no samples");
        Self {
            pack: told("Pack").unwrap_or_else(|| name.clone()),
            source,
            without: list("Without"),
            only: list("Only"),
            hours: told("Hours").map_or(1.0, |hours| hours.parse().unwrap()),
            quiet: list("Quiet"),
            also: list("Also"),
            taken: told("Taken").map(|at| at.parse().unwrap()),
            samples,
            name,
        }
    }

    /// Whether it says that a signal has nothing here.
    pub(crate) fn lacks(&self, signal: &str) -> bool {
        self.without.contains(signal) || !self.only.is_empty() && !self.only.contains(signal)
    }

    /// The signals that it speaks of.
    pub(crate) fn named(&self) -> impl Iterator<Item = &String> {
        self.without.iter().chain(&self.only).chain(&self.quiet)
    }

    /// Whether it has a metric of this name.
    pub(crate) fn has(&self, metric: &str) -> bool {
        self.samples.iter().any(|sample| sample.name == metric)
    }

    /// The greatest finite bound of a histogram's buckets.
    pub(crate) fn greatest_bound(&self, bucket: &str) -> f64 {
        let buckets = self.samples.iter().filter(|sample| sample.name == bucket);
        let bounds = buckets.filter_map(|sample| sample.labels.split("le=\"").nth(1));
        let bounds = bounds.filter_map(|rest| rest.split('"').next()?.parse::<f64>().ok());
        bounds.filter(|bound| bound.is_finite()).fold(0.0, f64::max)
    }

    /// Adds it to a history: `count` scrapes of it, `step` seconds apart, of one instance whose job
    /// is called like the file. A counter goes on as fast as it came to the value that it has here.
    pub(crate) fn add_to(
        &self,
        mut history: History,
        (start, step): (i64, i64),
        count: i64,
    ) -> History {
        for sample in &self.samples {
            let scrape = format!(r#"job="{}",instance="a:9100""#, self.name);
            let labels = [sample.labels.as_str(), &scrape].join(",");
            let labels = labels.trim_start_matches(',');
            let value = |n: i64| {
                let times = (n * step) as f64 / 3600.0 / self.hours;
                if sample.grows { sample.value * (1.0 + times) } else { sample.value }
            };
            // What happened some time before the capture happened as long before the end.
            let shift = match self.taken {
                Some(taken) if sample.is_instant() => {
                    (start + (count - 1) * step - taken.as_secs()) as f64
                }
                _ => 0.0,
            };
            let values = (0..count).map(|n| value(n) + shift);
            history = history.series(&sample.name, labels, (start, step), values);
        }
        history
    }
}

impl Sample {
    fn read(line: &str, types: &BTreeMap<String, String>, grows: &BTreeSet<String>) -> Self {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        // Some write a comma behind the last label.
        let labels = labels.trim_end_matches('}').trim_end_matches(',');
        let kind = |name: &str| types.get(name).map(String::as_str);
        let part = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
        let counter = kind(name) == Some("counter")
            || part.is_some_and(|base| matches!(kind(base), Some("histogram" | "summary")));
        Self {
            name: name.to_owned(),
            labels: labels.to_owned(),
            value: value.parse().unwrap(),
            grows: counter || grows.contains(name),
        }
    }

    fn is_instant(&self) -> bool {
        self.name.contains("timestamp") || self.name.ends_with("start_time_seconds")
    }
}
