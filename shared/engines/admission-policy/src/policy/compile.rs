//! From a manifest to a compiled policy. What is broken is set aside with its place; the rest works.

use std::sync::Arc;

use model::{Fault, FaultKind};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::advice::{self, Advice};
use super::autogen;
use super::compiled::{
    ActionOverride, ActionRule, Body, Change, Check, ForEach, ForEachMutation, Form, Generate, GenerateItem, Merge,
    Mutate, Policy, Rule, Target, Template, Validate,
};
use super::current;
use super::matching::Match;
use super::schema;
use super::selector::Selector;
use crate::cel;
use crate::conditions::Conditions;
use crate::context::{
    ContextEntry, ExpressionCache, ListQuery, TextTemplate, ValueTemplate, compile_entries, is_dynamic,
    text_is_dynamic, variables_in,
};
use crate::existing;
use crate::outcome::{Action, PolicyRef};
use crate::patch::layers::Layer;
use crate::patch::text::PatchText;
use crate::patch::{anchors, json_patch};
use crate::pattern;
use crate::rules::manifests::Manifests;
use crate::rules::pod_security::PodSecurity;
use crate::rules::verify_images::VerifyImages;
use crate::yaml::Document;

/// `foreach` may nest this deep.
const MAX_NESTING: usize = 8;

/// What went wrong with one part of a policy.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) kind: FaultKind,
    pub(crate) what: String,
    pub(crate) remedy: String,
}

impl Wrong {
    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self { kind: FaultKind::Invalid, what: what.into(), remedy: String::new() }
    }

    pub(crate) fn cure(mut self, remedy: &str) -> Self {
        remedy.clone_into(&mut self.remedy);
        self
    }
}

impl From<String> for Wrong {
    fn from(what: String) -> Self {
        Self::invalid(what)
    }
}

type Compiled<T> = Result<T, Wrong>;

/// Compiles one policy; faults of single rules go to `faults`, and the other rules stay.
pub(crate) struct Compiler<'a> {
    pub(crate) file: &'a str,
    pub(crate) document: &'a Document,
    pub(crate) expressions: &'a mut ExpressionCache,
    pub(crate) faults: &'a mut Vec<Fault>,
}

