//! Faults on the simulated fleet: who speaks before its users do.
//!
//! One history per seed; from its last hour every fault and severity branches off, and one branch
//! without a fault, so that what would have been told anyway is not counted as due to the fault.

use std::fmt::Write as _;

use grayflag::engine::alert::{Alert, Severity as Told, State};
use grayflag::engine::detect::budget::Standing;
use grayflag::lab::{self, FAULTS, FaultPlan, Severity, Truth, rivals};
use grayflag::time::{Span, Timestamp};

use crate::fleet::{Banded, Fleet};
use crate::report::{Part, Table};
use crate::work::spread;
use crate::{Options, picture};

/// How long a fault lasts, and how long a branch lives on.
pub(crate) const LASTS: Span = Span::from_hours(12);
const AFTERWARDS: Span = Span::from_hours(1);
/// Live hours before the onset.
pub(crate) const BEFORE: Span = Span::from_hours(3);
const FLEETS: u64 = 20;
pub(crate) const SEVERITIES: [Severity; 3] =
    [Severity::Faint, Severity::Middling, Severity::Strong];

/// Who may speak: we first, whatever the severity, and from warnings on; then the others.
pub(crate) const SPEAKERS: [&str; 6] = [
    "grayflag",
    "grayflag, warning and above",
    "static threshold",
    "burn rate",
    "Grafana adaptive",
    "Grafana robust",
];
/// How many of them are we.
const OURS: usize = 2;

/// What came of one branch.
#[derive(Clone, Debug)]
struct Judged {
    fault: usize,
    severity: usize,
    seed: u64,
    truth: Truth,
    /// When each of the speakers first said something about the fault's services.
    told: [Option<Timestamp>; 6],
    /// Whether the leading cause and culprit were right when users noticed, or four hours in.
    named: bool,
    /// Incidents beyond the first, and beyond those of the branch without a fault.
    extra: usize,
    /// Every incident that opened, for what is extra.
    opened: String,
    /// What the engine saw, for a miss.
    seen: String,
}

/// What the engine saw until users noticed.
#[derive(Default)]
struct Watched {
    highest: Option<(f64, f64, String, Span)>,
    signals: String,
}

pub(crate) fn run(options: &Options) {
    let fleets = options.fleets.unwrap_or(FLEETS);
    let seeds: Vec<u64> = (0..fleets).map(|n| options.seed + n).collect();
    let judged: Vec<Judged> = spread("incidents", &seeds, |&seed| judge_seed(seed, options))
        .into_iter()
        .flatten()
        .collect();
    misses(&judged);
    let mut part = Part::new("incidents", "Who speaks before users notice");
    part.prose = prose(options.seed, fleets);
    part.tables = vec![totals(&judged), causes(&judged)];
    part.pictures.push(picture::leads(&by_cause(&judged)));
    part.caveats = caveats(&judged);
    part.summary = summary(&judged);
    part.publish(options.tuning);
}

fn prose(seed: u64, fleets: u64) -> String {
    format!(
        "Faults on the simulated fleet of six services: {} causes, three severities, {fleets} \
         fleets (seeds from {seed}), each at another hour of the week. A fault lasts for {}; \
         the engine has learned from three weeks and runs at the default budgets. Users \
         notice when the lab's own objectives are missed. Lead is from when somebody speaks of the \
         service at fault, or the one that suffers, to when users notice; who never spoke counts \
         with {} after. A telemetry gap harms no user. The static thresholds and burn rates are \
         on the lab's objectives; the bands are Grafana's as published, on requests, latency, \
         errors and resources. How often all of them speak when nothing is wrong is told under \
         the budget: a lead is worth what it costs. Named: the first cause that was told by then \
         was the right one and at the right service. Extra: incidents beyond one, and beyond \
         those of the same hours without the fault.\n",
        FAULTS.len(),
        hours(LASTS),
        hours(LASTS),
    )
}

fn hours(span: Span) -> String {
    format!("{:.0} hours", span.as_hours_f64())
}

/// The onset of a seed: any hour of the week, spread by the golden ratio.
pub(crate) fn onset(seed: u64) -> Timestamp {
    let monday: Timestamp = "2026-03-02T00:00:00Z".parse().unwrap();
    monday + Span::from_mins(i64::try_from(seed * 6_230 % 10_080).unwrap_or(0))
}

/// A fleet that has lived up to the minute before the onset of its seed; what was told until then
/// is forgotten.
pub(crate) fn before(seed: u64) -> Fleet {
    let onset = onset(seed);
    let mut fleet = Fleet::new(seed, onset - BEFORE, onset);
    while fleet.lab.now() + Span::MINUTE < onset {
        fleet.tick();
    }
    fleet.alerts.clear();
    fleet.banded.clear();
    fleet
}

