//! How alerts look: golden files, and what must hold whatever an alert says.

use grayflag::engine::alert::State;
use grayflag::notify::message::{Message, Templates, message};
use grayflag::notify::text::{Style, render};
use grayflag::time::Span;

use crate::support::{data, sample};

/// Compares with the file, or writes it when `UPDATE_SNAPSHOTS` is set.
fn golden(name: &str, found: &str) {
    let path = data().join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{name} differs; UPDATE_SNAPSHOTS=1 writes it anew. Found:\n{found}"
    );
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
        let plain = render(&alert, Style::default());
        assert_eq!(plain, message(&alert, alert.at).text);
        let coloured = render(&alert, Style { colour: true });
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
        cause.unknown.push(format!("not measured: {} roles", cause.id));
    }
    let Message { text, html, .. } = message(&alert, alert.at);
    for shown in [text, html.unwrap()] {
        let count = |what: &str| shown.matches(what).count();
        for (cause, side, most) in [
            ("slow-dependency", "for", 6),
            ("slow-dependency", "against", 4),
            ("slow-dependency", "failed", 3),
            ("bad-deploy", "for", 2),
            ("bad-deploy", "against", 2),
            ("bad-deploy", "failed", 0),
        ] {
            assert_eq!(count(&format!("{cause} {side} ")), most, "{cause} {side}");
            assert_eq!(count(&format!("{cause} {side} {most}.")), most.min(1), "strongest first");
        }
        assert_eq!(count("not measured: slow-dependency roles"), 1);
        assert_eq!(count("not measured: "), 1);
    }
    assert_eq!(alert.to_json().matches("bad-deploy failed").count(), 9);
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
        let message = Templates::new(text, html).unwrap().message(&alert, alert.at);
        assert!(message.failure.as_ref().unwrap().contains(what), "{:?}", message.failure);
        assert!(message.text.contains(&alert.title));
        assert!(message.text.contains(&alert.steps.first_ten_minutes[0]));
        assert!(message.text.contains(&alert.to_json()));
        assert_eq!(
            message.html.as_deref(),
            Some(html.replace("{{ a.title }}", &alert.title).as_str())
        );
    }
    let message = Templates::new("{{ a.title }}", "{{ broken").map(|_| ());
    assert_eq!(message.unwrap_err().to_string(), "cannot read the template `mail.html`");
    let message =
        Templates::new("{{ a.title }}", "{{ a.nothing }}").unwrap().message(&alert, alert.at);
    assert_eq!((message.text.as_str(), message.html), (alert.title.as_str(), None));
    assert!(message.failure.is_some());
}
