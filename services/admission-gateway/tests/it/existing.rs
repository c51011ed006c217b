//! Policies that act on what was there before them, at a real API server.

use std::time::Duration;

use crate::downstream::started;

/// What is there before any policy.
const BEFORE: &str = "apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { team: a } }
---
apiVersion: v1
kind: Namespace
metadata: { name: other }
---
apiVersion: v1
kind: Secret
metadata: { name: diary, namespace: default }
---
apiVersion: v1
kind: LimitRange
metadata: { name: small, namespace: default }
---
apiVersion: v1
kind: ServiceAccount
metadata: { name: robot, namespace: default }
---
";

const POLICIES: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: existing }
spec:
  rules:
  - name: make
    match: { any: [{ resources: { kinds: [Namespace], selector: { matchLabels: { team: a } } } }] }
    generate:
      generateExisting: true
      synchronize: true
      apiVersion: v1
      kind: ConfigMap
      name: made
      namespace: '{{ request.object.metadata.name }}'
      data: { data: { say: one } }
  - name: not-asked-for
    match: { any: [{ resources: { kinds: [Namespace] } }] }
    generate:
      apiVersion: v1
      kind: ConfigMap
      name: unasked
      namespace: '{{ request.object.metadata.name }}'
      data: { data: { say: one } }
  - name: tell
    match: { any: [{ resources: { kinds: [ServiceAccount], names: [robot] } }] }
    mutate:
      mutateExistingOnPolicyUpdate: true
      targets: [{ apiVersion: v1, kind: Secret, namespace: default, name: diary }]
      patchStrategicMerge: { metadata: { labels: { account: '{{ request.object.metadata.name }}' } } }
---
apiVersion: policies.kyverno.io/v1
kind: GeneratingPolicy
metadata: { name: existing-in-cel }
spec:
  evaluation: { generateExisting: { enabled: true } }
  matchConstraints:
    resourceRules: [{ apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [serviceaccounts], resourceNames: [robot] }]
  generate:
  - expression: >-
      generator.Apply('default', [{'apiVersion': dyn('v1'), 'kind': dyn('ConfigMap'),
      'metadata': dyn({'name': 'for-' + object.metadata.name})}])
---
apiVersion: policies.kyverno.io/v1
kind: MutatingPolicy
metadata: { name: label-existing }
spec:
  evaluation: { mutateExisting: { enabled: true } }
  matchConstraints:
    resourceRules: [{ apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [limitranges] }]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: { expression: 'Object{metadata: Object.metadata{labels: {\"seen\": \"yes\"}}}' }
---
";

#[tokio::test(flavor = "multi_thread")]
async fn policies_that_come_into_force_or_change_act_on_what_is_there() {
    let Some((_nats, scene)) = started(BEFORE) else { return };
    let server = &scene.server;
    let made = |namespace: &str, name: &str| {
        let output = ["get", "configmap", name, "-n", namespace, "--ignore-not-found", "-o", "jsonpath={.data.say}"];
        server.kubectl(&output).unwrap_or_default()
    };
    let until = |namespace: &str, expected: &str| {
        let seen =
            testkit::parts::wait_until(Duration::from_secs(60), || (made(namespace, "made") == expected).then_some(()));
        assert!(seen.is_some(), "{namespace}: `{}`: {}", made(namespace, "made"), scene.gateway.log());
    };
    server.apply(POLICIES).unwrap();
    until("shop", "one");
    scene.until(("secret", "diary"), ".metadata.labels.account", "robot");
    scene.until(("configmap", "for-robot"), ".metadata.name", "for-robot");
    scene.until(("limitrange", "small"), ".metadata.labels.seen", "yes");

    // Longer than generated objects are looked at twice: what nobody asked for is kept in step, too, and stays.
    std::thread::sleep(Duration::from_secs(8));
    until("shop", "one");
    for namespace in ["shop", "other"] {
        assert_eq!(made(namespace, "unasked"), "", "{}", scene.gateway.log());
    }
    assert_eq!(made("other", "made"), "");

    // A policy that changes acts again, on what it did not mean before.
    server
        .apply(&POLICIES.replace(", selector: { matchLabels: { team: a } }", "").replace("say: one", "say: two"))
        .unwrap();
    until("other", "two");
    until("shop", "two");
    assert_eq!(made("shop", "unasked"), "", "{}", scene.gateway.log());
    assert_eq!(made("kube-system", "made"), "", "no policy is for the system's own");
    // What is kept in step goes with its policy, whoever asked for it.
    server.kubectl(&["delete", "clusterpolicy", "existing"]).unwrap();
    until("shop", "");
    until("other", "");
}
