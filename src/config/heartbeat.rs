//! `[heartbeat]`: who calls somebody when no sign of life comes.

use super::Context;
use super::secret::{SecretKeys, pem, secret_url};
use crate::notify::heartbeat::{HeartbeatConfig, Method};
use crate::notify::post::PostConfig;
use crate::problem::Table;
use crate::time::Span;

/// The keys of the address.
const URL: SecretKeys = ["url", "url_file", "url_env"];

/// The time between two unless told otherwise.
pub(super) const EVERY_DEFAULT: Span = Span::MINUTE;
/// More often would be no better sign of life.
const EVERY_MIN: Span = Span::from_secs(10);
/// More seldom, nobody would notice in time.
const EVERY_MAX: Span = Span::DAY;

/// Reads `[heartbeat]`.
pub(super) fn heartbeat(table: Table<'_>, context: &Context<'_>) -> Option<HeartbeatConfig> {
    let url = secret_url(&table, URL, "https://hc-ping.com/…", context);
    let every = table.span_within("every", EVERY_MIN..=EVERY_MAX);
    let method = table.choice("method", &[("get", Method::Get), ("post", Method::Post)]);
    let ca_file = pem(&table, "ca_file", context);
    table.finish();
    Some(HeartbeatConfig {
        post: PostConfig { url: url?, headers: Vec::new(), ca_file },
        method: method.map(|method| method.value).unwrap_or_default(),
        every: every.map_or(EVERY_DEFAULT, |every| every.value),
    })
}
