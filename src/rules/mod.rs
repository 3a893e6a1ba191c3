//! What users say in their rule files, validated into what is true: signals, causes, services,
//! changes, topology, budget. Immutable; state lives in the engine.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::series::ChangeKind;
use crate::time::Span;

mod builtin;
mod instead;
mod load;
mod maintenance;
mod parse_cause;
mod parse_change;
mod parse_see;
mod parse_signal;
mod promql;
mod role;
mod template;

pub use builtin::{
    BUILT_IN_PREFIX, Pack, builtin, builtin_causes, builtin_lab, builtin_signals, packs,
};
pub use instead::{StandIn, histograms, instead_of_percentile, stand_in};
pub use load::{CAUSES_MAX, CHANGES_MAX, RuleSet, SIGNALS_MAX, keys, load};
pub use maintenance::Maintenance;
pub use parse_cause::{EVIDENCE_MAX, UNEXPLAINED};
pub use parse_change::LASTS_MAX;
pub use parse_see::{WITHIN_DEFAULT, WITHIN_MAX};
pub use parse_signal::{DELAY_MAX, LABEL_PLACEHOLDER, LABELS_MAX, SERVICE_LABEL};
pub use promql::{Metric, metrics, narrowed};
pub use role::{Role, Scale, Worse};
pub use template::STEP_FACTS;

// The configuration has names, labels and queries of its own, checked in the same way.
pub(crate) use load::Names;
pub(crate) use parse_change::{change, kind_and_span};
pub(crate) use promql::{Wanted, advise, query};

/// A query and what its rows mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// Unique among all signals.
    pub name: String,
    /// What its values mean to the causes.
    pub role: Role,
    /// PromQL.
    pub query: String,
    /// Result label that names the service.
    pub service: String,
    /// Result label whose values are interchangeable peers.
    pub peer: Option<String>,
    /// Result label that names the dependency.
    pub dependency: Option<String>,
    /// Further result labels that keep series apart.
    pub split: Vec<String>,
    /// Unit of the values, for people: `seconds`, `ratio`, `bytes`.
    pub unit: Option<String>,
    /// The direction that hurts.
    pub worse: Worse,
    /// How values are transformed before they are compared.
    pub scale: Scale,
    /// Smaller changes are nobody's business, however significant.
    pub min_effect: MinEffect,
    /// The signal is only believed while the service has this much traffic.
    pub min_traffic: Option<MinTraffic>,
    /// A hard limit, for the forecast, in the signal's own unit.
    pub limit: Option<f64>,
    /// How late this signal's data is.
    pub delay: Span,
    /// Labels to break an incident down by.
    pub breakdown: Option<Breakdown>,
    /// Metric names that the query needs, for `discover`.
    pub requires: Vec<String>,
}

impl Signal {
    /// A signal that says nothing but its name and role: its query is its name, the rest is what
    /// is usual for the role.
    pub fn plain(name: &str, role: Role) -> Self {
        Self {
            name: name.to_owned(),
            role,
            query: name.to_owned(),
            service: SERVICE_LABEL.to_owned(),
            peer: None,
            dependency: None,
            split: Vec::new(),
            unit: None,
            worse: role.worse(),
            scale: role.scale(),
            min_effect: MinEffect::default(),
            min_traffic: None,
            limit: None,
            delay: Span::ZERO,
            breakdown: None,
            requires: Vec::new(),
        }
    }

    /// Whether it is a share that should be high, such as hits: what is missing of it is the
    /// trouble, and a part that is not there has none, rather than none of it.
    pub fn should_be_high(&self) -> bool {
        self.scale == Scale::Logit && self.worse == Worse::Down
    }

    /// What its values are called to people: by its role, or by its own name where the role says
    /// nothing.
    pub fn subject(&self) -> &str {
        if self.role == Role::Custom { &self.name } else { self.role.words() }
    }

    /// What is divided among the values of its breakdown's labels, which adds up: of latencies the
    /// time that is spent.
    pub fn divided(&self) -> &str {
        if matches!(self.role, Role::Latency | Role::LatencyTypical) {
            "time spent"
        } else {
            self.subject()
        }
    }
}

/// The smallest change worth telling: it must exceed both parts that are given.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MinEffect {
    /// As a share of the expected value: 0.10 is ten percent.
    pub relative: f64,
    /// In the signal's own unit.
    pub absolute: f64,
}

