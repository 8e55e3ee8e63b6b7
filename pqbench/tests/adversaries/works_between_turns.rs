//! Says that its list is moved, which is true, and goes on working.

use crate::honest::*;

adversary!("adv-works-between-turns", Works);

#[derive(Default)]
struct Works;

impl Clone for Works {
    fn clone(&self) -> Self {
        reply();
        spin(500);
        Works
    }
}

impl Twist for Works {}
