//! Policies that delete, at a real API server.

use std::time::Duration;

use serde_json::json;
use testkit::parts::{self, wait_until};

use crate::start_with;

/// The kinds as they are shipped.
const KINDS: &str = include_str!("../../../../helm/biotope/crds/kyverno.io.yaml");

const POLICIES: &str = "apiVersion: kyverno.io/v2
kind: ClusterCleanupPolicy
metadata: { name: stale }
spec:
  schedule: '@every 1s'
  match: { any: [{ resources: { kinds: [ConfigMap], selector: { matchLabels: { stale: 'yes' } } } }] }
  exclude: { any: [{ resources: { namespaces: [kept] } }] }
  conditions:
    all:
    - { key: '{{ target.data.size }}', operator: GreaterThan, value: 10 }
    - { key: '{{ limits.data.clean }}', operator: Equals, value: 'yes' }
  context:
  - name: limits
    configMap: { name: limits, namespace: default }
---
apiVersion: kyverno.io/v2
kind: CleanupPolicy
metadata: { name: all-secrets, namespace: tidy }
spec:
  schedule: '@every 1s'
  match: { any: [{ resources: { kinds: [Secret] } }] }
---
apiVersion: policies.kyverno.io/v1
kind: DeletingPolicy
metadata: { name: bare }
spec:
  schedule: '@every 1s'
  deletionPropagationPolicy: Background
  matchConstraints:
    resourceRules: [{ apiGroups: [''], apiVersions: [v1], resources: [serviceaccounts], scope: Namespaced }]
    objectSelector: { matchLabels: { bare: 'yes' } }
  conditions:
  - { name: unmarked, expression: \"object.metadata.?annotations.?keep.orValue('no') != 'yes'\" }
---
apiVersion: kyverno.io/v2
kind: ClusterCleanupPolicy
metadata: { name: yearly }
spec:
  schedule: '@yearly'
  match: { any: [{ resources: { kinds: [ServiceAccount] } }] }
";

const OBJECTS: &str = "apiVersion: v1
kind: Namespace
metadata: { name: tidy }
---
apiVersion: v1
kind: Namespace
metadata: { name: kept }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: limits, namespace: default }
data: { clean: 'yes' }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: large, namespace: tidy, labels: { stale: 'yes' } }
data: { size: '20' }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: small, namespace: tidy, labels: { stale: 'yes' } }
data: { size: '5' }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: large, namespace: kept, labels: { stale: 'yes' } }
data: { size: '20' }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: large, namespace: kube-system, labels: { stale: 'yes' } }
data: { size: '20' }
---
apiVersion: v1
kind: Secret
metadata: { name: one, namespace: tidy }
---
apiVersion: v1
kind: Secret
metadata: { name: one, namespace: kept }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: unmarked, namespace: kept, labels: { bare: 'yes' } }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: marked, namespace: kept, labels: { bare: 'yes' }, annotations: { keep: 'yes' } }
";

#[tokio::test(flavor = "multi_thread")]
async fn policies_delete_on_their_schedules() {
    let (Some(nats), Some(server)) = (parts::nats(), parts::kube_apiserver()) else { return };
    server.kubectl_stdin(&["create", "-f", "-"], KINDS).unwrap();
    let created = wait_until(Duration::from_secs(30), || server.kubectl_stdin(&["apply", "-f", "-"], OBJECTS).ok());
    assert!(created.is_some());
    let gateway = start_with(&nats, &json!({ "kubernetes": { "kubeconfig": server.kubeconfig } }));
    let applied = wait_until(Duration::from_secs(30), || server.kubectl_stdin(&["apply", "-f", "-"], POLICIES).ok());
    assert!(applied.is_some());

    let is_there = |kind: &str, namespace: &str, name: &str| {
        let found = server.kubectl(&["get", kind, name, "-n", namespace, "--ignore-not-found", "-o", "name"]).unwrap();
        !found.trim().is_empty()
    };
    let gone = [("configmap", "tidy", "large"), ("secret", "tidy", "one"), ("serviceaccount", "kept", "unmarked")];
    for (kind, namespace, name) in gone {
        let deleted = wait_until(Duration::from_secs(60), || (!is_there(kind, namespace, name)).then_some(()));
        assert!(deleted.is_some(), "{kind} {namespace}/{name}: {}", gateway.log());
    }
    // Each policy has run again since: what is still there stays.
    let ran = |kind: &str, name: &str, namespace: &str| {
        let path = "jsonpath={.status.lastExecutionTime}";
        server.kubectl(&["get", kind, name, "-n", namespace, "-o", path]).unwrap()
    };
    let policies = [
        ("clustercleanuppolicy", "stale", ""),
        ("cleanuppolicy", "all-secrets", "tidy"),
        ("deletingpolicy", "bare", ""),
    ];
    for (kind, name, namespace) in policies {
        let before = ran(kind, name, namespace);
        let again = wait_until(Duration::from_secs(60), || (ran(kind, name, namespace) > before).then_some(()));
        assert!(again.is_some(), "{kind} {name}: {}", gateway.log());
    }
    for (kind, namespace, name) in [
        ("configmap", "tidy", "small"),
        ("configmap", "kept", "large"),
        ("configmap", "kube-system", "large"),
        ("secret", "kept", "one"),
        ("serviceaccount", "kept", "marked"),
    ] {
        assert!(is_there(kind, namespace, name), "{kind} {namespace}/{name}: {}", gateway.log());
    }
    assert_eq!(ran("clustercleanuppolicy", "yearly", ""), "");
}
