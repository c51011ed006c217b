//! Policies written in CEL.

use admission_policy::{
    Action, Attestation, AuthorizationKind, GroupVersionKind, ImageTrust, MissingFact, Outcome, PolicyRef, PolicySet,
    Request, Snapshot, Status, attestor_key,
};
use model::{FaultKind, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::load;

pub(crate) fn judge(text: &str, object: &Value) -> Outcome {
    load(text).evaluate(&Request::create(object.clone()), &Snapshot::default())
}

pub(crate) fn statuses(outcome: &Outcome) -> Vec<(Status, &str)> {
    outcome.verdicts.iter().map(|verdict| (verdict.status, verdict.message.as_str())).collect()
}

pub(crate) fn pod(containers: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"}, "spec": {"containers": containers}})
}

pub(crate) fn deployment(containers: &Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"template": {"spec": {"containers": containers}}}})
}

fn cron_job(containers: &Value) -> Value {
    json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": containers}}}}}})
}

const NO_LATEST: &str = "
apiVersion: policies.kyverno.io/v1alpha1
kind: ValidatingPolicy
metadata: {name: no-latest}
spec:
  validationActions: [Deny]
  matchConstraints:
    resourceRules:
    - {apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods]}
  matchConditions:
  - {name: not-system, expression: \"object.metadata.namespace != 'kube-system'\"}
  variables:
  - {name: images, expression: 'object.spec.containers.map(c, c.image)'}
  - {name: latest, expression: 'variables.images.filter(i, i.endsWith(\":latest\"))'}
  validations:
  - expression: variables.latest.size() == 0
    messageExpression: \"'latest: ' + variables.latest.join(', ')\"
";

#[test]
fn validates_pods_and_their_controllers() {
    let good = json!([{"name": "a", "image": "nginx:1"}]);
    let bad = json!([{"name": "a", "image": "nginx:latest"}]);
    for make in [pod, deployment, cron_job] {
        assert_eq!(statuses(&judge(NO_LATEST, &make(&good))), [(Status::Pass, "success")]);
        let refused = judge(NO_LATEST, &make(&bad));
        assert_eq!(statuses(&refused), [(Status::Fail, "latest: nginx:latest")]);
        assert!(!refused.allowed && refused.message.contains("latest: nginx:latest"), "{}", refused.message);
    }
    let mut system = pod(&bad);
    system["metadata"]["namespace"] = json!("kube-system");
    assert_eq!(statuses(&judge(NO_LATEST, &system)), [(Status::Skip, "skip")]);
    assert!(
        judge(NO_LATEST, &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}})).verdicts.is_empty()
    );
}

#[test]
fn an_error_is_a_verdict_with_its_reason() {
    let text = NO_LATEST.replace("c.image", "c.image.nothing");
    let outcome = judge(&text, &pod(&json!([{"image": "a"}])));
    assert_eq!(outcome.verdicts[0].status, Status::Error);
    assert_eq!(outcome.verdicts[0].message, "error: no such key: nothing");
    let warned = judge(&text.replace("[Deny]", "[Warn]"), &pod(&json!([{"image": "a"}])));
    assert!(warned.allowed);
    assert_eq!(warned.warnings, ["Policy no-latest error: error: no such key: nothing"]);
    assert!(!outcome.allowed);
    let cyclic = NO_LATEST.replace("object.spec.containers.map(c, c.image)", "variables.latest");
    let outcome = judge(&cyclic, &pod(&json!([])));
    assert!(outcome.verdicts[0].message.contains("depends on itself"), "{}", outcome.verdicts[0].message);
    let endless = NO_LATEST.replace("variables.latest.size() == 0", "lists.range(100000000).size() == 0");
    assert!(judge(&endless, &pod(&json!([]))).verdicts[0].message.contains("cost limit"));
}

