//! What users live through, and when they have had enough. No metric is read here.

use super::fault::{Fault, FaultPlan, NOTHING, Truth};
use super::fleet::{Fleet, Journey, STEP};
use super::lookalike::{Like, Outside};
use crate::time::{Span, Timestamp};

/// Tail of a user's wait for a page or an order, in seconds, beyond which it is bad.
pub const LATENCY_OBJECTIVE: f64 = 1.2;
/// Failed share of pages or orders beyond which it is bad.
pub const ERRORS_OBJECTIVE: f64 = 0.02;
/// Age of a mail, in seconds, at which people ask where it is.
pub const MAIL_OBJECTIVE: f64 = 900.0;
/// How long pages and orders must be bad without a break until users have noticed.
const SUSTAINED: f64 = 300.0;
/// How long after its end a fault still explains what users notice.
const AFTERMATH: Span = Span::from_hours(1);
/// Entries that are kept; later ones are left out.
pub(super) const NOTICED_MAX: usize = 1_000;

/// What users hold a service to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Objective {
    /// 99 of 100 pages arrive within 1.2 seconds and 98 of 100 arrive at all.
    Browse,
    /// The same for orders.
    Order,
    /// A mail arrives within 15 minutes.
    Mail,
}

/// Users noticed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noticed {
    /// When they had had enough.
    pub at: Timestamp,
    /// What they missed.
    pub objective: Objective,
}

/// The users of the fleet.
#[derive(Clone, Debug)]
pub(super) struct Users {
    /// Seconds for which each objective has been missed without a break.
    missed: [f64; 3],
    noticed: Vec<Noticed>,
    /// For each plan, when users noticed it.
    plans: Vec<Option<Timestamp>>,
    faults: Vec<FaultPlan>,
}

/// The objectives and how long each must be missed.
const OBJECTIVES: [(Objective, f64); 3] = [
    (Objective::Browse, SUSTAINED),
    (Objective::Order, SUSTAINED),
    // A mail that is late has been waited for long enough.
    (Objective::Mail, STEP),
];

impl Users {
    pub(super) fn new(faults: &[FaultPlan]) -> Self {
        let plans = vec![None; faults.len()];
        Self { missed: [0.0; 3], noticed: Vec::new(), plans, faults: faults.to_vec() }
    }

    /// One more plan, which nobody has noticed yet.
    pub(super) fn expect(&mut self, plan: FaultPlan) {
        self.plans.push(None);
        self.faults.push(plan);
    }

    /// Looks at what users got in the last step.
    pub(super) fn look(&mut self, now: Timestamp, fleet: &Fleet) {
        let bad =
            |journey: Journey| journey.p99 > LATENCY_OBJECTIVE || journey.failed > ERRORS_OBJECTIVE;
        let now_bad =
            [bad(fleet.browse), bad(fleet.order), fleet.mails.age(fleet.clock()) > MAIL_OBJECTIVE];
        for (n, (objective, enough)) in OBJECTIVES.into_iter().enumerate() {
            self.missed[n] = if now_bad[n] { self.missed[n] + STEP } else { 0.0 };
            // Exactly once per stretch: at the step that fills it.
            if (enough..enough + STEP).contains(&self.missed[n]) {
                self.notice(Noticed { at: now, objective });
            }
        }
    }

    fn notice(&mut self, noticed: Noticed) {
        for (plan, seen) in self.faults.iter().zip(&mut self.plans) {
            let span = plan.onset <= noticed.at && noticed.at < plan.end + AFTERMATH;
            if span && reaches(plan.fault, noticed.objective) && seen.is_none() {
                *seen = Some(noticed.at);
            }
        }
        if self.noticed.len() < NOTICED_MAX {
            self.noticed.push(noticed);
        }
    }

    pub(super) fn noticed(&self) -> &[Noticed] {
        &self.noticed
    }

    pub(super) fn truth(&self, faults: &[FaultPlan]) -> Vec<Truth> {
        let truth = |(plan, &noticed): (&FaultPlan, &Option<Timestamp>)| {
            let info = plan.fault.info();
            Truth {
                cause: plan.fault.cause().unwrap_or(NOTHING),
                service: info.service,
                culprit: info.culprit,
                dependency: info.dependency,
                onset: plan.onset,
                noticed,
                end: plan.end,
            }
        };
        faults.iter().zip(&self.plans).map(truth).collect()
    }
}

/// Whether a fault can be what makes users miss an objective; matters when faults overlap.
fn reaches(fault: Fault, objective: Objective) -> bool {
    match fault {
        Fault::TelemetryGap | Fault::LookAlike(Like::PlannedSilence) => false,
        Fault::QueueBacklog
        | Fault::LookAlike(Like::StuckHead)
        | Fault::Outside(Outside::SkewedClock) => objective == Objective::Mail,
        _ => objective != Objective::Mail,
    }
}
