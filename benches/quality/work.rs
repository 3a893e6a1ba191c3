//! Independent work on all cores, results in order.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Does `work` on every item; the results are in order of items, whatever finished first.
pub(crate) fn spread<T: Sync, R: Send>(
    label: &str,
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = AtomicUsize::new(0);
    let one_thread = || {
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(place) else { return done };
            done.push((place, work(item)));
            if (place + 1).is_multiple_of((items.len() / 4).max(1)) {
                eprintln!("{label}: {} of {}", place + 1, items.len());
            }
        }
    };
    let mut all: Vec<(usize, R)> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(one_thread)).collect();
        handles.into_iter().flat_map(|handle| handle.join().unwrap()).collect()
    });
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, result)| result).collect()
}
