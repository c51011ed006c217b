//! Reads one stream in a task of its own, so that reading and correlating overlap and a wait is never cut short.

use std::time::Duration;

use bus::{Bus, From, Stored};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Batches of one stream, in order. An empty one says that there is nothing more for the moment.
#[derive(Debug)]
pub(crate) struct Reader {
    batches: mpsc::Receiver<Vec<Stored>>,
    task: JoinHandle<()>,
}

impl Reader {
    /// Reads `stream` from `from` on, ahead by at most [`AHEAD`] batches.
    pub(crate) fn start(bus: &Bus, stream: &'static str, from: From) -> Self {
        let mut cursor = bus.cursor(stream, from, Vec::new());
        let (to, batches) = mpsc::channel(AHEAD);
        let task = tokio::spawn(async move { while to.send(cursor.next_batch(MOST, IDLE).await).await.is_ok() {} });
        Self { batches, task }
    }

    /// The next batch. Never ends: a reader that is gone reads nothing more.
    pub(crate) async fn next(&mut self) -> Vec<Stored> {
        match self.batches.recv().await {
            Some(batch) => batch,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const AHEAD: usize = 4;
const MOST: usize = 2_000;
const IDLE: Duration = Duration::from_millis(200);
