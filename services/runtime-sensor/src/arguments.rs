//! The arguments of calls by upstream's names: `evt.arg.flags`, `evt.arg[1]`, `evt.args`.

use runtime_rules::Value;

use crate::decode::Kind;
use crate::enrich::Enriched;
use crate::names;

impl Enriched<'_> {
    /// An argument by its name, or by its place.
    pub(crate) fn argument(&self, name: &str) -> Option<String> {
        let all = self.argument_names();
        let name = match name.parse::<usize>() {
            Ok(place) => all.get(place)?,
            Err(_) => all.iter().find(|known| **known == name)?,
        };
        match self.raw.kind {
            Kind::Exec => self.argument_of_exec(name),
            Kind::Syscall => self.argument_of_call(name).or_else(|| self.argument_by_type(name)),
            Kind::Fork | Kind::Exit => (*name == "status").then(|| self.raw.ret.to_string()),
        }
    }

    /// All arguments that are known, as `name=value`.
    pub(crate) fn arguments(&self) -> String {
        let known = self.argument_names().iter().filter_map(|name| Some(format!("{name}={}", self.argument(name)?)));
        known.collect::<Vec<_>>().join(" ")
    }

    /// An argument as the process gave it: paths without what they are relative to, and numbers.
    pub(crate) fn raw_argument(&self, name: &str) -> Option<Value<'_>> {
        if self.raw.kind == Kind::Syscall && !self.argument_names().contains(&name) {
            return None;
        }
        Some(match name {
            "name" | "path" | "pathname" | "filename" | "oldpath" | "target" => Value::bytes(self.raw.path0?),
            "newpath" | "linkpath" => Value::bytes(self.raw.path1?),
            "res" => Value::Number(self.raw.ret),
            "mode" => Value::Number(self.mode().try_into().ok()?),
            name => {
                let text = self.argument(name)?;
                text.parse().map_or_else(|_| Value::owned(text), Value::Number)
            }
        })
    }

    fn argument_names(&self) -> &'static [&'static str] {
        let found = ARGUMENTS.iter().find(|(calls, _)| calls.contains(&self.name));
        found.map_or(&["res"], |(_, names)| names)
    }

    fn argument_of_exec(&self, name: &str) -> Option<String> {
        let process = self.process;
        Some(match name {
            "res" => "SUCCESS".to_owned(),
            "exe" => process.program.argv.first()?.clone(),
            "args" => process.program.argv.get(1..)?.join(" "),
            "tid" => self.raw.tid.to_string(),
            "pid" => process.pid.to_string(),
            "ptid" => process.ppid.to_string(),
            "cwd" => process.cwd.to_string(),
            "comm" => process.comm.to_string(),
            "env" => self.environment(None)?,
            "tty" => process.tty.to_string(),
            "vpgid" => process.vpgid.to_string(),
            "pgid" => process.pgid.to_string(),
            "loginuid" => process.login_uid.map_or(-1, i64::from).to_string(),
            "flags" => names::exe_flags(&process.program),
            "cap_inheritable" => names::capabilities(process.cap_inheritable),
            "cap_permitted" => names::capabilities(self.raw.cap_permitted),
            "cap_effective" => names::capabilities(self.raw.cap_effective),
            "exe_ino" => process.program.file.inode.to_string(),
            "exe_ino_ctime" => process.program.file.ctime_ns.to_string(),
            "exe_ino_mtime" => process.program.file.mtime_ns.to_string(),
            "uid" => named(self.users().name(self.raw.euid), self.raw.euid),
            "gid" => named(self.users().group(self.raw.egid), self.raw.egid),
            "trusted_exepath" => process.program.exe_path.clone(),
            "filename" => crate::process::text(self.raw.path0?),
            _ => return None,
        })
    }

    /// Arguments whose meaning is the call's own.
    fn argument_of_call(&self, name: &str) -> Option<String> {
        let args = self.raw.args;
        let number = |place: usize| args.get(place).copied().unwrap_or(0);
        Some(match (self.name, name) {
            ("open" | "openat" | "openat2" | "creat", "flags") => {
                names::open_flags(self.open_flags(), self.file().as_ref())
            }
            ("open" | "openat" | "openat2" | "creat", "dev") => format!("{:X}", self.file()?.device),
            ("open" | "openat" | "openat2" | "creat", "ino") => self.file()?.inode.to_string(),
            ("openat2", "resolve") => self.open_how(16)?.to_string(),
            ("unshare", "flags") | ("setns", "nstype") => names::clone_flags(number(usize::from(self.name == "setns"))),
            ("userfaultfd", "flags") => number(0).to_string(),
            ("clone", "flags") => names::clone_flags(number(0)),
            ("clone3", "flags") => names::clone_flags(self.open_how(0)?),
            ("mount", "flags") => names::mount_flags(number(3)),
            ("umount2", "flags") => names::umount_flags(number(1)),
            ("memfd_create", "flags") => names::memfd_flags(number(1)),
            ("memfd_create", "name") => crate::process::text(self.raw.path0?),
            ("unlinkat", "flags") => if number(2) & 0x200 != 0 { "AT_REMOVEDIR" } else { "0" }.to_owned(),
            ("socket" | "socketpair", "domain") => names::family(number(0)),
            ("socket" | "socketpair", "type") => names::socket_type(number(1)),
            ("socket" | "socketpair", "proto") => number(2).to_string(),
            ("ptrace", "request") => names::ptrace(number(0)),
            ("ptrace", "pid") => number(1).to_string(),
            ("bpf", "cmd") => names::bpf(number(0)),
            ("prctl", "option") => names::prctl(number(0)),
            ("prctl", "arg2_int") => number(1).to_string(),
            ("kill" | "tkill" | "tgkill", "sig") => names::signal(number(if self.name == "tgkill" { 2 } else { 1 })),
            ("tgkill", "tid") => number(1).to_string(),
            ("pidfd_open" | "kill" | "process_vm_readv" | "process_vm_writev" | "tgkill", "pid") => {
                ((number(0) & 0xffff_ffff) as u32).cast_signed().to_string()
            }
            ("setuid", "uid") | ("setresuid" | "setreuid", "ruid") => self.user(number(0)),
            ("setresuid" | "setreuid", "euid") => self.user(number(1)),
            ("setresuid", "suid") => self.user(number(2)),
            ("setgid", "gid") | ("setresgid", "rgid") => self.group(number(0)),
            ("setresgid", "egid") => self.group(number(1)),
            ("setresgid", "sgid") => self.group(number(2)),
            ("chown" | "lchown" | "fchown", "uid") => self.user(number(1)),
            ("chown" | "lchown" | "fchown", "gid") => self.group(number(2)),
            ("fchownat", "uid") => self.user(number(2)),
            ("fchownat", "gid") => self.group(number(3)),
            ("dup2" | "dup3", "newfd") => number(1).to_string(),
            ("listen", "backlog") => number(1).to_string(),
            ("io_uring_setup", "entries") => number(0).to_string(),
            ("init_module", "length") => number(1).to_string(),
            ("init_module" | "finit_module", "uargs") => crate::process::text(self.raw.path0?),
            ("finit_module", "flags") => number(2).to_string(),
            ("delete_module", "name") => crate::process::text(self.raw.path0?),
            ("delete_module" | "pidfd_open", "flags") => number(1).to_string(),
            ("pidfd_getfd", "pid_fd") => signed(number(0)),
            ("pidfd_getfd", "target_fd") => signed(number(1)),
            ("pidfd_getfd", "fd") => self.raw.ret.to_string(),
            ("pidfd_getfd", "flags") => number(2).to_string(),
            ("setpgid", "pid") => signed(number(0)),
            ("setpgid", "pgid") => signed(number(1)),
            ("seccomp", "op") => number(0).to_string(),
            ("seccomp", "flags") => number(1).to_string(),
            ("keyctl", "option") => number(0).to_string(),
            ("linkat", "flags") => number(4).to_string(),
            ("renameat2", "flags") => number(4).to_string(),
            ("mount", "type") => crate::process::text(self.raw.structure?.split(|byte| *byte == 0).next()?),
            ("mount", "dev") => crate::process::text(self.raw.path0?),
            ("capset", name) => names::capabilities(match name {
                "cap_inheritable" => self.process.cap_inheritable,
                "cap_permitted" => self.raw.cap_permitted,
                "cap_effective" => self.raw.cap_effective,
                _ => return None,
            }),
            _ => return None,
        })
    }

    /// Arguments that mean the same in every call that has them.
    fn argument_by_type(&self, name: &str) -> Option<String> {
        Some(match name {
            "res" => names::result(self.raw.ret),
            "res_or_fd" => {
                if self.raw.ret >= 0 {
                    self.raw.ret.to_string()
                } else {
                    names::result(self.raw.ret)
                }
            }
            "name" | "path" | "pathname" | "filename" | "oldpath" | "target" => self.path()?.to_owned(),
            "newpath" | "linkpath" | "dir" => self.second_path()?.to_owned(),
            "mode" => names::mode(self.mode()),
            "tuple" | "addr" => self.connection()?,
            "fd" | "oldfd" => match self.name {
                "bpf" => self.raw.ret.to_string(),
                "dup" | "dup2" | "dup3" => signed(self.raw.args.first().copied()?),
                _ if self.raw.ret < 0 && self.descriptor() == Some(-1) => self.raw.ret.to_string(),
                _ => self.descriptor()?.to_string(),
            },
            "size" if self.name.contains("msg") => self.raw.ret.to_string(),
            "size" => self.raw.args.get(2)?.to_string(),
            "data" => String::from_utf8_lossy(self.raw.payload?).into_owned(),
            "dirfd" | "olddirfd" | "olddir" => signed(self.raw.args.first().copied()?),
            "newdirfd" | "newdir" => signed(self.raw.args.get(2).copied()?),
            "linkdirfd" => signed(self.raw.args.get(1).copied()?),
            _ => return None,
        })
    }

    /// A user that the process named, by name where it has one.
    fn user(&self, uid: u64) -> String {
        let uid = (uid & 0xffff_ffff) as u32;
        named(self.users().name_inside(uid), uid)
    }

    fn group(&self, gid: u64) -> String {
        let gid = (gid & 0xffff_ffff) as u32;
        named(self.users().group_inside(gid), gid)
    }
}

