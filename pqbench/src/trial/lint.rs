//! What the source of a kernel may not contain.
