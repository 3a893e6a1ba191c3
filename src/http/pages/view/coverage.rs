//! What would be seen of each service, from what the engine sees of it now.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Link, first};
use crate::coverage::{Coverage, Rows, Service, State, coverage};
use crate::engine::overview::{Health, Overview, ServiceStanding};
use crate::notify::view::clean;
use crate::rules::Rules;
use crate::time::Timestamp;

/// Services shown at once.
const SERVICES_MAX: usize = 40;

/// Services named that lack a role.
const NAMES_MAX: usize = 6;

/// Services × roles.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(in crate::http::pages) struct CoverageView {
    roles: Vec<String>,
    services: Vec<Row>,
    more: usize,
    /// Roles that somebody lacks, and packs that would give them.
    packs: Vec<Pack>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Row {
    name: Link,
    cells: Vec<Cell>,
    /// Roles that are bound, of how many.
    bound: usize,
    /// Questions of the review that its metrics cannot answer.
    open: Vec<String>,
    /// Causes that nothing could show.
    blind: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Cell {
    role: String,
    sign: &'static str,
    about: String,
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Pack {
    role: String,
    packs: String,
    /// Services that lack it, of those shown.
    services: String,
}

/// The coverage of services whose name contains what is wanted. Cost: O(series), and O(services
/// shown × signals).
pub(in crate::http::pages) fn covered(
    rules: &Rules,
    overview: &Overview,
    wanted: &str,
) -> CoverageView {
    let wanted = overview.services.iter().filter(|service| service.service.contains(wanted));
    let (shown, more) = first(wanted.collect(), SERVICES_MAX);
    let at = overview.at.unwrap_or_else(|| Timestamp::from_secs(0));
    let mut found = coverage(rules, rows(&shown), at, None);
    let names: BTreeSet<&str> = shown.iter().map(|service| service.service.as_str()).collect();
    found.services.retain(|service| names.contains(service.service.as_str()));
    view(&found, more)
}

/// Who has data now, and who had.
fn rows(services: &[&ServiceStanding]) -> Rows {
    let mut rows = Rows::default();
    for service in services {
        for one in &service.series {
            let seen = if one.health == Health::Missing { &mut rows.before } else { &mut rows.now };
            let of_signal = seen.entry(one.series.signal.clone()).or_default();
            of_signal.insert(service.service.clone());
        }
    }
    rows
}

fn view(found: &Coverage, more: usize) -> CoverageView {
    let roles = found.services.first().map_or(&[][..], |service| &service.roles[..]);
    let services = found.services.iter().map(|service| {
        let cells = service.roles.iter().map(|covered| {
            let (sign, word, class) = match covered.state {
                State::Bound => ("●", "seen by", "good"),
                State::Silent => ("○", "silent:", "gone"),
                State::Missing => ("", "missing", "calm"),
            };
            let about = format!("{word} {}", covered.signals.join(", "));
            Cell { role: covered.role.clone(), sign, about: clean(&about), class }
        });
        let open = service.questions.iter().filter(|question| !question.answered);
        Row {
            name: Link::service(&service.service),
            bound: service.roles.iter().filter(|role| role.state == State::Bound).count(),
            cells: cells.collect(),
            open: open.map(|question| clean(&question.question)).collect(),
            blind: service.blind.iter().map(|cause| clean(cause)).collect(),
        }
    });
    let pack = |(role, packs): (&String, &Vec<String>)| Pack {
        role: role.replace('_', " "),
        packs: clean(&packs.join(", ")),
        services: lacking(found, role),
    };
    CoverageView {
        services: services.collect(),
        roles: roles.iter().map(|covered| covered.role.replace('_', " ")).collect(),
        more,
        packs: found.packs.iter().map(pack).collect(),
    }
}

/// The services that lack a role, the first of them by name.
fn lacking(found: &Coverage, role: &str) -> String {
    let lacks = |service: &&Service| {
        service.roles.iter().any(|one| one.role == role && one.state == State::Missing)
    };
    let names = found.services.iter().filter(lacks).map(|service| clean(&service.service));
    let (names, more) = first(names.collect(), NAMES_MAX);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", names.join(", "))
}
