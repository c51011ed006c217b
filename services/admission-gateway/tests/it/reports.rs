//! Reports on what is in the cluster, at a real API server.

use std::time::Duration;

use serde_json::json;
use testkit::parts::wait_until;

use crate::cluster::kind;
use crate::downstream::{Scene, started_with};

/// The kinds of reports as they are shipped.
const REPORTS: &str = include_str!("../../../../helm/biotope/crds/wgpolicyk8s.io.yaml");

fn config_map(name: &str, labels: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name}, labels: {{ {labels} }} }}\ndata: {{ a: b }}\n---\n"
    )
}

/// A policy that every config map has a label.
fn labels(label: &str) -> String {
    format!(
        "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{ name: labels, annotations: {{ policies.kyverno.io/severity: high, policies.kyverno.io/category: Labels }} }}
spec:
  rules:
  - name: has-label
    match: {{ any: [{{ resources: {{ kinds: [ConfigMap] }} }}] }}
    exclude: {{ any: [{{ resources: {{ names: [kube-root-ca.crt] }} }}] }}
    validate: {{ message: set the label {label}, pattern: {{ metadata: {{ labels: {{ {label}: '?*' }} }} }} }}
---
"
    )
}

const OTHERS: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: of-requests }
spec:
  background: false
  rules:
  - name: never
    match: { any: [{ resources: { kinds: [ConfigMap, Secret] } }] }
    validate: { message: never, deny: {} }
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: pods }
spec:
  rules:
  - name: own-user
    match: { any: [{ resources: { kinds: [Pod] } }] }
    validate: { message: no root, pattern: { spec: { securityContext: { runAsNonRoot: true } } } }
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: lost }
spec:
  rules:
  - name: unknown-variable
    match: { any: [{ resources: { kinds: [ConfigMap], selector: { matchLabels: { lost: 'yes' } } } }] }
    validate: { message: lost, deny: { conditions: { all: [{ key: '{{ request.object.data.nowhere }}', operator: Equals, value: a }] } } }
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: namespaces }
spec:
  rules:
  - name: owner
    match: { any: [{ resources: { kinds: [Namespace, example.com/v2/Widget] } }] }
    validate: { message: name an owner, pattern: { metadata: { annotations: { owner: '?*' } } } }
---
";

const IN_CEL: &str = "apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: { name: in-cel }
spec:
  validationActions: [Audit]
  matchConstraints:
    resourceRules: [{ apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps] }]
  matchConditions: [{ name: own, expression: \"object.metadata.name != 'kube-root-ca.crt'\" }]
  validations: [{ expression: \"object.data.a == 'b' && object.metadata.name != 'bad'\", message: not in cel }]
";

const EXCEPTION: &str = "apiVersion: kyverno.io/v2
kind: PolicyException
metadata: { name: legacy, namespace: default }
spec:
  exceptions: [{ policyName: labels, ruleNames: [has-label] }]
  match: { any: [{ resources: { kinds: [ConfigMap], names: [bad] } }] }
";

/// A kind whose objects cannot be listed: nobody answers who could turn them into the version that is asked for.
const BROKEN: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: widgets.example.com }
spec:
  group: example.com
  scope: Namespaced
  names: { kind: Widget, plural: widgets, singular: widget }
  conversion:
    strategy: Webhook
    webhook: { conversionReviewVersions: [v1], clientConfig: { url: 'https://127.0.0.1:1/' } }
  versions:
  - { name: v1, served: true, storage: true, schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } } }
  - { name: v2, served: true, storage: false, schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } } }
";

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: main, image: 'localhost/a:1' }] }
";

impl Scene {
    /// Waits until a field of the report on an object is as expected.
    fn reports(&self, (kind, name): (&str, &str), path: &str, expected: &str) {
        let report = self.report(kind, name);
        self.until((report.0, &report.1), path, expected);
    }

