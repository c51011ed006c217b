//! Policies over the platform's own facts: those that the documentation shows.

use admission_policy::{PolicySet, Request, Snapshot, Status};
use model::Timestamp;
use serde_json::json;

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// The examples of the documentation, word for word.
fn documented() -> Vec<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/policies.md");
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.enumerate().map(|(number, block)| (format!("docs-{number}.yaml"), block.to_owned())).collect()
}

#[test]
fn scan_results_and_incidents_decide() {
    let (set, faults) = PolicySet::load(documented());
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(set.len(), 6);
    let finding = |published: &str, fixed: &str| json!({"id": "CVE-1", "severity": "CRITICAL", "published": published, "fixed_version": fixed});
    let image = |finding| json!({"digest": DIGEST, "findings": [finding]});
    let cases = [
        (image(finding("2026-01-01T00:00:00Z", "2")), json!({}), false),
        (image(finding("2026-01-01T00:00:00Z", "")), json!({}), true),
        (image(finding("2026-01-09T00:00:00Z", "2")), json!({}), true),
        (image(finding("2026-01-09T00:00:00Z", "")), json!({DIGEST: [{"id": "i-1"}]}), false),
        (json!(null), json!({}), false),
    ];
    for (facts, incidents, allowed) in cases {
        let biotope = json!({"images": {"docker.io/library/app:1": facts}, "incidents": incidents, "secrets": {}});
        let snapshot = Snapshot { biotope: biotope.clone(), ..Snapshot::default() };
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "c", "image": "app:1"}]}});
        let mut request = Request::create(pod);
        request.received_at = Some(Timestamp::from_millis(1_768_003_200_000)); // 2026-01-10T00:00:00Z
        let outcome = set.evaluate(&request, &snapshot);
        let told: Vec<_> = outcome.verdicts.iter().map(|verdict| (verdict.status, &verdict.message)).collect();
        assert_eq!(outcome.allowed, allowed, "{biotope}: {told:?}");
    }
}

#[test]
fn a_secret_must_come_from_where_it_should() {
    let (set, _) = PolicySet::load(documented());
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop"},
        "spec": {"containers": [{"name": "c", "image": "app:1", "envFrom": [{"secretRef": {"name": "db"}}]}]}});
    let source = |store: &str| json!({"shop/db": {"sources": [{"store": store, "path": "db", "version": "3"}]}});
    for (secrets, allowed) in
        [(source("SecretStore shop/vault"), true), (source("SecretStore shop/other"), false), (json!({}), false)]
    {
        let images = json!({"docker.io/library/app:1": {"digest": DIGEST, "findings": []}});
        let biotope = json!({"images": images, "incidents": {}, "secrets": secrets});
        let snapshot = Snapshot { biotope: biotope.clone(), ..Snapshot::default() };
        let mut request = Request::create(pod.clone());
        request.received_at = Some(Timestamp::from_millis(1_768_003_200_000));
        let outcome = set.evaluate(&request, &snapshot);
        assert_eq!(outcome.allowed, allowed, "{biotope}: {:#?}", outcome.message);
        // Each of the two forms decides alone.
        for name in ["secrets-from-vault", "secrets-from-vault-jmespath"] {
            let mine = outcome.verdicts.iter().filter(|verdict| verdict.policy.name == name);
            let good = mine.clone().all(|verdict| verdict.status == Status::Pass);
            assert!(mine.count() > 0 && good == allowed, "{name}: {biotope}: {:#?}", outcome.verdicts);
        }
    }
}
