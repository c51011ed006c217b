//! What policies look up: services, with their status and headers, and the global context of a cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use axum::{Json, Router, routing};
use serde_json::{Value, json};
use testkit::parts::{self, wait_until};

use crate::cluster::{kind, until_refused, ureq_like};
use crate::{Gateway, pod, start, start_with, write};

/// A service that knows who asks with the right key, and counts how often it is asked; its address.
async fn service(asked: Arc<AtomicUsize>) -> String {
    let answer = move |headers: HeaderMap| {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        async move {
            let is_known = headers.get("x-key").is_some_and(|key| key == "k");
            let status = if is_known { StatusCode::OK } else { StatusCode::FORBIDDEN };
            (status, Json(json!({"known": is_known, "number": number, "owners": [{"name": "ann"}, {"name": "bob"}]})))
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/who", routing::get(answer.clone()).post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/who")
}

fn policies(url: &str) -> String {
    format!(
        "apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {{name: asks}}
spec:
  validationActions: [Deny]
  matchConstraints:
    resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}}]
  variables:
  - {{name: known, expression: \"http.get('{url}', {{'x-key': object.metadata.labels.key}})\"}}
  - {{name: posted, expression: \"http.post('{url}', {{'a': 1}}, {{'x-key': 'k'}})\"}}
  validations:
  - {{expression: variables.posted.statusCode == 200, message: the post is refused}}
  - expression: variables.known.statusCode == 200 && variables.known.known
    messageExpression: \"'status ' + string(variables.known.statusCode)\"
  auditAnnotations:
  - {{key: status, valueExpression: string(variables.known.statusCode)}}
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{name: asks-too}}
spec:
  rules:
  - name: owners
    match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}
    context:
    - name: owners
      apiCall:
        service: {{url: '{url}', headers: [{{key: x-key, value: '{{{{ request.object.metadata.labels.key }}}}'}}]}}
        jmesPath: owners[].name
    validate:
      message: 'the owners are {{{{ owners }}}}'
      failureAction: Enforce
      deny: {{conditions: {{all: [{{key: cat, operator: AnyIn, value: '{{{{ owners }}}}'}}]}}}}
"
    )
}

async fn answered(gateway: &Gateway, key: &str) -> Value {
    gateway.review("validate", pod(json!({"key": key}))).await["response"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn services_are_called_with_headers_and_their_status_is_told() {
    let Some(nats) = parts::nats() else { return };
    let url = service(Arc::default()).await;
    let gateway = start_with(&nats, &json!({"http_blocklist": ["10.0.0.0/8"]}));
    write(nats.folder(), "asks.yaml", &policies(&url));
    let mut refused = Value::Null;
    for _ in 0..200 {
        refused = answered(&gateway, "wrong").await;
        if refused["allowed"] == json!(false) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(gateway.faults().await, "[]");
    let message = refused["status"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("status 403"), "{refused}");
    assert!(message.contains("failed to fetch data for APICall owners: HTTP 403"), "{refused}");
    assert_eq!(refused["auditAnnotations"], json!({"asks.status": "403"}));
    let allowed = answered(&gateway, "k").await;
    assert_eq!(allowed["allowed"], json!(true), "{allowed}");
    assert_eq!(allowed["auditAnnotations"], json!({"asks.status": "200"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_policy_has_the_gateways_own_machine_called() {
    let Some(nats) = parts::nats() else { return };
    let asked = Arc::new(AtomicUsize::new(0));
    let url = service(asked.clone()).await;
    let gateway = start(&nats);
    write(nats.folder(), "asks.yaml", &policies(&url));
    let mut refused = Value::Null;
    for _ in 0..200 {
        refused = answered(&gateway, "k").await;
        if refused["allowed"] == json!(false) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(refused["allowed"], json!(false), "{refused}");
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert!(gateway.log().contains("policies may not call 127.0.0.1: it is in `http_blocklist`"), "{}", gateway.log());
}

const ENTRIES: &str = "apiVersion: kyverno.io/v2
kind: GlobalContextEntry
metadata: {name: maps}
spec:
  kubernetesResource: {version: v1, resource: configmaps, namespace: default}
  projections: [{name: names, jmesPath: '[].metadata.name'}]
---
apiVersion: kyverno.io/v2
kind: GlobalContextEntry
metadata: {name: owners}
spec:
  apiCall:
    service: {url: 'URL', headers: [{key: x-key, value: k}]}
    refreshInterval: 1s
  projections: [{name: first, jmesPath: 'owners[0].name'}]
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: by-context}
spec:
  rules:
  - name: told
    match: {any: [{resources: {kinds: [Secret]}}]}
    context:
    - {name: names, globalReference: {name: maps.names}}
    - {name: count, globalReference: {name: maps, jmesPath: length(@)}}
    - {name: first, globalReference: {name: owners.first}}
    validate:
      message: 'there are {{ count }}, {{ first }} owns {{ names }}'
      failureAction: Enforce
      deny: {}
";

#[tokio::test(flavor = "multi_thread")]
async fn the_global_context_is_kept_projected_and_asked_again() {
    let (Some(nats), Some(server)) = (parts::nats(), parts::kube_apiserver()) else { return };
    let asked = Arc::new(AtomicUsize::new(0));
    let url = service(asked.clone()).await;
    let kinds = [
        kind("kyverno.io", "v1", "ClusterPolicy", "Cluster"),
        kind("kyverno.io", "v2", "GlobalContextEntry", "Cluster"),
    ];
    server.apply(&kinds.concat()).unwrap();
    server.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n").unwrap();
    let kubeconfig = json!({"kubeconfig": server.kubeconfig, "register": {"failure_policy": "ignore"}});
    let gateway = start_with(&nats, &json!({"kubernetes": kubeconfig, "http_blocklist": []}));
    let applied = wait_until(Duration::from_secs(30), || server.apply(&ENTRIES.replace("URL", &url)).ok());
    assert!(applied.is_some());
    let ready =
        wait_until(Duration::from_secs(60), || ureq_like(&gateway.admin, "/ready").contains("200").then_some(()));
    assert!(ready.is_some(), "{}", gateway.log());
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";
    until_refused(&server, secret, r#"there are 1, ann owns ["settings"]"#);
    // What changes is seen, and the service is asked again.
    server.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\n").unwrap();
    until_refused(&server, secret, "there are 2, ann owns");
    let before = asked.load(Ordering::Relaxed);
    let again = wait_until(Duration::from_secs(30), || {
        std::thread::sleep(Duration::from_millis(200));
        (asked.load(Ordering::Relaxed) > before + 1).then_some(())
    });
    assert!(again.is_some(), "{}", gateway.log());
}
