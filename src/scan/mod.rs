//! The ways through a list.

pub mod candidates;
pub mod coarse;
pub mod filter;
pub mod grouped;
pub mod ordered;
pub mod row_major;
pub mod rows;
pub mod score;
