//! `email` of a `[[receiver]]`: to whom, through which server.

use lettre::Address;
use lettre::message::Mailbox;
use reqwest::Url;
use secrecy::SecretString;

use crate::config::Context;
use crate::config::network::url;
use crate::config::secret::{PASSWORD, pem, secret};
use crate::notify::email::{EmailConfig, Relay, Tls};
use crate::problem::{At, Table, listed, quoted};

/// More addresses in one receiver are a mailing list's job.
const ADDRESSES_MAX: usize = 50;

/// The sender unless told otherwise.
pub(in crate::config) const FROM_DEFAULT: &str = "grayflag@localhost";

pub(super) fn email(table: Table<'_>, context: &Context<'_>) -> Option<EmailConfig> {
    let texts = table.required("to", Table::texts);
    let count = texts.as_ref().map_or(1, Vec::len);
    let to = texts.iter().flatten().filter_map(|text| mailbox(&table, "to", text)).collect();
    if count == 0 || ADDRESSES_MAX < count {
        let what = format!("must hold 1 to {ADDRESSES_MAX} addresses");
        table.wrong("to", &table.at_value("to"), &what);
    }
    let from = match table.filled("from") {
        Some(from) => mailbox(&table, "from", &from),
        None => FROM_DEFAULT.parse().ok(),
    };
    let relay = relay(&table);
    let login = login(&table, context);
    if let (Some(relay), Some(_)) = (&relay, &login)
        && !relay.protects_login()
    {
        let hint = "use `smtps://…`, or add `tls = \"starttls\"`";
        let what = "would send the password without encryption";
        table.wrong_hint("smtp", &table.at_value("smtp"), what, hint);
    }
    let ca_file = pem(&table, "ca_file", context);
    table.finish();
    Some(EmailConfig { to, from: from?, relay: relay?, login, ca_file })
}

/// The address of a text; a problem if it is none. Problems are errors, so what is left out of a
/// list here is never missing from a configuration that is used.
fn mailbox(table: &Table<'_>, key: &str, text: &At<&str>) -> Option<Mailbox> {
    let address = text.value.parse::<Address>();
    if address.is_err() {
        let what = format!("{} is not an address", quoted(text.value));
        let hint = "write only the address, for example `oncall@example.com`";
        table.wrong_hint(key, &text.at, &what, hint);
    }
    address.ok().map(|address| Mailbox::new(None, address))
}

/// The mail server, from `smtp` and `tls`.
fn relay(table: &Table<'_>) -> Option<Relay> {
    let server =
        table.required("smtp", |t, key| url(t, key, &["smtp", "smtps"], "smtp://127.0.0.1:25"));
    if let Some(server) = &server
        && (!matches!(server.path(), "" | "/")
            || server.query().is_some()
            || server.fragment().is_some())
    {
        let hint = "encryption has a key of its own: `tls = \"starttls\"`";
        table.wrong_hint("smtp", &table.at_value("smtp"), "must end with host and port", hint);
    }
    let tls = smtp_tls(table, server.as_ref().is_some_and(|url| url.scheme() == "smtps"));
    let host = server.as_ref().and_then(Url::host_str)?.trim_matches(['[', ']']).to_owned();
    let port = server.and_then(|url| url.port()).unwrap_or(tls.port());
    Some(Relay { host, port, tls })
}

fn smtp_tls(table: &Table<'_>, implicit: bool) -> Tls {
    let words =
        [("none", Tls::None), ("starttls", Tls::Required), ("opportunistic", Tls::Opportunistic)];
    let Some(chosen) = table.choice("tls", &words) else {
        return if implicit { Tls::Implicit } else { Tls::Opportunistic };
    };
    if implicit {
        let hint = "remove `tls`: `smtps://` is protected from the first byte; or write `smtp://`";
        table.wrong_hint("tls", &chosen.at, "does not go with `smtps://`", hint);
        return Tls::Implicit;
    }
    chosen.value
}

fn login(table: &Table<'_>, context: &Context<'_>) -> Option<(String, SecretString)> {
    let username = table.filled("username");
    let password = secret(table, PASSWORD, context);
    let passwords = PASSWORD.into_iter().find(|key| table.has(key));
    match (table.has("username"), passwords) {
        (true, None) => {
            let hint = format!("give one of {}", listed(PASSWORD));
            table.wrong_hint("username", &table.at_value("username"), "has no password", &hint);
        }
        (false, Some(key)) => {
            let message = format!("`{key}` without `username` {}", table.whereabouts());
            let problem = table.error(table.at_key(key), message);
            table.report(problem.hint("add the name of the user that the password belongs to"));
        }
        _ => {}
    }
    Some((username?.value.to_owned(), password?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_sender_is_an_address() {
        assert!(FROM_DEFAULT.parse::<Address>().is_ok());
    }
}
