//! Test files, and the files they name, that are not what they should be: told with their place, never passed over.

use std::collections::BTreeMap;

use admission_policy::PolicySet;
use admission_policy::testing::{CheckVerdict, Files, Given, ReadError};
use model::FaultKind;

use crate::documents::report;

const POLICY: &str = "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: named}
spec:
  rules:
  - name: named
    match: {any: [{resources: {kinds: [Pod]}}]}
    validate: {message: named, failureAction: Enforce, pattern: {metadata: {name: '?*'}}}
";
const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n";

/// What a test with one row comes to, where `more` is written above its results.
fn run(
    more: &'static str,
    row: &str,
    files: &[(&'static str, &'static str)],
) -> Result<(CheckVerdict, String), String> {
    let row = format!("{more}results:\n- {{policy: named, rule: named, kind: Pod, {row}}}\n");
    let text = format!("apiVersion: cli.kyverno.io/v1alpha1\nkind: Test\nmetadata: {{name: t}}\n{row}");
    let mut all = vec![("t/kyverno-test.yaml", &*text.leak()), ("t/policy.yaml", POLICY), ("t/pod.yaml", POD)];
    all.extend_from_slice(files);
    let report = report(&all);
    match report.error {
        Some(error) => Err(error),
        None => Ok(report
            .rows
            .iter()
            .flat_map(|row| &row.checks)
            .map(|one| (one.verdict, one.reason.clone()))
            .next()
            .unwrap()),
    }
}

const GIVEN: &str = "policies: [policy.yaml]\nresources: [pod.yaml]\n";

