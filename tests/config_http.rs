//! `[http]` as it is read: who may use the API, and how it is encrypted.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::fs;

use grayflag::config::{self, Loaded, Machine};
use grayflag::http::{Config, Scope};
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

/// Reads a configuration of `[http]` beside a token and certificates.
fn load(http: &str) -> (TempDir, Loaded) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("grayflag.toml", &format!("[http]\n{http}"));
    write("token", "fedcba9876543210\n");
    for name in ["server.pem", "server.key", "clients.pem"] {
        write(name, "-----BEGIN CERTIFICATE-----\n");
    }
    let loaded = config::load(&folder.path().join("grayflag.toml"), &Machine).unwrap();
    (folder, loaded)
}

fn read(http: &str) -> Config {
    let (_folder, loaded) = load(http);
    assert!(loaded.problems.is_empty(), "{}", loaded.problems.render(false));
    loaded.config.unwrap().http
}

fn tokens(config: &Config) -> Vec<(&str, Scope, &str)> {
    let tokens = config.tokens.iter();
    tokens.map(|one| (one.name.as_str(), one.scope, one.secret.expose_secret())).collect()
}

#[test]
fn one_token_may_write_and_others_say_what_they_may() {
    let one = read("listen = \"0.0.0.0:9000\"\ntoken = \"0123456789abcdef\"");
    assert_eq!(tokens(&one), [("default", Scope::Write, "0123456789abcdef")]);
    assert_eq!((one.public_reads, one.pages_url().as_str()), (false, "http://0.0.0.0:9000"));
    let several = read(
        "public_reads = true\ntoken_file = \"token\"\n\
         [[http.token]]\nname = \"ci\"\nscope = \"read\"\ntoken = \"0123456789abcdef\"",
    );
    let wanted =
        [("default", Scope::Write, "fedcba9876543210"), ("ci", Scope::Read, "0123456789abcdef")];
    assert_eq!(tokens(&several), wanted);
    assert!(several.public_reads);
    let alone = read(
        "listen = \"0.0.0.0:9000\"\n\
         [[http.token]]\nname = \"ci\"\nscope = \"write\"\ntoken_file = \"token\"",
    );
    assert_eq!(tokens(&alone), [("ci", Scope::Write, "fedcba9876543210")]);
}

#[test]
fn files_of_tls_are_found_beside_the_configuration() {
    let config = read(
        "tls = { cert_file = \"server.pem\", key_file = \"server.key\", \
         client_ca_file = \"clients.pem\" }",
    );
    assert_eq!(config.pages_url(), "https://127.0.0.1:9469");
    let tls = config.tls.unwrap();
    assert!(tls.cert_file.is_absolute() && tls.cert_file.ends_with("server.pem"));
    assert!(tls.key_file.ends_with("server.key"));
    assert!(tls.client_ca_file.unwrap().ends_with("clients.pem"));
}

#[test]
fn no_secret_is_told_with_what_is_wrong() {
    let (_folder, loaded) = load(
        "listen = \"0.0.0.0:9000\"\n\
         [[http.token]]\nname = \"a b\"\nscope = \"all\"\ntoken = \"not so secret\"",
    );
    let told = loaded.problems.render(false);
    assert!(loaded.config.is_none());
    assert!(told.contains("16 or more") && told.contains("name of a token"), "{told}");
    assert!(!told.contains("not so secret"), "{told}");
}