#[test]
fn names_the_place_of_a_broken_expression() {
    for (from, to, what) in [
        ("variables.latest.size() == 0", "variables.latest.size( == 0", "Syntax error"),
        ("variables.latest.size() == 0", "objct.spec == 0", "undeclared reference to 'objct'"),
        ("variables.latest.size() == 0", "object.spec.frobnicate()", "undeclared reference to 'frobnicate'"),
    ] {
        let text = NO_LATEST.replacen(from, to, 1);
        let (set, faults) =
            PolicySet::load([("p.yaml", text.as_str()), ("q.yaml", &NO_LATEST.replace("no-latest", "other"))]);
        assert_eq!((set.len(), faults.len()), (1, 1));
        assert_eq!((faults[0].kind, faults[0].line), (FaultKind::Invalid, 16), "{}", faults[0]);
        assert!(faults[0].what.contains(what), "{}", faults[0].what);
    }
}

#[test]
fn rules_in_cluster_policies_use_cel_too() {
    let text = "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: replicas}
spec:
  validationFailureAction: Enforce
  rules:
  - name: enough
    match: {any: [{resources: {kinds: [Deployment], operations: [CREATE]}}]}
    celPreconditions:
    - {name: web-only, expression: \"object.metadata.name.startsWith('web')\"}
    validate:
      message: use more replicas
      cel:
        variables: [{name: count, expression: 'object.spec.?replicas.orValue(1)'}]
        expressions:
        - expression: variables.count >= 2
        - expression: variables.count < 10
          messageExpression: \"string(variables.count) + ' replicas in ' + namespaceObject.metadata.name\"
";
    let object = |name: &str, replicas: i64| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "shop"}, "spec": {"replicas": replicas}});
    for (name, replicas, expected) in [
        ("web", 3, (Status::Pass, "Validation rule 'enough' passed.")),
        ("web", 1, (Status::Fail, "use more replicas")),
        ("web", 12, (Status::Fail, "12 replicas in shop")),
        ("db", 1, (Status::Skip, "cel preconditions not met")),
    ] {
        assert_eq!(statuses(&judge(text, &object(name, replicas))), [expected], "{name} {replicas}");
    }
}

#[test]
fn rules_in_cluster_policies_tell_failures_as_kubernetes_does() {
    let text = "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: p}
spec:
  rules:
  - name: r
    match: {any: [{resources: {kinds: [Pod]}}]}
    CONDITIONS
    validate:
      cel:
        variables: [{name: all, expression: object.spec.containers + 'x'}]
        expressions: [{expression: variables.all.size() > 0}]
";
    let condition = |text: &str| format!("{{name: n{}, expression: '{text}'}}", text.len());
    let missing = "expression 'object.spec.no == 1' resulted in error: no such key: no";
    for (conditions, expected) in [
        (vec![], (Status::Fail, "expression 'variables.all.size() > 0' resulted in error: composited variable \"all\" fails to evaluate: no such overload".to_owned())),
        (vec![condition("object.spec.no == 1")], (Status::Fail, missing.to_owned())),
        (vec![condition("object.spec.no == 1"), condition("object.spec.no==1")], (Status::Fail, format!("[{missing}, {}]", missing.replace(" == ", "==")))),
        (vec![condition("object.spec.no == 1"), condition("false")], (Status::Skip, "cel preconditions not met".to_owned())),
    ] {
        let text = text.replace("CONDITIONS", &format!("celPreconditions: [{}]", conditions.join(", ")));
        let outcome = judge(&text, &pod(&json!([{"image": "a"}])));
        assert_eq!(statuses(&outcome), [(expected.0, expected.1.as_str())]);
    }
}

