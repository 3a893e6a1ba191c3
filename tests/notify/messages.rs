//! How alerts look: golden files, and what must hold whatever an alert says.

use std::collections::{BTreeMap, BTreeSet};

use grayflag::engine::alert::{MovedSignal, State};
use grayflag::notify::message::Message;
use grayflag::notify::templates::{BUILT_IN, TemplateError, Templates};
use grayflag::notify::text::{Style, render};
use grayflag::notify::view::View;
use grayflag::time::Span;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use crate::support::{golden, message, sample};

/// Templates of one's own for both parts of a mail.
fn own(text: &str, html: &str) -> Result<Templates, TemplateError> {
    let named = [("mail.txt", text), ("mail.html", html)];
    Templates::with(&named.map(|(name, source)| (name.to_owned(), source.to_owned())))
}

#[test]
fn messages_look_as_before() {
    for name in ["firing", "updated", "resolved", "unclear"] {
        let alert = sample(name);
        let message = message(&alert, alert.at + Span::SECOND);
        assert_eq!(message.failure, None);
        golden(&format!("{name}.txt"), &format!("{}\n\n{}", message.subject, message.text));
        golden(&format!("{name}.html"), &message.html.unwrap());
    }
}

#[test]
fn a_terminal_shows_the_same_text() {
    for name in ["firing", "resolved"] {
        let alert = sample(name);
        let plain = render(&alert, Style::default(), &TimeZone::UTC);
        assert_eq!(plain, message(&alert, alert.at).text);
        let coloured = render(&alert, Style { colour: true }, &TimeZone::UTC);
        assert_ne!(coloured, plain);
        let stripped: String = coloured
            .split('\u{1b}')
            .enumerate()
            .map(|(i, part)| if i == 0 { part } else { part.split_once('m').unwrap().1 })
            .collect();
        assert_eq!(stripped, plain);
    }
}

#[test]
fn a_late_message_says_so() {
    let alert = sample("firing");
    let late = message(&alert, alert.at + Span::from_hours(3));
    assert!(late.text.contains("This is late 3h after it was decided at 02:30 UTC"));
    assert!(late.html.unwrap().contains("This message is late"));
    let in_time = message(&alert, alert.at + Span::MINUTE);
    assert!(!in_time.text.contains("This is late"));
}

#[test]
fn states_cannot_be_taken_for_each_other() {
    let mut alert = sample("firing");
    let mut subjects = Vec::new();
    for state in [State::Firing, State::Updated, State::Resolved] {
        alert.state = state;
        let message = message(&alert, alert.at);
        subjects.push(message.subject.split(':').next().unwrap().to_owned());
        let over = state == State::Resolved;
        assert_eq!(message.text.contains("It is over"), over);
        assert_eq!(message.text.contains("Time left"), !over, "nothing is left to cross");
        assert_eq!(message.text.contains("FIRST TEN MINUTES"), !over);
        assert_eq!(message.text.contains("FIX, SO THAT IT DOES NOT COME BACK"), over);
    }
    assert_eq!(
        subjects,
        ["[warning] checkout", "[warning, updated] checkout", "[resolved] checkout"]
    );
}

#[test]
fn nothing_in_an_alert_can_break_out_of_its_place() {
    let mut alert = sample("firing");
    let evil = "x\r\nBcc: everyone@example.com\r\n\r\n<script>alert(1)</script> \u{1b}[2J \u{202e}txet {{ 7 * 7 }}";
    let (cause, signal) = (&mut alert.causes[0], &mut alert.signals[0]);
    for place in [
        &mut alert.title,
        &mut alert.service,
        &mut alert.incident,
        &mut cause.id,
        &mut cause.evidence_for[0],
        &mut cause.culprit.service,
        &mut signal.signal,
        &mut signal.direction,
        &mut alert.changes[0].what,
        &mut alert.breakdown[0].value,
        &mut alert.steps.first_ten_minutes[0],
        &mut alert.checked[0],
    ] {
        evil.clone_into(place);
    }
    alert.signals[0].unit = Some(evil.to_owned());
    alert.forecast.as_mut().unwrap().signal = evil.to_owned();
    alert.links.insert(evil.to_owned(), "https://example.com/\"><script>".to_owned());
    alert.links.insert("run".to_owned(), "javascript:alert(1)".to_owned());
    let message = message(&alert, alert.at);
    assert_eq!(message.failure, None);
    assert!(!message.subject.contains(['\r', '\n', '\u{1b}']));
    assert!(!message.text.contains(['\r', '\u{1b}', '\u{202e}']));
    assert!(message.text.contains("{{ 7 * 7 }}"), "a template in the data stays data");
    let html = message.html.unwrap();
    assert!(!html.contains("<script") && !html.contains("javascript:"));
    assert!(html.contains("&lt;script&gt;"));
}