/// A floor of traffic below which a signal says nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct MinTraffic {
    /// PromQL; its rows carry the signal's service label.
    pub query: String,
    /// In the query's own unit.
    pub at_least: f64,
}

/// How to look for the label value that dominates.
#[derive(Clone, Debug, PartialEq)]
pub struct Breakdown {
    /// Labels to compare by.
    pub by: Vec<String>,
    /// PromQL with `{{label}}` where the label goes.
    pub query: String,
}

/// A cause of the catalogue: what speaks for it and what to do about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// Unique: `slow-dependency`.
    pub id: String,
    /// One line for the alert's title.
    pub title: String,
    /// A paragraph for the person who never met it.
    pub explain: String,
    /// P(cause) before any evidence, in (0, 1).
    pub prior: f64,
    /// What would be seen.
    pub evidence: Vec<Evidence>,
    /// What to do.
    pub steps: Steps,
}

impl Cause {
    /// A cause that says nothing but what speaks for it: its title is its id, and there is nothing
    /// to do.
    pub fn plain(id: &str, prior: f64, evidence: Vec<Evidence>) -> Self {
        let (explain, steps) = (String::new(), Steps::default());
        Self { id: id.to_owned(), title: id.to_owned(), explain, prior, evidence, steps }
    }
}

/// One thing that can be seen, and how much it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// What is looked for.
    pub see: See,
    /// P(seen | this cause), in (0, 1).
    pub likely: f64,
    /// P(seen | another cause), in (0, 1).
    pub otherwise: f64,
}

/// What evidence can look for.
///
/// In files: `{ role = "retries", is = "rising" }`, `{ first = "dependency_latency", then =
/// "retries", within = "2h" }`, `{ change = "deploy", onset = "after", within = "2h" }`,
/// `{ windows = "deploy" }`, `{ versions = "new-worse" }`, `{ traffic = "explains" }`,
/// `{ goodput = "flat-while-attempts-grow" }`, `{ loop = "closing" }`, `{ services = "many" }`,
/// `{ callee = "anomalous" }`, `{ dependencies = "one" }`, `{ inside = "moved" }`,
/// `{ peer = "apart", of = "cache_hit" }`, `{ value = "dominates", of = "errors", label =
/// "tenant" }`, `{ boundary = "clock" }`, `{ recurs = "clock" }`.
#[derive(Clone, Debug, PartialEq)]
pub enum See {
    /// A role of the suspected service is in a state.
    RoleIs {
        /// Which role.
        role: Role,
        /// Which state.
        is: RoleState,
    },
    /// One role's onset comes before another's.
    Order {
        /// The role that must move first.
        first: Role,
        /// The role that must follow.
        then: Role,
        /// Longest lag that counts.
        within: Span,
    },
    /// A change event of one of these kinds lies near the onset.
    Change {
        /// Which kinds of event.
        kinds: Vec<ChangeKind>,
        /// Where the onset lies relative to the event.
        onset: ChangeSide,
        /// How far after (or before) the event still counts.
        within: Span,
    },
    /// Weak signals of the past began inside change windows of this kind more often than chance.
    WindowsWorse {
        /// Which kind of change.
        kind: ChangeKind,
    },
    /// Peers that run the newest version are worse than those that run the old one.
    NewVersionWorse,
    /// The trouble began while two versions ran side by side, and they still do.
    VersionsMixed,
    /// The traffic's own move explains the incident's other moves.
    TrafficExplains,
    /// The trouble comes with traffic above a level (the knee), and traffic is above it now.
    TrafficKnee,
    /// Attempts grow while goodput does not.
    GoodputFlatWhileAttemptsGrow,
    /// Slowness, retries, load and waiting feed each other: several stages of the loop, in order.
    LoopClosing,
    /// How many services are in trouble: one alone, or many at once.
    Services {
        /// True looks for three or more services, false for exactly one.
        many: bool,
    },
    /// A service that this one calls is anomalous itself.
    CalleeAnomalous,
    /// Of the dependencies that the service calls, and that are measured, how many are worse.
    Dependencies {
        /// True looks for more than one, false for exactly one among several.
        several: bool,
    },
    /// The service that is called shows what is wrong inside it: a pool, queue, lock or resource
    /// of its own moved. Only known from the point of view of its callers.
    InsideMoved,
    /// One peer of the service is apart from the others, which are as always.
    PeerApart {
        /// On this role; on any where none is given.
        of: Option<Role>,
    },
    /// One value of a breakdown label holds far more than its usual share.
    ValueDominates {
        /// Of a signal of this role; of any where none is given.
        of: Option<Role>,
        /// A value of this label; of any where none is given.
        label: Option<String>,
    },
    /// The onset lies at a boundary of the clock or calendar: midnight, the turn of a week, month
    /// or year, or a clock change, in UTC or the configured zone.
    AtBoundary,
    /// The service stirred at this clock time on earlier days too.
    RecursByClock,
}

