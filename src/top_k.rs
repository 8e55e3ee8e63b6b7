//! The `k` nearest codes seen so far.

/// A bounded max-heap that keeps the `k` smallest `(distance, id)`: the smaller distance first, then the smaller id.
///
/// The order is total, so what it keeps does not depend on the order of the pushes. That is what lets an exact variant
/// visit codes in any order it likes.
#[derive(Clone, Debug)]
pub struct TopKHeap {
    /// Heap order, the worst at the root, once there are `k`; before that the order of the pushes.
    entries: Vec<(u32, f32)>,
    k: usize,
}

impl Default for TopKHeap {
    fn default() -> Self {
        Self::new()
    }
}

impl TopKHeap {
    /// An empty heap for the [`TOP_K`](crate::TOP_K) nearest.
    pub fn new() -> Self {
        Self::with_k(crate::TOP_K)
    }

    /// An empty heap for the `k` nearest. It allocates for `k` entries at once.
    pub fn with_k(k: usize) -> Self {
        TopKHeap { entries: Vec::with_capacity(k), k }
    }

    /// How many neighbours the heap keeps at most.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The distance that a code must not exceed to be kept: that of the worst kept one, or `+inf` until there are `k`.
    /// (At that very distance the smaller id wins.)
    #[inline]
    pub fn threshold(&self) -> f32 {
        match self.entries.first() {
            Some(worst) if self.entries.len() == self.k => worst.1,
            _ => f32::INFINITY,
        }
    }

    /// Offers a code. NaN counts as the largest distance.
    #[inline]
    pub fn push(&mut self, id: u32, distance: f32) {
        if self.entries.len() == self.k {
            if self.entries.first().is_some_and(|&worst| is_before((id, distance), worst)) {
                self.entries[0] = (id, distance);
                self.sift_down(0);
            }
            return;
        }
        self.entries.push((id, distance));
        if self.entries.len() == self.k {
            for root in (0..self.k / 2).rev() {
                self.sift_down(root);
            }
        }
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let mut worst = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.entries.len() && is_before(self.entries[worst], self.entries[child]) {
                    worst = child;
                }
            }
            if worst == at {
                return;
            }
            self.entries.swap(at, worst);
            at = worst;
        }
    }

    /// The kept `(id, distance)`, nearest first.
    pub fn into_sorted(mut self) -> Vec<(u32, f32)> {
        self.entries.sort_unstable_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        self.entries
    }
}

#[inline]
fn is_before(a: (u32, f32), b: (u32, f32)) -> bool {
    // The plain comparisons settle nearly every push; `total_cmp` gives what they leave open (equal, NaN) one fixed order.
    if a.1 > b.1 {
        return false;
    }
    a.1 < b.1 || a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)).is_lt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top(k: usize, pushes: impl IntoIterator<Item = (u32, f32)>) -> Vec<(u32, f32)> {
        let mut heap = TopKHeap::with_k(k);
        pushes.into_iter().for_each(|(id, distance)| heap.push(id, distance));
        heap.into_sorted()
    }

    #[test]
    fn any_order_of_pushes_keeps_the_same() {
        let entries: Vec<(u32, f32)> = (0..200).map(|id| (id, (id * 7919 % 13) as f32)).collect();
        let mut expected = entries.clone();
        expected.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        for k in [1, 2, 10, 100, 200] {
            assert_eq!(top(k, entries.clone()), expected[..k]);
            assert_eq!(top(k, entries.iter().rev().copied()), expected[..k]);
        }
    }

    #[test]
    fn fewer_pushes_than_k_are_all_kept_in_order() {
        assert_eq!(top(10, [(5, 2.0), (6, 1.0), (4, 2.0)]), [(6, 1.0), (4, 2.0), (5, 2.0)]);
        assert_eq!(top(10, []), []);
    }

    #[test]
    fn k_of_zero_keeps_nothing() {
        assert_eq!(top(0, [(1, 1.0)]), []);
    }

    #[test]
    fn infinities_are_kept_and_nan_comes_last() {
        let kept = top(3, [(0, f32::NAN), (1, f32::INFINITY), (2, f32::INFINITY), (3, 1.0)]);
        assert_eq!(kept, [(3, 1.0), (1, f32::INFINITY), (2, f32::INFINITY)]);
    }

    #[test]
    fn the_threshold_is_infinite_until_the_heap_is_full() {
        let mut heap = TopKHeap::with_k(2);
        heap.push(0, 1.0);
        assert_eq!(heap.threshold(), f32::INFINITY);
        heap.push(1, 3.0);
        assert_eq!(heap.threshold(), 3.0);
        heap.push(2, 2.0);
        assert_eq!(heap.threshold(), 2.0);
    }
}
