//! What the service's own past says: incidents that looked the same, stirs that come with every
//! deploy or at the same hour.

use crate::engine::diagnose::UNEXPLAINED;
use crate::engine::diagnose::evidence::Looked;
use crate::engine::diagnose::scene::Scene;
use crate::engine::diagnose::weights::LLR_MAX;
use crate::engine::grid::{NO_SLOT, PER_DAY, PER_HOUR, block_of, block_start};
use crate::engine::past::Ended;
use crate::rules::Cause;
use crate::series::{Change, ChangeKind, Verdict};
use crate::stats::exact::{binomial_at_least, binomial_at_most};
use crate::time::Span;

/// Chance gives what is called seen less often than this.
const P_VALUE_MAX: f64 = 0.01;
/// So many hits at least: two may be anything.
const WINDOW_HITS_MIN: usize = 3;
/// Fewer windows, or fewer stirs, tell nothing.
const WINDOWS_MIN: usize = 3;
/// A change is still felt this long after it.
const SOAK: Span = Span::HOUR;
/// If changes were the cause, at least this share of the stirs would begin in their windows: so
/// few hits that this has a chance below [`CLEARLY_NOT`] speak against it.
const SHARE_IF_TRUE: f64 = 0.5;
/// See [`SHARE_IF_TRUE`].
const CLEARLY_NOT: f64 = 0.05;
/// The present incident and what led to it are no past: stirs this shortly before do not count.
const PRESENT_BLOCKS: i64 = PER_HOUR;
/// Nor are they another day's.
const DAY_APART_BLOCKS: i64 = PER_DAY / 2;
/// Blocks around a clock time that count as that time: a quarter of an hour either way.
const AROUND_BLOCKS: i64 = 3;
/// So many earlier days at that time, at least.
const DAYS_MIN: usize = 2;
/// A service that is watched for a shorter time has no habits yet.
const WATCHED_BLOCKS_MIN: i64 = 3 * PER_DAY;
/// What a confirmed incident of the same look is worth against the rules' priors: so many such
/// incidents as the priors are taken for.
const LOCAL_STRENGTH: f64 = 2.0;
/// What our own naming of such an incident is worth, however often it came: a little, so that it
/// cannot talk itself into certainty.
const OWN_RATIO: f64 = 1.3;
/// Our own naming counts from this probability on.
const OWN_CLEAR_MIN: f64 = 0.5;

/// Whether stirs of the root began inside the windows of changes of a kind more often than chance
/// allows: an exact binomial test of the hits against the share of the time that the windows
/// cover.
pub(super) fn windows(scene: &Scene<'_>, kind: ChangeKind) -> Looked {
    let root = &scene.root;
    let until = block_of(scene.onset) - PRESENT_BLOCKS;
    let stirs = scene.services.get(root).map(|service| &service.stirs);
    let Some((stirs, from)) = stirs.and_then(|s| Some((s, s.known_from(until)?))) else {
        return Looked::idle();
    };
    let of_root = |c: &&Change| c.kind == kind && &c.service == root;
    let mut windows: Vec<(i64, i64)> = scene
        .changes
        .iter()
        .filter(of_root)
        .map(|c| {
            (block_of(c.at).max(from), (block_of(c.end.unwrap_or(c.at) + SOAK) + 1).min(until))
        })
        .filter(|(begin, end)| begin < end)
        .collect();
    windows.sort_unstable();
    let onsets: Vec<i64> = stirs.within(from, until).collect();
    if windows.len() < WINDOWS_MIN || onsets.len() < WINDOWS_MIN {
        return Looked::idle();
    }
    let hits = |onset: &&i64| windows.iter().any(|(begin, end)| (begin..end).contains(onset));
    let (k, m) = (onsets.iter().filter(hits).count(), onsets.len());
    let share = covered(&windows) as f64 / (until - from) as f64;
    let seen = if k >= WINDOW_HITS_MIN && binomial_at_least(k as u64, m as u64, share) < P_VALUE_MAX
    {
        Some(true)
    } else {
        let few = binomial_at_most(k as u64, m as u64, SHARE_IF_TRUE) < CLEARLY_NOT;
        (few && share < SHARE_IF_TRUE).then_some(false)
    };
    let text = format!(
        "{k} of the last {m} stirs of {root} began within an hour after a {kind}; chance would \
         give {:.1}",
        share * m as f64
    );
    Looked::new(seen, text)
}

/// Blocks that lie in at least one of the windows, which are in order of their beginning.
fn covered(windows: &[(i64, i64)]) -> i64 {
    let (mut blocks, mut end) = (0, i64::MIN);
    for &(from, to) in windows {
        blocks += (to - from.max(end)).max(0);
        end = end.max(to);
    }
    blocks
}

