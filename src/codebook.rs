//! A product quantizer's centroids, and what depends on them alone: made once, shared by all lists and queries.

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock},
};

use crate::{
    Codes, Error, Geometry, List, Metric, Query,
    error::{check_length, check_values},
    geometry::Bits,
    groups::{self, Merged},
    registry,
    table::ByDimension,
};

/// Groups that a nibble can name.
pub const NIBBLE_GROUPS: usize = 16;
/// Groups that five bits can name.
pub const FIVE_BIT_GROUPS: usize = 32;

/// Centroids `[m][k][d]` of all sub-quantizers, known to be finite, and the [`Metric`] that they are used with. A clone
/// is the same codebook: an index has one, and many lists.
///
/// What variants need beyond the centroids is made when the first list asks for it, once: the numbers under which
/// similar centroids stand together (about a millisecond a sub-quantizer), and groups of those.
#[derive(Clone)]
pub struct Codebook(Arc<Shared>);

impl fmt::Debug for Codebook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Codebook({}, {})", self.geometry(), self.metric())
    }
}

struct Shared {
    geometry: Geometry,
    metric: Metric,
    centroids: Box<[f32]>,
    largest: f64,
    by_dimension: ByDimension,
    grouped: OnceLock<Grouped>,
    /// Memory of queries that are done.
    spare: Mutex<Vec<Query>>,
}

/// A codebook under other numbers, whose low six bits name [groups] of similar centroids. With 4 bits they are the
/// same.
pub struct Grouped {
    /// The renumbered centroids, `[m][k][d]`.
    pub centroids: Box<[f32]>,
    /// The renumbered centroids once more.
    pub by_dimension: ByDimension,
    /// `[m][k]`: the old number of each new one.
    order: Box<[[u8; 256]]>,
    /// `[m][k]`: the new number of each old one.
    labels: Box<[[u8; 256]]>,
    geometry: Geometry,
    nibbles: OnceLock<Arc<Merged<NIBBLE_GROUPS>>>,
    five_bits: OnceLock<Arc<Merged<FIVE_BIT_GROUPS>>>,
}

impl Codebook {
    /// Takes centroids in the order `[m][k][d]`.
    ///
    /// # Errors
    /// There are not as many values as `geometry` has, or one is NaN or infinite.
    pub fn new(geometry: Geometry, metric: Metric, centroids: &[f32]) -> Result<Codebook, Error> {
        check_length("the codebook", centroids.len(), geometry.codebook_len(), "values")?;
        check_values("the codebook", centroids, "a finite number", f32::is_finite)?;
        Ok(Codebook(Arc::new(Shared {
            geometry,
            metric,
            centroids: centroids.into(),
            largest: centroids.iter().fold(0.0, |most, value| value.abs().max(most)).into(),
            by_dimension: ByDimension::new(geometry, centroids),
            grouped: OnceLock::new(),
            spare: Mutex::default(),
        })))
    }

    /// Its shape.
    pub fn geometry(&self) -> Geometry {
        self.0.geometry
    }

    /// What its distances are.
    pub fn metric(&self) -> Metric {
        self.0.metric
    }

    /// The centroids, `[m][k][d]`.
    pub fn centroids(&self) -> &[f32] {
        &self.0.centroids
    }

    /// Prepares a list of codes for queries: the variant of the highest rank for the shape, the CPU and the length
    /// stores them as it wants them. It takes one thread; see [`Variant::prepare`](registry::Variant::prepare) for
    /// more.
    ///
    /// # Errors
    /// The codes do not fit, there are 2^32 or more, or the environment names a variant that can't run.
    pub fn prepare(&self, codes: Codes<'_>) -> Result<List, Error> {
        let num_vectors = codes.num_vectors(self.geometry())?;
        registry::select(None, self.geometry(), num_vectors)?.prepare(self, codes, 1)
    }

    /// A query for all lists of this codebook: the distance table of `vector`, and what follows from it.
    ///
    /// # Errors
    /// `vector` has another number of dimensions, a value that is NaN or infinite, no direction under
    /// [`Metric::Cosine`], or products with centroids that cancel out at infinity.
    pub fn query(&self, vector: &[f32]) -> Result<Query, Error> {
        Query::new(self, vector)
    }

    /// A query with a distance table of the caller's own, `[m][k]` by this codebook's numbers. Entries may be negative
    /// or infinite.
    ///
    /// # Errors
    /// It has another length, or an entry that is NaN.
    pub fn query_from_table(&self, table: &[f32]) -> Result<Query, Error> {
        let mut query = Query::from_table(self.geometry(), table)?;
        query.bind(self);
        Ok(query)
    }

    /// A query in the memory of an earlier one, if there is some.
    pub(crate) fn borrow_query(&self, vector: &[f32]) -> Result<Query, Error> {
        let spare = self.0.spare.try_lock().ok().and_then(|mut spare| spare.pop());
        match spare {
            Some(mut query) => {
                query.give_to(self);
                query.set(vector)?;
                Ok(query)
            }
            None => self.query(vector),
        }
    }

