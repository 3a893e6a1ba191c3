//! What a replay must at least be worth: `caught>=0.9,false_alerts_per_week<=1,lead>=30m`.

use std::fmt;
use std::str::FromStr;

use super::score::{BudgetUse, Figures};
use crate::problem::{did_you_mean, quoted};
use crate::time::Span;

/// One figure and how far it may go.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    figure: Figure,
    at_least: bool,
    value: f64,
}

/// Bounds, separated by commas.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bounds(Vec<Bound>);

/// Why a text is no list of bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BoundError(String);

/// A figure that can be bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Caught,
    BeforeNoticed,
    Missed,
    Lead,
    Delay,
    Named,
    NamedInThree,
    FalseAlerts,
    FalseAlertsPerWeek,
    FalseNotices,
    FalseNoticesPerWeek,
}

/// How a figure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Share,
    Count,
    Length,
}

impl Figure {
    const ALL: [(&'static str, Self, Kind); 11] = [
        ("caught", Self::Caught, Kind::Share),
        ("before_noticed", Self::BeforeNoticed, Kind::Share),
        ("missed", Self::Missed, Kind::Count),
        ("lead", Self::Lead, Kind::Length),
        ("delay", Self::Delay, Kind::Length),
        ("named", Self::Named, Kind::Share),
        ("named_in_three", Self::NamedInThree, Kind::Share),
        ("false_alerts", Self::FalseAlerts, Kind::Count),
        ("false_alerts_per_week", Self::FalseAlertsPerWeek, Kind::Count),
        ("false_notices", Self::FalseNotices, Kind::Count),
        ("false_notices_per_week", Self::FalseNoticesPerWeek, Kind::Count),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, figure, _)| *figure == self).map_or("", |(name, _, _)| name)
    }

    fn kind(self) -> Kind {
        let found = Self::ALL.iter().find(|(_, figure, _)| *figure == self);
        found.map_or(Kind::Count, |(_, _, kind)| *kind)
    }

    /// None where there was nothing to measure it by: no incident to miss, no service that could
    /// have told anything falsely.
    fn of(self, figures: &Figures, used: &BudgetUse) -> Option<f64> {
        let seconds = |span: Option<Span>| span.map(Span::as_secs_f64);
        let judged = |value: f64| (used.services > 0).then_some(value);
        let weekly = |value: f64| judged(value).filter(|_| used.weeks > 0.0);
        match self {
            Self::Caught => figures.caught,
            Self::BeforeNoticed => figures.before_noticed,
            Self::Missed => (figures.incidents > 0).then_some(figures.missed as f64),
            Self::Lead => seconds(figures.lead),
            Self::Delay => seconds(figures.delay),
            Self::Named => figures.named,
            Self::NamedInThree => figures.named_in_three,
            Self::FalseAlerts => judged(figures.false_alerts as f64),
            Self::FalseAlertsPerWeek => weekly(figures.false_alerts_per_week),
            Self::FalseNotices => judged(figures.false_notices as f64),
            Self::FalseNoticesPerWeek => weekly(figures.false_notices_per_week),
        }
    }
}

impl Kind {
    fn read(self, text: &str) -> Result<f64, BoundError> {
        let wrong =
            |what: &str| BoundError(format!("expected {what}, found {}", quoted(text.trim())));
        match self {
            Self::Length => {
                let (sign, length) =
                    text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
                let span: Span =
                    length.parse().map_err(|_| wrong("a duration such as `30m` or `-1h`"))?;
                Ok(sign * span.as_secs_f64())
            }
            Self::Share => {
                let (text, unit) = text.strip_suffix('%').map_or((text, 1.0), |t| (t, 100.0));
                let share = text.parse::<f64>().ok().map(|share| share / unit);
                let share = share.filter(|share| (0.0..=1.0).contains(share));
                share.ok_or_else(|| wrong("a share such as `0.9` or `90%`"))
            }
            Self::Count => {
                let count = text.parse::<f64>().ok();
                let count = count.filter(|count| count.is_finite() && 0.0 <= *count);
                count.ok_or_else(|| wrong("a number such as `1` or `0.5`"))
            }
        }
    }

    fn write(self, value: f64) -> String {
        match self {
            #[expect(clippy::cast_possible_truncation, reason = "lengths within one replay")]
            Self::Length => Span::from_secs(value.round() as i64).rough(),
            Self::Share => crate::format::share(value),
            Self::Count => format!("{}", (value * 100.0).round() / 100.0),
        }
    }
}

impl FromStr for Bounds {
    type Err = BoundError;

