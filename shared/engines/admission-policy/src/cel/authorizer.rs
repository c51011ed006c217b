//! `authorizer`: whether somebody may do something in the cluster.
//!
//! The cluster decides (`SubjectAccessReview`), and its answer is a fact like that of any other call of its API. Each step of
//! `authorizer.group('apps').resource('deployments').check('create')` says more of what is asked.

use std::fmt;

use cel::{EvalError, Object, Val};
use serde_json::{Map, Value, json};

use super::scope::Scope;
use crate::request::Request;
use crate::snapshot::MissingFact;

type Outcome<'a> = Result<Val<'a>, EvalError>;

/// The call that asks the cluster.
const CALL: &str = "POST /apis/authorization.k8s.io/v1/subjectaccessreviews";

/// Somebody who may ask.
pub(super) struct Authorizer<'a> {
    scope: Scope<'a>,
    user: Map<String, Value>,
}

impl<'a> Authorizer<'a> {
    /// Who made the request.
    pub(super) fn new(scope: Scope<'a>) -> Self {
        let Value::Object(mut user) = scope.given().request.user.to_json() else {
            return Self { scope, user: Map::new() };
        };
        if let Some(name) = user.shift_remove("username") {
            user.insert("user".to_owned(), name);
        }
        Self { scope, user }
    }

    fn asks(&self, step: Step, about: Value) -> Val<'a> {
        let about = if let Value::Object(about) = about { about } else { Map::new() };
        Val::object(Question { scope: self.scope.clone(), user: self.user.clone(), step, about })
    }

    fn service_account(&self, namespace: &str, name: &str) -> Val<'a> {
        let user = json!({
            "user": format!("system:serviceaccount:{namespace}:{name}"),
            "groups": ["system:serviceaccounts", format!("system:serviceaccounts:{namespace}"), "system:authenticated"],
        });
        let user = if let Value::Object(user) = user { user } else { Map::new() };
        Val::object(Self { scope: self.scope.clone(), user })
    }
}

impl fmt::Debug for Authorizer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorizer")
    }
}

impl<'a> Object<'a> for Authorizer<'a> {
    fn type_name(&self) -> &str {
        "kubernetes.authorization.Authorizer"
    }

    fn field(&self, name: &str) -> Option<Outcome<'a>> {
        (name == "requestResource").then(|| Ok(self.asks(Step::Resource, of_request(self.scope.given().request))))
    }

    fn call(&self, method: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
        let texts: Option<Vec<&str>> = arguments.iter().map(Val::as_str).collect();
        match (method, texts?.as_slice()) {
            ("path", [path]) => Some(Ok(self.asks(Step::Path, json!({"path": path})))),
            ("group", [group]) => Some(Ok(self.asks(Step::Group, json!({"group": group, "version": "*"})))),
            ("serviceAccount", [namespace, name]) => Some(Ok(self.service_account(namespace, name))),
            _ => None,
        }
    }
}

/// What the request is about, as a question names it.
fn of_request(request: &Request) -> Value {
    let (group, version) = request.api();
    let all = [
        ("group", group),
        ("version", version),
        ("resource", &request.resource),
        ("subresource", &request.subresource),
        ("namespace", &request.namespace),
        ("name", &request.name),
    ];
    let told = all.into_iter().filter(|(_, value)| !value.is_empty());
    Value::Object(told.map(|(key, value)| (key.to_owned(), Value::from(value))).collect())
}

/// How far a question has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Group,
    Resource,
    Path,
}

/// What is asked, as far as it was said.
struct Question<'a> {
    scope: Scope<'a>,
    user: Map<String, Value>,
    step: Step,
    about: Map<String, Value>,
}

impl<'a> Question<'a> {
    fn with(&self, key: &str, value: Value) -> Val<'a> {
        let mut about = self.about.clone();
        about.insert(key.to_owned(), value);
        Val::object(Self { scope: self.scope.clone(), user: self.user.clone(), step: Step::Resource, about })
    }

    fn check(&self, verb: &str) -> Outcome<'a> {
        if self.user.is_empty() {
            return Err(EvalError::refused("authorizer: nobody is known to ask"));
        }
        let mut spec = self.user.clone();
        let mut about = self.about.clone();
        about.insert("verb".to_owned(), Value::from(verb));
        let key = if self.step == Step::Path { "nonResourceAttributes" } else { "resourceAttributes" };
        spec.insert(key.to_owned(), Value::Object(about));
        let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec});
        let body = review.to_string();
        let Some(known) = self.scope.given().snapshot.api_calls.get(&[CALL, " ", &body].concat()) else {
            return Err(self.scope.note_missing("authorizer", MissingFact::ApiCall { call: CALL.to_owned(), body }));
        };
        let text = |pointer: &str| known.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Val::object(Decision {
            allowed: known.pointer("/status/allowed").and_then(Value::as_bool).unwrap_or(false),
            reason: text("/status/reason"),
            error: text("/status/evaluationError"),
        }))
    }
}

impl fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Question({:?})", self.step)
    }
}

impl<'a> Object<'a> for Question<'a> {
    fn type_name(&self) -> &str {
        match self.step {
            Step::Group => "kubernetes.authorization.GroupCheck",
            Step::Resource => "kubernetes.authorization.ResourceCheck",
            Step::Path => "kubernetes.authorization.PathCheck",
        }
    }

    fn call(&self, method: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
        let [Val::Text(text)] = arguments else { return None };
        let text = text.as_str();
        match (self.step, method) {
            (Step::Group, "resource") | (Step::Resource, "subresource" | "namespace" | "name") => {
                Some(Ok(self.with(method, Value::from(text))))
            }
            (Step::Resource, "fieldSelector" | "labelSelector") => {
                Some(Ok(self.with(method, json!({"rawSelector": text}))))
            }
            (Step::Resource | Step::Path, "check") => Some(self.check(text)),
            _ => None,
        }
    }
}

/// What the cluster decided.
#[derive(Debug)]
struct Decision {
    allowed: bool,
    reason: String,
    error: String,
}

impl<'a> Object<'a> for Decision {
    fn type_name(&self) -> &str {
        "kubernetes.authorization.Decision"
    }

    fn call(&self, method: &str, arguments: &[Val<'a>]) -> Option<Outcome<'a>> {
        if !arguments.is_empty() {
            return None;
        }
        match method {
            "allowed" => Some(Ok(Val::Bool(self.allowed))),
            "errored" => Some(Ok(Val::Bool(!self.error.is_empty()))),
            "reason" => Some(Ok(Val::text(self.reason.as_str()))),
            "error" => Some(Ok(Val::text(self.error.as_str()))),
            _ => None,
        }
    }
}
