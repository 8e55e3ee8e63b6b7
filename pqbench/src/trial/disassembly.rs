//! Whether a kernel keeps to the CPU level that it declares.
