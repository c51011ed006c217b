//! Generated objects that are kept in step, at a real API server.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::parts::{self, KubeApiserver, Nats, Part, wait_until};

use crate::{Gateway, start_with};

/// The kinds as they are shipped.
const KINDS: &str = include_str!("../../../../helm/biotope/crds/kyverno.io.yaml");

/// A policy that makes a config map beside each one with the label.
fn data(name: &str, say: &str, more: &str) -> String {
    format!(
        "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{ name: {name} }}
spec:
  rules:
  - name: make
    match: {{ any: [{{ resources: {{ kinds: [ConfigMap], selector: {{ matchLabels: {{ {name}: 'yes' }} }} }} }}] }}
    generate:
      apiVersion: v1
      kind: ConfigMap
      name: '{name}-of-{{{{ request.object.metadata.name }}}}'
      namespace: default
{more}
      data: {{ data: {{ say: {say} }} }}
---
"
    )
}

const SYNCHRONIZE: &str = "      synchronize: true";
const ORPHAN: &str = "      synchronize: true\n      orphanDownstreamOnPolicyDelete: true";

const OTHERS: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: copy }
spec:
  rules:
  - name: copy
    match: { any: [{ resources: { kinds: [ConfigMap], selector: { matchLabels: { copy: 'yes' } } } }] }
    generate:
      apiVersion: v1
      kind: Secret
      name: 'copy-of-{{ request.object.metadata.name }}'
      namespace: default
      synchronize: true
      clone: { name: original, namespace: default }
---
apiVersion: policies.kyverno.io/v1
kind: GeneratingPolicy
metadata: { name: in-cel }
spec:
  evaluation: { synchronize: { enabled: true } }
  matchConstraints:
    resourceRules: [{ apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps] }]
  matchConditions:
  - name: labelled
    expression: object.metadata.?labels.?cel.orValue('no') == 'yes'
  generate:
  - expression: >-
      generator.Apply('default', [{'apiVersion': dyn('v1'), 'kind': dyn('ConfigMap'),
      'metadata': dyn({'name': 'cel-of-' + object.metadata.name}), 'data': dyn({'say': 'hello'})}])
---
apiVersion: policies.kyverno.io/v1
kind: GeneratingPolicy
metadata: { name: copy-in-cel }
spec:
  evaluation: { synchronize: { enabled: true } }
  matchConstraints:
    resourceRules: [{ apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [namespaces] }]
  generate:
  - expression: generator.Apply(object.metadata.name, [resource.Get('v1', 'secrets', 'default', 'original')])
---
apiVersion: policies.kyverno.io/v1
kind: GeneratingPolicy
metadata: { name: loose-in-cel }
spec:
  useServerSideApply: true
  matchConstraints:
    resourceRules: [{ apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [namespaces] }]
  generate:
  - expression: >-
      generator.Apply('default', [{'apiVersion': dyn('v1'), 'kind': dyn('ConfigMap'),
      'metadata': dyn({'name': 'loose-of-' + object.metadata.name}), 'data': dyn({'say': 'hello'})}])
---
apiVersion: v1
kind: ConfigMap
metadata: { name: loose-of-theirs, namespace: default }
data: { say: mine }
---
apiVersion: v1
kind: Secret
metadata: { name: original, namespace: default }
stringData: { token: first }
---
";

fn config_map(name: &str, label: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name}, labels: {{ {label}: 'yes' }} }}\n---\n")
}

/// A gateway at an API server that has the kinds of policies.
pub(crate) struct Scene {
    pub(crate) server: Part<KubeApiserver>,
    pub(crate) gateway: Gateway,
}

impl Scene {
    pub(crate) fn read(&self, kind: &str, name: &str, path: &str) -> String {
        let output = format!("jsonpath={{{path}}}");
        self.server.kubectl(&["get", kind, name, "--ignore-not-found", "-o", &output]).unwrap_or_default()
    }

