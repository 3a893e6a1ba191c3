//! What scorecards and comparisons say, in sentences and cells: for the terminal and for the page.

use crate::format;
use crate::notify::view::clean;
use crate::problem::count;
use crate::scorecard::{
    BudgetUse, Caught, Changed, Comparison, Difference, Fate, Figures, Scored, SignalDifference,
    Spent, Tally,
};
use crate::time::Span;

/// The word for what became of an incident.
pub(super) const fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Before => "before",
        Fate::After => "after",
        Fate::Missed => "missed",
    }
}

/// A length of time that may not be known.
pub(super) fn span(span: Option<Span>) -> String {
    span.map_or_else(|| "-".to_owned(), Span::rough)
}

fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), format::share)
}

/// A rate with one digit behind the point, two where it is small.
pub(super) fn rate(rate: f64) -> String {
    if rate < 1.0 { format!("{rate:.2}") } else { format!("{rate:.1}") }
}

/// The figures in sentences.
pub(super) fn summary(figures: &Figures) -> Vec<String> {
    let Figures { incidents, missed, .. } = figures;
    let caught = incidents - missed;
    let mut lines = Vec::new();
    if *incidents > 0 {
        lines.push(format!(
            "{} of {} caught ({}), {} of those that somebody noticed before that",
            caught,
            count(*incidents, "incident"),
            share(figures.caught),
            share(figures.before_noticed),
        ));
        lines.push(format!(
            "median lead {}, median delay from the onset {}",
            span(figures.lead),
            span(figures.delay)
        ));
        lines.push(format!(
            "true cause named first {}, among three {}",
            share(figures.named),
            share(figures.named_in_three)
        ));
    }
    lines
}

/// What was told beside what is accepted.
pub(super) fn budget(used: &BudgetUse, is_judged: bool) -> [String; 2] {
    let line = |name, spent: Spent| {
        let Spent { told, false_ones, accepted } = spent;
        let accepted = rate(accepted);
        if !is_judged {
            return format!("{name}: {told} told, {accepted} false ones are accepted");
        }
        let by_week = if used.weeks > 0.0 { false_ones as f64 / used.weeks } else { 0.0 };
        let by_week = rate(by_week);
        format!(
            "{name}: {told} told, {false_ones} of them false ({by_week} a week); {accepted} false ones are accepted"
        )
    };
    [line("alerts", used.alerts), line("notices and alerts", used.notices)]
}

/// How an incident was told, in the cells of a row.
pub(super) fn cells(one: &Scored) -> [String; 8] {
    let caught = one.caught.as_ref();
    let of = |read: fn(&Caught) -> String| caught.map_or_else(|| "-".to_owned(), read);
    let named = match (caught, &one.truth.cause) {
        (None, _) => "-".to_owned(),
        (Some(Caught { cause, .. }), None) => cause.clone().unwrap_or_else(|| "-".to_owned()),
        (Some(Caught { rank: Some(1), .. }), _) => "first".to_owned(),
        (Some(Caught { rank: Some(rank), .. }), _) => format!("place {rank}"),
        (Some(Caught { cause, .. }), _) => {
            format!("no ({})", cause.as_deref().unwrap_or("none"))
        }
    };
    [
        one.truth.onset.to_string(),
        clean(&one.truth.service),
        one.truth.cause.as_deref().map_or_else(|| "-".to_owned(), clean),
        word(one.fate).to_owned(),
        of(|caught| caught.delay.rough()),
        of(|caught| span(caught.lead)),
        of(|caught| caught.severity.to_string()),
        named,
    ]
}

