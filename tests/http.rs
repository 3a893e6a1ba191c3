//! The HTTP API as its clients see it, over real TCP.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::sync::Arc;
use std::time::Duration;

use grayflag::engine::alert::{Alert, State};
use grayflag::engine::outcome::Outcome;
use grayflag::http::live::{Stage, live};
use grayflag::http::{self, Api, Config, Facts, Now, Scope, Token, WHAT_CHARS_MAX};
use grayflag::notify::digest::{Digest, Every};
use grayflag::notify::handle::StoreHandle;
use grayflag::notify::sample;
use grayflag::notify::status::StatusBoard;
use grayflag::series::{Change, ChangeKind, Verdict};
use grayflag::store::{NewDigest, Store, Tick};
use grayflag::time::{Span, Timestamp};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

#[path = "http/acknowledge.rs"]
mod acknowledge;
#[path = "http/described.rs"]
mod described;
#[path = "http/docs.rs"]
mod docs;
#[path = "http/lists.rs"]
mod lists;
#[path = "http/login.rs"]
mod login;
#[path = "http/matrix.rs"]
mod matrix;
#[path = "http/metrics.rs"]
mod metrics;
#[path = "http/reads.rs"]
mod reads;
#[path = "http/silences.rs"]
mod silences;
#[path = "http/status.rs"]
mod status;
#[path = "http/tls.rs"]
mod tls;

const NOW: Timestamp = Timestamp::from_secs(1_772_331_000);
/// The two incidents of [`Served::with_incidents`].
const OPEN: &str = "3f9c1d0be27a4c55";
const OVER: &str = "web-20260301T0000Z-0001";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A served API with a store of its own.
struct Served {
    url: String,
    api: Api,
    stage: Stage,
    store: StoreHandle,
    client: Client,
    stop: CancellationToken,
    task: JoinHandle<()>,
    _dir: TempDir,
}

impl Served {
    async fn start(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_with(change, |_| StatusBoard::default()).await
    }

