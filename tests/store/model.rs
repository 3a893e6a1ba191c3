//! Any order of operations against a model in memory.

use std::collections::{BTreeMap, BTreeSet};

use grayflag::engine::alert::State;
use grayflag::store::{RowState, Store, Tick};
use grayflag::time::{Span, Timestamp};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::{START, alert, open, to};

/// What can happen to the file.
#[derive(Clone, Debug)]
enum Op {
    Commit { minute: i64, incident: u8, receivers: u8 },
    Done(u8),
    Failed(u8),
    Dead(u8),
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..30_i64, 0..4_u8, 0..8_u8)
            .prop_map(|(minute, incident, receivers)| Op::Commit { minute, incident, receivers }),
        2 => any::<u8>().prop_map(Op::Done),
        1 => any::<u8>().prop_map(Op::Failed),
        1 => any::<u8>().prop_map(Op::Dead),
        2 => Just(Op::Reopen),
    ]
}

/// The same in memory: what the file must say.
#[derive(Default)]
struct Model {
    alerts: BTreeSet<String>,
    rows: BTreeMap<String, (RowState, u32)>,
    last_tick: Option<Timestamp>,
}

impl Model {
    fn nth(&self, n: u8) -> Option<String> {
        self.rows.keys().nth(usize::from(n) % self.rows.len().max(1)).cloned()
    }

    fn finish(&mut self, id: &str, state: RowState) {
        let row = self.rows.get_mut(id).unwrap();
        if row.0 == RowState::Pending {
            *row = (state, row.1 + 1);
        }
    }

    fn commit(&mut self, store: &mut Store, minute: i64, incident: u8, receivers: u8) {
        let alert = alert(&format!("i{incident}"), State::Firing, minute);
        let deliveries: Vec<(String, usize)> = (0..3)
            .filter(|bit| receivers >> bit & 1 == 1)
            .map(|bit| to(&format!("r{bit}"), 0))
            .collect();
        let tick = Tick {
            last_tick: alert.at,
            snapshot: None,
            alerts: std::slice::from_ref(&alert),
            deliveries: &deliveries,
        };
        store.commit(&tick).unwrap();
        self.last_tick = self.last_tick.max(Some(alert.at));
        if self.alerts.insert(alert.id()) {
            for (receiver, _) in &deliveries {
                let id = format!("{}/{receiver}", alert.id());
                self.rows.insert(id, (RowState::Pending, 0));
            }
        }
    }

    fn check(&self, store: &Store) {
        for (id, (state, attempts)) in &self.rows {
            let (found, tried, _) = store.message(id).unwrap().unwrap();
            assert_eq!((found, tried), (*state, *attempts), "{id}");
        }
        let pending = self.rows.values().filter(|r| r.0 == RowState::Pending).count();
        assert_eq!(store.pending_count().unwrap(), pending as u64);
        assert_eq!(store.alerts(1_000).unwrap().len(), self.alerts.len());
        assert_eq!(store.resume().unwrap().map(|r| r.last_tick), self.last_tick);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn after_any_operations_a_reopened_file_says_what_was_written(
        ops in prop::collection::vec(op(), 1..25)
    ) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("state.db");
        let mut store = Some(open(&path));
        let mut model = Model::default();
        for op in ops {
            let open_store = store.as_mut().unwrap();
            match op {
                Op::Commit { minute, incident, receivers } => {
                    model.commit(open_store, minute, incident, receivers);
                }
                Op::Done(n) => if let Some(id) = model.nth(n) {
                    open_store.mark_done(&id, START).unwrap();
                    model.finish(&id, RowState::Done);
                },
                Op::Failed(n) => if let Some(id) = model.nth(n) {
                    open_store.mark_failed(&id, START, "no", START + Span::MINUTE).unwrap();
                    model.finish(&id, RowState::Pending);
                },
                Op::Dead(n) => if let Some(id) = model.nth(n) {
                    open_store.mark_dead(&id, START, "no").unwrap();
                    model.finish(&id, RowState::Dead);
                },
                Op::Reopen => {
                    drop(store.take());
                    store = Some(open(&path));
                }
            }
            model.check(store.as_ref().unwrap());
        }
        drop(store.take());
        model.check(&open(&path));
    }
}
