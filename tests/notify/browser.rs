//! The laid out part of mails in a real browser: no window is too narrow for it.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use grayflag::notify::templates::Templates;
use tempfile::TempDir;

use crate::support::sample;

/// The same program under the names that systems give it.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
/// From the narrowest phone to a window on a desk.
const WIDTHS: [u32; 4] = [320, 360, 600, 900];

fn browser() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::env::split_paths(&path).flat_map(|dir| NAMES.map(|name| dir.join(name)));
    let found = all.into_iter().find(|program| program.is_file());
    found.expect("a browser; tests/install.sh installs chromium")
}

/// A page with the document in a window of each width, which says by how much each is too narrow.
fn page(html: &str) -> String {
    let document = html.replace('&', "&amp;").replace('"', "&quot;");
    let frames = WIDTHS
        .map(|width| {
            format!("<iframe width=\"{width}\" height=\"600\" srcdoc=\"{document}\"></iframe>")
        })
        .concat();
    format!(
        "<!DOCTYPE html><body>{frames}<pre id=\"said\"></pre><script>onload = () => {{
            const beyond = frame => {{
                const root = frame.contentDocument.documentElement;
                return root.scrollWidth - root.clientWidth + ':' + root.querySelectorAll('h1').length;
            }};
            said.textContent = [...document.querySelectorAll('iframe')].map(beyond).join(' ');
        }}</script>"
    )
}

#[test]
fn no_window_is_too_narrow_for_a_mail() {
    let dir = TempDir::new().unwrap();
    let mut long = sample("updated");
    let name = "a-name-without-a-single-place-to-break-it.".repeat(5);
    name.clone_into(&mut long.signals[0].signal);
    name.clone_into(&mut long.service);
    long.title = format!("{name} is slow");
    for (place, alert) in [sample("firing"), sample("resolved"), long].iter().enumerate() {
        let html = Templates::default().message(alert, alert.at).html.unwrap();
        let path = dir.path().join(format!("{place}.html"));
        std::fs::write(&path, page(&html)).unwrap();
        let output = Command::new(browser())
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .arg(format!("--user-data-dir={}", dir.path().join("profile").display()))
            .arg("--dump-dom")
            .arg(format!("file://{}", path.display()))
            .stderr(Stdio::null())
            .output()
            .unwrap();
        let dom = String::from_utf8_lossy(&output.stdout);
        assert!(dom.contains("<pre id=\"said\">0:1 0:1 0:1 0:1</pre>"), "{place}: {dom}");
    }
}
