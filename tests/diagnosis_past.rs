//! What a service's own past says about a cause: incidents of the same look, stirs at changes and
//! at the same hour.

#[path = "common/scene.rs"]
mod scene;

use grayflag::engine::alert::Severity;
use grayflag::engine::grid::{PER_DAY, PER_HOUR, block_of, block_start};
use grayflag::engine::past::{Ended, Judged, Past, Pattern, Trace, Way};
use grayflag::engine::service::Service;
use grayflag::rules::{Budget, Cause, Evidence, Role, See, Steps};
use grayflag::series::{Change, ChangeKind, Verdict};
use grayflag::time::{Span, Timestamp};
use jiff::tz::TimeZone;
use scene::Stage;

/// 2026-03-02T00:00:00Z.
const ONSET: Timestamp = Timestamp::from_secs(1_772_409_600);

fn cause(id: &str, see: Option<See>) -> Cause {
    let evidence = see.map(|see| Evidence { see, likely: 0.8, otherwise: 0.2 });
    Cause {
        id: id.to_owned(),
        title: id.to_owned(),
        explain: String::new(),
        prior: 0.1,
        evidence: evidence.into_iter().collect(),
        steps: Steps::default(),
    }
}

/// A service that is watched from `days` before the onset on and stirred at these blocks.
fn stirred(days: i64, onsets: &[i64]) -> Service {
    let mut service = Service::new(&Budget::default());
    service.stirs.follow(block_of(ONSET) - days * PER_DAY, 0.0);
    for &onset in onsets {
        service.stirs.begin(onset);
    }
    service
}

fn pattern() -> Pattern {
    [Role::Latency, Role::PoolWait].map(|role| (("shop".to_owned(), role, Way::Up), 1.0)).into()
}

/// The trouble of a service whose latency and waiting rise.
fn trouble() -> Stage {
    Stage { pattern: pattern(), ..Stage::at(ONSET) }
}

/// What came of looking for one thing: seen, not seen, or not known; and the words for it.
fn look(stage: Stage, see: See) -> (Option<bool>, String) {
    let one = stage.named(vec![cause("it", Some(see))]).remove(0);
    let lists = [(Some(true), one.evidence_for), (Some(false), one.against), (None, one.unknown)];
    let mut told =
        lists.into_iter().filter_map(|(seen, texts)| Some((seen, texts.first()?.clone())));
    told.next().unwrap_or_default()
}

/// A deploy every other day at noon, the newest of them the day before the onset.
fn deploys(count: i64) -> Vec<Change> {
    let at = |n| ONSET - Span::from_hours(12 + 48 * n);
    let change = |n| Change {
        at: at(n),
        end: None,
        kind: ChangeKind::Deploy,
        service: "shop".to_owned(),
        what: format!("v{n}"),
    };
    (0..count).rev().map(change).collect()
}

const WINDOWS: See = See::WindowsWorse { kind: ChangeKind::Deploy };

#[test]
fn stirs_inside_deploy_windows_speak_for_deploys() {
    let changes = deploys(6);
    let mut stirs: Vec<i64> = changes.iter().map(|c| block_of(c.at) + 4).collect();
    // One that has nothing to do with them.
    stirs.insert(3, stirs[3] - PER_HOUR * 9);
    let shop = Some(stirred(30, &stirs));
    let (seen, text) = look(Stage { shop, changes, ..trouble() }, WINDOWS);
    assert_eq!(seen, Some(true), "{text}");
    let said = "6 of the last 7 stirs of shop began within an hour after a deploy; chance would \
                give 0.1 [strong]";
    assert_eq!(text, said);
}

#[test]
fn stirs_anywhere_speak_against_deploys_and_few_say_nothing() {
    let stirs: Vec<i64> = (1..9).rev().map(|n| block_of(ONSET) - n * PER_DAY - 37).collect();
    let with = |stirs: &[i64], changes| {
        let known = Stage { shop: Some(stirred(30, stirs)), changes, ..trouble() };
        look(known, WINDOWS).0
    };
    assert_eq!(with(&stirs, deploys(6)), Some(false));
    assert_eq!(with(&stirs[..2], deploys(6)), None, "two stirs");
    assert_eq!(with(&stirs, deploys(2)), None, "two deploys");
    assert_eq!(with(&stirs[..3], deploys(6)), None, "three misses may be chance");
    let unknown = Stage { changes: deploys(6), ..trouble() };
    assert_eq!(look(unknown, WINDOWS).0, None, "nobody watched");
}

#[test]
fn deploys_all_the_time_explain_nothing() {
    // Every half hour: every stir of the world begins within an hour after one.
    let changes: Vec<Change> = (1..1_000)
        .rev()
        .map(|n| Change { at: ONSET - Span::from_mins(30 * n), ..deploys(1).remove(0) })
        .collect();
    let stirs: Vec<i64> = (1..9).rev().map(|n| block_of(ONSET) - n * PER_DAY - 37).collect();
    let shop = Some(stirred(20, &stirs));
    let (seen, text) = look(Stage { shop, changes, ..trouble() }, WINDOWS);
    assert_eq!(seen, None, "{text}");
}

