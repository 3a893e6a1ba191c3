//! The change events of the last weeks: each remembered once, and found again near an onset.

use std::collections::BTreeSet;

use crate::series::Change;
use crate::time::{Span, Timestamp};

/// Change events remembered; the oldest are forgotten first.
const REMEMBERED_MAX: usize = 10_000;
/// Change events older than this are forgotten.
pub const CHANGES_KEPT: Span = Span::from_hours(24 * 35);
/// Change events announced farther ahead than this are left out.
pub const CHANGES_AHEAD: Span = Span::DAY;
/// Changes that were over this long before the earliest onset are still told.
const NEAR: Span = Span::from_hours(6);

/// Adds what became known to what is known, in order of time.
///
/// A change is the same as another with its kind, service, time and text; the newer word on when
/// it was over replaces the older one. Neither the long past nor a clock that is years ahead may
/// crowd out the present, so both are left out. Cost: O(known) per event.
pub(super) fn remember(known: &mut Vec<Change>, news: &[Change], now: Timestamp) {
    for change in news {
        let from = known.partition_point(|other| other.at < change.at);
        let until = known.partition_point(|other| other.at <= change.at);
        match known[from..until].iter().position(|other| same(other, change)) {
            Some(place) => known[from + place].end = change.end,
            None => known.insert(until, change.clone()),
        }
        // Several may begin at one instant: their order must not depend on who came first.
        let until = known.partition_point(|other| other.at <= change.at);
        known[from..until].sort();
    }
    if !news.is_empty() {
        known.retain(|c| now - c.at <= CHANGES_KEPT && c.at - now <= CHANGES_AHEAD);
        let excess = known.len().saturating_sub(REMEMBERED_MAX);
        known.drain(..excess);
    }
}

fn same(a: &Change, b: &Change) -> bool {
    (a.at, a.kind, &a.service, &a.what) == (b.at, b.kind, &b.service, &b.what)
}

/// The changes of some services that began before `now` and were not over for hours at the
/// earliest onset: the `limit` nearest to the onset, in order of time.
pub(super) fn near<'a>(
    known: &'a [Change],
    services: &BTreeSet<String>,
    (earliest, onset): (Timestamp, Timestamp),
    now: Timestamp,
    limit: usize,
) -> Vec<&'a Change> {
    let mut near: Vec<&Change> = known
        .iter()
        .filter(|c| c.at <= now && c.end.unwrap_or(c.at) >= earliest - NEAR)
        .filter(|c| services.contains(&c.service))
        .collect();
    near.sort_by_key(|c| ((c.at - onset).as_millis().abs(), *c));
    near.truncate(limit);
    near.sort();
    near
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::ChangeKind;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_secs(1_772_331_000 + 60 * minute)
    }

    fn change(minute: i64, what: &str, end: Option<i64>) -> Change {
        Change {
            at: at(minute),
            end: end.map(at),
            kind: ChangeKind::Deploy,
            service: "web".to_owned(),
            what: what.to_owned(),
        }
    }

    #[test]
    fn a_change_told_again_is_one_change_with_its_newest_end() {
        let mut known = Vec::new();
        let news = [change(5, "v2", None), change(1, "v1", None), change(5, "b", Some(9))];
        remember(&mut known, &news, at(5));
        remember(&mut known, &[change(5, "v2", Some(30)), change(1, "v1", None)], at(31));
        remember(&mut known, &[change(5, "v2", Some(25))], at(32));
        let wanted = [change(1, "v1", None), change(5, "b", Some(9)), change(5, "v2", Some(25))];
        assert_eq!(known, wanted);
        let mut turned = Vec::new();
        remember(&mut turned, &[news[2].clone(), change(5, "v2", Some(25))], at(32));
        remember(&mut turned, &[news[1].clone()], at(32));
        assert_eq!(turned, wanted);
    }

    #[test]
    fn neither_the_long_past_nor_a_far_future_is_kept() {
        let day = 24 * 60;
        let mut known = Vec::new();
        let news = [change(-36 * day, "old", None), change(-34 * day, "late", None)];
        remember(&mut known, &news, at(0));
        remember(&mut known, &[change(2 * day, "ahead", None)], at(0));
        assert_eq!(known, [change(-34 * day, "late", None)]);
        let many: Vec<Change> = (0..12_000).map(|n| change(n / 60, &n.to_string(), None)).collect();
        remember(&mut known, &many, at(300));
        assert_eq!(known.len(), REMEMBERED_MAX);
        assert_eq!(known.last(), Some(&change(199, "11999", None)));
    }

    #[test]
    fn near_an_onset_are_the_nearest_of_the_incidents_services() {
        let mut known = vec![
            change(-900, "long over", Some(-800)),
            change(-900, "still going on", Some(-10)),
            change(-300, "early", None),
            change(-20, "just before", None),
            change(10, "just after", None),
            change(70, "not yet", None),
        ];
        known.push(Change { service: "other".to_owned(), ..change(0, "not ours", None) });
        let services = BTreeSet::from(["web".to_owned()]);
        let told = |limit| -> Vec<&str> {
            let near = near(&known, &services, (at(0), at(5)), at(60), limit);
            near.into_iter().map(|c| c.what.as_str()).collect()
        };
        assert_eq!(told(9), ["still going on", "early", "just before", "just after"]);
        assert_eq!(told(2), ["just before", "just after"]);
    }
}
