//! `[http]`: where pages and API are served, and who may write.

use secrecy::{ExposeSecret as _, SecretString};

use super::Context;
use super::secret::{SecretKeys, given, secret};
use crate::http::Config;
use crate::problem::{Table, quoted};

/// The keys of the token that writers show.
const TOKEN: SecretKeys = ["token", "token_file", "token_env"];

/// A shorter token can be guessed.
const TOKEN_CHARS_MIN: usize = 16;

/// More names than this are refused.
const HOSTS_MAX: usize = 50;

/// Reads `[http]`.
pub(super) fn http(table: Table<'_>, context: &Context<'_>) -> Option<Config> {
    let default = Config::default();
    let text = table.filled("listen");
    let listen = text.as_ref().map_or(Some(default.listen), |text| {
        let address = text.value.parse().ok();
        if address.is_none() {
            let what = format!("{} is not an address with a port", quoted(text.value));
            let hint =
                "write numbers, not names: `127.0.0.1:9469`, or `0.0.0.0:9469` for all interfaces";
            table.wrong_hint("listen", &text.at, &what, hint);
        }
        address
    });
    let token = token(&table, context);
    if let (Some(listen), Some(text)) = (listen, &text)
        && !listen.ip().is_loopback()
        && !given(&table, TOKEN)
    {
        let hint = "add `token_file = \"secrets/http-token\"`, or listen on 127.0.0.1";
        let what = "other machines can reach this address, so writing needs a token";
        table.wrong_hint("listen", &text.at, what, hint);
    }
    let hosts = table.texts("hosts").unwrap_or_default();
    for host in &hosts {
        if host.value.is_empty() || host.value.contains([':', '/', '*']) {
            let what = format!("{} is not a host's name", quoted(host.value));
            let hint = "write the name alone, without scheme and port: `grayflag.example.com`";
            table.wrong_hint("hosts", &host.at, &what, hint);
        }
    }
    if HOSTS_MAX < hosts.len() {
        table.wrong("hosts", &table.at_value("hosts"), &format!("more than {HOSTS_MAX} names"));
    }
    table.finish();
    let hosts = hosts.into_iter().map(|host| host.value.to_owned()).collect();
    Some(Config { listen: listen?, token, hosts })
}

fn token(table: &Table<'_>, context: &Context<'_>) -> Option<SecretString> {
    let token = secret(table, TOKEN, context)?;
    let text = token.expose_secret();
    let plain = text.chars().all(|c| c.is_ascii_graphic());
    if !plain || text.len() < TOKEN_CHARS_MIN {
        let key = TOKEN.into_iter().find(|key| table.has(key)).unwrap_or(TOKEN[0]);
        let what = format!("must be {TOKEN_CHARS_MIN} or more letters, digits and signs");
        let hint = "make one: `openssl rand -hex 32`";
        table.wrong_hint(key, &table.at_value(key), &what, hint);
    }
    Some(token)
}
