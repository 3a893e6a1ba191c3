//! How digests look: golden files, and what must hold whatever a digest says.

use grayflag::notify::digest::{Digest, Every, Listed, Watched};
use grayflag::notify::sample;
use grayflag::notify::templates::Templates;
use grayflag::time::Timestamp;

use crate::support::golden;

const LAYOUTS: [&str; 4] = ["digest.txt", "digest.html", "digest.slack", "digest.md"];

/// A day on which nothing happened.
fn quiet() -> Digest {
    let to: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
    let mut digest = Digest::new(Every::Day, "2026-03-01T08:00:00Z".parse().unwrap(), to);
    digest.watched = Watched { services: 12, judged: 12, signals: 31, series: 1_840 };
    digest
}

#[test]
fn digests_look_as_before() {
    for (name, digest) in [("full", sample::digest()), ("quiet", quiet())] {
        let message = digest.message(&Templates::default());
        assert_eq!(message.failure, None);
        golden(&format!("digest-{name}.txt"), &format!("{}\n\n{}", message.subject, message.text));
        golden(&format!("digest-{name}.html"), &message.html.unwrap());
        for layout in ["digest.slack", "digest.md"] {
            let text = digest.laid_out(&Templates::default(), layout).unwrap();
            golden(&layout.replace("digest", &format!("digest-{name}")), &text);
        }
    }
}

#[test]
fn a_quiet_digest_is_short_and_says_what_was_watched() {
    let message = quiet().message(&Templates::default());
    assert_eq!(message.subject, "[daily digest] all quiet");
    assert!(message.text.lines().count() <= 5, "{}", message.text);
    assert!(message.text.contains("12 services, 31 signals, 1840 series"), "{}", message.text);
}

#[test]
fn nothing_in_a_digest_can_break_out_of_its_place() {
    let evil =
        "x\r\nBcc: all@example.com\n<script>alert(1)</script> <!channel> *b* {{ 7 * 7 }} \u{202e}";
    let mut digest = sample::digest();
    let silent = &mut digest.silent.items[0];
    let (incident, kept) = (&mut digest.incidents.items[0], &mut digest.kept_quiet.items[0]);
    for place in [
        &mut incident.title,
        &mut incident.service,
        &mut incident.incident,
        &mut kept.title,
        &mut kept.by,
        &mut kept.receivers[0],
        &mut digest.crept.items[0].text,
        &mut digest.noisy.items[0].name,
        &mut silent.service,
        &mut silent.why,
        &mut digest.delivery.items[0].error,
    ] {
        evil.clone_into(place);
    }
    incident.cause = Some(evil.to_owned());
    assert!(!digest.message(&Templates::default()).subject.contains(['\r', '\n']));
    for layout in LAYOUTS {
        let text = digest.laid_out(&Templates::default(), layout).unwrap();
        assert!(text.contains('7'), "{layout}: a template in the data stays data");
        assert!(!text.contains(['\r', '\u{202e}']) && !text.contains("\nBcc"), "{layout}");
        if layout == "digest.html" || layout == "digest.slack" {
            assert!(!text.contains("<script") && !text.contains("<!channel"), "{layout}: {text}");
        }
    }
}

#[test]
fn a_huge_digest_is_cut_and_says_so() {
    let mut digest = sample::digest();
    let mut one = digest.notices.items[0].clone();
    one.title = "word ".repeat(10_000);
    digest.notices = std::iter::repeat_n(one, 5_000).collect();
    assert_eq!(digest.notices.count(), 5_000);
    assert!(digest.to_json().len() < 2_000_000);
    let message = digest.message(&Templates::default());
    assert_eq!(message.failure, None);
    assert!(message.text.len() < 100_000, "{}", message.text.len());
    assert!(message.text.contains("and 4980 more"), "{}", message.text);
    assert!(message.subject.contains("5000 notices"), "{}", message.subject);
}

#[test]
fn a_template_that_fails_never_stops_a_digest() {
    let digest = sample::digest();
    let own = ("digest.txt".to_owned(), "{{ a.no_such_thing }}".to_owned());
    let message = digest.message(&Templates::with(&[own]).unwrap());
    assert!(message.failure.unwrap().contains("undefined value"));
    assert!(message.text.contains(&digest.to_json()));
    assert!(message.html.is_some());
}

#[test]
fn ids_tell_digests_apart_and_a_repetition_from_news() {
    let day = quiet();
    let mut week = day.clone();
    week.every = Every::Week;
    let mut later = day.clone();
    later.notices = Listed::from_iter(sample::digest().notices.items);
    assert_eq!(day.id(), later.id());
    assert_ne!(day.id(), week.id());
}
