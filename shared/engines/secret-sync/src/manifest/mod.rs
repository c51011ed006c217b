//! Manifests as they are written, read into what they mean.

mod document;
mod external_secret;
mod fields;
mod secret;
mod store;
mod template;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use model::Fault;

use crate::decode::DecodingStrategy;
use crate::keys::ConversionStrategy;
use crate::rewrite::Rewrite;
use crate::value::{SecretBytes, SecretJson};
use crate::window::SyncWindows;

pub use document::parse;

/// Everything that a set of files holds, with what was set aside.
#[derive(Debug, Default)]
pub struct Documents {
    /// Stores.
    pub stores: Vec<Store>,
    /// External secrets.
    pub external_secrets: Vec<Arc<ExternalSecret>>,
    /// Secrets, which hold the credentials for stores; by namespace and name.
    pub secrets: BTreeMap<(String, String), BTreeMap<String, SecretBytes>>,
    /// Stores whose manifest was set aside: whoever refers to them is told so.
    pub broken_stores: Vec<StoreRef>,
    /// What was set aside.
    pub faults: Vec<Fault>,
}

/// Where an object stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// File, as the user named it.
    pub file: String,
    /// First line of the object.
    pub line: u32,
}

/// The two kinds of store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StoreKind {
    /// For its namespace.
    #[default]
    SecretStore,
    /// For all namespaces that its conditions allow.
    ClusterSecretStore,
}

/// A store by kind, namespace (empty for the cluster kind) and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreRef {
    /// Kind.
    pub kind: StoreKind,
    /// Namespace; empty for the cluster kind.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl fmt::Display for StoreRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            StoreKind::SecretStore => write!(f, "SecretStore {}/{}", self.namespace, self.name),
            StoreKind::ClusterSecretStore => write!(f, "ClusterSecretStore {}", self.name),
        }
    }
}

impl std::str::FromStr for StoreRef {
    type Err = ();

    /// Reads what `Display` writes.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (kind, rest) = text.split_once(' ').ok_or(())?;
        match (kind, rest.split_once('/')) {
            ("SecretStore", Some((namespace, name))) => {
                Ok(Self { kind: StoreKind::SecretStore, namespace: namespace.to_owned(), name: name.to_owned() })
            }
            ("ClusterSecretStore", None) => {
                Ok(Self { kind: StoreKind::ClusterSecretStore, namespace: String::new(), name: rest.to_owned() })
            }
            _ => Err(()),
        }
    }
}

/// A store.
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    /// Which one.
    pub id: StoreRef,
    /// What answers for it.
    pub provider: Provider,
    /// Namespaces that may use it; all when empty. Only for the cluster kind.
    pub allowed: Vec<NamespaceRule>,
    /// Where it stands.
    pub place: Place,
}

/// Which namespaces may use a cluster store.
#[derive(Clone, Debug)]
pub enum NamespaceRule {
    /// This one.
    Name(String),
    /// Those that match.
    Pattern(regex::Regex),
}

impl PartialEq for NamespaceRule {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(a), Self::Name(b)) => a == b,
            (Self::Pattern(a), Self::Pattern(b)) => a.as_str() == b.as_str(),
            _ => false,
        }
    }
}

/// What answers for a store.
#[derive(Clone, Debug, PartialEq)]
pub enum Provider {
    /// Vault or OpenBao.
    Vault(Box<VaultStore>),
    /// Values that stand in the manifest itself, for trials: by key and version.
    Fake(BTreeMap<(String, String), FakeValue>),
}

/// A value of the fake provider.
#[derive(Clone, Debug, PartialEq)]
pub struct FakeValue(pub SecretJson);

/// Generations of the key-value store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvVersion {
    /// Without versions.
    V1,
    /// With versions.
    #[default]
    V2,
}

/// How Vault or OpenBao is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultStore {
    /// Address, such as `https://vault:8200`.
    pub server: String,
    /// Mount of the key-value store, when keys do not name it.
    pub mount: Option<String>,
    /// Its generation.
    pub version: KvVersion,
    /// Namespace at the server.
    pub namespace: Option<String>,
    /// Namespace at the server for the login, where it is another.
    pub login_namespace: Option<String>,
    /// PEM bundle that the server's certificate is checked against.
    pub ca_bundle: Option<Vec<u8>>,
    /// Where such a bundle stands, when it is not in the store itself.
    pub ca_provider: Option<CaProvider>,
    /// Headers of every request.
    pub headers: BTreeMap<String, String>,
    /// Whether reads wait for what was written before (`X-Vault-Index`).
    pub reads_own_writes: bool,
    /// Whether a standby that does not have it yet forwards a request (`X-Vault-Inconsistent`).
    pub forwards: bool,
    /// The certificate that is shown to the server on every connection.
    pub tls: Option<ClientCertificate>,
    /// How to log in.
    pub auth: VaultAuth,
}

