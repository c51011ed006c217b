//! One request against the set: mutate, verify images, validate, generate.

mod afterwards;
mod single;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cel::{self, CelPolicy, EvaluationMode, Views};
use crate::context::Context;
use crate::outcome::{Action, ChangedTarget, Outcome, RuleKind, RuleVerdict, Status};
use crate::patch::difference::difference;
use crate::policy::compiled::{ActionRule, Body, Check, Policy, Rule, Validate};
use crate::policy::exception::Exception;
use crate::policy::matching::Subject;
use crate::policy::selector::Labels;
use crate::request::{GroupVersionKind, Operation, Request};
use crate::rules::Judgement;
use crate::rules::assertions;
use crate::rules::generate::generate;
use crate::rules::mutate::Mutation;
use crate::rules::pod_security::Findings;
use crate::rules::validate::Validation;
use crate::rules::verify_images::VerifyImages;
use crate::set::PolicySet;
use crate::snapshot::Snapshot;
use crate::stage::{Stage, kind_of};
use crate::value::{Object, path, wildcard};

pub(crate) use single::Acting;

impl PolicySet {
    /// Judges one request with the facts at hand, through all stages. Never fails and never waits: what goes wrong is a
    /// verdict.
    #[must_use]
    pub fn evaluate(&self, request: &Request, snapshot: &Snapshot) -> Outcome {
        self.evaluate_stages(request, snapshot, &Stage::ALL)
    }

    /// Judges one request through some stages: the mutating webhook asks for [`Stage::Mutate`] and [`Stage::VerifyImages`],
    /// the validating one for [`Stage::Validate`].
    #[must_use]
    pub fn evaluate_stages(&self, request: &Request, snapshot: &Snapshot, stages: &[Stage]) -> Outcome {
        let mut evaluation = Evaluation::new(self, request, snapshot);
        for stage in Stage::ALL.into_iter().filter(|stage| stages.contains(stage)) {
            evaluation.policies(stage);
            for policy in self.cel_policies.iter().filter(|policy| policy.mode == EvaluationMode::Kubernetes) {
                evaluation.cel_policy(policy, stage);
            }
        }
        evaluation.finish()
    }
}

struct Evaluation<'a> {
    set: &'a PolicySet,
    request: &'a Request,
    snapshot: &'a Snapshot,
    namespace_labels: Option<&'a BTreeMap<String, String>>,
    /// Made when the first rule matches.
    context: Option<Box<Context<'a>>>,
    /// Whether the request is in the scopes of the set's index, as far as that was asked for.
    scopes: Vec<Option<bool>>,
    /// The request as CEL sees it.
    views: Views,
    /// The object that is judged, as mutations left it.
    object: Object<'a>,
    changed: bool,
    outcome: Outcome,
    /// What the Pod Security Standards say of the object as it is now.
    findings: Findings,
    /// The object before an update is judged, to compare.
    prior: bool,
    /// What policies in CEL found out about images.
    required: cel::Required,
}

/// Verdicts for which there is room from the start.
const EXPECTED: usize = 160;

/// What a rule is to be judged on, and for whom.
struct Work<'a> {
    policy: &'a Policy,
    rule: &'a Rule,
}

/// What a rule means for those that follow it in its policy.
#[derive(Clone, Copy)]
enum Course {
    Idle,
    Applied,
    /// It could not change the object: as in Kyverno, the policy's other changes are not tried.
    Broken,
}

impl Course {
    /// Whether the policy's other rules are left out.
    fn ends(self, policy: &Policy) -> bool {
        match self {
            Self::Idle => false,
            Self::Applied => policy.apply_one,
            Self::Broken => true,
        }
    }
}

/// Everything that came of a rule.
#[derive(Default)]
struct Result<'a> {
    /// A change of the object that is still to be made.
    mutation: Option<Mutation<'a>>,
    judgement: Option<Judgement>,
    exceptions: Vec<String>,
    patched: Option<Value>,
    generated: Vec<Value>,
    source_gone: bool,
    targets: Vec<ChangedTarget>,
}

impl From<Judgement> for Result<'_> {
    fn from(judgement: Judgement) -> Self {
        Self { judgement: Some(judgement), ..Self::default() }
    }
}

impl<'a> Evaluation<'a> {
    fn new(set: &'a PolicySet, request: &'a Request, snapshot: &'a Snapshot) -> Self {
        Self {
            set,
            request,
            snapshot,
            namespace_labels: snapshot.labels_of(&request.namespace),
            context: None,
            scopes: vec![None; set.index.scopes],
            views: Views::default(),
            object: Object::given(request.subject()),
            changed: false,
            outcome: Outcome { verdicts: Vec::with_capacity(set.len().min(EXPECTED)), ..Outcome::default() },
            findings: Findings::default(),
            prior: false,
            required: cel::Required::default(),
        }
    }

