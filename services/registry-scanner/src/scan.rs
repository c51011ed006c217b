//! One scan: resolve the image, take the inventory of its layers, merge them, match what is there.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use image_inventory::{Hashes, ImageInventory, LayerInventory, merge};
use model::{Digest, Fault};
use scan_report::ArtifactKind;
use schemas::build::v1::Finding;
use vulnerability_matching::vex::ScannedBill;

use crate::advisories::{Advisories, Judged};
use crate::basis::Basis;
use crate::config::Pull;
use crate::error::ScanError;
use crate::layer::{self, Layer};
use crate::limits::Limits;
use crate::manifest::Platform;
use crate::matches::Match;
use crate::progress::Progress;
use crate::skip::Skip;
use crate::source::{Image, Source};
use crate::store::{KnownImage, Store};
use crate::trivy::now_s;
use crate::unlayered;

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
    /// What is not looked at. A scan that leaves something out neither uses nor fills the store.
    pub skip: Skip,
    /// Of a folder: whether packages count that lie there without being installed, as files of rpm do.
    pub uninstalled: bool,
    /// What is hashed. What an image is matched again by holds no hashes of programs.
    pub hashes: Hashes,
    /// Whether registries may be asked. Without, an image that was scanned before is matched again from the store.
    pub is_offline: bool,
    /// How far the scan is, for whoever watches.
    pub progress: Progress,
}

/// What came of a scan.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was asked for.
    pub image: String,
    /// What kind of thing it is.
    pub kind: ArtifactKind,
    /// Manifest digest of what was scanned; of a folder, the digest of its list of packages; of a bill of material, that of its bytes.
    pub digest: Digest,
    /// Digest of the index that it was chosen from.
    pub index_digest: Option<Digest>,
    /// Digest of the image configuration, which is the image's id.
    pub image_id: Option<Digest>,
    /// The image configuration; null where there is none.
    pub config: serde_json::Value,
    /// Diff ids of the layers, the lowest first.
    pub diff_ids: Vec<Digest>,
    /// What a bill of material calls itself.
    pub bill: Option<ScannedBill>,
    /// Everything that is in the image.
    pub inventory: ImageInventory,
    /// Findings, worst first.
    pub findings: Vec<Match>,
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
    /// What the findings rest on, where that can be told.
    pub(crate) basis: Option<Basis>,
}

impl Report {
    /// A report of something without layers, matched.
    pub(crate) fn matched(
        (image, kind, digest): (&str, ArtifactKind, Digest),
        mut inventory: ImageInventory,
        advisories: &Advisories,
        started: Instant,
    ) -> Self {
        advisories.identify(&mut inventory);
        let Judged { found, faults, is_partial, basis } = advisories.matcher().judge(&inventory, now_s());
        let findings = found.into_iter().map(Match::from).collect();
        inventory.faults.extend(faults);
        Self {
            image: image.to_owned(),
            kind,
            digest,
            index_digest: None,
            image_id: None,
            config: serde_json::Value::Null,
            diff_ids: Vec::new(),
            bill: None,
            findings,
            database: advisories.name().to_owned(),
            partial: inventory.partial || is_partial,
            faults: std::mem::take(&mut inventory.faults),
            layers: 0,
            layers_known: 0,
            inventory,
            duration: started.elapsed(),
            basis,
        }
    }

    /// Number of packages.
    #[must_use]
    pub fn packages(&self) -> u64 {
        self.inventory.all_packages().count() as u64
    }

    /// The findings as events have them.
    #[must_use]
    pub fn wire_findings(&self) -> Vec<Finding> {
        self.findings.iter().map(|one| one.finding.clone()).collect()
    }
}

/// Scans one image, folder or bill of material. Needs no bus: this is what `biotope scan` calls. `sbom:` before a path says that it is a
/// bill of material; without, that is found out.
///
/// # Errors
/// When there is nothing to scan. A layer that cannot be read makes the report partial instead.
pub async fn scan_once(target: &str, options: &Options) -> Result<Report, ScanError> {
    let started = Instant::now();
    if let Some(report) = unlayered::scan(target, options, started).await? {
        return Ok(report);
    }
    let source = Arc::new(open(target, options).await?);
    if options.is_offline && source.is_remote() {
        return unlayered::known(target, options, started).await;
    }
    let image = source.resolve(&options.platform).await?;
    let layers = inventories(&source, &image, options).await?;
    let inventory =
        merge(image.layers.iter().map(|layer| &layer.diff_id).zip(layers.iter().map(|one| &*one.inventory)));
    let known = layers.iter().filter(|layer| layer.known).count();
    let subject = (target, ArtifactKind::ContainerImage, image.digest);
    let mut report = Report {
        index_digest: image.index_digest,
        image_id: Some(image.image_id),
        config: image.config,
        diff_ids: image.layers.into_iter().map(|layer| layer.diff_id).collect(),
        layers: layers.len(),
        layers_known: known,
        ..Report::matched(subject, inventory, &options.advisories, started)
    };
    keep(&mut report, options).await?;
    Ok(report)
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
    options.progress.expect(unique.len(), unique.iter().map(|layer| layer.size).sum());
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
    let (store, diff_id, hashes) = (options.store.clone(), layer.diff_id.clone(), options.hashes);
    let is_kept = options.skip.is_empty();
    if is_kept && let Some(known) = blocking(layer.name(), move || store.layer(&diff_id, hashes)).await? {
        options.progress.passed(layer.size);
        return Ok(Taken { inventory: Arc::new(known), known: true });
    }
    let blob = match source.open(layer).await {
        Ok(blob) => blob,
        // Other layers go on.
        Err(error) => return Ok(Taken { inventory: Arc::new(unreadable(layer, &error)), known: false }),
    };
    let (owned, limits, store) = (layer.clone(), options.limits.clone(), options.store.clone());
    let (skip, progress) = (options.skip.clone(), options.progress.clone());
    let read = blocking(layer.name(), move || {
        let read = layer::read(&owned, Box::new(progress.counting(blob)), &limits, (&skip, hashes));
        progress.finished();
        // Only what was seen whole and holds its digests may stand for this diff id in other images.
        if read.verified && is_kept {
            store.keep_layer(&owned.diff_id, hashes, &read.inventory)?;
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

/// Remembers the image, so that a changed database needs no pull.
async fn keep(report: &mut Report, options: &Options) -> Result<(), ScanError> {
    if !options.skip.is_empty() {
        report.basis = None;
        return Ok(());
    }
    let mut inventory = report.inventory.clone();
    for package in &mut inventory.packages {
        package.installed_files = Vec::new();
    }
    inventory.programs.clear();
    let known = KnownImage {
        image: report.image.clone(),
        digest: report.digest.clone(),
        index_digest: report.index_digest.clone(),
        inventory,
    };
    let store = options.store.clone();
    let kept = blocking(&report.image, move || store.keep_stamped(&known)).await??;
    if let Some(basis) = &mut report.basis {
        basis.inventory = kept;
    }
    Ok(())
}

pub(crate) async fn blocking<T: Send + 'static>(
    subject: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ScanError> {
    let cut =
        |error: tokio::task::JoinError| ScanError::CutShort { image: subject.to_owned(), what: error.to_string() };
    tokio::task::spawn_blocking(work).await.map_err(cut)
}
