//! CleanupPolicy and ClusterCleanupPolicy: which objects are to go when the schedule comes round.

use std::sync::Arc;

use go_time::Schedule;
use serde::Deserialize;
use serde_json::Value;

use crate::cel::deletion;
use crate::conditions::Conditions;
use crate::context::{Context, ContextEntry, ExpressionCache};
use crate::outcome::{PolicyRef, RuleKind, RuleVerdict, Status};
use crate::policy::compile::{Wrong, decode};
use crate::policy::matching::{Match, Subject};
use crate::policy::schema;
use crate::request::{GroupVersionKind, Request};
use crate::set::PolicySet;
use crate::snapshot::{MissingFact, Snapshot};
use crate::value::wildcard;

/// A compiled cleanup policy.
#[derive(Debug)]
pub(crate) struct CleanupPolicy {
    pub(crate) reference: Arc<PolicyRef>,
    /// `namespace/name` for namespaced policies, else the name.
    pub(crate) key: String,
    schedule: String,
    runs: Schedule,
    propagation: String,
    pub(crate) matches: Match,
    exclude: Match,
    context: Vec<ContextEntry>,
    conditions: Option<Conditions>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schedule: String,
    #[serde(rename = "match")]
    matches: schema::Match,
    exclude: Option<schema::Match>,
    context: Option<Vec<Value>>,
    conditions: Option<Value>,
    deletion_propagation_policy: Option<String>,
}

/// A cleanup policy for the scheduler: look at [`next_after`](Schedule::next_after), then list the objects of the targets and ask
/// [`PolicySet::clean_up`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanupSchedule {
    /// The policy.
    pub policy: PolicyRef,
    /// When it runs, in cron's five fields.
    pub schedule: String,
    /// The same, read.
    pub runs: Schedule,
    /// `Foreground`, `Background` or `Orphan`; empty for the API's default.
    pub propagation: String,
    /// The kinds that it may delete.
    pub targets: Vec<CleanupTarget>,
}

/// Kinds that a policy may delete. Each pattern may hold wildcards; empty ones are not asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CleanupTarget {
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Kind, in the singular.
    pub kind: String,
    /// Resource name, in the plural.
    pub resource: String,
}

impl CleanupTarget {
    /// Every kind.
    pub(crate) fn any() -> Self {
        let [group, version, kind] = ["*", "*", "*"].map(str::to_owned);
        Self { group, version, kind, resource: String::new() }
    }

    /// Whether kinds of a group are meant.
    #[must_use]
    pub fn is_in_group(&self, group: &str) -> bool {
        wildcard::matches(&self.group, group)
    }

    /// Whether a kind, with the plural of its name, is meant in a version of its group.
    #[must_use]
    pub fn is_about(&self, kind: &GroupVersionKind, plural: &str) -> bool {
        let fits = |pattern: &str, text: &str| pattern.is_empty() || wildcard::matches(pattern, text);
        self.is_in_group(&kind.group)
            && wildcard::matches(&self.version, &kind.version)
            && fits(&self.kind, &kind.kind)
            && fits(&self.resource, plural)
    }
}

/// What one run of a cleanup policy found.
#[derive(Clone, Debug, Default)]
pub struct CleanupOutcome {
    /// Objects to delete, as they were given.
    pub delete: Vec<Value>,
    /// Why some objects could not be judged.
    pub errors: Vec<String>,
    /// Facts that were missing.
    pub missing: Vec<MissingFact>,
}

impl CleanupPolicy {
    /// Compiles a cleanup policy.
    pub(crate) fn compile(kind: &str, metadata: &schema::Metadata, spec: &Value) -> Result<Self, Wrong> {
        let raw: Raw = decode(spec).map_err(|(_, what)| Wrong::invalid(what))?;
        let runs = Schedule::parse(&raw.schedule).map_err(|error| {
            Wrong::invalid(error.to_string()).cure("give minute, hour, day, month and weekday, in UTC")
        })?;
        let namespace =
            if kind == "CleanupPolicy" { metadata.namespace.clone().unwrap_or_default() } else { String::new() };
        let mut expressions = ExpressionCache::default();
        let entries = crate::context::compile_entries(raw.context.as_deref().unwrap_or_default(), &mut expressions);
        let name = metadata.name.clone();
        Ok(Self {
            key: if namespace.is_empty() { name.clone() } else { format!("{namespace}/{name}") },
            reference: Arc::new(PolicyRef { kind: kind.to_owned(), namespace, name }),
            schedule: raw.schedule,
            runs,
            propagation: raw.deletion_propagation_policy.unwrap_or_default(),
            matches: Match::compile(&raw.matches)?,
            exclude: raw.exclude.as_ref().map(Match::compile).transpose()?.unwrap_or_default(),
            context: entries.map_err(|(_, what)| Wrong::invalid(what))?,
            conditions: raw.conditions.as_ref().map(|raw| Conditions::compile(raw, &mut expressions)).transpose()?,
        })
    }
}

