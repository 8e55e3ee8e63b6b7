//! How long a step that takes more than a moment still needs.

use indicatif::{ProgressBar, ProgressStyle};

/// Begins a step of `length` units on `progress`, which draws only on a terminal, and nothing if it is hidden.
pub fn begin(progress: &ProgressBar, step: &'static str, length: usize) {
    let style = ProgressStyle::with_template("{msg:28} {bar:32} {percent:>3} %  {eta} left");
    progress.set_style(style.expect("the template is well-formed"));
    progress.set_length(length as u64);
    progress.set_message(step);
    progress.reset();
}
