//! `[http]`: where pages and API are served, who may use them, and how they are encrypted.

use std::net::SocketAddr;
use std::ops::Range;

use secrecy::{ExposeSecret as _, SecretString};

use super::Context;
use super::secret::{SecretKeys, elsewhere, given, path, pem, required, secret};
use crate::http::{Config, Scope, Token, tls};
use crate::problem::{Table, quoted};

/// The keys of a token.
const TOKEN: SecretKeys = ["token", "token_file", "token_env"];

/// A shorter token can be guessed.
const TOKEN_CHARS_MIN: usize = 16;
/// More tokens than this are refused: each is compared with what every request shows.
const TOKENS_MAX: usize = 100;
/// Characters of a token's name.
const NAME_CHARS_MAX: usize = 50;
/// The name of the one that stands in `[http]` itself.
const NAME_DEFAULT: &str = "default";

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
    let (tokens, writers) = tokens(&table, context);
    if let (Some(listen), Some(text)) = (listen, &text) {
        guarded(&table, (listen, &text.at), writers);
    }
    let public_reads = table.boolean("public_reads").is_some_and(|public| public.value);
    let tls = table.table("tls").map(|table| encryption(table, context));
    let hosts = hosts(&table);
    let url = url(&table);
    table.finish();
    // A certificate that cannot be used must not end in plain HTTP.
    let tls = match tls {
        Some(tls) => Some(tls?),
        None => None,
    };
    Some(Config { listen: listen?, tokens, public_reads, tls, hosts, url })
}

/// Complains about an address that strangers reach where nobody can show who may write.
fn guarded(table: &Table<'_>, (listen, at): (SocketAddr, &Range<usize>), writers: bool) {
    if listen.ip().is_loopback() || writers {
        return;
    }
    let hint = "add `token_file = \"secrets/http-token\"`, or listen on 127.0.0.1";
    let what = "other machines can reach this address, so writing needs a token";
    table.wrong_hint("listen", at, what, hint);
}

/// The tokens, and whether one that may write is given: also one that cannot be read.
fn tokens(table: &Table<'_>, context: &Context<'_>) -> (Vec<Token>, bool) {
    let [plain, file, env] = TOKEN;
    // Under the one key there is a text or a list.
    let listed = table.is_list(plain);
    let (own, mut writers) = if listed {
        (elsewhere(table, [file, env], context), table.has(file) || table.has(env))
    } else {
        (secret(table, TOKEN, context), given(table, TOKEN))
    };
    let own = own.inspect(|secret| strong(table, secret));
    let own =
        own.map(|secret| Token { name: NAME_DEFAULT.to_owned(), scope: Scope::Write, secret });
    let mut tokens: Vec<Token> = own.into_iter().collect();
    let list = if listed { table.tables(plain) } else { Vec::new() };
    if TOKENS_MAX < list.len() {
        table.wrong(plain, &table.at_value(plain), &format!("more than {TOKENS_MAX} tokens"));
    }
    for one in list {
        let scope = one.required("scope", |table, key| table.choice(key, &Scope::NAMED));
        let scope = scope.map(|scope| scope.value);
        writers |= scope != Some(Scope::Read);
        let token = named(one, scope, context, &tokens);
        tokens.extend(token);
    }
    (tokens, writers)
}

/// One `[[http.token]]`; none where a part of it is wrong.
fn named(
    table: Table<'_>,
    scope: Option<Scope>,
    context: &Context<'_>,
    before: &[Token],
) -> Option<Token> {
    let name = table.required("name", Table::filled);
    if let Some(name) = &name {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if !name.value.chars().all(plain) || NAME_CHARS_MAX < name.value.len() {
            let what = format!("{} is not the name of a token", quoted(name.value));
            let hint = format!("at most {NAME_CHARS_MAX} letters, digits, `-`, `_` and `.`");
            table.wrong_hint("name", &name.at, &what, &hint);
        }
        if before.iter().any(|token| token.name == name.value) {
            let what = format!("two tokens are called {}", quoted(name.value));
            table.wrong("name", &name.at, &what);
        }
    }
    let secret = required(&table, TOKEN, context);
    if let Some(secret) = &secret {
        strong(&table, secret);
        if before.iter().any(|token| token.secret.expose_secret() == secret.expose_secret()) {
            let key = TOKEN.into_iter().find(|key| table.has(key)).unwrap_or(TOKEN[0]);
            let hint = "one token cannot have two names; make another: `openssl rand -hex 32`";
            table.wrong_hint(key, &table.at_key(key), "is the same as an earlier one", hint);
        }
    }
    table.finish();
    Some(Token { name: name?.value.to_owned(), scope: scope?, secret: secret? })
}

/// Complains about a token that could be guessed or not be sent.
fn strong(table: &Table<'_>, token: &SecretString) {
    let text = token.expose_secret();
    let plain = text.chars().all(|c| c.is_ascii_graphic());
    if !plain || text.len() < TOKEN_CHARS_MIN {
        let key = TOKEN.into_iter().find(|key| table.has(key)).unwrap_or(TOKEN[0]);
        let what = format!("must be {TOKEN_CHARS_MIN} or more letters, digits and signs");
        let hint = "make one: `openssl rand -hex 32`";
        table.wrong_hint(key, &table.at_value(key), &what, hint);
    }
}

/// Reads `tls`; whether the certificate can be used is tried out when it is served.
fn encryption(table: Table<'_>, context: &Context<'_>) -> Option<tls::Config> {
    let needed = |key| table.required(key, |table, key| table.has(key).then_some(()));
    let (has_cert, has_key) = (needed("cert_file"), needed("key_file"));
    let cert_file = pem(&table, "cert_file", context);
    let key_file = path(&table, "key_file", context);
    let client_ca = pem(&table, "client_ca_file", context);
    let complete = !table.has("client_ca_file") || client_ca.is_some();
    table.finish();
    has_cert.and(has_key)?;
    let config =
        tls::Config { cert_file: cert_file?, key_file: key_file?, client_ca_file: client_ca };
    complete.then_some(config)
}

fn hosts(table: &Table<'_>) -> Vec<String> {
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
    hosts.into_iter().map(|host| host.value.to_owned()).collect()
}

/// Where people open the pages.
fn url(table: &Table<'_>) -> Option<String> {
    let url = table.filled("url")?;
    if !url.value.starts_with("http://") && !url.value.starts_with("https://") {
        let what = format!("{} is not a web address", quoted(url.value));
        let hint = "write it as people open it: `https://grayflag.example.com`";
        table.wrong_hint("url", &url.at, &what, hint);
    }
    Some(url.value.trim_end_matches('/').to_owned())
}
