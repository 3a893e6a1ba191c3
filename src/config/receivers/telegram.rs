//! `telegram` of a `[[receiver]]`: a bot and a chat.

use super::posted::{api_url, shaped};
use crate::config::Context;
use crate::config::secret::{SecretKeys, pem, required};
use crate::notify::telegram::{API_URL, TelegramConfig};
use crate::problem::{Table, quoted};

const TOKEN: SecretKeys = ["token", "token_file", "token_env"];

pub(super) fn telegram(table: Table<'_>, context: &Context<'_>) -> Option<TelegramConfig> {
    let token = required(&table, TOKEN, context);
    let token = shaped(&table, TOKEN, token, is_token, "BotFather gives it: `123456:ABC-…`");
    let chat_id = table.required("chat_id", Table::filled);
    if let Some(chat) = &chat_id
        && !is_chat(chat.value)
    {
        let what = format!("{} is not a chat", quoted(chat.value));
        let hint = "write its number, for example `\"-1001234567890\"`, or a channel's `\"@name\"`";
        table.wrong_hint("chat_id", &chat.at, &what, hint);
    }
    let topic = table.integer("message_thread_id", 1..=i64::from(i32::MAX));
    let api_url = api_url(&table, API_URL);
    let ca_file = pem(&table, "ca_file", context);
    table.finish();
    Some(TelegramConfig {
        api_url: api_url?,
        token: token?,
        chat_id: chat_id?.value.to_owned(),
        message_thread_id: topic.map(|topic| topic.value),
        ca_file,
    })
}

/// The token becomes a part of an address, so it must hold nothing that would end that part.
fn is_token(text: &str) -> bool {
    let is_secret = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    text.split_once(':').is_some_and(|(bot, secret)| {
        !bot.is_empty()
            && bot.bytes().all(|b| b.is_ascii_digit())
            && !secret.is_empty()
            && secret.bytes().all(is_secret)
    })
}

fn is_chat(text: &str) -> bool {
    text.parse::<i64>().is_ok() || text.strip_prefix('@').is_some_and(|name| !name.is_empty())
}
