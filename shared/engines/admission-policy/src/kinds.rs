//! Which kinds of Kubernetes, and of its common extensions, are in a namespace: what can be said without asking a cluster.

/// Kinds that are in no namespace.
const CLUSTER_WIDE: [&str; 19] = [
    "APIService",
    "CSIDriver",
    "CertificateSigningRequest",
    "ClusterIssuer",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
    "VolumeSnapshotClass",
];

/// Kinds that are in a namespace.
const NAMESPACED: [&str; 20] = [
    "ConfigMap",
    "CronJob",
    "DaemonSet",
    "Deployment",
    "Endpoints",
    "HorizontalPodAutoscaler",
    "Ingress",
    "Job",
    "LimitRange",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "Pod",
    "PodDisruptionBudget",
    "ReplicaSet",
    "ResourceQuota",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "ServiceAccount",
];

/// All kinds that are known to be in no namespace.
pub(crate) fn cluster_wide() -> impl Iterator<Item = &'static str> {
    CLUSTER_WIDE.into_iter()
}

/// Whether a kind is known to be in no namespace.
pub(crate) fn is_cluster_wide(kind: &str) -> bool {
    CLUSTER_WIDE.contains(&kind)
}

/// Whether a kind is known to be in a namespace; of others neither is known.
pub(crate) fn is_namespaced(kind: &str) -> bool {
    NAMESPACED.contains(&kind)
}
