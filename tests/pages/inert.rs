//! Names from outside, and who may send forms.

use std::sync::Arc;

use grayflag::engine::alert::Alert;
use grayflag::engine::overview::{Health, Overview, SeriesStanding, ServiceStanding};
use grayflag::http::live::{Stage, live};
use grayflag::http::{self, Api, Config, Facts, Now};
use grayflag::matcher::Matcher;
use grayflag::notify::handle::StoreHandle;
use grayflag::notify::sample;
use grayflag::rules::{Role, Rules, Signal};
use grayflag::series::{Change, ChangeKind, Labels, Series, Verdict};
use grayflag::store::{Acknowledged, Draft, Note, NoteKind, Opinion, Store, Tick};
use grayflag::time::{Span, Timestamp};
use reqwest::{Client, StatusCode};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_772_331_000);
/// Ends attributes and texts, and would run.
pub(crate) const HOSTILE: &str = "\"'></title></script><img src=x onerror=pwned()>{{ 7*7 }}";

/// Pages over a store that holds nothing but hostile names.
pub(crate) struct Hostile {
    pub(crate) url: String,
    pub(crate) incident: String,
    pub(crate) client: Client,
    _stage: Stage,
    _stop: DropGuard,
    _dir: TempDir,
}

fn alert() -> Alert {
    let mut alert = sample::alerts_at(NOW).remove(0);
    let text = || HOSTILE.to_owned();
    alert.service = text();
    alert.services = vec![text()];
    alert.title = text();
    for cause in &mut alert.causes {
        cause.culprit.service = text();
        cause.evidence_for = vec![text()];
        cause.against = vec![text()];
        cause.unknown = vec![text()];
    }
    for signal in &mut alert.signals {
        signal.service = text();
        signal.signal = text();
        signal.labels = Labels::from([(text(), text())]);
        signal.unit = Some(text());
    }
    for change in &mut alert.changes {
        change.service = text();
        change.what = text();
    }
    alert.steps.first_ten_minutes = vec![text()];
    alert.checked = vec![text()];
    alert
}

fn overview() -> Overview {
    let series = Series::new(
        HOSTILE,
        HOSTILE,
        None,
        None,
        Labels::from([("instance".to_owned(), HOSTILE.to_owned())]),
    );
    let standing = SeriesStanding {
        series: Arc::new(series),
        role: Role::Latency,
        value: Some(0.4),
        usual: Some([0.1, 0.2, 0.3]),
        score: 0.9,
        moved: None,
        health: Health::Judged,
        seen: Some(NOW),
        peers: 0,
    };
    let service = ServiceStanding {
        service: HOSTILE.to_owned(),
        standing: None,
        weeks: 1.0,
        silent_since: None,
        alerts_left: 1.0,
        incidents: vec![],
        calls: vec![HOSTILE.to_owned()],
        series: vec![standing],
    };
    Overview { at: Some(NOW), services: vec![service], ..Overview::default() }
}

fn fill(store: &mut Store, alert: &Alert) {
    let id = alert.incident.clone();
    let (alerts, charts) = ([alert.clone()], [sample::chart_at(NOW)]);
    let tick =
        Tick { last_tick: NOW, snapshot: None, alerts: &alerts, charts: &charts, deliveries: &[] };
    store.commit(&tick).unwrap();
    let by = Some(HOSTILE.to_owned());
    store.acknowledge(&id, &Acknowledged { at: NOW, by: by.clone() }, &[]).unwrap();
    let (verdict, note) = (Verdict::Useful, by.clone());
    let said = Opinion { incident: id, verdict, cause: None, note, at: NOW, by: by.clone() };
    store.give_feedback(&said).unwrap();
    let matcher = Matcher { service: vec![HOSTILE.into()], ..Matcher::default() };
    let (starts_at, ends_at, comment) = (NOW, NOW + Span::HOUR, HOSTILE.to_owned());
    store.add_silence(Draft { matcher, all: false, starts_at, ends_at, comment, by }, NOW).unwrap();
    let (at, until, kind, text) = (NOW, NOW, NoteKind::Crept, HOSTILE.to_owned());
    let (service, subject) = (text.clone(), text.clone());
    store.note(&[Note { at, until, kind, service, subject, text: text.clone() }]).unwrap();
    let (end, kind, service) = (None, ChangeKind::Deploy, text.clone());
    store.post_changes(NOW, &[Change { at, end, kind, service, what: text }]).unwrap();
}

