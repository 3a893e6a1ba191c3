//! What the story comes to: who knew when, and above all where grayflag was not the first, or
//! wrong.

use std::fmt::Write as _;

use super::story::{between, clock};
use super::told::Told;
use crate::engine::alert::Alert;
use crate::format;
use crate::lab::rivals::{ERROR_BUDGET, Firing, THRESHOLD_FOR};
use crate::lab::{ERRORS_OBJECTIVE, LATENCY_OBJECTIVE, MAIL_OBJECTIVE};
use crate::rules::UNEXPLAINED;
use crate::time::Span;

/// Who knew when: a line each, with the time that was left until users noticed, or, where they
/// never did, the time that had passed since the cause began to change.
pub(super) fn table(told: &Told) -> String {
    let rows = [
        ("grayflag, first notice", told.first_notice().map(|alert| alert.at)),
        ("grayflag, first warning", told.first_warning().map(|alert| alert.at)),
        ("static threshold alert", told.first_of(&told.threshold).map(|firing| firing.from)),
        ("burn-rate alert", told.first_of(&told.burn_rate).map(|firing| firing.from)),
        ("users", told.noticed.map(|noticed| noticed.at)),
    ];
    let header = if told.noticed.is_some() { "before users" } else { "after it began" };
    let mut text = format!("  {:24}  {:17}  {header}\n", "", "when");
    for (who, at) in rows {
        let when = at.map_or_else(|| format!("not by {}", clock(told.end)), clock);
        let lead = match (at, told.noticed) {
            (None, _) => String::new(),
            (Some(at), None) => between(told.onset, at).rough(),
            (Some(_), Some(_)) if who == "users" => String::new(),
            (Some(at), Some(noticed)) => match between(at, noticed.at) {
                Span::ZERO => "at the same time".to_owned(),
                lead if lead < Span::ZERO => format!("{} after", between(noticed.at, at).rough()),
                lead => lead.rough(),
            },
        };
        let row = format!("  {who:24}  {when:17}  {lead}");
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{}", row.trim_end());
    }
    text
}

/// What the others are set to, so that a reader can tell whether the comparison is fair.
pub(super) fn terms() -> String {
    format!(
        "The threshold alert: p99 of web over {LATENCY_OBJECTIVE} s or over {} failed, for \
         {THRESHOLD_FOR}, or a mail that waits for over {}. The burn-rate alert: failed requests of \
         web against {} success, in the four pairs of windows of the SRE workbook. Both got the \
         same samples as grayflag.",
        format::share(ERRORS_OBJECTIVE),
        format::value(MAIL_OBJECTIVE, Some("seconds")),
        format::share(1.0 - ERROR_BUDGET),
    )
}

/// What the table comes to, in words: above all where grayflag was not the first, or wrong.
pub(super) fn verdicts(told: &Told) -> Vec<String> {
    let mut sentences = Vec::new();
    let rivals = [("static threshold", &told.threshold), ("burn-rate", &told.burn_rate)];
    match told.first_notice() {
        None => sentences.push("grayflag said nothing about this fault.".to_owned()),
        Some(notice) => {
            for (name, firings) in rivals {
                sentences.extend(
                    told.first_of(firings)
                        .and_then(|firing| compared(name, firing, notice, told.first_warning())),
                );
            }
            if sentences.is_empty() {
                sentences.push("No other alert was earlier than grayflag.".to_owned());
            }
            if let Some(noticed) = told.noticed.filter(|noticed| noticed.at <= notice.at) {
                let late = between(noticed.at, notice.at).rough();
                sentences.push(format!("grayflag was {late} too late: users knew."));
            }
        }
    }
    sentences.extend(judged(told));
    for (name, firings) in rivals {
        let (count, lasts) = told.false_of(firings);
        if count > 0 {
            let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
            let still = if lasts { ", and was still firing when it began" } else { "" };
            sentences.push(format!(
                "The {name} alert had fired {times} before the fault, for nothing{still}."
            ));
        }
    }
    sentences
}

/// Where a rival was earlier, if it was.
fn compared(
    name: &str,
    firing: &Firing,
    notice: &Alert,
    warning: Option<&Alert>,
) -> Option<String> {
    if firing.from < notice.at {
        let by = between(firing.from, notice.at).rough();
        return Some(format!("The {name} alert was {by} earlier than grayflag's first notice."));
    }
    match warning {
        Some(warning) if firing.from < warning.at => {
            let by = between(firing.from, warning.at).rough();
            Some(format!(
                "The {name} alert was {by} earlier than grayflag's first warning, the first word \
                 that interrupts a person."
            ))
        }
        Some(_) => None,
        None => Some(format!("The {name} alert fired where grayflag only gave a notice.")),
    }
}

