//! Files that are there whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use tempfile::NamedTempFile;

/// A place that can be written to.
#[derive(Debug)]
pub enum Place {
    /// A regular file: written beside it and then put in its place, so that nobody ever sees half of it.
    Regular(NamedTempFile, PathBuf),
    /// A device or a pipe.
    Special(File, PathBuf),
}

impl Place {
    /// Makes sure that `path` can be written to, and leaves alone what is there.
    ///
    /// # Errors
    /// It can't be: it is a folder, its folder is missing, it or its folder is read-only.
    pub fn open(path: &Path) -> Result<Place> {
        Self::try_open(path).with_context(|| format!("cannot write to {}", path.display()))
    }

    fn try_open(path: &Path) -> Result<Place> {
        // Through symbolic links: the file behind one is replaced, not the link.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if path.is_dir() {
            bail!("it is a folder");
        }
        if path.exists() {
            let file = OpenOptions::new().write(true).open(&path)?;
            if !file.metadata()?.is_file() {
                return Ok(Place::Special(file, path));
            }
        }
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            bail!("there is no folder {}", folder.display());
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".pqbench-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        Ok(Place::Regular(builder.tempfile_in(folder)?, path))
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// The disk is full, or what else a disk can do.
    pub fn write(self, bytes: &[u8]) -> Result<()> {
        let cannot = |path: &Path| format!("cannot write to {}", path.display());
        match self {
            Place::Special(mut file, path) => file.write_all(bytes).with_context(|| cannot(&path)),
            Place::Regular(mut file, path) => {
                file.write_all(bytes).and_then(|()| file.as_file().sync_all()).with_context(|| cannot(&path))?;
                file.persist(&path).map(drop).with_context(|| cannot(&path))
            }
        }
    }
}
