//! What a review costs when its policies are written in CEL.

use admission_policy::{PolicySet, Request, Snapshot};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};

/// Checks of the kind that the Pod Security Standards are made of.
const CHECKS: [(&str, &str); 8] = [
    ("privileged", "variables.all.all(c, c.?securityContext.?privileged.orValue(false) == false)"),
    ("host-ports", "variables.all.all(c, c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0))"),
    (
        "host-namespaces",
        "object.spec.?hostNetwork.orValue(false) == false && object.spec.?hostPID.orValue(false) == false",
    ),
    ("host-path", "object.spec.?volumes.orValue([]).all(v, !has(v.hostPath))"),
    ("escalation", "variables.all.all(c, c.?securityContext.?allowPrivilegeEscalation.orValue(true) == false)"),
    ("drop-all", "variables.all.all(c, c.?securityContext.?capabilities.?drop.orValue([]).exists(d, d == 'ALL'))"),
    ("tags", "variables.all.all(c, !c.image.endsWith(':latest') && c.image.matches('^registry\\\\.example/'))"),
    ("requests", "variables.all.all(c, has(c.image) && c.name != '')"),
];

fn policies() -> String {
    let policy = |(name, expression): &(&str, &str)| {
        format!(
            "apiVersion: policies.kyverno.io/v1alpha1\nkind: ValidatingPolicy\nmetadata: {{name: {name}}}\nspec:\n  validationActions: [Deny]\n  matchConstraints:\n    resourceRules:\n    - {{apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods]}}\n  variables:\n  - name: all\n    expression: object.spec.containers + object.spec.?initContainers.orValue([])\n  validations:\n  - expression: >-\n      {expression}\n    message: refused\n"
        )
    };
    CHECKS
        .iter()
        .chain(&CHECKS)
        .enumerate()
        .map(|(number, (name, expression))| policy(&(&*format!("{name}-{number}"), *expression)))
        .collect::<Vec<_>>()
        .join("---\n")
}

fn deployment() -> Value {
    let container = |name: &str| {
        json!({"name": name, "image": format!("registry.example/{name}:1.2.3"), "ports": [{"containerPort": 8080}],
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}})
    };
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"template": {"spec": {"containers": [container("web"), container("proxy")], "volumes": [{"name": "tmp", "emptyDir": {}}]}}}})
}

fn review(criterion: &mut Criterion) {
    let text = policies();
    let (set, faults) = PolicySet::load([("bench.yaml", text.as_str())]);
    assert!(faults.is_empty(), "{faults:?}");
    let request = Request::create(deployment());
    let snapshot = Snapshot::default();
    let outcome = set.evaluate(&request, &snapshot);
    assert!(outcome.allowed && outcome.verdicts.len() == 16);
    criterion.bench_function("review_16_cel_policies", |bencher| bencher.iter(|| set.evaluate(&request, &snapshot)));
    let secret =
        Request::create(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}}));
    criterion.bench_function("review_unmatched_by_16_cel_policies", |bencher| {
        bencher.iter(|| set.evaluate(&secret, &snapshot))
    });
    criterion.bench_function("load_16_cel_policies", |bencher| {
        bencher.iter(|| PolicySet::load([("bench.yaml", text.as_str())]).0.len())
    });
}

criterion_group!(benches, review);
criterion_main!(benches);
