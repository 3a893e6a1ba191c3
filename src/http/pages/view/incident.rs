//! One incident: what happens, why, and what to do.

use std::collections::BTreeSet;

use serde::Serialize;

use super::service::ranges;
use super::signals::{MovedRow, Newest, values_now};
use super::steps::{StepList, steps};
use super::timeline::{Course, Event, timeline};
use super::{Choice, Link, Reader, When, incident_url, lasted};
use crate::engine::alert::{Alert, State};
use crate::engine::chart::Chart;
use crate::http::pages::Facts;
use crate::notify::chart::{self, Look, Plot};
use crate::notify::view::{Cause, View, clean, lateness};
use crate::series::Verdict;
use crate::store::{Acknowledged, Done, Held, Sent, Whole};

/// Signals in the table.
const SIGNALS_MAX: usize = 24;
/// Changes told.
const CHANGES_MAX: usize = 12;
/// Services named.
const SERVICES_MAX: usize = 24;

/// Everything that the file knows of an incident.
pub(in crate::http::pages) struct Known {
    pub(in crate::http::pages) whole: Whole,
    pub(in crate::http::pages) alerts: Vec<Alert>,
    pub(in crate::http::pages) sent: Vec<Sent>,
    /// Alerts that went to nobody.
    pub(in crate::http::pages) unsent: BTreeSet<String>,
    pub(in crate::http::pages) held: Vec<Held>,
    pub(in crate::http::pages) done: Vec<Done>,
    /// The newest alert that tells of signals: once it is over, another than the newest.
    pub(in crate::http::pages) told: Option<Alert>,
    pub(in crate::http::pages) chart: Option<Chart>,
    /// How it stands at the newest tick, while it goes on.
    pub(in crate::http::pages) newest: Newest,
}

/// An incident.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(in crate::http::pages) struct IncidentView {
    id: String,
    url: String,
    severity: &'static str,
    over: bool,
    word: String,
    title: String,
    service: Link,
    /// All of them but the culprit.
    services: Vec<Link>,
    /// What is to blame, where a cause is clear and it is not the only service.
    culprit: Option<Link>,
    began: When,
    began_range: String,
    /// How long it is or was open.
    lasted: String,
    /// When it was seen to be over.
    ended: Option<When>,
    /// When it was told last.
    told: When,
    /// The same as a clock shows it, for values that were true then; none once it is over.
    as_told: Option<When>,
    /// What the signals show now; empty where that is not known.
    now: Vec<String>,
    /// When causes and steps were named.
    named: When,
    /// Whether users are affected; may be empty.
    users: String,
    left: Option<String>,
    acknowledged: Option<Word>,
    held: Vec<String>,
    clear: bool,
    causes: Vec<Cause>,
    /// What else it could be, where that is not among `causes`.
    rival: Option<String>,
    /// What the leading cause is, for who never met it.
    explain: Option<String>,
    changes: Vec<String>,
    breakdown: Vec<String>,
    chart: Option<Picture>,
    signals: Vec<MovedRow>,
    signals_more: usize,
    /// When the signals were told, where the newest alert tells of none.
    signals_told: Option<When>,
    silent: Vec<String>,
    checked: Vec<String>,
    steps: Vec<StepList>,
    timeline: Vec<Event>,
    earlier: usize,
    /// For the form: what can be said, and which causes there are.
    verdicts: Vec<&'static str>,
    known_causes: Vec<String>,
    /// For the form: id of the leading cause, as it is.
    leading: Option<String>,
}

/// Who looks after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Word {
    by: Option<String>,
    at: When,
}

/// The chart, as wide screens and as phones show it.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Picture {
    ranges: Vec<Choice>,
    /// Where its values are.
    values: String,
    drawings: Vec<Drawing>,
}

/// A drawing, with what reading values off it needs.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Drawing {
    id: &'static str,
    /// Where it is shown.
    class: &'static str,
    svg: String,
    from: i64,
    to: i64,
    left: f64,
    right: f64,
    width: f64,
}