/// What was told about the services of a fault since its onset, and not that it is over.
pub(crate) fn about<'a>(truth: &Truth, alerts: &'a [Alert]) -> impl Iterator<Item = &'a Alert> {
    let (onset, services) = (truth.onset, [truth.service, truth.culprit]);
    alerts.iter().filter(move |alert| {
        alert.state != State::Resolved
            && onset <= alert.at
            && alert.services.iter().any(|service| services.contains(&service.as_str()))
    })
}

fn judge_seed(seed: u64, options: &Options) -> Vec<Judged> {
    let onset = onset(seed);
    let before = before(seed);
    let mut calm = before.branch();
    let latest = FAULTS.iter().map(|info| info.fault.natural_onset(onset)).max().unwrap();
    while calm.lab.now() < latest + LASTS + AFTERWARDS {
        calm.tick();
    }
    let mut judged = Vec::new();
    for (fault, info) in FAULTS.iter().enumerate().filter(|(_, info)| options.wants(info.id)) {
        for (place, severity) in SEVERITIES.into_iter().enumerate() {
            let onset = info.fault.natural_onset(onset);
            let plan = FaultPlan { fault: info.fault, onset, severity, end: onset + LASTS };
            let mut fleet = before.branch();
            fleet.plan(plan);
            let watched = live(&mut fleet, onset);
            judged.push(conclude(&fleet, &calm, watched, (fault, place, seed)));
        }
    }
    judged
}

/// Lives through the fault.
fn live(fleet: &mut Fleet, onset: Timestamp) -> Watched {
    let mut watched = Watched::default();
    let mut noticed = false;
    while fleet.lab.now() < onset + LASTS + AFTERWARDS {
        let now = fleet.tick();
        if noticed || now.as_secs() % 300 != 240 {
            continue;
        }
        for (service, Standing { notice, alert }) in fleet.standings() {
            if watched.highest.as_ref().is_none_or(|highest| highest.0 < notice) {
                watched.highest = Some((notice, alert, service, now - onset));
            }
        }
        let seen = fleet.lab.truth()[0].noticed.is_some();
        if seen && !noticed {
            watched.signals = moved(fleet);
        }
        noticed |= seen;
    }
    watched
}

/// The series that are farthest from normal, with their newest residuals.
fn moved(fleet: &Fleet) -> String {
    let mut rows = fleet.engine.scores();
    rows.sort_by(|a, b| b.score.total_cmp(&a.score));
    rows.iter().take(5).fold(String::new(), |mut text, row| {
        let z = row.residual.unwrap_or(f64::NAN);
        let _ = write!(
            text,
            " {}/{} {:.2} (z {z:.1})",
            row.series.service, row.series.signal, row.score
        );
        text
    })
}

fn conclude(
    fleet: &Fleet,
    calm: &Fleet,
    watched: Watched,
    (fault, severity, seed): (usize, usize, u64),
) -> Judged {
    let truth = fleet.lab.truth()[0];
    let told: Vec<&Alert> = about(&truth, &fleet.alerts).collect();
    let first = |least: Told| told.iter().find(|a| least <= a.severity).map(|a| a.at);
    let rule = |firings: Vec<rivals::Firing>| {
        firings.iter().map(|firing| firing.from).find(|from| truth.onset <= *from)
    };
    let band = |strategy: usize| {
        let ours = |b: &&Banded| {
            b.strategy == strategy && (b.service == truth.service || b.service == truth.culprit)
        };
        fleet.banded.iter().find(ours).map(|banded| banded.at)
    };
    let until = truth.noticed.unwrap_or(truth.onset + Span::from_hours(4));
    let known = told.iter().rev().find(|alert| alert.at <= until);
    let blamed = |service: &str| service == truth.culprit || FAULTS[fault].fault.is_everywhere();
    let named = known
        .and_then(|alert| alert.causes.first())
        .is_some_and(|cause| cause.id == truth.cause && blamed(&cause.culprit.service));
    let (notice, alert, service, after) = watched.highest.unwrap_or_default();
    let until_end = fleet.lab.now();
    Judged {
        fault,
        severity,
        seed,
        truth,
        told: [
            first(Told::Notice),
            first(Told::Warning),
            rule(rivals::threshold(&fleet.record)),
            rule(rivals::burn_rate(&fleet.record)),
            band(0),
            band(1),
        ],
        named,
        extra: opened(fleet, until_end)
            .count()
            .saturating_sub(opened(calm, until_end).count())
            .saturating_sub(1),
        opened: opened(fleet, until_end).fold(String::new(), |mut text, alert| {
            let (after, services) = (alert.at - truth.onset, alert.services.join("+"));
            let _ = write!(text, "; {after} {services}: {}", alert.title);
            text
        }),
        seen: format!(
            "{service} {notice:.2} notice, {alert:.2} alert after {after};{}",
            watched.signals
        ),
    }
}

