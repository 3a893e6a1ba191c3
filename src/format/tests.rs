//! How numbers and times read.

use super::*;

#[test]
fn what_others_wrote_is_one_line_of_bounded_length() {
    assert_eq!(one_line("  v42\n\tby\u{7}  ci\n", 200), "v42 by ci");
    assert_eq!(one_line("a\u{202e}b\u{1b}[31m", 200), "ab [31m");
    let long = one_line(&"é".repeat(1_000), 200);
    assert_eq!((long.chars().count(), long.ends_with('…')), (200, true));
    assert_eq!(one_line("abcd", 4), "abcd");
}

#[test]
fn values_are_written_for_people() {
    for (number, unit, expected) in [
        // Nothing, and less than nothing.
        (0.0, Some("seconds"), "0 s"),
        (-0.0, Some("seconds"), "0 s"),
        (0.0, Some("bytes"), "0 B"),
        (0.0, Some("ratio"), "0%"),
        (0.0, None, "0"),
        (-0.25, Some("seconds"), "-250 ms"),
        (-90.0, Some("seconds"), "-1m30s"),
        // What is no number.
        (f64::NAN, Some("seconds"), "not a number"),
        (f64::NAN, Some("ratio"), "not a number"),
        (f64::INFINITY, None, "infinite"),
        (f64::NEG_INFINITY, Some("bytes"), "minus infinite"),
        // Time, through every unit; rounding up moves to the next one.
        (0.42, Some("seconds"), "420 ms"),
        (0.000_042, Some("seconds"), "42 µs"),
        (3.2e-9, Some("seconds"), "3.2 ns"),
        (1e-12, Some("seconds"), "0.001 ns"),
        (0.999_96, Some("seconds"), "1 s"),
        (1.234_5, Some("seconds"), "1.23 s"),
        (59.99, Some("seconds"), "1m"),
        (95.0, Some("seconds"), "1m35s"),
        (4_800.0, Some("seconds"), "1h20m"),
        (200_000.0, Some("seconds"), "2d8h"),
        (1e300, Some("seconds"), "over 100 years"),
        (420.0, Some("ms"), "420 ms"),
        // Bytes.
        (512.0, Some("bytes"), "512 B"),
        (1_536.0, Some("bytes"), "1.5 KiB"),
        (1_048_575.0, Some("bytes"), "1 MiB"),
        (3.3e9, Some("bytes"), "3.07 GiB"),
        (2e6, Some("bytes_per_second"), "1.91 MiB/s"),
        (1e24, Some("bytes"), "867,000 EiB"),
        // Shares.
        (0.034, Some("ratio"), "3.4%"),
        (0.000_2, Some("share"), "0.02%"),
        (0.000_000_1, Some("ratio"), "1e-5%"),
        (1.0, Some("ratio"), "100%"),
        (12.5, Some("percent"), "12.5%"),
        // Counts and foreign units.
        (1_840.0, None, "1,840"),
        (9_999.0, None, "10k"),
        (1_234_567.0, None, "1.23M"),
        (1e300, None, "1e288T"),
        (0.000_012, None, "1.2e-5"),
        (3.0, Some("connections"), "3 connections"),
        (1_250.0, Some("per_second"), "1,250/s"),
    ] {
        assert_eq!(value(number, unit), expected, "{number} {unit:?}");
    }
    assert_eq!(optional(None, Some("seconds")), "no data");
}

