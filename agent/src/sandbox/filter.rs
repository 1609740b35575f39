//! System calls that a trainer has no use for and an attack has: they fail with EPERM.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

/// Other processes, the kernel, other views of the file system, and ways around this filter.
const NEVER: [libc::c_long; 28] = [
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_open_by_handle_at,
    libc::SYS_reboot,
];

/// Which sockets a trainer may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sockets {
    /// None at all.
    None,
    /// Those of the file system.
    Local,
}

/// What `clone` makes a new view of the system for, in which a trainer would have every right.
const NEW_VIEWS: [libc::c_int; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];

/// The compiled filters.
#[derive(Debug)]
pub(super) struct Filters {
    absent: BpfProgram,
    none: BpfProgram,
    local: BpfProgram,
}

impl Filters {
    /// Compiles them for this processor.
    ///
    /// # Errors
    /// On a processor that the library does not know.
    pub(super) fn new() -> Result<Self, BackendError> {
        let other = |condition| SeccompRule::new(vec![condition]);
        let not_local = SeccompCondition::new(
            0,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Ne,
            u64::from(libc::AF_UNIX.cast_unsigned()),
        )?;
        // A filter does not see into what `clone3` points to: who is told that there is none uses `clone`.
        let absent = refuse(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)?;
        Ok(Self { absent, none: compile(Vec::new())?, local: compile(vec![other(not_local)?])? })
    }

    /// Puts them on the calling thread, for ever.
    pub(super) fn enter(&self, sockets: Sockets) -> Result<(), seccompiler::Error> {
        apply_filter(match sockets {
            Sockets::None => &self.none,
            Sockets::Local => &self.local,
        })?;
        apply_filter(&self.absent)
    }
}

/// `sockets`: when `socket` is refused; always if nothing is said.
fn compile(sockets: Vec<SeccompRule>) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = NEVER.iter().map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_socket, sockets);
    rules.insert(libc::SYS_clone, NEW_VIEWS.iter().map(|flag| has(*flag)).collect::<Result<_, _>>()?);
    refuse(rules, libc::EPERM)
}

/// The first argument has this flag.
fn has(flag: libc::c_int) -> Result<SeccompRule, BackendError> {
    let flag = u64::from(flag.cast_unsigned());
    SeccompRule::new(vec![SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)?])
}

/// What these rules hold for fails so, everything else is allowed.
fn refuse(rules: BTreeMap<i64, Vec<SeccompRule>>, error: libc::c_int) -> Result<BpfProgram, BackendError> {
    let refuse = SeccompAction::Errno(error.cast_unsigned());
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, std::env::consts::ARCH.try_into()?)?.try_into()
}
