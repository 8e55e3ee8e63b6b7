//! What a worker may do: compute, and read the libraries that it is linked with. Nothing else, from before its first
//! instruction on.

use std::{collections::BTreeMap, io, path::Path};

use anyhow::{Context, Result};
use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, Scope,
};
use libc::{c_int, rlimit};
use pqbench_worker::protocol::{REPLIES, SHARED};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Where libraries are.
const LIBRARIES: [&str; 5] = ["/lib", "/lib64", "/usr", "/etc/ld.so.cache", "/nix"];
/// Stands in the filters for the worker's own process, which is not there yet when they are made. No process has it.
const OWN: u32 = 0x7fff_fff1;
/// The most that a worker may write into a file, which is what it prints when it dies.
const LARGEST_FILE: u64 = 1 << 20;

/// The walls, built before the fork, for little is allowed between a fork and an exec.
pub struct Sandbox {
    /// Files and other processes.
    ruleset: Option<RulesetCreated>,
    /// System calls: those that end the process, and those that are refused.
    filters: [BpfProgram; 2],
    memory: u64,
    cpu: Option<usize>,
}

impl Sandbox {
    /// Walls around the program at `path`, with at most so many bytes of address space, on one CPU if that is given.
    ///
    /// # Errors
    /// This system has no system call filters.
    pub fn new(path: &Path, memory: u64, cpu: Option<usize>) -> Result<Sandbox> {
        let filters = filters().context("no filter of system calls can be made for this machine")?;
        Ok(Sandbox { ruleset: ruleset(path).context("Landlock refuses")?, filters, memory, cpu })
    }

    /// Goes behind the walls. Called in the child, between fork and exec.
    ///
    /// # Errors
    /// The system refuses.
    pub fn enter(&mut self) -> io::Result<()> {
        for (resource, most) in
            [(libc::RLIMIT_AS, self.memory), (libc::RLIMIT_CORE, 0), (libc::RLIMIT_FSIZE, LARGEST_FILE)]
        {
            let limit = rlimit { rlim_cur: most, rlim_max: most };
            // SAFETY: the limit is there for the whole call.
            checked(unsafe { libc::setrlimit(resource, &limit) })?;
        }
        if let Some(cpu) = self.cpu {
            // SAFETY: a set of CPUs is plain bits, and all zeros is the empty one.
            let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
            // SAFETY: the number comes from a set of this size.
            unsafe { libc::CPU_SET(cpu, &mut set) };
            // SAFETY: the set is there for the whole call.
            checked(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &set) })?;
        }
        close_others()?;
        // SAFETY: it takes plain values.
        checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
        if let Some(ruleset) = self.ruleset.take() {
            ruleset.restrict_self().map_err(|_| io::ErrorKind::PermissionDenied)?;
        }
        let own = std::process::id();
        for filter in &mut self.filters {
            filter.iter_mut().filter(|instruction| instruction.k == OWN).for_each(|instruction| instruction.k = own);
            seccompiler::apply_filter(filter).map_err(|_| io::ErrorKind::PermissionDenied)?;
        }
        Ok(())
    }
}

/// Lets nothing through the exec but the standard descriptors and those of the protocol: whoever started the bench may
/// have left files open.
fn close_others() -> io::Result<()> {
    for (first, last) in [(3, REPLIES as u32 - 1), (SHARED as u32 + 1, u32::MAX)] {
        // SAFETY: it takes plain values.
        let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC) };
        // Before Linux 5.11 there is no such call.
        if result < 0 && !matches!(io::Error::last_os_error().raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

fn checked(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The version of Landlock that the kernel has, 0 for none.
pub fn landlock_version() -> i64 {
    const VERSION: u32 = 1;
    // SAFETY: asked for its version, it looks at no memory.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, VERSION) };
    version.max(0)
}

/// Reads libraries and the program, executes the program, and touches no other process. As much of it as the kernel
/// knows.
fn ruleset(path: &Path) -> Result<Option<RulesetCreated>> {
    if landlock_version() == 0 {
        return Ok(None);
    }
    let abi = ABI::V6;
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?;
    let read = AccessFs::from_read(abi);
    for library in LIBRARIES {
        if let Ok(place) = PathFd::new(library) {
            let access = if Path::new(library).is_file() { AccessFs::from_file(abi) & read } else { read };
            ruleset = ruleset.add_rule(PathBeneath::new(place, access))?;
        }
    }
    let program = PathBeneath::new(PathFd::new(path)?, AccessFs::from_file(abi) & read);
    Ok(Some(ruleset.add_rule(program)?))
}

/// The first ends the process where it starts another one or a thread. The second lets through what a program of one
/// thread needs to start, to compute, to use its pipes and to die; all else fails as if it were not permitted, further
/// filters too, so it comes last.
fn filters() -> Result<[BpfProgram; 2]> {
    let arch = std::env::consts::ARCH.try_into()?;
    let always = |numbers: &[i64]| -> BTreeMap<i64, Vec<SeccompRule>> {
        numbers.iter().map(|&number| (number, Vec::new())).collect()
    };
    let mut allowed = always(ALLOWED);
    // No file is opened for writing.
    let writing = (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_TMPFILE) & !libc::O_DIRECTORY;
    allowed.insert(libc::SYS_openat, vec![masked(2, writing)?]);
    // Signals and limits are for itself.
    allowed.insert(libc::SYS_tgkill, vec![equal(0, OWN)?]);
    allowed.insert(libc::SYS_prlimit64, vec![equal(0, 0)?, equal(0, OWN)?]);
    // Others could have the kernel send signals.
    let controls = [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_DUPFD_CLOEXEC];
    let controls = controls.map(|control| equal(1, control as u32));
    allowed.insert(libc::SYS_fcntl, controls.into_iter().collect::<Result<_>>()?);
    let ending = always(ENDING);
    let allow = SeccompFilter::new(allowed, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow, arch)?;
    let end = SeccompFilter::new(ending, SeccompAction::Allow, SeccompAction::KillProcess, arch)?;
    Ok([end.try_into()?, allow.try_into()?])
}

/// Lets a call through whose argument has none of the bits.
fn masked(argument: u8, bits: c_int) -> Result<SeccompRule> {
    rule(argument, SeccompCmpOp::MaskedEq(bits as u32 as u64), 0)
}

/// Lets a call through whose argument is `value`.
fn equal(argument: u8, value: u32) -> Result<SeccompRule> {
    rule(argument, SeccompCmpOp::Eq, value.into())
}

fn rule(argument: u8, compare: SeccompCmpOp, value: u64) -> Result<SeccompRule> {
    Ok(SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, value)?])?)
}

/// Calls that start a thread or a process.
const ENDING: &[i64] = &[
    libc::SYS_clone,
    libc::SYS_clone3,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
];

const ALLOWED: &[i64] = &[
    // Memory.
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    // Files that are open, and what the loader asks of others.
    libc::SYS_close,
    libc::SYS_faccessat,
    libc::SYS_fstat,
    libc::SYS_getcwd,
    libc::SYS_lseek,
    libc::SYS_newfstatat,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_statx,
    libc::SYS_write,
    // The process itself: its start, its clock, its end.
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_execve,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sigaltstack,
    libc::SYS_uname,
    // What only x86-64 has.
    #[cfg(target_arch = "x86_64")]
    libc::SYS_access,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_arch_prctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
];
