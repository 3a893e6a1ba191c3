//! What a service does now, explained on demand: whether or not an incident is open.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::correlate::{FINDING_MIN, Finding, Suspect, Trouble, WEAK_MIN, shows_trouble, suspects};
use super::diagnose::{Diagnosis, diagnose};
use super::experience::corrected;
use super::grid::block_start;
use super::lifecycle::Onset;
use super::naming::{Place, onset_hull};
use super::service::Service;
use super::vote::sudden;

/// A step is clear from this many standard units of a block on, in two blocks in a row.
const STEP_MIN: f64 = 4.0;

impl Engine {
    /// Why a service is as it is at the newest closed block, whether or not an incident is open.
    /// None while nothing of it moves, or nothing was judged yet. Cost: that of a diagnosis.
    pub fn explain(&self, service: &str) -> Option<Diagnosis> {
        let at = self.newest()?;
        let trouble = self.troubles_now(at);
        let suspects = suspects(service, &self.state.graph, &trouble);
        let root = suspects.first().map_or(service, |suspect| &suspect.service).to_owned();
        let mut members: BTreeSet<String> = suspects.into_iter().map(|s| s.service).collect();
        members.insert(service.to_owned());
        let all_of = |least| {
            let names = members.iter();
            let mut all: Vec<Finding> =
                names.flat_map(|name| self.found(name, at, least)).collect();
            all.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.place.cmp(&b.place)));
            all
        };
        let mut found = all_of(FINDING_MIN);
        if found.is_empty() {
            found = all_of(WEAK_MIN);
        }
        if found.is_empty() {
            return None;
        }
        let all = || Onset::of(&found, block_start(at.0 + 1));
        let onset = self.onset_of(&root, &found, at).unwrap_or_else(all);
        let onset_range = onset_hull(&found, onset.range);
        let pattern = self.pattern_of(&found, &[], at);
        let place = Place { root, members, findings: found, pattern, onset: onset.at, onset_range };
        let rules = corrected(&self.rules, &self.state.past);
        Some(diagnose(&self.scene(&rules, place, &trouble, at)))
    }

    /// Who may have caused what a service suffers at the newest closed block, most suspicious
    /// first: see [`suspects`]. A service is in trouble here also when it made a clear step in
    /// the last two blocks: whoever asks knows already that something is wrong.
    pub fn suspects(&self, service: &str) -> Vec<Suspect> {
        let Some(at) = self.newest() else { return Vec::new() };
        suspects(service, &self.state.graph, &self.troubles_now(at))
    }

    /// Services in trouble, by what detection says or by a clear step.
    fn troubles_now(&self, at: (i64, u16)) -> BTreeMap<String, Trouble> {
        let mut all = self.troubles(at);
        for (name, service) in &self.state.services {
            let Some(score) = self.step_of(service, at) else { continue };
            let onset = block_start(at.0 - 1);
            let new = Trouble { score, onset, worse_calls: BTreeSet::new() };
            let known = all.entry(name.clone()).or_insert(new);
            known.score = known.score.max(score);
        }
        all
    }

    /// The largest clear step of a service over the roles that show trouble.
    fn step_of(&self, service: &Service, (block, slot): (i64, u16)) -> Option<f64> {
        let tracks = &self.state.tracks.all;
        let at = |block, slot| (block, slot, service.load_at(tracks, block, slot));
        let (newest, before) = (at(block, slot), at(block - 1, self.clock.slot(block - 1)));
        let members = service.members.iter().map(|&place| &tracks[place]);
        members
            .filter(|tracked| shows_trouble(tracked.role))
            .filter_map(|t| sudden(t, &self.rules.signals[t.signal], newest, before))
            .filter(|step| *step >= STEP_MIN)
            .reduce(f64::max)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::tz::TimeZone;

    use super::*;
    use crate::engine::Settings;
    use crate::engine::grid::{BLOCK, PER_DAY, PER_HOUR};
    use crate::rules::{self, Role, Rules, Service as Described, Signal};
    use crate::series::{Batch, Labels, Sample, Series};
    use crate::time::Span;

    const DAYS: i64 = 4;

    /// A site that calls a store and a cache, after four quiet days.
    struct Shop {
        engine: Engine,
        block: i64,
    }

    impl Shop {
        fn new() -> Self {
            let (set, problems) = rules::load(&rules::builtin_causes());
            assert!(!problems.has_errors(), "{}", problems.render(false));
            let calls = ["store", "cache"].map(str::to_owned).into();
            let site = Described { depends_on: calls, ..Described::default() };
            let rules = Rules {
                signals: vec![Signal::plain("p99", Role::Latency)],
                causes: set.causes,
                services: BTreeMap::from([("site".to_owned(), site)]),
                ..Rules::default()
            };
            let settings = Settings {
                interval: BLOCK,
                history: Span::WEEK,
                timezone: TimeZone::UTC,
                alerts_from: block_start(DAYS * PER_DAY),
                pages_url: None,
                source_url: None,
            };
            let mut shop = Self { engine: Engine::new(Arc::new(rules), settings), block: 0 };
            for _ in 0..DAYS * PER_DAY + 6 {
                shop.live([1.0, 1.0, 1.0]);
            }
            shop
        }

        /// One block in which the latencies of site, store and cache are so many times as usual.
        fn live(&mut self, factors: [f64; 3]) {
            let sample = |(name, factor): (&str, f64)| {
                // It stays for an hour, as production's does: detection takes its time then.
                let hour = (self.block / PER_HOUR).to_string();
                let noise = crate::series::stable_hash(&[name, &hour]) % 1_000;
                let noise = f64::from(u16::try_from(noise).unwrap()) / 1_000.0 - 0.5;
                let series = Series::new("p99", name, None, None, Labels::new());
                Sample { series: Arc::new(series), value: 0.2 * factor * (0.1 * noise).exp() }
            };
            let samples = ["site", "store", "cache"].into_iter().zip(factors).map(sample);
            let batch = Batch { span: BLOCK, samples: samples.collect(), ..Batch::default() };
            let _ = self.engine.step(block_start(self.block), &batch);
            self.block += 1;
        }

        fn suspects(&self) -> Vec<String> {
            self.engine.suspects("site").into_iter().map(|suspect| suspect.service).collect()
        }
    }

    #[test]
    fn a_step_has_its_suspects_before_an_incident_opens() {
        let mut shop = Shop::new();
        assert!(shop.suspects().is_empty(), "{:?}", shop.suspects());
        shop.live([1.4, 1.5, 1.0]);
        assert!(shop.suspects().is_empty(), "one block may be an artefact");
        shop.live([1.4, 1.5, 1.0]);
        assert!(shop.engine.incidents().is_empty());
        assert_eq!(shop.suspects(), ["store", "site"]);
        let diagnosis = shop.engine.explain("site").unwrap();
        assert_eq!(diagnosis.causes[0].culprit.service, "store", "{:?}", diagnosis.causes);
        assert!(shop.engine.suspects("cache").is_empty());
        assert!(shop.engine.suspects("nobody").is_empty());
        assert!(shop.engine.explain("nobody").is_none());
    }

    #[test]
    fn a_step_that_is_over_has_no_suspects() {
        let mut shop = Shop::new();
        shop.live([1.4, 1.5, 1.0]);
        shop.live([1.4, 1.5, 1.0]);
        shop.live([1.0, 1.0, 1.0]);
        assert!(shop.suspects().is_empty(), "{:?}", shop.suspects());
    }

    #[test]
    fn before_the_first_tick_nobody_knows_anything() {
        let rules = Arc::new(Rules::default());
        let settings = Settings {
            interval: BLOCK,
            history: Span::WEEK,
            timezone: TimeZone::UTC,
            alerts_from: block_start(0),
            pages_url: None,
            source_url: None,
        };
        let engine = Engine::new(rules, settings);
        assert!(engine.explain("site").is_none());
        assert!(engine.suspects("site").is_empty());
    }
}
