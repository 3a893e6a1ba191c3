//! `GET /status`: whether grayflag itself is well.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::view::rows::NoteRow;
use super::view::{Link, Reader, When, first};
use super::{or_trouble, read, show};
use crate::format;
use crate::http::Api;
use crate::http::problem::Refusal;
use crate::http::reload::{self, Reloads};
use crate::http::status::{Learning, learning};
use crate::notify::status::Status;
use crate::notify::view::clean;
use crate::store::{ListedMessage, MessageFilter, Note, NoteKind};
use crate::time::Span;

/// Messages shown that did not arrive.
const DEAD_MAX: u32 = 30;
/// Receivers shown.
const RECEIVERS_MAX: usize = 100;
/// Characters shown of why a configuration was refused; the log has the rest.
const PROBLEM_CHARS_MAX: usize = 4_000;
/// Warnings shown, of the last day.
const WARNINGS_MAX: usize = 20;

#[derive(Serialize)]
struct View {
    version: &'static str,
    /// Why it is not up to date; none while it is.
    waits: Option<String>,
    source: Option<String>,
    /// Which product answers there.
    flavour: Option<String>,
    /// Why it cannot be read, and since when.
    away: Option<(String, When)>,
    /// Signals without an answer at the newest tick.
    unanswered: usize,
    reloads: Reloaded,
    interval: String,
    last_tick: Option<When>,
    lag: Option<String>,
    learning: Learning,
    /// Until when the past is being read, while it is.
    learning_until: Option<When>,
    warnings: Vec<NoteRow>,
    warnings_more: usize,
    /// Whether nobody is told, because nobody is named.
    nobody: bool,
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

/// Configurations that were read again since the start.
#[derive(Serialize)]
struct Reloaded {
    taken: u64,
    refused: u64,
    /// When the last one came that was not without change.
    at: Option<When>,
    /// What was different in it.
    changes: Vec<String>,
    /// Or why it was refused, line by line as the log says it.
    problem: Option<String>,
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
    let reached = api.progress.reached();
    let learned = learning(&api.live.overview(), &reached);
    let filter = MessageFilter { state: Some("dead"), receiver: None, limit: DEAD_MAX };
    let (last, notes, dead, incidents, figures) = read(api, move |store| {
        let notes = store.notes(now - Span::DAY, now)?;
        let dead = store.messages(&filter, now)?;
        Ok((store.last_tick()?, notes, dead, store.incident_counts()?, store.figures(now)?))
    })
    .await?;
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
        waits: api.telemetry.ready(now).err(),
        source: api.facts.source_url.clone(),
        flavour: reached.flavour.as_deref().map(clean),
        away: reached.away.map(|away| (clean(&away.problem), reader.moment(away.since))),
        unanswered: reached.unanswered.len(),
        reloads: reloads(&api.reloader.told(), reader),
        interval: api.facts.interval.to_string(),
        last_tick: last.map(|at| reader.moment(at)),
        lag: last.map(|at| (now - at).max(Span::ZERO).rough()),
        learning_until: learned.until.map(|at| reader.moment(at)),
        learning: learned,
        warnings,
        warnings_more,
        nobody: api.facts.receivers == 0,
        receivers,
        receivers_more,
        pending: figures.messages("pending"),
        held: figures.messages("held"),
        dead: figures.messages("dead"),
        given_up: dead.iter().map(|message| given_up(message, reader)).collect(),
        incidents,
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        size: format::value(figures.file_bytes as f64, Some("bytes")),
    };
    Ok(show(api, "/status", "status.html", &view).await)
}

fn reloads(told: &Reloads, reader: Reader<'_>) -> Reloaded {
    let (changes, problem) = match &told.last {
        Some(reload::Reloaded::Changed { changes }) => (changes.as_slice(), None),
        Some(reload::Reloaded::Refused { problem }) => (&[][..], Some(problem)),
        Some(reload::Reloaded::Unchanged) | None => (&[][..], None),
    };
    Reloaded {
        taken: told.taken,
        refused: told.refused,
        at: told.at.map(|at| reader.moment(at)),
        changes: changes.iter().map(|line| clean(line)).collect(),
        problem: problem.map(|text| text.trim_end().chars().take(PROBLEM_CHARS_MAX).collect()),
    }
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
