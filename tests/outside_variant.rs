//! A crate that embeds the engine registers variants of its own, as the files of `variants/` do: this file is one.

use pqscan::{
    Bits, Codebook, Codes, Error, Geometry, Metric, ScanOptions, TopK, cpu,
    registry::{self, Variant},
};

/// A filter over vectors of bytes.
mod filter {
    use pqscan::{register, registry::Fidelity, scan::coarse::NibbleCodes};

    register! {
        name: "outside-filter",
        summary: "the 4-bit filter under another name",
        level: Avx2,
        fidelity: Fidelity::Exact,
        rank: 1,
        list: NibbleCodes,
    }
}

/// A plain loop.
mod plain {
    use pqscan::{
        Codebook, Error, Query,
        collector::Collector,
        register,
        registry::Fidelity,
        variant::{Prepare, Scan},
    };

    register! {
        name: "outside-plain",
        summary: "one code after the other",
        fidelity: Fidelity::Exact,
        rank: 1_000_000,
        prepare: pqscan::variant::prepare::<Rows>,
        probe: probe,
    }

    #[derive(Clone)]
    struct Rows(Vec<u8>);

    impl Prepare for Rows {
        fn prepare(_: &Codebook, rows: &[u8], _: usize) -> Result<Self, Error> {
            Ok(Rows(rows.to_vec()))
        }
    }

    impl Scan for Rows {
        fn scan(&self, query: &mut Query, out: &mut Collector<'_>) {
            probe(query, &self.0, out);
        }

        fn score(&self, query: &mut Query, places: &[u32], out: &mut Collector<'_>) {
            let m = query.geometry().m();
            places.iter().for_each(|&place| offer(query, &self.0[place as usize * m..][..m], place, out));
        }

        fn to_rows(&self) -> Vec<u8> {
            self.0.clone()
        }

        fn memory_bytes(&self) -> usize {
            self.0.len()
        }
    }

    fn probe(query: &mut Query, rows: &[u8], out: &mut Collector<'_>) {
        let m = query.geometry().m();
        rows.chunks(m).zip(0..).for_each(|(row, place)| offer(query, row, place, out));
    }

    fn offer(query: &mut Query, row: &[u8], place: u32, out: &mut Collector<'_>) {
        let k = query.geometry().num_centroids();
        let entries = row.iter().zip(query.table().chunks(k)).map(|(&code, entries)| entries[usize::from(code)]);
        out.push(place, entries.fold(0.0, |sum, entry| sum + entry));
    }
}

/// Numbers without a pattern, below 256.
fn values(count: usize) -> impl Iterator<Item = u8> {
    (0..count as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
}

/// The answer of a variant, from a prepared list and where it can from codes that nothing prepared.
fn answers(variant: &'static Variant, geometry: Geometry) -> Result<Vec<(u64, f32)>, Error> {
    let centroids: Vec<f32> = values(geometry.codebook_len()).map(f32::from).collect();
    let codebook = Codebook::new(geometry, Metric::L2, &centroids)?;
    let codes: Vec<u8> = values(3_000 * geometry.row_bytes()).collect();
    let (codes, vector) = (Codes::row_major(&codes), vec![99.3; geometry.dim()]);
    let answer = variant.prepare(&codebook, codes, 1)?.search(&vector, 10)?;
    if variant.probes_unprepared_codes() {
        let mut top = TopK::new(10);
        codes.scan_by(variant, &mut codebook.query(&vector)?, &mut top, &ScanOptions::default())?;
        assert_eq!(top.into_sorted(), answer, "{variant:?}");
    }
    Ok(answer)
}

#[test]
fn variants_of_another_crate_are_found_and_give_the_same_answers() {
    for (dim, m, bits) in [(128, 16, Bits::Eight), (30, 6, Bits::Eight), (21, 7, Bits::Four)] {
        let geometry = Geometry::new(dim, m, bits).unwrap();
        let expected = answers(registry::find("scalar").unwrap(), geometry).unwrap();
        for name in ["outside-filter", "outside-plain"] {
            let variant = registry::find(name).unwrap();
            assert!(variant.file.ends_with("outside_variant.rs"));
            match (variant.unavailable(cpu::features().unwrap()), answers(variant, geometry)) {
                (None, answer) => assert_eq!(answer, Ok(expected.clone()), "{name}, {geometry}"),
                (Some(why), refused) => {
                    assert!(
                        matches!(refused, Err(Error::CannotRun { name: n, reason, .. }) if n == name && reason == why)
                    );
                }
            }
            #[cfg(feature = "emulated")]
            assert_eq!(variant.can_be_emulated(), name == "outside-filter");
        }
        assert_eq!(registry::select(None, geometry, 1_000).unwrap().name, "outside-plain");
    }
}
