//! Fields that say once more, in another way, what others say.

use runtime_rules::{FieldId, Value};

use super::Asked;
use crate::enrich::Enriched;

/// Whether a field is one of these.
pub(super) fn is_derived(field: FieldId) -> bool {
    matches!(
        field,
        FieldId::EvtInfo
            | FieldId::EvtAbspathSrc
            | FieldId::EvtAbspathDst
            | FieldId::EvtIsIo
            | FieldId::EvtIsIoRead
            | FieldId::EvtIsIoWrite
            | FieldId::EvtIoDir
            | FieldId::EvtCountError
            | FieldId::EvtCountExit
            | FieldId::ProcLoginshellid
            | FieldId::FdUid
            | FieldId::FdContainername
            | FieldId::FdContainerdirectory
    )
}

impl Enriched<'_> {
    pub(super) fn derived(&self, field: &Asked<'_>) -> Option<Value<'_>> {
        let (reads, writes) = (READS.contains(&self.name), WRITES.contains(&self.name));
        Some(match field.id {
            FieldId::EvtInfo => Value::owned(self.arguments()),
            FieldId::EvtAbspathSrc => Value::text(self.path()?),
            FieldId::EvtAbspathDst => Value::text(self.second_path()?),
            FieldId::EvtIsIo => Value::Boolean(reads || writes),
            FieldId::EvtIsIoRead => Value::Boolean(reads),
            FieldId::EvtIsIoWrite => Value::Boolean(writes),
            FieldId::EvtIoDir if reads => Value::text("r"),
            FieldId::EvtIoDir if writes => Value::text("w"),
            FieldId::EvtCountError if self.raw.ret < 0 => Value::Number(1),
            FieldId::EvtCountExit => Value::Number(1),
            FieldId::ProcLoginshellid => Value::Number(self.login_shell()),
            FieldId::FdUid => Value::owned(format!("{}{}", self.raw.tid, self.descriptor()?)),
            FieldId::FdContainername => self.in_container(FieldId::FdName)?,
            FieldId::FdContainerdirectory => self.in_container(FieldId::FdDirectory)?,
            _ => return None,
        })
    }

    /// The process id of the eldest shell among the process and its ancestors; 0 when there is none.
    fn login_shell(&self) -> i64 {
        let own = std::iter::once(self.process);
        let shells = own.chain(self.processes.ancestors(self.process)).filter(|process| process.comm.ends_with("sh"));
        shells.last().map_or(0, |shell| shell.pid.into())
    }

    /// The container, and what a field says, behind a colon. On the host there is no container before it.
    fn in_container(&self, id: FieldId) -> Option<Value<'_>> {
        let asked = &Asked { id, argument: None };
        let Some(Value::Text(text)) = self.of_file(asked).or_else(|| self.of_connection(asked)) else { return None };
        let container = self.container.map(|container| container.id.as_str().get(..12)).unwrap_or_default();
        Some(Value::owned(format!("{}:{}", container.unwrap_or_default(), String::from_utf8_lossy(&text))))
    }
}

const READS: [&str; 9] =
    ["read", "readv", "pread", "preadv", "recvfrom", "recvmsg", "recvmmsg", "process_vm_readv", "getdents"];

const WRITES: [&str; 9] =
    ["write", "writev", "pwrite", "pwritev", "sendto", "sendmsg", "sendmmsg", "sendfile", "process_vm_writev"];
