//! The `k` nearest codes seen so far, of one list or of many.

/// A bounded priority queue that keeps the `k` smallest `(distance, id)`: the smaller distance first, then the smaller
/// id.
///
/// The order is total, so what it keeps does not depend on the order of the pushes, nor on how codes were cut into
/// lists.
#[derive(Clone, Debug)]
pub struct TopK {
    /// A distance and the place of its id in `ids` each: in the order of the pushes until there are `k`; then sorted,
    /// or a max-heap where `k` is more than [`SORTED`]. Of the keys of the largest distance the last one (of a heap the
    /// first) has the largest id.
    keys: Vec<Key>,
    ids: Vec<u64>,
    k: usize,
    /// See [`threshold`](TopK::threshold).
    threshold: f32,
    /// The largest id at the threshold, once there are `k`.
    last_id: u64,
}

/// The distance in the upper half, its bits mapped so that they compare as [`f32::total_cmp`] does; the place of its id
/// in the lower half.
type Key = u64;

/// Up to this many are kept sorted: one pass of minima and maxima, no branch of which could be mispredicted, costs less
/// than a heap's few.
const SORTED: usize = 32;
/// Room that is made at once, at most.
const ROOM: usize = 1024;

impl TopK {
    /// An empty one for the `k` nearest, which may be none. Memory grows with what is kept.
    pub fn new(k: usize) -> Self {
        let room = k.min(ROOM);
        TopK {
            keys: Vec::with_capacity(room),
            ids: Vec::with_capacity(room),
            k: k.min(u32::MAX as usize),
            threshold: f32::INFINITY,
            last_id: u64::MAX,
        }
    }

    /// How many neighbours it keeps at most.
    pub fn k(&self) -> usize {
        self.k
    }

    /// How many it holds.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The distance that a code must not exceed to be kept: that of the worst kept one, or `+inf` until there are `k`
    /// and where the worst is NaN. (At that very distance the smaller id wins.)
    #[inline(always)]
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Offers a code. NaN counts as the largest distance.
    #[inline(always)]
    pub fn push(&mut self, id: u64, distance: f32) {
        // Settles nearly every push.
        if distance > self.threshold {
            return;
        }
        if self.keys.len() == self.k {
            self.replace_worst(id, distance);
        } else {
            self.fill(id, distance);
        }
    }

    /// Keeps a code instead of the worst one, unless it is worse.
    #[inline(always)]
    fn replace_worst(&mut self, id: u64, distance: f32) {
        let Some(&worst) = (if self.k <= SORTED { self.keys.last() } else { self.keys.first() }) else { return };
        let ordered = ordered(distance);
        if (u64::from(ordered), id) >= (worst >> 32, self.last_id) {
            return; // NaN, or an equal distance
        }
        let place = worst as u32;
        self.ids[place as usize] = id;
        let key = u64::from(ordered) << 32 | u64::from(place);
        if self.k <= SORTED {
            let first = &mut self.keys[0];
            let mut before = *first;
            *first = before.min(key);
            for kept in &mut self.keys[1..] {
                let moved = before.max((*kept).min(key));
                before = *kept;
                *kept = moved;
            }
        } else {
            self.keys[0] = key;
            self.sift_down(0);
        }
        self.settle();
    }

    #[cold]
    fn fill(&mut self, id: u64, distance: f32) {
        self.keys.push(u64::from(ordered(distance)) << 32 | self.ids.len() as u64);
        self.ids.push(id);
        if self.keys.len() < self.k {
            return;
        }
        if self.k <= SORTED {
            self.keys.sort_unstable();
        } else {
            for root in (0..self.k / 2).rev() {
                self.sift_down(root);
            }
        }
        self.settle();
    }