    /// Waits until a field of an object is as expected; empty stands for no object.
    pub(crate) fn until(&self, (kind, name): (&str, &str), path: &str, expected: &str) {
        let seen = wait_until(Duration::from_secs(90), || (self.read(kind, name, path) == expected).then_some(()));
        let found = self.read(kind, name, path);
        assert!(seen.is_some(), "{kind} {name}: `{found}` instead of `{expected}`: {}", self.gateway.log());
    }

    fn says(&self, name: &str, expected: &str) {
        self.until(("configmap", name), ".data.say", expected);
    }
}

/// Starts a gateway whose policies are in force.
pub(crate) fn started(policies: &str) -> Option<(Part<Nats>, Scene)> {
    started_with(policies, &[], &json!({}))
}

/// The same with more kinds, and with more settings for the cluster.
pub(crate) fn started_with(policies: &str, kinds: &[&str], more: &Value) -> Option<(Part<Nats>, Scene)> {
    let (Some(nats), Some(server)) = (parts::nats(), parts::kube_apiserver()) else { return None };
    for kinds in [&[KINDS], kinds].concat() {
        server.kubectl_stdin(&["create", "-f", "-"], kinds).unwrap();
    }
    // The kinds may be served a moment before their objects are.
    let mut refused = String::new();
    let applied = wait_until(Duration::from_secs(30), || {
        server.apply(policies).map_err(|error| refused = error.to_string()).ok()
    });
    assert!(applied.is_some(), "{refused}");
    let mut settings = json!({ "kubeconfig": server.kubeconfig, "register": { "failure_policy": "fail" } });
    for (name, value) in more.as_object().unwrap() {
        settings[name] = value.clone();
    }
    let gateway = start_with(&nats, &json!({ "kubernetes": settings }));
    let scene = Scene { server, gateway };
    // Policies that are in force before the triggers come, which a refusal of the webhooks tells nothing about.
    let ready = wait_until(Duration::from_secs(60), || {
        crate::cluster::ureq_like(&scene.gateway.admin, "/ready").contains("200").then_some(())
    });
    assert!(ready.is_some(), "{}", scene.gateway.log());
    Some((nats, scene))
}

