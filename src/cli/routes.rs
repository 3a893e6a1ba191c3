//! `grayflag routes test`: who would get an alert, when, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::Failure;
use super::instant::instant;
use super::silence::{MatchArgs, severity};
use super::table::write_table;
use crate::clock;
use crate::config::Config;
use crate::daemon::Routing;
use crate::engine::alert::{Alert, Culprit, MovedSignal, NamedCause, Severity, State};
use crate::format;
use crate::notify::routes::{Policy, Told, Verdict, plan, verdicts};
use crate::notify::view::clean;
use crate::problem::{did_you_mean, quoted};
use crate::series::{Change, ChangeKind};
use crate::store::{CHANGES_MAX, Dispatch, Hold, Silence, Store, Wanted};
use crate::time::Timestamp;

/// Bytes of alerts that are read.
const BYTES_MAX: u64 = 64 << 20;

/// Options of `grayflag routes test`. Without any it is a warning of a service that no route names.
#[derive(Debug, Args)]
pub struct RoutesArgs {
    /// How much it matters: notice, warning, critical; warning without it
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    severity: Option<Severity>,
    #[command(flatten)]
    matching: MatchArgs,
    /// When it is decided (RFC 3339, Unix seconds or `now`); now without it, or the alert's own time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    at: Option<Timestamp>,
    /// The newest alert of an incident of the state file, as `grayflag incidents` lists them
    #[arg(long, value_name = "ID", conflicts_with_all = ["severity", "service", "owner", "cause", "signal", "label", "file"])]
    incident: Option<String>,
    /// A file with alerts as JSON, or `-` for standard input
    #[arg(value_name = "FILE", conflicts_with_all = ["severity", "service", "owner", "cause", "signal", "label"])]
    file: Option<PathBuf>,
    /// How to print what comes of it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object for each alert
    Json,
}

/// What would come of one alert.
#[derive(Debug, Serialize)]
struct Answer {
    incident: String,
    state: String,
    severity: String,
    service: String,
    cause: Option<String>,
    at: Timestamp,
    routes: Vec<RouteAnswer>,
    /// Who gets it, now or later.
    deliveries: Vec<Delivery>,
    /// Who gets `resolved`.
    resolved: Vec<String>,
}

#[derive(Debug, Serialize)]
struct RouteAnswer {
    to: Vec<String>,
    matches: bool,
    /// Why it does not match.
    why: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Delivery {
    receiver: String,
    held_until: Option<Timestamp>,
    held_by: Option<String>,
}

/// Says where alerts would go.
///
/// # Errors
///
/// An incident or a file that cannot be read, and output that cannot be written.
pub fn test(config: &Config, args: &RoutesArgs, out: &mut dyn Write) -> Result<(), Failure> {
    let store = match &args.incident {
        // Without a state file nothing is silenced, but there are no incidents either.
        None if !config.store.path.is_file() => None,
        _ => Some(Store::open_beside(&config.store.path).map_err(Failure::of)?),
    };
    let now = clock::now();
    let (alerts, now) = match (&args.incident, &args.file, &store) {
        (Some(id), _, Some(store)) => {
            let whole = store.incident(id).map_err(Failure::of)?;
            (vec![whole.alert], Some(args.at.unwrap_or(now)))
        }
        (_, Some(path), _) => (read(path)?, args.at),
        _ => (vec![made_up(config, args, args.at.unwrap_or(now))?], args.at),
    };
    let routing = Routing::of(config);
    for alert in &alerts {
        let now = now.unwrap_or(alert.at);
        let known = Known::read(store.as_ref(), alert, now)?;
        let answer =
            answer(alert, &routing.policy(&known.silences, &known.changes, now), known.told);
        match args.format {
            Format::Text => write_text(&answer, (now, &config.poll.timezone), out)?,
            Format::Json => {
                writeln!(out, "{}", serde_json::to_string(&answer).map_err(Failure::of)?)?;
            }
        }
    }
    Ok(())
}

/// What the state file says about an alert.
#[derive(Default)]
struct Known {
    silences: Vec<Silence>,
    changes: Vec<Change>,
    told: Told,
}

impl Known {
    fn read(store: Option<&Store>, alert: &Alert, now: Timestamp) -> Result<Self, Failure> {
        let Some(store) = store else { return Ok(Self::default()) };
        let wanted = Wanted {
            from: None,
            to: Some(alert.at),
            service: None,
            after: None,
            limit: CHANGES_MAX,
        };
        let posted = store.changes(&wanted).map_err(Failure::of)?.into_iter();
        let changes = posted.map(|posted| posted.change);
        let told = store.told(&alert.incident).map_err(Failure::of)?;
        Ok(Self {
            silences: store.open_silences(now).map_err(Failure::of)?,
            changes: changes.filter(|change| change.kind == ChangeKind::Maintenance).collect(),
            told: Told::from([(alert.incident.clone(), told)]),
        })
    }
}

fn answer(alert: &Alert, policy: &Policy<'_>, mut told: Told) -> Answer {
    let routes = policy.routes.iter().zip(verdicts(alert, policy)).map(|(route, verdict)| {
        let why = match verdict {
            Verdict::Matches => Vec::new(),
            Verdict::Misses(why) => why,
        };
        RouteAnswer { to: route.to.clone(), matches: why.is_empty(), why }
    });
    let deliveries = plan(std::slice::from_ref(alert), policy, &mut told);
    let over = Alert { state: State::Resolved, ..alert.clone() };
    let resolved = plan(&[over], policy, &mut told).into_iter().map(|to| to.receiver).collect();
    let deliveries = deliveries.into_iter().map(|Dispatch { receiver, hold, .. }| {
        let (until, by) = hold.map(|Hold { until, by, .. }| (until, by)).unzip();
        Delivery { receiver, held_until: until, held_by: by }
    });
    Answer {
        incident: alert.incident.clone(),
        state: alert.state.to_string(),
        severity: alert.severity.to_string(),
        service: alert.service.clone(),
        cause: alert.causes.first().map(|cause| cause.id.clone()),
        at: alert.at,
        routes: routes.collect(),
        deliveries: deliveries.collect(),
        resolved,
    }
}

fn write_text(
    answer: &Answer,
    (now, zone): (Timestamp, &TimeZone),
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let Answer { severity, service, state, .. } = answer;
    let cause = answer.cause.as_deref().map_or_else(String::new, |id| format!(", led by {id}"));
    let at = format::clock(answer.at, now, zone);
    let line = format!("{severity} of {service}{cause}, {state} at {at}");
    writeln!(out, "{}\n", clean(&line))?;
    let routes = answer.routes.iter().zip(1..).map(|(route, number): (_, u32)| {
        let verdict =
            if route.matches { "yes".to_owned() } else { format!("no: {}", route.why.join("; ")) };
        [number.to_string(), route.to.join(", "), verdict].map(|cell| clean(&cell))
    });
    write_table(["ROUTE", "TO", "MATCHES"], routes, out)?;
    writeln!(out)?;
    if answer.deliveries.is_empty() {
        writeln!(out, "nobody gets it\n")?;
        return Ok(());
    }
    let deliveries = answer.deliveries.iter().map(|delivery| {
        let when = match (delivery.held_until, &delivery.held_by) {
            (Some(until), Some(by)) => {
                format!("{}, held by {by}", format::moment(until, now, zone))
            }
            _ => "now".to_owned(),
        };
        [delivery.receiver.clone(), when].map(|cell| clean(&cell))
    });
    write_table(["RECEIVER", "GETS IT"], deliveries, out)?;
    let resolved = answer.resolved.join(", ");
    writeln!(
        out,
        "\nresolved goes to {}, unless it is over before they were told\n",
        clean(&resolved)
    )?;
    Ok(())
}

/// Alerts as JSON, one after the other.
fn read(path: &Path) -> Result<Vec<Alert>, Failure> {
    let failed = |problem: &dyn std::fmt::Display| {
        let hint = "it is what `grayflag replay --format jsonl` prints and web hooks get";
        let path = path.display();
        Failure::could_not(format!("cannot read alerts from `{path}`: {problem}\nhint: {hint}"))
    };
    let mut text = Vec::new();
    let bytes = if path == Path::new("-") {
        io::stdin().lock().take(BYTES_MAX).read_to_end(&mut text)
    } else {
        File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut text))
    };
    bytes.map_err(|problem| failed(&problem))?;
    let alerts = serde_json::Deserializer::from_slice(&text).into_iter();
    alerts.collect::<Result<Vec<Alert>, _>>().map_err(|problem| failed(&problem))
}