/// Whether the cause was named.
fn judged(told: &Told) -> Option<String> {
    let last = told.about_it().last()?;
    let right = told.fault.id;
    let lead = last.causes.first();
    let clear = lead.filter(|cause| cause.is_clear());
    Some(match clear {
        Some(cause) if cause.id == right && cause.culprit.service == told.fault.culprit => {
            format!(
                "In the end it named {right} of {}, which is what was wrong.",
                told.fault.culprit
            )
        }
        Some(cause) => format!(
            "In the end it named {} of {}; what was wrong was {right} of {}.",
            cause.id, cause.culprit.service, told.fault.culprit
        ),
        None if right == UNEXPLAINED => {
            "In the end it found no clear cause, and there is none that its signals could show."
                .to_owned()
        }
        None => {
            format!(
                "In the end it found no clear cause; what was wrong was {right} of {}.",
                told.fault.culprit
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::stage::Figures;
    use super::*;
    use crate::engine::alert::{Culprit, NamedCause, SCHEMA, Severity, State};
    use crate::lab::rivals::{BURN_RULES, Reason};
    use crate::lab::{Fault, Noticed, Objective};
    use crate::rules::Steps;
    use crate::time::Timestamp;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_secs(1_772_438_400) + Span::from_mins(minutes)
    }

    fn alert(minutes: i64, severity: Severity, (service, cause, sure): (&str, &str, f64)) -> Alert {
        Alert {
            schema: SCHEMA.to_owned(),
            state: State::Firing,
            incident: "checkout-1".to_owned(),
            at: at(minutes),
            started_at: at(0),
            started_at_range: [at(0), at(0)],
            severity,
            service: service.to_owned(),
            services: vec![service.to_owned()],
            title: String::new(),
            causes: vec![NamedCause {
                id: cause.to_owned(),
                probability: sure,
                culprit: Culprit { service: "payments".to_owned(), ..Culprit::default() },
                evidence_for: vec![],
                against: vec![],
                unknown: vec![],
            }],
            signals: vec![],
            changes: vec![],
            forecast: None,
            breakdown: vec![],
            users: String::new(),
            named_at: None,
            steps: Steps::default(),
            checked: vec![],
            links: std::collections::BTreeMap::new(),
        }
    }

    const RIGHT: (&str, &str, f64) = ("checkout", "slow-dependency", 0.9);

    fn told(alerts: Vec<Alert>, threshold: &[i64], burn_rate: &[i64]) -> Told {
        let firing = |reason| {
            move |&minutes: &i64| Firing { reason, from: at(minutes), until: Some(at(minutes + 9)) }
        };
        Told {
            fault: Fault::SlowDependency.info(),
            seed: 1,
            figures: Figures { series: 1, samples: 1 },
            onset: at(0),
            end: at(360),
            noticed: Some(Noticed { at: at(300), objective: Objective::Order }),
            alerts,
            threshold: threshold.iter().map(firing(Reason::Latency)).collect(),
            burn_rate: burn_rate.iter().map(firing(Reason::Burn(BURN_RULES[0]))).collect(),
        }
    }

    fn says(told: &Told, sentence: &str) {
        let said = verdicts(told);
        assert!(said.iter().any(|said| said == sentence), "{said:#?}");
    }

    #[test]
    fn a_rival_that_was_earlier_is_named() {
        let both = vec![alert(60, Severity::Notice, RIGHT), alert(120, Severity::Warning, RIGHT)];
        says(&told(both.clone(), &[121], &[]), "No other alert was earlier than grayflag.");
        says(
            &told(both.clone(), &[50], &[]),
            "The static threshold alert was 10m earlier than grayflag's first notice.",
        );
        says(
            &told(both.clone(), &[], &[100]),
            "The burn-rate alert was 20m earlier than grayflag's first warning, the first word that \
             interrupts a person.",
        );
        says(
            &told(both[..1].to_vec(), &[200], &[]),
            "The static threshold alert fired where grayflag only gave a notice.",
        );
    }

    #[test]
    fn being_late_silent_or_wrong_is_said() {
        let late = told(vec![alert(320, Severity::Critical, RIGHT)], &[], &[]);
        says(&late, "grayflag was 20m too late: users knew.");
        assert!(table(&late).contains("first warning   Mon 13:20          20m after\n"));
        says(&told(vec![], &[10], &[]), "grayflag said nothing about this fault.");
        let wrong = ("checkout", "overload", 0.8);
        says(
            &told(vec![alert(60, Severity::Notice, wrong)], &[], &[]),
            "In the end it named overload of payments; what was wrong was slow-dependency of payments.",
        );
        let unclear = ("checkout", "slow-dependency", 0.4);
        says(
            &told(vec![alert(60, Severity::Notice, unclear)], &[], &[]),
            "In the end it found no clear cause; what was wrong was slow-dependency of payments.",
        );
    }

    #[test]
    fn what_has_nothing_to_do_with_the_fault_does_not_count() {
        let elsewhere = alert(10, Severity::Warning, ("worker", "queue-backlog", 0.9));
        let before = alert(-10, Severity::Warning, RIGHT);
        let mut over = alert(20, Severity::Warning, RIGHT);
        over.state = State::Resolved;
        let told = told(vec![before, elsewhere, over], &[-500, -5], &[-100]);
        assert_eq!((told.first_notice(), told.first_of(&told.threshold)), (None, None));
        says(
            &told,
            "The static threshold alert had fired 2 times before the fault, for nothing, and was \
             still firing when it began.",
        );
        says(&told, "The burn-rate alert had fired once before the fault, for nothing.");
        assert!(table(&told).contains("burn-rate alert           not by Mon 14:00\n"));
    }
}
