//! What a person sees while a measurement goes on.

use std::{
    io::{self, Write},
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use pqbench::{
    measure::{Observer, Phase, Progress},
    report::units::significant,
    run::{Run, VariantResult},
    saved,
};

use crate::exit;

/// Whether Ctrl-C was pressed.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Shows how far the measurement is and who leads, saves it after each round, and passes Ctrl-C on.
pub struct Live {
    bar: ProgressBar,
    standing: String,
    save_to: Option<PathBuf>,
}

impl Live {
    pub fn new(quiet: bool, save_to: Option<PathBuf>) -> anyhow::Result<Live> {
        ctrlc::set_handler(|| {
            if INTERRUPTED.swap(true, Ordering::Relaxed) {
                std::process::exit(exit::INTERRUPTED.into());
            }
            let _ = writeln!(io::stderr(), "\ninterrupted: finishing what is under way; once more ends at once");
        })
        .context("cannot listen for Ctrl-C")?;
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(1_000) };
        bar.set_style(ProgressStyle::with_template("{bar:20} {wide_msg}")?);
        Ok(Live { bar, standing: String::new(), save_to })
    }

    /// Saves the whole run, and says so where the user may doubt it.
    pub fn finish(&self, run: &Run) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        let Some(path) = &self.save_to else { return Ok(()) };
        saved::save(run, path)?;
        if self.interrupted() {
            let _ = writeln!(io::stderr(), "what was measured is in {}", path.display());
        }
        Ok(())
    }
}

impl Observer for Live {
    fn progress(&mut self, progress: &Progress<'_>) {
        self.bar.set_position((1e3 * progress.done) as u64);
        let left = progress.seconds_left.map(|s| format!("{s:.0} s left: ")).unwrap_or_default();
        let standing = if self.standing.is_empty() { String::new() } else { format!("{}; ", self.standing) };
        let message = match progress.phase {
            Phase::Reference => format!("{left}the reference answers the queries"),
            Phase::Prepare => format!("{standing}{} prepares the codes", progress.variant),
            Phase::Verify => format!("{standing}checking {}", progress.variant),
            Phase::WarmUp => format!("{standing}warming up"),
            Phase::Rounds => format!("{left}{}", self.standing),
        };
        self.bar.set_message(message);
        if matches!(progress.phase, Phase::Prepare | Phase::WarmUp) {
            // Nothing more is told until that is done, and a bar that was drawn often would leave this message out.
            self.bar.suspend(|| {});
        }
    }

    fn rough(&mut self, run: &Run) {
        self.standing = format!("roughly {}", standing(run));
    }

    fn round_done(&mut self, run: &Run) {
        // What can't be saved now may be in a moment; the last try counts.
        let _ = self.save_to.as_ref().map(|path| saved::save(run, path));
        self.standing = standing(run);
    }

    fn interrupted(&self) -> bool {
        INTERRUPTED.load(Ordering::Relaxed)
    }
}

/// Who leads on the data set that is measured.
fn standing(run: &Run) -> String {
    let place = |variant: &VariantResult| {
        Some(format!("{}. {} {}x", variant.rank?, variant.name, significant(variant.speedup?)))
    };
    let last = run.others.last().unwrap_or(run);
    let places: Vec<String> = last.variants.iter().filter_map(place).collect();
    format!("{}: {}", last.fixture.name, places.join(", "))
}

impl Drop for Live {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
