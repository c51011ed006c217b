//! The fields of an event, computed when a rule asks for them.

mod connection;
mod container;
mod derived;
mod process;

use std::sync::Arc;

use runtime_rules::{Event, EventType, FieldArgument, FieldId, Value};

use crate::enrich::Enriched;
use crate::host::Users;
use crate::names;

impl Event for Enriched<'_> {
    fn event_type(&self) -> EventType {
        self.event_type
    }

    fn timestamp_ns(&self) -> u64 {
        u64::try_from(self.time.as_nanos()).unwrap_or(0)
    }

    fn field(&self, field: FieldId, argument: Option<&FieldArgument>) -> Option<Value<'_>> {
        let asked = &Asked { id: field, argument };
        match Family::of(field) {
            Family::Event => self.of_event(asked),
            Family::Process => self.of_process(asked),
            Family::Thread => self.of_thread(asked),
            Family::File => self.of_file(asked).or_else(|| self.of_connection(asked)),
            Family::User => self.of_user(asked),
            Family::Container => self.of_container(asked),
        }
    }
}

/// A field as a rule asks for it.
struct Asked<'a> {
    id: FieldId,
    argument: Option<&'a FieldArgument>,
}

impl Asked<'_> {
    fn index(&self) -> Option<u32> {
        self.argument.and_then(FieldArgument::index)
    }

    fn text(&self) -> Option<&str> {
        self.argument.map(FieldArgument::text)
    }
}

/// What a field is about. The catalogue has them in this order.
enum Family {
    Event,
    Process,
    Thread,
    File,
    User,
    Container,
}

impl Family {
    fn of(field: FieldId) -> Self {
        match field {
            field if field < FieldId::ProcExe => Self::Event,
            field if field < FieldId::ThreadTid => Self::Process,
            field if field < FieldId::FdNum => Self::Thread,
            field if field < FieldId::UserUid => Self::File,
            field if field < FieldId::ContainerId => Self::User,
            _ => Self::Container,
        }
    }
}

/// Whether this sensor ever has a value for a field. A rule that needs one that it has not is loaded, and told of.
pub(crate) fn is_captured(field: FieldId) -> bool {
    field.is_answered_by_engine()
        || derived::is_derived(field)
        || match Family::of(field) {
            Family::Event => matches!(
                field,
                FieldId::EvtNum
                    | FieldId::EvtHostname
                    | FieldId::EvtArgs
                    | FieldId::EvtArg
                    | FieldId::EvtRawarg
                    | FieldId::EvtRes
                    | FieldId::EvtRawres
                    | FieldId::EvtFailed
                    | FieldId::EvtIsOpenRead
                    | FieldId::EvtIsOpenWrite
                    | FieldId::EvtIsOpenExec
                    | FieldId::EvtIsOpenCreate
                    | FieldId::EvtAbspath
                    | FieldId::EvtBuffer
                    | FieldId::EvtBuflen
            ),
            Family::Process => !matches!(
                field,
                FieldId::ProcNthreads
                    | FieldId::ProcNchilds
                    | FieldId::ProcFdopencount
                    | FieldId::ProcFdlimit
                    | FieldId::ProcFdusage
                    | FieldId::ProcVmsize
                    | FieldId::ProcVmrss
                    | FieldId::ProcVmswap
                    | FieldId::ProcIsContainerHealthcheck
                    | FieldId::ProcIsContainerLivenessProbe
                    | FieldId::ProcIsContainerReadinessProbe
            ),
            Family::Thread => matches!(
                field,
                FieldId::ThreadTid
                    | FieldId::ThreadIsmain
                    | FieldId::ThreadCapPermitted
                    | FieldId::ThreadCapEffective
                    | FieldId::ThreadCapInheritable
            ),
            Family::File => !matches!(
                field,
                FieldId::FdProto
                    | FieldId::FdCproto
                    | FieldId::FdSproto
                    | FieldId::FdLproto
                    | FieldId::FdRproto
                    | FieldId::FdlistNums
                    | FieldId::FdlistNames
                    | FieldId::FdlistCips
                    | FieldId::FdlistSips
                    | FieldId::FdlistCports
                    | FieldId::FdlistSports
            ),
            Family::User => true,
            Family::Container => container::is_captured(field),
        }
}

/// Whether a field is about the environment of processes.
pub(crate) fn needs_environment(field: FieldId) -> bool {
    matches!(field, FieldId::ProcEnv | FieldId::ProcAenv | FieldId::EvtArgs | FieldId::EvtArg | FieldId::EvtRawarg)
}