impl Hostile {
    pub(crate) async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dir = TempDir::new().unwrap();
        let store = StoreHandle::new(Store::open(&dir.path().join("state.db")).unwrap());
        let (alert, incident) = (alert(), alert().incident);
        store
            .with(move |store| {
                fill(store, &alert);
                Ok(())
            })
            .await
            .unwrap();
        let config = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
        let now: Now = Arc::new(|| NOW);
        let bound = http::bind(&config, &now).await.unwrap();
        let url = format!("http://{}", bound.address().unwrap());
        let (stage, live) = live();
        stage.show(overview());
        let signals = vec![Signal::plain(HOSTILE, Role::Latency)];
        let rules = Arc::new(Rules { signals, ..Rules::default() });
        let source_url = Some("http://prom".to_owned());
        let facts = Facts { rules, source_url, ..Facts::default() };
        let api = Api::new(config, vec![HOSTILE.to_owned()], store, now);
        let api = api.with_live(live).with_facts(facts);
        let stop = CancellationToken::new();
        tokio::spawn(http::serve(bound, api, stop.clone()));
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        let client = client.build().unwrap();
        let stop = stop.drop_guard();
        Self { url, incident, client, _stage: stage, _stop: stop, _dir: dir }
    }

    /// Every page that shows such names.
    pub(crate) fn pages(&self) -> Vec<String> {
        let mut service = format!("{}/services/x", self.url).parse::<reqwest::Url>().unwrap();
        service.path_segments_mut().unwrap().pop().push(HOSTILE);
        let incident = format!("/incidents/{}", self.incident);
        let paths = ["/", "/incidents", &incident, "/rules", "/changes", "/coverage", "/silences"];
        let mut all: Vec<String> = paths.iter().map(|path| format!("{}{path}", self.url)).collect();
        all.push(service.to_string());
        all.push(format!("{}/status", self.url));
        let mut asked = format!("{}/?service=", self.url).parse::<reqwest::Url>().unwrap();
        asked.query_pairs_mut().clear().append_pair("service", HOSTILE);
        all.push(asked.to_string());
        all
    }
}

#[tokio::test]
async fn names_from_outside_are_inert_on_every_page() {
    let served = Hostile::start().await;
    let mut shown = 0;
    for url in served.pages() {
        let answer = served.client.get(&url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{url}");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let body = answer.text().await.unwrap();
        assert!(!body.contains("<img"), "{url}: {body}");
        assert_eq!(body.matches("<script").count(), 1, "{url}: our own and no other");
        // As it was written: nothing in it is a template either.
        let whole = body.contains("&lt;img src=x onerror=pwned()&gt;{{ 7*7 }}");
        shown += usize::from(whole);
    }
    assert!(shown >= 9, "the names are there, as texts: {shown}");
}

#[tokio::test]
async fn forms_are_taken_from_own_pages_alone() {
    let served = Hostile::start().await;
    let url = format!("{}/incidents/{}/feedback", served.url, served.incident);
    let send = |origin: Option<&str>, body: &'static str| {
        let request = served.client.post(&url).body(body);
        let kind = "application/x-www-form-urlencoded";
        let request = request.header("content-type", kind);
        origin.map_or(request.try_clone().unwrap(), |origin| request.header("origin", origin))
    };
    let told = |request: reqwest::RequestBuilder| async {
        let answer = request.send().await.unwrap();
        (answer.status(), answer.headers().get("location").cloned(), answer.text().await.unwrap())
    };
    let own = served.url.as_str();
    let (status, to, _) = told(send(Some(own), "verdict=useful&note=seen")).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    assert_eq!(to.unwrap(), format!("/incidents/{}", served.incident));
    for origin in [None, Some("http://elsewhere.example"), Some("null")] {
        let (status, ..) = told(send(origin, "verdict=false")).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{origin:?}");
    }
    let (status, _, page) = told(send(Some(own), "verdict=maybe")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(page.contains("must be one of useful") && page.contains("<h1>"), "a page: {page}");
    let data = send(Some(own), "verdict=maybe").header("accept", "application/problem+json");
    let (status, _, problem) = told(data).await;
    assert!(status == StatusCode::BAD_REQUEST && problem.starts_with('{'), "{problem}");
    // The words that were taken, and no others.
    let page = served.client.get(format!("{own}/incidents/{}", served.incident));
    let page = page.send().await.unwrap().text().await.unwrap();
    assert!(page.contains("“seen”") && !page.contains("called it false"), "{page}");
}

#[tokio::test]
async fn what_is_not_there_is_a_page_for_people_and_data_for_programs() {
    let served = Hostile::start().await;
    for (path, kind) in [
        ("/nowhere", "text/html"),
        ("/incidents/nowhere", "text/html"),
        ("/services/nowhere", "text/html"),
        ("/digests/day/1", "text/html"),
        ("/api/v1/nowhere", "application/problem+json"),
        ("/-/nowhere", "application/problem+json"),
        ("/assets/0/style.css", "application/problem+json"),
    ] {
        let answer = served.client.get(format!("{}{path}", served.url)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with(kind), "{path}");
    }
}
