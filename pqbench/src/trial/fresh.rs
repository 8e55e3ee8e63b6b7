//! Queries that nobody has asked before.
