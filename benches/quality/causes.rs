//! The probable cause on the simulated fleet: every fault of the catalogue, what resembles it,
//! and what the catalogue does not know.
//!
//! One history per seed; from its last hours every fault branches off. Judged is what an alert
//! says by the time users notice, or four hours after the onset where they never do.

use std::collections::BTreeMap;

use grayflag::engine::alert::{Alert, NamedCause};
use grayflag::engine::diagnose::UNEXPLAINED;
use grayflag::lab::{FAULTS, FaultInfo, FaultPlan, LOOKALIKES, NOTHING, OUTSIDE, Truth};
use grayflag::time::Span;

use serde_json::json;

use crate::Options;
use crate::fleet::Fleet;
use crate::incidents::{LASTS, SEVERITIES, about, before, onset};
use crate::report::{Part, Table};
use crate::work::spread;

const FLEETS: u64 = 20;
/// Where users never notice, a cause must be named this long after the onset.
const NAMED_WITHIN: Span = Span::from_hours(4);
/// Time between two looks at the evidence.
const LOOK_EVERY: Span = Span::from_mins(15);
/// Bins of the reliability table.
const BINS: usize = 10;

/// What a branch lives through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A cause of the catalogue.
    Fault,
    /// What could be taken for the cause of this id.
    LookAlike(&'static str),
    /// What the catalogue does not know.
    Outside,
}

/// Every branch of a history.
fn scenarios() -> Vec<(&'static FaultInfo, Kind)> {
    let faults = FAULTS.iter().map(|info| (info, Kind::Fault));
    let alike = LOOKALIKES.iter().map(|like| (&like.info, Kind::LookAlike(like.resembles)));
    faults.chain(alike).chain(OUTSIDE.iter().map(|info| (info, Kind::Outside))).collect()
}

/// What an alert said about one branch.
#[derive(Clone, Debug)]
struct Judged {
    info: &'static FaultInfo,
    kind: Kind,
    truth: Truth,
    /// Causes by the time they are judged, most probable first; none where nothing was told.
    causes: Vec<NamedCause>,
    /// The leading cause of the first message.
    first: String,
    /// What evidence was seen, as lines of JSON.
    looks: Vec<String>,
}

impl Judged {
    /// The place of the true cause among those told, from 0.
    fn rank(&self) -> Option<usize> {
        self.causes.iter().position(|cause| cause.id == self.truth.cause)
    }

    fn lead_id(&self) -> &str {
        self.causes.first().map_or(NOTHING, |cause| cause.id.as_str())
    }

    fn right(&self) -> bool {
        self.rank() == Some(0)
    }

    /// Whether the service to blame was named; none where it is no one's.
    fn blamed(&self) -> Option<bool> {
        let told = || self.causes.first().map(|cause| cause.culprit.service.as_str());
        (!self.info.fault.is_everywhere()).then(|| told() == Some(self.truth.culprit))
    }

    /// Whether the label value to blame was named; none where there is none.
    fn value(&self) -> Option<bool> {
        let (label, value) = self.info.fault.value()?;
        let told = self.causes.first().and_then(|cause| cause.culprit.labels.get(label));
        Some(told.is_some_and(|told| told == value))
    }
}

pub(crate) fn run(options: &Options) {
    let fleets = options.fleets.unwrap_or(FLEETS);
    let seeds: Vec<u64> = (0..fleets).map(|n| options.seed + n).collect();
    let judged: Vec<Judged> =
        spread("causes", &seeds, |&seed| judge_seed(seed, options)).into_iter().flatten().collect();
    if let Some(path) = &options.looks {
        let lines: Vec<&str> = judged.iter().flat_map(|j| &j.looks).map(String::as_str).collect();
        std::fs::write(path, lines.join("\n")).unwrap();
    }
    let mut part = Part::new("causes", "Which cause is named");
    part.prose = prose(options.seed, fleets);
    part.tables = vec![
        by_cause(&judged),
        confusion(&judged),
        reliability(&judged),
        look_alikes(&judged),
        outside(&judged),
    ];
    part.caveats = caveats(&judged);
    part.summary = summary(&judged);
    part.publish(options.tuning);
}

