//! What a review is about: which incidents of the replay, or which service where there is none.

use std::collections::BTreeSet;

use super::Watched;
use crate::engine::alert::{Alert, State};
use crate::time::{Span, Timestamp};

/// A service that was strong within this time of the instant asked about is taken where no
/// incident was open.
const NEAR: Span = Span::from_hours(1);

/// What a review is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// The service that it is mainly about.
    pub service: String,
    /// Every service in it, that one included.
    pub services: BTreeSet<String>,
    /// The incidents of the replay; none where nothing was told.
    pub incidents: Vec<String>,
    /// Why these, in words.
    pub because: String,
    /// The alert that says most about them; without one, what would have been in it.
    pub shown: Alert,
}

/// All that was told of one incident.
struct Story<'a> {
    alerts: Vec<&'a Alert>,
}

impl Story<'_> {
    fn began(&self) -> Timestamp {
        self.alerts.first().map_or(Timestamp::from_secs(0), |alert| alert.started_at)
    }

    /// When it was over; none while it lasted.
    fn over(&self) -> Option<Timestamp> {
        self.alerts.iter().find(|alert| alert.state == State::Resolved).map(|alert| alert.at)
    }

    fn holds(&self, at: Timestamp) -> bool {
        self.began() <= at && self.over().is_none_or(|over| at <= over)
    }

    fn concerns(&self, service: &str) -> bool {
        self.alerts.iter().any(|alert| alert.services.iter().any(|name| name == service))
    }

    /// How far the incident was from an instant.
    fn distance(&self, at: Timestamp) -> Span {
        let over = self.over().unwrap_or(at).max(self.began());
        if at < self.began() { self.began() - at } else { (at - over).max(Span::ZERO) }
    }
}

impl Subject {
    /// What was going on at an instant: the incidents of the wanted service, else those that were
    /// open, else the service that was strongest. None where no service was seen at all, or not
    /// the wanted one.
    pub fn choose(watched: &Watched, at: Timestamp, wanted: Option<&str>) -> Option<Self> {
        let mut stories = stories(&watched.alerts);
        if let Some(service) = wanted {
            stories.retain(|story| story.concerns(service));
        }
        let mut open: Vec<&Story<'_>> = stories.iter().filter(|story| story.holds(at)).collect();
        let mut because = match open.len() {
            1 => "the incident that was under way".to_owned(),
            n => format!("the {n} incidents that were under way"),
        };
        if open.is_empty() && wanted.is_some() {
            open.extend(stories.iter().min_by_key(|story| story.distance(at)));
            "no incident was under way: this is the nearest one".clone_into(&mut because);
        }
        match open.as_slice() {
            [] => Self::strongest(watched, at, wanted),
            open => Some(Self::of(open, wanted, because)),
        }
    }

    fn of(stories: &[&Story<'_>], wanted: Option<&str>, because: String) -> Self {
        let all = || stories.iter().flat_map(|story| &story.alerts);
        let services: BTreeSet<String> =
            all().flat_map(|alert| alert.services.iter().cloned()).collect();
        let mut incidents: Vec<String> = stories
            .iter()
            .filter_map(|story| Some(story.alerts.first()?.incident.clone()))
            .collect();
        incidents.dedup();
        // The last word that is not the end knows the most; among incidents, of the gravest one.
        let spoken = || all().filter(|alert| alert.state != State::Resolved);
        let gravest = spoken().map(|alert| alert.severity).max();
        let shown = spoken().rfind(|alert| Some(alert.severity) == gravest);
        let shown = shown.or_else(|| all().last()).map(|alert| (*alert).clone());
        let shown = shown.unwrap_or_else(|| nothing(String::new(), Timestamp::from_secs(0)));
        let service = wanted.map_or_else(|| shown.service.clone(), str::to_owned);
        Self { service, services, incidents, because, shown }
    }

    /// Nothing was told: the service that came nearest to it.
    fn strongest(watched: &Watched, at: Timestamp, wanted: Option<&str>) -> Option<Self> {
        let height = |name: &str, near: bool| {
            let course = watched.courses.all.get(name)?;
            let within = course.path.iter().filter(|point| !near || is_near(point.at, at));
            within.map(|point| point.reach.potential()).reduce(f64::max)
        };
        let names = || watched.courses.all.keys().map(String::as_str);
        let loudest = |near| {
            let heights = names().filter_map(|name| Some((height(name, near)?, name)));
            heights.max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))
        };
        let (service, because) = if let Some(wanted) = wanted {
            let service = names().find(|name| *name == wanted)?;
            (service, "nothing was told of the service that was asked for".to_owned())
        } else {
            let (height, service) = loudest(true).or_else(|| loudest(false))?;
            let what = "no incident was under way; this service was strongest";
            (service, format!("{what} ({height:.2} of a notice)"))
        };
        let service = service.to_owned();
        let course = watched.courses.all.get(&service)?;
        let mut shown = nothing(service.clone(), at);
        if let Some(peak) = &course.peak {
            shown.at = peak.at;
            shown.signals = peak.appraisal.moves.iter().map(|one| one.signal.clone()).collect();
            let onset = shown.signals.iter().map(|signal| signal.onset).min();
            shown.started_at = onset.unwrap_or(peak.at);
        }
        let services = BTreeSet::from([service.clone()]);
        Some(Self { service, services, incidents: Vec::new(), because, shown })
    }

    /// When it went on, as far as the replay shows.
    pub fn span(&self, watched: &Watched) -> [Timestamp; 2] {
        let mine = || watched.alerts.iter().filter(|alert| self.has(alert));
        let over =
            mine().filter(|alert| alert.state == State::Resolved).map(|alert| alert.at).max();
        let first = mine().map(|alert| alert.started_at).min().unwrap_or(self.shown.started_at);
        let last = if self.incidents.is_empty() { self.shown.at } else { watched.window[1] };
        [first - NEAR, over.unwrap_or(last) + NEAR]
    }

    /// Whether an alert is about it.
    pub fn has(&self, alert: &Alert) -> bool {
        self.incidents.contains(&alert.incident)
    }
}

fn is_near(point: Timestamp, at: Timestamp) -> bool {
    at - NEAR <= point && point <= at + NEAR
}

fn stories(alerts: &[Alert]) -> Vec<Story<'_>> {
    let mut stories: Vec<Story<'_>> = Vec::new();
    for alert in alerts {
        let same = |story: &&mut Story<'_>| story.alerts[0].incident == alert.incident;
        match stories.iter_mut().find(same) {
            Some(story) => story.alerts.push(alert),
            None => stories.push(Story { alerts: vec![alert] }),
        }
    }
    stories
}

/// An alert that was never told.
fn nothing(service: String, at: Timestamp) -> Alert {
    Alert { title: "nothing was told".to_owned(), ..Alert::plain("", service, at) }
}
