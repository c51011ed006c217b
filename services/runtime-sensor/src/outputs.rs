//! Where alerts go beside the bus.
//!
//! ```text
//! event thread --Notice--> bounded queue of each channel --> its thread: stdout, file, program, syslog, HTTP, NATS
//! ```
//!
//! The event thread never waits for a channel: what a queue cannot take is dropped and counted.

mod http;
mod local;
mod nats;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use runtime_rules::{Alert, Priority};
use service::prometheus_client::metrics::counter::Counter;
use tokio_util::sync::CancellationToken;

use crate::config::Alerts;

/// An alert on its way to the channels.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) alert: Alert,
    /// As the settings want it written.
    pub(crate) line: String,
}

impl Notice {
    fn priority(&self) -> Priority {
        self.alert.priority
    }
}

/// One way out.
trait Channel: Send {
    /// Writes an alert.
    fn write(&mut self, notice: &Notice) -> anyhow::Result<()>;

    /// Writes what it held back.
    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

/// All channels that the settings ask for. Dropping them writes what waits, for no longer than the settings allow.
#[derive(Debug)]
pub(crate) struct Channels {
    channels: Vec<Sending>,
    json: bool,
    dropped: Counter,
    timeout: Duration,
}

#[derive(Debug)]
struct Sending {
    name: &'static str,
    queue: Option<SyncSender<Arc<Notice>>>,
    ended: Receiver<()>,
    has_dropped: std::cell::Cell<bool>,
}

/// What channels need beside the settings.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    /// Runs what is asynchronous.
    pub(crate) runtime: tokio::runtime::Handle,
    /// The connection to the bus, where there is one.
    pub(crate) bus: Option<bus::Bus>,
    /// Counts alerts for which a queue had no room.
    pub(crate) dropped: Counter,
    /// Cancelled when nobody reads standard output any more.
    pub(crate) reader_gone: CancellationToken,
}

impl Channels {
    /// Opens the channels.
    ///
    /// # Errors
    /// Names the channel that cannot be used.
    pub(crate) fn open(alerts: &Alerts, surroundings: &Surroundings) -> anyhow::Result<Self> {
        let mut channels = Vec::new();
        let mut add = |name, channel: Box<dyn Channel>| -> anyhow::Result<()> {
            channels.push(Sending::start(name, channel, alerts)?);
            Ok(())
        };
        if alerts.stdout_output.enabled {
            add(
                "stdout_output",
                Box::new(local::Printed::new(alerts.buffered_outputs, surroundings.reader_gone.clone())),
            )?;
        }
        if alerts.file_output.enabled {
            add("file_output", Box::new(local::Appended::open(&alerts.file_output, alerts.buffered_outputs)?))?;
        }
        if alerts.program_output.enabled {
            add("program_output", Box::new(local::Piped::to(&alerts.program_output, alerts.buffered_outputs)))?;
        }
        if alerts.syslog_output.enabled {
            add("syslog_output", Box::new(local::Syslog::open(&alerts.syslog_output.socket)?))?;
        }
        if alerts.http_output.enabled {
            let runtime = surroundings.runtime.clone();
            add("http_output", Box::new(http::Http::open(&alerts.http_output, alerts.json_output, runtime)?))?;
        }
        if alerts.nats_output.enabled {
            let Some(bus) = surroundings.bus.clone() else {
                anyhow::bail!("alerts.nats_output sends over the sensor's connection to the bus, and here is none");
            };
            add("nats_output", Box::new(nats::Nats::over(bus, surroundings.runtime.clone(), &alerts.nats_output)))?;
        }
        Ok(Self {
            channels,
            json: alerts.json_output,
            dropped: surroundings.dropped.clone(),
            timeout: Duration::from_millis(alerts.output_timeout),
        })
    }

    /// Whether there is any.
    pub(crate) fn are_open(&self) -> bool {
        !self.channels.is_empty()
    }

    /// Hands an alert to all of them.
    pub(crate) fn send(&self, alert: Alert) {
        if self.channels.is_empty() {
            return;
        }
        let line = if self.json { alert.to_json() } else { alert.to_string() };
        let notice = Arc::new(Notice { alert, line });
        for channel in &self.channels {
            let Some(queue) = &channel.queue else { continue };
            if let Err(TrySendError::Full(_)) = queue.try_send(notice.clone()) {
                self.dropped.inc();
                if !channel.has_dropped.replace(true) {
                    tracing::error!(
                        output = channel.name,
                        "alerts come faster than they can be written: some are dropped and counted; told once"
                    );
                }
            }
        }
    }
}

impl Drop for Channels {
    fn drop(&mut self) {
        self.channels.iter_mut().for_each(|channel| drop(channel.queue.take()));
        let until = std::time::Instant::now() + self.timeout;
        for channel in &self.channels {
            let left = until.saturating_duration_since(std::time::Instant::now());
            if channel.ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                tracing::error!(output = channel.name, "alerts that still waited are given up");
            }
        }
    }
}

impl Sending {
    fn start(name: &'static str, channel: Box<dyn Channel>, alerts: &Alerts) -> anyhow::Result<Self> {
        let (queue, notices) = sync_channel(alerts.outputs_queue.capacity);
        let (done, ended) = sync_channel(1);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            work(name, channel, &notices);
            // Nobody may be waiting.
            let _ = done.try_send(());
        })?;
        Ok(Self { name, queue: Some(queue), ended, has_dropped: std::cell::Cell::new(false) })
    }
}

fn work(name: &str, mut channel: Box<dyn Channel>, notices: &Receiver<Arc<Notice>>) {
    let mut is_failing = false;
    loop {
        let done = match notices.recv_timeout(IDLE) {
            Ok(notice) => channel.write(&notice),
            Err(RecvTimeoutError::Timeout) => channel.flush(),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        match done {
            Ok(()) => is_failing = false,
            // One line for an output that is away, not one for each alert.
            Err(_) if is_failing => {}
            Err(error) => {
                is_failing = true;
                tracing::error!(output = name, error = format!("{error:#}"), "an alert could not be written");
            }
        }
    }
    if let Err(error) = channel.flush() {
        tracing::error!(output = name, error = format!("{error:#}"), "alerts could not be written");
    }
}

/// How long buffered alerts wait for more.
const IDLE: Duration = Duration::from_secs(1);