#[test]
fn failing_conditions_of_policies_are_told_together() {
    let condition = "{name: a, expression: 'object.no == 1'}, {name: b, expression: 'object.spec.neither == 1'}";
    for (kind, body, step) in [
        ("ValidatingPolicy", "validations: [{expression: 'true'}]", "failed to load context"),
        (
            "MutatingPolicy",
            "mutations: [{patchType: JSONPatch, jsonPatch: {expression: '[]'}}]",
            "failed to evaluate policy",
        ),
    ] {
        let text = format!(
            "apiVersion: policies.kyverno.io/v1\nkind: {kind}\nmetadata: {{name: p}}\nspec:\n  matchConstraints: {{resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}}]}}\n  matchConditions: [{condition}]\n  {body}\n"
        );
        let outcome = judge(&text, &pod(&json!([{"image": "a"}])));
        let message = format!("{step}: no such key: no; no such key: neither");
        assert_eq!(statuses(&outcome), [(Status::Error, message.as_str())]);
    }
}

#[test]
fn generates_objects() {
    let text = "
apiVersion: policies.kyverno.io/v1alpha1
kind: GeneratingPolicy
metadata: {name: quota}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [namespaces]}
  variables:
  - {name: ns, expression: object.metadata.name}
  - name: quota
    expression: >-
      [{'apiVersion': dyn('v1'), 'kind': dyn('ResourceQuota'), 'metadata': dyn({'name': 'default'}), 'spec': dyn({'hard': {'pods': '5'}})}]
  generate:
  - expression: generator.Apply(variables.ns, variables.quota)
";
    let outcome = judge(text, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}));
    let made = &outcome.verdicts[0].generated;
    assert_eq!(made.len(), 1);
    assert_eq!(made[0]["metadata"], json!({"name": "default", "namespace": "shop"}));
}

#[test]
fn deletes_what_meets_the_conditions() {
    let text = "
apiVersion: policies.kyverno.io/v1alpha1
kind: DeletingPolicy
metadata: {name: bare}
spec:
  schedule: '*/5 * * * *'
  matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], resources: [pods]}]}
  conditions:
  - {name: old, expression: \"now() - timestamp(object.metadata.creationTimestamp) > duration('24h')\"}
";
    let set = load(text);
    let schedule = &set.cleanup_schedules()[0];
    assert_eq!(schedule.schedule, "*/5 * * * *");
    let at =
        |time: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": time, "creationTimestamp": time}});
    let objects = [at("2024-01-01T00:00:00Z"), at("2024-01-02T23:00:00Z")];
    let snapshot = Snapshot::default();
    assert!(schedule.targets[0].is_about(&GroupVersionKind::of(&objects[0]), "pods"));
    let now: Timestamp = "2024-01-03T00:00:00Z".parse().unwrap();
    let outcome = set.clean_up(&schedule.policy, (&objects, &snapshot), now);
    assert_eq!(outcome.errors, Vec::<String>::new());
    let names: Vec<&str> = outcome.delete.iter().filter_map(|object| object["metadata"]["name"].as_str()).collect();
    assert_eq!(names, ["2024-01-01T00:00:00Z"]);
    let other = PolicyRef { name: "other".to_owned(), ..schedule.policy.clone() };
    assert!(set.clean_up(&other, (&objects, &snapshot), now).delete.is_empty());
}

#[test]
fn missing_facts_are_told() {
    let text = NO_LATEST.replace(
        "object.spec.containers.map(c, c.image)",
        "resource.get(\"v1\", \"configmaps\", \"shop\", \"list\").data.images.split(\",\")",
    );
    let set = load(&text);
    let request = Request::create(pod(&json!([])));
    let outcome = set.evaluate(&request, &Snapshot::default());
    let call =
        MissingFact::ApiCall { call: "GET /api/v1/namespaces/shop/configmaps/list".to_owned(), body: String::new() };
    assert_eq!(outcome.missing_facts(), [call]);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "list", "namespace": "shop"}, "data": {"images": "a:latest,b"}});
    let snapshot = Snapshot { objects: vec![map], ..Snapshot::default() };
    assert_eq!(statuses(&set.evaluate(&request, &snapshot)), [(Status::Fail, "latest: a:latest")]);
}

