//! One event after the other: decode -> tables -> rules -> say.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{ContainerId, Timestamp};
use runtime_rules::{EventType, RateLimit, RuleSet, Scratch, Verdict};
use schemas::Token;
use schemas::run::v1::{ContainerExited, ContainerStarted, EventsLost, PackageLoaded};
use service::ReadyHandle;

use crate::addresses::Addresses;
use crate::config::Config;
use crate::container::Cgroups;
use crate::cri::{Containers, Lookup};
use crate::decode::{Class, Kind, RawEvent, decode};
use crate::enrich::{Address, Enriched, Paths};
use crate::facts::{self, SocketFacts};
use crate::fields;
use crate::filter::{Filter, Questions};
use crate::held::Held;
use crate::host::Directory;
use crate::kernel::{Counts, URING_KINDS};
use crate::metrics::Metrics;
use crate::out::{Out, Said};
use crate::packages::{Packages, Told};
use crate::pods::Pods;
use crate::process::Processes;
use crate::record;
use crate::rules::{self, Rules};
use crate::sockets::Sockets;
use crate::source::Source;
use crate::streams;
use crate::syscalls::{self, Syscall};
use crate::wire;

/// The event path of one sensor.
#[derive(Debug)]
pub(crate) struct Pipeline {
    rules: Rules,
    set: Arc<RuleSet>,
    pods: Pods,
    metrics: Metrics,
    config: Config,
    processes: Processes,
    cgroups: Cgroups,
    sockets: Sockets,
    directory: Directory,
    addresses: Addresses,
    /// Whether any rule compares with names of addresses.
    has_names: bool,
    /// Whether any rule asks for standard input, output or error.
    has_streams: bool,
    hostname: String,
    boot: Timestamp,
    live: bool,
    /// The container runtime, where it is asked.
    pub(crate) containers: Option<Containers>,
    /// The files of packages with findings.
    pub(crate) packages: Packages,
    told: Told,
    held: Held,
    /// Containers whose events waited in vain, so that they wait no more.
    late: HashSet<ContainerId>,
    /// Whether `run` returns at the end of a recording.
    pub(crate) ends_with_recording: bool,
    number: u64,
    truncated: u64,
    /// First process and start of each container that was announced.
    started: HashMap<String, (u32, u64)>,
    /// When the sensor began to watch, nanoseconds since boot; 0 for recordings.
    since_ns: u64,
    limits: RateLimit,
    scratch: Scratch,
    filter: Filter,
    /// As of when the packages' files are known to the kernel's verdicts.
    packages_age: u64,
    counted: Counts,
    taken: u64,
}

impl Pipeline {
    pub(crate) fn new(rules: Rules, pods: Pods, metrics: Metrics, config: Config) -> Self {
        let limits = RateLimit::new(config.max_alerts_per_second.into(), config.max_alerts_per_second);
        Self {
            set: rules.now(),
            rules,
            pods,
            metrics,
            processes: Processes::empty(config.max_processes),
            config,
            cgroups: Cgroups::new(),
            sockets: Sockets::default(),
            directory: Directory::read(),
            addresses: Addresses::default(),
            has_names: false,
            has_streams: false,
            hostname: String::new(),
            boot: Timestamp::default(),
            live: false,
            containers: None,
            packages: Packages::default(),
            told: Told::default(),
            held: Held::default(),
            late: HashSet::new(),
            ends_with_recording: false,
            number: 0,
            truncated: 0,
            started: HashMap::new(),
            since_ns: 0,
            limits,
            scratch: Scratch::default(),
            filter: Filter::default(),
            packages_age: 0,
            counted: Counts::default(),
            taken: 0,
        }
    }