#[test]
fn stirs_at_the_same_hour_speak_for_the_clock() {
    let daily: Vec<i64> = (1..6).rev().map(|n| block_of(ONSET) - n * PER_DAY + n % 3).collect();
    let look_at = |stirs: &[i64], days| {
        look(Stage { shop: Some(stirred(days, stirs)), ..trouble() }, See::RecursByClock)
    };
    let (seen, text) = look_at(&daily, 10);
    assert_eq!(seen, Some(true), "{text}");
    assert!(text.contains("5 earlier day(s)") && text.contains("01 Mar 00:05 UTC"), "{text}");
    assert_eq!(look_at(&daily[3..], 10).0, Some(true), "two of two");
    assert_eq!(look_at(&daily[4..], 10).0, None, "one day is no habit");
    let others: Vec<i64> = daily.iter().map(|block| block + 5 * PER_HOUR).collect();
    assert_eq!(look_at(&others, 10).0, Some(false), "another hour");
    assert_eq!(look_at(&daily[3..], 2).0, None, "two days are too few to have habits");
    // Twice at this hour, but at every other hour too.
    let restless: Vec<i64> = (1..60).rev().map(|n| block_of(ONSET) - n * PER_HOUR * 5).collect();
    assert_eq!(look_at(&restless, 20).0, None, "no more often than chance");
}

#[test]
fn a_habit_of_the_wall_clock_survives_a_clock_change() {
    // Berlin went to summer time on 29 March 2026: 04:00 local is 03:00 UTC before, 02:00 after.
    let zone = TimeZone::get("Europe/Berlin").ok();
    let onset: i64 = block_of(ONSET) + 28 * PER_DAY + 2 * PER_HOUR;
    let daily: Vec<i64> =
        (1..6).rev().map(|n| onset - n * PER_DAY + if n > 1 { PER_HOUR } else { 0 }).collect();
    let mut shop = Service::new(&Budget::default());
    shop.stirs.follow(onset - 10 * PER_DAY, 0.0);
    for &block in &daily {
        shop.stirs.begin(block);
    }
    let zone = zone.unwrap_or(TimeZone::UTC);
    let stage = Stage { shop: Some(shop), zone, ..Stage::at(block_start(onset)) };
    let told = stage.named(vec![cause("it", Some(See::RecursByClock))]).remove(0).evidence_for;
    assert!(told.iter().any(|text| text.contains("(local time) on 5 earlier")), "{told:?}");
}

fn incident(days_ago: i64, cause: Option<(&str, f64)>, judged: Option<Judged>) -> Ended {
    let onset = ONSET - Span::from_hours(24 * days_ago);
    Ended {
        id: format!("shop-{days_ago}"),
        onset,
        ended: onset + Span::from_mins(130),
        cause: cause.map(|(id, probability)| (id.to_owned(), probability)),
        severity: Severity::Notice,
        peak: 1.1,
        trace: Trace { root: "shop".to_owned(), pattern: pattern(), ..Trace::default() },
        charges: [None, None],
        judged,
    }
}

/// Probability of `a`, and the evidence for it, when these came before.
fn after(incidents: Vec<Ended>) -> (f64, Vec<String>) {
    let mut past = Past::default();
    for incident in incidents {
        past.remember(incident);
    }
    let causes = ["a", "b", "c", "d"].map(|id| cause(id, None)).to_vec();
    let named = Stage { past, ..trouble() }.named(causes);
    let a = named.into_iter().find(|cause| cause.id == "a");
    a.map(|cause| (cause.probability, cause.evidence_for)).unwrap_or_default()
}

#[test]
fn our_own_naming_counts_little_however_often_and_a_persons_counts_much() {
    let said =
        |verdict, cause: Option<&str>| Some(Judged { verdict, cause: cause.map(str::to_owned) });
    let nothing = after(vec![]).0;
    assert!((nothing - 0.25).abs() < 1e-9);
    let once = after(vec![incident(3, Some(("a", 0.9)), None)]);
    assert_eq!(
        once.1,
        ["the same pattern was seen at 2026-02-27 00:00 UTC, lasted 2h10m and was called a"]
    );
    assert!(once.0 > nothing && once.0 < 0.34, "{}", once.0);
    let often = after((1..50).rev().map(|n| incident(n, Some(("a", 0.9)), None)).collect());
    assert!((often.0 - once.0).abs() < 1e-9, "it cannot talk itself into certainty");
    let unclear = after(vec![incident(3, Some(("a", 0.4)), None)]);
    assert_eq!(unclear, (nothing, vec![]));
    let denied = after(vec![incident(3, Some(("a", 0.9)), said(Verdict::False, None))]);
    assert_eq!(denied, (nothing, vec![]));

    let confirmed = || incident(3, Some(("b", 0.9)), said(Verdict::Useful, Some("a")));
    let told = after(vec![confirmed()]);
    assert!(told.0 > 0.35, "{}", told.0);
    assert!(told.1[0].ends_with("and was a (confirmed)"), "{:?}", told.1);
    let twice = after(vec![confirmed(), confirmed()]);
    assert!(twice.0 > told.0, "{} {}", twice.0, told.0);
    let other = || incident(2, None, said(Verdict::Useful, Some("b")));
    let split = after(vec![confirmed(), other(), other()]);
    assert!(split.0 < told.0, "people who disagree: {} {}", split.0, told.0);
}
