//! What receivers behind the HTTP API of a service have in common in the configuration.

use secrecy::{ExposeSecret as _, SecretString};

use crate::config::Context;
use crate::config::network::url;
use crate::config::secret::{SecretKeys, pem, secret_url};
use crate::notify::discord::DiscordConfig;
use crate::notify::post::PostConfig;
use crate::notify::teams::TeamsConfig;
use crate::problem::Table;

/// The address of a webhook that a service made for a channel: whoever knows it can post there.
pub(super) const WEBHOOK_URL: SecretKeys = ["webhook_url", "webhook_url_file", "webhook_url_env"];

const TEAMS_EXAMPLE: &str = "https://….environment.api.powerplatform.com/…/triggers/manual/…";
const DISCORD_EXAMPLE: &str = "https://discord.com/api/webhooks/…/…";

/// `teams` of a `[[receiver]]`.
pub(super) fn teams(table: Table<'_>, context: &Context<'_>) -> Option<TeamsConfig> {
    let post = post(&table, TEAMS_EXAMPLE, context);
    table.finish();
    post.map(|post| TeamsConfig { post })
}

/// `discord` of a `[[receiver]]`.
pub(super) fn discord(table: Table<'_>, context: &Context<'_>) -> Option<DiscordConfig> {
    let post = post(&table, DISCORD_EXAMPLE, context);
    table.finish();
    post.map(|post| DiscordConfig { post })
}

/// How a service's webhook is reached.
pub(super) fn post(table: &Table<'_>, example: &str, context: &Context<'_>) -> Option<PostConfig> {
    let url = secret_url(table, WEBHOOK_URL, example, context);
    let ca_file = pem(table, "ca_file", context);
    Some(PostConfig { url: url?, headers: Vec::new(), ca_file })
}

/// The address of a service's API, if it is not the service's own.
pub(super) fn api_url(table: &Table<'_>, own: &str) -> Option<String> {
    if !table.has("api_url") {
        return Some(own.to_owned());
    }
    let address = url(table, "api_url", &["http", "https"], own)?;
    if address.query().is_some() || address.fragment().is_some() {
        table.wrong("api_url", &table.at_value("api_url"), "must end with a path");
        return None;
    }
    Some(address.as_str().trim_end_matches('/').to_owned())
}

/// The address of a service's API where the account's data is kept, `us` or `eu`.
pub(super) fn regional(table: &Table<'_>, us: &str, eu: &str) -> Option<String> {
    let region = table.choice("region", &[("us", us), ("eu", eu)]);
    if table.has("region") && table.has("api_url") {
        let hint = "`api_url` says it all: remove `region`";
        table.wrong_hint("region", &table.at_key("region"), "does not go with `api_url`", hint);
    }
    api_url(table, region.map_or(us, |region| region.value))
}

/// A secret that looks as the service makes them; a problem, which does not show it, if not.
pub(super) fn shaped(
    table: &Table<'_>,
    keys: SecretKeys,
    secret: Option<SecretString>,
    looks: impl Fn(&str) -> bool,
    hint: &str,
) -> Option<SecretString> {
    let secret = secret?;
    if looks(secret.expose_secret()) {
        return Some(secret);
    }
    let key = keys.into_iter().find(|key| table.has(key)).unwrap_or(keys[0]);
    table.wrong_hint(key, &table.at_value(key), "is not of the form that the service gives", hint);
    None
}
