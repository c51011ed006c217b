//! `params`: objects of the cluster that a `validate.cel` rule takes its limits from.

use serde_json::Value;

use super::judge::Input;
use crate::policy::compile::decode;
use crate::policy::schema;
use crate::policy::selector::{Labels, Selector};
use crate::snapshot::MissingFact;
use crate::value::path;

/// Where the parameters of a rule are.
#[derive(Debug)]
pub(crate) struct Parameters {
    api_version: String,
    kind: String,
    name: String,
    /// Empty for that of the judged object.
    namespace: String,
    selector: Option<Selector>,
    /// Whether a rule that finds none cannot be judged; otherwise it holds.
    must_exist: bool,
}

/// Why a rule has no parameters.
pub(crate) struct NoParameters {
    pub(crate) message: String,
    pub(crate) missing: Vec<MissingFact>,
}

impl Parameters {
    /// Reads `paramKind` and `paramRef` of a rule; `None` where it has neither.
    ///
    /// # Errors
    /// What is missing or does not go together.
    pub(crate) fn compile(rule: &Value) -> Result<Option<Self>, String> {
        let part = |key: &str| rule.get(key).filter(|value| !value.is_null());
        let (kind, reference) = match (part("paramKind"), part("paramRef")) {
            (None, None) => return Ok(None),
            (Some(kind), Some(reference)) => (kind, reference),
            (Some(_), None) => {
                return Err("`paramKind` needs a `paramRef` that says which objects are meant".to_owned());
            }
            (None, Some(_)) => return Err("`paramRef` needs a `paramKind` that says what they are".to_owned()),
        };
        let own = |key: &str| path::text(kind, &[key]).to_owned();
        let text = |key: &str| path::text(reference, &[key]).to_owned();
        let (api_version, kind, name) = (own("apiVersion"), own("kind"), text("name"));
        if api_version.is_empty() || kind.is_empty() {
            return Err("`paramKind` needs an `apiVersion` and a `kind`".to_owned());
        }
        let selector = reference.get("selector").filter(|value| !value.is_null());
        if name.is_empty() == selector.is_none() {
            return Err("`paramRef` needs either a `name` or a `selector`".to_owned());
        }
        let must_exist = match text("parameterNotFoundAction").as_str() {
            "Deny" => true,
            "Allow" => false,
            _ => return Err("`paramRef.parameterNotFoundAction` has to be Allow or Deny".to_owned()),
        };
        let selector = selector.map(|raw| decode::<schema::Selector>(raw).map_err(|(_, what)| what)).transpose()?;
        let selector = selector.as_ref().map(Selector::compile).transpose()?;
        Ok(Some(Self { api_version, kind, name, namespace: text("namespace"), selector, must_exist }))
    }

    /// The objects that are meant.
    pub(crate) fn find<'a>(&self, input: &Input<'a>) -> Result<Vec<&'a Value>, NoParameters> {
        let (request, snapshot) = (input.request(), input.snapshot());
        let near = if request.kind.kind == "Namespace" { "" } else { request.namespace.as_str() };
        let namespace = if self.namespace.is_empty() { near } else { &self.namespace };
        let is_meant = |object: &&Value| {
            let own = path::text(object, &["metadata", "namespace"]);
            path::text(object, &["apiVersion"]) == self.api_version
                && path::text(object, &["kind"]) == self.kind
                && (self.name.is_empty() || path::text(object, &["metadata", "name"]) == self.name)
                && (own == namespace || (own.is_empty() && self.namespace.is_empty()))
                && self.selector.as_ref().is_none_or(|selector| selector.matches(Labels::at(object, "labels")))
        };
        let found: Vec<&Value> = snapshot.objects.iter().filter(is_meant).collect();
        if !found.is_empty() || (snapshot.has_listed((&self.api_version, &self.kind), namespace) && !self.must_exist) {
            return Ok(found);
        }
        let fact = MissingFact::Objects {
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            namespace: namespace.to_owned(),
        };
        let is_known = snapshot.has_listed((&self.api_version, &self.kind), namespace);
        let what = format!("there is no {} {} for the rule", self.api_version, self.kind);
        Err(NoParameters {
            message: format!("error in parameterized resource: {}", if is_known { what } else { fact.to_string() }),
            missing: if is_known { Vec::new() } else { vec![fact] },
        })
    }
}
