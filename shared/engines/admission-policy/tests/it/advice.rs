//! Warnings about policies that Kyverno refuses: each with the line of what is hardly meant.

use admission_policy::PolicySet;
use model::FaultKind;

/// The warnings of a policy: line and text.
fn warnings(text: &str) -> Vec<(u32, String)> {
    let (_, faults) = PolicySet::load([("policy.yaml", text)]);
    for fault in &faults {
        assert_eq!(fault.kind, FaultKind::Warning, "{fault}");
        assert!(!fault.remedy.is_empty() && !fault.subject.is_empty(), "{fault}");
    }
    faults.into_iter().map(|fault| (fault.line, fault.what)).collect()
}

/// A policy with some lines of its spec, and one rule.
fn policy(spec: &str, rule: &str) -> String {
    let indent = |text: &str, by: &str| text.lines().map(|line| format!("{by}{line}\n")).collect::<String>();
    format!(
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {{name: p}}\nspec:\n{}  rules:\n  - name: r\n{}",
        indent(spec, "  "),
        indent(rule, "    ")
    )
}

const PODS: &str = "match: {any: [{resources: {kinds: [Pod]}}]}\n";
const DENY: &str = "validate: {deny: {}}\n";

fn assert_told(text: &str, line: u32, part: &str) {
    let found = warnings(text);
    assert!(found.iter().any(|(at, what)| *at == line && what.contains(part)), "{line} {part}: {found:#?}\n{text}");
}

#[test]
fn says_nothing_about_policies_that_are_well() {
    let rule = "match: {any: [{resources: {kinds: [Pod]}, subjects: [{kind: User, name: jane}]}]}
context:
- {name: limits, configMap: {name: limits, namespace: ops}}
- {name: most, variable: {jmesPath: 'limits.data.most', default: 3}}
preconditions: {all: [{key: '{{ request.operation }}', operator: AnyIn, value: [CREATE, UPDATE]}]}
validate:
  foreach:
  - list: request.object.spec.containers
    context: [{name: image, variable: {value: '{{ element.image }}'}}]
    deny: {conditions: {any: [{key: '{{ image }}', operator: Equals, value: '{{ most }}'}, {key: '{{ length(`[]`) }}', operator: Equals, value: '{{ serviceAccountName }}'}]}}
";
    assert_eq!(warnings(&policy("background: false", rule)), []);
}

#[test]
fn tells_of_what_a_policy_as_a_whole_leaves_out() {
    let rule = [PODS, DENY].concat();
    assert_told(&policy("admission: false\nbackground: false", &rule), 4, "neither requests nor stored objects");
    let mutate = [PODS, "mutate: {patchStrategicMerge: {metadata: {labels: {a: b}}}}\n"].concat();
    assert_told(&policy("admission: false", &mutate), 7, "works on requests");
    assert_told(&policy("webhookTimeoutSeconds: 31", &rule), 5, "not between 1 and 30");
    assert_told(&policy("webhookConfiguration:\n  timeoutSeconds: 0", &rule), 6, "not between 1 and 30");
    assert_told(
        &policy("failurePolicy: Fail\nwebhookConfiguration: {failurePolicy: Ignore}", &rule),
        5,
        "is there twice",
    );
    let existing = "mutateExistingOnPolicyUpdate: true";
    assert_told(&policy(existing, &mutate), 9, "no `targets` say which");
    let overrides =
        "validationFailureActionOverrides:\n- {action: Audit, namespaces: [a]}\n- {action: Enforce, namespaces: [a]}";
    assert_told(&policy(overrides, &rule), 7, "two actions for the namespace");
}

#[test]
fn tells_of_users_that_the_background_does_not_know() {
    let users = "match: {any: [{resources: {kinds: [Pod]}}]}\nexclude:\n  any:\n  - clusterRoles: [admin]\n";
    assert_told(&policy("", &[users, DENY].concat()), 10, "`clusterRoles` is about who asks");
    assert_eq!(warnings(&policy("background: false", &[users, DENY].concat())), []);
    let variable = [PODS, "validate:\n  deny:\n    conditions:\n      any: [{key: '{{ request.userInfo.username }}', operator: Equals, value: x}]\n"].concat();
    assert_told(&policy("", &variable), 11, "`request.userInfo` is about who asks");
    let field = variable.replace("request.userInfo.username", "request.object.spec.serviceAccountName");
    assert_eq!(warnings(&policy("", &field)), []);
    let part = "match:\n  any:\n  - resources: {kinds: [Pod/exec]}\n";
    assert_told(&policy("", &[part, DENY].concat()), 9, "part of an object");
}

