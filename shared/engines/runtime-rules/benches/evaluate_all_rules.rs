//! How long do all rules take for one event?
//!
//! The events are those of an ordinary machine: mostly files opened for reading, some for writing, some processes and connections,
//! on the host and in containers. The rules are those of the folder that the environment variable RULES names, else the peers' files
//! where they are at hand, else a few of our own; rules that are switched off are switched on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a benchmark fails by panicking"
)]

use std::net::IpAddr;
use std::path::PathBuf;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use runtime_rules::{
    Event, EventType, FieldArgument, FieldId, LoadOptions, Matching, RuleSet, Scratch, SourceFile, Value,
};

struct Sample {
    event_type: EventType,
    path: &'static str,
    flags: &'static str,
    is_write: bool,
    process: &'static Process,
    address: Option<IpAddr>,
}

struct Process {
    name: &'static str,
    exepath: &'static str,
    cmdline: &'static str,
    ancestors: &'static [&'static str],
    container: Option<(&'static str, &'static str)>,
}

impl Event for Sample {
    fn event_type(&self) -> EventType {
        self.event_type
    }

    fn timestamp_ns(&self) -> u64 {
        1_767_275_611_726_060_287
    }

    fn field(&self, field: FieldId, argument: Option<&FieldArgument>) -> Option<Value<'_>> {
        use FieldId as F;
        let process = self.process;
        let file = || (self.address.is_none() && !self.path.is_empty()).then_some(self.path);
        let parent = |n: usize| process.ancestors.get(n).map(|name| Value::text(name));
        match field {
            F::EvtNum => Some(Value::Number(4711)),
            F::EvtRes => Some(Value::text("SUCCESS")),
            F::EvtRawres => Some(Value::Number(3)),
            F::EvtArg => match argument?.text() {
                "flags" => Some(Value::text(self.flags)),
                "path" | "name" | "newpath" | "oldpath" => file().map(Value::text),
                _ => None,
            },
            F::EvtIsOpenWrite => Some(Value::Boolean(self.is_write)),
            F::EvtIsOpenRead => Some(Value::Boolean(!self.is_write)),
            F::EvtIsOpenExec => Some(Value::Boolean(false)),
            F::ProcName => Some(Value::text(process.name)),
            F::ProcExe | F::ProcExepath => Some(Value::text(process.exepath)),
            F::ProcCmdline => Some(Value::text(process.cmdline)),
            F::ProcArgs => process.cmdline.split_once(' ').map(|(_, args)| Value::text(args)),
            F::ProcPname => parent(0),
            F::ProcPexe => parent(0),
            F::ProcPcmdline => parent(0),
            F::ProcAname => match argument {
                Some(index) => parent((index.index()? as usize).checked_sub(1)?),
                None => Some(Value::Any(process.ancestors.iter().map(|name| Value::text(name)).collect())),
            },
            F::ProcVpid | F::ProcPid => Some(Value::Number(4242)),
            F::ProcTty => Some(Value::Number(0)),
            F::ProcDuration => Some(Value::Number(60_000_000_000)),
            F::ProcIsExeUpperLayer | F::ProcIsExeFromMemfd => Some(Value::Boolean(false)),
            F::FdName | F::FdNameraw => file().map(Value::text),
            F::FdDirectory => file().and_then(|path| path.rsplit_once('/')).map(|(folder, _)| Value::text(folder)),
            F::FdFilename => file().and_then(|path| path.rsplit_once('/')).map(|(_, name)| Value::text(name)),
            F::FdNum => Some(Value::Number(3)),
            F::FdTypechar => Some(Value::text(if self.address.is_some() { "4" } else { "f" })),
            F::FdType => Some(Value::text(if self.address.is_some() { "ipv4" } else { "file" })),
            F::FdSip | F::FdRip | F::FdSnet | F::FdRnet => self.address.map(Value::Address),
            F::FdIp | F::FdNet => {
                Some(Value::Any(vec![Value::Address(self.address?), Value::Address("10.2.3.4".parse().unwrap())]))
            }
            F::FdSport | F::FdRport => self.address.map(|_| Value::Number(443)),
            F::FdL4proto => self.address.map(|_| Value::text("tcp")),
            F::UserName => Some(Value::text("root")),
            F::UserUid => Some(Value::Number(0)),
            F::UserLoginuid => Some(Value::Number(-1)),
            F::ContainerId => Some(Value::text(process.container.map_or("host", |container| container.0))),
            F::ContainerImageRepository => process.container.map(|container| Value::text(container.1)),
            F::ContainerPrivileged => process.container.map(|_| Value::Boolean(false)),
            F::K8sNsName => process.container.map(|_| Value::text("shop")),
            _ => None,
        }
    }
}

static NGINX: Process = Process {
    name: "nginx",
    exepath: "/usr/sbin/nginx",
    cmdline: "nginx -g daemon off;",
    ancestors: &["nginx", "containerd-shim", "systemd"],
    container: Some(("0123456789ab", "docker.io/library/nginx")),
};
static PYTHON: Process = Process {
    name: "python3",
    exepath: "/usr/bin/python3.12",
    cmdline: "python3 -m gunicorn --workers 4 --bind 0.0.0.0:8000 shop.wsgi:application",
    ancestors: &["gunicorn", "sh", "tini", "containerd-shim", "systemd"],
    container: Some(("ba9876543210", "registry.example/shop/api")),
};
static KUBELET: Process = Process {
    name: "kubelet",
    exepath: "/usr/bin/kubelet",
    cmdline: "kubelet --config=/var/lib/kubelet/config.yaml --node-ip=10.0.0.7",
    ancestors: &["systemd"],
    container: None,
};
static BASH: Process = Process {
    name: "bash",
    exepath: "/usr/bin/bash",
    cmdline: "bash -c for i in 1 2 3; do date >> /var/log/cron.log; done",
    ancestors: &["cron", "cron", "systemd"],
    container: None,
};

