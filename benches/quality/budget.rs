//! Realised false alarms against the budget that was given.

use std::collections::BTreeMap;
use std::ops::Range;

use grayflag::engine::alert::{Alert, Severity, State};
use grayflag::engine::grid::BLOCK;
use grayflag::lab::synthetic::KINDS;

use crate::feed::{Lived, live, time_of};
use crate::report::{Part, Table};
use crate::rivals::crossings;
use crate::sets::{Set, Subject, WEEK, synthetic};
use crate::work::spread;
use crate::{Options, calm, picture, real};

/// Notices a week that are accepted; a quarter of them may interrupt.
pub(crate) const BUDGETS: [f64; 3] = [4.0, 1.0, 0.25];
/// Live weeks of a simulated set.
const WEEKS: usize = 10;
/// Live weeks that are not counted: the controllers need events to learn from.
pub(crate) const SETTLED: usize = 2;
/// Fleets' worth of services, unless the command line wants another number.
const FLEETS: u64 = 4;
/// Services per fleet in a set of one series each, and in the wide one.
const NARROW: u64 = 6;
const WIDE: u64 = 3;
/// Series of a service in the wide set.
const WIDTH: u64 = 20;
/// Means above this are told as a promise that was not kept, and below the other as care.
const ABOVE: f64 = 1.1;
const BELOW: f64 = 0.5;

/// What is counted, in order of [`Counted::told`].
const KINDS_TOLD: [&str; 3] = ["notices", "interrupting", "without controllers"];

/// What one service was told by mistake.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    pub(crate) weeks: f64,
    /// Incidents, those of them that interrupted, and how often its statistic crossed the notice
    /// threshold, the controllers left out.
    pub(crate) told: [usize; 3],
}

/// A live week of a whole set: how many service-weeks were judged, and the notices in it.
#[derive(Clone, Copy, Debug)]
struct LiveWeek {
    weeks: f64,
    told: usize,
}

/// What came of a set at one budget.
type Count = (Vec<Counted>, Vec<LiveWeek>);

/// A set's services, per budget.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) services: [Vec<Counted>; 3],
    /// Each live week, also those that are not counted; none where only these were watched.
    live_weeks: [Vec<LiveWeek>; 3],
}

impl Row {
    /// A set of which only the weeks that count were watched.
    pub(crate) fn of_counted(name: &str, services: [Vec<Counted>; 3]) -> Self {
        Self { name: name.to_owned(), services, live_weeks: Default::default() }
    }

    /// How much of a kind was told over what was accepted, and the share of services that were
    /// told more than twice as much.
    pub(crate) fn kept(&self, place: usize, kind: usize) -> (f64, f64) {
        let accepted = accepted(place, kind);
        let services = &self.services[place];
        let (told, expected) = self.counts(place, kind);
        let above = |one: &&Counted| one.told[kind] as f64 > 2.0 * accepted * one.weeks;
        let share = services.iter().filter(above).count() as f64 / services.len() as f64;
        (told as f64 / expected, share)
    }

    /// How many of a kind were told, and how many were accepted.
    fn counts(&self, place: usize, kind: usize) -> (usize, f64) {
        let services = &self.services[place];
        let told = services.iter().map(|service| service.told[kind]).sum();
        let weeks: f64 = services.iter().map(|service| service.weeks).sum();
        (told, weeks * accepted(place, kind))
    }

    fn service_weeks(&self) -> f64 {
        self.services[0].iter().map(|service| service.weeks).sum()
    }
}

/// How many a week of a kind are accepted at a budget.
fn accepted(place: usize, kind: usize) -> f64 {
    if kind == 1 { BUDGETS[place] / 4.0 } else { BUDGETS[place] }
}

