//! Services and series, as many as monitoring can be asked to take.

use crate::engine::overview::{Health, Overview, SeriesStanding};

use super::catalogue as known;
use super::sheet::Sheet;

/// Series with metrics of their own, at five each; the highest scores come first.
pub const SERIES_SHOWN_MAX: usize = 2_000;
/// Services with metrics of their own, at two each; those nearest to an alert come first.
pub const SERVICES_SHOWN_MAX: usize = 2_000;

/// Puts down what is watched.
pub(super) fn put(sheet: &mut Sheet, overview: &Overview) {
    let services = &overview.services;
    let count = |is: &dyn Fn(&Health) -> bool| {
        let series = services.iter().flat_map(|service| &service.series);
        series.filter(|one| is(&one.health)).count() as f64
    };
    let of_health = |health: Health| count(&|one| *one == health);
    sheet.rows(known::SERIES, Health::ALL.map(|health| ([health.name()], of_health(health))));
    sheet.number(known::SERVICES, services.len() as f64);
    sheet.number(known::JUDGED, overview.judged() as f64);
    let silent = services.iter().filter(|service| service.silent_since.is_some()).count();
    sheet.number(known::SILENT, silent as f64);
    standings(sheet, overview);
    scores(sheet, overview);
}

fn standings(sheet: &mut Sheet, overview: &Overview) {
    let with = overview.services.iter().filter_map(|one| Some((&one.service, one.standing?)));
    let mut standings: Vec<_> = with.collect();
    let total = standings.len();
    standings.sort_by(|a, b| b.1.alert.total_cmp(&a.1.alert).then_with(|| a.0.cmp(b.0)));
    standings.truncate(SERVICES_SHOWN_MAX);
    let shown = standings.len();
    sheet.rows(
        known::STANDING,
        standings.iter().flat_map(|(name, standing)| {
            [([name.as_str(), "notices"], standing.notice), ([name, "alerts"], standing.alert)]
        }),
    );
    sheet.number(known::SERVICES_LEFT_OUT, (total - shown) as f64);
}

/// One series with the labels that it has here.
struct Shown<'a> {
    standing: &'a SeriesStanding,
    /// What keeps it apart from others of its signal, without its peer.
    apart: String,
}

fn scores(sheet: &mut Sheet, overview: &Overview) {
    let mut all: Vec<&SeriesStanding> =
        overview.services.iter().flat_map(|service| &service.series).collect();
    let total = all.len();
    all.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.series.cmp(&b.series)));
    all.truncate(SERIES_SHOWN_MAX);
    let all: Vec<Shown<'_>> = all.into_iter().map(Shown::of).collect();
    let rows = |of: fn(&SeriesStanding) -> Option<f64>| {
        let row = move |one| Some((labels(one), of(one.standing)?));
        all.iter().filter_map(row)
    };
    let shown = sheet.rows(known::SCORE, rows(|one| Some(one.score)));
    sheet.rows(known::VALUE, rows(|one| one.value));
    sheet.rows(known::EXPECTED, rows(|one| one.usual.map(|[_, expected, _]| expected)));
    sheet.rows(known::LOW, rows(|one| one.usual.map(|[low, _, _]| low)));
    sheet.rows(known::HIGH, rows(|one| one.usual.map(|[_, _, high]| high)));
    sheet.number(known::SERIES_LEFT_OUT, (total - shown) as f64);
}

impl<'a> Shown<'a> {
    fn of(standing: &'a SeriesStanding) -> Self {
        let series = &standing.series;
        let labels = series.labels.iter();
        let apart: Vec<String> = labels.map(|(name, value)| format!("{name}={value}")).collect();
        Self { standing, apart: apart.join(",") }
    }
}

fn labels<'s>(one: &'s Shown<'_>) -> [&'s str; 4] {
    let series = &one.standing.series;
    [&series.service, &series.signal, one.standing.role.name(), &one.apart]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::detect::budget::Standing;
    use crate::engine::overview::ServiceStanding;
    use crate::rules::Role;
    use crate::series::{Labels, Series};
    use crate::telemetry::Format;

    /// A service with one series per score.
    fn service(name: &str, alert: f64, scores: impl Iterator<Item = f64>) -> ServiceStanding {
        let series = scores.enumerate().map(|(number, score)| {
            let labels = Labels::from([("queue".to_owned(), format!("q{number}"))]);
            SeriesStanding {
                series: Arc::new(Series::new("wait", name, None, None, labels)),
                role: Role::Latency,
                value: Some(2.0),
                usual: (number > 0).then_some([1.0, 1.5, 2.5]),
                score,
                moved: None,
                health: if number > 0 { Health::Judged } else { Health::Learning },
                seen: None,
                peers: 0,
            }
        });
        ServiceStanding {
            service: name.to_owned(),
            standing: Some(Standing { notice: alert * 2.0, alert }),
            weeks: 4.0,
            silent_since: None,
            alerts_left: 1.0,
            incidents: Vec::new(),
            calls: Vec::new(),
            series: series.collect(),
        }
    }

    fn text(services: Vec<ServiceStanding>) -> String {
        let mut sheet = Sheet::default();
        put(&mut sheet, &Overview { services, ..Overview::default() });
        sheet.text(Format::OpenMetrics)
    }

    #[test]
    fn series_are_shown_with_band_and_score() {
        let shown = text(vec![service("web", 0.5, [0.1, 0.7].into_iter())]);
        for line in [
            "grayflag_series{health=\"judged\"} 1.0",
            "grayflag_series{health=\"missing\"} 0.0",
            "grayflag_service_standing{service=\"web\",budget=\"notices\"} 1.0",
            "grayflag_signal_score{service=\"web\",signal=\"wait\",role=\"latency\",series=\"queue=q1\"} 0.7",
            "grayflag_signal_low{service=\"web\",signal=\"wait\",role=\"latency\",series=\"queue=q1\"} 1.0",
            "grayflag_signal_value{service=\"web\",signal=\"wait\",role=\"latency\",series=\"queue=q0\"} 2.0",
            "grayflag_signal_series_left_out 0.0",
        ] {
            assert!(shown.lines().any(|one| one == line), "{line}\n{shown}");
        }
        assert!(!shown.contains(
            "signal_high{service=\"web\",signal=\"wait\",role=\"latency\",series=\"queue=q0\""
        ));
    }

    #[test]
    fn a_large_fleet_is_cut_at_the_lowest_scores_and_says_so() {
        let most = SERIES_SHOWN_MAX + 7;
        let mut services = vec![service("big", 0.1, (0..most).map(|n| n as f64 / most as f64))];
        for number in 0..=SERVICES_SHOWN_MAX {
            services.push(service(
                &format!("s{number:04}"),
                0.2 + number as f64,
                std::iter::empty(),
            ));
        }
        let shown = text(services);
        let rows = |begin: &str| shown.lines().filter(|line| line.starts_with(begin)).count();
        assert_eq!(rows("grayflag_signal_score{"), SERIES_SHOWN_MAX);
        assert!(shown.contains("\ngrayflag_signal_series_left_out 7.0\n"));
        assert!(!shown.contains("series=\"queue=q6\"") && shown.contains("series=\"queue=q7\""));
        assert_eq!(rows("grayflag_service_standing{"), 2 * SERVICES_SHOWN_MAX);
        assert!(shown.contains("\ngrayflag_services_left_out 2.0\n"));
        assert!(!shown.contains("grayflag_service_standing{service=\"big\""), "it is the calmest");
    }
}
