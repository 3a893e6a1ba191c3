//! Looks up one piece of evidence and puts it into words.

use crate::engine::detect::absence::is_missed;
use crate::engine::detect::drift::Direction;
use crate::engine::diagnose::boundary::at_boundary;
use crate::engine::diagnose::changes::change;
use crate::engine::diagnose::climb::climbing;
use crate::engine::diagnose::cycle::closing;
use crate::engine::diagnose::scene::{MOVED_MIN, Scene, Seen, View, describe, is_call};
use crate::engine::diagnose::weights::Weighed;
use crate::engine::diagnose::{calls, dominance, load, peer, recurrence, versions};
use crate::engine::track::Tracked;
use crate::format;
use crate::rules::{Evidence, Role, RoleState, See};
use crate::series::Labels;
use crate::time::Span;

/// An onset this shortly before a change may as well lie after it: noise moves it by a block or
/// two, and a version is reported one poll late.
pub(super) const ONSET_SLACK: Span = Span::from_mins(15);
/// Onsets this close count as together; the order says nothing against a cause then.
pub(super) const TIE: Span = Span::from_mins(10);

/// An onset that is less well known than this lies at every midnight, and near every change.
pub(super) const ONSET_WIDTH_MAX: Span = Span::from_hours(12);

/// What looking gave: an answer or none, and words for both.
#[derive(Clone, Debug)]
pub(super) struct Looked {
    pub(super) seen: Option<bool>,
    pub(super) text: String,
    /// A better estimate of P(seen | another cause) than the rule's, where there is one.
    pub(super) chance: Option<f64>,
    /// Labels that narrow the culprit down, for a cause that this speaks for.
    pub(super) names: Labels,
    /// Why nobody can say, where `text` is no sentence of its own.
    pub(super) gap: Option<Gap>,
}

/// Why there is no answer to a look that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// Nothing measures it; the text is its name.
    Unmeasured,
    /// Nobody reports such changes; the text is their kind.
    Unreported,
    /// The question does not arise, such as comparing the peers of a service that runs alone.
    Idle,
}

impl Looked {
    pub(super) const fn new(seen: Option<bool>, text: String) -> Self {
        Self { seen, text, chance: None, names: Labels::new(), gap: None }
    }

    /// What no signal measures.
    pub(super) fn unmeasured(name: impl Into<String>) -> Self {
        Self { gap: Some(Gap::Unmeasured), ..Self::new(None, name.into()) }
    }

    /// Changes of a kind that nobody reports.
    pub(super) fn unreported(kind: &str) -> Self {
        Self { gap: Some(Gap::Unreported), ..Self::new(None, kind.to_owned()) }
    }

    /// A question that does not arise.
    pub(super) fn idle() -> Self {
        Self { gap: Some(Gap::Idle), ..Self::new(None, String::new()) }
    }
}

/// Everything that was looked up in one scene. Causes share most of their evidence, and some of it
/// reads weeks: each piece is looked up once.
pub(super) struct Looks<'a> {
    scene: &'a Scene<'a>,
    known: Vec<(View, &'a See, Looked)>,
}

impl<'a> Looks<'a> {
    /// Nothing looked up yet.
    pub(super) const fn new(scene: &'a Scene<'a>) -> Self {
        Self { scene, known: Vec::new() }
    }

    /// Weighs a piece of evidence from a point of view.
    pub(super) fn weigh(&mut self, view: View, evidence: &'a Evidence) -> Weighed {
        let view = if is_seen_alike(&evidence.see) { View::Inside } else { view };
        let known = self.known.iter().position(|(v, see, _)| *v == view && **see == evidence.see);
        let place = known.unwrap_or_else(|| {
            let looked = look(self.scene, view, &evidence.see);
            self.known.push((view, &evidence.see, looked));
            self.known.len() - 1
        });
        Weighed::new(evidence, &self.known[place].2)
    }
}

