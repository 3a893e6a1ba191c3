//! Any order of operations against a model in memory.

use std::collections::{BTreeMap, BTreeSet};

use grayflag::engine::alert::State;
use grayflag::store::{Dispatch, Hold, RowState, Store, Tick, Which};
use grayflag::time::{Span, Timestamp};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::{START, alert, open, to};

/// What can happen to the file.
#[derive(Clone, Debug)]
enum Op {
    Commit(Step),
    Release(u8),
    Retry(u8),
    Drop(u8),
    Done(u8),
    Failed(u8),
    Dead(u8),
    Reopen,
}

/// A tick with one alert.
#[derive(Clone, Copy, Debug)]
struct Step {
    minute: i64,
    incident: u8,
    /// A bit for each.
    receivers: u8,
    over: bool,
    /// Until when all of it is held, by each silence.
    holds: Holds,
}

/// Until when each of two silences holds something.
type Holds = [Option<i64>; 2];

/// A row as the model knows it.
#[derive(Clone, Debug)]
struct Row {
    incident: u8,
    receiver: String,
    over: bool,
    state: RowState,
    attempts: u32,
    holds: Holds,
}

fn op() -> impl Strategy<Value = Op> {
    let hold = || proptest::option::of(0..60_i64);
    let holds = [hold(), hold()];
    prop_oneof![
        8 => (0..30_i64, 0..3_u8, 0..8_u8, any::<bool>(), holds).prop_map(
            |(minute, incident, receivers, over, holds)| {
                Op::Commit(Step { minute, incident, receivers, over, holds })
            }
        ),
        1 => (0..2_u8).prop_map(Op::Release),
        1 => any::<u8>().prop_map(Op::Retry),
        1 => any::<u8>().prop_map(Op::Drop),
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
    /// In the order in which they were put.
    rows: Vec<(String, Row)>,
    /// Incident and receiver, and the first message that was delivered.
    told: BTreeMap<(u8, String), Option<String>>,
    /// Of each incident the minute of its newest alert, and whether it is over.
    newest: BTreeMap<u8, (i64, bool)>,
    last_tick: Option<Timestamp>,
}

/// The time at which everything but commits happens.
const NOW: i64 = 20;

impl Model {
    fn nth(&self, n: u8) -> Option<usize> {
        (!self.rows.is_empty()).then(|| usize::from(n) % self.rows.len())
    }

    fn commit(&mut self, store: &mut Store, step: Step) {
        let Step { minute, incident, receivers, over, holds } = step;
        let state = if over { State::Resolved } else { State::Firing };
        let alert = alert(&format!("i{incident}"), state, minute);
        let names: Vec<String> =
            (0..3).filter(|bit| receivers >> bit & 1 == 1).map(|bit| format!("r{bit}")).collect();
        let dispatch = |name: &String| {
            let hold = |(by, until): (usize, Option<i64>)| {
                Some(Hold::new(START + Span::from_mins(until?), format!("silence {by}")))
            };
            Dispatch {
                hold: Hold::all(holds.into_iter().enumerate().filter_map(hold)),
                ..to(name, 0)
            }
        };
        let deliveries: Vec<Dispatch> = names.iter().map(dispatch).collect();
        let tick = Tick {
            last_tick: alert.at,
            snapshot: None,
            alerts: std::slice::from_ref(&alert),
            charts: &[],
            deliveries: &deliveries,
        };
        store.commit(&tick).unwrap();
        self.last_tick = self.last_tick.max(Some(alert.at));
        if !self.alerts.insert(alert.id()) {
            return;
        }
        let newest = self.newest.entry(incident).or_insert((minute, over));
        if newest.0 <= minute {
            *newest = (minute, over);
        }
        for receiver in names {
            let id = format!("{}/{receiver}", alert.id());
            self.put(id, receiver, step);
        }
    }

    fn put(&mut self, id: String, receiver: String, step: Step) {
        let Step { minute, incident, over, holds, .. } = step;
        let about = |row: &Row| row.incident == incident && row.receiver == receiver;
        let mut superseded = false;
        for (_, row) in self.rows.iter_mut().filter(|(_, row)| about(row)) {
            let held = row.holds.into_iter().flatten().any(|until| until > minute);
            let held = held && row.attempts == 0;
            if row.state == RowState::Pending && held {
                row.state = RowState::Superseded;
                superseded = true;
            }
        }
        let key = (incident, receiver.clone());
        let heard = self.told.get(&key).is_some_and(Option::is_some)
            || self.rows.iter().any(|(_, row)| about(row) && row.state == RowState::Pending);
        let state = if superseded && over && !heard {
            self.told.remove(&key);
            RowState::Superseded
        } else {
            self.told.entry(key).or_default();
            RowState::Pending
        };
        let row = Row { incident, receiver, over, state, attempts: 0, holds };
        self.rows.push((id, row));
    }

    fn finish(&mut self, index: usize, state: RowState) {
        let (id, row) = &mut self.rows[index];
        let late = row.state == RowState::Superseded && state == RowState::Done;
        if row.state != RowState::Pending && !late {
            return;
        }
        row.state = state;
        row.attempts += 1;
        let (id, row) = (id.clone(), row.clone());
        if state == RowState::Done {
            let first = self.told.entry((row.incident, row.receiver.clone())).or_default();
            first.get_or_insert(id);
        }
        for (_, other) in self.rows.iter_mut().filter(|_| late) {
            let same = other.incident == row.incident && other.receiver == row.receiver;
            if same && other.over && other.state == RowState::Superseded {
                other.state = RowState::Pending;
            }
        }
    }

    fn release(&mut self, store: &mut Store, silence: u8) {
        let now = START + Span::from_mins(NOW);
        let mut count = 0;
        for (_, row) in self.rows.iter_mut().filter(|(_, row)| row.state == RowState::Pending) {
            let is_held = |row: &Row| row.holds.into_iter().flatten().any(|until| until > NOW);
            if is_held(row) && row.holds[usize::from(silence)].take().is_some() && !is_held(row) {
                row.holds = [None; 2];
                count += 1;
            }
        }
        assert_eq!(store.release(&format!("silence {silence}"), now).unwrap(), count);
    }

    fn retry(&mut self, store: &mut Store, index: usize) {
        let row = &self.rows[index].1;
        let mut later = self.rows[index + 1..].iter().map(|(_, later)| later);
        let arrived = later.any(|later| {
            let same = later.incident == row.incident && later.receiver == row.receiver;
            same && later.state == RowState::Done
        });
        let is_over = self.newest[&row.incident].1 && !row.over;
        let (id, row) = &mut self.rows[index];
        if row.state == RowState::Dead && (arrived || is_over) {
            row.state = RowState::Superseded;
        }
        let can = matches!(row.state, RowState::Pending | RowState::Dead);
        let now = START + Span::from_mins(NOW);
        assert_eq!(store.retry(&Which::One(id.clone()), now).is_ok(), can);
        if can {
            row.state = RowState::Pending;
            let until = row.holds.into_iter().flatten().max();
            row.holds = [until.map(|until| until.min(NOW)), None];
        }
    }

    fn forget(&mut self, store: &mut Store, index: usize) {
        let (id, row) = &self.rows[index];
        let can = matches!(row.state, RowState::Pending | RowState::Dead);
        assert_eq!(store.drop_messages(&Which::One(id.clone())).is_ok(), can);
        if can {
            self.rows.remove(index);
        }
    }

    fn check(&self, store: &Store) {
        for (id, row) in &self.rows {
            let (found, tried, _) = store.message(id).unwrap().unwrap();
            assert_eq!((found, tried), (row.state, row.attempts), "{id}");
        }
        let pending: Vec<_> =
            self.rows.iter().filter(|(_, row)| row.state == RowState::Pending).collect();
        assert_eq!(store.pending_count().unwrap(), pending.len() as u64);
        assert_eq!(store.alerts(1_000).unwrap().len(), self.alerts.len());
        assert_eq!(store.resume().unwrap().map(|r| r.last_tick), self.last_tick);
        for incident in 0..3 {
            let told = self.told.keys().filter(|key| key.0 == incident).map(|key| key.1.clone());
            let found = store.told(&format!("i{incident}")).unwrap();
            assert_eq!(found, told.collect::<BTreeSet<_>>());
        }
        // In the end everything is due, but for what waits behind another.
        for receiver in ["r0", "r1", "r2"] {
            let now = START + Span::from_mins(61);
            let due = store.due(now, receiver, 100).unwrap();
            let due: BTreeMap<_, _> = due.into_iter().map(|row| (row.id, row.first)).collect();
            let mut oldest = BTreeMap::new();
            for (id, row) in pending.iter().filter(|(_, row)| row.receiver == receiver) {
                oldest.entry(row.incident).or_insert(id);
            }
            let expected = oldest.into_iter().map(|(incident, id)| {
                let first = self.told.get(&(incident, receiver.to_owned()));
                (id.clone(), first.cloned().flatten().unwrap_or_else(|| id.clone()))
            });
            assert_eq!(due, expected.collect());
        }
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
        let now = START + Span::from_mins(NOW);
        for op in ops {
            let open_store = store.as_mut().unwrap();
            match op {
                Op::Commit(step) => model.commit(open_store, step),
                Op::Release(silence) => model.release(open_store, silence),
                Op::Retry(n) => if let Some(index) = model.nth(n) {
                    model.retry(open_store, index);
                },
                Op::Drop(n) => if let Some(index) = model.nth(n) {
                    model.forget(open_store, index);
                },
                Op::Done(n) => if let Some(index) = model.nth(n) {
                    open_store.mark_done(&model.rows[index].0, now, None).unwrap();
                    model.finish(index, RowState::Done);
                },
                Op::Failed(n) => if let Some(index) = model.nth(n) {
                    open_store.mark_failed(&model.rows[index].0, now, "no", now + Span::MINUTE).unwrap();
                    model.finish(index, RowState::Pending);
                },
                Op::Dead(n) => if let Some(index) = model.nth(n) {
                    open_store.mark_dead(&model.rows[index].0, now, "no").unwrap();
                    model.finish(index, RowState::Dead);
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
