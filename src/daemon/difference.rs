//! What is different between two configurations, in a line for each thing.

use std::collections::BTreeMap;
use std::fmt::Debug;

use crate::config::Config;

/// All that can be said of a part.
type Text = fn(&Config) -> String;

/// Things of one kind that are named before they are counted.
const NAMED_MAX: usize = 8;

/// One line for each kind of thing that is different. Secrets and templates do not show what is in
/// them: where only these differ, there is no line.
pub(super) fn differences(before: &Config, after: &Config) -> Vec<String> {
    let named = [
        of(
            "signal",
            |config: &Config| texts(&config.rules.signals, |one| &one.name),
            before,
            after,
        ),
        of("cause", |config| texts(&config.rules.causes, |one| &one.id), before, after),
        of(
            "service",
            |config| {
                let all = config.rules.services.iter();
                all.map(|(name, one)| (name.clone(), format!("{one:?}"))).collect()
            },
            before,
            after,
        ),
        of("receiver", |config| texts(&config.receivers, |one| &one.name), before, after),
    ];
    let parts: [(&str, Text); 13] = [
        ("[poll]", |config| format!("{:?}", config.poll)),
        ("[budget]", |config| format!("{:?}", config.rules.budget)),
        ("[source]", |config| format!("{:?}", config.source)),
        ("[http]", |config| format!("{:?}", config.http)),
        ("[heartbeat]", |config| format!("{:?}", config.heartbeat)),
        ("[topology]", |config| format!("{:?}", config.rules.topology)),
        ("[[change]]", |config| format!("{:?} {:?}", config.rules.changes, config.annotations)),
        ("[[maintenance]]", |config| format!("{:?}", config.rules.maintenance)),
        ("[[route]]", |config| format!("{:?}", config.routes)),
        ("quiet hours", |config| format!("{:?}", config.quiet)),
        ("[digest]", |config| format!("{:?}", config.digest)),
        ("[log]", |config| config.runtime.log.clone()),
        ("[reload]", |config| config.runtime.watch.to_string()),
    ];
    let parts = parts.into_iter().filter(|(_, text)| text(before) != text(after));
    named.into_iter().flatten().chain(parts.map(|(name, _)| format!("{name} changed"))).collect()
}

/// Things by name, each with everything that can be said of it.
type Named = BTreeMap<String, String>;

fn texts<T: Debug>(all: &[T], name: impl Fn(&T) -> &String) -> Named {
    all.iter().map(|one| (name(one).clone(), format!("{one:?}"))).collect()
}

/// Which things of one kind came, changed and went.
fn of(
    kind: &str,
    named: impl Fn(&Config) -> Named,
    before: &Config,
    after: &Config,
) -> Vec<String> {
    let (before, after) = (named(before), named(after));
    let came: Vec<&String> = after.keys().filter(|name| !before.contains_key(*name)).collect();
    let went: Vec<&String> = before.keys().filter(|name| !after.contains_key(*name)).collect();
    let differs = |name: &&String| before.get(*name).is_some_and(|old| old != &after[*name]);
    let changed: Vec<&String> = after.keys().filter(differs).collect();
    [("added", came), ("changed", changed), ("removed", went)]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| line(kind, what, &names))
        .collect()
}

fn line(kind: &str, what: &str, names: &[&String]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMED_MAX).map(|name| name.as_str()).collect();
    let more = names.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{kind}{plural} {what}: {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::heartbeat::{HeartbeatConfig, Method};
    use crate::notify::post::PostConfig;
    use crate::rules::{Role, Signal};
    use crate::time::Span;

    #[test]
    fn each_kind_of_thing_is_told_once() {
        let before = Config::default();
        let mut after = before.clone();
        after.rules.signals.push(Signal::plain("p99", Role::Latency));
        after.rules.budget.alerts_per_week = 3.0;
        assert_eq!(differences(&before, &before), Vec::<String>::new());
        assert_eq!(differences(&before, &after), ["signal added: p99", "[budget] changed"]);
        assert_eq!(differences(&after, &before), ["signal removed: p99", "[budget] changed"]);
        let mut beating = before.clone();
        let post = PostConfig { url: "http://a/".into(), headers: Vec::new(), ca_file: None };
        let (method, every) = (Method::Get, Span::MINUTE);
        beating.heartbeat = Some(HeartbeatConfig { post, method, every });
        assert_eq!(differences(&before, &beating), ["[heartbeat] changed"]);
        let mut changed = after.clone();
        changed.rules.signals[0].query = "p99 > 0".to_owned();
        assert_eq!(differences(&after, &changed), ["signal changed: p99"]);
    }

    #[test]
    fn many_names_are_counted() {
        let before = Config::default();
        let mut after = before.clone();
        let names = (0..12).map(|n| Signal::plain(&format!("s{n:02}"), Role::Latency));
        after.rules.signals.extend(names);
        let lines = differences(&before, &after);
        assert_eq!(lines, ["signals added: s00, s01, s02, s03, s04, s05, s06, s07 and 4 more"]);
    }
}
