//! Versions that run side by side: whether the new one is worse, and whether the trouble began
//! while they were mixed.

use crate::engine::diagnose::evidence::{Looked, ONSET_SLACK};
use crate::engine::diagnose::scene::{Scene, View};
use crate::engine::grid::block_start;
use crate::engine::history::PRESENCE_BLOCKS;
use crate::engine::peer::Peer;
use crate::engine::track::Tracked;
use crate::format;
use crate::rules::Role;
use crate::series::Labels;
use crate::stats::robust::median;

/// Blocks over which old and new version are compared: half an hour.
const VERSION_BLOCKS: usize = 6;
/// Blocks that a new version must have run before it is compared.
const VERSION_BLOCKS_MIN: i64 = 2;
/// How much worse the new version must be than every old peer.
const VERSION_RATIO: f64 = 1.15;
/// A version that misses this many blocks in a row is gone: scrapes are late now and then.
const GONE_BLOCKS: i64 = 2;
/// The culprit's label that names a version, whatever the backend calls it.
const LABEL: &str = "version";

/// Old and new version's peers at the same moment, on the roles that hurt.
pub(super) fn new_worse(scene: &Scene<'_>) -> Looked {
    let unknown = |why: &str| Looked::new(None, format!("versions side by side: {why}"));
    let Versions { name, new, old, since } = match versions_running(scene) {
        Ok(Some(versions)) => versions,
        Ok(None) => return Looked::idle(),
        Err(why) => return unknown(why),
    };
    if scene.at.0 - since < VERSION_BLOCKS_MIN {
        return unknown("the new one has only just come");
    }
    let roles = [Role::Latency, Role::Errors, Role::Cpu, Role::LatencyTypical];
    let compared: Vec<(Role, f64, f64)> = roles
        .into_iter()
        .filter_map(|role| {
            let tracked = scene.series_of(View::Inside, role).find(|t| t.peers.len() > 1)?;
            let of = |names: &[String]| -> Vec<f64> {
                names.iter().filter_map(|name| tracked.peer(name)?.since(since)).collect()
            };
            let (new, old) = (of(&new), of(&old));
            let best_new = new.into_iter().reduce(f64::min)?;
            let worst_old = old.into_iter().reduce(f64::max)?;
            Some((role, best_new, worst_old))
        })
        .collect();
    let worse = compared.iter().find(|(_, new, old)| *new > VERSION_RATIO * *old && *new > 0.0);
    match (worse, compared.first()) {
        (Some((role, new, old)), _) => {
            let unit = scene
                .series_of(View::Inside, *role)
                .next()
                .and_then(|t| scene.rules.signals[t.signal].unit.as_deref());
            let (new, old) = (format::value(*new, unit), format::value(*old, unit));
            let text = format!("{role} on the new version is {new}, on the old one {old}");
            let mut looked = Looked::new(Some(true), text);
            looked.names = name.map(|name| (LABEL.to_owned(), name)).into_iter().collect();
            looked
        }
        (None, Some(_)) => Looked::new(Some(false), "new and old version behave alike".to_owned()),
        (None, None) => unknown("no signal tells instances apart"),
    }
}

/// Peers by version, and the block since which the newest version is there.
struct Versions {
    /// The newest version, where a label tells it.
    name: Option<String>,
    new: Vec<String>,
    old: Vec<String>,
    since: i64,
}