/// Incidents per service that are false: as they open, and as they first interrupt. That a
/// service is silent is a fact and no judgement; such incidents are left out.
pub(crate) fn false_incidents(
    alerts: &[Alert],
    is_false: impl Fn(&Alert) -> bool,
) -> BTreeMap<&str, [usize; 2]> {
    let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    let mut interrupting: Vec<&str> = Vec::new();
    for alert in alerts.iter().filter(|alert| alert.state != State::Resolved) {
        if alert.signals.iter().all(|signal| signal.direction == "silent") {
            continue;
        }
        let interrupts =
            alert.severity > Severity::Notice && !interrupting.contains(&alert.incident.as_str());
        if interrupts {
            interrupting.push(&alert.incident);
        }
        if is_false(alert) {
            let count = counts.entry(&alert.service).or_default();
            count[0] += usize::from(alert.state == State::Firing);
            count[1] += usize::from(interrupts);
        }
    }
    counts
}

/// What was told in these blocks of a set, of incidents that do not begin within labelled ones.
fn told_in(lived: &Lived, blocks: Range<usize>) -> BTreeMap<&str, [usize; 2]> {
    false_incidents(&lived.alerts, |alert| {
        let block = (alert.at - time_of(0)).as_millis() / BLOCK.as_millis();
        let block = usize::try_from(block).unwrap();
        blocks.contains(&block) && !lived.right.contains(&alert.incident)
    })
}

/// How much of these blocks is outside of a service's labelled incidents, in weeks.
fn judged_weeks(subject: &Subject, blocks: Range<usize>) -> f64 {
    blocks.filter(|&block| !subject.is_excused(block)).count() as f64 / WEEK as f64
}

/// Counts what a set was told in each of its live weeks; the last may be cut off.
fn by_live_week(set: &Set, lived: &Lived) -> Vec<LiveWeek> {
    let end = set.subjects[0].series[0].len();
    let week = |from: usize| {
        let blocks = from..(from + WEEK).min(end);
        let weeks = set.subjects.iter().map(|one| judged_weeks(one, blocks.clone())).sum();
        let told = told_in(lived, blocks).values().map(|[notices, _]| notices).sum();
        LiveWeek { weeks, told }
    };
    (set.learn..end).step_by(WEEK).map(week).collect()
}

/// Counts what a set was told after its first weeks.
fn count(set: &Set, lived: &Lived) -> Vec<Counted> {
    let from = set.learn + SETTLED * WEEK;
    let blocks = set.subjects[0].series[0].len();
    let told = told_in(lived, from..blocks);
    let counted = |subject: &Subject| {
        let path = &lived.ratios[&subject.name][from - set.learn..];
        let raw = crossings(path, 1.0);
        let raw = raw.iter().filter(|&&block| !subject.is_excused(from + block)).count();
        let [incidents, interrupting] = told.get(subject.name.as_str()).copied().unwrap_or([0, 0]);
        let weeks = judged_weeks(subject, from..blocks);
        Counted { weeks, told: [incidents, interrupting, raw] }
    };
    set.subjects.iter().map(counted).collect()
}

/// The simulated sets, and the real ones that are at hand.
fn sets(options: &Options, fleets: u64) -> Vec<Set> {
    let narrow = KINDS.map(|kind| (kind, NARROW * fleets, 1));
    let mut plans = narrow.to_vec();
    let wide = KINDS.into_iter().find(|kind| kind.name == "realistic .6");
    plans.extend(wide.map(|kind| (kind, WIDE * fleets, WIDTH)));
    let mut sets = spread("budget, series", &plans, |&(kind, services, width)| {
        let mut set = synthetic(kind, options.seed, services, width, WEEKS);
        if width > 1 {
            set.name = format!("{}, {width} series each", kind.name);
        }
        set
    });
    if let Some(data) = &options.data {
        sets.extend([real::asd_servers(data), real::asd_series(data)].into_iter().flatten());
    }
    sets
}

