//! Every rule of the peer that system calls can match: the action is performed, on the host or in a real container, and exactly its alert
//! is expected, with process, parent, user, file or address, container and pod. A neighbour that does almost the same matches nothing.
//!
//! One sensor watches for the whole table; each action is known by a variable of its environment, which every alert is made to tell.

mod act;
#[path = "../../src/names/capabilities.rs"]
mod capabilities;
mod generator;
mod table;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use runtime_rules::{LoadOptions, RuleSet, SourceFile};
use serde_json::{Value, json};
use testkit::corpus::Corpus;
use testkit::parts::{self, Tool, wait_until};
use testkit::require;

use crate::{POD, alerts, own_cgroup, remove_cgroups, watch_files};
use act::{Action, Place};
use capabilities::CAPABILITIES;

const FURTHER: &str = include_str!("actions/further.yaml");

/// What every alert is made to tell.
const TOLD: &str = "%proc.env[BT_ACTION] %proc.name %proc.pname %proc.aname[2] %proc.cmdline %proc.exepath %proc.vpid %proc.pvpid \
    %proc.is_exe_from_memfd %user.uid %user.name %fd.num %fd.name %fd.nameraw %fd.type %fd.l4proto %fd.sip %fd.sport %fd.lip %fd.lport \
    %evt.type %evt.res %evt.is_open_exec %evt.arg.flags %evt.arg.request %evt.arg.domain %evt.arg.cmd %evt.arg.uid %evt.arg.target \
    %evt.arg.linkpath %evt.arg.oldpath %evt.arg.newpath %evt.arg.filename %evt.arg.name %evt.arg.path %container.id %container.full_id \
    %k8s.pod.uid %proc.stdin.type %proc.stdin.name %proc.stdout.type";

/// One line of a list that the driver works off.
struct Task {
    id: String,
    place: Place,
    user: u32,
    variables: &'static str,
    run: &'static str,
}

/// Names of the rules of a file, in order.
fn names(name: &str, text: &str) -> Vec<String> {
    let loaded = RuleSet::load(&[SourceFile { name, text }], &LoadOptions::default());
    loaded.rules.rules().iter().map(|rule| rule.name.clone()).collect()
}

/// What a user writes who wants to know more: every rule of theirs stays as it is, and its output gets longer.
fn longer_outputs(rules: &[String]) -> String {
    rules.iter().fold(String::new(), |mut text, rule| {
        let _ = writeln!(text, "- rule: {rule}\n  output: '| {TOLD}'\n  override:\n    output: append");
        text
    })
}

fn tasks(actions: &[&Action]) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (number, action) in actions.iter().enumerate() {
        let task = |id: String, place, variables, run| Task { id, place, user: action.user, variables, run };
        tasks.push(task(format!("a{number}"), action.place, action.variables, action.run));
        if !action.neighbour.is_empty() {
            let place = match action.place {
                Place::First { terminal, .. } => Place::First { terminal, capabilities: "" },
                place => place,
            };
            tasks.push(task(format!("n{number}"), place, action.neighbour_variables, action.neighbour));
        }
    }
    tasks
}

/// The folder of one run: programs, root file systems, lists.
struct Stage {
    folder: PathBuf,
    runc: PathBuf,
}

