//! Preparation: the order of the codes, and the groups of each super-block.

use super::{FINE_GROUPS, GROUPS, Lines, MAX_MEMBERS, OrderedCodes, SUPER_BLOCK, SuperBlock};
use crate::{Codebook, DIM, NUM_CENTROIDS, NUM_SUB_VECTORS, SUB_VECTOR_DIM, blocks::BLOCK, grouping, memory::HugeVec};

impl OrderedCodes {
    /// Orders row-major `codes` `[n][16]`. It takes about a second for a million, on as many threads as there are.
    pub fn new(codebook: &Codebook, codes: &[u8]) -> OrderedCodes {
        let order = grouping::similar_centroids_together(codebook);
        let unordered = grouping::renumbered(codes, &grouping::inverse(&order));
        let codebook = codebook.reordered(&order);

        let mut ids = HugeVec::zeroed(unordered.len());
        ids.iter_mut().zip(0..).for_each(|(id, n)| *id = n);
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        similar_codes_together(&codebook, &unordered, &mut ids, threads);
        let mut rows = HugeVec::zeroed(ids.len());
        rows.iter_mut().zip(&*ids).for_each(|(row, &id)| *row = unordered[id as usize]);

        let count = rows.len().div_ceil(SUPER_BLOCK);
        let mut lines = HugeVec::<Lines>::zeroed(count);
        let mut super_blocks = HugeVec::<SuperBlock>::zeroed(count);
        let mut means = vec![[0.0; DIM]; count];
        let share = count.div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let parts = lines.chunks_mut(share).zip(super_blocks.chunks_mut(share)).zip(means.chunks_mut(share));
            for (((lines, super_blocks), means), rows) in parts.zip(rows.chunks(share * SUPER_BLOCK)) {
                let codebook = &codebook;
                scope.spawn(move || {
                    let outputs = lines.iter_mut().zip(super_blocks).zip(means);
                    for (((lines, super_block), mean), rows) in outputs.zip(rows.chunks(SUPER_BLOCK)) {
                        fit(codebook, rows, lines, super_block, mean);
                    }
                });
            }
        });
        OrderedCodes { codebook, ids, rows, lines, super_blocks, means }
    }
}

/// Merges fine groups for the codes `rows` of one super-block, and writes them as lines.
fn fit(
    codebook: &Codebook,
    rows: &[[u8; NUM_SUB_VECTORS]],
    lines: &mut Lines,
    super_block: &mut SuperBlock,
    mean: &mut [f32; DIM],
) {
    for m in 0..NUM_SUB_VECTORS {
        let mut sums = [[0.0f64; SUB_VECTOR_DIM]; FINE_GROUPS];
        let mut counts = [0.0; FINE_GROUPS];
        for row in rows {
            let centroid = &codebook.centroids(m)[usize::from(row[m])];
            let fine = fine_group(row[m]);
            counts[fine] += 1.0;
            sums[fine].iter_mut().zip(centroid).for_each(|(sum, &c)| *sum += f64::from(c));
        }
        let present = (0..FINE_GROUPS).filter(|&fine| counts[fine] > 0.0).map(|fine| grouping::Weighted {
            number: fine as u8,
            weight: counts[fine],
            point: sums[fine].map(|sum| sum / counts[fine]),
        });
        let groups = grouping::merge(present.collect(), GROUPS, MAX_MEMBERS);

        let mut labels = [0u8; FINE_GROUPS];
        for (group, members) in groups.iter().enumerate() {
            let share = members.iter().map(|member| member.weight).sum::<f64>() / rows.len() as f64;
            super_block.weights[m][group] = (share * 255.0) as u8;
            members.iter().for_each(|member| labels[usize::from(member.number)] = group as u8);
        }
        for group in 0..GROUPS {
            // A group that is not used repeats the first.
            let members = groups.get(group).unwrap_or(&groups[0]);
            for place in 0..MAX_MEMBERS {
                super_block.members[m][place][group] = members[place.min(members.len() - 1)].number;
            }
        }
        for (row, byte) in rows.iter().zip(&mut lines.0[m / 2]) {
            *byte |= labels[fine_group(row[m])] << (4 * (m % 2));
        }
        for d in 0..SUB_VECTOR_DIM {
            mean[m * SUB_VECTOR_DIM + d] = (sums.iter().map(|sum| sum[d]).sum::<f64>() / rows.len() as f64) as f32;
        }
    }
}

fn fine_group(code: u8) -> usize {
    usize::from(code) % FINE_GROUPS
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
