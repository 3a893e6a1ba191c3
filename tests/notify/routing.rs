//! Which alerts go where, and what waits.

use std::collections::BTreeMap;

use grayflag::engine::alert::{Alert, Severity, State};
use grayflag::hours::Schedule;
use grayflag::matcher::{Matcher, Pattern};
use grayflag::notify::receiver::ReceiverConfig;
use grayflag::notify::routes::{
    Policy, Quiet, Route, SETTLES, Told, Verdict, plan, route, verdicts,
};
use grayflag::rules::{Maintenance, Service};
use grayflag::series::{Change, ChangeKind};
use grayflag::store::{Dispatch, Hold, Silence};
use grayflag::time::{Span, Timestamp};
use jiff::tz::TimeZone;
use proptest::prelude::*;

use crate::support::{hook, mail, mail_to, sample};

fn to(names: &[&str]) -> Route {
    Route { to: names.iter().map(|n| (*n).to_owned()).collect(), ..Route::default() }
}

fn when(matcher: Matcher, names: &[&str]) -> Route {
    Route { matcher, ..to(names) }
}

fn severe(severity: Severity) -> Matcher {
    Matcher { severity: vec![severity], ..Matcher::default() }
}

fn texts(items: &[&str]) -> Vec<Pattern> {
    items.iter().map(|item| Pattern::from(*item)).collect()
}

