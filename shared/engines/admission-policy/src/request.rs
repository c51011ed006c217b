//! What is to be judged: one admission review, or a stored resource looked at in the background.

use std::fmt;

use model::Timestamp;
use serde_json::{Map, Value, json};

/// Group, version and kind of a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind, in the singular as written in manifests.
    pub kind: String,
}

impl GroupVersionKind {
    /// Reads `apiVersion` and `kind` of a manifest.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        let text = |key| object.get(key).and_then(Value::as_str).unwrap_or_default();
        let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
        Self { group: group.to_owned(), version: version.to_owned(), kind: text("kind").to_owned() }
    }

    /// `apiVersion` as manifests write it.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// The operation of a review.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// A new resource.
    #[default]
    Create,
    /// A changed resource.
    Update,
    /// A resource that goes away.
    Delete,
    /// A connection, such as exec.
    Connect,
}

impl Operation {
    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }

    /// Reads the word of the API.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Create, Self::Update, Self::Delete, Self::Connect]
            .into_iter()
            .find(|operation| operation.as_str() == word)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UserInfo {
    /// `system:serviceaccount:ns:name` for service accounts.
    pub username: String,
    /// Unique id of the user.
    pub uid: String,
    /// Groups of the user.
    pub groups: Vec<String>,
    /// Further attributes, as sent.
    pub extra: Option<Value>,
}

impl UserInfo {
    fn from_json(value: &Value) -> Self {
        let text = |key| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let extra = value.get("extra").filter(|extra| !extra.is_null()).cloned();
        Self { username: text("username"), uid: text("uid"), groups: texts(value.get("groups")), extra }
    }

    pub(crate) fn to_json(&self) -> Value {
        let mut out = Map::new();
        let mut put = |key: &str, value: &str| {
            if !value.is_empty() {
                out.insert(key.to_owned(), Value::from(value));
            }
        };
        put("username", &self.username);
        put("uid", &self.uid);
        if !self.groups.is_empty() {
            out.insert("groups".to_owned(), json!(self.groups));
        }
        if let Some(extra) = &self.extra {
            out.insert("extra".to_owned(), extra.clone());
        }
        Value::Object(out)
    }
}

/// One request to judge.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Unique id of the review.
    pub uid: String,
    /// What is asked.
    pub operation: Operation,
    /// Kind of the object.
    pub kind: GroupVersionKind,
    /// Plural resource name, when known. With a subresource, the resource that it belongs to.
    pub resource: String,
    /// API group and version of the resource, where they are not those of the kind: a `Scale` is of `autoscaling`, the
    /// deployment that it is about of `apps`.
    pub resource_api: Option<(String, String)>,
    /// Subresource, such as `status` or `exec`; empty for the resource itself.
    pub subresource: String,
    /// Name of the object; may be empty when it is generated.
    pub name: String,
    /// Namespace of the object; empty for cluster-wide ones.
    pub namespace: String,
    /// The object after the operation. `None` leaves `request.object` undefined, `Some(Null)` is the API server's null.
    pub object: Option<Value>,
    /// The object before the operation.
    pub old_object: Option<Value>,
    /// Who asks.
    pub user: UserInfo,
    /// `namespace:name` of the roles bound to the user.
    pub roles: Vec<String>,
    /// Names of the cluster roles bound to the user.
    pub cluster_roles: Vec<String>,
    /// The request is a rehearsal.
    pub dry_run: bool,
    /// Options of the operation, as sent.
    pub options: Option<Value>,
    /// When the request came in; the only clock the evaluation knows.
    pub received_at: Option<Timestamp>,
    /// The resource is looked at in the background: nobody asks.
    pub background: bool,
    /// With `background`: the operation counts all the same. Reports judge what is there as if it were created now.
    pub creating: bool,
    /// Whoever writes what policies generate and change asks: rules and policies leave that out, unless they say otherwise
    /// (`skipBackgroundRequests: false`).
    pub by_controller: bool,
}

/// Why a review could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewError {
    /// No `request` object.
    #[error("the review has no `request`")]
    NoRequest,
    /// The operation is not one of the API's.
    #[error("unknown operation `{0}`")]
    UnknownOperation(String),
    /// No kind.
    #[error("`request.kind.kind` is missing")]
    NoKind,
}

