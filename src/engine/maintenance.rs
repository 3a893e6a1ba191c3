//! Planned work: while it lasts nothing is learned of the services that it is on, and whoever is
//! told of what it does may wait until it is over.

use std::collections::BTreeSet;

use super::grid::block_of;
use crate::rules::Maintenance;
use crate::series::{Change, ChangeKind};
use crate::time::{Span, Timestamp};

/// Planned work on one service, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// When it ends.
    pub until: Timestamp,
    /// `maintenance backup`, or `maintenance of checkout` for one that was announced.
    pub name: String,
}

/// The services that are worked on at one instant.
#[derive(Clone, Debug, Default)]
pub(super) struct Planned {
    everything: bool,
    services: BTreeSet<String>,
}

impl Planned {
    pub(super) fn at(at: Timestamp, windows: &[Maintenance], changes: &[Change]) -> Self {
        let open = || windows.iter().filter(|window| window.until(at).is_some());
        let named = open().flat_map(|window| window.services.iter().cloned());
        let announced = announced(changes).filter(|&(_, begin, end)| begin <= at && at < end);
        Self {
            everything: open().any(|window| window.services.is_empty()),
            services: named.chain(announced.map(|(service, ..)| service.to_owned())).collect(),
        }
    }

    /// Whether a service is among them.
    pub(super) fn has(&self, service: &str) -> bool {
        self.everything || self.services.contains(service)
    }
}

/// The work on a service at an instant that lasts longest: of windows that return and of
/// maintenance that was announced with its end.
pub fn work_on(
    service: &str,
    at: Timestamp,
    windows: &[Maintenance],
    changes: &[Change],
) -> Option<Work> {
    let windows = windows.iter().filter(|window| window.concerns(service)).filter_map(|window| {
        Some(Work { until: window.until(at)?, name: format!("maintenance {}", window.name) })
    });
    let changes = announced(changes)
        .filter(|&(about, begin, end)| about == service && begin <= at && at < end)
        .map(|(about, _, until)| Work { until, name: format!("maintenance of {about}") });
    windows.chain(changes).max_by(|a, b| a.until.cmp(&b.until).then(b.name.cmp(&a.name)))
}

/// The blocks from the first to the last of each stretch in which a service is worked on, of
/// those that touch `from..to`. They may overlap.
pub(super) fn blocks(
    service: &str,
    (from, to): (Timestamp, Timestamp),
    windows: &[Maintenance],
    changes: &[Change],
) -> Vec<(i64, i64)> {
    let windows = windows.iter().filter(|window| window.concerns(service));
    let windows = windows.flat_map(|window| window.schedule.within(from, to));
    let changes = announced(changes)
        .filter(|&(about, begin, end)| about == service && begin < to && from < end)
        .map(|(_, begin, end)| (begin, end));
    let last = |end| block_of(end - Span::from_millis(1));
    windows.chain(changes).map(|(begin, end)| (block_of(begin), last(end))).collect()
}

/// Maintenance that was announced, as service, begin and end. Without an end nobody knows how long
/// to wait.
fn announced(changes: &[Change]) -> impl Iterator<Item = (&str, Timestamp, Timestamp)> {
    let work = changes.iter().filter(|change| change.kind == ChangeKind::Maintenance);
    work.filter_map(|change| {
        let end = change.end.filter(|end| change.at < *end)?;
        Some((change.service.as_str(), change.at, end))
    })
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::hours::Schedule;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(name: &str, services: &[&str], hours: &str) -> Maintenance {
        let timezone = TimeZone::get("Europe/Berlin").unwrap();
        Maintenance {
            name: name.to_owned(),
            services: services.iter().map(|name| (*name).to_owned()).collect(),
            schedule: Schedule { hours: vec![hours.parse().unwrap()], timezone },
        }
    }

    fn change(end: Option<&str>) -> Change {
        Change {
            at: at("2026-03-29T00:10:00Z"),
            end: end.map(at),
            kind: ChangeKind::Maintenance,
            service: "web".to_owned(),
            what: "disks".to_owned(),
        }
    }

    #[test]
    fn what_lasts_longest_counts() {
        // Sunday 01:00 to 04:00 in Berlin is two hours long when summer begins.
        let windows =
            [window("backup", &[], "Sun 01:00-04:00"), window("db", &["db"], "00:00-24:00")];
        let work = |service, time: &str, changes: &[Change]| {
            work_on(service, at(time), &windows, changes).map(|work| (work.until, work.name))
        };
        let backup = Some((at("2026-03-29T02:00:00Z"), "maintenance backup".to_owned()));
        assert_eq!(work("web", "2026-03-29T00:30:00Z", &[]), backup);
        assert_eq!(work("web", "2026-03-29T00:30:00Z", &[change(None)]), backup);
        let longer = [change(Some("2026-03-29T03:00:00Z"))];
        let announced = Some((at("2026-03-29T03:00:00Z"), "maintenance of web".to_owned()));
        assert_eq!(work("web", "2026-03-29T00:30:00Z", &longer), announced);
        assert_eq!(work("web", "2026-03-29T02:30:00Z", &longer), announced);
        assert_eq!(work("web", "2026-03-29T03:00:00Z", &longer), None);
        assert_eq!(work("shop", "2026-03-29T02:30:00Z", &longer), None);
        assert_eq!(work("db", "2026-03-29T02:30:00Z", &[]).unwrap().1, "maintenance db");
        let planned = Planned::at(at("2026-03-29T02:30:00Z"), &windows, &longer);
        assert!(planned.has("db") && planned.has("web") && !planned.has("shop"));
        assert!(Planned::at(at("2026-03-29T00:30:00Z"), &windows, &[]).has("shop"));
    }

    #[test]
    fn every_block_that_work_touches_counts() {
        let windows = [window("backup", &["web"], "Sun 01:00-04:00")];
        let changes = [change(Some("2026-03-29T00:16:00Z"))];
        let range = (at("2026-03-22T12:00:00Z"), at("2026-04-05T12:00:00Z"));
        let block = |time: &str| block_of(at(time));
        let want = [
            (block("2026-03-29T00:00:00Z"), block("2026-03-29T01:55:00Z")),
            (block("2026-04-04T23:00:00Z"), block("2026-04-05T01:55:00Z")),
            (block("2026-03-29T00:10:00Z"), block("2026-03-29T00:15:00Z")),
        ];
        assert_eq!(blocks("web", range, &windows, &changes), want);
        assert_eq!(blocks("shop", range, &windows, &changes), []);
    }
}
