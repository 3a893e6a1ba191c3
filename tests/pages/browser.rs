//! A real browser without a window, driven over its DevTools protocol.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longest wait for one answer of the browser, or for a page to be as it should.
const SOON: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// What the browser may be called.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// Checks pages for people who use them in other ways; `tests/install.sh` brings it.
const AXE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/axe/package/axe.min.js");

/// A browser with one page, gone when dropped.
pub(crate) struct Browser {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: Value,
    next: u64,
    /// What the console complained of since the last navigation.
    pub(crate) complaints: Vec<String>,
    loaded: bool,
    child: Child,
    _profile: TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let start = |name: &&str| {
            Command::new(name)
                .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"])
                .args(["--remote-debugging-port=0", "about:blank"])
                .arg(format!("--user-data-dir={}", profile.path().display()))
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .ok()
        };
        let mut child = NAMES.iter().find_map(start).expect("tests/install.sh brings a browser");
        let log = BufReader::new(child.stderr.take().unwrap());
        let (told, address) = tokio::sync::oneshot::channel();
        // Reads on to the end: a browser whose log is full stands still.
        std::thread::spawn(move || {
            let mut told = Some(told);
            for line in log.lines().map_while(Result::ok) {
                if let Some(url) = line.strip_prefix("DevTools listening on ")
                    && let Some(told) = told.take()
                {
                    let _ = told.send(url.to_owned());
                }
            }
        });
        let url = tokio::time::timeout(SOON, address).await.unwrap().unwrap();
        let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let (session, complaints) = (Value::Null, Vec::new());
        let mut browser =
            Self { socket, session, next: 0, complaints, loaded: false, child, _profile: profile };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"})).await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        browser.session = browser.call("Target.attachToTarget", attach).await["sessionId"].take();
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            browser.call(domain, json!({})).await;
        }
        browser
    }

    /// Asks the browser, and listens to what it says meanwhile.
    async fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let mut request = json!({"id": self.next, "method": method, "params": params});
        if !self.session.is_null() {
            request["sessionId"] = self.session.clone();
        }
        self.socket.send(Message::text(request.to_string())).await.unwrap();
        loop {
            let mut said = self.hear().await;
            if said["id"] == self.next {
                assert!(said["error"].is_null(), "{method}: {}", said["error"]);
                return said["result"].take();
            }
        }
    }

    /// One thing that the browser says.
    async fn hear(&mut self) -> Value {
        let said = tokio::time::timeout(SOON, self.socket.next()).await;
        let said = said.expect("the browser answers").unwrap().unwrap();
        let said: Value = serde_json::from_str(said.to_text().unwrap()).unwrap();
        match said["method"].as_str() {
            Some("Page.loadEventFired") => self.loaded = true,
            Some("Runtime.exceptionThrown" | "Log.entryAdded") => {
                self.complaints.push(said["params"].to_string());
            }
            Some("Runtime.consoleAPICalled") if said["params"]["type"] == "error" => {
                self.complaints.push(said["params"].to_string());
            }
            _ => {}
        }
        said
    }

    /// Opens a page and waits until it is there.
    pub(crate) async fn open(&mut self, url: &str) {
        self.complaints.clear();
        self.loaded = false;
        self.call("Page.navigate", json!({ "url": url })).await;
        while !self.loaded {
            self.hear().await;
        }
    }

    /// What a script gives; promises are waited for.
    pub(crate) async fn run(&mut self, script: &str) -> Value {
        let params = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let mut done = self.call("Runtime.evaluate", params).await;
        assert!(done["exceptionDetails"].is_null(), "{script}: {}", done["exceptionDetails"]);
        done["result"]["value"].take()
    }

    /// Waits until a script says true.
    pub(crate) async fn until(&mut self, script: &str) {
        let wait = async {
            while self.run(script).await != json!(true) {
                tokio::time::sleep(LOOK).await;
            }
        };
        let came = tokio::time::timeout(SOON, wait).await;
        assert!(came.is_ok(), "never came true: {script}");
    }

    /// Presses a key as a person does.
    pub(crate) async fn press(&mut self, key: &str, code: u32) {
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({
                "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code
            });
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    /// A screen of this width, in light or dark.
    pub(crate) async fn look(&mut self, scheme: &str, width: u32) {
        let size = json!({
            "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500
        });
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// Keeps a picture of the whole page as a PNG.
    pub(crate) async fn picture(&mut self, path: &Path) {
        let whole = json!({"captureBeyondViewport": true});
        let picture = self.call("Page.captureScreenshot", whole).await["data"].take();
        let bytes = BASE64_STANDARD.decode(picture.as_str().unwrap()).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// What keeps people from using the page: rules that it breaks seriously, each with its place.
    pub(crate) async fn barriers(&mut self) -> Vec<String> {
        let axe = std::fs::read_to_string(Path::new(AXE)).expect("tests/install.sh brings axe");
        self.run(&format!("{axe};0")).await;
        let found = self
            .run(
                "axe.run().then(done => done.violations
                     .filter(one => ['serious', 'critical'].includes(one.impact))
                     .map(one => one.id + ' ' + one.nodes.map(node =>
                         node.target + ': ' + node.failureSummary).slice(0, 3).join('; ')))",
            )
            .await;
        found.as_array().unwrap().iter().map(ToString::to_string).collect()
    }
}
