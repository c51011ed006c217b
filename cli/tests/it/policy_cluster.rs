//! `biotope policy apply --cluster` at a real API server.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use testkit::parts::{self, KubeApiserver, Part};

use crate::policy::{biotope, said};

/// A kind whose objects may have any fields.
fn kind(group: &str, kind: &str) -> String {
    let singular = kind.to_lowercase();
    let plural =
        if singular.ends_with('y') { format!("{}ies", singular.trim_end_matches('y')) } else { format!("{singular}s") };
    let scope = if kind == "GlobalContextEntry" { "Cluster" } else { "Namespaced" };
    format!(
        "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: {plural}.{group}}}
spec:
  group: {group}
  scope: {scope}
  names: {{kind: {kind}, plural: {plural}, singular: {singular}}}
  versions:
  - {{name: v2, served: true, storage: true, schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}}}
---
"
    )
}

const OBJECTS: &str = "apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {guarded: 'yes'}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: limits, namespace: shop}
data: {most: '2'}
---
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: shop}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: shop}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: shop}]
";

const POLICIES: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: labeled, annotations: {policies.kyverno.io/severity: low}}
spec:
  rules:
  - name: team
    match: {any: [{resources: {kinds: [ConfigMap, Secret], namespaceSelector: {matchLabels: {guarded: 'yes'}}}}]}
    validate: {message: set the label team, failureAction: Enforce, pattern: {metadata: {labels: {team: '?*'}}}}
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: few}
spec:
  rules:
  - name: secrets
    match: {any: [{resources: {kinds: [Secret], namespaces: [shop]}}]}
    context:
    - {name: limits, configMap: {name: limits, namespace: shop}}
    - {name: count, apiCall: {urlPath: '/api/v1/namespaces/{{ request.namespace }}/secrets', jmesPath: items | length(@)}}
    - {name: maps, globalReference: {name: maps.names}}
    validate:
      message: '{{ count }} of {{ limits.data.most }}, {{ length(maps) }} maps'
      failureAction: Enforce
      deny: {conditions: {any: [{key: '{{ count }}', operator: LessThan, value: '{{ limits.data.most }}'}]}}
---
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: asks}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], resources: [namespaces], operations: [CREATE]}]}
  matchConditions: [{name: shop, expression: object.metadata.name == 'shop'}]
  validations: [{expression: \"resource.list('v1', 'secrets', 'shop').items.size() == 1\"}]
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: writes}
spec:
  rules:
  - name: posts
    match: {any: [{resources: {kinds: [Secret], namespaces: [shop]}}]}
    context:
    - name: made
      apiCall:
        urlPath: /api/v1/namespaces
        method: POST
        data: [{key: metadata, value: {name: made}}]
    validate: {message: m, deny: {conditions: {any: [{key: '{{ made }}', operator: Equals, value: x}]}}}
";

const OF_READERS: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: of-readers}
spec:
  background: false
  rules:
  - name: r
    match: {any: [{resources: {kinds: [Secret], namespaces: [shop]}, clusterRoles: [reader]}]}
    validate: {message: readers make no secrets, failureAction: Enforce, deny: {}}
";

const MAKES: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: makes}
spec:
  rules:
  - name: existing
    match: {any: [{resources: {kinds: [Secret], namespaces: [shop]}}]}
    mutate:
      targets: [{apiVersion: v1, kind: ConfigMap, name: limits, namespace: shop}]
      patchStrategicMerge: {metadata: {labels: {seen: 'yes'}}}
  - name: copy
    match: {any: [{resources: {kinds: [Secret], namespaces: [shop]}}]}
    generate: {apiVersion: v1, kind: ConfigMap, name: copy, namespace: default, clone: {name: limits, namespace: shop}}
";

const ENTRIES: &str = "apiVersion: kyverno.io/v2
kind: GlobalContextEntry
metadata: {name: maps}
spec:
  kubernetesResource: {group: '', version: v1, resource: configmaps, namespace: shop}
  projections: [{name: names, jmesPath: '[].metadata.name'}]
";

const EXCEPTION: &str = "apiVersion: kyverno.io/v2
kind: PolicyException
metadata: {name: limits-are-free, namespace: shop}
spec:
  exceptions: [{policyName: labeled, ruleNames: [team]}]
  match: {any: [{resources: {kinds: [ConfigMap], names: [limits]}}]}
";

/// What is told of an object by a rule, or by a policy without rules.
fn result(output: &str, object: &str, policy: &str) -> Vec<String> {
    let all: Vec<Value> = serde_json::from_str(output).unwrap_or_else(|error| panic!("{error}: {output}"));
    let mine = all.iter().filter(|one| one["resource"] == object && one["policy"] == policy);
    mine.map(|one| format!("{}: {}", one["result"].as_str().unwrap(), one["message"].as_str().unwrap())).collect()
}

