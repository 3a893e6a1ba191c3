//! What the message about a digest shows: sections of short entries, every text cleaned. Templates
//! only lay it out.

use jiff::tz::TimeZone;
use serde::Serialize;

use super::digest::{
    BudgetUse, Digest, Every, KeptQuiet, Line, Listed, Noisy, Silent, Told, Undelivered,
    UsersFirst, Watched,
};
use super::message::Message;
use super::templates::Templates;
use super::view::clean;
use crate::engine::alert::Severity;
use crate::format;
use crate::time::Timestamp;

/// A digest as its messages show it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DigestView {
    /// `Daily digest`, `Weekly digest`.
    pub word: &'static str,
    /// The subject of a mail.
    pub subject: String,
    /// The whole of it in one line.
    pub summary: String,
    /// The time that it is about.
    pub period: String,
    /// True when there is nothing to tell.
    pub quiet: bool,
    /// What was watched.
    pub watched: String,
    /// Sections that have entries.
    pub sections: Vec<Section>,
    /// Changes and budget.
    pub figures: Vec<String>,
}

/// Entries of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    /// Its heading.
    pub name: &'static str,
    /// What its entries have in common; may be empty.
    pub about: &'static str,
    /// Its entries.
    pub entries: Vec<Entry>,
    /// How many there are besides.
    pub more: usize,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// What it is.
    pub title: String,
    /// More about it; may be empty.
    pub detail: String,
}

impl Digest {
    /// Whether there is nothing to tell.
    pub fn is_quiet(&self) -> bool {
        self.counts().iter().all(|&count| count == 0)
    }

    /// How many entries each list has.
    fn counts(&self) -> [usize; 10] {
        [
            self.incidents.count(),
            self.notices.count(),
            self.users_first.count(),
            self.crept.count(),
            self.relevelled.count(),
            self.held_back.count(),
            self.kept_quiet.count(),
            self.noisy.count(),
            self.silent.count(),
            self.delivery.count(),
        ]
    }

    /// One line about it: the subject of a mail, the title of a card.
    pub fn subject(&self) -> String {
        format!("[{}] {}", word(self.every).to_lowercase(), summary(self))
    }

    /// The message about it: `digest.txt` and `digest.html`. What a template
    /// complains of never stops it.
    pub fn message(&self, templates: &Templates) -> Message {
        let subject = self.subject();
        let laid = self.laid_out(templates, "digest.txt");
        let html = self.laid_out(templates, "digest.html");
        let failure = laid.as_ref().err().or(html.as_ref().err()).cloned();
        let text = laid.unwrap_or_else(|failure| self.plain(&failure));
        Message { subject, text, html: html.ok(), picture: None, failure }
    }

    /// The digest in one template: `digest.txt`, `digest.html`, and the shorter `digest.slack` and
    /// `digest.md` for chats.
    ///
    /// # Errors
    ///
    /// What the template complains of.
    pub fn laid_out(&self, templates: &Templates, name: &str) -> Result<String, String> {
        templates.render(name, &DigestView::new(self, templates.zone()), &())
    }

    /// What is sent when a template failed: everything, in no layout.
    pub fn plain(&self, failure: &str) -> String {
        format!(
            "{}: {}\n\nThis message could not be laid out: {}\nThe digest as data:\n\n{}\n",
            word(self.every),
            summary(self),
            clean(failure),
            self.to_json()
        )
    }
}

impl DigestView {
    /// The view of a digest for readers in a zone.
    pub fn new(digest: &Digest, zone: &TimeZone) -> Self {
        Self {
            word: word(digest.every),
            subject: digest.subject(),
            summary: summary(digest),
            period: format!(
                "{} to {}",
                format::date_and_clock(digest.from, zone),
                format::date_and_clock(digest.to, zone)
            ),
            quiet: digest.is_quiet(),
            watched: watched(digest.watched),
            sections: sections(digest, (digest.to, zone)),
            figures: figures(digest),
        }
    }
}

const fn word(every: Every) -> &'static str {
    match every {
        Every::Day => "Daily digest",
        Every::Week => "Weekly digest",
    }
}

/// The instant from which distances in time are counted, and the reader's zone.
type Reader<'z> = (Timestamp, &'z TimeZone);

/// `1 critical, 2 warnings, 3 notices`; or that there was none.
fn summary(digest: &Digest) -> String {
    let listed = &digest.incidents.items;
    let listed = listed.iter().filter(|one| one.severity == Severity::Critical.name()).count();
    // Digests of earlier versions did not count them.
    let critical = digest.critical.max(listed);
    let warnings = digest.incidents.count().saturating_sub(critical);
    let parts = [
        (critical, format!("{critical} critical")),
        (warnings, counted(warnings, "warning")),
        (digest.notices.count(), counted(digest.notices.count(), "notice")),
    ];
    let told: Vec<String> =
        parts.into_iter().filter(|(count, _)| *count > 0).map(|(_, text)| text).collect();
    let others: usize = digest.counts().iter().skip(2).sum();
    match (told.is_empty(), others) {
        (true, 0) => "all quiet".to_owned(),
        (true, 1) => "no incident, 1 thing to know".to_owned(),
        (true, others) => format!("no incident, {others} things to know"),
        (false, _) => told.join(", "),
    }
}

