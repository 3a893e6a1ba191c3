//! The documented default configuration, and what a configuration with everything is read as.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use grayflag::changes::grafana::ServiceOf;
use grayflag::config::{self, Config, Loaded, Machine, World};
use grayflag::engine::alert::Severity;
use grayflag::hours::Schedule;
use grayflag::matcher::Matcher;
use grayflag::notify::email::{Relay, Tls};
use grayflag::notify::receiver::{ReceiverConfig, ReceiverKind};
use grayflag::notify::routes::{Quiet, Route};
use grayflag::problem::SourceFile;
use grayflag::rules::{self, Budget, ChangeBy, ChangeRule, Maintenance, Service};
use grayflag::series::ChangeKind;
use grayflag::time::Span;
use jiff::tz::TimeZone;
use secrecy::ExposeSecret as _;

/// The machine's files, with one variable in the environment.
struct OneVariable;

impl World for OneVariable {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Machine.read(path)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        Machine.list(folder)
    }
    fn variable(&self, name: &str) -> Option<String> {
        (name == "SMTP_PASSWORD").then(|| "from the environment".to_owned())
    }
}

/// A folder with a configuration, rule files and secrets.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("grayflag.toml", text);
    write("rules/signals/b.toml", "[[signal]]\nname = \"b\"\nrole = \"cpu\"\nquery = \"b\"\n");
    write("rules/signals/a.toml", "[[signal]]\nname = \"a\"\nrole = \"latency\"\nquery = \"a\"\n");
    write("rules/causes/c.toml", &fs::read_to_string("tests/data/good/cause.toml").unwrap());
    write(
        "rules/changes/d.toml",
        "[[change]]\nkind = \"flag\"\nquery = \"flags\"\nvalue = \"step\"\nlasts = \"10m\"\n",
    );
    write("secrets/http-token", "0123456789abcdef\n");
    write("secrets/http-token-ci", "fedcba9876543210\n");
    write("secrets/grafana-token", "glsa_x\n");
    write("secrets/source-password", "from a file\n");
    write("secrets/source-token", "token\n");
    write("secrets/smtp-password", "from a file");
    write("secrets/hook-token", "Bearer from a file\n");
    write("secrets/hook-signing", "0123456789abcdef\n");
    write("secrets/slack-token", "xoxb-1\n");
    write("secrets/heartbeat-url", "https://hc-ping.com/0123-4567\n");
    write("secrets/pagerduty-key", "0123456789abcdef0123456789abcdef\n");
    write("secrets/opsgenie-key", "0123-abcd\n");
    write("secrets/telegram-token", "123456:ABC-d_e\n");
    for name in ["slack-webhook", "teams-webhook", "discord-webhook"] {
        write(&format!("secrets/{name}"), "https://example.com/x/y\n");
    }
    write("templates/mail.txt", "{{ a.title }}\n");
    write("secrets/alertmanager-token", "from a file\n");
    for name in ["ca.pem", "client.pem", "client.key", "server.pem", "server.key", "clients.pem"] {
        write(&format!("tls/{name}"), "-----BEGIN CERTIFICATE-----\n");
    }
    folder
}

fn load(folder: &tempfile::TempDir) -> Loaded {
    config::load(&folder.path().join("grayflag.toml"), &OneVariable).unwrap()
}

#[test]
fn the_file_in_the_repository_is_the_generated_one() {
    let path = "config/grayflag.toml";
    let text = config::default_text();
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(path, &text).unwrap();
    }
    let stored = fs::read_to_string(path).unwrap();
    assert_eq!(stored, text, "run this test again with UPDATE_SNAPSHOTS=1");
}

#[test]
fn the_default_file_gives_the_defaults() {
    for text in [config::default_text(), String::new()] {
        let folder = folder(&text);
        let loaded = load(&folder);
        assert!(loaded.problems.is_empty(), "{}", loaded.problems.render(false));
        assert_eq!(loaded.rule_files, 4);
        let mut config = loaded.config.unwrap();
        let names: Vec<_> = config.rules.signals.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["a", "b"], "files are read in order of name");
        assert_eq!(config.rules.causes.len(), 1);
        // What is relative to the file's folder, and what the rule files add, differs on purpose.
        assert_eq!(config.store.path, folder.path().join("grayflag.db"));
        config.store = Config::default().store;
        config.rules.signals.clear();
        config.rules.causes.clear();
        assert_eq!(config.rules.changes.len(), 1);
        config.rules.changes.clear();
        assert_eq!(format!("{config:#?}"), format!("{:#?}", Config::default()));
    }
}

