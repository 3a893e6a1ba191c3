//! Suggestions: the nearest known word, or the words that exist.

/// Words longer than this are not compared; the cost grows with the product of the lengths.
const COMPARED_CHARS_MAX: usize = 64;

/// Less similar words are not suggested: `higher` is no misspelt `either`.
const SIMILAR_MIN: f64 = 0.85;

/// Longer texts from a file are cut when a message repeats them.
const QUOTED_CHARS_MAX: usize = 60;

/// Lists longer than this end in a count.
const LISTED_MAX: usize = 40;

/// ``did you mean `settle`?`` when a known word is near, and otherwise the list of known words
/// after `what`: ``known keys: `a`, `b` ``. `None` if nothing is known.
pub fn did_you_mean<'w>(
    word: &str,
    known: impl IntoIterator<Item = &'w str>,
    what: &str,
) -> Option<String> {
    let known: Vec<&str> = known.into_iter().collect();
    if let Some(near) = nearest(word, &known) {
        return Some(format!("did you mean `{near}`?"));
    }
    (!known.is_empty()).then(|| format!("{what}: {}", listed(known)))
}

/// `` `a`, `b`, `c` ``.
pub fn listed<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let words: Vec<&str> = words.into_iter().collect();
    let mut text = words.iter().take(LISTED_MAX).map(|w| quoted(w)).collect::<Vec<_>>().join(", ");
    if words.len() > LISTED_MAX {
        text = format!("{text} and {} more", words.len() - LISTED_MAX);
    }
    text
}

/// A text from a file in backticks, cut where it is long.
pub fn quoted(text: &str) -> String {
    let mut cut: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    format!("`{cut}`")
}

/// The known word with the fewest typing mistakes between, if they are few for its length.
fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let length = word.chars().count();
    if length > COMPARED_CHARS_MAX {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let mistakes_max = 1 + length / 4;
    known
        .iter()
        .map(|&candidate| (strsim::damerau_levenshtein(&plain(word), &plain(candidate)), candidate))
        .filter(|&(mistakes, candidate)| {
            mistakes <= mistakes_max
                && mistakes < candidate.chars().count()
                && strsim::jaro_winkler(&plain(word), &plain(candidate)) >= SIMILAR_MIN
        })
        .min_by_key(|&(mistakes, _)| mistakes)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let known = ["interval", "settle", "history"];
        for (word, want) in [
            ("settel", Some("settle")),
            ("Interval", Some("interval")),
            ("intervall", Some("interval")),
            ("his-tory", Some("history")),
            ("zebra", None),
            ("better", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), want, "{word}");
        }
        assert_eq!(nearest("xy", &["up", "down"]), None, "every letter differs");
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(quoted(&"ä".repeat(100)).chars().count(), QUOTED_CHARS_MAX + 3);
        let words = vec!["w"; 50];
        assert!(listed(words).ends_with(" and 10 more"));
    }
}
