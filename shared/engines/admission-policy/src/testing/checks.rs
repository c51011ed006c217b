//! `checks`: assertion trees on what the rules answered.

use serde_json::{Value, json};

use super::format::field;
use super::grade::Response;
use super::{Check, CheckVerdict, Row};
use crate::assertion::{Plain, assert};
use crate::outcome::{RuleKind, RuleVerdict};

/// Grades one check: a row for each rule that it matches.
///
/// # Errors
/// A tree that cannot be judged.
pub(super) fn grade(check: &Value, responses: &[Response], policies: &[Value]) -> Result<Vec<Row>, String> {
    let matches = field(check, "match");
    let part = |name: &str| matches.and_then(|matches| field(matches, name)).filter(|tree| !tree.is_null());
    let holds = |tree: Option<&Value>, value: &Value| match tree {
        Some(tree) => assert(tree, value, &mut Plain).map(|failures| failures.is_empty()),
        None => Ok(true),
    };
    let mut rows = Vec::new();
    for response in responses {
        let named =
            |policy: &&Value| policy.pointer("/metadata/name").and_then(Value::as_str) == Some(&response.policy);
        let policy = policies.iter().find(named).unwrap_or(&Value::Null);
        if !holds(part("resource"), &response.resource)? || !holds(part("policy"), policy)? {
            continue;
        }
        for verdict in &response.verdicts {
            if !holds(part("rule"), &json!({"name": verdict.rule}))? {
                continue;
            }
            for (key, wanted) in [("assert", true), ("error", false)] {
                if let Some(tree) = field(check, key).filter(|tree| !tree.is_null()) {
                    rows.push(row(response, verdict, assert(tree, &facts(verdict), &mut Plain)?, wanted));
                }
            }
        }
    }
    Ok(rows)
}

fn facts(verdict: &RuleVerdict) -> Value {
    let kind = match verdict.kind {
        RuleKind::Validate => "Validation",
        RuleKind::Mutate => "Mutation",
        RuleKind::Generate => "Generation",
        RuleKind::VerifyImages => "ImageVerify",
        RuleKind::Cleanup => "Deletion",
    };
    json!({
        "name": verdict.rule, "ruleType": kind, "message": verdict.message, "status": verdict.status.as_str(),
        "podSecurityChecks": null, "exceptions": verdict.exceptions,
    })
}

fn row(response: &Response, verdict: &RuleVerdict, failures: Vec<String>, wanted: bool) -> Row {
    let as_wanted = failures.is_empty() == wanted;
    let reason = match (as_wanted, wanted) {
        (true, _) => "ok".to_owned(),
        (false, true) => failures.join("; "),
        (false, false) => "the assertion holds but was expected to fail".to_owned(),
    };
    let check = Check {
        resource: super::compare::identity(&response.resource).2.to_owned(),
        got: Some(verdict.status),
        message: verdict.message.clone(),
        verdict: if as_wanted { CheckVerdict::Pass } else { CheckVerdict::Fail },
        reason,
    };
    Row {
        policy: response.policy.clone(),
        rule: verdict.rule.clone(),
        kind: String::new(),
        expected: verdict.status,
        checks: vec![check],
    }
}