fn opened(fleet: &Fleet, until: Timestamp) -> impl Iterator<Item = &Alert> {
    let firing = move |alert: &&Alert| alert.state == State::Firing && alert.at <= until;
    fleet.alerts.iter().filter(firing)
}

/// Those of a cause and a severity; all where none is named.
fn of(judged: &[Judged], fault: Option<usize>, severity: Option<usize>) -> Vec<&Judged> {
    let wanted = |j: &&Judged| {
        fault.is_none_or(|fault| j.fault == fault)
            && severity.is_none_or(|severity| j.severity == severity)
    };
    judged.iter().filter(wanted).collect()
}

/// Share that a speaker told before users noticed, and the median lead; none where users
/// noticed nothing.
fn ahead(judged: &[&Judged], speaker: usize) -> Option<(f64, f64)> {
    let noticed = judged.iter().filter(|j| j.truth.noticed.is_some());
    // Who never spoke is last of all.
    let leads: Vec<Span> = noticed.map(|j| lead(j, speaker).unwrap_or(LASTS.times(-1))).collect();
    let before = leads.iter().filter(|lead| Span::ZERO < **lead).count();
    let share = before as f64 / leads.len() as f64;
    Some((share, median(leads)?))
}

fn ahead_cell(judged: &[&Judged], speaker: usize) -> String {
    ahead(judged, speaker)
        .map_or("-".to_owned(), |(share, lead)| format!("{:.0} %, {lead:.2} h", 100.0 * share))
}

fn severities() -> impl Iterator<Item = (Option<usize>, String)> {
    let named =
        |(n, severity): (usize, &Severity)| (Some(n), format!("{severity:?}").to_lowercase());
    SEVERITIES.iter().enumerate().map(named).chain([(None, "all".to_owned())])
}

fn totals(judged: &[Judged]) -> Table {
    let row = |(speaker, name): (usize, &&str)| {
        let mut row = vec![(*name).to_owned()];
        row.extend(
            severities().map(|(severity, _)| ahead_cell(&of(judged, None, severity), speaker)),
        );
        row
    };
    let mut header = vec!["who".to_owned()];
    header.extend(severities().map(|(severity, name)| {
        let these = of(judged, None, severity);
        let noticed = these.iter().filter(|j| j.truth.noticed.is_some()).count();
        format!("{name} ({noticed} of {} noticed)", these.len())
    }));
    Table {
        id: "incidents".to_owned(),
        title: "Told before users noticed, and median lead".to_owned(),
        header,
        rows: SPEAKERS.iter().enumerate().map(row).collect(),
        note: String::new(),
    }
}

fn causes(judged: &[Judged]) -> Table {
    let mut header: Vec<String> =
        ["cause", "severity", "noticed", "after"].map(str::to_owned).into();
    header.extend(SPEAKERS.map(str::to_owned));
    header.extend(["told after", "named first", "extra incidents"].map(str::to_owned));
    let mut rows = Vec::new();
    for (fault, info) in FAULTS.iter().enumerate() {
        for (severity, name) in severities().take(SEVERITIES.len()) {
            let mut row = vec![info.id.to_owned(), name];
            row.extend(line(&of(judged, Some(fault), severity)));
            rows.push(row);
        }
    }
    Table {
        id: "incidents-causes".to_owned(),
        title: "By cause and severity".to_owned(),
        header,
        rows,
        note: "After, told after: median hours from the onset to when users noticed, and to our \
               first message."
            .to_owned(),
    }
}

fn line(judged: &[&Judged]) -> Vec<String> {
    let span = |spans: Vec<Span>| median(spans).map_or("-".to_owned(), |h| format!("{h:.2} h"));
    let after: Vec<Span> =
        judged.iter().filter_map(|j| Some(j.truth.noticed? - j.truth.onset)).collect();
    let told = judged.iter().filter_map(|j| Some(j.told[0]? - j.truth.onset)).collect();
    let extra = judged.iter().map(|j| j.extra).sum::<usize>() as f64 / judged.len() as f64;
    let mut line = vec![format!("{} of {}", after.len(), judged.len()), span(after)];
    line.extend((0..SPEAKERS.len()).map(|speaker| ahead_cell(judged, speaker)));
    line.extend([span(told), format!("{:.0} %", 100.0 * named(judged)), format!("{extra:.2}")]);
    line
}