    /// Runs until the shutdown.
    pub(crate) fn run(
        mut self,
        mut source: Source,
        out: &Out,
        ready: &ReadyHandle,
        shutdown: &tokio_util::sync::CancellationToken,
    ) -> anyhow::Result<()> {
        self.live = source.is_live();
        self.directory.asks_containers(self.live);
        (self.boot, self.hostname) = (source.boot_time(), source.hostname());
        if self.live {
            let since = service::now().as_nanos().saturating_sub(self.boot.as_nanos());
            self.since_ns = u64::try_from(since).unwrap_or_default();
            self.processes = Processes::scan(self.config.max_processes);
        }
        if let Some(containers) = &self.containers {
            containers.await_first(&self.config.container_engines.cri.sockets, Duration::from_secs(2));
        }
        for feature in source.features() {
            tracing::info!(%feature, "feature");
            self.metrics.features.get_or_create(&[("name", feature.name), ("state", feature.state())]).set(1);
        }
        self.metrics.falco.started(&self.hostname);
        self.take_rules()?;
        self.forget_verdicts(&mut source)?;
        ready.ready();
        let mut looked = Instant::now();
        while !(shutdown.is_cancelled() || self.ends_with_recording && source.is_over()) {
            source.poll(4_096, |bytes| self.take(bytes, out))?;
            source.leave_out(self.filter.take())?;
            self.release(out);
            if looked.elapsed() >= Duration::from_secs(1) {
                looked = Instant::now();
                self.look_around(&mut source, out)?;
            }
        }
        let undecodable = self.metrics.undecodable.get();
        if !self.live && undecodable > 0 {
            tracing::warn!(undecodable, "parts of the recording are no events that this version can read");
        }
        self.look_around(&mut source, out)
    }

    fn take(&mut self, bytes: &[u8], out: &Out) {
        if let Some((cgroup, path)) = record::cgroup(bytes) {
            self.cgroups.learn(cgroup, &path);
            return;
        }
        if let Some(missing) = record::missing(bytes) {
            tracing::warn!(
                missing,
                "events are missing from this recording: they came faster than it could be written"
            );
            return;
        }
        let event = match decode(bytes) {
            Ok(event) => event,
            Err(error) => {
                self.metrics.undecodable.inc();
                tracing::debug!(%error, "kernel event cannot be decoded");
                return;
            }
        };
        if self.number == 0 && !self.live && self.config.replay_as_now {
            self.boot = service::now().minus(Duration::from_nanos(event.time_ns));
        }
        self.learn_cgroup(&event);
        if !self.must_wait(&event, bytes, out) {
            self.process(&event, out);
        }
    }

    /// Whether an event waits for what the runtime says of its container.
    fn must_wait(&mut self, event: &RawEvent<'_>, bytes: &[u8], out: &Out) -> bool {
        let Some(containers) = &self.containers else { return false };
        let Some(container) = self.cgroups.container(event.cgroup, event.tgid) else { return false };
        if container.facts.is_some() {
            return false;
        }
        let id = container.id.clone();
        match containers.look_up(&id) {
            Lookup::Known(facts) => {
                self.process_held(&id, out);
                if let Some(container) = self.cgroups.known(event.cgroup) {
                    container.facts = Some(facts);
                }
                false
            }
            Lookup::Asked if self.late.contains(&id) || self.held.is_full() => {
                self.process_held(&id, out);
                false
            }
            Lookup::Asked => {
                self.held.keep(&id, bytes, Instant::now());
                true
            }
            Lookup::Unknown => {
                self.process_held(&id, out);
                false
            }
        }
    }

    /// Judges events that waited, where the runtime has answered or will not in time.
    fn release(&mut self, out: &Out) {
        let Some(containers) = self.containers.clone().filter(|_| !self.held.is_empty()) else { return };
        let most = Duration::from_millis(self.config.container_engines.wait_ms);
        for (id, is_over) in self.held.waiting(most, Instant::now()) {
            let is_asked = matches!(containers.look_up(&id), Lookup::Asked);
            if is_asked && !is_over && !self.held.is_full() {
                continue;
            }
            if is_asked {
                self.metrics.facts_late.inc();
                if self.late.len() >= MAX_CONTAINERS {
                    self.late.clear();
                }
                self.late.insert(id.clone());
            }
            self.process_held(&id, out);
        }
    }

