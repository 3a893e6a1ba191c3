//! The review as Markdown, for tickets and wikis. Names from outside are text and nothing else.

use std::fmt::Write as _;

use super::review::{Group, Review};

/// The whole document, ending in a line break.
pub fn markdown(review: &Review) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "# {}\n\n{}\n", plain(&review.headline), plain(&review.answer));
    for fact in &review.facts {
        let _ = writeln!(text, "- **{}:** {}", fact.name, plain(&fact.value));
    }
    events(&mut text, review);
    signals(&mut text, review);
    causes(&mut text, review);
    list(&mut text, "Label values", &review.breakdown);
    list(&mut text, "Checked, nothing found", &review.checked);
    list(&mut text, "Held back", &review.held);
    list(&mut text, "Not seen", &review.gaps);
    if !review.follow_ups.is_empty() {
        text.push_str("\n## Follow-ups\n");
    }
    for Group { name, items } in &review.follow_ups {
        let _ = writeln!(text, "\n### {name}\n");
        for item in items {
            let _ = writeln!(text, "- [ ] {}", plain(item));
        }
    }
    text.push_str("\n## See it again\n\n```sh\n");
    for command in &review.commands {
        let _ = writeln!(text, "{command}");
    }
    text.push_str("```\n");
    list(&mut text, "How this is known", &review.sources);
    text
}

fn events(text: &mut String, review: &Review) {
    text.push_str("\n## What was known when\n\n");
    text.push_str("| When | Users | What | | Known from |\n|---|---|---|---|---|\n");
    for event in &review.events {
        let (at, lead) = (plain(&event.at), plain(&event.lead));
        let words = plain(&event.words);
        let _ =
            writeln!(text, "| {at} | {lead} | **{}** | {words} | {} |", event.kind, event.origin);
    }
    if review.events_more > 0 {
        let _ = writeln!(text, "\nand {} more", review.events_more);
    }
}

fn signals(text: &mut String, review: &Review) {
    if review.signals.is_empty() {
        return;
    }
    text.push_str("\n## Signals in order of onset\n\n");
    text.push_str("| Signal | Onset | Seen | Usually | Then | |\n|---|---|---|---|---|---|\n");
    for row in &review.signals {
        let [name, onset, range, seen, usual, now] =
            [&row.name, &row.onset, &row.range, &row.seen, &row.usual, &row.now].map(|t| plain(t));
        let _ = writeln!(
            text,
            "| {name} | {onset} ({range}) | {seen} | {usual} | {now} | {} |",
            row.trend
        );
    }
}

fn causes(text: &mut String, review: &Review) {
    if review.causes.is_empty() {
        return;
    }
    text.push_str("\n## Why\n");
    for cause in &review.causes {
        let (name, sure) = (plain(&cause.name), plain(&cause.probability));
        let culprit = if cause.culprit.is_empty() {
            String::new()
        } else {
            format!(": {}", plain(&cause.culprit))
        };
        let _ = writeln!(text, "\n**{sure} {name}{culprit}**, {}\n", cause.likelihood);
        let sides =
            [("for", &cause.supports), ("against", &cause.against), ("not known", &cause.unknown)];
        for (side, lines) in sides {
            for line in lines {
                let _ = writeln!(text, "- {side}: {}", plain(line));
            }
        }
        for line in cause.blind.iter().chain(&cause.unexplained) {
            let _ = writeln!(text, "- {}", plain(line));
        }
    }
}

fn list(text: &mut String, heading: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n## {heading}\n");
    for line in lines {
        let _ = writeln!(text, "- {}", plain(line));
    }
}

/// A text that no Markdown takes for anything else, in the middle of a line: what could begin a
/// link, an emphasis, a tag, an entity, code or a cell stands behind a backslash. Less than for
/// chats, whose dialects differ, so that it can be read as it is.
fn plain(text: &str) -> String {
    let mut inert = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        let inside = |next: Option<&char>| next.is_some_and(|next| next.is_alphanumeric());
        let is_mark = match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '~' | '&' | '#' | '$' => true,
            // Within a word it is a letter.
            '_' => !(before.is_alphanumeric() && inside(chars.peek())),
            _ => false,
        };
        if is_mark {
            inert.push('\\');
        }
        inert.push(c);
        before = c;
    }
    inert
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_outside_are_text() {
        assert_eq!(plain("pool_wait of web-1 (10%)"), "pool_wait of web-1 (10%)");
        assert_eq!(plain("_x_ **b** `c` | d"), "\\_x\\_ \\*\\*b\\*\\* \\`c\\` \\| d");
        assert_eq!(plain("[a](http://b) <img src=x>"), "\\[a\\](http://b) \\<img src=x\\>");
    }
}