impl Stage {
    fn build(folder: &Path, runc: PathBuf, tasks: &[Task]) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let folder = folder.canonicalize().unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let (source, root) = (concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/actions/acts.c"), folder.join("rootfs"));
        fs::create_dir_all(root.join("B")).unwrap();
        let program = root.join("B/bt-driver");
        let built = ["cc", "gcc", "clang-19"].into_iter().any(|compiler| {
            let compile = Command::new(compiler).args(["-static", "-O1", "-o"]).arg(&program).arg(source).output();
            compile.is_ok_and(|output| output.status.success())
        });
        if !built {
            require::skip("cc", "no C compiler that links statically");
            return None;
        }
        let named =
            tasks.iter().flat_map(|task| task.run.split_whitespace()).filter_map(|word| word.strip_prefix("B/"));
        for name in named.collect::<BTreeSet<_>>() {
            fs::hard_link(&program, root.join("B").join(name)).unwrap();
        }
        for name in ROOT_FOLDERS {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        for (name, text) in ROOT_FILES {
            fs::write(root.join(name), text).unwrap();
        }
        for name in ["tmp", "home/me"] {
            fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o777)).unwrap();
        }
        Some(Self { folder, runc })
    }

    /// The list for a driver. `bin` is where the programs are.
    fn list(tasks: &[&Task], bin: &str) -> String {
        tasks.iter().fold(String::new(), |mut text, task| {
            let words = task.run.split_whitespace().map(|word| match word.strip_prefix("B/") {
                Some(name) => format!("{bin}/{name}"),
                None => word.replace('~', " "),
            });
            let words: Vec<String> = words.collect();
            let _ = writeln!(text, "{}\t{}\t{}\t{}", task.id, task.user, task.variables, words.join("\t"));
            text
        })
    }

    /// Performs what is for the host, in a mount and a network namespace of its own.
    fn on_host(&self, tasks: &[&Task]) -> String {
        let (bin, list) = (self.folder.join("rootfs/B"), self.folder.join("host.list"));
        fs::write(&list, Self::list(tasks, &bin.display().to_string())).unwrap();
        let script = format!(
            "{NETWORK}
             cp -a /etc etc && touch etc/bt-settings etc/shadow && mount --bind etc /etc
             mount -t tmpfs tmpfs /root && mount -t tmpfs -o mode=777 tmpfs /home && mount -t tmpfs tmpfs /dev
             mkdir -p /root/.ssh /dev/shm && mknod -m 666 /dev/null c 1 3
             touch /root/.ssh/config /home/bt-file /home/.bashrc /home/liblzma.so.5.6.0
             exec {} @list {}",
            bin.join("bt-driver").display(),
            list.display()
        );
        self.apart(&script)
    }

    /// Runs a container and gives what it said. `arguments` are those of its first process.
    fn contain(&self, id: &str, first: &Task, arguments: &[String], list: &str) -> String {
        let bundle = self.folder.join(id);
        fs::create_dir_all(&bundle).unwrap();
        fs::write(bundle.join("list"), list).unwrap();
        let stage = bundle.join("stage");
        fs::create_dir_all(&stage).unwrap();
        fs::set_permissions(&stage, fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(bundle.join("config.json"), config(id, first, &stage, arguments)).unwrap();
        let terminal = matches!(first.place, Place::First { terminal: true, .. });
        let run = format!(
            "{} --root {}/runc run --bundle {} {id}",
            self.runc.display(),
            self.folder.display(),
            bundle.display()
        );
        let run = if terminal { format!("script -qec '{run}' /dev/null < /dev/null") } else { format!("exec {run}") };
        let script = format!(
            "{NETWORK}
             cd {bundle}; mkdir layers; mount -t tmpfs tmpfs layers; mkdir layers/upper layers/work rootfs
             mount -t overlay -o lowerdir={root},upperdir=layers/upper,workdir=layers/work overlay rootfs
             cp list rootfs/list
             {run}",
            bundle = bundle.display(),
            root = self.folder.join("rootfs").display(),
        );
        self.apart(&script)
    }

    fn apart(&self, script: &str) -> String {
        let mut command = Command::new("unshare");
        command.args(["-m", "-n", "/bin/sh", "-ec", script]).current_dir(&self.folder);
        let output = command.env_remove("BT_ACTION").output().unwrap();
        let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}\n{said}\n{failed}");
        format!("{said}{failed}")
    }
}

/// Addresses that the actions talk to exist here, and nothing leaves the machine.
const NETWORK: &str = "ip link set lo up
             for address in 192.0.2.7 10.96.0.1 10.96.0.9 169.254.169.254; do ip address add $address/32 dev lo; done";

const ROOT_FOLDERS: &[&str] = &[
    "etc/cron.d",
    "etc/apt",
    "dev",
    "stage",
    "proc",
    "tmp",
    "opt",
    "srv",
    "mnt",
    "root/.ssh",
    "root/x",
    "home/me/.ssh/keys",
    "var/log",
    "var/lib/rpm",
    "usr/bin",
    "usr/share",
    "usr/local/lib",
];

const ROOT_FILES: &[(&str, &str)] = &[
    ("etc/passwd", "root:x:0:0::/root:/bin/sh\nkeeper:x:7:7::/:/bin/sh\n"),
    ("etc/group", "root:x:0:\nkeeper:x:7:\n"),
    ("etc/shadow", ""),
    ("etc/cron.d/bt-job", ""),
    ("etc/apt/sources.list", ""),
    ("srv/secret", ""),
    ("home/me/.bashrc", ""),
    ("usr/bin/bt-old", ""),
    ("tmp/release_agent", ""),
];

