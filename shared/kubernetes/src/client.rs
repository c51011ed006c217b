//! The connection to an API server: requests by path, server-side apply, deletion. Objects are JSON.

use std::path::Path;
use std::time::Duration;

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;

/// A connection to a cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: kube::Client,
    namespace: String,
    url: String,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("url", &self.url).field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// A kind of object, as the API names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    /// API group; empty for the core.
    pub group: String,
    /// Version: `v1`.
    pub version: String,
    /// Kind: `ConfigMap`.
    pub kind: String,
    /// Plural name in paths: `configmaps`.
    pub plural: String,
}

impl Resource {
    /// A kind by the four names.
    #[must_use]
    pub fn new(group: &str, version: &str, kind: &str, plural: &str) -> Self {
        Self { group: group.into(), version: version.into(), kind: kind.into(), plural: plural.into() }
    }

    /// `group/version`, or the version alone in the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Path of an object, or of all where `name` is empty; `namespace` is empty for what lies in none and for all of them.
    #[must_use]
    pub fn path(&self, namespace: &str, name: &str) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let mut path = format!("{root}/{}", self.api_version());
        for part in [if namespace.is_empty() { "" } else { "namespaces" }, namespace, &self.plural, name] {
            if !part.is_empty() {
                path.push('/');
                path.push_str(part);
            }
        }
        path
    }

    pub(crate) fn api(&self) -> ApiResource {
        let kind = GroupVersionKind::gvk(&self.group, &self.version, &self.kind);
        ApiResource::from_gvk_with_plural(&kind, &self.plural)
    }
}

impl Cluster {
    /// Connects by a kubeconfig file; without one, by the service account of the pod, else by the user's own kubeconfig.
    /// Nothing is asked of the server yet.
    ///
    /// # Errors
    /// When no configuration is found or it cannot be used.
    pub async fn connect(kubeconfig: Option<&Path>) -> Result<Self, ClusterError> {
        Self::connect_by(kubeconfig, None).await
    }

    /// As [`Self::connect`], by another context of the kubeconfig than its current one.
    ///
    /// # Errors
    /// When no configuration is found, it has no such context, or it cannot be used.
    pub async fn connect_by(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<Self, ClusterError> {
        let unusable = |source: Box<dyn std::error::Error + Send + Sync>| ClusterError::Configuration { source };
        let file = match (kubeconfig, context) {
            (Some(path), _) => Some(Kubeconfig::read_from(path)),
            (None, Some(_)) => Some(Kubeconfig::read()),
            (None, None) => None,
        };
        let file = file.transpose().map_err(|error| unusable(Box::new(error)))?;
        let mut config = match file {
            Some(file) => {
                let options = KubeConfigOptions { context: context.map(str::to_owned), ..Default::default() };
                kube::Config::from_custom_kubeconfig(file, &options).await.map_err(|error| unusable(Box::new(error)))?
            }
            None => kube::Config::infer().await.map_err(|error| unusable(Box::new(error)))?,
        };
        config.connect_timeout = Some(Duration::from_secs(5));
        // A watch is quiet for as long as nothing happens.
        config.read_timeout = None;
        let (namespace, url) = (config.default_namespace.clone(), config.cluster_url.to_string());
        let client = kube::Client::try_from(config).map_err(|error| unusable(Box::new(error)))?;
        Ok(Self { client, namespace, url })
    }

    /// The namespace that this process runs in, or that the kubeconfig names.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Address of the API server.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `GET` of a path with its query. `None` where the server has nothing.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn get(&self, path: &str) -> Result<Option<Value>, ClusterError> {
        let request = http::Request::get(path).body(Vec::new());
        self.send("GET", path, request).await
    }

