//! What a service is started with.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use bus::{Bus, Publisher};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::faults::Faults;
use crate::metrics::Metrics;
use crate::readiness::Readiness;

/// Handed to a service's `start`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    /// Cancelled when the service must end: stop taking work, finish what is in hand.
    pub shutdown: CancellationToken,
    /// What must work before the service is ready.
    pub readiness: Readiness,
    /// Metrics.
    pub metrics: Metrics,
    /// Input that was set aside.
    pub faults: Faults,
    /// Who speaks on the bus.
    pub origin: bus::Origin,
    pub(crate) bus_config: bus::Config,
    pub(crate) tasks: TaskTracker,
    pub(crate) failures: mpsc::Sender<anyhow::Error>,
    pub(crate) last: Arc<Mutex<Last>>,
}

/// What is closed last, in this order.
#[derive(Debug, Default)]
pub(crate) struct Last {
    pub(crate) publishers: Vec<Publisher>,
    pub(crate) buses: Vec<Bus>,
}

impl Context {
    /// Connects to the bus, creates the streams, and holds readiness back until both worked.
    ///
    /// # Errors
    /// When the bus cannot be used as configured.
    pub async fn connect_bus(&self) -> anyhow::Result<Bus> {
        let ready = self.readiness.part("nats");
        ready.waiting("connecting");
        let connected = tokio::select! {
            () = self.shutdown.cancelled() => anyhow::bail!("ended before nats was reached"),
            connected = Bus::connect(&self.bus_config, self.origin.clone()) => connected,
        };
        let bus = connected.context("cannot use the bus")?;
        ready.waiting("creating streams");
        bus.ensure_streams().await.context("cannot prepare the streams")?;
        ready.ready();
        self.watch_connection(bus.clone(), ready);
        self.last.lock().unwrap_or_else(PoisonError::into_inner).buses.push(bus.clone());
        Ok(bus)
    }

    /// Starts the publisher of this service; it is flushed when the service ends.
    ///
    /// # Errors
    /// When its spool cannot be used.
    pub fn publisher(&self, bus: &Bus) -> anyhow::Result<Publisher> {
        let publisher = bus.publisher().context("cannot publish")?;
        self.metrics.register_publisher(&publisher);
        self.last.lock().unwrap_or_else(PoisonError::into_inner).publishers.push(publisher.clone());
        Ok(publisher)
    }

    /// Runs a task without which the service makes no sense: when it ends before the shutdown, the service ends with an error.
    pub fn spawn_vital<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let (shutdown, failures) = (self.shutdown.clone(), self.failures.clone());
        // A task of its own inside, so that a panic becomes a failure and not a silent end.
        self.tasks.spawn(async move {
            let ended = tokio::spawn(task).await;
            let failure = match ended {
                Ok(Ok(())) if shutdown.is_cancelled() => return,
                Ok(Ok(())) => anyhow::anyhow!("`{name}` ended too early"),
                Ok(Err(error)) => error.context(format!("`{name}` failed")),
                Err(error) => anyhow::anyhow!("`{name}` panicked: {error}"),
            };
            // A full channel already holds a failure, and one is enough to end the service.
            let _ = failures.try_send(failure);
        });
    }

    /// Runs a task that is waited for when the service ends, but may end before.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(task);
    }

    fn watch_connection(&self, bus: Bus, ready: crate::readiness::ReadyHandle) {
        let shutdown = self.shutdown.clone();
        self.tasks.spawn(async move {
            let mut tick = tokio::time::interval(std::time::Duration::from_millis(500));
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    _ = tick.tick() => {}
                }
                if bus.is_connected() { ready.ready() } else { ready.waiting("connection lost, reconnecting") }
            }
        });
    }
}