#[test]
fn a_huge_alert_gives_a_message_of_bounded_size() {
    let mut alert = sample("firing");
    let long = "word ".repeat(10_000);
    alert.title.clone_from(&long);
    alert.checked = vec![long.clone(); 500];
    alert.steps.first_ten_minutes = vec![long.clone(); 500];
    alert.causes[0].evidence_for = vec![long.clone(); 500];
    alert.causes = vec![alert.causes[0].clone(); 50];
    alert.signals = vec![alert.signals[0].clone(); 500];
    let message = message(&alert, alert.at);
    assert_eq!(message.failure, None);
    assert!(message.subject.chars().count() <= 160);
    assert!(message.text.len() < 300_000, "{}", message.text.len());
    assert!(message.text.contains("and 488 more"));
}

#[test]
fn a_tired_reader_gets_the_strongest_reasons_and_a_machine_all() {
    let mut alert = sample("firing");
    let many = |side: &str| (1..=9).map(|n| format!("{side} {n}.")).collect::<Vec<_>>();
    for cause in &mut alert.causes {
        let lists = [&mut cause.evidence_for, &mut cause.against, &mut cause.unknown];
        for (list, side) in lists.into_iter().zip(["for", "against", "failed"]) {
            *list = many(&format!("{} {side}", cause.id));
        }
        cause.unknown.push(format!("not measured at shop: {} roles", cause.id));
    }
    let Message { text, html, .. } = message(&alert, alert.at);
    for shown in [text, html.unwrap()] {
        let count = |what: &str| shown.matches(what).count();
        for (cause, side, most) in [
            ("slow-dependency", "for", 5),
            ("slow-dependency", "against", 3),
            ("slow-dependency", "failed", 2),
            ("bad-deploy", "for", 2),
            ("bad-deploy", "against", 2),
            ("bad-deploy", "failed", 0),
        ] {
            assert_eq!(count(&format!("{cause} {side} ")), most, "{cause} {side}");
            assert_eq!(count(&format!("{cause} {side} {most}.")), most.min(1), "strongest first");
        }
        assert_eq!(count("not measured at shop: slow-dependency roles"), 1);
        assert_eq!(count("not measured"), 1);
    }
    assert_eq!(alert.to_json().matches("bad-deploy failed").count(), 9);
}

#[test]
fn what_to_do_comes_before_what_not_to_do_and_nobody_is_left_without_a_check() {
    for name in ["firing", "updated"] {
        let mut alert = sample(name);
        alert.steps.verify = (1..=4).map(|n| format!("Check {n}.")).collect();
        alert.named_at = (name == "updated").then(|| alert.at - Span::from_hours(1));
        let Message { text, html, .. } = message(&alert, alert.at);
        let html = html.unwrap();
        let order =
            ["First ten minutes", "Fix", "Verify", "Avoid", "Signals", "Checked, nothing found"];
        for (shown, order) in
            [(&text, order.map(str::to_uppercase)), (&html, order.map(str::to_owned))]
        {
            let places: Vec<usize> = order
                .iter()
                .map(|head| {
                    let heading = [format!("\n{head}\n"), format!(">{head}</h2>")];
                    heading
                        .iter()
                        .find_map(|one| shown.find(one))
                        .unwrap_or_else(|| panic!("{head}"))
                })
                .collect();
            assert!(places.is_sorted(), "{places:?} {shown}");
            assert!(shown.contains("Check 2."), "{shown}");
            assert_eq!(shown.contains("Check 4."), name == "firing", "{shown}");
        }
    }
}

