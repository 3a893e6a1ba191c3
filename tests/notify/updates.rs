//! What a message tells first, and what to those who were told before.

use grayflag::engine::alert::{Alert, NamedCause, NearChange, Severity, State};
use grayflag::notify::message::Message;
use grayflag::notify::templates::BUILT_IN;
use grayflag::notify::view::View;
use grayflag::time::Span;

use crate::support::{message, sample};

#[test]
fn who_was_told_of_the_cause_before_gets_what_to_do_next() {
    let mut alert = sample("updated");
    let lists = |alert: &Alert| -> Vec<(&str, usize)> {
        let steps = View::new(alert, alert.at).steps;
        steps.iter().map(|list| (list.name, list.items.len())).collect()
    };
    alert.steps = sample("firing").steps;
    let avoid = ("Avoid", alert.steps.avoid.len());
    assert_eq!(alert.named_at, None, "the cause is new");
    assert_eq!(lists(&alert).len(), 5);
    alert.named_at = Some(alert.at - Span::from_mins(31));
    let again = lists(&alert);
    assert!(!again.iter().any(|(name, _)| *name == "Compare"), "{again:?}");
    assert_eq!(again.last(), Some(&avoid), "a warning is not left out");
}

#[test]
fn what_helps_comes_before_why_while_users_suffer() {
    let mut alert = sample("firing");
    let first = |alert: &Alert| -> Vec<&str> {
        let steps = View::new(alert, alert.at).steps;
        steps.iter().filter(|list| list.first).map(|list| list.name).collect()
    };
    assert_eq!(first(&alert), ["First ten minutes"]);
    alert.severity = Severity::Critical;
    assert_eq!(first(&alert), ["First ten minutes", "Fix"]);
    let Message { text, html, .. } = message(&alert, alert.at);
    let html = html.unwrap();
    for (shown, fix, why) in [(&text, "\nFIX\n", "\nWHY\n"), (&html, ">Fix</h2>", ">Why</h2>")] {
        assert!(shown.find(fix).unwrap() < shown.find(why).unwrap(), "{shown}");
        assert_eq!(shown.matches(fix).count(), 1);
    }
}

#[test]
fn that_others_wait_for_the_culprit_is_no_other_cause() {
    let mut alert = sample("firing");
    alert.causes[0].probability = 0.97;
    let blamed = alert.causes[0].culprit.service.clone();
    alert.causes[0].culprit.labels.clear();
    let mut waits = alert.causes[1].clone();
    waits.id = "waiting".to_owned();
    waits.culprit.labels.insert("dependency".to_owned(), blamed.clone());
    waits.culprit.service = blamed;
    let other = alert.causes[1].id.replace('-', " ");
    alert.causes.insert(1, waits);
    let rival = View::new(&alert, alert.at).rival.unwrap();
    assert!(rival.contains(&other), "{rival}");
    alert.causes.remove(2);
    alert.causes.truncate(2);
    let rival = View::new(&alert, alert.at).rival.unwrap();
    assert!(rival.contains("waiting"), "there is none other: {rival}");
    // Where it is the leading cause that others wait, the next may be about the same calls.
    alert.causes[0].culprit.labels = alert.causes[1].culprit.labels.clone();
    assert!(View::new(&alert, alert.at).rival.unwrap().contains("waiting"));
}

#[test]
fn whoever_reads_only_the_newest_message_learns_what_else_it_could_be() {
    let unexplained = |cause: &NamedCause| NamedCause {
        id: "unexplained-drift".to_owned(),
        probability: 0.1,
        ..cause.clone()
    };
    for name in ["updated", "resolved"] {
        let mut alert = sample(name);
        let other = unexplained(&alert.causes[1]);
        alert.causes.insert(1, other);
        for (of_lead, of_next, told) in [
            (0.7, 0.18, "18% bad deploy"),
            (0.88, 0.02, "2% bad deploy"),
            (0.97, 0.004, "bad deploy"),
        ] {
            (alert.causes[0].probability, alert.causes[2].probability) = (of_lead, of_next);
            let Message { text, html, .. } = message(&alert, alert.at);
            assert_eq!(text.matches(told).count(), 1, "{of_lead} {text}");
            assert_eq!(html.unwrap().matches(told).count(), 1, "{of_lead}");
        }
    }
    for chat in ["chat.slack", "chat.md", "chat.telegram", "chat.teams", "chat.txt"] {
        let source = BUILT_IN.iter().find(|(name, _)| *name == chat).unwrap().1;
        for part in ["for cause in a.causes[1:]", "or: {{ a.rival }}"] {
            assert!(source.contains(part), "{chat}: {part}");
        }
    }
}