/// Whether it looks the same from where the callers stand.
const fn is_seen_alike(see: &See) -> bool {
    matches!(
        see,
        See::Change { .. }
            | See::NewVersionWorse
            | See::VersionsMixed
            | See::TrafficExplains
            | See::TrafficKnee
            | See::Services { .. }
            | See::PeerApart { .. }
            | See::AtBoundary
            | See::WindowsWorse { .. }
            | See::RecursByClock
            | See::ValueDominates { .. }
    )
}

fn look(scene: &Scene<'_>, view: View, see: &See) -> Looked {
    match see {
        See::RoleIs { role, is: RoleState::Climbing } => climbing(scene, view, *role),
        See::RoleIs { role, is } => role_is(scene, view, *role, *is),
        See::Order { first, then, within } => order(scene, view, (*first, *then), *within),
        See::Change { kinds, onset, within } => change(scene, kinds, *onset, *within),
        See::NewVersionWorse => versions::new_worse(scene),
        See::VersionsMixed => versions::mixed(scene),
        See::TrafficExplains => load::explains(scene),
        See::TrafficKnee => load::above_knee(scene),
        See::GoodputFlatWhileAttemptsGrow => load::goodput(scene, view),
        See::LoopClosing => closing(scene, view),
        See::Services { many } => calls::services(scene, *many),
        See::CalleeAnomalous => calls::callee(scene, view),
        See::Dependencies { several } => calls::dependencies(scene, view, *several),
        See::InsideMoved => calls::inside(scene, view),
        See::PeerApart { of } => peer::apart(scene, *of),
        See::AtBoundary => at_boundary(scene),
        See::WindowsWorse { kind } => recurrence::windows(scene, *kind),
        See::RecursByClock => recurrence::recurs(scene),
        See::ValueDominates { of, label } => dominance::look(scene, *of, label.as_deref()),
    }
}

fn role_is(scene: &Scene<'_>, view: View, role: Role, is: RoleState) -> Looked {
    let Some(strongest) = scene.strongest(view, role) else {
        return silent_role(scene, view, role, is);
    };
    let seen = match is {
        RoleState::Rising => scene.moved(view, role, Direction::Up),
        RoleState::Falling => scene.moved(view, role, Direction::Down),
        RoleState::Normal => scene.normal(view, role),
        RoleState::Silent => Some(false),
        // Has a look of its own: it asks what happened over hours.
        RoleState::Climbing => None,
    };
    let tracked = strongest.tracked;
    if seen == Some(true) && (role, is) == (Role::Retries, RoleState::Rising) {
        return retries_rise(scene, view, &strongest);
    }
    if seen.is_some() {
        return Looked::new(seen, movement(scene, tracked, strongest.score));
    }
    if scene.is_older(tracked) {
        return Looked::new(None, movement(scene, tracked, strongest.score));
    }
    let (now, usual) = against_usual(scene, tracked, scene.stands_at(tracked));
    let usual = usual.map_or_else(String::new, |usual| format!(" (usual {usual})"));
    Looked::new(None, format!("{} moved too little to say: {now}{usual}", describe(tracked)))
}

/// Retries that rise, as `strongest` does: whether any of them are more than a trickle.
fn retries_rise(scene: &Scene<'_>, view: View, strongest: &Seen<'_>) -> Looked {
    let is_load = |seen: &Seen<'_>| seen.score >= MOVED_MIN && !scene.is_trickle(seen.tracked);
    let told = |seen: &Seen<'_>| movement(scene, seen.tracked, seen.score);
    match scene.strongest_where(view, Role::Retries, is_load) {
        Some(load) => Looked::new(Some(true), told(&load)),
        None => {
            Looked::new(None, format!("{}: too few of all calls to be a load", told(strongest)))
        }
    }
}

/// A value of a series beside what is usual for it, as far as that is known.
fn against_usual(
    scene: &Scene<'_>,
    tracked: &Tracked,
    value: Option<f64>,
) -> (String, Option<String>) {
    let unit = scene.rules.signals[tracked.signal].unit.as_deref();
    let expected = scene.expected(tracked);
    let [now, usual] = format::optional_pair([value, expected], unit);
    (now, expected.map(|_| usual))
}

