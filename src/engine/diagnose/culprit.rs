//! Who or what a cause blames, and whom its alert should name.

use crate::engine::alert::Culprit;
use crate::engine::diagnose::scene::{MOVED_MIN, Scene, View, is_call};
use crate::engine::diagnose::weights::Weighed;
use crate::rules::{Cause, Role, RoleState, See};

/// What shows the best evidence of a cause.
enum Defining {
    /// Calls to this dependency.
    Calls(String),
    /// A series of this service.
    Of(String),
}

impl Scene<'_> {
    /// Who or what a cause blames: the dependency that calls go to, where calls are what defines
    /// the cause, else the root; narrowed down by what was seen and speaks for it.
    pub(super) fn culprit(&self, view: View, cause: &Cause, weighed: &[Weighed]) -> Culprit {
        let mut culprit = Culprit { service: self.root.clone(), ..Culprit::default() };
        match self.defining(view, cause) {
            Some(Defining::Calls(dependency)) => {
                culprit.labels.insert(Culprit::DEPENDENCY.to_owned(), dependency);
            }
            Some(Defining::Of(service)) => culprit.service = service,
            None => {}
        }
        let speaks = weighed.iter().filter(|w| w.seen == Some(true) && w.llr > 0.0);
        for (label, value) in speaks.flat_map(|w| &w.names) {
            culprit.labels.entry(label.clone()).or_insert_with(|| value.clone());
        }
        if let Some(dependency) = culprit.dependency().map(str::to_owned) {
            culprit.service = dependency;
        }
        culprit
    }

    /// Where the role has risen that tells a cause best from others: the dependency that its
    /// calls go to, or the service that shows it.
    fn defining(&self, view: View, cause: &Cause) -> Option<Defining> {
        let mut states: Vec<(f64, Role)> = cause
            .evidence
            .iter()
            .filter(|e| e.likely > e.otherwise)
            .filter_map(|e| match e.see {
                See::RoleIs { role, is: RoleState::Rising | RoleState::Climbing } => {
                    Some((e.likely / e.otherwise, role))
                }
                _ => None,
            })
            .collect();
        states.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (_, best) = states.first()?;
        let risen = |role| self.strongest(view, role).filter(|seen| seen.score >= MOVED_MIN);
        if !is_call(*best) {
            return Some(Defining::Of(risen(*best)?.tracked.series.service.clone()));
        }
        let mut calls = states.into_iter().map(|(_, role)| role).filter(|role| is_call(*role));
        calls.find_map(|role| risen(role)?.tracked.series.dependency.clone()).map(Defining::Calls)
    }

    /// The service that an alert about a cause should name: the caller that suffers most where
    /// calls are to blame, else the root.
    pub(super) fn subject(&self, view: View) -> String {
        let calls = [Role::DependencyLatency, Role::DependencyErrors, Role::Retries];
        let caller = calls
            .into_iter()
            .filter_map(|role| self.strongest(view, role))
            .find(|seen| seen.score >= MOVED_MIN)
            .map(|seen| seen.tracked.series.service.clone());
        match (view, caller) {
            (View::Outside, Some(caller)) => caller,
            _ => self.root.clone(),
        }
    }
}
