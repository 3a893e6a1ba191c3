use super::*;
use crate::series::ChangeKind;

fn rule(by: ChangeBy) -> ChangeRule {
    ChangeRule {
        kind: ChangeKind::Deploy,
        query: "count by (service, version) (app_build_info)".to_owned(),
        service: "service".to_owned(),
        by,
    }
}

fn tick(n: i64) -> Timestamp {
    Timestamp::from_secs(1_772_331_000 + 30 * n)
}

fn row<'a>(service: &'a str, what: &'a str, value: f64) -> Row<'a> {
    Row { service, what, value }
}

fn told(changes: &[Change]) -> Vec<(Timestamp, &str, &str)> {
    changes.iter().map(|c| (c.at, c.service.as_str(), c.what.as_str())).collect()
}

#[test]
fn a_version_not_seen_before_is_a_deploy_once() {
    let rule = rule(ChangeBy::Appears("version".to_owned()));
    let mut seen = SeenChanges::default();
    let at_start = [row("web", "v1", 3.0), row("shop", "v7", 2.0)];
    assert_eq!(seen.notice(&rule, tick(0), &[]), [], "no rows yet: not the first sight");
    assert_eq!(seen.notice(&rule, tick(1), &at_start), [], "known, not news");
    assert_eq!(seen.notice(&rule, tick(2), &at_start), []);
    let rolling = [row("web", "v2", 1.0), row("web", "v1", 2.0), row("shop", "v7", 2.0)];
    let changes = seen.notice(&rule, tick(3), &rolling);
    assert_eq!(told(&changes), [(tick(3), "web", "v2")]);
    assert_eq!(changes[0].kind, ChangeKind::Deploy);
    assert_eq!(seen.notice(&rule, tick(4), &rolling), []);
    // Another service's v2 is its own event, and a new service's first version is one too.
    let more = [row("shop", "v2", 1.0), row("new", "v1", 1.0)];
    assert_eq!(
        told(&seen.notice(&rule, tick(5), &more)),
        [(tick(5), "new", "v1"), (tick(5), "shop", "v2")]
    );
    // All rows gone for a while, then back: nothing happened.
    assert_eq!(seen.notice(&rule, tick(6), &[]), []);
    assert_eq!(seen.notice(&rule, tick(500), &rolling), []);
}

#[test]
fn a_time_is_told_once_and_only_if_it_lies_after_the_start() {
    let rule = rule(ChangeBy::Timestamp);
    let mut seen = SeenChanges::default();
    let at = |n: i64| tick(n).as_secs_f64();
    assert_eq!(seen.notice(&rule, tick(10), &[row("web", "", at(4))]), []);
    let rows = [row("web", "", at(12)), row("old", "", at(2)), row("never", "", 0.0)];
    assert_eq!(told(&seen.notice(&rule, tick(13), &rows)), [(tick(12), "web", "")]);
    assert_eq!(seen.notice(&rule, tick(14), &rows), []);
    // Two members that disagree about the last deploy do not make it happen again and again.
    for n in 15..20 {
        let time = if n % 2 == 0 { at(12) } else { at(4) };
        assert_eq!(seen.notice(&rule, tick(n), &[row("web", "", time)]), []);
    }
    // Milliseconds, infinities and not-a-number are no times.
    for value in [at(21) * 1_000.0, f64::INFINITY, f64::NAN, -5.0] {
        assert_eq!(seen.notice(&rule, tick(22), &[row("web", "", value)]), [], "{value}");
    }
    // Planned work may be announced ahead; what is days away is told when it is near.
    let planned = [row("web", "", at(400))];
    assert_eq!(told(&seen.notice(&rule, tick(23), &planned)), [(tick(400), "web", "")]);
    let far = 5 * 24 * 60;
    let later = [row("web", "", at(far))];
    assert_eq!(seen.notice(&rule, tick(24), &later), []);
    let eve = tick(far - 60);
    assert_eq!(told(&seen.notice(&rule, eve, &later)), [(tick(far), "web", "")]);
}

#[test]
fn a_number_that_moves_is_an_event_even_after_a_gap() {
    let rule = rule(ChangeBy::Step);
    let mut seen = SeenChanges::default();
    assert_eq!(seen.notice(&rule, tick(0), &[row("web", "new-search", 0.0)]), []);
    assert_eq!(seen.notice(&rule, tick(1), &[row("web", "new-search", 0.0)]), []);
    assert_eq!(
        told(&seen.notice(&rule, tick(9), &[row("web", "new-search", 1.0)])),
        [(tick(9), "web", "new-search 0 → 1")]
    );
    assert_eq!(seen.notice(&rule, tick(10), &[row("web", "", 7.0)]), [], "first sight of a row");
    assert_eq!(
        told(&seen.notice(&rule, tick(11), &[row("web", "", 7.5)])),
        [(tick(11), "web", "7 → 7.5")]
    );
}

#[test]
fn state_survives_both_encodings_and_rows_come_in_any_order() {
    let rule = rule(ChangeBy::Appears("version".to_owned()));
    let mut seen = SeenChanges::default();
    seen.notice(&rule, tick(0), &[row("web", "v1", 1.0), row("shop", "v1", 1.0)]);
    let mut turned = SeenChanges::default();
    turned.notice(&rule, tick(0), &[row("shop", "v1", 1.0), row("web", "v1", 1.0)]);
    assert_eq!(seen, turned);
    let json = serde_json::to_string(&seen).unwrap();
    let binary = postcard::to_allocvec(&seen).unwrap();
    assert_eq!(serde_json::from_str::<SeenChanges>(&json).unwrap(), seen);
    let mut read: SeenChanges = postcard::from_bytes(&binary).unwrap();
    assert_eq!(read.notice(&rule, tick(1), &[row("web", "v1", 1.0)]), []);
    assert_eq!(read.notice(&rule, tick(2), &[row("web", "v2", 1.0)]).len(), 1);
    read.retain(&[]);
    assert_eq!(read, SeenChanges::default());
}

#[test]
fn memory_is_bounded_and_what_is_here_stays_known() {
    let rule = rule(ChangeBy::Appears("version".to_owned()));
    let mut seen = SeenChanges::default();
    let names: Vec<String> = (0..REMEMBERED_MAX + 100).map(|n| format!("v{n}")).collect();
    let rows: Vec<Row<'_>> = names.iter().map(|name| row("web", name, 1.0)).collect();
    seen.notice(&rule, tick(0), &rows[..REMEMBERED_MAX]);
    // Full, and every value is here: what comes on top is left out rather than told each tick.
    assert_eq!(seen.notice(&rule, tick(1), &rows).len(), 0);
    // Half of them went: the new ones find room, once.
    let here: Vec<Row<'_>> = rows[REMEMBERED_MAX / 2..].to_vec();
    assert_eq!(seen.notice(&rule, tick(2), &here[..REMEMBERED_MAX / 2]).len(), 0);
    assert_eq!(seen.notice(&rule, tick(3), &here).len(), 100);
    assert_eq!(seen.notice(&rule, tick(4), &here).len(), 0);
    let kept: usize = seen.rules.values().map(|seen| seen.count).sum();
    assert!(kept <= REMEMBERED_MAX, "{kept}");
}
