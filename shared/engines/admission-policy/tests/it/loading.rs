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
