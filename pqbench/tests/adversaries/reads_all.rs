//! Says that it reads less than all codes, and reads them all.

use crate::honest::*;

adversary!("adv-reads-all", Adversary, fidelity: EXACT, rank: 1, reads_less: true,);

#[derive(Clone, Default)]
struct Adversary;

impl Twist for Adversary {}