/// The page of an incident; `query` asks for the part of its chart that a reader chose.
pub(in crate::http::pages) fn incident(
    known: &Known,
    query: &str,
    facts: &Facts,
    reader: Reader<'_>,
) -> IncidentView {
    let Known { whole, alerts, sent, unsent, held, done, told, chart, newest } = known;
    let alert = &whole.alert;
    let moving = told.as_ref().unwrap_or(alert);
    let view = View::in_zone(alert, reader.now, reader.zone);
    let over = alert.state == State::Resolved;
    let end = if over { alert.at } else { reader.now };
    let course = Course {
        alerts,
        sent,
        unsent,
        acknowledged: whole.acknowledged.as_ref(),
        feedback: &whole.feedback,
        done,
    };
    let (timeline, earlier) = timeline(&course, reader);
    let empty = Chart::default();
    let drawn = chart.as_ref().unwrap_or(&empty);
    let moved: Vec<_> =
        moving.signals.iter().filter(|signal| signal.direction != "silent").collect();
    let row = |signal| MovedRow::new(signal, (newest, drawn), facts, (reader, moving.at));
    let (services, culprit) = services(alert, view.clear);
    IncidentView {
        id: clean(&alert.incident),
        url: incident_url(&alert.incident),
        severity: view.severity,
        over,
        word: if over { "over".to_owned() } else { view.severity.to_owned() },
        now: values_now(&view.headline, moving, newest),
        title: view.headline,
        service: Link::service(&alert.service),
        services,
        culprit,
        began: reader.moment(alert.started_at),
        began_range: view.began_range,
        lasted: lasted(alert.started_at, end),
        ended: over.then(|| reader.moment(alert.at)),
        told: reader.moment(alert.at),
        as_told: (!over).then(|| reader.clock(alert.at)),
        named: reader.clock(alert.named_at.unwrap_or(alert.at)),
        users: view.users,
        left: view.left,
        acknowledged: whole.acknowledged.as_ref().map(|word| acknowledged(word, reader)),
        held: held.iter().map(|held| held_text(held, reader)).collect(),
        clear: view.clear,
        causes: view.causes,
        rival: view.rival,
        explain: explain(alert, facts),
        changes: changes(alert, reader),
        breakdown: view.breakdown,
        chart: picture(drawn, moving, query, reader),
        signals: moved.iter().copied().take(SIGNALS_MAX).map(row).collect(),
        signals_more: moved.len().saturating_sub(SIGNALS_MAX),
        signals_told: (moving.at != alert.at).then(|| reader.clock(moving.at)),
        silent: View::in_zone(moving, reader.now, reader.zone).silent,
        checked: view.checked,
        steps: steps(alert, done, reader),
        timeline,
        earlier,
        verdicts: Verdict::ALL.map(Verdict::name).into(),
        known_causes: facts.rules.causes.iter().map(|cause| cause.id.clone()).collect(),
        leading: alert.causes.first().map(|cause| cause.id.clone()),
    }
}

/// The services in it, and apart from them the culprit where one is clear and others suffer.
fn services(alert: &Alert, clear: bool) -> (Vec<Link>, Option<Link>) {
    let blamed = alert.causes.first().filter(|_| clear).map(|cause| &cause.culprit.service);
    let is_blamed = |name: &&String| blamed == Some(*name);
    let suffers: Vec<&String> = alert.services.iter().filter(|name| !is_blamed(name)).collect();
    let (named, blamed) = if suffers.is_empty() {
        (alert.services.iter().collect(), None)
    } else {
        (suffers, blamed)
    };
    // What is called and not watched has no page.
    let culprit = blamed.map(|name| {
        if alert.services.contains(name) {
            Link::service(name)
        } else {
            Link { name: clean(name), url: String::new() }
        }
    });
    (named.into_iter().take(SERVICES_MAX).map(|name| Link::service(name)).collect(), culprit)
}

/// What else changed, counted from the instant at which the page is read.
fn changes(alert: &Alert, reader: Reader<'_>) -> Vec<String> {
    let told = alert.changes.iter().take(CHANGES_MAX).map(|change| {
        let at = reader.moment(change.at).text;
        let late = lateness(change, alert);
        clean(&format!("{} of {}: {}, {at}{late}", change.kind, change.service, change.what))
    });
    let more = alert.changes.len().saturating_sub(CHANGES_MAX);
    told.chain((more > 0).then(|| format!("and {more} more"))).collect()
}

fn acknowledged(word: &Acknowledged, reader: Reader<'_>) -> Word {
    Word { by: word.by.as_deref().map(clean), at: reader.moment(word.at) }
}

fn held_text(held: &Held, reader: Reader<'_>) -> String {
    let until = reader.clock(held.until).text;
    clean(&format!("{}: held by {} until {until}", held.receiver, held.by))
}

/// What the rules say about the leading cause.
fn explain(alert: &Alert, facts: &Facts) -> Option<String> {
    let leading = alert.causes.first()?;
    let cause = facts.rules.cause(&leading.id)?;
    Some(clean(&cause.explain)).filter(|text| !text.is_empty())
}

fn picture(chart: &Chart, alert: &Alert, query: &str, reader: Reader<'_>) -> Option<Picture> {
    let url = incident_url(&alert.incident);
    let whole =
        Choice { name: "whole incident".to_owned(), url: url.clone(), here: query.is_empty() };
    let lasts = ranges(&url, query.strip_prefix("?range=").unwrap_or_default());
    let looks = [("chart", "broad", Look::Page), ("chart-narrow", "narrow", Look::Narrow)];
    let drawing = |(id, class, look): (&'static str, &'static str, Look)| {
        let Plot { from, to, left, right, width } = chart::plot(chart, alert, look)?;
        let svg = chart::svg(chart, alert, reader.zone, look);
        let (from, to) = (from.as_millis(), to.as_millis());
        Some(Drawing { id, class, svg, from, to, left, right, width })
    };
    Some(Picture {
        ranges: std::iter::once(whole).chain(lasts).collect(),
        values: format!("{url}/values{query}"),
        drawings: looks.into_iter().map(drawing).collect::<Option<_>>()?,
    })
}