#[test]
fn every_option_that_is_not_set_by_default_exists() {
    let text = config::default_text();
    let options = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(option) => option,
        None => line,
    });
    let options = options.collect::<Vec<_>>().join("\n");
    let folder = folder(&options);
    let loaded = load(&folder);
    // Both ways to say who we are stand in the file; only that may be wrong with it.
    let told: Vec<_> = loaded.problems.iter().map(|p| p.message.clone()).collect();
    let odd = [
        "`signal` in `match` of [[route]]: no signal is called `http-latency-p99`",
        "no alert can reach this default route",
    ];
    let twice =
        "`Authorization` is set more than once in [source]: `basic_auth`, `bearer_token_file`";
    assert_eq!(told, [twice, odd[0], odd[1]]);
    let one_way = options.replace("bearer_token_file", "# bearer_token_file");
    let loaded = load(&self::folder(&one_way));
    let told: Vec<_> = loaded.problems.iter().map(|p| p.message.clone()).collect();
    // All examples of routes at once leave nothing for the last; the signal is a pack's.
    assert_eq!(told, odd);
    assert!(!loaded.problems.has_errors());
}

const EVERYTHING: &str = r#"
[poll]
interval = "1m"
settle = "0s"
history = "8w"
timezone = "UTC"
[budget]
alerts = "0.25/week"
notices = "1/day"
[source]
url = "https://metrics.internal/prometheus/"
headers = { "X-Scope-OrgID" = "team-a", "X-Key" = { file = "secrets/source-token" } }
bearer_token_file = "secrets/source-token"
tls = { ca_file = "tls/ca.pem" }
timeout = "10s"
max_concurrency = 2
max_points_per_query = 1000
gzip = false
[store]
url = "sqlite:/var/lib/grayflag/state.db"
[http]
listen = "0.0.0.0:9000"
token_file = "secrets/http-token"
hosts = ["flags.internal"]
[rules]
paths = ["rules/changes/d.toml", "rules/causes/c.toml", "rules/*/c.toml.missing", "rules/signals/a*.toml", "rules/signals/*.toml"]
[[service]]
name = "checkout"
depends_on = ["payments", "orders-db"]
owner = "checkout-team"
objective = { latency = "800ms", errors = "0.1%" }
[topology]
query = "sum by (client, server) (x)"
[[change]]
kind = "deploy"
query = "count by (app, version) (app_build_info)"
service = "app"
appears = "version"
[[change]]
kind = "config"
query = "config_reload_timestamp"
value = "timestamp"
lasts = "20m"
[[change]]
kind = "deploy"
lasts = "5m"
[change.grafana]
url = "http://grafana:3000/g/"
token_file = "secrets/grafana-token"
tags = ["deploy", "prod"]
service_tag = "service:"
[[receiver]]
name = "oncall"
email = { to = ["a@example.com", "b@example.com"], smtp = "smtps://[::1]", username = "u", password_env = "SMTP_PASSWORD" }
[[receiver]]
name = "mail"
email = { to = ["a@example.com"], smtp = "smtp://mail.internal:2525", tls = "starttls" }
[[receiver]]
name = "chat"
webhook = { url = "https://example.com/hook?room=1", headers = { Authorization = { file = "secrets/hook-token" } }, ca_file = "tls/ca.pem" }
[[route]]
match = { severity = ["critical"], service = ["checkout"], cause = ["slow-dependency"] }
to = ["oncall", "mail"]
[[route]]
to = ["chat"]
"#;

fn everything() -> (Config, tempfile::TempDir) {
    let folder = folder(&EVERYTHING.replace(", \"rules/*/c.toml.missing\"", ""));
    let loaded = load(&folder);
    assert!(loaded.problems.is_empty(), "{}", loaded.problems.render(false));
    (loaded.config.unwrap(), folder)
}