    fn finish(mut self) -> Outcome {
        // Nothing looks at the object any more.
        self.context = None;
        if let Some(before) = self.request.object.as_ref().filter(|_| self.changed) {
            let after = self.object.into_value();
            self.outcome.patch = difference(before, &after);
            self.outcome.patched = Some(after);
        }
        self.required.settle(&mut self.outcome.verdicts);
        self.outcome.decide(self.request);
        self.outcome
    }

    /// Every rule of a stage that can be about the kind.
    fn policies(&mut self, stage: Stage) {
        let set = self.set;
        let (mut current, mut open) = (None, false);
        for at in set.index.of(self.request.indexed_kind(), stage) {
            if self.scopes.get(at.scope) == Some(&Some(false)) {
                continue;
            }
            let Some(policy) = set.policies.get(at.policy) else { continue };
            if current != Some(at.policy) {
                (current, open) = (Some(at.policy), self.opens(policy, stage));
            }
            let Some(rule) = policy.rules.get(at.rule).filter(|_| open) else { continue };
            if stage == Stage::Generate && !rule.follows(self.request) {
                continue;
            }
            let work = Work { policy, rule };
            open = !(self.is_in_scope(at.scope, &work) && self.rule(&work).ends(policy));
        }
    }

    /// Whether a policy that is for the background, or for requests, is looked at. What is generated and changed besides is asked
    /// for by other fields than what is reported in the background.
    fn is_active(&self, (background, admission): (bool, bool), stage: Stage) -> bool {
        if self.request.background { background || stage == Stage::Generate } else { admission }
    }

    /// Whether the policy's rules are looked at.
    fn opens(&mut self, policy: &'a Policy, stage: Stage) -> bool {
        self.is_active((policy.background, policy.admission), stage) && self.admits(policy, stage)
    }

    fn policy(&mut self, policy: &'a Policy, stage: Stage) {
        if !self.opens(policy, stage) {
            return;
        }
        let takes_part =
            |rule: &&Rule| Stage::of(&rule.body) == stage && (stage != Stage::Generate || rule.follows(self.request));
        for rule in policy.rules.iter().filter(takes_part) {
            let work = Work { policy, rule };
            if self.is_meant(&work) && self.rule(&work).ends(policy) {
                break;
            }
        }
    }

    /// Whether the request meets the conditions of the policy's webhook. As with the API server, one that fails while none
    /// is false leads to the failure policy.
    fn admits(&mut self, policy: &'a Policy, stage: Stage) -> bool {
        let Some(conditions) = &policy.conditions else { return true };
        let rules = policy.rules.iter().filter(|rule| Stage::of(&rule.body) == stage);
        let Some(work) = rules.map(|rule| Work { policy, rule }).find(|work| self.is_meant(work)) else {
            return false;
        };
        let input = cel::Input::new(self.request, self.snapshot, self.changed_object(), &self.views);
        let (held, missing) = cel::conditions_hold(conditions, &input);
        match held {
            Ok(held) => return held,
            Err(_) if !policy.fails_closed => {}
            Err(error) => {
                let judgement = Judgement::error("failed to evaluate the match conditions", &error);
                let action = self.action(&work);
                let (kind, judged) = (stage.rule_kind(), (judgement.status, judgement.message));
                let verdict = RuleVerdict::new(&policy.reference, work.rule.name.clone(), kind, judged);
                let unscored = policy.unscored;
                self.outcome.verdicts.push(RuleVerdict { action, fails_closed: true, missing, unscored, ..verdict });
            }
        }
        false
    }

    /// Judges a policy written in CEL.
    fn cel_policy(&mut self, policy: &CelPolicy, stage: Stage) {
        let active = self.is_active((policy.background, policy.admission), stage);
        if !active || !policy.acts_in(stage) || policy.leaves_out(self.request) {
            return;
        }
        let input = cel::Input::new(self.request, self.snapshot, self.changed_object(), &self.views).in_stage(stage);
        for answer in cel::judge(policy, &input, (&self.set.cel_exceptions, &self.set.bindings)) {
            let Some(status) = answer.status else { continue };
            cel::annotate(&mut self.outcome.audit_annotations, &policy.reference.name, answer.annotations);
            if let Some(object) = answer.patched {
                self.object = Object::from(object);
                if let Some(context) = &mut self.context {
                    context.replace_object(self.object.clone());
                }
                self.note_change();
            }
            self.required.note(answer.checked, Some(self.outcome.verdicts.len()));
            let kind = policy.kind.stage().unwrap_or(stage).rule_kind();
            let verdict = RuleVerdict::new(&policy.reference, answer.rule, kind, (status, answer.message));
            self.outcome.verdicts.push(RuleVerdict {
                exceptions: answer.exceptions,
                action: answer.action.unwrap_or(policy.action),
                fails_closed: policy.fails_closed,
                generated: answer.generated,
                synchronize: policy.synchronize,
                retained: policy.retained,
                targets: answer.targets,
                missing: answer.missing,
                unscored: policy.unscored,
                ..verdict
            });
        }
    }

