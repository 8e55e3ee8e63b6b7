//! What a trial leaves: one file under trials/, and from all of them results.tsv.
