//! Work on several threads, or on the caller's where none can be started.

use std::{sync::Mutex, thread};

/// Does both, on two threads if `parallel`.
pub(crate) fn join(parallel: bool, a: impl FnOnce() + Send, b: impl FnOnce()) {
    if !parallel {
        a();
        return b();
    }
    let a = Mutex::new(Some(a));
    let run = || {
        // No lock is held while it runs.
        let a = a.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        a.into_iter().for_each(|a| a());
    };
    thread::scope(|scope| {
        let started = thread::Builder::new().spawn_scoped(scope, run);
        b();
        if started.is_err() {
            run();
        }
    });
}

/// Does something with each item, on as many threads.
pub(crate) fn for_each<T: Send>(threads: usize, items: &mut [T], each: &(impl Fn(&mut T) + Sync)) {
    if threads > 1 && items.len() > 1 {
        let (first, second) = items.split_at_mut(items.len() / 2);
        join(true, || for_each(threads / 2, first, each), || for_each(threads - threads / 2, second, each));
    } else {
        items.iter_mut().for_each(each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_done_once() {
        for threads in [0, 1, 2, 3, 7] {
            let mut items: Vec<usize> = (0..100).collect();
            for_each(threads, &mut items, &|item| *item += 1000);
            assert!(items.into_iter().eq(1000..1100));
        }
    }
}
