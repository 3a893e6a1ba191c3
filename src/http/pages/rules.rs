//! `GET /rules`: what is watched, how it fares, and how a change of it is tried.

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::view::rules::{RulesView, rules};
use super::{Asked, asked, or_trouble, read, show};
use crate::http::Api;
use crate::http::problem::Refusal;
use crate::time::Span;

/// Newest incidents in which noise is counted.
const COUNTED: u32 = 200;
/// What a change of rules is tried on.
const TRIED: Span = Span::WEEK;

/// Which rules are looked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    name: String,
}

#[derive(Serialize)]
struct View {
    rules: RulesView,
    wanted: String,
    /// Tries a change over the last week.
    replay: String,
}

pub(super) async fn page(State(api): State<Api>, params: Asked<Params>) -> Response {
    let wanted = asked(params).name;
    let page = gather(&api, wanted).await;
    or_trouble(&api, page).await
}

async fn gather(api: &Api, wanted: String) -> Result<Response, Refusal> {
    let overview = api.live.overview();
    let newest = read(api, |store| {
        let mut newest = store.newest(COUNTED)?;
        // The word about an end tells of no signals: those of the word before it were part.
        for whole in newest.iter_mut().filter(|whole| whole.alert.signals.is_empty()) {
            if let Some(told) = store.last_with_signals(&whole.alert.incident)? {
                whole.alert.signals = told.signals;
            }
        }
        Ok(newest)
    })
    .await?;
    let to = overview.at.unwrap_or_else(|| (api.now)());
    let view = View {
        rules: rules(&api.facts.rules, &overview, &newest, &wanted),
        replay: format!(
            "grayflag replay --config grayflag.toml --against changed.toml --from {} --to {to}",
            to - TRIED
        ),
        wanted,
    };
    Ok(show(api, "/rules", "rules.html", &view).await)
}