    /// Kind and name of the report on an object.
    fn report(&self, kind: &str, name: &str) -> (&'static str, String) {
        let reports = if kind == "namespace" { "clusterpolicyreport" } else { "policyreport" };
        (reports, self.read(kind, name, ".metadata.uid"))
    }

    /// Waits for the result of a policy on a config map.
    fn result(&self, name: &str, policy: &str, expected: &str) {
        self.reports(("configmap", name), &format!(".results[?(@.policy==\"{policy}\")].result"), expected);
    }
}

/// How often the scenes are scanned, which is often enough not to wait for, and seldom enough to tell it from other reasons.
const INTERVAL_S: u64 = 20;

fn scene() -> Option<(impl Sized, Scene)> {
    let settings = json!({
        "background_scan_interval_s": INTERVAL_S,
        "register": { "failure_policy": "fail", "excluded_namespaces": ["walled"] },
    });
    let (nats, scene) = started_with(OTHERS, &[REPORTS, BROKEN], &settings)?;
    let objects = [config_map("good", "team: a"), config_map("bad", ""), config_map("lost", "team: a, lost: 'yes'")];
    scene.server.apply(&objects.concat()).unwrap();
    scene.server.apply(DEPLOYMENT).unwrap();
    let walled = "apiVersion: v1\nkind: Namespace\nmetadata: { name: walled }\n";
    scene.server.apply(walled).unwrap();
    scene.server.kubectl(&["create", "configmap", "bad", "-n", "walled"]).unwrap();
    let widget = "apiVersion: example.com/v1\nkind: Widget\nmetadata: { name: w, namespace: default }\n";
    assert!(wait_until(Duration::from_secs(20), || scene.server.apply(widget).ok()).is_some());
    Some((nats, scene))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_is_reported_on_and_reports_follow_objects_and_policies() {
    let Some((_nats, scene)) = scene() else { return };
    let server = &scene.server;

    // The objects were there before the policy.
    server.apply(&labels("team")).unwrap();
    scene.result("bad", "labels", "fail");
    scene.result("good", "labels", "pass");
    let bad = ("configmap", "bad");
    let uid = scene.read("configmap", "bad", ".metadata.uid");
    for (path, expected) in [
        (
            ".results[0].message",
            "validation error: set the label team. rule has-label failed at path /metadata/labels/",
        ),
        (".results[0].rule", "has-label"),
        (".results[0].severity", "high"),
        (".results[0].category", "Labels"),
        (".results[0].source", "kyverno"),
        (".results[0].scored", "true"),
        (".results[0].properties.process", "background scan"),
        (".summary.fail", "1"),
        (".summary.pass", "0"),
        (".scope.kind", "ConfigMap"),
        (".scope.name", "bad"),
        (".scope.namespace", "default"),
        (".metadata.ownerReferences[0].uid", uid.as_str()),
        (".metadata.labels.app\\.kubernetes\\.io/managed-by", "biotope"),
    ] {
        let (kind, name) = scene.report("configmap", "bad");
        assert_eq!(scene.read(kind, &name, path), expected, "{path}");
    }
    // Rules made for what makes pods, objects in no namespace, rules that cannot be judged; none on what is not looked at.
    scene.reports(("deployment", "web"), ".results[0].rule", "autogen-own-user");
    scene.reports(("namespace", "default"), ".results[0].result", "fail");
    scene.result("lost", "lost", "error");
    scene.result("bad", "of-requests", "");
    assert_eq!(server.kubectl(&["get", "policyreports", "-n", "walled", "-o", "name"]).unwrap(), "");
    assert_eq!(scene.read("clusterpolicyreport", &scene.read("namespace", "walled", ".metadata.uid"), ".kind"), "");
    let listed =
        wait_until(Duration::from_secs(10), || scene.gateway.log().contains("objects cannot be listed").then_some(()));
    assert!(listed.is_some(), "{}", scene.gateway.log());

    // Another policy adds its results, and what it says nothing of is not written again.
    let version = |scene: &Scene| {
        let (kind, name) = scene.report("deployment", "web");
        scene.read(kind, &name, ".metadata.resourceVersion")
    };
    let before = version(&scene);
    server.apply(IN_CEL).unwrap();
    scene.result("bad", "in-cel", "fail");
    scene.result("good", "in-cel", "pass");
    scene.reports(bad, ".results[?(@.policy==\"in-cel\")].source", "KyvernoValidatingPolicy");
    scene.reports(bad, ".summary.fail", "2");
    assert_eq!(version(&scene), before);

    // An object that changes is looked at again without waiting for the next scan.
    server.kubectl(&["label", "configmap", "bad", "team=b"]).unwrap();
    scene.result("bad", "labels", "pass");

    // A changed policy, an exception, a deleted policy.
    server.apply(&labels("owner")).unwrap();
    scene.result("good", "labels", "fail");
    scene.result("bad", "labels", "fail");
    server.apply(EXCEPTION).unwrap();
    scene.result("bad", "labels", "skip");
    scene.reports(bad, ".results[?(@.policy==\"labels\")].properties.exceptions", "legacy");
    server.kubectl(&["delete", "clusterpolicy", "labels"]).unwrap();
    scene.result("good", "labels", "");
    scene.result("good", "in-cel", "pass");
    server.kubectl(&["delete", "validatingpolicy", "in-cel"]).unwrap();
    scene.reports(("configmap", "good"), ".kind", "");

    // Nobody collects garbage here: the next scan finds that the object is gone.
    let (kind, name) = scene.report("deployment", "web");
    server.kubectl(&["delete", "deployment", "web"]).unwrap();
    scene.until((kind, &name), ".kind", "");
    assert!(scene.metrics().contains("admission_gateway_reports_total{outcome=\"written\"}"), "{}", scene.metrics());
}

impl Scene {
    fn metrics(&self) -> String {
        crate::cluster::ureq_like(&self.gateway.admin, "/metrics")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_wait_for_their_kinds_and_leave_those_of_others_alone() {
    let Some((_nats, scene)) = started_with(&labels("team"), &[], &json!({})) else { return };
    let server = &scene.server;
    let told = wait_until(Duration::from_secs(30), || {
        scene.gateway.log().contains("the server has no kinds of reports").then_some(())
    });
    assert!(told.is_some(), "{}", scene.gateway.log());
    server.apply(&[config_map("bad", ""), config_map("theirs", "")].concat()).unwrap();
    let kinds = [
        kind("openreports.io", "v1alpha1", "Report", "Namespaced"),
        kind("openreports.io", "v1alpha1", "ClusterReport", "Cluster"),
    ];
    // Only once both kinds are there anything is scanned.
    server.apply(&kinds[0]).unwrap();
    let foreign = format!(
        "apiVersion: openreports.io/v1alpha1
kind: Report
metadata: {{ name: {}, namespace: default, labels: {{ app.kubernetes.io/managed-by: kyverno }} }}
source: kyverno
",
        scene.read("configmap", "theirs", ".metadata.uid")
    );
    assert!(wait_until(Duration::from_secs(20), || server.apply(&foreign).ok()).is_some());
    server.apply(&kinds[1]).unwrap();
    let report = scene.read("configmap", "bad", ".metadata.uid");
    scene.until(("reports.openreports.io", &report), ".results[0].result", "fail");
    scene.until(("reports.openreports.io", &report), ".source", "biotope");
    let theirs = scene.read("configmap", "theirs", ".metadata.uid");
    let left_alone =
        wait_until(Duration::from_secs(20), || scene.gateway.log().contains("reports of somebody else").then_some(()));
    assert!(left_alone.is_some(), "{}", scene.gateway.log());
    assert_eq!(scene.read("reports.openreports.io", &theirs, ".results"), "");
}
