//! The `k` nearest codes seen so far.

/// A bounded priority queue that keeps the `k` smallest `(distance, id)`: the smaller distance first, then the smaller id.
///
/// The order is total, so what it keeps does not depend on the order of the pushes. That is what lets an exact variant
/// visit codes in any order it likes.
#[derive(Clone, Debug)]
pub struct TopKHeap {
    /// In the order of the pushes until there are `k`; then sorted, or a max-heap where `k` is more than [`SORTED`].
    keys: Vec<Key>,
    k: usize,
    /// See [`threshold`](TopKHeap::threshold).
    threshold: f32,
}

/// Distance and id in one number of the same order.
type Key = u64;

/// Up to this many are kept sorted: one pass of minima and maxima, no branch of which could be mispredicted, costs less than
/// a heap's few.
const SORTED: usize = 32;

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
        TopKHeap { keys: Vec::with_capacity(k), k, threshold: f32::INFINITY }
    }

    /// How many neighbours the heap keeps at most.
    pub fn k(&self) -> usize {
        self.k
    }

    /// The distance that a code must not exceed to be kept: that of the worst kept one, or `+inf` until there are `k`.
    /// (At that very distance the smaller id wins.)
    #[inline(always)]
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Offers a code. NaN counts as the largest distance.
    #[inline(always)]
    pub fn push(&mut self, id: u32, distance: f32) {
        // Settles nearly every push.
        if distance > self.threshold {
            return;
        }
        let key = key(id, distance);
        if self.keys.len() == self.k {
            self.replace_worst(key);
        } else {
            self.fill(key);
        }
    }

    /// Keeps `key` instead of the worst one, unless it is worse.
    #[inline(always)]
    fn replace_worst(&mut self, key: Key) {
        let worst = if self.k <= SORTED {
            let Some(&worst) = self.keys.last() else { return };
            if key > worst {
                return; // an equal distance
            }
            let first = &mut self.keys[0];
            let mut before = *first;
            *first = before.min(key);
            for kept in &mut self.keys[1..] {
                let moved = before.max((*kept).min(key));
                before = *kept;
                *kept = moved;
            }
            self.keys[self.k - 1]
        } else {
            if key < self.keys[0] {
                self.keys[0] = key;
                self.sift_down(0);
            }
            self.keys[0]
        };
        self.threshold = entry(worst).1;
    }

    #[cold]
    fn fill(&mut self, key: Key) {
        self.keys.push(key);
        if self.keys.len() < self.k {
            return;
        }
        let worst = if self.k <= SORTED {
            self.keys.sort_unstable();
            self.k - 1
        } else {
            for root in (0..self.k / 2).rev() {
                self.sift_down(root);
            }
            0
        };
        self.threshold = entry(self.keys[worst]).1;
    }

    fn sift_down(&mut self, mut at: usize) {
        let keys = &mut self.keys[..];
        let Some(&key) = keys.get(at) else { return };
        while 2 * at + 1 < keys.len() {
            let (left, right) = (2 * at + 1, (2 * at + 2).min(keys.len() - 1));
            // Not a branch: which of the two is larger can't be predicted.
            let child = left + usize::from(keys[left] < keys[right]);
            if keys[child] <= key {
                break;
            }
            keys[at] = keys[child];
            at = child;
        }
        keys[at] = key;
    }

    /// The kept `(id, distance)`, nearest first.
    pub fn into_sorted(mut self) -> Vec<(u32, f32)> {
        self.keys.sort_unstable();
        self.keys.into_iter().map(entry).collect()
    }
}

/// The distance in the upper half, its bits mapped so that they compare as [`f32::total_cmp`] does, the id in the lower half.
#[inline(always)]
fn key(id: u32, distance: f32) -> Key {
    // One NaN for all: which one an operation gives depends on the CPU, and some are negative.
    let bits = if distance.is_nan() { f32::NAN.to_bits() } else { distance.to_bits() };
    let ordered = bits ^ if bits >> 31 == 1 { u32::MAX } else { 1 << 31 };
    Key::from(ordered) << 32 | Key::from(id)
}

/// The `(id, distance)` that a key was made from.
#[inline(always)]
fn entry(key: Key) -> (u32, f32) {
    let ordered = (key >> 32) as u32;
    let bits = ordered ^ if ordered >> 31 == 1 { 1 << 31 } else { u32::MAX };
    (key as u32, f32::from_bits(bits))
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
        for k in [1, 2, 10, 32, 33, 100, 200] {
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
        let kept = top(3, [(0, -f32::NAN), (1, f32::NAN), (2, -0.0), (3, 0.0), (4, f32::NEG_INFINITY)]);
        assert_eq!(
            kept.iter().map(|&(id, d)| (id, d.to_bits())).collect::<Vec<_>>(),
            [(4, f32::NEG_INFINITY.to_bits()), (2, (-0.0f32).to_bits()), (3, 0.0f32.to_bits())]
        );
        let kept = top(2, [(2, -f32::NAN), (0, f32::NAN), (1, -f32::NAN)]);
        assert!(kept.iter().map(|&(id, _)| id).eq([0, 1]) && kept.iter().all(|(_, d)| d.is_nan()));
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
