//! Every kind of system call that rules are about is made once, and expected with its arguments, descriptors and paths.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::parts::wait_until;
use testkit::require;

use crate::{alerts, rule, watch};

/// The program that makes the calls, built from source; `None`, loudly, without a compiler. Rules tell it by its name.
fn program(folder: &Path, name: &str) -> Option<PathBuf> {
    let (source, program) = (concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/calls.c"), folder.join(name));
    let built = ["cc", "gcc", "clang", "clang-19"].into_iter().any(|compiler| {
        Command::new(compiler)
            .args(["-O1", "-o"])
            .arg(&program)
            .arg(source)
            .status()
            .is_ok_and(|status| status.success())
    });
    if !built {
        require::skip("cc", "no C compiler");
    }
    built.then_some(program)
}

const OUTPUT: &str = "@%evt.type|%evt.args|%fd.num|%fd.typechar|%fd.type|%fd.name|%fs.path.name|%fs.path.source|%fs.path.target|%evt.buffer@";

const RUN: &str =
    "@%evt.type|%evt.res|%proc.args|%proc.is_exe_from_memfd|%proc.env[BT_VARIABLE]|%proc.pname|%user.name|%proc.cwd@";

/// What is expected: the type, and what its line begins with behind it. `F` is the folder, `T` and `U` are the ports of the servers.
const EXPECTED: &[(&str, &str)] = &[
    ("chdir", "res=SUCCESS path=F|<NA>|<NA>|<NA>|<NA>|F|"),
    ("open", "fd=3 name=F/made flags=O_TRUNC|O_CREAT|O_WRONLY|O_F_CREATED mode=S_IRUSR|S_IWUSR dev="),
    ("openat", "fd=4 dirfd=3 name=F/made flags=O_RDWR|O_CLOEXEC mode= dev="),
    (
        "openat2",
        "fd=5 dirfd=AT_FDCWD name=F/how flags=O_CREAT|O_RDWR|O_F_CREATED mode=S_IRUSR|S_IWUSR|S_IRGRP resolve=0 ",
    ),
    (
        "creat",
        "fd=6 name=F/created mode=S_IRUSR|S_IWUSR|S_IXUSR|S_IRGRP|S_IXGRP|S_IROTH|S_IXOTH flags=O_TRUNC|O_CREAT|O_WRONLY|O_F_CREATED ",
    ),
    ("openat", "fd=-2 dirfd=AT_FDCWD name=F/missing flags=O_RDONLY mode=|-1|f|file|F/missing|F/missing|"),
    ("openat", "fd=7 dirfd=AT_FDCWD name=F/bad\u{fffd} flags=O_CREAT|O_RDONLY|O_F_CREATED "),
    ("mkdir", "res=SUCCESS path=F/folder mode=S_IRUSR|S_IWUSR|S_IXUSR|S_IRGRP|S_IXGRP|S_IXOTH|"),
    ("mkdirat", "res=SUCCESS dirfd=3 path=F/folder-at mode="),
    ("rmdir", "res=SUCCESS path=F/folder-at|"),
    ("rename", "res=SUCCESS oldpath=F/created newpath=F/renamed|<NA>|<NA>|<NA>|<NA>|<NA>|F/created|F/renamed|"),
    ("renameat", "res=SUCCESS olddirfd=3 oldpath=F/renamed newdirfd=AT_FDCWD newpath=F/renamed-at|"),
    ("renameat2", "res=SUCCESS olddirfd=3 oldpath=F/renamed-at newdirfd=3 newpath=F/renamed-2 flags=1|"),
    ("link", "res=SUCCESS oldpath=F/made newpath=F/linked|<NA>|<NA>|<NA>|<NA>|<NA>|F/linked|F/made|"),
    ("linkat", "res=SUCCESS olddir=3 oldpath=F/made newdir=AT_FDCWD newpath=F/linked-at flags=0|"),
    ("symlink", "res=SUCCESS target=../elsewhere linkpath=F/soft|<NA>|<NA>|<NA>|<NA>|<NA>|F/soft|../elsewhere|"),
    ("symlinkat", "res=SUCCESS target=made linkdirfd=3 linkpath=F/soft-at|"),
    ("unlink", "res=SUCCESS path=F/linked|"),
    ("unlinkat", "res=SUCCESS dirfd=3 name=F/folder flags=AT_REMOVEDIR|"),
    ("chmod", "res=SUCCESS filename=F/made mode=S_ISUID|S_IRUSR|S_IWUSR|S_IXUSR|S_IRGRP|S_IXGRP|S_IROTH|S_IXOTH|"),
    ("fchmod", "res=SUCCESS fd=4 mode=S_IRUSR|S_IWUSR|S_IRGRP|S_IROTH|4|f|file|F/made|"),
    ("fchmodat", "res=SUCCESS dirfd=3 filename=F/made mode=S_IRUSR|S_IWUSR|"),
    ("chown", "res=SUCCESS path=F/made uid=root gid=root|"),
    ("lchown", "res=SUCCESS path=F/soft uid=root gid=root|"),
    ("fchown", "res=SUCCESS fd=4 uid=root gid=root|4|f|file|F/made|"),
    ("fchownat", "res=SUCCESS dirfd=3 pathname=F/made uid=root gid=root|"),
    ("mknod", "res=SUCCESS path=F/fifo mode="),
    ("mknodat", "res=SUCCESS dirfd=3 path=F/fifo-at mode="),
    ("truncate", "res=SUCCESS path=F/made|"),
    ("dup", "res=SUCCESS fd=4|9|f|file|F/made|"),
    ("dup2", "res=SUCCESS oldfd=4 newfd=9|9|f|file|F/made|"),
    ("dup3", "res=SUCCESS oldfd=4 newfd=9|9|f|file|F/made|"),
    ("dup", "res=SUCCESS fd=10|12|p|pipe|"),
    ("write", "res=SUCCESS data=cafe-babe fd=4 size=9|4|f|file|F/made|<NA>|<NA>|<NA>|cafe-babe"),
    ("chdir", "res=SUCCESS path=F/sub|"),
    ("open", "fd=14 name=F/sub/in-sub "),
    ("fchdir", "res=SUCCESS fd=13|13|d|directory|F|"),
    ("open", "fd=14 name=F/back-again "),
    ("chroot", "res=SUCCESS path=F/sub|"),
    ("open", "fd=14 name=/in-root "),
    ("open", "fd=14 name=/in-root-too "),
    ("socket", "fd=14 domain=AF_INET type=SOCK_STREAM proto=0|14|4|ipv4|<NA>|"),
    ("bind", "res=SUCCESS addr=127.0.0.1:0 fd=14|"),
    ("listen", "res=SUCCESS fd=14 backlog=5|14|4|ipv4|127.0.0.1:T|"),
    (
        "connect",
        "res=SUCCESS tuple=127.0.0.1:C->127.0.0.1:T fd=15 addr=127.0.0.1:C->127.0.0.1:T|15|4|ipv4|127.0.0.1:C->127.0.0.1:T|",
    ),
    ("accept4", "fd=16 tuple=127.0.0.1:C->127.0.0.1:T|16|4|ipv4|127.0.0.1:C->127.0.0.1:T|"),
    ("dup2", "res=SUCCESS oldfd=15 newfd=80|80|4|ipv4|127.0.0.1:C->127.0.0.1:T|"),
    ("sendto", "res=SUCCESS data=over-tcp fd=15 size=8 tuple=127.0.0.1:C->127.0.0.1:T|15|4|"),
    ("recvfrom", "res=SUCCESS data=over-tcp fd=16 size=32 tuple=127.0.0.1:C->127.0.0.1:T|16|4|"),
    ("sendto", "res=SUCCESS data=over-udp fd=18 size=8 tuple=0.0.0.0:D->127.0.0.1:U|18|4|ipv4|0.0.0.0:D->127.0.0.1:U|"),
    ("recvfrom", "res=SUCCESS data=over-udp fd=17 size=32 tuple=127.0.0.1:U->127.0.0.1:D|"),
    ("sendmsg", "res=SUCCESS data=by-message fd=18 size=10 tuple=0.0.0.0:D->127.0.0.1:U|"),
    ("sendmmsg", "res=SUCCESS fd=18 size=1 tuple=0.0.0.0:D->127.0.0.1:U|"),
    ("recvmsg", "res=SUCCESS data=by-message fd=17 size=10 tuple=127.0.0.1:U->127.0.0.1:D|"),
    ("bind", "res=SUCCESS addr=local.sock fd=19|19|u|unix|local.sock|"),
    ("connect", "res=SUCCESS tuple=local.sock fd=20 addr=local.sock|20|u|unix|local.sock|"),
    ("connect", "res=SUCCESS tuple=::1:E->::1:9 fd=21 addr=::1:E->::1:9|21|6|ipv6|::1:E->::1:9|"),
    ("socketpair", "res=SUCCESS domain=AF_UNIX type=SOCK_STREAM proto=0|"),
    ("socket", "fd=24 domain=AF_PACKET type=SOCK_RAW proto=0|24|"),
    ("setuid", "res=SUCCESS uid=root|"),
    ("setgid", "res=SUCCESS gid=root|"),
    ("setresuid", "res=SUCCESS ruid=root euid=root suid=root|"),
    ("setresgid", "res=SUCCESS rgid=root egid=root sgid=root|"),
    ("setreuid", "res=SUCCESS ruid=root euid=root|"),
    ("unshare", "res=SUCCESS flags=CLONE_NEWUTS|"),
    ("setns", "res=SUCCESS fd=25 nstype=CLONE_NEWUTS|25|"),
    ("prctl", "res=SUCCESS option=PR_SET_DUMPABLE arg2_int=1|"),
    ("kill", "res=SUCCESS pid=#P sig=0|"),
    ("tgkill", "res=SUCCESS pid=#P tid=#P sig=0|"),
    ("bpf", "fd=-"),
    ("init_module", "res="),
    ("finit_module", "res="),
    ("delete_module", "res="),
    ("userfaultfd", "res=SUCCESS flags=0|26|u|userfaultfd|"),
    ("memfd_create", "fd=27 name=bt-memory flags=MFD_CLOEXEC|27|m|memfd|memfd:bt-memory|<NA>|"),
    ("pidfd_open", "fd=28 pid=#P flags=0|"),
    ("pidfd_getfd", "fd=29 pid_fd=28 target_fd=1 flags=0|29|"),
    ("process_vm_readv", "res=SUCCESS pid=#P|"),
    ("process_vm_writev", "res=SUCCESS pid=#P|"),
    ("mount", "res=ENOENT dev=bt-device dir=F/bt-folder type=tmpfs flags=RDONLY|NOSUID|"),
    ("umount2", "res=ENOENT name=F/bt-folder flags=DETACH|"),
    ("capset", "res=SUCCESS cap_inheritable= cap_permitted=CAP_CHOWN "),
    ("seccomp", "res=EINVAL op=99 flags=7|"),
    ("keyctl", "res=EOPNOTSUPP option=99|"),
    ("io_uring_setup", "res=SUCCESS entries=4|30|r|io_uring|"),
    ("clone3", "res=EINVAL flags=CLONE_NEWUTS|CLONE_NEWIPC|"),
    ("setsid", "res=SUCCESS|"),
    ("setpgid", "res=SUCCESS pid=0 pgid=0|"),
    ("ptrace", "res=SUCCESS request=PTRACE_TRACEME pid=0|"),
    ("execve", "ENOENT|F|false|<NA>|"),
    ("execve", "SUCCESS|idle not-\u{fffd}-utf8|false|in-environment|bt-calls|root|F/"),
    ("execve", "SUCCESS|idle very-long xxxx"),
    ("execve", "SUCCESS|idle|true|<NA>|bt-calls|root|F/"),
];

#[test]
fn each_kind_of_call_is_told_with_its_arguments() {
    let (rules_folder, made) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let Some(program) = program(rules_folder.path(), "bt-calls") else { return };
    let mut types: Vec<&str> = EXPECTED.iter().map(|(call, _)| *call).filter(|call| *call != "execve").collect();
    types.sort_unstable();
    types.dedup();
    let mut rules = rule("ready", "evt.type in (open, openat) and fd.name contains marker-ready", "%fd.name")
        + &rule("ran", "evt.type = execve and (proc.name = bt-calls or proc.pname = bt-calls)", RUN);
    for call in types {
        rules += &rule(call, &format!("evt.type = {call} and proc.name = bt-calls"), OUTPUT);
    }
    let Some(_sensor) = watch(rules_folder.path(), &rules) else { return };
    let output = Command::new(&program).arg(made.path()).env_remove("LD_LIBRARY_PATH").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.ends_with("done\n"), "{said}");
    let text = wait_until(Duration::from_secs(60), || {
        let text = fs::read_to_string(rules_folder.path().join("out")).ok()?;
        text.contains("data=done").then_some(text)
    });
    let lines: Vec<String> = alerts(&text.expect("the last call is seen"))
        .iter()
        .filter_map(|alert| Some(alert["output"].as_str()?.split_once('@')?.1.split_once("@ ")?.0.to_owned()))
        .collect();
    let number = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    let between = |line: &str, before: &str, after: &str| -> Option<String> {
        Some(line.split_once(before)?.1.split_once(after)?.0.to_owned())
    };
    let found = |call: &str, before: &str, after: &str| {
        lines.iter().filter(|line| line.starts_with(call)).find_map(|line| between(line, before, after)).unwrap()
    };
    let client = found("connect|", "tuple=127.0.0.1:", "->");
    let sender = found("sendto|res=SUCCESS data=over-udp", "tuple=0.0.0.0:", "->");
    let six = found("connect|res=SUCCESS tuple=::1:", "tuple=::1:", "->");
    let pid = found("kill|", "pid=", " sig");
    let folder = made.path().canonicalize().unwrap().display().to_string();
    let missing: Vec<String> = EXPECTED
        .iter()
        .map(|(call, wanted)| {
            let ports = [("127.0.0.1:T", number("tcp=")), ("127.0.0.1:U", number("udp="))];
            let mut wanted = format!("{call}|{wanted}");
            for (mark, port) in ports {
                wanted = wanted.replace(mark, &format!("127.0.0.1:{port}"));
            }
            wanted
                .replace("127.0.0.1:C", &format!("127.0.0.1:{client}"))
                .replace("0.0.0.0:D", &format!("0.0.0.0:{sender}"))
                .replace("127.0.0.1:D", &format!("127.0.0.1:{sender}"))
                .replace("::1:E", &format!("::1:{six}"))
                .replace("#P", &pid)
                .replace("=F", &format!("={folder}"))
                .replace("|F", &format!("|{folder}"))
        })
        .filter(|wanted| !lines.iter().any(|line| line.starts_with(wanted)))
        .collect();
    let near: Vec<&String> = lines
        .iter()
        .filter(|line| missing.iter().any(|wanted| line.split('|').next() == wanted.split('|').next()))
        .collect();
    assert!(missing.is_empty(), "missing: {missing:#?}\nseen of these: {near:#?}");
    let longest = lines.iter().filter(|line| line.starts_with("execve")).map(String::len).max().unwrap();
    assert!((4_000..8_192).contains(&longest), "a command line of 2 MB is cut: {longest}");
}

