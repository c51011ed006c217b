//! The loop: what happened -> machine -> what to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bus::Publisher;
use model::Timestamp;
use secret_sync::{Event, FetchKey, FetchProblem, Loss, Machine, Output, Report, ReportKind, Settings};
use service::{Context, ReadyHandle};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::Instant;
use tracing::Instrument as _;
use zeroize::Zeroizing;

use crate::cluster::{Leading, Standing};
use crate::config::Config;
use crate::credentials::Vault;
use crate::feed::{Change, Feed};
use crate::holders::Holders;
use crate::home::Home;
use crate::metrics::Metrics;
use crate::provider::{Made, Pool, Provider, Providers};
use crate::reconciler::{Delivered, Told, Work};
use crate::rotate::{Command, Rotations};
use crate::wire;

/// What the reconciler tells.
#[derive(Debug)]
pub(crate) struct Beside {
    /// Its targets with their sources.
    pub(crate) delivered: Delivered,
    /// What is worth an event.
    pub(crate) tales: Receiver<Told>,
    /// What it looks after.
    pub(crate) work: tokio::sync::watch::Receiver<Arc<Work>>,
    /// Paths that vaults tell to have changed.
    pub(crate) changes: Receiver<Change>,
    /// Whether this broker leads.
    pub(crate) leading: Leading,
    /// Which vaults tell.
    pub(crate) feed: Feed,
    /// Logins at vaults.
    pub(crate) pool: Pool,
}

/// When time passes for the machine. To ask it costs a look at everything, so an answer is believed for some milliseconds.
#[derive(Debug)]
struct Timer {
    wake: Instant,
    asked: Instant,
    /// Whether nothing happened since it was asked.
    is_known: bool,
}

/// Everything that the loop needs.
#[derive(Debug)]
pub(crate) struct Pipeline {
    context: Context,
    machine: Machine,
    home: Home,
    holders: Holders,
    providers: Providers,
    credentials: Vault,
    publisher: Publisher,
    metrics: Metrics,
    events: Sender<Event>,
    reads: Arc<Semaphore>,
    rotations: Rotations,
    stores: ReadyHandle,
    /// Problems that were logged, with the manifests that have them: one line for all.
    problems: BTreeMap<String, BTreeSet<String>>,
    is_swept: bool,
    beside: Beside,
    /// Keys by mount and path, for what vaults tell.
    places: BTreeMap<(String, String), Vec<FetchKey>>,
    telling: BTreeSet<String>,
    /// When each vault is next asked something, to hear whether it tells of it.
    knocks: BTreeMap<String, Instant>,
    /// Whether who holds what may have changed.
    is_delivery_due: bool,
    timer: Timer,
    /// When the manifests are looked at again: what takes long is done more rarely.
    manifests_at: Instant,
}

impl Pipeline {
    pub(crate) fn new(
        context: &Context,
        (config, hash_key, metrics): (Config, Zeroizing<Vec<u8>>, Metrics),
        (home, publisher, beside): (Home, Publisher, Beside),
        events: Sender<Event>,
    ) -> Self {
        let credentials = beside.pool.credentials().clone();
        let mut home = home;
        if let Home::Cluster(cluster) = &mut home {
            cluster.lend(credentials.clone());
        }
        let settings = Settings {
            hash_key,
            check_interval: Duration::from_millis(config.check_interval_ms),
            followed_interval: Duration::from_secs(config.followed_interval_s),
            stale_after: Duration::from_secs(config.stale_after_s),
            back_off: BACK_OFF,
            render: crate::template::render,
            transform: crate::template::transform,
        };
        let stores = context.readiness.part("stores");
        stores.waiting("no store has answered yet");
        Self {
            context: context.clone(),
            machine: Machine::new(settings),
            home,
            holders: Holders::default(),
            providers: Providers::new(beside.pool.clone()),
            credentials,
            publisher,
            metrics,
            events,
            reads: Arc::new(Semaphore::new(READS_AT_ONCE)),
            rotations: Rotations::new(),
            stores,
            problems: BTreeMap::new(),
            is_swept: false,
            beside,
            places: BTreeMap::new(),
            telling: BTreeSet::new(),
            knocks: BTreeMap::new(),
            is_delivery_due: false,
            timer: Timer { wake: Instant::now(), asked: Instant::now(), is_known: false },
            manifests_at: Instant::now(),
        }
    }