/// An alert as the options describe it.
fn made_up(config: &Config, args: &RoutesArgs, at: Timestamp) -> Result<Alert, Failure> {
    let MatchArgs { cause, signal, label, .. } = &args.matching;
    let services = services(config, &args.matching)?;
    let labels: BTreeMap<_, _> = label.iter().cloned().collect();
    let about = services.first().cloned().unwrap_or_default();
    let named = |id: &String| NamedCause {
        id: id.clone(),
        probability: 1.0,
        culprit: Culprit { service: about.clone(), labels: labels.clone() },
        evidence_for: Vec::new(),
        against: Vec::new(),
        unknown: Vec::new(),
    };
    let any = ["any-signal".to_owned()];
    let moved = |name: &String| MovedSignal {
        service: about.clone(),
        signal: name.clone(),
        role: "custom".to_owned(),
        labels: labels.clone(),
        direction: "up".to_owned(),
        onset: at,
        now: None,
        expected: None,
        unit: None,
        peer: None,
        share_of_calls: None,
        p_value: 1.0,
    };
    let signals = if signal.is_empty() { &any[..] } else { signal };
    Ok(Alert {
        severity: args.severity.unwrap_or(Severity::Warning),
        causes: cause.iter().map(named).collect(),
        signals: signals.iter().map(moved).collect(),
        services,
        ..Alert::plain("sample", about.clone(), at)
    })
}

/// The services of an alert; an owner stands for one of its own.
fn services(config: &Config, matching: &MatchArgs) -> Result<Vec<String>, Failure> {
    let mut services = matching.service.clone();
    let described = &config.rules.services;
    for owner in &matching.owner {
        let owned = described.iter().find(|(_, known)| known.owner.as_ref() == Some(owner));
        let Some((name, _)) = owned else {
            let known = described.values().filter_map(|known| known.owner.as_deref());
            let hint = did_you_mean(owner, known.collect::<BTreeSet<_>>(), "owners");
            let hint = hint.unwrap_or_else(|| "add `owner` to a [[service]]".to_owned());
            let message = format!("no [[service]] has the owner {}\nhint: {hint}", quoted(owner));
            return Err(Failure::could_not(message));
        };
        services.push(name.clone());
    }
    if services.is_empty() {
        services.push("any-service".to_owned());
    }
    Ok(services)
}
