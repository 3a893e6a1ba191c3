//! What can be drawn of an alert: the series that say most, with what was expected of them.

use super::Engine;
use super::alert::{Alert, MovedSignal};
use super::archive::Archive;
use super::baseline::Load;
use super::chart::{Band, Chart, PANELS_MAX, Panel, VALUES_MAX};
use super::forecast::bound;
use super::grid::{BLOCK, PER_HOUR, block_of, block_start};
use super::history::narrow;
use super::service::Service;
use super::track::Tracked;
use crate::rules::Role;
use crate::time::{Span, Timestamp};

/// What is drawn of the time before the onset: enough to see that this is not as it was.
const BEFORE_BLOCKS: i64 = 6 * PER_HOUR;
/// Blocks of a chart, at most.
#[expect(clippy::cast_possible_wrap, reason = "some hundred")]
const BLOCKS_MAX: i64 = VALUES_MAX as i64;
/// Series of one service that are drawn.
const SERIES_DRAWN_MAX: usize = 48;

/// How many blocks are drawn of a length of time.
fn blocks(back: Span) -> i64 {
    (back.as_millis() / BLOCK.as_millis()).clamp(1, BLOCKS_MAX)
}

impl Engine {
    /// The chart that goes with an alert of the newest tick: from six hours before its onset to
    /// the newest closed block, and the last two days of that if it is more. Series that are
    /// gone are left out; without a series it has no panels.
    ///
    /// # Cost
    ///
    /// A look at the alert's services, and O(values) for at most [`PANELS_MAX`] series.
    pub fn chart(&self, alert: &Alert) -> Chart {
        self.chart_from(alert, block_of(alert.started_at) - BEFORE_BLOCKS)
    }

    /// The same over the time before the newest closed block that a reader asks for, two days at
    /// most.
    pub fn chart_over(&self, alert: &Alert, back: Span) -> Chart {
        let newest = self.newest().map_or(0, |(newest, _)| newest);
        self.chart_from(alert, newest + 1 - blocks(back))
    }

    /// Every series of a service over this time before the newest closed block, two days at most,
    /// in order of series: [`SERIES_DRAWN_MAX`] of them. Their onsets lie behind their values: what
    /// moves, the overview says.
    ///
    /// # Cost
    ///
    /// O(values) for every series, read from the archive.
    pub fn draw_service(&self, name: &str, back: Span) -> Chart {
        let (Some((newest, _)), Some(service)) = (self.newest(), self.state.services.get(name))
        else {
            return Chart::default();
        };
        let to = newest + 1;
        let from = to - blocks(back);
        let mut members: Vec<&Tracked> =
            service.members.iter().map(|&place| &self.state.tracks.all[place]).collect();
        members.sort_by(|a, b| a.series.cmp(&b.series));
        members.truncate(SERIES_DRAWN_MAX);
        let panels = members.into_iter().map(|tracked| {
            let values = tracked.past(&*self.archive, from, to);
            let expected = self.bands(service, tracked, &*self.archive, (from, to));
            self.drawn((service, tracked), (values, expected), block_start(to))
        });
        Chart { from: block_start(from), step: BLOCK, panels: panels.collect() }
    }

    fn chart_from(&self, alert: &Alert, from: i64) -> Chart {
        let Some((newest, _)) = self.newest() else { return Chart::default() };
        let to = newest + 1;
        let from = from.clamp(to - BLOCKS_MAX, newest);
        let found: Vec<(&MovedSignal, &Service, &Tracked)> =
            alert.signals.iter().filter_map(|moved| self.series_of(moved)).collect();
        let mut panels: Vec<Panel> = telling(alert, &found)
            .into_iter()
            .map(|place| self.panel(found[place], from, to))
            .filter(|panel| panel.values.iter().any(Option::is_some))
            .collect();
        panels.sort_by_key(|panel| panel.onset);
        Chart { from: block_start(from), step: BLOCK, panels }
    }

