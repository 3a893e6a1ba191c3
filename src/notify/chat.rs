//! What messages in chats have in common: a title, a short text, and what to do about a message
//! that stands there already.

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::message::Ink;
use super::receiver::{Content, Envelope};
use super::subject::headline;
use super::templates::{Templates, inert};
use super::view::{self, Cause, Link, View};
use crate::engine::alert::{Alert, Severity, State};
use crate::format;

/// How a receiver marks texts up, and by that which templates lay its messages out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Markup {
    /// Slack's mrkdwn.
    Slack,
    /// Markdown, for Discord.
    Markdown,
    /// The tags that Telegram knows.
    Telegram,
    /// Lines, some of them headings, for Teams.
    Teams,
    /// Lines.
    Plain,
}

/// A chat message, not yet cut to what its receiver takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// One line, not marked up.
    pub(super) title: String,
    /// What stands below it, marked up.
    pub(super) body: String,
    /// How it looks from afar.
    pub(super) tone: Tone,
    /// Where to look further.
    pub(super) links: Vec<Link>,
    /// What the template complained of; the body then holds the facts in no layout.
    pub(super) failure: Option<String>,
}

/// How a message looks from afar. Colour alone says nothing: every title says it in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// Nobody has to do anything: notices and digests.
    Calm,
    /// A warning.
    Warning,
    /// Critical.
    Critical,
    /// It is over.
    Over,
}

/// A message about an incident that stands in a chat, and what it said: kept as its handle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Posted {
    /// How the receiver calls it.
    pub(super) id: String,
    /// Where it stands, for receivers that ask for that too; else empty.
    pub(super) place: String,
    severity: Severity,
    cause: Option<String>,
    over: bool,
}

/// Steps that plain facts hold.
const PLAIN_STEPS: usize = 3;
/// Room that the word about a rest takes.
const REST_UNITS: usize = 60;

impl Markup {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Markdown => "md",
            Self::Telegram => "telegram",
            Self::Teams => "teams",
            Self::Plain => "txt",
        }
    }

    /// A text that this receiver shows as it is.
    pub(super) fn inert(self, text: &str) -> String {
        inert(self.suffix(), text)
    }
}

impl Tone {
    /// A sign before a title, seen when a list of messages is skimmed.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Calm => "🔵",
            Self::Warning => "🟠",
            Self::Critical => "🔴",
            Self::Over => "🟢",
        }
    }

    /// Red, green and blue.
    pub(super) const fn colour(self) -> u32 {
        match self {
            Self::Calm => 0x001f_5fa8,
            Self::Warning => 0x00d9_8200,
            Self::Critical => 0x00b3_261e,
            Self::Over => 0x001b_7f3b,
        }
    }

    fn of(alert: &Alert) -> Self {
        match (alert.state, alert.severity) {
            (State::Resolved, _) => Self::Over,
            (_, Severity::Critical) => Self::Critical,
            (_, Severity::Warning) => Self::Warning,
            (_, Severity::Notice) => Self::Calm,
        }
    }
}

impl Told {
    /// What a chat is told.
    pub(super) fn new(templates: &Templates, envelope: &Envelope<'_>, markup: Markup) -> Self {
        match envelope.content {
            Content::Alert(alert, chart) => {
                let alert = envelope.as_news(alert);
                Self::alert(
                    templates,
                    &alert,
                    templates.charted(&alert, chart, envelope.now),
                    markup,
                )
            }
            Content::Digest(digest) => Self::digest(templates, digest, markup),
        }
    }

    fn alert(templates: &Templates, alert: &Alert, view: View, markup: Markup) -> Self {
        let laid = templates.render(&format!("chat.{}", markup.suffix()), &view, &Ink::default());
        let (body, failure) = match laid {
            Ok(body) => (body, None),
            Err(failure) => (plain(&view, &failure, markup), Some(failure)),
        };
        let title = view.subject;
        Self { title, body: tidy(&body), tone: Tone::of(alert), links: view.links, failure }
    }

    fn digest(templates: &Templates, digest: &Digest, markup: Markup) -> Self {
        let laid = digest.laid_out(templates, &format!("digest.{}", markup.suffix()));
        let (body, failure) = match laid {
            Ok(body) => (body, None),
            Err(failure) => {
                let told = format!("This could not be laid out: {failure}");
                (markup.inert(&view::clean(&told)), Some(failure))
            }
        };
        let (title, tone) = (digest.subject(), Tone::Calm);
        Self { title, body: tidy(&body), tone, links: Vec::new(), failure }
    }
}

