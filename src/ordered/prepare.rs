//! Preparation: the order of the codes.

use super::{Layout, Moments, OrderedCodes, SUPER_BLOCK};
use crate::{Codebook, DIM, NUM_CENTROIDS, NUM_SUB_VECTORS, SUB_VECTOR_DIM, blocks::BLOCK, grouping, memory::HugeVec};

impl<L: Layout<G>, const G: usize> OrderedCodes<L, G> {
    /// Orders row-major `codes` `[n][16]`. It takes one or two seconds for a million, on as many threads as there are.
    pub fn new(codebook: &Codebook, codes: &[u8]) -> Self {
        let (codebook, unordered) = if G < NUM_CENTROIDS {
            let grouped = codebook.grouped();
            (grouped.codebook.clone(), grouping::renumbered(codes, &grouped.labels))
        } else {
            (codebook.clone(), codes.as_chunks().0.to_vec())
        };

        let mut ids = HugeVec::zeroed(unordered.len());
        ids.iter_mut().zip(0..).for_each(|(id, n)| *id = n);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        similar_codes_together(&codebook, &unordered, &mut ids, threads);

        let count = ids.len().div_ceil(SUPER_BLOCK);
        let mut super_blocks = HugeVec::<L>::zeroed(count);
        let mut moments = HugeVec::<Moments>::zeroed(count);
        let share = count.div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let parts = super_blocks.chunks_mut(share).zip(moments.chunks_mut(share));
            for ((super_blocks, moments), ids) in parts.zip(ids.chunks(share * SUPER_BLOCK)) {
                let (codebook, unordered) = (&codebook, &unordered);
                scope.spawn(move || {
                    for ((super_block, moments), ids) in
                        super_blocks.iter_mut().zip(moments).zip(ids.chunks(SUPER_BLOCK))
                    {
                        let rows: Vec<_> = ids.iter().map(|&id| unordered[id as usize]).collect();
                        super_block.fill(codebook, &rows);
                        *moments = Moments::new(codebook, &rows);
                    }
                });
            }
        });
        OrderedCodes { codebook, ids, super_blocks, moments }
    }
}

impl Moments {
    /// Of the vectors that `rows` stand for, at least one.
    fn new(codebook: &Codebook, rows: &[[u8; NUM_SUB_VECTORS]]) -> Moments {
        let mut this = Moments { mean: [[0.0; NUM_SUB_VECTORS]; SUB_VECTOR_DIM], variance: [0.0; NUM_SUB_VECTORS] };
        let count = rows.len() as f64;
        for m in 0..NUM_SUB_VECTORS {
            let (mut sums, mut squares) = ([0.0; SUB_VECTOR_DIM], 0.0);
            for row in rows {
                for (sum, &c) in sums.iter_mut().zip(&codebook.centroids(m)[usize::from(row[m])]) {
                    *sum += f64::from(c);
                    squares += f64::from(c) * f64::from(c);
                }
            }
            let means = sums.map(|sum| sum / count);
            this.mean.iter_mut().zip(means).for_each(|(row, mean)| row[m] = mean as f32);
            this.variance[m] = (squares / count - means.map(|mean| mean * mean).iter().sum::<f64>()) as f32;
        }
        this
    }
}

/// Puts similar codes next to each other: halves of halves, each split along its principal direction.
fn similar_codes_together(codebook: &Codebook, rows: &[[u8; NUM_SUB_VECTORS]], ids: &mut [u32], threads: usize) {
    if ids.len() <= BLOCK {
        return;
    }
    let unit = if ids.len() > SUPER_BLOCK { SUPER_BLOCK } else { BLOCK };
    let half = (ids.len().div_ceil(unit) / 2).max(1) * unit;
    let direction = principal_direction(codebook, rows, ids);
    // A decoded vector's place along the direction is a sum of look-ups, like its distance.
    let places: Vec<[f32; NUM_CENTROIDS]> = direction
        .as_chunks::<SUB_VECTOR_DIM>()
        .0
        .iter()
        .enumerate()
        .map(|(m, direction)| codebook.centroids(m).map(|c| c.iter().zip(direction).map(|(c, d)| c * d).sum()))
        .collect();
    let mut keyed: Vec<(f32, u32)> = ids
        .iter()
        .map(|&id| (rows[id as usize].iter().zip(&places).map(|(&code, places)| places[usize::from(code)]).sum(), id))
        .collect();
    keyed.select_nth_unstable_by(half, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    ids.iter_mut().zip(keyed).for_each(|(id, (_, keyed))| *id = keyed);

    let (lower, upper) = ids.split_at_mut(half);
    if threads > 1 {
        std::thread::scope(|scope| {
            scope.spawn(|| similar_codes_together(codebook, rows, lower, threads / 2));
            similar_codes_together(codebook, rows, upper, threads - threads / 2);
        });
    } else {
        similar_codes_together(codebook, rows, lower, 1);
        similar_codes_together(codebook, rows, upper, 1);
    }
}

/// The direction in which a sample of the decoded vectors spreads most.
fn principal_direction(codebook: &Codebook, rows: &[[u8; NUM_SUB_VECTORS]], ids: &[u32]) -> [f32; DIM] {
    const SAMPLE: usize = 1024;
    let decode = |&id: &u32| -> [f32; DIM] {
        let mut vector = [0.0; DIM];
        for ((m, &code), part) in rows[id as usize].iter().enumerate().zip(vector.as_chunks_mut().0) {
            *part = codebook.centroids(m)[usize::from(code)];
        }
        vector
    };
    let sample: Vec<[f32; DIM]> = ids.iter().step_by(ids.len().div_ceil(SAMPLE)).map(decode).collect();
    grouping::principal_direction(&sample, &vec![1.0; sample.len()])
}