#[test]
fn facts_of_the_platform_are_at_hand() {
    let text = NO_LATEST
        .replace(
            "object.spec.containers.map(c, c.image)",
            "object.spec.containers.map(c, c.image).filter(i, biotope.images[?i].critical.orValue(0) > 0)",
        )
        .replace("variables.latest.size() == 0", "variables.images.size() == 0")
        .replace("variables.latest.join", "variables.images.join");
    let biotope = json!({"images": {"bad:1": {"critical": 2}, "good:1": {"critical": 0}}});
    let snapshot = Snapshot { biotope, ..Snapshot::default() };
    for (image, expected) in [("good:1", Status::Pass), ("unknown:1", Status::Pass), ("bad:1", Status::Fail)] {
        let outcome = load(&text).evaluate(&Request::create(pod(&json!([{"image": image}]))), &snapshot);
        assert_eq!(outcome.verdicts[0].status, expected, "{image}");
    }
}

#[test]
fn explains_why_a_policy_is_about_a_request() {
    let set = load(NO_LATEST);
    let mut system = deployment(&json!([]));
    system["metadata"]["namespace"] = json!("kube-system");
    let explained = set.explain(&Request::create(system), &Snapshot::default());
    let told: Vec<_> = explained
        .iter()
        .map(|one| (one.matched, one.clauses.iter().map(|clause| clause.holds).collect::<Vec<_>>()))
        .collect();
    assert_eq!(told[0], (false, vec![Some(false)]), "the policy's own form is about pods");
    let templated = explained.iter().find(|one| one.clauses.len() > told[0].1.len()).expect("the form for controllers");
    let condition = templated.clauses.last().expect("its condition");
    assert_eq!(
        (condition.clause.as_str(), condition.found.as_str(), condition.holds),
        ("matchConditions.not-system", "false", Some(false))
    );
}

#[test]
fn exceptions_skip_or_allow() {
    let exception = "
apiVersion: policies.kyverno.io/v1alpha1
kind: PolicyException
metadata: {name: legacy, namespace: platform}
spec:
  policyRefs: [{name: no-latest, kind: ValidatingPolicy}]
  matchConditions: [{name: legacy, expression: \"object.metadata.name == 'web'\"}]
";
    let set = load(format!("{NO_LATEST}---{exception}"));
    let object = pod(&json!([{"image": "a:latest"}]));
    let outcome = set.evaluate(&Request::create(object.clone()), &Snapshot::default());
    assert_eq!(statuses(&outcome), [(Status::Skip, "rule is skipped due to policy exception: platform/legacy")]);
    assert_eq!(outcome.verdicts[0].exceptions, ["platform/legacy"]);
    let mut other = object.clone();
    other["metadata"]["name"] = json!("other");
    assert_eq!(set.evaluate(&Request::create(other), &Snapshot::default()).verdicts[0].status, Status::Fail);
    let images = format!("{exception}  images: ['a:*']\n");
    let policy = NO_LATEST.replace(
        "i.endsWith(\":latest\")",
        "i.endsWith(\":latest\") && !exceptions.allowedImages.exists(a, i.startsWith(a.split(\":\")[0]))",
    );
    let outcome = load(format!("{policy}---{images}")).evaluate(&Request::create(object), &Snapshot::default());
    assert_eq!(statuses(&outcome), [(Status::Pass, "success")]);
}

#[test]
fn namespaced_policies_stay_in_their_namespace() {
    let text = NO_LATEST
        .replace("kind: ValidatingPolicy", "kind: NamespacedValidatingPolicy")
        .replace("{name: no-latest}", "{name: no-latest, namespace: shop}");
    let object = pod(&json!([{"image": "a:latest"}]));
    assert_eq!(judge(&text, &object).verdicts.len(), 1);
    let mut elsewhere = object;
    elsewhere["metadata"]["namespace"] = json!("other");
    assert!(judge(&text, &elsewhere).verdicts.is_empty());
}

const NATIVE: &str = "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: limit}
spec:
  failurePolicy: Fail
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints:
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}
  validations:
  - {expression: 'object.spec.replicas <= int(params.data.max)', message: too many}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: limit-shop}
