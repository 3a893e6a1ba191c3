//! `[log]` and `[reload]`: what concerns the running program alone.

use tracing_subscriber::EnvFilter;

use crate::problem::{Table, quoted};

/// What is logged unless told otherwise.
const FILTER: &str = "info";

/// How the program runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// A level, or a list such as `info,grayflag::source=debug`; it is one.
    pub log: String,
    /// Whether changed files are taken up without being asked.
    pub watch: bool,
}

impl Default for Runtime {
    fn default() -> Self {
        Self { log: FILTER.to_owned(), watch: true }
    }
}

/// Reads both sections.
pub(super) fn runtime(root: &Table<'_>) -> Runtime {
    let default = Runtime::default();
    let log = root.table("log").map_or(default.log, |table| {
        let filter = filter(&table).unwrap_or_else(|| FILTER.to_owned());
        table.finish();
        filter
    });
    let watch = root.table("reload").map_or(default.watch, |table| {
        let watch = table.boolean("watch").map_or(default.watch, |watch| watch.value);
        table.finish();
        watch
    });
    Runtime { log, watch }
}

fn filter(table: &Table<'_>) -> Option<String> {
    let text = table.filled("filter")?;
    if let Err(problem) = EnvFilter::try_new(text.value) {
        let what = format!("{} is no filter of log lines: {problem}", quoted(text.value));
        let hint = "for example \"info\" or \"info,grayflag::source=debug\"";
        table.wrong_hint("filter", &text.at, &what, hint);
    }
    Some(text.value.to_owned())
}