fn prose(seed: u64, fleets: u64) -> String {
    format!(
        "Every cause of the catalogue as a fault of the simulated fleet, {fleets} fleets (seeds \
         from {seed}), each at another hour of the week; severities take turns. The engine has \
         learned from three weeks and runs at the default budgets. Judged is the newest message \
         about the fault's services by the time users notice, or {} after the onset where they \
         do not. Look-alikes resemble a cause while another is true; what is outside the \
         catalogue has no cause in it. Likelihoods were estimated on seeds 1 to 99.\n",
        NAMED_WITHIN.rough(),
    )
}

fn judge_seed(seed: u64, options: &Options) -> Vec<Judged> {
    let at = onset(seed);
    let before = before(seed);
    let severity = SEVERITIES[usize::try_from(seed).unwrap() % SEVERITIES.len()];
    let one = |(info, kind): (&'static FaultInfo, Kind)| {
        let mut fleet = before.branch();
        let at = info.fault.natural_onset(at);
        fleet.plan(FaultPlan { fault: info.fault, onset: at, severity, end: at + LASTS });
        let mut looks = Vec::new();
        while fleet.lab.now() < at + info.fault.delay() + NAMED_WITHIN {
            let now = fleet.tick();
            if (now - at).as_secs() % LOOK_EVERY.as_secs() == 0 {
                looks.extend(look(seed, info, &fleet));
            }
        }
        conclude((seed, info, kind), &fleet, looks)
    };
    scenarios().into_iter().filter(|(info, _)| options.wants(info.id)).map(one).collect()
}

/// What evidence looks like now in the open incidents about a fault.
fn look(seed: u64, info: &FaultInfo, fleet: &Fleet) -> Vec<String> {
    let truth = fleet.lab.truth()[0];
    let open = fleet.engine.incidents().iter();
    let about =
        open.filter(|i| i.services.contains(info.service) || i.services.contains(info.culprit));
    about
        .filter(|incident| truth.onset <= incident.opened)
        .map(|incident| {
            let looks = fleet.engine.looks(&incident.id).into_iter().map(|look| {
                json!({"cause": look.cause, "view": format!("{:?}", look.view), "seen": look.seen})
            });
            let minutes = (fleet.lab.now() - incident.opened).as_secs() / 60;
            json!({
                "seed": seed, "scenario": info.id, "cause": truth.cause, "incident": incident.id,
                "minutes": minutes, "looks": looks.collect::<Vec<_>>(),
            })
            .to_string()
        })
        .collect()
}

/// What one message said, to be held against what evidence was seen.
fn verdict(seed: u64, info: &FaultInfo, truth: Truth, alert: &Alert) -> String {
    let minutes = (alert.at - truth.onset).as_secs() / 60;
    let causes = alert.causes.iter().map(|cause| {
        let labels = &cause.culprit.labels;
        json!({
            "id": cause.id, "probability": cause.probability, "service": cause.culprit.service,
            "labels": labels, "for": cause.evidence_for, "against": cause.against,
            "unknown": cause.unknown,
        })
    });
    json!({
        "seed": seed, "scenario": info.id, "cause": truth.cause,
        "told": format!("{:?}", alert.state), "incident": alert.incident, "title": alert.title,
        "services": alert.services, "after": minutes, "causes": causes.collect::<Vec<_>>(),
    })
    .to_string()
}