spec:
  policyName: limit
  validationActions: [Warn]
  paramRef: {name: limits, namespace: shop, parameterNotFoundAction: Deny}
  matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}
";

#[test]
fn kubernetes_own_policies_apply_where_they_are_bound() {
    let limits = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "limits", "namespace": "shop"}, "data": {"max": "3"}});
    let snapshot = Snapshot { objects: vec![limits], ..Snapshot::default() };
    let object = |namespace: &str, replicas: i64| json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": namespace}, "spec": {"replicas": replicas}});
    let run = |object: Value| load(NATIVE).evaluate(&Request::create(object), &snapshot);
    assert_eq!(statuses(&run(object("shop", 2))), [(Status::Pass, "success")]);
    let warned = run(object("shop", 5));
    assert_eq!(statuses(&warned), [(Status::Fail, "too many")]);
    assert_eq!(warned.verdicts[0].action, Action::Warn);
    assert!(warned.allowed && warned.warnings.len() == 1);
    assert!(run(object("elsewhere", 5)).verdicts.is_empty());
}

#[test]
fn images_are_validated_by_facts() {
    let text = "
apiVersion: policies.kyverno.io/v1alpha1
kind: ImageValidatingPolicy
metadata: {name: signed}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}
  matchImageReferences: [{glob: 'registry.example/*'}]
  attestors:
  - {name: release, cosign: {key: {data: KEY}}}
  attestations:
  - {name: sbom, intoto: {type: 'https://cyclonedx.org/bom'}}
  validations:
  - {expression: 'images.containers.map(i, verifyImageSignatures(i, [attestors.release])).all(n, n > 0)', message: not signed}
  - expression: >-
      images.containers.all(i, verifyAttestationSignatures(i, attestations.sbom, [attestors.release]) > 0
        && extractPayload(i, attestations.sbom).predicate.components.size() > 0)
    message: no bill of materials
";
    let set = load(text);
    let request = Request::create(pod(
        &json!([{"name": "a", "image": "registry.example/app:1"}, {"name": "b", "image": "other.example/x:1"}]),
    ));
    let missing = set.evaluate(&request, &Snapshot::default());
    let key = attestor_key(&json!({"type": "Detected", "keys": {"publicKeys": "KEY"}}));
    assert_eq!(missing.verdicts[0].status, Status::Error);
    assert!(
        matches!(&missing.missing_facts()[..], [MissingFact::ImageTrust { image, attestors, .. }] if image == "registry.example/app:1" && *attestors == [key.clone()]),
        "{:?}",
        missing.missing_facts()
    );
    let sbom = |signed: bool| Attestation {
        predicate_type: "https://cyclonedx.org/bom".to_owned(),
        predicate: json!({"components": [1]}),
        signatures: [(key.clone(), signed)].into(),
    };
    let digest = format!("sha256:{}", "0".repeat(64));
    for (signed, attested, expected) in [
        (true, true, (Status::Pass, "success")),
        (false, true, (Status::Fail, "not signed")),
        (true, false, (Status::Fail, "no bill of materials")),
    ] {
        let trust = ImageTrust {
            digest: digest.clone(),
            signatures: [(key.clone(), signed)].into(),
            attestations: Some(vec![sbom(attested)]),
            ..ImageTrust::default()
        };
        let snapshot =
            Snapshot { image_trust: [("registry.example/app:1".to_owned(), trust)].into(), ..Snapshot::default() };
        let outcome = set.evaluate(&request, &snapshot);
        assert_eq!(statuses(&outcome), [expected]);
        if expected.0 == Status::Pass {
            let patched = outcome.patched.expect("the digest is added");
            assert_eq!(patched["spec"]["containers"][0]["image"], json!(format!("registry.example/app:1@{digest}")));
            assert_eq!(patched["spec"]["containers"][1]["image"], json!("other.example/x:1"));
        }
    }
    // Images that nobody asks about lack nothing.
    let other = set.evaluate(&Request::create(pod(&json!([{"image": "other.example/x:1"}]))), &Snapshot::default());
    assert_eq!(statuses(&other), [(Status::Pass, "success")]);
}

