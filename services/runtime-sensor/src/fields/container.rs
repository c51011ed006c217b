//! Fields of the container and its pod.

use runtime_rules::{FieldId, Value};

use super::Asked;
use crate::enrich::Enriched;

/// Whether the sensor has values for a field of containers or pods.
pub(super) fn is_captured(field: FieldId) -> bool {
    matches!(
        field,
        FieldId::ContainerId
            | FieldId::ContainerFullId
            | FieldId::ContainerName
            | FieldId::ContainerPrivileged
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
            let is_named = matches!(field.id, FieldId::ContainerId | FieldId::ContainerName);
            return is_named.then(|| Value::text("host"));
        };
        let pod = self.pod;
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
            FieldId::ContainerPrivileged => Value::Boolean(self.process.is_unconfined(self.directory.bounding())?),
            FieldId::K8sPodUid | FieldId::K8sPodId => Value::text(container.pod.as_ref()?.as_str()),
            FieldId::K8sPodName => Value::text(pod?.identity.pod_name.as_deref()?),
            FieldId::K8sNsName => Value::text(pod?.identity.namespace.as_deref()?),
            FieldId::K8sPodLabel => Value::text(pod?.labels.get(field.text()?)?),
            FieldId::K8sPodLabels => {
                let labels: Vec<_> = pod?.labels.iter().map(|(key, value)| format!("{key}:{value}")).collect();
                Value::owned(labels.join(", "))
            }
            _ => return None,
        })
    }
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
