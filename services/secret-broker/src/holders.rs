//! Who holds what: pods of a folder, joined with what was synced.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kubernetes::manifests::{self, Listing, objects};
use model::{Fault, FaultKind, Identity, PodUid, SecretRef};
use schemas::ask::{RotateHolder, RotateOutcome};
use schemas::start::v1::SecretDelivered;
use serde_json::Value;

/// The pods, and what each was handed last.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    before: Option<Listing>,
    pods: BTreeMap<PodUid, Pod>,
    delivered: BTreeMap<(PodUid, String), Vec<SecretRef>>,
}

/// A pod that holds a target.
#[derive(Clone, Debug)]
pub(crate) struct Holder {
    /// Its uid.
    pub(crate) uid: PodUid,
    /// Its namespace, which is the target's.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// The target.
    pub(crate) target: String,
    /// Ways by which it refers to it.
    pub(crate) by: Vec<String>,
    /// Whether something makes a new one when it goes.
    pub(crate) has_controller: bool,
}

impl Holder {
    /// Whether it holds the version that it started with: variables never change.
    pub(crate) fn keeps(&self) -> bool {
        self.by.iter().any(|way| !matches!(way.as_str(), "volume" | "projected"))
    }

    /// What was done about it, for who asked.
    pub(crate) fn with(self, outcome: RotateOutcome, reason: &str) -> RotateHolder {
        let Self { uid, namespace, name, target, by, .. } = self;
        RotateHolder { pod_uid: uid, namespace, name, target, by, outcome, reason: reason.to_owned() }
    }
}

/// A pod, as far as it matters who holds what.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pod {
    uid: PodUid,
    identity: Identity,
    namespace: String,
    /// Ways by which each Secret is referred to.
    secrets: BTreeMap<String, BTreeSet<&'static str>>,
}

impl Holders {
    /// Reads the folder if it changed; faults are those of pods alone, since other kinds are for other services.
    pub(crate) fn changed(&mut self, folder: &Path) -> Option<Vec<Fault>> {
        let listing = manifests::list(folder)
            .inspect_err(|error| tracing::warn!(folder = %folder.display(), %error, "pods cannot be listed"))
            .ok()?;
        if self.before.as_ref() == Some(&listing) {
            return None;
        }
        let mut faults = Vec::new();
        let mut pods = BTreeMap::new();
        for (name, text) in listing.read().0 {
            for object in objects(&name, &text, &mut faults) {
                if object.get("kind").and_then(Value::as_str) == Some("Pod") {
                    match pod(&object) {
                        Some(pod) => drop(pods.insert(pod.uid.clone(), pod)),
                        None => faults.push(
                            Fault::new(
                                FaultKind::Invalid,
                                &name,
                                "pod without `spec`, or with a malformed `metadata.uid`",
                            )
                            .cure("complete the manifest"),
                        ),
                    }
                }
            }
        }
        self.delivered.retain(|(uid, _), _| pods.contains_key(uid));
        (self.pods, self.before) = (pods, Some(listing));
        Some(faults)
    }

