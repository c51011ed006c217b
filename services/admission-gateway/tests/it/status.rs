//! What the status of policies says, at a real API server.

use std::time::Duration;

use testkit::parts::wait_until;

use crate::downstream::started;

const POLICIES: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: whole }
spec:
  rules:
  - name: named
    match: { any: [{ resources: { kinds: [ConfigMap] } }] }
    validate: { message: name it, pattern: { metadata: { name: '?*' } } }
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: { name: half }
spec:
  rules:
  - name: named
    match: { any: [{ resources: { kinds: [ConfigMap] } }] }
    validate: { message: name it, pattern: { metadata: { name: '?*' } } }
  - name: nothing
    match: { any: [{ resources: { kinds: [ConfigMap] } }] }
---
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: { name: in-cel }
spec:
  matchConstraints:
    resourceRules: [{ apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [configmaps] }]
  validations: [{ expression: object.metadata.name != }]
---
apiVersion: kyverno.io/v2
kind: ClusterCleanupPolicy
metadata: { name: tidy }
spec:
  schedule: '* * * * *'
  match: { any: [{ resources: { kinds: [ConfigMap], names: [nobody] } }] }
---
";

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_says_whether_all_of_it_is_in_force() {
    let Some((_nats, scene)) = started(POLICIES) else { return };
    let server = &scene.server;
    let ready = |name: &str| scene.read("clusterpolicy", name, ".status.conditions[0].status");
    scene.until(("clusterpolicy", "whole"), ".status.conditions[0].status", "True");
    scene.until(("clusterpolicy", "half"), ".status.conditions[0].status", "False");
    scene.until(("clustercleanuppolicy", "tidy"), ".status.conditions[0].status", "True");
    let reason = scene.read("clusterpolicy", "half", ".status.conditions[0].message");
    assert!(reason.starts_with("rule nothing: the rule does nothing: add validate"), "{reason}");
    scene.until(("validatingpolicy", "in-cel"), ".status.conditionStatus.ready", "false");
    let reason = scene.read("validatingpolicy", "in-cel", ".status.conditionStatus.message");
    assert!(reason.contains("correct the expression"), "{reason}");
    scene.until(("validatingpolicy", "in-cel"), ".status.conditionStatus.conditions[0].type", "WebhookConfigured");

    // What people look at.
    let table = server.kubectl(&["get", "clusterpolicies,validatingpolicies"]).unwrap();
    let row = |name: &str| table.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned();
    assert!(table.contains("READY"), "{table}");
    assert!(
        row("/whole").contains("True") && row("/half").contains("False") && row("/in-cel").contains("false"),
        "{table}"
    );

    // A policy that is put right is ready, and nothing is written again where nothing changed.
    let version = || scene.read("clusterpolicy", "whole", ".metadata.resourceVersion");
    let before = version();
    server.apply(&POLICIES.replace("object.metadata.name != ", "object.metadata.name != ''")).unwrap();
    scene.until(("validatingpolicy", "in-cel"), ".status.conditionStatus.ready", "true");
    assert_eq!((version(), ready("whole").as_str()), (before, "True"));
    // When a cleanup ran is written by another manager, and stays beside it.
    let both = wait_until(Duration::from_secs(90), || {
        let ran = scene.read("clustercleanuppolicy", "tidy", ".status.lastExecutionTime");
        let ready = scene.read("clustercleanuppolicy", "tidy", ".status.conditions[0].status");
        (!ran.is_empty() && ready == "True").then_some(())
    });
    assert!(both.is_some(), "{}", scene.gateway.log());

    // A policy that could not be in force is refused when it is written, and what is odd about one is said; what is there already may
    // be labelled all the same.
    let broken = POLICIES.replace("name: half", "name: new");
    let refused = server.apply(&broken).unwrap_err().to_string();
    assert!(refused.contains("rule nothing: the rule does nothing"), "{refused}");
    assert_eq!(scene.read("clusterpolicy", "new", ".metadata.name"), "");
    server.kubectl(&["label", "clusterpolicy", "half", "known=yes"]).unwrap();
}