    async fn start_with(
        change: impl FnOnce(&mut Config),
        board: impl FnOnce(&StoreHandle) -> StatusBoard,
    ) -> Self {
        // A second test of this process may have set it already.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dir = TempDir::new().unwrap();
        let store = StoreHandle::new(Store::open(&dir.path().join("state.db")).unwrap());
        let mut config = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
        let now: Now = Arc::new(|| NOW);
        let bound = http::bind(&config, &now).await.unwrap();
        let url = format!("http://{}", bound.address().unwrap());
        change(&mut config);
        let causes = ["overload", "slow-dependency"].map(str::to_owned).into();
        let (stage, live) = live();
        let api = Api::new(config, causes, store.clone(), now).with_live(live);
        let api = api.with_receivers(board(&store));
        let stop = CancellationToken::new();
        let task = tokio::spawn(http::serve(bound, api.clone(), stop.clone()));
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Self { url, api, stage, store, client, stop, task, _dir: dir }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// Status and JSON of a request, as the API describes them.
    async fn ask(&self, request: RequestBuilder) -> (StatusCode, Value) {
        let request = request.build().unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = self.client.execute(request).await.unwrap();
        let status = response.status();
        let json = response.headers()["content-type"].to_str().unwrap().to_owned();
        let wanted =
            if status.is_success() { "application/json" } else { "application/problem+json" };
        assert_eq!(json, wanted);
        let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        if !status.is_success() {
            assert_eq!(body["status"], status.as_u16());
            assert!(!body["detail"].as_str().unwrap().is_empty());
        }
        described::check((&method, &path), status, &body);
        (status, body)
    }

    fn post(&self, body: &Value) -> RequestBuilder {
        self.post_to("/api/v1/changes", body)
    }

    fn post_to(&self, path: &str, body: &Value) -> RequestBuilder {
        self.request(Method::POST, path)
            .header("content-type", "application/json")
            .body(body.to_string())
    }

    fn say(&self, incident: &str, body: &Value) -> RequestBuilder {
        self.post_to(&format!("/api/v1/incidents/{incident}/feedback"), body)
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.ask(self.request(Method::GET, path)).await
    }

    /// Stores an open incident and one that is over, which changed last.
    async fn with_incidents(self) -> Self {
        let open: Alert = serde_json::from_str(include_str!("data/messages/firing.json")).unwrap();
        let mut over = open.clone();
        OVER.clone_into(&mut over.incident);
        over.state = State::Resolved;
        over.at = open.at + Span::HOUR;
        let last_tick = over.at;
        let commit = move |store: &mut Store| {
            let alerts = [open, over];
            store.commit(&Tick {
                last_tick,
                snapshot: None,
                alerts: &alerts,
                charts: &[],
                deliveries: &[],
            })
        };
        self.store.with(commit).await.unwrap();
        self
    }

    async fn list(&self, query: &str) -> Vec<String> {
        let path = format!("/api/v1/changes?{query}");
        let (status, body) = self.ask(self.request(Method::GET, &path)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let changes = body["changes"].as_array().unwrap();
        changes.iter().map(|change| change["what"].as_str().unwrap().to_owned()).collect()
    }
}

fn token(scope: Scope) -> Token {
    Token { name: scope.name().to_owned(), scope, secret: TOKEN.into() }
}

fn deploy(what: &str, at: i64) -> Value {
    json!({"kind": "deploy", "service": "web", "what": what, "at": at})
}

#[tokio::test]
async fn a_change_is_kept_once_whoever_sends_it_again() {
    let served = Served::start(|_| {}).await;
    let begun = NOW.as_secs() - 600;
    let (status, first) = served.ask(served.post(&deploy("v2", begun))).await;
    assert_eq!(status, StatusCode::CREATED);
    let (status, again) = served.ask(served.post(&json!([deploy("v2", begun)]))).await;
    assert_eq!((status, &again), (StatusCode::OK, &first), "same content, same id");
    let known = |after| served.store.with(move |store| store.changes_after(after));
    let told = known(0).await.unwrap();
    assert_eq!((told.len(), told[0].posted_at), (1, NOW));
    assert_eq!(first["changes"][0]["id"], told[0].id.as_str());

    // Its end becomes known: the same change, told anew.
    let mut over = deploy("v2", begun);
    over["window"] = json!("5m");
    let (status, ended) = served.ask(served.post(&over)).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(ended["changes"][0]["id"], first["changes"][0]["id"]);
    let news = known(told[0].number).await.unwrap();
    assert_eq!(news.len(), 1);
    assert_eq!(news[0].change.end, Some(Timestamp::from_secs(begun + 300)));
    // A late repetition of the beginning does not take the end back.
    assert_eq!(served.ask(served.post(&deploy("v2", begun))).await.0, StatusCode::OK);
    assert_eq!(known(0).await.unwrap().len(), 2, "both words, for ticks between them");
    assert_eq!(served.list("").await, ["v2"]);
}

#[tokio::test]
async fn lists_are_kept_whole_or_not_at_all_and_can_be_asked_for() {
    let served = Served::start(|_| {}).await;
    let at = |minutes: i64| NOW.as_secs() - 60 * minutes;
    let mut other = deploy("flag on", at(5));
    other["service"] = json!("shop");
    let bad = json!([deploy("v1", at(30)), {"kind": "deploy", "service": "web"}]);
    let (status, told) = served.ask(served.post(&bad)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(told["errors"][0]["pointer"], "/1/what");
    assert!(served.list("").await.is_empty());
    let good = json!([deploy("v1", at(30)), deploy("v2", at(20)), other]);
    assert_eq!(served.ask(served.post(&good)).await.0, StatusCode::CREATED);
    assert_eq!(served.list("").await, ["flag on", "v2", "v1"]);
    assert_eq!(served.list("service=web").await, ["v2", "v1"]);
    assert_eq!(served.list("limit=1").await, ["flag on"]);
    assert_eq!(served.list(&format!("from={}&to={}", at(20), at(6))).await, ["v2"]);
    for query in ["from=yesterday", "limit=0", "limit=1001", "colour=red"] {
        let path = format!("/api/v1/changes?{query}");
        let (status, told) = served.ask(served.request(Method::GET, &path)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}: {told}");
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_its_remedy() {
    let served = Served::start(|_| {}).await;
    let post = || served.request(Method::POST, "/api/v1/changes");
    let json_post = || post().header("content-type", "application/json; charset=utf-8");
    for (request, status, part) in [
        (post().body("{}"), 415, "Content-Type: application/json"),
        (post().header("content-type", "text/plain").body("{}"), 415, "Content-Type"),
        (json_post().body("{\"kind\": "), 400, "not JSON"),
        (json_post().body(vec![0xff, 0xfe]), 400, "not JSON"),
        (json_post().body("[".repeat(100_000)), 400, "not JSON"),
        (json_post().body(" ".repeat((1 << 20) + 1)), 413, "several requests"),
        (served.request(Method::GET, "/api/v1/nothing"), 404, "nothing at this path"),
        (served.request(Method::DELETE, "/api/v1/changes"), 405, "method"),
    ] {
        let (got, told) = served.ask(request).await;
        assert_eq!(got.as_u16(), status, "{told}");
        assert!(told["detail"].as_str().unwrap().contains(part), "{told}");
    }
}

#[tokio::test]
async fn a_web_page_cannot_write_to_loopback() {
    let served = Served::start(|config| config.hosts = vec!["flags.example.com".to_owned()]).await;
    let address = served.url.strip_prefix("http://").unwrap();
    let port = address.rsplit_once(':').unwrap().1;
    let own = format!("http://{address}");
    let cases: [(&str, &str, StatusCode); 9] = [
        ("host", "evil.example.com", StatusCode::MISDIRECTED_REQUEST),
        ("host", "", StatusCode::MISDIRECTED_REQUEST),
        ("host", "FLAGS.example.com", StatusCode::OK),
        ("host", "localhost:9469", StatusCode::OK),
        ("host", "[::1]:9469", StatusCode::OK),
        ("origin", "https://evil.example.com", StatusCode::FORBIDDEN),
        ("origin", "null", StatusCode::FORBIDDEN),
        ("sec-fetch-site", "cross-site", StatusCode::FORBIDDEN),
        ("origin", &own, StatusCode::OK),
    ];
    served.ask(served.post(&deploy("v1", NOW.as_secs()))).await;
    for (name, value, wanted) in cases {
        let request = served.post(&deploy("v1", NOW.as_secs())).header(name, value);
        assert_eq!(request.send().await.unwrap().status(), wanted, "{name}: {value} {port}");
    }
    // Reading, too: a page whose name was pointed here must not see the fleet.
    let read = served.request(Method::GET, "/api/v1/changes").header("host", "evil.example.com");
    assert_eq!(served.ask(read).await.0, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn writers_show_the_token_where_there_is_one() {
    let served = Served::start(|config| {
        config.tokens = vec![token(Scope::Write)];
        config.public_reads = true;
        config.listen = ([0, 0, 0, 0], 0).into();
    })
    .await;
    let post = || served.post(&deploy("v1", NOW.as_secs()));
    for wrong in ["", "Bearer", "Bearer x", &format!("Basic {TOKEN}"), &format!("Bearer {TOKEN}0")]
    {
        let response = post().header("authorization", wrong).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{wrong}");
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }
    assert_eq!(served.ask(post()).await.0, StatusCode::UNAUTHORIZED);
    assert!(served.list("").await.is_empty(), "reading needs none where that is wanted");
    let right = post().header("authorization", format!("bearer {TOKEN}"));
    assert_eq!(served.ask(right).await.0, StatusCode::CREATED);
    // Without a token such an address takes nothing, whatever the configuration's check said.
    let open = Served::start(|config| config.listen = ([0, 0, 0, 0], 0).into()).await;
    assert_eq!(open.ask(open.post(&deploy("v1", NOW.as_secs()))).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn health_is_told_and_the_end_waits_for_nobody() {
    let served = Served::start(|_| {}).await;
    let status =
        async |path: &str| served.request(Method::GET, path).send().await.unwrap().status();
    assert_eq!(status("/-/healthy").await, StatusCode::OK);
    assert_eq!(status("/-/ready").await, StatusCode::SERVICE_UNAVAILABLE);
    served.is_ready();
    assert_eq!(status("/-/ready").await, StatusCode::OK);
    // A client that never ends its request.
    let address = served.url.strip_prefix("http://").unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"POST /api/v1/changes HTTP/1.1\r\n").await.unwrap();
    served.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(8), served.task).await;
    ended.expect("the end waits for nobody").unwrap();
}

/// More than are served at once.
const CROWD: usize = 200;

#[tokio::test(start_paused = true)]
async fn connections_that_ask_nothing_keep_nobody_out() {
    let served = Served::start(|_| {}).await;
    let address = served.url.strip_prefix("http://").unwrap();
    let mut crowd = Vec::new();
    for n in 0..CROWD {
        let mut idle = TcpStream::connect(address).await.unwrap();
        match n % 3 {
            0 => {}
            1 => idle.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: local").await.unwrap(),
            // Asks once and keeps the connection.
            _ => {
                idle.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    .await
                    .unwrap();
            }
        }
        crowd.push(idle);
    }
    let asked = served.request(Method::GET, "/-/healthy").send();
    let answer = tokio::time::timeout(Duration::from_secs(60), asked).await;
    assert_eq!(answer.expect("an answer").unwrap().status(), StatusCode::OK);
    drop(crowd);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_answer_is_given_up() {
    const ASKED: usize = 40;
    let served = Served::start(|_| {}).await;
    let change = |n: i64| Change {
        at: NOW - Span::from_mins(n),
        end: None,
        kind: ChangeKind::Deploy,
        service: "web".to_owned(),
        what: "x".repeat(WHAT_CHARS_MAX),
    };
    let many: Vec<Change> = (0..1_000).map(change).collect();
    served.store.with(move |store| store.post_changes(NOW, &many).map(drop)).await.unwrap();
    let address = served.url.strip_prefix("http://").unwrap();
    let ask = "GET /api/v1/changes?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut deaf = TcpStream::connect(address).await.unwrap();
    deaf.write_all(ask.repeat(ASKED).as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    // What was on its way arrives, and then nothing more: cut off, or an end.
    let mut taken = Vec::new();
    let _ = deaf.read_to_end(&mut taken).await;
    let answers = taken.windows(15).filter(|bytes| bytes == b"HTTP/1.1 200 OK").count();
    assert!(0 < answers && answers < ASKED, "{answers} answers");
}

#[tokio::test]
async fn an_address_in_use_is_told() {
    let served = Served::start(|_| {}).await;
    let listen = served.url.strip_prefix("http://").unwrap().parse().unwrap();
    let taken =
        http::bind(&Config { listen, ..Config::default() }, &(Arc::new(|| NOW) as Now)).await;
    let taken = taken.unwrap_err();
    assert!(taken.to_string().contains("is another grayflag running?"), "{taken}");
}

#[tokio::test]
async fn incidents_are_listed_and_shown_whole() {
    let served = Served::start(|_| {}).await;
    assert_eq!(served.get("/api/v1/incidents").await.1, json!({"incidents": [], "next": null}));
    let served = served.with_incidents().await;
    for (query, wanted) in [
        ("", &[OVER, OPEN][..]),
        ("?limit=1", &[OVER]),
        ("?open=true", &[OPEN]),
        ("?open=false&limit=5", &[OVER]),
    ] {
        let (status, body) = served.get(&format!("/api/v1/incidents{query}")).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let rows = body["incidents"].as_array().unwrap();
        let ids: Vec<&str> = rows.iter().map(|row| row["incident"].as_str().unwrap()).collect();
        assert_eq!(ids, wanted, "{query}");
        for row in rows {
            assert_eq!(row["ended_at"].is_null(), row["incident"] == OPEN, "{row}");
            assert_eq!((&row["cause"], &row["feedback"]), (&json!("slow-dependency"), &json!([])));
        }
    }
    for query in ["limit=0", "open=yes", "colour=red"] {
        let (status, told) = served.get(&format!("/api/v1/incidents?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}: {told}");
    }
    let (status, whole) = served.get(&format!("/api/v1/incidents/{OPEN}")).await;
    assert_eq!(status, StatusCode::OK, "{whole}");
    let title = whole["alert"]["title"].as_str().unwrap();
    assert!(title.ends_with("answering more slowly: payments (likely)"), "{title}");
    assert_eq!(whole["alert"]["causes"][0]["unknown"].as_array().unwrap().len(), 2);
    for id in ["web-20260301T0000Z-0002", "%ff"] {
        let (status, told) = served.get(&format!("/api/v1/incidents/{id}")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{told}");
    }
}

#[tokio::test]
async fn what_people_say_is_kept_and_shown() {
    let served = Served::start(|_| {}).await.with_incidents().await;
    let word = json!({"verdict": "useful", "cause": "overload", "note": "by hand", "by": "oncall"});
    let (status, kept) = served.ask(served.say(OPEN, &word)).await;
    assert_eq!(status, StatusCode::CREATED, "{kept}");
    let mut wanted = word;
    wanted["at"] = json!(NOW.to_string());
    let mut answer = wanted.clone();
    answer["incident"] = json!(OPEN);
    assert_eq!(kept, answer);
    let (status, _) = served.ask(served.say(OPEN, &json!({"verdict": "false"}))).await;
    assert_eq!(status, StatusCode::CREATED);
    let (_, whole) = served.get(&format!("/api/v1/incidents/{OPEN}")).await;
    assert_eq!(whole["feedback"][0], wanted);
    assert_eq!((&whole["feedback"][1]["verdict"]), &json!("false"));
    let heard = served.store.with(|store| store.feedback_after(0)).await.unwrap();
    let heard: Vec<_> = heard.iter().map(|word| (word.incident.as_str(), word.verdict)).collect();
    assert_eq!(heard, [(OPEN, Verdict::Useful), (OPEN, Verdict::False)], "as the engine hears it");
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_with_its_remedy() {
    let served = Served::start(|_| {}).await.with_incidents().await;
    let missing = served.say("web-20260301T0000Z-0002", &json!({"verdict": "useful"}));
    let (status, told) = served.ask(missing).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(
        told["detail"].as_str().unwrap().contains(&format!("did you mean `{OVER}`?")),
        "{told}"
    );
    for (body, pointer, part) in [
        (json!([]), "", "expected an object"),
        (json!({}), "/verdict", "one of useful, false, expected, duplicate"),
        (json!({"verdict": "great"}), "/verdict", "one of useful"),
        (json!({"verdict": "useful", "because": 1}), "/because", "no such field"),
        (json!({"verdict": "useful", "cause": "overlod"}), "/cause", "did you mean `overload`?"),
        (json!({"verdict": "useful", "cause": 7}), "/cause", "as text"),
        (json!({"verdict": "false", "cause": "overload"}), "/cause", "has no cause"),
        (json!({"verdict": "useful", "note": "x".repeat(2_001)}), "/note", "at most 2000"),
    ] {
        let (status, told) = served.ask(served.say(OPEN, &body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{told}");
        assert_eq!(told["errors"][0]["pointer"], pointer, "{told}");
        assert!(told["errors"][0]["detail"].as_str().unwrap().contains(part), "{told}");
    }
    assert_eq!(served.store.with(|store| store.feedback_after(0)).await.unwrap(), []);

    // Whoever may not post changes may not judge either.
    let closed = Served::start(|config| config.tokens = vec![token(Scope::Write)]).await;
    let closed = closed.with_incidents().await;
    let say = || closed.say(OPEN, &json!({"verdict": "useful"}));
    assert_eq!(closed.ask(say()).await.0, StatusCode::UNAUTHORIZED);
    let foreign = say().header("origin", "https://evil.example.com");
    assert_eq!(closed.ask(foreign).await.0, StatusCode::FORBIDDEN);
    let right = say().header("authorization", format!("Bearer {TOKEN}"));
    assert_eq!(closed.ask(right).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn digests_are_listed_newest_first() {
    let served = Served::start(|_| {}).await;
    let week = sample::digest();
    let mut day = Digest::new(Every::Day, week.to, week.to + Span::DAY);
    day.changes.total = 3;
    for digest in [&week, &day] {
        let (id, json, at) = (digest.id(), digest.to_json(), digest.to);
        let keep = move |store: &mut Store| {
            store.keep_digest(&NewDigest { id: &id, at, json: &json, to: &[] })
        };
        assert!(served.store.with(keep).await.unwrap());
    }
    let list = |query: &str| served.request(Method::GET, &format!("/api/v1/digests{query}"));
    let (status, body) = served.ask(list("")).await;
    assert_eq!(status, StatusCode::OK);
    let found: Vec<Digest> = serde_json::from_value(body["digests"].clone()).unwrap();
    assert_eq!(found, [day, week]);
    let (_, body) = served.ask(list("?limit=1")).await;
    assert_eq!(body["digests"].as_array().unwrap().len(), 1);
    let (status, _) = served.ask(list("?open=true")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}
