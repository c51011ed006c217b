//! What this process keeps in memory is for nobody else: no core files, and no reading by other processes of the same user.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Forbids core files (setrlimit(2), `RLIMIT_CORE`) and reading through /proc and ptrace (prctl(2), `PR_SET_DUMPABLE`).
pub(crate) fn keep_private() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core files cannot be forbidden: forbid them for the user that runs the broker");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "memory cannot be kept from other processes of this user");
    }
}