    fn process_held(&mut self, id: &ContainerId, out: &Out) {
        if !self.held.has(id) {
            return;
        }
        for bytes in self.held.release(id) {
            let Ok(event) = decode(&bytes) else { continue };
            self.attach_facts(&event);
            self.process(&event, out);
        }
    }

    fn attach_facts(&mut self, event: &RawEvent<'_>) {
        if let (Some(containers), Some(container)) = (&self.containers, self.cgroups.known(event.cgroup))
            && container.facts.is_none()
            && let Lookup::Known(facts) = containers.look_up(&container.id)
        {
            container.facts = Some(facts);
        }
    }

    /// Takes an event into the tables and judges it.
    fn process(&mut self, event: &RawEvent<'_>, out: &Out) {
        self.number = self.number.wrapping_add(1);
        self.truncated += u64::from(event.is_truncated);
        match event.kind {
            Kind::Fork => self.processes.fork(event),
            Kind::Exec => {
                self.processes.exec(event, self.live);
                if self.has_streams {
                    self.processes.begin_with(event.tgid, streams::of_program(event, &self.sockets));
                }
                if self.has_names && self.cgroups.container(event.cgroup, event.tgid).is_some() {
                    self.addresses.learn(event.environment.unwrap_or_default());
                }
                self.announce(event, out);
                self.judge(event, None, out);
            }
            Kind::Exit => {
                self.judge(event, None, out);
                self.farewell(event, out);
                self.processes.exit(event);
            }
            Kind::Syscall => self.syscall(event, out),
        }
    }

    fn learn_cgroup(&mut self, event: &RawEvent<'_>) {
        if let Some(names) = event.cgroup_path
            && !self.cgroups.knows(event.cgroup)
            && let Some(path) = facts::path(names)
        {
            self.cgroups.learn(event.cgroup, &path);
        }
    }

    fn syscall(&mut self, event: &RawEvent<'_>, out: &Out) {
        if self.filter.leaves_out(event) {
            return;
        }
        let Some(syscall) = syscalls::by_number(event.nr) else { return };
        // A program that runs was told by its own event.
        if matches!(syscall.name, "execve" | "execveat") && event.ret >= 0 {
            return;
        }
        self.processes.touch(event, self.live);
        self.judge(event, Some(syscall), out);
        match syscall.name {
            "chdir" | "fchdir" => self.processes.change_directory(event),
            "setsid" => self.processes.lead_session(event.tgid),
            "dup" | "dup2" | "dup3" if self.has_streams && (0..3).contains(&event.ret) => {
                self.processes.redirect(event.tgid, event.ret, streams::of_call(event, &self.sockets));
            }
            "io_uring_setup" if event.ret >= 0 => self.tell_of_ring(event.tgid),
            _ => {}
        }
    }

    fn tell_of_ring(&self, pid: u32) {
        if self.metrics.rings.inc() > 0 {
            return;
        }
        let process = self.processes.get(pid).map(|process| process.comm.clone()).unwrap_or_default();
        tracing::warn!(
            pid,
            %process,
            "a process uses io_uring: what it does by that makes no system calls to judge; told once"
        );
    }