#[test]
fn sections_of_one_table_are_read() {
    let (config, folder) = everything();
    assert_eq!(config.poll.interval, Span::MINUTE);
    assert_eq!(config.poll.settle, Span::ZERO);
    assert_eq!(config.poll.history, Span::WEEK.times(8));
    assert_eq!(config.rules.budget, Budget { alerts_per_week: 0.25, notices_per_week: 7.0 });
    let source = &config.source;
    assert_eq!(source.url, "https://metrics.internal/prometheus");
    let headers: Vec<_> =
        source.headers.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
    assert_eq!(headers, [("X-Key", "token"), ("X-Scope-OrgID", "team-a")]);
    assert_eq!(source.bearer_token_file, Some(folder.path().join("secrets/source-token")));
    assert_eq!(source.tls.ca_file, Some(folder.path().join("tls/ca.pem")));
    assert_eq!(
        (source.max_concurrency, source.max_points_per_query, source.gzip),
        (2, 1000, false)
    );
    assert_eq!(config.store.path, Path::new("/var/lib/grayflag/state.db"));
    assert_eq!(config.http.listen, "0.0.0.0:9000".parse::<SocketAddr>().unwrap());
    assert_eq!(config.http.tokens[0].secret.expose_secret(), "0123456789abcdef");
    assert_eq!(config.http.hosts, ["flags.internal"]);
    let names: Vec<_> = config.rules.signals.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["a", "b"], "a file that two patterns match is read once");
}

#[test]
fn the_fleet_is_read() {
    let (config, _folder) = everything();
    let service = Service {
        depends_on: vec!["payments".to_owned(), "orders-db".to_owned()],
        owner: Some("checkout-team".to_owned()),
        objective_latency: Some(0.8),
        objective_errors: Some(0.001),
    };
    assert_eq!(config.rules.services["checkout"], service);
    assert_eq!(config.rules.topology.as_deref(), Some("sum by (client, server) (x)"));
    let change = |kind, query: &str, (service, by): (&str, _), lasts| ChangeRule {
        kind,
        query: query.to_owned(),
        service: service.to_owned(),
        by,
        lasts,
    };
    let appears = ChangeBy::Appears("version".to_owned());
    let minutes = |n| Some(Span::from_mins(n));
    assert_eq!(
        config.rules.changes,
        [
            change(ChangeKind::Flag, "flags", ("service", ChangeBy::Step), minutes(10)),
            change(
                ChangeKind::Deploy,
                "count by (app, version) (app_build_info)",
                ("app", appears),
                None
            ),
            change(
                ChangeKind::Config,
                "config_reload_timestamp",
                ("service", ChangeBy::Timestamp),
                minutes(20)
            ),
        ]
    );
    let [marks] = config.annotations.as_slice() else { panic!("one Grafana") };
    assert_eq!((marks.kind, marks.lasts), (ChangeKind::Deploy, minutes(5)));
    assert_eq!(marks.url.as_str(), "http://grafana:3000/g/");
    assert_eq!(marks.token.as_ref().unwrap().expose_secret(), "glsa_x");
    assert_eq!(marks.tags, ["deploy", "prod"]);
    assert_eq!(marks.service, ServiceOf::Tag("service:".to_owned()));
    assert!(config.rules.told.contains(&ChangeKind::Deploy));
}

