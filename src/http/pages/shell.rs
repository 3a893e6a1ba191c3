//! What all pages have in common: where one is, how fresh it is, and what to say aloud when it
//! changes.

use serde::Serialize;

use super::assets::ASSETS;
use super::view::{Reader, When, counted};
use super::{Facts, read};
use crate::http::{Api, login};
use crate::notify::chart::zone_name;
use crate::time::{Span, Timestamp};

/// Data older than this, and than some ticks, is worth a warning.
const STALE_AFTER: Span = Span::from_mins(5);
/// Ticks that may be missing before that is said.
const TICKS_MISSED: i64 = 3;

/// The pages, as the bar lists them: address and name.
const PAGES: [(&str, &str); 8] = [
    ("/", "Fleet"),
    ("/incidents", "Incidents"),
    ("/changes", "Changes"),
    ("/rules", "Rules"),
    ("/coverage", "Coverage"),
    ("/silences", "Silences"),
    ("/digests", "Digests"),
    ("/status", "Status"),
];

/// What all pages have in common.
#[derive(Debug, Serialize)]
pub(super) struct Shell {
    style: String,
    script: String,
    icon: String,
    pages: Vec<Entry>,
    /// The newest tick.
    at: Option<When>,
    /// Why what is shown is not how it is now; none when all is well.
    stale: Option<String>,
    /// Whose clock it is.
    zone: String,
    /// What is said aloud when it changes.
    aloud: String,
    /// Where to log in and out; none where nobody needs to.
    login: Option<String>,
}

#[derive(Debug, Serialize)]
struct Entry {
    url: &'static str,
    name: &'static str,
    here: bool,
    /// Incidents that go on, beside the name.
    count: u64,
}

impl Shell {
    /// For a page of the bar, or for none of them.
    pub(super) async fn new(api: &Api, here: &'static str) -> Self {
        let (now, facts) = ((api.now)(), &api.facts);
        let at = api.live.overview().at;
        // What cannot be counted is told by the page itself.
        let open = read(api, |store| store.incident_counts()).await.map_or(0, |(open, _)| open);
        let entry = |(url, name): (&'static str, &'static str)| {
            let count = if url == "/incidents" { open } else { 0 };
            Entry { url, name, here: url == here, count }
        };
        Self {
            style: ASSETS.address("style.css"),
            script: ASSETS.address("app.js"),
            icon: ASSETS.address("icon.svg"),
            pages: PAGES.map(entry).into(),
            at: at.map(|at| Reader { now, zone: &facts.zone }.clock(at)),
            stale: stale(at, now, facts),
            zone: zone_name(&facts.zone),
            login: (!api.config.tokens.is_empty()).then(|| login::address(here)),
            aloud: match open {
                0 => "No incident is open.".to_owned(),
                open => format!("{} open.", counted(open, "incident")),
            },
        }
    }
}

/// What a reader should know about the age of what is shown.
fn stale(at: Option<Timestamp>, now: Timestamp, facts: &Facts) -> Option<String> {
    let Some(at) = at else {
        return Some(format!(
            "No tick was processed yet: the backend is away, or up to {} of history are being \
             read to learn what is normal.",
            facts.history
        ));
    };
    let patience = STALE_AFTER.max(facts.interval.times(TICKS_MISSED));
    let age = now - at;
    (age > patience).then(|| {
        format!(
            "The newest data is {} old: the backend is away or slow, or ticks are being caught up.",
            age.rough()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_data_is_told() {
        let (facts, now) = (Facts::default(), Timestamp::from_secs(1_772_331_000));
        let said = |at| stale(at, now, &facts);
        assert!(said(None).is_some_and(|said| said.contains("up to 4w of history")));
        assert_eq!(said(Some(now - Span::from_mins(5))), None);
        assert!(said(Some(now - Span::from_mins(6))).is_some_and(|said| said.contains("6m old")));
        let hourly = Facts { interval: Span::HOUR, ..Facts::default() };
        assert_eq!(stale(Some(now - Span::HOUR.times(2)), now, &hourly), None);
    }
}
