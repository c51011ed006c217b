//! The loop: read, correlate, commit.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bus::{Bus, From, Publisher, Stored};
use correlation::{Limits, Machine, Output, RuleSet};
use service::Context;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::Config;
use crate::metrics::Measured;
use crate::reader::{Batch as Read, Reader};
use crate::store::{Batch, Cursors, Outgoing, Saved, Store, StoreError};
use crate::view::View;
use crate::{lease, outbox, wire};

/// What the task of the pipeline is made from.
pub(crate) struct Task {
    pub(crate) context: Context,
    pub(crate) config: Config,
    pub(crate) rules: Arc<RuleSet>,
    pub(crate) bus: Bus,
    pub(crate) publisher: Publisher,
    pub(crate) view: View,
}

impl Task {
    /// Waits for the lease, then correlates until the service ends.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let ready = self.context.readiness.part("state");
        ready.waiting("waiting for the lease");
        let folder = self.config.state.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let store = Store::open(&folder)?;
            let owner = store.identity()?;
            Ok::<_, StoreError>((store, owner))
        });
        let (store, owner) = opened.await.context("opening the state panicked")??;
        let Some(lease) = lease::acquire(&self.context, &self.bus, &owner).await else { return Ok(()) };
        let (owned, is_owned) = watch::channel(true);
        self.context.spawn_vital("lease", lease::keep(self.context.clone(), (self.bus.clone(), owner), lease, owned));
        let (to_publish, inbox) = mpsc::channel(1_024);
        let (sent, was_sent) = mpsc::channel(1_024);
        let outbox = tokio::spawn(outbox::run(self.bus.clone(), self.publisher.clone(), inbox, sent));
        let mut pipeline = Pipeline::open(&self, store, to_publish).await?;
        ready.ready();
        let shutdown = self.context.shutdown.clone();
        let mut tasks = Tasks { is_owned, was_sent, outbox };
        pipeline.run(shutdown, &mut tasks).await?;
        drop(pipeline);
        tasks.outbox.await.context("the outbox panicked")?
    }
}

struct Tasks {
    is_owned: watch::Receiver<bool>,
    was_sent: mpsc::Receiver<Vec<u64>>,
    outbox: JoinHandle<anyhow::Result<()>>,
}

/// The machine with its streams and its store.
pub struct Pipeline {
    bus: Bus,
    rules: Arc<RuleSet>,
    machine: Machine,
    store: Arc<Store>,
    view: View,
    measured: Measured,
    config: Config,
    events: Reader<Decoded>,
    build: Reader<Stored>,
    cursors: Cursors,
    /// What the next commit takes along.
    next: Batch,
    next_number: u64,
    to_publish: mpsc::Sender<(u64, Outgoing)>,
    committing: Option<JoinHandle<Result<(Batch, Duration), StoreError>>>,
    committed_at: Instant,
    since_commit: usize,
    /// Whether the events stream was read to its end, so that time may move the watermark.
    at_end: bool,
    looked_at: Instant,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").field("cursors", &self.cursors).finish_non_exhaustive()
    }
}

impl Pipeline {
    async fn open(task: &Task, store: Store, to_publish: mpsc::Sender<(u64, Outgoing)>) -> anyhow::Result<Self> {
        let loaded = tokio::task::spawn_blocking(move || store.load().map(|saved| (store, saved)));
        let (store, saved) = loaded.await.context("reading the state panicked")??;
        let mut machine = Machine::new(Arc::clone(&task.rules), Limits::default());
        let cursors = saved.cursors;
        let mut pipeline = Self {
            events: events(&task.bus, &task.rules, From::Sequence(cursors.events + 1)),
            build: Reader::start(&task.bus, BUILD, From::Sequence(cursors.build + 1), |stored| stored),
            bus: task.bus.clone(),
            rules: Arc::clone(&task.rules),
            store: Arc::new(store),
            view: task.view.clone(),
            measured: Measured::new(&task.context.metrics),
            config: task.config.clone(),
            cursors,
            next: Batch { cursors, ..Batch::default() },
            next_number: saved.outgoing.last().map_or(1, |(number, _)| number + 1),
            to_publish,
            committing: None,
            committed_at: Instant::now(),
            since_commit: 0,
            at_end: false,
            looked_at: Instant::now() - LOOK_EVERY,
            machine: Machine::new(Arc::clone(&task.rules), Limits::default()),
        };
        std::mem::swap(&mut pipeline.machine, &mut machine);
        pipeline.restore(saved).await?;
        pipeline.catch_up_build().await;
        Ok(pipeline)
    }

