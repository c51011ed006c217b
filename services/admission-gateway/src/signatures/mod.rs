//! Who signed an image: cosign signatures and attestations beside it in its registry, verified with the keys of policies.
//!
//! Read off the engine's path, within a deadline, and kept: the review that first asks for an image waits for its registry at
//! most that long, and the next ones find the answer in memory. What cannot be verified here (keyless identities, KMS,
//! Notary) stays unknown, so that the policy's `failurePolicy` decides.

mod cosign;
mod key;
mod registry;

use std::time::Duration;

use admission_policy::{Attestation, ImageTrust, MissingFact};
use model::ImageReference;
use serde_json::Value;

use self::cosign::{Attestor, Signed};
use self::registry::{ReadError, Registry};
use crate::config::Config;
use crate::facts::Facts;

/// Verifies on demand. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Signatures {
    registry: Registry,
    /// Public keys of the transparency logs that count, besides those that policies name.
    logs: Vec<key::PublicKey>,
    within: Duration,
}

impl Signatures {
    /// A verifier with the logs of the configuration.
    ///
    /// # Errors
    /// A key file that cannot be used.
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let read = |path: &std::path::PathBuf| {
            let text = std::fs::read_to_string(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
            key::PublicKey::from_pem(&text).map_err(|what| anyhow::anyhow!("{}: {what}", path.display()))
        };
        Ok(Self {
            registry: Registry::new(config.insecure_registries.clone())?,
            logs: config.transparency_log_keys.iter().map(read).collect::<Result<_, _>>()?,
            within: Duration::from_millis(config.gather_within_ms),
        })
    }

    /// Gathers what an evaluation missed and this verifier can find out; whether there is anything new.
    pub(crate) async fn gather(&self, missing: &[MissingFact], facts: &Facts) -> bool {
        let wanted = missing.iter().filter_map(|fact| match fact {
            MissingFact::ImageTrust { image, repository, attestors, attestations } => {
                Some(Wanted { image, repository, attestors, attestations: !attestations.is_empty() })
            }
            _ => None,
        });
        let work = futures::future::join_all(wanted.take(MOST_IMAGES).map(|wanted| self.one(wanted, facts)));
        match tokio::time::timeout(self.within, work).await {
            Ok(learnt) => learnt.contains(&true),
            Err(_) => {
                tracing::warn!(after = ?self.within, "registries did not answer in time: signatures stay unknown");
                false
            }
        }
    }

    async fn one(&self, wanted: Wanted<'_>, facts: &Facts) -> bool {
        match self.verify(&wanted).await {
            Ok(trust) => {
                facts.learn_trust(wanted.image, trust);
                true
            }
            Err(error) => {
                tracing::warn!(image = wanted.image, %error, "signatures cannot be read");
                false
            }
        }
    }

    async fn verify(&self, wanted: &Wanted<'_>) -> Result<ImageTrust, ReadError> {
        let image: ImageReference = wanted.image.parse().map_err(|_| ReadError::Reference)?;
        let beside: ImageReference = match wanted.repository {
            "" => image.clone(),
            repository => repository.parse().map_err(|_| ReadError::Reference)?,
        };
        let digest = match image.digest() {
            Some(digest) => digest.to_string(),
            None => self.registry.digest(&image).await?,
        };
        let tag = digest.replace(':', "-");
        let signatures = self.registry.signed(&beside, &format!("{tag}.sig"), cosign::signature).await?;
        let mut trust = ImageTrust { digest: digest.clone(), ..ImageTrust::default() };
        for name in wanted.attestors {
            if let Some(attestor) = self.attestor(name) {
                let signed = signatures.iter().any(|one| one.is_about(&digest) && attestor.signed(one, &self.logs));
                trust.signatures.insert(name.clone(), signed);
            }
        }
        if wanted.attestations {
            let statements = self.registry.signed(&beside, &format!("{tag}.att"), cosign::attestation).await?;
            let mine = statements.iter().filter(|one| one.is_about(&digest));
            trust.attestations = Some(mine.map(|one| self.attestation(one, wanted)).collect());
        }
        Ok(trust)
    }

    /// What a registry says about an image, as policies see it (`imageRegistry`, `image.GetMetadata`).
    pub(crate) async fn metadata(&self, reference: &str) -> Result<Value, String> {
        let image: ImageReference = reference.parse().map_err(|_| ReadError::Reference.to_string())?;
        self.registry.metadata(reference, &image).await.map_err(|error| error.to_string())
    }

    fn attestor(&self, name: &str) -> Option<Attestor> {
        let entry: Value = serde_json::from_str(name).ok()?;
        Attestor::new(&entry)
            .inspect_err(|what| tracing::warn!(what, "an attestor cannot be verified and stays unknown"))
            .ok()
    }

    fn attestation(&self, statement: &Signed, wanted: &Wanted<'_>) -> Attestation {
        let verified = |name: &String| {
            let attestor = self.attestor(name)?;
            Some((name.clone(), attestor.signed(statement, &self.logs)))
        };
        Attestation {
            predicate_type: statement.predicate_type(),
            predicate: statement.predicate(),
            signatures: wanted.attestors.iter().filter_map(verified).collect(),
        }
    }
}

/// What one image is to be verified for.
struct Wanted<'a> {
    image: &'a str,
    repository: &'a str,
    attestors: &'a [String],
    attestations: bool,
}

/// At most this many images of one review are looked up.
const MOST_IMAGES: usize = 50;