/// Lives through every set at every budget: the largest first, so that no core waits for one.
fn lives(sets: &[Set]) -> Vec<Row> {
    let size = |place: usize| sets[place].subjects.len() * sets[place].signals.len();
    let mut tasks: Vec<(usize, usize)> = (0..sets.len())
        .flat_map(|set| (0..BUDGETS.len()).map(move |budget| (set, budget)))
        .collect();
    tasks.sort_by_key(|&(set, _)| std::cmp::Reverse(size(set)));
    let counts: Vec<Count> = spread("budget, sets", &tasks, |&(set, budget)| {
        let lived = live(&sets[set], BUDGETS[budget]);
        (count(&sets[set], &lived), by_live_week(&sets[set], &lived))
    });
    let mut rows: Vec<Row> =
        sets.iter().map(|set| Row::of_counted(&set.name, Default::default())).collect();
    for ((set, budget), (counted, live_weeks)) in tasks.into_iter().zip(counts) {
        rows[set].services[budget] = counted;
        rows[set].live_weeks[budget] = live_weeks;
    }
    rows
}

pub(crate) fn run(options: &Options) {
    let fleets = options.fleets.unwrap_or(FLEETS);
    let mut sets = sets(options, fleets);
    sets.retain(|set| options.wants(&set.name));
    let mut rows = lives(&sets);
    let calm = calm::run(options.seed, if options.wants(calm::NAME) { fleets } else { 0 });
    rows.push(calm.row);
    let mut part = Part::new("budget", "Whether the budget is kept");
    part.prose = prose(options, fleets, calm.noticed);
    part.tables = vec![table(&rows), weekly(&rows), calm.others];
    part.pictures.push(picture::budgets(&rows));
    part.caveats = caveats(&rows);
    part.summary = summary(&rows);
    part.publish(options.tuning);
}

fn prose(options: &Options, fleets: u64, noticed: usize) -> String {
    let real = if options.data.is_some() {
        "asd servers: six production servers of 19 metrics each (zhhlee/InterFusion@8c85d511), \
         asd series: each of these metrics as a service of its own, in both directions; two weeks \
         of history, a month live, labelled incidents left out with three hours around; of \
         incidents that begin in them somebody says that they were right, so that they are not \
         held against the budget."
    } else {
        "The real sets were not at hand in this run (`--data`)."
    };
    format!(
        "A service's budget says how many incidents a week are accepted when nothing is wrong; a \
         quarter as many may interrupt. Here nothing is wrong, so that everything told is false, \
         and the live engine with all its parts runs at three budgets. Alarms are counted after \
         the first {SETTLED} live weeks. That a service is silent is a fact and is not counted.\n\n\
         Simulated: {} services of one series for each kind of noise, {} of {WIDTH} \
         independent series, four weeks of history, {WEEKS} live weeks, seeds from {}. Lab \
         fleets: {fleets} simulated fleets of six services with all their signals, minute by \
         minute, three weeks of history, {} live weeks; users noticed something by itself \
         {noticed} times, and what was told within three hours of it is not counted. {real}\n",
        NARROW * fleets,
        WIDE * fleets,
        options.seed,
        calm::WEEKS,
    )
}

fn table(rows: &[Row]) -> Table {
    let mut header = vec!["set".to_owned(), "service-weeks".to_owned()];
    for (kind, name) in KINDS_TOLD.into_iter().enumerate() {
        header.extend((0..BUDGETS.len()).map(|place| format!("{name} {}", accepted(place, kind))));
    }
    let cells = |cell: &dyn Fn(usize, usize) -> (f64, f64)| -> Vec<String> {
        let places =
            (0..KINDS_TOLD.len()).flat_map(|kind| (0..BUDGETS.len()).map(move |b| (b, kind)));
        places
            .map(|(place, kind)| cell(place, kind))
            .map(|(ratio, share)| format!("{ratio:.2} ({:.0} %)", 100.0 * share))
            .collect()
    };
    let mut lines: Vec<Vec<String>> = Vec::new();
    for row in rows {
        let mut line = vec![row.name.clone(), format!("{:.0}", row.service_weeks())];
        line.extend(cells(&|place, kind| row.kept(place, kind)));
        lines.push(line);
    }
    // As long as the simulated sets live, and as the real ones.
    for weeks in [(WEEKS - SETTLED) as f64, 2.0] {
        let mut line = vec![format!("chance alone, {weeks} weeks each"), "-".to_owned()];
        line.extend(cells(&|place, kind| (1.0, above_twice(weeks * accepted(place, kind)))));
        lines.push(line);
    }
    Table {
        id: "budget".to_owned(),
        title: "False alarms over those accepted, and services above twice their budget".to_owned(),
        header,
        rows: lines,
        note: "The numbers in the header are accepted a week. Without controllers: how often a \
               service's statistic crosses its notice threshold, re-armed after an hour below \
               0.7 of it. The last rows are what services with exactly their budget would give: \
               some above twice of it by luck alone, and more in less time."
            .to_owned(),
    }
}

