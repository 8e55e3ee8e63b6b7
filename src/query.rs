//! A query: its distance table, and what follows from that, made once for all lists.

use std::any::Any;

use crate::{
    Codebook, Error, Geometry, Metric,
    bounds::lut::ByteLut,
    bounds::merged::MergedLut,
    codebook::{FIVE_BIT_GROUPS, NIBBLE_GROUPS},
    error::{check_length, check_values},
    groups::FINE,
    table::Table,
};

/// One query against the lists of one codebook: the distance table, and the LUTs that scans make from it. Those adapt
/// to the threshold, and go along from list to list; so a scan takes it by `&mut`. A clone is independent: one for each
/// thread.
#[derive(Clone)]
pub struct Query {
    geometry: Geometry,
    /// None where the table is the caller's and no list has been scanned yet.
    codebook: Option<Codebook>,
    /// As they are compared; none where the table is the caller's.
    values: Vec<f32>,
    /// By the codebook's own numbers. In a box, since a query is moved to where it is kept and back, for each search.
    original: Option<Box<Side>>,
    /// By its [grouped](Codebook::grouped) numbers.
    grouped: Option<Box<Side>>,
    workspace: Workspace,
}

/// Memory that a scan leaves for the next one.
#[derive(Default)]
struct Workspace(Option<Box<dyn Any + Send + Sync>>);

impl Clone for Workspace {
    fn clone(&self) -> Self {
        Workspace(None)
    }
}

/// What there is under one set of numbers.
#[derive(Clone)]
pub struct Side {
    /// The distance table.
    pub table: Table,
    m: usize,
    /// Whether the table is that of the query.
    filled: bool,
    fine: Slot<ByteLut<FINE>>,
    halves: Slot<ByteLut<128>>,
    whole: Slot<ByteLut<256>>,
    nibbles: Slot<MergedLut<NIBBLE_GROUPS>>,
    five_bits: Slot<MergedLut<FIVE_BIT_GROUPS>>,
}

/// Something that is made when it is first needed. It stays when the query is [set](Query::set) anew, for its memory.
#[derive(Clone)]
struct Slot<T> {
    made: Option<T>,
    current: bool,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Slot { made: None, current: false }
    }
}

impl<T> Slot<T> {
    #[inline(always)]
    fn get(&mut self, make: impl FnOnce() -> T, reset: impl FnOnce(&mut T)) -> &mut T {
        if !self.current {
            self.current = true;
            if let Some(made) = &mut self.made {
                reset(made);
            }
        }
        self.made.get_or_insert_with(make)
    }
}

impl Side {
    fn new(geometry: Geometry) -> Side {
        Side {
            table: Table::zeroed(geometry),
            m: geometry.m(),
            filled: false,
            fine: Slot::default(),
            halves: Slot::default(),
            whole: Slot::default(),
            nibbles: Slot::default(),
            five_bits: Slot::default(),
        }
    }

    fn forget(&mut self) {
        self.filled = false;
        self.fine.current = false;
        self.halves.current = false;
        self.whole.current = false;
        self.nibbles.current = false;
        self.five_bits.current = false;
    }

    /// The table, and the LUT of groups whose numbers are equal modulo `G`.
    #[inline(always)]
    pub fn lut<const G: usize>(&mut self) -> (&Table, &mut ByteLut<G>)
    where
        Self: HasLut<G>,
    {
        self.table_and_lut()
    }

    /// The table, the LUT of the fine groups, and what is merged from that.
    #[inline(always)]
    pub fn merged<const M: usize>(&mut self) -> (&Table, &mut ByteLut<FINE>, &mut MergedLut<M>)
    where
        Self: HasMerged<M>,
    {
        self.table_and_merged()
    }
}

/// What kernels of this crate get by methods of [`Query`].
#[cfg(feature = "unstable-kernels")]
impl Side {
    /// All under the codebook's own numbers.
    #[inline(always)]
    pub fn original(query: &mut Query) -> &mut Side {
        query.original()
    }

    /// All under the grouped numbers of the codebook that the query is bound to.
    #[inline(always)]
    pub fn grouped(query: &mut Query) -> &mut Side {
        query.grouped()
    }
}

