//! `POST /-/reload`: asks the daemon to read its configuration again, and says what came of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

use super::Api;
use super::endpoint::{Content, Endpoint, of};
use super::exchange::json;
use super::problem::Refusal;
use crate::time::Timestamp;

/// Wishes that wait; each is served by the same reading anyway.
const WISHES_MAX: usize = 8;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(9);

/// What came of reading the configuration again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Reloaded {
    /// It is in force, or will be with the next tick: what is different.
    Changed {
        /// One line each.
        changes: Vec<String>,
    },
    /// Nothing is different.
    Unchanged,
    /// It cannot be used; the one before stays in force.
    Refused {
        /// Every problem, with its place and remedy.
        problem: String,
    },
}

/// Somebody who waits for the outcome.
pub type Wish = oneshot::Sender<Reloaded>;

/// Reloads since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reloads {
    /// How many were taken up.
    pub taken: u64,
    /// How many were refused.
    pub refused: u64,
    /// When the last one that was not without change came.
    pub at: Option<Timestamp>,
    /// What it came to.
    pub last: Option<Reloaded>,
}

/// The way to whoever reads configurations. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Reloader {
    wishes: Option<mpsc::Sender<Wish>>,
    told: Arc<Mutex<Reloads>>,
}

impl Reloader {
    /// A way, and its other end.
    pub fn new() -> (Self, mpsc::Receiver<Wish>) {
        let (wishes, wished) = mpsc::channel(WISHES_MAX);
        (Self { wishes: Some(wishes), told: Arc::default() }, wished)
    }

    /// Remembers what a reading came to, however it was wished for.
    pub fn remember(&self, at: Timestamp, outcome: &Reloaded) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Reloaded::Unchanged => return,
            Reloaded::Changed { .. } => told.taken += 1,
            Reloaded::Refused { .. } => told.refused += 1,
        }
        told.at = Some(at);
        told.last = Some(outcome.clone());
    }

    /// Reloads since the start.
    pub fn told(&self) -> Reloads {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub(super) const RELOAD: Endpoint = Endpoint {
    refusals: &[422, 501],
    ..Endpoint::post(
        "/-/reload",
        ("reload", "Has the configuration read again, and says what came of it."),
        || post(reload),
        &[(200, Content::Json(of::<Reloaded>))],
    )
};

/// Reads the configuration again.
async fn reload(State(api): State<Api>) -> Result<Response, Refusal> {
    let Some(wishes) = &api.reloader.wishes else {
        let detail = "this daemon was not started from a file that could be read again";
        return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, detail));
    };
    let (wish, answer) = oneshot::channel();
    let busy = || {
        let detail = "the configuration is being read; ask `/api/v1/status` what came of it";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    };
    wishes.try_send(wish).map_err(|_| busy())?;
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(Reloaded::Refused { problem })) => {
            Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, problem))
        }
        Ok(Ok(outcome)) => Ok(json(StatusCode::OK, &outcome)),
        Ok(Err(_)) | Err(_) => Err(busy()),
    }
}