#[test]
fn what_somebody_feels_is_the_first_of_the_signals() {
    let mut alert = sample("firing");
    alert.signals.reverse();
    assert_ne!(alert.signals[0].role, "latency");
    assert_eq!(View::new(&alert, alert.at).signals[0].name, "checkout p99 latency");
}

#[test]
fn a_signal_says_which_percentile_it_is_where_its_name_does() {
    let mut alert = sample("firing");
    for (name, role, told) in [
        ("http-latency-p99", "latency", "checkout p99 latency"),
        ("rpc_latency_p50_native", "latency_typical", "checkout typical latency"),
        ("http-latency", "latency", "checkout latency"),
        ("shard-p12-latency", "latency", "checkout latency"),
        ("prepare-p99x", "latency", "checkout latency"),
        ("lag-p99", "custom", "checkout lag-p99"),
    ] {
        name.clone_into(&mut alert.signals[0].signal);
        role.clone_into(&mut alert.signals[0].role);
        let view = View::new(&alert, alert.at);
        assert!(view.signals.iter().any(|signal| signal.name == told), "{told} {:?}", view.signals);
    }
}

#[test]
fn of_a_crossing_that_is_not_known_well_only_the_earliest_moment_is_told() {
    let mut alert = sample("firing");
    let at = alert.at;
    let forecast = alert.forecast.as_mut().unwrap();
    let (hours, left) = (
        |hours| at + Span::from_hours(hours),
        |alert: &Alert| {
            let view = View::new(alert, alert.at);
            (view.left.unwrap(), view.subject)
        },
    );
    (forecast.at, forecast.range) = (hours(6), (hours(5), Some(hours(8))));
    let (told, subject) = left(&alert);
    assert!(told.contains(", between ") && subject.contains("6h left"), "{told} {subject}");
    for latest in [None, Some(hours(24 * 90))] {
        alert.forecast.as_mut().unwrap().range.1 = latest;
        let (told, subject) = left(&alert);
        assert!(told.ends_with("; when is not known yet"), "{told}");
        assert!(told.contains("not before ") && !subject.contains(" left"), "{told} {subject}");
    }
}

#[test]
fn a_change_that_came_too_late_says_so() {
    let mut alert = sample("firing");
    let change = |minutes| NearChange {
        kind: "deploy".to_owned(),
        service: "web".to_owned(),
        at: alert.started_at + Span::from_mins(minutes),
        what: "v26".to_owned(),
    };
    (alert.changes, alert.at) = (vec![change(-3), change(145)], change(160).at);
    let told = View::new(&alert, alert.at).changes;
    assert!(told[1].ends_with("; 2h25m after it began") && !told[0].contains("after"), "{told:?}");
}

#[test]
fn the_last_change_before_the_end_is_told_at_the_top() {
    let mut alert = sample("resolved");
    let at = alert.at - Span::from_mins(90);
    assert!(alert.started_at_range[1] < at);
    let undone = NearChange {
        kind: "config".to_owned(),
        service: alert.service.clone(),
        at,
        what: "pool.size 4 -> 40".to_owned(),
    };
    alert.changes.push(undone);
    let view = View::new(&alert, alert.at);
    let told = view.undone.unwrap();
    assert!(told.contains("pool.size 4 -> 40") && told.ends_with("(1h30m ago)"), "{told}");
    assert!(!view.changes.contains(&told), "told once");
    let Message { text, html, .. } = message(&alert, alert.at);
    assert!(text.contains("  Last change  config of "), "{text}");
    assert!(html.unwrap().contains("Last change"));
    alert.state = State::Updated;
    assert_eq!(View::new(&alert, alert.at).undone, None);
    alert.state = State::Resolved;
    let clock = at.to_jiff().strftime("%H:%M UTC");
    let blamed = format!("config of {} at {clock} (pool.size 4 -> 40)", alert.service);
    alert.causes[0].evidence_for.push(blamed);
    assert_eq!(View::new(&alert, alert.at).undone, None, "it is what began it");
}

#[test]
fn numbers_that_were_taken_earlier_say_when() {
    let mut alert = sample("updated");
    assert!(!message(&alert, alert.at).text.contains("with the numbers of then"));
    alert.named_at = Some(alert.at - Span::from_mins(31));
    let Message { text, html, .. } = message(&alert, alert.at);
    let clock = View::new(&alert, alert.at).named_at.unwrap();
    for shown in [text, html.unwrap()] {
        let shown = shown.replace('\n', " ");
        let line = format!("Named at {clock}, with the numbers of then");
        assert!(shown.contains(&line), "{shown}");
    }
}