    /// Keeps the memory of a query that is done.
    pub(crate) fn return_query(&self, mut query: Query) {
        /// Queries of a few threads.
        const ROOM: usize = 16;
        // A codebook that holds a query that holds it would never end.
        query.leave();
        if let Ok(mut spare) = self.0.spare.try_lock()
            && spare.len() < ROOM
        {
            spare.push(query);
        }
    }

    /// Whether both are the same one.
    pub(crate) fn is(&self, other: &Codebook) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The largest absolute value of a centroid.
    pub(crate) fn largest(&self) -> f64 {
        self.0.largest
    }

    pub(crate) fn by_dimension(&self) -> &ByDimension {
        &self.0.by_dimension
    }

    /// The same centroids under numbers whose low six bits name groups of similar ones.
    pub(crate) fn grouped(&self) -> &Grouped {
        self.0.grouped.get_or_init(|| Grouped::new(self.geometry(), self.centroids()))
    }
}

impl Grouped {
    fn new(geometry: Geometry, centroids: &[f32]) -> Grouped {
        let (k, d) = (geometry.num_centroids(), geometry.sub_dim());
        let order: Box<[[u8; 256]]> = centroids
            .chunks_exact(k * d)
            .map(|centroids| match geometry.bits() {
                Bits::Eight => groups::similar_centroids_together(centroids, d),
                Bits::Four => std::array::from_fn(|k| k as u8),
            })
            .collect();
        let labels = order
            .iter()
            .map(|order| {
                let mut labels = [0; 256];
                order.iter().zip(0..=u8::MAX).for_each(|(&old, new)| labels[usize::from(old)] = new);
                labels
            })
            .collect();
        let renumbered: Box<[f32]> = centroids
            .chunks_exact(k * d)
            .zip(&order)
            .flat_map(|(centroids, order)| order[..k].iter().flat_map(|&old| &centroids[usize::from(old) * d..][..d]))
            .copied()
            .collect();
        Grouped {
            by_dimension: ByDimension::new(geometry, &renumbered),
            centroids: renumbered,
            order,
            labels,
            geometry,
            nibbles: OnceLock::new(),
            five_bits: OnceLock::new(),
        }
    }

    /// The codebook's.
    #[cfg(feature = "unstable-kernels")]
    pub fn of(codebook: &Codebook) -> &Grouped {
        codebook.grouped()
    }

    /// Gives rows of a byte for each sub-quantizer their new numbers.
    pub fn renumber(&self, rows: &mut [u8]) {
        rewrite(rows, &self.labels);
    }

    /// Gives rows their old numbers again.
    pub fn restore(&self, rows: &mut [u8]) {
        rewrite(rows, &self.order);
    }

    /// Distance table entries `[m][k]` under the new numbers.
    pub fn renumber_table(&self, old: &[f32], new: &mut [f32]) {
        let k = self.geometry.num_centroids();
        for ((old, new), order) in old.chunks_exact(k).zip(new.chunks_exact_mut(k)).zip(&self.order) {
            new.iter_mut().zip(order).for_each(|(new, &place)| *new = old[usize::from(place)]);
        }
    }

    /// Groups for short lists: as if each centroid occurred equally often. Made when they are first asked for, in some
    /// milliseconds.
    pub fn nibbles(&self) -> &Arc<Merged<NIBBLE_GROUPS>> {
        self.nibbles.get_or_init(|| Arc::new(Merged::fit(self.geometry, &self.centroids, |_, _| 1.0)))
    }

    /// The same in five bits.
    pub fn five_bits(&self) -> &Arc<Merged<FIVE_BIT_GROUPS>> {
        self.five_bits.get_or_init(|| Arc::new(Merged::fit(self.geometry, &self.centroids, |_, _| 1.0)))
    }
}

fn rewrite(rows: &mut [u8], numbers: &[[u8; 256]]) {
    for row in rows.chunks_exact_mut(numbers.len()) {
        row.iter_mut().zip(numbers).for_each(|(code, numbers)| *code = numbers[usize::from(*code)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renumbered_codebook_has_every_centroid_where_its_label_says_and_is_made_once() {
        for (dim, m, bits) in [(24, 3, Bits::Eight), (10, 2, Bits::Eight), (6, 3, Bits::Four)] {
            let geometry = Geometry::new(dim, m, bits).unwrap();
            let centroids: Vec<f32> =
                (0..geometry.codebook_len() as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 20) as f32).collect();
            let codebook = Codebook::new(geometry, Metric::L2, &centroids).unwrap();
            let (k, d) = (geometry.num_centroids(), geometry.sub_dim());
            let grouped = codebook.grouped();
            for number in 0..k {
                let old = vec![number as u8; m];
                let mut new = old.clone();
                grouped.renumber(&mut new);
                for (at, &new) in new.iter().enumerate() {
                    let of = |all: &[f32], number: usize| all[(at * k + number) * d..][..d].to_vec();
                    assert_eq!(of(&grouped.centroids, new.into()), of(&centroids, number));
                }
                grouped.restore(&mut new);
                assert_eq!(new, old);
            }
            assert!(std::ptr::eq(grouped, codebook.clone().grouped()));
        }
    }
}
