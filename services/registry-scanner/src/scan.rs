//! One scan: resolve the image, take the inventory of its layers, merge them, match what is there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use image_inventory::{ImageInventory, LayerInventory, merge};
use model::{Digest, Fault};
use schemas::build::v1::Finding;

use crate::advisories::Advisories;
use crate::config::Pull;
use crate::error::ScanError;
use crate::layer::{self, Layer};
use crate::limits::Limits;
use crate::manifest::Platform;
use crate::source::{Image, Source, folder};
use crate::store::{KnownImage, Store};

/// How to scan.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Platform to choose from an index. Default: Linux on the architecture of this program.
    pub platform: Platform,
    /// How images are pulled.
    pub pull: Pull,
    /// What an image may cost.
    pub limits: Limits,
    /// Where inventories are kept.
    pub store: Store,
    /// What to match with.
    pub advisories: Arc<Advisories>,
}

/// What came of a scan.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was asked for.
    pub image: String,
    /// Manifest digest of what was scanned; of a folder, the digest of its list of packages.
    pub digest: Digest,
    /// Digest of the index that it was chosen from.
    pub index_digest: Option<Digest>,
    /// Everything that is in the image.
    pub inventory: ImageInventory,
    /// Findings, worst first.
    pub findings: Vec<Finding>,
    /// Advisory database.
    pub database: String,
    /// Whether something could not be read.
    pub partial: bool,
    /// What could not be read.
    pub faults: Vec<Fault>,
    /// Layers of the image.
    pub layers: usize,
    /// Layers whose inventory was there already.
    pub layers_known: usize,
    /// How long it took.
    pub duration: Duration,
}

impl Report {
    /// Number of packages.
    #[must_use]
    pub fn packages(&self) -> u64 {
        self.inventory.all_packages().count() as u64
    }
}

/// Scans one image. Needs no bus: this is what `biotope scan` calls.
///
/// # Errors
/// When there is no image to scan. A layer that cannot be read makes the report partial instead.
pub async fn scan_once(target: &str, options: &Options) -> Result<Report, ScanError> {
    let started = Instant::now();
    let path = std::path::PathBuf::from(target);
    if folder::is_plain(&path) {
        return scan_folder(target, path, options, started).await;
    }
    let source = Arc::new(open(target, options).await?);
    let image = source.resolve(&options.platform).await?;
    let layers = inventories(&source, &image, options).await?;
    let mut inventory =
        merge(image.layers.iter().map(|layer| &layer.diff_id).zip(layers.iter().map(|one| &*one.inventory)));
    let (findings, faults) = options.advisories.findings(&inventory);
    inventory.faults.extend(faults);
    let report = Report {
        image: target.to_owned(),
        digest: image.digest,
        index_digest: image.index_digest,
        findings,
        database: options.advisories.name().to_owned(),
        partial: inventory.partial,
        faults: std::mem::take(&mut inventory.faults),
        layers: layers.len(),
        layers_known: layers.iter().filter(|layer| layer.known).count(),
        inventory,
        duration: started.elapsed(),
    };
    keep(&report, options).await?;
    Ok(report)
}

/// Scans a folder as it is: a project, or the root of a system. It has no identity, so nothing of it is kept.
async fn scan_folder(
    target: &str,
    path: std::path::PathBuf,
    options: &Options,
    started: Instant,
) -> Result<Report, ScanError> {
    let limits = options.limits.clone();
    let mut inventory = blocking(target, move || folder::read(&path, &limits)).await??;
    let (findings, faults) = options.advisories.findings(&inventory);
    inventory.faults.extend(faults);
    let listed: Vec<String> =
        inventory.all_packages().map(|one| format!("{}@{}", one.name, one.full_version())).collect();
    Ok(Report {
        image: target.to_owned(),
        digest: crate::source::hash(listed.join("\n").as_bytes()),
        index_digest: None,
        findings,
        database: options.advisories.name().to_owned(),
        partial: inventory.partial,
        faults: std::mem::take(&mut inventory.faults),
        layers: 0,
        layers_known: 0,
        inventory,
        duration: started.elapsed(),
    })
}

