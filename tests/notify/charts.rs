//! Pictures of alerts: golden files, and what must hold whatever an alert and its chart say.

use std::collections::BTreeMap;

use grayflag::engine::alert::{Alert, NearChange};
use grayflag::engine::chart::{Band, Bound, Chart, PANELS_MAX, Panel, VALUES_MAX};
#[cfg(feature = "charts-png")]
use grayflag::notify::chart::png;
use grayflag::notify::chart::{Look, describe, svg};
use grayflag::time::{Span, Timestamp};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use roxmltree::Document;

use crate::support::{golden, sample};

/// A panel that goes its usual way until its onset, and `rise` times as high from then on.
fn panel(chart: &Chart, name: (&str, &str, &str), unit: &str, usual: f32, rise: f32) -> Panel {
    let onset: Timestamp = name.2.parse().unwrap();
    let (mut values, mut expected) = (Vec::new(), Vec::new());
    for n in 0..76_i16 {
        let at = chart.from + chart.step.times(i64::from(n));
        let centre = usual * (1.0 + 0.2 * (f32::from(n) / 20.0).sin());
        let noise = 0.06 * usual * (f32::from(n * n % 17) / 8.0 - 1.0);
        #[expect(clippy::cast_possible_truncation, reason = "a fifth at most")]
        let since = (at - onset).as_hours_f64().clamp(0.0, 0.2) as f32;
        // Two scrapes failed.
        let value = (centre + noise) * (1.0 + 5.0 * since * (rise - 1.0));
        values.push((n != 30 && n != 31).then_some(value));
        expected.push(Some(Band { low: 0.85 * centre, centre, high: 1.18 * centre }));
    }
    Panel {
        service: name.0.to_owned(),
        signal: name.1.to_owned(),
        labels: BTreeMap::new(),
        unit: Some(unit.to_owned()),
        values,
        expected,
        onset,
        threshold: None,
        bound: Bound::Objective,
    }
}

/// What goes with the sample alert `firing`.
fn firing() -> (Chart, Alert) {
    let from = "2026-03-01T20:10:00Z".parse::<Timestamp>().unwrap() - Span::DAY;
    let mut chart = Chart { from, step: Span::from_mins(5), panels: Vec::new() };
    let label = BTreeMap::from([("dependency".to_owned(), "payments".to_owned())]);
    let slow = ("checkout", "dependency-latency-p99", "2026-03-01T02:12:00Z");
    let slow = panel(&chart, slow, "seconds", 0.204, 1.56);
    let felt = ("checkout", "http-latency-p99", "2026-03-01T02:18:00Z");
    let felt = panel(&chart, felt, "seconds", 0.31, 1.35);
    let retries = ("checkout", "retry-share", "2026-03-01T02:21:00Z");
    let retries = panel(&chart, retries, "ratio", 0.011, 3.1);
    let silent = ("payments", "worker-heartbeat", "2026-03-01T02:26:00Z");
    let mut silent = panel(&chart, silent, "", 1.0, 1.0);
    for value in silent.values.iter_mut().skip(75) {
        *value = None;
    }
    chart.panels = vec![
        Panel { labels: label.clone(), ..slow },
        Panel { threshold: Some(0.5), ..felt },
        Panel { labels: label, ..retries },
        silent,
    ];
    (chart, sample("firing"))
}

#[test]
fn pictures_look_as_before() {
    let (chart, alert) = firing();
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    golden("firing.svg", &svg(&chart, &alert, &berlin, Look::System));
    let (mut chart, alert) = (chart, sample("resolved"));
    chart.panels.truncate(1);
    golden("resolved.svg", &svg(&chart, &alert, &TimeZone::UTC, Look::Light));
}

#[cfg(feature = "charts-png")]
#[test]
fn a_picture_for_mail_is_small_and_always_the_same() {
    let (chart, alert) = firing();
    let picture = png(&chart, &alert, &TimeZone::UTC).unwrap();
    assert!(picture.starts_with(b"\x89PNG\r\n\x1a\n"));
    assert!(picture.len() < 60_000, "{}", picture.len());
    assert_eq!(png(&chart, &alert, &TimeZone::UTC).unwrap(), picture);
    assert_eq!(png(&Chart::default(), &alert, &TimeZone::UTC), None);
    assert_eq!(svg(&Chart::default(), &alert, &TimeZone::UTC, Look::System), "");
}