#[test]
fn tells_of_matches_that_never_hold_or_are_not_heeded() {
    let told = |block: &str, line: u32, part: &str| {
        assert_told(&policy("background: false", &[block, DENY].concat()), line, part);
    };
    told("match:\n  any: [{resources: {kinds: [Pod]}}]\n  all: [{resources: {kinds: [Pod]}}]\n", 8, "`any` and `all`");
    told("match:\n  any:\n  - resources: {kinds: [Pod]}\n    subjects: [{kind: Robot, name: x}]\n", 11, "is nobody");
    told(
        "match:\n  any:\n  - resources: {kinds: [Pod]}\n    subjects: [{kind: ServiceAccount, name: x}]\n",
        11,
        "no namespace",
    );
    told("match:\n  any:\n  - resources: {kinds: [Pod]}\n    roles: [admin]\n", 11, "no role");
    told("match:\n  any:\n  - resources: {kinds: [Pod], name: a, names: [b]}\n", 10, "`name` and `names`");
    told("match:\n  any:\n  - resources: {kinds: [Pod], selector: {}}\n", 10, "asks for no label");
    told(
        "match: {any: [{resources: {kinds: [Pod]}}]}\nexclude: {any: [{resources: {kinds: [Pod]}}]}\n",
        9,
        "excluded as well",
    );
    told("match: {any: [{resources: {kinds: ['*', Pod]}}]}\n", 8, "`*` stands beside");
    told("match: {any: [{resources: {kinds: [Pod], names: ['{{ x }}']}}]}\n", 8, "no variable is replaced");
}

#[test]
fn tells_of_variables_that_nothing_provides() {
    let rule = [PODS, "validate:\n  message: 'see {{ owner.name }}'\n  deny: {}\n"].concat();
    assert_told(&policy("", &rule), 9, "nothing provides the variable `owner`");
    let declared = [PODS, "context: [{name: owner, variable: {value: {name: a}}}]\nvalidate:\n  message: 'see {{ owner.name }}'\n  deny: {}\n"].concat();
    assert_eq!(warnings(&policy("", &declared)), []);
    let target = [PODS, "mutate:\n  targets:\n  - {apiVersion: v1, kind: ConfigMap, name: '{{ target.metadata.name }}'}\n  patchStrategicMerge: {data: {a: '{{ target.data.b }}'}}\n"].concat();
    let found = warnings(&policy("", &target));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_told(&policy("", &target), 10, "`target` is not known yet");
}

#[test]
fn tells_of_conditions_and_entries_that_are_not_whole() {
    let told = |part: &str, line: u32, what: &str| assert_told(&policy("", &[PODS, part, DENY].concat()), line, what);
    told("preconditions:\n  all:\n  - {key: a, operator: Equals}\n", 10, "has no `value`");
    told(
        "preconditions:\n  all:\n  - {key: '{{request.operation}}', operator: Equals, value: create}\n",
        10,
        "no operation `create`",
    );
    told("context:\n- {name: request, variable: {value: 1}}\n", 9, "hides the variable");
    told("context:\n- {name: a, variable: {value: 1}, configMap: {name: b, namespace: c}}\n", 9, "2 sources");
    told("context:\n- {name: a, configMap: {name: b}}\n", 9, "no `namespace`");
    told("context:\n- {name: a, variable: {default: 1, value: 2}}\n", 9, "for a `jmesPath`");
    told("context:\n- {name: a, globalReference: {}}\n", 9, "no `name`");
}

