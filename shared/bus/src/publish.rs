//! Publishing: typed data in, acknowledged events out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_nats::HeaderMap;
use async_nats::jetstream::context::PublishErrorKind;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use model::{EventId, Identity, Timestamp};
use schemas::run::v1::EventsLost;
use schemas::{Event, EventData, Header, Token};
use tokio::sync::{mpsc, oneshot};

use crate::connection::Bus;
use crate::queue::{Queue, Record, Ticket};
use crate::spool::Spool;
use crate::{codec, trace};

/// How much an event matters when there is not room for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// The first to go.
    Low,
    /// Most events.
    Normal,
    /// The last to go: incidents, alerts of high priority, loss reports.
    High,
}

impl Class {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Low, Self::Normal, Self::High].into_iter().find(|class| class.as_str() == text)
    }
}

/// One event to publish.
#[derive(Clone, Debug)]
pub struct Outgoing<D> {
    /// Event time.
    pub time: Timestamp,
    /// Join key, the last token of the subject.
    pub key: Token,
    /// Every identity that is known.
    pub identity: Identity,
    /// What matters more when there is not room for all.
    pub class: Class,
    /// Id; a new one when `None`. Give one to make a repeat recognisable.
    pub id: Option<EventId>,
    /// The data.
    pub data: D,
}

/// Publishes events of one service instance, in order, with an acknowledgement for each. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Publisher {
    commands: mpsc::Sender<Command>,
    bus: Bus,
    sequence: Arc<AtomicU64>,
    losses: Arc<Losses>,
}

/// Counters of a publisher.
#[derive(Debug, Default)]
pub struct Losses {
    accepted: AtomicU64,
    acknowledged: AtomicU64,
    retried: AtomicU64,
    lost: [AtomicU64; 3],
    waiting: AtomicU64,
    spool_broken: AtomicBool,
}

impl Losses {
    /// Events taken from the service.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Events that the stream has.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Attempts that were not acknowledged.
    pub fn retried(&self) -> u64 {
        self.retried.load(Ordering::Relaxed)
    }

    /// Events that wait to be sent.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether the last event could not be written to the spool: it waits in memory and would not survive this process.
    pub fn is_spool_broken(&self) -> bool {
        self.spool_broken.load(Ordering::Relaxed)
    }