fn scene() -> Option<(impl Sized, Scene)> {
    let policies = [
        data("bound", "one", SYNCHRONIZE),
        data("freed", "one", ORPHAN),
        data("loose", "one", "      synchronize: false"),
        OTHERS.to_owned(),
    ];
    let (nats, scene) = started(&policies.concat())?;
    let triggers =
        [("a", "bound"), ("b", "bound"), ("c", "freed"), ("d", "loose"), ("e", "copy"), ("f", "cel"), ("g", "cel")];
    let all: String = triggers.iter().map(|(name, label)| config_map(name, label)).collect();
    scene.server.apply(&all).unwrap();
    for name in ["bound-of-a", "bound-of-b", "freed-of-c", "loose-of-d"] {
        scene.says(name, "one");
    }
    scene.says("cel-of-f", "hello");
    scene.says("cel-of-g", "hello");
    scene.until(("secret", "copy-of-e"), ".data.token", "Zmlyc3Q=");
    Some((nats, scene))
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_objects_follow_their_trigger_source_and_policy() {
    let Some((_nats, scene)) = scene() else { return };
    let server = &scene.server;

    // What others change or delete is put right again.
    let patch = ["patch", "configmap", "bound-of-a", "--type=merge", "-p", "{\"data\":{\"say\":\"other\"}}"];
    server.kubectl(&patch).unwrap();
    scene.says("bound-of-a", "one");
    let patch = ["patch", "configmap", "bound-of-a", "--type=merge", "-p"];
    server.kubectl(&[&patch[..], &["{\"data\":{\"more\":\"x\"},\"binaryData\":{\"b\":\"eA==\"}}"]].concat()).unwrap();
    scene.until(("configmap", "bound-of-a"), ".data.more", "");
    scene.until(("configmap", "bound-of-a"), ".binaryData", "");
    server.kubectl(&["delete", "configmap", "cel-of-f"]).unwrap();
    scene.says("cel-of-f", "hello");

    // Even where it was deleted before the gateway looked at it for the first time.
    server.apply(&config_map("quick", "bound")).unwrap();
    let made = wait_until(Duration::from_secs(60), || {
        server.kubectl(&["delete", "configmap", "bound-of-quick", "--wait=false"]).ok()
    });
    assert!(made.is_some(), "{}", scene.gateway.log());
    scene.says("bound-of-quick", "one");

    // A changed policy and a changed source are carried over.
    server.apply(&data("bound", "two", SYNCHRONIZE)).unwrap();
    scene.says("bound-of-a", "two");
    server.kubectl(&["create", "namespace", "copies"]).unwrap();
    let copied = |expected: &str| {
        let output =
            ["get", "secret", "original", "-n", "copies", "--ignore-not-found", "-o", "jsonpath={.data.token}"];
        let seen = wait_until(Duration::from_secs(90), || (server.kubectl(&output).ok()? == expected).then_some(()));
        assert!(seen.is_some(), "`{expected}` is not there: {}", scene.gateway.log());
    };
    copied("Zmlyc3Q=");
    let patch = ["patch", "secret", "original", "--type=merge", "-p", "{\"stringData\":{\"token\":\"second\"}}"];
    server.kubectl(&patch).unwrap();
    scene.until(("secret", "copy-of-e"), ".data.token", "c2Vjb25k");
    copied("c2Vjb25k");

    // A rule that comes to name others leaves behind what it made, which is nobody's then.
    server.apply(&data("renamed", "one", SYNCHRONIZE)).unwrap();
    scene.until(("clusterpolicy", "renamed"), ".status.conditions[0].status", "True");
    server.apply(&config_map("wide", "renamed")).unwrap();
    scene.says("renamed-of-wide", "one");
    server.apply(&data("renamed", "two", SYNCHRONIZE).replace("'renamed-of-", "'other-of-")).unwrap();
    scene.until(("configmap", "renamed-of-wide"), ".metadata.labels", "");
    scene.says("other-of-wide", "two");
    server.kubectl(&["delete", "clusterpolicy", "renamed"]).unwrap();
    scene.says("other-of-wide", "");
    scene.says("renamed-of-wide", "one");

    // Without being kept in step, a policy in CEL writes again what it made when it is asked again, and nothing else.
    scene.says("loose-of-copies", "hello");
    server.kubectl(&["create", "namespace", "theirs"]).unwrap();
    let patch = ["patch", "configmap", "loose-of-copies", "--type=merge", "-p"];
    server.kubectl(&[&patch[..], &["{\"data\":{\"say\":\"other\",\"more\":\"kept\"}}"]].concat()).unwrap();
    server.kubectl(&["label", "namespace", "copies", "again=yes"]).unwrap();
    scene.says("loose-of-copies", "hello");
    assert_eq!(scene.read("configmap", "loose-of-copies", ".data.more"), "kept");
    server.kubectl(&["label", "namespace", "theirs", "again=yes"]).unwrap();

    // What a trigger is no longer meant by goes, and so does what its trigger or source leaves behind.
    server.kubectl(&["label", "configmap", "b", "bound-"]).unwrap();
    scene.says("bound-of-b", "");
    server.kubectl(&["delete", "configmap", "f"]).unwrap();
    scene.says("cel-of-f", "");
    server.kubectl(&["delete", "secret", "original"]).unwrap();
    scene.until(("secret", "copy-of-e"), ".data.token", "");
    copied("");
    assert_eq!(scene.read("configmap", "loose-of-theirs", ".data.say"), "mine", "{}", scene.gateway.log());
    server.kubectl(&["delete", "configmap", "d"]).unwrap();

    // A policy takes what it made with it, unless it says otherwise.
    server.kubectl(&["delete", "clusterpolicy", "bound", "freed", "loose"]).unwrap();
    server.kubectl(&["delete", "generatingpolicy", "in-cel"]).unwrap();
    scene.says("bound-of-a", "");
    scene.says("cel-of-g", "");
    assert_eq!(scene.read("configmap", "freed-of-c", ".data.say"), "one", "{}", scene.gateway.log());
    assert_eq!(scene.read("configmap", "loose-of-d", ".data.say"), "one", "{}", scene.gateway.log());
}
