//! The notation of values: promtool's, with noise, a daily wave, and lengths of time.
//!
//! | written | is |
//! |---|---|
//! | `3` | one value |
//! | `3x4` | 3 and four more: five values, as in promtool |
//! | `3+0.5x4`, `3-0.5x4` | 3, then four more, each 0.5 more or less than the one before |
//! | `3x12h` | as many values as 12 hours have steps |
//! | `3..5x12h` | the same, evenly from 3 to 5 |
//! | `…^0.3…` | times a wave of a day, 30 % higher at 15:00 UTC and lower at 03:00 |
//! | `…~0.2…`, `…~5%…` | with noise of that standard deviation, or of 5 % of the value |
//! | `_`, `_x4`, `_x12h` | one step without a value, four, as many as 12 hours have |
//! | `stale` | the same as `_` |

use std::ops::Range;

use crate::time::Span;

/// Consecutive values that follow one rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Item {
    /// How many.
    pub count: usize,
    /// What they are; none is a gap.
    pub level: Option<Level>,
}

/// Values that are there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level {
    /// The first value.
    pub start: f64,
    /// From each value to the next.
    pub slope: f64,
    /// Height of the daily wave as a share of the value.
    pub wave: f64,
    /// Standard deviation of the noise.
    pub noise: Noise,
}

/// How large noise is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Noise {
    /// In the values' own unit.
    Absolute(f64),
    /// As a share of the value without noise.
    Share(f64),
}

/// Why values cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Malformed {
    /// In bytes of the text.
    pub at: Range<usize>,
    pub message: String,
}

/// How many values the items have.
pub(super) fn values_len(items: &[Item]) -> usize {
    items.iter().fold(0, |sum, item| sum.saturating_add(item.count))
}

/// Reads values of a series with one value per `step`.
pub(super) fn values(text: &str, step: Span) -> Result<Vec<Item>, Malformed> {
    let mut items = Vec::new();
    let mut from = 0;
    for word in text.split(char::is_whitespace) {
        let at = from;
        from += word.len() + text.get(at + word.len()..).map_or(0, first_len);
        if word.is_empty() {
            continue;
        }
        let mut reader = Reader { text: word, at: 0, step };
        match reader.item() {
            Ok(item) => items.push(item),
            Err(message) => {
                let at = at + reader.at..at + word.len().max(reader.at + 1);
                return Err(Malformed { at, message });
            }
        }
    }
    Ok(items)
}

/// Bytes of the first character.
fn first_len(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

/// Where reading a word has come to.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    step: Span,
}

/// How often a word's rule is followed.
enum Count {
    Once,
    /// That many after the first.
    More(usize),
    /// As many as fill a length of time.
    Whole(usize),
}