/// Why an incident was missed, as far as that is known, in a sentence or two; none if it was not.
pub(super) fn evidence(one: &Scored) -> Option<String> {
    let sighting = one.sighting.as_ref()?;
    let Some(at) = sighting.at else {
        return Some(match sighting.gates.as_slice() {
            [] => "its service could not be judged: no signal has data of it".to_owned(),
            gates => format!("its service could not be judged: {}", clean(&gates.join("; "))),
        });
    };
    let mut text = format!(
        "it came to {} of a notice and {} of an alert at {at}",
        format::share(sighting.notice),
        format::share(sighting.alert)
    );
    if let Some(within) = &one.within {
        text = format!("taken for a part of {}, which was still open; {text}", clean(within));
    }
    let voices: Vec<String> = sighting
        .voices
        .iter()
        .map(|voice| {
            let labels = if voice.labels.is_empty() {
                String::new()
            } else {
                format!(" ({})", voice.labels)
            };
            let small = if voice.is_small { ", held back by min_effect" } else { "" };
            format!("{}{labels} {}{small}", voice.signal, format::share(voice.share))
        })
        .collect();
    if !voices.is_empty() {
        text = format!("{text}; by {}", clean(&voices.join(", ")));
    }
    if !sighting.gates.is_empty() {
        text = format!("{text}; {}", clean(&sighting.gates.join("; ")));
    }
    Some(text)
}

/// Both sides of a comparison in numbers, under "this" and "other".
pub(super) fn figures(comparison: &Comparison) -> Vec<[String; 3]> {
    let numbers = |name: &str, both: [usize; 2]| {
        let [this, other] = both.map(|number| number.to_string());
        [name.to_owned(), this, other]
    };
    let mut rows = vec![
        numbers("incidents told", comparison.told),
        numbers("that interrupt", comparison.alerts),
    ];
    let Some(figures) = &comparison.figures else { return rows };
    let row = |name: &str, read: &dyn Fn(&Figures) -> String| {
        let [this, other] = figures.each_ref().map(read);
        [name.to_owned(), this, other]
    };
    rows.extend([
        row("caught", &|f| share(f.caught)),
        row("before anybody noticed", &|f| share(f.before_noticed)),
        row("median lead", &|f| span(f.lead)),
        row("median delay", &|f| span(f.delay)),
        row("cause named first", &|f| share(f.named)),
        row("false alerts a week", &|f| rate(f.false_alerts_per_week)),
        row("false in all a week", &|f| rate(f.false_notices_per_week)),
    ]);
    rows
}

/// Heads of [`difference`].
pub(super) const DIFFERENCE: [&str; 7] =
    ["Onset", "Service", "This", "Other", "Earlier by", "Cause", "Other's cause"];

/// An incident that the two did not tell alike.
pub(super) fn difference(one: &Difference) -> [String; 7] {
    let [this, other] = one.fate.map(|fate| word(fate).to_owned());
    let [cause, other_cause] = causes(&one.causes);
    let (onset, service) = (one.onset.to_string(), clean(&one.service));
    [onset, service, this, other, span(one.earlier), cause, other_cause]
}

/// Heads of [`changed`].
pub(super) const CHANGED: [&str; 6] =
    ["Told", "Service", "Severity", "Other's", "Cause", "Other's cause"];

/// What both told with another severity or cause.
pub(super) fn changed(one: &Changed) -> [String; 6] {
    let [this, other] = one.severity.map(|severity| severity.to_string());
    let [cause, other_cause] = causes(&one.causes);
    let [at, _] = one.at.map(|at| at.to_string());
    [at, clean(&one.service), this, other, cause, other_cause]
}

/// Heads of [`signal`].
pub(super) const SIGNAL: [&str; 4] =
    ["Signal (this / other)", "Caught", "False alerts", "False in all"];

/// A signal that does not give and cost the same.
pub(super) fn signal(one: &SignalDifference) -> [String; 4] {
    let both = |read: fn(&Tally) -> usize| {
        let [this, other] = one.tally.each_ref().map(read);
        format!("{this} / {other}")
    };
    let name = clean(&one.name);
    [name, both(|t| t.caught), both(|t| t.false_alerts), both(|t| t.false_notices)]
}

fn causes(causes: &[Option<String>; 2]) -> [String; 2] {
    causes.each_ref().map(|cause| cause.as_deref().map_or_else(|| "-".to_owned(), clean))
}
