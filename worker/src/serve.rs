//! The worker's side.

use std::{
    fs::File,
    hint::black_box,
    io::{self, Read, Write},
    os::fd::FromRawFd,
    process,
    time::Instant,
};

use memmap2::{MmapMut, MmapOptions};
use pqscan::{
    Codebook, Codes, Error, List, Query, ScanOptions, TopK, cpu,
    registry::{self, Fidelity, Variant},
};

use super::protocol::{
    COMMAND_WORDS, Call, DESCRIBE, DONE, Declared, EVICT, FLOAT_MODE, OPEN, PREPARE, Places, REFUSED, RELOCATE,
    REPLIES, RUN, SHARED, shape_from_words,
};

/// Does what the bench asks for until it closes the pipe. Never returns, so that nothing runs after it.
///
/// # Panics
/// The process was not started by the bench, or the bench makes no sense. The bench then reports a crash.
pub fn serve() -> ! {
    // SAFETY: the bench opened the descriptor for this process, and nothing else in it knows of it.
    let mut replies = unsafe { File::from_raw_fd(REPLIES) };
    let mut commands = io::stdin().lock();
    let mut state = None;
    loop {
        let mut bytes = [0; 8 * COMMAND_WORDS];
        if commands.read_exact(&mut bytes).is_err() {
            process::exit(0);
        }
        let words = words(&bytes);
        let reply = obey(words, &mut commands, &mut state).expect("a command is followed by what it announces");
        replies.write_all(&reply.bytes()).expect("the bench reads replies");
    }
}

struct Reply {
    status: u64,
    word: u64,
    text: String,
}

impl Reply {
    fn done(word: u64, text: String) -> Reply {
        Reply { status: DONE, word, text }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32 + self.text.len());
        for word in [self.status, self.text.len() as u64, self.word, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(self.text.as_bytes());
        bytes
    }
}

impl From<Error> for Reply {
    fn from(error: Error) -> Reply {
        Reply { status: REFUSED, word: 0, text: error.to_string() }
    }
}

/// What the bench has given.
struct State {
    variant: &'static Variant,
    codebook: Codebook,
    /// Codes of each list.
    lengths: Vec<usize>,
    codes: Vec<u8>,
    lists: Vec<List>,
    shared: MmapMut,
    evicting: Vec<u64>,
}

fn obey(words: [u64; COMMAND_WORDS], commands: &mut impl Read, state: &mut Option<State>) -> io::Result<Reply> {
    let done = match (words[0], state) {
        (DESCRIBE, _) => {
            let name = text(commands, words[1])?;
            describe(&name)
        }
        (OPEN, state) => {
            let [_, _, _, _, _, name_len, num_lists, num_bytes] = words;
            let mut shared_bytes = [0; 8];
            commands.read_exact(&mut shared_bytes)?;
            let name = text(commands, name_len)?;
            let lengths = self::words_of(&bytes(commands, num_lists * 8)?).map(|length| length as usize).collect();
            let shape = shape_from_words([words[1], words[2], words[3], words[4]]);
            let codebook_len = shape.as_ref().map_or(0, |(geometry, _)| geometry.codebook_len());
            let centroids = floats(&bytes(commands, 4 * codebook_len as u64)?);
            let codes = bytes(commands, num_bytes)?;
            let open = || {
                let (geometry, metric) = shape?;
                Ok(State {
                    variant: registry::find(&name)?,
                    codebook: Codebook::new(geometry, metric, &centroids)?,
                    lengths,
                    codes,
                    lists: Vec::new(),
                    shared: shared(u64::from_ne_bytes(shared_bytes) as usize),
                    evicting: Vec::new(),
                })
            };
            open().map(|opened| {
                *state = Some(opened);
                Reply::done(0, String::new())
            })
        }
        (PREPARE, Some(state)) => prepare(state),
        (RELOCATE, Some(state)) => {
            state.lists = state.lists.clone();
            Ok(Reply::done(0, String::new()))
        }
        (RUN, Some(state)) => {
            let call = Call::from_words([words[1], words[2]]).expect("the bench knows the calls");
            run(state, call, words[3] as usize, words[4] as usize, words[5] == 1)
        }
        (EVICT, Some(state)) => {
            state.evicting.resize(words[1] as usize / 8, 1);
            Ok(Reply::done(black_box(state.evicting.iter().sum()), String::new()))
        }
        (command, _) => panic!("command {command} makes no sense here"),
    };
    Ok(done.unwrap_or_else(Reply::from))
}

