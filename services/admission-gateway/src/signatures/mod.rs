//! Who signed an image: cosign signatures and attestations beside it in its registry, verified with the keys of policies.
//!
//! Read off the engine's path, within a deadline, and kept: the review that first asks for an image waits for its registry at
//! most that long, and the next ones find the answer in memory. Everything is verified offline, by what lies beside the signature:
//! certificate chain, identity, what transparency logs promise and prove, timestamps of authorities. What cannot be verified here (keys in
//! a key management service, Notary) stays unknown with its reason, so that the policy's `failurePolicy` decides.
//!
//! image -> repository (login, bounds) -> signatures under tags, bundles that refer to it -> attestors -> [`ImageTrust`]

mod attestor;
mod bundle;
mod certificate;
mod checkpoint;
mod cosign;
mod entry;
mod key;
mod logins;
mod manifest;
mod registry;
mod secrets;
mod timestamp;
mod trusted_root;
mod tsa;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use admission_policy::{Attestation, ImageTrust, ManifestClaim, MissingFact, RegistryAccess};
use kubernetes::Cluster;
use model::ImageReference;
use serde_json::Value;

use self::attestor::{Attestor, Form, Trust};
use self::cosign::{Kind, Signed};
use self::logins::Logins;
pub(crate) use self::logins::PullSecrets;
use self::registry::{ReadError, Registry, Repository};
use self::secrets::Secrets;
use crate::config::Config;
use crate::facts::Facts;

/// Verifies on demand. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Signatures {
    registry: Registry,
    secrets: Secrets,
    /// Whom to trust where a policy names nobody.
    trust: Arc<Trust>,
    within: Duration,
}