#[test]
fn two_values_side_by_side_are_in_one_unit() {
    for (values, unit, expected) in [
        ([0.0639, 1.45e-4], "per second", ["3.83 per minute", "0.0087 per minute"]),
        (
            [0.25, 1e-6],
            "lines per second",
            ["0.25 lines per second", "under 0.001 lines per second"],
        ),
        ([800.0, 1e-5], "per second", ["800 per second", "under 0.001 per second"]),
        ([3.1, 3.4], "per second", ["3.1 per second", "3.4 per second"]),
        ([0.0, 2e-5], "per_second", ["0/d", "1.73/d"]),
        ([0.0, 0.0], "per second", ["0 per second", "0 per second"]),
        ([1.2, 0.343], "seconds", ["1.2 s", "0.343 s"]),
        ([0.343, 0.001_2], "seconds", ["343 ms", "1.2 ms"]),
        ([95.0, 0.4], "seconds", ["1m35s", "0.4 s"]),
        ([2.0, 2e-6], "seconds", ["2 s", "2 µs"]),
        ([0.4, f64::NAN], "seconds", ["400 ms", "not a number"]),
        ([2_097_152.0, 524_288.0], "bytes", ["2 MiB", "0.5 MiB"]),
        ([4.0 * 1_073_741_824.0, 512.0], "bytes", ["4 GiB", "512 B"]),
        ([0.0, 0.0], "bytes", ["0 B", "0 B"]),
        ([0.5, 0.03], "ratio", ["50%", "3%"]),
    ] {
        assert_eq!(pair(values, Some(unit)), expected, "{values:?} {unit}");
    }
    assert_eq!(optional_pair([None, Some(0.4)], Some("seconds")), ["no data", "400 ms"]);
}

#[test]
fn rare_events_are_counted_over_a_longer_time() {
    for (number, expected) in [
        (1_250.0, "1,250 per second"),
        (0.1, "0.1 per second"),
        (0.0639, "3.83 per minute"),
        (1.45e-4, "0.522 per hour"),
        (2e-5, "1.73 per day"),
        (1e-9, "under 0.001 per day"),
        (0.0, "0 per second"),
    ] {
        assert_eq!(value(number, Some("per second")), expected);
    }
    assert_eq!(value(0.02, Some("lines per second")), "1.2 lines per minute");
}

#[test]
fn probabilities_are_never_certain() {
    for (p, expected) in [
        (0.0, "under 1%"),
        (0.004, "under 1%"),
        (0.71, "71%"),
        (0.995, "over 99%"),
        (1.0, "over 99%"),
        (f64::NAN, "not known"),
    ] {
        assert_eq!(probability(p), expected);
    }
    for (p, expected) in [
        (1.0, "almost certain"),
        (0.95, "almost certain"),
        (0.949, "very likely"),
        (0.71, "likely"),
        (0.5, "about even"),
        (0.449, "unlikely"),
        (0.18, "very unlikely"),
        (0.049, "remote"),
        (f64::NAN, "not known"),
    ] {
        assert_eq!(likelihood(p), expected, "{p}");
    }
    for (p, expected) in [
        (0.000_4, "1 in 2,500"),
        (1e-9, "under 1 in a million"),
        (0.0, "under 1 in a million"),
        (-1.0, "under 1 in a million"),
        (0.9, "not rare"),
        (f64::NAN, "not known"),
    ] {
        assert_eq!(chance(p), expected);
    }
}

#[test]
fn moments_say_how_far_away_they_are() {
    let by: Timestamp = "2026-03-01T02:30:00Z".parse().unwrap();
    for (at, expected) in [
        ("2026-03-01T02:12:00Z", "02:12 UTC (18m ago)"),
        ("2026-03-01T05:40:00Z", "05:40 UTC (in 3h10m)"),
        ("2026-02-27T01:30:00Z", "2026-02-27 01:30 UTC (2d1h ago)"),
        ("2026-03-01T02:30:00Z", "02:30 UTC (now)"),
    ] {
        assert_eq!(moment(at.parse().unwrap(), by, &TimeZone::UTC), expected);
    }
}

#[test]
fn clocks_follow_the_zone_and_name_it() {
    let by: Timestamp = "2026-03-29T02:30:00Z".parse().unwrap();
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    for (at, expected) in [
        // Clocks went forward between the two.
        ("2026-03-29T00:30:00Z", "01:30 CET"),
        ("2026-03-29T01:30:00Z", "03:30 CEST"),
        // The same day in UTC, and not there.
        ("2026-03-29T22:30:00Z", "2026-03-30 00:30 CEST"),
    ] {
        assert_eq!(clock(at.parse().unwrap(), by, &berlin), expected);
    }
}
