//! Work on all cores.

use std::{num::NonZero, sync::Mutex, thread};

/// Threads that this process may run at a time.
pub fn num_threads() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Does `work` on all `items`, on as many threads as the machine has.
pub fn in_parallel<T: Send>(items: Vec<T>, work: impl Fn(T) + Sync) {
    let queue = Mutex::new(items.into_iter());
    let take = || queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
    thread::scope(|scope| {
        for _ in 0..num_threads() {
            scope.spawn(|| {
                while let Some(item) = take() {
                    work(item);
                }
            });
        }
    });
}