fn named(name: Option<&str>, id: u32) -> String {
    name.map_or_else(|| id.cast_signed().to_string(), str::to_owned)
}

/// A descriptor, or the directory that stands for the working one.
fn signed(argument: u64) -> String {
    match ((argument & 0xffff_ffff) as u32).cast_signed() {
        -100 => "AT_FDCWD".to_owned(),
        descriptor => descriptor.to_string(),
    }
}

/// The arguments of calls, in upstream's order as far as the sensor has them.
#[rustfmt::skip]
const ARGUMENTS: &[(&[&str], &[&str])] = &[
    (&["execve", "execveat"], &["res", "exe", "args", "tid", "pid", "ptid", "cwd", "comm", "env", "tty", "vpgid", "loginuid",
        "flags", "cap_inheritable", "cap_permitted", "cap_effective", "exe_ino", "exe_ino_ctime", "exe_ino_mtime", "uid",
        "trusted_exepath", "pgid", "gid", "filename"]),
    (&["open"], &["fd", "name", "flags", "mode", "dev", "ino"]),
    (&["openat"], &["fd", "dirfd", "name", "flags", "mode", "dev", "ino"]),
    (&["openat2"], &["fd", "dirfd", "name", "flags", "mode", "resolve", "dev", "ino"]),
    (&["creat"], &["fd", "name", "mode", "flags", "dev", "ino"]),
    (&["connect"], &["res", "tuple", "fd", "addr"]),
    (&["accept", "accept4"], &["fd", "tuple"]),
    (&["bind"], &["res", "addr", "fd"]),
    (&["listen"], &["res", "fd", "backlog"]),
    (&["sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg"], &["res", "data", "fd", "size", "tuple"]),
    (&["socket"], &["fd", "domain", "type", "proto"]),
    (&["socketpair"], &["res", "domain", "type", "proto"]),
    (&["rename", "link"], &["res", "oldpath", "newpath"]),
    (&["renameat"], &["res", "olddirfd", "oldpath", "newdirfd", "newpath"]),
    (&["renameat2"], &["res", "olddirfd", "oldpath", "newdirfd", "newpath", "flags"]),
    (&["linkat"], &["res", "olddir", "oldpath", "newdir", "newpath", "flags"]),
    (&["symlink"], &["res", "target", "linkpath"]),
    (&["symlinkat"], &["res", "target", "linkdirfd", "linkpath"]),
    (&["unlink", "rmdir", "chdir", "chroot", "truncate"], &["res", "path"]),
    (&["unlinkat"], &["res", "dirfd", "name", "flags"]),
    (&["mkdir", "mknod"], &["res", "path", "mode"]),
    (&["mkdirat", "mknodat"], &["res", "dirfd", "path", "mode"]),
    (&["chmod"], &["res", "filename", "mode"]),
    (&["fchmodat", "fchmodat2"], &["res", "dirfd", "filename", "mode"]),
    (&["fchmod"], &["res", "fd", "mode"]),
    (&["chown", "lchown"], &["res", "path", "uid", "gid"]),
    (&["fchownat"], &["res", "dirfd", "pathname", "uid", "gid"]),
    (&["fchown"], &["res", "fd", "uid", "gid"]),
    (&["setuid"], &["res", "uid"]),
    (&["setgid"], &["res", "gid"]),
    (&["setresuid", "setreuid"], &["res", "ruid", "euid", "suid"]),
    (&["setresgid"], &["res", "rgid", "egid", "sgid"]),
    (&["ptrace"], &["res", "request", "pid"]),
    (&["bpf"], &["fd", "cmd", "res_or_fd"]),
    (&["setns"], &["res", "fd", "nstype"]),
    (&["unshare", "clone", "clone3", "userfaultfd"], &["res", "flags"]),
    (&["init_module"], &["res", "length", "uargs"]),
    (&["finit_module"], &["res", "fd", "uargs", "flags"]),
    (&["delete_module"], &["res", "name", "flags"]),
    (&["fchdir", "fsetxattr", "ioctl", "fcntl", "shutdown"], &["res", "fd"]),
    (&["kill", "tkill"], &["res", "pid", "sig"]),
    (&["tgkill"], &["res", "pid", "tid", "sig"]),
    (&["dup"], &["res", "fd"]),
    (&["dup2", "dup3"], &["res", "oldfd", "newfd"]),
    (&["mount"], &["res", "dev", "dir", "type", "flags"]),
    (&["umount2"], &["res", "name", "flags"]),
    (&["memfd_create"], &["fd", "name", "flags"]),
    (&["prctl"], &["res", "option", "arg2_int"]),
    (&["capset"], &["res", "cap_inheritable", "cap_permitted", "cap_effective"]),
    (&["pidfd_open"], &["fd", "pid", "flags"]),
    (&["pidfd_getfd"], &["fd", "pid_fd", "target_fd", "flags"]),
    (&["process_vm_readv", "process_vm_writev"], &["res", "pid"]),
    (&["setpgid"], &["res", "pid", "pgid"]),
    (&["seccomp"], &["res", "op", "flags"]),
    (&["keyctl"], &["res", "option"]),
    (&["read", "write", "pread", "pwrite"], &["res", "data", "fd", "size"]),
    (&["io_uring_setup"], &["res", "entries"]),
    (&["procexit"], &["status"]),
];
