//! What pages are made of beside their text: found at an address that changes with its content,
//! so that browsers keep it for good.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::html::STYLE;
use crate::http::problem::Refusal;
use crate::notify::chart;
use crate::series::stable_hash;

/// What makes pages live.
const SCRIPT: &str = include_str!("app.js");
/// A flag, in the browser's tab.
const ICON: &str = include_str!("icon.svg");

/// Everything there is.
pub(super) struct Assets {
    files: [File; 3],
}

struct File {
    name: &'static str,
    kind: &'static str,
    text: String,
    hash: String,
}

pub(super) static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    // What pages say of charts comes after what charts say of themselves.
    let style = format!("{}\n{STYLE}", chart::stylesheet());
    Assets {
        files: [
            File::new("style.css", "text/css; charset=utf-8", style),
            File::new("app.js", "text/javascript; charset=utf-8", SCRIPT.to_owned()),
            File::new("icon.svg", "image/svg+xml", ICON.to_owned()),
        ],
    }
});

impl File {
    fn new(name: &'static str, kind: &'static str, text: String) -> Self {
        let hash = format!("{:016x}", stable_hash(&[&text]) >> 64);
        Self { name, kind, text, hash }
    }
}

impl Assets {
    /// Where the file of this name is; nowhere for one that there is not.
    pub(super) fn address(&self, name: &str) -> String {
        let file = self.files.iter().find(|file| file.name == name);
        file.map_or_else(String::new, |file| format!("/assets/{}/{name}", file.hash))
    }
}

/// One file. An old address is not found: what it held is gone.
pub(super) async fn asset(path: Result<Path<(String, String)>, PathRejection>) -> Response {
    let file = path.ok().and_then(|Path((hash, name))| {
        ASSETS.files.iter().find(|file| file.name == name && file.hash == hash)
    });
    let Some(file) = file else {
        let refusal = Refusal::new(StatusCode::NOT_FOUND, "there is nothing at this path");
        return refusal.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, file.kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, file.text.as_str()).into_response()
}
