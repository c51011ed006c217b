//! `biotope policy apply`: reports, exceptions, objects for a pipe and in files.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::policy::{LABELED, biotope, said};

const POLICIES: &str = "---
apiVersion: kyverno.io/v1
kind: Policy
metadata: {name: tiers, namespace: shop, annotations: {policies.kyverno.io/scored: 'false'}}
spec:
  rules:
  - name: tier
    match: {any: [{resources: {kinds: [ConfigMap]}}]}
    validate: {message: set the label tier, pattern: {metadata: {labels: {tier: '?*'}}}}
---
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: filled}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], resources: [configmaps], operations: [CREATE]}]}
  validations: [{expression: has(object.data), message: it holds nothing}]
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: default-area}
spec:
  rules:
  - name: area
    match: {any: [{resources: {kinds: [ConfigMap]}}]}
    mutate: {patchStrategicMerge: {metadata: {labels: {+(area): 'no'}}}}
---
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: copies}
spec:
  rules:
  - name: twin
    match: {any: [{resources: {kinds: [ConfigMap]}}]}
    generate: {apiVersion: v1, kind: Secret, name: twin, namespace: '{{ request.namespace }}', data: {stringData: {a: b}}}
";
const MAPS: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: good, namespace: shop, labels: {team: a}}
data: {answer: 'no'}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: bad, namespace: shop}
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("policies.yaml", &format!("{LABELED}{POLICIES}"));
    write("maps.yaml", MAPS);
    folder
}

fn apply(folder: &Path, more: &[&str]) -> Output {
    biotope(folder, &[&["apply", "policies.yaml", "--resource", "maps.yaml"], more].concat())
}

/// The documents of a text in YAML.
fn documents(text: &[u8]) -> Vec<Value> {
    let mut faults = Vec::new();
    let found = kubernetes::manifests::objects("output", &String::from_utf8_lossy(text), &mut faults);
    assert!(faults.is_empty(), "{faults:?}: {}", String::from_utf8_lossy(text));
    found
}

