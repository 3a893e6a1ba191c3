//! The rows of one range answer, compact: the labels that matter in one text, points by tick.

use std::collections::BTreeSet;
use std::ops::Range;

use super::decode::Rows;
use crate::series::stable_hash;
use crate::time::{Span, Timestamp};

/// Label names that are listed in a warning.
const OTHERS_MAX: usize = 8;

/// The labels of a query's rows that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Label names, the required ones first.
    pub names: Vec<String>,
    /// A row in which one of the first so many is missing or empty is left out.
    pub required: usize,
    /// Whether all further labels matter too, joined to one more text.
    pub rest: bool,
}

/// The instants that one request asks for, and the tick that the first of them stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// First instant asked for.
    pub start: Timestamp,
    /// Distance.
    pub step: Span,
    /// How many instants.
    pub points: usize,
    /// Index of the first one's tick in the reading.
    pub tick: usize,
}

/// The rows of one answer.
#[derive(Debug)]
pub(super) struct Table<'a> {
    wanted: &'a Wanted,
    window: Window,
    rows: Vec<RowEnd>,
    /// All texts, one after another: for each row the wanted labels in order, then the rest.
    arena: String,
    /// Where each text ends in the arena.
    text_ends: Vec<usize>,
    /// Tick index and value; finite only.
    points: Vec<(usize, f64)>,
    /// The current row's wanted labels.
    current: Vec<String>,
    /// The current row's further labels, if they matter.
    rest: Vec<(String, String)>,
    /// What was left out or stands out.
    pub notes: Notes,
}

/// What was left out of a table or stands out in it.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Rows without a required label.
    pub unnamed: usize,
    /// Points that lie on none of the instants asked for.
    pub off_grid: usize,
    /// Rows that are native histograms.
    pub histograms: usize,
    /// Names of labels that the query returns and nobody asked for, from the first row.
    pub others: BTreeSet<String>,
}

#[derive(Debug)]
struct RowEnd {
    fingerprint: u128,
    points: usize,
}

impl Wanted {
    /// Texts per row.
    fn width(&self) -> usize {
        self.names.len() + usize::from(self.rest)
    }
}

impl Window {
    /// The last instant asked for.
    pub(super) fn end(&self) -> Timestamp {
        self.start + self.step.times(i64::try_from(self.points.saturating_sub(1)).unwrap_or(0))
    }

    /// The first and the second half; `None` for a single instant.
    pub(super) fn halves(self) -> Option<[Self; 2]> {
        let first = self.points / 2;
        let shift = self.step.times(i64::try_from(first).ok()?);
        (0 < first).then(|| {
            [
                Self { points: first, ..self },
                Self {
                    start: self.start + shift,
                    points: self.points - first,
                    tick: self.tick + first,
                    ..self
                },
            ]
        })
    }

    /// The tick index of an instant; `None` beside the grid and outside of the window.
    fn tick_of(&self, seconds: f64) -> Option<usize> {
        let offset = Timestamp::from_secs_f64(seconds)?.as_millis() - self.start.as_millis();
        let step = self.step.as_millis();
        let index = usize::try_from(offset / step).ok()?;
        (0 <= offset && offset % step == 0 && index < self.points).then_some(self.tick + index)
    }
}

impl<'a> Table<'a> {
    /// No rows yet.
    pub(super) fn new(wanted: &'a Wanted, window: Window) -> Self {
        Self {
            wanted,
            window,
            rows: Vec::new(),
            arena: String::new(),
            text_ends: Vec::new(),
            points: Vec::new(),
            current: vec![String::new(); wanted.names.len()],
            rest: Vec::new(),
            notes: Notes::default(),
        }
    }

    /// The last instant that was asked for.
    pub(super) fn end(&self) -> Timestamp {
        self.window.end()
    }

    /// The labels that matter.
    pub(super) fn wanted(&self) -> &Wanted {
        self.wanted
    }

    /// How many rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// A hash of the row's texts: rows of the same query with equal ones are the same series.
    pub(super) fn fingerprint(&self, row: usize) -> u128 {
        self.rows[row].fingerprint
    }

    /// The row's wanted labels in order, then the rest; empty where there is none.
    pub(super) fn texts(&self, row: usize) -> Vec<&str> {
        let width = self.wanted.width();
        texts(&self.arena, &self.text_ends, row * width..(row + 1) * width)
    }

    /// The row's finite points, as index of the tick in the reading and value.
    pub(super) fn points(&self, row: usize) -> &[(usize, f64)] {
        let start = if row == 0 { 0 } else { self.rows[row - 1].points };
        &self.points[start..self.rows[row].points]
    }
}

