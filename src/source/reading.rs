//! What a backend said about a range of ticks: kept by series, told tick by tick.

use std::sync::Arc;

use super::SourceError;
use super::column::{Answer, Column};
use super::decode::Head;
use super::plan::{Asked, Key, ReadPlan};
use super::table::Table;
use crate::changes::SeenChanges;
use crate::rules::ChangeRule;
use crate::series::{Batch, Unanswered};
use crate::time::{Span, Timestamp};

/// Values that one reading holds, gaps included: half a gigabyte.
pub const VALUES_MAX: usize = 1 << 26;

/// Warnings that one reading holds.
const WARNINGS_MAX: usize = 100;

/// Characters of one warning or reason.
const WARNING_CHARS_MAX: usize = 400;

/// What a backend said about a range of ticks.
#[derive(Debug)]
pub struct Reading {
    first: Timestamp,
    step: Span,
    /// Ticks that were read; fewer than asked for if the backend went away meanwhile.
    ticks: usize,
    answers: Vec<Answer>,
    gaps: Vec<Gap>,
    changes: Arc<[ChangeRule]>,
    warnings: Warnings,
    stopped: Option<SourceError>,
    values: usize,
    /// The next tick to tell.
    cursor: usize,
}

/// Ticks at which a query was not answered.
#[derive(Debug)]
struct Gap {
    query: usize,
    ticks: std::ops::Range<usize>,
    reason: String,
}

/// Texts for the user, each once, not too many.
#[derive(Debug, Default)]
struct Warnings {
    texts: Vec<String>,
    left_out: usize,
}

impl Reading {
    /// Whether there is a tick that was not told yet.
    pub fn has_next(&self) -> bool {
        self.cursor < self.ticks
    }

    /// Tells the next tick, in order; `None` after the last one.
    ///
    /// `seen` goes along from tick to tick and from reading to reading; it turns the rows of
    /// change queries into events.
    pub fn next_batch(&mut self, seen: &mut SeenChanges) -> Option<(Timestamp, Batch)> {
        let index = self.cursor;
        if !self.has_next() {
            return None;
        }
        self.cursor += 1;
        let tick = self.tick(index);
        let mut batch = Batch { span: self.step, ..Batch::default() };
        for gap in self.gaps.iter().filter(|gap| gap.ticks.contains(&index)) {
            if let Asked::Signal(signal) | Asked::Traffic(signal) = &self.answers[gap.query].asked
                && !batch.unanswered.iter().any(|other| *other.signal == **signal)
            {
                let (signal, reason) = (signal.to_string(), gap.reason.clone());
                batch.unanswered.push(Unanswered { signal, reason });
            }
        }
        for answer in &self.answers {
            match &answer.asked {
                // A signal whose traffic is unknown cannot be believed either.
                Asked::Signal(signal) | Asked::Traffic(signal)
                    if batch.unanswered.iter().any(|other| *other.signal == **signal) => {}
                Asked::Signal(_) => batch.samples.extend(answer.samples(index)),
                Asked::Traffic(_) => batch.traffic.extend(answer.samples(index)),
                Asked::Change(rule) => {
                    let rows = answer.change_rows(index);
                    batch.changes.extend(seen.notice(&self.changes[*rule], tick, &rows));
                }
                Asked::Topology => batch.calls.extend(answer.calls(index)),
            }
        }
        Some((tick, batch))
    }

    /// How many ticks were read.
    pub fn ticks(&self) -> usize {
        self.ticks
    }

    /// The first tick that was not read: where the next reading begins.
    pub fn next_tick(&self) -> Timestamp {
        self.tick(self.ticks)
    }

    /// Why the reading ends before the last tick that was asked for, if it does: the backend
    /// went away. The ticks that it has are complete.
    pub fn stopped(&self) -> Option<&SourceError> {
        self.stopped.as_ref()
    }

    /// What the user should know: the backend's own warnings, rows that were left out or share
    /// a series. Each once; at most a hundred.
    pub fn warnings(&self) -> Vec<String> {
        let mut texts = self.warnings.texts.clone();
        if 0 < self.warnings.left_out {
            texts.push(format!("{} more warnings are left out", self.warnings.left_out));
        }
        texts
    }

    /// Every signal with the number of series that have a value anywhere in the reading, in
    /// order of the rules.
    pub fn series_by_signal(&self) -> impl Iterator<Item = (&str, usize)> {
        self.answers.iter().filter_map(|answer| match &answer.asked {
            Asked::Signal(signal) => {
                Some((&**signal, answer.columns.iter().filter(|c| !c.values.is_empty()).count()))
            }
            _ => None,
        })
    }

    /// Nothing read yet.
    pub(super) fn new(plan: &ReadPlan, first: Timestamp, step: Span) -> Self {
        let answers = plan.queries.iter().map(|query| Answer {
            asked: query.asked.clone(),
            name: query.name.clone(),
            merge: query.merge,
            columns: Vec::new(),
            table: 0,
        });
        Self {
            first,
            step,
            ticks: 0,
            answers: answers.collect(),
            gaps: Vec::new(),
            changes: Arc::clone(&plan.changes),
            warnings: Warnings::default(),
            stopped: None,
            values: 0,
            cursor: 0,
        }
    }

    /// The instant of a tick index.
    pub(super) fn tick(&self, index: usize) -> Timestamp {
        self.first + self.step.times(i64::try_from(index).unwrap_or(i64::MAX))
    }

