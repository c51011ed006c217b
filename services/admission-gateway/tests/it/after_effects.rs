//! What follows requests of every kind, at a real API server: deletions, bindings, connections, and the gateway's own writes.

use std::time::Duration;

use crate::downstream::started;

const POLICIES: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: mourn }
spec:
  rules:
  - name: tell
    match: { any: [{ resources: { kinds: [ConfigMap], selector: { matchLabels: { mourned: 'yes' } }, operations: [DELETE] } }] }
    mutate:
      targets: [{ apiVersion: v1, kind: Secret, namespace: default, name: diary }]
      patchStrategicMerge: { metadata: { labels: { last: '{{ request.object.metadata.name }}' } } }
  - name: bury
    match: { any: [{ resources: { kinds: [ConfigMap], selector: { matchLabels: { mourned: 'yes' } }, operations: [DELETE] } }] }
    generate:
      apiVersion: v1
      kind: ConfigMap
      name: 'grave-of-{{ request.object.metadata.name }}'
      namespace: default
      synchronize: true
      data: { data: { why: '{{ request.operation }}' } }
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: bound }
spec:
  rules:
  - name: name-node
    match: { any: [{ resources: { kinds: [Pod/binding], names: [web] } }] }
    mutate:
      targets: [{ apiVersion: v1, kind: Pod, name: '{{ request.name }}', namespace: '{{ request.namespace }}' }]
      patchStrategicMerge: { metadata: { labels: { node: '{{ request.object.target.name }}' } } }
  - name: note-shell
    match: { any: [{ resources: { kinds: [Pod/exec] } }] }
    generate:
      apiVersion: v1
      kind: ConfigMap
      name: 'shell-in-{{ request.name }}'
      namespace: '{{ request.namespace }}'
      data: { data: { command: '{{ request.object.command[0] }}' } }
  - name: give-dongle
    match: { any: [{ resources: { kinds: [ConfigMap], names: [dongle] } }] }
    mutate:
      targets: [{ apiVersion: v1, kind: Node/status, name: node-1 }]
      patchStrategicMerge: { status: { capacity: { example.com/dongle: '4' } } }
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: chain }
spec:
  rules:
  - name: first
    match: { any: [{ resources: { kinds: [ConfigMap], names: [link-0] } }] }
    generate: { apiVersion: v1, kind: ConfigMap, name: link-1, namespace: default, data: { data: { a: b } } }
  - name: second
    skipBackgroundRequests: false
    match: { any: [{ resources: { kinds: [ConfigMap], names: [link-1] } }] }
    generate: { apiVersion: v1, kind: ConfigMap, name: link-2, namespace: default, data: { data: { a: b } } }
  - name: third
    match: { any: [{ resources: { kinds: [ConfigMap], names: [link-2] } }] }
    generate: { apiVersion: v1, kind: ConfigMap, name: link-3, namespace: default, data: { data: { a: b } } }
