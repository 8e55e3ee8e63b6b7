//! Files of raw vectors: TEXMEX's `.fvecs`, `.bvecs` and `.ivecs` (each row begins with its length as a 32-bit integer), and
//! `.u8` (`[n][128]` bytes and nothing else). All little-endian.

use std::{
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use pqscan::DIM;

/// Reads vectors piece by piece, since a base may be larger than the memory.
pub struct VectorFile {
    path: PathBuf,
    reader: BufReader<File>,
    element: Element,
    count: usize,
    read: usize,
}

#[derive(Clone, Copy)]
enum Element {
    F32,
    U8,
    U8WithoutLength,
}

impl Element {
    fn row_bytes(self) -> usize {
        match self {
            Element::F32 => 4 + DIM * 4,
            Element::U8 => 4 + DIM,
            Element::U8WithoutLength => DIM,
        }
    }
}

impl VectorFile {
    /// Opens a file of 128-dimensional vectors; its extension says how they are stored.
    ///
    /// # Errors
    /// It can't be read, has another extension, or is not a whole number of rows, at least one.
    pub fn open(path: &Path) -> Result<VectorFile> {
        let element = match path.extension().and_then(|extension| extension.to_str()) {
            Some("fvecs") => Element::F32,
            Some("bvecs") => Element::U8,
            Some("u8") => Element::U8WithoutLength,
            _ => bail!("{}: is no vector file; give a .fvecs, .bvecs or .u8 file", path.display()),
        };
        let (file, count) = open_rows(path, element.row_bytes())?;
        Ok(VectorFile { path: path.to_owned(), reader: BufReader::new(file), element, count, read: 0 })
    }

    /// Vectors in the file.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The next vectors, at most `most`; none at the end.
    ///
    /// # Errors
    /// A row has another length than 128, or a value that is not finite.
    pub fn read(&mut self, most: usize) -> Result<Vec<[f32; DIM]>> {
        let rows = most.min(self.count - self.read);
        let mut bytes = vec![0; rows * self.element.row_bytes()];
        self.reader.read_exact(&mut bytes).with_context(|| format!("{}: can't be read", self.path.display()))?;
        let mut vectors = Vec::with_capacity(rows);
        for row in bytes.chunks_exact(self.element.row_bytes()) {
            let vector = self.vector(row);
            let vector = vector.with_context(|| format!("{}: vector {}", self.path.display(), self.read))?;
            vectors.push(vector);
            self.read += 1;
        }
        Ok(vectors)
    }

    /// All vectors that are left.
    ///
    /// # Errors
    /// Those of [`VectorFile::read`].
    pub fn read_all(&mut self) -> Result<Vec<[f32; DIM]>> {
        self.read(self.count)
    }

    fn vector(&self, row: &[u8]) -> Result<[f32; DIM]> {
        let mut vector = [0.0; DIM];
        let values = match self.element {
            Element::U8WithoutLength => row,
            Element::U8 | Element::F32 => after_length(row, DIM)?,
        };
        match self.element {
            Element::U8 | Element::U8WithoutLength => {
                vector.iter_mut().zip(values).for_each(|(value, &byte)| *value = f32::from(byte));
            }
            Element::F32 => {
                let values = values.as_chunks().0;
                vector.iter_mut().zip(values).for_each(|(value, &bytes)| *value = f32::from_le_bytes(bytes));
            }
        }
        if let Some(d) = vector.iter().position(|value| !value.is_finite()) {
            bail!("has {} in dimension {d}, not a finite number", vector[d]);
        }
        Ok(vector)
    }
}

/// The ids `[n][k]` of an `.ivecs` file, and `k`.
///
/// # Errors
/// It can't be read, or its rows are not all of one length, at least one.
pub fn read_ivecs(path: &Path) -> Result<(Vec<u32>, usize)> {
    ensure!(path.extension().is_some_and(|extension| extension == "ivecs"), "{}: is no .ivecs file", path.display());
    let (mut file, _) = open_rows(path, 4)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).with_context(|| format!("{}: can't be read", path.display()))?;
    let k = bytes.first_chunk().map_or(0, |&k| u32::from_le_bytes(k)) as usize;
    let row_bytes = k.saturating_add(1).saturating_mul(4);
    ensure!(
        k > 0 && bytes.len().is_multiple_of(row_bytes),
        "{}: has {} bytes, not a whole number of rows of {k} ids; get the file again",
        path.display(),
        bytes.len()
    );
    let mut ids = Vec::with_capacity(bytes.len() / 4);
    for (i, row) in bytes.chunks_exact(row_bytes).enumerate() {
        let values = after_length(row, k).with_context(|| format!("{}: row {i}", path.display()))?;
        ids.extend(values.as_chunks().0.iter().map(|&id| u32::from_le_bytes(id)));
    }
    Ok((ids, k))
}

fn open_rows(path: &Path, row_bytes: usize) -> Result<(File, usize)> {
    let cannot = || format!("{}: can't be read", path.display());
    // Before it is opened: opening a pipe would wait for ever.
    ensure!(fs::metadata(path).with_context(cannot)?.is_file(), "{}: is not a file", path.display());
    let file = File::open(path).with_context(cannot)?;
    let length = file.metadata().with_context(cannot)?.len() as usize;
    ensure!(
        length > 0 && length.is_multiple_of(row_bytes),
        "{}: has {length} bytes, not a whole number of rows of {row_bytes} bytes; get the file again",
        path.display()
    );
    Ok((file, length / row_bytes))
}

fn after_length(row: &[u8], expected: usize) -> Result<&[u8]> {
    let (&length, values) = row.split_first_chunk().context("is empty")?;
    let length = u32::from_le_bytes(length);
    ensure!(length as usize == expected, "has length {length}, not {expected}");
    Ok(values)
}
