//! The embedded source of workloads: a folder of manifests, as static pods are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bus::{Class, Outgoing, Publisher};
use kubernetes::manifests::{self, Listing, objects};
use kubernetes::pod::namespace;
use model::{Fault, FaultKind, Identity, PodUid};
use schemas::Token;
use schemas::deploy::v1::{AdmittedImage, PodCreated};
use serde_json::Value;
use service::Context;
use tracing::Instrument as _;

use crate::facts::Facts;

/// Follows a folder of manifests and publishes each pod once.
#[derive(Clone, Debug)]
pub(crate) struct Manifests;

impl Manifests {
    /// Starts following `folder`; does nothing without one.
    pub(crate) fn watch(context: &Context, folder: Option<&Path>, facts: Facts, publisher: Publisher) -> Self {
        if let Some(folder) = folder {
            let watcher = Watcher {
                folder: folder.to_owned(),
                pods: Pods::new(facts.clone(), publisher),
                facts,
                context: context.clone(),
            };
            context.spawn_vital("manifests", watcher.run());
        }
        Self
    }
}

struct Watcher {
    folder: PathBuf,
    facts: Facts,
    pods: Pods,
    context: Context,
}

impl Watcher {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut before: Option<Listing> = None;
        loop {
            match manifests::list(&self.folder) {
                Ok(listing) if before.as_ref() != Some(&listing) => {
                    self.load(&listing).await;
                    before = Some(listing);
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(folder = %self.folder.display(), %error, "manifests cannot be listed"),
            }
            tokio::select! {
                () = self.context.shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
        }
    }

    async fn load(&mut self, listing: &Listing) {
        let (texts, unreadable) = listing.read();
        let mut faults: Vec<Fault> = unreadable
            .iter()
            .map(|(name, error)| Fault::new(FaultKind::Invalid, name, format!("unreadable: {error}")))
            .collect();
        let (mut namespaces, mut config_maps) = (BTreeMap::new(), BTreeMap::new());
        for (name, text) in &texts {
            for object in objects(name, text, &mut faults) {
                let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
                match kind {
                    "Pod" => faults.extend(self.pods.publish(&object, name).await.err()),
                    "Namespace" => drop(namespaces.insert(text_at(&object, "/metadata/name"), labels(&object))),
                    "ConfigMap" => {
                        let key = format!("{}/{}", namespace(&object), text_at(&object, "/metadata/name"));
                        config_maps.insert(key, object);
                    }
                    other => faults.push(
                        Fault::new(FaultKind::Unsupported, name, format!("kind `{other}` in the manifests folder"))
                            .cure("put Pod, Namespace and ConfigMap manifests here"),
                    ),
                }
            }
        }
        self.facts.set_cluster(namespaces, config_maps);
        self.context.faults.replace("manifests", faults);
    }
}

/// Publishes each pod once.
pub(crate) struct Pods {
    facts: Facts,
    publisher: Publisher,
    seen: BTreeSet<PodUid>,
}

impl Pods {
    pub(crate) fn new(facts: Facts, publisher: Publisher) -> Self {
        Self { facts, publisher, seen: BTreeSet::new() }
    }

    /// Forgets pods that are gone, so that memory does not grow with every pod there ever was.
    pub(crate) fn forget_all_but<'p>(&mut self, pods: impl Iterator<Item = &'p Value>) {
        let uid = |pod: &Value| pod.pointer("/metadata/uid").and_then(Value::as_str).and_then(|uid| uid.parse().ok());
        let there: BTreeSet<PodUid> = pods.filter_map(uid).collect();
        self.seen.retain(|uid| there.contains(uid));
    }

    /// Publishes a pod unless that was done.
    ///
    /// # Errors
    /// When the object is no pod.
    pub(crate) async fn publish(&mut self, object: &Value, file: &str) -> Result<(), Fault> {
        let Some(spec) = kubernetes::pod::spec(object) else {
            return Err(Fault::new(FaultKind::Invalid, file, "pod without `spec`"));
        };
        let Some(identity) = self.identity(object, spec) else {
            let fault = Fault::new(FaultKind::Invalid, file, "pod with a malformed `metadata.uid`");
            return Err(fault.cure("use a lower-case UUID"));
        };
        let Some(uid) = identity.pod_uid.clone().filter(|uid| self.seen.insert(uid.clone())) else { return Ok(()) };
        let image = |container: kubernetes::pod::Container<'_>| AdmittedImage {
            container: container.name.to_owned(),
            reference: container.image.to_owned(),
            digest: self.facts.digest(container.image),
        };
        let data = PodCreated {
            images: kubernetes::pod::containers(spec).into_iter().map(image).collect(),
            secrets: kubernetes::pod::secrets(spec).into_keys().map(str::to_owned).collect(),
            labels: labels(object),
            node: text_at(spec, "/nodeName"),
        };
        let key = Token::from(&uid);
        // Every replica tells of every pod of a cluster; it is one event.
        let created = object.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
        let id = created.and_then(|created| Some(bus::named_id(created.parse().ok()?, &format!("pod {uid}"))));
        let outgoing = Outgoing { time: service::now(), key, identity, class: Class::Normal, id, data };
        // The pod goes on in the trace of its admission.
        let span = tracing::info_span!("pod", %uid);
        bus::adopt_traceparent(&span, annotation(object, kubernetes::keys::TRACEPARENT));
        if let Err(error) = self.publisher.publish(outgoing).instrument(span).await {
            tracing::error!(%error, pod = %uid, "pod was not published");
        }
        Ok(())
    }

    fn identity(&self, object: &Value, spec: &Value) -> Option<Identity> {
        let first = kubernetes::pod::containers(spec).into_iter().last();
        let admission = annotation(object, kubernetes::keys::ADMISSION_ID);
        let account = spec.get("serviceAccountName").and_then(Value::as_str);
        Some(Identity {
            image_digest: first.as_ref().and_then(|container| self.facts.digest(container.image)),
            image: first.map(|container| container.image.to_owned()),
            admission_id: admission.and_then(|id| id.parse().ok()),
            pod_uid: Some(kubernetes::pod::uid(object)?),
            pod_name: Some(text_at(object, "/metadata/name")),
            namespace: Some(namespace(object).to_owned()),
            workload: kubernetes::pod::workload(object),
            service_account: account.map(str::to_owned),
            ..Identity::default()
        })
    }
}

fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.pointer("/metadata/annotations")?.get(key)?.as_str()
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let pair = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    labels.into_iter().flatten().filter_map(pair).collect()
}

fn text_at(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