    /// Puts the saved state back and publishes what a crash may have kept from being published.
    async fn restore(&mut self, saved: Saved) -> anyhow::Result<()> {
        for (key, error) in &saved.unreadable {
            tracing::error!(key, error, "a piece of saved state cannot be read and is left out");
        }
        let restored = self.machine.restore(saved.pieces);
        if !restored.orphaned.is_empty() {
            tracing::warn!(pieces = restored.orphaned.len(), "state of rules that changed is forgotten");
        }
        self.next.delete = restored.orphaned;
        for incident in saved.incidents {
            self.next.forget.extend(self.view.put(incident));
        }
        for id in restored.orphaned_incidents {
            if let Some(mut incident) = self.view.get(&id) {
                incident.status = schemas::incident::v1::Status::Resolved;
                incident.revision += 1;
                self.queue(Outgoing::Resolved(Box::new(incident)));
            }
        }
        for message in saved.outgoing {
            self.to_publish.send(message).await.context("the outbox ended")?;
        }
        tracing::info!(
            pieces = restored.taken,
            events = self.cursors.events,
            build = self.cursors.build,
            "state is restored"
        );
        Ok(())
    }

    /// Reads the build stream to its end before the first event, so that scans that are long done are known.
    async fn catch_up_build(&mut self) {
        let end = self.bus.stream_bounds(BUILD).await.map_or(0, |(_, last)| last);
        if end < self.cursors.build {
            self.cursors.build = 0;
            self.build = Reader::start(&self.bus, BUILD, From::Beginning, |stored| stored);
        }
        let deadline = Instant::now() + CATCH_UP;
        while self.cursors.build < end && Instant::now() < deadline {
            let batch = self.build.next().await;
            // Sequence numbers at the end may be gone already: an empty answer ends the wait too.
            if batch.messages.is_empty() && self.bus.is_connected() {
                break;
            }
            self.take_scans(batch).await;
        }
    }