impl Request {
    /// Reads the `request` of an `AdmissionReview` (v1 or v1beta1).
    ///
    /// # Errors
    /// When the review has no request, no kind, or an unknown operation.
    pub fn from_review(review: &Value) -> Result<Self, ReviewError> {
        let request = review.get("request").filter(|request| request.is_object()).ok_or(ReviewError::NoRequest)?;
        let text = |key: &str| request.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let word = text("operation");
        let operation = Operation::parse(&word).ok_or(ReviewError::UnknownOperation(word))?;
        let part = |pointer: &str| request.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind =
            GroupVersionKind { group: part("/kind/group"), version: part("/kind/version"), kind: part("/kind/kind") };
        if kind.kind.is_empty() {
            return Err(ReviewError::NoKind);
        }
        let api = (part("/resource/group"), part("/resource/version"));
        let is_foreign = !api.1.is_empty() && (&api.0, &api.1) != (&kind.group, &kind.version);
        Ok(Self {
            uid: text("uid"),
            operation,
            kind,
            resource: part("/resource/resource"),
            resource_api: is_foreign.then_some(api),
            subresource: text("subResource"),
            name: text("name"),
            namespace: text("namespace"),
            object: Some(request.get("object").cloned().unwrap_or_default()),
            old_object: Some(request.get("oldObject").cloned().unwrap_or_default()),
            user: request.get("userInfo").map(UserInfo::from_json).unwrap_or_default(),
            roles: texts(request.get("roles")),
            cluster_roles: texts(request.get("clusterRoles")),
            dry_run: request.get("dryRun").and_then(Value::as_bool).unwrap_or(false),
            options: request.get("options").filter(|options| !options.is_null()).cloned(),
            received_at: None,
            background: false,
            creating: false,
            by_controller: false,
        })
    }

    /// A request to create `object`, as the command line and background scans make it.
    #[must_use]
    pub fn create(object: Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            kind: GroupVersionKind::of(&object),
            name: text("/metadata/name"),
            namespace: text("/metadata/namespace"),
            object: Some(object),
            ..Self::default()
        }
    }

    /// The object that is judged: the new one, or for a deletion the old one.
    #[must_use]
    pub fn subject(&self) -> &Value {
        const NOTHING: &Value = &Value::Null;
        let there = |object: &'_ &Value| object.is_object();
        self.object.as_ref().filter(there).or(self.old_object.as_ref().filter(there)).unwrap_or(NOTHING)
    }

    /// Whether there is no operation, and rules about some operation are about all of them.
    pub(crate) fn is_unasked(&self) -> bool {
        self.background && !self.creating
    }

    /// API group and version of the resource.
    pub(crate) fn api(&self) -> (&str, &str) {
        match &self.resource_api {
            Some((group, version)) => (group, version),
            None => (&self.kind.group, &self.kind.version),
        }
    }

    /// The kind whose rules can be about the request; `None` when it is about a subresource, whose object is mostly of a kind
    /// that no rule names.
    pub(crate) fn indexed_kind(&self) -> Option<&str> {
        self.subresource.is_empty().then_some(&self.kind.kind)
    }

    /// The fields of `request` as policies see it; the object, where there is one, has its place among them, and is not
    /// there itself.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        let GroupVersionKind { group, version, kind } = &self.kind;
        let kind = json!({"group": group, "version": version, "kind": kind});
        let (group, version) = self.api();
        let resource = json!({"group": group, "version": version, "resource": self.resource});
        let mut out = Map::with_capacity(16);
        let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
        put("uid", Value::from(self.uid.as_str()));
        put("kind", kind.clone());
        put("resource", resource.clone());
        put("requestKind", kind);
        put("requestResource", resource);
        put("name", Value::from(self.name.as_str()));
        put("namespace", Value::from(self.namespace.as_str()));
        if !self.subresource.is_empty() {
            put("subResource", Value::from(self.subresource.as_str()));
            put("requestSubResource", Value::from(self.subresource.as_str()));
        }
        if !self.is_unasked() {
            put("operation", Value::from(self.operation.as_str()));
        }
        if self.has_user() {
            put("userInfo", self.user.to_json());
            put("roles", json!(self.roles));
            put("clusterRoles", json!(self.cluster_roles));
        }
        put("dryRun", Value::Bool(self.dry_run));
        if self.object.is_some() {
            put("object", Value::Null);
        }
        for (key, value) in [("oldObject", &self.old_object), ("options", &self.options)] {
            if let Some(value) = value {
                put(key, value.clone());
            }
        }
        out
    }

    /// Whether anybody is known to ask; without, conditions on users are left out of a match.
    pub(crate) fn has_user(&self) -> bool {
        !(self.user == UserInfo::default() && self.roles.is_empty() && self.cluster_roles.is_empty())
    }
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
