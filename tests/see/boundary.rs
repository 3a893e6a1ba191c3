use grayflag::rules::See;
use grayflag::time::{Span, Timestamp};
use jiff::tz::TimeZone;

use crate::scene::Stage;
use crate::world::cause;

/// What is said for and against a boundary when the trouble began within so many minutes.
fn looks(zone: &str, onset: &str, minutes: i64) -> (Vec<String>, Vec<String>) {
    let onset: Timestamp = onset.parse().unwrap();
    let stage = Stage {
        onset: [onset, onset + Span::from_mins(minutes)],
        now: onset + Span::HOUR,
        zone: TimeZone::get(zone).unwrap(),
        ..Stage::at(onset)
    };
    let named = stage.named(vec![cause(See::AtBoundary)]).remove(0);
    (named.evidence_for, named.against)
}

fn for_it(zone: &str, onset: &str, minutes: i64) -> String {
    looks(zone, onset, minutes).0.concat()
}

#[test]
fn the_rarest_boundary_is_told() {
    for (onset, told) in [
        ("2026-01-01T00:02:00Z", "the turn of the year"),
        ("2026-04-30T23:55:00Z", "the first of a month"),
        ("2026-03-09T00:00:00Z", "the start of a week"),
        ("2026-03-10T00:05:00Z", "midnight"),
    ] {
        let text = for_it("UTC", onset, 5);
        assert!(text.contains(told) && text.contains("(UTC)"), "{onset}: {text}");
        assert!(text.contains("[strong]"), "{onset}: {text}");
    }
}

#[test]
fn the_configured_zone_has_a_midnight_of_its_own() {
    let text = for_it("Asia/Kolkata", "2026-03-09T18:30:00Z", 5);
    assert!(text.contains("midnight (Asia/Kolkata)"), "{text}");
    let text = for_it("Europe/Berlin", "2026-03-29T01:00:00Z", 5);
    assert!(text.contains("a clock change of Europe/Berlin"), "{text}");
    assert!(!for_it("UTC", "2026-03-29T01:00:00Z", 5).contains("clock change"));
}

#[test]
fn a_full_hour_says_nothing_and_neither_does_a_wide_onset() {
    assert_eq!(looks("UTC", "2026-03-10T14:00:00Z", 0), (vec![], vec![]));
    // Any stretch of two hours holds a full one.
    assert_eq!(looks("UTC", "2026-03-10T13:20:00Z", 120), (vec![], vec![]));
    let (supports, against) = looks("UTC", "2026-03-10T14:27:00Z", 5);
    assert!(supports.is_empty() && against.len() == 1, "{against:?}");
    // Half of a day: at some midnight it may well have been.
    assert_eq!(looks("UTC", "2026-03-10T14:27:00Z", 800), (vec![], vec![]));
}
