//! Lists of codes: prepared ones, and what is asked of them and of codes that nothing prepared.

use std::fmt;

use crate::{
    Codebook, Codes, Error, Query, TopK,
    codes::packed,
    collector::{Collector, Ids},
    geometry::Geometry,
    registry::{self, Variant},
    scan::score,
    table::Table,
    variant::{PrepareFn, Scan},
};

/// What a scan may need beyond the query. The default: ids from 0, everything allowed.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScanOptions<'a> {
    /// The first code's id; each other one has the next. Not looked at where there are `ids`.
    pub first_id: u64,
    /// The id of each code. Of equal distances the smaller id is nearer.
    pub ids: Option<&'a [u64]>,
    /// Which codes may be found: a bit for each, by its place in the list, the first one lowest in the first word.
    pub allow: Option<&'a [u64]>,
}

impl<'a> ScanOptions<'a> {
    fn check(&self, num_vectors: usize) -> Result<Ids<'a>, Error> {
        let long_enough = |what, found: Option<usize>, expected, unit| match found {
            Some(found) if found < expected => Err(Error::Length { what, found, expected, unit }),
            _ => Ok(()),
        };
        long_enough("the list of ids", self.ids.map(<[_]>::len), num_vectors, "ids")?;
        long_enough("the bitmap", self.allow.map(<[_]>::len), num_vectors.div_ceil(64), "words of 64 bits")?;
        Ok(self.ids.map_or(Ids::From(self.first_id), Ids::Map))
    }
}

/// A list of codes ready for queries, from [`Codebook::prepare`] or [`Variant::prepare`]. The places of its codes count
/// from 0 in the order in which they were given, and stay when others are appended or deleted.
pub struct List {
    variant: &'static Variant,
    prepare: PrepareFn,
    codebook: Codebook,
    prepared: Box<dyn Scan>,
    num_prepared: usize,
    /// Rows that were appended since, a byte for each sub-quantizer.
    appended: Vec<u8>,
    /// One bit for each code that is left, where some were deleted.
    left: Option<Vec<u64>>,
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "List({}, {} codes)", self.variant.name, self.num_vectors())
    }
}

impl Clone for List {
    fn clone(&self) -> Self {
        List {
            codebook: self.codebook.clone(),
            prepared: self.prepared.boxed_clone(),
            appended: self.appended.clone(),
            left: self.left.clone(),
            ..*self
        }
    }
}

/// Codes that may wait for their preparation, whatever the length of the list.
const FEW: usize = 256;
/// The share of a list that may.
const SHARE: usize = 8;

impl List {
    pub(crate) fn new(
        variant: &'static Variant,
        prepare: PrepareFn,
        codebook: &Codebook,
        codes: Codes<'_>,
        threads: usize,
    ) -> Result<List, Error> {
        let num_prepared = codes.num_vectors(codebook.geometry())?;
        let rows = codes.to_rows(codebook.geometry(), num_prepared);
        let prepared = prepare(codebook, &rows, threads)?;
        let codebook = codebook.clone();
        Ok(List { variant, prepare, codebook, prepared, num_prepared, appended: Vec::new(), left: None })
    }

