//! What a message tells of an alert, where, and that it tells it once.

use std::collections::BTreeMap;

use grayflag::engine::alert::Alert;
use grayflag::notify::templates::Templates;
use grayflag::time::Span;

use crate::support::sample;

/// The text of a mail in grayflag's own templates.
fn text(alert: &Alert) -> String {
    Templates::default().message(alert, alert.at).text
}

#[test]
fn what_the_reasons_tell_is_not_told_again_as_what_else_changed() {
    let mut alert = sample("firing");
    let leading = alert.causes.first_mut().unwrap();
    leading.evidence_for.splice(
        0..0,
        [
            "deploy of payments at 01:52 UTC (v41), onset about then [strong]".to_owned(),
            "tenant acme has 83% of the time spent of checkout (usual 21%)".to_owned(),
        ],
    );
    alert.changes.truncate(1);
    let change = &mut alert.changes[0];
    (change.service, change.what) = ("payments".to_owned(), "v41".to_owned());
    let shown = text(&alert);
    assert!(shown.contains("WHAT ELSE CHANGED\n  Nothing more was reported.\n"), "{shown}");
    let at = alert.changes[0].at;
    alert.changes[0].at = at - Span::HOUR;
    let shown = text(&alert);
    assert!(shown.contains("deploy of payments: v41, 00:52 UTC"), "the same, earlier: {shown}");
    alert.changes[0].at = at;
    alert.changes[0].what = "v4".to_owned();
    let part = &mut alert.breakdown[0];
    (part.value, part.service) = ("acm".to_owned(), "checkout".to_owned());
    let shown = text(&alert);
    assert!(shown.contains("deploy of payments: v4,"), "another one: {shown}");
    assert!(
        shown.contains("tenant acm of checkout: 83% of the time spent, usually 21%"),
        "{shown}"
    );
}

#[test]
fn a_service_that_is_blamed_as_a_dependency_is_told_from_its_callers_side() {
    let mut alert = sample("firing");
    let service = alert.service.clone();
    let culprit = &mut alert.causes[0].culprit;
    culprit.service.clone_from(&service);
    culprit.labels = BTreeMap::from([("dependency".to_owned(), service.clone())]);
    let told = format!("{service} as its callers see it");
    assert!(text(&alert).contains(&told));
    alert.causes[0].culprit.labels.clear();
    assert!(!text(&alert).contains(&told));
}

#[test]
fn comparing_comes_before_repairing() {
    let alert = sample("firing");
    let shown = text(&alert);
    let places = ["FIRST TEN MINUTES", "COMPARE", "FIX", "VERIFY", "AVOID"];
    let places = places.map(|heading| shown.find(&format!("{heading}\n")).unwrap());
    assert!(places.is_sorted(), "{shown}");
}