    /// Takes the pods of a cluster; gives how many were left out because they are malformed.
    pub(crate) fn replace<'p>(&mut self, pods: impl Iterator<Item = Option<&'p Pod>>) -> usize {
        let mut left_out = 0_usize;
        self.pods.clear();
        for pod in pods {
            match pod {
                // Most pods hold none of them.
                Some(pod) if pod.secrets.is_empty() => {}
                Some(pod) => drop(self.pods.insert(pod.uid.clone(), pod.clone())),
                None => left_out = left_out.saturating_add(1),
            }
        }
        let pods = &self.pods;
        self.delivered.retain(|(uid, _), _| pods.contains_key(uid));
        left_out
    }

    /// The pods that hold a target.
    pub(crate) fn of(&self, namespace: &str, target: &str) -> Vec<Holder> {
        let is_here = |(_, pod): &(&PodUid, &Pod)| pod.namespace == namespace;
        let holder = |(uid, pod): (&PodUid, &Pod)| {
            let by = pod.secrets.get(target)?.iter().map(|way| (*way).to_owned()).collect();
            let name = pod.identity.pod_name.clone().unwrap_or_default();
            let workload = pod.identity.workload.as_ref();
            let has_controller = workload.is_some_and(|workload| workload.kind != "Pod");
            let (namespace, target) = (namespace.to_owned(), target.to_owned());
            Some(Holder { uid: uid.clone(), namespace, name, target, by, has_controller })
        };
        self.pods.iter().filter(is_here).filter_map(holder).collect()
    }

    /// What is delivered now that `sources_of` says what stands in each target: to new pods everything, to others what they see change.
    pub(crate) fn deliver(
        &mut self,
        sources_of: impl Fn(&str, &str) -> Option<Vec<SecretRef>>,
    ) -> Vec<(PodUid, Identity, SecretDelivered)> {
        let mut deliveries = Vec::new();
        for (uid, pod) in &self.pods {
            for (target, ways) in &pod.secrets {
                let Some(sources) = sources_of(&pod.namespace, target) else { continue };
                let held = self.delivered.get(&(uid.clone(), target.clone()));
                // A variable keeps the version that the pod started with; a volume follows.
                let is_shown = |way: &&&str| held.is_none() || matches!(**way, "volume" | "projected");
                let by: Vec<String> = ways.iter().filter(is_shown).map(|way| (*way).to_owned()).collect();
                if held == Some(&sources) || by.is_empty() {
                    continue;
                }
                self.delivered.insert((uid.clone(), target.clone()), sources.clone());
                let identity = Identity { secrets: sources.clone(), ..pod.identity.clone() };
                let (namespace, target) = (pod.namespace.clone(), target.clone());
                deliveries.push((uid.clone(), identity, SecretDelivered { namespace, target, sources, by }));
            }
        }
        deliveries
    }
}

/// What is to be known of a pod; `None` where it is malformed.
pub(crate) fn pod(object: &Value) -> Option<Pod> {
    let spec = kubernetes::pod::spec(object)?;
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let uid = kubernetes::pod::uid(object)?;
    let namespace = kubernetes::pod::namespace(object).to_owned();
    let secrets = kubernetes::pod::secrets(spec).into_iter().filter_map(|(name, mut ways)| {
        // The kubelet uses these itself; the pod never sees them.
        ways.remove("imagePullSecrets");
        (!ways.is_empty()).then(|| (name.to_owned(), ways))
    });
    let admission = object.pointer("/metadata/annotations").and_then(|all| all.get(kubernetes::keys::ADMISSION_ID));
    let identity = Identity {
        admission_id: admission.and_then(Value::as_str).and_then(|id| id.parse().ok()),
        pod_uid: Some(uid.clone()),
        pod_name: text("/metadata/name"),
        namespace: Some(namespace.clone()),
        workload: kubernetes::pod::workload(object),
        service_account: spec.get("serviceAccountName").and_then(Value::as_str).map(str::to_owned),
        ..Identity::default()
    };
    Some(Pod { uid, identity, namespace, secrets: secrets.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(version: &str) -> Vec<SecretRef> {
        let (store, path) = ("SecretStore shop/vault".to_owned(), "db".to_owned());
        vec![SecretRef { store, path, version: version.to_owned(), target: None }]
    }

    #[test]
    fn variables_keep_their_version_and_volumes_follow() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = "kind: Pod\nmetadata: { name: web, namespace: shop, uid: 0b4e7b8e-6f0f-4d9a-9b3c-000000000001 }\nspec:\n  containers:\n  - name: a\n    image: i\n    \
                        envFrom: [{ secretRef: { name: db } }]\n  volumes: [{ name: v, secret: { secretName: db } }]\n  imagePullSecrets: [{ name: pull }]\n";
        std::fs::write(folder.path().join("p.yaml"), manifest).unwrap();
        let mut holders = Holders::default();
        assert_eq!(holders.changed(folder.path()), Some(Vec::new()));
        assert!(holders.deliver(|_, _| None).is_empty());
        let ways = |deliveries: Vec<(PodUid, Identity, SecretDelivered)>| {
            deliveries.into_iter().flat_map(|(_, _, data)| data.by).collect::<Vec<_>>()
        };
        assert_eq!(ways(holders.deliver(|_, _| Some(sources("1")))), ["envFrom", "volume"]);
        assert!(holders.deliver(|_, _| Some(sources("1"))).is_empty());
        assert_eq!(ways(holders.deliver(|_, _| Some(sources("2")))), ["volume"]);
        assert_eq!(holders.changed(folder.path()), None);
    }
}
