//! The file in numbers: what counts against the budget, and what is open.

use std::collections::BTreeMap;

use grayflag::engine::alert::{Alert, Severity, State};
use grayflag::series::Verdict;
use grayflag::store::{Opinion, Tick};
use grayflag::time::Span;
use tempfile::TempDir;

use super::{START, alert, open};

fn of(incident: &str, severity: Severity, state: State, minute: i64) -> Alert {
    Alert { severity, ..alert(incident, state, minute) }
}

#[test]
fn what_users_felt_or_somebody_wanted_costs_no_budget() {
    use Severity::{Critical, Notice, Warning};
    use State::{Firing, Resolved, Updated};
    let dir = TempDir::new().unwrap();
    let mut store = open(&dir.path().join("state.db"));
    let empty = store.figures(START).unwrap();
    assert_eq!((empty.charged, empty.snapshot, empty.open.len()), ([0, 0], None, 0));
    let week_ago = -8 * 24 * 60;
    let alerts = [
        of("old", Warning, Firing, week_ago),
        of("notice", Notice, Firing, 0),
        of("grew", Notice, Firing, 1),
        of("grew", Warning, Updated, 2),
        of("felt", Warning, Firing, 3),
        of("felt", Critical, Updated, 4),
        of("wanted", Warning, Firing, 5),
        of("old", Warning, Updated, 6),
        of("over", Warning, Firing, 7),
        of("over", Warning, Resolved, 8),
    ];
    let last_tick = START + Span::from_mins(8);
    let tick = Tick { last_tick, snapshot: None, alerts: &alerts, charts: &[], deliveries: &[] };
    store.commit(&tick).unwrap();
    let say = |verdict| Opinion {
        incident: "wanted".to_owned(),
        verdict,
        cause: None,
        note: None,
        at: START,
        by: None,
    };
    store.give_feedback(&say(Verdict::Useful)).unwrap();
    let figures = store.figures(last_tick).unwrap();
    assert_eq!(figures.charged, [3, 2], "`notice`, `grew` and `over`; the last two interrupted");
    let open = [("critical", 1), ("notice", 1), ("warning", 3)];
    let open: BTreeMap<String, u64> = open.map(|(name, n)| (name.to_owned(), n)).into();
    assert_eq!(figures.open, open);
    assert!(figures.file_bytes >= 4_096);
    store.give_feedback(&say(Verdict::False)).unwrap();
    assert_eq!(store.figures(last_tick).unwrap().charged, [4, 3], "the newest word counts");
    let later = last_tick + Span::WEEK;
    assert_eq!(store.figures(later).unwrap().charged, [0, 0]);
}