impl Enriched<'_> {
    fn of_event(&self, field: &Asked<'_>) -> Option<Value<'_>> {
        Some(match field.id {
            FieldId::EvtNum => Value::Number(self.number.cast_signed()),
            FieldId::EvtHostname => Value::text(self.hostname),
            FieldId::EvtRes => Value::owned(names::result(self.raw.ret)),
            FieldId::EvtRawres => Value::Number(self.raw.ret),
            FieldId::EvtFailed => Value::Boolean(self.raw.ret < 0),
            FieldId::EvtIsOpenRead => Value::Boolean(self.is_open() && self.open_flags() & 3 != 1),
            FieldId::EvtIsOpenWrite => Value::Boolean(self.is_open() && self.open_flags() & 3 != 0),
            FieldId::EvtIsOpenCreate => {
                Value::Boolean(self.is_open() && self.file().is_some_and(|file| file.is_created()))
            }
            // Upstream's meaning: the open made a file that may be executed.
            FieldId::EvtIsOpenExec => {
                let makes = self.file().map_or(self.open_flags() & 0o100 != 0, |file| file.is_created());
                Value::Boolean(self.is_open() && makes && self.mode() & 0o111 != 0)
            }
            FieldId::EvtBuffer => Value::bytes(self.raw.payload?),
            FieldId::EvtBuflen => Value::Number(self.raw.payload.map(|_| self.raw.ret)?),
            FieldId::EvtArg => Value::owned(self.argument(field.text()?)?),
            FieldId::EvtRawarg => self.raw_argument(field.text()?)?,
            FieldId::EvtArgs => Value::owned(self.arguments()),
            FieldId::EvtAbspath => match field.text() {
                Some("dst" | "1") => Value::text(self.second_path()?),
                _ => Value::text(self.path()?),
            },
            _ => return self.derived(field),
        })
    }

    /// Those who are users where the process is: of its container, or of the host. Who logged in did so on the host.
    pub(crate) fn users(&self) -> Arc<Users> {
        match self.container {
            Some(container) => {
                let ancestors =
                    self.processes.ancestors(self.process).filter(|ancestor| ancestor.cgroup == self.raw.cgroup);
                // The oldest one stays longest, and is where the container began.
                let mut pids: Vec<u32> = ancestors.map(|ancestor| ancestor.pid).collect();
                pids.reverse();
                self.directory.of_container(container.id.as_str(), pids.into_iter().chain([self.raw.tgid]))
            }
            None => self.directory.host(),
        }
    }

    fn of_user(&self, field: &Asked<'_>) -> Option<Value<'_>> {
        let login = self.process.login_uid;
        Some(match field.id {
            // As upstream: who the process acts as. A name that is not known is no missing one, and 0 is always root.
            FieldId::UserUid => Value::Number(self.raw.euid.into()),
            FieldId::UserName => or_root(self.users().name(self.raw.euid), self.raw.euid, "root"),
            FieldId::UserHomedir => or_root(self.users().home(self.raw.euid), self.raw.euid, "/root"),
            FieldId::UserShell => or_root(self.users().shell(self.raw.euid), self.raw.euid, NOT_AVAILABLE),
            FieldId::UserLoginuid => Value::Number(login.map_or(-1, i64::from)),
            FieldId::UserLoginname => {
                let host = self.directory.host();
                or_root(login.and_then(|uid| host.name(uid)), login.unwrap_or(u32::MAX), "root")
            }
            FieldId::GroupGid => Value::Number(self.raw.egid.into()),
            FieldId::GroupName => or_root(self.users().group(self.raw.egid), self.raw.egid, "root"),
            _ => return None,
        })
    }

    fn of_file(&self, field: &Asked<'_>) -> Option<Value<'_>> {
        let path = || self.descriptor_path();
        Some(match field.id {
            FieldId::FdNum => Value::Number(self.descriptor()?),
            FieldId::FdName => Value::text(path()?),
            FieldId::FdNameraw => Value::Text(self.raw.path0.filter(|_| self.is_open())?.into()),
            FieldId::FdDirectory => match path()?.get(..last_slash(path()?)?)? {
                "" => Value::text("/"),
                folder => Value::text(folder),
            },
            FieldId::FdFilename => {
                let path = path()?;
                Value::text(last_slash(path).map_or(path, |at| path.get(at + 1..).unwrap_or_default()))
            }
            FieldId::FdTypechar => Value::text(self.kind_of_descriptor()?.0),
            FieldId::FdType => Value::text(self.kind_of_descriptor()?.1),
            FieldId::FdTypes => Value::List(vec![Value::text(self.kind_of_descriptor()?.1)]),
            FieldId::FdDev => Value::Unsigned(self.file()?.device.into()),
            FieldId::FdDevMajor => Value::Unsigned((self.file()?.device >> 20).into()),
            FieldId::FdDevMinor => Value::Unsigned((self.file()?.device & 0xf_ffff).into()),
            FieldId::FdIno => Value::Unsigned(self.file()?.inode),
            FieldId::FdIsUpperLayer => Value::Boolean(self.file()?.is_upper()),
            FieldId::FdIsLowerLayer => Value::Boolean(self.file()?.is_lower()),
            FieldId::FsPathName => Value::text(self.path().filter(|_| self.has_one_path())?),
            FieldId::FsPathNameraw => Value::Text(self.raw.path0.filter(|_| self.has_one_path())?.into()),
            FieldId::FsPathSource => Value::text(self.two_paths()?.0),
            FieldId::FsPathTarget => Value::text(self.two_paths()?.1),
            FieldId::FsPathSourceraw | FieldId::FsPathTargetraw if self.raw.path1.is_some() => {
                let is_source = (field.id == FieldId::FsPathSourceraw) != self.is_link();
                Value::Text(if is_source { self.raw.path0 } else { self.raw.path1 }?.into())
            }
            _ => return self.derived(field),
        })
    }

    fn has_one_path(&self) -> bool {
        self.raw.path0.is_some() && self.raw.path1.is_none() && self.call.is_none_or(|call| call.names_files())
    }

    /// Source and target. Of a link, the source is the new name and the target what it stands for.
    fn two_paths(&self) -> Option<(&str, &str)> {
        let (first, second) = (self.path()?, self.second_path()?);
        Some(if self.is_link() { (second, first) } else { (first, second) })
    }

    fn is_link(&self) -> bool {
        matches!(self.name, "link" | "linkat" | "symlink" | "symlinkat")
    }

    pub(crate) fn is_open(&self) -> bool {
        self.call.is_some_and(|call| call.is_open)
    }

    /// Path of the file behind the descriptor of the event: of an open as it was asked for, else as it is.
    fn descriptor_path(&self) -> Option<&str> {
        if self.is_open() { self.path() } else { self.real_path() }
    }

    /// Type of what is behind the descriptor, when it is no socket, in upstream's letter and word.
    fn kind_of_descriptor(&self) -> Option<(&'static str, &'static str)> {
        if self.is_open() {
            // As upstream: what was asked to be a directory is one.
            let is_directory = self.open_flags() & 0o200_000 != 0;
            return self.raw.path0.map(|_| if is_directory { ("d", "directory") } else { ("f", "file") });
        }
        Some(names::kind_of_file(self.file()?.mode, self.real_path().unwrap_or_default()))
    }

    pub(crate) fn open_flags(&self) -> u64 {
        let [_, second, third, ..] = self.raw.args;
        match self.name {
            "open" => second,
            "openat" | "open_by_handle_at" => third,
            "creat" => 0o1101,
            "openat2" => self.open_how(0).unwrap_or(0),
            _ => 0,
        }
    }

    pub(crate) fn mode(&self) -> u64 {
        let [_, second, third, fourth, ..] = self.raw.args;
        match self.name {
            // The mode is only given for what may be made: O_CREAT, O_TMPFILE.
            "open" | "openat" if self.open_flags() & 0o20_000_100 == 0 => 0,
            "open" | "mkdirat" | "mknodat" | "fchmodat" | "fchmodat2" => third,
            "openat" => fourth,
            "openat2" => self.open_how(8).unwrap_or(0),
            "creat" | "chmod" | "fchmod" | "mkdir" | "mknod" => second,
            _ => 0,
        }
    }

    /// Eight bytes of the structure that the call was given (struct open_how, struct clone_args).
    pub(crate) fn open_how(&self, at: usize) -> Option<u64> {
        let bytes = self.raw.structure?.get(at..)?.first_chunk::<8>()?;
        Some(u64::from_le_bytes(*bytes))
    }

    /// The descriptor that the call is about.
    pub(crate) fn descriptor(&self) -> Option<i64> {
        self.call?.descriptor(self.raw.args.first().copied().unwrap_or(0), self.raw.ret)
    }
}

/// Paths are short: to look byte by byte finds it soonest.
fn last_slash(path: &str) -> Option<usize> {
    path.bytes().rposition(|byte| byte == b'/')
}

/// What is known of a user or group, or what stands for it where nothing is.
fn or_root(known: Option<&str>, id: u32, of_root: &'static str) -> Value<'static> {
    match known {
        Some(known) => Value::owned(known.to_owned()),
        None => Value::text(if id == 0 { of_root } else { NOT_AVAILABLE }),
    }
}

const NOT_AVAILABLE: &str = "<NA>";