fn sections(digest: &Digest, to: Reader<'_>) -> Vec<Section> {
    let sections = [
        section("Incidents", "", &digest.incidents, |one| told(one, to)),
        section(
            "Notices",
            "Weak signals that did not reach users. They are told here and to nobody else.",
            &digest.notices,
            |one| told(one, to),
        ),
        section(
            "Users may have known first",
            "Look for an earlier sign, and make a signal of it.",
            &digest.users_first,
            users_first,
        ),
        section("Creeping", "Too slow for an incident.", &digest.crept, |one| line(one, to)),
        section("Held back", "Loud enough to interrupt, and did not.", &digest.held_back, |one| {
            line(one, to)
        }),
        section(
            "Kept quiet",
            "By silences, quiet hours and maintenance.",
            &digest.kept_quiet,
            kept_quiet,
        ),
        section("Noisy", "", &digest.noisy, noisy),
        section("Without data", "", &digest.silent, |one| silent(one, to)),
        section("Normal from now on", "", &digest.relevelled, |one| line(one, to)),
        section("Not delivered", "", &digest.delivery, undelivered),
    ];
    sections.into_iter().filter(|section| !section.entries.is_empty()).collect()
}

fn section<T>(
    name: &'static str,
    about: &'static str,
    list: &Listed<T>,
    entry: impl Fn(&T) -> (String, String),
) -> Section {
    let entries = list.items.iter().map(|item| {
        let (title, detail) = entry(item);
        Entry { title: clean(&title), detail: clean(&detail) }
    });
    Section { name, about, entries: entries.collect(), more: list.more }
}

fn told(one: &Told, (to, zone): Reader<'_>) -> (String, String) {
    let Told { incident, service, severity, title, cause, probability, .. } = one;
    let time = match one.ended_at {
        Some(end) => format!("lasted {}", (end - one.started_at).rough()),
        None => format!("goes on for {}", (to - one.started_at).rough()),
    };
    let cause = cause.as_ref().zip(*probability).map_or_else(String::new, |(cause, p)| {
        format!("; {} {}", cause.replace(['-', '_'], " "), format::probability(p))
    });
    let verdict = one.verdict.map_or_else(String::new, |verdict| format!("; called {verdict}"));
    let began = format::clock(one.started_at, to, zone);
    let detail = format!("began {began}, {time}{cause}{verdict}; incident {incident}");
    (format!("{severity}, {service}: {title}"), detail)
}

fn users_first(one: &UsersFirst) -> (String, String) {
    let UsersFirst { incident, service, title, why } = one;
    (format!("{service}: {title}"), format!("{why}; incident {incident}"))
}

fn line(one: &Line, (to, zone): Reader<'_>) -> (String, String) {
    (one.text.clone(), format!("noticed {}", format::clock(one.at, to, zone)))
}

fn kept_quiet(one: &KeptQuiet) -> (String, String) {
    let KeptQuiet { incident, service, title, by, receivers, waiting, never_sent } = one;
    let name = if title.is_empty() {
        format!("incident {incident}")
    } else {
        format!("{service}: {title}")
    };
    let mut parts = Vec::new();
    if *waiting > 0 {
        parts.push(format!("{waiting} to be sent when that ends"));
    }
    if *never_sent > 0 {
        parts.push(format!("{never_sent} never sent, as newer ones took their place"));
    }
    (name, format!("{by} kept it from {}: {}", receivers.join(", "), parts.join(", ")))
}

fn noisy(one: &Noisy) -> (String, String) {
    let Noisy { kind, name, incidents, unwanted, advice } = one;
    let unwanted = match unwanted {
        0 => "none called false or expected".to_owned(),
        n => format!("{n} called false or expected"),
    };
    (format!("{kind} {name}: led {}, {unwanted}", counted(*incidents, "incident")), advice.clone())
}

fn silent(one: &Silent, (to, zone): Reader<'_>) -> (String, String) {
    let Silent { service, signal, since, until, why } = one;
    let name = match (service.as_str(), signal.as_str()) {
        ("", "") => "all services".to_owned(),
        ("", signal) => signal.to_owned(),
        (service, "") => service.to_owned(),
        (service, signal) => format!("{signal} of {service}"),
    };
    let time = match until {
        Some(until) => {
            let [since, until] = [since, until].map(|at| format::clock(*at, to, zone));
            format!("from {since} to {until}")
        }
        None => format!("since {}", format::moment(*since, to, zone)),
    };
    (format!("{name}: {why}"), time)
}

fn undelivered(one: &Undelivered) -> (String, String) {
    let Undelivered { receiver, given_up, retried, error } = one;
    let mut parts = Vec::new();
    if *given_up > 0 {
        parts.push(format!("{} given up", counted(usize_of(*given_up), "message")));
    }
    if *retried > 0 {
        parts.push(format!("{} tried again", counted(usize_of(*retried), "message")));
    }
    (format!("{receiver}: {}", parts.join(", ")), error.clone())
}

fn figures(digest: &Digest) -> Vec<String> {
    let mut figures = Vec::new();
    if digest.changes.total > 0 {
        let total = counted(digest.changes.total, "change");
        figures.push(format!("{total}, {} without any incident", digest.changes.without_incident));
    }
    let BudgetUse { alerts, alerts_accepted, notices, notices_accepted } = digest.budget;
    if notices > 0 {
        figures.push(format!(
            "{alerts} of {alerts_accepted:.1} accepted alerts and {notices} of \
             {notices_accepted:.1} accepted notices, without incidents that users felt or somebody \
             called useful"
        ));
    }
    figures
}

fn watched(watched: Watched) -> String {
    let Watched { services, judged, signals, series } = watched;
    let young = match services.saturating_sub(judged) {
        0 => String::new(),
        young => format!("; {young} too young to be judged"),
    };
    let (services, signals) = (counted(services, "service"), counted(signals, "signal"));
    format!("{services}, {signals}, {series} series{young}")
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn usize_of(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