    /// Judges an event by the rules and says what matched.
    fn judge(&mut self, raw: &RawEvent<'_>, call: Option<&'static Syscall>, out: &Out) {
        let event_type = match (call, raw.kind) {
            (Some(call), _) => Some(call.event_type),
            (None, Kind::Exit) => EventType::named("procexit"),
            (None, _) => EventType::named("execve"),
        };
        let Some(event_type) = event_type.filter(|event_type| self.set.wants(*event_type)) else { return };
        let name = event_type.name();
        let Some(process) = self.processes.get(raw.tgid) else { return };
        let (container, is_placed) = self.cgroups.placed(raw.cgroup, raw.tgid);
        let is_set_up = container.is_some() && process.is_set_up(raw.time_ns);
        if is_set_up || (self.config.containers_only && container.is_none()) {
            return;
        }
        let pod = container.and_then(|container| container.pod.as_ref()).and_then(|uid| self.pods.get(uid));
        let (address, socket) = (raw.address.and_then(Address::parse), raw.socket.and_then(SocketFacts::parse));
        let seen = socket.map(|socket| self.sockets.see(name, &socket, address.as_ref())).unwrap_or_default();
        let event = Enriched {
            raw,
            event_type,
            call,
            name,
            time: self.boot.plus(Duration::from_nanos(raw.time_ns)),
            process,
            processes: &self.processes,
            container,
            pod: pod.as_deref(),
            directory: &self.directory,
            addresses: &self.addresses,
            hostname: &self.hostname,
            number: self.number,
            address,
            socket,
            is_server: seen.is_server,
            is_name_changed: seen.is_name_changed,
            paths: Paths::default(),
        };
        if let Some(loaded) = loaded(&self.packages, &mut self.told, &event) {
            let identity = wire::identity(container, pod.as_deref(), raw.cgroup);
            let said = Said::Loaded(loaded);
            say(&self.metrics, out, (event.time, wire::key(container, &self.hostname), identity, said));
        }
        // Facts of a container that come later may make more of what it opens.
        let is_settled = container.is_none_or(|container| container.facts.is_some() || !self.packages.is_followed());
        let may_ask = raw.key != 0 && is_placed && is_settled;
        let mut questions = if may_ask { self.filter.questions(raw) } else { Questions::default() };
        questions.spare_folder_if(|| has_package_beside(&self.packages, &event));
        self.filter.ask(&mut questions, &self.set, &event);
        let matching = self.config.rule_matching.into();
        let mut rules = self.set.evaluate(&event, matching, &mut self.scratch);
        // A link may lead to a file that a rule is about, though the path is another.
        if rules.is_empty() && event.switch_to_real_path() {
            self.filter.ask(&mut questions, &self.set, &event);
            rules = self.set.evaluate(&event, matching, &mut self.scratch);
        }
        self.filter.conclude(questions);
        for rule in rules {
            self.metrics.matched.inc();
            self.metrics.falco.matched(rule);
            if !may_be_told(&mut self.limits, &self.metrics, &rule.name, event.time) {
                continue;
            }
            let said = Said::Matched(Box::new(out.matched(rule, &event)));
            let identity = wire::identity(container, pod.as_deref(), raw.cgroup);
            say(&self.metrics, out, (event.time, wire::key(container, &self.hostname), identity, said));
        }
    }

    /// Tells of a container whose first own program runs.
    fn announce(&mut self, raw: &RawEvent<'_>, out: &Out) {
        let Some(container) = self.cgroups.container(raw.cgroup, raw.tgid) else { return };
        let Some(process) = self.processes.get(raw.tgid) else { return };
        // Set-up of the runtime runs under the same cgroup.
        if process.is_set_up(raw.time_ns)
            || process.comm.starts_with("runc")
            || self.started.contains_key(container.id.as_str())
            || (is_in_own_namespace(raw) && process.namespace_start_ns < self.since_ns)
        {
            return;
        }
        // Whose names it has is read while somebody is there to read them from.
        self.directory.of_container(container.id.as_str(), std::iter::once(raw.tgid));
        if self.started.len() >= MAX_CONTAINERS {
            self.started.clear();
        }
        let pod = container.pod.as_ref().and_then(|uid| self.pods.get(uid));
        let identity = wire::identity(Some(container), pod.as_deref(), raw.cgroup);
        let data = ContainerStarted {
            process: wire::process(process),
            image: identity.image.clone().or_else(|| pod.as_ref()?.image.clone()).unwrap_or_default(),
            cgroup: container.cgroup.clone(),
        };
        let time = self.boot.plus(Duration::from_nanos(raw.time_ns));
        say(&self.metrics, out, (time, wire::key(Some(container), &self.hostname), identity, Said::Started(data)));
        self.started.insert(container.id.to_string(), (raw.tgid, raw.time_ns));
    }

