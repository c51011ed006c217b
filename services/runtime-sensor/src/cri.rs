//! What the node's container runtime says of containers, asked over its CRI socket without holding up events.
//!
//! ```text
//! event thread --look_up(id)--> known? --no--> queue --> worker: ContainerStatus, PodSandboxStatus, ImageStatus
//!      ^                                                   |
//!      '--- the container's events wait a moment <--- known, bounded, oldest forgotten first and counted
//! ```

mod client;
mod facts;
mod messages;

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::ContainerId;
use service::prometheus_client::metrics::counter::Counter;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use client::Client;
pub(crate) use facts::ContainerFacts;

/// What is known of containers. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Containers {
    shared: Arc<Shared>,
    asks: mpsc::Sender<ContainerId>,
}

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<Table>,
    is_connected: AtomicBool,
    evicted: Counter,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<ContainerId, Entry>,
    /// In the order in which they came.
    order: VecDeque<ContainerId>,
}

#[derive(Clone, Debug)]
enum Entry {
    Asked,
    Known(Arc<ContainerFacts>),
    /// The runtime does not know it.
    Foreign,
}

/// What is known of one container.
#[derive(Clone, Debug)]
pub(crate) enum Lookup {
    /// All.
    Known(Arc<ContainerFacts>),
    /// The runtime was asked and has not answered yet.
    Asked,
    /// Nothing, and nothing will come soon.
    Unknown,
}

impl Containers {
    /// Follows the first of the sockets that answers, for as long as `shutdown` is not cancelled; none needs to be there yet.
    pub(crate) fn follow(
        sockets: Vec<PathBuf>,
        evicted: Counter,
        runtime: &tokio::runtime::Handle,
        shutdown: CancellationToken,
    ) -> Self {
        let (asks, asked) = mpsc::channel(MAX_ASKS);
        let shared = Arc::new(Shared { evicted, ..Shared::default() });
        let worker = Worker { shared: shared.clone(), sockets };
        runtime.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = worker.run(asked) => {}
            }
        });
        Self { shared, asks }
    }

    /// Waits until the runtime has told of the containers that run already, but not longer than `most`. Without a socket there is
    /// nothing to wait for.
    pub(crate) fn await_first(&self, sockets: &[PathBuf], most: Duration) {
        let until = std::time::Instant::now() + most;
        let is_there = sockets.iter().any(|socket| socket.exists());
        while is_there && !self.shared.is_connected.load(Ordering::Acquire) && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What is known of a container; asks for it when nothing is.
    pub(crate) fn look_up(&self, id: &ContainerId) -> Lookup {
        let mut table = self.shared.table.lock().unwrap_or_else(PoisonError::into_inner);
        match table.entries.get(id) {
            Some(Entry::Known(facts)) => return Lookup::Known(facts.clone()),
            Some(Entry::Asked) => return Lookup::Asked,
            Some(Entry::Foreign) => return Lookup::Unknown,
            None => {}
        }
        if !self.shared.is_connected.load(Ordering::Acquire) || self.asks.try_send(id.clone()).is_err() {
            return Lookup::Unknown;
        }
        self.shared.put(&mut table, id, Entry::Asked);
        Lookup::Asked
    }
}

impl Shared {
    fn learn(&self, id: &ContainerId, entry: Entry) {
        self.put(&mut self.table.lock().unwrap_or_else(PoisonError::into_inner), id, entry);
    }

    fn put(&self, table: &mut Table, id: &ContainerId, entry: Entry) {
        if table.entries.insert(id.clone(), entry).is_some() {
            return;
        }
        table.order.push_back(id.clone());
        if table.order.len() > MAX_CONTAINERS
            && let Some(oldest) = table.order.pop_front()
        {
            table.entries.remove(&oldest);
            self.evicted.inc();
        }
    }

    /// Forgets what was asked for and what was not known: after the connection was lost both are open again.
    fn reopen(&self) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let Table { entries, order } = &mut *table;
        entries.retain(|_, entry| matches!(entry, Entry::Known(_)));
        order.retain(|id| entries.contains_key(id));
    }
}

struct Worker {
    shared: Arc<Shared>,
    sockets: Vec<PathBuf>,
}

