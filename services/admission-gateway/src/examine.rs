//! Policies that are about to be written to the cluster: one that could not be in force as it is written is refused, with the reason, as
//! Kyverno does; what else is to be said of it goes with the answer.

use std::panic::{AssertUnwindSafe, catch_unwind};

use admission_policy::{Operation, PolicySet, Request};
use model::{Fault, FaultKind};
use serde_json::Value;

/// What is to be said of a request about a policy.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Examined {
    /// Why it is refused.
    pub(crate) refusal: Option<String>,
    /// What is said besides.
    pub(crate) warnings: Vec<String>,
}

/// Looks at the policy that a request creates or changes. One whose text stays as it is may be changed otherwise.
pub(crate) fn examine(request: &Request) -> Examined {
    let is_policy = matches!(request.kind.group.as_str(), "kyverno.io" | "policies.kyverno.io");
    let is_written =
        matches!(request.operation, Operation::Create | Operation::Update) && request.subresource.is_empty();
    let Some(object) = request.object.as_ref().filter(|object| is_policy && is_written && object.is_object()) else {
        return Examined::default();
    };
    if READ_ELSEWHERE.contains(&request.kind.kind.as_str()) {
        return Examined::default();
    }
    let spec = |object: &Value| object.get("spec").cloned();
    let stays = request.old_object.as_ref().is_some_and(|old| spec(old) == spec(object));
    let text = object.to_string();
    let Ok((_, faults)) = catch_unwind(AssertUnwindSafe(|| PolicySet::load([("policy", text)]))) else {
        tracing::error!(uid = request.uid, "reading a policy panicked");
        return Examined::default();
    };
    let (broken, others): (Vec<&Fault>, Vec<&Fault>) =
        faults.iter().partition(|fault| fault.kind == FaultKind::Invalid && !stays);
    let refusal = (!broken.is_empty()).then(|| in_a_line(&broken));
    Examined { refusal, warnings: others.into_iter().take(MOST_SAID).map(words).collect() }
}

/// Faults in a line, the first few of them.
pub(crate) fn in_a_line(faults: &[&Fault]) -> String {
    let mut said: Vec<String> = faults.iter().take(MOST_SAID).map(|fault| words(fault)).collect();
    if faults.len() > MOST_SAID {
        said.push(format!("and {} more", faults.len() - MOST_SAID));
    }
    said.join("; ")
}

/// A fault without its place: the lines of what a server stores are nobody's.
fn words(fault: &Fault) -> String {
    let subject = fault.subject.rsplit(", ").next().filter(|subject| subject.starts_with("rule "));
    let parts = [subject.unwrap_or_default(), fault.what.as_str(), fault.remedy.as_str()];
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(": ")
}

/// Kinds of these groups that are no policies, and are read by others.
const READ_ELSEWHERE: [&str; 1] = ["GlobalContextEntry"];
/// Most faults that are told of.
const MOST_SAID: usize = 5;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn policy(rule: &Value) -> Value {
        let resources = json!({ "any": [{ "resources": { "kinds": ["Pod"] } }] });
        let mut rule = rule.clone();
        rule["match"] = resources;
        json!({ "apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": { "name": "p" }, "spec": { "rules": [rule] } })
    }

    fn good() -> Value {
        policy(
            &json!({ "name": "named", "validate": { "message": "name it", "pattern": { "metadata": { "name": "?*" } } } }),
        )
    }

    #[test]
    fn what_could_not_be_in_force_is_refused_with_the_reason() {
        assert_eq!(examine(&Request::create(good())), Examined::default());
        let broken = examine(&Request::create(policy(&json!({ "name": "nothing" }))));
        let refusal = broken.refusal.unwrap();
        assert!(refusal.starts_with("rule nothing: the rule does nothing: add validate"), "{refusal}");
        let mut odd = good();
        odd["spec"]["validationFailurAction"] = json!("Enforce");
        let warned = examine(&Request::create(odd));
        assert_eq!((warned.refusal, warned.warnings.len()), (None, 1));
        assert!(warned.warnings[0].contains("validationFailureAction"), "{:?}", warned.warnings);
    }

    #[test]
    fn a_policy_whose_text_stays_may_be_labelled_and_others_are_not_looked_at() {
        let bad = policy(&json!({ "name": "nothing" }));
        let mut labelled = bad.clone();
        labelled["metadata"]["labels"] = json!({ "a": "b" });
        let update = |old: Value, new: Value| Request {
            operation: Operation::Update,
            old_object: Some(old),
            ..Request::create(new)
        };
        let stays = examine(&update(bad.clone(), labelled));
        assert_eq!((stays.refusal, stays.warnings.len()), (None, 1));
        assert!(examine(&update(good(), bad.clone())).refusal.is_some());
        let deleted =
            Request { operation: Operation::Delete, old_object: Some(bad.clone()), ..Request::create(Value::Null) };
        assert_eq!(examine(&deleted), Examined::default());
        let mut status = Request::create(bad);
        status.subresource = "status".to_owned();
        assert_eq!(examine(&status), Examined::default());
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p" } });
        assert_eq!(examine(&Request::create(pod)), Examined::default());
    }
}