    /// Tells of a container whose first process ended.
    fn farewell(&mut self, raw: &RawEvent<'_>, out: &Out) {
        let Some(container) = self.cgroups.container(raw.cgroup, raw.tgid) else { return };
        let since = match self.started.get(container.id.as_str()) {
            Some((pid, since)) if *pid == raw.tgid => *since,
            // It ran before the sensor did.
            None if raw.vpid == 1 && is_in_own_namespace(raw) => raw.start_ns,
            _ => return,
        };
        self.started.remove(container.id.as_str());
        self.told.forget(&container.id);
        let pod = container.pod.as_ref().and_then(|uid| self.pods.get(uid));
        let data = ContainerExited {
            status: i32::try_from(raw.ret).unwrap_or(i32::MAX),
            duration_ms: raw.time_ns.saturating_sub(since) / 1_000_000,
        };
        let identity = wire::identity(Some(container), pod.as_deref(), raw.cgroup);
        let time = self.boot.plus(Duration::from_nanos(raw.time_ns));
        say(&self.metrics, out, (time, wire::key(Some(container), &self.hostname), identity, Said::Exited(data)));
    }

    /// Once a second: changed rules, counters, losses.
    fn look_around(&mut self, source: &mut Source, out: &Out) -> anyhow::Result<()> {
        let rules = self.rules.now();
        if !Arc::ptr_eq(&rules, &self.set) {
            // The kernel sends what the new rules want before they judge, so that they miss nothing.
            self.forget_verdicts(source)?;
            source.want(&rules)?;
            self.set = rules;
            self.limits.keep(|name| self.set.rule(name).is_some());
            self.take_rules()?;
        }
        let age = self.packages.age();
        if std::mem::replace(&mut self.packages_age, age) != age {
            self.forget_verdicts(source)?;
        }
        self.metrics.processes.set(i64::try_from(self.processes.len()).unwrap_or(i64::MAX));
        self.metrics.evicted.set(i64::try_from(self.processes.evicted).unwrap_or(i64::MAX));
        self.metrics.sockets_evicted.set(i64::try_from(self.sockets.evicted).unwrap_or(i64::MAX));
        self.metrics.truncated.inc_by(std::mem::take(&mut self.truncated));
        self.metrics.received.inc_by(self.number.saturating_sub(std::mem::replace(&mut self.taken, self.number)));
        if let Some(lost) = self.count(source.counted()) {
            tracing::error!(?lost, "the kernel dropped events");
            let (time, key) = (service::now(), Token::lossy(&self.hostname));
            say(&self.metrics, out, (time, key, model::Identity::default(), Said::Lost(lost)));
        }
        Ok(())
    }

    /// What nobody wanted may be wanted from now on.
    fn forget_verdicts(&mut self, source: &mut Source) -> anyhow::Result<()> {
        self.filter.forget();
        source.forget_verdicts()
    }

    /// Carries the kernel's counters over into the metrics. Says what was lost since the last time.
    fn count(&mut self, now: Counts) -> Option<EventsLost> {
        let before = std::mem::replace(&mut self.counted, now);
        let (mut lost, mut kept) = (BTreeMap::new(), 0_u64);
        for ((class, now), before) in Class::ALL.iter().zip(now.classes).zip(before.classes) {
            let label = [("class", class.as_str())];
            let (sent, dropped) = (now.sent.saturating_sub(before.sent), now.dropped.saturating_sub(before.dropped));
            self.metrics.sent.get_or_create(&label).inc_by(sent);
            self.metrics.bytes.get_or_create(&label).inc_by(now.bytes.saturating_sub(before.bytes));
            self.metrics.dropped.get_or_create(&label).inc_by(dropped);
            self.metrics.unwanted.get_or_create(&label).inc_by(now.unwanted.saturating_sub(before.unwanted));
            kept = kept.saturating_add(sent);
            if dropped > 0 {
                lost.insert(class.as_str().to_owned(), dropped);
            }
        }
        let missed = now.missed.saturating_sub(before.missed);
        self.metrics.missed.inc_by(missed);
        self.metrics.falco.counted(kept, &lost, missed);
        self.metrics.foreign.inc_by(now.foreign.saturating_sub(before.foreign));
        for ((kind, now), before) in URING_KINDS.iter().zip(now.uring).zip(before.uring) {
            self.metrics.uring.get_or_create(&[("kind", *kind)]).inc_by(now.saturating_sub(before));
        }
        if before.foreign == 0 && now.foreign > 0 {
            tracing::warn!(
                calls = now.foreign,
                "processes make system calls by the 32-bit tables: these are counted, not judged; told once"
            );
        }
        if missed > 0 {
            lost.insert("missed".to_owned(), missed);
        }
        let remedy = "raise service.ring_bytes, or load fewer rules".to_owned();
        (!lost.is_empty()).then(|| EventsLost { at: "kernel-ring".to_owned(), lost, kept, remedy })
    }

