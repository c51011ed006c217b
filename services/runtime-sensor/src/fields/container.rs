//! Fields of the container and its pod.

use std::collections::BTreeMap;

use runtime_rules::{FieldId, Value};

use super::Asked;
use crate::cri::ContainerFacts;
use crate::enrich::Enriched;

/// Whether the sensor has values for a field of containers or pods.
pub(super) fn is_captured(field: FieldId) -> bool {
    matches!(
        field,
        FieldId::ContainerId
            | FieldId::ContainerFullId
            | FieldId::ContainerName
            | FieldId::ContainerPrivileged
            | FieldId::ContainerType
            | FieldId::ContainerImageId
            | FieldId::ContainerIp
            | FieldId::ContainerCniJson
            | FieldId::ContainerStartTs
            | FieldId::ContainerDuration
            | FieldId::ContainerHostPid
            | FieldId::ContainerHostNetwork
            | FieldId::ContainerHostIpc
            | FieldId::ContainerLabel
            | FieldId::ContainerLabels
            | FieldId::ContainerMounts
            | FieldId::ContainerMount
            | FieldId::ContainerMountSource
            | FieldId::ContainerMountDest
            | FieldId::ContainerMountRdwr
            | FieldId::ContainerMountPropagation
            | FieldId::K8sPodIp
            | FieldId::K8sPodCniJson
            | FieldId::K8sPodSandboxId
            | FieldId::K8sPodFullSandboxId
            | FieldId::ContainerImage
            | FieldId::ContainerImageRepository
            | FieldId::ContainerImageTag
            | FieldId::ContainerImageDigest
            | FieldId::K8sPodUid
            | FieldId::K8sPodId
            | FieldId::K8sPodName
            | FieldId::K8sNsName
            | FieldId::K8sPodLabel
            | FieldId::K8sPodLabels
    )
}

impl Enriched<'_> {
    pub(super) fn of_container(&self, field: &Asked<'_>) -> Option<Value<'_>> {
        let Some(container) = self.container else {
            let is_named = matches!(field.id, FieldId::ContainerId | FieldId::ContainerName | FieldId::ContainerType);
            return is_named.then(|| Value::text("host"));
        };
        let facts = container.facts.as_deref();
        let pod = facts.map(|facts| &facts.pod).or(self.pod);
        let image = || pod.and_then(|pod| pod.image.as_deref());
        Some(match field.id {
            FieldId::ContainerId => Value::text(container.id.as_str().get(..12)?),
            FieldId::ContainerFullId => Value::text(container.id.as_str()),
            FieldId::ContainerImage => Value::text(image()?),
            FieldId::ContainerImageRepository => Value::text(split(image()?).0),
            FieldId::ContainerImageTag => Value::text(split(image()?).1?),
            FieldId::ContainerImageDigest => Value::owned(pod?.identity.image_digest.as_ref()?.to_string()),
            FieldId::ContainerName => Value::text(pod?.container_name.as_deref()?),
            // As far as the kernel tells: what a runtime calls privileged has every capability and no filter.
            FieldId::ContainerPrivileged => match facts.and_then(|facts| facts.is_privileged) {
                Some(is_privileged) => Value::Boolean(is_privileged),
                None => Value::Boolean(self.process.is_unconfined(self.directory.bounding())?),
            },
            FieldId::K8sPodUid | FieldId::K8sPodId => {
                let told = || pod.and_then(|pod| pod.identity.pod_uid.as_ref());
                Value::text(container.pod.as_ref().or_else(told)?.as_str())
            }
            FieldId::K8sPodName => Value::text(pod?.identity.pod_name.as_deref()?),
            FieldId::K8sNsName => Value::text(pod?.identity.namespace.as_deref()?),
            FieldId::K8sPodLabel => Value::text(pod?.labels.get(field.text()?)?),
            FieldId::K8sPodLabels => Value::owned(joined(&pod?.labels)),
            _ => return self.of_runtime(field, facts?),
        })
    }

    /// Fields that only the container's runtime can tell.
    fn of_runtime(&self, field: &Asked<'_>, facts: &'_ ContainerFacts) -> Option<Value<'_>> {
        let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty()).map(Value::owned);
        let by_source = || facts.mount(field.text()?, |mount| &mount.source);
        Some(match field.id {
            FieldId::ContainerType => return filled(&facts.runtime),
            FieldId::ContainerImageId => return filled(&facts.image_id),
            FieldId::ContainerIp | FieldId::K8sPodIp => return filled(&facts.ip),
            FieldId::ContainerCniJson | FieldId::K8sPodCniJson => return filled(&facts.cni_json),
            FieldId::K8sPodFullSandboxId => return filled(&facts.sandbox_id),
            FieldId::K8sPodSandboxId => return filled(facts.sandbox_id.get(..12)?),
            FieldId::ContainerStartTs => Value::Number(facts.started_ns),
            FieldId::ContainerDuration => Value::Number(self.time.as_nanos().saturating_sub(facts.started_ns)),
            FieldId::ContainerHostPid => Value::Boolean(facts.has_host_pid),
            FieldId::ContainerHostNetwork => Value::Boolean(facts.has_host_network),
            FieldId::ContainerHostIpc => Value::Boolean(facts.has_host_ipc),
            FieldId::ContainerLabel => Value::owned(facts.labels.get(field.text()?)?.clone()),
            FieldId::ContainerLabels => Value::owned(joined(&facts.labels)),
            FieldId::ContainerMounts => {
                let mounts: Vec<_> = facts.mounts.iter().map(ToString::to_string).collect();
                return filled(&mounts.join(","));
            }
            FieldId::ContainerMount => Value::owned(by_source()?.to_string()),
            FieldId::ContainerMountSource => {
                Value::owned(facts.mount(field.text()?, |mount| &mount.destination)?.source.clone())
            }
            FieldId::ContainerMountDest => Value::owned(by_source()?.destination.clone()),
            FieldId::ContainerMountRdwr => Value::owned(by_source()?.is_writable.to_string()),
            FieldId::ContainerMountPropagation => Value::text(by_source()?.propagation),
            _ => return None,
        })
    }
}

/// Labels as upstream lists them.
fn joined(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}:{value}")).collect::<Vec<_>>().join(", ")
}

/// Repository and tag of an image reference. A colon before the last slash belongs to the registry's port.
fn split(image: &str) -> (&str, Option<&str>) {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (image, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_split_behind_the_last_slash() {
        for (image, expected) in [
            ("nginx:1.27", ("nginx", Some("1.27"))),
            ("localhost:5000/web", ("localhost:5000/web", None)),
            ("localhost:5000/web:1@sha256:0", ("localhost:5000/web", Some("1"))),
            ("web", ("web", None)),
        ] {
            assert_eq!(split(image), expected);
        }
    }
}
