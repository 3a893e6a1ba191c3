//! A mail's headers and parts.

use std::time::Duration;

use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Attachment, MultiPart, SinglePart};

use super::Email;
use crate::engine::alert::Severity;
use crate::notify::error::{Class, NotifyError, Retry};
use crate::notify::message::{Message, PICTURE};
use crate::notify::receiver::{Content, Envelope};
use crate::series::stable_hash;
use crate::time::Timestamp;

impl Email {
    /// The mail, and what its templates complained of.
    pub(super) fn compose(
        &self,
        envelope: Envelope<'_>,
    ) -> Result<(lettre::Message, Option<String>), NotifyError> {
        let message = match envelope.content {
            Content::Alert(alert, chart) => {
                self.templates.illustrated(&envelope.as_news(alert), chart, envelope.now)
            }
            Content::Digest(digest) => digest.message(&self.templates),
        };
        let id = self.message_id(envelope.key);
        let mut builder = lettre::Message::builder()
            .from(self.from.clone())
            .to(self.to.clone())
            .subject(message.subject)
            .date(date(envelope.now))
            .message_id(Some(id))
            .user_agent(concat!("grayflag/", env!("CARGO_PKG_VERSION")).to_owned())
            .header(AutoSubmitted);
        if envelope.first != envelope.key {
            let first = self.message_id(envelope.first);
            builder = builder.in_reply_to(first.clone()).references(first);
        }
        if matches!(envelope.content, Content::Alert(a, _) if a.severity == Severity::Critical) {
            builder = builder.header(Importance);
        }
        let Message { text, html, picture, failure, .. } = message;
        let built = match html {
            None => builder.singlepart(SinglePart::plain(text)),
            Some(html) => builder.multipart(parts(envelope.key, text, html, picture)),
        };
        let built = built.map_err(|e| self.error(Class::Message, Retry::Never, &e.to_string()))?;
        Ok((built, failure))
    }

    /// The same for every repetition, so that servers and readers can tell one.
    fn message_id(&self, key: &str) -> String {
        format!("<{:032x}@{}>", stable_hash(&["message", key]), self.from.email.domain())
    }
}

/// The text, and the same laid out together with the picture that it shows (RFC 2387).
fn parts(key: &str, text: String, html: String, picture: Option<Vec<u8>>) -> MultiPart {
    let boundary = |part: &str| format!("{:032x}", stable_hash(&[part, key]));
    let both =
        MultiPart::alternative().boundary(boundary("boundary")).singlepart(SinglePart::plain(text));
    let html = SinglePart::html(html);
    let Some((png, kind)) = picture.zip(ContentType::parse("image/png").ok()) else {
        return both.singlepart(html);
    };
    let picture = Attachment::new_inline_with_name(PICTURE.to_owned(), "signals.png".to_owned());
    let related = MultiPart::related().boundary(boundary("related")).singlepart(html);
    both.multipart(related.singlepart(picture.body(png, kind)))
}

/// A date that a mail can carry.
fn date(at: Timestamp) -> std::time::SystemTime {
    let seconds = u64::try_from(at.as_secs()).unwrap_or(0).min(LAST_SECOND);
    std::time::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// The end of the year 9998; dates in mail have four digits for the year.
const LAST_SECOND: u64 = 253_370_764_800 - 1;

/// Tells holiday responders not to answer.
#[derive(Clone)]
struct AutoSubmitted;

/// Marks what should be seen first.
#[derive(Clone)]
struct Importance;

macro_rules! fixed_header {
    ($type:ty, $name:literal, $value:literal) => {
        impl Header for $type {
            fn name() -> HeaderName {
                HeaderName::new_from_ascii_str($name)
            }
            fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
                Ok(Self)
            }
            fn display(&self) -> HeaderValue {
                HeaderValue::new(Self::name(), $value.to_owned())
            }
        }
    };
}

fixed_header!(AutoSubmitted, "Auto-Submitted", "auto-generated");
fixed_header!(Importance, "Importance", "high");

#[cfg(test)]
mod tests {
    use mail_parser::{MessageParser, MimeHeaders as _};

    use super::*;
    use crate::engine::alert::Alert;
    use crate::notify::email::{EmailConfig, Relay, Tls};
    use crate::notify::sample;
    use crate::notify::templates::Templates;

    #[test]
    fn dates_outside_the_calendar_of_mail_are_clamped() {
        for at in [i64::MIN, -1, 0, i64::MAX] {
            let date = date(Timestamp::from_millis(at));
            // The conversion that panics for years that do not fit.
            let _ = lettre::message::header::Date::new(date);
        }
    }

    #[test]
    fn the_picture_stands_where_the_laid_out_part_shows_it() {
        let mail = |picture| {
            let parts =
                parts("k", "text".to_owned(), "<img src=\"cid:signals\">".to_owned(), picture);
            let mail = lettre::Message::builder()
                .from("a@example.com".parse().unwrap())
                .to("b@example.com".parse().unwrap())
                .multipart(parts);
            mail.unwrap().formatted()
        };
        let formatted = mail(Some(vec![0x89, b'P', b'N', b'G']));
        let parsed = MessageParser::default().parse(&formatted).unwrap();
        let kinds: Vec<String> = parsed
            .parts
            .iter()
            .filter_map(|part| part.content_type())
            .map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()))
            .collect();
        let whole = "multipart/alternative text/plain multipart/related text/html image/png";
        assert_eq!(kinds.join(" "), whole);
        assert_eq!(parsed.parts[4].content_id(), Some(PICTURE));
        assert_eq!(parsed.parts[4].contents(), [0x89, b'P', b'N', b'G']);
        let text = String::from_utf8(mail(None)).unwrap();
        assert!(!text.contains("multipart/related"), "{text}");
    }

    #[test]
    fn names_cannot_add_headers() {
        let config = EmailConfig {
            to: vec!["ops@example.com".parse().unwrap()],
            from: "grayflag@example.com".parse().unwrap(),
            relay: Relay { host: "localhost".to_owned(), port: 25, tls: Tls::None },
            login: None,
            ca_file: None,
        };
        let email = Email::for_each("mail", &config, &Templates::default()).unwrap().remove(0);
        let heads = |alert: &Alert| {
            let json = alert.to_json();
            let (key, now) = (alert.id(), alert.at);
            let content = Content::Alert(alert, None);
            let envelope =
                Envelope { content, json: &json, key: &key, first: &key, handle: None, now };
            let formatted = email.compose(envelope).unwrap().0.formatted();
            let parsed = MessageParser::default().parse(&formatted).unwrap();
            let names = parsed.headers().iter().map(|header| header.name().to_owned());
            (names.collect::<Vec<_>>(), parsed.parts.len())
        };
        let plain = sample::alerts().remove(0);
        let expected = heads(&plain);
        for evil in [
            "x\r\nBcc: everyone@example.com",
            "x\n\n<html>",
            "x\r\n\r\n--boundary\r\nContent-Type: text/html",
            "\u{85}Bcc: a@b\u{2028}Bcc: a@b\u{2029}\u{b}\u{c}\0",
            "=?utf-8?q?=0d=0aBcc:_a@b?=",
            "\u{202e}x",
        ] {
            let mut alert = plain.clone();
            for place in [&mut alert.service, &mut alert.title, &mut alert.incident] {
                evil.clone_into(place);
            }
            alert.signals[0].labels.insert(evil.to_owned(), evil.to_owned());
            assert_eq!(heads(&alert), expected, "{evil:?}");
        }
    }
}