    fn from_str(text: &str) -> Result<Self, BoundError> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let bounds: Vec<Bound> = parts.map(bound).collect::<Result<_, _>>()?;
        if bounds.is_empty() {
            return Err(BoundError("expected bounds such as `caught>=0.9,lead>=30m`".to_owned()));
        }
        Ok(Self(bounds))
    }
}

fn bound(text: &str) -> Result<Bound, BoundError> {
    let split = |sign| text.split_once(sign).map(|(name, value)| (name.trim(), value.trim()));
    let (at_least, (name, value)) = match (split(">="), split("<=")) {
        (Some(parts), None) => (true, parts),
        (None, Some(parts)) => (false, parts),
        _ => {
            let message = format!("expected `>=` or `<=` in {}", quoted(text));
            return Err(BoundError(message));
        }
    };
    let known = Figure::ALL.iter().find(|(known, _, _)| *known == name);
    let Some(&(_, figure, kind)) = known else {
        let names = Figure::ALL.iter().map(|(name, _, _)| *name);
        let hint = did_you_mean(name, names, "figures").unwrap_or_default();
        return Err(BoundError(format!("no figure is called {}; {hint}", quoted(name))));
    };
    let value = kind.read(value).map_err(|BoundError(why)| BoundError(format!("{name}: {why}")))?;
    Ok(Bound { figure, at_least, value })
}

impl Bounds {
    /// The bounds that are missed, each in words with how far. A figure that cannot be measured
    /// misses its bound: nothing was shown.
    pub fn missed(&self, figures: &Figures, used: &BudgetUse) -> Vec<String> {
        let missed = self.0.iter().filter_map(|bound| {
            let kind = bound.figure.kind();
            let Some(found) = bound.figure.of(figures, used) else {
                return Some(format!("{bound} is required: there is nothing to measure"));
            };
            let kept = if bound.at_least { bound.value <= found } else { found <= bound.value };
            let by = kind.write((bound.value - found).abs());
            (!kept).then(|| {
                format!("{bound} is required: it is {}, missed by {by}", kind.write(found))
            })
        });
        missed.collect()
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.at_least { ">=" } else { "<=" };
        write!(f, "{}{sign}{}", self.figure.name(), self.figure.kind().write(self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_bound_says_which_and_by_how_much() {
        let figures = Figures {
            incidents: 8,
            caught: Some(0.75),
            lead: Some(Span::from_mins(-10)),
            named: None,
            false_alerts_per_week: 0.5,
            ..Figures::default()
        };
        let used = BudgetUse { services: 2, weeks: 2.0, ..BudgetUse::default() };
        let text =
            "caught >= 90%, lead>=30m,named>=0.8,false_alerts_per_week<=0.25,missed<=0,lead>=-1h";
        let bounds: Bounds = text.parse().unwrap();
        assert_eq!(
            bounds.missed(&figures, &used),
            [
                "caught>=90% is required: it is 75%, missed by 15%",
                "lead>=30m is required: it is -10m, missed by 40m",
                "named>=80% is required: there is nothing to measure",
                "false_alerts_per_week<=0.25 is required: it is 0.5, missed by 0.25",
            ]
        );
        assert!(
            "caught>=0.7,lead<=0s".parse::<Bounds>().unwrap().missed(&figures, &used).is_empty()
        );
    }

    #[test]
    fn what_nothing_was_measured_by_keeps_no_bound() {
        let text = "missed<=0,false_alerts<=0,false_notices_per_week<=1";
        let bounds: Bounds = text.parse().unwrap();
        let missed = |incidents, used: &BudgetUse| {
            bounds.missed(&Figures { incidents, ..Figures::default() }, used).len()
        };
        assert_eq!(missed(0, &BudgetUse::default()), 3, "an empty backend shows nothing");
        let used = BudgetUse { services: 2, weeks: 1.0, ..BudgetUse::default() };
        assert_eq!((missed(0, &used), missed(1, &used)), (1, 0));
    }

    #[test]
    fn what_is_no_bound_is_told_with_the_remedy() {
        for (text, said) in [
            ("", "expected bounds such as `caught>=0.9,lead>=30m`"),
            ("caught", "expected `>=` or `<=` in `caught`"),
            ("caugth>=1", "no figure is called `caugth`; did you mean `caught`?"),
            ("caught>=9", "caught: expected a share such as `0.9` or `90%`, found `9`"),
            ("lead>=30", "lead: expected a duration such as `30m` or `-1h`, found `30`"),
            ("missed<=-1", "missed: expected a number such as `1` or `0.5`, found `-1`"),
            ("missed<=NaN", "missed: expected a number such as `1` or `0.5`, found `NaN`"),
        ] {
            assert_eq!(text.parse::<Bounds>().unwrap_err().to_string(), said);
        }
    }
}