#[test]
fn tells_of_rules_that_do_not_do_what_they_say() {
    let told = |part: &str, line: u32, what: &str| assert_told(&policy("", &[PODS, part].concat()), line, what);
    told("validate: {pattern: {spec: {}}, deny: {}}\n", 8, "`pattern` and `deny`");
    told("validate:\n  pattern: {metadata: {labels: {a: 1}}}\n", 9, "is no text");
    let excluded = |one: &str| format!("validate:\n  podSecurity:\n    level: baseline\n    exclude:\n    - {one}\n");
    told(&excluded("{controlName: Capabilities}"), 12, "no `images` say which");
    told(&excluded("{controlName: Sysctls, images: ['*']}"), 12, "has no image");
    told(&excluded("{controlName: Volume Types}"), 12, "does not ask for");
    told(&excluded("{controlName: Seccomp, restrictedField: a}"), 12, "no `values`");
    told(&excluded("{controlName: Seccomp, values: [a]}"), 12, "no `restrictedField`");
    told("mutate: {patchStrategicMerge: {}, patchesJson6902: '[]'}\n", 8, "are both there");
    told(
        "generate: {apiVersion: v1, kind: Secret, name: a, namespace: b, clone: {name: c}, data: {}}\n",
        8,
        "are both there",
    );
    told("generate: {apiVersion: v1, kind: Secret, namespace: b, data: {}}\n", 8, "no `name`");
    told("generate: {apiVersion: v1, kind: Secret, name: a, data: {}}\n", 8, "none is given");
    told("generate: {apiVersion: v1, kind: Namespace, name: a, namespace: b, data: {}}\n", 8, "in no namespace");
    told("generate: {apiVersion: v1, kind: Secret, name: a, namespace: b, data: {(x): y}}\n", 8, "anchors");
    told("generate: {namespace: b, cloneList: {kinds: [v1/Secret, v1/Namespace], namespace: c}}\n", 8, "some are not");
    told(
        "verifyImages:\n- imageReferences: ['*']\n  attestors: [{count: 2, entries: [{keys: {publicKeys: a}}]}]\n",
        10,
        "more signatures",
    );
    told(
        "verifyImages:\n- imageReferences: ['*']\n  attestors: [{entries: [{keys: {publicKeys: a}}]}]\n",
        9,
        "changed nevertheless",
    );
}

#[test]
fn policies_of_a_namespace_stay_in_it() {
    let namespaced = |rule: &str| {
        policy("", rule)
            .replace("kind: ClusterPolicy", "kind: Policy")
            .replace("{name: p}", "{name: p, namespace: shop}")
    };
    let wide = ["match:\n  any:\n  - resources: {kinds: [Node]}\n", DENY].concat();
    assert_told(&namespaced(&wide), 9, "never meets one");
    let made = [PODS, "generate: {apiVersion: v1, kind: Secret, name: a, namespace: other, data: {}}\n"].concat();
    assert_told(&namespaced(&made), 8, "not of `other`");
    let copied =
        [PODS, "generate: {apiVersion: v1, kind: Secret, name: a, namespace: shop, clone: {name: a, namespace: b}}\n"]
            .concat();
    assert_told(&namespaced(&copied), 8, "not of `b`");
    let target = [PODS, "mutate:\n  targets:\n  - {apiVersion: v1, kind: Secret, name: a, namespace: other}\n  patchStrategicMerge: {data: {}}\n"].concat();
    assert_told(&namespaced(&target), 10, "not of other");
}

#[test]
fn tells_of_exceptions_and_cleanups() {
    let exception = "apiVersion: kyverno.io/v2\nkind: PolicyException\nmetadata: {name: e, namespace: ops}\nspec:\n  exceptions: [{policyName: p, ruleNames: [r]}]\n  match:\n    any:\n    - subjects: [{kind: User, name: jane}]\n  podSecurity:\n  - {controlName: Privileged Containers}\n";
    assert_told(exception, 8, "who asks");
    assert_told(exception, 10, "no `images` say which");
    let cleanup = "apiVersion: kyverno.io/v2\nkind: ClusterCleanupPolicy\nmetadata: {name: c}\nspec:\n  schedule: '* * * * *'\n  match: {any: [{resources: {kinds: [Pod]}}]}\n  exclude:\n    any:\n    - roles: ['a:b']\n  context:\n  - {name: x, configMap: {name: a, namespace: b}}\n";
    assert_told(cleanup, 9, "nobody asks for a cleanup");
    assert_told(cleanup, 11, "no `configMap`");
}