/// Peers on the newest version and peers on older ones, when both run; or why nobody can say
/// which is which.
fn versions_running(scene: &Scene<'_>) -> Result<Option<Versions>, &'static str> {
    let running: Vec<&Tracked> = scene
        .series_of(View::Inside, Role::Version)
        .filter(|t| t.history.at(scene.at.0).is_finite() && !t.peers.is_empty())
        .collect();
    if running.len() < 2 {
        return Ok(None);
    }
    let newest = newest(&running).ok_or("none came after the others")?;
    let is_new = |tracked: &Tracked| newest.iter().any(|new| new.series.id == tracked.series.id);
    let here = |tracked: &&Tracked| present(tracked, scene.at.0);
    let new: Vec<String> = newest.iter().flat_map(here).collect();
    let old = running.iter().filter(|tracked| !is_new(tracked)).flat_map(here);
    let old: Vec<String> = old.filter(|peer| !new.contains(peer)).collect();
    let [first, ..] = newest[..] else { return Ok(None) };
    let (Some(since), name) = (first.history.first(), version_of(first)) else { return Ok(None) };
    let both = !new.is_empty() && !old.is_empty();
    Ok(both.then_some(Versions { name, new, old, since }))
}

/// The series of the version that came last; none where all came together or several did last:
/// then which is the new one is anybody's guess.
fn newest<'a>(running: &[&'a Tracked]) -> Option<Vec<&'a Tracked>> {
    let last = running.iter().filter_map(|tracked| tracked.history.first()).max()?;
    let came_last = |tracked: &&&Tracked| tracked.history.first() == Some(last);
    let newest: Vec<&Tracked> = running.iter().filter(came_last).copied().collect();
    let name = version_of(newest.first()?);
    let one = newest.len() == 1
        || (name.is_some() && newest.iter().all(|tracked| version_of(tracked) == name));
    (one && newest.len() < running.len()).then_some(newest)
}

/// Two or more versions run now, and did when the trouble began.
pub(super) fn mixed(scene: &Scene<'_>) -> Looked {
    let root = &scene.root;
    let all: Vec<&Tracked> = scene.series_of(View::Inside, Role::Version).collect();
    let runs = |tracked: &Tracked, block: i64| {
        (0..GONE_BLOCKS).any(|back| tracked.history.is_present(block - back))
    };
    let count = |block: i64| all.iter().filter(|tracked| runs(tracked, block)).count();
    let running: Vec<&Tracked> = all.iter().copied().filter(|t| runs(t, scene.at.0)).collect();
    let told = running.iter().all(|tracked| version_of(tracked).is_some());
    match running.as_slice() {
        [_, _, ..] => {}
        [_] if told => {
            return Looked::new(Some(false), format!("one version of {root} runs alone"));
        }
        _ => return Looked::unmeasured(Role::Version.name()),
    }
    let since = (scene.at.0 - PRESENCE_BLOCKS..scene.at.0).rev().take_while(|&b| count(b) > 1);
    let since = block_start(since.last().unwrap_or(scene.at.0));
    let name = newest(&running).and_then(|newest| version_of(newest.first()?));
    let names: Labels = name.map(|name| (LABEL.to_owned(), name)).into_iter().collect();
    let versions: Vec<String> = running.iter().filter_map(|t| version_of(t)).collect();
    let at = scene.clock_time(since);
    let seen = since <= scene.onset_range[1] + ONSET_SLACK;
    let side = if seen { "the trouble began meanwhile" } else { "after the trouble had begun" };
    let text = format!("{root} runs mixed since {at} ({}): {side}", versions.join(", "));
    Looked { names, ..Looked::new(Some(seen), text) }
}

/// What a series calls the version that it counts.
fn version_of(tracked: &Tracked) -> Option<String> {
    let labels = &tracked.series.labels;
    labels.get(LABEL).or_else(|| labels.values().next()).cloned()
}

fn present(tracked: &Tracked, block: i64) -> Vec<String> {
    let here = |peer: &Peer| peer.recent.newest().is_some_and(|(last, _)| last >= block - 1);
    tracked.peers.iter().filter(|peer| here(peer)).map(|peer| peer.name.to_string()).collect()
}

impl Peer {
    /// The middle of the last half hour, as far as it lies after `block`.
    fn since(&self, block: i64) -> Option<f64> {
        let recent = self.recent.iter().rev().take(VERSION_BLOCKS);
        let values = recent.filter(|(at, _)| *at > block).map(|(_, value)| value);
        median(&mut values.collect::<Vec<f64>>())
    }
}