    /// What follows from the rules in force: which names are looked up, whether environments are kept.
    fn take_rules(&mut self) -> anyhow::Result<()> {
        self.metrics.falco.reloaded(service::now(), &rules::hashes(&self.config.rules));
        let had_names = std::mem::replace(&mut self.has_names, self.addresses.want(&self.set));
        if self.live && self.has_names && !had_names {
            self.addresses.follow()?;
        }
        self.has_streams = self.set.fields().iter().any(|field| streams::is_about(field.id));
        self.processes.keeps_environment = self.set.fields().iter().any(|field| fields::needs_environment(field.id));
        Ok(())
    }
}

/// Whether a process has another number for itself than the host has for it.
fn is_in_own_namespace(raw: &RawEvent<'_>) -> bool {
    raw.vpid != raw.tgid
}

/// Whether other files beside that of an event may be told of as files of a package.
fn has_package_beside(packages: &Packages, event: &Enriched<'_>) -> bool {
    let facts = event.container.and_then(|container| container.facts.as_ref());
    let files = facts.and_then(|facts| packages.of(facts.pod.identity.image_digest.as_ref()?));
    files.is_some_and(|files| event.path().is_none_or(|path| files.has_beside(path)))
}

/// The package whose file an event is about, the first time that its container uses it. Files are those of programs that start and of
/// opens that the rules ask for.
fn loaded(packages: &Packages, told: &mut Told, event: &Enriched<'_>) -> Option<PackageLoaded> {
    let container = event.container?;
    let files = packages.of(container.facts.as_ref()?.pod.identity.image_digest.as_ref()?)?;
    let (path, by) = match event.call {
        Some(_) if event.is_open() && event.raw.ret >= 0 => (event.path()?, "open"),
        None if event.raw.kind == Kind::Exec => (event.process.program.exe_path.as_str(), "exec"),
        _ => return None,
    };
    let purl = files.owner(path).filter(|purl| told.is_new(&container.id, purl))?;
    Some(PackageLoaded { purl: purl.clone(), path: path.to_owned(), by: by.to_owned() })
}

/// Whether a match is told of, or its rule fires too often.
fn may_be_told(limits: &mut RateLimit, metrics: &Metrics, rule: &str, time: Timestamp) -> bool {
    match limits.handle(rule, u64::try_from(time.as_nanos()).unwrap_or_default()) {
        Verdict::Suppress => {
            metrics.limited.inc();
            return false;
        }
        Verdict::Send { suppressed_before: 0 } => {}
        Verdict::Send { suppressed_before } => {
            tracing::warn!(rule, suppressed_before, "the rule fires too often: alerts were left out");
        }
    }
    true
}

type Message = (Timestamp, Token, model::Identity, Said);

fn say(metrics: &Metrics, out: &Out, (time, key, identity, said): Message) {
    if let Err(error) = out.say(time, key, identity, said) {
        metrics.failed.inc();
        tracing::error!(%error, "event was not published");
    }
}

const MAX_CONTAINERS: usize = 100_000;