/// How to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultAuth {
    /// With a token from a Secret.
    Token(SecretKeySelector),
    /// With a role and its secret id.
    AppRole {
        /// Mount of the auth method.
        mount: String,
        /// The role.
        role: RoleId,
        /// Where the secret id is.
        secret: SecretKeySelector,
    },
    /// With a token that the server shows to a cluster's API server (`kubernetes`), or checks by a public key (`jwt`).
    Signed {
        /// Mount of the auth method.
        mount: String,
        /// The role; empty for the method's default.
        role: String,
        /// Where the token comes from.
        token: TokenSource,
    },
    /// With a name and a password (`userPass`, `ldap`).
    Password {
        /// Mount of the auth method.
        mount: String,
        /// The name.
        username: String,
        /// Where the password is.
        password: SecretKeySelector,
    },
    /// With a client certificate.
    Certificate {
        /// Mount of the auth method.
        mount: String,
        /// The role; empty for whatever matches the certificate.
        role: String,
        /// The certificate and its key.
        identity: ClientCertificate,
    },
}

/// Where certificates of an authority stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaProvider {
    /// Namespace, name and key.
    pub at: SecretKeySelector,
    /// Whether that is a ConfigMap; else a Secret.
    pub is_config_map: bool,
}

impl CaProvider {
    /// The name under which credentials have the certificates: a ConfigMap is none of the Secrets.
    #[must_use]
    pub fn selector(&self) -> SecretKeySelector {
        let mut selector = self.at.clone();
        if self.is_config_map {
            selector.name = format!("{CONFIG_MAP}{}", selector.name);
        }
        selector
    }
}

/// What stands before the name of a ConfigMap among credentials.
pub const CONFIG_MAP: &str = "configmap/";

/// A certificate that this side shows, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Where the certificate is (PEM).
    pub certificate: SecretKeySelector,
    /// Where the key is (PEM).
    pub key: SecretKeySelector,
}

/// Where a signed token comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// A key of a Secret.
    Secret(SecretKeySelector),
    /// Made by the API server for an account.
    ServiceAccount {
        /// Namespace of the account.
        namespace: String,
        /// Its name.
        name: String,
        /// Who the token is for; the API server's own audience when empty.
        audiences: Vec<String>,
        /// How long it is good for, in seconds.
        life_s: u64,
    },
    /// The token of the broker's own pod.
    OwnPod,
}

impl TokenSource {
    /// The name under which credentials have the token of an account.
    #[must_use]
    pub fn selector(&self) -> Option<SecretKeySelector> {
        match self {
            Self::Secret(selector) => Some(selector.clone()),
            Self::ServiceAccount { namespace, name, audiences, .. } => Some(SecretKeySelector {
                namespace: namespace.clone(),
                name: format!("serviceaccount/{name}"),
                key: format!("token({})", audiences.join(",")),
            }),
            Self::OwnPod => None,
        }
    }
}

impl VaultStore {
    /// Every key of a Secret that the store needs, apart from tokens of accounts.
    #[must_use]
    pub fn selectors(&self) -> Vec<SecretKeySelector> {
        let mut all: Vec<SecretKeySelector> = match &self.auth {
            VaultAuth::Token(token) => vec![token.clone()],
            VaultAuth::AppRole { role: RoleId::Secret(role), secret, .. } => vec![role.clone(), secret.clone()],
            VaultAuth::AppRole { secret, .. } => vec![secret.clone()],
            VaultAuth::Signed { token: TokenSource::Secret(token), .. } => vec![token.clone()],
            VaultAuth::Signed { .. } => Vec::new(),
            VaultAuth::Password { password, .. } => vec![password.clone()],
            VaultAuth::Certificate { identity, .. } => vec![identity.certificate.clone(), identity.key.clone()],
        };
        all.extend(self.tls.iter().flat_map(|tls| [tls.certificate.clone(), tls.key.clone()]));
        all.extend(self.ca_provider.iter().map(CaProvider::selector));
        all
    }

    /// The account whose token the login needs, if it does.
    #[must_use]
    pub fn account(&self) -> Option<&TokenSource> {
        match &self.auth {
            VaultAuth::Signed { token: token @ TokenSource::ServiceAccount { .. }, .. } => Some(token),
            _ => None,
        }
    }
}

