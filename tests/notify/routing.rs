//! Which alerts go where.

use grayflag::engine::alert::{Alert, Severity};
use grayflag::notify::receiver::ReceiverConfig;
use grayflag::notify::routes::{Route, Told, plan, route};

use crate::support::{hook, mail, mail_to, sample};

fn to(names: &[&str]) -> Route {
    Route { to: names.iter().map(|n| (*n).to_owned()).collect(), ..Route::default() }
}

fn receivers() -> Vec<ReceiverConfig> {
    vec![
        mail(mail_to(&["a@example.com", "b@example.com"], 25)),
        hook("pager", "http://127.0.0.1/"),
        hook("log", "http://127.0.0.1/"),
    ]
}

/// `index target` for each delivery.
fn planned(alerts: &[Alert], routes: &[Route], told: &mut Told) -> Vec<String> {
    let deliveries = plan(alerts, routes, &receivers(), told);
    deliveries.iter().map(|(target, index)| format!("{index} {target}")).collect()
}

#[test]
fn a_route_matches_when_each_of_its_lists_does() {
    // The sample: a warning of checkout and payments, led by slow-dependency.
    let alert = sample("firing");
    let text = |items: &[&str]| items.iter().map(|i| (*i).to_owned()).collect::<Vec<_>>();
    for (why, severities, services, causes, matches) in [
        ("empty lists match all", vec![], text(&[]), text(&[]), true),
        ("its severity", vec![Severity::Warning], text(&[]), text(&[]), true),
        ("a worse severity only", vec![Severity::Critical], text(&[]), text(&[]), false),
        ("its service", vec![], text(&["checkout"]), text(&[]), true),
        ("another service in it", vec![], text(&["payments"]), text(&[]), true),
        ("a service not in it", vec![], text(&["search"]), text(&[]), false),
        ("its leading cause", vec![], text(&[]), text(&["slow-dependency"]), true),
        ("a cause that does not lead", vec![], text(&[]), text(&["bad-deploy"]), false),
        ("one list of two fails", vec![Severity::Warning], text(&["search"]), text(&[]), false),
    ] {
        let route_to = Route { severities, services, causes, to: vec!["log".to_owned()] };
        assert_eq!(route(&alert, &[route_to]).len(), usize::from(matches), "{why}");
    }
    let unclear = sample("unclear");
    let by_cause = Route { causes: vec!["slow-dependency".to_owned()], ..to(&["log"]) };
    assert!(route(&unclear, &[by_cause]).is_empty(), "no cause is not this cause");
}

#[test]
fn each_receiver_is_named_once_in_the_order_of_the_routes() {
    let alert = sample("firing");
    let routes = [to(&["pager", "log"]), to(&["mail", "pager"])];
    assert_eq!(route(&alert, &routes), ["pager", "log", "mail"]);
    assert!(route(&alert, &[]).is_empty());
}

#[test]
fn whoever_was_told_of_the_beginning_hears_of_the_end() {
    let [firing, updated, resolved] = ["firing", "updated", "resolved"].map(sample);
    let routes = [
        Route { severities: vec![Severity::Warning], ..to(&["mail"]) },
        Route { severities: vec![Severity::Critical], ..to(&["pager"]) },
    ];
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
