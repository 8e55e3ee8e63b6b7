//! The shape of a product quantizer, and what a distance is: values, not types.

use std::fmt;

use crate::Error;

/// The most sub-quantizers that a [`Geometry`] has.
pub const MAX_SUB_QUANTIZERS: usize = 256;
/// The most dimensions that a [`Geometry`] has.
pub const MAX_DIM: usize = 1 << 20;

/// Bits of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bits {
    /// 16 centroids a sub-quantizer, two codes a byte.
    Four,
    /// 256 centroids a sub-quantizer, a code a byte.
    Eight,
}

impl Bits {
    /// The number: 4 or 8.
    pub const fn count(self) -> usize {
        match self {
            Bits::Four => 4,
            Bits::Eight => 8,
        }
    }

    /// Codes that a byte holds.
    pub const fn codes_per_byte(self) -> usize {
        8 / self.count()
    }

    /// Centroids that a code can name.
    pub const fn num_centroids(self) -> usize {
        1 << self.count()
    }
}

/// How far a stored vector is from a query. The smaller a distance is, the nearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Squared L2 distance between the query and the decoded vector.
    L2,
    /// Minus the inner product of the query and the decoded vector.
    InnerProduct,
    /// Squared L2 distance between the query, scaled to length 1, and the decoded vector. Where the stored vectors had
    /// length 1 when they were encoded, that ranks by the angle: the distance is 2 - 2 cos but for the quantization.
    /// The query's length is summed in f64, and each of its values is divided by it in f64 and rounded to f32 once.
    Cosine,
}

impl Metric {
    /// Every metric.
    pub const ALL: &[Metric] = &[Metric::L2, Metric::InnerProduct, Metric::Cosine];

    /// The name in manifests and on the command line: `l2`, `ip`, `cosine`.
    pub const fn name(self) -> &'static str {
        match self {
            Metric::L2 => "l2",
            Metric::InnerProduct => "ip",
            Metric::Cosine => "cosine",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Dimensions, sub-quantizers and bits of a product quantizer, checked once.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Geometry {
    dim: u32,
    m: u16,
    bits: Bits,
}

impl Geometry {
    /// A quantizer that cuts vectors of `dim` dimensions into `m` parts of equal length, and names the centroid of each
    /// part in `bits`.
    ///
    /// # Errors
    /// `m` is not from 1 to 256, `dim` is not from 1 to 2^20, or `m` does not divide `dim`.
    pub fn new(dim: usize, m: usize, bits: Bits) -> Result<Geometry, Error> {
        let fits = (1..=MAX_SUB_QUANTIZERS).contains(&m) && (1..=MAX_DIM).contains(&dim) && dim.is_multiple_of(m);
        if !fits {
            return Err(Error::Geometry { dim, m });
        }
        Ok(Geometry { dim: dim as u32, m: m as u16, bits })
    }

    /// Dimensions of a vector.
    pub const fn dim(self) -> usize {
        self.dim as usize
    }

    /// Sub-quantizers, and so codes of a vector.
    pub const fn m(self) -> usize {
        self.m as usize
    }

    /// Bits of a code.
    pub const fn bits(self) -> Bits {
        self.bits
    }

    /// Dimensions of a sub-quantizer's part of a vector.
    pub const fn sub_dim(self) -> usize {
        (self.dim / self.m as u32) as usize
    }

    /// Centroids of a sub-quantizer: 16 or 256.
    pub const fn num_centroids(self) -> usize {
        self.bits.num_centroids()
    }

    /// Bytes of a vector's codes where they are row-major: `m`, or half as many with 4 bits, rounded up.
    pub const fn row_bytes(self) -> usize {
        match self.bits {
            Bits::Four => self.m().div_ceil(2),
            Bits::Eight => self.m(),
        }
    }

    /// Values of a codebook, `[m][k][d]`.
    pub const fn codebook_len(self) -> usize {
        self.dim() * self.num_centroids()
    }

    /// Entries of a distance table, `[m][k]`.
    pub const fn table_len(self) -> usize {
        self.m() * self.num_centroids()
    }

    /// Rows of a LUT: `m`, and rows of zeros up to a multiple of four, which is what kernels go on by.
    pub(crate) const fn lut_rows(self) -> usize {
        self.m().next_multiple_of(4)
    }
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} bit of {} dimensions", self.m, self.bits.count(), self.dim)
    }
}

impl fmt::Debug for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Geometry({self})")
    }
}

/// `body` with `m` as it is. Where it is the 16 of SIFT's quantizers, which most benchmarks have, the compiler sees the
/// number, and what is inlined into `body` is unrolled. (A macro, for a closure that is called in two places need not
/// be inlined.)
macro_rules! with_m {
    ($m:ident, $body:expr) => {
        if $m == 16 {
            let $m = 16;
            $body
        } else {
            $body
        }
    };
}
pub(crate) use with_m;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_quantizer_is_refused_by_its_numbers() {
        for (dim, m) in [(0, 1), (1, 0), (0, 0), (128, 257), (128, 3), (8, 16), (usize::MAX, 1), (MAX_DIM + 1, 1)] {
            let error = Geometry::new(dim, m, Bits::Eight).unwrap_err().to_string();
            assert!(error.contains(&format!("{dim} dimensions")) && error.contains(&format!("{m} sub")), "{error}");
        }
    }

    #[test]
    fn sizes_follow_from_the_shape() {
        let geometry = Geometry::new(75, 15, Bits::Four).unwrap();
        assert_eq!((geometry.sub_dim(), geometry.num_centroids(), geometry.row_bytes()), (5, 16, 8));
        assert_eq!((geometry.codebook_len(), geometry.table_len(), geometry.lut_rows()), (1200, 240, 16));
        assert_eq!(Geometry::new(768, 96, Bits::Eight).unwrap().row_bytes(), 96);
    }
}
