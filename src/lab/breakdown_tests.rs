use super::*;
use crate::lab::tests::{lab, tuesday_at_nine};
use crate::lab::{Fault, Like, Severity};

/// What a ledger answers some hours into a fault, and the lab.
fn asked(
    fault: Fault,
    signal: &str,
    service: &str,
    label: &str,
) -> Result<Vec<LabelValue>, String> {
    let plan = tuesday_at_nine(fault, Severity::Middling);
    let mut lab = lab(3, 60, vec![plan]);
    let mut ledger = Ledger::default();
    let until = plan.onset + Span::from_hours(2);
    while lab.now() < until {
        ledger.push(&lab.scrape());
    }
    let question = Question {
        signal: signal.to_owned(),
        service: service.to_owned(),
        label: label.to_owned(),
        onset: plan.onset,
        until,
    };
    let rules = crate::lab::rules().unwrap();
    let answer = ledger.answer(&rules, &question);
    assert_eq!(answer.question, question);
    answer.values
}

/// The value that gained most, and the share of the whole gain that is its own.
fn winner(values: &[LabelValue]) -> (&str, f64) {
    let gain = |v: &LabelValue| v.since - v.before;
    let most = values.iter().max_by(|a, b| gain(a).total_cmp(&gain(b))).unwrap();
    let all: f64 = values.iter().map(gain).sum();
    (&most.value, gain(most) / all)
}

#[test]
fn one_hot_tenant_holds_the_growth_of_work_and_a_crowd_spreads_it() {
    let values = asked(Fault::HotTenant, "lab-latency-p99", "checkout", "tenant").unwrap();
    let (who, share) = winner(&values);
    assert_eq!((values.len(), who), (40, "t06"));
    let crowd = Fault::LookAlike(Like::EveryTenant);
    let values = asked(crowd, "lab-latency-p99", "checkout", "tenant").unwrap();
    let (who, of_crowd) = winner(&values);
    assert_eq!(who, "t01", "the largest tenant gains most when all grow alike");
    assert!(of_crowd < 0.3 && of_crowd < share, "{of_crowd} {share}");
}

#[test]
fn unreadable_rows_fail_on_one_route_and_a_bad_version_on_all() {
    let values = asked(Fault::DataShape, "lab-errors", "checkout", "route").unwrap();
    let (route, share) = winner(&values);
    assert_eq!(route, "/coupon");
    assert!(share > 0.8, "{share}");
    let everywhere = Fault::LookAlike(Like::ErrorsEverywhere);
    let (_, share) = winner(&asked(everywhere, "lab-errors", "checkout", "route").unwrap());
    assert!(share < 0.6, "{share}");
    let one = Fault::LookAlike(Like::ConflictsOfOne);
    let values = asked(one, "lab-errors", "checkout", "tenant").unwrap();
    assert_eq!(winner(&values).0, "t03");
}

#[test]
fn what_cannot_be_known_is_said() {
    let ask = |signal, service, label| asked(Fault::TelemetryGap, signal, service, label);
    let unknown = ask("lab-gremlins", "web", "tenant").unwrap_err();
    assert_eq!(unknown, "there is no signal `lab-gremlins`");
    assert!(ask("lab-errors", "web", "zone").is_err());
    assert!(ask("lab-errors", "payments", "tenant").is_err(), "it does not know its tenants");
}

#[test]
fn a_ledger_forgets_and_never_goes_back() {
    let mut ledger = Ledger::keeping(Span::from_mins(10));
    let width = ledger.series().len();
    let mut push = |minute: i64, value: f64| {
        let at = Timestamp::from_secs(60 * minute);
        ledger.push(&Scrape { at, samples: Vec::new(), parts: vec![value; width] });
        ledger.values(0).map(|(_, value)| value).collect::<Vec<_>>()
    };
    assert_eq!(push(5, 1.0), [1.0]);
    assert_eq!(push(5, 2.0), [1.0], "not later");
    assert_eq!(push(10, 3.0), [1.0, 3.0]);
    assert_eq!(push(20, 4.0), [4.0], "ten minutes are kept");
    let at = |seconds| ledger.latest(0, Timestamp::from_secs(seconds), Span::from_mins(5));
    assert_eq!((at(1_199), at(1_200), at(1_499), at(1_500)), (None, Some(4.0), Some(4.0), None));
}
