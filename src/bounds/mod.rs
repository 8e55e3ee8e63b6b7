//! Lower bounds of a distance, at a fraction of its look-ups.

pub mod early_exit;
pub mod lut;
pub mod merged;

/// More than all the rounding in an f32 sum of `m` entries, in the scale and in the scaling of an entry, as a share of
/// the value: four times what the additions can amount to, and no less than for 16 entries.
pub(crate) fn rounding(m: usize) -> f64 {
    m.div_ceil(16) as f64 / (1 << 18) as f64
}
