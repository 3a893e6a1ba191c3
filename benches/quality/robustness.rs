//! Incidents that dirty data causes: the same fleets with the dirt and without it.

use grayflag::engine::grid::BLOCK;
use grayflag::lab::dirt::{self, Fleet, Lived, Plan};
use grayflag::time::Span;
use jiff::tz::TimeZone;

use crate::Options;
use crate::report::{Part, Table};
use crate::work::spread;

/// Fleets per kind of dirt, unless the command line wants another number.
const FLEETS: u64 = 6;
/// Seeds from 1001 on were looked at while this was built.
const FIRST_SEED: u64 = 2_001;
/// Kinds of dirt, in the order of the table.
const KINDS: [&str; 5] =
    ["contaminated history", "counter resets", "gaps", "holiday", "clock change"];
/// An incident of the dirty run that lies this near one of the clean run's is that one.
const SAME: Span = Span::from_hours(6);

/// Local days with a clock change that are Sundays of the first week watched: zone and the
/// Monday on which learning begins.
const CLOCK_CHANGES: [(&str, &str); 4] = [
    ("Europe/Berlin", "2026-02-23T00:00:00Z"),
    ("Europe/Berlin", "2026-09-21T00:00:00Z"),
    ("America/New_York", "2026-02-02T00:00:00Z"),
    ("America/New_York", "2026-09-28T00:00:00Z"),
];

/// Incidents of `dirty` that `clean` has none like.
fn added(dirty: &Lived, clean: &Lived) -> usize {
    let known = |service: &str, at| {
        let mut incidents = clean.incidents();
        incidents.any(|c| c.service == service && c.at <= at + SAME && at <= c.at + SAME)
    };
    dirty.incidents().filter(|d| !known(&d.service, d.at)).count()
}

/// What one kind of dirt did, over all fleets so far.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    clean: usize,
    dirty: usize,
    added: usize,
    /// Blocks in which the fleet was seen to move with the calendar.
    calendar: usize,
}

impl Row {
    fn of(clean: &Lived, dirty: &Fleet) -> Self {
        let lived = dirty.live();
        Self {
            clean: clean.count(),
            dirty: lived.count(),
            added: added(&lived, clean),
            calendar: lived.calendar.len(),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            clean: self.clean + other.clean,
            dirty: self.dirty + other.dirty,
            added: self.added + other.added,
            calendar: self.calendar + other.calendar,
        }
    }

    /// Incidents with dirt minus those without.
    fn caused(self) -> i64 {
        i64::try_from(self.dirty).unwrap() - i64::try_from(self.clean).unwrap()
    }
}

/// All kinds on the fleet of one seed.
fn soiled(seed: u64) -> [Row; 5] {
    let plan = Plan::new(seed);
    let fleet = plan.fleet();
    let clean = fleet.live();
    let (zone, start) = CLOCK_CHANGES[usize::try_from(seed).unwrap() % CLOCK_CHANGES.len()];
    let start = start.parse().unwrap();
    let moved = Plan { start, zone: TimeZone::get(zone).unwrap(), ..plan.clone() };
    let still = TimeZone::fixed(moved.zone.to_offset(moved.start.to_jiff()));
    let still = Plan { zone: still, ..moved.clone() };
    [
        Row::of(&clean, &dirt::old_incidents(fleet.clone())),
        Row::of(&clean, &dirt::counter_resets(fleet.clone())),
        Row::of(&clean, &dirt::nan_storm(fleet)),
        Row::of(&clean, &dirt::holiday(plan)),
        Row::of(&still.fleet().live(), &moved.fleet()),
    ]
}

pub(crate) fn run(options: &Options) {
    let first = if options.tuning { options.seed } else { FIRST_SEED };
    let fleets = options.fleets.unwrap_or(FLEETS);
    let seeds: Vec<u64> = (first..first + fleets).collect();
    let rows = spread("robustness", &seeds, |&seed| soiled(seed));
    let rows = rows.into_iter().fold([Row::default(); 5], |sum, next| {
        std::array::from_fn(|kind| sum[kind].plus(next[kind]))
    });
    let plan = Plan::new(first);
    let weeks = fleets * u64::try_from(plan.services * plan.weeks[1]).unwrap();
    let mut part = Part::new("robustness", "What dirty data causes");
    part.prose = format!(
        "The same fleets once with the dirt and once without it, everything else the same to the \
         bit. {fleets} fleets of {} services, {} weeks of history, {} weeks live, which is {weeks} \
         service-weeks per row; seeds from {first}. The budget is {} notice a service-week, so that \
         about {weeks} incidents are accepted in every row. Nothing is wrong in either run, so that \
         what the dirt causes beyond the clean run is false. Where there are gaps, fewer hours \
         can be judged.\n",
        plan.services, plan.weeks[0], plan.weeks[1], plan.notices_per_week,
    );
    part.tables.push(table(&rows));
    let caused: Vec<i64> = rows.iter().map(|row| row.caused()).collect();
    for (row, name) in rows.iter().zip(KINDS).filter(|(row, _)| row.caused() > 0) {
        part.caveats.push(format!("{name}: {:+} incidents.", row.caused()));
    }
    let each: Vec<String> =
        KINDS.iter().zip(&caused).map(|(name, caused)| format!("{name} {caused:+}")).collect();
    let what = format!("Incidents caused by dirty data, {weeks} service-weeks of each kind");
    part.summary.push((what, each.join(", ")));
    part.publish(options.tuning);
}

fn table(rows: &[Row]) -> Table {
    let row = |(row, name): (&Row, &str)| {
        vec![
            name.to_owned(),
            row.clean.to_string(),
            row.dirty.to_string(),
            format!("{:+}", row.caused()),
            row.added.to_string(),
            format!("{:.1}", (BLOCK.times(i64::try_from(row.calendar).unwrap())).as_hours_f64()),
        ]
    };
    let header =
        ["dirt", "incidents without", "with", "caused", "at other times", "calendar hours"];
    Table {
        id: "robustness".to_owned(),
        title: "Incidents with dirt and without it".to_owned(),
        header: header.map(str::to_owned).into(),
        rows: rows.iter().zip(KINDS).map(row).collect(),
        note: "At other times: incidents that the clean run has none like within six hours; the \
               controllers move when something is told, so some are only elsewhere. Calendar \
               hours: the fleet was seen to move as one with the calendar, and nothing was told."
            .to_owned(),
    }
}
