//! Fields of the process and its ancestors.

use runtime_rules::{FieldId, Value};

use super::Asked;
use crate::enrich::Enriched;
use crate::names;
use crate::process::Process;
use crate::streams;

impl Enriched<'_> {
    fn parent(&self) -> Option<&Process> {
        self.processes.ancestors(self.process).next()
    }

    pub(super) fn of_process(&self, field: &Asked<'_>) -> Option<Value<'_>> {
        let process = self.process;
        let program = &*process.program;
        Some(match field.id {
            FieldId::ProcName => Value::text(&process.comm),
            FieldId::ProcPname => Value::text(&self.parent()?.comm),
            FieldId::ProcExe => Value::text(exe(process)),
            FieldId::ProcPexe => Value::text(exe(self.parent()?)),
            FieldId::ProcExepath => Value::text(&program.exe_path),
            FieldId::ProcPexepath => Value::text(&self.parent()?.program.exe_path),
            FieldId::ProcCmdline => Value::text(process.cmdline()),
            FieldId::ProcPcmdline => Value::text(self.parent()?.cmdline()),
            FieldId::ProcExeline => Value::owned(program.argv.join(" ")),
            FieldId::ProcArgs => match field.index() {
                Some(index) => Value::text(program.argv.get(usize::try_from(index).ok()?.checked_add(1)?)?),
                None => Value::text(process.program.arguments()),
            },
            FieldId::ProcCmdnargs => Value::Number(i64::try_from(program.argv.len().saturating_sub(1)).ok()?),
            FieldId::ProcCmdlenargs => {
                let length: usize = program.argv.iter().skip(1).map(String::len).sum();
                Value::Number(i64::try_from(length).ok()?)
            }
            FieldId::ProcEnv => Value::owned(self.environment(field.text())?),
            FieldId::ProcCwd => Value::owned(as_folder(&process.cwd)),
            FieldId::ProcPid => Value::Number(process.pid.into()),
            FieldId::ProcPpid => Value::Number(process.ppid.into()),
            FieldId::ProcVpid => Value::Number(process.vpid.into()),
            FieldId::ProcPvpid => Value::Number(self.parent()?.vpid.into()),
            FieldId::ProcTty => Value::Number(process.tty.into()),
            FieldId::ProcDuration => Value::Number(self.raw.time_ns.saturating_sub(process.start_ns).cast_signed()),
            FieldId::ProcPpidDuration => {
                Value::Number(self.raw.time_ns.saturating_sub(self.parent()?.start_ns).cast_signed())
            }
            FieldId::ProcPidTs => Value::Number(self.at(process.start_ns)),
            FieldId::ProcPpidTs => Value::Number(self.at(self.parent()?.start_ns)),
            FieldId::ProcAname => return self.ancestry(field, |process| Some(Value::text(&process.comm))),
            FieldId::ProcAexe => return self.ancestry(field, |process| Some(Value::text(exe(process)))),
            FieldId::ProcAexepath => {
                return self.ancestry(field, |process| Some(Value::text(&process.program.exe_path)));
            }
            FieldId::ProcAcmdline => return self.ancestry(field, |process| Some(Value::text(process.cmdline()))),
            FieldId::ProcAargs => {
                return self.ancestry(field, |process| Some(Value::text(process.program.arguments())));
            }
            FieldId::ProcApid => return self.ancestry(field, |process| Some(Value::Number(process.pid.into()))),
            FieldId::ProcAenv => {
                return self.ancestry(field, |process| variables(process, None).map(Value::owned));
            }
            _ => {
                let rest = self.of_groups(field).or_else(|| self.of_executable(field));
                return rest.or_else(|| self.of_stream(field)).or_else(|| self.derived(field));
            }
        })
    }

    fn of_stream(&self, field: &Asked<'_>) -> Option<Value<'_>> {
        let (place, is_type) = streams::field_of(field.id)?;
        let stream = self.process.streams.get(place)?.as_deref()?;
        Some(Value::text(if is_type { stream.kind } else { &stream.name }))
    }

    /// Session and process group, and who leads them.
    fn of_groups(&self, field: &Asked<'_>) -> Option<Value<'_>> {
        let process = self.process;
        let leader = |pid: u32| self.processes.get(pid).filter(|_| pid != 0);
        Some(match field.id {
            FieldId::ProcSid => Value::Number(process.sid.into()),
            FieldId::ProcSname => Value::text(&leader(process.sid)?.comm),
            FieldId::ProcSidExe => Value::text(exe(leader(process.sid)?)),
            FieldId::ProcSidExepath => Value::text(&leader(process.sid)?.program.exe_path),
            FieldId::ProcPgid => Value::Number(process.pgid.into()),
            FieldId::ProcVpgid => Value::Number(process.vpgid.into()),
            FieldId::ProcVpgidName | FieldId::ProcPgidName => Value::text(&leader(process.pgid)?.comm),
            FieldId::ProcVpgidExe | FieldId::ProcPgidExe => Value::text(exe(leader(process.pgid)?)),
            FieldId::ProcVpgidExepath | FieldId::ProcPgidExepath => {
                Value::text(&leader(process.pgid)?.program.exe_path)
            }
            FieldId::ProcIsSidLeader => Value::Boolean(process.sid == process.pid),
            FieldId::ProcIsPgidLeader => Value::Boolean(process.pgid == process.pid),
            FieldId::ProcIsVpgidLeader => Value::Boolean(process.vpgid == process.vpid),
            _ => return None,
        })
    }

    /// The file that is run.
    fn of_executable(&self, field: &Asked<'_>) -> Option<Value<'_>> {
        let program = &*self.process.program;
        let file = &program.file;
        // Files that were run before the sensor started are not known in depth.
        let since = |time_ns: i64| (file.ctime_ns != 0).then(|| time_ns.saturating_sub(file.ctime_ns.cast_signed()));
        Some(match field.id {
            FieldId::ProcIsExeFromMemfd => Value::Boolean(program.is_from_memory),
            FieldId::ProcIsExeWritable => Value::Boolean(program.is_writable),
            FieldId::ProcIsExeUpperLayer => Value::Boolean(file.is_upper()),
            FieldId::ProcIsExeLowerLayer => Value::Boolean(file.is_lower()),
            FieldId::ProcExeIno => Value::Unsigned(Some(file.inode).filter(|inode| *inode != 0)?),
            FieldId::ProcExeInoCtime => Value::Unsigned(Some(file.ctime_ns).filter(|time| *time != 0)?),
            FieldId::ProcExeInoMtime => Value::Unsigned(Some(file.mtime_ns).filter(|time| *time != 0)?),
            FieldId::ProcExeInoCtimeDurationProcStart => Value::Number(since(self.at(self.process.start_ns))?),
            FieldId::ProcExeInoCtimeDurationPidns => {
                let start_ns = self.process.namespace_start_ns;
                Value::Number(since(self.at(start_ns)).filter(|_| start_ns != 0)?)
            }
            FieldId::ProcPidnsInitStartTs => {
                Value::Number(self.at(Some(self.process.namespace_start_ns).filter(|start_ns| *start_ns != 0)?))
            }
            _ => return None,
        })
    }

    pub(super) fn of_thread(&self, field: &Asked<'_>) -> Option<Value<'_>> {
        Some(match field.id {
            FieldId::ThreadTid => Value::Number(self.raw.tid.into()),
            FieldId::ThreadIsmain => Value::Boolean(self.raw.tid == self.raw.tgid),
            FieldId::ThreadCapEffective => Value::owned(names::capabilities(self.raw.cap_effective)),
            FieldId::ThreadCapPermitted => Value::owned(names::capabilities(self.raw.cap_permitted)),
            FieldId::ThreadCapInheritable => Value::owned(names::capabilities(self.process.cap_inheritable)),
            _ => return None,
        })
    }

    /// All variables of the environment, or one.
    pub(crate) fn environment(&self, name: Option<&str>) -> Option<String> {
        variables(self.process, name)
    }

    /// A time since boot as one since 1970.
    fn at(&self, time_ns: u64) -> i64 {
        let before = self.raw.time_ns.saturating_sub(time_ns).cast_signed();
        self.time.as_nanos().saturating_sub(before)
    }

    /// With an index the ancestor of that degree (0 is the process itself), without one any of them.
    fn ancestry<'a>(&'a self, field: &Asked<'_>, of: impl Fn(&'a Process) -> Option<Value<'a>>) -> Option<Value<'a>> {
        let mut ancestors = self.processes.ancestors(self.process);
        match field.index() {
            Some(0) => of(self.process),
            Some(index) => of(ancestors.nth(usize::try_from(index).ok()?.checked_sub(1)?)?),
            None => {
                let all: Vec<_> = ancestors.filter_map(of).collect();
                Some(Value::Any(all)).filter(|value| *value != Value::Any(Vec::new()))
            }
        }
    }
}

/// First argument, which most programs call themselves by.
fn exe(process: &Process) -> &str {
    process.program.argv.first().map_or(&*process.comm, String::as_str)
}

fn variables(process: &Process, name: Option<&str>) -> Option<String> {
    let bytes = process.program.environment.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
    let mut entries = bytes.map(String::from_utf8_lossy);
    match name {
        Some(name) => entries.find_map(|entry| entry.strip_prefix(name)?.strip_prefix('=').map(str::to_owned)),
        None => Some(entries.collect::<Vec<_>>().join(" ")).filter(|all| !all.is_empty()),
    }
}

/// Upstream closes a working directory with a slash.
fn as_folder(cwd: &str) -> String {
    if cwd.is_empty() || cwd.ends_with('/') { cwd.to_owned() } else { format!("{cwd}/") }
}
