//! Where images come from: a registry, an OCI layout folder, an OCI or `docker save` archive. A folder that is no layout is no image, but
//! can be scanned as it is.

mod archive;
pub(crate) mod folder;
mod home;
pub(crate) mod layout;
mod maven;
mod mirrors;
pub(crate) mod registry;

use std::io::Read;
use std::path::Path;

use model::{Digest, ImageReference};

use crate::config::Pull;
use crate::error::ScanError;
use crate::layer::Layer;
use crate::limits::Limits;
use crate::manifest::Platform;

/// One image, resolved: its identity and its layers, the lowest first.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    /// Manifest digest; for a `docker save` archive without one, the digest of the image configuration.
    pub(crate) digest: Digest,
    /// Digest of the index that it was chosen from.
    pub(crate) index_digest: Option<Digest>,
    /// Digest of the image configuration.
    pub(crate) image_id: Digest,
    /// The image configuration.
    pub(crate) config: serde_json::Value,
    /// Layers.
    pub(crate) layers: Vec<Layer>,
}

/// Where one image comes from.
pub(crate) enum Source {
    Registry(mirrors::Mirrors),
    Layout(layout::Layout),
    Archive(archive::Archive),
}

impl Source {
    /// What a target names: an existing path is a layout folder or an archive, anything else a reference.
    pub(crate) fn of(target: &str, pull: &Pull, limits: &Limits) -> Result<Self, ScanError> {
        let path = Path::new(target);
        if path.is_dir() {
            return Ok(Self::Layout(layout::Layout::open(path, limits)));
        }
        if path.is_file() {
            return archive::Archive::open(path, limits).map(Self::Archive);
        }
        let fault = |what: String| ScanError::Target { target: target.to_owned(), what };
        if target.starts_with('/') || target.starts_with("./") || target.starts_with("../") {
            return Err(fault("no such file".to_owned()));
        }
        let reference: ImageReference = target.parse().map_err(|error| fault(format!("{error}")))?;
        Ok(Self::Registry(mirrors::Mirrors::new(&reference, pull, limits)))
    }

    /// Whether somebody has to be asked over the network.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self, Self::Registry(_))
    }

    /// Finds the image for a platform and its layers.
    pub(crate) async fn resolve(&self, platform: &Platform) -> Result<Image, ScanError> {
        match self {
            Self::Registry(registry) => registry.resolve(platform).await,
            Self::Layout(layout) => layout.resolve(platform),
            Self::Archive(archive) => archive.resolve(platform),
        }
    }

    /// Opens the blob of a layer, to be read on a blocking thread.
    pub(crate) async fn open(&self, layer: &Layer) -> Result<Box<dyn Read + Send>, ScanError> {
        match self {
            Self::Registry(registry) => registry.open(layer).await,
            Self::Layout(layout) => layout.open_layer(layer),
            Self::Archive(archive) => archive.open_layer(layer),
        }
    }
}
pub(crate) use layout::sha256 as hash;
