//! `pagerduty` and `opsgenie` of a `[[receiver]]`: services that call people.

use super::posted::{regional, shaped};
use crate::config::Context;
use crate::config::secret::{SecretKeys, pem, required};
use crate::notify::opsgenie::{self, OpsgenieConfig};
use crate::notify::pagerduty::{self, PagerDutyConfig};
use crate::problem::Table;

const ROUTING_KEY: SecretKeys = ["routing_key", "routing_key_file", "routing_key_env"];
const API_KEY: SecretKeys = ["api_key", "api_key_file", "api_key_env"];
/// Characters of every key that PagerDuty makes.
const ROUTING_KEY_CHARS: usize = 32;

/// `pagerduty` of a `[[receiver]]`.
pub(super) fn pagerduty(table: Table<'_>, context: &Context<'_>) -> Option<PagerDutyConfig> {
    let key = required(&table, ROUTING_KEY, context);
    let hint = "take the integration key, 32 letters and digits, of an integration of the kind \
                Events API v2";
    let looks = |key: &str| {
        key.len() == ROUTING_KEY_CHARS && key.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let routing_key = shaped(&table, ROUTING_KEY, key, looks, hint);
    let api_url = regional(&table, pagerduty::API_URL, pagerduty::API_URL_EU);
    let ca_file = pem(&table, "ca_file", context);
    table.finish();
    Some(PagerDutyConfig { api_url: api_url?, routing_key: routing_key?, ca_file })
}

/// `opsgenie` of a `[[receiver]]`.
pub(super) fn opsgenie(table: Table<'_>, context: &Context<'_>) -> Option<OpsgenieConfig> {
    let key = required(&table, API_KEY, context);
    let hint = "take the key of an integration of the kind API";
    let looks = |key: &str| key.bytes().all(|b| b.is_ascii_graphic());
    let api_key = shaped(&table, API_KEY, key, looks, hint);
    let api_url = regional(&table, opsgenie::API_URL, opsgenie::API_URL_EU);
    let ca_file = pem(&table, "ca_file", context);
    table.finish();
    Some(OpsgenieConfig { api_url: api_url?, api_key: api_key?, ca_file })
}
