//! Everything an evaluation may look up, gathered beforehand.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// The facts at hand. A fact that is not here is missing: the rule that needs it ends in an error that names it
/// ([`MissingFact`]), and the policy's `failurePolicy` decides.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Labels of namespaces, by namespace name.
    pub namespace_labels: BTreeMap<String, BTreeMap<String, String>>,
    /// ConfigMaps by `namespace/name`, whole objects.
    pub config_maps: BTreeMap<String, Value>,
    /// Answers to API calls: `GET /api/v1/namespaces` (method and path), `POST https://host/path` for services.
    pub api_calls: BTreeMap<String, Value>,
    /// Whole answers to calls, by method and path or URL: they go before `api_calls`, and CEL's `http` sees their status.
    pub http_answers: BTreeMap<String, HttpAnswer>,
    /// Objects of the cluster: answer API calls that `api_calls` does not, and are what `clone` copies.
    pub objects: Vec<Value>,
    /// Which objects are all in `objects`: API version, kind and namespace, or no namespace for those of all namespaces.
    pub listed: BTreeSet<(String, String, String)>,
    /// Image metadata by reference as the policy writes it: `manifest`, `configData`, `registry`, `repository`, ...
    pub image_metadata: BTreeMap<String, Value>,
    /// Signature and attestation facts by image reference, see [`ImageTrust`].
    pub image_trust: BTreeMap<String, ImageTrust>,
    /// Whose signature of the manifest in the request was verified, by [`attestor_key`](crate::attestor_key); `None` when
    /// nobody looked.
    pub manifest_signatures: Option<BTreeMap<String, bool>>,
    /// Entries of the global context, by name.
    pub global_context: BTreeMap<String, Value>,
    /// Facts of the platform, as policies see them under `biotope`: `{"images": {digest or reference: scan facts},
    /// "incidents": {digest: [open incidents]}, "secrets": {"namespace/name": provenance}}`.
    pub biotope: Value,
    /// Stand-ins for context entries and variables, as a `kind: Values` file gives them. When set, nothing is looked up
    /// that a value could stand for.
    pub values: Option<Values>,
}

/// What a service answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpAnswer {
    /// Status code.
    pub status: u16,
    /// Body, read as JSON.
    pub body: Value,
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

/// Values that stand for variables and context entries.
#[derive(Clone, Debug, Default)]
pub struct Values {
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
    /// An API call, method and path or URL, with its body.
    ApiCall {
        /// `GET /apis/apps/v1/deployments`.
        call: String,
        /// JSON body of a POST; empty otherwise.
        body: String,
    },
    /// The objects of a kind, which go into [`Snapshot::objects`] and [`Snapshot::listed`].
    Objects {
        /// `v1`, `apps/v1`.
        api_version: String,
        /// Kind, in the singular.
        kind: String,
        /// Namespace to look in; empty for all.
        namespace: String,
    },
    /// Metadata of an image, by reference.
    ImageMetadata(String),
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
    },
    /// Signatures of the manifest in the request.
    ManifestSignatures {
        /// Attestors to verify, as named by [`attestor_key`](crate::attestor_key).
        attestors: Vec<String>,
    },
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
            Self::Objects { api_version, kind, namespace } if namespace.is_empty() => {
                write!(f, "the objects {api_version} {kind} are not known")
            }
            Self::Objects { api_version, kind, namespace } => {
                write!(f, "the objects {api_version} {kind} in namespace {namespace} are not known")
            }
            Self::ImageMetadata(image) => write!(f, "the metadata of image {image} is not known"),
            Self::ImageTrust { image, .. } => write!(f, "the signatures of image {image} are not known"),
            Self::ManifestSignatures { .. } => write!(f, "the signatures of the manifest are not known"),
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

    /// Whether all objects of a kind in a namespace (or in all, where it is empty) are in `objects`.
    pub(crate) fn has_listed(&self, (api_version, kind): (&str, &str), namespace: &str) -> bool {
        let covers = |(api, known, place): &(String, String, String)| {
            api == api_version && known == kind && (place.is_empty() || place == namespace)
        };
        self.values.is_some() || self.listed.iter().any(covers)
    }

    /// Values of a rule; an autogen rule falls back to the rule it came from.
    pub(crate) fn rule_values(&self, policy: &str, rule: &str) -> Option<&RuleValues> {
        let values = self.values.as_ref()?;
        let origin = rule.strip_prefix("autogen-cronjob-").or_else(|| rule.strip_prefix("autogen-")).unwrap_or(rule);
        let find = |rule: &str| values.rules.get(&(policy.to_owned(), rule.to_owned()));
        find(rule).or_else(|| find(origin))
    }
}
