//! What is set aside, with its place, and what works all the same.

use admission_policy::PolicySet;
use model::FaultKind;

const GOOD: &str = "
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: good}
spec:
  rules:
  - name: labels
    match: {any: [{resources: {kinds: [Pod]}}]}
    validate:
      message: label it
      pattern: {metadata: {labels: {team: '?*'}}}
";

#[test]
fn names_the_line_of_a_syntax_error() {
    let text =
        "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata:\n  name: a\nspec:\n  rules:\n  - name: [x\n  b: 1\n";
    let (set, faults) = PolicySet::load([("broken.yaml", text), ("good.yaml", GOOD)]);
    assert_eq!((set.len(), faults.len()), (1, 1));
    assert_eq!(faults[0].file, "broken.yaml");
    assert!((7..=8).contains(&faults[0].line), "{}", faults[0]);
}

#[test]
fn sets_one_rule_aside_and_keeps_the_others() {
    let text = "
apiVersion: v1
kind: List
items:
- apiVersion: kyverno.io/v1
  kind: ClusterPolicy
  metadata: {name: mixed}
  spec:
    rules:
    - name: fine
      match: {resources: {kinds: [Pod]}}
      validate: {deny: {}}
    - name: nothing
      match: {resources: {kinds: [Pod]}}
    - name: wrong-type
      match: {resources: {kinds: Pod}}
      validate: {deny: {}}
---
apiVersion: policies.kyverno.io/v1beta1
kind: UnheardOfPolicy
metadata: {name: later}
";
    let (set, faults) = PolicySet::load([("list.yaml", text)]);
    let found: Vec<_> = faults.iter().map(|fault| (fault.kind, fault.line)).collect();
    assert_eq!(
        found,
        [(FaultKind::Invalid, 13), (FaultKind::Invalid, 16), (FaultKind::Unsupported, 19)],
        "{faults:#?}"
    );
    assert_eq!(set.summaries()[0].rules[0].0, "fine");
    assert!(faults.iter().all(|fault| !fault.remedy.is_empty() || fault.line == 16), "{faults:#?}");
}

#[test]
fn warns_about_a_broken_expression() {
    let text = GOOD.replace("label it", "'{{ request.object.[ }}'");
    let (set, faults) = PolicySet::load([("p.yaml", text)]);
    assert_eq!(set.len(), 1);
    assert_eq!((faults[0].kind, faults[0].line), (FaultKind::Warning, 7));
}

#[test]
fn tells_of_fields_that_do_nothing() {
    let text = "\
apiVersion: kyverno.io/v1
kind: ClusterPolicy
metadata: {name: p, anything: goes}
spec:
  backgruond: false
  rules:
  - name: r
    match:
      any:
      - resources: {kinds: [Pod], Names: [a]}
    validate: {pattern: {metadata: {what: ever}}, nonsense: 1}
---
apiVersion: policies.kyverno.io/v1
kind: NamespacedValidatingPolicy
metadata: {name: v, namespace: shop}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  validations: [{expression: 'true', mesage: m}]
";
    let (set, faults) = PolicySet::load([("p.yaml", text)]);
    assert_eq!(set.len(), 2, "{faults:#?}");
    assert!(faults.iter().all(|fault| fault.kind == FaultKind::Warning), "{faults:#?}");
    let told = |fault: &model::Fault| {
        let meant = fault.remedy.split('`').nth(1).unwrap_or_default().to_owned();
        (fault.line, fault.what.split('`').nth(1).unwrap_or_default().to_owned(), meant)
    };
    let found: Vec<_> = faults.iter().map(told).collect();
    let expected = [
        (5, "spec.backgruond", "background"),
        (10, "spec.rules[0].match.any[0].resources.Names", "names"),
        (11, "spec.rules[0].validate.nonsense", ""),
        (18, "spec.validations[0].mesage", "message"),
    ];
    assert_eq!(found, expected.map(|(line, path, meant)| (line, path.to_owned(), meant.to_owned())));
}