/// That a [`Side`] has LUTs of `G` groups.
pub trait HasLut<const G: usize> {
    /// The table and the LUT.
    fn table_and_lut(&mut self) -> (&Table, &mut ByteLut<G>);
}

/// That a [`Side`] has LUTs that are merged into `M` groups.
pub trait HasMerged<const M: usize> {
    /// The table, the LUT of the fine groups, and the merged one.
    fn table_and_merged(&mut self) -> (&Table, &mut ByteLut<FINE>, &mut MergedLut<M>);
}

macro_rules! luts {
    ($($slot:ident $groups:expr),*) => {$(
        impl HasLut<$groups> for Side {
            #[inline(always)]
            fn table_and_lut(&mut self) -> (&Table, &mut ByteLut<$groups>) {
                let Side { table, m, $slot, .. } = self;
                (table, $slot.get(|| ByteLut::new(table, *m), |lut| lut.reset(table)))
            }
        }
    )*};
}
luts!(fine FINE, halves 128, whole 256);

macro_rules! merged {
    ($($slot:ident $groups:expr),*) => {$(
        impl HasMerged<$groups> for Side {
            #[inline(always)]
            fn table_and_merged(&mut self) -> (&Table, &mut ByteLut<FINE>, &mut MergedLut<$groups>) {
                let Side { table, m, fine, $slot, .. } = self;
                let fine = fine.get(|| ByteLut::new(table, *m), |lut| lut.reset(table));
                (table, fine, $slot.get(|| MergedLut::new(*m), MergedLut::forget))
            }
        }
    )*};
}
merged!(nibbles NIBBLE_GROUPS, five_bits FIVE_BIT_GROUPS);

impl std::fmt::Debug for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Query({})", self.geometry)
    }
}

impl Query {
    pub(crate) fn new(codebook: &Codebook, vector: &[f32]) -> Result<Query, Error> {
        let mut query = Query {
            geometry: codebook.geometry(),
            codebook: Some(codebook.clone()),
            values: Vec::new(),
            original: None,
            grouped: None,
            workspace: Workspace::default(),
        };
        query.set(vector)?;
        Ok(query)
    }

    /// A query with a distance table of the caller's own, `[m][k]`: for codes that nothing prepared, or for the lists
    /// of the first codebook that it meets.
    ///
    /// # Errors
    /// It has another length, or an entry that is NaN.
    pub fn from_table(geometry: Geometry, table: &[f32]) -> Result<Query, Error> {
        let mut query = Query {
            geometry,
            codebook: None,
            values: Vec::new(),
            original: None,
            grouped: None,
            workspace: Workspace::default(),
        };
        query.set_table(table)?;
        Ok(query)
    }

    /// Makes it the query of another `vector`, in the memory that it has: for the residuals of one query to many lists.
    ///
    /// # Errors
    /// As for [`Codebook::query`]; or it was made from a table alone. The query is then as before.
    pub fn set(&mut self, vector: &[f32]) -> Result<(), Error> {
        let codebook = self.codebook.as_ref().ok_or(Error::OtherCodebook)?;
        check_length("the query", vector.len(), self.geometry.dim(), "values")?;
        check_values("the query", vector, "a finite number", f32::is_finite)?;
        let scale = match codebook.metric() {
            Metric::L2 => None,
            Metric::InnerProduct => {
                check_products(codebook, vector)?;
                None
            }
            Metric::Cosine => Some(length(vector)?),
        };
        self.values.clear();
        match scale {
            None => self.values.extend_from_slice(vector),
            Some(length) => self.values.extend(vector.iter().map(|&value| (f64::from(value) / length) as f32)),
        }
        self.forget();
        Ok(())
    }

    /// Makes it the query of another distance table `[m][k]` of the caller's own.
    ///
    /// # Errors
    /// As for [`Query::from_table`]. The query is then as before.
    pub fn set_table(&mut self, table: &[f32]) -> Result<(), Error> {
        check_length("the distance table", table.len(), self.geometry.table_len(), "values")?;
        check_table("the distance table", table)?;
        self.values.clear();
        self.forget();
        let side = self.original.get_or_insert_with(|| Box::new(Side::new(self.geometry)));
        side.table.entries_mut().copy_from_slice(table);
        side.filled = true;
        Ok(())
    }

