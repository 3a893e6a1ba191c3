//! A sign of life to a service that calls somebody when none comes: Healthchecks.io, Dead Man's
//! Snitch, Cronitor and their like.

use reqwest::header::CONTENT_LENGTH;

use super::error::NotifyError;
use super::post::{PostConfig, Poster};
use super::receiver::ReceiverError;
use crate::time::{Span, Timestamp};

/// Where signs of life go, and how often.
#[derive(Clone, Debug)]
pub struct HeartbeatConfig {
    /// The address, which is a secret: whoever knows it can pretend to be alive.
    pub post: PostConfig,
    /// How it is asked for.
    pub method: Method,
    /// The time between two.
    pub every: Span,
}

/// How an address is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// Without a body.
    #[default]
    Get,
    /// With an empty one.
    Post,
}

/// Ready to be sent.
#[derive(Debug)]
pub struct Heartbeat {
    poster: Poster,
    method: Method,
}

impl Heartbeat {
    /// Sets it up; asks nobody yet.
    ///
    /// # Errors
    ///
    /// When address or certificates cannot be used.
    pub fn new(config: &HeartbeatConfig) -> Result<Self, ReceiverError> {
        let poster = Poster::new("heartbeat", &config.post, &[])?;
        Ok(Self { poster, method: config.method })
    }

    /// Sends one.
    ///
    /// # Errors
    ///
    /// When it was not taken within ten seconds; the text holds no part of the address but the
    /// host.
    pub async fn beat(&self, now: Timestamp) -> Result<(), NotifyError> {
        let url = self.poster.url().clone();
        let request = match self.method {
            Method::Get => self.poster.get(url),
            // Some servers refuse a POST that does not say that it is empty.
            Method::Post => self.poster.post(url).header(CONTENT_LENGTH, 0),
        };
        self.poster.send(request, now).await.map(|_| ())
    }
}
