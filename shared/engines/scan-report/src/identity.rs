//! What an image is called where its name must not depend on how it was asked for.

use model::{Digest, ImageReference, PackageUrl};
use sha2::{Digest as _, Sha256};

/// Trivy's id of an artifact: a hash of the image's id (the digest of its configuration) and its repository; the id alone when there is
/// no repository. Empty without an id.
#[must_use]
pub fn artifact_id(image_id: &str, reference: &str) -> String {
    if image_id.is_empty() {
        return String::new();
    }
    match context(reference) {
        Some((registry, repository)) => {
            let hash = Sha256::digest(format!("{image_id}:{registry}/{repository}"));
            format!("sha256:{}", hex::encode(hash))
        }
        None => image_id.to_owned(),
    }
}

/// Registry and repository of a reference, with the names that Docker leaves out. A digest may be of any length here.
fn context(reference: &str) -> Option<(String, String)> {
    let reference: ImageReference = reference.parse().ok()?;
    let registry = reference.registry();
    let registry = if registry == "docker.io" { "index.docker.io" } else { registry };
    Some((registry.to_owned(), reference.repository().to_owned()))
}

/// The package URL of an image from the first place where it can be pulled, `repository@sha256:...`; `None` when there is none.
///
/// # Errors
/// When the place is no reference with a digest.
pub fn image_purl(repository_digests: &[String], architecture: &str) -> Result<Option<PackageUrl>, ImagePurlError> {
    let Some(first) = repository_digests.first() else { return Ok(None) };
    let refused = || ImagePurlError { place: first.clone() };
    let (name, digest) = first.rsplit_once('@').ok_or_else(refused)?;
    let digest: Digest = digest.parse().map_err(|_| refused())?;
    let (registry, repository) = context(name).ok_or_else(refused)?;
    let name = repository.rsplit('/').next().unwrap_or_default().to_lowercase();
    let url = PackageUrl::new("oci", "", &name, digest.as_str());
    Ok(Some(url.with("repository_url", &format!("{registry}/{repository}")).with("arch", architecture)))
}

/// A place names no image by digest.
#[derive(Debug)]
pub struct ImagePurlError {
    /// The place.
    pub place: String,
}

impl std::fmt::Display for ImagePurlError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "failed to parse digest: `{}` is not repository@algorithm:hex", self.place)
    }
}

impl std::error::Error for ImagePurlError {}
