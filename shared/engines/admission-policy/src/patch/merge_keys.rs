//! How the lists of built-in kinds merge, from the patch annotations of the Kubernetes API.

/// How one list merges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListMerge {
    /// The patch's list takes its place.
    Replace,
    /// Items with the same keys merge; the first key always counts, further ones where both items have them.
    ByKeys(&'static [&'static str]),
    /// A set of scalars.
    Set,
}

/// Whether the kind's lists are known; lists of other kinds are replaced.
pub(crate) fn is_built_in(api_version: &str) -> bool {
    match api_version.split_once('/') {
        None => true,
        Some((group, _)) => !group.contains('.') || group.ends_with(".k8s.io"),
    }
}

/// How the list in field `name` below field `parent` merges.
pub(crate) fn of(kind: &str, parent: &str, name: &str) -> ListMerge {
    match (parent, name) {
        (
            _,
            "containers"
            | "initContainers"
            | "ephemeralContainers"
            | "env"
            | "volumes"
            | "imagePullSecrets"
            | "webhooks",
        ) => ListMerge::ByKeys(&["name"]),
        (_, "resourceClaims" | "schedulingGates") => ListMerge::ByKeys(&["name"]),
        ("containers" | "initContainers" | "ephemeralContainers", "ports") => {
            ListMerge::ByKeys(&["containerPort", "protocol"])
        }
        ("spec", "ports") if kind == "Service" => ListMerge::ByKeys(&["port", "protocol"]),
        (_, "volumeMounts") => ListMerge::ByKeys(&["mountPath"]),
        (_, "volumeDevices") => ListMerge::ByKeys(&["devicePath"]),
        (_, "hostAliases") => ListMerge::ByKeys(&["ip"]),
        (_, "topologySpreadConstraints") => ListMerge::ByKeys(&["topologyKey", "whenUnsatisfiable"]),
        ("metadata", "ownerReferences") => ListMerge::ByKeys(&["uid"]),
        ("metadata", "finalizers") => ListMerge::Set,
        ("status", "conditions") => ListMerge::ByKeys(&["type"]),
        ("", "secrets") if kind == "ServiceAccount" => ListMerge::ByKeys(&["name"]),
        _ => ListMerge::Replace,
    }
}