    /// Runs until the service ends.
    pub(crate) async fn run(
        mut self,
        mut inbox: Receiver<Event>,
        mut commands: Receiver<Command>,
    ) -> anyhow::Result<()> {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut answers, mut told) = (Vec::new(), Vec::new());
        loop {
            let is_leading = *self.beside.leading.borrow();
            if !is_leading && !self.wait_to_lead().await {
                return Ok(());
            }
            let timer = self.next_timer();
            tokio::select! {
                () = self.context.shutdown.cancelled() => return Ok(()),
                count = inbox.recv_many(&mut answers, ANSWERS_AT_ONCE) => {
                    if count == 0 {
                        return Ok(());
                    }
                    answers.drain(..).for_each(|event| self.answered(event));
                }
                Some(told) = self.beside.tales.recv() => self.told(told).await,
                Some(command) = commands.recv() => self.rotations.begin(&self.context, command, &self.providers),
                Some((command, made)) = self.rotations.next() => self.made(command, made).await,
                1.. = self.beside.changes.recv_many(&mut told, ANSWERS_AT_ONCE) => self.changed(&mut told),
                () = tokio::time::sleep_until(timer) => {
                    if self.timer.wake <= Instant::now() {
                        self.machine.handle_timeout(service::now());
                    }
                }
                _ = look.tick() => self.look().await,
            }
            self.timer.is_known = false;
            self.perform_all().await;
            self.finish_rotations();
            if std::mem::take(&mut self.is_delivery_due) {
                self.deliver().await;
            }
        }
    }

    /// Waits until this broker leads; `false` when the service ends before that.
    async fn wait_to_lead(&mut self) -> bool {
        let shutdown = self.context.shutdown.clone();
        let leads = self.beside.leading.wait_for(|is_leading| *is_leading);
        let mut leads = std::pin::pin!(leads);
        tokio::select! {
            () = shutdown.cancelled() => return false,
            led = &mut leads => return led.is_ok(),
            () = tokio::time::sleep(PATIENCE) => {}
        }
        tracing::info!("waiting for the lease: another broker leads");
        // What waits is as good as what works: a rollout must not wait for it.
        self.stores.ready();
        tokio::select! {
            () = shutdown.cancelled() => false,
            led = leads => led.is_ok(),
        }
    }

    /// When to look at the machine's time again.
    fn next_timer(&mut self) -> Instant {
        let now = Instant::now();
        let again = self.timer.asked + TIMER_AGAIN;
        if !self.timer.is_known && again <= now {
            let wait = self.machine.poll_timeout().map_or(LOOK, |at| until(at, service::now()));
            self.timer = Timer { wake: now + wait, asked: now, is_known: true };
        }
        if self.timer.is_known { self.timer.wake } else { self.timer.wake.min(again) }
    }

    /// Vaults tell that paths changed.
    fn changed(&mut self, told: &mut Vec<Change>) {
        let now = service::now();
        for change in told.drain(..) {
            let keys = change.paths.into_iter().filter_map(|path| self.places.get(&(change.mount.clone(), path)));
            for key in keys.flatten() {
                let (store, path) = (key.store.clone(), key.path.clone());
                self.machine.handle_event(Event::Changed { store, path }, now);
            }
        }
    }

    /// Notes where each key lies at its vault.
    fn chart(&mut self) {
        self.places.clear();
        for key in self.machine.sources() {
            if let Some(place) = self.providers.place(key) {
                self.places.entry(place).or_default().push(key.clone());
            }
        }
    }

    /// Which vaults tell of changes may be others than before.
    fn look_who_tells(&mut self) {
        let telling = self.beside.feed.telling();
        for server in self.telling.difference(&telling) {
            tracing::warn!(server, "a vault does not tell of changes any more and is asked for them again");
        }
        if telling != self.telling {
            tracing::info!(servers = ?telling, "these vaults tell of changes and are asked more rarely");
            self.metrics.telling(telling.len());
            self.machine.handle_event(Event::Followed(self.providers.at(&telling)), service::now());
            self.telling = telling;
        }
    }

    /// A vault that falls silent looks like one where nothing changes: now and then it is asked something that it has to tell of, and so
    /// is one that may tell again. The more is at stake the more often, and always for a quarter of the calls that upstream makes.
    fn knock(&mut self) {
        if !self.beside.feed.is_open() {
            return;
        }
        let (now, servers) = (Instant::now(), self.providers.servers());
        self.knocks.retain(|server, _| servers.contains(server));
        for server in &servers {
            let due = self.knocks.get(server).copied();
            if due.is_some_and(|due| due > now) {
                continue;
            }
            let Some((provider, sources)) = self.providers.of_server(server, self.machine.sources()) else { continue };
            let sources = u32::try_from(sources).unwrap_or(u32::MAX).max(1);
            self.knocks.insert(server.clone(), now + (KNOCKS / sources).clamp(SHORTEST_KNOCK, LONGEST_KNOCK));
            if due.is_some() {
                self.context.spawn(async move { provider.knock().await });
            }
        }
    }

    /// Tells the bus what the reconciler did.
    async fn told(&mut self, told: Told) {
        let is_good = matches!(told, Told::Written { .. });
        self.metrics.outcome(if is_good { "synced" } else { "failed" });
        if is_good {
            self.stores.ready();
            self.is_delivery_due = true;
        }
        if let Err(error) = wire::publish_told(&self.publisher, told, service::now()).await {
            tracing::error!(%error, "event was not published");
        }
    }

    /// A new version was asked for, and is there or is not.
    async fn made(&mut self, command: Command, made: Result<Made, FetchProblem>) {
        match made {
            Ok(made) => {
                let (store, path) = self.rotations.made(command, made, (&self.machine, &self.holders));
                self.machine.handle_event(Event::Changed { store, path }, service::now());
            }
            Err(problem) => command.refuse(problem).await,
        }
    }

    /// Restarts who held the version before a rotation, now that the new one is in the targets, and answers who asked.
    fn finish_rotations(&mut self) {
        for finished in self.rotations.finished(&self.machine) {
            let restarted = self.home.restart(finished.holders);
            let (mut reply, request) = (finished.reply, finished.request);
            self.context.spawn(async move {
                reply.holders = restarted.await;
                let (keys, holders) = (reply.keys.len(), reply.holders.len());
                tracing::info!(keys, holders, version = reply.version, "secret was rotated");
                request.answer(reply).await;
            });
        }
    }

    fn answered(&mut self, event: Event) {
        if matches!(&event, Event::Checked { outcome: Ok(_), .. } | Event::Read { outcome: Ok(_), .. }) {
            self.stores.ready();
        }
        self.machine.handle_event(event, service::now());
    }

    /// Looks at the folders, and whether the targets are still there.
    async fn look(&mut self) {
        let started = Instant::now();
        let changed = if started >= self.manifests_at { self.home.changed().await } else { None };
        if let Some(resolved) = changed {
            self.context.faults.replace("secrets", resolved.faults);
            let is_other = self.credentials.replace(resolved.credentials);
            self.providers.replace(&resolved.set.stores);
            if resolved.set.external_secrets.is_empty() {
                self.stores.ready();
            }
            let work = self.beside.work.borrow().clone();
            let beside = work.objects.keys().map(|(kind, namespace, name)| format!("{kind} {namespace}/{name}"));
            self.sweep(&resolved.set.external_secrets.keys().cloned().chain(beside).collect());
            self.machine.handle_event(Event::Manifests(resolved.set), service::now());
            if is_other {
                self.machine.handle_event(Event::Credentials, service::now());
            }
            if self.beside.feed.is_open() {
                self.chart();
                let stores = self.providers.at(&self.telling);
                self.machine.handle_event(Event::Followed(stores), service::now());
            }
            self.manifests_at = started + started.elapsed().saturating_mul(REST);
        }
        self.look_who_tells();
        self.knock();
        if let Some(faults) = self.home.pods(&mut self.holders) {
            self.context.faults.replace("pods", faults);
            self.is_delivery_due = true;
        }
        // Time passes noticeably also where nothing is due for long.
        self.machine.handle_timeout(service::now());
        self.look_for_lost();
        self.metrics.states(self.machine.states());
    }

    /// At the start, removes targets whose manifest went while the broker did not run.
    fn sweep(&mut self, subjects: &BTreeSet<String>) {
        if !std::mem::replace(&mut self.is_swept, true) {
            self.home.sweep(subjects);
        }
    }

    /// Looks for targets that somebody else removed or changed.
    fn look_for_lost(&mut self) {
        let loss = |(subject, (namespace, name)): (&str, (&str, &str))| {
            let was = match self.home.standing(namespace, name) {
                Standing::AsWritten => return None,
                Standing::Touched => Loss::Changed,
                Standing::Lost => Loss::Removed,
            };
            Some((subject.to_owned(), was))
        };
        let lost: Vec<(String, Loss)> = self.machine.targets().filter_map(loss).collect();
        for (subject, was) in lost {
            self.machine.handle_event(Event::TargetLost { subject, was }, service::now());
        }
    }

    async fn perform_all(&mut self) {
        let mut checks = Vec::new();
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Check(key) => checks.push(key),
                Output::Read(key) => self.read(key),
                Output::Write(order) => {
                    if let Some((subject, outcome)) = self.home.write(order, &self.events) {
                        self.machine.handle_event(Event::Written { subject, outcome }, service::now());
                    }
                }
                Output::Remove { namespace, target } => self.home.remove(&namespace, &target),
                Output::Report(report) => self.report(report).await,
            }
        }
        if !checks.is_empty() {
            self.check(checks);
        }
    }

    /// Reads from the store; the answer comes back as an event.
    fn read(&self, key: FetchKey) {
        let (provider, events, reads) = (self.providers.find(&key.store), self.events.clone(), Arc::clone(&self.reads));
        let span = tracing::info_span!("read", store = %key.store, path = key.path);
        let read = async move {
            // The semaphore is never closed.
            let _permit = reads.acquire_owned().await;
            let outcome = match provider {
                Some(provider) => provider.read(&key).await,
                None => Err(store_is_gone(&key)),
            };
            // A pipeline that has ended needs no answer.
            let _ = events.send(Event::Read { key, outcome }).await;
        };
        self.context.spawn(read.instrument(span));
    }

    /// Asks the stores for revisions, each store once for all of its keys; the answers come back as events.
    fn check(&self, keys: Vec<FetchKey>) {
        let mut by_provider: Vec<(Arc<dyn Provider>, Vec<FetchKey>)> = Vec::new();
        let mut lost = Vec::new();
        for key in keys {
            let Some(provider) = self.providers.find(&key.store) else {
                lost.push(key);
                continue;
            };
            match by_provider.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &provider)) {
                Some((_, keys)) => keys.push(key),
                None => by_provider.push((provider, vec![key])),
            }
        }
        let events = self.events.clone();
        self.context.spawn(async move {
            for key in lost {
                let _ = events.send(Event::Checked { outcome: Err(store_is_gone(&key)), key }).await;
            }
        });
        for (provider, keys) in by_provider {
            let events = self.events.clone();
            self.context.spawn(async move {
                for (key, outcome) in provider.check_many(keys).await {
                    let _ = events.send(Event::Checked { key, outcome }).await;
                }
            });
        }
    }

    async fn report(&mut self, report: Report) {
        let (manifest, target) = (report.subject.clone(), report.external.target.name.clone());
        let name = match &report.kind {
            ReportKind::Synced { .. } => "synced",
            ReportKind::Rotated { .. } => "rotated",
            ReportKind::Restored { .. } => "restored",
            ReportKind::Removed => "removed",
            ReportKind::Failed { .. } => "failed",
            ReportKind::Stale { .. } => "stale",
            ReportKind::Recovered => "recovered",
        };
        self.metrics.outcome(name);
        self.is_delivery_due = true;
        self.home.report(&report);
        match &report.kind {
            ReportKind::Failed { problem, .. } => self.log_problem(&manifest, problem),
            ReportKind::Stale { age } => {
                tracing::warn!(manifest, target, age_s = age.as_secs(), "secret is stale, its last good content stays");
            }
            ReportKind::Restored { was, .. } => {
                self.forget_problem(&manifest);
                tracing::warn!(
                    manifest,
                    target,
                    ?was,
                    "somebody else changed or removed the secret, it was written again"
                );
            }
            ReportKind::Synced { .. } | ReportKind::Rotated { .. } | ReportKind::Removed | ReportKind::Recovered => {
                self.forget_problem(&manifest);
                tracing::info!(manifest, target, outcome = name, "secret is in sync");
            }
        }
        if let Err(error) = wire::publish(&self.publisher, report, service::now()).await {
            tracing::error!(%error, manifest, "event was not published");
        }
    }

    /// Logs a problem once, however many manifests have it.
    fn log_problem(&mut self, manifest: &str, problem: &FetchProblem) {
        if !self.problems.contains_key(&problem.what) {
            tracing::error!(
                manifest,
                reason = problem.what,
                remedy = problem.remedy,
                "secret was not synced, its last good content stays"
            );
        }
        self.forget_problem(manifest);
        self.problems.entry(problem.what.clone()).or_default().insert(manifest.to_owned());
    }

    fn forget_problem(&mut self, manifest: &str) {
        self.problems.retain(|_, manifests| {
            manifests.remove(manifest);
            !manifests.is_empty()
        });
    }

    async fn deliver(&mut self) {
        let machine = &self.machine;
        let beside = self.beside.delivered.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let sources = |namespace: &str, target: &str| {
            let known = || beside.get(&(namespace.to_owned(), target.to_owned())).cloned();
            machine.sources_of(namespace, target).or_else(known)
        };
        for (uid, identity, data) in self.holders.deliver(sources) {
            self.metrics.delivered();
            if let Err(error) = wire::publish_delivered(&self.publisher, (&uid, identity), data, service::now()).await {
                tracing::error!(%error, pod = %uid, "event was not published");
            }
        }
    }
}

fn store_is_gone(key: &FetchKey) -> FetchProblem {
    FetchProblem {
        what: format!("store `{}` is not there any more", key.store),
        remedy: "add its manifest".to_owned(),
        is_check_refused: false,
    }
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    at.since(now)
}

/// How long a vault that tells is not asked for each secret that is read there, and how long at least and at most.
const KNOCKS: Duration = Duration::from_secs(3_600);
const SHORTEST_KNOCK: Duration = Duration::from_secs(10);
const LONGEST_KNOCK: Duration = Duration::from_secs(1_800);
/// After how long a broker that does not lead counts as one that waits.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the machine's next moment is believed at most.
const TIMER_AGAIN: Duration = Duration::from_millis(20);
/// Reading manifests takes at most one part of this many.
const REST: u32 = 4;
/// How often the folders are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// First and longest wait after failures.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Answers that are taken in before the next look at what is due.
const ANSWERS_AT_ONCE: usize = 4_096;
/// Reads of stores at the same time.
const READS_AT_ONCE: usize = 32;
