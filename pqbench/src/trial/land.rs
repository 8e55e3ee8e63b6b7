//! A trial's end: record, row and code in one commit.
