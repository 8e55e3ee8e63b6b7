//! Files of raw vectors: TEXMEX's `.fvecs`, `.bvecs` and `.ivecs` (each row begins with its length as a 32-bit
//! integer), and `.u8` (`[n][dim]` bytes and nothing else). All little-endian.

use std::{
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use pqscan::{MAX_DIM, kernels};

/// Reads vectors piece by piece, since a base may be larger than the memory.
pub struct VectorFile {
    path: PathBuf,
    reader: BufReader<File>,
    element: Element,
    dim: usize,
    count: usize,
    read: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Element {
    F32,
    U8,
    U8WithoutLength,
}

impl Element {
    fn of(path: &Path) -> Result<Element> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("fvecs") => Ok(Element::F32),
            Some("bvecs") => Ok(Element::U8),
            Some("u8") => Ok(Element::U8WithoutLength),
            _ => bail!("{}: is no vector file; give a .fvecs, .bvecs or .u8 file", path.display()),
        }
    }

    fn row_bytes(self, dim: usize) -> usize {
        match self {
            Element::F32 => 4 + dim * 4,
            Element::U8 => 4 + dim,
            Element::U8WithoutLength => dim,
        }
    }
}

/// The dimensions that the vectors of all these files have: what the first row of each says. `.u8` files say nothing;
/// where there are no others, they are taken for SIFT, of 128.
///
/// # Errors
/// A file can't be read, or two say different things.
pub fn common_dim(paths: &[&Path]) -> Result<usize> {
    let mut known: Option<(usize, &Path)> = None;
    for path in paths {
        let Some(dim) = first_length(path)? else { continue };
        match known {
            Some((other, first)) if other != dim => bail!(
                "{}: has vectors of {dim} dimensions, but those of {} have {other}; all must be of one kind",
                path.display(),
                first.display()
            ),
            _ => known = known.or(Some((dim, path))),
        }
    }
    Ok(known.map_or(kernels::DIM, |(dim, _)| dim))
}

fn first_length(path: &Path) -> Result<Option<usize>> {
    if Element::of(path)? == Element::U8WithoutLength {
        return Ok(None);
    }
    let (mut file, length) = open(path)?;
    let mut first = [0; 4];
    ensure!(length >= first.len(), "{}: has {length} bytes, not even one vector; get the file again", path.display());
    file.read_exact(&mut first).with_context(|| cannot(path))?;
    let dim = u32::from_le_bytes(first) as usize;
    ensure!(
        (1..=MAX_DIM).contains(&dim),
        "{}: begins with a vector of {dim} dimensions, expected 1 to {MAX_DIM}; get the file again",
        path.display()
    );
    Ok(Some(dim))
}

impl VectorFile {
    /// Opens a file of vectors of `dim` dimensions; its extension says how they are stored.
    ///
    /// # Errors
    /// It can't be read, has another extension, or is not a whole number of rows, at least one.
    pub fn open(path: &Path, dim: usize) -> Result<VectorFile> {
        let element = Element::of(path)?;
        let (file, count) = open_rows(path, element.row_bytes(dim), &format!(" of {dim} dimensions"))?;
        Ok(VectorFile { path: path.to_owned(), reader: BufReader::new(file), element, dim, count, read: 0 })
    }

    /// Vectors in the file.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Vectors read so far.
    pub fn position(&self) -> usize {
        self.read
    }

    /// The next vectors `[n][dim]`, at most `most`; none at the end.
    ///
    /// # Errors
    /// A row has another length than it should, or a value that is not finite.
    pub fn read(&mut self, most: usize) -> Result<Vec<f32>> {
        let rows = most.min(self.count - self.read);
        let row_bytes = self.element.row_bytes(self.dim);
        let mut bytes = vec![0; rows * row_bytes];
        self.reader.read_exact(&mut bytes).with_context(|| cannot(&self.path))?;
        let mut vectors = Vec::with_capacity(rows * self.dim);
        for row in bytes.chunks_exact(row_bytes) {
            let added = self.add(row, &mut vectors);
            added.with_context(|| format!("{}: vector {}", self.path.display(), self.read))?;
            self.read += 1;
        }
        Ok(vectors)
    }

    fn add(&self, row: &[u8], vectors: &mut Vec<f32>) -> Result<()> {
        let values = match self.element {
            Element::U8WithoutLength => row,
            Element::U8 | Element::F32 => after_length(row, self.dim)?,
        };
        let first = vectors.len();
        match self.element {
            Element::U8 | Element::U8WithoutLength => vectors.extend(values.iter().map(|&byte| f32::from(byte))),
            Element::F32 => vectors.extend(values.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes))),
        }
        let vector = &vectors[first..];
        if let Some(d) = vector.iter().position(|value| !value.is_finite()) {
            bail!("has {} in dimension {d}, not a finite number", vector[d]);
        }
        Ok(())
    }
}

/// The ids `[n][k]` of an `.ivecs` file, and `k`.
///
/// # Errors
/// It can't be read, or its rows are not all of one length, at least one.
pub fn read_ivecs(path: &Path) -> Result<(Vec<u32>, usize)> {
    ensure!(path.extension().is_some_and(|extension| extension == "ivecs"), "{}: is no .ivecs file", path.display());
    let (mut file, _) = open_rows(path, 4, "")?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).with_context(|| cannot(path))?;
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

fn cannot(path: &Path) -> String {
    format!("{}: can't be read", path.display())
}

/// The file, and how many bytes it has.
fn open(path: &Path) -> Result<(File, usize)> {
    // Before it is opened: opening a pipe would wait for ever.
    ensure!(fs::metadata(path).with_context(|| cannot(path))?.is_file(), "{}: is not a file", path.display());
    let file = File::open(path).with_context(|| cannot(path))?;
    let length = file.metadata().with_context(|| cannot(path))?.len() as usize;
    Ok((file, length))
}

/// The file, and how many rows it has; `what` more there is to say of them.
fn open_rows(path: &Path, row_bytes: usize, what: &str) -> Result<(File, usize)> {
    let (file, length) = open(path)?;
    ensure!(
        length > 0 && length.is_multiple_of(row_bytes),
        "{}: has {length} bytes, not a whole number of rows of {row_bytes} bytes{what}; get the file again",
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
