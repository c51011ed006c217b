//! What expressions see: the request, its objects, lazy variables, and Kyverno's libraries.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use cel::{EvalError, Host, Key, Limits, Object, Program, Text, Val};
use model::Timestamp;
use serde_json::{Map, Value};

use super::authorizer::Authorizer;
use super::judge::Views;
use super::policy::CelRule;
use super::{images, library, lookup};
use crate::platform::Platform;
use crate::request::Request;
use crate::snapshot::{MissingFact, Snapshot};

/// The given parts of an evaluation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given<'a> {
    pub(crate) object: &'a Value,
    pub(crate) old_object: &'a Value,
    pub(crate) request: &'a Request,
    pub(crate) views: &'a Views,
    /// `request.object` for policies of Kyverno; those of Kubernetes itself see a request without its objects.
    pub(crate) requested: Option<&'a Value>,
    /// Namespace of the policy; empty for a cluster-wide one.
    pub(crate) namespace: &'a str,
    pub(crate) params: &'a Value,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) now: Option<Timestamp>,
}

/// The variables and libraries of one policy on one request.
#[derive(Clone)]
pub(crate) struct Scope<'a>(Rc<Inner<'a>>);

struct Inner<'a> {
    given: Given<'a>,
    rule: &'a CelRule,
    /// The object as mutations left it.
    object: RefCell<Val<'a>>,
    variables: RefCell<BTreeMap<&'a str, Lazy<'a>>>,
    missing: RefCell<Vec<MissingFact>>,
    generated: RefCell<Vec<Value>>,
    /// Images whose signatures were checked, and whether one check was passed.
    checked: RefCell<BTreeMap<String, bool>>,
    /// The image that a pattern looks at.
    reference: RefCell<Option<Val<'a>>>,
    exceptions: RefCell<(Vec<String>, Vec<String>)>,
    /// What is left of the budget of all expressions together.
    budget: Cell<u64>,
}

/// A variable: under way, or known.
enum Lazy<'a> {
    Pending,
    Known(Result<Val<'a>, EvalError>),
}

/// Budget of all expressions of a policy on one request.
const BUDGET: u64 = 10_000_000;

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scope")
    }
}

impl<'a> Scope<'a> {
    pub(crate) fn new(given: Given<'a>, rule: &'a CelRule) -> Self {
        Self(Rc::new(Inner {
            given,
            rule,
            object: RefCell::new(Val::from_json(given.object)),
            variables: RefCell::default(),
            missing: RefCell::default(),
            generated: RefCell::default(),
            checked: RefCell::default(),
            reference: RefCell::default(),
            exceptions: RefCell::default(),
            budget: Cell::new(BUDGET),
        }))
    }

    /// Evaluates an expression within the budget.
    pub(crate) fn evaluate(&self, program: &'a Program) -> Result<Val<'a>, EvalError> {
        let left = self.0.budget.get();
        let limits = Limits { max_cost: left.min(Limits::default().max_cost) };
        let (outcome, cost) = program.evaluate_counted(self, limits);
        self.0.budget.set(left.saturating_sub(cost));
        outcome
    }

    /// Evaluates an expression that must give a boolean.
    pub(crate) fn truth(&self, program: &'a Program) -> Result<bool, EvalError> {
        let value = self.evaluate(program)?;
        value.as_bool().ok_or_else(|| EvalError::refused(format!("expected a bool, got {}", value.type_name())))
    }

    /// Whether all conditions hold. One that is false decides, whatever fails besides.
    pub(crate) fn all(&self, conditions: &'a [(String, Program)]) -> Result<bool, EvalError> {
        let Some(mut failures) = self.failures(conditions) else { return Ok(false) };
        match failures.len() {
            0 => Ok(true),
            1 => Err(failures.remove(0).1),
            _ => {
                let told: Vec<String> = failures.iter().map(|(_, error)| error.to_string()).collect();
                Err(EvalError::refused(told.join("; ")))
            }
        }
    }

    /// As [`all`](Self::all); what failed is told with its expression, in the words of Kubernetes.
    pub(crate) fn all_told(&self, conditions: &'a [(String, Program)]) -> Result<bool, String> {
        let Some(failures) = self.failures(conditions) else { return Ok(false) };
        let told: Vec<String> = failures.iter().map(|(program, error)| failed_expression(program, error)).collect();
        match told.as_slice() {
            [] => Ok(true),
            [one] => Err(one.clone()),
            several => Err(format!("[{}]", several.join(", "))),
        }
    }

    /// The conditions that fail; `None` when one is false.
    fn failures(&self, conditions: &'a [(String, Program)]) -> Option<Vec<(&'a Program, EvalError)>> {
        let mut failures = Vec::new();
        for (_, condition) in conditions {
            match self.truth(condition) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => failures.push((condition, error)),
            }
        }
        Some(failures)
    }

