//! The pages as people use them: a real browser over the daemon's own state, from an incident to
//! its end.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[path = "pages/browser.rs"]
mod browser;
#[path = "pages/fleet.rs"]
mod fleet;
#[path = "pages/inert.rs"]
mod inert;
#[path = "pages/large.rs"]
mod large;

use std::path::Path;

use browser::Browser;
use fleet::{AFTER, DURING, Daemon, Fleet};
use serde_json::json;

/// Bytes of a page with everything that it loads.
const WEIGHT_MAX: u64 = 200_000;
/// Names a folder in which pictures of all pages are kept, for people to look at.
const PICTURES: &str = "GRAYFLAG_PICTURES";
/// Presses of the tab key until any button of a page's top must be reached.
const TABS_MAX: usize = 40;

/// The address of the newest incident.
async fn incident(browser: &mut Browser, daemon: &Daemon) -> String {
    browser.open(&format!("{}/incidents", daemon.url)).await;
    let url = browser.run("document.querySelector('.incidents .what a')?.href").await;
    url.as_str().expect("an incident is listed").to_owned()
}

/// Every page: nothing is broken, heavy, wider than the screen, or closed to anybody.
async fn looks_well(browser: &mut Browser, daemon: &Daemon, incident: &str, when: &str) {
    let paths = [
        "/",
        "/incidents",
        "/services/checkout",
        "/services/checkout?range=2d",
        "/rules",
        "/changes",
        "/coverage",
        "/digests",
        "/silences",
        "/status",
    ];
    let mut pages: Vec<String> = paths.iter().map(|path| format!("{}{path}", daemon.url)).collect();
    pages.extend([incident.to_owned(), format!("{incident}?range=2d")]);
    for (scheme, width) in [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)] {
        browser.look(scheme, width).await;
        for page in &pages {
            browser.open(page).await;
            let barriers = browser.barriers().await;
            assert!(barriers.is_empty(), "{page} {scheme} {width}: {barriers:#?}");
            assert!(browser.complaints.is_empty(), "{page}: {:#?}", browser.complaints);
            let weight = "performance.getEntries().filter(one => one.decodedBodySize)
                              .reduce((sum, one) => sum + one.decodedBodySize, 0)";
            let weight = browser.run(weight).await.as_u64().unwrap();
            assert!(0 < weight && weight < WEIGHT_MAX, "{page}: {weight} bytes");
            let wide = browser.run("document.body.scrollWidth - document.body.clientWidth").await;
            assert_eq!(wide, json!(0), "{page} {width}: it scrolls to the side");
            if let Some(folder) = std::env::var_os(PICTURES) {
                let path = page.trim_start_matches(&daemon.url).replace(['/', '?'], "_");
                let name = format!("{when}{path}-{scheme}-{width}.png");
                browser.picture(&Path::new(&folder).join(name)).await;
            }
        }
    }
    browser.look("light", 1280).await;
}

/// On a phone every value says what it is, what a page is called is in view, and a chart is drawn
/// for its width.
async fn fits_a_phone(browser: &mut Browser, daemon: &Daemon, incident: &str) {
    browser.look("light", 390).await;
    browser.open(&format!("{}/status", daemon.url)).await;
    let box_of = "document.querySelector('.bar [aria-current]').getBoundingClientRect()";
    let seen = format!("{box_of}.left >= 0 && {box_of}.right <= innerWidth");
    assert_eq!(browser.run(&seen).await, json!(true), "the bar begins where one is");
    browser.open(incident).await;
    let shown = "[...document.querySelectorAll('.chart')].filter(one => one.offsetWidth)
                     .map(one => one.id).join()";
    assert_eq!(browser.run(shown).await, json!("chart-narrow"));
    let size = "document.querySelector('#chart-narrow text').getBoundingClientRect().height";
    assert!(browser.run(size).await.as_f64().unwrap() > 12.0, "its texts can be read");
    let heads = "[...document.querySelectorAll('#signals thead th')].slice(1)
                     .filter(one => !one.matches('.trend')).map(one => one.textContent).join()";
    let labels = "[...document.querySelectorAll('#signals tbody tr:first-child td')]
                      .filter(one => !one.matches('.trend')).map(one => one.dataset.label).join()";
    let (heads, labels) = (browser.run(heads).await, browser.run(labels).await);
    assert_eq!(heads, labels);
    browser.look("light", 1280).await;
}

/// From the top of the page to the button with the keyboard alone, and press.
async fn acknowledge(browser: &mut Browser, incident: &str) {
    browser.open(incident).await;
    let mut reached = false;
    for _ in 0..TABS_MAX {
        browser.press("Tab", 9).await;
        if browser.run("document.activeElement.name == 'by'").await == json!(true) {
            browser.run("document.activeElement.value = 'oncall'").await;
        }
        reached =
            browser.run("document.activeElement.id == 'acknowledge-button'").await == json!(true);
        if reached {
            break;
        }
    }
    assert!(reached, "the tab key never reaches the button");
    let outlined = "getComputedStyle(document.activeElement).outlineStyle != 'none'";
    assert_eq!(browser.run(outlined).await, json!(true), "it is seen where the focus is");
    browser.press("Enter", 13).await;
    let told =
        "document.querySelector('#acknowledge').textContent.includes('Looked after by oncall')";
    browser.until(told).await;
    assert_eq!(browser.run("localStorage.getItem('grayflag.name')").await, json!("oncall"));
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
}