    /// The variant that prepared it.
    pub fn variant(&self) -> &'static Variant {
        self.variant
    }

    /// Its codebook.
    pub fn codebook(&self) -> &Codebook {
        &self.codebook
    }

    /// How many codes there are, deleted ones included.
    pub fn num_vectors(&self) -> usize {
        self.num_prepared + self.appended.len() / self.codebook.geometry().m()
    }

    /// Bytes that the list holds, without what it shares with its codebook.
    pub fn memory_bytes(&self) -> usize {
        let bitmap = self.left.as_ref().map_or(0, |left| size_of_val(&left[..]));
        self.prepared.memory_bytes() + self.appended.len() + bitmap
    }

    /// The codes as they were given, row-major, deleted ones included.
    pub fn codes(&self) -> Vec<u8> {
        packed(self.codebook.geometry(), &self.rows())
    }

    fn rows(&self) -> Vec<u8> {
        let mut rows = self.prepared.to_rows();
        rows.extend_from_slice(&self.appended);
        rows
    }

    /// Appends codes. A few wait, and are scanned plainly, until they are worth preparing the list anew.
    ///
    /// # Errors
    /// They do not fit, or there are 2^32 or more in all. The list is then as before.
    pub fn append(&mut self, codes: Codes<'_>) -> Result<(), Error> {
        let geometry = self.codebook.geometry();
        let (before, more) = (self.num_vectors(), codes.num_vectors(geometry)?);
        let after = before + more;
        if u32::try_from(after).is_err() {
            return Err(Error::TooManyCodes(after));
        }
        self.appended.extend_from_slice(&codes.to_rows(geometry, more));
        if after - self.num_prepared > FEW.max(self.num_prepared / SHARE) {
            self.prepared = (self.prepare)(&self.codebook, &self.rows(), 1)?;
            self.num_prepared = after;
            self.appended.clear();
        }
        if let Some(left) = &mut self.left {
            left.resize(after.div_ceil(64), 0);
            (before..after).for_each(|place| left[place / 64] |= 1 << (place % 64));
        }
        Ok(())
    }

    /// Deletes the code at `place`, which no query finds any more. Whether it was there until now.
    ///
    /// # Errors
    /// There is no such place.
    pub fn delete(&mut self, place: usize) -> Result<bool, Error> {
        let num_vectors = self.num_vectors();
        if place >= num_vectors {
            return Err(Error::Place { place, num_vectors });
        }
        let left = self.left.get_or_insert_with(|| vec![u64::MAX; num_vectors.div_ceil(64)]);
        let was_there = left[place / 64] >> (place % 64) & 1 == 1;
        left[place / 64] &= !(1 << (place % 64));
        Ok(was_there)
    }

    /// Offers to `top` every code that can be among its nearest. What `top` holds already counts, so that one goes
    /// through many lists with one threshold.
    ///
    /// # Errors
    /// The query is of another codebook, or the ids or the bitmap are shorter than the list.
    pub fn scan(&self, query: &mut Query, top: &mut TopK, options: &ScanOptions<'_>) -> Result<(), Error> {
        let ids = options.check(self.num_vectors())?;
        if !query.bind(&self.codebook) {
            return Err(Error::OtherCodebook);
        }
        if top.k() == 0 {
            return Ok(());
        }
        let both;
        let allow = match (options.allow, &self.left) {
            (None, None) => None,
            (Some(allow), None) => Some(allow),
            (None, Some(left)) => Some(&left[..]),
            (Some(allow), Some(left)) => {
                both = allow.iter().zip(left).map(|(a, b)| a & b).collect::<Vec<_>>();
                Some(&both[..])
            }
        };
        let mut out = Collector::new(top, ids, allow);
        match allow.and_then(|allow| few_places(allow, self.num_prepared, self.prepared.sparse())) {
            Some(places) => self.prepared.score(query, &places, &mut out),
            None => self.prepared.scan(query, &mut out),
        }
        self.scan_appended(query, &mut out);
        Ok(())
    }

    fn scan_appended(&self, query: &mut Query, out: &mut Collector<'_>) {
        if !self.appended.is_empty() {
            let (table, m) = (&query.original().table, self.codebook.geometry().m());
            score::offer_rows(table, m, &self.appended, self.num_prepared as u32, out);
        }
    }

    /// The `k` nearest codes to `vector` as `(place, distance)`, nearest first, of equals the smaller place; all codes
    /// where there are fewer than `k`.
    ///
    /// # Errors
    /// As for [`Codebook::query`].
    pub fn search(&self, vector: &[f32], k: usize) -> Result<Vec<(u64, f32)>, Error> {
        let mut top = TopK::new(k.min(self.num_vectors()));
        let mut query = self.codebook.borrow_query(vector)?;
        self.scan(&mut query, &mut top, &ScanOptions::default())?;
        self.codebook.return_query(query);
        Ok(top.into_sorted())
    }

    /// [`search`](List::search) for several queries, one after the other in `vectors` `[b][dim]`. Some variants share
    /// work between the queries of a batch.
    ///
    /// # Errors
    /// As for [`search`](List::search); no query is answered then.
    pub fn search_batch(&self, vectors: &[f32], k: usize) -> Result<Vec<Vec<(u64, f32)>>, Error> {
        let dim = self.codebook.geometry().dim();
        let expected = vectors.len().next_multiple_of(dim);
        crate::error::check_length("a whole number of queries", vectors.len(), expected, "values")?;
        let queries: Result<Vec<_>, _> =
            vectors.chunks_exact(dim).map(|vector| self.codebook.borrow_query(vector)).collect();
        let mut queries = queries?;
        let mut tops = vec![TopK::new(k.min(self.num_vectors())); queries.len()];
        let left = self.left.as_deref();
        let mut outs: Vec<_> = tops.iter_mut().map(|top| Collector::new(top, Ids::From(0), left)).collect();
        if k > 0 {
            self.prepared.scan_batch(&mut queries, &mut outs);
            queries.iter_mut().zip(&mut outs).for_each(|(query, out)| self.scan_appended(query, out));
        }
        queries.into_iter().for_each(|query| self.codebook.return_query(query));
        Ok(tops.into_iter().map(TopK::into_sorted).collect())
    }
}

