//! What templates are tried out with: incidents of every kind, and one that wishes them ill.

use jiff::tz::TimeZone;
use minijinja::value::{Serde, Value};

use crate::engine::alert::{Alert, State};
use crate::notify::digest_view::DigestView;
use crate::notify::sample;
use crate::notify::view::View;
use crate::rules::UNEXPLAINED;
use crate::time::Span;

/// Names that mean something to whatever lays them out.
const HOSTILE: &str = "\r\nBcc: x@example.com <b>&amp;{{ a.title }}</b> *_~`| <!channel> \u{202e}";
/// What templates of digests are called before the dot.
const DIGEST: &str = "digest.";

/// What a template of this name is given.
pub(super) fn of(name: &str) -> Vec<Value> {
    if name.starts_with(DIGEST) {
        let view = DigestView::new(&sample::digest(), &TimeZone::UTC);
        return vec![Value::from(Serde(view))];
    }
    let mut alerts = sample::alerts();
    alerts.extend(alerts.first().map(unclear));
    alerts.extend(alerts.first().map(bare));
    alerts.extend(alerts.first().map(hostile));
    let views = alerts.iter().flat_map(|alert| {
        let in_time = View::new(alert, alert.at);
        let late = View { picture: true, ..View::new(alert, alert.at + Span::HOUR) };
        [in_time, late]
    });
    views.map(|view| Value::from(Serde(view))).collect()
}

/// No cause is clear.
fn unclear(alert: &Alert) -> Alert {
    let mut alert = alert.clone();
    if let Some(leading) = alert.causes.first_mut() {
        UNEXPLAINED.clone_into(&mut leading.id);
    }
    alert
}

/// Nothing is known that may be missing.
fn bare(alert: &Alert) -> Alert {
    Alert {
        state: State::Firing,
        services: vec![alert.service.clone()],
        causes: Vec::new(),
        signals: Vec::new(),
        changes: Vec::new(),
        forecast: None,
        breakdown: Vec::new(),
        steps: crate::rules::Steps::default(),
        checked: Vec::new(),
        links: std::collections::BTreeMap::new(),
        ..alert.clone()
    }
}

/// Every name is an attempt.
fn hostile(alert: &Alert) -> Alert {
    let mut alert = alert.clone();
    for name in [&mut alert.service, &mut alert.title, &mut alert.incident] {
        HOSTILE.clone_into(name);
    }
    for signal in &mut alert.signals {
        HOSTILE.clone_into(&mut signal.signal);
        signal.labels.insert(HOSTILE.to_owned(), HOSTILE.to_owned());
    }
    for change in &mut alert.changes {
        HOSTILE.clone_into(&mut change.what);
    }
    alert
}
