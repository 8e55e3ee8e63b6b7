//! Codes as callers have them.

use std::{borrow::Cow, ops::Range};

use crate::{Error, Geometry, error::check_length, geometry::Bits};

/// Codes in somebody's memory: row-major or by column. They fit a [`Geometry`] or not; whatever takes them checks that.
///
/// With 4 bits two codes are a byte, that of the even sub-quantizer in the low half. Where there is an odd number of
/// them, the last byte's upper half is ignored, whatever it holds.
///
/// ```text
/// row-major                        by column, stride >= n
/// code 0: [m 0][m 1] ... [m M-1]   m 0:   [code 0][code 1] ... [code n-1] ..
/// code 1: [m 0][m 1] ... [m M-1]   m 1:   [code 0][code 1] ... [code n-1] ..
/// ...                              ...
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Codes<'a> {
    bytes: &'a [u8],
    arrangement: Arrangement,
}

#[derive(Clone, Copy, Debug)]
enum Arrangement {
    RowMajor,
    Columns { num_vectors: usize, stride: usize },
}

impl<'a> Codes<'a> {
    /// Rows of codes, one after the other.
    pub fn row_major(bytes: &'a [u8]) -> Codes<'a> {
        Codes { bytes, arrangement: Arrangement::RowMajor }
    }

    /// Columns of `num_vectors` codes, one for each sub-quantizer (with 4 bits for each two), `stride` bytes from one
    /// to the next.
    pub fn columns(bytes: &'a [u8], num_vectors: usize, stride: usize) -> Codes<'a> {
        Codes { bytes, arrangement: Arrangement::Columns { num_vectors, stride } }
    }

    /// How many codes of `geometry` these are.
    ///
    /// # Errors
    /// They are no whole number of rows, the columns overlap or end too early, or there are 2^32 or more.
    pub fn num_vectors(&self, geometry: Geometry) -> Result<usize, Error> {
        let (bytes, row_bytes) = (self.bytes.len(), geometry.row_bytes());
        let count = match self.arrangement {
            Arrangement::RowMajor => {
                let rows = bytes / row_bytes;
                let expected = if bytes.is_multiple_of(row_bytes) { bytes } else { (rows + 1) * row_bytes };
                check_length("a whole number of rows of codes", bytes, expected, "bytes")?;
                rows
            }
            Arrangement::Columns { num_vectors, stride } => {
                if stride < num_vectors {
                    return Err(Error::Stride { stride, num_vectors });
                }
                let most = stride.checked_mul(row_bytes - 1).and_then(|start| start.checked_add(num_vectors));
                let expected = most.unwrap_or(usize::MAX);
                if bytes < expected && num_vectors > 0 {
                    return Err(Error::Length { what: "the columns of codes", found: bytes, expected, unit: "bytes" });
                }
                num_vectors
            }
        };
        if u32::try_from(count).is_err() {
            return Err(Error::TooManyCodes(count));
        }
        Ok(count)
    }

    /// The bytes, where a row is a byte for each sub-quantizer of `geometry` already.
    pub(crate) fn plain_rows(&self, geometry: Geometry) -> Option<&'a [u8]> {
        matches!((self.arrangement, geometry.bits()), (Arrangement::RowMajor, Bits::Eight)).then_some(self.bytes)
    }

    /// All as rows of a byte for each sub-quantizer. They fit `geometry`.
    pub(crate) fn to_rows(self, geometry: Geometry, num_vectors: usize) -> Cow<'a, [u8]> {
        match self.plain_rows(geometry) {
            Some(rows) => Cow::Borrowed(rows),
            None => {
                let mut rows = vec![0; num_vectors * geometry.m()];
                self.copy_rows(geometry, 0..num_vectors, &mut rows);
                Cow::Owned(rows)
            }
        }
    }

    /// Some as rows of a byte for each sub-quantizer. They fit `geometry`.
    pub(crate) fn copy_rows(&self, geometry: Geometry, places: Range<usize>, rows: &mut [u8]) {
        let (m, row_bytes) = (geometry.m(), geometry.row_bytes());
        for (place, row) in places.zip(rows.chunks_exact_mut(m)) {
            for (at, codes) in row.chunks_mut(geometry.bits().codes_per_byte()).enumerate() {
                let byte = match self.arrangement {
                    Arrangement::RowMajor => self.bytes[place * row_bytes + at],
                    Arrangement::Columns { stride, .. } => self.bytes[at * stride + place],
                };
                match (geometry.bits(), codes) {
                    (Bits::Four, [low, high]) => (*low, *high) = (byte & 0x0f, byte >> 4),
                    (Bits::Four, [low]) => *low = byte & 0x0f,
                    (_, codes) => codes.fill(byte),
                }
            }
        }
    }
}

/// Rows of a byte for each sub-quantizer as a caller stores them, row-major.
pub(crate) fn packed(geometry: Geometry, rows: &[u8]) -> Vec<u8> {
    match geometry.bits() {
        Bits::Eight => rows.to_vec(),
        Bits::Four => {
            let pairs = rows.chunks_exact(geometry.m()).flat_map(|row| row.chunks(2));
            pairs.map(|pair| pair[0] | pair.get(1).map_or(0, |high| high << 4)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_gives_the_same_rows() {
        for (m, bits) in [(3, Bits::Eight), (3, Bits::Four), (4, Bits::Four), (1, Bits::Four)] {
            let geometry = Geometry::new(m, m, bits).unwrap();
            let (n, stride) = (5, 7);
            let rows: Vec<u8> = (0..n * m).map(|i| (i * 37 % geometry.num_centroids()) as u8).collect();
            let packed = packed(geometry, &rows);
            let mut columns = vec![0xee; geometry.row_bytes() * stride];
            for (place, row) in packed.chunks(geometry.row_bytes()).enumerate() {
                row.iter().enumerate().for_each(|(at, &byte)| columns[at * stride + place] = byte);
            }
            for codes in [Codes::row_major(&packed), Codes::columns(&columns, n, stride)] {
                assert_eq!(codes.num_vectors(geometry), Ok(n));
                assert_eq!(codes.to_rows(geometry, n), rows);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let geometry = Geometry::new(8, 4, Bits::Eight).unwrap();
        let refused = |codes: Codes<'_>| codes.num_vectors(geometry).unwrap_err().to_string();
        assert!(refused(Codes::row_major(&[0; 7])).contains("7 bytes, expected 8"));
        assert!(refused(Codes::columns(&[0; 100], 10, 9)).contains("stride of 9"));
        assert!(refused(Codes::columns(&[0; 39], 10, 10)).contains("39 bytes, expected 40"));
        assert!(refused(Codes::columns(&[0; 39], usize::MAX, usize::MAX)).contains("39 bytes"));
        assert_eq!(Codes::columns(&[0; 37], 7, 10).num_vectors(geometry), Ok(7));
        assert_eq!(Codes::columns(&[], 0, 0).num_vectors(geometry), Ok(0));
    }
}
