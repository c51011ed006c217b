//! The gateway at a real API server: policies from the cluster, its webhooks registered, requests judged.

use std::time::Duration;

use serde_json::json;
use testkit::parts::{self, KubeApiserver, Part, wait_until};

use crate::start_with;

/// A kind whose objects may have any fields.
pub(crate) fn kind(group: &str, version: &str, kind: &str, scope: &str) -> String {
    let plural = if kind.ends_with('y') {
        format!("{}ies", kind.to_lowercase().trim_end_matches('y'))
    } else {
        format!("{}s", kind.to_lowercase())
    };
    format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{ name: {plural}.{group} }}
spec:
  group: {group}
  scope: {scope}
  names: {{ kind: {kind}, plural: {plural}, singular: {} }}
  versions:
  - name: {version}
    served: true
    storage: true
    schema: {{ openAPIV3Schema: {{ type: object, x-kubernetes-preserve-unknown-fields: true }} }}
---
",
        kind.to_lowercase()
    )
}

const POLICIES: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: team-label }
spec:
  validationFailureAction: Enforce
  rules:
  - name: has-team
    match: { any: [{ resources: { kinds: [Pod] } }] }
    validate:
      message: set the label team
      pattern: { metadata: { labels: { team: '?*' } } }
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: default-tier }
spec:
  rules:
  - name: add-tier
    match: { any: [{ resources: { kinds: [ConfigMap] } }] }
    mutate: { patchStrategicMerge: { metadata: { labels: { +(tier): none } } } }
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: quota }
spec:
  validationFailureAction: Enforce
  rules:
  - name: few-secrets
    match: { any: [{ resources: { kinds: [Secret] } }] }
    context:
    - name: limits
      configMap: { name: limits, namespace: default }
    - name: count
      apiCall: { urlPath: '/api/v1/namespaces/{{ request.namespace }}/secrets', jmesPath: 'items | length(@)' }
    validate:
      message: 'there are {{ count }} of at most {{ limits.data.secrets }}'
      deny: { conditions: { all: [{ key: '{{ count }}', operator: GreaterThanOrEquals, value: '{{ limits.data.secrets }}' }] } }
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: only-admins }
spec:
  validationFailureAction: Enforce
  rules:
  - name: no-editors
    match: { any: [{ resources: { kinds: [Service], namespaceSelector: { matchLabels: { guarded: 'yes' } } }, clusterRoles: [editor] }] }
    validate: { message: editors make no services here, deny: {} }
";

const PODS: &str = "apiVersion: v1
kind: Pod
metadata: { name: NAME, namespace: default, labels: LABELS }
spec: { containers: [{ name: main, image: 'localhost/a:1' }], automountServiceAccountToken: false }
";

fn pod(name: &str, labels: &str) -> String {
    PODS.replace("NAME", name).replace("LABELS", labels)
}