/// A step is ticked off with the remembered name, for everybody and for good.
async fn tick(browser: &mut Browser, incident: &str) {
    browser.open(incident).await;
    browser.run("document.querySelector('.tick').click()").await;
    let pressed = "document.querySelector('.tick').getAttribute('aria-pressed') == 'true'";
    browser.until(pressed).await;
    browser.open(incident).await;
    assert_eq!(browser.run(pressed).await, json!(true));
    let by = "document.querySelector('.steps li p').textContent.includes('done by oncall')";
    assert_eq!(browser.run(by).await, json!(true));
    let folded = "document.querySelector('#steps details')";
    browser.run(&format!("{folded}.open = true; {folded}.querySelector('.tick').click()")).await;
    browser.until(&format!("{folded}.querySelector('[aria-pressed=true]') !== null")).await;
    let open = browser.run(&format!("{folded}.open")).await;
    assert_eq!(open, json!(true), "a list stays open when a step of it is ticked off");
}

/// What somebody types is there after the page took over what changed elsewhere.
async fn type_on(browser: &mut Browser, incident: &str) {
    browser.open(incident).await;
    browser
        .run(
            "document.querySelectorAll('.actions details').forEach(one => one.open = true);
             document.querySelector('[name=note]').value = 'half a sent';
             fetch(location.pathname + '/feedback', {method: 'POST',
                 body: new URLSearchParams({verdict: 'useful', note: 'from elsewhere'})})
                 .then(() => refresh())",
        )
        .await;
    let news = "document.querySelector('#timeline').textContent.includes('from elsewhere')";
    browser.until(news).await;
    let kept = browser.run("document.querySelector('[name=note]').value").await;
    assert_eq!(kept, json!("half a sent"));
}

/// The arrow keys read a chart's values.
async fn read_values(browser: &mut Browser, incident: &str) {
    browser.open(incident).await;
    browser.run("document.querySelector('.chart').focus()").await;
    browser.press("ArrowLeft", 37).await;
    browser
        .until("/\\d\\d:\\d\\d .*usually/.test(document.querySelector('#readout').textContent)")
        .await;
}

/// The incident moved on to the service in which the trouble begins; those that suffer list it.
async fn of_every_service(browser: &mut Browser, daemon: &Daemon, incident: &str) {
    for service in ["checkout", "payments"] {
        browser.open(&format!("{}/services/{service}", daemon.url)).await;
        for link in ["#incidents .what a", "#head a.tag"] {
            let url = browser.run(&format!("document.querySelector('{link}')?.href")).await;
            assert_eq!(url, json!(incident), "{service}: {link}");
        }
    }
}

/// What moved and what was said of it outlives the incident.
async fn remembers(browser: &mut Browser) {
    let head = browser.run("document.querySelector('#head h1').textContent").await;
    assert!(head.as_str().unwrap().starts_with("Over: "), "{head}");
    for part in ["#chart svg", "#signals tbody tr", "#steps details"] {
        let found = browser.run(&format!("document.querySelector('{part}') != null")).await;
        assert_eq!(found, json!(true), "{part}");
    }
    let asked = browser.run("document.querySelector('#steps h3').textContent").await;
    assert_eq!(asked, json!("Fix, so that it does not come back"));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_serve_from_an_incident_to_its_end() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let mut fleet = Fleet::new().await;
    let daemon = fleet.live(folder.path(), DURING).await;
    let mut browser = Browser::start().await;
    let open = incident(&mut browser, &daemon).await;
    looks_well(&mut browser, &daemon, &open, "during").await;
    fits_a_phone(&mut browser, &daemon, &open).await;
    acknowledge(&mut browser, &open).await;
    tick(&mut browser, &open).await;
    type_on(&mut browser, &open).await;
    read_values(&mut browser, &open).await;
    of_every_service(&mut browser, &daemon, &open).await;
    daemon.end().await;

    let daemon = fleet.live(folder.path(), AFTER).await;
    let over = incident(&mut browser, &daemon).await;
    assert_eq!(over.rsplit('/').next(), open.rsplit('/').next());
    browser.open(&over).await;
    let told = "document.querySelector('#head .tag.resolved')?.textContent == 'over'";
    assert_eq!(browser.run(told).await, json!(true));
    remembers(&mut browser).await;
    let course = browser.run("document.querySelector('#timeline').textContent").await;
    for part in
        ["It began", "oncall looks after it", "oncall did a step", "called it useful", "Over"]
    {
        assert!(course.as_str().unwrap().contains(part), "{part}: {course}");
    }
    browser.open(&format!("{}/", daemon.url)).await;
    let calm = browser.run("document.querySelector('.calm')?.textContent").await;
    assert!(calm.as_str().is_some_and(|said| said.starts_with("All quiet")), "{calm}");
    looks_well(&mut browser, &daemon, &over, "after").await;
    daemon.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_read_by_key_at_the_first_press() {
    let served = inert::Hostile::start().await;
    let mut browser = Browser::start().await;
    let incident = format!("{}/incidents/{}", served.url, served.incident);
    read_values(&mut browser, &incident).await;
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_run_nothing_in_a_browser() {
    let served = inert::Hostile::start().await;
    let mut browser = Browser::start().await;
    for page in served.pages() {
        browser.open(&page).await;
        let shown = browser.run("document.body.textContent.includes('onerror=pwned()')").await;
        let images = browser.run("document.images.length").await;
        assert_eq!(images, json!(0), "{page}");
        assert!(shown == json!(true) || page.ends_with("/status"), "{page}");
        assert!(browser.complaints.is_empty(), "{page}: {:#?}", browser.complaints);
    }
}
