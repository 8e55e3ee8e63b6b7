//! Stand-in until the data sets land.
use super::run::FixtureInfo;
use crate::{DIM, NUM_SUB_VECTORS};

#[derive(Clone, Debug)]
pub struct Fixture {
    pub name: String,
    pub codes: Vec<u8>,
    pub centroids: Vec<f32>,
    pub queries: Vec<[f32; DIM]>,
    pub truth: Option<()>,
}

impl Fixture {
    pub fn num_base(&self) -> usize {
        self.codes.len() / NUM_SUB_VECTORS
    }

    pub fn info(&self) -> FixtureInfo {
        FixtureInfo {
            name: self.name.clone(),
            source: "stand-in".into(),
            num_base: self.num_base(),
            num_queries: self.queries.len(),
            checksum: String::new(),
        }
    }

    pub fn recall_at_10(&self, _: &[Vec<(u32, f32)>]) -> Option<f64> {
        None
    }
}