#[test]
fn what_a_stalled_sensor_loses_is_told_and_no_program_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = program(folder.path(), "bt-flood") else { return };
    let rules = rule("ready", "evt.type in (open, openat) and fd.name contains marker-ready", "%fd.name")
        + &rule("tried", "evt.type = personality and proc.name = bt-flood", "%evt.args")
        + &rule("ran", "evt.type = execve and proc.name = bt-unhidden", "%proc.pname");
    let unhidden = folder.path().join("bt-unhidden");
    fs::copy("/bin/true", &unhidden).unwrap();
    let Some(sensor) = watch(folder.path(), &rules) else { return };
    let signal = |name: &str| {
        let status = Command::new("kill").args([name, &sensor.id().to_string()]).status().unwrap();
        assert!(status.success());
    };
    signal("-STOP");
    // More than the ring holds, of calls that no other test asks for: else its sensor would lose events, too.
    let made = Command::new(&program).args(["flood", "200000"]).status().unwrap();
    let ran = Command::new(&unhidden).status().unwrap();
    signal("-CONT");
    assert!(made.success() && ran.success());
    let told = |rule: &str| {
        wait_until(Duration::from_secs(60), || {
            let text = fs::read_to_string(folder.path().join("out")).ok()?;
            alerts(&text).into_iter().find(|alert| alert["rule"] == rule)
        })
    };
    let lost = told("Falco internal: syscall event drop");
    assert!(told("ran").is_some(), "the program that ran when the ring was full of calls");
    let fields = lost.expect("losses are told")["output_fields"].clone();
    let number = |name: &str| fields[name].as_str().and_then(|text| text.parse::<u64>().ok()).or(fields[name].as_u64());
    let dropped = number("n_drops").unwrap_or_else(|| panic!("{fields}"));
    assert!((1..=200_000).contains(&dropped), "{fields}");
}