fn receivers() -> Vec<ReceiverConfig> {
    vec![
        mail(mail_to(&["a@example.com", "b@example.com"], 25)),
        hook("pager", "http://127.0.0.1/"),
        hook("log", "http://127.0.0.1/"),
    ]
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn schedule(hours: &str) -> Schedule {
    let timezone = TimeZone::get("Europe/Berlin").unwrap();
    Schedule { hours: vec![hours.parse().unwrap()], timezone }
}

fn silence(number: i64, matcher: Matcher, starts_at: &str, ends_at: &str) -> Silence {
    Silence {
        number,
        matcher,
        starts_at: at(starts_at),
        ends_at: at(ends_at),
        comment: "known".to_owned(),
        created_at: at(starts_at),
        by: None,
    }
}

/// What decides, owned.
#[derive(Clone, Debug, Default)]
struct World {
    routes: Vec<Route>,
    quiet: BTreeMap<String, Quiet>,
    services: BTreeMap<String, Service>,
    maintenance: Vec<Maintenance>,
    changes: Vec<Change>,
    silences: Vec<Silence>,
}

impl World {
    fn of(routes: &[Route]) -> Self {
        Self { routes: routes.to_vec(), ..Self::default() }
    }

    fn policy<'a>(&'a self, receivers: &'a [ReceiverConfig], now: Timestamp) -> Policy<'a> {
        Policy {
            routes: &self.routes,
            receivers,
            quiet: &self.quiet,
            services: &self.services,
            maintenance: &self.maintenance,
            changes: &self.changes,
            silences: &self.silences,
            now,
        }
    }

    fn plan(&self, alerts: &[Alert], told: &mut Told) -> Vec<Dispatch> {
        plan(alerts, &self.policy(&receivers(), alerts.last().unwrap().at), told)
    }

    fn route(&self, alert: &Alert) -> Vec<String> {
        route(alert, &self.policy(&receivers(), alert.at))
    }

    /// Until when and why each target waits for an alert that nobody was told of.
    fn holds(&self, alert: &Alert) -> Vec<(String, Option<(String, String)>)> {
        let planned = self.plan(std::slice::from_ref(alert), &mut Told::new());
        let hold = |hold: Hold| (hold.until.to_string(), hold.by);
        planned.into_iter().map(|to| (to.receiver, to.hold.map(hold))).collect()
    }

    /// The same for the target `log`.
    fn hold(&self, alert: &Alert) -> Option<(String, String)> {
        let found = self.holds(alert).into_iter().find(|(target, _)| target == "log");
        found.expect("`log` gets it").1
    }
}

/// `index target` for each delivery.
fn planned(alerts: &[Alert], routes: &[Route], told: &mut Told) -> Vec<String> {
    let deliveries = World::of(routes).plan(alerts, told);
    deliveries.iter().map(|to| format!("{} {}", to.alert, to.receiver)).collect()
}

#[test]
fn a_route_matches_when_each_of_its_lists_does() {
    // The sample: a warning of checkout and payments, led by slow-dependency of payments.
    let alert = sample("firing");
    let plain = Matcher::default;
    let label = |name: &str, value: &str| -> BTreeMap<String, Vec<Pattern>> {
        [(name.to_owned(), texts(&["x", value]))].into()
    };
    for (why, matcher, matches) in [
        ("empty lists match all", plain(), true),
        ("its severity", severe(Severity::Warning), true),
        ("a worse severity only", severe(Severity::Critical), false),
        ("its service", Matcher { service: texts(&["checkout"]), ..plain() }, true),
        ("another service in it", Matcher { service: texts(&["x", "payments"]), ..plain() }, true),
        ("a service like one in it", Matcher { service: texts(&["pay*"]), ..plain() }, true),
        ("a service not in it", Matcher { service: texts(&["search"]), ..plain() }, false),
        ("its owner", Matcher { owner: texts(&["money"]), ..plain() }, true),
        ("an owner of nothing in it", Matcher { owner: texts(&["data"]), ..plain() }, false),
        ("its leading cause", Matcher { cause: texts(&["slow-dependency"]), ..plain() }, true),
        ("a cause that does not lead", Matcher { cause: texts(&["bad-deploy"]), ..plain() }, false),
        ("a signal that moved", Matcher { signal: texts(&["retry-*"]), ..plain() }, true),
        ("a signal that did not", Matcher { signal: texts(&["retry"]), ..plain() }, false),
        (
            "a label of a signal",
            Matcher { label: label("instance", "payments-2"), ..plain() },
            true,
        ),
        ("a label of the culprit", Matcher { label: label("dependency", "pay*"), ..plain() }, true),
        (
            "a label of no leading cause",
            Matcher { label: label("version", "v41"), ..plain() },
            false,
        ),
        (
            "one list of two fails",
            Matcher { service: texts(&["search"]), ..severe(Severity::Warning) },
            false,
        ),
    ] {
        let owner = |name: &str| Service { owner: Some(name.to_owned()), ..Service::default() };
        let services =
            [("payments".to_owned(), owner("money")), ("db".to_owned(), owner("data"))].into();
        let world = World { services, ..World::of(&[when(matcher, &["log"])]) };
        assert_eq!(world.route(&alert).len(), usize::from(matches), "{why}");
    }
    let mut broken_down = alert.clone();
    broken_down.breakdown.clear();
    let tenant = Matcher { label: label("tenant", "acme"), ..plain() };
    let before = World::of(&[when(tenant, &["log"])]);
    assert!(before.route(&broken_down).is_empty());
    let part = r#"{"signal":"s","label":"tenant","value":"acme","share":0.8,"usual_share":0.2}"#;
    broken_down.breakdown.push(serde_json::from_str(part).unwrap());
    assert_eq!(before.route(&broken_down), ["log"], "a value of the breakdown");
    let cause = Matcher { cause: texts(&["*"]), ..plain() };
    let by_cause = World::of(&[when(cause, &["log"])]);
    assert!(by_cause.route(&sample("unclear")).is_empty(), "no cause is like no cause");
}

#[test]
fn each_receiver_is_named_once_in_the_order_of_the_routes() {
    let alert = sample("firing");
    let world = World::of(&[to(&["pager", "log"]), to(&["mail", "pager"])]);
    assert_eq!(world.route(&alert), ["pager", "log", "mail"]);
    assert!(World::default().route(&alert).is_empty());
}

#[test]
fn a_default_route_gets_what_is_left_of_what_interrupts() {
    let default = Route { default: true, ..to(&["log"]) };
    let world = World::of(&[default, when(severe(Severity::Critical), &["pager"])]);
    let mut alert = sample("firing");
    for (severity, want) in [
        (Severity::Warning, vec!["log"]),
        (Severity::Critical, vec!["pager"]),
        (Severity::Notice, vec![]),
    ] {
        alert.severity = severity;
        assert_eq!(world.route(&alert), want, "{severity}");
    }
}

#[test]
fn a_route_with_stop_is_the_last_that_is_looked_at() {
    let stop = Route { stop: true, ..when(severe(Severity::Warning), &["pager"]) };
    let default = Route { default: true, ..to(&["mail"]) };
    let world = World::of(&[stop, to(&["log"]), default]);
    let mut alert = sample("firing");
    assert_eq!(world.route(&alert), ["pager"]);
    let receivers = receivers();
    let why = verdicts(&alert, &world.policy(&receivers, alert.at));
    let missed = |text: &str| Verdict::Misses(vec![text.to_owned()]);
    let want =
        [Verdict::Matches, missed("a route before it has `stop`"), missed("another route matches")];
    assert_eq!(why, want);
    alert.severity = Severity::Critical;
    assert_eq!(world.route(&alert), ["log"]);
    let why = verdicts(&alert, &world.policy(&receivers, alert.at));
    assert_eq!(why[0], missed("severity is critical, not warning"));
}

#[test]
fn the_time_of_day_is_that_of_the_tick_by_the_clock_on_the_wall() {
    let hours = Some(schedule("Mon-Fri 09:00-17:00"));
    let world = World::of(&[Route { hours, ..to(&["log"]) }]);
    let mut alert = sample("firing");
    for (time, inside) in [
        // Fridays and Mondays around the change to summer on 29 March 2026.
        ("2026-03-27T07:59:00Z", false),
        ("2026-03-27T08:00:00Z", true),
        ("2026-03-27T16:00:00Z", false),
        ("2026-03-30T06:59:00Z", false),
        ("2026-03-30T07:00:00Z", true),
        ("2026-03-30T15:00:00Z", false),
        // And to winter on 25 October.
        ("2026-10-26T07:59:00Z", false),
        ("2026-10-26T08:00:00Z", true),
    ] {
        alert.at = at(time);
        assert_eq!(world.route(&alert).len(), usize::from(inside), "{time}");
    }
}

#[test]
fn whoever_was_told_of_the_beginning_hears_of_the_end() {
    let [firing, updated, resolved] = ["firing", "updated", "resolved"].map(sample);
    let routes =
        [when(severe(Severity::Warning), &["mail"]), when(severe(Severity::Critical), &["pager"])];
    // All in one batch, as after a long stop.
    let mut told = Told::new();
    assert_eq!(
        planned(&[firing.clone(), updated.clone(), resolved.clone()], &routes, &mut told),
        [
            "0 mail/a@example.com",
            "0 mail/b@example.com",
            // Now critical: the pager hears of it, and those told before hear how it stands.
            "1 mail/a@example.com",
            "1 mail/b@example.com",
            "1 pager",
            "2 mail/a@example.com",
            "2 mail/b@example.com",
            "2 pager",
        ]
    );
    // One by one with what the store knows: the same.
    let mut told = Told::new();
    let steps: Vec<usize> = [firing, updated, resolved.clone()]
        .iter()
        .map(|alert| planned(std::slice::from_ref(alert), &routes, &mut told).len())
        .collect();
    assert_eq!(steps, [2, 3, 3]);
    // Nobody was told: nobody hears of the end, whatever the routes say.
    assert!(planned(&[resolved], &[to(&["log"])], &mut Told::new()).is_empty());
}

#[test]
fn names_without_a_receiver_get_nothing() {
    let alert = sample("firing");
    let mut told = Told::from([(alert.incident.clone(), ["gone".to_owned()].into())]);
    assert_eq!(planned(&[alert], &[to(&["nobody", "log"])], &mut told), ["0 log"]);
    assert!(planned(&[sample("resolved")], &[], &mut told).iter().all(|d| d == "0 log"));
}

#[test]
fn quiet_hours_keep_a_receiver_from_all_but_what_matters_most() {
    let night = Quiet { schedule: schedule("22:00-07:00"), except: vec![Severity::Critical] };
    let quiet = [("log".to_owned(), night)].into();
    let world = World { quiet, ..World::of(&[to(&["pager", "log"])]) };
    let mut alert = sample("firing");
    alert.at = at("2026-03-28T22:30:00Z");
    let morning = ("2026-03-29T05:00:00Z".to_owned(), "quiet hours of log".to_owned());
    let holds = world.holds(&alert);
    assert_eq!(holds, [("pager".to_owned(), None), ("log".to_owned(), Some(morning))]);
    alert.severity = Severity::Critical;
    assert_eq!(world.hold(&alert), None);
    alert.severity = Severity::Warning;
    alert.at = at("2026-03-29T05:00:00Z");
    assert_eq!(world.hold(&alert), None, "seven in the morning, in summer");
}

#[test]
fn a_silence_holds_what_matches_until_its_end_and_the_longest_hold_wins() {
    let checkout = Matcher { service: texts(&["checkout"]), ..Matcher::default() };
    let search = Matcher { service: texts(&["search"]), ..Matcher::default() };
    let mut world = World::of(&[to(&["log"])]);
    world.silences = vec![
        silence(1, search, "2026-03-01T00:00:00Z", "2026-03-09T00:00:00Z"),
        silence(2, checkout.clone(), "2026-03-01T03:00:00Z", "2026-03-09T00:00:00Z"),
        silence(3, checkout, "2026-03-01T02:00:00Z", "2026-03-01T04:00:00Z"),
    ];
    let alert = sample("firing");
    let held = |until: &str, by: &str| Some((until.to_owned(), by.to_owned()));
    assert_eq!(world.hold(&alert), held("2026-03-01T04:00:00Z", "silence 3"));
    let night = Quiet { schedule: schedule("22:00-07:00"), except: vec![] };
    world.quiet.insert("log".to_owned(), night);
    assert_eq!(world.hold(&alert), held("2026-03-01T06:00:00Z", "quiet hours of log"));
    let mut later = alert;
    later.at = at("2026-03-01T03:00:00Z");
    assert_eq!(world.hold(&later), held("2026-03-09T00:00:00Z", "silence 2"));
}

#[test]
fn maintenance_of_every_service_holds_until_it_is_over_and_settled() {
    let backup = |services: &[&str]| Maintenance {
        name: "backup".to_owned(),
        services: services.iter().map(|name| (*name).to_owned()).collect(),
        schedule: schedule("Sun 02:00-04:00"),
    };
    // Sunday 1 March, 03:30 in Berlin.
    let alert = sample("firing");
    let mut world = World::of(&[to(&["log"])]);
    let end = at("2026-03-01T03:00:00Z");
    let settled = Some(((end + SETTLES).to_string(), "maintenance backup".to_owned()));
    world.maintenance = vec![backup(&[])];
    assert_eq!(world.hold(&alert), settled);
    world.maintenance = vec![backup(&["checkout", "payments"])];
    assert_eq!(world.hold(&alert), settled);
    let mut affected = alert.clone();
    affected.severity = Severity::Critical;
    let at_end = Some((end.to_string(), "maintenance backup".to_owned()));
    assert_eq!(world.hold(&affected), at_end, "what users feel waits no longer than the work");
    // What the work on one service does to another is news.
    for service in ["checkout", "payments"] {
        world.maintenance = vec![backup(&[service])];
        assert_eq!(world.hold(&alert), None, "{service}");
    }
    // Work on the other was announced, and is over first.
    world.maintenance = vec![backup(&["checkout"])];
    let change = |end: Option<&str>| Change {
        at: at("2026-03-01T02:00:00Z"),
        end: end.map(at),
        kind: ChangeKind::Maintenance,
        service: "payments".to_owned(),
        what: "disks".to_owned(),
    };
    world.changes = vec![change(None)];
    assert_eq!(world.hold(&alert), None, "nobody knows how long that lasts");
    world.changes = vec![change(Some("2026-03-01T02:45:00Z"))];
    let until = (at("2026-03-01T02:45:00Z") + SETTLES).to_string();
    let held = Some((until, "maintenance backup".to_owned()));
    assert_eq!(world.hold(&alert), held);
    // What began with the work may be over with it, unless users feel it.
    let mut after = alert;
    after.at = at("2026-03-01T02:45:00Z");
    assert_eq!(world.hold(&after), held);
    after.severity = Severity::Critical;
    assert_eq!(world.hold(&after), None);
    after.severity = Severity::Warning;
    after.at = after.at + SETTLES;
    assert_eq!(world.hold(&after), None);
    after.at = at("2026-03-01T02:45:00Z");
    (after.started_at, after.started_at_range) = (after.at, [after.at; 2]);
    assert_eq!(world.hold(&after), None, "it began after the work on one of them");
}

#[test]
fn what_the_work_did_long_ago_is_told_at_once() {
    let window = Maintenance {
        name: "backup".to_owned(),
        services: Vec::new(),
        schedule: schedule("Sun 02:00-04:00"),
    };
    let world = World { maintenance: vec![window], ..World::of(&[to(&["log"])]) };
    let alert = sample("firing");
    let receivers = receivers();
    // Caught up after an outage.
    let policy = world.policy(&receivers, alert.at + Span::from_hours(9));
    let planned = plan(&[alert], &policy, &mut Told::new());
    assert_eq!(planned, [Dispatch { receiver: "log".to_owned(), alert: 0, hold: None }]);
}

/// A story of one incident, with a world in which anything may hold.
fn story() -> impl Strategy<Value = (World, Vec<Alert>)> {
    let severities = [Severity::Notice, Severity::Warning, Severity::Critical];
    let silenced = proptest::collection::vec((0..3_usize, 0..40_i64, 1..40_i64), 0..4);
    let steps = proptest::collection::vec((0..3_usize, 0..3_usize, 1..200_i64), 1..6);
    (silenced, steps, any::<[bool; 3]>()).prop_map(move |(silenced, steps, [quiet, work, stop])| {
        let start = at("2026-03-28T18:00:00Z");
        let mut world = World::of(&[
            Route { stop, ..when(severe(Severity::Warning), &["mail", "pager"]) },
            Route { default: true, ..to(&["log"]) },
        ]);
        let names = ["checkout", "search", "*"];
        world.silences = silenced
            .iter()
            .zip(1..)
            .map(|(&(name, from, hours), number)| {
                let matcher = Matcher { service: texts(&[names[name]]), ..Matcher::default() };
                let from = start + Span::from_hours(from);
                let to = from + Span::from_hours(hours);
                silence(number, matcher, &from.to_string(), &to.to_string())
            })
            .collect();
        if quiet {
            let night =
                Quiet { schedule: schedule("22:00-07:00"), except: vec![Severity::Critical] };
            world.quiet.insert("pager".to_owned(), night);
        }
        if work {
            let schedule = schedule("Sun 01:00-04:00");
            world.maintenance.push(Maintenance {
                name: "w".to_owned(),
                services: vec![],
                schedule,
            });
        }
        let mut now = start;
        let alerts = steps
            .iter()
            .map(|&(state, severity, minutes)| {
                now = now + Span::from_mins(minutes);
                let mut alert = sample("firing");
                alert.state = [State::Firing, State::Updated, State::Resolved][state];
                alert.severity = severities[severity];
                alert.at = now;
                alert
            })
            .collect();
        (world, alerts)
    })
}

proptest! {
    #[test]
    fn the_silenced_wait_and_the_told_always_hear_of_the_end((world, alerts) in story()) {
        let (mut told, mut again) = (Told::new(), Told::new());
        for alert in &alerts {
            let before = told.get(&alert.incident).cloned().unwrap_or_default();
            let alert = std::slice::from_ref(alert);
            let planned = world.plan(alert, &mut told);
            prop_assert_eq!(&planned, &world.plan(alert, &mut again), "the same again");
            let [alert] = alert else { unreachable!() };
            let gets = |target: &String| planned.iter().filter(|to| to.receiver == *target).count();
            prop_assert!(planned.iter().all(|to| gets(&to.receiver) == 1), "nobody gets it twice");
            let checkout_is_silenced = world.silences.iter().any(|s| {
                s.holds_at(alert.at) && s.matcher.service != texts(&["search"])
            });
            for to in &planned {
                let held = to.hold.as_ref().is_some_and(|hold| alert.at < hold.until);
                prop_assert_eq!(held, to.hold.is_some(), "a hold lies ahead");
                if alert.state == State::Resolved {
                    prop_assert!(!held && before.contains(&to.receiver));
                } else {
                    prop_assert!(held || !checkout_is_silenced, "{:?}", to);
                }
            }
            if alert.state != State::Firing {
                prop_assert!(before.iter().all(|target| gets(target) == 1), "who knows, hears");
            }
        }
    }
}
