//! What lies in deploy/ fits the program: its configurations load, and the files agree.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use grayflag::config::{self, Config, Machine, World};
use secrecy::ExposeSecret;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A container or machine that the files are made for.
struct Deployed;

impl World for Deployed {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let secrets = ["/run/secrets/grayflag/http-token", "/run/credentials/http-token"];
        if secrets.iter().any(|secret| Path::new(secret) == path) {
            return Ok(format!("{TOKEN}\n").into_bytes());
        }
        Machine.read(path)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        Machine.list(folder)
    }
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "GRAYFLAG_TOKEN" => Some(TOKEN.to_owned()),
            "CREDENTIALS_DIRECTORY" => Some("/run/credentials".to_owned()),
            _ => None,
        }
    }
}

/// A file of deploy/.
fn read(path: &str) -> String {
    fs::read_to_string(Path::new("deploy").join(path)).unwrap()
}

fn load(path: &str) -> Config {
    let loaded = config::load(&Path::new("deploy").join(path), &Deployed).unwrap();
    assert!(loaded.problems.is_empty(), "{path}: {}", loaded.problems.render(false));
    loaded.config.unwrap()
}

#[test]
fn every_configuration_loads() {
    let state = Path::new("/var/lib/grayflag/grayflag.db");
    for path in ["debian/grayflag.toml", "kubernetes/config/grayflag.toml", "compose/grayflag.toml"]
    {
        let config = load(path);
        assert_eq!(config.store.path, state, "{path}");
        assert_eq!(config.http.listen.port(), 9469, "{path}");
        // Only what a container hides behind its ports is open, and it wants a token.
        let token = config.http.tokens.first().map(|token| token.secret.expose_secret());
        assert_eq!(token, (!config.http.listen.ip().is_loopback()).then_some(TOKEN), "{path}");
        assert!(!config.rules.signals.is_empty() && !config.rules.causes.is_empty(), "{path}");
    }
    let kubernetes = load("kubernetes/config/grayflag.toml");
    let own = kubernetes.rules.signals.iter().any(|signal| signal.name == "checkout-queue-age");
    assert!(own, "the team's own signals are read");
}

#[test]
fn what_the_package_shows_as_an_example_loads_too() {
    let text = read("debian/grayflag.toml");
    let uncommented: Vec<&str> =
        text.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("grayflag.toml");
    // The mail's password is a credential that the test has under another name.
    fs::write(&path, uncommented.join("\n").replace("credential:smtp", "credential:http-token"))
        .unwrap();
    let loaded = config::load(&path, &Deployed).unwrap();
    assert!(loaded.problems.is_empty(), "{}", loaded.problems.render(false));
    let config = loaded.config.unwrap();
    assert_eq!(config.http.tokens[0].secret.expose_secret(), TOKEN);
    assert_eq!(config.receivers.len(), 1);
}

/// The value of a key in a unit or an INI file.
fn value<'t>(text: &'t str, key: &str) -> &'t str {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap()
}

#[test]
fn unit_package_and_image_agree() {
    let unit = read("systemd/grayflag.service");
    assert_eq!(value(&unit, "Type"), "notify");
    assert_eq!(value(&unit, "StateDirectory"), "grayflag");
    assert_eq!(value(&unit, "ExecStart"), "/usr/bin/grayflag run");
    let user = value(&unit, "User");
    let config = "/etc/grayflag/grayflag.toml";
    assert!(value(&unit, "Environment").contains(&format!("GRAYFLAG_CONFIG={config}")));
    assert!(read("systemd/grayflag.sysusers").contains(&format!("u      {user} ")));
    for (file, says) in [
        (
            "debian/postinst",
            format!("--home /var/lib/grayflag --gecos \"grayflag, early warning\" {user}"),
        ),
        ("debian/build.sh", format!("etc/default/grayflag {config}")),
        ("container/Dockerfile", format!("ENV GRAYFLAG_CONFIG={config}")),
        ("container/Dockerfile", "USER 65532:65532".to_owned()),
        ("kubernetes/statefulset.yaml", "runAsUser: 65532".to_owned()),
        ("kubernetes/kustomization.yaml", format!("newTag: {}", env!("CARGO_PKG_VERSION"))),
    ] {
        assert!(read(file).contains(&says), "{file} does not say {says}");
    }
    // What the image is built from is let through.
    let ignored = fs::read_to_string(".dockerignore").unwrap();
    let docker = read("container/Dockerfile");
    let copied = docker.lines().filter_map(|line| line.strip_prefix("COPY ")?.split(' ').next());
    for path in copied.filter(|path| !path.starts_with("--")) {
        assert!(ignored.contains(&format!("!{path}\n")), "{path} is ignored");
    }
}