fn conclude(
    (seed, info, kind): (u64, &'static FaultInfo, Kind),
    fleet: &Fleet,
    mut looks: Vec<String>,
) -> Judged {
    let truth = fleet.lab.truth()[0];
    let until = truth.noticed.unwrap_or(truth.onset + NAMED_WITHIN);
    let told = about(&truth, &fleet.alerts).filter(|alert| alert.at <= until);
    let told: Vec<&Alert> = told.collect();
    looks.extend(told.iter().map(|alert| verdict(seed, info, truth, alert)));
    let lead = |alert: &&Alert| alert.causes.first().map(|cause| cause.id.clone());
    Judged {
        info,
        kind,
        truth,
        causes: told.last().map(|alert| alert.causes.clone()).unwrap_or_default(),
        first: told.first().and_then(lead).unwrap_or_else(|| NOTHING.to_owned()),
        looks,
    }
}

fn faults(judged: &[Judged]) -> impl Iterator<Item = &Judged> {
    judged.iter().filter(|j| j.kind == Kind::Fault)
}

/// Judged branches of some kinds, by what they live through.
fn grouped(
    judged: &[Judged],
    wanted: impl Fn(Kind) -> bool,
) -> Vec<(&'static FaultInfo, Kind, Vec<&Judged>)> {
    let of = |(info, kind): (&'static FaultInfo, Kind)| {
        let these = judged.iter().filter(|j| j.info.id == info.id).collect();
        (info, kind, these)
    };
    scenarios().into_iter().filter(|(_, kind)| wanted(*kind)).map(of).collect()
}

fn percent(part: usize, of: usize) -> String {
    if of == 0 { "-".to_owned() } else { format!("{:.0} %", 100.0 * part as f64 / of as f64) }
}

/// The share of these that is right.
fn right(all: &[bool]) -> String {
    percent(all.iter().filter(|right| **right).count(), all.len())
}

/// How many of these were told, named right first, among the first three, blamed right.
struct Tally {
    told: usize,
    first: usize,
    three: usize,
    at_once: usize,
    blamed: Vec<bool>,
    values: Vec<bool>,
}

fn tally(judged: &[&Judged]) -> Tally {
    let count = |is: fn(&Judged) -> bool| judged.iter().filter(|j| is(j)).count();
    let told = || judged.iter().filter(|j| !j.causes.is_empty());
    Tally {
        told: count(|j| !j.causes.is_empty()),
        first: count(Judged::right),
        three: count(|j| j.rank().is_some_and(|rank| rank < 3)),
        at_once: count(|j| j.first == j.truth.cause),
        blamed: told().filter_map(|j| j.blamed()).collect(),
        values: told().filter_map(|j| j.value()).collect(),
    }
}

fn by_cause(judged: &[Judged]) -> Table {
    let header = [
        "cause",
        "told of",
        "named first",
        "in the first three",
        "first at once",
        "culprit service",
        "label value",
    ];
    let row = |name: &str, these: &[&Judged]| {
        let t = tally(these);
        vec![
            name.to_owned(),
            format!("{} of {}", t.told, these.len()),
            percent(t.first, t.told),
            percent(t.three, t.told),
            percent(t.at_once, t.told),
            right(&t.blamed),
            right(&t.values),
        ]
    };
    let mut rows: Vec<Vec<String>> = grouped(judged, |kind| kind == Kind::Fault)
        .iter()
        .map(|(info, _, these)| row(info.id, these))
        .collect();
    rows.push(row("all", &faults(judged).collect::<Vec<_>>()));
    Table {
        id: "causes".to_owned(),
        title: "By cause".to_owned(),
        header: header.map(str::to_owned).into(),
        rows,
        note: "Shares are of those told of by then. At once: in the first message already."
            .to_owned(),
    }
}

/// True causes down, causes named across.
fn confusion(judged: &[Judged]) -> Table {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for j in faults(judged) {
        *counts.entry((j.truth.cause, j.lead_id())).or_default() += 1;
    }
    let true_causes: Vec<&str> = FAULTS.iter().map(|info| info.id).collect();
    let mut named = true_causes.clone();
    named.push(NOTHING);
    let number = |n: usize| (n + 1).to_string();
    let mut header = vec![String::new(), "true cause".to_owned()];
    header.extend((0..true_causes.len()).map(number));
    header.push("nothing told".to_owned());
    let row = |(n, truth): (usize, &&str)| {
        let mut row = vec![number(n), (*truth).to_owned()];
        row.extend(named.iter().map(|named| {
            counts.get(&(*truth, *named)).map_or_else(String::new, ToString::to_string)
        }));
        row
    };
    Table {
        id: "causes-confusion".to_owned(),
        title: "What was named first, for each true cause".to_owned(),
        header,
        rows: true_causes.iter().enumerate().map(row).collect(),
        note: "A column is the cause of the row with its number.".to_owned(),
    }
}

/// Of everything that was named with a probability, how much was right.
fn reliability(judged: &[Judged]) -> Table {
    let mut bins = vec![(0_usize, 0_usize, 0.0); BINS];
    for j in judged {
        let Some(lead) = j.causes.first() else { continue };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a probability times ten"
        )]
        let bin = ((lead.probability * BINS as f64) as usize).min(BINS - 1);
        bins[bin].0 += 1;
        bins[bin].1 += usize::from(j.right());
        bins[bin].2 += lead.probability;
    }
    let rows =
        bins.iter().enumerate().filter(|(_, bin)| bin.0 > 0).map(|(n, &(all, right, sum))| {
            vec![
                format!("{}-{} %", 100 * n / BINS, 100 * (n + 1) / BINS),
                all.to_string(),
                format!("{:.0} %", 100.0 * sum / all as f64),
                percent(right, all),
            ]
        });
    Table {
        id: "causes-reliability".to_owned(),
        title: "How often what was said to be probable was true".to_owned(),
        header: ["said", "messages", "said on average", "true"].map(str::to_owned).into(),
        rows: rows.collect(),
        note: "Faults, look-alikes and what is outside the catalogue together.".to_owned(),
    }
}

