//! Worktrees of two commits, and the workers that are built from them.
