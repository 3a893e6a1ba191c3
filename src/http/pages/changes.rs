//! `GET /changes`: what was deployed, configured, migrated, planned.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::view::{Link, Reader, When, first, lasted};
use super::{Asked, asked, or_trouble, read, show};
use crate::http::Api;
use crate::http::problem::Refusal;
use crate::notify::view::clean;
use crate::series::Change;
use crate::store::Wanted;

/// Changes shown.
const CHANGES_MAX: u32 = 100;

/// Whose changes are looked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    service: String,
}

#[derive(Serialize)]
struct View {
    changes: Vec<Row>,
    more: usize,
    wanted: String,
    /// Whether only those are listed that were posted, because the engine was at work.
    posted_only: bool,
}

#[derive(Serialize)]
struct Row {
    kind: &'static str,
    service: Link,
    at: When,
    /// How long it went on; none while nobody knows.
    lasted: Option<String>,
    what: String,
}

pub(super) async fn page(State(api): State<Api>, params: Asked<Params>) -> Response {
    let wanted = asked(params).service;
    let page = gather(&api, wanted).await;
    or_trouble(&api, page).await
}

async fn gather(api: &Api, wanted: String) -> Result<Response, Refusal> {
    let known = api.live.ask(|engine| engine.changes().to_vec()).await;
    let posted_only = known.is_none();
    let mut changes: Vec<Change> = known.unwrap_or_default();
    let filter = Wanted { from: None, to: None, service: None, limit: CHANGES_MAX, after: None };
    let posted = read(api, move |store| store.changes(&filter)).await?;
    for posted in posted {
        let same = |one: &Change| {
            let new = &posted.change;
            (one.at, one.kind, &one.service, &one.what)
                == (new.at, new.kind, &new.service, &new.what)
        };
        // The engine hears of what was posted with its next tick.
        if !changes.iter().any(same) {
            changes.push(posted.change);
        }
    }
    changes.retain(|change| wanted.is_empty() || change.service == wanted);
    changes.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.service.cmp(&b.service)));
    let reader = Reader { now: (api.now)(), zone: &api.facts.zone };
    let row = |change: &Change| Row {
        kind: change.kind.name(),
        service: Link::service(&change.service),
        at: reader.moment(change.at),
        lasted: change
            .end
            .filter(|end| change.at < *end)
            .map(|end| format!("lasted {}", lasted(change.at, end))),
        what: clean(&change.what),
    };
    let (changes, more) = first(changes, CHANGES_MAX as usize);
    let view = View { changes: changes.iter().map(row).collect(), more, wanted, posted_only };
    Ok(show(api, "/changes", "changes.html", &view).await)
}
