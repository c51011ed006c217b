//! VEX documents that are attached to an image in its registry: as OCI referrers, or under the tag that cosign gives attestations.
//!
//! ```text
//! digest of the image -> referrers, and the tag sha256-<hex>.att -> layers -> DSSE envelope | Sigstore bundle | in-toto statement
//!                     -> the predicates that are OpenVEX documents
//! ```
//!
//! Signatures are not verified: who may push to the repository may attach statements.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{ImageReference, PackageUrl};
use scan_report::image_purl;
use serde_json::Value;

use crate::config::Pull;
use crate::error::ScanError;
use crate::limits::Limits;
use crate::report::Names;
use crate::scan::Report;
use crate::source::registry::Registry;

/// No attached document can be had.
#[derive(Debug, thiserror::Error)]
pub enum AttestationError {
    /// The target is in no registry.
    #[error("'--vex oci' can be used only when scanning OCI artifacts stored in registries, which `{target}` is not")]
    NoRegistry {
        /// What was scanned.
        target: String,
    },
    /// There is no package URL to look for.
    #[error("package URL is nil: what was scanned has none")]
    NoUrl,
    /// The package URL is of something else.
    #[error("unsupported package URL type `{kind}`: attestations are looked for by `oci`")]
    Kind {
        /// Its type.
        kind: String,
    },
    /// The package URL does not say where the image is.
    #[error("the repository_url qualifier is missing in the package URL")]
    NoRepository,
    /// It says so in no known form.
    #[error("repository URL parse error: `{url}`: {what}")]
    Repository {
        /// The qualifier.
        url: String,
        /// Why it is refused.
        what: String,
    },
    /// What is attached is no attestation.
    #[error("unknown attestation format: neither a DSSE envelope, a Sigstore bundle nor an in-toto statement")]
    Format,
    /// The registry does not give it.
    #[error(transparent)]
    Registry(#[from] ScanError),
}

/// The image that a package URL of type `oci` is about.
///
/// # Errors
/// When there is none, or it does not say where the image is.
pub fn attested_image(purl: Option<&PackageUrl>) -> Result<ImageReference, AttestationError> {
    let purl = purl.ok_or(AttestationError::NoUrl)?;
    if purl.kind != "oci" {
        return Err(AttestationError::Kind { kind: purl.kind.clone() });
    }
    let url = purl.qualifiers.get("repository_url").filter(|url| !url.is_empty());
    let url = url.ok_or(AttestationError::NoRepository)?.clone();
    let whole = if purl.version.is_empty() { url.clone() } else { format!("{url}@{}", purl.version) };
    whole
        .parse()
        .map_err(|error: model::ImageReferenceError| AttestationError::Repository { url, what: error.to_string() })
}

/// Type and content of the predicate of an attestation.
///
/// # Errors
/// When the bytes are no attestation.
pub fn predicate(attestation: &[u8]) -> Result<(String, Vec<u8>), AttestationError> {
    let outer: Value = serde_json::from_slice(attestation).map_err(|_| AttestationError::Format)?;
    let envelope = outer.get("dsseEnvelope").unwrap_or(&outer);
    let statement = match envelope.get("payload").and_then(Value::as_str) {
        Some(payload) => STANDARD
            .decode(payload)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
            .ok_or(AttestationError::Format)?,
        None => outer,
    };
    let kind = statement.get("predicateType").and_then(Value::as_str).ok_or(AttestationError::Format)?;
    let predicate = statement.get("predicate").filter(|one| one.is_object()).ok_or(AttestationError::Format)?;
    Ok((kind.to_owned(), predicate.to_string().into_bytes()))
}

/// The OpenVEX documents that are attached to the image of a report, each with a name for people. None is no fault.
///
/// # Errors
/// When the image is in no registry, or the registry does not answer.
pub async fn attached_documents(report: &Report, pull: &Pull) -> Result<Vec<(String, Vec<u8>)>, AttestationError> {
    let digests = Names::of(report).digests;
    if digests.is_empty() {
        return Err(AttestationError::NoRegistry { target: report.image.clone() });
    }
    let architecture = report.config.get("architecture").and_then(|one| one.as_str()).unwrap_or_default();
    let purl = image_purl(&digests, architecture).ok().flatten();
    attested_image(purl.as_ref())?;
    // The name under which it was asked for, for that is where it was found.
    let image = report.image.parse::<ImageReference>().map_err(|_| AttestationError::NoUrl)?;
    let registry = Registry::new(image, pull, &Limits::default());
    let mut documents = Vec::new();
    for digest in std::iter::once(&report.digest).chain(&report.index_digest) {
        for (name, attestation) in registry.attachments(digest).await? {
            // Signatures and other attestations stand beside.
            if let Ok((kind, content)) = predicate(&attestation)
                && kind.starts_with(OPENVEX)
            {
                documents.push((format!("VEX attestation in the registry ({name})"), content));
            }
        }
    }
    Ok(documents)
}

const OPENVEX: &str = "https://openvex.dev/ns";