    /// Whether a deleting policy would remove the object: then it passes.
    fn cel_deletion(&mut self, policy: &CelPolicy) {
        let input = cel::Input::new(self.request, self.snapshot, self.changed_object(), &self.views);
        for answer in cel::judge(policy, &input, (&self.set.cel_exceptions, &[])) {
            let Some(status) = answer.status else { continue };
            let kept = status == Status::Skip && answer.exceptions.is_empty();
            let judged = match kept {
                true => (Status::Fail, "the object does not meet the conditions".to_owned()),
                false => (status, answer.message),
            };
            let verdict = RuleVerdict::new(&policy.reference, answer.rule, RuleKind::Cleanup, judged);
            self.outcome.verdicts.push(RuleVerdict {
                exceptions: answer.exceptions,
                action: policy.action,
                fails_closed: policy.fails_closed,
                missing: answer.missing,
                unscored: policy.unscored,
                ..verdict
            });
        }
    }

    /// Judges one rule that is [meant](Self::is_meant).
    fn rule(&mut self, work: &Work<'a>) -> Course {
        let mut context = self.take_context();
        let mark = context.mark();
        context.begin_rule(work.rule.numbered);
        if let Some(values) = self.snapshot.rule_values(&work.policy.reference.name, &work.rule.name) {
            context.add_variables(&values.values);
        }
        context.declare(&work.rule.context);
        if matches!(work.rule.body, Body::Generate(_)) {
            self.show_deleted(&mut context);
        }
        let mut result = self.judge(work, &mut context);
        if Stage::of(&work.rule.body) == Stage::Generate {
            self.hide_deleted(&mut context);
        }
        let mutation = result.mutation.take();
        let changes = mutation.is_some();
        if let Some(mutation) = mutation {
            let judgement = mutation.apply(&mut self.object, &mut context);
            if judgement.status == Status::Pass {
                self.note_change();
            }
            result.judgement = Some(judgement);
        }
        let missing = context.take_missing();
        context.restore(mark);
        if let Some(object) = result.patched {
            self.object = Object::from(object);
            context.replace_object(self.object.clone());
            self.note_change();
        }
        self.context = Some(context);
        let Some(judgement) = result.judgement else { return Course::Idle };
        let course = match judgement.status {
            Status::Pass | Status::Fail => Course::Applied,
            Status::Error if changes => Course::Broken,
            Status::Error | Status::Skip | Status::Warn => Course::Idle,
        };
        self.outcome.verdicts.push(RuleVerdict {
            policy: work.policy.reference.clone(),
            rule: work.rule.name.clone(),
            kind: kind_of(&work.rule.body),
            status: judgement.status,
            message: judgement.message,
            exceptions: result.exceptions,
            action: self.action(work),
            fails_closed: work.policy.fails_closed,
            generated: result.generated,
            synchronize: matches!(&work.rule.body, Body::Generate(rule) if rule.synchronize),
            retained: matches!(&work.rule.body, Body::Generate(rule) if rule.retained),
            source_gone: result.source_gone,
            targets: result.targets,
            missing,
            unscored: work.policy.unscored,
        });
        course
    }

    /// Another object is judged from now on.
    fn note_change(&mut self) {
        self.changed = true;
        self.findings = Findings::default();
        self.scopes.fill(None);
    }

    /// As [`is_meant`](Self::is_meant), for a rule of the scope with this number: asked once for all of them.
    fn is_in_scope(&mut self, scope: usize, work: &Work<'_>) -> bool {
        if let Some(Some(known)) = self.scopes.get(scope) {
            return *known;
        }
        let meant = self.is_meant(work);
        if let Some(place) = self.scopes.get_mut(scope) {
            *place = Some(meant);
        }
        meant
    }

