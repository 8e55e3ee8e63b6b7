//! One decision: keep, discard or inconclusive.