/// The role of an AppRole login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleId {
    /// As written in the store.
    Literal(String),
    /// From a Secret.
    Secret(SecretKeySelector),
}

/// One key of a Secret that holds credentials.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretKeySelector {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Key.
    pub key: String,
}

impl fmt::Display for SecretKeySelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key `{}` of Secret {}/{}", self.key, self.namespace, self.name)
    }
}

/// An ExternalSecret.
#[derive(Clone, Debug)]
pub struct ExternalSecret {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// When it is read again.
    pub refresh: RefreshPolicy,
    /// When it may be fetched again; at any time when `None`.
    pub windows: Option<SyncWindows>,
    /// Single keys.
    pub data: Vec<DataItem>,
    /// Whole secrets.
    pub extracts: Vec<Extract>,
    /// What is written.
    pub target: TargetRef,
    /// Hash of the specification and of what is marked on the manifest, by which a change is seen.
    pub fingerprint: String,
    /// Where it stands.
    pub place: Place,
}

impl ExternalSecret {
    /// `ExternalSecret default/db`.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("ExternalSecret {}/{}", self.namespace, self.name)
    }

    /// Every store reference in it.
    pub fn store_refs(&self) -> impl Iterator<Item = &StoreRef> {
        self.data.iter().map(|item| &item.store).chain(self.extracts.iter().map(|extract| &extract.store))
    }
}

/// When an external secret is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshPolicy {
    /// After this long, and when its manifest changes. Zero: never again once synced.
    Periodic(Duration),
    /// Only when its target has never been written.
    CreatedOnce,
    /// Only when its manifest changes.
    OnChange,
}

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetRef {
    /// Name of the Secret.
    pub name: String,
    /// Who makes it.
    pub creation: CreationPolicy,
    /// What happens when the store has the secret no more.
    pub deletion: DeletionPolicy,
    /// Whether its content never changes once written.
    pub immutable: bool,
    /// Type of the Secret.
    pub secret_type: String,
    /// What its content looks like; as it was fetched when `None`.
    pub template: Option<TargetTemplate>,
}

/// The template of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetTemplate {
    /// A template for each key.
    pub data: BTreeMap<String, String>,
    /// Templates that make keys and values, as YAML.
    pub literals: Vec<Literal>,
    /// A template for each label.
    pub labels: BTreeMap<String, String>,
    /// A template for each annotation.
    pub annotations: BTreeMap<String, String>,
    /// Whether what was fetched stays beside what templates make.
    pub merge: bool,
    /// Type of the Secret.
    pub secret_type: Option<String>,
}

/// A template that makes keys and values for one part of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal {
    /// What it fills.
    pub part: SecretPart,
    /// The template.
    pub text: String,
}

/// What a template may fill of a Secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretPart {
    /// Its content.
    Data,
    /// Its labels.
    Labels,
    /// Its annotations.
    Annotations,
}

impl SecretPart {
    /// The part that a manifest names, in letters of either case; the content when it names none.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "" | "data" => Some(Self::Data),
            "labels" => Some(Self::Labels),
            "annotations" => Some(Self::Annotations),
            _ => None,
        }
    }
}

/// Who makes the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CreationPolicy {
    /// Made here, and removed with its manifest.
    #[default]
    Owner,
    /// Made here, and left when its manifest goes.
    Orphan,
}

/// What happens when the store has the secret no more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// The target stays, and the sync fails.
    #[default]
    Retain,
    /// The target goes when nothing of it is left.
    Delete,
    /// The keys that are gone go.
    Merge,
}

/// One key.
#[derive(Clone, Debug)]
pub struct DataItem {
    /// Key in the target.
    pub key: String,
    /// Store.
    pub store: StoreRef,
    /// What to read.
    pub remote: RemoteRef,
}

/// A whole secret, key by key.
#[derive(Clone, Debug)]
pub struct Extract {
    /// Store.
    pub store: StoreRef,
    /// What to read.
    pub remote: RemoteRef,
    /// How its keys are renamed; conversion happens only when there is nothing here.
    pub rewrites: Vec<Rewrite>,
}

/// What to read at a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteRef {
    /// Path.
    pub path: String,
    /// Part of it; the whole when `None`.
    pub property: Option<String>,
    /// Version; the newest when `None`.
    pub version: Option<String>,
    /// Decoding of values.
    pub decoding: DecodingStrategy,
    /// Conversion of keys.
    pub conversion: ConversionStrategy,
}
