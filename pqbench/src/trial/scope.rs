//! What an edit changed, and what a trial may change.
