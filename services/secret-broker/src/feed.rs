//! What vaults tell by themselves: entries of an audit device of kind `socket` (<https://openbao.org/docs/audit/socket/>), by which a
//! change is known at once, and without a call.
//!
//! ```text
//! vault --TCP or UDP, one JSON object a line--> Feed --path that was written--> Changes
//!                                                 \--id of a request of ours--> this server tells: it is asked only now and then
//! ```
//!
//! Whoever reaches the port can make the broker look at a path, but cannot make it look less: a server counts as one that tells only
//! when it repeats the id of a request that this process made, which nobody else knows. Values stand in entries only as keyed hashes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use service::Context;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc::Sender;

/// A path that was written at a vault: what may be its mount, and the path behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Mount without slashes at its ends.
    pub(crate) mount: String,
    /// Paths that it may mean: with and without the first part, which version 2 of the key-value store has before the path.
    pub(crate) paths: Vec<String>,
}

/// Which servers tell. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Feed(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Whether somebody listens: without that, nothing is kept.
    is_open: bool,
    /// Ids of requests that were told of lately, in the order in which they came.
    told: VecDeque<String>,
    told_set: BTreeSet<String>,
    /// Requests of ours that were not told of yet, with their server and time.
    awaited: BTreeMap<String, (String, Instant)>,
    telling: BTreeSet<String>,
}

/// The parts of an entry that matter.
#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    error: String,
    request: Request,
}

#[derive(Debug, Deserialize)]
struct Request {
    #[serde(default)]
    id: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    mount_point: String,
    #[serde(default)]
    path: String,
}

impl Feed {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens on `address`, over TCP and UDP, until the service ends; tells changes to `changes`.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub(crate) async fn listen(
        &self,
        context: &Context,
        address: &str,
        changes: Sender<Change>,
    ) -> std::io::Result<()> {
        let lines = TcpListener::bind(address).await?;
        let packets = UdpSocket::bind(lines.local_addr()?).await?;
        tracing::info!(address = %lines.local_addr()?, "listening for what vaults tell");
        self.state().is_open = true;
        let (feed, shutdown, sender) = (self.clone(), context.shutdown.clone(), changes.clone());
        context.spawn(async move {
            let mut packet = vec![0; LONGEST_PACKET];
            loop {
                let received = tokio::select! {
                    () = shutdown.cancelled() => return,
                    received = packets.recv_from(&mut packet) => received,
                };
                // A packet that cannot be received is one that was lost.
                let Ok((length, _)) = received else { continue };
                for line in packet.get(..length).unwrap_or_default().split(|byte| *byte == b'\n') {
                    feed.take(line, &sender).await;
                }
            }
        });
        let (feed, shutdown, context) = (self.clone(), context.shutdown.clone(), context.clone());
        context.clone().spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = shutdown.cancelled() => return,
                    accepted = lines.accept() => accepted,
                };
                let Ok((stream, from)) = accepted else {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                };
                tracing::info!(%from, "a vault tells of changes");
                let (feed, shutdown, changes) = (feed.clone(), shutdown.clone(), changes.clone());
                context.spawn(async move {
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        () = feed.read(stream, &changes) => {
                            // Which server it was is not known: all have to prove again that they tell.
                            tracing::warn!(%from, "a vault stopped telling of changes");
                            feed.state().telling.clear();
                        }
                    }
                });
            }
        });
        Ok(())
    }

    async fn read(&self, stream: TcpStream, changes: &Sender<Change>) {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        loop {
            line.clear();
            let mut limited = (&mut reader).take(LONGEST_LINE);
            match limited.read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) => self.take(&line, changes).await,
            }
        }
    }

    async fn take(&self, line: &[u8], changes: &Sender<Change>) {
        // What is no entry, or the rest of one that was too long, says nothing.
        let Ok(entry) = serde_json::from_slice::<Entry>(line) else { return };
        if entry.kind != "response" {
            return;
        }
        self.state().told(&entry.request.id);
        if entry.error.is_empty()
            && let Some(change) = change(&entry.request)
        {
            // A pipeline that has ended needs no news.
            let _ = changes.send(change).await;
        }
    }

    /// A request of ours was answered by `server`: sooner or later the server tells of it, if it tells.
    pub(crate) fn answered(&self, server: &str, id: &str) {
        let mut state = self.state();
        if !state.is_open {
            return;
        }
        if state.told_set.contains(id) {
            state.telling.insert(server.to_owned());
        } else if state.awaited.len() < MOST_AWAITED {
            state.awaited.insert(id.to_owned(), (server.to_owned(), Instant::now()));
        }
    }

    /// Whether somebody listens at all.
    pub(crate) fn is_open(&self) -> bool {
        self.state().is_open
    }

    /// The servers that tell; one that did not tell of a request of ours does not.
    pub(crate) fn telling(&self) -> BTreeSet<String> {
        let mut state = self.state();
        let late: Vec<String> = {
            let is_late = |(_, at): &(String, Instant)| at.elapsed() >= PATIENCE;
            let late = state.awaited.extract_if(.., |_, awaited| is_late(awaited));
            late.map(|(_, (server, _))| server).collect()
        };
        for server in late {
            state.telling.remove(&server);
        }
        state.telling.clone()
    }
}

