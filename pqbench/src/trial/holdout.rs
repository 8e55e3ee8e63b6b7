//! Questions that could not be rehearsed: real data under other names.