fn named(judged: &[&Judged]) -> f64 {
    judged.iter().filter(|j| j.named).count() as f64 / judged.len() as f64
}

/// Median leads of every speaker, for each cause that users notice.
fn by_cause(judged: &[Judged]) -> Vec<(&'static str, Vec<f64>)> {
    let leads = |(fault, info): (usize, &lab::FaultInfo)| {
        let these = of(judged, Some(fault), None);
        let leads = (0..SPEAKERS.len()).map(|speaker| Some(ahead(&these, speaker)?.1));
        Some((info.id, leads.collect::<Option<Vec<f64>>>()?))
    };
    FAULTS.iter().enumerate().filter_map(leads).collect()
}

fn caveats(judged: &[Judged]) -> Vec<String> {
    let mut said = Vec::new();
    for (fault, info) in FAULTS.iter().enumerate() {
        for (severity, name) in severities().take(SEVERITIES.len()) {
            let these = of(judged, Some(fault), severity);
            let Some((share, ours)) = ahead(&these, 0) else { continue };
            let others = (OURS..SPEAKERS.len()).filter_map(|n| Some((n, ahead(&these, n)?.1)));
            let best = others.max_by(|a, b| a.1.total_cmp(&b.1));
            if let Some((n, lead)) = best.filter(|best| best.1 > ours) {
                let who = SPEAKERS[n];
                said.push(format!(
                    "{}, {name}: {who} leads by {lead:.2} h, we by {ours:.2} h.",
                    info.id
                ));
            }
            let late = these.iter().filter(|j| is_late(j));
            let within = late.filter_map(|j| Some(j.truth.noticed? - j.truth.onset)).max();
            if let Some(within) = within {
                let late = 100.0 * (1.0 - share);
                let within = within.rough();
                said.push(format!(
                    "{}, {name}: users notice {late:.0} % first, within {within} of the onset.",
                    info.id
                ));
            }
        }
    }
    let extra: usize = judged.iter().map(|j| j.extra).sum();
    said.push(format!("{extra} extra incidents in {} faults.", judged.len()));
    said
}

fn summary(judged: &[Judged]) -> Vec<(String, String)> {
    let all = of(judged, None, None);
    let noticed = all.iter().filter(|j| j.truth.noticed.is_some()).count();
    let cells: Vec<String> = [OURS, OURS + 1, OURS + 2, OURS + 3]
        .map(|n| format!("{} {}", SPEAKERS[n], ahead_cell(&all, n)))
        .into();
    let told = format!("{}; {}", ahead_cell(&all, 0), cells.join("; "));
    vec![
        (
            format!(
                "Lab faults told before users noticed ({noticed} that they noticed), median lead"
            ),
            told,
        ),
        (
            format!("Right cause and service named first, {} lab faults", all.len()),
            format!("{:.0} %", 100.0 * named(&all)),
        ),
    ]
}

/// From when a speaker spoke to when users noticed.
fn lead(judged: &Judged, speaker: usize) -> Option<Span> {
    Some(judged.truth.noticed? - judged.told[speaker]?)
}

/// Whether users noticed before we said anything.
fn is_late(judged: &Judged) -> bool {
    judged.truth.noticed.is_some() && lead(judged, 0).is_none_or(|lead| lead <= Span::ZERO)
}

/// Median in hours; none without values.
fn median(mut spans: Vec<Span>) -> Option<f64> {
    spans.sort_unstable();
    spans.get(spans.len() / 2).map(|span| span.as_hours_f64())
}

/// Every fault that users noticed first, and what the engine saw by then; every fault that opened
/// more than one incident, and which.
fn misses(judged: &[Judged]) {
    eprintln!("\nMore than one incident:");
    for j in judged.iter().filter(|j| j.extra > 0) {
        eprintln!(
            "{} {:?} seed {}{}",
            FAULTS[j.fault].id, SEVERITIES[j.severity], j.seed, j.opened
        );
    }
    eprintln!("\nNoticed by users first:");
    for j in judged.iter().filter(|j| is_late(j)) {
        let after = |at: Option<Timestamp>| {
            at.map_or("never".to_owned(), |at| (at - j.truth.onset).to_string())
        };
        eprintln!(
            "{} {:?} seed {}: users after {}, told after {}; highest {}",
            FAULTS[j.fault].id,
            SEVERITIES[j.severity],
            j.seed,
            after(j.truth.noticed),
            after(j.told[0]),
            j.seen,
        );
    }
}
