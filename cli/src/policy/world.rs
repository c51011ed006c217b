//! The world that `biotope policy` works in: files, and registries and a cluster where it may ask them.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use admission_gateway::{Config, LookUps, Signatures};
use admission_policy::testing::{Files, ReadError};
use admission_policy::{MissingFact, Snapshot};
use tokio::runtime::Handle;

use super::args::Registries;
use super::{STDIN, is_yaml};
use crate::docker;
use crate::print;

/// The real file system, and registries where that is asked for.
pub(super) struct World<'c> {
    settings: &'c Registries,
    runtime: Handle,
    /// Made when the first signature is to be verified: it reads the certificates of the system.
    verifier: OnceLock<Option<Signatures>>,
    cluster: Option<LookUps>,
    /// What came on standard input, which can be read once.
    stdin: OnceLock<Result<String, ReadError>>,
    /// What cannot be found out; it is told once.
    unknown: Mutex<BTreeSet<String>>,
}

impl<'c> World<'c> {
    /// A world for a command. Has to be called inside a runtime.
    ///
    /// # Errors
    /// Settings of registries without leave to ask any.
    pub(super) fn new(settings: &'c Registries) -> anyhow::Result<Self> {
        anyhow::ensure!(
            settings.registry || settings.insecure_registry.is_empty(),
            "`--insecure-registry` needs `--registry`: without it no registry is asked"
        );
        Ok(Self {
            settings,
            runtime: Handle::current(),
            verifier: OnceLock::new(),
            cluster: None,
            stdin: OnceLock::new(),
            unknown: Mutex::default(),
        })
    }

    /// The same, with a cluster to ask.
    pub(super) fn beside(self, cluster: Option<LookUps>) -> Self {
        Self { cluster, ..self }
    }

    fn verifier(&self) -> Option<&Signatures> {
        let make = || {
            let config = Config {
                insecure_registries: self.settings.insecure_registry.clone(),
                docker_config: docker::configuration(self.settings.docker_config.as_deref()),
                transparency_log_keys: self.settings.transparency_log_key.clone(),
                certificate_log_keys: self.settings.certificate_log_key.clone(),
                fulcio_roots: self.settings.fulcio_root.clone(),
                trusted_roots: self.settings.trusted_root.clone(),
                timestamp_authorities: self.settings.timestamp_authority.clone(),
                gather_within_ms: u64::try_from(REGISTRY_WITHIN.as_millis()).unwrap_or(u64::MAX),
                ..Config::default()
            };
            match Signatures::new(&config) {
                Ok(verifier) => Some(verifier),
                Err(error) => {
                    print::note(format_args!("signatures cannot be verified: {error:#}"));
                    None
                }
            }
        };
        self.verifier.get_or_init(make).as_ref()
    }

    /// Asks registries; each thing that cannot be found out is asked about and told once.
    async fn ask(&self, verifier: &Signatures, missing: &[MissingFact], facts: &mut Snapshot) -> bool {
        let is_open = |fact: &&MissingFact| {
            !self.unknown.lock().unwrap_or_else(PoisonError::into_inner).contains(&fact.to_string())
        };
        let missing: Vec<MissingFact> = missing.iter().filter(is_open).cloned().collect();
        let mut is_new = false;
        for (image, found) in verifier.look_up(&missing).await {
            match found {
                Ok(trust) => {
                    match facts.image_trust.get_mut(&image) {
                        Some(known) if known.digest == trust.digest => known.learn(trust),
                        _ => drop(facts.image_trust.insert(image, trust)),
                    }
                    is_new = true;
                }
                Err(error) => self.give_up(&format!("the signatures of image {image} are not known"), &error),
            }
        }
        for fact in &missing {
            let MissingFact::ImageMetadata { image, access } = fact else { continue };
            let answer = tokio::time::timeout(REGISTRY_WITHIN, verifier.metadata(image, access)).await;
            match answer.unwrap_or_else(|_| Err("the registry did not answer in time".to_owned())) {
                Ok(metadata) => {
                    facts.image_metadata.insert(image.clone(), metadata);
                    is_new = true;
                }
                Err(error) => self.give_up(&fact.to_string(), &error),
            }
        }
        is_new
    }

    /// Asks whoever may be asked.
    async fn ask_all(&self, verifier: Option<&Signatures>, missing: &[MissingFact], facts: &mut Snapshot) -> bool {
        let signed = match verifier {
            Some(verifier) => self.ask(verifier, missing, facts).await,
            None => false,
        };
        let known = match &self.cluster {
            Some(cluster) => self.ask_cluster(cluster, missing, facts).await,
            None => false,
        };
        signed || known
    }

    /// Asks the cluster; what it does not tell is told once.
    async fn ask_cluster(&self, cluster: &LookUps, missing: &[MissingFact], facts: &mut Snapshot) -> bool {
        let mut is_new = false;
        for fact in missing {
            let late = || Err("the cluster did not answer in time".to_owned());
            match tokio::time::timeout(CLUSTER_WITHIN, cluster.learn(fact, facts)).await.unwrap_or_else(|_| late()) {
                Ok(found) => is_new |= found,
                Err(error) => self.give_up(&fact.to_string(), &error),
            }
        }
        is_new
    }

    fn give_up(&self, fact: &str, error: &str) {
        if self.unknown.lock().unwrap_or_else(PoisonError::into_inner).insert(fact.to_owned()) {
            print::note(format_args!("{fact}: {error}"));
        }
    }
}

impl Files for World<'_> {
    fn read(&self, path: &str) -> Result<String, ReadError> {
        if path == STDIN {
            // A reader without end is not waited for until memory is full.
            let read = || std::io::read_to_string(std::io::stdin().take(kubernetes::manifests::MAX_BYTES));
            return self.stdin.get_or_init(|| read().map_err(|error| ReadError::Unreadable(error.to_string()))).clone();
        }
        let path = Path::new(path);
        if path.is_dir() {
            return Err(ReadError::Folder);
        }
        kubernetes::manifests::text(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => ReadError::Absent,
            _ => ReadError::Unreadable(error.to_string()),
        })
    }

    fn list(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut files: Vec<String> = entries
            .map(|entry| entry.path())
            .filter(|path| path.is_file() && is_yaml(path))
            .map(|path| path.display().to_string())
            .collect();
        files.sort();
        files
    }

    fn gather(&self, missing: &[MissingFact], facts: &mut Snapshot) -> bool {
        let mut is_new = false;
        for fact in missing {
            if let (MissingFact::ManifestSignature(claim), Some(verifier)) = (fact, self.verifier()) {
                facts.manifest_signatures.insert(claim.clone(), verifier.manifest(claim));
                is_new = true;
            }
        }
        let of_registry =
            |fact: &MissingFact| matches!(fact, MissingFact::ImageTrust { .. } | MissingFact::ImageMetadata { .. });
        let asks_registries = self.settings.registry && missing.iter().any(of_registry);
        let verifier = if asks_registries { self.verifier() } else { None };
        if verifier.is_none() && self.cluster.is_none() {
            return is_new;
        }
        // A thread of its own: the one that judges may belong to the runtime, and must not wait inside it.
        let asked = std::thread::scope(|scope| {
            scope.spawn(|| self.runtime.block_on(self.ask_all(verifier, missing, facts))).join().unwrap_or(false)
        });
        is_new || asked
    }
}

/// How long a registry is waited for.
const REGISTRY_WITHIN: Duration = Duration::from_secs(30);
/// How long a cluster is waited for.
const CLUSTER_WITHIN: Duration = Duration::from_secs(30);