/// Applies until the gateway has caught up with what was told to the cluster before.
pub(crate) fn until_refused(server: &Part<KubeApiserver>, manifest: &str, words: &str) {
    let mut said = String::new();
    let refused = wait_until(Duration::from_secs(30), || {
        match server.kubectl_stdin(&["create", "--dry-run=server", "-f", "-"], manifest) {
            Err(error) if error.to_string().contains(words) => Some(()),
            other => {
                said = format!("{other:?}");
                std::thread::sleep(Duration::from_millis(200));
                None
            }
        }
    });
    assert!(refused.is_some(), "not refused with `{words}`: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_api_server_asks_and_obeys() {
    let (Some(nats), Some(mut server)) = (parts::nats(), parts::kube_apiserver()) else { return };
    let kinds = [
        kind("kyverno.io", "v1", "ClusterPolicy", "Cluster"),
        kind("kyverno.io", "v2", "PolicyException", "Namespaced"),
        kind("policies.kyverno.io", "v1", "ValidatingPolicy", "Cluster"),
    ];
    server.apply(&kinds.concat()).unwrap();
    let kubeconfig = json!({ "kubeconfig": server.kubeconfig, "register": { "failure_policy": "ignore" } });
    let gateway = start_with(&nats, &json!({ "kubernetes": kubeconfig }));
    let ready = wait_until(Duration::from_secs(60), || {
        let answer = ureq_like(&gateway.admin, "/ready");
        answer.contains("200").then_some(())
    });
    assert!(ready.is_some(), "{}", gateway.log());

    // The kinds may be served a moment before their objects are.
    let applied = wait_until(Duration::from_secs(20), || server.apply(POLICIES).ok());
    assert!(applied.is_some());
    until_refused(&server, &pod("plain", "{}"), "set the label team");
    server.apply(&pod("labelled", "{ team: a }")).unwrap();

    // Mutated on the way in, as soon as this policy is in force as well.
    let limits = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: limits }\ndata: { secrets: '2' }\n";
    let rehearsal = ["create", "--dry-run=server", "-o", "jsonpath={.metadata.labels.tier}", "-f", "-"];
    let mutated = wait_until(Duration::from_secs(30), || {
        server.kubectl_stdin(&rehearsal, limits).ok().filter(|tier| tier == "none")
    });
    assert!(mutated.is_some(), "{}", gateway.log());
    server.apply(limits).unwrap();

    // What the cluster is asked about for a review: a config map and a list.
    let secret = |name: &str| format!("apiVersion: v1\nkind: Secret\nmetadata: {{ name: {name} }}\n");
    server.apply(&secret("first")).unwrap();
    server.apply(&secret("second")).unwrap();
    until_refused(&server, &secret("third"), "there are 2 of at most 2");

    // Roles by bindings, namespaces by labels.
    server.apply("apiVersion: v1\nkind: Namespace\nmetadata: { name: guarded, labels: { guarded: 'yes' } }\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: { name: editor }\nrules: [{ apiGroups: [''], resources: [services], verbs: ['*'] }]\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: { name: eve-edits }\nroleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: editor }\nsubjects: [{ kind: User, name: eve, apiGroup: rbac.authorization.k8s.io }]\n").unwrap();
    let service = |namespace: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{ name: s, namespace: {namespace} }}\nspec: {{ ports: [{{ port: 80 }}] }}\n"
        )
    };
    let as_eve = ["--as=eve", "create", "--dry-run=server", "-f", "-"];
    let refused = wait_until(Duration::from_secs(20), || {
        let said = server.kubectl_stdin(&as_eve, &service("guarded")).err()?.to_string();
        said.contains("editors make no services here").then_some(())
    });
    assert!(refused.is_some(), "{}", gateway.log());
    server.kubectl_stdin(&as_eve, &service("default")).unwrap();
    server.kubectl_stdin(&["create", "--dry-run=server", "-f", "-"], &service("guarded")).unwrap();

    // An exception lets the pod in; without the policy everything is let in.
    server.apply("apiVersion: kyverno.io/v2\nkind: PolicyException\nmetadata: { name: plain, namespace: default }\nspec:\n  exceptions: [{ policyName: team-label, ruleNames: [has-team] }]\n  match: { any: [{ resources: { kinds: [Pod], names: [plain] } }] }\n").unwrap();
    let let_in = wait_until(Duration::from_secs(20), || server.apply(&pod("plain", "{}")).ok());
    assert!(let_in.is_some(), "{}", gateway.log());
    until_refused(&server, &pod("other", "{}"), "set the label team");

    // The API server goes and comes back; what is known stays, and what is new is found.
    server.kill();
    server.start_again().unwrap();
    until_refused(&server, &pod("other", "{}"), "set the label team");
    server.kubectl(&["delete", "clusterpolicy", "team-label"]).unwrap();
    let let_in = wait_until(Duration::from_secs(40), || server.apply(&pod("other", "{}")).ok());
    assert!(let_in.is_some(), "{}", gateway.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_not_ready_before_it_knows_the_policies() {
    let (Some(nats), Some(mut server)) = (parts::nats(), parts::kube_apiserver()) else { return };
    server.apply(&kind("kyverno.io", "v1", "ClusterPolicy", "Cluster")).unwrap();
    let applied = wait_until(Duration::from_secs(20), || server.apply(crate::POLICY).ok());
    assert!(applied.is_some());
    server.kill();
    let gateway = start_with(&nats, &json!({ "kubernetes": { "kubeconfig": server.kubeconfig } }));
    let told = wait_until(Duration::from_secs(30), || {
        gateway.log().contains("the server's kinds of policies cannot be read").then_some(())
    });
    assert!(told.is_some(), "{}", gateway.log());
    assert!(!ureq_like(&gateway.admin, "/ready").contains("200"));

    server.start_again().unwrap();
    let ready =
        wait_until(Duration::from_secs(60), || ureq_like(&gateway.admin, "/ready").contains("200").then_some(()));
    assert!(ready.is_some(), "{}", gateway.log());
    let refused = gateway.review("validate", crate::pod(json!({}))).await;
    assert_eq!(refused["response"]["allowed"], json!(false), "{refused}");
}

const ACTING: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: new-namespace }
spec:
  rules:
  - name: deny-all
    match: { any: [{ resources: { kinds: [Namespace], selector: { matchLabels: { walled: 'yes' } } } }] }
    generate:
      apiVersion: networking.k8s.io/v1
      kind: NetworkPolicy
      name: deny-all
      namespace: '{{ request.object.metadata.name }}'
      synchronize: true
      data: { spec: { podSelector: {}, policyTypes: [Ingress] } }
  - name: pull-secret
    match: { any: [{ resources: { kinds: [Namespace], selector: { matchLabels: { walled: 'yes' } } } }] }
    generate:
      apiVersion: v1
      kind: Secret
      name: pull
      namespace: '{{ request.object.metadata.name }}'
      clone: { name: pull, namespace: default }
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: tell-listeners }
spec:
  rules:
  - name: count
    match: { any: [{ resources: { kinds: [ConfigMap], names: [source] } }] }
    mutate:
      targets: [{ apiVersion: v1, kind: ConfigMap, namespace: default, name: 'listener-*' }]
      patchStrategicMerge: { data: { heard: '{{ request.object.data.say }}' } }
