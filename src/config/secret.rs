//! Secrets: written in the file, kept in another file, or taken from the environment.

use std::path::PathBuf;

use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};

use super::Context;
use super::world::reason;
use crate::problem::{At, Table, is_variable, listed, quoted};

/// The three keys of one secret: in the file, in another file, in the environment.
pub(super) type SecretKeys = [&'static str; 3];

/// The keys of a password.
pub(super) const PASSWORD: SecretKeys = ["password", "password_file", "password_env"];

/// The secret under one of its keys; a problem if several are given or it cannot be had.
pub(super) fn secret(
    table: &Table<'_>,
    keys: SecretKeys,
    context: &Context<'_>,
) -> Option<SecretString> {
    let [plain, file, env] = keys;
    let written = table.filled(plain);
    let other = [table.filled(file), table.filled(env)];
    if is_twice(table, &keys) {
        return None;
    }
    match written {
        Some(written) => Some(SecretString::from(written.value)),
        None => from_either(table, [file, env], other, context),
    }
}

/// The secret that another file or the environment holds; a problem if both are given or it cannot
/// be had.
pub(super) fn elsewhere(
    table: &Table<'_>,
    [file, env]: [&'static str; 2],
    context: &Context<'_>,
) -> Option<SecretString> {
    let other = [table.filled(file), table.filled(env)];
    if is_twice(table, &[file, env]) {
        return None;
    }
    from_either(table, [file, env], other, context)
}

fn from_either(
    table: &Table<'_>,
    [file, env]: [&'static str; 2],
    [path, name]: [Option<At<&str>>; 2],
    context: &Context<'_>,
) -> Option<SecretString> {
    match path {
        Some(path) => from_file(table, file, &path, context),
        None => from_environment(table, env, &name?, context),
    }
}

/// Complains where one secret is given under several keys.
fn is_twice(table: &Table<'_>, keys: &[&'static str]) -> bool {
    let given: Vec<&str> = keys.iter().copied().filter(|key| table.has(key)).collect();
    if let [_, second, ..] = given.as_slice() {
        let twice = listed(given.clone());
        let message = format!("one secret is given twice {}: {twice}", table.whereabouts());
        let problem = table.error(table.at_key(second), message);
        table.report(problem.hint("keep one of them"));
    }
    given.len() > 1
}

/// The secret under one of its keys; a problem also if there is none.
pub(super) fn required(
    table: &Table<'_>,
    keys: SecretKeys,
    context: &Context<'_>,
) -> Option<SecretString> {
    if !given(table, keys) {
        let message = format!("missing key `{}` {}", keys[0], table.whereabouts());
        let hint = format!("give one of {}", listed(keys));
        table.report(table.error(table.at(), message).hint(hint).of_absence());
    }
    secret(table, keys, context)
}

/// An address that is a secret, because whoever knows it can post there.
pub(super) fn secret_url(
    table: &Table<'_>,
    keys: SecretKeys,
    example: &str,
    context: &Context<'_>,
) -> Option<SecretString> {
    let address = required(table, keys, context)?;
    let known = Url::parse(address.expose_secret()).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|h| !h.is_empty())
    });
    if known.is_none() {
        let key = keys.into_iter().find(|key| table.has(key)).unwrap_or(keys[0]);
        let hint = format!("write it in full, for example `{example}`");
        table.wrong_hint(key, &table.at_value(key), "is not a web address", &hint);
    }
    known.map(|_| address)
}

/// Whether any form of the secret is given.
pub(super) fn given(table: &Table<'_>, keys: SecretKeys) -> bool {
    keys.into_iter().any(|key| table.has(key))
}

fn from_file(
    table: &Table<'_>,
    key: &str,
    path: &At<&str>,
    context: &Context<'_>,
) -> Option<SecretString> {
    let bytes = readable(table, key, path, context)?.1;
    let text = String::from_utf8(bytes).unwrap_or_default();
    // Editors end files with a line break that belongs to no secret.
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        table.wrong(key, &path.at, &format!("{} holds no text", quoted(path.value)));
        return None;
    }
    Some(SecretString::from(text))
}

fn from_environment(
    table: &Table<'_>,
    key: &str,
    name: &At<&str>,
    context: &Context<'_>,
) -> Option<SecretString> {
    let value = context.world.variable(name.value).filter(|value| !value.is_empty());
    if value.is_none() {
        // What cannot be a variable's name may be the secret itself, and is not repeated.
        let what = if is_variable(name.value) {
            format!("the environment variable {} is not set", quoted(name.value))
        } else {
            "is not the name of an environment variable".to_owned()
        };
        let hint = "set it for the process that runs grayflag; the key takes the variable's name, not the secret";
        table.wrong_hint(key, &name.at, &what, hint);
    }
    value.map(SecretString::from)
}

/// What a path begins with that names a credential of the service manager.
const CREDENTIAL: &str = "credential:";
/// The variable in which systemd names the folder of a unit's credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Where a file lies: beside the configuration, or among the unit's credentials.
fn locate(table: &Table<'_>, key: &str, path: &At<&str>, context: &Context<'_>) -> Option<PathBuf> {
    let Some(name) = path.value.strip_prefix(CREDENTIAL) else {
        return Some(context.resolve(path.value));
    };
    if name.is_empty() || name.starts_with('.') || name.contains('/') {
        let what = format!("{} does not name a credential", quoted(path.value));
        let hint = "write `credential:` and a name without `/`, as in `LoadCredential=name:/file`";
        table.wrong_hint(key, &path.at, &what, hint);
        return None;
    }
    let folder = context.world.variable(CREDENTIALS).filter(|folder| !folder.is_empty());
    if folder.is_none() {
        let what =
            format!("{} is a credential, and `{CREDENTIALS}` is not set", quoted(path.value));
        let hint = "systemd sets it for a unit with `LoadCredential=`; elsewhere, set it to a folder with a file of this name";
        table.wrong_hint(key, &path.at, &what, hint);
    }
    folder.map(|folder| PathBuf::from(folder).join(name))
}

/// The path under a key and the file's bytes; a problem if it cannot be read.
pub(super) fn readable(
    table: &Table<'_>,
    key: &str,
    path: &At<&str>,
    context: &Context<'_>,
) -> Option<(PathBuf, Vec<u8>)> {
    let resolved = locate(table, key, path, context)?;
    match context.world.read(&resolved) {
        Ok(bytes) => Some((resolved, bytes)),
        Err(error) => {
            let what = format!("cannot read `{}`: {}", resolved.display(), reason(&error));
            let hint = "relative paths begin at the folder of this file";
            table.wrong_hint(key, &path.at, &what, hint);
            None
        }
    }
}

/// The path under a key, if the file can be read.
pub(super) fn path(table: &Table<'_>, key: &'static str, context: &Context<'_>) -> Option<PathBuf> {
    let path = table.filled(key)?;
    readable(table, key, &path, context).map(|(path, _)| path)
}

/// The path of a PEM file under a key, if it can be read and looks like one.
pub(super) fn pem(table: &Table<'_>, key: &'static str, context: &Context<'_>) -> Option<PathBuf> {
    let path = table.filled(key)?;
    let (resolved, bytes) = readable(table, key, &path, context)?;
    if !bytes.windows(10).any(|part| part == b"-----BEGIN") {
        let what = format!("{} is not a PEM file", quoted(path.value));
        table.wrong_hint(key, &path.at, &what, "PEM files begin with `-----BEGIN …-----`");
        return None;
    }
    Some(resolved)
}