    /// Events lost for want of room, by class: low, normal, high.
    pub fn lost(&self) -> [u64; 3] {
        self.lost.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    fn lose(&self, class: Class, count: u64) {
        if let Some(counter) = self.lost.get(class as usize) {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
enum Command {
    Publish(Record),
    Flush(oneshot::Sender<()>),
}

impl Bus {
    /// Starts a publisher. With a spool in the configuration, events survive a crash of this process and of the server.
    ///
    /// # Errors
    /// When the spool folder cannot be used.
    pub fn publisher(&self) -> Result<Publisher, PublishError> {
        let spool = match &self.config.spool {
            Some(spool) => {
                let cannot = |source| PublishError::Spool { folder: spool.folder.display().to_string(), source };
                Some(Spool::open(&spool.folder, spool.max_bytes, now_ms()).map_err(cannot)?)
            }
            None => None,
        };
        let (commands, inbox) = mpsc::channel(INBOX);
        let losses = Arc::new(Losses::default());
        let publisher =
            Publisher { commands, bus: self.clone(), sequence: Arc::new(AtomicU64::new(0)), losses: losses.clone() };
        let worker = Worker {
            bus: self.clone(),
            queue: Queue::new(spool),
            flying: FuturesUnordered::new(),
            losses,
            reported: [0; 3],
            resume: None,
            pause: FIRST_PAUSE,
            sequence: publisher.sequence.clone(),
            is_spool_broken: false,
        };
        tokio::spawn(worker.run(inbox));
        Ok(publisher)
    }
}

impl Publisher {
    /// Publishes, waiting for room in the inbox if there is none.
    ///
    /// # Errors
    /// When the event cannot be encoded, or the publisher has ended.
    pub async fn publish<D: EventData>(&self, outgoing: Outgoing<D>) -> Result<EventId, PublishError> {
        let (id, record) = self.record(outgoing)?;
        self.commands.send(Command::Publish(record)).await.map_err(|_| PublishError::Ended)?;
        self.losses.accepted.fetch_add(1, Ordering::Relaxed);
        Ok(id)
    }

    /// Publishes without ever waiting: for paths that somebody waits on. A full inbox is a counted loss.
    ///
    /// # Errors
    /// When the event cannot be encoded, there is no room, or the publisher has ended.
    pub fn try_publish<D: EventData>(&self, outgoing: Outgoing<D>) -> Result<EventId, PublishError> {
        let class = outgoing.class;
        let (id, record) = self.record(outgoing)?;
        match self.commands.try_send(Command::Publish(record)) {
            Ok(()) => {
                self.losses.accepted.fetch_add(1, Ordering::Relaxed);
                Ok(id)
            }
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.losses.lose(class, 1);
                Err(PublishError::Full)
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(PublishError::Ended),
        }
    }

    /// Waits until everything published so far is acknowledged, for at most `limit`. Returns whether it is.
    pub async fn flush(&self, limit: Duration) -> bool {
        let (done, flushed) = oneshot::channel();
        if self.commands.send(Command::Flush(done)).await.is_err() {
            return false;
        }
        matches!(tokio::time::timeout(limit, flushed).await, Ok(Ok(())))
    }

    /// The counters.
    #[must_use]
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    fn record<D: EventData>(&self, outgoing: Outgoing<D>) -> Result<(EventId, Record), PublishError> {
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        encode(&self.bus, sequence, outgoing)
    }
}

fn encode<D: EventData>(bus: &Bus, sequence: u64, outgoing: Outgoing<D>) -> Result<(EventId, Record), PublishError> {
    let id = outgoing.id.unwrap_or_else(|| EventId::from_uuid(uuid::Uuid::now_v7()));
    let header = Header {
        id,
        time: outgoing.time,
        source: bus.origin.source(),
        sequence,
        cluster: bus.origin.cluster.clone(),
        node: bus.origin.node.clone(),
        traceparent: trace::current(),
    };
    let event = Event::new(header, outgoing.key, outgoing.identity, outgoing.data);
    let payload = codec::encode(&event).map_err(PublishError::Encode)?;
    Ok((id, Record { class: outgoing.class, id: id.to_string(), subject: event.subject, payload }))
}

type Flight = BoxFuture<'static, (Ticket, Result<(), PublishErrorKind>)>;

struct Worker {
    bus: Bus,
    queue: Queue,
    flying: FuturesUnordered<Flight>,
    losses: Arc<Losses>,
    reported: [u64; 3],
    resume: Option<tokio::time::Instant>,
    pause: Duration,
    sequence: Arc<AtomicU64>,
    is_spool_broken: bool,
}

impl Worker {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut flushes: Vec<oneshot::Sender<()>> = Vec::new();
        let mut tick = tokio::time::interval(Duration::from_millis(250));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut open = true;
        while open || self.queue.waiting() > 0 || !self.flying.is_empty() {
            self.send().await;
            if self.queue.waiting() == 0 && self.flying.is_empty() {
                for done in flushes.drain(..) {
                    // Whoever waited may have given up.
                    let _ = done.send(());
                }
            }
            self.losses.waiting.store((self.queue.waiting() + self.flying.len()) as u64, Ordering::Relaxed);
            tokio::select! {
                Some((ticket, result)) = self.flying.next() => self.landed(ticket, result).await,
                command = inbox.recv(), if open => match command {
                    Some(Command::Publish(record)) => self.take(record),
                    Some(Command::Flush(done)) => flushes.push(done),
                    None => open = false,
                },
                _ = tick.tick() => self.sweep(),
            }
        }
    }

    fn take(&mut self, record: Record) {
        let taken = self.queue.push(record);
        for (class, count) in taken.lost {
            self.losses.lose(class, count);
        }
        self.spool_state(taken.fault);
    }

    /// Says once that the spool cannot be written, and once that it can again.
    fn spool_state(&mut self, fault: Option<std::io::Error>) {
        let was_broken = std::mem::replace(&mut self.is_spool_broken, fault.is_some());
        match fault {
            Some(error) if !was_broken => {
                tracing::error!(%error, "the spool cannot be written: events wait in memory only; free disk space");
            }
            None if was_broken => tracing::info!("the spool can be written again"),
            Some(_) | None => {}
        }
        self.losses.spool_broken.store(self.is_spool_broken, Ordering::Relaxed);
    }

    /// Fills the window. Nothing is handed to the connection while it is down: what it buffers would be out of our sight.
    async fn send(&mut self) {
        let is_paused = self.resume.is_some_and(|at| at > tokio::time::Instant::now());
        while !is_paused && self.flying.len() < WINDOW && self.bus.is_connected() {
            let Some((ticket, record)) = self.queue.pop() else { return };
            let mut headers = HeaderMap::new();
            headers.insert("Content-Type", CONTENT_TYPE);
            headers.insert("Nats-Msg-Id", record.id.as_str());
            let sent = self.bus.jetstream.publish_with_headers(record.subject, headers, record.payload.into()).await;
            self.flying.push(match sent {
                Ok(ack) => Box::pin(async move { (ticket, ack.await.map(drop).map_err(|error| error.kind())) }),
                Err(error) => Box::pin(std::future::ready((ticket, Err(error.kind())))),
            });
        }
    }

    async fn landed(&mut self, ticket: Ticket, result: Result<(), PublishErrorKind>) {
        let Err(kind) = result else {
            self.queue.acked(ticket, now_ms());
            self.losses.acknowledged.fetch_add(1, Ordering::Relaxed);
            (self.resume, self.pause) = (None, FIRST_PAUSE);
            return;
        };
        self.queue.failed(ticket);
        self.losses.retried.fetch_add(1, Ordering::Relaxed);
        if self.resume.is_none_or(|at| at <= tokio::time::Instant::now()) {
            tracing::warn!(%kind, waiting = self.queue.waiting(), "events were not acknowledged and are sent again");
            self.resume = Some(tokio::time::Instant::now() + self.pause);
            self.pause = (self.pause * 2).min(Duration::from_secs(5));
            if kind == PublishErrorKind::StreamNotFound {
                // A server that came back with an empty store.
                if let Err(error) = self.bus.ensure_streams().await {
                    tracing::error!(%error, "streams cannot be made again");
                }
            }
        }
    }

    fn sweep(&mut self) {
        if let Err(error) = self.queue.sweep(now_ms()) {
            tracing::warn!(%error, "the spool cannot be tidied");
        }
        let lost = self.losses.lost();
        if lost != self.reported {
            self.report(lost);
        }
    }

    /// Publishes what was lost since the last report.
    fn report(&mut self, lost: [u64; 3]) {
        let names = ["low", "normal", "high"];
        let news = names.iter().zip(lost.iter().zip(self.reported));
        let lost_by_class: BTreeMap<String, u64> = news
            .map(|(name, (now, before))| ((*name).to_owned(), now.saturating_sub(before)))
            .filter(|(_, n)| *n > 0)
            .collect();
        tracing::error!(lost = ?lost_by_class, "events were lost: the bus could not take them in time");
        let data = EventsLost {
            at: format!("{}-queue", self.bus.origin.service),
            lost: lost_by_class,
            kept: self.losses.acknowledged(),
            remedy: "give the spool more room (bus.spool.max_bytes) or bring nats back".to_owned(),
        };
        let name = self.bus.origin.node.as_ref().map_or(self.bus.origin.service.as_str(), |node| node.as_str());
        let outgoing = Outgoing {
            time: Timestamp::from_millis(now_ms()),
            key: Token::lossy(name),
            identity: Identity::default(),
            class: Class::High,
            id: None,
            data,
        };
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        match encode(&self.bus, sequence, outgoing) {
            Ok((_, record)) => {
                self.reported = lost;
                self.take(record);
            }
            Err(error) => tracing::error!(%error, "the loss report cannot be encoded"),
        }
    }
}

/// The id of an event that follows from another one: the same each time, so that a repeat is recognised.
#[must_use]
pub fn derived_id(from: EventId, what: &str) -> EventId {
    let source = from.as_uuid().as_bytes();
    // The first 48 bits are the time (RFC 9562, section 5.7).
    let millis = source.iter().take(6).fold(0_i64, |millis, byte| millis << 8 | i64::from(*byte));
    named_id(Timestamp::from_millis(millis), &format!("{from} {what}"))
}

/// The id of an event that several instances of a service tell: the same from each, so that it is one event.
#[must_use]
pub fn named_id(time: Timestamp, what: &str) -> EventId {
    let hash = xxhash_rust::xxh3::xxh3_128(what.as_bytes()).to_be_bytes();
    let mut random = [0; 10];
    random.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    let millis = u64::try_from(time.as_millis()).unwrap_or(0);
    EventId::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Why an event was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It has no form on the wire.
    #[error("event cannot be encoded")]
    Encode(#[source] schemas::wire::WireError),
    /// The inbox is full; the loss is counted.
    #[error("event was lost: the publisher's inbox is full")]
    Full,
    /// The publisher has ended.
    #[error("the publisher has ended")]
    Ended,
    /// The spool folder cannot be used.
    #[error("cannot use the spool folder `{folder}`")]
    Spool {
        /// The folder.
        folder: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Media type of every message.
pub(crate) const CONTENT_TYPE: &str = "application/cloudevents+msgpack";

/// Events that the inbox holds.
const INBOX: usize = 16_384;

/// Events under way at once.
const WINDOW: usize = 512;

/// Pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
