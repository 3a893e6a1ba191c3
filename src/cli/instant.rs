//! Instants as people type them.

use crate::clock;
use crate::time::Timestamp;

/// Reads an instant of the command line: `now`, RFC 3339 or Unix seconds.
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    if text == "now" {
        return Ok(clock::now());
    }
    text.parse().map_err(|problem| format!("{problem}, or `now`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    #[test]
    fn now_is_an_instant_and_yesterday_is_none() {
        assert!(clock::now() - instant("now").unwrap() < Span::MINUTE);
        let written = "2026-03-01T02:10:00Z";
        assert_eq!(instant(written).unwrap().to_string(), written);
        let refused = instant("yesterday").unwrap_err();
        assert!(refused.contains("`yesterday`") && refused.ends_with("or `now`"), "{refused}");
    }
}