fn start(folder: &Path) -> Option<Part<KubeApiserver>> {
    let server = parts::kube_apiserver()?;
    server.apply(&[kind("kyverno.io", "PolicyException"), kind("kyverno.io", "GlobalContextEntry")].concat()).unwrap();
    server.apply(OBJECTS).unwrap();
    server.kubectl(&["wait", "--for=condition=Established", "crd", "--all"]).unwrap();
    server.apply(&format!("{ENTRIES}---\n{EXCEPTION}")).unwrap();
    std::fs::write(folder.join("policies.yaml"), POLICIES).unwrap();
    Some(server)
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_a_cluster_are_judged_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = start(folder.path()) else { return };
    let versions = || {
        server.kubectl(&[
            "get",
            "namespaces,configmaps,secrets",
            "-A",
            "-o",
            "jsonpath={.items[*].metadata.resourceVersion}",
        ])
    };
    let before = versions().unwrap();
    let kubeconfig = server.kubeconfig.display().to_string();
    let apply = |more: &[&str]| {
        let arguments = [&["apply", "policies.yaml", "--cluster", "--kubeconfig", &kubeconfig], more].concat();
        biotope(folder.path(), &arguments)
    };
    let output = apply(&["-o", "json"]);
    let (all, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let of = |object: &str, policy: &str| result(&all, object, policy).join("; ");
    assert!(of("Secret/shop/key", "labeled").starts_with("fail: "), "{all}");
    assert!(of("ConfigMap/shop/limits", "labeled").starts_with("skip: "), "{all}");
    // Namespaces that the policy does not select have objects too, and it says nothing about them.
    assert_eq!(of("ConfigMap/kube-system/extension-apiserver-authentication", "labeled"), "", "{all}");
    assert_eq!(of("Secret/shop/key", "few"), "fail: 1 of 2, 1 maps", "{all}\n{told}");
    assert!(of("Namespace/shop", "asks").starts_with("pass: "), "{all}\n{told}");
    // What could write is not asked for, whatever a policy says.
    assert!(of("Secret/shop/key", "writes").starts_with("error: "), "{all}");
    assert!(told.contains("it could write to the cluster, and is not made"), "{told}");
    assert!(told.contains(&format!("kinds at {}/, 1 exceptions", server.url)), "{told}");

    for (more, expected) in [
        (&["--namespace", "shop"][..], "ConfigMap/shop/limits ConfigMap/shop/kube-root-ca.crt Secret/shop/key"),
        (&["--resource", "limits"], "ConfigMap/shop/limits"),
        (&["--cluster-wide-resources"], "Namespace/shop"),
    ] {
        let output = apply(&[more, &["-o", "json"]].concat());
        let all: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let judged = all.iter().filter(|one| one["message"] != "skip");
        let mut found: Vec<&str> = judged.filter_map(|one| one["resource"].as_str()).collect();
        let expected: Vec<&str> = expected.split(' ').filter(|name| !name.contains("kube-root-ca")).collect();
        found.retain(|name| !name.contains("kube-root-ca"));
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, expected, "{more:?}: {}", said(&output));
    }
    let output = apply(&["-n", "nowhere"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("there is no namespace nowhere at https://"), "{}", said(&output));
    let output = apply(&["--ignore-cluster-exceptions", "--resource", "limits", "--resource", "nowhere", "-o", "json"]);
    assert!(
        result(&String::from_utf8_lossy(&output.stdout), "ConfigMap/shop/limits", "labeled")[0].starts_with("fail")
    );
    assert!(said(&output).contains("no object is called nowhere"), "{}", said(&output));
    // The roles of who asks are those that the cluster binds.
    let policies = folder.path().join("of-readers.yaml");
    std::fs::write(&policies, OF_READERS).unwrap();
    for (name, counts) in [("reader", "pass: 0, fail: 1"), ("other", "pass: 0, fail: 0")] {
        let user = format!(
            "kind: UserInfo\napiVersion: cli.kyverno.io/v1alpha1\nmetadata: {{name: u}}\nuserInfo: {{username: 'system:serviceaccount:shop:{name}'}}\n"
        );
        std::fs::write(folder.path().join("user.yaml"), user).unwrap();
        let arguments = ["apply", "of-readers.yaml", "-c", "--kubeconfig", &kubeconfig, "--userinfo", "user.yaml"];
        let output = biotope(folder.path(), &arguments);
        assert!(said(&output).contains(counts), "{name}: {}", said(&output));
    }
    // What policies change and copy is read from the cluster, and told.
    std::fs::write(folder.path().join("makes.yaml"), MAKES).unwrap();
    let arguments = ["apply", "makes.yaml", "-c", "--kubeconfig", &kubeconfig, "--write-changed", "made.yaml"];
    let output = biotope(folder.path(), &arguments);
    assert!(said(&output).contains("0 objects would change, and 2 be made or changed besides"), "{}", said(&output));
    let made = std::fs::read_to_string(folder.path().join("made.yaml")).unwrap();
    assert!(made.contains("seen: \"yes\"") && made.contains("name: copy") && !made.contains("managedFields"), "{made}");
    assert_eq!(made.matches("---\n").count(), 2, "{made}");
    assert_eq!(versions().unwrap(), before);
    assert!(server.kubectl(&["get", "namespace", "made"]).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lists_come_page_by_page_and_reports_name_the_objects() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = start(folder.path()) else { return };
    let mut maps = String::new();
    for number in 0..620 {
        write!(
            maps,
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m-{number}, namespace: shop, labels: {{team: a}}}}\n---\n"
        )
        .unwrap();
    }
    server.kubectl_stdin(&["create", "-f", "-"], &maps).unwrap();
    let kubeconfig = server.kubeconfig.display().to_string();
    let arguments = ["apply", "policies.yaml", "-c", "--kubeconfig", &kubeconfig, "--context", "biotope", "-p"];
    let output = biotope(folder.path(), &[&arguments[..], &["-o", "json"]].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["kind"], &report["metadata"]["name"]), (&"ClusterReport".into(), &"merged".into()));
    let results = report["results"].as_array().unwrap();
    let passed = results.iter().filter(|one| one["policy"] == "labeled" && one["result"] == "pass").count();
    assert_eq!(passed, 620);
    let of_key = results.iter().find(|one| one["policy"] == "labeled" && one["result"] == "fail").unwrap();
    let uid = server.kubectl(&["get", "secret", "key", "-n", "shop", "-o", "jsonpath={.metadata.uid}"]).unwrap();
    assert_eq!(of_key["resources"][0]["uid"], uid.trim(), "{of_key}");
    assert_eq!((&of_key["severity"], &of_key["source"]), (&"low".into(), &"kyverno".into()));
    assert_eq!(report["summary"]["pass"].as_u64().unwrap(), 621, "{}", report["summary"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_or_not_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut server) = start(folder.path()) else { return };
    let token = server.kubectl(&["create", "token", "reader", "-n", "shop"]).unwrap();
    let text = std::fs::read_to_string(&server.kubeconfig).unwrap();
    std::fs::write(folder.path().join("reader"), text.replace(&server.token, token.trim())).unwrap();
    let output = biotope(folder.path(), &["apply", "policies.yaml", "--cluster", "--kubeconfig", "reader"]);
    let told = said(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    // Secrets cannot be listed, the config maps can.
    assert!(told.contains("secrets cannot be listed, ") && told.contains("is forbidden"), "{told}");
    assert!(told.contains("warning: namespaces cannot be listed, "), "{told}");
    let all = std::fs::read_to_string(folder.path().join("policies.yaml")).unwrap();
    std::fs::write(
        folder.path().join("policies.yaml"),
        all.replace(", namespaceSelector: {matchLabels: {guarded: 'yes'}}", ""),
    )
    .unwrap();
    let output = biotope(folder.path(), &["apply", "policies.yaml", "--cluster", "--kubeconfig", "reader"]);
    assert!(said(&output).contains("ConfigMap/shop/limits"), "{}", said(&output));

    for (arguments, expected) in [
        (&["--kubeconfig", "reader", "--namespace", "nowhere"][..], "namespaces \"nowhere\" is forbidden"),
        (&["--kubeconfig", "nowhere"][..], "name a file with --kubeconfig or KUBECONFIG"),
        (&["--kubeconfig", "reader", "--context", "other"], "one of its contexts with --context"),
    ] {
        let output = biotope(folder.path(), &[&["apply", "policies.yaml", "--cluster"], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(expected), "{}", said(&output));
    }
    for wrong in [&["--kubeconfig", "reader"][..], &["--cluster", "--json", "policies.yaml"]] {
        let output = biotope(folder.path(), &[&["apply", "policies.yaml"], wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    }
    server.kill();
    let output = biotope(folder.path(), &["apply", "policies.yaml", "--cluster", "--kubeconfig", "reader"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("does not answer, ") && said(&output).contains("whether it runs"),
        "{}",
        said(&output)
    );
}
