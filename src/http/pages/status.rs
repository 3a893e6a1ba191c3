//! `GET /status`: whether grayflag itself is well.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::view::rows::NoteRow;
use super::view::{Link, Reader, When, first};
use super::{ask, or_trouble, read, show};
use crate::format;
use crate::http::Api;
use crate::http::problem::Refusal;
use crate::notify::status::Status;
use crate::notify::view::clean;
use crate::store::{ListedMessage, MessageFilter, Note, NoteKind, RowState};
use crate::time::Span;

/// Messages shown that did not arrive.
const DEAD_MAX: u32 = 30;
/// Receivers shown.
const RECEIVERS_MAX: usize = 100;
/// Warnings shown, of the last day.
const WARNINGS_MAX: usize = 20;

#[derive(Serialize)]
struct View {
    version: &'static str,
    ready: bool,
    source: Option<String>,
    interval: String,
    last_tick: Option<When>,
    lag: Option<String>,
    /// Series, services, and services that are judged; none while the engine is at work.
    census: Option<(usize, usize, usize)>,
    warnings: Vec<NoteRow>,
    warnings_more: usize,
    receivers: Vec<Receiver>,
    receivers_more: usize,
    pending: u64,
    held: u64,
    dead: u64,
    given_up: Vec<Message>,
    incidents: (u64, u64),
    size: String,
}

#[derive(Serialize)]
struct Receiver {
    name: String,
    sent: u64,
    failed: u64,
    dead: u64,
    sent_at: Option<When>,
    error: Option<String>,
    rest_until: Option<When>,
}

/// A message that was given up.
#[derive(Serialize)]
struct Message {
    id: String,
    receiver: String,
    incident: Link,
    error: String,
    tried: u32,
    at: When,
}

pub(super) async fn page(State(api): State<Api>) -> Response {
    let page = gather(&api).await;
    or_trouble(&api, page).await
}

async fn gather(api: &Api) -> Result<Response, Refusal> {
    let now = (api.now)();
    let reader = Reader { now, zone: &api.facts.zone };
    let census = ask(api, crate::engine::Engine::census).await;
    let filter = MessageFilter { state: Some("dead"), receiver: None, limit: DEAD_MAX };
    let (last, notes, dead, counts, size) = read(api, move |store| {
        let pending = store.waiting_count(now)?;
        let held = store.pending_count()?.saturating_sub(pending);
        let counts = (pending, held, store.count(RowState::Dead)?, store.incident_counts()?);
        let notes = store.notes(now - Span::DAY, now)?;
        Ok((store.last_tick()?, notes, store.messages(&filter, now)?, counts, store.size()?))
    })
    .await?;
    let (pending, held, dead_count, incidents) = counts;
    let told = |note: &&Note| {
        matches!(note.kind, NoteKind::Unanswered | NoteKind::Beyond | NoteKind::Blind)
    };
    let warnings = notes.iter().filter(told).map(|note| NoteRow::new(note, reader)).collect();
    let (warnings, warnings_more) = first(warnings, WARNINGS_MAX);
    let receivers = api.receivers.all();
    let receivers = receivers.iter().map(|(name, status)| receiver(name, status, reader));
    let (receivers, receivers_more) = first(receivers.collect(), RECEIVERS_MAX);
    let view = View {
        version: env!("CARGO_PKG_VERSION"),
        ready: api.telemetry.ready(now).is_ok(),
        source: api.facts.source_url.clone(),
        interval: api.facts.interval.to_string(),
        last_tick: last.map(|at| reader.moment(at)),
        lag: last.map(|at| (now - at).max(Span::ZERO).rough()),
        census,
        warnings,
        warnings_more,
        receivers,
        receivers_more,
        pending,
        held,
        dead: dead_count,
        given_up: dead.iter().map(|message| given_up(message, reader)).collect(),
        incidents,
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        size: format::value(size as f64, Some("bytes")),
    };
    Ok(show(api, "/status", "status.html", &view).await)
}

fn receiver(name: &str, status: &Status, reader: Reader<'_>) -> Receiver {
    Receiver {
        name: clean(name),
        sent: status.sent,
        failed: status.failed.values().sum(),
        dead: status.dead,
        sent_at: status.sent_at.map(|at| reader.clock(at)),
        error: status.error.as_deref().map(clean),
        rest_until: status.rest_until.map(|at| reader.clock(at)),
    }
}

fn given_up(message: &ListedMessage, reader: Reader<'_>) -> Message {
    let digest = message.incident.strip_prefix("digest/");
    let incident = digest.map_or_else(
        || Link::incident(&message.incident, &message.incident),
        |rest| Link { name: clean(&message.incident), url: format!("/digests/{rest}") },
    );
    Message {
        id: message.id.clone(),
        receiver: clean(&message.receiver),
        incident,
        error: message.last_error.as_deref().map(clean).unwrap_or_default(),
        tried: message.attempts,
        at: reader.clock(message.created_at),
    }
}