#[test]
fn other_evaluation_modes_are_set_aside_with_a_remedy() {
    let text = NO_LATEST.replace("  validationActions: [Deny]", "  evaluation: {mode: Telnet}");
    let (set, faults) = PolicySet::load([("p.yaml", text.as_str())]);
    assert!(set.is_empty());
    assert_eq!((faults[0].kind, faults[0].line), (FaultKind::Unsupported, 6), "{}", faults[0]);
    assert!(!faults[0].remedy.is_empty());
}

#[test]
fn loops_over_large_objects_end_at_the_budget() {
    let items: Vec<Value> = (0..3_000).map(|n| json!({"image": format!("i{n}")})).collect();
    let text = NO_LATEST.replace(
        "variables.latest.size() == 0",
        "object.spec.containers.all(a, object.spec.containers.all(b, a.image != b.image || a.image == b.image))",
    );
    let outcome = judge(&text, &pod(&Value::from(items)));
    assert_eq!(outcome.verdicts[0].status, Status::Error);
    assert!(outcome.verdicts[0].message.contains("cost limit"), "{}", outcome.verdicts[0].message);
}

fn containers() -> impl Strategy<Value = Value> {
    let image = prop_oneof![Just("nginx:latest"), Just("nginx:1"), Just("redis"), Just("a.test/b:latest")];
    prop::collection::vec(image.prop_map(|image| json!({"name": "c", "image": image})), 0..4).prop_map(Value::from)
}

proptest! {
    #[test]
    fn made_for_controllers_equals_written_by_hand(containers in containers()) {
        let by_hand = NO_LATEST
            .replace("apiGroups: ['']", "apiGroups: [apps]")
            .replace("resources: [pods]", "resources: [deployments]")
            .replace("object.spec.containers", "object.spec.template.spec.containers");
        let object = deployment(&containers);
        let (made, written) = (judge(NO_LATEST, &object), judge(&by_hand, &object));
        prop_assert_eq!(statuses(&made), statuses(&written));
        prop_assert_eq!(made.allowed, judge(NO_LATEST, &pod(&containers)).allowed);
    }

    #[test]
    fn the_order_of_policies_does_not_matter(containers in containers()) {
        let other = NO_LATEST.replace("no-latest", "other").replace("':latest'", "':1'");
        let object = pod(&containers);
        let run = |text: &str| {
            let outcome = judge(text, &object);
            let mut verdicts: Vec<_> = outcome.verdicts.iter().map(|one| (one.policy.name.clone(), one.status, one.message.clone())).collect();
            verdicts.sort();
            (outcome.allowed, verdicts)
        };
        prop_assert_eq!(run(&format!("{NO_LATEST}---{other}")), run(&format!("{other}---{NO_LATEST}")));
    }
}