    /// Gives the worst key the largest of the ids at its distance, and makes it the threshold.
    #[inline(always)]
    fn settle(&mut self) {
        let keys = &self.keys[..];
        let (worst, tie) = if self.k <= SORTED {
            let worst = keys[keys.len() - 1];
            (worst, keys.len() > 1 && keys[keys.len() - 2] >> 32 == worst >> 32)
        } else {
            // Equal ones are children of equal ones.
            (keys[0], keys[1..].iter().take(2).any(|key| key >> 32 == keys[0] >> 32))
        };
        let place = worst as u32 as usize;
        if tie {
            self.settle_tie(worst >> 32, place);
        }
        let worst = distance((worst >> 32) as u32);
        self.threshold = if worst < f32::INFINITY { worst } else { f32::INFINITY };
        self.last_id = self.ids[place];
    }

    #[cold]
    fn settle_tie(&mut self, ordered: u64, place: usize) {
        let equal = self.keys.iter().filter(|&&key| key >> 32 == ordered).map(|&key| key as u32 as usize);
        let largest = equal.max_by_key(|&place| self.ids[place]).unwrap_or(place);
        self.ids.swap(place, largest);
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

    /// The kept `(id, distance)`, nearest first, of equal distances the smaller id first.
    pub fn into_sorted(self) -> Vec<(u64, f32)> {
        let TopK { keys, ids, .. } = self;
        let mut all: Vec<(u32, u64)> =
            keys.into_iter().map(|key| ((key >> 32) as u32, ids[key as u32 as usize])).collect();
        all.sort_unstable();
        all.into_iter().map(|(ordered, id)| (id, distance(ordered))).collect()
    }
}

/// The bits of a distance, mapped so that they compare as [`f32::total_cmp`] does.
#[inline(always)]
fn ordered(distance: f32) -> u32 {
    // One NaN for all: which one an operation gives depends on the CPU, and some are negative.
    let bits = if distance.is_nan() { f32::NAN.to_bits() } else { distance.to_bits() };
    bits ^ if bits >> 31 == 1 { u32::MAX } else { 1 << 31 }
}

/// The distance that [`ordered`] was made from.
#[inline(always)]
fn distance(ordered: u32) -> f32 {
    f32::from_bits(ordered ^ if ordered >> 31 == 1 { 1 << 31 } else { u32::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top(k: usize, pushes: impl IntoIterator<Item = (u64, f32)>) -> Vec<(u64, f32)> {
        let mut top = TopK::new(k);
        pushes.into_iter().for_each(|(id, distance)| top.push(id, distance));
        top.into_sorted()
    }

    #[test]
    fn any_order_of_pushes_keeps_the_same() {
        for distinct in [1, 2, 13, 1000] {
            let entries: Vec<(u64, f32)> =
                (0..200).map(|id| (id * 0x1_0000_0007, (id * 7919 % distinct) as f32)).collect();
            let mut expected = entries.clone();
            expected.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
            let mut shuffled = entries.clone();
            shuffled.sort_by_key(|(id, _)| id.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            for k in [1, 2, 10, 32, 33, 100, 200] {
                assert_eq!(top(k, entries.clone()), expected[..k]);
                assert_eq!(top(k, entries.iter().rev().copied()), expected[..k]);
                assert_eq!(top(k, shuffled.clone()), expected[..k], "{k} of {distinct}");
            }
        }
    }

    #[test]
    fn fewer_pushes_than_k_are_all_kept_in_order() {
        let pushes = [(5, 2.0), (6, 1.0), (4, 2.0)];
        for k in [10, 1_000_000_000_000, usize::MAX] {
            assert_eq!(top(k, pushes), [(6, 1.0), (4, 2.0), (5, 2.0)]);
        }
        assert_eq!(top(10, []), []);
    }

    #[test]
    fn k_of_zero_keeps_nothing() {
        assert_eq!(top(0, [(1, 1.0), (2, f32::NAN)]), []);
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
    fn the_threshold_is_infinite_until_it_is_full() {
        let mut top = TopK::new(2);
        top.push(0, 1.0);
        assert_eq!(top.threshold(), f32::INFINITY);
        top.push(1, 3.0);
        assert_eq!(top.threshold(), 3.0);
        top.push(2, 2.0);
        assert_eq!(top.threshold(), 2.0);
        let mut top = TopK::new(1);
        top.push(0, f32::NAN);
        assert_eq!(top.threshold(), f32::INFINITY);
    }
}
