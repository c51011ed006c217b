//! Rows against what the rules answered.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::compare::{expected_for, first_difference, identity};
use super::format::ResultRow;
use super::{Check, CheckVerdict, Row};
use crate::outcome::{RuleKind, RuleVerdict, Status};

/// The expected objects of a mutation do not have the one that was changed.
const NOT_IN_FILE: &str = "the patched resource is not in the file";

/// Why a verdict is not what it could be.
const NEEDS_REGISTRY: &str = ": it asks about images; give --registry, or a context file";

/// What one policy answered about one resource in one stage.
#[derive(Clone, Debug)]
pub(super) struct Response {
    pub(super) policy: String,
    /// The file of a JSON payload, as the test names it.
    pub(super) payload: Option<String>,
    pub(super) resource: Arc<Value>,
    /// The resource after the policy.
    pub(super) patched: Arc<Value>,
    pub(super) verdicts: Vec<RuleVerdict>,
    /// The policy has no named rules, so that a row is about all of it.
    pub(super) ruleless: bool,
    /// It asked about images what nobody told it.
    pub(super) lacks_registry: bool,
}

/// The expected objects of a row, by file.
pub(super) struct Expected {
    pub(super) patched: Option<Result<Vec<Value>, String>>,
    pub(super) generated: Option<Result<Vec<Value>, String>>,
}

/// Grades one row by what the policies that are loaded answered.
pub(super) fn grade(row: &ResultRow, (loaded, responses): (&BTreeSet<&str>, &[Response]), expected: &Expected) -> Row {
    let about = |response: &&Response| {
        let (kind, namespace, _) = identity(&response.resource);
        let policy = row.policy.rsplit('/').next().unwrap_or(&row.policy);
        (response.policy == row.policy || response.policy == policy)
            && (row.kind.is_empty() || row.kind.rsplit('/').next() == Some(kind))
            && (row.namespace.is_empty() || row.namespace == namespace)
    };
    let mine: Vec<&Response> = responses.iter().filter(about).collect();
    let resources: Vec<String> = if row.resources.is_empty() {
        let name = |response: &&Response| {
            let name = identity(&response.resource).2;
            if name.is_empty() { response.payload.clone().unwrap_or_default() } else { name.to_owned() }
        };
        let mut all: Vec<String> = mine.iter().map(name).collect();
        all.dedup();
        all
    } else {
        row.resources.clone()
    };
    let known = loaded.contains(row.policy.rsplit('/').next().unwrap_or(&row.policy));
    let judge_one =
        |resource: &String| if known { check(row, resource, &mine, expected) } else { not_loaded(resource) };
    let checks = resources.iter().map(judge_one).collect();
    Row { policy: row.policy.clone(), rule: row.rule.clone(), kind: row.kind.clone(), expected: row.expected, checks }
}

fn check(row: &ResultRow, resource: &str, responses: &[&Response], expected: &Expected) -> Check {
    let is_it = |response: &&&Response| {
        let (_, namespace, name) = identity(&response.resource);
        if response.payload.as_ref().is_some_and(|file| file == resource) {
            return true;
        }
        match resource.rsplit_once('/') {
            Some((wanted, short)) => wanted == namespace && short == name,
            None => resource == name,
        }
    };
    let mine: Vec<&&Response> = responses.iter().filter(is_it).collect();
    let answers = mine.iter().flat_map(|response| {
        let ruleless = response.ruleless;
        response
            .verdicts
            .iter()
            .filter(move |verdict| ruleless || is_rule(row, &verdict.rule))
            .map(move |verdict| (**response, verdict))
    });
    let mut best: Option<Check> = None;
    for (response, verdict) in answers {
        let check = judge(row, resource, (response, verdict), expected);
        let worse = check.verdict != CheckVerdict::Pass;
        if best.is_none() || worse {
            best = Some(check);
        }
        if worse {
            break;
        }
    }
    best.unwrap_or_else(|| unanswered(row, resource, !mine.is_empty()))
}

/// The policy of the row was set aside.
fn not_loaded(resource: &str) -> Check {
    let reason = "the policy is not loaded".to_owned();
    Check { resource: resource.to_owned(), got: None, message: String::new(), verdict: CheckVerdict::Fail, reason }
}

/// Nothing answered. The resource was left out, which is what a row that expects `skip` says; or the row names one that the
/// test does not have, which is a mistake in the test.
fn unanswered(row: &ResultRow, resource: &str, known: bool) -> Check {
    let (verdict, reason) = match (known, row.expected) {
        (true, Status::Skip) => (CheckVerdict::Pass, "excluded"),
        (true, _) => (CheckVerdict::Vacuous, "no rule answered"),
        (false, _) => (CheckVerdict::Fail, "not found"),
    };
    Check { resource: resource.to_owned(), got: None, message: String::new(), verdict, reason: reason.to_owned() }
}

fn is_rule(row: &ResultRow, rule: &str) -> bool {
    row.whole_policy
        || row.rule.is_empty()
        || rule == row.rule
        || rule.strip_prefix("autogen-cronjob-").or_else(|| rule.strip_prefix("autogen-")).is_some_and(|origin| {
            // Names made for controllers are cut to 63 characters.
            origin == row.rule || (rule.len() == 63 && row.rule.starts_with(origin))
        })
}

fn judge(
    row: &ResultRow,
    resource: &str,
    (response, verdict): (&Response, &RuleVerdict),
    expected: &Expected,
) -> Check {
    let mut check = Check {
        resource: resource.to_owned(),
        got: Some(verdict.reported()),
        message: verdict.message.clone(),
        verdict: CheckVerdict::Pass,
        reason: "ok".to_owned(),
    };
    let mut fail = |reason: String| {
        // A file without the resource says nothing about it, unless the row says that it must be there.
        check.verdict =
            if reason == NOT_IN_FILE && !row.all_in_file { CheckVerdict::Vacuous } else { CheckVerdict::Fail };
        check.reason = reason;
    };
    if let Some(reason) = objects_differ(response, verdict, expected) {
        fail(reason);
    } else if verdict.reported() != row.expected {
        let hint = if response.lacks_registry { NEEDS_REGISTRY } else { "" };
        fail(format!("want {}, got {}{hint}", row.expected.as_str(), verdict.reported().as_str()));
    }
    check
}

fn objects_differ(response: &Response, verdict: &RuleVerdict, expected: &Expected) -> Option<String> {
    // A file that cannot be read expects nothing, which is hardly what the row means.
    let files = [&expected.patched, &expected.generated].into_iter().flatten();
    if let Some(error) = files.filter_map(|documents| documents.as_ref().err()).next() {
        return Some(error.clone());
    }
    if let (RuleKind::Mutate, Some(documents)) = (verdict.kind, &expected.patched) {
        let documents = documents.as_deref().unwrap_or_default();
        return match expected_for(documents, &response.patched) {
            Some(wanted) => first_difference(&response.patched, wanted),
            None => Some(NOT_IN_FILE.to_owned()),
        };
    }
    if let (RuleKind::Generate, Some(documents)) = (verdict.kind, &expected.generated) {
        let documents = documents.as_deref().unwrap_or_default();
        return verdict.generated.iter().find_map(|made| match expected_for(documents, made) {
            Some(wanted) => first_difference(made, wanted),
            None => Some(format!("generated resource {:?} is not in the file", identity(made))),
        });
    }
    None
}