    /// Whether the rule's match and exclude are about the request.
    fn is_meant(&self, work: &Work<'_>) -> bool {
        let object = self.subject();
        if !object.is_object() {
            return false;
        }
        let namespace = &work.policy.reference.namespace;
        if !namespace.is_empty() && namespace != path::text(object, &["metadata", "namespace"]) {
            return false;
        }
        let subject = Subject::of(self.request, object, self.namespace_labels);
        // Who made the object before is not known.
        let subject = if self.prior { subject.made_by_nobody() } else { subject };
        work.rule.matches.includes(&subject) && !work.rule.exclude.excludes(&subject)
    }

    /// The object, where a mutation changed it.
    fn changed_object(&self) -> Option<&Value> {
        self.changed.then_some(&*self.object)
    }

    fn subject(&self) -> &Value {
        &self.object
    }

    fn take_context(&mut self) -> Box<Context<'a>> {
        let made = self.context.take();
        made.unwrap_or_else(|| {
            let mut context = Context::new(self.request, self.snapshot, (&self.set.expressions, self.set.limits));
            if self.changed {
                context.replace_object(self.object.clone());
            }
            Box::new(context)
        })
    }

    /// Preconditions, exceptions, then the rule's own work.
    fn judge(&self, work: &Work<'a>, context: &mut Context<'a>) -> Result<'a> {
        if let Some(conditions) = &work.rule.preconditions {
            match conditions.evaluate(context) {
                Err(error) => return Judgement::error("failed to evaluate preconditions", &error).into(),
                Ok((false, message)) => {
                    let separator = if message.is_empty() { "" } else { "; " };
                    return Judgement::new(Status::Skip, ["preconditions not met", separator, &message].concat())
                        .into();
                }
                Ok((true, _)) => {}
            }
        }
        let exceptions = match self.exceptions(work, context) {
            Err(judgement) => return judgement.into(),
            Ok(exceptions) => exceptions,
        };
        let keys: Vec<String> =
            exceptions.iter().filter(|one| one.pod_security.is_empty()).map(|one| one.key.clone()).collect();
        if !keys.is_empty() {
            let message = format!("rule is skipped due to policy exception: {}", keys.join(", "));
            return Result { exceptions: keys, ..Judgement::new(Status::Skip, message).into() };
        }
        let result = self.work(work, &exceptions, context);
        if self.was_violated_before(work, &result) {
            let message = "skipping the rule evaluation as pre-existing violations are allowed";
            return Judgement::new(Status::Skip, message).into();
        }
        result
    }

    /// Whether an update only keeps a violation that was there before: such an object may still be changed
    /// (`allowExistingViolations`).
    fn was_violated_before(&self, work: &Work<'_>, result: &Result<'_>) -> bool {
        let Body::Validate(validate) = &work.rule.body else { return false };
        let failed = result.judgement.as_ref().is_some_and(|judgement| judgement.status == Status::Fail);
        let foreign = matches!(validate.check, Check::Cel(_) | Check::Manifests(_));
        let counts =
            failed && !foreign && validate.allow_existing && !self.prior && self.request.operation == Operation::Update;
        let old = self.request.old_object.as_ref().filter(|old| counts && old.is_object());
        let Some(old) = old.filter(|_| self.action(work) == Action::Enforce) else { return false };
        // The old object is judged as if it were made anew, for itself and not as a subresource.
        let is_part = !self.request.subresource.is_empty();
        let request = Request {
            operation: Operation::Create,
            kind: if is_part { GroupVersionKind::of(old) } else { self.request.kind.clone() },
            subresource: String::new(),
            object: Some(old.clone()),
            old_object: Some(Value::Null),
            ..self.request.clone()
        };
        let mut prior = Evaluation { prior: true, ..Evaluation::new(self.set, &request, self.snapshot) };
        let again = Work { policy: work.policy, rule: work.rule };
        if prior.is_meant(&again) {
            prior.rule(&again);
        }
        prior.outcome.verdicts.iter().any(|verdict| verdict.status == Status::Fail)
    }

    fn work(&self, work: &Work<'a>, exceptions: &[&Exception], context: &mut Context<'a>) -> Result<'a> {
        let (rule, policy) = (work.rule.name.as_str(), work.policy.reference.name.as_str());
        match &work.rule.body {
            Body::Validate(Validate { check: Check::PodSecurity(check), .. }) => {
                let Some(object) = self.pattern_object() else { return Result::default() };
                let excused: Vec<_> =
                    exceptions.iter().map(|one| (one.key.clone(), one.pod_security.clone())).collect();
                let (judgement, exceptions) =
                    check.judge(rule, (object, &self.request.kind.kind, &self.findings), &excused);
                Result { exceptions, ..judgement.into() }
            }
            Body::Validate(Validate { check: Check::Manifests(manifests), .. }) => {
                let object = self.pattern_object();
                let judged = object.map(|object| manifests.judge(object, self.request.dry_run, context));
                Result { judgement: judged, ..Result::default() }
            }
            Body::Validate(Validate { check: Check::Cel(check), .. }) => {
                let input = cel::Input::new(self.request, self.snapshot, self.changed_object(), &self.views);
                let (judgement, missing) = cel::judge_rule(rule, check, &input);
                missing.into_iter().for_each(|fact| drop(context.note_missing(fact)));
                judgement.into()
            }
            Body::Validate(Validate { check: Check::Assert(tree), .. }) => {
                assertions::judge(rule, (tree, &work.rule.context), (self.request, self.pattern_object()), context)
                    .into()
            }
            Body::Validate(validate) => {
                let validation = Validation { rule, policy, validate, object: self.pattern_object() };
                Result { judgement: validation.judge(context), ..Result::default() }
            }
            Body::Mutate(mutate) => {
                let mutation = Mutation { rule, policy, mutate };
                if !mutate.targets.is_empty() {
                    // Preconditions are judged by the request as it is.
                    self.show_deleted(context);
                    let (judgement, targets) = mutation.apply_to_targets(context);
                    return Result { targets, ..judgement.into() };
                }
                let applies = self.pattern_object().is_some();
                Result { mutation: applies.then_some(mutation), ..Result::default() }
            }
            Body::Generate(rule) => {
                let (judgement, made) = generate(rule, context);
                Result { generated: made.objects, source_gone: made.source_gone, ..judgement.into() }
            }
            Body::VerifyImages(images) => {
                let Some(object) = self.pattern_object() else { return Result::default() };
                let (judgement, patched) = images.judge((object, &self.request.kind.kind), context);
                Result { judgement, patched, ..Result::default() }
            }
        }
    }

    /// The exceptions that cover the rule here.
    fn exceptions(
        &self,
        work: &Work<'_>,
        context: &mut Context<'a>,
    ) -> std::result::Result<Vec<&'a Exception>, Judgement> {
        let mut covering = Vec::new();
        for exception in &self.set.exceptions {
            let is_for_requests = self.request.background && !exception.background;
            if is_for_requests || !exception.names(&work.policy.key, &work.rule.name) {
                continue;
            }
            let subject = Subject::of(self.request, self.subject(), self.namespace_labels);
            if !exception.includes(&subject) {
                continue;
            }
            if let Some(conditions) = &exception.conditions {
                match conditions.evaluate(context) {
                    Ok((true, _)) => {}
                    Ok((false, _)) => continue,
                    Err(error) => {
                        return Err(Judgement::error(
                            "failed to evaluate the conditions of a policy exception",
                            &error,
                        ));
                    }
                }
            }
            covering.push(exception);
        }
        Ok(covering)
    }

    /// What patterns and patches apply to: nothing on a deletion.
    fn pattern_object(&self) -> Option<&Value> {
        let deleting = self.request.operation == Operation::Delete && !self.request.background;
        (!deleting).then(|| self.subject()).filter(|object| object.is_object())
    }

    /// What a violation of the rule leads to here.
    fn action(&self, work: &Work<'_>) -> Action {
        let own = match &work.rule.body {
            Body::Validate(validate) => Some(&validate.action),
            Body::VerifyImages(VerifyImages { action: Some(action), .. }) => return *action,
            Body::Mutate(_) if work.policy.emit_warning => return Action::Warn,
            Body::Mutate(_) | Body::Generate(_) | Body::VerifyImages(_) => None,
        };
        let action = own
            .filter(|own| own.action.is_some() || !own.overrides.is_empty())
            .map_or_else(|| self.resolve_action(&work.policy.action), |own| self.resolve_action(own));
        if action == Action::Audit && work.policy.emit_warning { Action::Warn } else { action }
    }

    fn resolve_action(&self, rule: &ActionRule) -> Action {
        let namespace = &self.request.namespace;
        let labels = Labels::Plain(self.namespace_labels);
        let over = rule.overrides.iter().find(|over| {
            let named = over.namespaces.iter().any(|pattern| wildcard::matches(pattern, namespace));
            let selected = over.selector.as_ref().map(|selector| selector.matches(labels));
            (named || over.namespaces.is_empty()) && selected.unwrap_or(named)
        });
        over.map_or_else(|| rule.action.unwrap_or_default(), |over| over.action)
    }
}
