//! `GET /incidents/{id}`: one incident, and the values of its chart.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::view::Reader;
use super::view::incident::{Known, incident};
use super::view::service::range_of;
use super::view::signals::{Newest, range};
use super::{Asked, asked, or_trouble, read, show};
use crate::engine::Engine;
use crate::engine::alert::{Alert, State as Stands};
use crate::engine::chart::{Chart, Panel};
use crate::format;
use crate::http::Api;
use crate::http::exchange::json;
use crate::http::problem::Refusal;
use crate::time::{Span, Timestamp};

/// What time the chart is about: a range by name, or from one instant to another.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    range: Option<String>,
    from: Option<i64>,
    to: Option<i64>,
}

/// A part of a chart.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// What the engine would choose.
    Usual,
    /// The last hours.
    Last(&'static str, Span),
    /// Between two instants.
    Between(Timestamp, Timestamp),
}

impl Part {
    fn of(params: Asked<Params>) -> Self {
        let Params { range, from, to } = asked(params);
        let instants = from.zip(to).filter(|(from, to)| from < to);
        match (range, instants) {
            (_, Some((from, to))) => {
                Self::Between(Timestamp::from_millis(from), Timestamp::from_millis(to))
            }
            (Some(range), None) => {
                let (name, back) = range_of(Some(&range));
                Self::Last(name, back)
            }
            (None, None) => Self::Usual,
        }
    }

    /// As an address asks for it again.
    fn query(self) -> String {
        match self {
            Self::Usual => String::new(),
            Self::Last(name, _) => format!("?range={name}"),
            Self::Between(from, to) => {
                format!("?from={}&to={}", from.as_millis(), to.as_millis())
            }
        }
    }
}

/// As much as a chart can show.
const LONGEST: Span = Span::from_hours(48);

/// The values of a chart, for whoever points at it.
#[derive(Serialize)]
struct Values {
    /// When each begins: milliseconds.
    from: i64,
    /// How far apart they are.
    step: i64,
    /// When each begins, for people.
    at: Vec<String>,
    panels: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    name: String,
    values: Vec<String>,
}

pub(super) async fn page(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    params: Asked<Params>,
) -> Response {
    let page = async {
        let id = incident_id(id)?;
        let part = Part::of(params);
        let known = known(&api, id, part).await?;
        let reader = Reader { now: (api.now)(), zone: &api.facts.zone };
        let view = incident(&known, &part.query(), &api.facts, reader);
        Ok(show(&api, "/incidents", "incident.html", &view).await)
    }
    .await;
    or_trouble(&api, page).await
}

/// The numbers under the picture.
pub(super) async fn values(
    State(api): State<Api>,
    id: Result<Path<String>, PathRejection>,
    params: Asked<Params>,
) -> Response {
    let found = async {
        let known = known(&api, incident_id(id)?, Part::of(params)).await?;
        let chart = known.chart.unwrap_or_default();
        let reader = Reader { now: (api.now)(), zone: &api.facts.zone };
        Ok::<_, Refusal>(json(StatusCode::OK, &numbers(&chart, reader)))
    }
    .await;
    found.unwrap_or_else(IntoResponse::into_response)
}

pub(super) fn incident_id(id: Result<Path<String>, PathRejection>) -> Result<String, Refusal> {
    let wrong = |_| Refusal::new(StatusCode::NOT_FOUND, "the id of an incident is text in UTF-8");
    id.map(|Path(id)| id).map_err(wrong)
}

/// Everything that is known of an incident. What goes on is told as it is now, and drawn so if the
/// engine answers; what is over, as its signals were told last: the word about its end has none.
async fn known(api: &Api, id: String, part: Part) -> Result<Known, Refusal> {
    let mut known = read(api, move |store| {
        let whole = store.incident(&id)?;
        let alerts = store.alerts_of(&id)?;
        Ok(Known {
            sent: store.sent(&id)?,
            unsent: store.sent_to_nobody(&alerts)?,
            held: store.held(&id)?,
            done: store.done_steps(&id)?,
            told: store.last_with_signals(&id)?,
            chart: store.last_chart(&id)?,
            newest: Newest::default(),
            alerts,
            whole,
        })
    })
    .await?;
    if known.whole.alert.state != Stands::Resolved {
        known.newest.overview = api.live.overview();
        let alert = known.told.as_ref().unwrap_or(&known.whole.alert).clone();
        let now = api.live.ask(move |engine| draw(engine, &alert, part)).await;
        if let Some(now) = now.filter(|chart| !chart.panels.is_empty()) {
            known.newest.chart = now.clone();
            known.chart = Some(now);
        }
    }
    if let Some(chart) = &mut known.chart {
        cut(chart, part);
    }
    Ok(known)
}

