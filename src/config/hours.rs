//! Hours of the week in a time zone: of routes, quiet hours and maintenance.

use jiff::tz::TimeZone;

use super::poll::timezone;
use crate::hours::Schedule;
use crate::problem::Table;

/// More hours in one list than this are refused: a year's exceptions are no weekly hours.
const HOURS_MAX: usize = 50;

/// `hours` and `timezone` of a table; `usual` is the zone unless told otherwise.
pub(super) fn schedule(table: &Table<'_>, usual: &TimeZone) -> Option<Schedule> {
    let timezone = if table.has("timezone") { timezone(table) } else { Some(usual.clone()) };
    table.know(&["timezone"]);
    if table.has("timezone") && !table.has("hours") {
        let message = format!("`timezone` without `hours` {}", table.whereabouts());
        let hint = "add `hours = [\"Mon-Fri 09:00-17:00\"]`, or remove it";
        table.report(table.error(table.at_key("timezone"), message).hint(hint));
    }
    let texts = table.texts("hours")?;
    if texts.is_empty() || HOURS_MAX < texts.len() {
        let what = format!("must hold 1 to {HOURS_MAX} hours");
        table.wrong("hours", &table.at_value("hours"), &what);
        return None;
    }
    let mut hours = Vec::with_capacity(texts.len());
    for text in &texts {
        match text.value.parse() {
            Ok(found) => hours.push(found),
            Err(problem) => {
                let hint = "write days and times of 24 hours: `Mon-Fri 09:00-17:00`, \
                            `Sat,Sun 00:00-24:00`, or `22:00-07:00` for every night";
                table.wrong_hint("hours", &text.at, &format!("{problem}"), hint);
            }
        }
    }
    (hours.len() == texts.len()).then_some(Schedule { hours, timezone: timezone? })
}