fn describe(name: &str) -> Result<Reply, Error> {
    let variant = registry::find(name)?;
    let declared = Declared {
        unavailable: variant.unavailable(cpu::features()?),
        gives_up: match variant.fidelity {
            Fidelity::Exact => None,
            Fidelity::Approximate(what) => Some(what.to_owned()),
            _ => Some("something".to_owned()),
        },
        reads_less: variant.reads_less,
        rank: variant.rank,
        requires: variant.requires.iter().map(|feature| feature.name().to_owned()).collect(),
    };
    Ok(Reply::done(0, declared.to_text()))
}

fn shared(len: usize) -> MmapMut {
    // SAFETY: the bench opened the descriptor for this process, and nothing else in it knows of it.
    let file = unsafe { File::from_raw_fd(SHARED) };
    // SAFETY: the bench neither shortens the memory nor writes into it while a command is obeyed.
    let shared = unsafe { MmapOptions::new().len(len).map_mut(&file) }.expect("the bench gives memory");
    // The descriptor stays open for the next time that data are opened.
    std::mem::forget(file);
    shared
}

fn prepare(state: &mut State) -> Result<Reply, Error> {
    let row_bytes = state.codebook.geometry().row_bytes();
    let mut rest = &state.codes[..];
    let mut lists = Vec::with_capacity(state.lengths.len());
    for &length in &state.lengths {
        let (codes, behind) = rest.split_at(length * row_bytes);
        lists.push(state.variant.prepare(&state.codebook, Codes::row_major(codes), 1)?);
        rest = behind;
    }
    state.lists = lists;
    Ok(Reply::done(state.lists.iter().map(List::memory_bytes).sum::<usize>() as u64, String::new()))
}

fn run(state: &mut State, call: Call, k: usize, count: usize, timed: bool) -> Result<Reply, Error> {
    let State { variant, codebook, codes, lists, shared, .. } = state;
    let query_len = call.query_len(codebook.geometry());
    let places = Places::of(count, query_len, k);
    let (queries, answers) = shared.split_at_mut(places.answers);
    let (answers, times) = answers.split_at_mut(places.times - places.answers);
    // A copy, aligned, which costs less than the table of one query.
    let queries = floats(&queries[..count * query_len * 4]);
    let mode = float_mode();
    let mut write = Answers { answers: answers.chunks_exact_mut(places.answer_bytes) };
    let mut times = times.chunks_exact_mut(8);
    let mut before = Instant::now();
    let mut time = || {
        if timed {
            let now = Instant::now();
            if let Some(place) = times.next() {
                place.copy_from_slice(&(now.duration_since(before).as_nanos() as u64).to_ne_bytes());
            }
            before = now;
        }
    };
    let first = lists.first();
    let first = || first.expect("the bench prepares before it asks");
    match call {
        Call::Single => {
            for query in queries.chunks_exact(query_len) {
                let answer = first().search(black_box(query), k)?;
                time();
                write.answer(&answer);
            }
        }
        Call::Batch(size) => {
            for queries in queries.chunks(size * query_len) {
                let answers = first().search_batch(black_box(queries), k)?;
                time();
                answers.iter().for_each(|answer| write.answer(answer));
            }
        }
        Call::Lists(visited) | Call::Residual(visited) => {
            let dim = codebook.geometry().dim();
            let firsts = firsts(lists);
            let mut query = None;
            for (at, vectors) in queries.chunks_exact(query_len).enumerate() {
                let mut top = TopK::new(k);
                let query = begin(&mut query, codebook, &vectors[..dim])?;
                for step in 0..visited.min(lists.len()) {
                    if let (Call::Residual(_), 1..) = (call, step) {
                        query.set(&vectors[step * dim..][..dim])?;
                    }
                    let place = (at * visited + step) % lists.len();
                    let options = ScanOptions { first_id: firsts[place], ..ScanOptions::default() };
                    lists[place].scan(query, &mut top, &options)?;
                }
                let answer = top.into_sorted();
                time();
                write.answer(&answer);
            }
        }
        Call::Table | Call::Unprepared => {
            for table in queries.chunks_exact(query_len) {
                let mut top = TopK::new(k);
                if call == Call::Table {
                    first().scan(&mut codebook.query_from_table(table)?, &mut top, &ScanOptions::default())?;
                } else {
                    let mut query = Query::from_table(codebook.geometry(), table)?;
                    Codes::row_major(codes).scan_by(variant, &mut query, &mut top, &ScanOptions::default())?;
                }
                let answer = top.into_sorted();
                time();
                write.answer(&answer);
            }
        }
    }
    if float_mode() != mode {
        return Ok(Reply { status: FLOAT_MODE, word: 0, text: String::new() });
    }
    Ok(Reply::done(0, String::new()))
}

