//! The whole engine on the simulated fleet: faults are caught before its users notice and named
//! first; ordinary weeks stay within the budget.
//!
//! Judging seeds begin at 1001. Constants, causes and thresholds were tuned on seeds 1 to 3, and on
//! 7 of the end-to-end tests.
//!
//! `cargo test --test incidents -- --nocapture` prints the tables; docs/quality.md has more seeds.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

#[path = "common/fleet.rs"]
mod fleet;

use grayflag::engine::alert::{Alert, Severity, State};
use grayflag::lab::{self, FAULTS, FaultInfo, FaultPlan};
use grayflag::time::{Span, Timestamp};

/// Weeks that the engine learns from before each run.
const WEEKS: i64 = 3;
/// Where users never notice, a cause must be named this long after the onset.
const NAMED_WITHIN: Span = Span::from_hours(4);

/// A Monday, midnight.
fn start() -> Timestamp {
    "2026-03-02T00:00:00Z".parse().unwrap()
}

/// What came of one fault.
struct Judged {
    fault: &'static str,
    seed: u64,
    /// From the onset to the first alert of any severity.
    caught: Option<Span>,
    /// From the onset to the moment when users noticed.
    noticed: Option<Span>,
    /// The leading cause when users noticed, and its culprit.
    named: Option<(String, String)>,
    /// Incidents beyond the first.
    extra: usize,
}

fn judge(info: FaultInfo, (seed, warm): (u64, &fleet::Warm), onset: Timestamp) -> Judged {
    let onset = info.fault.natural_onset(onset);
    let end = onset + Span::from_hours(12);
    let plan = FaultPlan { fault: info.fault, onset, severity: lab::Severity::Middling, end };
    let ran = warm.live(end, &[plan]);
    let noticed = ran.truth[0].noticed;
    let until = noticed.unwrap_or(onset + NAMED_WITHIN);
    let about: Vec<&Alert> = ran.alerts.iter().filter(|a| a.at >= onset).collect();
    let known = about.iter().rev().find(|a| a.at <= until && a.state != State::Resolved);
    Judged {
        fault: info.id,
        seed,
        caught: about.first().map(|a| a.at - onset),
        noticed: noticed.map(|at| at - onset),
        named: known
            .and_then(|a| a.causes.first())
            .map(|c| (c.id.clone(), c.culprit.service.clone())),
        extra: about.iter().filter(|a| a.state == State::Firing).count().saturating_sub(1),
    }
}

#[test]
fn faults_are_caught_before_users_notice_and_named_first() {
    let mut judged = Vec::new();
    // Two times of the week in turn, so that neither a morning's rush nor a night's calm decides.
    for (turn, (seed, hours)) in [(1_001, 8), (1_002, 24 * 2 + 14)].into_iter().enumerate() {
        let onset = start() + Span::from_hours(hours);
        let warm = fleet::Warm::new(seed, WEEKS, start());
        let faults = FAULTS.into_iter().skip(turn).step_by(2);
        judged.extend(faults.map(|info| judge(info, (seed, &warm), onset)));
    }
    println!("\n| fault | seed | told after | users noticed after | named | extra incidents |");
    println!("|---|---|---|---|---|---|");
    let span = |span: Option<Span>| span.map_or_else(|| "never".to_owned(), Span::rough);
    for j in &judged {
        let named = j
            .named
            .as_ref()
            .map_or_else(|| "nothing".to_owned(), |(c, who)| format!("{c} ({who})"));
        let (caught, noticed) = (span(j.caught), span(j.noticed));
        println!("| {} | {} | {caught} | {noticed} | {named} | {} |", j.fault, j.seed, j.extra);
    }
    let early = |j: &&Judged| match (j.caught, j.noticed) {
        (Some(caught), Some(noticed)) => caught < noticed,
        (caught, noticed) => caught.is_some() || noticed.is_none(),
    };
    let right = |j: &&Judged| j.named.as_ref().is_some_and(|(cause, _)| cause == j.fault);
    let late: Vec<String> = judged
        .iter()
        .filter(|j| !early(j))
        .map(|j| format!("{} (seed {}) came after its users", j.fault, j.seed))
        .collect();
    let wrong: Vec<String> = judged
        .iter()
        .filter(|j| !right(j))
        .map(|j| format!("{} (seed {}) was named {:?}", j.fault, j.seed, j.named))
        .collect();
    // Not every fault can be known by its first hours; docs/quality.md has the shares.
    assert!(late.len() * 20 <= judged.len(), "{late:#?}");
    assert!(wrong.len() * 5 <= judged.len(), "{wrong:#?}");
}

#[test]
fn four_ordinary_weeks_give_no_more_than_the_budget() {
    let weeks = 4;
    let warm = fleet::Warm::new(1_003, WEEKS, start());
    let ran = warm.live(start() + Span::WEEK.times(weeks), &[]);
    let services = 6.0;
    let incidents = ran.alerts.iter().filter(|a| a.state == State::Firing).count();
    let interrupting: std::collections::BTreeSet<&str> = ran
        .alerts
        .iter()
        .filter(|a| a.severity > Severity::Notice)
        .map(|a| a.incident.as_str())
        .collect();
    println!(
        "\n{incidents} incidents, {} of them interrupting, in {weeks} weeks",
        interrupting.len()
    );
    // As many as accepted, and two standard deviations of chance more.
    let most = |accepted: f64| accepted + 2.0 * accepted.sqrt();
    let accepted = services * weeks as f64;
    assert!(incidents as f64 <= most(accepted), "{incidents} notices");
    let interrupting = interrupting.len();
    assert!(interrupting as f64 <= most(accepted * 7.0 / 30.0), "{interrupting} alerts");
}