---
apiVersion: policies.kyverno.io/v1
kind: GeneratingPolicy
metadata: { name: mourn-in-cel }
spec:
  evaluation: { synchronize: { enabled: true } }
  matchConstraints:
    resourceRules: [{ apiGroups: [''], apiVersions: [v1], operations: [CREATE, DELETE], resources: [serviceaccounts] }]
  variables: [{ name: name, expression: \"request.operation == 'DELETE' ? oldObject.metadata.name : object.metadata.name\" }]
  generate:
  - expression: >-
      generator.Apply('default', [{'apiVersion': dyn('v1'), 'kind': dyn('ConfigMap'),
      'metadata': dyn({'name': request.operation.lowerAscii() + '-of-' + variables.name})}])
---
apiVersion: policies.kyverno.io/v1
kind: MutatingPolicy
metadata: { name: all-of-them }
spec:
  evaluation: { mutateExisting: { enabled: true } }
  matchConstraints:
    resourceRules: [{ apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [limitranges] }]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: { expression: 'Object{metadata: Object.metadata{labels: {\"seen\": \"yes\"}}}' }
---
apiVersion: policies.kyverno.io/v1
kind: MutatingPolicy
metadata: { name: after-deletion }
spec:
  evaluation: { mutateExisting: { enabled: true } }
  matchConstraints:
    resourceRules: [{ apiGroups: [''], apiVersions: [v1], operations: [DELETE], resources: [serviceaccounts] }]
  targetMatchConstraints:
    resourceRules: [{ apiGroups: [''], apiVersions: [v1], operations: [DELETE], resources: [secrets] }]
  targetMatchConditions: [{ name: diary, expression: \"object.metadata.name == 'diary'\" }]
  mutations:
  - patchType: ApplyConfiguration
    applyConfiguration: { expression: 'Object{metadata: Object.metadata{labels: {\"account\": request.oldObject.metadata.name}}}' }
---
apiVersion: v1
kind: Secret
metadata: { name: diary, namespace: default }
---
apiVersion: v1
kind: LimitRange
metadata: { name: before, namespace: default }
---
";

/// A webhook that nobody answers refuses what has its label.
const REFUSING: &str = "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: { name: refusing }
webhooks:
- name: refusing.example.com
  clientConfig: { url: 'https://127.0.0.1:1/' }
  admissionReviewVersions: [v1]
  sideEffects: None
  timeoutSeconds: 1
  failurePolicy: Fail
  objectSelector: { matchLabels: { refused: 'yes' } }
  rules: [{ apiGroups: [''], apiVersions: [v1], operations: [UPDATE, DELETE], resources: [configmaps] }]
";

fn config_map(name: &str, labels: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name}, labels: {{ {labels} }} }}\n---\n")
}

const POD: &str = "apiVersion: v1
kind: Pod
metadata: { name: web, namespace: default }
spec: { containers: [{ name: main, image: 'localhost/a:1' }], automountServiceAccountToken: false }
---
apiVersion: v1
kind: Node
metadata: { name: node-1 }
---
";
const BINDING: &str = "{\"apiVersion\": \"v1\", \"kind\": \"Binding\", \"metadata\": {\"name\": \"web\"}, \
    \"target\": {\"apiVersion\": \"v1\", \"kind\": \"Node\", \"name\": \"node-1\"}}";

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_every_kind_are_followed_up() {
    let Some((_nats, scene)) = started(POLICIES) else { return };
    let server = &scene.server;
    server.apply(POD).unwrap();

    // A deletion that goes through is followed up; one that another webhook refuses is not.
    let refused = config_map("refused", "mourned: 'yes', refused: 'yes'");
    server.apply(&[config_map("old", "mourned: 'yes'"), config_map("other", ""), refused].concat()).unwrap();
    server.apply(REFUSING).unwrap();
    server.kubectl(&["delete", "configmap", "old", "other"]).unwrap();
    scene.until(("secret", "diary"), ".metadata.labels.last", "old");
    scene.until(("configmap", "grave-of-old"), ".data.why", "DELETE");
    // The webhook may not be known to the server at once.
    std::thread::sleep(Duration::from_secs(2));
    server.kubectl(&["delete", "configmap", "refused"]).unwrap_err();

    // In CEL, what was generated for an object stays when a policy acts on its deletion.
    server.kubectl(&["create", "serviceaccount", "robot"]).unwrap();
    scene.until(("configmap", "create-of-robot"), ".metadata.name", "create-of-robot");
    server.kubectl(&["delete", "serviceaccount", "robot"]).unwrap();
    scene.until(("configmap", "delete-of-robot"), ".metadata.name", "delete-of-robot");
    scene.until(("secret", "diary"), ".metadata.labels.account", "robot");

    // Parts of objects, and connections.
    server
        .kubectl_stdin(&["create", "--raw", "/api/v1/namespaces/default/pods/web/binding", "-f", "-"], BINDING)
        .unwrap();
    scene.until(("pod", "web"), ".metadata.labels.node", "node-1");
    // There is no kubelet: the request is let in and then fails.
    server.kubectl(&["exec", "web", "--", "sh"]).unwrap_err();
    scene.until(("configmap", "shell-in-web"), ".data.command", "sh");
    server.apply(&config_map("dongle", "")).unwrap();
    scene.until(("node", "node-1"), ".status.capacity.example\\.com/dongle", "4");

    // The gateway's own writes are followed up by rules that want it alone.
    server.apply(&config_map("link-0", "")).unwrap();
    scene.until(("configmap", "link-2"), ".data.a", "b");
    // Without targets, all that a policy matches.
    server.apply("apiVersion: v1\nkind: LimitRange\nmetadata: { name: after }\n").unwrap();
    scene.until(("limitrange", "before"), ".metadata.labels.seen", "yes");
    scene.until(("limitrange", "after"), ".metadata.labels.seen", "yes");

    // Longer than a refused request is waited for, and than it takes to look at generated objects twice.
    std::thread::sleep(Duration::from_secs(8));
    for name in ["grave-of-refused", "grave-of-other", "link-3"] {
        assert_eq!(scene.read("configmap", name, ".metadata.name"), "", "{}", scene.gateway.log());
    }
    assert_eq!(scene.read("secret", "diary", ".metadata.labels.last"), "old");
    for name in ["grave-of-old", "create-of-robot", "delete-of-robot"] {
        assert_eq!(scene.read("configmap", name, ".metadata.name"), name, "{}", scene.gateway.log());
    }
    // What was made on a deletion goes with its policy.
    server.kubectl(&["delete", "clusterpolicy", "mourn"]).unwrap();
    server.kubectl(&["delete", "generatingpolicy", "mourn-in-cel"]).unwrap();
    for name in ["grave-of-old", "create-of-robot", "delete-of-robot"] {
        scene.until(("configmap", name), ".metadata.name", "");
    }
}