impl State {
    fn told(&mut self, id: &str) {
        if let Some((server, _)) = self.awaited.remove(id) {
            self.telling.insert(server);
            return;
        }
        if self.told_set.insert(id.to_owned()) {
            self.told.push_back(id.to_owned());
        }
        if self.told.len() > MOST_TOLD
            && let Some(oldest) = self.told.pop_front()
        {
            self.told_set.remove(&oldest);
        }
    }
}

/// What a request changed; `None` for one that only looked.
fn change(request: &Request) -> Option<Change> {
    if !matches!(request.operation.as_str(), "create" | "update" | "patch" | "delete") {
        return None;
    }
    let path = request.path.strip_prefix(&request.mount_point).filter(|path| !path.is_empty())?;
    let behind = path.split_once('/').filter(|(first, _)| PARTS.contains(first)).map(|(_, rest)| rest.to_owned());
    let mount = request.mount_point.trim_matches('/').to_owned();
    Some(Change { mount, paths: std::iter::once(path.to_owned()).chain(behind).collect() })
}

/// What version 2 of the key-value store has before the path of a secret.
const PARTS: [&str; 5] = ["data", "metadata", "delete", "undelete", "destroy"];
/// How long a server may take to tell of a request that it has answered.
const PATIENCE: Duration = Duration::from_secs(5);
/// Ids that are remembered: some seconds of a busy server.
const MOST_TOLD: usize = 20_000;
const MOST_AWAITED: usize = 20_000;
/// Longest entry; the rest of a longer one is no entry, and falls through.
const LONGEST_LINE: u64 = 8 << 20;
/// No packet of UDP is longer.
const LONGEST_PACKET: usize = 65_536;
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn request(operation: &str, mount: &str, path: &str) -> Request {
        Request { id: String::new(), operation: operation.into(), mount_point: mount.into(), path: path.into() }
    }

    #[test]
    fn only_what_was_written_is_a_change() {
        let paths = |operation, mount, path| change(&request(operation, mount, path)).map(|change| change.paths);
        assert_eq!(paths("create", "secret/", "secret/data/a/b").unwrap(), ["data/a/b", "a/b"]);
        assert_eq!(paths("delete", "team/kv/", "team/kv/metadata/a").unwrap(), ["metadata/a", "a"]);
        assert_eq!(paths("update", "old/", "old/a").unwrap(), ["a"]);
        assert_eq!(paths("read", "secret/", "secret/data/a"), None);
        assert_eq!(paths("update", "secret/", "sys/mounts"), None);
    }

    #[test]
    fn a_server_tells_when_it_repeats_what_only_it_knows() {
        let feed = Feed::default();
        feed.answered("a", "1");
        assert!(feed.telling().is_empty(), "nobody listens");
        feed.state().is_open = true;
        feed.state().told("2");
        assert!(feed.telling().is_empty());
        feed.answered("a", "2");
        feed.answered("b", "3");
        assert_eq!(feed.telling(), BTreeSet::from(["a".to_owned()]));
        feed.state().told("3");
        assert_eq!(feed.telling().len(), 2);
        let long_ago = Instant::now().checked_sub(PATIENCE).unwrap();
        feed.state().awaited.insert("4".to_owned(), ("a".to_owned(), long_ago));
        assert_eq!(feed.telling(), BTreeSet::from(["b".to_owned()]));
    }
}