/// The allowed places, where they are one of `sparse` at most.
fn few_places(allow: &[u64], num_vectors: usize, sparse: usize) -> Option<Vec<u32>> {
    let count: usize = allow.iter().map(|word| word.count_ones() as usize).sum();
    if count > num_vectors / sparse {
        return None;
    }
    let mut places = Vec::with_capacity(count);
    for (&word, first) in allow.iter().zip((0u32..).step_by(64)) {
        let mut word = word;
        while word != 0 {
            places.push(first + word.trailing_zeros());
            word &= word - 1;
        }
    }
    places.retain(|&place| (place as usize) < num_vectors);
    Some(places)
}

impl Codes<'_> {
    /// [`List::scan`] of codes that nothing prepared, as they lie. Row-major ones are scanned by the variant of the
    /// highest rank that can; others plainly.
    ///
    /// # Errors
    /// The codes do not fit the query's shape, the ids or the bitmap are too short, or the environment names a variant
    /// that can't scan them.
    pub fn scan(&self, query: &mut Query, top: &mut TopK, options: &ScanOptions<'_>) -> Result<(), Error> {
        self.scan_with(registry::select_for_unprepared_codes, query, top, options)
    }

    /// [`scan`](Codes::scan) by a variant of the caller's choice. Two codes a byte and columns are scanned plainly all
    /// the same.
    ///
    /// # Errors
    /// As for [`scan`](Codes::scan); or the variant can't run here, or needs prepared codes.
    pub fn scan_by(
        &self,
        variant: &'static Variant,
        query: &mut Query,
        top: &mut TopK,
        options: &ScanOptions<'_>,
    ) -> Result<(), Error> {
        self.scan_with(|_| Ok(variant), query, top, options)
    }

    fn scan_with(
        &self,
        variant: impl FnOnce(Geometry) -> Result<&'static Variant, Error>,
        query: &mut Query,
        top: &mut TopK,
        options: &ScanOptions<'_>,
    ) -> Result<(), Error> {
        let geometry = query.geometry();
        let num_vectors = self.num_vectors(geometry)?;
        let ids = options.check(num_vectors)?;
        let mut out = Collector::new(top, ids, options.allow);
        match self.plain_rows(geometry) {
            Some(rows) => variant(geometry)?.probe(geometry)?(query, rows, &mut out),
            None => self.scan_plainly(geometry, &query.original().table, num_vectors, &mut out),
        }
        Ok(())
    }

    /// A copy of some codes at a time, row-major.
    fn scan_plainly(&self, geometry: Geometry, table: &Table, num_vectors: usize, out: &mut Collector<'_>) {
        const TOGETHER: usize = 256;
        let m = geometry.m();
        let mut rows = vec![0; TOGETHER.min(num_vectors) * m];
        for first in (0..num_vectors).step_by(TOGETHER) {
            let places = first..num_vectors.min(first + TOGETHER);
            let rows = &mut rows[..places.len() * m];
            self.copy_rows(geometry, places, rows);
            score::offer_rows(table, m, rows, first as u32, out);
        }
    }
}