fn events() -> Vec<Sample> {
    let open = |path, process, is_write| Sample {
        event_type: EventType::named("openat").unwrap(),
        path,
        flags: if is_write { "O_WRONLY|O_CREAT|O_TRUNC|FD_UPPER_LAYER" } else { "O_RDONLY|O_CLOEXEC" },
        is_write,
        process,
        address: None,
    };
    let other = |name, path, process: &'static Process, address: Option<&str>| Sample {
        event_type: EventType::named(name).unwrap(),
        path,
        flags: "",
        is_write: false,
        process,
        address: address.map(|address| address.parse().unwrap()),
    };
    vec![
        open("/usr/lib/x86_64-linux-gnu/libc.so.6", &BASH, false),
        open("/etc/ld.so.cache", &BASH, false),
        open("/usr/share/nginx/html/index.html", &NGINX, false),
        open("/usr/share/nginx/html/assets/app.9a8b7c.js", &NGINX, false),
        open("/usr/lib/python3.12/encodings/__pycache__/utf_8.cpython-312.pyc", &PYTHON, false),
        open("/app/shop/templates/basket.html", &PYTHON, false),
        open("/proc/self/status", &PYTHON, false),
        open("/proc/4711/stat", &KUBELET, false),
        open("/sys/fs/cgroup/kubepods.slice/memory.current", &KUBELET, false),
        open("/var/lib/kubelet/pods/8c1f/volumes/kubernetes.io~projected/token/token", &KUBELET, false),
        open("/etc/hosts", &NGINX, false),
        open("/dev/urandom", &PYTHON, false),
        open("/var/log/nginx/access.log", &NGINX, true),
        open("/tmp/upload-1f2e3d", &PYTHON, true),
        open("/var/log/cron.log", &BASH, true),
        open("/var/lib/kubelet/pods/8c1f/etc-hosts", &KUBELET, true),
        other("execve", "", &BASH, None),
        other("execve", "", &PYTHON, None),
        other("connect", "", &PYTHON, Some("10.96.0.10")),
        other("connect", "", &NGINX, Some("192.0.2.17")),
        other("unlink", "/tmp/upload-1f2e3d", &PYTHON, None),
        other("rename", "/var/lib/kubelet/pods/8c1f/..data_tmp", &KUBELET, None),
        other("mkdir", "/var/lib/kubelet/pods/8c1f", &KUBELET, None),
        other("sendto", "", &PYTHON, Some("10.96.0.10")),
    ]
}

fn rules() -> RuleSet {
    let of_peers = || testkit::corpus::workspace_root().join("../shared/corpora/falco/rules");
    let folder = std::env::var_os("RULES").map_or_else(of_peers, PathBuf::from);
    let mut texts: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok())
        .map(|text| text.replace("enabled: false", "enabled: true"))
        .collect();
    if texts.is_empty() {
        texts.push(OWN.to_owned());
    }
    let files: Vec<_> = texts.iter().map(|text| SourceFile { name: "rules", text }).collect();
    RuleSet::load(&files, &LoadOptions::default()).rules
}

fn evaluate(criterion: &mut Criterion) {
    let rules = rules();
    let events = events();
    let mut scratch = Scratch::default();
    let mut group = criterion.benchmark_group(format!("evaluate_all_rules/{}", rules.rules().len()));
    group.throughput(Throughput::Elements(events.len() as u64));
    group.bench_function("mixed_events", |bench| {
        bench.iter(|| {
            let matched = |event| rules.evaluate(event, Matching::First, &mut scratch).len();
            events.iter().map(matched).sum::<usize>()
        });
    });
    for name in ["openat", "execve", "connect"] {
        let some: Vec<_> = events.iter().filter(|event| event.event_type.name() == name).collect();
        group.throughput(Throughput::Elements(some.len() as u64));
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let matched = |event: &&Sample| rules.evaluate(*event, Matching::First, &mut scratch).len();
                some.iter().map(matched).sum::<usize>()
            });
        });
    }
    let unwanted =
        Sample { event_type: EventType::named("close").unwrap(), path: "", ..events.into_iter().next().unwrap() };
    group.throughput(Throughput::Elements(1));
    group.bench_function("unwanted_event", |bench| {
        bench.iter(|| rules.evaluate(&unwanted, Matching::First, &mut scratch).len());
    });
    group.finish();
}

/// For machines without the peers' files.
const OWN: &str = r#"
- list: shells
  items: [bash, dash, sh, zsh]
- macro: opened_for_writing
  condition: evt.type in (open, openat, openat2) and evt.is_open_write=true and fd.typechar='f' and fd.num>=0
- rule: Write below etc
  desc: a file below /etc is written
  condition: opened_for_writing and fd.name startswith /etc/ and not proc.name in (dpkg, systemd)
  output: "%fd.name by %proc.cmdline"
  priority: WARNING
- rule: Shell in a container
  desc: a shell starts in a container
  condition: evt.type=execve and container.id != host and proc.name in (shells) and proc.tty != 0
  output: "%proc.cmdline"
  priority: NOTICE
"#;

criterion_group!(benches, evaluate);
criterion_main!(benches);
