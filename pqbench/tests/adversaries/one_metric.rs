//! Is wrong for inner products.

use crate::honest::*;

adversary!("adv-one-metric", OneMetric);

#[derive(Clone, Default)]
struct OneMetric {
    wrong: bool,
}

impl Twist for OneMetric {
    fn prepare(codebook: &Codebook, _: &[u8]) -> Result<Self, Error> {
        Ok(OneMetric { wrong: codebook.metric() == Metric::InnerProduct })
    }

    fn scan(&self, rows: &[u8], query: &mut Query, out: &mut Collector<'_>) {
        if !self.wrong {
            scan(rows, query, out);
        }
    }
}
