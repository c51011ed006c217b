//! Reads one stream in a task of its own, so that reading and decoding overlap with correlating and a wait is never cut short.

use std::time::Duration;

use bus::{Bus, From, Stored};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Batches of one stream, in order, each message turned into `T` by the reading task.
#[derive(Debug)]
pub(crate) struct Reader<T> {
    batches: mpsc::Receiver<Batch<T>>,
    task: JoinHandle<()>,
}

/// Messages in order. An empty batch says that there is nothing more for the moment.
#[derive(Debug)]
pub(crate) struct Batch<T> {
    pub(crate) messages: Vec<T>,
    /// Messages that the server still had behind the last of these.
    pub(crate) pending: u64,
}

impl<T: Send + 'static> Reader<T> {
    /// Reads `stream` from `from` on, ahead by at most [`AHEAD`] batches.
    pub(crate) fn start(
        bus: &Bus,
        stream: &'static str,
        from: From,
        read: impl Fn(Stored) -> T + Send + 'static,
    ) -> Self {
        let mut cursor = bus.cursor(stream, from, Vec::new());
        let (to, batches) = mpsc::channel(AHEAD);
        let task = tokio::spawn(async move {
            loop {
                let stored = cursor.next_batch(MOST, IDLE).await;
                let pending = stored.last().map_or(0, |message| message.pending);
                let messages = stored.into_iter().map(&read).collect();
                if to.send(Batch { messages, pending }).await.is_err() {
                    return;
                }
            }
        });
        Self { batches, task }
    }

    /// The next batch. Never ends: a reader that is gone reads nothing more.
    pub(crate) async fn next(&mut self) -> Batch<T> {
        match self.batches.recv().await {
            Some(batch) => batch,
            None => std::future::pending().await,
        }
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const AHEAD: usize = 8;
const MOST: usize = 1_000;
const IDLE: Duration = Duration::from_millis(200);