/// What container runtimes give when nothing else is asked for, and what is.
fn given(capabilities: &str) -> Vec<String> {
    let usual = "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE";
    let mut all: Vec<String> = usual.split_whitespace().map(|name| format!("CAP_{name}")).collect();
    match capabilities {
        // All that this machine has to give, which may be less than all there are.
        "all" => {
            let status = fs::read_to_string("/proc/self/status").unwrap();
            let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap();
            let bounding = u64::from_str_radix(bounding.trim(), 16).unwrap();
            all = (0..64).filter(|bit| bounding & (1 << bit) != 0).map(|bit| CAPABILITIES[bit].to_owned()).collect();
        }
        more => all.extend(more.split_whitespace().map(str::to_owned)),
    }
    all
}

fn config(id: &str, first: &Task, stage: &Path, arguments: &[String]) -> String {
    let (terminal, capabilities) = match first.place {
        Place::First { terminal, capabilities } => (terminal, capabilities),
        Place::Privileged => (false, "all"),
        _ => (false, ""),
    };
    let capabilities = given(capabilities);
    let mut environment = vec!["PATH=/B".to_owned(), format!("BT_ACTION={}", first.id)];
    environment.extend(first.variables.split(',').filter(|variable| variable.contains('=')).map(str::to_owned));
    let sets = ["bounding", "effective", "permitted"].map(|set| (set.to_owned(), json!(capabilities)));
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({ "destination": destination, "type": kind, "source": kind, "options": options });
    let mut namespaces = vec![json!({ "type": "pid" }), json!({ "type": "mount" }), json!({ "type": "uts" })];
    let mut mounts = vec![mount("/proc", "proc", &[]), mount("/dev", "tmpfs", &["mode=755"])];
    let mapping = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    mounts.push(
        json!({ "destination": "/stage", "type": "bind", "source": stage.display().to_string(), "options": ["bind"] }),
    );
    let mut linux = json!({ "cgroupsPath": format!("{}/kubepods/burstable/pod{POD}/{id}", own_cgroup()) });
    if first.place == Place::Mapped {
        namespaces.push(json!({ "type": "user" }));
        (linux["uidMappings"], linux["gidMappings"]) = (mapping.clone(), mapping);
    } else {
        mounts.push(mount("/dev/pts", "devpts", &["newinstance", "ptmxmode=0666"]));
    }
    linux["namespaces"] = json!(namespaces);
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": terminal, "user": { "uid": 0, "gid": 0 }, "cwd": "/", "env": environment, "args": arguments,
            "capabilities": serde_json::Map::from_iter(sets),
        },
        "root": { "path": "rootfs" },
        "mounts": mounts,
        "linux": linux,
    })
    .to_string()
}