impl Signatures {
    /// A verifier with the logs and authorities of the configuration.
    ///
    /// # Errors
    /// A file that cannot be used.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let mut trust = Trust {
            logs: keys(&config.transparency_log_keys)?,
            certificate_logs: keys(&config.certificate_log_keys)?,
            ..Trust::default()
        };
        for path in &config.fulcio_roots {
            let added = trust.authorities.add(&read(path)?);
            added.map_err(|what| anyhow::anyhow!("{}: {what}", path.display()))?;
        }
        for path in &config.timestamp_authorities {
            let added = tsa::Timestamper::from_pem(&read(path)?);
            trust.timestampers.push(added.map_err(|what| anyhow::anyhow!("{}: {what}", path.display()))?);
        }
        for path in &config.trusted_roots {
            let added = trusted_root::add(&mut trust, &read(path)?);
            added.map_err(|what| anyhow::anyhow!("{}: {what}", path.display()))?;
        }
        Ok(Self {
            registry: Registry::new(config.insecure_registries.clone(), Logins::new(config))?,
            secrets: Secrets::default(),
            trust: Arc::new(trust),
            within: Duration::from_millis(config.gather_within_ms),
        })
    }

    /// The same, with the pull secrets of a cluster.
    #[must_use]
    pub(crate) fn with_secrets_of(mut self, cluster: Option<Cluster>) -> Self {
        if let Some(cluster) = cluster {
            self.secrets.read_from(cluster);
            self.registry = self.registry.with(self.secrets.clone());
        }
        self
    }

    /// Finds out about images what an evaluation missed, each within the deadline; or why that cannot be told.
    pub async fn look_up(&self, missing: &[MissingFact]) -> Vec<(String, Result<ImageTrust, String>)> {
        self.look_up_for(missing, &PullSecrets::default()).await
    }

    async fn look_up_for(
        &self,
        missing: &[MissingFact],
        pulls: &PullSecrets,
    ) -> Vec<(String, Result<ImageTrust, String>)> {
        let deadline = tokio::time::Instant::now() + self.within;
        let wanted = missing.iter().filter_map(|fact| match fact {
            MissingFact::ImageTrust { image, repository, attestors, attestations, access } => {
                let attestations = !attestations.is_empty();
                Some(Wanted { image, repository, attestors, attestations, access, pulls })
            }
            _ => None,
        });
        futures::future::join_all(wanted.take(MOST_IMAGES).map(|wanted| self.one(wanted, deadline))).await
    }

    async fn one(&self, wanted: Wanted<'_>, deadline: tokio::time::Instant) -> (String, Result<ImageTrust, String>) {
        let verified = tokio::time::timeout_at(deadline, self.verify(&wanted)).await;
        let late = || format!("the registry did not answer within {} ms", self.within.as_millis());
        let found = verified.map_err(|_| late()).and_then(|found| found.map_err(|error| error.to_string()));
        (wanted.image.to_owned(), found)
    }

    /// Gathers what an evaluation missed and this verifier can find out; whether there is anything new.
    pub(crate) async fn gather(&self, missing: &[MissingFact], pulls: &PullSecrets, facts: &Facts) -> bool {
        let mut is_new = false;
        for (image, found) in self.look_up_for(missing, pulls).await {
            match found {
                Ok(trust) => {
                    facts.learn_trust(&image, trust);
                    is_new = true;
                }
                Err(error) => tracing::warn!(image, error, "signatures cannot be read, and stay unknown"),
            }
        }
        is_new
    }

    async fn verify(&self, wanted: &Wanted<'_>) -> Result<ImageTrust, ReadError> {
        let image: ImageReference = wanted.image.parse().map_err(|_| ReadError::Reference)?;
        let digest = match image.digest() {
            Some(digest) => digest.to_string(),
            None => self.registry.repository(&image, (wanted.access, wanted.pulls)).await.digest().await?,
        };
        let now = now();
        let mut found = ImageTrust { digest: digest.clone(), ..ImageTrust::default() };
        let mut shelves: BTreeMap<Place, Vec<(&String, Attestor)>> = BTreeMap::new();
        for name in wanted.attestors {
            match self.attestor(name).await {
                Ok(attestor) => {
                    let repository = attestor.repository.clone().unwrap_or_else(|| wanted.repository.to_owned());
                    let (secrets, prefix) = (attestor.secrets.clone(), attestor.prefix.clone());
                    shelves.entry(Place { repository, secrets, prefix }).or_default().push((name, attestor));
                }
                Err(what) => {
                    tracing::warn!(image = wanted.image, what, "an attestor cannot be verified and stays unknown");
                    found.unverifiable.insert(name.clone(), what);
                }
            }
        }
        if wanted.attestations {
            found.attestations = Some(Vec::new());
            let repository = wanted.repository.to_owned();
            shelves.entry(Place { repository, ..Place::default() }).or_default();
        }
        for (place, attestors) in &shelves {
            let beside = match place.repository.as_str() {
                "" => image.clone(),
                repository => repository.parse().map_err(|_| ReadError::Reference)?,
            };
            let mut access = wanted.access.clone();
            access.secrets.extend_from_slice(&place.secrets);
            let repository = self.registry.repository(&beside, (&access, wanted.pulls)).await;
            look((&repository, &digest, &place.prefix), attestors, (wanted.attestations, now), &mut found).await?;
        }
        // What lies in one repository was not signed by those who sign in another.
        for statement in found.attestations.iter_mut().flatten() {
            for (name, _) in shelves.values().flatten() {
                statement.signatures.entry((*name).clone()).or_insert(false);
            }
        }
        Ok(found)
    }

    /// Who signed a manifest; see [`ManifestClaim`]. Without a look at any registry.
    ///
    /// # Errors
    /// Why no signature counts.
    pub fn manifest(&self, claim: &ManifestClaim) -> Result<String, String> {
        manifest::verify(claim, &self.trust, now())
    }

    /// What a registry, asked as a policy says, tells of an image, as policies see it (`imageRegistry`, `image.GetMetadata`).
    ///
    /// # Errors
    /// Why that cannot be told.
    pub async fn metadata(&self, reference: &str, access: &RegistryAccess) -> Result<Value, String> {
        self.metadata_for(reference, (access, &PullSecrets::default())).await
    }

    /// The same, with the pull secrets of a pod.
    pub(crate) async fn metadata_for(
        &self,
        reference: &str,
        access: (&RegistryAccess, &PullSecrets),
    ) -> Result<Value, String> {
        let image: ImageReference = reference.parse().map_err(|_| ReadError::Reference.to_string())?;
        let repository = self.registry.repository(&image, access).await;
        repository.metadata(reference).await.map_err(|error| error.to_string())
    }

    /// An attestor by its name, with the key that its policy keeps in a Secret.
    async fn attestor(&self, name: &str) -> Result<Attestor, String> {
        let mut entry: Value = serde_json::from_str(name).map_err(|_| "not JSON".to_owned())?;
        if let Some(secret) = attestor::secret_of(&entry) {
            let why = |why: String| format!("the key in Secret {secret} cannot be read: {why}");
            let held = self.secrets.read(&secret).await.map_err(why)?;
            let key = held.key.as_deref().ok_or_else(|| why("it has no `cosign.pub`".to_owned()))?;
            entry["keys"]["publicKeys"] = Value::from(key);
        }
        Attestor::new(&entry, &self.trust)
    }
}