impl Rows for Table<'_> {
    fn label(&mut self, name: &str, value: &str) {
        if let Some(index) = self.wanted.names.iter().position(|wanted| wanted == name) {
            value.clone_into(&mut self.current[index]);
        } else if name == "__name__" || value.is_empty() {
            // Whether functions keep the name differs between backends, so it identifies nothing.
        } else if self.wanted.rest {
            self.rest.push((name.to_owned(), value.to_owned()));
        } else if self.rows.is_empty() && self.notes.others.len() < OTHERS_MAX {
            self.notes.others.insert(name.to_owned());
        }
    }

    fn point(&mut self, seconds: f64, value: f64) {
        match self.window.tick_of(seconds) {
            Some(tick) if value.is_finite() => self.points.push((tick, value)),
            Some(_) => {}
            None => self.notes.off_grid += 1,
        }
    }

    fn histograms(&mut self) {
        self.notes.histograms += 1;
    }

    fn end_row(&mut self) {
        if self.current.iter().take(self.wanted.required).any(String::is_empty) {
            self.points.truncate(self.rows.last().map_or(0, |row| row.points));
            self.notes.unnamed += 1;
        } else {
            for text in &self.current {
                self.arena.push_str(text);
                self.text_ends.push(self.arena.len());
            }
            if self.wanted.rest {
                self.rest.sort();
                self.arena.push_str(&joined(&self.rest));
                self.text_ends.push(self.arena.len());
            }
            let ends = self.text_ends.len();
            let row = texts(&self.arena, &self.text_ends, ends - self.wanted.width()..ends);
            let fingerprint = stable_hash(&row);
            self.rows.push(RowEnd { fingerprint, points: self.points.len() });
        }
        self.current.iter_mut().for_each(String::clear);
        self.rest.clear();
    }
}

/// The texts with these numbers.
fn texts<'a>(arena: &'a str, ends: &[usize], numbers: Range<usize>) -> Vec<&'a str> {
    let mut start = if numbers.start == 0 { 0 } else { ends[numbers.start - 1] };
    ends[numbers]
        .iter()
        .map(|&end| {
            let text = arena.get(start..end).unwrap_or_default();
            start = end;
            text
        })
        .collect()
}

/// The labels that tell rows apart, for a reader: the value alone where there is only one.
fn joined(labels: &[(String, String)]) -> String {
    if let [(_, value)] = labels {
        return value.clone();
    }
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::decode::decode;
    use super::*;

    fn wanted(names: &[&str], rest: bool) -> Wanted {
        Wanted { names: names.iter().map(|&n| n.to_owned()).collect(), required: 1, rest }
    }

    fn window(points: usize) -> Window {
        let step = Span::from_secs(30);
        Window { start: Timestamp::from_secs(1_000), step, points, tick: 5 }
    }

    fn table<'a>(wanted: &'a Wanted, rows: &str) -> Table<'a> {
        let body = format!(r#"{{"status":"success","data":{{"result":[{rows}]}}}}"#);
        let mut table = Table::new(wanted, window(4));
        decode(body.as_bytes(), &mut table).unwrap();
        table
    }

    #[test]
    fn declared_labels_identify_rows_and_nothing_else_does() {
        let wanted = wanted(&["service", "instance"], false);
        let rows = r#"{"metric":{"__name__":"m","instance":"1","service":"web"},"values":[]},
            {"metric":{"service":"web","path":"/","instance":"1"},"values":[[1000,"1"],[1090,"2"]]},
            {"metric":{"service":"we","instance":"b1"},"values":[]},
            {"metric":{"instance":"1"},"values":[[1000,"7"]]},
            {"metric":{"service":"","instance":"1"},"value":[1000,"7"]},
            {"metric":{"service":"web"},"value":[1000,"8"]}"#;
        let table = table(&wanted, rows);
        assert_eq!(table.len(), 4);
        assert_eq!(table.fingerprint(0), table.fingerprint(1));
        assert_ne!(table.fingerprint(0), table.fingerprint(2));
        assert_eq!(table.texts(2), ["we", "b1"]);
        assert_eq!(table.texts(3), ["web", ""]);
        assert_eq!(table.points(1), [(5, 1.0), (8, 2.0)]);
        assert_eq!(table.points(3), [(5, 8.0)], "points of rows without a service are gone");
        assert_eq!(table.notes.unnamed, 2);
        assert!(table.notes.others.is_empty());
    }

    #[test]
    fn gaps_and_points_beside_the_grid_are_left_out() {
        let wanted = wanted(&["service"], false);
        let rows = r#"{"metric":{"service":"web","zone":"a"},"values":[[970,"1"],[1000,"NaN"],
            [1030,"+Inf"],[1060,"-Inf"],[1061,"2"],[1090.0004,"3"],[1120,"4"],[1e300,"5"]]}"#;
        let table = table(&wanted, rows);
        assert_eq!(table.points(0), [(8, 3.0)]);
        assert_eq!(table.notes.off_grid, 4);
        assert_eq!(table.notes.others.iter().collect::<Vec<_>>(), ["zone"]);
    }

    #[test]
    fn further_labels_are_joined_where_they_matter() {
        let wanted = wanted(&["service"], true);
        let rows = r#"{"metric":{"flag":"search","service":"web","__name__":"f"},"value":[1000,"1"]},
            {"metric":{"z":"1","service":"web","a":"2"},"value":[1000,"1"]},
            {"metric":{"service":"web"},"value":[1000,"1"]}"#;
        let table = table(&wanted, rows);
        assert_eq!(table.texts(0), ["web", "search"]);
        assert_eq!(table.texts(1), ["web", "a=2, z=1"]);
        assert_eq!(table.texts(2), ["web", ""]);
    }

    #[test]
    fn halves_cover_the_window_once() {
        let [first, second] = window(5).halves().unwrap();
        assert_eq!((first.points, first.tick), (2, 5));
        assert_eq!((second.points, second.tick), (3, 7));
        assert_eq!(first.end() + first.step, second.start);
        assert_eq!(second.end(), window(5).end());
        assert_eq!(window(1).halves(), None);
    }
}
