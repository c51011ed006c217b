//! Decides what is in an image and what of it is vulnerable.
//!
//! ```text
//! ask.registry-scanner.scan  \
//! watched repositories        +-> queue (one entry for each image, the most urgent first)
//! images of pods, admission  /
//!
//! queue -> resolve -> layers (known by diff id, or read: blob -> verify -> inflate -> tar -> inventory)
//!                           -> merge -> match -> build.image.scanned, and the answer
//! registry has a newer database -> the folder of advisories
//! advisory folder changed   -> match every known image again -> build.image.findings-changed
//! ```
//!
//! [`scan_once`] does the same without a bus.

#![warn(missing_docs)]

mod advisories;
mod attestation;
mod auth;
mod basis;
mod bill;
mod config;
mod database;
mod deployed;
mod error;
mod java;
mod layer;
mod limits;
mod manifest;
mod mapped;
mod matches;
mod metrics;
mod pipeline;
mod progress;
mod queue;
mod rematch;
mod report;
mod repositories;
mod scan;
mod skip;
mod source;
mod sparse;
mod statements;
mod store;
mod tar;
mod told;
mod trivy;
mod unlayered;
mod update;
mod watch;
mod wire;

use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

pub use advisories::{Advisories, Fingerprint};
pub use attestation::{AttestationError, attached_documents, attested_image, predicate};
pub use bill::{BillForm, Wrapping, bill_form, read_bill};
pub use config::{Config, DatabaseSources, Maven, Pull, Watched};
pub use database::{DatabaseKind, UpdateError, Updated, freshness, import_database, update_database};
pub use error::ScanError;
pub use image_inventory::Hashes;
pub use limits::Limits;
pub use manifest::Platform;
pub use matches::Match;
pub use progress::Progress;
pub use rematch::{Rematched, TOLD_TOGETHER, rematch};
pub use report::{Making, Shown, document};
pub use scan::{Options, Report, scan_once};
pub use skip::{Skip, paths_below};
pub use statements::Statements;
pub use store::{KnownImage, Store};
pub use trivy::{DatabaseFileError, Metadata, TrivyDatabase};

/// Name of the service.
pub const NAME: &str = "registry-scanner";

/// Starts the service.
///
/// # Errors
/// When the store or the bus cannot be used.
pub async fn start(context: service::Context, config: Config) -> anyhow::Result<()> {
    let config = Arc::new(config);
    let store = Store::open(config.store.as_deref()).context("check `service.store`")?;
    let advisories = Arc::new(ArcSwap::from_pointee(Advisories::default()));
    let bus = context.connect_bus().await?;
    let publisher = context.publisher(&bus)?;
    let metrics = metrics::Metrics::new(&context.metrics);
    let mut watch = watch::Watch {
        config: config.clone(),
        store: store.clone(),
        advisories: advisories.clone(),
        publisher: publisher.clone(),
        metrics: metrics.clone(),
        known: Fingerprint::default(),
    };
    watch.prepare(&context).await?;
    let sources = &config.database;
    if !(sources.sources.is_empty() && sources.java_sources.is_empty()) {
        let updates = update::Updates { config: config.clone(), metrics: metrics.clone() };
        context.spawn_vital("database updates", updates.run(context.clone()));
    }
    context.spawn_vital("advisory watch", watch.run(context.clone()));
    let asked = bus.asked("scan").await.context("cannot listen for scan commands")?;
    let queue = Arc::new(queue::Queue::new(config.waiting_scans));
    follow(&context, &config, &queue, (bus, store.clone()));
    let scanner = pipeline::Scanner {
        asking: Arc::new(Semaphore::new(config.waiting_scans)),
        queue,
        config: config.clone(),
        store,
        advisories,
        publisher,
        metrics,
    };
    for _ in 0..config.parallel_scans {
        context.spawn_vital("scan worker", scanner.clone().work(context.clone()));
    }
    context.spawn_vital("scan commands", scanner.serve(asked, context.clone()));
    Ok(())
}

/// Follows what may bring new images without being asked.
fn follow(
    context: &service::Context,
    config: &Arc<Config>,
    queue: &Arc<queue::Queue>,
    (bus, store): (bus::Bus, Store),
) {
    for watched in &config.watched {
        let repositories = repositories::Repositories { config: config.clone(), queue: queue.clone() };
        context.spawn_vital("watched repository", repositories.watch(watched.clone(), context.clone()));
    }
    if config.scan_deployed {
        let deployed = deployed::Deployed { queue: queue.clone(), store, recent: Arc::default() };
        context.spawn_vital("deployed images", deployed.run(bus, context.clone()));
    }
}

/// A digest of a reference, as key of events about images whose digest is not known.
pub(crate) fn source_hash(image: &str) -> model::Digest {
    source::hash(image.as_bytes())
}