    /// Whether `program` holds for an image reference, which it sees as `ref`.
    pub(crate) fn with_reference(&self, reference: &str, program: &'a Program) -> Result<bool, EvalError> {
        *self.0.reference.borrow_mut() = Some(Val::text(reference));
        let held = self.truth(program);
        *self.0.reference.borrow_mut() = None;
        held
    }

    /// Puts a changed object in place of the one before.
    pub(crate) fn replace_object(&self, object: Value) {
        *self.0.object.borrow_mut() = Val::from_owned_json(object);
    }

    /// What exceptions allow.
    pub(crate) fn allow(&self, images: &[String], values: &[String]) {
        let mut exceptions = self.0.exceptions.borrow_mut();
        exceptions.0.extend(images.iter().cloned());
        exceptions.1.extend(values.iter().cloned());
    }

    pub(crate) fn given(&self) -> &Given<'a> {
        &self.0.given
    }

    /// Remembers a fact that is missing; the error to end with.
    pub(crate) fn note_missing(&self, function: &str, fact: MissingFact) -> EvalError {
        let what = fact.to_string();
        self.0.missing.borrow_mut().push(fact);
        EvalError::Missing(format!("{function}: {what}"))
    }

    pub(crate) fn take_missing(&self) -> Vec<MissingFact> {
        self.0.missing.take()
    }

    /// Remembers that the signatures of an image were checked; a check that was passed stays so.
    pub(crate) fn note_checked(&self, image: &str, is_verified: bool) {
        *self.0.checked.borrow_mut().entry(image.to_owned()).or_default() |= is_verified;
    }

    pub(crate) fn take_checked(&self) -> BTreeMap<String, bool> {
        self.0.checked.take()
    }

    /// Notes objects to make. A policy in a namespace makes objects there only.
    pub(crate) fn make(&self, objects: Vec<Value>) -> Result<(), EvalError> {
        let own = self.0.given.namespace;
        for mut object in objects {
            if !own.is_empty() {
                let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
                if namespace.is_empty() {
                    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                        metadata.insert("namespace".to_owned(), Value::from(own));
                    }
                } else if namespace != own {
                    let what = format!("policy in \"{own}\" cannot generate into \"{namespace}\"");
                    return Err(EvalError::refused(format!("cross-namespace generation denied: {what}")));
                }
            }
            self.0.generated.borrow_mut().push(object);
        }
        Ok(())
    }

    pub(crate) fn take_generated(&self) -> Vec<Value> {
        self.0.generated.take()
    }

    pub(crate) fn rule(&self) -> &'a CelRule {
        self.0.rule
    }

    fn lazy(&self, name: &str) -> Option<Result<Val<'a>, EvalError>> {
        let (name, program) = self.0.rule.variables.iter().find(|(known, _)| known == name)?;
        match self.0.variables.borrow().get(name.as_str()) {
            Some(Lazy::Known(outcome)) => return Some(outcome.clone()),
            Some(Lazy::Pending) => return Some(Err(EvalError::refused(format!("variable {name} depends on itself")))),
            None => {}
        }
        self.0.variables.borrow_mut().insert(name, Lazy::Pending);
        let outcome = self.evaluate(program);
        let outcome = match outcome {
            Err(error) if self.0.rule.composited => {
                Err(EvalError::refused(format!("composited variable \"{name}\" fails to evaluate: {error}")))
            }
            outcome => outcome,
        };
        self.0.variables.borrow_mut().insert(name, Lazy::Known(outcome.clone()));
        Some(outcome)
    }
}

