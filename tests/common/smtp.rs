//! A real mail server for tests, with certificates to encrypt with.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A mail server in a process of its own; ends with this value.
pub(crate) struct Sink {
    child: Child,
    pub(crate) port: u16,
    dir: TempDir,
}

impl Sink {
    pub(crate) fn start(options: serde_json::Value) -> Self {
        let dir = TempDir::new().unwrap();
        let mut options = options;
        options["dir"] = dir.path().to_str().unwrap().into();
        let mut child = Command::new("python3")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smtp_sink.py"))
            .arg(options.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It logs each broken connection, and breaking them is what the tests do.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("the mail server prints its port");
        Self { child, port, dir }
    }

    /// What it has accepted, in order.
    pub(crate) fn mails(&self) -> Vec<Vec<u8>> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "eml"))
            .collect();
        paths.sort();
        paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
    }

    /// The recipients it was asked for, in order.
    pub(crate) fn attempts(&self) -> Vec<String> {
        std::fs::read_to_string(self.log()).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Where it writes the recipients it was asked for.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.path().join("attempts.log")
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A certificate authority and a server certificate for the loopback address.
pub(crate) struct Certificates {
    dir: TempDir,
}

impl Certificates {
    pub(crate) fn make() -> Self {
        let dir = TempDir::new().unwrap();
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        let extensions = "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n";
        std::fs::write(dir.path().join("leaf.ext"), extensions).unwrap();
        for line in [
            format!("req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-authority"),
            format!("req {key} -keyout leaf.key -out leaf.csr -subj /CN=localhost"),
            "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out leaf.pem -days 2 -extfile leaf.ext".to_owned(),
            // What many internal relays have: self-signed, and marked as an authority.
            format!("req -x509 {key} -keyout self.key -out self.pem -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"),
        ] {
            let output =
                Command::new("openssl").args(line.split(' ')).current_dir(dir.path()).output();
            let output = output.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}
