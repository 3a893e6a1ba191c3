//! `GET /digests`, and one of them: what was told day by day and week by week.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::{or_trouble, read, show};
use crate::http::Api;
use crate::http::problem::Refusal;
use crate::notify::digest::Digest;
use crate::notify::digest_view::DigestView;

/// Digests listed: three months of days.
const DIGESTS_MAX: u32 = 100;

#[derive(Serialize)]
struct View {
    digests: Vec<Row>,
    /// How many of them cannot be read.
    unreadable: usize,
    /// Whether there is nobody to send one to.
    nobody: bool,
}

#[derive(Serialize)]
struct Row {
    word: &'static str,
    period: String,
    summary: String,
    url: String,
}

/// The newest digests.
pub(super) async fn list(State(api): State<Api>) -> Response {
    let page = async {
        let stored = read(&api, |store| store.digests(DIGESTS_MAX)).await?;
        let digests: Vec<Digest> =
            stored.iter().filter_map(|json| serde_json::from_str(json).ok()).collect();
        let row = |digest: &Digest| {
            let DigestView { word, period, summary, .. } = DigestView::new(digest, &api.facts.zone);
            // The id begins with `digest/`; the page of one, with `/digests/`.
            let url = digest.id().replacen("digest/", "/digests/", 1);
            Row { word, period, summary, url }
        };
        let unreadable = stored.len() - digests.len();
        let nobody = api.facts.receivers == 0;
        let view = View { digests: digests.iter().map(row).collect(), unreadable, nobody };
        Ok(show(&api, "/digests", "digests.html", &view).await)
    }
    .await;
    or_trouble(&api, page).await
}

/// One digest, whole.
pub(super) async fn one(
    State(api): State<Api>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Response {
    let page = async {
        let nothing = || Refusal::new(StatusCode::NOT_FOUND, "there is no such digest");
        let Ok(Path((every, at))) = path else { return Err(nothing()) };
        let id = format!("digest/{every}/{at}");
        let json = read(&api, move |store| store.digest(&id)).await?.ok_or_else(nothing)?;
        let digest: Digest = serde_json::from_str(&json).map_err(|_| {
            let detail = "another version wrote this digest, and this one cannot read it";
            Refusal::new(StatusCode::NOT_FOUND, detail)
        })?;
        let view = DigestView::new(&digest, &api.facts.zone);
        Ok(show(&api, "/digests", "digest.html", &view).await)
    }
    .await;
    or_trouble(&api, page).await
}