---
apiVersion: policies.kyverno.io/v1
kind: GeneratingPolicy
metadata: { name: quota }
spec:
  matchConstraints:
    resourceRules: [{ apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [namespaces] }]
  matchConditions:
  - name: walled
    expression: object.metadata.?labels.?walled.orValue('no') == 'yes'
  generate:
  - template:
      interpolate: cel
      value: |
        apiVersion: v1
        kind: ResourceQuota
        metadata: { name: 'quota-(( object.metadata.name ))', namespace: (( object.metadata.name )) }
        spec: { hard: { pods: (( string(5) )) } }
";

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_made_and_changed_once_a_request_was_let_in() {
    let (Some(nats), Some(server)) = (parts::nats(), parts::kube_apiserver()) else { return };
    let kinds = [
        kind("kyverno.io", "v1", "ClusterPolicy", "Cluster"),
        kind("policies.kyverno.io", "v1", "GeneratingPolicy", "Cluster"),
    ];
    server.apply(&kinds.concat()).unwrap();
    let applied = wait_until(Duration::from_secs(20), || server.apply(ACTING).ok());
    assert!(applied.is_some());
    let configmap = |name: &str, say: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\ndata: {{ say: {say} }}\n---\n")
    };
    server
        .apply(&[configmap("listener-a", "a"), configmap("listener-b", "b"), configmap("other", "c")].concat())
        .unwrap();
    server.apply("apiVersion: v1\nkind: Secret\nmetadata: { name: pull }\nstringData: { token: t }\n").unwrap();
    let kubeconfig = json!({ "kubeconfig": server.kubeconfig, "register": { "failure_policy": "fail" } });
    let gateway = start_with(&nats, &json!({ "kubernetes": kubeconfig }));
    let ready =
        wait_until(Duration::from_secs(60), || ureq_like(&gateway.admin, "/ready").contains("200").then_some(()));
    assert!(ready.is_some(), "{}", gateway.log());

    server.apply("apiVersion: v1\nkind: Namespace\nmetadata: { name: walled, labels: { walled: 'yes' } }\n").unwrap();
    for (what, path, expected) in [
        (["networkpolicy", "deny-all"], "{.spec.policyTypes[0]}", "Ingress"),
        (["networkpolicy", "deny-all"], "{.metadata.labels.generate\\.kyverno\\.io/policy-name}", "new-namespace"),
        (["secret", "pull"], "{.data.token}", "dA=="),
        (["resourcequota", "quota-walled"], "{.spec.hard.pods}", "5"),
    ] {
        let output = format!("jsonpath={path}");
        let found = wait_until(Duration::from_secs(20), || {
            let said = server.kubectl(&["get", what[0], what[1], "-n", "walled", "-o", &output]).ok()?;
            (said == expected).then_some(())
        });
        assert!(found.is_some(), "{what:?} {path}: {}", gateway.log());
    }

    server.apply(&configmap("source", "hello")).unwrap();
    for name in ["listener-a", "listener-b"] {
        let heard = wait_until(Duration::from_secs(20), || {
            let said = server.kubectl(&["get", "configmap", name, "-o", "jsonpath={.data.heard}"]).ok()?;
            (said == "hello").then_some(())
        });
        assert!(heard.is_some(), "{name}: {}", gateway.log());
    }
    let other = server.kubectl(&["get", "configmap", "other", "-o", "jsonpath={.data.heard}"]).unwrap();
    assert_eq!(other, "");

    // A rehearsal leaves nothing behind.
    let rehearsed = "apiVersion: v1\nkind: Namespace\nmetadata: { name: unbuilt, labels: { walled: 'yes' } }\n";
    server.kubectl_stdin(&["create", "--dry-run=server", "-f", "-"], rehearsed).unwrap();
    assert!(!gateway.log().contains("unbuilt"), "{}", gateway.log());
}

/// The first line of an answer of the service's own endpoint.
pub(crate) fn ureq_like(address: &str, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let Ok(mut stream) = std::net::TcpStream::connect(address.trim()) else { return String::new() };
    let _ = stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").as_bytes());
    let mut said = String::new();
    let _ = stream.read_to_string(&mut said);
    said
}