#[test]
fn of_what_is_normal_the_most_telling_is_told() {
    let mut alert = sample("firing");
    alert.checked = (1..=9).map(|n| format!("role {n}: 5")).collect();
    let Message { text, html, .. } = message(&alert, alert.at);
    assert!(text.contains("FOUND\n  role 1: 5\n  role 2: 5\n  role 3: 5\n  and 6 more\n"));
    assert_eq!(html.unwrap().matches(">role ").count(), 3);
}

#[test]
fn whether_users_are_affected_stands_at_the_top() {
    let mut alert = sample("firing");
    "not affected yet: errors of checkout 0.03%, as usual".clone_into(&mut alert.users);
    let Message { text, html, .. } = message(&alert, alert.at);
    for shown in [text.as_str(), html.unwrap().as_str()] {
        let users = shown.find("errors of checkout 0.03%").unwrap();
        assert!(shown.find("Cause").unwrap() < users, "{shown}");
        assert!(users < shown.to_lowercase().find("first ten minutes").unwrap(), "{shown}");
    }
    for chat in ["chat.slack", "chat.md", "chat.telegram", "chat.teams", "chat.txt"] {
        let source = BUILT_IN.iter().find(|(name, _)| *name == chat).unwrap().1;
        assert!(source.contains("{{ a.users }}"), "{chat}");
    }
    alert.users.clear();
    assert!(!message(&alert, alert.at).text.contains("Users "), "nothing where nothing is known");
}

#[test]
fn a_sure_cause_names_its_next_best_rival_in_one_line() {
    let mut alert = sample("firing");
    let rival = "bad deploy: payments (version v41); against it: instances on v40";
    assert!(!message(&alert, alert.at).text.contains("What else it could be"));
    (alert.causes[0].probability, alert.causes[1].probability) = (0.97, 0.004);
    let view = View::new(&alert, alert.at);
    assert!(view.rival.unwrap().starts_with(&format!("under 1% {rival}")));
    assert_eq!(view.causes.len(), 1);
    let Message { text, html, .. } = message(&alert, alert.at);
    assert_eq!(text.matches("What else it could be: under 1% bad deploy").count(), 1, "{text}");
    assert!(html.unwrap().contains("What else it could be</strong>: under 1% bad deploy"));
}

#[test]
fn a_percentile_has_no_parts() {
    let alert = sample("firing");
    let told = View::new(&alert, alert.at).breakdown;
    assert_eq!(told, ["tenant acme: 83% of the time spent, usually 21%"]);
}

#[test]
fn rates_beside_each_other_are_both_to_be_read() {
    let mut alert = sample("firing");
    let signal = &mut alert.signals[0];
    (signal.now, signal.expected) = (Some(0.0639), Some(1.45e-4));
    signal.unit = Some("per second".to_owned());
    let view = View::new(&alert, alert.at);
    let told = [&view.signals[0].now, &view.signals[0].expected];
    assert_eq!(told, ["3.83 per minute", "0.0087 per minute"]);
}

#[test]
fn how_sure_is_told_in_words_and_as_a_number() {
    let mut alert = sample("firing");
    for (probability, told) in
        [(0.97, "almost certain (97%)"), (0.71, "likely (71%)"), (0.5, "about even (50%)")]
    {
        alert.causes[0].probability = probability;
        let message = message(&alert, alert.at);
        assert!(message.text.contains(&format!("How sure     {told}\n")), "{}", message.text);
        assert!(message.html.unwrap().contains(told));
    }
    "unexplained-drift".clone_into(&mut alert.causes[0].id);
    let honest = message(&alert, alert.at).text;
    assert!(honest.contains("Cause        no clear cause\n"), "{honest}");
    assert!(!honest.contains("How sure"), "{honest}");
    assert!(honest.contains("50% unexplained drift"), "{honest}");
}