    /// `POST` of an object or a review to a path.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Option<Value>, ClusterError> {
        let body = serde_json::to_vec(body).unwrap_or_default();
        let request = http::Request::post(path).header("content-type", "application/json").body(body);
        self.send("POST", path, request).await
    }

    /// `PUT` of an object to its path, in place of what is there.
    ///
    /// # Errors
    /// When the server refuses, somebody else changed the object meanwhile, or it does not answer.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Option<Value>, ClusterError> {
        let body = serde_json::to_vec(body).unwrap_or_default();
        let request = http::Request::put(path).header("content-type", "application/json").body(body);
        self.send("PUT", path, request).await
    }

    /// `PATCH` of an object with the operations of a JSON patch. `None` where the server has no such object.
    ///
    /// # Errors
    /// When the server refuses, a `test` of the patch fails, or nobody answers.
    pub async fn patch(&self, path: &str, operations: &Value) -> Result<Option<Value>, ClusterError> {
        let body = serde_json::to_vec(operations).unwrap_or_default();
        let request = http::Request::patch(path).header("content-type", "application/json-patch+json").body(body);
        self.send("PATCH", path, request).await
    }

    /// The resource of a kind, and whether its objects lie in namespaces. `None` where the server has no such kind.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn resource_of(&self, api_version: &str, kind: &str) -> Result<Option<(Resource, bool)>, ClusterError> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{api_version}") };
        let Some(list) = self.get(&path).await? else { return Ok(None) };
        let is_it = |resource: &&Value| {
            let text = |key: &str| resource.get(key).and_then(Value::as_str).unwrap_or_default();
            text("kind") == kind && !text("name").contains('/')
        };
        let resources = list.get("resources").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Ok(resources.iter().find(is_it).map(|resource| {
            let plural = resource.get("name").and_then(Value::as_str).unwrap_or_default();
            let namespaced = resource.get("namespaced").and_then(Value::as_bool).unwrap_or(false);
            (Resource::new(group, version, kind, plural), namespaced)
        }))
    }

    async fn send(
        &self,
        method: &'static str,
        path: &str,
        request: Result<http::Request<Vec<u8>>, http::Error>,
    ) -> Result<Option<Value>, ClusterError> {
        let place = || format!("{method} {path}");
        let request = request.map_err(|error| ClusterError::Request { place: place(), source: Box::new(error) })?;
        match self.client.request::<Value>(request).await {
            Ok(value) => Ok(Some(value)),
            Err(error) => refused(error, place()),
        }
    }

    /// Applies an object for `manager` (server-side apply, its fields taken over from others), and gives it as the server has it.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn apply(&self, resource: &Resource, object: &Value, manager: &str) -> Result<Value, ClusterError> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let params = PatchParams::apply(manager).force();
        let applied = self.objects(resource, namespace).patch(name, &params, &Patch::Apply(object)).await;
        let place = || format!("apply {} {namespace}/{name}", resource.kind);
        let applied = applied.map_err(|error| ClusterError::Request { place: place(), source: Box::new(error) })?;
        serde_json::to_value(&applied)
            .map_err(|error| ClusterError::Request { place: place(), source: Box::new(error) })
    }

    /// As [`Self::apply`], but what the server has of it does not come back, apart from its new version (`resourceVersion`): contents,
    /// such as those of Secrets, need not cross the line twice.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn apply_quietly(
        &self,
        resource: &Resource,
        object: &Value,
        manager: &str,
    ) -> Result<String, ClusterError> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let params = PatchParams::apply(manager).force();
        match self.objects(resource, namespace).patch_metadata(name, &params, &Patch::Apply(object)).await {
            Ok(applied) => Ok(applied.metadata.resource_version.unwrap_or_default()),
            Err(error) => {
                let place = format!("apply {} {namespace}/{name}", resource.kind);
                Err(ClusterError::Request { place, source: Box::new(error) })
            }
        }
    }

    /// Applies the status of an object for `manager`. `None` when the object is gone.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn apply_status(
        &self,
        resource: &Resource,
        object: &Value,
        manager: &str,
    ) -> Result<Option<Value>, ClusterError> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let params = PatchParams::apply(manager).force();
        match self.objects(resource, namespace).patch_status(name, &params, &Patch::Apply(object)).await {
            Ok(applied) => Ok(serde_json::to_value(&applied).ok()),
            Err(error) => refused(error, format!("apply the status of {} {namespace}/{name}", resource.kind)),
        }
    }

    /// Deletes an object; one that is gone is no error.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn delete(&self, resource: &Resource, namespace: &str, name: &str) -> Result<(), ClusterError> {
        let gone = self.objects(resource, namespace).delete(name, &kube::api::DeleteParams::default()).await;
        match gone {
            Ok(_) => Ok(()),
            Err(error) => refused(error, format!("delete {} {namespace}/{name}", resource.kind)).map(drop),
        }
    }

    /// Deletes an object as it was read: another one of its name that was made since stays. `propagation` is `Foreground`,
    /// `Background`, `Orphan`, or empty for the server's own choice. Whether there was anything to delete.
    ///
    /// # Errors
    /// When the server refuses or does not answer.
    pub async fn delete_exactly(
        &self,
        resource: &Resource,
        object: &Value,
        propagation: &str,
    ) -> Result<bool, ClusterError> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let mut options = serde_json::json!({ "kind": "DeleteOptions", "apiVersion": "v1" });
        if !propagation.is_empty() {
            options["propagationPolicy"] = propagation.into();
        }
        if !text("/metadata/uid").is_empty() {
            options["preconditions"] = serde_json::json!({ "uid": text("/metadata/uid") });
        }
        let path = resource.path(text("/metadata/namespace"), text("/metadata/name"));
        let body = serde_json::to_vec(&options).unwrap_or_default();
        let request = http::Request::delete(&path).header("content-type", "application/json").body(body);
        match self.send("DELETE", &path, request).await {
            Ok(answer) => Ok(answer.is_some()),
            // Another object has its name now.
            Err(ClusterError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Some hundred objects of a kind, each with its API version and kind, which lists leave out, and the token for the next ones;
    /// empty at the end. `labels` (`key=value`) selects some of them.
    ///
    /// # Errors
    /// When the server refuses or does not answer, or has forgotten the token.
    pub async fn page(
        &self,
        resource: &Resource,
        (namespace, labels): (&str, &str),
        token: &str,
    ) -> Result<(Vec<Value>, String), ClusterError> {
        let path = page_path(resource, (namespace, labels), token);
        let list = self.get(&path).await?.unwrap_or_default();
        let mut items = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        for fields in items.iter_mut().filter_map(Value::as_object_mut) {
            fields.insert("apiVersion".to_owned(), resource.api_version().into());
            fields.insert("kind".to_owned(), resource.kind.as_str().into());
        }
        Ok((items, next_token(&list)))
    }

    /// As [`Self::page`], but the server sends only `metadata` of each.
    ///
    /// # Errors
    /// As [`Self::page`].
    pub async fn page_of_heads(
        &self,
        resource: &Resource,
        (namespace, labels): (&str, &str),
        token: &str,
    ) -> Result<(Vec<Value>, String), ClusterError> {
        let path = page_path(resource, (namespace, labels), token);
        let request = http::Request::get(&path).header("accept", HEADS).body(Vec::new());
        let list = self.send("GET", &path, request).await?.unwrap_or_default();
        let items = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        Ok((items, next_token(&list)))
    }

    pub(crate) fn objects(&self, resource: &Resource, namespace: &str) -> Api<DynamicObject> {
        let api = resource.api();
        match namespace {
            "" => Api::all_with(self.client.clone(), &api),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &api),
        }
    }
}

