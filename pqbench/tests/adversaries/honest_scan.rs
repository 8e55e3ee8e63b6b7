//! Does nothing wrong: what the others are measured against, and what the suite may not accuse.

use crate::honest::*;

adversary!("adv-honest-scan");

impl Twist for Adversary {}