impl Compiler<'_> {
    /// Compiles a ClusterPolicy or Policy; `None` when nothing of it can be used.
    pub(crate) fn policy(&mut self, kind: &str, metadata: &schema::Metadata) -> Option<Policy> {
        let subject = format!("{kind} {}", metadata.name);
        let spec = match decode::<schema::Policy>(&self.document.value) {
            Ok(policy) => policy.spec,
            Err((pointer, what)) => {
                self.fault(Wrong::invalid(what), &pointer, &subject);
                return None;
            }
        };
        self.advise(&advice::of_policy(kind, metadata, &self.document.value), &subject);
        let raw_rules = spec.rules.clone().unwrap_or_default();
        if raw_rules.is_empty() {
            self.fault(Wrong::invalid("the policy has no rules").cure("add at least one rule"), "/spec", &subject);
            return None;
        }
        let mut rules = Vec::new();
        for (index, raw) in raw_rules.iter().enumerate() {
            let rule = self.rule_or_fault(raw, index, &metadata.name);
            rules.extend(
                rule.map(|rule| Rule { acts_on_existing: existing::is_asked_for(&rule.body, raw, &spec), ..rule }),
            );
        }
        let standing = rules.iter().any(|rule| rule.acts_on_existing).then(|| existing::version(&self.document.value));
        for (index, raw) in autogen::generate(&raw_rules, metadata.annotations.as_ref()) {
            // A fault of the origin is told once, not again for each rule made from it.
            let before = self.faults.len();
            rules.extend(self.rule_or_fault(&raw, index, &metadata.name));
            self.faults.truncate(before);
        }
        let namespace = if kind == "Policy" { metadata.namespace.clone().unwrap_or_default() } else { String::new() };
        let key = if namespace.is_empty() { metadata.name.clone() } else { format!("{namespace}/{}", metadata.name) };
        let webhook = spec.webhook_configuration.unwrap_or_default();
        let conditions = match cel::compile_conditions(webhook.match_conditions.as_deref().unwrap_or_default()) {
            Ok(conditions) => conditions,
            Err((pointer, what)) => {
                let pointer = format!("/spec/webhookConfiguration/matchConditions{pointer}");
                self.fault(Wrong::invalid(what), &pointer, &subject);
                return None;
            }
        };
        let failure_policy = webhook.failure_policy.or(spec.failure_policy);
        let action =
            self.action(spec.validation_failure_action.as_deref(), spec.validation_failure_action_overrides, &subject);
        (!rules.is_empty()).then(|| Policy {
            reference: Arc::new(PolicyRef { kind: kind.to_owned(), namespace, name: metadata.name.clone() }),
            key,
            rules,
            apply_one: spec.apply_rules.as_deref() == Some("One"),
            background: spec.background.unwrap_or(true),
            admission: spec.admission.unwrap_or(true),
            fails_closed: failure_policy.as_deref() != Some("Ignore"),
            emit_warning: spec.emit_warning.unwrap_or(false),
            shares_fields: spec.use_server_side_apply.unwrap_or(false),
            unscored: metadata.is_unscored(),
            standing,
            action,
            conditions,
        })
    }

    /// Tells what can be done about things that are hardly meant.
    fn advise(&mut self, advice: &[Advice], subject: &str) {
        for one in advice {
            self.faults.push(one.fault(self.file, self.document, subject));
        }
    }

    fn fault(&mut self, wrong: Wrong, pointer: &str, subject: &str) {
        let line = self.document.line_of(pointer);
        let unsaid = "correct this part of the policy; it is not applied until then";
        let remedy = if wrong.remedy.is_empty() { unsaid.to_owned() } else { wrong.remedy };
        let fault = Fault::new(wrong.kind, self.file, wrong.what).at(line, 0).about(subject).cure(remedy);
        self.faults.push(fault);
    }

    fn action(
        &mut self,
        action: Option<&str>,
        overrides: Option<Vec<schema::ActionOverride>>,
        subject: &str,
    ) -> ActionRule {
        match action_rule(action, overrides) {
            Ok(rule) => rule,
            Err(what) => {
                let wrong = Wrong::invalid(what).cure("use Enforce, Audit or Warn; until then the policy audits");
                self.fault(wrong, "/spec/validationFailureAction", subject);
                ActionRule::default()
            }
        }
    }

    fn rule_or_fault(&mut self, raw: &Value, index: usize, policy: &str) -> Option<Rule> {
        let pointer = format!("/spec/rules/{index}");
        let subject = || {
            let name = raw.get("name").and_then(Value::as_str).unwrap_or("without a name");
            format!("policy {policy}, rule {name}")
        };
        let spelled_out = current::spell_out(raw);
        let raw = &*spelled_out;
        let rule = match decode::<schema::Rule>(raw) {
            Ok(rule) => rule,
            Err((below, what)) => {
                self.fault(Wrong::invalid(what), &format!("{pointer}{below}"), &subject());
                return None;
            }
        };
        let line = self.document.line_of(&pointer);
        match compile_rule(rule, (self.file.to_owned(), line), self.expressions) {
            Ok(mut rule) => {
                rule.numbered = self.remember_expressions(raw, &pointer, &subject());
                Some(rule)
            }
            Err(wrong) => {
                self.fault(wrong, &pointer, &subject());
                None
            }
        }
    }

    /// Compiles the queries of a rule beforehand; a broken one is a warning, for it may lie on a path never taken. Whether
    /// the rule names elements by number.
    fn remember_expressions(&mut self, raw: &Value, pointer: &str, subject: &str) -> bool {
        let mut broken = Vec::new();
        let mut numbered = false;
        collect(raw, None, &mut |text, is_query| {
            numbered |= names_numbered_element(text);
            let known = variables_in(text).into_iter().chain((is_query && !text.contains("{{")).then_some(text.trim()));
            for expression in known.filter(|expression| !expression.contains("{{")) {
                if let Err(what) = self.expressions.add(expression) {
                    broken.push(format!("the expression `{expression}` is broken: {what}"));
                }
            }
        });
        for what in broken {
            let wrong = Wrong { kind: FaultKind::Warning, ..Wrong::invalid(what) };
            self.fault(
                wrong.cure("correct the expression; the rule ends in an error when it is reached"),
                pointer,
                subject,
            );
        }
        numbered
    }
}

