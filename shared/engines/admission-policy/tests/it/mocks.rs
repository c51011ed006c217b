//! What a test file gives in place of services and of the cluster's global context.

use admission_policy::testing::CheckVerdict::{self, Fail, Pass};
use admission_policy::testing::Row;

use crate::documents::report;

const POLICY: &str = "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: asks}
spec:
  rules:
  - name: service
    match: {any: [{resources: {kinds: [Pod]}}]}
    context: [{name: known, apiCall: {service: {url: 'https://known.example'}, jmesPath: allowed}}]
    validate: {deny: {conditions: {any: [{key: '{{ known }}', operator: Equals, value: false}]}}}
  - name: broken
    match: {any: [{resources: {kinds: [Pod]}}]}
    context: [{name: broken, apiCall: {urlPath: /api/v1/nodes}}]
    validate: {deny: {conditions: {any: [{key: '{{ broken }}', operator: Equals, value: x}]}}}
  - name: entry
    match: {any: [{resources: {kinds: [Pod]}}]}
    context: [{name: count, globalReference: {name: nodes.names, jmesPath: length(@)}}]
    validate: {deny: {conditions: {any: [{key: '{{ count }}', operator: NotEquals, value: 2}]}}}
---
apiVersion: policies.kyverno.io/v1
kind: ValidatingPolicy
metadata: {name: asks-too}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  validations:
  - expression: http.Get('https://known.example').body.allowed && http.Get('https://known.example').statusCode == 200
  - expression: \"http.Post('https://known.example', {'a': 'b'}).statusCode == 403\"
  - expression: globalContext.Get('nodes', 'names') == ['a', 'b'] && size(globalContext.Get('all', '')) == 1
";

const TEST: &str = "
apiVersion: cli.kyverno.io/v1alpha1
kind: Test
metadata: {name: mocks}
policies: [policy.yaml]
resources: [pod.yaml]
apiCallResponses:
- {url: 'https://known.example', response: {body: {allowed: true}}}
- {url: 'https://known.example', method: POST, response: {statusCode: 403, body: {}}}
- {urlPath: /api/v1/nodes, method: GET, response: {statusCode: 500, body: {}}}
globalContextEntries:
- {name: nodes, data: {all: {items: [{id: a}, {id: b}]}}, fieldPath: all.items, projections: [{name: names, path: '[].id'}]}
- {name: all, resourceFiles: [pod.yaml]}
results:
- {policy: asks, rule: service, kind: Pod, resources: [p], result: pass}
- {policy: asks, rule: broken, kind: Pod, resources: [p], result: error}
- {policy: asks, rule: entry, kind: Pod, resources: [p], result: pass}
- {policy: asks-too, isValidatingPolicy: true, kind: Pod, resources: [p], result: pass}
- {policy: asks, rule: service, kind: Pod, resources: [another], result: pass}
";

fn run(test: &'static str) -> Result<Vec<CheckVerdict>, String> {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: []}\n";
    let report = report(&[("t/kyverno-test.yaml", test), ("t/policy.yaml", POLICY), ("t/pod.yaml", pod)]);
    report.error.clone().map_or_else(|| Ok(report.rows.iter().map(Row::verdict).collect()), Err)
}

#[test]
fn services_and_entries_answer_as_the_test_says() {
    assert_eq!(run(TEST), Ok(vec![Pass, Pass, Pass, Pass, Fail]), "a resource that is not there fails its row");
}

#[test]
fn an_answer_goes_before_a_value_that_stands_for_the_same() {
    let values = |of: &str| {
        let value = format!(
            "values:\n  policies: [{{name: asks, rules: [{{name: service, values: {{known: {of}}}}}]}}]\nresults:"
        );
        TEST.replacen("results:", &value, 1)
    };
    // The value would have the rule fail, and counts only where nobody answers.
    assert_eq!(run(values("false").leak()).map(|rows| rows[0]), Ok(Pass));
    let unanswered = values("false").replace("'https://known.example'", "'https://other.example'");
    assert_eq!(run(unanswered.leak()).map(|rows| rows[0]), Ok(Fail));
    let unanswered = values("true").replace("'https://known.example'", "'https://other.example'");
    assert_eq!(run(unanswered.leak()).map(|rows| rows[0]), Ok(Pass));
}

#[test]
fn an_answer_or_entry_that_is_none_is_told() {
    for (good, bad, said) in [
        ("urlPath: /api/v1/nodes", "urlPath: nodes", "does not begin with `/`"),
        ("urlPath: /api/v1/nodes, method: GET", "urlPath: /a, method: PUT", "write GET or POST"),
        ("statusCode: 500", "statusCode: 42", "between 100 and 599"),
        ("body: {allowed: true}", "body: yes", "`response.body` is not a map"),
        ("urlPath: /api/v1/nodes, method: GET", "url: 'https://known.example', method: POST", "has an answer already"),
        ("urlPath: /api/v1/nodes", "url: 'ftp://a'", "no absolute http or https URL"),
        ("resourceFiles: [pod.yaml]", "resourceFiles: [../pod.yaml]", "not below the folder"),
        ("resourceFiles: [pod.yaml]", "fieldPath: x", "write one of `data`"),
        ("name: all,", "name: nodes,", "the name is there twice"),
        ("path: '[].id'", "path: '[].'", "globalContextEntries `nodes`: [].:"),
    ] {
        assert!(TEST.contains(good), "{good}");
        let error = run(TEST.replacen(good, bad, 1).leak()).expect_err(bad);
        assert!(error.contains(said), "{bad}: {error}");
    }
}
