//! What must not hurt: big and odd bodies and policies, over the real webhook.

use std::time::Duration;

use serde_json::json;
use testkit::parts;

use crate::{pod, start, until, write};

#[tokio::test(flavor = "multi_thread")]
async fn hostile_policies_end_in_verdicts_and_the_gateway_goes_on() {
    let Some(nats) = parts::nats() else { return };
    let gateway = start(&nats);
    // Two variables that produce each other: an error, which an enforcing policy refuses by its failurePolicy.
    let cyclic = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: cyclic}
spec:
  validationFailureAction: Enforce
  failurePolicy: POLICY
  rules:
  - name: cyclic
    match: {any: [{resources: {kinds: [Pod]}}]}
    context:
    - {name: a, variable: {value: '{{ b }}'}}
    - {name: b, variable: {value: '{{ a }}'}}
    validate: {deny: {conditions: {all: [{key: '{{ a }}', operator: Equals, value: x}]}}}
";
    write(nats.folder(), "cyclic.yaml", &cyclic.replace("POLICY", "Fail"));
    let refused = until(&gateway, json!({}), false).await;
    assert!(refused["response"]["status"]["message"].as_str().unwrap().contains("cyclic"), "{refused}");
    write(nats.folder(), "cyclic.yaml", &cyclic.replace("POLICY", "Ignore"));
    until(&gateway, json!({}), true).await;
    // 3 MB of annotations, as large as the API server lets objects be.
    let mut big = pod(json!({}));
    big["metadata"]["annotations"] = json!({"note": "x".repeat(3 << 20)});
    let answer = tokio::time::timeout(Duration::from_secs(10), gateway.review("validate", big)).await.unwrap();
    assert_eq!(answer["response"]["allowed"], json!(true));
    until(&gateway, json!({}), true).await;
}