    /// All ticks before this one are complete.
    pub(super) fn complete_until(&mut self, tick: usize) {
        self.ticks = tick;
    }

    /// The last word: columns in an order that does not depend on earlier readings.
    pub(super) fn finish(mut self, stopped: Option<SourceError>) -> Self {
        for answer in &mut self.answers {
            answer.finish();
        }
        self.stopped = stopped;
        self
    }

    /// A query was not answered at some ticks.
    pub(super) fn add_gap(&mut self, query: usize, ticks: std::ops::Range<usize>, reason: &str) {
        let answer = &self.answers[query];
        let reason = match answer.asked {
            Asked::Signal(_) => shortened(reason),
            _ => shortened(&format!("{}: {reason}", answer.name)),
        };
        if matches!(answer.asked, Asked::Change(_) | Asked::Topology) {
            self.warnings.add(reason.clone());
        }
        self.gaps.push(Gap { query, ticks, reason });
    }

    /// A query's answer had something to say beside its rows.
    pub(super) fn warn_of_answer(&mut self, query: usize, head: &Head) {
        for warning in &head.warnings {
            self.warn(query, warning);
        }
        if head.is_partial {
            self.warn(query, "the answer is partial: some of the backend's storage is away");
        }
    }

    fn warn(&mut self, query: usize, text: &str) {
        self.warnings.add(shortened(&format!("{}: {text}", self.answers[query].name)));
    }

    /// Adds the rows of one answer to query number `query`.
    pub(super) fn add(
        &mut self,
        plan: &mut ReadPlan,
        query: usize,
        table: &Table<'_>,
    ) -> Result<(), SourceError> {
        let answer = &mut self.answers[query];
        answer.table += 1;
        let (mut shared, mut beyond, mut example) = (0usize, 0usize, None);
        for row in 0..table.len() {
            let texts = || table.texts(row).into_iter().map(str::to_owned).collect();
            let Some((slot, key)) = plan.slot(query, table.fingerprint(row), texts) else {
                beyond += 1;
                continue;
            };
            if answer.columns.len() <= slot {
                answer.columns.resize_with(slot + 1, Column::default);
            }
            let column = &mut answer.columns[slot];
            if column.key.is_none() {
                column.own(key, table.fingerprint(row));
            }
            if std::mem::replace(&mut column.table, answer.table) == answer.table {
                shared += 1;
                example.get_or_insert(slot);
            }
            for &(tick, value) in table.points(row) {
                self.values += column.set(tick, value, answer.merge);
            }
            if VALUES_MAX < self.values {
                return Err(SourceError::Range {
                    from: self.first.to_string(),
                    to: table.end().to_string(),
                    step: self.step.to_string(),
                    reason: format!("it is more than {VALUES_MAX} values; read a shorter range"),
                });
            }
        }
        let example = example.and_then(|slot| answer.columns[slot].key.clone());
        self.warn_of_rows(query, table, beyond, example.map(|key| (shared, key)));
        Ok(())
    }

    fn warn_of_rows(
        &mut self,
        query: usize,
        table: &Table<'_>,
        beyond: usize,
        shared: Option<(usize, Key)>,
    ) {
        let notes = &table.notes;
        if 0 < notes.unnamed {
            let names = &table.wanted().names[..table.wanted().required];
            let names = names.join("` or `");
            self.warn(
                query,
                &format!("{} rows without the label `{names}` are left out", notes.unnamed),
            );
        }
        if 0 < notes.histograms {
            let text = "rows that are native histograms are left out; apply histogram_quantile";
            self.warn(query, &format!("{} {text}", notes.histograms));
        }
        if 0 < notes.off_grid {
            self.warn(query, &format!("{} points beside the grid are left out", notes.off_grid));
        }
        if 0 < beyond {
            let text = "rows beyond the limit of series are left out; aggregate in the query";
            self.warn(query, &format!("{beyond} {text}"));
        }
        if let (Some((more, Key::Series(series))), Asked::Signal(_)) =
            (shared, &self.answers[query].asked)
        {
            let others: Vec<&str> = notes.others.iter().map(String::as_str).collect();
            let others = match others.as_slice() {
                [] => "a further label".to_owned(),
                others => format!("`{}`", others.join("` or `")),
            };
            self.warn(
                query,
                &format!(
                    "{more} rows fall on a series that another row has, such as {series}; the \
                     worst of them counts: add {others} to `split`, or aggregate in the query"
                ),
            );
        }
    }
}

impl Warnings {
    fn add(&mut self, text: String) {
        if self.texts.contains(&text) {
            return;
        }
        if self.texts.len() < WARNINGS_MAX {
            self.texts.push(text);
        } else {
            self.left_out += 1;
        }
    }
}

/// A text of bounded length: backends repeat whole queries in their messages.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(WARNING_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_short_told_once_and_not_too_many() {
        let mut warnings = Warnings::default();
        for n in 0..WARNINGS_MAX + 5 {
            warnings.add(n.to_string());
            warnings.add(n.to_string());
        }
        assert_eq!(warnings.texts.len(), WARNINGS_MAX);
        let long = shortened(&"é".repeat(10_000));
        assert_eq!(long.chars().count(), WARNING_CHARS_MAX + 1);
        assert!(long.ends_with('…'));
        assert_eq!(shortened("short"), "short");
    }
}