    /// The series that an alert tells of, if it is still there.
    fn series_of<'a>(
        &'a self,
        moved: &'a MovedSignal,
    ) -> Option<(&'a MovedSignal, &'a Service, &'a Tracked)> {
        let service = self.state.services.get(&moved.service)?;
        let mut series = service.judged().map(|place| &self.state.tracks.all[place]);
        let found = series.find(|tracked| {
            tracked.series.signal == moved.signal
                && match self.peer_label(tracked) {
                    // One of them is told; which, is what its label says.
                    Some(label) => {
                        tracked.series.labels.keys().eq(moved.labels.keys())
                            && tracked.series.labels.iter().all(|(name, value)| {
                                name == label || moved.labels.get(name) == Some(value)
                            })
                    }
                    None => tracked.series.labels == moved.labels,
                }
        })?;
        Some((moved, service, found))
    }

    /// The label that names peers, where this is a series of distances between them.
    fn peer_label(&self, tracked: &Tracked) -> Option<&str> {
        tracked.apart.as_ref()?;
        self.rules.signals[tracked.signal].peer.as_deref()
    }

    fn panel(
        &self,
        (moved, service, tracked): (&MovedSignal, &Service, &Tracked),
        from: i64,
        to: i64,
    ) -> Panel {
        let tracks = &self.state.tracks.all;
        let of = tracked.apart.as_ref().map(|apart| apart.of);
        let whole = of.and_then(|of| {
            service.members.iter().map(|&place| &tracks[place]).find(|t| t.series.id == of)
        });
        // A peer that is apart is drawn itself, over what is expected of all of them: how far it
        // is from the others has no unit.
        let values = match whole {
            Some(all) => one_peer(all, self.peer_label(tracked), moved, (from, to)),
            None => tracked.past(&*self.archive, from, to),
        };
        let shown = whole.unwrap_or(tracked);
        let expected = self.bands(service, shown, &*self.archive, (from, to));
        let labels = moved.labels.clone();
        Panel { labels, ..self.drawn((service, shown), (values, expected), moved.onset) }
    }

    /// A series with its values and what was expected of them.
    fn drawn(
        &self,
        (service, tracked): (&Service, &Tracked),
        (values, expected): (Vec<f64>, Vec<Option<Band>>),
        onset: Timestamp,
    ) -> Panel {
        let signal = &self.rules.signals[tracked.signal];
        let (threshold, bound) = bound(tracked, service, &self.rules).unzip();
        Panel {
            service: tracked.series.service.clone(),
            signal: tracked.series.signal.clone(),
            labels: tracked.series.labels.clone(),
            unit: signal.unit.clone(),
            values: values.into_iter().map(|v| v.is_finite().then(|| narrow(v))).collect(),
            expected,
            onset,
            threshold,
            bound: bound.unwrap_or_default(),
        }
    }

    /// What was expected of a series, block by block.
    fn bands(
        &self,
        service: &Service,
        tracked: &Tracked,
        archive: &dyn Archive,
        (from, to): (i64, i64),
    ) -> Vec<Option<Band>> {
        let slots = self.clock.slots(from, to);
        let Some(baseline) = &tracked.baseline else { return vec![None; slots.len()] };
        let loads = if tracked.role == Role::Traffic {
            vec![Load::USUAL; slots.len()]
        } else {
            service.loads(&self.state.tracks.all, archive, from, &slots)
        };
        let band = |(&slot, load): (&u16, Load)| {
            let [low, centre, high] = baseline.usual(slot, load)?.map(narrow);
            Some(Band { low, centre, high })
        };
        slots.iter().zip(loads).map(band).collect()
    }
}

/// The values of the told peer of a series, as far back as peers are remembered.
fn one_peer(
    all: &Tracked,
    label: Option<&str>,
    moved: &MovedSignal,
    (from, to): (i64, i64),
) -> Vec<f64> {
    let mut values = vec![f64::NAN; usize::try_from(to - from).unwrap_or(0)];
    let name = label.and_then(|label| moved.labels.get(label));
    let peer = name.and_then(|name| all.peer(name));
    for (block, value) in peer.iter().flat_map(|peer| peer.recent.iter()) {
        let place = usize::try_from(block - from).ok();
        if let Some(at) = place.and_then(|place| values.get_mut(place)) {
            *at = value;
        }
    }
    values
}

/// Places of the series to draw: the strongest, the one with a forecast, what users feel, and
/// then the next strongest, each signal once as long as there are others.
fn telling(alert: &Alert, found: &[(&MovedSignal, &Service, &Tracked)]) -> Vec<usize> {
    let places = || 0..found.len();
    let ahead = alert.forecast.as_ref().and_then(|forecast| {
        places().find(|&place| forecast.is_about(&found[place].0.service, &found[place].0.signal))
    });
    let felt = places().find(|&place| {
        let (moved, _, tracked) = found[place];
        moved.service == alert.service
            && matches!(tracked.role, Role::Latency | Role::Errors | Role::Goodput)
    });
    let name = |place: usize| (&found[place].0.service, &found[place].0.signal);
    let first_of_its_signal = |&place: &usize| (0..place).all(|other| name(other) != name(place));
    let mut chosen: Vec<usize> = Vec::new();
    let wishes = places().take(1).chain(ahead).chain(felt);
    for place in wishes.chain(places().filter(first_of_its_signal)).chain(places()) {
        if chosen.len() < PANELS_MAX && !chosen.contains(&place) {
            chosen.push(place);
        }
    }
    chosen
}