/// What is told when a template failed: what a person must know, in no layout.
fn plain(view: &View, failure: &str, markup: Markup) -> String {
    let mut lines = vec![format!("Began {}, {}", view.began, view.began_range)];
    lines.extend(view.causes.first().map(Cause::short));
    let steps = view.steps.first().into_iter().flat_map(|list| &list.items);
    lines.extend(steps.take(PLAIN_STEPS).cloned());
    lines.push(format!("grayflag, incident {}", view.incident));
    lines.push(format!("This message could not be laid out: {failure}"));
    let lines: Vec<String> = lines.iter().map(|line| markup.inert(&view::clean(line))).collect();
    lines.join("\n")
}

/// Without lines at both ends that are empty, and never more than one between two others.
fn tidy(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.trim().lines().map(str::trim_end) {
        if !line.is_empty() || lines.last().is_some_and(|last| !last.is_empty()) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// As many whole lines as fit into `units`, with a word about the rest. Whole lines, because marks
/// that are opened and not closed make receivers refuse a message.
pub(super) fn fit(text: &str, units: usize) -> String {
    if size(text) <= units {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut left_out = 0_usize;
    for line in text.lines() {
        if left_out == 0 && size(&kept) + size(line) + 1 + REST_UNITS <= units {
            kept.push_str(line);
            kept.push('\n');
        } else {
            left_out += 1;
        }
    }
    format!("{kept}… {left_out} lines more did not fit here")
}

/// The beginning of a line that is not marked up, in `units`.
pub(super) fn clip(line: &str, units: usize) -> String {
    if size(line) <= units {
        return line.to_owned();
    }
    let mut used = 1;
    let short = line.chars().take_while(|c| {
        used += c.len_utf16();
        used <= units
    });
    let mut short: String = short.collect();
    short.push('…');
    short
}

/// The length of a text as receivers count it: those that do not say count in units of UTF-16 at
/// worst.
pub(super) fn size(text: &str) -> usize {
    text.encode_utf16().count()
}

impl Posted {
    /// What stands in the chat after this alert was told.
    pub(super) fn new(id: String, place: String, alert: &Alert) -> Self {
        Self {
            id,
            place,
            severity: alert.severity,
            cause: alert.causes.first().map(|cause| cause.id.clone()),
            over: alert.state == State::Resolved,
        }
    }

    /// The message that a handle stands for; none for one of another kind of receiver.
    pub(super) fn read(handle: Option<&str>) -> Option<Self> {
        serde_json::from_str(handle?).ok()
    }

    /// The handle.
    pub(super) fn handle(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// What a person must notice of the change to `alert`, in one line that is not marked up:
    /// nobody is told that a message was edited.
    pub(super) fn remark(&self, alert: &Alert) -> Option<String> {
        let leading = alert.causes.first().map(|cause| &cause.id);
        let service = &alert.service;
        let remark = if alert.state == State::Resolved {
            let lasted = (alert.at - alert.started_at).rough();
            (!self.over).then(|| format!("Resolved: {service}, after {lasted}"))
        } else if self.severity < alert.severity {
            Some(format!("Now {}: {service}, {}", alert.severity, headline(alert)))
        } else if leading.is_some() && leading != self.cause.as_ref() {
            alert.causes.first().map(|cause| {
                let name = cause.id.replace(['-', '_'], " ");
                let sure = format::probability(cause.probability);
                format!("The leading cause is now {name}: {} ({sure})", cause.culprit.service)
            })
        } else {
            None
        };
        remark.map(|remark| view::clean(&remark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_lines_with_a_word_about_the_rest() {
        let lines: Vec<String> = (0..50).map(|n| format!("line {n} with <b>marks</b>")).collect();
        let text = lines.join("\n");
        for units in [100, 400, 1_000] {
            let cut = fit(&text, units);
            assert!(size(&cut) <= units, "{} of {units}", size(&cut));
            let (last, lines) = cut
                .split('\n')
                .collect::<Vec<_>>()
                .split_last()
                .map_or((String::new(), 0), |(last, rest)| ((*last).to_owned(), rest.len()));
            assert_eq!(last, format!("… {} lines more did not fit here", 50 - lines));
        }
        assert_eq!(fit("as\nit is", 8), "as\nit is");
        let long = "🔴".repeat(500);
        assert_eq!(
            size(&fit(&format!("{long}\nb"), 900)),
            "… 2 lines more did not fit here".chars().count()
        );
    }

    #[test]
    fn a_line_is_cut_between_characters() {
        assert_eq!(clip("short", 5), "short");
        assert_eq!(clip("longer", 5), "long…");
        for units in 3..9 {
            let cut = clip("🔴🔴🔴🔴🔴🔴", units);
            assert!(size(&cut) <= units && cut.ends_with('…'), "{cut} in {units}");
        }
    }

    #[test]
    fn handles_of_others_are_not_read() {
        for handle in [None, Some(""), Some("1234.5"), Some("{}"), Some("[1]")] {
            assert_eq!(Posted::read(handle), None, "{handle:?}");
        }
    }
}
