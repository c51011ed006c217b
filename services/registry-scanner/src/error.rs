//! Why an image was not scanned.

use std::path::PathBuf;

/// A scan failed as a whole. What fails in one layer only is a fault of the report instead.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The target is neither a reference nor a path.
    #[error("`{target}` is neither an image reference nor a folder or archive: {what}")]
    Target {
        /// The target.
        target: String,
        /// Why it is no reference.
        what: String,
    },
    /// The platform is malformed.
    #[error("`{text}` is not a platform of the form os/arch or os/arch/variant")]
    Platform {
        /// The text.
        text: String,
    },
    /// The image is not built for the platform.
    #[error("`{subject}` has no image for {wanted}; it has {known}")]
    NoPlatform {
        /// The index.
        subject: String,
        /// What was asked for.
        wanted: String,
        /// What is there.
        known: String,
    },
    /// A manifest or image configuration is malformed.
    #[error("the manifest of `{subject}` cannot be used: {what}")]
    Manifest {
        /// The manifest.
        subject: String,
        /// What is wrong.
        what: String,
    },
    /// The registry has no such image.
    #[error("`{image}` is not in its registry")]
    NotFound {
        /// The image.
        image: String,
    },
    /// The registry wants other credentials.
    #[error("the registry does not let us read `{image}`: {what}")]
    Denied {
        /// The image.
        image: String,
        /// What it said.
        what: String,
    },
    /// The registry cannot be reached, or fails.
    #[error("cannot pull `{image}`: {what}")]
    Registry {
        /// The image.
        image: String,
        /// What happened.
        what: String,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why; part of the line, for it is shown to people.
        source: std::io::Error,
    },
    /// A folder or archive is no image.
    #[error("{} is no image: {what}", path.display())]
    NoImage {
        /// The folder or archive.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// A file is no bill of material.
    #[error("{} is no bill of material: {what}", path.display())]
    NoBill {
        /// The file.
        path: PathBuf,
        /// Why not.
        what: String,
    },
    /// No registry may be asked, and the image was not scanned before.
    #[error("`{image}` is not known here, and no registry may be asked")]
    Offline {
        /// The image.
        image: String,
    },
    /// The store of inventories cannot be used.
    #[error("cannot use the inventory store {}: {source}", path.display())]
    Store {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The scanner was shut down, or a task of it failed.
    #[error("the scan of `{image}` was cut short: {what}")]
    CutShort {
        /// The image.
        image: String,
        /// Why.
        what: String,
    },
}

impl ScanError {
    /// What the asker can do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Target { .. } => "give registry/repository:tag, an OCI layout folder or a `docker save` archive",
            Self::Platform { .. } => "write it as linux/amd64",
            Self::NoPlatform { .. } => "ask for one of these platforms",
            Self::Manifest { .. } => "push the image again with a current tool",
            Self::NotFound { .. } => "check repository and tag",
            Self::Denied { .. } => {
                "log in to the registry, or name the docker configuration in `service.docker_config`"
            }
            Self::Registry { .. } => "check name, network and `service.plain_http_registries`, then try again",
            Self::File { .. } => "check that the file is there and may be read",
            Self::NoImage { .. } => "give an OCI layout folder, an OCI archive or a `docker save` archive",
            Self::NoBill { .. } => "give CycloneDX or SPDX in JSON",
            Self::Offline { .. } => "scan it once with its registry, or give an archive or layout folder",
            Self::Store { .. } => "check rights and free space of the folder",
            Self::CutShort { .. } => "scan again",
        }
    }

    /// Whether the same scan may work later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Registry { .. } | Self::Store { .. } | Self::CutShort { .. })
    }
}