/// A role that cannot be judged now: nobody measures it, or it fell silent.
pub(super) fn silent_role(scene: &Scene<'_>, view: View, role: Role, is: RoleState) -> Looked {
    let known = scene.series_of(view, role).find(|tracked| tracked.baseline.is_some());
    match (known, is) {
        (Some(tracked), RoleState::Silent) => {
            Looked::new(Some(true), format!("{} is silent", describe(tracked)))
        }
        (Some(tracked), _) => {
            let is_silent = is_missed(&tracked.history, scene.at.0);
            let how = if is_silent { "is silent" } else { "cannot be judged now" };
            Looked::new(None, format!("{} {how}", describe(tracked)))
        }
        (None, _) if scene.series_of(view, role).next().is_some() => {
            let what = role.words();
            Looked::new(None, format!("{what} of {}: watched for too short a time", scene.root))
        }
        (None, _) => unmeasured_role(view, role),
    }
}

/// A role that nobody measures; calls to the root are measured by those who make them.
fn unmeasured_role(view: View, role: Role) -> Looked {
    let callers = if view == View::Outside && is_call(role) { " by its callers" } else { "" };
    Looked::unmeasured(format!("{}{callers}", role.words()))
}

/// A series and where it stands: `latency of web rose to 420 ms (usual 310 ms) since 02:12 UTC`,
/// `cpu of web: 11%, as usual`, `cpu of web has stood at 30% (usual 11%) since long before`.
pub(super) fn movement(scene: &Scene<'_>, tracked: &Tracked, score: f64) -> String {
    let unit = scene.rules.signals[tracked.signal].unit.as_deref();
    let name = describe(tracked);
    let is_older = score.abs() < MOVED_MIN && scene.is_older(tracked);
    if score.abs() < MOVED_MIN && !is_older {
        return format!("{name}: {}, as usual", format::optional(scene.stands_at(tracked), unit));
    }
    let (now, usual) = against_usual(scene, tracked, scene.moved_to(tracked));
    let usual = usual.unwrap_or_else(|| "not known".to_owned());
    if is_older {
        return format!("{name} has stood at {now} (usual {usual}) since long before");
    }
    let verb = if score > 0.0 { "rose to" } else { "fell to" };
    let since = tracked.drift.onset(Direction::of(score)).map_or_else(String::new, |onset| {
        let at = crate::engine::grid::block_start(onset.at);
        format!(" since {}", scene.clock_time(at))
    });
    let share = scene
        .share_of_calls(tracked)
        .map_or_else(String::new, |share| format!(", {} of the calls made", format::share(share)));
    format!("{name} {verb} {now}{share} (usual {usual}){since}")
}

fn order(scene: &Scene<'_>, view: View, roles: (Role, Role), within: Span) -> Looked {
    let (first, then) = roles;
    let (Some(a), Some(b)) = (scene.onset_of(view, first), scene.onset_of(view, then)) else {
        let blind = |role: &Role| scene.series_of(view, *role).next().is_none();
        let unmeasured = [first, then].into_iter().find(blind);
        // What did not move is told where a cause asks for it.
        return unmeasured.map_or_else(Looked::idle, |role| unmeasured_role(view, role));
    };
    // Onsets have widths: the order is denied only where these exclude each other.
    let overlap = a[0] <= b[2] && b[0] <= a[2];
    let seen = if a[1] <= b[1] + TIE {
        Some(b[1] - a[1] <= within)
    } else if overlap {
        None
    } else {
        Some(false)
    };
    let lag = (b[1] - a[1]).rough();
    let [first, then] = [first, then].map(Role::words);
    let apart = (b[1] - a[1]).as_millis().abs();
    let text = if apart <= TIE.as_millis() {
        format!("{first} and {then} began to move together")
    } else if a[1] <= b[1] {
        format!("{first} moved {lag} before {then}")
    } else {
        format!("{first} moved {} after {then}", (a[1] - b[1]).rough())
    };
    Looked::new(seen, text)
}
