//! Everything an evaluation may look up, gathered beforehand.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Map, Value};

/// The facts at hand. A fact that is not here is missing: the rule that needs it ends in an error that names it
/// ([`MissingFact`]), and the policy's `failurePolicy` decides.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Labels of namespaces, by namespace name.
    pub namespace_labels: BTreeMap<String, BTreeMap<String, String>>,
    /// ConfigMaps by `namespace/name`, whole objects.
    pub config_maps: BTreeMap<String, Value>,
    /// Answers to API calls of the cluster: `GET /api/v1/namespaces` (method and path).
    pub api_calls: BTreeMap<String, Value>,
    /// Answers of services.
    pub http_calls: BTreeMap<HttpCall, HttpAnswer>,
    /// Stand-ins for answers of both, by method and path or URL: they go before the others.
    pub http_answers: BTreeMap<String, HttpAnswer>,
    /// Objects of the cluster: answer API calls that `api_calls` does not, and are what `clone` copies.
    pub objects: Vec<Value>,
    /// Which objects are all in `objects`: API version, kind and namespace, or no namespace for those of all namespaces.
    pub listed: BTreeSet<(String, String, String)>,
    /// Image metadata by reference as the policy writes it: `manifest`, `configData`, `registry`, `repository`, ...
    pub image_metadata: BTreeMap<String, Value>,
    /// Signature and attestation facts by image reference, see [`ImageTrust`].
    pub image_trust: BTreeMap<String, ImageTrust>,
    /// Signatures of manifests that were verified: the name of who signed (empty for the holder of a key), or why the signature
    /// does not count.
    pub manifest_signatures: BTreeMap<ManifestClaim, Result<String, String>>,
    /// Entries of the global context, by name; a projection of one as `name.projection`, or as a field of the entry.
    pub global_context: BTreeMap<String, Value>,
    /// Facts of the platform, as policies see them under `biotope`: `{"images": {digest or reference: scan facts},
    /// "incidents": {digest: [open incidents]}, "secrets": {"namespace/name": provenance}}`.
    pub biotope: Value,
    /// Stand-ins for context entries and variables, as a `kind: Values` file gives them. When set, nothing is looked up
    /// that a value stands for, or could, unless there is a cluster to ask.
    pub values: Option<Values>,
}

/// A call of a service. Who logs it shows method and URL only: headers may hold what nobody may see.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpCall {
    /// `GET` or `POST`.
    pub method: String,
    /// The address.
    pub url: String,
    /// Headers to send.
    pub headers: BTreeMap<String, String>,
    /// JSON body of a POST; empty otherwise.
    pub body: String,
    /// Certificates (PEM) that the server is checked by; empty for those of the system.
    pub authority: String,
}

impl std::fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HttpCall({} {})", self.method, self.url)
    }
}

/// What a service answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpAnswer {
    /// Status code.
    pub status: u16,
    /// Body, read as JSON; null when it is none.
    pub body: Value,
}

/// How a policy wants registries asked (`imageRegistryCredentials` of rules and contexts, `credentials` of CEL policies).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RegistryAccess {
    /// Secrets with logins: `name`, or `namespace/name`.
    pub secrets: Vec<String>,
    /// Who else has logins: `default`, `amazon`, `azure`, `google`, `github`.
    pub providers: Vec<String>,
    /// Whether a registry may be read without TLS.
    pub allow_insecure_registry: bool,
}

impl RegistryAccess {
    /// Reads what a policy says; what cannot be read, or is not there, asks for nothing special.
    pub(crate) fn of(raw: Option<&Value>) -> Self {
        raw.and_then(|raw| Self::deserialize(raw).ok()).unwrap_or_default()
    }
}

/// What is known about who signed an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageTrust {
    /// Digest the reference resolves to, with its algorithm.
    pub digest: String,
    /// Attestors (as named by [`attestor_key`](crate::attestor_key)) and whether their signature was verified. An attestor that
    /// is not here has not been looked at.
    pub signatures: BTreeMap<String, bool>,
    /// Attestors that cannot be verified at all, and why: asking again does not help.
    pub unverifiable: BTreeMap<String, String>,
    /// Attestations of the image; `None` when they have not been fetched.
    pub attestations: Option<Vec<Attestation>>,
}

impl ImageTrust {
    /// Adds what was found out later about the same image; what was known of other attestors stays.
    pub fn learn(&mut self, newer: Self) {
        self.signatures.extend(newer.signatures);
        self.unverifiable.extend(newer.unverifiable);
        let Some(mut attestations) = newer.attestations else { return };
        for one in &mut attestations {
            let same = |old: &&Attestation| old.predicate_type == one.predicate_type && old.predicate == one.predicate;
            if let Some(old) = self.attestations.iter().flatten().find(same) {
                let signatures = old.signatures.clone();
                let found = std::mem::replace(&mut one.signatures, signatures);
                one.signatures.extend(found);
            }
        }
        self.attestations = Some(attestations);
    }
}

/// One verified attestation of an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attestation {
    /// Predicate type.
    pub predicate_type: String,
    /// The predicate.
    pub predicate: Value,
    /// Attestors and whether their signature was verified.
    pub signatures: BTreeMap<String, bool>,
}

/// That an attestor signed a manifest. It holds all that is verified, so that an answer is never taken for another question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManifestClaim {
    /// The attestor, as named by [`attestor_key`](crate::attestor_key).
    pub attestor: String,
    /// What was signed.
    pub message: Vec<u8>,
    /// The signatures; one that counts is enough.
    pub signatures: Vec<ManifestSignature>,
}