    async fn run(&mut self, shutdown: tokio_util::sync::CancellationToken, tasks: &mut Tasks) -> anyhow::Result<()> {
        while !shutdown.is_cancelled() {
            if !*tasks.is_owned.borrow() {
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    changed = tasks.is_owned.wait_for(|owned| *owned) => drop(changed.context("the lease ended")?),
                }
            }
            let wait = self.wait();
            tokio::select! {
                () = shutdown.cancelled() => break,
                batch = self.events.next() => self.take_events(batch).await,
                batch = self.build.next() => self.take_scans(batch).await,
                Some(numbers) = tasks.was_sent.recv() => self.next.sent.extend(numbers),
                done = finished(&mut self.committing) => self.committed(done).await?,
                () = tokio::time::sleep(wait) => self.tick(),
                ended = &mut tasks.outbox => anyhow::bail!("the outbox ended: {ended:?}"),
            }
            self.commit_if_due();
        }
        self.finish().await
    }

    /// How long reading may wait: until the next commit or timer.
    fn wait(&self) -> Duration {
        let commit = Duration::from_millis(self.config.commit_every_ms);
        let timer = self.machine.poll_timeout().map_or(commit, |at| at.since(service::now()));
        timer.clamp(Duration::from_millis(5), commit.max(Duration::from_millis(5)))
    }

    async fn take_events(&mut self, batch: Read<Decoded>) {
        let now = service::now();
        self.since_commit += batch.messages.len();
        if batch.messages.is_empty() {
            self.look_at_stream().await;
        } else {
            self.at_end = batch.pending == 0;
            self.measured.lag(batch.pending);
        }
        for Decoded { sequence, read } in batch.messages {
            let expected = self.cursors.events + 1;
            if sequence < expected {
                continue;
            }
            if sequence > expected {
                self.missed(expected, sequence - expected);
            }
            match read {
                Ok(wire::Read::Passed(time)) => self.machine.pass(time, now),
                Ok(wire::Read::Selected(event, hits)) => self.machine.handle_selected(&event, &hits, now),
                Err(poison) => self.park(&poison.0, &poison.1).await,
            }
            self.measured.received.inc();
            self.cursors.events = sequence;
        }
        if self.at_end {
            self.machine.handle_timeout(now);
        }
        self.take_outputs();
    }

    /// Runs what is due by the clock, when the stream was read to its end.
    fn tick(&mut self) {
        if self.at_end {
            self.machine.handle_timeout(service::now());
            self.take_outputs();
        }
    }

    async fn take_scans(&mut self, batch: Read<Stored>) {
        let now = service::now();
        for message in batch.messages {
            let read = wire::read_scan(&message.payload, |digest| self.machine.scan(digest));
            match read {
                Ok(Some(facts)) => self.machine.handle_scan(facts, now),
                Ok(None) => {}
                Err(error) => self.park(&message, &error).await,
            }
            self.measured.received.inc();
            self.since_commit += 1;
            self.cursors.build = message.sequence;
        }
        self.take_outputs();
    }

    /// Sets a message aside that cannot be read; does not go on before the dead-letter stream has it.
    async fn park(&mut self, message: &Stored, error: &schemas::wire::WireError) {
        self.measured.parked.inc();
        let mut tries = 0_u32;
        while let Err(failed) =
            self.bus.park(&message.subject, error.reason(), &error.to_string(), &message.payload).await
        {
            tries += 1;
            if tries >= PARK_TRIES {
                tracing::error!(%failed, sequence = message.sequence, "a message that cannot be read could not be parked and is left in its stream");
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Whether the stream still has what comes next: it may have been made anew, or have dropped it.
    async fn look_at_stream(&mut self) {
        if self.looked_at.elapsed() < LOOK_EVERY {
            return;
        }
        self.looked_at = Instant::now();
        self.at_end = false;
        let Ok((first, last)) = self.bus.stream_bounds(EVENTS).await else { return };
        if last < self.cursors.events {
            tracing::error!(last, read = self.cursors.events, "the events stream was made anew: reading starts over");
            self.missed(self.cursors.events + 1, 0);
            self.cursors.events = 0;
            self.events = events(&self.bus, &self.rules, From::Beginning);
        } else if first > self.cursors.events + 1 && last + 1 == first {
            self.missed(self.cursors.events + 1, last - self.cursors.events);
            self.cursors.events = last;
            self.events = events(&self.bus, &self.rules, From::Sequence(last + 1));
        }
        self.at_end = last == self.cursors.events;
    }

    /// The stream no longer has `count` events that were not read. Never silent: said in the log, in a metric and as an event.
    fn missed(&mut self, from: u64, count: u64) {
        tracing::error!(from, count, "events were dropped by the stream before they were read");
        self.measured.missing.inc_by(count);
        self.queue(Outgoing::Lost { from, count });
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            let incident = Box::new(wire::incident(output.incident()));
            tracing::info!(incident = %incident.id, rule = incident.rule, severity = %incident.severity, revision = incident.revision, kind = kind(&output), "incident");
            match output {
                Output::Opened(_) => {
                    let asked = if self.config.respond { incident.responses.clone() } else { Vec::new() };
                    self.queue(Outgoing::Opened(incident.clone()));
                    asked.into_iter().for_each(|kind| self.queue(Outgoing::Response(incident.clone(), kind)));
                }
                Output::Updated(_) => self.queue(Outgoing::Updated(incident)),
                Output::Resolved(_) => self.queue(Outgoing::Resolved(incident)),
            }
        }
    }

    fn queue(&mut self, message: Outgoing) {
        self.next.outgoing.push((self.next_number, message));
        self.next_number += 1;
    }

    /// Starts a commit when none runs and one is due: at once for an incident, else after the time or the number of events.
    fn commit_if_due(&mut self) {
        let every = Duration::from_millis(self.config.commit_every_ms);
        let has_news = self.since_commit > 0 || !self.next.sent.is_empty() || !self.next.delete.is_empty();
        let is_due = !self.next.outgoing.is_empty()
            || self.since_commit >= self.config.commit_events
            || (has_news && self.committed_at.elapsed() >= every);
        if self.committing.is_some() || !is_due {
            return;
        }
        let batch = self.batch();
        let store = Arc::clone(&self.store);
        self.committing = Some(tokio::task::spawn_blocking(move || {
            let started = Instant::now();
            store.commit(&batch).map(|()| (batch, started.elapsed()))
        }));
    }

    fn batch(&mut self) -> Batch {
        let mut batch = std::mem::take(&mut self.next);
        batch.changes = self.machine.take_changes();
        batch.cursors = self.cursors;
        self.since_commit = 0;
        self.committed_at = Instant::now();
        let stats = self.machine.stats();
        let [cases, ..] = self.machine.sizes();
        self.measured.show(&stats, cases, service::now().since(self.machine.watermark()));
        batch
    }

    /// Shows and publishes what is now safe.
    async fn committed(&mut self, done: Result<(Batch, Duration), StoreError>) -> anyhow::Result<()> {
        let (batch, took) = done?;
        self.measured.committed(took);
        for (number, message) in batch.outgoing {
            if let Some(incident) = message.incident() {
                self.next.forget.extend(self.view.put(incident.clone()));
            }
            self.to_publish.send((number, message)).await.context("the outbox ended")?;
        }
        Ok(())
    }

    /// The last commit.
    async fn finish(&mut self) -> anyhow::Result<()> {
        if let Some(handle) = self.committing.take() {
            let done = handle.await.context("a commit panicked")?;
            self.committed(done).await?;
        }
        let batch = self.batch();
        self.store.commit(&batch)?;
        self.committed(Ok((batch, Duration::ZERO))).await
    }
}

/// One message of the events stream, read as far as the rules need it; the message itself when it cannot be read.
struct Decoded {
    sequence: u64,
    read: Result<wire::Read, Box<(Stored, schemas::wire::WireError)>>,
}

fn events(bus: &Bus, rules: &Arc<RuleSet>, from: From) -> Reader<Decoded> {
    let rules = Arc::clone(rules);
    Reader::start(bus, EVENTS, from, move |stored| {
        let sequence = stored.sequence;
        let read =
            wire::read(&rules, sequence, &stored.payload, &stored.subject).map_err(|error| Box::new((stored, error)));
        Decoded { sequence, read }
    })
}

/// Waits for a running commit; for ever when there is none.
async fn finished(
    committing: &mut Option<JoinHandle<Result<(Batch, Duration), StoreError>>>,
) -> Result<(Batch, Duration), StoreError> {
    let Some(handle) = committing.as_mut() else { return std::future::pending().await };
    let done = handle.await;
    *committing = None;
    done.unwrap_or_else(|error| Err(StoreError::Commit { source: Box::new(error) }))
}

fn kind(output: &Output) -> &'static str {
    match output {
        Output::Opened(_) => "opened",
        Output::Updated(_) => "updated",
        Output::Resolved(_) => "resolved",
    }
}

const EVENTS: &str = "BIOTOPE_EVENTS";
const BUILD: &str = "BIOTOPE_BUILD";
const LOOK_EVERY: Duration = Duration::from_secs(1);
const CATCH_UP: Duration = Duration::from_secs(60);
const PARK_TRIES: u32 = 120;