#[test]
fn a_template_that_fails_never_stops_an_alert() {
    let alert = sample("firing");
    for (text, html, what) in [
        ("{{ a.no_such_thing }}", "<p>{{ a.title }}</p>", "undefined value"),
        (
            "{% for i in range(10000) %}{% for j in range(10000) %}x{% endfor %}{% endfor %}",
            "",
            "fuel",
        ),
    ] {
        let message = own(text, html).unwrap().message(&alert, alert.at);
        assert!(message.failure.as_ref().unwrap().contains(what), "{:?}", message.failure);
        assert!(message.text.contains(&alert.title));
        assert!(message.text.contains(&alert.steps.first_ten_minutes[0]));
        assert!(message.text.contains(&alert.to_json()));
        assert_eq!(
            message.html.as_deref(),
            Some(html.replace("{{ a.title }}", &alert.title).as_str())
        );
    }
    let message = own("{{ a.title }}", "{{ broken").map(|_| ());
    let problem = message.unwrap_err().to_string();
    assert!(problem.starts_with("cannot read the template `mail.html`: "), "{problem}");
    let message = own("{{ a.title }}", "{{ a.nothing }}").unwrap().message(&alert, alert.at);
    assert_eq!((message.text.as_str(), message.html), (alert.title.as_str(), None));
    assert!(message.failure.is_some());
}

#[test]
fn an_update_says_first_what_changed() {
    let mut alert = sample("updated");
    let told = message(&alert, alert.at);
    let head =
        "UPDATED: CRITICAL  checkout\nChanged: now critical, orders is in it too\ncheckout latency";
    assert!(told.text.starts_with(head), "{}", told.text);
    let subject =
        "[now critical] checkout: orders is in it too; latency 913 ms (usually 310 ms); a dep";
    assert!(told.subject.starts_with(subject), "{}", told.subject);
    // Whoever was not told before reads of an incident, not of a change.
    alert = alert.as_first();
    let told = message(&alert, alert.at);
    assert!(!told.text.contains("Changed"), "{}", told.text);
    assert!(told.subject.starts_with("[critical] checkout: latency 913 ms"), "{}", told.subject);
}

#[test]
fn a_subject_tells_what_counts_within_a_lock_screen() {
    let firing = message(&sample("firing"), sample("firing").at).subject;
    assert_eq!(
        firing,
        "[warning] checkout: latency 420 ms (usually 310 ms); a dependency is answering more slowly: payments (likely); since 02:12 UTC; 3h10m left"
    );
    for name in ["firing", "updated", "resolved", "unclear"] {
        let alert = sample(name);
        let subject = message(&alert, alert.at).subject;
        assert!(subject.chars().count() <= 140, "{subject}");
    }
}

#[test]
fn times_are_those_of_the_reader() {
    let alert = sample("firing");
    let templates = Templates::default().in_zone(TimeZone::get("Europe/Berlin").unwrap());
    let Message { subject, text, html, .. } = templates.message(&alert, alert.at);
    assert!(subject.contains("since 03:12 CET"), "{subject}");
    for shown in [text, html.unwrap()] {
        let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        let began = "03:12 CET (18m ago), at the earliest 03:06 CET, at the latest 03:18 CET";
        assert!(shown.contains(began), "{shown}");
        assert!(shown.contains("crosses its objective at 06:40 CET (in 3h10m)"), "{shown}");
        // What stands in the alert as text was written in its own zone.
        assert_eq!(shown.matches("UTC").count(), alert.to_json().matches("UTC").count());
    }
}

#[test]
fn what_fell_silent_is_told_in_one_line() {
    let mut alert = sample("firing");
    let silent = alert.signals.last().unwrap().clone();
    alert.signals = (1..=20)
        .map(|n| MovedSignal {
            signal: format!("signal-{n}"),
            labels: BTreeMap::new(),
            ..silent.clone()
        })
        .collect();
    let text = message(&alert, alert.at).text.replace("\n    ", " ");
    assert!(text.contains("Silent: payments, since 02:26 UTC: signal-1, signal-2, "), "{text}");
    assert!(text.contains("signal-12, and 8 more"), "{text}");
}

/// The names of tags, in order.
fn tags(html: &str) -> Vec<&str> {
    let after = html.split('<').skip(1);
    after.map(|tag| tag.split([' ', '>', '\n']).next().unwrap()).collect()
}