/// Lists of metadata alone.
const HEADS: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// Where the next objects of a list are.
fn page_path(resource: &Resource, (namespace, labels): (&str, &str), token: &str) -> String {
    let mut path = format!("{}?limit=500", resource.path(namespace, ""));
    for (name, value) in [("continue", token), ("labelSelector", labels)] {
        if !value.is_empty() {
            path.push_str(&format!("&{name}={}", encoded(value)));
        }
    }
    path
}

fn next_token(list: &Value) -> String {
    list.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A value as it stands in a query.
fn encoded(value: &str) -> String {
    let one = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    value.bytes().map(one).collect()
}

/// What is not found is nothing; everything else that the server or the line says is an error.
fn refused(error: kube::Error, place: String) -> Result<Option<Value>, ClusterError> {
    match error {
        kube::Error::Api(status) if status.code == 404 => Ok(None),
        kube::Error::Api(status) if status.code == 409 => Err(ClusterError::Conflict { place }),
        error => Err(ClusterError::Request { place, source: Box::new(error) }),
    }
}

/// The cluster cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// There is no configuration, or none that can be used.
    #[error("no usable kubeconfig or service account: set `kubeconfig`, or run in a pod")]
    Configuration {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The object was changed by another at the same time.
    #[error("{place}: changed by another at the same time")]
    Conflict {
        /// What was asked.
        place: String,
    },
    /// The server refuses, or does not answer.
    #[error("{place} failed")]
    Request {
        /// What was asked.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ClusterError {
    /// The whole chain in one line; what the server itself said, in its words.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut said = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(source) = next {
            if let Some(kube::Error::Api(status)) = source.downcast_ref() {
                return format!("{said}: {} ({})", status.message, status.code);
            }
            let text = source.to_string();
            // Some errors repeat what is below them.
            if !said.contains(&text) {
                said = format!("{said}: {text}");
            }
            next = source.source();
        }
        said
    }
}