fn draw(engine: &Engine, alert: &Alert, part: Part) -> Chart {
    match part {
        Part::Usual => engine.chart(alert),
        Part::Last(_, back) => engine.chart_over(alert, back),
        Part::Between(..) => engine.chart_over(alert, LONGEST),
    }
}

/// A part of a chart; never less than an hour of it, and all of it where the part lies outside.
fn cut(chart: &mut Chart, part: Part) {
    let blocks = chart.panels.iter().map(|panel| panel.values.len()).max().unwrap_or(0);
    let step = chart.step.as_millis().max(1);
    let place = |at: Timestamp| {
        usize::try_from((at - chart.from).as_millis() / step).unwrap_or(0).min(blocks)
    };
    let least = usize::try_from(Span::HOUR.as_millis() / step).unwrap_or(1).max(1);
    let (begin, end) = match part {
        Part::Usual => return,
        Part::Last(_, back) => {
            let kept = usize::try_from(back.as_millis() / step).unwrap_or(blocks);
            (blocks.saturating_sub(kept.max(1)), blocks)
        }
        Part::Between(_, to) if to <= chart.from => return,
        Part::Between(from, to) => {
            let begin = place(from);
            (begin, place(to).max(begin + least).min(blocks))
        }
    };
    if end <= begin {
        return;
    }
    for panel in &mut chart.panels {
        panel.values = part_of(&panel.values, begin, end);
        panel.expected = part_of(&panel.expected, begin, end);
    }
    chart.from = chart.from + chart.step.times(i64::try_from(begin).unwrap_or(0));
}

fn part_of<T: Copy>(all: &[T], begin: usize, end: usize) -> Vec<T> {
    all.iter().copied().take(end).skip(begin).collect()
}

fn numbers(chart: &Chart, reader: Reader<'_>) -> Values {
    let longest = chart.panels.iter().map(|panel| panel.values.len()).max().unwrap_or(0);
    let starts = (0..longest).map(|n| chart.from + chart.step.times(i64::try_from(n).unwrap_or(0)));
    Values {
        from: chart.from.as_millis(),
        step: chart.step.as_millis(),
        at: starts.map(|at| reader.clock(at).text).collect(),
        panels: chart.panels.iter().map(line).collect(),
    }
}

fn line(panel: &Panel) -> Line {
    let unit = panel.unit.as_deref();
    let text = |value: f32| format::value(f64::from(value), unit);
    let values = panel.values.iter().enumerate().map(|(place, value)| {
        let now = value.map_or_else(|| "no data".to_owned(), text);
        match panel.expected.get(place).copied().flatten() {
            Some(band) => {
                let usual = [band.low, band.centre, band.high].map(f64::from);
                format!("{now}, usually {}", range(usual, unit))
            }
            None => now,
        }
    });
    Line { name: format::one_line(&panel.signal, 80), values: values.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::sample;

    #[test]
    fn a_cut_chart_keeps_its_end() {
        let whole = sample::chart();
        let mut part = whole.clone();
        cut(&mut part, Part::Last("1h", Span::HOUR));
        let (before, after) = (&whole.panels[0], &part.panels[0]);
        assert_eq!(after.values.len(), 12);
        assert_eq!(after.values[..], before.values[before.values.len() - 12..]);
        let end = |chart: &Chart, panel: &Panel| {
            chart.from + chart.step.times(i64::try_from(panel.values.len()).unwrap())
        };
        assert_eq!(end(&part, after), end(&whole, before));
        let mut same = whole.clone();
        cut(&mut same, Part::Last("1w", Span::WEEK));
        assert_eq!(same, whole);
        let from = whole.from + Span::HOUR;
        cut(&mut same, Part::Between(from, from + Span::HOUR));
        assert_eq!((same.from, same.panels[0].values.len()), (from, 12));
        let outside = Part::Between(from - Span::WEEK, from - Span::DAY);
        same = whole.clone();
        cut(&mut same, outside);
        assert_eq!(same, whole);
    }
}