impl PolicySet {
    /// The cleanup policies and when they run.
    #[must_use]
    pub fn cleanup_schedules(&self) -> Vec<CleanupSchedule> {
        let schedule = |policy: &CleanupPolicy| CleanupSchedule {
            policy: policy.reference.as_ref().clone(),
            schedule: policy.schedule.clone(),
            runs: policy.runs.clone(),
            propagation: policy.propagation.clone(),
            targets: policy.matches.targets(),
        };
        self.cleanup.iter().map(schedule).chain(deletion::schedules(self)).collect()
    }

    /// One run of a cleanup policy over `objects`. Conditions see each as `target`.
    #[must_use]
    pub fn clean_up(
        &self,
        policy: &PolicyRef,
        (objects, snapshot): (&[Value], &Snapshot),
        now: model::Timestamp,
    ) -> CleanupOutcome {
        let mut outcome = CleanupOutcome::default();
        for cleanup in self.cleanup.iter().filter(|cleanup| *cleanup.reference == *policy) {
            for object in objects {
                let target = self.judge_target(cleanup, (object, Some(now)), snapshot);
                outcome.missing.extend(target.missing);
                match target.goes {
                    Some(Ok(true)) => outcome.delete.push(object.clone()),
                    Some(Err(error)) => outcome.errors.push(error),
                    Some(Ok(false)) | None => {}
                }
            }
        }
        deletion::clean_up(self, policy, (objects, snapshot, now), &mut outcome);
        outcome
    }

    /// What a cleanup policy says of an object that is there: it passes when the object would go. `None` when it is about others.
    pub(crate) fn cleanup_verdict(
        &self,
        policy: &CleanupPolicy,
        request: &Request,
        snapshot: &Snapshot,
    ) -> Option<RuleVerdict> {
        let object = request.subject();
        let target = self.judge_target(policy, (object, request.received_at), snapshot);
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let judged = match target.goes? {
            Ok(true) => (Status::Pass, format!("resource {name} is to be deleted")),
            Ok(false) => (Status::Fail, "the object does not meet the conditions".to_owned()),
            Err(error) => (Status::Error, error),
        };
        let rule = policy.reference.name.clone();
        let verdict = RuleVerdict::new(&policy.reference, rule, RuleKind::Cleanup, judged);
        Some(RuleVerdict { missing: target.missing, ..verdict })
    }

    fn judge_target(
        &self,
        cleanup: &CleanupPolicy,
        (object, now): (&Value, Option<model::Timestamp>),
        snapshot: &Snapshot,
    ) -> Target {
        let mut request = Request { kind: GroupVersionKind::of(object), background: true, ..Request::default() };
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
        namespace.clone_into(&mut request.namespace);
        request.received_at = now;
        let own = &cleanup.reference.namespace;
        let subject = Subject::of(&request, object, snapshot.labels_of(namespace));
        let meant = (own.is_empty() || own == namespace)
            && cleanup.matches.includes(&subject)
            && !cleanup.exclude.excludes(&subject);
        if !meant {
            return Target::default();
        }
        let Some(conditions) = &cleanup.conditions else {
            return Target { goes: Some(Ok(true)), missing: Vec::new() };
        };
        let mut context = Context::new(&request, snapshot, (&self.expressions, self.limits));
        context.set("target", object.clone());
        context.declare(&cleanup.context);
        let held = conditions.evaluate(&mut context).map(|(held, _)| held).map_err(|error| {
            let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            format!("{namespace}/{name}: {error}")
        });
        Target { goes: Some(held), missing: context.take_missing() }
    }
}

/// What becomes of an object.
#[derive(Default)]
struct Target {
    /// Whether it is to go, or why that cannot be told; `None` when the policy is about others.
    goes: Option<Result<bool, String>>,
    missing: Vec<MissingFact>,
}
