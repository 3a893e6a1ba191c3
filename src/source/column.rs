//! The values of one query's series, tick after tick, with explicit gaps.

use std::sync::Arc;

use super::plan::{Asked, Key, Merge};
use crate::changes::Row;
use crate::series::Sample;

/// All rows of one query.
#[derive(Debug)]
pub(super) struct Answer {
    pub asked: Asked,
    pub name: String,
    pub merge: Merge,
    pub columns: Vec<Column>,
    /// The number of the last table that was added.
    pub table: usize,
}

/// The values of one series.
#[derive(Debug, Default)]
pub(super) struct Column {
    pub key: Option<Key>,
    /// Its place among the query's columns: the series' id, or a hash of its texts.
    order: u128,
    /// The tick of the first value.
    pub first: usize,
    /// One for each tick from there; NaN where there is none.
    pub values: Vec<f64>,
    /// The last table that had a row for it.
    pub table: usize,
}

impl Answer {
    fn at(&self, tick: usize) -> impl Iterator<Item = (&Key, f64)> {
        self.columns.iter().filter_map(move |column| {
            let value = *column.values.get(tick.checked_sub(column.first)?)?;
            Some((column.key.as_ref()?, value)).filter(|_| !value.is_nan())
        })
    }

    pub(super) fn samples(&self, tick: usize) -> impl Iterator<Item = Sample> {
        self.at(tick).filter_map(|(key, value)| match key {
            Key::Series(series) => Some(Sample { series: Arc::clone(series), value }),
            _ => None,
        })
    }

    pub(super) fn change_rows(&self, tick: usize) -> Vec<Row<'_>> {
        self.at(tick)
            .filter_map(|(key, value)| match key {
                Key::Change { service, what } => Some(Row { service, what, value }),
                _ => None,
            })
            .collect()
    }

    pub(super) fn calls(&self, tick: usize) -> impl Iterator<Item = (String, String)> {
        self.at(tick).filter_map(|(key, _)| match key {
            Key::Call { client, server } => Some((client.to_string(), server.to_string())),
            _ => None,
        })
    }

    /// Brings the columns into an order that does not depend on earlier readings.
    pub(super) fn finish(&mut self) {
        self.columns.retain(|column| column.key.is_some());
        self.columns.sort_unstable_by_key(|column| column.order);
    }
}

impl Column {
    /// Belongs to this row's series from now on.
    pub(super) fn own(&mut self, key: &Key, fingerprint: u128) {
        self.order = match key {
            Key::Series(series) => series.id.0,
            Key::Change { .. } | Key::Call { .. } => fingerprint,
        };
        self.key = Some(key.clone());
    }

    /// Writes one value; how much longer the column is now.
    pub(super) fn set(&mut self, tick: usize, value: f64, merge: Merge) -> usize {
        let before = self.values.len();
        if self.values.is_empty() {
            self.first = tick;
        }
        if tick < self.first {
            // Only where several rows share the series, and a later one begins earlier.
            let missing = self.first - tick;
            self.values.splice(0..0, std::iter::repeat_n(f64::NAN, missing));
            self.first = tick;
        }
        let index = tick - self.first;
        if self.values.len() <= index {
            self.values.resize(index + 1, f64::NAN);
        }
        let old = &mut self.values[index];
        *old = match merge {
            _ if old.is_nan() => value,
            Merge::Largest => old.max(value),
            Merge::Smallest => old.min(value),
            Merge::Sum => *old + value,
        };
        self.values.len() - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(merge: Merge, values: &[(usize, f64)]) -> (usize, Vec<Option<f64>>, usize) {
        let mut column = Column::default();
        let grown = values.iter().map(|&(tick, value)| column.set(tick, value, merge)).sum();
        let values = column.values.iter().map(|&v| Some(v).filter(|v| !v.is_nan())).collect();
        (column.first, values, grown)
    }

    #[test]
    fn values_find_their_tick_in_any_order() {
        let given = [(7, 1.0), (9, 2.0), (5, 3.0)];
        let expected = vec![Some(3.0), None, Some(1.0), None, Some(2.0)];
        assert_eq!(column(Merge::Largest, &given), (5, expected, 5));
    }

    #[test]
    fn several_values_at_one_tick_become_one_whatever_their_order() {
        for (merge, expected) in [(Merge::Largest, 4.0), (Merge::Smallest, 1.0), (Merge::Sum, 7.0)]
        {
            for given in [[(3, 1.0), (3, 2.0), (3, 4.0)], [(3, 4.0), (3, 1.0), (3, 2.0)]] {
                assert_eq!(column(merge, &given), (3, vec![Some(expected)], 1), "{merge:?}");
            }
        }
    }
}
