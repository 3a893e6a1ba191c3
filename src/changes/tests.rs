use super::*;
use crate::series::ChangeKind;
use crate::time::Span;

fn rule(by: ChangeBy) -> ChangeRule {
    ChangeRule {
        kind: ChangeKind::Deploy,
        query: "count by (service, version) (app_build_info)".to_owned(),
        service: "service".to_owned(),
        by,
        lasts: None,
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
    // All rows gone for a while, then back: nothing happened, but that the shop is on v7 again.
    assert_eq!(seen.notice(&rule, tick(6), &[]), []);
    let back = seen.notice(&rule, tick(500), &rolling);
    assert_eq!(told(&back), [(tick(5), "shop", "v2")]);
    assert_eq!(back[0].end, Some(tick(5)));
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
        [(tick(11), "web", "app_build_info 7 → 7.5")]
    );
}

#[test]
fn a_bare_number_is_called_by_its_metric() {
    let of = |query: &str| {
        let rule = ChangeRule { query: query.to_owned(), ..rule(ChangeBy::Step) };
        let mut seen = SeenChanges::default();
        assert_eq!(seen.notice(&rule, tick(0), &[row("web", "", 8.0)]), []);
        told(&seen.notice(&rule, tick(1), &[row("web", "", 9.0)]))
            .into_iter()
            .map(|(_, _, what)| what.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(of("max by (service) (config_version)"), ["config_version 8 → 9"]);
    assert_eq!(of("config_version * on (service) info"), ["8 → 9"], "nobody knows which");
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

/// Versions of `web` over time, minute by minute: what was told, as minute, text and end.
fn rolled(versions: &[(i64, &[&str])]) -> Vec<(i64, String, Option<i64>)> {
    let rule = rule(ChangeBy::Appears("version".to_owned()));
    let mut seen = SeenChanges::default();
    let minute = |at: Timestamp| (at - tick(0)).as_secs() / 60;
    let mut all = Vec::new();
    for (n, (from, here)) in versions.iter().enumerate() {
        let until = versions.get(n + 1).map_or(from + 10, |next| next.0);
        for now in *from..until {
            // Another service keeps the query from being without rows.
            let mut rows = vec![row("other", "v1", 1.0)];
            rows.extend(here.iter().map(|version| row("web", version, 1.0)));
            for change in seen.notice(&rule, tick(2 * now), &rows) {
                all.push((minute(change.at), change.what, change.end.map(minute)));
            }
        }
    }
    all
}

fn owned(told: &[(i64, &str, Option<i64>)]) -> Vec<(i64, String, Option<i64>)> {
    told.iter().map(|(at, what, end)| (*at, (*what).to_owned(), *end)).collect()
}

#[test]
fn a_rollout_is_over_when_the_old_version_is_gone() {
    assert_eq!(
        rolled(&[(0, &["v1"]), (3, &["v1", "v2"]), (20, &["v2"])]),
        owned(&[(3, "v2", None), (3, "v2", Some(19))]),
        "the last sight of the old one is the end"
    );
    assert_eq!(
        rolled(&[(0, &["v1"]), (3, &["v1", "v2"]), (20, &["v1"])]),
        owned(&[(3, "v2", None), (3, "v2", Some(19))]),
        "rolled back before it was through"
    );
    assert_eq!(
        rolled(&[(0, &["v1"]), (3, &["v2"])]),
        owned(&[(3, "v2", None), (3, "v2", Some(3))]),
        "all at once: nothing went on"
    );
    assert_eq!(
        rolled(&[
            (0, &["app:1", "side:1"]),
            (3, &["app:1", "app:2", "side:1"]),
            (9, &["app:2", "side:1"])
        ]),
        owned(&[(3, "app:2", None), (3, "app:2", Some(8))]),
        "a second container that stays does not keep it open"
    );
}

#[test]
fn gaps_end_no_rollout_and_a_version_that_is_back_is_news_only_if_it_was_replaced() {
    assert_eq!(
        rolled(&[(0, &["v1"]), (3, &["v1", "v2"]), (5, &["v2"]), (8, &["v1", "v2"])]),
        owned(&[(3, "v2", None)]),
        "three minutes are a failed scrape"
    );
    assert_eq!(
        rolled(&[(0, &["v1"]), (3, &["v1", "v2"]), (5, &[]), (30, &["v1", "v2"])]),
        owned(&[(3, "v2", None)]),
        "nothing of the service is seen: nobody knows"
    );
    assert_eq!(
        rolled(&[
            (0, &["v1"]),
            (3, &["v1", "v2"]),
            (9, &["v2"]),
            (40, &["v1", "v2"]),
            (44, &["v1"])
        ]),
        owned(&[(3, "v2", None), (3, "v2", Some(8)), (40, "v1", None), (40, "v1", Some(43)),]),
        "rolled back later: the old version comes a second time"
    );
}

#[test]
fn a_hotfix_soon_after_a_rollout_is_one_of_its_own() {
    assert_eq!(
        rolled(&[
            (0, &["v1"]),
            (3, &["v1", "v2"]),
            (4, &["v2"]),
            (6, &["v2", "v3"]),
            (20, &["v3"]),
            (60, &["v2", "v3"]),
            (64, &["v2"])
        ]),
        owned(&[
            (3, "v2", None),
            (6, "v3", None),
            (3, "v2", Some(3)),
            (6, "v3", Some(19)),
            (60, "v2", None),
            (60, "v2", Some(63)),
        ]),
        "what had gone before it came does not end it, and rolling back is a change"
    );
    assert_eq!(
        rolled(&[
            (0, &["v1"]),
            (3, &["v1", "v2"]),
            (6, &["v1", "v2", "v3"]),
            (8, &["v2", "v3"]),
            (30, &["v3"])
        ]),
        owned(&[(3, "v2", None), (6, "v3", None), (3, "v2", Some(7)), (6, "v3", Some(29))]),
        "the first rollout still went on"
    );
    assert_eq!(
        rolled(&[
            (0, &["app:1", "side:1"]),
            (3, &["app:1", "app:2", "side:1"]),
            (6, &["app:1", "app:2", "side:1", "side:2"]),
            (9, &["app:2", "side:1", "side:2"]),
            (12, &["app:2", "side:2"]),
            (80, &["app:2", "side:2"])
        ]),
        owned(&[
            (3, "app:2", None),
            (6, "side:2", None),
            (3, "app:2", Some(11)),
            (6, "side:2", Some(11)),
        ]),
        "another container, told after an hour in which nothing else went"
    );
}

#[test]
fn a_change_that_lasts_has_an_end_until_a_better_one_is_known() {
    let mut rule = rule(ChangeBy::Appears("version".to_owned()));
    rule.lasts = Some(Span::from_mins(20));
    let mut seen = SeenChanges::default();
    seen.notice(&rule, tick(0), &[row("web", "v1", 1.0)]);
    let both = [row("web", "v1", 1.0), row("web", "v2", 1.0)];
    let begun = seen.notice(&rule, tick(10), &both);
    assert_eq!(begun[0].end, Some(tick(50)));
    let over = seen.notice(&rule, tick(20), &both[1..]);
    assert_eq!(over.len(), 1);
    assert_eq!((over[0].at, over[0].end), (tick(10), Some(tick(10))));
}
