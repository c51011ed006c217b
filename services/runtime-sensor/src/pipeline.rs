//! One event after the other: decode -> tables -> rules -> say.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::Timestamp;
use runtime_rules::{EventType, Matching, RuleSet, Scratch};
use schemas::Token;
use schemas::run::v1::{ContainerExited, ContainerStarted, EventsLost};
use service::ReadyHandle;

use crate::config::Config;
use crate::container::Cgroups;
use crate::decode::{Kind, RawEvent, decode};
use crate::enrich::{Address, Enriched, paths};
use crate::host::Users;
use crate::kernel::Counted;
use crate::metrics::Metrics;
use crate::pods::Pods;
use crate::process::{Processes, text};
use crate::record;
use crate::rules::Rules;
use crate::source::Source;
use crate::syscalls;
use crate::wire::{self, Out, Said};

/// What takes the sensor's words: the bus, or standard output.
pub(crate) trait Sink {
    /// Says one thing.
    fn say(&self, time: Timestamp, key: Token, identity: model::Identity, said: Said) -> anyhow::Result<()>;
}

impl Sink for Out {
    fn say(&self, time: Timestamp, key: Token, identity: model::Identity, said: Said) -> anyhow::Result<()> {
        Ok(Out::say(self, time, key, identity, said)?)
    }
}

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
    users: Users,
    hostname: String,
    boot: Timestamp,
    live: bool,
    number: u64,
    /// First process and start of each container that was announced.
    started: HashMap<String, (u32, u64)>,
    limits: HashMap<String, (Instant, u32)>,
    scratch: Scratch,
    counted: [Counted; 4],
}

impl Pipeline {
    pub(crate) fn new(rules: Rules, pods: Pods, metrics: Metrics, config: Config) -> Self {
        Self {
            set: rules.now(),
            rules,
            pods,
            metrics,
            processes: Processes::empty(config.max_processes),
            config,
            cgroups: Cgroups::new(),
            users: Users::read(),
            hostname: String::new(),
            boot: Timestamp::default(),
            live: false,
            number: 0,
            started: HashMap::new(),
            limits: HashMap::new(),
            scratch: Scratch::default(),
            counted: [Counted::default(); 4],
        }
    }

    /// Runs until the shutdown.
    pub(crate) fn run(
        mut self,
        mut source: Source,
        sink: &dyn Sink,
        ready: &ReadyHandle,
        shutdown: &tokio_util::sync::CancellationToken,
    ) -> anyhow::Result<()> {
        self.live = source.is_live();
        (self.boot, self.hostname) = (source.boot_time(), source.hostname());
        if self.live {
            self.processes = Processes::scan(self.config.max_processes);
        }
        ready.ready();
        let mut looked = Instant::now();
        while !shutdown.is_cancelled() {
            source.poll(4_096, |bytes| self.take(bytes, sink))?;
            if looked.elapsed() >= Duration::from_secs(1) {
                looked = Instant::now();
                self.look_around(&mut source, sink)?;
            }
        }
        self.look_around(&mut source, sink)
    }

