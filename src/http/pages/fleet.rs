//! `GET /`: what is going on, and where it is quiet.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::view::fleet::{Fleet, fleet};
use super::view::rows::{IncidentRow, NoteRow};
use super::view::{Reader, counted, first};
use super::{Asked, asked, or_trouble, read, show};
use crate::http::Api;
use crate::http::problem::Refusal;
use crate::store::{IncidentFilter, Note, NoteKind};
use crate::time::Span;

/// Incidents shown.
const INCIDENTS_MAX: u32 = 20;
/// Notes shown of a kind.
const NOTES_MAX: usize = 8;
/// What was noticed is shown for this long.
const NOTED: Span = Span::WEEK;

/// Which services are looked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    service: String,
}

#[derive(Serialize)]
struct View {
    /// What to say when there is nothing to do; none when there is.
    calm: Option<String>,
    incidents: Vec<IncidentRow>,
    more_incidents: bool,
    /// What creeps.
    crept: Vec<NoteRow>,
    crept_more: usize,
    /// What was loud enough and did not interrupt.
    held_back: Vec<NoteRow>,
    held_more: usize,
    /// Messages that wait, by what holds them.
    waiting: Vec<String>,
    budget: [Used; 2],
    fleet: Fleet,
    /// What was looked for.
    wanted: String,
}

/// What was told in a week, beside what is accepted.
#[derive(Serialize)]
struct Used {
    what: &'static str,
    told: u64,
    accepted: String,
    /// By how much thresholds are raised or lowered for it.
    factor: String,
}

pub(super) async fn page(State(api): State<Api>, params: Asked<Params>) -> Response {
    let wanted = asked(params).service;
    let page = gather(&api, wanted).await;
    or_trouble(&api, page).await
}

async fn gather(api: &Api, wanted: String) -> Result<Response, Refusal> {
    let (now, overview) = ((api.now)(), api.live.overview());
    let week = now - NOTED;
    let (listed, next, notes, begun, waiting) = read(api, move |store| {
        let filter =
            IncidentFilter { open: Some(true), limit: INCIDENTS_MAX, ..IncidentFilter::default() };
        let (mut listed, next) = store.incident_page(&filter)?;
        // The newest word is not the worst.
        listed.incidents.sort_by_key(|one| std::cmp::Reverse(rank(&one.severity)));
        let (notes, begun) = (store.notes(week, now)?, store.begun_since(week)?);
        Ok((listed, next, notes, begun, store.held_counts()?))
    })
    .await?;
    let reader = Reader { now, zone: &api.facts.zone };
    let rows = |kinds: &[NoteKind]| {
        let mut of: Vec<&Note> = notes.iter().filter(|note| kinds.contains(&note.kind)).collect();
        of.sort_by_key(|note| std::cmp::Reverse(note.until));
        first(of.into_iter().map(|note| NoteRow::new(note, reader)).collect(), NOTES_MAX)
    };
    let (crept, crept_more) = rows(&[NoteKind::Crept]);
    let (held_back, held_more) = rows(&[NoteKind::Budget, NoteKind::Habit, NoteKind::Calendar]);
    let used = |place: usize, what| Used {
        what,
        told: begun.get(place).copied().unwrap_or(0),
        accepted: format!("{:.1}", overview.accepted.get(place).copied().unwrap_or(0.0)),
        factor: factor(overview.factors.get(place).copied().unwrap_or(1.0)),
    };
    let quiet = listed.incidents.is_empty() && overview.at.is_some();
    let view = View {
        calm: quiet.then(|| calm(overview.services.len() as u64, !crept.is_empty())),
        incidents: listed.incidents.iter().map(|one| IncidentRow::new(one, reader)).collect(),
        more_incidents: next.is_some(),
        crept,
        crept_more,
        held_back,
        held_more,
        waiting: waiting
            .iter()
            .map(|(by, count)| format!("{} held by {by}", counted(*count, "message")))
            .collect(),
        budget: [used(0, "Ended as notice"), used(1, "Warning or critical")],
        fleet: fleet(&overview, &wanted, &api.facts, reader),
        wanted,
    };
    Ok(show(api, "/", "fleet.html", &view).await)
}

fn rank(severity: &str) -> u8 {
    match severity {
        "critical" => 2,
        "warning" => 1,
        _ => 0,
    }
}

/// The sentence for a good day.
fn calm(services: u64, creeps: bool) -> String {
    let but = if creeps { ", though something creeps" } else { "" };
    format!("All quiet: {} as always, no incident is open{but}.", counted(services, "service"))
}

/// How the fleet's controller moves thresholds; nothing while it leaves them alone.
fn factor(factor: f64) -> String {
    if (factor - 1.0).abs() < 0.05 {
        String::new()
    } else if factor > 1.0 {
        format!("thresholds raised by {:.0}%", 100.0 * (factor - 1.0))
    } else {
        format!("thresholds lowered by {:.0}%", 100.0 * (1.0 - factor))
    }
}
