//! One series as a small picture, for pages that show many: what was measured over what was
//! expected, without axes. Numbers stand beside it in the page.

use super::markup::Markup;
use super::panel::{extent, is_band, runs};
use super::scale::Values;
use crate::engine::chart::{Band, Chart, Panel};

/// Size of the picture.
const SIZE: (f64, f64) = (240.0, 48.0);
/// Space for half of a line at the edges.
const EDGE: f64 = 2.0;

/// Points of its line, at most: as many as a thumbnail can show.
const POINTS_MAX: usize = 72;
/// What is expected moves slowly: one of so many points is enough of it.
const BAND_EVERY: usize = 3;

/// The picture of a panel of a chart, styled by the page's [`super::stylesheet`]; `about` says
/// what it shows to those who cannot see it. Empty when there is no value.
pub fn outline(chart: &Chart, panel: &Panel, about: &str) -> String {
    let stride = panel.values.len().div_ceil(POINTS_MAX).max(1);
    let values: Vec<Option<f32>> = panel.values.chunks(stride).map(mean).collect();
    if values.iter().all(Option::is_none) {
        return String::new();
    }
    let scale = Values::holding(extent(panel, None, false).into_iter(), (EDGE, SIZE.1 - EDGE));
    let whole = values.len().saturating_sub(1).max(1) as f64;
    let point =
        |place: usize, value: f32| (SIZE.0 * place as f64 / whole, scale.y(f64::from(value)));
    let mut drawing = Markup::default();
    // The newest as well: what is usual now is what a value now is compared with.
    let columns = (0..values.len()).filter(|n| n % BAND_EVERY == 0 || n + 1 == values.len());
    let expected = columns.map(|n| {
        let band = panel.expected.get(n * stride).copied().flatten();
        Some((n, band.filter(is_band)?))
    });
    for (_, run) in runs(expected) {
        let edge = |pick: fn(&Band) -> f32| run.iter().map(move |(n, band)| point(*n, pick(band)));
        let mut around: Vec<_> = edge(|band| band.high).collect();
        around.extend(edge(|band| band.low).collect::<Vec<_>>().into_iter().rev());
        drawing.path("gf-band", &around);
    }
    let starts = |place: usize| {
        chart.from + chart.step.times(i64::try_from(place * stride).unwrap_or(i64::MAX))
    };
    for (from, run) in runs(values.into_iter()) {
        let points: Vec<_> = run.iter().enumerate().map(|(n, v)| point(from + n, *v)).collect();
        let moved = (0..run.len()).position(|n| starts(from + n) >= panel.onset);
        let moved = moved.unwrap_or(run.len());
        if let [alone] = points[..] {
            drawing.dot(if moved == 0 { "gf-moved-dot" } else { "gf-line-dot" }, alone, EDGE);
        }
        drawing.path("gf-line", &points[..moved]);
        drawing.path("gf-moved", &points[moved.saturating_sub(1)..]);
    }
    drawing.small(SIZE, about)
}

/// The mean of what is there.
fn mean(values: &[Option<f32>]) -> Option<f32> {
    let known = || values.iter().flatten().copied().filter(|value| value.is_finite());
    let count = known().count();
    (count > 0).then(|| known().sum::<f32>() / count as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Span, Timestamp};

    fn panel(values: Vec<Option<f32>>, onset: Timestamp) -> (Chart, Panel) {
        let band = Some(Band { low: 0.5, centre: 1.0, high: 1.5 });
        let panel = Panel { expected: vec![band; values.len()], values, onset, ..Panel::default() };
        let from = Timestamp::from_secs(0);
        (Chart { from, step: Span::from_mins(5), panels: Vec::new() }, panel)
    }

    #[test]
    fn many_values_are_a_small_picture_and_none_is_none() {
        let onset = Timestamp::from_secs(300 * 288);
        let (chart, all) = panel(vec![Some(1.0); 576], onset);
        let drawn = outline(&chart, &all, "p99 of <web>");
        let document = roxmltree::Document::parse(&drawn).unwrap();
        let paths = document.descendants().filter(|node| node.has_tag_name("path"));
        let classes: Vec<_> = paths.filter_map(|path| path.attribute("class")).collect();
        assert_eq!(classes, ["gf-band", "gf-line", "gf-moved"]);
        assert_eq!(document.root_element().attribute("aria-label"), Some("p99 of <web>"));
        assert!(drawn.len() < 2_500, "{}", drawn.len());
        let (chart, none) = panel(vec![None, Some(f32::NAN)], onset);
        assert_eq!(outline(&chart, &none, ""), "");
    }
}