impl Worker {
    async fn run(self, mut asked: mpsc::Receiver<ContainerId>) {
        let mut told = false;
        loop {
            match self.connect().await {
                Ok(client) => {
                    told = false;
                    self.serve(&client, &mut asked).await;
                    self.shared.is_connected.store(false, Ordering::Release);
                    self.shared.reopen();
                    tracing::warn!("the container runtime is away: containers are known by their ids until it is back");
                }
                Err(why) if !told => {
                    told = true;
                    tracing::info!(why, "no container runtime: containers are known by their ids");
                }
                Err(_) => {}
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn connect(&self) -> Result<Client, String> {
        let mut why = "none of the sockets is there".to_owned();
        for socket in self.sockets.iter().filter(|socket| socket.exists()) {
            match Client::connect(socket).await {
                Ok(client) => return Ok(client),
                Err(error) => why = format!("{}: {error}", socket.display()),
            }
        }
        Err(why)
    }

    /// Answers until the runtime is away.
    async fn serve(&self, client: &Client, asked: &mut mpsc::Receiver<ContainerId>) {
        let Ok(running) = client.containers().await else { return };
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let (lost, mut is_lost) = mpsc::channel::<()>(1);
        let ids = running.iter().filter(|container| container.state == RUNNING);
        let ids = ids.flat_map(|container| [&container.id, &container.pod_sandbox_id]);
        let mut first = tokio::task::JoinSet::new();
        for id in ids.filter_map(|id| id.parse::<ContainerId>().ok()) {
            first.spawn(find(client.clone(), self.shared.clone(), id, room.clone()));
        }
        while first.join_next().await.is_some() {}
        self.shared.is_connected.store(true, Ordering::Release);
        loop {
            tokio::select! {
                _ = is_lost.recv() => return,
                id = asked.recv() => {
                    let Some(id) = id else { return };
                    let (client, shared, room, lost) = (client.clone(), self.shared.clone(), room.clone(), lost.clone());
                    tokio::spawn(async move {
                        if find(client, shared, id, room).await.is_err() {
                            // One word is enough.
                            let _ = lost.try_send(());
                        }
                    });
                }
            }
        }
    }
}

/// Finds out about a container and keeps it. One that the runtime does not know may be in the making: it is asked for again.
async fn find(client: Client, shared: Arc<Shared>, id: ContainerId, room: Arc<Semaphore>) -> Result<(), tonic::Status> {
    for pause in PAUSES_MS {
        let permit = room.acquire().await;
        let found = ask(&client, &id).await;
        drop(permit);
        match found {
            Ok(Some(facts)) => {
                shared.learn(&id, Entry::Known(Arc::new(facts)));
                return Ok(());
            }
            Ok(None) => tokio::time::sleep(Duration::from_millis(pause)).await,
            Err(status) => {
                shared.learn(&id, Entry::Foreign);
                return Err(status);
            }
        }
    }
    shared.learn(&id, Entry::Foreign);
    Ok(())
}

async fn ask(client: &Client, id: &ContainerId) -> Result<Option<ContainerFacts>, tonic::Status> {
    let Some(container) = client.container(id.as_str()).await? else {
        let sandbox = client.sandbox(id.as_str()).await?;
        return Ok(sandbox.and_then(|sandbox| ContainerFacts::of_sandbox(&sandbox, &client.runtime)));
    };
    let info = container.info.get("info").and_then(|info| serde_json::from_str::<serde_json::Value>(info).ok());
    let sandbox_id = info.as_ref().and_then(|info| {
        ["sandboxID", "sandboxId"].iter().find_map(|key| info.get(*key)).and_then(serde_json::Value::as_str)
    });
    let sandbox_id = match sandbox_id {
        Some(id) => Some(id.to_owned()),
        None => {
            let all = client.containers().await?;
            all.into_iter().find(|other| other.id == id.as_str()).map(|container| container.pod_sandbox_id)
        }
    };
    let sandbox = match sandbox_id {
        Some(id) => client.sandbox(&id).await?,
        None => None,
    };
    let status = container.status.clone().unwrap_or_default();
    let is_named = status.image_ref.contains('@');
    let image = if is_named { None } else { client.image(&status.image_ref).await? };
    let facts = ContainerFacts::of_container(&container, sandbox.as_ref(), image.as_ref(), &client.runtime);
    let Some(mut facts) = facts else { return Ok(None) };
    if facts.pod.identity.image_digest.is_none()
        && let Some(name) = &facts.pod.image
    {
        facts.pod.identity.image_digest = client.stored_digest(name).await.and_then(|digest| digest.parse().ok());
    }
    Ok(Some(facts))
}

/// Where runtimes have their sockets.
pub(crate) const SOCKETS: [&str; 4] = [
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/host-containerd/containerd.sock",
];

/// Between two looks for a runtime.
const AGAIN: Duration = Duration::from_secs(2);

/// How long is waited after each time that a container was not known: three seconds in all, in which it can be made.
const PAUSES_MS: [u64; 8] = [5, 10, 25, 60, 150, 350, 800, 1_600];

const AT_ONCE: usize = 8;

const MAX_ASKS: usize = 1_024;

/// Containers and sandboxes that are remembered; a node runs some hundreds.
const MAX_CONTAINERS: usize = 8_192;

/// `ContainerState`
const RUNNING: i32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_bounded_and_counts_what_it_forgets() {
        let shared = Shared::default();
        let id = |number: usize| format!("{number:064x}").parse::<ContainerId>().unwrap();
        for number in 0..MAX_CONTAINERS + 5 {
            shared.learn(&id(number), Entry::Foreign);
            shared.learn(&id(number), Entry::Known(Arc::default()));
        }
        let table = shared.table.lock().unwrap();
        assert_eq!((table.entries.len(), table.order.len(), shared.evicted.get()), (MAX_CONTAINERS, MAX_CONTAINERS, 5));
        assert!(!table.entries.contains_key(&id(4)) && table.entries.contains_key(&id(5)));
    }
}
