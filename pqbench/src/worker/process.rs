//! One worker process.

use std::{
    fs::{self, File},
    io::{self, PipeReader, Read, Seek, SeekFrom, Write},
    mem,
    os::{
        fd::{AsRawFd, FromRawFd, RawFd},
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use memmap2::MmapMut;
use pqbench_worker::protocol::{
    Call, DESCRIBE, DONE, Declared, EVICT, FLOAT_MODE, OPEN, PREPARE, Places, RELOCATE, REPLIES, REPLY_WORDS, RUN,
    SHARED, shape_words,
};
use pqscan::{Geometry, cpu};

use super::{Answer, End, EndKind, Failure, Limits, Prepared, Program, Task, Turn, sandbox::Sandbox};

/// CPU time that a worker may use between two commands, to send a reply and to wait for the next one, or to start.
const IDLE: Duration = Duration::from_millis(2);
/// CPU time beyond the time by the clock, which the two accounts may differ by.
const SLACK: Duration = Duration::from_millis(2);
/// How long a worker that closed its pipes may take to die of what it dies of.
const DYING: Duration = Duration::from_secs(1);
/// What is shown of what it printed.
const LAST_WORDS: usize = 400;

/// A process for one build of a kernel. Dropping it kills it.
pub struct Worker {
    child: Child,
    commands: ChildStdin,
    replies: PipeReader,
    shared: MmapMut,
    /// Bytes of it that queries and answers had.
    used: usize,
    /// What it prints.
    log: File,
    clock: libc::clockid_t,
    limits: Limits,
    geometry: Option<Geometry>,
    /// Its CPU time when the last command was done.
    cpu_ns: Option<f64>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Worker {
    /// Starts `program` behind the walls.
    ///
    /// # Errors
    /// It can't be started, or the system can't wall it in.
    pub fn start(program: &Program, limits: &Limits) -> Result<Worker> {
        let (replies, write_replies) = io::pipe()?;
        let memory = memory_file(limits.shared)?;
        // SAFETY: the file is this process's own, and the worker is only looked at where this process knows.
        let shared = unsafe { MmapMut::map_mut(&memory) }.context("no memory to share with a worker")?;
        let log = memory_file(0)?;
        let mut sandbox = Sandbox::new(&program.path, limits.memory, limits.cpu)?;
        let mut command = Command::new(&program.path);
        command.args(&program.arguments).env_clear().current_dir("/");
        if let Ok(mask) = std::env::var(cpu::MASK_VARIABLE) {
            command.env(cpu::MASK_VARIABLE, mask);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log.try_clone()?);
        let descriptors = [(write_replies.as_raw_fd(), REPLIES), (memory.as_raw_fd(), SHARED)];
        // SAFETY: it only makes system calls, with what was made before the fork.
        unsafe {
            command.pre_exec(move || {
                descriptors.into_iter().try_for_each(|(from, to)| duplicate(from, to))?;
                sandbox.enter()
            })
        };
        let mut child = command
            .spawn()
            .with_context(|| format!("the worker '{}' can't be started in its sandbox", program.path.display()))?;
        let commands = child.stdin.take().context("a worker has an input")?;
        // One that does not read must not keep the bench waiting.
        // SAFETY: it takes plain values.
        let result = unsafe { libc::fcntl(commands.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
        ensure!(result == 0, "the worker's input can't be set up: {}", io::Error::last_os_error());
        let clock = clock_of(&child)?;
        let limits = limits.clone();
        Ok(Worker { child, commands, replies, shared, used: 0, log, clock, limits, geometry: None, cpu_ns: None })
    }

    /// What the variant declares.
    ///
    /// # Errors
    /// There is no such variant, or the worker is gone.
    pub fn describe(&mut self, variant: &str) -> Result<Declared, Failure> {
        let (_, text) = self.ask(&[DESCRIBE, variant.len() as u64], &[variant.as_bytes()])?;
        Declared::from_text(&text).ok_or_else(|| self.ended(EndKind::Wrong, "it does not describe its variant"))
    }

    /// Gives the data.
    ///
    /// # Errors
    /// There is no such variant, it does not take the data, or the worker is gone.
    pub fn open(&mut self, task: &Task<'_>) -> Result<(), Failure> {
        let [dim, m, bits, metric] = shape_words(task.geometry, task.metric);
        let words = [OPEN, dim, m, bits, metric, task.variant.len() as u64, task.lengths.len() as u64];
        let lengths: Vec<u8> = task.lengths.iter().flat_map(|&length| (length as u64).to_ne_bytes()).collect();
        let centroids: Vec<u8> = task.centroids.iter().flat_map(|value| value.to_ne_bytes()).collect();
        let words: Vec<u64> = words.into_iter().chain([task.codes.len() as u64]).collect();
        let shared = (self.shared.len() as u64).to_ne_bytes();
        self.geometry = Some(task.geometry);
        self.ask(&words, &[&shared, task.variant.as_bytes(), &lengths, &centroids, task.codes])?;
        Ok(())
    }

    /// Has the lists prepared.
    ///
    /// # Errors
    /// The engine refuses, or the worker is gone.
    pub fn prepare(&mut self) -> Result<Prepared, Failure> {
        let before = (self.cpu_ns()?, self.memory_bytes());
        let (declared, _) = self.ask(&[PREPARE], &[])?;
        Ok(Prepared {
            cpu_ns: self.cpu_ns()? - before.0,
            bytes: self.memory_bytes().saturating_sub(before.1),
            declared_bytes: declared as usize,
        })
    }

    /// Moves the prepared lists to another place in memory; the CPU time that it takes, ns.
    ///
    /// # Errors
    /// The worker is gone.
    pub fn relocate(&mut self) -> Result<f64, Failure> {
        let before = self.cpu_ns()?;
        self.ask(&[RELOCATE], &[])?;
        Ok(self.cpu_ns()? - before)
    }

    /// Drives what the worker has in the caches out of them, by reading so many bytes.
    ///
    /// # Errors
    /// The worker is gone.
    pub fn evict(&mut self, bytes: usize) -> Result<(), Failure> {
        self.ask(&[EVICT, bytes as u64], &[]).map(drop)
    }

    /// How many queries of a call for `k` neighbours there is room for.
    pub fn room(&self, call: Call, k: usize) -> usize {
        let geometry = self.geometry.expect("data were opened");
        let one = Places::of(1, call.query_len(geometry), k).end + 64;
        self.shared.len() / one
    }

    /// Has `queries` answered, which are all of one call's length.
    ///
    /// # Errors
    /// The engine refuses, or the worker is gone, or has cheated.
    pub fn run(&mut self, call: Call, k: usize, queries: &[f32], timed: bool) -> Result<Turn, Failure> {
        let geometry = self.geometry.context("no data were opened")?;
        let query_len = call.query_len(geometry);
        let count = queries.len() / query_len;
        let places = Places::of(count, query_len, k);
        if places.end > self.shared.len() {
            return Err(anyhow!("{count} queries for {k} neighbours each are too many for one turn").into());
        }
        self.used = self.used.max(places.end);
        // The clock is read before there is a query to look at, and again when nothing can be added to the answers.
        let cpu = self.idle_until_now()?;
        self.shared[places.answers..places.end].fill(0xff);
        for (place, value) in self.shared.as_chunks_mut().0.iter_mut().zip(queries) {
            *place = value.to_ne_bytes();
        }
        let [kind, parameter] = call.words();
        let begin = Instant::now();
        self.ask(&[RUN, kind, parameter, k as u64, count as u64, u64::from(timed)], &[])?;
        let wall_ns = begin.elapsed().as_nanos() as f64;
        let answered = self.shared[places.answers..places.end].to_vec();
        let after = self.cpu_ns()?;
        self.cpu_ns = Some(after);
        let cpu_ns = after - cpu;
        if cpu_ns > wall_ns + SLACK.as_nanos() as f64 {
            let detail = format!("{cpu_ns:.0} ns of CPU time within {wall_ns:.0} ns");
            return Err(self.ended(EndKind::Threads, &detail));
        }
        let (answers, times) = answered.split_at(places.times - places.answers);
        let answers = answers
            .chunks_exact(places.answer_bytes)
            .enumerate()
            .map(|(at, bytes)| {
                answer(bytes, k).ok_or_else(|| self.ended(EndKind::Wrong, &format!("query {at}: there is no answer")))
            })
            .collect::<Result<_, _>>()?;
        let calls_ns = if timed { call_times(times, call, count, cpu_ns) } else { Vec::new() };
        Ok(Turn { answers, cpu_ns, wall_ns, calls_ns })
    }

    /// Bytes of memory that only the worker has, and of what it shares more than it was given.
    pub fn memory_bytes(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let bytes = |name| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim().trim_end_matches("kB").trim().parse::<usize>().unwrap_or_default() << 10
        };
        bytes("RssAnon:") + bytes("RssShmem:").saturating_sub(self.used)
    }

    /// The worker's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The CPU time that the kernel accounts to the worker, ns.
    fn cpu_ns(&self) -> Result<f64> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the time is there for the whole call.
        let result = unsafe { libc::clock_gettime(self.clock, &mut time) };
        ensure!(result == 0, "the CPU time of the worker can't be read: {}", io::Error::last_os_error());
        Ok(time.tv_sec as f64 * 1e9 + time.tv_nsec as f64)
    }

    /// The CPU time before a command. What was used since the last one was for nothing that was asked.
    fn idle_until_now(&mut self) -> Result<f64, Failure> {
        let now = self.cpu_ns()?;
        match self.cpu_ns.map(|before| now - before).filter(|&idle| idle > IDLE.as_nanos() as f64) {
            Some(idle) => {
                Err(self.ended(EndKind::Threads, &format!("it worked for {idle:.0} ns when nothing was asked")))
            }
            None => Ok(now),
        }
    }

    /// Sends a command, and waits for the reply: its word and its text.
    fn ask(&mut self, words: &[u64], rest: &[&[u8]]) -> Result<(u64, String), Failure> {
        let mut bytes = [0; 64];
        bytes.as_chunks_mut().0.iter_mut().zip(words).for_each(|(place, word)| *place = word.to_ne_bytes());
        self.idle_until_now()?;
        self.send(&bytes)?;
        rest.iter().try_for_each(|bytes| self.send(bytes))?;
        let mut head = [0; 8 * REPLY_WORDS];
        self.receive(&mut head)?;
        let word = |at: usize| u64::from_ne_bytes(*head.as_chunks().0.get(at).expect("a reply has four words"));
        let len = word(1);
        if len > 1 << 16 {
            return Err(self.ended(EndKind::Wrong, "it replies nonsense"));
        }
        let mut text = vec![0; len as usize];
        self.receive(&mut text)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        match word(0) {
            DONE => {
                self.cpu_ns = Some(self.cpu_ns()?);
                Ok((word(2), text))
            }
            FLOAT_MODE => Err(self.ended(EndKind::Wrong, "it changed the mode of the floating-point unit")),
            _ => {
                self.cpu_ns = Some(self.cpu_ns()?);
                Err(Failure::Refused(text))
            }
        }
    }

    /// Sends `bytes`, unless the worker takes too long to read them.
    fn send(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        let begin = Instant::now();
        while !bytes.is_empty() {
            self.wait(self.commands.as_raw_fd(), libc::POLLOUT, begin)?;
            match self.commands.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(self.died()),
            }
        }
        Ok(())
    }

    /// Fills `bytes` with what the worker replies, unless it takes too long.
    fn receive(&mut self, bytes: &mut [u8]) -> Result<(), Failure> {
        let begin = Instant::now();
        let mut filled = 0;
        while filled < bytes.len() {
            self.wait(self.replies.as_raw_fd(), libc::POLLIN, begin)?;
            match self.replies.read(&mut bytes[filled..]) {
                Ok(0) => return Err(self.died()),
                Ok(count) => filled += count,
                Err(error) => return Err(anyhow!(error).context("the worker's reply can't be read").into()),
            }
        }
        Ok(())
    }

    /// Until a pipe is ready, or broken, or the time since `begin` is up.
    fn wait(&mut self, pipe: RawFd, events: i16, begin: Instant) -> Result<(), Failure> {
        loop {
            let left = self.limits.timeout.saturating_sub(begin.elapsed());
            let mut waiting = libc::pollfd { fd: pipe, events, revents: 0 };
            // SAFETY: the one descriptor is there for the whole call.
            match unsafe { libc::poll(&mut waiting, 1, left.as_millis().try_into().unwrap_or(i32::MAX)) } {
                0 => {
                    let detail = format!("no reply within {:.0} s", self.limits.timeout.as_secs_f64());
                    return Err(self.ended(EndKind::Timeout, &detail));
                }
                1 => return Ok(()),
                // Interrupted by a signal.
                _ => {}
            }
        }
    }

    /// Ends it.
    fn ended(&mut self, kind: EndKind, detail: &str) -> Failure {
        let _ = self.child.kill();
        Failure::End(End { kind, detail: detail.to_owned() })
    }

    /// It closed its pipes: what of?
    fn died(&mut self) -> Failure {
        let begin = Instant::now();
        while begin.elapsed() < DYING && !matches!(self.child.try_wait(), Ok(Some(_))) {
            thread::sleep(Duration::from_millis(1));
        }
        // One that closed its pipes and lives on is not waited for any longer.
        let _ = self.child.kill();
        let status = match self.child.wait() {
            Ok(status) => status,
            Err(error) => return anyhow!(error).context("the worker can't be waited for").into(),
        };
        let words = self.last_words();
        let (kind, what) = cause(status, &words);
        let said = if words.is_empty() { String::new() } else { format!(": {words}") };
        Failure::End(End { kind, detail: format!("{what}{said}") })
    }

    /// The end of what it printed, in one line.
    fn last_words(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = self.log.seek(SeekFrom::Start(0)).and_then(|_| self.log.read_to_end(&mut bytes));
        if read.is_err() {
            return String::new();
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let text: Vec<char> = lines.join("; ").chars().filter(|c| !c.is_control()).collect();
        text[..text.len().min(LAST_WORDS)].iter().collect()
    }
}

/// What a worker died of.
fn cause(status: ExitStatus, words: &str) -> (EndKind, String) {
    match status.signal() {
        Some(libc::SIGSYS) => (EndKind::Threads, "it started a thread or a process".to_owned()),
        Some(libc::SIGABRT) if words.contains("memory allocation of") => {
            (EndKind::Memory, "it wanted more memory than it may have".to_owned())
        }
        Some(signal) => (EndKind::Crash, format!("{} ended it", signal_name(signal))),
        None => (EndKind::Crash, format!("it exited with code {}", status.code().unwrap_or_default())),
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGILL => "SIGILL",
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGXFSZ => "SIGXFSZ (it printed too much)",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

/// The answer that `bytes` of the shared memory are.
fn answer(bytes: &[u8], k: usize) -> Option<Answer> {
    let mut words = bytes.as_chunks().0.iter().map(|bytes| u64::from_ne_bytes(*bytes));
    let count = words.next().filter(|&count| count <= k as u64)?;
    (0..count).map(|_| Some((words.next()?, f32::from_bits(words.next()? as u32)))).collect()
}

/// What the worker says of its calls, a query each, scaled so that they add up to its CPU time.
fn call_times(bytes: &[u8], call: Call, count: usize, cpu_ns: f64) -> Vec<f64> {
    let batch = if let Call::Batch(size) = call { size } else { 1 };
    let words = bytes.as_chunks().0.iter().map(|bytes| u64::from_ne_bytes(*bytes) as f64);
    let times: Vec<f64> = words.take(count.div_ceil(batch)).collect();
    let scale = cpu_ns / times.iter().sum::<f64>() / batch as f64;
    times.iter().map(|time| time * scale).collect()
}

/// A file that is memory, of so many bytes.
fn memory_file(len: usize) -> Result<File> {
    // SAFETY: the name ends with a zero.
    let descriptor = unsafe { libc::memfd_create(c"pqbench".as_ptr(), libc::MFD_CLOEXEC) };
    ensure!(descriptor >= 0, "no memory to share with a worker: {}", io::Error::last_os_error());
    // SAFETY: the descriptor was just opened, and is nobody else's.
    let file = unsafe { File::from_raw_fd(descriptor) };
    file.set_len(len as u64)?;
    Ok(file)
}

/// Gives `from` a second number, which the child keeps.
fn duplicate(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: both are plain numbers.
    if unsafe { libc::dup2(from, to) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn clock_of(child: &Child) -> Result<libc::clockid_t> {
    let mut clock = mem::MaybeUninit::uninit();
    let id = child.id().try_into().context("a process id is no number")?;
    // SAFETY: the clock is there for the whole call.
    let result = unsafe { libc::clock_getcpuclockid(id, clock.as_mut_ptr()) };
    ensure!(result == 0, "the worker has no clock: {}", io::Error::from_raw_os_error(result));
    // SAFETY: the call has written it.
    Ok(unsafe { clock.assume_init() })
}
