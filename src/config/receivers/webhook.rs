//! `webhook` of a `[[receiver]]`: an address that takes alerts as JSON.

use secrecy::{ExposeSecret as _, SecretString};

use crate::config::Context;
use crate::config::network::{headers, url};
use crate::config::secret::{SecretKeys, pem, secret};
use crate::notify::post::PostConfig;
use crate::notify::webhook::WebhookConfig;
use crate::problem::Table;

const SIGNING_SECRET: SecretKeys = ["signing_secret", "signing_secret_file", "signing_secret_env"];
/// Shorter ones can be guessed by trying.
const SIGNING_SECRET_BYTES_MIN: usize = 16;

pub(super) fn webhook(table: Table<'_>, context: &Context<'_>) -> Option<WebhookConfig> {
    let address = table.required("url", |t, key| {
        url(t, key, &["http", "https"], "https://example.com/hooks/grayflag")
    });
    let headers = headers(&table, context);
    let signing_secret = secret(&table, SIGNING_SECRET, context);
    if let Some(secret) = &signing_secret
        && secret.expose_secret().len() < SIGNING_SECRET_BYTES_MIN
        && let Some(key) = SIGNING_SECRET.into_iter().find(|key| table.has(key))
    {
        let what = format!("must have {SIGNING_SECRET_BYTES_MIN} characters or more");
        let hint = "`openssl rand -hex 32` makes one";
        table.wrong_hint(key, &table.at_value(key), &what, hint);
    }
    let ca_file = pem(&table, "ca_file", context);
    table.finish();
    let url = SecretString::from(address?.as_str());
    Some(WebhookConfig { post: PostConfig { url, headers, ca_file }, signing_secret })
}