#[test]
fn the_laid_out_part_is_whole_and_loads_nothing() {
    for name in ["firing", "updated", "resolved", "unclear"] {
        let alert = sample(name);
        let html = message(&alert, alert.at).html.unwrap();
        let mut open = Vec::new();
        for tag in tags(&html) {
            match tag.strip_prefix('/') {
                Some(end) => assert_eq!(open.pop(), Some(end), "{name}"),
                None if matches!(tag, "!DOCTYPE" | "meta" | "img") => {}
                None => open.push(tag),
            }
        }
        assert!(open.is_empty(), "{name}: {open:?}");
        for need in [
            "<html lang=\"en\">",
            "name=\"color-scheme\" content=\"light dark\"",
            "prefers-color-scheme: dark",
            "max-width: 520px",
            "<th scope=\"row\"",
            "<h1 ",
        ] {
            assert!(html.contains(need), "{name}: {need}");
        }
        for never in ["<script", "<link", "<iframe", "@import", "url(", " on", "src=\"http"] {
            let found = html.split('<').skip(1).filter_map(|t| t.split('>').next());
            assert!(!found.into_iter().any(|tag| tag.contains(never)), "{name}: {never}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_things_are_called_stays_text(
        names in prop::collection::vec(
            prop_oneof![
                "\\PC{0,30}",
                "[\r\n\t<>&\"'{}%*_~`|\\[\\]()!@#\u{0}\u{1b}\u{ad}\u{200b}\u{200e}\u{202e}\u{2060}\u{feff}a-c ]{0,30}",
            ],
            12,
        )
    ) {
        let plain = sample("firing");
        let mut alert = plain.clone();
        let (cause, signal) = (&mut alert.causes[0], &mut alert.signals[0]);
        let change = &mut alert.changes[0];
        let places = [
            &mut alert.title,
            &mut alert.incident,
            &mut cause.evidence_for[0],
            &mut cause.culprit.service,
            &mut signal.signal,
            &mut signal.service,
            &mut change.what,
            &mut change.kind,
            &mut alert.breakdown[0].value,
            &mut alert.steps.first_ten_minutes[0],
            &mut alert.checked[0],
            &mut alert.service,
        ];
        for (place, name) in places.into_iter().zip(&names) {
            place.clone_from(name);
        }
        let Message { subject, text, html, failure, .. } = message(&alert, alert.at);
        prop_assert_eq!(failure, None);
        let shown = |c: char| !c.is_control() && !"\u{ad}\u{200b}\u{200e}\u{202e}\u{2060}\u{feff}".contains(c);
        prop_assert!(subject.chars().all(shown), "{:?}", subject);
        prop_assert!(text.chars().all(|c| c == '\n' || shown(c)), "{:?}", text);
        let html = html.unwrap();
        prop_assert!(html.chars().all(|c| c == '\n' || shown(c)), "{:?}", html);
        let laid = message(&plain, plain.at).html.unwrap();
        prop_assert_eq!(tags(&html), tags(&laid));
    }
}

/// Every field of a view, with the lists' own.
fn fields(prefix: &str, value: &serde_json::Value, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (key, value) in object {
                found.insert(format!("{prefix}.{key}"));
                fields(&format!("{prefix}.{key}"), value, found);
            }
        }
        serde_json::Value::Array(items) => {
            for item in items {
                fields(&format!("{prefix}[]"), item, found);
            }
        }
        _ => {}
    }
}

#[test]
fn the_documentation_names_every_field_of_a_view() {
    let view = serde_json::to_value(View::new(&sample("firing"), sample("firing").at)).unwrap();
    let mut found = BTreeSet::new();
    fields("a", &view, &mut found);
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/templates.md");
    let text = std::fs::read_to_string(path).unwrap();
    let missing: Vec<_> = found.iter().filter(|f| !text.contains(&format!("`{f}`"))).collect();
    assert!(missing.is_empty(), "docs/templates.md does not name {missing:?}");
    for (name, _) in BUILT_IN {
        assert!(text.contains(&format!("`{name}`")), "docs/templates.md does not name {name}");
    }
}