/// What is named where something resembles another cause.
fn look_alikes(judged: &[Judged]) -> Table {
    let rows = grouped(judged, |kind| matches!(kind, Kind::LookAlike(_)));
    let rows = rows.into_iter().map(|(info, kind, these)| {
        let Kind::LookAlike(resembles) = kind else { unreachable!("only look-alikes are here") };
        let truth = these.first().map_or(NOTHING, |j| j.truth.cause);
        let wrong = these.iter().filter(|j| j.lead_id() == resembles).count();
        let right = these.iter().filter(|j| j.lead_id() == truth).count();
        let mut row = [info.id, resembles, truth].map(str::to_owned).to_vec();
        row.extend([percent(right, these.len()), percent(wrong, these.len())]);
        row.extend(silences(&these));
        row
    });
    let header = [
        "what happens",
        "resembles",
        "true cause",
        "true cause named",
        "what it resembles named",
        "no clear cause",
        "nothing told",
    ];
    Table {
        id: "causes-alike".to_owned(),
        title: "Look-alikes".to_owned(),
        header: header.map(str::to_owned).into(),
        rows: rows.collect(),
        note: format!("Where the true cause is `{NOTHING}`, nothing should be told."),
    }
}

/// What is named where no cause of the catalogue is true.
fn outside(judged: &[Judged]) -> Table {
    let rows = grouped(judged, |kind| kind == Kind::Outside).into_iter().map(|(info, _, these)| {
        let mut row = vec![info.about.to_owned()];
        row.extend(silences(&these));
        row
    });
    Table {
        id: "causes-outside".to_owned(),
        title: "Outside the catalogue".to_owned(),
        header: ["what happens", "no clear cause", "nothing told"].map(str::to_owned).into(),
        rows: rows.collect(),
        note: String::new(),
    }
}

/// Shares in which no cause was clear, and in which nothing was told.
fn silences(these: &[&Judged]) -> [String; 2] {
    let unclear = these.iter().filter(|j| j.lead_id() == UNEXPLAINED).count();
    let nothing = these.iter().filter(|j| j.causes.is_empty()).count();
    [percent(unclear, these.len()), percent(nothing, these.len())]
}

/// Where the aims are missed: 85 % first, 97 % in the first three, 90 % of culprits and values.
fn caveats(judged: &[Judged]) -> Vec<String> {
    let mut said = Vec::new();
    for (info, _, these) in grouped(judged, |kind| kind == Kind::Fault) {
        let t = tally(&these);
        let count = |all: &[bool]| all.iter().filter(|right| **right).count();
        for (what, part, of, aim) in [
            ("named first", t.first, t.told, 0.85),
            ("in the first three", t.three, t.told, 0.97),
            ("culprit service right", count(&t.blamed), t.blamed.len(), 0.90),
            ("label value right", count(&t.values), t.values.len(), 0.90),
        ] {
            if (part as f64) < aim * of as f64 {
                let aim = 100.0 * aim;
                let share = percent(part, of);
                said.push(format!("{}: {what} {share}, the aim is {aim:.0} %.", info.id));
            }
        }
    }
    said
}

fn summary(judged: &[Judged]) -> Vec<(String, String)> {
    let all: Vec<&Judged> = faults(judged).collect();
    let t = tally(&all);
    let outside: Vec<&Judged> =
        judged.iter().filter(|j| j.kind == Kind::Outside && !j.causes.is_empty()).collect();
    let honest = outside.iter().filter(|j| j.lead_id() == UNEXPLAINED).count();
    vec![
        (
            format!("Right cause named first, in the first three ({} faults)", all.len()),
            format!("{}, {}", percent(t.first, t.told), percent(t.three, t.told)),
        ),
        (
            "Right service blamed, right label value".to_owned(),
            format!("{}, {}", right(&t.blamed), right(&t.values)),
        ),
        (
            "Said to be unclear where the cause is outside the catalogue".to_owned(),
            percent(honest, outside.len()),
        ),
    ]
}