/// Looks at what lies in one repository.
async fn look(
    (repository, digest, prefix): (&Repository<'_>, &str, &str),
    attestors: &[(&String, Attestor)],
    (attestations, now): (bool, u64),
    found: &mut ImageTrust,
) -> Result<(), ReadError> {
    let tag = format!("{prefix}{}", digest.replace(':', "-"));
    let wants = |forms: [Form; 2]| attestors.is_empty() || attestors.iter().any(|(_, by)| forms.contains(&by.form));
    let bundles = match wants([Form::Bundles, Form::Either]) {
        true => repository.bundles(digest).await?,
        false => Vec::new(),
    };
    let by_tag = wants([Form::Tags, Form::Either]);
    let mut signatures = match by_tag && !attestors.is_empty() {
        true => repository.signed(&format!("{tag}.sig"), cosign::signature).await?,
        false => Vec::new(),
    };
    if attestors.iter().any(|(_, by)| by.by_reference) {
        signatures.extend(repository.referring(digest).await?);
    }
    if signatures.is_empty()
        && attestors.iter().any(|(_, by)| by.form == Form::Tags)
        && repository.has_bundles(digest).await
    {
        tracing::warn!(digest, "signed as bundles of Sigstore: only a rule of the type `SigstoreBundle` looks at them");
    }
    // Which documents an attestor's signatures are looked for in.
    let is_meant = |by: &Attestor, one: &Signed| match by.form {
        Form::Tags => !one.is_bundle,
        Form::Bundles => one.is_bundle,
        Form::Either => one.is_bundle != bundles.is_empty(),
    };
    for (name, by) in attestors {
        let mut documents = signatures.iter().chain(&bundles);
        let signed = documents.any(|one| is_meant(by, one) && by.signed(one, digest, now));
        found.signatures.insert((*name).clone(), signed);
    }
    if attestations {
        let older = match by_tag {
            true => repository.signed(&format!("{tag}.att"), cosign::attestation).await?,
            false => Vec::new(),
        };
        let verified = |one: &Signed| {
            let signed = |by: &Attestor| is_meant(by, one) && by.signed(one, digest, now);
            Attestation {
                predicate_type: one.predicate_type(),
                predicate: one.predicate(),
                signatures: attestors.iter().map(|(name, by)| ((*name).clone(), signed(by))).collect(),
            }
        };
        let mine = older.iter().chain(&bundles).filter(|one| one.kind == Kind::Statement && one.is_about(digest));
        found.attestations.get_or_insert_default().extend(mine.map(verified));
    }
    Ok(())
}

/// Reads bytes as everything that lies beside an image, and asks about all of it.
pub(crate) fn read_any(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut trust = Trust::default();
    drop((trusted_root::add(&mut trust, &text), key::PublicKey::from_pem(&text), tsa::Timestamper::from_pem(&text)));
    drop((certificate::Certificate::from_der(bytes.to_vec()), certificate::is_authority(bytes)));
    tsa::read_any(bytes);
    let annotations = serde_json::from_str(&text).unwrap_or(Value::Null);
    let layer = cosign::Layer { annotations: &annotations, bytes };
    let all = [bundle::read(bytes, Some(bytes)).ok(), cosign::signature(&layer), cosign::attestation(&layer)];
    let by = Attestor::new(&serde_json::json!({"keyless": {"roots": A_ROOT}}), &trust);
    for signed in all.iter().flatten() {
        drop((signed.predicate_type(), signed.says("sha256:0", "a", &Value::Null), signed.is_about("sha256:0")));
        for signature in &signed.signatures {
            drop(by.as_ref().map(|by| by.made(signature, signed, 0)));
            for entry in &signed.entries {
                entry.vouches((signed, signature), signed.certificate.as_ref(), &trust.logs);
            }
        }
        signed.timestamps.iter().for_each(|timestamp| tsa::read_any(timestamp));
    }
}

/// In seconds since 1970.
fn now() -> u64 {
    u64::try_from(service::now().as_millis() / 1_000).unwrap_or(0)
}

fn keys(paths: &[PathBuf]) -> anyhow::Result<Vec<key::PublicKey>> {
    let key = |path: &PathBuf| {
        key::PublicKey::from_pem(&read(path)?).map_err(|what| anyhow::anyhow!("{}: {what}", path.display()))
    };
    paths.iter().map(key).collect()
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

/// What one image is to be verified for.
struct Wanted<'a> {
    image: &'a str,
    repository: &'a str,
    attestors: &'a [String],
    attestations: bool,
    access: &'a RegistryAccess,
    pulls: &'a PullSecrets,
}

/// Where signatures lie.
#[derive(Default, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    repository: String,
    /// Secrets with logins for it.
    secrets: Vec<String>,
    /// What the tags begin with.
    prefix: String,
}

/// A certificate of nobody, for [`read_any`].
const A_ROOT: &str = "-----BEGIN CERTIFICATE-----
MIIBaTCCAQ6gAwIBAgIUbV60Nl2n4Fcw2bVsO351Tg8Y7hkwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHY2EtcDI1NjAeFw0yNjExMjkyMTM3MDZaFw0yNjEyMjkyMTM3
MDZaMBIxEDAOBgNVBAMMB2NhLXAyNTYwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AAS3RRXJ6l4C9A7M0+bitPyfFk+5qpIl8IsfrpwCTzwz5aUoUSvFKfGsCGrNG/J3
gOxFTlmdNaeyjccDZvoWr+KXo0IwQDAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB
/wQEAwICBDAdBgNVHQ4EFgQUOFtSULPFGyphcj2ESQNOG8kCHjUwCgYIKoZIzj0E
AwIDSQAwRgIhAL3TGJ0FOsZ8cYu/f9PHM1EXJnhGncxlUZ6r0nBwoTiFAiEAhlSQ
otNLh3rvtAPDeWZ8hidKrG/fu2YN8Tv/M0NcR1k=
-----END CERTIFICATE-----
";
/// At most this many images of one review are looked up.
const MOST_IMAGES: usize = 50;