/// `expression '...' resulted in error: ...`
pub(super) fn failed_expression(program: &Program, error: &EvalError) -> String {
    format!("expression '{}' resulted in error: {error}", program.text())
}

impl<'a> Host<'a> for Scope<'a> {
    fn variable(&self, name: &str) -> Option<Result<Val<'a>, EvalError>> {
        let given = self.0.given;
        Some(Ok(match name {
            "object" => self.0.object.borrow().clone(),
            "oldObject" => Val::from_json(given.old_object),
            "request" => request(&given),
            "namespaceObject" => Val::from_json(given.views.namespace(given.request, given.snapshot)),
            "params" => Val::from_json(given.params),
            "biotope" => Val::object(Platform(&given.snapshot.biotope)),
            "variables" => Val::object(Variables(self.clone())),
            "attestors" => Val::from_json(&self.0.rule.verification.as_ref()?.attestors),
            "attestations" => Val::from_json(&self.0.rule.verification.as_ref()?.attestations),
            "ref" => self.0.reference.borrow().clone()?,
            "images" => return Some(lookup::images(self)),
            "exceptions" => {
                let (images, values) = &*self.0.exceptions.borrow();
                let list = |texts: &[String]| Value::from(texts.to_vec());
                let map: Map<String, Value> =
                    [("allowedImages".to_owned(), list(images)), ("allowedValues".to_owned(), list(values))]
                        .into_iter()
                        .collect();
                Val::from_owned_json(Value::Object(map))
            }
            "authorizer" => Val::object(Authorizer::new(self.clone())),
            "resource" | "http" | "image" | "globalContext" | "generator" | "json" | "yaml" | "envoy" | "jwt" => {
                Val::object(lookup::Library { scope: self.clone(), name: library::static_name(name) })
            }
            _ => return None,
        }))
    }

    fn call(&self, name: &str, arguments: &[Val<'a>]) -> Option<Result<Val<'a>, EvalError>> {
        images::call(self, name, arguments).or_else(|| library::call(name, arguments, self.0.given.now))
    }

    fn now(&self) -> Option<Timestamp> {
        self.0.given.now
    }
}

/// `request`; its objects are not copied.
fn request<'a>(given: &Given<'a>) -> Val<'a> {
    let bare = Val::from_json(given.views.request(given.request));
    let (Some(object), Val::Map(fields)) = (given.requested, &bare) else { return bare };
    let key = |name: &str| Key::Text(Text::Shared(Rc::from(name)));
    let old = given.request.old_object.as_ref().unwrap_or(&Value::Null);
    let mut whole: BTreeMap<Key<'a>, Val<'a>> = fields.entries().into_iter().collect();
    whole.insert(key("object"), Val::from_json(object));
    whole.insert(key("oldObject"), Val::from_json(old));
    Val::Map(cel::Map::Shared(Rc::new(whole)))
}

/// The policy's variables; each is evaluated once, when it is first used.
struct Variables<'a>(Scope<'a>);

impl fmt::Debug for Variables<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables")
    }
}

impl<'a> Object<'a> for Variables<'a> {
    fn type_name(&self) -> &str {
        "kubernetes.variables"
    }

    fn field(&self, name: &str) -> Option<Result<Val<'a>, EvalError>> {
        self.0.lazy(name)
    }
}
