//! The commands that come in, and the scans: enter the queue, scan, publish, answer.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bus::{Asked, Publisher, Request};
use schemas::ask::{AskError, ScanRequest};
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use crate::advisories::Advisories;
use crate::config::Config;
use crate::error::ScanError;
use crate::metrics::Metrics;
use crate::queue::{Job, Priority, Queue};
use crate::scan::{Options, Report, scan_once};
use crate::store::Store;
use crate::wire;

/// Takes commands and answers them, and scans what is in the queue.
#[derive(Clone)]
pub(crate) struct Scanner {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) advisories: Arc<ArcSwap<Advisories>>,
    pub(crate) publisher: Publisher,
    pub(crate) metrics: Metrics,
    pub(crate) queue: Arc<Queue>,
    /// Commands in hand: those that join a scan wait, too.
    pub(crate) asking: Arc<Semaphore>,
}

impl Scanner {
    /// Answers commands until the shutdown; those in hand are finished.
    pub(crate) async fn serve(self, mut asked: Asked, context: service::Context) -> anyhow::Result<()> {
        loop {
            let request = tokio::select! {
                () = context.shutdown.cancelled() => {
                    self.queue.close();
                    return Ok(());
                }
                request = asked.next() => request,
            };
            let Some(request) = request else { anyhow::bail!("the subscription to scan commands ended") };
            self.metrics.received.inc();
            let Ok(place) = self.asking.clone().try_acquire_owned() else {
                request.refuse(busy(self.config.waiting_scans)).await;
                continue;
            };
            let scanner = self.clone();
            let span = request.span();
            let handling = async move {
                scanner.handle(request).await;
                drop(place);
            };
            context.spawn(handling.instrument(span));
        }
    }

    /// One command: decode, enter or join a scan, answer.
    async fn handle(&self, request: Request) {
        let wanted: ScanRequest = match request.decode() {
            Ok(wanted) => wanted,
            Err(error) => return request.refuse(malformed(&error)).await,
        };
        let job = Job { target: wanted.target, platform: wanted.platform };
        let Ok(mut outcome) = self.queue.submit(&job, Priority::Asked) else {
            return request.refuse(busy(self.config.waiting_scans)).await;
        };
        match outcome.recv().await {
            Ok(Ok(reply)) => request.answer(reply).await,
            Ok(Err(error)) => request.refuse(error).await,
            Err(_) => {
                let cut = ScanError::CutShort { image: job.target, what: "shutdown".to_owned() };
                request.refuse(wire::refusal(&cut)).await;
            }
        }
    }

    /// Scans what is in the queue until the shutdown: scan, publish, tell who waits.
    pub(crate) async fn work(self, context: service::Context) -> anyhow::Result<()> {
        loop {
            let job = tokio::select! {
                () = context.shutdown.cancelled() => return Ok(()),
                job = self.queue.next() => job,
            };
            self.metrics.waiting.set(i64::try_from(self.queue.waiting()).unwrap_or(i64::MAX));
            let scanned = self.scan(&job).await;
            self.publish(&job.target, &scanned).await;
            self.queue.finish(&job, scanned.map(|report| wire::reply(&report)).map_err(|error| wire::refusal(&error)));
        }
    }

    async fn scan(&self, wanted: &Job) -> Result<Report, ScanError> {
        let options = Options {
            platform: wanted.platform.as_deref().map(str::parse).transpose()?.unwrap_or_default(),
            pull: self.config.pull.clone(),
            limits: self.config.limits.clone(),
            store: self.store.clone(),
            advisories: self.advisories.load_full(),
            ..Options::default()
        };
        scan_once(&wanted.target, &options).await
    }

    async fn publish(&self, target: &str, scanned: &Result<Report, ScanError>) {
        let published = match scanned {
            Ok(report) => {
                self.count(report);
                tracing::info!(image = target, digest = %report.digest, packages = report.packages(),
                    findings = report.findings.len(), partial = report.partial, layers_known = report.layers_known, "image scanned");
                self.publisher.publish(wire::scanned(report, service::now())).await
            }
            Err(error) => {
                self.metrics.failed.inc();
                tracing::error!(image = target, %error, "image cannot be scanned");
                self.publisher.publish(wire::failed(target, error, service::now())).await
            }
        };
        match (published, scanned) {
            (Ok(_), Ok(report)) => self.note_told(report).await,
            (Ok(_), Err(_)) => {}
            (Err(error), _) => tracing::error!(image = target, %error, "result is not published"),
        }
    }

    /// Notes what was told when the bus has it. Who is killed before scans the image again when it is met again.
    async fn note_told(&self, report: &Report) {
        if !self.publisher.flush(TOLD_WITHIN).await {
            return;
        }
        let (store, owned) = (self.store.clone(), report.clone());
        let noted = tokio::task::spawn_blocking(move || store.note_told(&owned)).await;
        if let Ok(Err(error)) = noted {
            tracing::error!(image = report.image, %error, "what was told is not kept");
        }
    }

    fn count(&self, report: &Report) {
        let outcome = if report.partial { "partial" } else { "complete" };
        self.metrics.scanned.get_or_create(&[("outcome", outcome)]).inc();
        self.metrics.layers.get_or_create(&[("known", "yes")]).inc_by(report.layers_known as u64);
        let read = report.layers.saturating_sub(report.layers_known);
        self.metrics.layers.get_or_create(&[("known", "no")]).inc_by(read as u64);
        self.metrics.seconds.observe(report.duration.as_secs_f64());
    }
}

/// How long the bus may take to acknowledge an event. It is sent later all the same, but counts as not told.
pub(crate) const TOLD_WITHIN: Duration = Duration::from_secs(10);

fn busy(limit: usize) -> AskError {
    AskError {
        message: format!("{limit} scans wait already"),
        remedy: "ask again later, or raise `service.waiting_scans`".to_owned(),
        retryable: true,
    }
}

fn malformed(error: &dyn std::error::Error) -> AskError {
    AskError {
        message: format!("malformed command: {error}"),
        remedy: "send a ScanRequest".to_owned(),
        retryable: false,
    }
}