/// Whether the root stirred at this clock time on earlier days more often than chance allows, in
/// UTC or on the wall clock: an exact binomial test of the stirs at that time among all.
pub(super) fn recurs(scene: &Scene<'_>) -> Looked {
    let root = &scene.root;
    let onset = block_of(scene.onset);
    let until = onset - DAY_APART_BLOCKS;
    let stirs = scene.services.get(root).map(|service| &service.stirs);
    let known = stirs.and_then(|s| Some((s, s.known_from(until)?)));
    let Some((stirs, from)) = known.filter(|(_, from)| until - from >= WATCHED_BLOCKS_MIN) else {
        return Looked::idle();
    };
    let all: Vec<i64> = stirs.within(from, until).collect();
    let utc = same_time(&all, onset, |block| Some(block.rem_euclid(PER_DAY)));
    let local = same_time(&all, onset, |block| {
        // The hour of a clock change has no place in the day.
        let slot = scene.clock.slot(block);
        (slot != NO_SLOT).then(|| i64::from(slot) % PER_DAY)
    });
    // Two different answers are two tries: each must be twice as clear.
    let tries = if utc == local { 1.0 } else { 2.0 };
    let (hits, zone) = if local.len() > utc.len() { (local, "local time") } else { (utc, "UTC") };
    let share = (2 * AROUND_BLOCKS + 1) as f64 / PER_DAY as f64;
    let p_value = tries * binomial_at_least(hits.len() as u64, all.len() as u64, share);
    let seen = match hits.len() {
        0 => Some(false),
        n => (n >= DAYS_MIN && p_value < P_VALUE_MAX).then_some(true),
    };
    let days: Vec<String> = hits.iter().rev().take(3).map(|&block| date(block)).collect();
    let text = if hits.is_empty() {
        format!("{root} did not stir at this time on earlier days")
    } else {
        format!(
            "{root} stirred at about this time ({zone}) on {} earlier day(s), of {} stirs: {}; \
             chance would give {:.1}",
            hits.len(),
            all.len(),
            days.join(", "),
            share * all.len() as f64
        )
    };
    Looked::new(seen, text)
}

/// Onsets at the same time of day as `now`, by a clock that tells the block of the day.
fn same_time(onsets: &[i64], now: i64, clock: impl Fn(i64) -> Option<i64>) -> Vec<i64> {
    let Some(time) = clock(now) else { return Vec::new() };
    let near = |onset: &&i64| {
        clock(**onset).is_some_and(|other| {
            let apart = (other - time).rem_euclid(PER_DAY);
            apart.min(PER_DAY - apart) <= AROUND_BLOCKS
        })
    };
    onsets.iter().filter(near).copied().collect()
}

fn date(block: i64) -> String {
    block_start(block).to_jiff().strftime("%d %b %H:%M UTC").to_string()
}

/// An earlier incident of the same look.
#[derive(Clone, Debug)]
pub(super) struct Precedent {
    /// For a person.
    pub(super) text: String,
    /// How far it moves the odds of the cause, in natural logarithms.
    pub(super) llr: f64,
}

/// What earlier incidents of the same look say about a cause; none where they say nothing.
///
/// Where people confirmed causes, the odds move by the posterior over the prior of a Dirichlet
/// distribution that takes the priors for [`LOCAL_STRENGTH`] incidents (METHODS 2.9). Where they
/// did not, our own naming moves them by [`OWN_RATIO`], once.
pub(super) fn precedent(scene: &Scene<'_>, cause: &Cause) -> Option<Precedent> {
    if cause.id == UNEXPLAINED {
        return None;
    }
    let alike = || scene.past.alike(&scene.root, &scene.pattern);
    let confirmed = alike().filter(|incident| incident.confirmed().is_some()).count() as f64;
    let is_it = |incident: &&Ended| incident.confirmed() == Some(cause.id.as_str());
    if confirmed > 0.0 {
        let total: f64 = scene.rules.causes.iter().map(|cause| cause.prior).sum();
        let prior = cause.prior / total;
        let own = alike().filter(is_it).count() as f64;
        let posterior = (LOCAL_STRENGTH * prior + own) / (LOCAL_STRENGTH + confirmed);
        let newest = alike().find(is_it)?;
        // That it was often something else speaks for that, and not against this.
        let llr = (posterior / prior).ln().clamp(0.0, LLR_MAX);
        return Some(Precedent { text: seen_before(scene, newest), llr });
    }
    let newest = alike().find(|incident| {
        named(incident) == Some(cause.id.as_str())
            // Not what people said was nothing.
            && incident.judged.as_ref().is_none_or(|judged| judged.verdict != Verdict::False)
    })?;
    Some(Precedent { text: seen_before(scene, newest), llr: OWN_RATIO.ln() })
}

/// The newest incident of the same look, in words; empty where there is none.
pub(super) fn newest_alike(scene: &Scene<'_>) -> String {
    let mut alike = scene.past.alike(&scene.root, &scene.pattern);
    alike.next().map_or_else(String::new, |incident| seen_before(scene, incident))
}

/// The cause that an incident was clearly called by ourselves.
fn named(incident: &Ended) -> Option<&str> {
    let (cause, probability) = incident.cause.as_ref()?;
    (*probability >= OWN_CLEAR_MIN && cause != UNEXPLAINED).then_some(cause)
}

fn seen_before(scene: &Scene<'_>, incident: &Ended) -> String {
    let at = scene.clock_time(incident.onset);
    let lasted = (incident.ended - incident.onset).rough();
    let called = match (incident.confirmed(), named(incident)) {
        (Some(cause), _) => format!(" and was {cause} (confirmed)"),
        (None, Some(cause)) => format!(" and was called {cause}"),
        (None, None) => String::new(),
    };
    format!("the same pattern was seen at {at}, lasted {lasted}{called}")
}