/// What follows from a line: name, parent and command line of the process that the alert is about.
fn subject(task: &Task) -> BTreeMap<&'static str, String> {
    let words: Vec<String> = task.run.split_whitespace().map(|word| word.replace('~', " ")).collect();
    let base = |path: &str| path.rsplit('/').next().unwrap().chars().take(15).collect::<String>();
    let outer = match task.place {
        Place::First { .. } => "runc".to_owned(),
        _ => "bt-driver".to_owned(),
    };
    let inner = words.iter().position(|word| word == "@run" || word == "@exec");
    let (parent, words) = match inner {
        Some(place) if words[place] == "@run" => (base(&words[0]), &words[place + 1..]),
        Some(place) => (outer, &words[place + 1..]),
        None => (outer, &words[..]),
    };
    let name = base(&words[0]);
    let line =
        std::iter::once(name.as_str()).chain(words[2..].iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
    BTreeMap::from([
        ("proc.name", name),
        ("proc.pname", parent),
        ("proc.cmdline", line),
        ("user.uid", task.user.to_string()),
    ])
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Runs the table. Gives what is wrong.
fn judge(actions: &[&Action], rules: &[(PathBuf, Vec<String>)], folder: &Path) -> Option<Vec<String>> {
    let (Ok(runc), Ok(_)) = (parts::find(Tool::Runc), parts::find(Tool::Busybox)) else {
        require::skip("runc", "runc is not installed");
        return None;
    };
    let tasks = tasks(actions);
    let stage = Stage::build(&folder.join("stage"), runc, &tasks)?;
    let all: Vec<String> = rules.iter().flat_map(|(_, names)| names.clone()).collect();
    let longer = folder.join("longer.yaml");
    fs::write(&longer, longer_outputs(&all)).unwrap();
    let files: Vec<PathBuf> = rules.iter().map(|(file, _)| file.clone()).chain([longer]).collect();
    let _sensor = watch_files(folder, &files, &["--match-all"])?;
    let ids: Vec<(String, &Task)> = tasks
        .iter()
        .filter(|task| matches!(task.place, Place::First { .. }))
        .enumerate()
        .map(|(number, task)| (format!("{:032x}{number:032x}", std::process::id()), task))
        .collect();
    let many = |place: Place| tasks.iter().filter(move |task| task.place == place).collect::<Vec<_>>();
    // Other runs of this test may be under way on this machine.
    let own = |letter: &str| format!("{}{:032x}", letter.repeat(32), std::process::id());
    let shared = [(Place::Plain, own("f")), (Place::Privileged, own("e")), (Place::Mapped, own("d"))];
    let (end, out) = (folder.join("marker-end"), folder.join("out"));
    let mut text = None;
    let said = std::thread::scope(|scope| {
        let stage = &stage;
        let mut running = vec![scope.spawn(move || stage.on_host(&many(Place::Host)))];
        for (id, task) in &ids {
            running.push(scope.spawn(move || {
                let mut words = task.run.split_whitespace().map(|word| word.replace("B/", "/B/"));
                let (program, _) = (words.next().unwrap(), words.next());
                let arguments: Vec<String> = std::iter::once(program).chain(words).collect();
                stage.contain(id, task, &arguments, "");
                format!("{} 1 0\n", task.id)
            }));
        }
        let staying = shared.each_ref().map(|(place, id)| {
            scope.spawn(move || {
                let first = Task { id: format!("{place:?}"), place: *place, user: 0, variables: "", run: "" };
                let arguments = ["/B/bt-driver", "@list", "/list", "/stage"].map(str::to_owned);
                stage.contain(id, &first, &arguments, &Stage::list(&many(*place), "/B"))
            })
        });
        let place = |id: &str, name: &str| stage.folder.join(id).join("stage").join(name);
        for ((_, id), thread) in shared.iter().zip(&staying) {
            wait_until(Duration::from_secs(60), || (place(id, "done").exists() || thread.is_finished()).then_some(()));
        }
        let mut said = running.into_iter().map(|thread| thread.join().unwrap()).collect::<String>();
        // What comes after all of it tells that all of it has come. Until then the containers stay, for they are asked for names.
        fs::write(&end, "").unwrap();
        text = wait_until(Duration::from_secs(60), || {
            fs::read(&end).unwrap();
            fs::read_to_string(&out).ok().filter(|text| text.contains("marker-end"))
        });
        for (_, id) in &shared {
            fs::write(place(id, "over"), "").unwrap();
        }
        staying.into_iter().for_each(|thread| said += &thread.join().unwrap());
        said
    });
    remove_cgroups();
    let text = text.expect("the sensor follows");
    let place_ids: HashMap<&str, &str> = shared
        .iter()
        .flat_map(|(place, id)| many(*place).into_iter().map(move |task| (task.id.as_str(), id.as_str())))
        .chain(ids.iter().map(|(id, task)| (task.id.as_str(), id.as_str())))
        .collect();
    let mut wrong = Vec::new();
    let alerts = alerts(&text);
    let of = |id: &str| -> Vec<&Value> {
        alerts.iter().filter(|alert| alert["output_fields"]["proc.env[BT_ACTION]"] == id).collect()
    };
    for task in &tasks {
        let number = task.id[1..].parse::<usize>().unwrap();
        let (action, seen) = (actions[number], of(&task.id));
        let done = said.lines().find_map(|line| line.strip_prefix(&format!("{} ", task.id)));
        if done.is_none_or(|done| !done.ends_with(" 0")) && !task.variables.contains('&') {
            wrong.push(format!("{} `{}` was not performed: {done:?}", action.rule, task.run));
        }
        let got: Vec<&str> = seen.iter().map(|alert| alert["rule"].as_str().unwrap()).collect();
        if task.id.starts_with('n') {
            if !got.is_empty() {
                wrong.push(format!("{}: the neighbour `{}` matches {got:?}", action.rule, task.run));
            }
            continue;
        }
        let mut expected: Vec<&str> = action
            .also
            .iter()
            .copied()
            .chain([action.rule])
            .filter(|rule| all.iter().any(|known| known == rule))
            .collect();
        let mut sorted = got.clone();
        expected.sort_unstable();
        sorted.sort_unstable();
        if expected != sorted {
            wrong.push(format!("{}: `{}` matches {got:?} instead of {expected:?}", action.rule, task.run));
        }
        let mut fields = subject(task);
        let container = place_ids.get(task.id.as_str()).copied();
        fields.insert("container.id", container.map_or("host", |id| &id[..12]).to_owned());
        fields.insert("container.full_id", container.unwrap_or_default().to_owned());
        fields.insert("k8s.pod.uid", container.map_or("", |_| POD).to_owned());
        let given = action.says.split("; ").filter_map(|pair| pair.split_once('='));
        fields.extend(given.map(|(field, value)| (field, value.to_owned())));
        // The process itself, or one that it made.
        let pid = done.and_then(|done| done.split(' ').next()).unwrap_or_default().to_owned();
        let differences: Vec<Vec<String>> = seen
            .iter()
            .filter(|alert| alert["rule"] == action.rule)
            .map(|alert| {
                let mut told = alert["output_fields"].clone();
                let stdin = shown(&told["proc.stdin.name"]);
                told["proc.stdin.server"] = json!(stdin.split_once("->").map(|(_, server)| server));
                let is_of_it = told["proc.vpid"] == json!(pid.parse::<i64>().ok())
                    || told["proc.pvpid"] == json!(pid.parse::<i64>().ok());
                let others = fields.iter().filter(|(field, value)| *value != "*" && shown(&told[**field]) != **value);
                let pids = (!is_of_it).then(|| format!("proc.vpid={} of {pid}", told["proc.vpid"]));
                others
                    .map(|(field, value)| format!("{field}={} not {value}", shown(&told[*field])))
                    .chain(pids)
                    .collect()
            })
            .collect();
        if let Some(nearest) =
            differences.iter().min_by_key(|differences| differences.len()).filter(|nearest| !nearest.is_empty())
        {
            wrong.push(format!("{}: `{}`: {}", action.rule, task.run, nearest.join(", ")));
        }
    }
    // Losses of what others do are no harm; where something of ours is missing they say why.
    if !wrong.is_empty() {
        // Told once a second.
        std::thread::sleep(Duration::from_secs(2));
        let all = crate::alerts(&fs::read_to_string(&out).unwrap());
        let lost = all.iter().filter(|alert| alert["rule"] == "Falco internal: syscall event drop");
        wrong.extend(lost.map(|lost| format!("events were lost: {lost}")));
    }
    Some(wrong)
}

#[test]
fn every_rule_sees_its_action_and_no_neighbour() {
    let folder = tempfile::tempdir().unwrap();
    let further = folder.path().join("further.yaml");
    fs::write(&further, FURTHER).unwrap();
    let mut actions: Vec<&Action> = table::FURTHER.iter().collect();
    let mut rules = vec![(further, names("further.yaml", FURTHER))];
    if let Some(corpus) = Corpus::open("falco-actions", "falco/rules") {
        let (mut untold, mut alone) = (BTreeSet::new(), BTreeSet::new());
        for file in ["falco_rules.yaml", "falco-incubating_rules.yaml"] {
            let file = corpus.folder().join(file);
            let names = names("upstream", &fs::read_to_string(&file).unwrap());
            untold.extend(names.iter().cloned());
            alone.extend(names.iter().cloned());
            rules.push((file, names));
        }
        for name in table::UPSTREAM.iter().map(|action| action.rule).chain(table::NEVER.iter().map(|(rule, _)| *rule)) {
            untold.remove(name);
        }
        let with_neighbour = table::UPSTREAM.iter().filter(|action| !action.neighbour.is_empty());
        for name in with_neighbour.map(|action| action.rule).chain(table::NEVER.iter().map(|(rule, _)| *rule)) {
            alone.remove(name);
        }
        assert!(untold.is_empty(), "rules that are neither tested nor listed: {untold:?}");
        assert!(alone.is_empty(), "rules without a neighbour that they must not match: {alone:?}");
        actions.extend(table::UPSTREAM);
    }
    let Some(wrong) = judge(&actions, &rules, folder.path()) else { return };
    assert!(
        wrong.is_empty(),
        "{} of {} actions and their neighbours:\n{}",
        wrong.len(),
        actions.len(),
        wrong.join("\n")
    );
}