    /// Makes it a query of `codebook`, of the shape that it has, that is to be [set](Query::set).
    pub(crate) fn give_to(&mut self, codebook: &Codebook) {
        self.codebook = Some(codebook.clone());
        self.forget();
    }

    /// Makes it a query of no codebook.
    pub(crate) fn leave(&mut self) {
        self.codebook = None;
    }

    /// Takes what the scan before [left](Query::leave_workspace), if it is of the kind, or makes one.
    pub(crate) fn take_workspace<W: Default + Send + Sync + 'static>(&mut self) -> Box<W> {
        self.workspace.0.take().and_then(|any| any.downcast().ok()).unwrap_or_default()
    }

    /// Leaves memory to the next scan.
    pub(crate) fn leave_workspace<W: Send + Sync + 'static>(&mut self, workspace: Box<W>) {
        self.workspace.0 = Some(workspace);
    }

    fn forget(&mut self) {
        self.original.iter_mut().chain(&mut self.grouped).for_each(|side| side.forget());
    }

    /// Its shape.
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The distance table, `[m][k]` by the codebook's numbers.
    pub fn table(&mut self) -> &[f32] {
        self.original().table.entries()
    }

    /// The query as it is compared; none where the table is the caller's.
    pub(crate) fn values(&self) -> Option<&[f32]> {
        (!self.values.is_empty()).then_some(&self.values[..])
    }

    /// Makes a query that belongs to no codebook yet one of `codebook`'s. Whether it is one now.
    pub(crate) fn bind(&mut self, codebook: &Codebook) -> bool {
        if self.geometry != codebook.geometry() {
            return false;
        }
        match &self.codebook {
            Some(own) if own.is(codebook) => true,
            // A table alone is anybody's.
            Some(_) if !self.values.is_empty() => false,
            _ => {
                self.codebook = Some(codebook.clone());
                self.grouped.iter_mut().for_each(|side| side.forget());
                true
            }
        }
    }

    /// All under the codebook's own numbers.
    #[inline(always)]
    pub(crate) fn original(&mut self) -> &mut Side {
        let Query { geometry, codebook, values, original, .. } = self;
        let side = original.get_or_insert_with(|| Box::new(Side::new(*geometry)));
        if let (false, Some(codebook)) = (side.filled, codebook) {
            codebook.by_dimension().fill(values, codebook.metric() == Metric::InnerProduct, &mut side.table);
            side.filled = true;
        }
        side
    }

    /// All under the grouped numbers of the codebook that it is bound to.
    #[inline(always)]
    pub(crate) fn grouped(&mut self) -> &mut Side {
        let Query { geometry, codebook, values, original, grouped, .. } = self;
        let side = grouped.get_or_insert_with(|| Box::new(Side::new(*geometry)));
        if let (false, Some(codebook)) = (side.filled, codebook) {
            let numbers = codebook.grouped();
            match original {
                Some(original) if values.is_empty() => {
                    numbers.renumber_table(original.table.entries(), side.table.entries_mut());
                }
                _ => {
                    let products = codebook.metric() == Metric::InnerProduct;
                    numbers.by_dimension.fill(values, products, &mut side.table);
                }
            }
            side.filled = true;
        }
        side
    }
}

/// The length of a vector, in f64.
fn length(vector: &[f32]) -> Result<f64, Error> {
    let length = vector.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>().sqrt();
    if length == 0.0 { Err(Error::ZeroLength) } else { Ok(length) }
}

/// Whether products of `vector` and the centroids sum to numbers. They may be infinite, and then cancel out, which is
/// seen only in the table.
fn check_products(codebook: &Codebook, vector: &[f32]) -> Result<(), Error> {
    let largest = |values: &[f32]| f64::from(values.iter().fold(0.0f32, |most, value| most.max(value.abs())));
    let geometry = codebook.geometry();
    if largest(vector) * codebook.largest() * geometry.sub_dim() as f64 <= f64::from(f32::MAX) {
        return Ok(());
    }
    let mut table = Table::zeroed(geometry);
    codebook.by_dimension().fill(vector, true, &mut table);
    check_table("the products of the query and the codebook", table.entries())
}

fn check_table(what: &'static str, table: &[f32]) -> Result<(), Error> {
    check_values(what, table, "a number", |entry| !entry.is_nan())
}
