//! The lab's scrapes as the engine's batches, without a backend in between.

use std::sync::Arc;

use grayflag::changes::{Row, SeenChanges};
use grayflag::lab::{LabSeries, Scrape};
use grayflag::rules::{ChangeBy, Rules, Signal};
use grayflag::series::{Batch, Labels, Sample, Series};

/// Binds the lab's series to signals, as a source does with a backend's rows.
#[derive(Clone, Default)]
pub(crate) struct Feed {
    bound: Vec<Vec<Arc<Series>>>,
    seen: SeenChanges,
}

impl Feed {
    /// What a source would answer at one scrape; `all` is every series of the lab by now.
    pub(crate) fn batch(&mut self, rules: &Rules, all: &[LabSeries], scrape: &Scrape) -> Batch {
        for series in all.iter().skip(self.bound.len()) {
            let of = rules.signals.iter().filter(|s| s.query == series.metric);
            self.bound.push(of.map(|signal| Arc::new(bind(signal, series))).collect());
        }
        let mut batch = Batch::default();
        for &(index, value) in &scrape.samples {
            let samples = self.bound[index].iter();
            batch.samples.extend(samples.map(|s| Sample { series: s.clone(), value }));
            for signal in &rules.signals {
                if signal.min_traffic.as_ref().is_some_and(|t| t.query == all[index].metric) {
                    let service = &all[index].labels["service"];
                    let series = Series::new(&signal.name, service, None, None, Labels::new());
                    batch.traffic.push(Sample { series: Arc::new(series), value });
                }
            }
        }
        for rule in &rules.changes {
            let rows: Vec<Row<'_>> = scrape
                .samples
                .iter()
                .filter(|(index, _)| all[*index].metric == rule.query)
                .map(|&(index, value)| {
                    let labels = &all[index].labels;
                    let what = match &rule.by {
                        ChangeBy::Appears(label) => labels[label].as_str(),
                        // The lab's other changes have no labels but their service.
                        ChangeBy::Timestamp | ChangeBy::Step => "",
                    };
                    Row { service: &labels[&rule.service], what, value }
                })
                .collect();
            batch.changes.extend(self.seen.notice(rule, scrape.at, &rows));
        }
        batch
    }
}

fn bind(signal: &Signal, series: &LabSeries) -> Series {
    let keep = |name: &String| {
        signal.peer.as_ref() == Some(name)
            || signal.dependency.as_ref() == Some(name)
            || signal.split.contains(name)
    };
    let labels: Labels = series
        .labels
        .iter()
        .filter(|(n, _)| keep(n))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    let value = |name: &Option<String>| name.as_ref().and_then(|n| series.labels.get(n).cloned());
    let service = &series.labels[&signal.service];
    Series::new(&signal.name, service, value(&signal.peer), value(&signal.dependency), labels)
}
