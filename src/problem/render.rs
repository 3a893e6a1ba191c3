//! A problem as a compiler would show it: message, place, excerpt with carets, hint.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{Place, Problem, Severity, printable};

/// Excerpts are cut to this width, so that a long query stays readable.
const WIDTH: usize = 120;

/// Longer excerpts are left out: the renderer looks at every character of them, and what a
/// person can read is far shorter.
const EXCERPT_BYTES_MAX: usize = 16 * 1024;

/// Renders one problem with an empty line after it.
pub(super) fn render<'t>(
    problem: &'t Problem,
    texts: &dyn Fn(&str) -> Option<&'t str>,
    colour: bool,
) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group =
        excerpt(Group::with_title(level.primary_title(&problem.message)), problem, texts);
    if let Some((place, label)) = &problem.also
        && (place.file != problem.place.file || window(problem, texts).is_none())
    {
        let Place { file, line, column, .. } = place;
        let note = format!("{label} at {}:{line}:{column}", printable(file));
        group = group.element(Level::NOTE.message(note));
    }
    if let Some(hint) = &problem.hint {
        group = group.element(Level::HELP.with_name("hint").message(hint.as_str()));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let text = renderer.term_width(WIDTH).render(&[group]);
    format!("{}\n\n", text.trim_end())
}

/// The lines from the first place to the last, with where they begin and the first one's
/// number; `None` if the text is not at hand, or too long to look at.
fn window<'a>(
    problem: &'a Problem,
    texts: &dyn Fn(&str) -> Option<&'a str>,
) -> Option<(&'a str, usize, usize)> {
    let place = &problem.place;
    let text = texts(&place.file)?;
    let second = problem.also.as_ref().map(|(second, _)| second);
    let (first, last) = match second.filter(|second| second.file == place.file) {
        Some(second) if second.span.start < place.span.start => (second, place),
        Some(second) => (place, second),
        None => (place, place),
    };
    let begin = line_begin(text, first.span.start);
    let lines = text.get(begin..line_end(text, last.span.start))?;
    (lines.len() <= EXCERPT_BYTES_MAX).then_some((lines, begin, first.line))
}

/// Adds the excerpt, or only the place where there is none.
fn excerpt<'a>(
    group: Group<'a>,
    problem: &'a Problem,
    texts: &dyn Fn(&str) -> Option<&'a str>,
) -> Group<'a> {
    let place = &problem.place;
    let Some((lines, begin, number)) = window(problem, texts) else {
        let origin = Origin::path(printable(&place.file));
        return group.element(origin.line(place.line).char_column(place.column));
    };
    let inside =
        |place: &Place| first_line(lines, place.span.start - begin..place.span.end - begin);
    let mut snippet = Snippet::source(lines)
        .line_start(number)
        .path(printable(&place.file))
        .annotation(AnnotationKind::Primary.span(inside(place)));
    if let Some((second, label)) = &problem.also
        && second.file == place.file
    {
        let context = AnnotationKind::Context.span(inside(second));
        snippet = snippet.annotation(context.label(label.as_str()));
    }
    group.element(snippet)
}

fn line_begin(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
}

fn line_end(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|after| after.find('\n')).map_or(text.len(), |newline| at + newline)
}

/// The part of a span on its first line: a caret under forty lines of query points at nothing.
fn first_line(text: &str, span: Range<usize>) -> Range<usize> {
    let start = span.start.min(text.len());
    let end = span.end.clamp(start, line_end(text, start));
    let length = text.get(start..end).and_then(|part| part.find('\r'));
    start..length.map_or(end, |length| start + length)
}
