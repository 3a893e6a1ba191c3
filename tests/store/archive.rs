//! The archive in the state file is the archive in memory, whatever happens to it.

use std::collections::BTreeMap;

use grayflag::engine::archive::{Archive, MemoryArchive, NOTHING, Run};
use grayflag::series::SeriesId;
use grayflag::store::Store;
use proptest::prelude::*;

/// What happens to an archive.
#[derive(Clone, Debug)]
enum Deed {
    Keep(i64, BTreeMap<u128, Run>),
    Forget(i64),
    /// The process ends and another goes on.
    Reopen,
}

fn run() -> impl Strategy<Value = Run> {
    let value = prop_oneof![
        3 => any::<f32>().prop_filter("a source gives no infinity", |v| !v.is_infinite()),
        1 => Just(f32::NAN),
    ];
    proptest::collection::vec((0..NOTHING.len(), value), 0..6).prop_map(|values| {
        let mut run = NOTHING;
        for (place, value) in values {
            run[place] = value;
        }
        run
    })
}

fn deed() -> impl Strategy<Value = Deed> {
    let rows = proptest::collection::btree_map(any::<u128>().prop_map(|id| id % 5), run(), 0..4);
    prop_oneof![
        8 => (100_i64..110, rows).prop_map(|(run, rows)| Deed::Keep(run, rows)),
        2 => (98_i64..112).prop_map(Deed::Forget),
        1 => Just(Deed::Reopen),
    ]
}

/// NaN is a value like any other here.
fn bits(runs: Vec<(i64, Run)>) -> Vec<(i64, [u32; NOTHING.len()])> {
    runs.into_iter().map(|(run, values)| (run, values.map(f32::to_bits))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_archive_on_the_disk_is_the_one_in_memory(
        deeds in proptest::collection::vec(deed(), 1..24),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        let mut memory = MemoryArchive::default();
        let mut disk = store.archive().unwrap();
        for deed in deeds {
            match deed {
                Deed::Keep(run, rows) => {
                    let rows = || rows.iter().map(|(&id, &values)| (SeriesId(id), values));
                    memory.keep(run, &mut rows());
                    disk.keep(run, &mut rows());
                }
                Deed::Forget(before) => {
                    memory.forget(before);
                    disk.forget(before);
                }
                Deed::Reopen => disk = store.archive().unwrap(),
            }
            for id in (0..5).map(SeriesId) {
                for runs in [98..112, 101..104, 105..105] {
                    let read = bits(disk.runs(id, runs.clone()));
                    prop_assert_eq!(read, bits(memory.runs(id, runs)));
                }
            }
        }
        prop_assert!(disk.problem().is_none() && memory.problem().is_none());
        disk.clear().unwrap();
        prop_assert!((0..5).all(|id| disk.runs(SeriesId(id), 98..112).is_empty()));
    }
}

#[test]
fn what_cannot_be_read_is_a_problem_and_not_a_hole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = Store::open(&path).unwrap();
    let mut archive = store.archive().unwrap();
    archive.keep(7, &mut [(SeriesId(1), [1.0; 36]), (SeriesId(2), [2.0; 36])].into_iter());
    let raw = rusqlite::Connection::open(&path).unwrap();
    let cut =
        raw.execute("UPDATE archive SET blocks = x'00' WHERE series = ?1", [1_u128.to_be_bytes()]);
    assert_eq!(cut.unwrap(), 1);
    assert_eq!(archive.runs(SeriesId(2), 5..9), [(7, [2.0; 36])]);
    assert!(archive.problem().is_none());
    assert_eq!(archive.runs(SeriesId(1), 5..9), []);
    let problem = archive.problem().unwrap().to_string();
    assert!(problem.starts_with("cannot read what series did in the state file"), "{problem}");
    assert!(archive.problem().is_none(), "told once");
    raw.execute_batch("DROP TABLE archive").unwrap();
    archive.keep(8, &mut std::iter::once((SeriesId(1), [1.0; 36])));
    assert!(archive.problem().is_some());
}

#[test]
fn a_file_from_before_the_archive_gets_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let raw = rusqlite::Connection::open(&path).unwrap();
    raw.execute_batch(include_str!("../../src/store/001_state.sql")).unwrap();
    raw.execute_batch("INSERT INTO meta VALUES (1, 42)").unwrap();
    raw.pragma_update(None, "application_id", 0x4746_4c47).unwrap();
    raw.pragma_update(None, "user_version", 1).unwrap();
    drop(raw);
    let store = Store::open(&path).unwrap();
    assert_eq!(store.resume().unwrap().unwrap().last_tick.as_millis(), 42);
    let mut archive = store.archive().unwrap();
    archive.keep(7, &mut std::iter::once((SeriesId(1), [1.0; 36])));
    assert_eq!(archive.runs(SeriesId(1), 7..8), [(7, [1.0; 36])]);
    assert!(archive.problem().is_none());
}
