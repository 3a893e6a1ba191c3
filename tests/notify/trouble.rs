//! Receivers that hang, refuse, fail for an hour, answer nonsense or hang up: the others notice
//! nothing, and once all is well again everybody has everything, once and in order.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use grayflag::engine::alert::{Alert, State};
use grayflag::notify::alertmanager::AlertmanagerConfig;
use grayflag::notify::pace::Rate;
use grayflag::notify::receiver::{ReceiverConfig, ReceiverKind};
use grayflag::store::RowState;
use grayflag::time::Span;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::{Running, hook, receiver, sample};

/// What a server does while it is in trouble.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    None,
    /// Says this.
    Says(&'static str),
    /// Says this to whoever speaks of that, and is well to others.
    SaysTo(&'static str, &'static str),
    /// The same, but others wait for an answer until all is well.
    SaysFirst(&'static str, &'static str),
    /// Says nothing, and keeps the connection.
    Hangs,
    /// Reads the request and hangs up.
    HangsUp,
}

/// A server of our own, because none that works answers like this.
struct Rough {
    url: String,
    /// The ids of the messages it took, in order.
    taken: Arc<Mutex<Vec<String>>>,
    asked: Arc<Mutex<usize>>,
    trouble: watch::Sender<Trouble>,
}

impl Rough {
    async fn start(trouble: Trouble) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (taken, asked) = (Arc::default(), Arc::default());
        let trouble = watch::Sender::new(trouble);
        let rough = Self { url, taken, asked, trouble };
        let (taken, asked) = (Arc::clone(&rough.taken), Arc::clone(&rough.asked));
        let trouble = rough.trouble.subscribe();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *asked.lock().unwrap() += 1;
                tokio::spawn(serve(stream, Arc::clone(&taken), trouble.clone()));
            }
        });
        rough
    }

    fn is_well(&self) {
        self.trouble.send_replace(Trouble::None);
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    taken: Arc<Mutex<Vec<String>>>,
    mut trouble: watch::Receiver<Trouble>,
) {
    let request = request(&mut stream).await;
    let now = *trouble.borrow_and_update();
    let answer = match now {
        Trouble::Says(text) => text,
        Trouble::SaysTo(text, what) if request.contains(what) => text,
        Trouble::None | Trouble::SaysTo(..) => OK,
        Trouble::SaysFirst(text, what) if request.contains(what) => text,
        Trouble::SaysFirst(..) => {
            let _ = trouble.changed().await;
            OK
        }
        Trouble::HangsUp => return,
        Trouble::Hangs => {
            // Until somebody repairs it, which takes this connection with it.
            let _ = trouble.changed().await;
            return;
        }
    };
    if answer == OK {
        let key = request.lines().find_map(|line| line.strip_prefix("idempotency-key: "));
        taken.lock().unwrap().push(key.unwrap_or(&request).to_owned());
    }
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// A request, once the whole of it has come.
async fn request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if length.is_none_or(|length| length.parse::<usize>().unwrap() <= body.len()) {
                return text.to_lowercase();
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return String::from_utf8_lossy(&bytes).into_owned();
        }
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const BUSY: &str = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 600\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const BROKEN: &str = "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const GARBAGE: &str = "\u{0}\u{1}!! 220 smtp.example.com ESMTP\r\n\r\n<html>";

/// Beginning, update and end of so many incidents, in the order of time.
fn stories(count: usize) -> Vec<Alert> {
    let states = [State::Firing, State::Updated, State::Resolved];
    let alert = |(minute, state): (i64, State), number: usize| {
        let mut alert = sample("firing");
        alert.incident = format!("incident-{number:03}");
        alert.state = state;
        alert.at = alert.at + Span::from_mins(minute);
        alert
    };
    let steps = (0..).zip(states);
    steps.flat_map(|step| (0..count).map(move |number| alert(step, number))).collect()
}

/// Each message once, and those about an incident in their order.
fn once_and_in_order(who: &str, taken: &[String], alerts: &[Alert]) {
    let mut by_incident: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for key in taken {
        let mut parts = key.split('/');
        let (incident, state) = (parts.next().unwrap(), parts.next().unwrap());
        by_incident.entry(incident).or_default().push(state);
    }
    assert_eq!(by_incident.len() * 3, alerts.len(), "{who}");
    for (incident, states) in by_incident {
        assert_eq!(states, ["firing", "updated", "resolved"], "{who}, {incident}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn troubles_of_one_receiver_are_its_own_and_lose_nothing() {
    let troubled = [
        ("hanging", Trouble::Hangs),
        ("busy", Trouble::Says(BUSY)),
        ("broken", Trouble::Says(BROKEN)),
        ("garbled", Trouble::Says(GARBAGE)),
        ("hanging-up", Trouble::HangsUp),
    ];
    let mut servers = BTreeMap::from([("good", Rough::start(Trouble::None).await)]);
    for (name, trouble) in troubled {
        servers.insert(name, Rough::start(trouble).await);
    }
    let mut receivers: Vec<ReceiverConfig> =
        servers.iter().map(|(name, server)| hook(name, &server.url)).collect();
    // Half of them take several at once: the order of an incident is kept all the same.
    for receiver in receivers.iter_mut().step_by(2) {
        receiver.pace.at_once = 4;
    }
    let dir = TempDir::new().unwrap();
    let alerts = stories(8);
    let now = alerts.last().unwrap().at;
    let running = Running::start(&dir.path().join("state.db"), &receivers, now);
    running.commit(alerts.clone()).await;
    let good = Arc::clone(&servers["good"].taken);
    running.until("the good one", move |_| good.lock().unwrap().len() == 24).await;

    // An hour of it, in which each is asked again and again, but not as often as it could be.
    for _ in 0..60 {
        running.pass(Span::MINUTE);
        let before = *servers["broken"].asked.lock().unwrap();
        let asked = Arc::clone(&servers["broken"].asked);
        // At most five minutes lie between two attempts; one of them is enough to go on.
        for _ in 0..20 {
            if *asked.lock().unwrap() > before {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
    for (name, server) in &servers {
        let asked = *server.asked.lock().unwrap();
        let (least, most) = match *name {
            "good" => (24, 24),
            // Nobody asks twice where nobody answers; four at once.
            "hanging" => (1, 4),
            // Every ten minutes, as it asked.
            "busy" => (1, 40),
            _ => (5, 300),
        };
        assert!((least..=most).contains(&asked), "{name} was asked {asked} times");
        server.is_well();
    }
    running.until_empty_in(60).await;
    assert_eq!(running.store.with(|s| s.count(RowState::Done)).await.unwrap(), 24 * 6);
    running.stop().await;
    for (name, server) in &servers {
        once_and_in_order(name, &server.taken(), &alerts);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_goes_out_than_the_rate_allows() {
    let server = Rough::start(Trouble::None).await;
    let mut receiver = hook("slow", &server.url);
    receiver.pace.rate = Some(Rate::per_minute(6));
    let dir = TempDir::new().unwrap();
    let alerts = stories(7);
    let now = alerts.last().unwrap().at;
    let running = Running::start(&dir.path().join("state.db"), &[receiver], now);
    running.commit(alerts.clone()).await;
    for minute in 1..=3 {
        let taken = Arc::clone(&server.taken);
        running.until("a minute's worth", move |_| taken.lock().unwrap().len() == 6 * minute).await;
        assert_eq!(running.board.of("slow").error, None, "waiting is no failure");
        running.pass(Span::MINUTE);
    }
    running.until_empty().await;
    running.stop().await;
    once_and_in_order("slow", &server.taken(), &alerts);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_goes_out_when_it_is_let_go() {
    let server = Rough::start(Trouble::None).await;
    let dir = TempDir::new().unwrap();
    let alert = sample("firing");
    let receivers = [hook("quiet", &server.url)];
    let running = Running::start(&dir.path().join("state.db"), &receivers, alert.at);
    running.commit_held(alert.clone(), alert.at + Span::HOUR, "silence 1").await;
    running.pass(Span::from_mins(59));
    running
        .commit(vec![{
            let mut other = alert.clone();
            "another".clone_into(&mut other.incident);
            other
        }])
        .await;
    let taken = Arc::clone(&server.taken);
    running.until("the other", move |_| taken.lock().unwrap().len() == 1).await;
    assert!(server.taken()[0].starts_with("another/"));
    let now = alert.at + Span::from_mins(59);
    let released = running.store.with(move |store| store.release("silence 1", now)).await;
    assert_eq!(released.unwrap(), 1);
    running.store.news();
    running.until_empty().await;
    running.stop().await;
    assert_eq!(server.taken().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_file_that_fails_at_first_delays_delivery_and_does_not_end_it() {
    let server = Rough::start(Trouble::None).await;
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("state.db");
    let alert = sample("firing");
    let receivers = [hook("late", &server.url)];
    drop(grayflag::store::Store::open(&path).unwrap());
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch("ALTER TABLE outbox RENAME TO away").unwrap();
    let running = Running::start(&path, &receivers, alert.at);
    // Each waits its turn behind the first use that delivery makes.
    for _ in 0..50 {
        assert!(running.store.with(|store| store.pending_count()).await.is_err());
    }
    raw.execute_batch("ALTER TABLE away RENAME TO outbox").unwrap();
    running.commit(vec![alert]).await;
    running.until_empty().await;
    running.stop().await;
    assert_eq!(server.taken().len(), 1);
}

/// A beginning.
fn begins(incident: &str) -> Alert {
    let mut alert = sample("firing");
    incident.clone_into(&mut alert.incident);
    alert
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asked_for_a_rest_has_it_whatever_else_it_takes() {
    let server = Rough::start(Trouble::SaysFirst(BUSY, "incident-a/")).await;
    let mut receiver = hook("busy", &server.url);
    receiver.pace.at_once = 4;
    let dir = TempDir::new().unwrap();
    let alerts = ["incident-a", "incident-b", "incident-c"].map(begins);
    let now = alerts[0].at;
    let running = Running::start(&dir.path().join("state.db"), &[receiver], now);
    running.commit(alerts.to_vec()).await;
    let (board, asked) = (running.board.clone(), Arc::clone(&server.asked));
    let refused = move |_: &_| board.of("busy").error.is_some() && *asked.lock().unwrap() == 3;
    running.until("the refusal", refused).await;
    server.is_well();
    running.until("the others", |store| store.count(RowState::Done).unwrap() == 2).await;
    assert_eq!(running.board.of("busy").rest_until, Some(now + Span::from_mins(10)));
    running.until_empty_in(12).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_alive_holds_up_nothing_else() {
    let server = Rough::start(Trouble::None).await;
    let config = AlertmanagerConfig {
        urls: vec![server.url.parse().unwrap()],
        headers: Vec::new(),
        login: None,
        ca_file: None,
        labels: BTreeMap::new(),
        keep_alive: Span::MINUTE,
        owners: BTreeMap::new(),
    };
    let name = format!("am/{}", server.url.trim_start_matches("http://").trim_end_matches('/'));
    let receivers = [receiver("am", ReceiverKind::Alertmanager(Box::new(config)))];
    let dir = TempDir::new().unwrap();
    let alert = begins("incident-a");
    let running = Running::start(&dir.path().join("state.db"), &receivers, alert.at);
    running.commit(vec![alert, begins("incident-b")]).await;
    running.until_empty().await;
    server.trouble.send_replace(Trouble::SaysTo(BROKEN, "incident-a"));
    running.pass(Span::from_mins(2));
    let (board, am) = (running.board.clone(), name.clone());
    running.until("the failure", move |_| board.of(&am).error.is_some()).await;
    running.commit(vec![begins("incident-c")]).await;
    running.until_empty_in(20).await;
    // The other that is open has its turn too.
    let before = running.board.of(&name).kept_alive;
    for _ in 0..100 {
        running.pass(Span::MINUTE);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        if running.board.of(&name).kept_alive > before {
            break;
        }
    }
    let board = running.board.clone();
    running.until("the other kept alive", move |_| board.of(&name).kept_alive > before).await;
    running.stop().await;
}
