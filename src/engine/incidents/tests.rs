//! What opens, and what finds no room.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::*;
use crate::engine::Settings;
use crate::engine::service::Service;
use crate::rules::Rules;
use crate::time::Timestamp;

#[test]
fn trouble_that_finds_no_room_is_in_the_report() {
    let now = Timestamp::from_secs(1_772_409_600);
    let settings = Settings {
        interval: Span::MINUTE,
        history: Span::WEEK,
        timezone: TimeZone::UTC,
        alerts_from: now,
        pages_url: None,
        source_url: None,
    };
    let rules = Arc::new(Rules::default());
    let mut engine = Engine::new(rules.clone(), settings);
    let onset = Onset { at: now, range: [now, now] };
    for n in 0..INCIDENTS_MAX {
        let silent = Incident::open(Kind::Silence, &format!("s{n}"), onset, now);
        engine.state.incidents.push(silent);
    }
    engine.state.services.insert("shop".to_owned(), Service::new(&rules.budget));
    let loud = Standing { notice: 2.0, alert: 1.0 };
    let standings = BTreeMap::from([("shop".to_owned(), loud)]);
    let mut outcome = Outcome::default();
    let planned = Planned::default();
    engine.open_drifts((&standings, &planned), &BTreeMap::new(), (block_of(now), 0), &mut outcome);
    let told = [("shop".to_owned(), Silence::TooManyIncidents { open: INCIDENTS_MAX })];
    assert_eq!(outcome.report.silences, told);
    assert_eq!(engine.state.incidents.len(), INCIDENTS_MAX);
}
