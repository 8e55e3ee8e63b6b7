//! Keeps its rows, and says that it keeps nothing.

use crate::honest::*;

adversary!("adv-lies-about-memory");

impl Twist for Adversary {
    fn memory_bytes(&self, _: &[u8]) -> usize {
        0
    }
}