impl Reader<'_> {
    fn item(&mut self) -> Result<Item, String> {
        if self.text == "stale" {
            return Ok(Item { count: 1, level: None });
        }
        if self.eat("_") {
            let count = match self.count()? {
                Count::Once => 1,
                Count::More(count) | Count::Whole(count) => count,
            };
            return Ok(Item { count, level: None });
        }
        let start = self.number("a number, `_` or `stale`")?;
        let slope = if self.eat("+") {
            self.number("how much each value is more than the last")?
        } else if self.eat("-") {
            -self.number("how much each value is less than the last")?
        } else {
            0.0
        };
        let end = if slope == 0.0 && self.eat("..") {
            Some(self.number("the last value")?)
        } else {
            None
        };
        let wave = if self.eat("^") { self.share()? } else { 0.0 };
        let noise = if self.eat("~") { self.noise()? } else { Noise::Absolute(0.0) };
        let count = match self.count()? {
            Count::Once => 1,
            Count::More(count) => count.saturating_add(1),
            Count::Whole(count) => count,
        };
        let slope = end.map_or(slope, |end| (end - start) / count.saturating_sub(1).max(1) as f64);
        Ok(Item { count, level: Some(Level { start, slope, wave, noise }) })
    }

    /// The count after `x`, up to the end of the word.
    fn count(&mut self) -> Result<Count, String> {
        if self.rest().is_empty() {
            return Ok(Count::Once);
        }
        if !self.eat("x") {
            return Err(format!("expected `x` and a count, found `{}`", self.rest()));
        }
        let count = self.rest();
        if let Ok(more) = count.parse() {
            return Ok(Count::More(more));
        }
        let length: Span = count.parse().map_err(|_| {
            format!("expected a count such as `720` or a duration such as `12h`, found `{count}`")
        })?;
        let (length, step) = (length.as_millis(), self.step.as_millis());
        if length % step != 0 {
            return Err(format!("{count} is no whole number of steps of {}", self.step));
        }
        usize::try_from(length / step).map(Count::Whole).map_err(|_| format!("{count} is too long"))
    }

    fn share(&mut self) -> Result<f64, String> {
        let from = self.at;
        let share = self.number("the height of the daily wave, such as `0.3`")?;
        if (0.0..1.0).contains(&share) {
            return Ok(share);
        }
        self.at = from;
        Err("a daily wave has a height from 0 to less than 1".to_owned())
    }

    fn noise(&mut self) -> Result<Noise, String> {
        let from = self.at;
        let size = self.number("the standard deviation of the noise, such as `0.2` or `5%`")?;
        if size < 0.0 {
            self.at = from;
            return Err("noise must not be negative".to_owned());
        }
        Ok(if self.eat("%") { Noise::Share(size / 100.0) } else { Noise::Absolute(size) })
    }

    /// A decimal number with an optional sign and exponent.
    fn number(&mut self, expected: &str) -> Result<f64, String> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let digits =
            |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
        let mut end = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
        end += digits(end);
        if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
            end += 1 + digits(end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            end += if exponent > 0 { 1 + sign + exponent } else { 0 };
        }
        let number = rest.get(..end).and_then(|text| text.parse::<f64>().ok());
        let Some(number) = number.filter(|number| number.is_finite()) else {
            let found = if rest.is_empty() { "the end".to_owned() } else { format!("`{rest}`") };
            return Err(format!("expected {expected}, found {found}"));
        };
        self.at += end;
        Ok(number)
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(start: f64, slope: f64) -> Level {
        Level { start, slope, wave: 0.0, noise: Noise::Absolute(0.0) }
    }

    fn one(text: &str) -> (usize, Option<Level>) {
        let items = values(text, Span::MINUTE).unwrap();
        assert_eq!(items.len(), 1, "{text}");
        (items[0].count, items[0].level)
    }

    #[test]
    fn promtools_own_examples_mean_the_same() {
        // The comments of Prometheus' documentation of unit tests for rules.
        assert_eq!(one("-2+4x3"), (4, Some(level(-2.0, 4.0))));
        assert_eq!(one("1-2x4"), (5, Some(level(1.0, -2.0))));
        assert_eq!(one("1x4"), (5, Some(level(1.0, 0.0))));
        let items = values("  1 _x3 stale 4\n_", Span::MINUTE).unwrap();
        let counts: Vec<_> = items.iter().map(|i| (i.count, i.level.is_some())).collect();
        assert_eq!(counts, [(1, true), (3, false), (1, false), (1, true), (1, false)]);
        assert_eq!(values_len(&items), 7);
    }

    #[test]
    fn lengths_of_time_waves_and_noise_go_beyond_promtool() {
        assert_eq!(one("5x12h").0, 720);
        assert_eq!(one("_x1h"), (60, None));
        assert_eq!(one("0..59x1h"), (60, Some(level(0.0, 1.0))));
        assert_eq!(one("1..-1x2"), (3, Some(level(1.0, -1.0))));
        let Level { wave, noise, .. } = one("2e-1^0.3~5%x4").1.unwrap();
        assert_eq!((wave, noise), (0.3, Noise::Share(0.05)));
        assert_eq!(one("0.08+0.0000267~0.006x720").1.unwrap().noise, Noise::Absolute(0.006));
    }

    #[test]
    fn what_cannot_be_read_is_pointed_at() {
        for (text, at, part) in [
            ("1 2 b", 4..5, "expected a number, `_` or `stale`, found `b`"),
            ("1x", 2..3, "a count such as `720`"),
            ("1x90s", 2..5, "no whole number of steps of 1m"),
            ("1y3", 1..3, "expected `x`"),
            ("1~", 2..3, "standard deviation"),
            ("1~-2x3", 2..6, "must not be negative"),
            ("1^1.5x3", 2..7, "from 0 to less than 1"),
            ("NaN", 0..3, "expected a number"),
            ("1e999", 0..5, "expected a number"),
            ("{{schema:1}}x3", 0..14, "expected a number"),
        ] {
            let error = values(text, Span::MINUTE).unwrap_err();
            assert_eq!(error.at, at, "{text}");
            assert!(error.message.contains(part), "{text}: {}", error.message);
        }
    }
}
