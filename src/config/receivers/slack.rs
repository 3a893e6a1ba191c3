//! `slack` of a `[[receiver]]`: the webhook of a channel, or an app.

use super::posted::{WEBHOOK_URL, api_url, post, shaped};
use crate::config::Context;
use crate::config::secret::{SecretKeys, given, pem, required};
use crate::notify::slack::{API_URL, SlackApp, SlackConfig};
use crate::problem::Table;

const TOKEN: SecretKeys = ["token", "token_file", "token_env"];
const WEBHOOK_EXAMPLE: &str = "https://hooks.slack.com/services/T…/B…/…";

pub(super) fn slack(table: Table<'_>, context: &Context<'_>) -> Option<SlackConfig> {
    let (hook, app) = (given(&table, WEBHOOK_URL), given(&table, TOKEN));
    let found = match (hook, app) {
        (true, false) => post(&table, WEBHOOK_EXAMPLE, context).map(SlackConfig::Webhook),
        (false, true) => slack_app(&table, context).map(SlackConfig::App),
        _ => {
            // What belongs to either way is no mistake of its own beside this one.
            table.know(&WEBHOOK_URL);
            table.know(&TOKEN);
            table.know(&["channel", "api_url", "ca_file"]);
            if !table.has_unknown() {
                let which = if hook {
                    "both `webhook_url` and `token`"
                } else {
                    "neither `webhook_url` nor `token`"
                };
                let message = format!("{which} {}", table.whereabouts());
                let hint = "write `webhook_url` (every message is a new one), or `token` and \
                            `channel` (a message changes as its incident moves)";
                table.report(table.error(table.at(), message).hint(hint));
            }
            None
        }
    };
    table.finish();
    found
}

fn slack_app(table: &Table<'_>, context: &Context<'_>) -> Option<SlackApp> {
    let token = required(table, TOKEN, context);
    let hint = "the bot user's token begins with `xoxb-`: see OAuth & Permissions of the app";
    let looks =
        |token: &str| token.starts_with("xox") && token.bytes().all(|b| b.is_ascii_graphic());
    let token = shaped(table, TOKEN, token, looks, hint);
    let channel = table.required("channel", Table::filled);
    let api_url = api_url(table, API_URL);
    let ca_file = pem(table, "ca_file", context);
    Some(SlackApp { api_url: api_url?, token: token?, channel: channel?.value.to_owned(), ca_file })
}