fn piped(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_biotope"));
    command.current_dir(folder).args(["policy", "apply"]).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn reports_say_what_came_of_every_rule() {
    let folder = folder();
    let output = apply(folder.path(), &["--policy-report"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let [merged, own] = &documents(&output.stdout)[..] else { panic!("{}", said(&output)) };
    assert_eq!((&merged["apiVersion"], &merged["kind"]), (&"openreports.io/v1alpha1".into(), &"ClusterReport".into()));
    assert_eq!((&own["kind"], &own["metadata"]["namespace"]), (&"Report".into(), &"shop".into()));
    let told: Vec<String> = merged["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let text = |pointer: &str| one.pointer(pointer).and_then(Value::as_str).unwrap_or("-");
            format!("{} {} {}", text("/policy"), text("/resources/0/name"), text("/result"))
        })
        .collect();
    for expected in ["labeled good pass", "labeled bad fail", "filled good pass", "filled bad fail", "copies bad pass"]
    {
        assert!(told.iter().any(|one| one == expected), "{expected}: {told:?}");
    }
    assert_eq!(merged["summary"]["fail"], 2);
    assert_eq!(own["summary"]["warn"], 2);
    let seconds = merged.pointer("/results/0/timestamp/seconds").and_then(Value::as_i64).unwrap();
    assert!(seconds > 1_700_000_000, "{seconds}");
    // Violations of policies that only audit are warnings, where that is asked for.
    let output =
        apply(folder.path(), &["-p", "--report-api", "wgpolicyk8s", "--audit-warn", "--output-format", "json"]);
    let mut all = serde_json::Deserializer::from_slice(&output.stdout).into_iter::<Value>();
    let merged = all.next().unwrap().unwrap();
    assert_eq!(
        (&merged["apiVersion"], &merged["kind"]),
        (&"wgpolicyk8s.io/v1alpha2".into(), &"ClusterPolicyReport".into())
    );
}

#[test]
fn generated_exceptions_let_the_violations_be() {
    let folder = folder();
    let deployment = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: {template: {metadata: {}, spec: {containers: []}}}\n";
    std::fs::write(folder.path().join("maps.yaml"), format!("{MAPS}{deployment}")).unwrap();
    let pods = "---\napiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: pods}\nspec: {rules: [{name: pods, match: {any: [{resources: {kinds: [Pod]}}]}, validate: {message: m, failureAction: Enforce, pattern: {metadata: {labels: {team: '?*'}}}}}]}\n";
    std::fs::write(folder.path().join("policies.yaml"), format!("{LABELED}{POLICIES}{pods}")).unwrap();
    let output = apply(folder.path(), &["--generate-exceptions", "--generated-exception-ttl", "36h"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let exceptions = documents(&output.stdout);
    let names: Vec<&str> = exceptions.iter().map(|one| one["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(exceptions.iter().all(|one| one["metadata"]["labels"]["cleanup.kyverno.io/ttl"] == "36h0m0s"));
    let of_pods = exceptions.iter().find(|one| one["metadata"]["name"] == "pods-autogen-pods-shop-web").unwrap();
    let resources = &of_pods["spec"]["match"]["any"][0]["resources"];
    assert_eq!(resources["kinds"], serde_json::json!(["Deployment", "Pod"]));
    assert_eq!(resources["names"], serde_json::json!(["web", "web-*"]));
    std::fs::write(folder.path().join("exceptions.yaml"), &output.stdout).unwrap();
    let output = apply(folder.path(), &["--exception", "exceptions.yaml"]);
    assert!(said(&output).contains("fail: 0, warn: 2, error: 0"), "{}", said(&output));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let output = apply(folder.path(), &["--generate-exceptions", "--generated-exception-ttl", "soon"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}

#[test]
fn resources_pass_through_a_pipe() {
    let folder = folder();
    let output = piped(folder.path(), &["policies.yaml", "--resource", "-", "-i"], MAPS);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let objects = documents(&output.stdout);
    let names: Vec<&str> = objects.iter().map(|one| one["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["good", "bad", "twin", "twin"]);
    assert_eq!(objects[0]["metadata"]["labels"], serde_json::json!({"team": "a", "area": "no"}));
    assert_eq!(objects[0]["data"]["answer"], "no", "a text that other readers take for a truth value stays a text");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("fail: ConfigMap/shop/bad labeled/team: "),
        "{}",
        said(&output)
    );
    // Policies come from there as well, but not both.
    let output = piped(folder.path(), &["-", "--resource", "maps.yaml"], LABELED);
    assert!(said(&output).contains("pass: 1, fail: 1"), "{}", said(&output));
    let output = piped(folder.path(), &["-", "--resource", "-"], LABELED);
    assert!(said(&output).contains("can be read once"), "{}", said(&output));
    let output = piped(folder.path(), &["policies.yaml", "--resource", "-"], "a: [");
    assert!(said(&output).contains("not valid YAML"), "{}", said(&output));
}

#[test]
fn changed_objects_are_written_where_that_is_asked_for() {
    let folder = folder();
    apply(folder.path(), &["--write-changed", "all.yaml"]);
    apply(folder.path(), &["--write-changed", "all.yaml"]);
    let all = documents(&std::fs::read(folder.path().join("all.yaml")).unwrap());
    assert_eq!(all.len(), 3, "{all:?}");
    let output = apply(folder.path(), &["--write-changed", "out/"]);
    let mut names: Vec<String> = std::fs::read_dir(folder.path().join("out"))
        .unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
        .map(|entry| entry.unwrap().file_name().display().to_string())
        .collect();
    names.sort();
    assert_eq!(names, ["configmap-shop-bad.yaml", "configmap-shop-good.yaml", "secret-shop-twin.yaml"]);
    let output = apply(folder.path(), &["--write-changed", "/proc/nowhere/x"]);
    assert!(said(&output).contains("cannot write /proc/nowhere/x"), "{}", said(&output));
}

#[test]
fn what_scripts_for_kyverno_say_is_taken() {
    let folder = folder();
    let habits =
        ["--table", "--remove-color", "--continue-on-fail", "--continue-on-error=true", "--exceptions-within-policies"];
    let output = apply(folder.path(), &[&habits[..], &["--detailed-results"]].concat());
    assert!(said(&output).contains("pass: "), "{}", said(&output));
    let output = biotope(folder.path(), &["apply", "https://example.org/policies/main", "--resource", "maps.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("nothing is read from git or the web; clone it"), "{}", said(&output));
}

#[test]
fn policies_know_what_time_it_is() {
    let folder = folder();
    let policy = LABELED.replace(
        "pattern: {metadata: {labels: {team: '?*'}}}",
        "deny: {conditions: {any: [{key: \"{{ time_before('{{ time_now_utc() }}', '2020-01-01T00:00:00Z') }}\", operator: Equals, value: true}]}}",
    );
    std::fs::write(folder.path().join("policies.yaml"), policy).unwrap();
    let output = apply(folder.path(), &[]);
    assert!(said(&output).contains("pass: 2, fail: 0, warn: 0, error: 0"), "{}", said(&output));
}
