//! How long a receiver asks to be left alone.

use serde_json::Value;

use crate::time::{Span, Timestamp};

/// `Retry-After` beyond this is cut: a typo in a header must not silence alerts for a day.
const RETRY_AFTER_MAX: Span = Span::from_mins(15);

/// Seconds or a date, as RFC 9110 has it.
pub(super) fn retry_after(text: &str, now: Timestamp) -> Option<Span> {
    let text = text.trim();
    let span = if let Ok(seconds) = text.parse::<u32>() {
        Span::from_secs(i64::from(seconds))
    } else {
        let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        Timestamp::from_millis(at.as_millisecond()) - now
    };
    Some(span.clamp(Span::ZERO, RETRY_AFTER_MAX))
}

/// Seconds in the body, where Discord and Telegram say them.
pub(super) fn retry_after_in(body: &[u8]) -> Option<Span> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let asked = body.get("retry_after").or_else(|| body.pointer("/parameters/retry_after"))?;
    let seconds = asked.as_f64().filter(|s| (0.0..1e6).contains(s))?;
    #[expect(clippy::cast_possible_truncation, reason = "at most a million seconds")]
    let span = Span::from_millis((seconds * 1_000.0).ceil() as i64);
    Some(span.min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_within_bounds() {
        let now: Timestamp = "2015-10-21T07:27:00Z".parse().unwrap();
        for (text, expected) in [
            ("120", Some(Span::from_secs(120))),
            (" 0 ", Some(Span::ZERO)),
            ("86400", Some(RETRY_AFTER_MAX)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(Span::MINUTE)),
            // A date that has passed: at once.
            ("Wed, 21 Oct 2015 07:20:00 GMT", Some(Span::ZERO)),
            ("Thu, 21 Oct 2055 07:28:00 GMT", Some(RETRY_AFTER_MAX)),
            ("soon", None),
            ("-5", None),
            ("", None),
        ] {
            assert_eq!(retry_after(text, now), expected, "{text}");
        }
    }

    #[test]
    fn seconds_in_a_body_are_found_within_bounds() {
        for (body, expected) in [
            (r#"{"message":"You are being rate limited.","retry_after":0.3,"global":false}"#, 300),
            (r#"{"ok":false,"error_code":429,"parameters":{"retry_after":35}}"#, 35_000),
            (r#"{"retry_after":999999}"#, RETRY_AFTER_MAX.as_millis()),
        ] {
            let found = retry_after_in(body.as_bytes());
            assert_eq!(found, Some(Span::from_millis(expected)), "{body}");
        }
        for body in ["", "ok", "[]", r#"{"retry_after":-1}"#, r#"{"retry_after":"soon"}"#] {
            assert_eq!(retry_after_in(body.as_bytes()), None, "{body}");
        }
    }
}