#[test]
fn files_that_a_test_names_must_be_there_and_fit() {
    let good = "resources: [web], result: pass";
    assert_eq!(run(GIVEN, good, &[]), Ok((CheckVerdict::Pass, "ok".to_owned())));
    let values = "policies: [policy.yaml]\nresources: [pod.yaml]\nvariables: values.yaml\n";
    let user = "policies: [policy.yaml]\nresources: [pod.yaml]\nuserinfo: user.yaml\n";
    let context = "policies: [policy.yaml]\nresources: [pod.yaml]\ncontext: context.yaml\n";
    for (more, file, text, expected) in [
        ("policies: [nope.yaml]\n", "x", "", "there is no such file at t/nope.yaml"),
        ("policies: [policy.yaml]\nresources: [../out.yaml]\n", "x", "", "there is no such file at out.yaml"),
        (
            values,
            "values.yaml",
            "kind: Values\npolicies: 7\n",
            "t/values.yaml:2: `policies` must be a list, not a number",
        ),
        (
            values,
            "values.yaml",
            "globelValues: {}\n",
            "t/values.yaml:1: unknown field `globelValues`: write `globalValues`",
        ),
        (values, "values.yaml", "a: [\n", "not valid YAML: unclosed bracket '[' at t/values.yaml:1:4"),
        (values, "values.yaml", "# nothing\n", "t/values.yaml holds nothing"),
        (user, "user.yaml", "userInfo: [a]\n", "t/user.yaml:1: `userInfo` must be a map, not a list"),
        (
            context,
            "context.yaml",
            "spec:\n  images: [7]\n",
            "t/context.yaml:2: `spec.images[0]` must be a map, not a number",
        ),
        (GIVEN, "pod.yaml", "hello\n", "this is no object at t/pod.yaml:1"),
        (GIVEN, "pod.yaml", "a: b\n---\nmetadata: {name: web}\n", "the object has no `kind` at t/pod.yaml:1"),
        (GIVEN, "pod.yaml", "kind: Pod\nmetadata: 7\n", "the `metadata` of an object is no map at t/pod.yaml:1"),
        (GIVEN, "pod.yaml", "kind: List\nitems: 7\n", "the `items` of a list are no list at t/pod.yaml:2"),
        (GIVEN, "pod.yaml", "kind: List\nitems:\n- kind: Pod\n- null\n", "this is no object at t/pod.yaml:4"),
        ("policies: 7\n", "x", "", "there is no such file at t/7"),
        ("name: t\nresources: {}\n", "x", "", "line 5: `resources` must be a list of texts, not a map"),
    ] {
        let error = run(more, good, &[(&*format!("t/{file}").leak(), text)]).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn rows_say_what_they_mean_or_the_test_does_not_run() {
    for (row, expected) in [
        ("resources: [web], result: maybe", "line 7: `maybe` is not a result: write pass, fail"),
        ("resources: [web], result: pass, operation: EXPLODE", "line 7: `EXPLODE` is no operation: write CREATE"),
        ("resources: [[web]], result: pass", "line 7: `results[0].resources[0]` must be a text, not a list"),
        ("resources: [web], result: pass, resurces: [a]", "line 7: unknown field `results[0].resurces`"),
    ] {
        let error = run(GIVEN, row, &[]).unwrap_err();
        assert!(error.contains(expected), "{row}: {error}");
    }
    // Numbers are names, as everywhere in Kubernetes, and a file that is not there expects nothing.
    assert_eq!(run(GIVEN, "resources: [7], result: pass", &[]), Ok((CheckVerdict::Fail, "not found".to_owned())));
    for file in ["patchedResource", "generatedResource"] {
        let (verdict, reason) = run(GIVEN, &format!("resources: [web], result: pass, {file}: gone.yaml"), &[]).unwrap();
        assert_eq!(verdict, CheckVerdict::Fail);
        assert!(reason.contains("there is no such file at t/gone.yaml"), "{reason}");
    }
    let nothing = run("policies: [policy.yaml]\n", "resources: [web], result: pass", &[]);
    assert_eq!(nothing, Ok((CheckVerdict::Fail, "not found".to_owned())));
    let unknown = run("policies: [pod.yaml]\nresources: [pod.yaml]\n", "resources: [web], result: pass", &[]);
    assert_eq!(unknown, Ok((CheckVerdict::Fail, "the policy is not loaded".to_owned())));
}

#[test]
fn files_without_a_test_prove_nothing() {
    let empty = report(&[("t/kyverno-test.yaml", "# later\n")]);
    assert!(empty.error.unwrap().contains("holds no test"));
    let rowless = report(&[("t/kyverno-test.yaml", "metadata: {name: t}\npolicies: [p.yaml]\n"), ("t/p.yaml", POLICY)]);
    assert_eq!(rowless.error, None);
    assert!(rowless.faults.iter().any(|fault| fault.what.contains("proves nothing")), "{:?}", rowless.faults);
    let twice = report(&[("t/kyverno-test.yaml", "metadata: {name: t}\nresults: []\nresults: []\n")]);
    assert_eq!(twice.error.unwrap(), "line 3: the key `results` is there twice: remove one of them");
}

struct Disk(BTreeMap<&'static str, Result<&'static str, ReadError>>);

impl Files for Disk {
    fn read(&self, path: &str) -> Result<String, ReadError> {
        self.0.get(path).cloned().unwrap_or(Err(ReadError::Absent)).map(str::to_owned)
    }

    fn list(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

#[test]
fn on_a_command_line_the_rest_goes_on() {
    let disk = Disk(BTreeMap::from([
        ("/policy.yaml", Ok(POLICY)),
        ("/binary.yaml", Err(ReadError::Unreadable("line 1 is not UTF-8 text".to_owned()))),
        (
            "/pods.yaml",
            Ok("a: [\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: web}\n---\n7\n---\nkind: Pod\nkind: Pod\n"),
        ),
    ]));
    let paths = |all: &[&str]| all.iter().map(|path| (*path).to_owned()).collect();
    let given = Given {
        policies: paths(&["/policy.yaml", "/binary.yaml", "/gone.yaml"]),
        resources: paths(&["/pods.yaml"]),
        ..Given::default()
    };
    let (answers, faults) = given.apply(&disk).unwrap();
    assert_eq!(answers.iter().filter(|answer| !answer.verdicts.is_empty()).count(), 2);
    let told: Vec<(FaultKind, &str, u32)> = faults.iter().map(|one| (one.kind, one.file.as_str(), one.line)).collect();
    let (bad, doubtful) = (FaultKind::Invalid, FaultKind::Warning);
    let expected = [
        (bad, "/binary.yaml", 0),
        (bad, "/gone.yaml", 0),
        (bad, "/pods.yaml", 1),
        (bad, "/pods.yaml", 7),
        (doubtful, "/pods.yaml", 10),
    ];
    assert_eq!(told, expected, "{faults:#?}");
    assert!(faults.iter().all(|fault| !fault.remedy.is_empty()));
}

#[test]
fn two_of_one_name_both_judge_once_and_that_is_told() {
    let other = POLICY.replace("'?*'", "'x*'");
    let (set, faults) = PolicySet::load([("a.yaml", POLICY), ("b.yaml", other.as_str())]);
    assert_eq!(set.len(), 2);
    assert_eq!(faults.len(), 1);
    let said = faults[0].to_string();
    assert!(said.starts_with("warning: there is another one of this name at a.yaml:1 at b.yaml:1"), "{said}");
    let leaked: &'static str = other.leak();
    let disk = Disk(BTreeMap::from([("/a.yaml", Ok(POLICY)), ("/b.yaml", Ok(leaked)), ("/pod.yaml", Ok(POD))]));
    let given = Given {
        policies: vec!["/a.yaml".to_owned(), "/b.yaml".to_owned()],
        resources: vec!["/pod.yaml".to_owned()],
        ..Given::default()
    };
    let (answers, _) = given.apply(&disk).unwrap();
    let verdicts: Vec<&str> =
        answers.iter().flat_map(|answer| &answer.verdicts).map(|verdict| verdict.status.as_str()).collect();
    assert_eq!(verdicts, ["pass", "fail"]);
}

#[test]
fn names_that_move_cursors_and_keys_that_are_there_twice_are_told() {
    let named = |name: &str| POLICY.replace("name: named}", &format!("name: {name}}}"));
    let (set, faults) = PolicySet::load([("p.yaml", named("\"a\\x1b[31m\""))]);
    assert!(set.is_empty());
    assert!(faults[0].what.contains("a\\u{1b}[31m"), "{faults:?}");
    let twice = POLICY.replace("    validate:", "    validate: {deny: {}}\n    validate:");
    let (set, faults) = PolicySet::load([("p.yaml", twice)]);
    assert_eq!(set.len(), 1);
    assert_eq!((faults.len(), faults[0].kind, faults[0].line), (1, FaultKind::Warning, 9));
    assert!(faults[0].what.contains("`validate` is there twice"), "{faults:?}");
}

#[test]
fn a_broken_expression_is_told_on_one_line() {
    let policy = "apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: p}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  validations:
  - expression: |
      object.metadata.name == 'a' &&
      objct.metadata.name == 'b'
";
    let (_, faults) = PolicySet::load([("p.yaml", policy)]);
    let said = faults[0].to_string();
    let expected = "undeclared reference to 'objct' (in container '') in line 2, column 1 of the expression, at `objct.metadata.name == 'b'` at p.yaml:7";
    assert!(said.contains(expected) && !said.contains('\n'), "{said}");
}

#[test]
fn explanations_come_in_the_order_of_the_policies_whatever_values_count_for_them() {
    let policy = |name: &str| {
        format!(
            "apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {{name: {name}}}
spec:
  rules:
  - name: r
    match: {{any: [{{resources: {{kinds: [Pod]}}}}]}}
    preconditions: {{all: [{{key: '{{{{ x }}}}', operator: Equals, value: one}}]}}
    validate: {{deny: {{}}}}
---
"
        )
    };
    let policies: &'static str = ["c", "a", "b", "a"].map(policy).concat().leak();
    let values = "apiVersion: cli.kyverno.io/v1alpha1
kind: Values
metadata: {name: v}
globalValues: {x: two}
policies: [{name: a, resources: [{name: web, values: {x: one}}]}]
";
    let disk = Disk(BTreeMap::from([("/p.yaml", Ok(policies)), ("/v.yaml", Ok(values)), ("/pod.yaml", Ok(POD))]));
    let given = Given {
        policies: vec!["/p.yaml".to_owned()],
        resources: vec!["/pod.yaml".to_owned()],
        values_file: "/v.yaml".to_owned(),
        ..Given::default()
    };
    let (explained, _) = given.explain(&disk).unwrap();
    let own = explained[0].rules.iter().filter(|rule| !rule.rule.starts_with("autogen"));
    let told = own.map(|rule| {
        let condition = rule.clauses.iter().find(|clause| clause.clause.contains("preconditions")).unwrap();
        (rule.policy.name.as_str(), condition.found.as_str(), rule.verdict.as_ref().unwrap().status.as_str())
    });
    let told: Vec<_> = told.collect();
    let expected =
        [("c", "\"two\"", "skip"), ("a", "\"one\"", "fail"), ("a", "\"one\"", "fail"), ("b", "\"two\"", "skip")];
    assert_eq!(told, expected);
}
