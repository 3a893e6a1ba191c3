//! A scene for the causes: the trouble of `shop`, a service that nothing is known of but what a
//! test says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grayflag::engine::alert::NamedCause;
use grayflag::engine::archive::MemoryArchive;
use grayflag::engine::breakdown::Breakdowns;
use grayflag::engine::correlate::{Finding, Graph};
use grayflag::engine::diagnose::{Scene, diagnose, series_near};
use grayflag::engine::grid::{WallClock, block_of};
use grayflag::engine::past::{Past, Pattern};
use grayflag::engine::service::Service;
use grayflag::engine::track::Tracks;
use grayflag::rules::{Cause, Role, Rules, Signal};
use grayflag::series::{Batch, Change, Labels, Sample, Series};
use grayflag::time::Timestamp;
use jiff::tz::TimeZone;

/// What is known beside the causes.
pub(crate) struct Stage {
    /// When the trouble began, as it is known best.
    pub(crate) began: Timestamp,
    /// When it began, at the earliest and at the latest.
    pub(crate) onset: [Timestamp; 2],
    /// What moved of a signal of latency.
    pub(crate) findings: Vec<Finding>,
    pub(crate) now: Timestamp,
    pub(crate) shop: Option<Service>,
    pub(crate) changes: Vec<Change>,
    pub(crate) past: Past,
    pub(crate) pattern: Pattern,
    pub(crate) zone: TimeZone,
}

impl Stage {
    /// Nothing is known but when the trouble began, which is now.
    pub(crate) fn at(onset: Timestamp) -> Self {
        Self {
            began: onset,
            onset: [onset, onset],
            findings: vec![],
            now: onset,
            shop: None,
            changes: vec![],
            past: Past::default(),
            pattern: Pattern::new(),
            zone: TimeZone::UTC,
        }
    }

    /// What is named, of these causes.
    pub(crate) fn named(self, causes: Vec<Cause>) -> Vec<NamedCause> {
        let signals = vec![Signal::plain("latency", Role::Latency)];
        let rules = Rules { causes, signals, ..Rules::default() };
        // What every finding is about.
        let series = Arc::new(Series::new("latency", "shop", None, None, Labels::new()));
        let mut tracks = Tracks::default();
        let samples = vec![Sample { series, value: 0.2 }];
        tracks.take(self.began, &rules.signals, &Batch { samples, ..Batch::default() });
        let services: BTreeMap<String, Service> =
            self.shop.map(|shop| ("shop".to_owned(), shop)).into_iter().collect();
        let graph = Graph::default();
        let scene = Scene {
            rules: &rules,
            services: &services,
            tracks: &tracks,
            graph: &graph,
            changes: &self.changes,
            trouble: &BTreeMap::new(),
            archive: &MemoryArchive::default(),
            breakdowns: &Breakdowns::default(),
            past: &self.past,
            clock: &WallClock::new(self.zone),
            members: BTreeSet::from(["shop".to_owned()]),
            near: series_near("shop", &graph, &tracks),
            root: "shop".to_owned(),
            findings: self.findings,
            pattern: self.pattern,
            onset_range: self.onset,
            onset: self.began,
            at: (block_of(self.onset[0]), 0),
            now: self.now,
        };
        diagnose(&scene).causes
    }
}