/// The query of `vector`, in the memory of the one before.
fn begin<'a>(query: &'a mut Option<Query>, codebook: &Codebook, vector: &[f32]) -> Result<&'a mut Query, Error> {
    match query {
        Some(query) => {
            query.set(vector)?;
            Ok(query)
        }
        None => Ok(query.insert(codebook.query(vector)?)),
    }
}

/// The first id of each list.
fn firsts(lists: &[List]) -> Vec<u64> {
    let mut next = 0;
    let first = |list: &List| {
        let first = next;
        next += list.num_vectors() as u64;
        first
    };
    lists.iter().map(first).collect()
}

/// Puts answers into the shared memory.
struct Answers<I> {
    answers: I,
}

impl<'a, I: Iterator<Item = &'a mut [u8]>> Answers<I> {
    fn answer(&mut self, answer: &[(u64, f32)]) {
        let place = self.answers.next().expect("one answer for each query");
        let (count, neighbours) = place.split_at_mut(8);
        count.copy_from_slice(&(answer.len() as u64).to_ne_bytes());
        for (place, &(id, distance)) in neighbours.chunks_exact_mut(16).zip(answer) {
            place[..8].copy_from_slice(&id.to_ne_bytes());
            place[8..].copy_from_slice(&u64::from(distance.to_bits()).to_ne_bytes());
        }
    }
}

/// The modes of the floating-point unit, without its flags.
#[cfg(target_arch = "x86_64")]
fn float_mode() -> u64 {
    /// Exceptions that have happened.
    const FLAGS: u32 = 0x3f;
    let mut mode = 0u32;
    // SAFETY: it stores four bytes where it is told to.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut mode, options(nostack, preserves_flags)) };
    u64::from(mode & !FLAGS)
}

/// The modes of the floating-point unit.
#[cfg(target_arch = "aarch64")]
fn float_mode() -> u64 {
    let mode: u64;
    // SAFETY: it reads a register.
    unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) mode, options(nomem, nostack, preserves_flags)) };
    mode
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn float_mode() -> u64 {
    0
}

fn bytes(commands: &mut impl Read, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len as usize];
    commands.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn text(commands: &mut impl Read, len: u64) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&bytes(commands, len)?).into_owned())
}

fn words_of(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.as_chunks().0.iter().map(|bytes| u64::from_ne_bytes(*bytes))
}

fn words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    words.iter_mut().zip(words_of(bytes)).for_each(|(word, value)| *word = value);
    words
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| f32::from_ne_bytes(*bytes)).collect()
}