/// How the budget was kept from the first live week on.
fn weekly(rows: &[Row]) -> Table {
    let all = || rows.iter().filter(|row| !row.live_weeks[0].is_empty());
    let longest = all().map(|row| row.live_weeks[0].len()).max().unwrap_or(0);
    let mut header = vec!["set".to_owned()];
    header.extend((1..=longest).map(|week| format!("week {week}")));
    let cell = |row: &Row, week: usize| {
        let kept = |place: usize| {
            let one = row.live_weeks[place].get(week).filter(|one| one.weeks > 0.0)?;
            Some(format!("{:.2}", one.told as f64 / (one.weeks * BUDGETS[place])))
        };
        let kept: Vec<String> = (0..BUDGETS.len()).filter_map(kept).collect();
        kept.join(" / ")
    };
    let line = |row: &Row| {
        let cells = (0..longest).map(|week| cell(row, week));
        std::iter::once(row.name.clone()).chain(cells).collect()
    };
    Table {
        id: "budget-weeks".to_owned(),
        title: "False notices over those accepted in each live week".to_owned(),
        header,
        rows: all().map(line).collect(),
        note: format!(
            "At {} a week and service. A service that overspends pays it back later.",
            BUDGETS.map(|budget| budget.to_string()).join(" / ")
        ),
    }
}

/// How likely a Poisson count with this mean is above twice its mean.
fn above_twice(mean: f64) -> f64 {
    let (mut term, mut sum, mut n) = ((-mean).exp(), 0.0, 0.0);
    while n <= 2.0 * mean {
        sum += term;
        n += 1.0;
        term *= mean / n;
    }
    1.0 - sum
}

/// Where more was told than a tenth above what was accepted, or less than half of it.
fn caveats(rows: &[Row]) -> Vec<String> {
    let mut said = Vec::new();
    for row in rows {
        for (kind, name) in KINDS_TOLD.into_iter().enumerate().take(2) {
            for place in 0..BUDGETS.len() {
                let (ratio, _) = row.kept(place, kind);
                if (BELOW..=ABOVE).contains(&ratio) {
                    continue;
                }
                let (told, expected) = row.counts(place, kind);
                let at = accepted(place, kind);
                let what = format!("{}, {name} at {at} a week: {told} told", row.name);
                let late = if ratio < BELOW { ": alarms come later than they could" } else { "" };
                said.push(format!("{what}, {expected:.1} accepted{late}."));
            }
        }
    }
    said
}

fn summary(rows: &[Row]) -> Vec<(String, String)> {
    let range = |kind: usize| {
        let kept =
            || rows.iter().flat_map(|row| (0..BUDGETS.len()).map(move |b| row.kept(b, kind)));
        let low = kept().map(|kept| kept.0).fold(f64::INFINITY, f64::min);
        let high = kept().map(|kept| kept.0).fold(0.0, f64::max);
        let above = kept().map(|kept| kept.1).fold(0.0, f64::max);
        format!(
            "{low:.2} to {high:.2}; at most {:.0} % of a set's services above twice theirs",
            100.0 * above
        )
    };
    let what = |told: &str| {
        format!(
            "{told} when nothing is wrong, over those accepted: means of {} sets at 3 budgets",
            rows.len()
        )
    };
    vec![(what("Notices"), range(0)), (what("Alerts that interrupt"), range(1))]
}
