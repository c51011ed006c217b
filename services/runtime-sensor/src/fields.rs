//! The fields of an event, computed when a rule asks for them.

use runtime_rules::{Event, EventType, FieldArgument, FieldId, Value};

use crate::decode::Kind;
use crate::enrich::{Address, Enriched};
use crate::names;
use crate::process::Process;

impl Event for Enriched<'_> {
    fn event_type(&self) -> EventType {
        self.event_type
    }

    fn timestamp_ns(&self) -> u64 {
        u64::try_from(self.time.as_nanos()).unwrap_or(0)
    }

    fn field(&self, field: FieldId, argument: Option<&FieldArgument>) -> Option<Value<'_>> {
        let field = &Asked { id: field, argument };
        self.of_event(field)
            .or_else(|| self.of_process(field))
            .or_else(|| self.of_file(field))
            .or_else(|| self.of_container(field))
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

impl Enriched<'_> {
    fn of_event(&self, field: &Asked<'_>) -> Option<Value<'_>> {
        Some(match field.id {
            FieldId::EvtType | FieldId::SyscallType => Value::text(self.name),
            FieldId::EvtNum => Value::Number(self.number.cast_signed()),
            FieldId::EvtTime | FieldId::EvtTimeIso | FieldId::EvtDatetime => Value::owned(self.time.to_string()),
            FieldId::EvtRawtime => Value::Number(self.time.as_nanos()),
            FieldId::EvtSource => Value::text("syscall"),
            FieldId::EvtHostname => Value::text(self.hostname),
            FieldId::EvtDir => Value::text("<"),
            FieldId::EvtRes => Value::owned(names::result(self.raw.ret)),
            FieldId::EvtRawres => Value::Number(self.raw.ret),
            FieldId::EvtFailed => Value::Boolean(self.raw.ret < 0),
            FieldId::EvtIsOpenRead => Value::Boolean(self.is_open() && self.open_flags() & 3 != 1),
            FieldId::EvtIsOpenWrite => Value::Boolean(self.is_open() && self.open_flags() & 3 != 0),
            FieldId::EvtIsOpenCreate => Value::Boolean(self.is_open() && self.open_flags() & 0o100 != 0),
            FieldId::EvtIsOpenExec => {
                Value::Boolean(self.is_open() && self.open_flags() & 0o100 != 0 && self.mode() & 0o111 != 0)
            }
            FieldId::EvtArg => return self.argument(field.text()?).map(Value::owned),
            FieldId::EvtArgs => Value::owned(self.arguments()),
            FieldId::UserUid => Value::Number(self.raw.uid.into()),
            FieldId::UserName => Value::text(self.users.name(self.raw.uid)?),
            FieldId::GroupGid => Value::Number(self.raw.gid.into()),
            FieldId::UserLoginuid => Value::Number(self.process.login_uid.map_or(-1, i64::from)),
            FieldId::UserLoginname => Value::text(self.process.login_uid.and_then(|uid| self.users.name(uid))?),
            FieldId::ThreadTid => Value::Number(self.raw.tid.into()),
            FieldId::ThreadIsmain => Value::Boolean(self.raw.tid == self.raw.tgid),
            FieldId::ThreadCapEffective => Value::owned(names::capabilities(self.raw.cap_effective)),
            FieldId::ThreadCapPermitted => Value::owned(names::capabilities(self.raw.cap_permitted)),
            _ => return None,
        })
    }

    fn of_process(&self, field: &Asked<'_>) -> Option<Value<'_>> {
        let process = self.process;
        let parent = || self.ancestors.first().copied();
        Some(match field.id {
            FieldId::ProcName => Value::text(&process.comm),
            FieldId::ProcPname => Value::text(&parent()?.comm),
            FieldId::ProcExe => Value::text(process.argv.first().unwrap_or(&process.comm)),
            FieldId::ProcPexe => parent().map(|parent| Value::text(parent.argv.first().unwrap_or(&parent.comm)))?,
            FieldId::ProcExepath => Value::text(&process.exe_path),
            FieldId::ProcPexepath => Value::text(&parent()?.exe_path),
            FieldId::ProcCmdline => Value::owned(process.cmdline()),
            FieldId::ProcPcmdline => Value::owned(parent()?.cmdline()),
            FieldId::ProcExeline => Value::owned(process.argv.join(" ")),
            FieldId::ProcArgs => match field.index() {
                Some(index) => Value::text(process.argv.get(usize::try_from(index).ok()?.checked_add(1)?)?),
                None => Value::owned(process.argv.get(1..).unwrap_or_default().join(" ")),
            },
            FieldId::ProcCmdnargs => Value::Number(i64::try_from(process.argv.len().saturating_sub(1)).ok()?),
            FieldId::ProcCwd => Value::text(&process.cwd),
            FieldId::ProcPid => Value::Number(process.pid.into()),
            FieldId::ProcPpid => Value::Number(process.ppid.into()),
            FieldId::ProcVpid => Value::Number(process.vpid.into()),
            FieldId::ProcSid => Value::Number(process.sid.into()),
            FieldId::ProcTty => Value::Number(process.tty.into()),
            FieldId::ProcIsExeFromMemfd => Value::Boolean(process.is_from_memory),
            FieldId::ProcDuration => Value::Number(self.raw.time_ns.saturating_sub(process.start_ns).cast_signed()),
            FieldId::ProcAname => return self.ancestry(field, |process| Some(Value::text(&process.comm))),
            FieldId::ProcAexe => {
                return self.ancestry(field, |process| process.argv.first().map(|exe| Value::text(exe)));
            }
            FieldId::ProcAexepath => return self.ancestry(field, |process| Some(Value::text(&process.exe_path))),
            FieldId::ProcAcmdline => return self.ancestry(field, |process| Some(Value::owned(process.cmdline()))),
            FieldId::ProcApid => return self.ancestry(field, |process| Some(Value::Number(process.pid.into()))),
            _ => return None,
        })
    }

    /// With an index the ancestor of that degree (0 is the process itself), without one any of them.
    fn ancestry<'a>(&'a self, field: &Asked<'_>, of: impl Fn(&'a Process) -> Option<Value<'a>>) -> Option<Value<'a>> {
        match field.index() {
            Some(0) => of(self.process),
            Some(index) => of(self.ancestors.get(usize::try_from(index).ok()?.checked_sub(1)?).copied()?),
            None => Some(Value::Any(self.ancestors.iter().filter_map(|process| of(process)).collect()))
                .filter(|value| *value != Value::Any(Vec::new())),
        }
    }

    fn of_file(&self, field: &Asked<'_>) -> Option<Value<'_>> {
        let path = || self.path.as_deref().filter(|_| self.is_open());
        let remote = || match &self.address {
            Some(Address::Inet(address, port)) => Some((*address, *port)),
            _ => None,
        };
        Some(match field.id {
            FieldId::FdNum => Value::Number(if self.is_open() { self.raw.ret } else { self.descriptor()? }),
            FieldId::FdName => match &self.address {
                Some(Address::Inet(address, port)) => Value::owned(format!("{address}:{port}")),
                Some(Address::Unix(path)) => Value::text(path),
                None => Value::text(path()?),
            },
            FieldId::FdNameraw => Value::Text(self.raw.path0.filter(|_| self.is_open())?.into()),
            FieldId::FdDirectory => {
                Value::text(path()?.rsplit_once('/').map(|(folder, _)| if folder.is_empty() { "/" } else { folder })?)
            }
            FieldId::FdFilename => Value::text(path()?.rsplit('/').next()?),
            FieldId::FdTypechar => Value::text(match &self.address {
                Some(Address::Inet(address, _)) => {
                    if address.is_ipv4() {
                        "4"
                    } else {
                        "6"
                    }
                }
                Some(Address::Unix(_)) => "u",
                None => path().map(|_| if self.open_flags() & 0o200_000 != 0 { "d" } else { "f" })?,
            }),
            FieldId::FdType => Value::text(match &self.address {
                Some(Address::Inet(address, _)) => {
                    if address.is_ipv4() {
                        "ipv4"
                    } else {
                        "ipv6"
                    }
                }
                Some(Address::Unix(_)) => "unix",
                None => path().map(|_| if self.open_flags() & 0o200_000 != 0 { "directory" } else { "file" })?,
            }),
            FieldId::FdSip | FieldId::FdRip | FieldId::FdIp | FieldId::FdNet | FieldId::FdSnet | FieldId::FdRnet => {
                Value::Address(remote()?.0)
            }
            FieldId::FdSport | FieldId::FdRport | FieldId::FdPort => Value::Number(remote()?.1.into()),
            FieldId::FdSockfamily => {
                Value::text(if remote().is_some() { "ip" } else { self.address.as_ref().map(|_| "unix")? })
            }
            FieldId::FsPathName => Value::text(self.path.as_deref()?),
            FieldId::FsPathNameraw => Value::Text(self.raw.path0?.into()),
            FieldId::FsPathSource => Value::text(self.second_path.as_ref().and(self.path.as_deref())?),
            FieldId::FsPathTarget => Value::text(self.second_path.as_deref()?),
            _ => return None,
        })
    }

    fn of_container(&self, field: &Asked<'_>) -> Option<Value<'_>> {
        let Some(container) = self.container else {
            return (field.id == FieldId::ContainerId).then(|| Value::text("host"));
        };
        let pod = self.pod;
        let image = || pod.and_then(|pod| pod.image.as_deref());
        let (repository, tag) = (
            |image: &str| image.rsplit_once(':').map_or(image.to_owned(), |(front, _)| front.to_owned()),
            |image: &str| image.rsplit_once(':').map(|(_, tag)| tag.to_owned()),
        );
        Some(match field.id {
            FieldId::ContainerId => Value::text(container.id.as_str().get(..12)?),
            FieldId::ContainerFullId => Value::text(container.id.as_str()),
            FieldId::ContainerImage => Value::text(image()?),
            FieldId::ContainerImageRepository => Value::owned(repository(image()?.split('@').next()?)),
            FieldId::ContainerImageTag => Value::owned(tag(image()?.split('@').next()?)?),
            FieldId::ContainerImageDigest => Value::owned(pod?.identity.image_digest.as_ref()?.to_string()),
            FieldId::ContainerName => Value::text(pod?.container_name.as_deref()?),
            FieldId::K8sPodUid | FieldId::K8sPodId => Value::text(container.pod.as_ref()?.as_str()),
            FieldId::K8sPodName => Value::text(pod?.identity.pod_name.as_deref()?),
            FieldId::K8sNsName => Value::text(pod?.identity.namespace.as_deref()?),
            FieldId::K8sPodLabel => Value::text(pod?.labels.get(field.text()?)?),
            _ => return None,
        })
    }

    /// An argument of the call by upstream's name.
    fn argument(&self, name: &str) -> Option<String> {
        let args = self.raw.args;
        Some(match (name, self.name) {
            ("flags", "open" | "openat" | "openat2" | "creat") => names::open_flags(self.open_flags(), false),
            ("flags", "unshare" | "setns") => names::clone_flags(args[usize::from(self.name == "setns")]),
            ("flags", _) if self.raw.kind == Kind::Exec => {
                if self.process.is_from_memory {
                    "EXE_FROM_MEMFD".to_owned()
                } else {
                    String::new()
                }
            }
            ("name" | "path" | "pathname" | "filename", _) => self.path.clone()?,
            ("oldpath" | "target", _) => self.path.clone()?,
            ("newpath" | "linkpath", _) => self.second_path.clone()?,
            ("mode", _) => names::mode(self.mode()),
            ("domain", "socket") => names::family(args[0]),
            ("request", "ptrace") => names::ptrace(args[0]),
            ("uid", "setuid" | "setreuid" | "setresuid") => {
                let uid = (args[0] & 0xffff_ffff) as u32;
                self.users.name(uid).map_or_else(|| uid.to_string(), str::to_owned)
            }
            ("pid", _) => args[0].to_string(),
            ("cmd", "bpf") => {
                if args[0] == 5 {
                    "BPF_PROG_LOAD".to_owned()
                } else {
                    args[0].to_string()
                }
            }
            ("res", _) => names::result(self.raw.ret),
            ("fd", _) => self.descriptor()?.to_string(),
            _ => return None,
        })
    }

    fn arguments(&self) -> String {
        let paths = [self.path.as_deref(), self.second_path.as_deref()];
        let names = ["path", "second_path"];
        let paths = names.iter().zip(paths).filter_map(|(name, path)| path.map(|path| format!("{name}={path}")));
        std::iter::once(format!("res={}", self.raw.ret)).chain(paths).collect::<Vec<_>>().join(" ")
    }

    fn is_open(&self) -> bool {
        matches!(self.name, "open" | "openat" | "openat2" | "creat" | "open_by_handle_at")
    }

    fn open_flags(&self) -> u64 {
        match self.name {
            "open" => self.raw.args[1],
            "openat" | "open_by_handle_at" => self.raw.args[2],
            "creat" => 0o1101,
            // The flags of openat2(2) lie in memory of the process; without them it counts as a read.
            _ => 0,
        }
    }

    fn mode(&self) -> u64 {
        match self.name {
            "open" | "mkdirat" | "fchmodat" | "fchmodat2" => self.raw.args[2],
            "openat" => self.raw.args[3],
            "creat" | "chmod" | "fchmod" | "mkdir" => self.raw.args[1],
            _ => 0,
        }
    }

    fn descriptor(&self) -> Option<i64> {
        let takes_one = matches!(
            self.name,
            "connect"
                | "bind"
                | "listen"
                | "accept"
                | "accept4"
                | "sendto"
                | "recvfrom"
                | "sendmsg"
                | "recvmsg"
                | "dup"
                | "dup2"
                | "dup3"
                | "fchdir"
                | "fchmod"
                | "fchown"
        );
        takes_one.then(|| i64::from((self.raw.args[0] & 0xffff_ffff) as u32))
    }
}
