//! Secrets that the service manager hands over.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use grayflag::config::{self, Loaded, Machine, World};
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

/// The machine's files, and what systemd sets for a unit with credentials.
struct Unit {
    credentials: PathBuf,
}

impl World for Unit {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Machine.read(path)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        Machine.list(folder)
    }
    fn variable(&self, name: &str) -> Option<String> {
        (name == "CREDENTIALS_DIRECTORY").then(|| self.credentials.to_str().unwrap().to_owned())
    }
}

const CONFIG: &str = r#"
[source]
bearer_token_file = "credential:source-token"
headers = { X-Key = { file = "credential:key" } }
tls = { ca_file = "credential:ca" }

[http]
token_file = "credential:http-token"

[[receiver]]
name = "oncall"
[receiver.email]
to = ["oncall@example.com"]
smtp = "smtps://mail.example.com"
username = "grayflag"
password_file = "credential:smtp"
"#;

fn load(home: &TempDir) -> Loaded {
    let unit = Unit { credentials: home.path().join("credentials") };
    config::load(&home.path().join("etc/grayflag.toml"), &unit).unwrap()
}

#[test]
fn what_names_a_credential_is_read_from_the_units_folder() {
    let home = TempDir::new().unwrap();
    let write = |path: &str, text: &str| {
        let path = home.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("etc/grayflag.toml", CONFIG);
    for name in ["source-token", "key", "http-token"] {
        write(&format!("credentials/{name}"), "0123456789abcdef\n");
    }
    write("credentials/ca", "-----BEGIN CERTIFICATE-----\n");

    // One that the unit does not have is told with the path at which it should be.
    let told = load(&home).problems.render(false);
    assert!(told.contains("/credentials/smtp`: there is no such file"), "{told}");

    write("credentials/smtp", "0123456789abcdef");
    let loaded = load(&home);
    assert!(loaded.problems.is_empty(), "{}", loaded.problems.render(false));
    let config = loaded.config.unwrap();
    let credentials = home.path().join("credentials");
    // Tokens of the source stay files, which are read again when they are rotated.
    assert_eq!(config.source.bearer_token_file, Some(credentials.join("source-token")));
    assert_eq!(config.source.tls.ca_file, Some(credentials.join("ca")));
    assert_eq!(config.source.headers[0].1.expose_secret(), "0123456789abcdef");
    assert_eq!(config.http.tokens[0].secret.expose_secret(), "0123456789abcdef");
}