    fn take(&mut self, bytes: &[u8], sink: &dyn Sink) {
        if let Some((cgroup, path)) = record::cgroup(bytes) {
            self.cgroups.learn(cgroup, &path);
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
        self.number = self.number.wrapping_add(1);
        self.metrics.received.get_or_create(&[("kind", event.kind.as_str())]).inc();
        match event.kind {
            Kind::Fork => self.processes.fork(&event),
            Kind::Exec => {
                self.processes.exec(&event, self.live);
                self.announce(&event, sink);
                self.judge(&event, "execve", sink);
            }
            Kind::Exit => {
                self.judge(&event, "procexit", sink);
                self.farewell(&event, sink);
                self.processes.exit(&event);
            }
            Kind::Syscall => self.syscall(&event, sink),
        }
    }

    fn syscall(&mut self, event: &RawEvent<'_>, sink: &dyn Sink) {
        let Some(syscall) = syscalls::by_number(event.nr) else { return };
        // A program that runs was told by its own event.
        if matches!(syscall.name, "execve" | "execveat") && event.ret >= 0 {
            return;
        }
        self.processes.touch(event, self.live);
        self.judge(event, syscall.name, sink);
        if syscall.name == "chdir" && event.ret == 0 {
            self.processes.change_directory(event.tgid, &text(event.path0.unwrap_or_default()));
        }
    }

    /// Judges an event by the rules and says what matched.
    fn judge(&mut self, raw: &RawEvent<'_>, name: &'static str, sink: &dyn Sink) {
        let Some(event_type) = EventType::named(name).filter(|event_type| self.set.wants(*event_type)) else { return };
        let Some(process) = self.processes.get(raw.tgid) else { return };
        let container = self.cgroups.container(raw.cgroup, raw.tgid);
        let is_set_up = container.is_some() && (!process.has_executed || process.comm.starts_with("runc:["));
        if is_set_up || (self.config.containers_only && container.is_none()) {
            return;
        }
        let pod = container.and_then(|container| container.pod.as_ref()).and_then(|uid| self.pods.get(uid));
        let (path, second_path) =
            paths(raw, syscalls::by_number(raw.nr).filter(|_| raw.kind == Kind::Syscall), &self.processes);
        let event = Enriched {
            raw,
            event_type,
            name,
            time: self.boot.plus(Duration::from_nanos(raw.time_ns)),
            process,
            ancestors: self.processes.ancestors(raw.tgid),
            container,
            pod: pod.as_deref(),
            users: &self.users,
            hostname: &self.hostname,
            number: self.number,
            path,
            second_path,
            address: raw.address.and_then(Address::parse),
        };
        let matching = if self.config.match_all { Matching::All } else { Matching::First };
        for rule in self.set.evaluate(&event, matching, &mut self.scratch) {
            self.metrics.matched.inc();
            if !allows(&mut self.limits, &rule.name, self.config.max_alerts_per_second) {
                self.metrics.limited.inc();
                continue;
            }
            let said = Said::Matched(Box::new(wire::matched(rule, &event)));
            let identity = wire::identity(container, pod.as_deref(), raw.cgroup);
            say(&self.metrics, sink, (event.time, wire::key(container, &self.hostname), identity, said));
        }
    }

    /// Tells of a container whose first own program runs.
    fn announce(&mut self, raw: &RawEvent<'_>, sink: &dyn Sink) {
        let Some(container) = self.cgroups.container(raw.cgroup, raw.tgid) else { return };
        let Some(process) = self.processes.get(raw.tgid) else { return };
        // Set-up of the runtime runs under the same cgroup.
        if process.comm.starts_with("runc") || self.started.contains_key(container.id.as_str()) {
            return;
        }
        if self.started.len() >= MAX_CONTAINERS {
            self.started.clear();
        }
        let pod = container.pod.as_ref().and_then(|uid| self.pods.get(uid));
        let data = ContainerStarted {
            process: wire::process(process),
            image: pod.as_ref().and_then(|pod| pod.image.clone()).unwrap_or_default(),
            cgroup: container.cgroup.clone(),
        };
        let identity = wire::identity(Some(container), pod.as_deref(), raw.cgroup);
        let time = self.boot.plus(Duration::from_nanos(raw.time_ns));
        say(&self.metrics, sink, (time, wire::key(Some(container), &self.hostname), identity, Said::Started(data)));
        self.started.insert(container.id.to_string(), (raw.tgid, raw.time_ns));
    }

    /// Tells of a container whose first process ended.
    fn farewell(&mut self, raw: &RawEvent<'_>, sink: &dyn Sink) {
        let Some(container) = self.cgroups.container(raw.cgroup, raw.tgid) else { return };
        let Some((_, since)) = self.started.get(container.id.as_str()).filter(|(pid, _)| *pid == raw.tgid).copied()
        else {
            return;
        };
        self.started.remove(container.id.as_str());
        let pod = container.pod.as_ref().and_then(|uid| self.pods.get(uid));
        let data = ContainerExited {
            status: i32::try_from(raw.ret).unwrap_or(i32::MAX),
            duration_ms: raw.time_ns.saturating_sub(since) / 1_000_000,
        };
        let identity = wire::identity(Some(container), pod.as_deref(), raw.cgroup);
        let time = self.boot.plus(Duration::from_nanos(raw.time_ns));
        say(&self.metrics, sink, (time, wire::key(Some(container), &self.hostname), identity, Said::Exited(data)));
    }

    /// Once a second: changed rules, counters, losses.
    fn look_around(&mut self, source: &mut Source, sink: &dyn Sink) -> anyhow::Result<()> {
        let rules = self.rules.now();
        if !Arc::ptr_eq(&rules, &self.set) {
            source.want(&rules)?;
            self.set = rules;
        }
        self.limits.retain(|_, (since, _)| since.elapsed() < Duration::from_secs(2));
        self.metrics.processes.set(i64::try_from(self.processes.len()).unwrap_or(i64::MAX));
        self.metrics.evicted.set(i64::try_from(self.processes.evicted).unwrap_or(i64::MAX));
        let now = source.counted();
        let mut lost = BTreeMap::new();
        let mut kept = 0;
        for ((kind, now), before) in Kind::ALL.iter().zip(now).zip(self.counted) {
            let dropped = now.dropped.saturating_sub(before.dropped);
            kept += now.sent.saturating_sub(before.sent);
            if dropped > 0 {
                self.metrics.dropped.get_or_create(&[("kind", kind.as_str())]).inc_by(dropped);
                lost.insert(kind.as_str().to_owned(), dropped);
            }
        }
        self.counted = now;
        if !lost.is_empty() {
            tracing::error!(?lost, kept, "the kernel dropped events: the ring was full");
            let remedy = "raise service.ring_bytes, or load fewer rules".to_owned();
            let data = EventsLost { at: "kernel-ring".to_owned(), lost, kept, remedy };
            say(
                &self.metrics,
                sink,
                (service::now(), Token::lossy(&self.hostname), model::Identity::default(), Said::Lost(data)),
            );
        }
        Ok(())
    }
}

/// Whether a rule may speak once more in this second.
fn allows(limits: &mut HashMap<String, (Instant, u32)>, rule: &str, most: u32) -> bool {
    let (since, count) = limits.entry(rule.to_owned()).or_insert_with(|| (Instant::now(), 0));
    if since.elapsed() >= Duration::from_secs(1) {
        (*since, *count) = (Instant::now(), 0);
    }
    *count = count.saturating_add(1);
    *count <= most
}

type Message = (Timestamp, Token, model::Identity, Said);

fn say(metrics: &Metrics, sink: &dyn Sink, (time, key, identity, said): Message) {
    if let Err(error) = sink.say(time, key, identity, said) {
        metrics.failed.inc();
        tracing::error!(%error, "event was not published");
    }
}

const MAX_CONTAINERS: usize = 100_000;