/// One signature of a manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManifestSignature {
    /// The signature (base64).
    pub signature: String,
    /// The certificate of who signed without a key of their own (PEM); empty for none.
    pub certificate: String,
    /// The entry of a transparency log (JSON); empty for none.
    pub bundle: String,
}

/// Values that stand for variables and context entries.
#[derive(Clone, Debug, Default)]
pub struct Values {
    /// There is a cluster to ask: what no value stands for and the snapshot does not have is missing. Otherwise it does not exist.
    pub beside_a_cluster: bool,
    /// Dotted variable names to values, for every rule.
    pub variables: Map<String, Value>,
    /// Per policy and rule.
    pub rules: BTreeMap<(String, String), RuleValues>,
}

/// Values of one rule.
#[derive(Clone, Debug, Default)]
pub struct RuleValues {
    /// Dotted variable names to values.
    pub values: Map<String, Value>,
    /// Dotted variable names to one value per element of a `foreach`.
    pub foreach_values: BTreeMap<String, Vec<Value>>,
}

/// A fact that an evaluation needed and did not have. Gather it and evaluate again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MissingFact {
    /// A ConfigMap, `namespace/name`.
    ConfigMap(String),
    /// An API call of the cluster, method and path, with its body.
    ApiCall {
        /// `GET /apis/apps/v1/deployments`.
        call: String,
        /// JSON body of a POST; empty otherwise.
        body: String,
    },
    /// A call of a service.
    Http(HttpCall),
    /// The objects of a kind, which go into [`Snapshot::objects`] and [`Snapshot::listed`].
    Objects {
        /// `v1`, `apps/v1`.
        api_version: String,
        /// Kind, in the singular.
        kind: String,
        /// Namespace to look in; empty for all.
        namespace: String,
    },
    /// Metadata of an image.
    ImageMetadata {
        /// Reference of the image.
        image: String,
        /// How its registry is asked.
        access: RegistryAccess,
    },
    /// Signatures and attestations of an image.
    ImageTrust {
        /// Reference of the image.
        image: String,
        /// Repository of the signatures; empty when they are beside the image.
        repository: String,
        /// Attestors to verify, as named by [`attestor_key`](crate::attestor_key): JSON of the attestor's entry.
        attestors: Vec<String>,
        /// Predicate types of the attestations to fetch.
        attestations: Vec<String>,
        /// How the registry is asked.
        access: RegistryAccess,
    },
    /// Whether an attestor signed the manifest in the request.
    ManifestSignature(ManifestClaim),
    /// An entry of the global context.
    GlobalContext(String),
    /// Labels of a namespace.
    NamespaceLabels(String),
}

impl std::fmt::Display for MissingFact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ConfigMap(name) => write!(f, "configmap {name} is not known"),
            Self::ApiCall { call, .. } => write!(f, "the answer to `{call}` is not known"),
            Self::Http(call) => write!(f, "the answer to `{} {}` is not known", call.method, call.url),
            Self::Objects { api_version, kind, namespace } if namespace.is_empty() => {
                write!(f, "the objects {api_version} {kind} are not known")
            }
            Self::Objects { api_version, kind, namespace } => {
                write!(f, "the objects {api_version} {kind} in namespace {namespace} are not known")
            }
            Self::ImageMetadata { image, .. } => write!(f, "the metadata of image {image} is not known"),
            Self::ImageTrust { image, .. } => write!(f, "the signatures of image {image} are not known"),
            Self::ManifestSignature(_) => write!(f, "the signatures of the manifest are not known"),
            Self::GlobalContext(name) => write!(f, "global context entry {name} is not known"),
            Self::NamespaceLabels(name) => write!(f, "the labels of namespace {name} are not known"),
        }
    }
}

impl ImageTrust {
    /// Why one of these attestors cannot be verified.
    pub(crate) fn why_not(&self, attestors: &[String]) -> Option<&str> {
        attestors.iter().find_map(|name| self.unverifiable.get(name)).map(String::as_str)
    }
}

impl Snapshot {
    /// Labels of a namespace; empty when it is not known.
    pub(crate) fn labels_of(&self, namespace: &str) -> Option<&BTreeMap<String, String>> {
        self.namespace_labels.get(namespace)
    }

    /// An entry of the global context, or a projection of it.
    pub(crate) fn global(&self, name: &str, projection: &str) -> Option<&Value> {
        if projection.is_empty() {
            return self.global_context.get(name);
        }
        let own = self.global_context.get(&[name, ".", projection].concat());
        own.or_else(|| self.global_context.get(name)?.get(projection))
    }

    /// Whether there is nothing else, so that what is not here does not exist.
    pub(crate) fn is_all_there_is(&self) -> bool {
        self.values.as_ref().is_some_and(|values| !values.beside_a_cluster)
    }

    /// Whether all objects of a kind in a namespace (or in all, where it is empty) are in `objects`.
    pub(crate) fn has_listed(&self, (api_version, kind): (&str, &str), namespace: &str) -> bool {
        let covers = |(api, known, place): &(String, String, String)| {
            api == api_version && known == kind && (place.is_empty() || place == namespace)
        };
        self.is_all_there_is() || self.listed.iter().any(covers)
    }

    /// Values of a rule; an autogen rule falls back to the rule it came from.
    pub(crate) fn rule_values(&self, policy: &str, rule: &str) -> Option<&RuleValues> {
        let values = self.values.as_ref()?;
        let origin = rule.strip_prefix("autogen-cronjob-").or_else(|| rule.strip_prefix("autogen-")).unwrap_or(rule);
        let find = |rule: &str| values.rules.get(&(policy.to_owned(), rule.to_owned()));
        find(rule).or_else(|| find(origin))
    }
}