/// Whether `element` or `elementIndex` stands before a digit, or before a variable that may become one.
fn names_numbered_element(text: &str) -> bool {
    text.match_indices("element").any(|(at, word)| {
        let rest = text.get(at + word.len()..).unwrap_or_default();
        let rest = rest.strip_prefix("Index").unwrap_or(rest);
        rest.starts_with(|letter: char| letter.is_ascii_digit() || letter == '{')
    })
}

/// Calls `found` with every text below `value`, and whether its key says that it is a query.
fn collect(value: &Value, key: Option<&str>, found: &mut impl FnMut(&str, bool)) {
    match value {
        Value::String(text) => found(text, matches!(key, Some("jmesPath" | "list"))),
        Value::Array(items) => items.iter().for_each(|item| collect(item, key, found)),
        Value::Object(fields) => fields.iter().for_each(|(key, item)| {
            found(key, false);
            collect(item, Some(key), found);
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Decodes with the JSON pointer of what does not fit.
pub(crate) fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, (String, String)> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let mut pointer = String::new();
        for segment in error.path().iter() {
            match segment {
                serde_path_to_error::Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
                serde_path_to_error::Segment::Map { key } => pointer.push_str(&format!("/{key}")),
                serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => {}
            }
        }
        let path = error.path().to_string();
        (pointer, format!("`{path}`: {}", error.into_inner()))
    })
}

fn compile_rule(raw: schema::Rule, place: (String, u32), expressions: &mut ExpressionCache) -> Compiled<Rule> {
    if raw.name.is_empty() {
        return Err(Wrong::invalid("the rule has no name").cure("give it a `name`"));
    }
    if raw.cel_preconditions.as_ref().is_some_and(|list| !list.is_empty())
        && raw.validate.as_ref().is_none_or(|validate| validate.cel.is_none())
    {
        return Err(Wrong::invalid("CEL preconditions are for `validate.cel` rules only").cure("use `preconditions`"));
    }
    let matches =
        raw.matches.ok_or_else(|| Wrong::invalid("the rule has no `match`").cure("say which resources it is about"))?;
    let body = match (raw.validate, raw.mutate, raw.generate, raw.verify_images) {
        (Some(validate), None, None, None) => {
            Body::Validate(validate_rule(validate, raw.cel_preconditions.as_deref(), expressions)?)
        }
        (None, Some(mutate), None, None) => Body::Mutate(mutate_rule(mutate, expressions)?),
        (None, None, Some(generate), None) => Body::Generate(generate_rule(&generate, expressions)?),
        (None, None, None, Some(images)) => {
            Body::VerifyImages(VerifyImages::compile(&images, raw.image_extractors.as_ref())?)
        }
        (None, None, None, None) => {
            return Err(Wrong::invalid("the rule does nothing").cure("add validate, mutate, generate or verifyImages"));
        }
        _ => return Err(Wrong::invalid("the rule does more than one thing").cure("split it into one rule for each")),
    };
    Ok(Rule {
        name: raw.name,
        place,
        matches: Match::compile(&matches)?,
        exclude: raw.exclude.as_ref().map(Match::compile).transpose()?.unwrap_or_default(),
        context: entries(raw.context.as_deref(), expressions)?,
        preconditions: conditions(raw.preconditions.as_ref(), expressions)?,
        body,
        numbered: true,
        skips_controller: raw.skip_background_requests.unwrap_or(true),
        acts_on_existing: false,
    })
}

fn entries(raw: Option<&[Value]>, expressions: &mut ExpressionCache) -> Compiled<Vec<ContextEntry>> {
    compile_entries(raw.unwrap_or_default(), expressions).map_err(|(_, what)| Wrong::invalid(what))
}

fn conditions(raw: Option<&Value>, expressions: &mut ExpressionCache) -> Compiled<Option<Conditions>> {
    raw.map(|raw| Conditions::compile(raw, expressions).map_err(Wrong::invalid)).transpose()
}

fn validate_rule(
    raw: schema::Validate,
    preconditions: Option<&[Value]>,
    expressions: &mut ExpressionCache,
) -> Compiled<Validate> {
    let check = if let Some(cel) = &raw.cel {
        Check::Cel(Box::new(cel::compile_rule(cel, preconditions, raw.message.as_deref().unwrap_or_default())?))
    } else if let Some(manifests) = &raw.manifests {
        Check::Manifests(Box::new(Manifests::compile(manifests)?))
    } else if let Some(tree) = raw.assert {
        Check::Assert(tree)
    } else if let Some(security) = &raw.pod_security {
        Check::PodSecurity(PodSecurity::compile(security)?)
    } else {
        let parts = CheckParts {
            pattern: raw.pattern,
            any_pattern: raw.any_pattern,
            deny: raw.deny,
            foreach: raw.foreach,
            depth: 0,
        };
        check(parts, expressions)?
    };
    let action = action_rule(raw.failure_action.as_deref(), raw.failure_action_overrides)?;
    Ok(Validate {
        message: raw.message.unwrap_or_default(),
        action,
        allow_existing: raw.allow_existing_violations.unwrap_or(true),
        check,
    })
}

struct CheckParts {
    pattern: Option<Value>,
    any_pattern: Option<Value>,
    deny: Option<schema::Deny>,
    foreach: Option<Vec<schema::ForEach>>,
    depth: usize,
}

fn check(parts: CheckParts, expressions: &mut ExpressionCache) -> Compiled<Check> {
    if parts.depth > MAX_NESTING {
        return Err(Wrong::invalid("`foreach` is nested too deeply").cure("flatten the lists"));
    }
    if let Some(deny) = parts.deny {
        return Ok(Check::Deny(conditions(deny.conditions.as_ref(), expressions)?.unwrap_or_default()));
    }
    if let Some(pattern) = parts.pattern {
        return Ok(Check::Pattern(template(pattern, expressions)));
    }
    if let Some(patterns) = parts.any_pattern {
        let Value::Array(patterns) = patterns else {
            return Err(Wrong::invalid("`anyPattern` must be a list of patterns"));
        };
        return Ok(Check::AnyPattern(patterns.into_iter().map(|pattern| template(pattern, expressions)).collect()));
    }
    let Some(items) = parts.foreach else {
        return Err(
            Wrong::invalid("the validation has no check").cure("add pattern, anyPattern, deny, foreach or podSecurity")
        );
    };
    let item = |item: schema::ForEach| {
        let parts = CheckParts {
            pattern: item.pattern,
            any_pattern: item.any_pattern,
            deny: item.deny,
            foreach: item.foreach,
            depth: parts.depth + 1,
        };
        Ok(ForEach {
            list: ListQuery::new(&item.list.unwrap_or_default(), expressions),
            element_scope: item.element_scope,
            context: entries(item.context.as_deref(), expressions)?,
            preconditions: conditions(item.preconditions.as_ref(), expressions)?,
            check: check(parts, expressions)?,
        })
    };
    Ok(Check::ForEach(items.into_iter().map(item).collect::<Compiled<_>>()?))
}

fn template(raw: Value, expressions: &mut ExpressionCache) -> Template {
    let form = if is_dynamic(&raw) {
        Form::Dynamic(ValueTemplate::new(&raw, expressions))
    } else {
        Form::Compiled(pattern::compile(&raw))
    };
    Template { raw, form }
}

fn action_rule(action: Option<&str>, overrides: Option<Vec<schema::ActionOverride>>) -> Result<ActionRule, String> {
    let read = |word: &str| match word {
        "Enforce" | "enforce" => Ok(Action::Enforce),
        "Audit" | "audit" => Ok(Action::Audit),
        "Warn" | "warn" => Ok(Action::Warn),
        other => Err(format!("`{other}` is not a failure action")),
    };
    let one = |one: schema::ActionOverride| {
        Ok(ActionOverride {
            action: read(&one.action)?,
            namespaces: one.namespaces.unwrap_or_default(),
            selector: one.namespace_selector.as_ref().map(Selector::compile).transpose()?,
        })
    };
    Ok(ActionRule {
        action: action.filter(|word| !word.is_empty()).map(read).transpose()?,
        overrides: overrides.unwrap_or_default().into_iter().map(one).collect::<Result<_, String>>()?,
    })
}

fn mutate_rule(raw: schema::Mutate, expressions: &mut ExpressionCache) -> Compiled<Mutate> {
    let change = change(raw.patch_strategic_merge, raw.patches_json6902, raw.foreach, (0, expressions))?;
    let target = |raw: Value| {
        Ok(Target {
            context: entries(raw.get("context").and_then(Value::as_array).map(Vec::as_slice), expressions)?,
            preconditions: conditions(raw.get("preconditions").filter(|value| !value.is_null()), expressions)?,
            selector: raw,
        })
    };
    Ok(Mutate { change, targets: raw.targets.unwrap_or_default().into_iter().map(target).collect::<Compiled<_>>()? })
}

fn change(
    merge: Option<Value>,
    patches: Option<String>,
    foreach: Option<Vec<schema::ForEachMutation>>,
    (depth, expressions): (usize, &mut ExpressionCache),
) -> Compiled<Change> {
    if depth > MAX_NESTING {
        return Err(Wrong::invalid("`foreach` is nested too deeply").cure("flatten the lists"));
    }
    if let Some(patch) = merge {
        let has_anchors = anchors::has_any(&patch);
        let patch = ValueTemplate::new(&patch, expressions);
        let layers = Layer::new(&patch);
        return Ok(Change::StrategicMerge(Merge { patch, has_anchors, layers }));
    }
    if let Some(patches) = patches.filter(|patches| !patches.is_empty()) {
        if text_is_dynamic(&patches) {
            return Ok(Change::JsonPatchText(PatchText::new(TextTemplate::new(&patches, expressions))));
        }
        return Ok(Change::JsonPatch(json_patch::parse(&patches).map_err(Wrong::invalid)?));
    }
    let Some(items) = foreach else {
        return Err(
            Wrong::invalid("the mutation changes nothing").cure("add patchStrategicMerge, patchesJson6902 or foreach")
        );
    };
    let item = |item: schema::ForEachMutation| {
        Ok(ForEachMutation {
            list: ListQuery::new(&item.list.unwrap_or_default(), expressions),
            descending: match item.order.as_deref() {
                Some(order) => order == "Descending",
                // A merge moves what it names to the front, so that going backwards keeps the order.
                None => item.patch_strategic_merge.is_some(),
            },
            context: entries(item.context.as_deref(), expressions)?,
            preconditions: conditions(item.preconditions.as_ref(), expressions)?,
            change: change(item.patch_strategic_merge, item.patches_json6902, item.foreach, (depth + 1, expressions))?,
        })
    };
    Ok(Change::ForEach(items.into_iter().map(item).collect::<Compiled<_>>()?))
}

fn generate_rule(raw: &Value, expressions: &mut ExpressionCache) -> Compiled<Generate> {
    let mut item = |raw: &Value| {
        let useful = ["data", "clone", "cloneList", "kind"]
            .iter()
            .any(|key| raw.get(*key).is_some_and(|value| !value.is_null()));
        if !useful {
            return Err(Wrong::invalid("the generate rule makes nothing").cure("add data, clone, cloneList or a kind"));
        }
        Ok(GenerateItem {
            list: raw.get("list").and_then(Value::as_str).map(|list| ListQuery::new(list, expressions)),
            context: entries(raw.get("context").and_then(Value::as_array).map(Vec::as_slice), expressions)?,
            preconditions: conditions(raw.get("preconditions").filter(|value| !value.is_null()), expressions)?,
            raw: raw.clone(),
        })
    };
    let foreach = raw.get("foreach").and_then(Value::as_array).filter(|items| !items.is_empty());
    let items = match foreach {
        Some(items) => items.iter().map(item).collect::<Compiled<_>>()?,
        None => vec![item(raw)?],
    };
    let flag = |key: &str| raw.get(key).and_then(Value::as_bool).unwrap_or(false);
    let is_copy =
        |item: &GenerateItem| ["clone", "cloneList"].iter().any(|key| item.raw.get(*key).is_some_and(Value::is_object));
    let retained = flag("orphanDownstreamOnPolicyDelete") || items.iter().any(is_copy);
    Ok(Generate { items, synchronize: flag("synchronize"), retained })
}