#[cfg(feature = "charts-png")]
#[test]
fn letters_are_drawn_without_fonts_of_the_system() {
    let (mut chart, alert) = firing();
    let picture = png(&chart, &alert, &TimeZone::UTC).unwrap();
    for name in ["dependency-latency-p98", "задержка", "καθυστέρηση"] {
        chart.panels[0].signal = name.to_owned();
        assert_ne!(png(&chart, &alert, &TimeZone::UTC).unwrap(), picture, "{name}");
    }
}

#[test]
fn who_cannot_see_it_is_told() {
    let (chart, alert) = firing();
    let text = describe(&chart, &alert, &TimeZone::UTC);
    for part in [
        "checkout dependency-latency-p99 (payments): ",
        "began to move at Sun 02:12",
        "payments worker-heartbeat: no data, began to move at Sun 02:26",
        "Sun 01:52 deploy of payments: v41",
        "http-latency-p99 crosses its objective at Sun 05:40",
        "Times in UTC",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let drawn = svg(&chart, &alert, &TimeZone::UTC, Look::Light);
    let document = Document::parse(&drawn).unwrap();
    let told = document.root_element().children().find(|node| node.has_tag_name("desc"));
    assert_eq!(told.unwrap().text(), Some(text.as_str()));
}

/// Any number, also those that are none.
fn number() -> impl Strategy<Value = f32> {
    prop_oneof![any::<f32>(), -10.0_f32..10.0, Just(0.0), Just(f32::NAN), Just(f32::MAX)]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        Just("</text><script>alert(1)</script>".to_owned()),
        Just("\"/><image href='http://evil/'/>&amp;\u{0}\u{b}\u{fffe}".to_owned()),
        Just("x".repeat(5_000)),
        Just("服务\u{202e}\u{200b}".repeat(50)),
    ]
}

prop_compose! {
    fn any_panel()(
        (service, signal, label) in (text(), text(), text()),
        unit in proptest::option::of(prop_oneof![
            text(), Just("seconds".to_owned()), Just("bytes".to_owned()), Just("ms".to_owned()),
        ]),
        values in proptest::collection::vec(proptest::option::of(number()), 0..VALUES_MAX + 9),
        bands in proptest::collection::vec(
            proptest::option::of((number(), number(), number())), 0..99),
        onset in any::<i64>(),
        threshold in proptest::option::of(any::<f64>()),
    ) -> Panel {
        let band = |(low, centre, high)| Band { low, centre, high };
        let labels = BTreeMap::from([(label.clone(), label)]);
        let expected = bands.into_iter().map(|b| b.map(band)).collect();
        let onset = Timestamp::from_millis(onset);
        Panel { service, signal, labels, unit, values, expected, onset, threshold, bound: Bound::Objective }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_is_drawn_is_well_formed_and_inert(
        panels in proptest::collection::vec(any_panel(), 0..PANELS_MAX + 2),
        (from, step) in prop_oneof![
            (any::<i64>(), any::<i64>()), Just((1_772_000_000_000, 300_000)),
        ],
        (kind, service, what) in (text(), text(), text()),
        ahead in any::<i64>(),
    ) {
        let from = Timestamp::from_millis(from);
        let mut alert = sample("firing");
        let change = NearChange { kind, service, what, at: from + Span::HOUR };
        alert.changes = vec![change; 20];
        if let (Some(forecast), Some(panel)) = (&mut alert.forecast, panels.first()) {
            forecast.signal.clone_from(&panel.signal);
            forecast.at = from + Span::from_millis(ahead);
        }
        let chart = Chart { from, step: Span::from_millis(step), panels };
        for look in [Look::Light, Look::System] {
            let drawn = svg(&chart, &alert, &TimeZone::UTC, look);
            if chart.panels.is_empty() {
                prop_assert_eq!(&drawn, "");
                continue;
            }
            let document = Document::parse(&drawn)
                .map_err(|problem| TestCaseError::fail(format!("{problem}: {drawn}")))?;
            for node in document.descendants().filter(roxmltree::Node::is_element) {
                let name = node.tag_name().name();
                let ours = ["svg", "title", "desc", "style", "rect", "text", "path", "circle"];
                prop_assert!(ours.contains(&name), "{}", name);
                for attribute in node.attributes() {
                    prop_assert!(!attribute.value().contains("evil"));
                    prop_assert!(!attribute.value().contains("NaN"));
                    prop_assert!(!attribute.value().contains("inf"));
                }
            }
        }
    }
}