#[test]
fn receivers_and_routes_are_read() {
    let (config, folder) = everything();
    let [oncall, mail, chat] = config.receivers.as_slice() else { panic!("three receivers") };
    let ReceiverKind::Email(oncall) = &oncall.kind else { panic!("mail") };
    let to: Vec<_> = oncall.to.iter().map(ToString::to_string).collect();
    assert_eq!(to, ["a@example.com", "b@example.com"]);
    assert_eq!(oncall.from.to_string(), "grayflag@localhost");
    assert_eq!(oncall.relay, relay("::1", 465, Tls::Implicit));
    let (user, password) = oncall.login.as_ref().unwrap();
    assert_eq!((user.as_str(), password.expose_secret()), ("u", "from the environment"));
    let ReceiverKind::Email(mail) = &mail.kind else { panic!("mail") };
    assert_eq!(mail.relay, relay("mail.internal", 2525, Tls::Required));
    assert!(mail.login.is_none());
    let ReceiverKind::Webhook(chat) = &chat.kind else { panic!("webhook") };
    assert_eq!(chat.post.url.expose_secret(), "https://example.com/hook?room=1");
    assert_eq!(chat.post.headers[0].1.expose_secret(), "Bearer from a file");
    assert_eq!(chat.post.ca_file, Some(folder.path().join("tls/ca.pem")));
    let matcher = Matcher {
        severity: vec![Severity::Critical],
        service: vec!["checkout".into()],
        cause: vec!["slow-dependency".into()],
        ..Matcher::default()
    };
    let to = vec!["oncall".to_owned(), "mail".to_owned()];
    let first = Route { matcher, to, ..Route::default() };
    let second = Route { to: vec!["chat".to_owned()], ..Route::default() };
    assert_eq!(config.routes, [first, second]);
    let text = format!("{config:?}");
    for secret in ["from a file", "from the environment", "team-a"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[test]
fn without_routes_what_interrupts_goes_to_everybody() {
    let text = "[[receiver]]\nname = \"b\"\nwebhook = { url = \"http://h\" }\n\
                [[receiver]]\nname = \"a\"\nemail = { to = [\"a@b.c\"], smtp = \"smtp://h\" }\n";
    let config = load(&folder(text)).config.unwrap();
    let severity = vec![Severity::Warning, Severity::Critical];
    let matcher = Matcher { severity, ..Matcher::default() };
    let want = Route { matcher, to: vec!["a".to_owned(), "b".to_owned()], ..Route::default() };
    assert_eq!(config.routes, [want]);
}

#[test]
fn routes_quiet_hours_and_maintenance_are_read() {
    let text = r#"
poll = { timezone = "Europe/Berlin" }
[[service]]
name = "orders-db"
owner = "data"
[[receiver]]
name = "a"
webhook = { url = "http://h" }
quiet = { hours = ["22:00-07:00"], timezone = "UTC" }
[[receiver]]
name = "b"
webhook = { url = "http://h" }
quiet = { hours = ["Sat,Sun 00:00-24:00"], except = [] }
[[route]]
to = ["a"]
stop = true
[route.match]
owner = ["dat*"]
signal = ["a"]
label = { tenant = ["acme", "umbrella-*"] }
hours = ["Mon-Fri 09:00-17:00"]
[[route]]
default = true
to = ["b"]
[[maintenance]]
name = "backup"
services = ["orders-db"]
hours = ["Sun 02:00-04:00", "Wed 02:00-03:00"]
timezone = "UTC"
[[maintenance]]
name = "all"
hours = ["Tue 12:00-12:30"]
"#;
    let loaded = load(&folder(text));
    assert!(loaded.problems.is_empty(), "{}", loaded.problems.render(false));
    let config = loaded.config.unwrap();
    let schedule = |hours: &[&str], zone| Schedule {
        hours: hours.iter().map(|text| text.parse().unwrap()).collect(),
        timezone: TimeZone::get(zone).unwrap(),
    };
    let label = [("tenant".to_owned(), vec!["acme".into(), "umbrella-*".into()])].into();
    let matcher = Matcher {
        owner: vec!["dat*".into()],
        signal: vec!["a".into()],
        label,
        ..Matcher::default()
    };
    let hours = Some(schedule(&["Mon-Fri 09:00-17:00"], "Europe/Berlin"));
    let first = Route { matcher, hours, stop: true, to: vec!["a".to_owned()], default: false };
    let last = Route { default: true, to: vec!["b".to_owned()], ..Route::default() };
    assert_eq!(config.routes, [first, last]);
    let night = schedule(&["22:00-07:00"], "UTC");
    let weekend = schedule(&["Sat,Sun 00:00-24:00"], "Europe/Berlin");
    let quiet = [
        ("a".to_owned(), Quiet { schedule: night, except: vec![Severity::Critical] }),
        ("b".to_owned(), Quiet { schedule: weekend, except: vec![] }),
    ];
    assert_eq!(config.quiet, quiet.into());
    let window = |name: &str, services: &[&str], schedule| Maintenance {
        name: name.to_owned(),
        services: services.iter().map(|name| (*name).to_owned()).collect(),
        schedule,
    };
    let backup = schedule(&["Sun 02:00-04:00", "Wed 02:00-03:00"], "UTC");
    let all = schedule(&["Tue 12:00-12:30"], "Europe/Berlin");
    let want = [window("backup", &["orders-db"], backup), window("all", &[], all)];
    assert_eq!(config.rules.maintenance, want);
}

#[test]
fn mail_servers_are_reached_at_the_port_of_their_encryption() {
    for (server, want) in [
        (r#"smtp = "smtp://h""#, relay("h", 25, Tls::Opportunistic)),
        (r#"smtp = "smtp://h/", tls = "none""#, relay("h", 25, Tls::None)),
        (r#"smtp = "smtp://h", tls = "opportunistic""#, relay("h", 25, Tls::Opportunistic)),
        (r#"smtp = "smtp://h", tls = "starttls""#, relay("h", 587, Tls::Required)),
        (r#"smtp = "smtp://h:25", tls = "starttls""#, relay("h", 25, Tls::Required)),
        (r#"smtp = "smtps://h""#, relay("h", 465, Tls::Implicit)),
        (r#"smtp = "smtps://[::1]:1465""#, relay("::1", 1465, Tls::Implicit)),
    ] {
        let text =
            format!("[[receiver]]\nname = \"a\"\nemail = {{ to = [\"a@b.c\"], {server} }}\n");
        let loaded = load(&folder(&text));
        assert!(loaded.problems.is_empty(), "{}", loaded.problems.render(false));
        let config = loaded.config.unwrap();
        let [ReceiverConfig { kind: ReceiverKind::Email(email), .. }] = config.receivers.as_slice()
        else {
            panic!("one mail")
        };
        assert_eq!(email.relay, want, "{server}");
    }
}

fn relay(host: &str, port: u16, tls: Tls) -> Relay {
    Relay { host: host.to_owned(), port, tls }
}

#[test]
fn a_token_of_the_file_becomes_a_header() {
    let config = load(&folder("[source]\nbearer_token = \"abc\"\n")).config.unwrap();
    let [(name, value)] = config.source.headers.as_slice() else { panic!("one header") };
    assert_eq!((name.as_str(), value.expose_secret()), ("Authorization", "Bearer abc"));
    assert_eq!(config.source.bearer_token_file, None);
}

/// How many signals and causes a configuration with these files beside it has, and how many files.
fn rules_beside(text: &str, files: &[(&str, &str)]) -> (usize, usize, usize) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("grayflag.toml"), text).unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let loaded = load(&folder);
    assert!(!loaded.problems.has_errors(), "{}", loaded.problems.render(false));
    let rules = loaded.config.unwrap().rules;
    (rules.signals.len(), rules.causes.len(), loaded.rule_files)
}

#[test]
fn built_in_rules_stand_in_for_folders_without_files() {
    let count = |files: &[SourceFile]| {
        let set = rules::load(files).0;
        (set.signals.len(), set.causes.len(), files.len())
    };
    let (signals, causes, files) = count(&rules::builtin());
    let (_, _, cause_files) = count(&rules::builtin_causes());
    let signal = "[[signal]]\nname = \"a\"\nrole = \"latency\"\nquery = \"a\"\n";
    let cause = fs::read_to_string("tests/data/good/cause.toml").unwrap();
    let own_signal = ("rules/signals/a.toml", signal);
    let own_cause = ("rules/causes/a.toml", cause.as_str());
    for text in [String::new(), config::default_text()] {
        assert_eq!(rules_beside(&text, &[]), (signals, causes, files));
        assert_eq!(rules_beside(&text, &[own_signal]), (1, causes, 1 + cause_files));
        assert_eq!(rules_beside(&text, &[own_cause]), (signals, 1, 1 + files - cause_files));
        assert_eq!(rules_beside(&text, &[own_signal, own_cause]), (1, 1, 2));
    }
    // Who names files gets these and no others.
    assert_eq!(rules_beside("[rules]\npaths = []\n", &[]), (0, 0, 0));
    assert_eq!(rules_beside("[rules]\npaths = [\"none/*.toml\"]\n", &[]), (0, 0, 0));
    let named = "[rules]\npaths = [\"rules/signals/*.toml\"]\n";
    assert_eq!(rules_beside(named, &[own_signal, own_cause]), (1, 0, 1));
}

#[test]
fn a_folder_that_cannot_be_read_is_no_reason_for_built_in_rules() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("rules")).unwrap();
    // A file where the folder should be: even root cannot list it.
    fs::write(folder.path().join("rules/signals"), "").unwrap();
    fs::write(folder.path().join("grayflag.toml"), "").unwrap();
    let loaded = load(&folder);
    assert!(loaded.config.is_none());
    let told = loaded.problems.lines();
    assert!(
        told.contains("`rules.paths`: cannot read the folder") && told.contains("signals`"),
        "{told}"
    );
}
