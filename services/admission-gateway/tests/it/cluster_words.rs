//! What only a cluster can say, from a real API server: who may do what, the limits that an object sets, and what a request
//! about a part of an object is about.

use std::time::Duration;

use serde_json::json;
use testkit::parts::{self, wait_until};

use crate::cluster::{kind, until_refused};
use crate::start_with;

const POLICIES: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: by-the-cluster}
spec:
  background: false
  rules:
  - name: rights
    match: {any: [{resources: {kinds: [Secret]}}]}
    validate:
      failureAction: Enforce
      cel:
        expressions:
        - expression: \"authorizer.serviceAccount('default', 'ci').group('').resource('secrets').namespace('default').check('get').allowed()\"
          message: ci may not read secrets
  - name: limits
    match: {any: [{resources: {kinds: [ServiceAccount]}}]}
    validate:
      failureAction: Enforce
      cel:
        paramKind: {apiVersion: v1, kind: ConfigMap}
        paramRef: {name: limits, namespace: default, parameterNotFoundAction: Deny}
        expressions:
        - expression: \"object.metadata.labels.size() <= int(params.data.most)\"
          messageExpression: \"'at most ' + params.data.most\"
  - name: parts
    match: {any: [{resources: {kinds: [Deployment/scale]}}]}
    validate: {failureAction: Enforce, message: not scaled by hand, deny: {}}
";

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: registry.example/web}]}
";

#[tokio::test(flavor = "multi_thread")]
async fn rights_parameters_and_parts_are_those_of_the_cluster() {
    let (Some(nats), Some(server)) = (parts::nats(), parts::kube_apiserver()) else { return };
    server.apply(&kind("kyverno.io", "v1", "ClusterPolicy", "Cluster")).unwrap();
    server.apply(DEPLOYMENT).unwrap();
    let kubeconfig = json!({"kubeconfig": server.kubeconfig, "register": {"failure_policy": "ignore"}});
    let gateway = start_with(&nats, &json!({"kubernetes": kubeconfig}));
    let applied = wait_until(Duration::from_secs(30), || server.apply(POLICIES).ok());
    assert!(applied.is_some(), "{}", gateway.log());

    until_refused(&server, "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n", "ci may not read secrets");
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a, labels: {x: '1', y: '2'}}\n";
    until_refused(&server, account, "there is no v1 ConfigMap for the rule");
    server.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: limits}\ndata: {most: '1'}\n").unwrap();
    until_refused(&server, account, "at most 1");
    let scale = || server.kubectl(&["scale", "deployment", "web", "--replicas=3"]);
    let refused = scale().unwrap_err().to_string();
    assert!(refused.contains("not scaled by hand"), "{refused}");

    // What the cluster says from now on counts from now on.
    server.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: limits}\ndata: {most: '2'}\n").unwrap();
    server
        .kubectl(&["create", "clusterrolebinding", "ci", "--clusterrole=cluster-admin", "--serviceaccount=default:ci"])
        .unwrap();
    for manifest in [account, "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"] {
        let mut said = String::new();
        let made = wait_until(Duration::from_secs(30), || {
            let made = server.apply(manifest).map_err(|error| said = error.to_string()).ok();
            std::thread::sleep(Duration::from_millis(200));
            made
        });
        assert!(made.is_some(), "{said}\n{}", gateway.log());
    }
}