struct Taken {
    inventory: Arc<LayerInventory>,
    known: bool,
}

async fn open(target: &str, options: &Options) -> Result<Source, ScanError> {
    let (owned, pull, limits) = (target.to_owned(), options.pull.clone(), options.limits.clone());
    blocking(target, move || Source::of(&owned, &pull, &limits)).await?
}

/// The inventories of all layers, a few at a time, in their order. A layer that occurs twice is read once.
async fn inventories(source: &Arc<Source>, image: &Image, options: &Options) -> Result<Vec<Taken>, ScanError> {
    let mut unique: Vec<Layer> = Vec::new();
    for layer in &image.layers {
        if !unique.iter().any(|known| known.diff_id == layer.diff_id) {
            unique.push(layer.clone());
        }
    }
    let parallel = options.limits.parallel_layers.max(1);
    let mut taken = futures::stream::iter(unique)
        .map(|layer| async move { inventory(source, &layer, options).await.map(|one| (layer.diff_id, one)) })
        .buffered(parallel);
    let mut by_diff_id = std::collections::HashMap::new();
    while let Some(next) = taken.next().await {
        let (diff_id, one) = next?;
        by_diff_id.insert(diff_id, one);
    }
    let one = |layer: &Layer| {
        let one = by_diff_id.get(&layer.diff_id)?;
        Some(Taken { inventory: one.inventory.clone(), known: one.known })
    };
    Ok(image.layers.iter().filter_map(one).collect())
}

async fn inventory(source: &Source, layer: &Layer, options: &Options) -> Result<Taken, ScanError> {
    let (store, diff_id) = (options.store.clone(), layer.diff_id.clone());
    if let Some(known) = blocking(layer.name(), move || store.layer(&diff_id)).await? {
        return Ok(Taken { inventory: Arc::new(known), known: true });
    }
    let blob = match source.open(layer).await {
        Ok(blob) => blob,
        // Other layers go on.
        Err(error) => return Ok(Taken { inventory: Arc::new(unreadable(layer, &error)), known: false }),
    };
    let (owned, limits, store) = (layer.clone(), options.limits.clone(), options.store.clone());
    let read = blocking(layer.name(), move || {
        let read = layer::read(&owned, blob, &limits);
        // Only what was seen whole and holds its digests may stand for this diff id in other images.
        if read.verified {
            store.keep_layer(&owned.diff_id, &read.inventory)?;
        }
        Ok(read)
    })
    .await??;
    Ok(Taken { inventory: Arc::new(read.inventory), known: false })
}

fn unreadable(layer: &Layer, error: &ScanError) -> LayerInventory {
    let mut reader = image_inventory::LayerReader::new(layer.name(), image_inventory::Limits::default());
    reader.broken(&error.to_string(), error.remedy());
    reader.finish()
}

/// Remembers the image, so that a changed database needs no pull. A partial result is no base for that.
async fn keep(report: &Report, options: &Options) -> Result<(), ScanError> {
    let mut inventory = report.inventory.clone();
    for package in &mut inventory.packages {
        package.installed_files = Vec::new();
    }
    let known = KnownImage {
        image: report.image.clone(),
        digest: report.digest.clone(),
        index_digest: report.index_digest.clone(),
        inventory,
        findings: report.findings.clone(),
        database: report.database.clone(),
    };
    let store = options.store.clone();
    blocking(&report.image, move || store.keep_image(&known)).await?
}

async fn blocking<T: Send + 'static>(subject: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ScanError> {
    let cut =
        |error: tokio::task::JoinError| ScanError::CutShort { image: subject.to_owned(), what: error.to_string() };
    tokio::task::spawn_blocking(work).await.map_err(cut)
}
