//! The loop: what happened -> machine -> what to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bus::Publisher;
use model::Timestamp;
use secret_sync::{Event, FetchKey, FetchProblem, Machine, Output, Report, ReportKind, Settings};
use service::{Context, ReadyHandle};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Receiver, Sender};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::credentials::Vault;
use crate::holders::Holders;
use crate::home::Home;
use crate::metrics::Metrics;
use crate::provider::{Made, Provider, Providers};
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
}

impl Pipeline {
    pub(crate) fn new(
        context: &Context,
        (config, hash_key, metrics): (Config, Zeroizing<Vec<u8>>, Metrics),
        (home, publisher, beside): (Home, Publisher, Beside),
        events: Sender<Event>,
    ) -> Self {
        let credentials = Vault::new(config.credentials.clone());
        let mut home = home;
        if let Home::Cluster(cluster) = &mut home {
            cluster.lend(credentials.clone());
        }
        let timeout = Duration::from_secs(config.store_timeout_s);
        let settings = Settings {
            hash_key,
            check_interval: Duration::from_millis(config.check_interval_ms),
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
            providers: Providers::new(credentials.clone(), metrics.clone(), timeout),
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
        }
    }

    /// Runs until the service ends.
    pub(crate) async fn run(
        mut self,
        mut inbox: Receiver<Event>,
        mut commands: Receiver<Command>,
    ) -> anyhow::Result<()> {
        let mut look = tokio::time::interval(LOOK);
        let mut answers = Vec::new();
        loop {
            let wait = self.machine.poll_timeout().map_or(LOOK, |at| until(at, service::now()));
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
                () = tokio::time::sleep(wait) => self.machine.handle_timeout(service::now()),
                _ = look.tick() => self.look().await,
            }
            self.perform_all().await;
            self.finish_rotations();
            self.deliver().await;
        }
    }

    /// Tells the bus what the reconciler did.
    async fn told(&mut self, told: Told) {
        let is_good = matches!(told, Told::Written { .. });
        self.metrics.outcome(if is_good { "synced" } else { "failed" });
        if is_good {
            self.stores.ready();
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
        if let Some(resolved) = self.home.changed().await {
            self.context.faults.replace("secrets", resolved.faults);
            self.credentials.replace(resolved.credentials);
            self.providers.replace(&resolved.set.stores);
            if resolved.set.external_secrets.is_empty() {
                self.stores.ready();
            }
            let work = self.beside.work.borrow().clone();
            let beside = work.objects.keys().map(|(kind, namespace, name)| format!("{kind} {namespace}/{name}"));
            self.sweep(&resolved.set.external_secrets.keys().cloned().chain(beside).collect());
            self.machine.handle_event(Event::Manifests(resolved.set), service::now());
        }
        if let Some(faults) = self.home.pods(&mut self.holders) {
            self.context.faults.replace("pods", faults);
        }
        self.look_for_lost();
        self.metrics.states(self.machine.states());
    }

    /// At the start, removes targets whose manifest went while the broker did not run.
    fn sweep(&mut self, subjects: &BTreeSet<String>) {
        if !std::mem::replace(&mut self.is_swept, true) {
            self.home.sweep(subjects);
        }
    }

    fn look_for_lost(&mut self) {
        let is_lost = |(namespace, name): &(String, String)| !self.home.is_there(namespace, name);
        let targets = self.machine.targets().filter(|(_, place)| is_lost(place));
        let lost: Vec<String> = targets.map(|(subject, _)| subject.to_owned()).collect();
        for subject in lost {
            self.machine.handle_event(Event::TargetLost { subject }, service::now());
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
        self.context.spawn(async move {
            // The semaphore is never closed.
            let _permit = reads.acquire_owned().await;
            let outcome = match provider {
                Some(provider) => provider.read(&key).await,
                None => Err(store_is_gone(&key)),
            };
            // A pipeline that has ended needs no answer.
            let _ = events.send(Event::Read { key, outcome }).await;
        });
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
            ReportKind::Removed => "removed",
            ReportKind::Failed { .. } => "failed",
            ReportKind::Stale { .. } => "stale",
            ReportKind::Recovered => "recovered",
        };
        self.metrics.outcome(name);
        self.home.report(&report);
        match &report.kind {
            ReportKind::Failed { problem, .. } => self.log_problem(&manifest, problem),
            ReportKind::Stale { age } => {
                tracing::warn!(manifest, target, age_s = age.as_secs(), "secret is stale, its last good content stays");
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

/// How often the folders are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// First and longest wait after failures.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Answers that are taken in before the next look at what is due.
const ANSWERS_AT_ONCE: usize = 4_096;
/// Reads of stores at the same time.
const READS_AT_ONCE: usize = 32;