#[test]
fn requests_of_other_protocols_are_authorized() {
    let envoy = "apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: admins}
spec:
  evaluation: {mode: Envoy}
  matchConditions: [{name: api, expression: \"object.attributes.request.http.path.startsWith('/api')\"}]
  variables:
  - {name: token, expression: \"jwt.Decode(object.attributes.request.http.headers[?'authorization'].orValue('a.b.c'), 'k')\"}
  validations:
  - {expression: \"!variables.token.Valid ? envoy.Denied(401).WithBody('who?').WithHeader('a', 'b').Response() : null\"}
  - {expression: \"variables.token.Claims.?role.orValue('') != 'admin' ? envoy.Denied(403).Response() : null\"}
  - {expression: \"envoy.Allowed().Response()\"}
";
    let http = "apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: keys}
spec:
  evaluation: {mode: HTTP}
  validations:
  - {expression: \"object.attributes.Header('X-Key').exists(key, key == 'k') ? http.Allowed().Response() : http.Denied('no key').Response()\"}
";
    let (set, faults) = PolicySet::load([("envoy.yaml", envoy), ("http.yaml", http)]);
    assert!(faults.is_empty(), "{faults:?}");
    // HS256 with the key `k` over {"role":"admin"}, and over {"role":"guest"}.
    let admin = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiYWRtaW4ifQ.nTTGO8HSc2D0b2N3lYm-N1W6l-scfjfwa7qPvEcR6Uo";
    let guest = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoiZ3Vlc3QifQ.ckbS72ZEuj-l-VGxRwvEkqLFLnIZ1RuCV1FRG6JhgAk";
    let ask = |path: &str, token: &str| json!({"attributes": {"request": {"http": {"path": path, "headers": {"authorization": token}}}}});
    for (payload, status, message) in [
        (ask("/api/x", admin), Status::Pass, "request allowed"),
        (ask("/api/x", guest), Status::Fail, "request denied with status code 403"),
        (ask("/api/x", &admin.replace("nTTG", "nTTH")), Status::Fail, "request denied with status code 401"),
        (ask("/open", guest), Status::Skip, "request does not match"),
        (json!({}), Status::Skip, "request does not match"),
    ] {
        let verdicts = set.authorize(AuthorizationKind::Envoy, &payload, &Snapshot::default());
        assert_eq!((verdicts[0].status, verdicts[0].message.as_str()), (status, message), "{payload}");
    }
    for (payload, status) in [
        (json!({"attributes": {"header": {"x-key": ["k"]}}}), Status::Pass),
        (json!({"attributes": {"path": "/"}}), Status::Fail),
    ] {
        let verdicts = set.authorize(AuthorizationKind::Http, &payload, &Snapshot::default());
        assert_eq!((verdicts.len(), verdicts[0].status), (1, status), "{payload}");
    }
}

#[test]
fn values_of_wrong_types_are_told_when_a_policy_is_loaded() {
    let policy = |expression: &str, more: &str| {
        let text = format!(
            "apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {{name: p}}
spec:
  matchConstraints: {{resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}}]}}
  matchConditions: [{{name: c, expression: \"object.metadata.name != ''\"}}]
  validations:
  - expression: \"{expression}\"
{more}"
        );
        let (set, faults) = PolicySet::load([("p.yaml", text.as_str())]);
        assert_eq!(set.is_empty(), !faults.is_empty());
        faults.into_iter().map(|fault| (fault.line, fault.what, fault.remedy)).next()
    };
    for (expression, expected) in [
        ("1 + 'a' == 2", "found no matching overload for '_+_' applied to '(int, string)' in line 1, column 3"),
        ("object.a && 'b'", "'_&&_' applied to '(string)' in line 1, column 13"),
        ("size(object.spec.containers)", "the expression gives a int, and must give a bool in line 1, column 1"),
        ("object.spec.containers.all(c, size(1) > 0)", "'size' applied to '(int)' in line 1, column 31"),
    ] {
        let (line, what, remedy) = policy(expression, "").unwrap();
        assert!(what.contains(expected) && line == 8 && !remedy.is_empty(), "{line}: {what}: {remedy}");
    }
    let (line, what, _) = policy("true", "    messageExpression: size(object)\n").unwrap();
    assert_eq!((line, what.contains("must give a string")), (9, true), "{what}");
    assert_eq!(policy("object.spec.hostNetwork", "    messageExpression: object.metadata.name\n"), None);
}
