//! One incident: what happens, why, and what to do.

use serde::Serialize;

use super::service::ranges;
use super::signals::MovedRow;
use super::steps::{StepList, steps};
use super::timeline::{Course, Event, timeline};
use super::{Choice, Link, Reader, When, incident_url, lasted};
use crate::engine::alert::{Alert, State};
use crate::engine::chart::Chart;
use crate::http::pages::Facts;
use crate::notify::chart::{self, Look, Plot};
use crate::notify::view::{Cause, View, clean};
use crate::series::Verdict;
use crate::store::{Acknowledged, Done, Held, Sent, Whole};

/// Signals in the table.
const SIGNALS_MAX: usize = 24;
/// Services named.
const SERVICES_MAX: usize = 24;

/// Everything that the file knows of an incident.
pub(in crate::http::pages) struct Known {
    pub(in crate::http::pages) whole: Whole,
    pub(in crate::http::pages) alerts: Vec<Alert>,
    pub(in crate::http::pages) sent: Vec<Sent>,
    pub(in crate::http::pages) held: Vec<Held>,
    pub(in crate::http::pages) done: Vec<Done>,
    pub(in crate::http::pages) chart: Option<Chart>,
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
    others: Vec<Link>,
    began: When,
    began_range: String,
    lasted: String,
    /// When it was told last.
    told: When,
    /// Whether users are affected; may be empty.
    users: String,
    left: Option<String>,
    acknowledged: Option<Word>,
    held: Vec<String>,
    clear: bool,
    causes: Vec<Cause>,
    /// What the leading cause is, for who never met it.
    explain: Option<String>,
    changes: Vec<String>,
    breakdown: Vec<String>,
    chart: Option<Picture>,
    signals: Vec<MovedRow>,
    signals_more: usize,
    silent: Vec<String>,
    checked: Vec<String>,
    steps: Vec<StepList>,
    timeline: Vec<Event>,
    earlier: usize,
    feedback: Vec<Opinion>,
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

/// What somebody said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Opinion {
    verdict: &'static str,
    cause: Option<String>,
    note: Option<String>,
    by: Option<String>,
    at: When,
}

/// The page of an incident; `query` asks for the part of its chart that a reader chose.
pub(in crate::http::pages) fn incident(
    known: &Known,
    query: &str,
    facts: &Facts,
    reader: Reader<'_>,
) -> IncidentView {
    let Known { whole, alerts, sent, held, done, chart } = known;
    let alert = &whole.alert;
    let view = View::in_zone(alert, reader.now, reader.zone);
    let over = alert.state == State::Resolved;
    let end = if over { alert.at } else { reader.now };
    let course = Course {
        alerts,
        sent,
        acknowledged: whole.acknowledged.as_ref(),
        feedback: &whole.feedback,
        done,
    };
    let (timeline, earlier) = timeline(&course, reader);
    let empty = Chart::default();
    let drawn = chart.as_ref().unwrap_or(&empty);
    let moved: Vec<_> =
        alert.signals.iter().filter(|signal| signal.direction != "silent").collect();
    let row = |signal| MovedRow::new(signal, drawn, facts, (reader, alert.at));
    let others = alert.services.iter().filter(|service| **service != alert.service);
    IncidentView {
        id: clean(&alert.incident),
        url: incident_url(&alert.incident),
        severity: view.severity,
        over,
        word: if over { "over".to_owned() } else { view.severity.to_owned() },
        title: view.headline,
        service: Link::service(&alert.service),
        others: others.take(SERVICES_MAX).map(|name| Link::service(name)).collect(),
        began: reader.moment(alert.started_at),
        began_range: view.began_range,
        lasted: lasted(alert.started_at, end),
        told: reader.moment(alert.at),
        users: view.users,
        left: view.left,
        acknowledged: whole.acknowledged.as_ref().map(|word| acknowledged(word, reader)),
        held: held.iter().map(|held| held_text(held, reader)).collect(),
        clear: view.clear,
        causes: view.causes,
        explain: explain(alert, facts),
        changes: view.changes,
        breakdown: view.breakdown,
        chart: picture(drawn, alert, query, reader),
        signals: moved.iter().copied().take(SIGNALS_MAX).map(row).collect(),
        signals_more: moved.len().saturating_sub(SIGNALS_MAX),
        silent: view.silent,
        checked: view.checked,
        steps: steps(alert, done, reader),
        timeline,
        earlier,
        feedback: opinions(whole, reader),
        verdicts: Verdict::ALL.map(Verdict::name).into(),
        known_causes: facts.rules.causes.iter().map(|cause| cause.id.clone()).collect(),
        leading: alert.causes.first().map(|cause| cause.id.clone()),
    }
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
    let cause = facts.rules.causes.iter().find(|cause| cause.id == leading.id)?;
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

fn opinions(whole: &Whole, reader: Reader<'_>) -> Vec<Opinion> {
    let text = |text: &Option<String>| text.as_deref().map(clean);
    let opinion = |said: &crate::store::Said| Opinion {
        verdict: said.verdict.name(),
        cause: text(&said.cause),
        note: text(&said.note),
        by: text(&said.by),
        at: reader.clock(said.at),
    };
    whole.feedback.iter().map(opinion).collect()
}