/// The state of a role near an incident's onset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleState {
    /// Above its baseline.
    Rising,
    /// Below its baseline.
    Falling,
    /// Inside its baseline.
    Normal,
    /// Rising steadily for hours, whatever traffic does.
    Climbing,
    /// Reported before, reports no more.
    Silent,
}

/// Where an onset lies relative to a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeSide {
    /// While the change was going on.
    Inside,
    /// Before it: speaks against the change.
    Before,
    /// During it or soon after it.
    After,
}

/// What an alert tells a person to do, in six lists; each entry is a minijinja template over
/// the incident's facts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Steps {
    /// Facts first, before anybody touches code.
    pub first_ten_minutes: Vec<String>,
    /// A failing request with a successful one, along what load changes.
    pub compare: Vec<String>,
    /// The condition, not only the request.
    pub reproduce: Vec<String>,
    /// At the boundary that production stresses.
    pub fix: Vec<String>,
    /// That it is over and stays over.
    pub verify: Vec<String>,
    /// What makes it worse.
    pub avoid: Vec<String>,
}

/// A service that a user described; others are discovered from labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    /// Services and dependencies that it calls.
    pub depends_on: Vec<String>,
    /// Who owns it.
    pub owner: Option<String>,
    /// Latency that users would notice, in seconds.
    pub objective_latency: Option<f64>,
    /// Failed share that users would notice, 0 to 1.
    pub objective_errors: Option<f64>,
}

/// A query whose answers are change events.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeRule {
    /// What kind of event.
    pub kind: ChangeKind,
    /// PromQL; rows carry a `service` label, or the one named by `service`.
    pub query: String,
    /// Result label that names the service; `service` unless told otherwise.
    pub service: String,
    /// How a row becomes an event.
    pub by: ChangeBy,
    /// How long such a change goes on, where nobody knows when it was over.
    pub lasts: Option<Span>,
}

/// How rows become change events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeBy {
    /// A value of this label that was not seen before, or that was replaced and is back. It is
    /// over when values that it came beside are gone.
    Appears(String),
    /// The sample is the Unix time of the event.
    Timestamp,
    /// The number moved.
    Step,
}

/// False alarms that the user accepts, per service and week.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// What interrupts a person: warning and critical.
    pub alerts_per_week: f64,
    /// What is shown and told in the digest.
    pub notices_per_week: f64,
}

impl Default for Budget {
    /// One alert a month, one notice a week.
    fn default() -> Self {
        Self { alerts_per_week: 7.0 / 30.0, notices_per_week: 1.0 }
    }
}

/// Everything the engine has to know that does not change while it runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// In the order of the files.
    pub signals: Vec<Signal>,
    /// In the order of the files.
    pub causes: Vec<Cause>,
    /// By name.
    pub services: BTreeMap<String, Service>,
    /// Queries for change events.
    pub changes: Vec<ChangeRule>,
    /// Kinds of change that are told from elsewhere: their absence means that none happened.
    pub told: BTreeSet<ChangeKind>,
    /// Recurring windows of planned work.
    pub maintenance: Vec<Maintenance>,
    /// PromQL whose rows carry `client` and `server`, or none.
    pub topology: Option<String>,
    /// Per service.
    pub budget: Budget,
}

impl Rules {
    /// The signal of this name.
    pub fn signal(&self, name: &str) -> Option<&Signal> {
        self.signals.iter().find(|signal| signal.name == name)
    }

    /// The cause of this id.
    pub fn cause(&self, id: &str) -> Option<&Cause> {
        self.causes.iter().find(|cause| cause.id == id)
    }
}
