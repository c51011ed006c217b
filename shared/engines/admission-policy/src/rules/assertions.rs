//! `validate.assert`: an assertion tree on the request.

use serde_json::{Value, json};

use super::Judgement;
use crate::assertion::{self, Queries};
use crate::context::{Context, ContextEntry};
use crate::outcome::Status;
use crate::request::{GroupVersionKind, Request};

/// Queries of the rule's context; its entries are bound by their names.
struct Bound<'c, 'r> {
    context: &'c mut Context<'r>,
    names: Vec<&'r str>,
}

impl Queries for Bound<'_, '_> {
    fn search(&mut self, query: &str, value: &Value) -> Result<Value, String> {
        match self.context.search(query, value) {
            Err(error) if error.not_found => Ok(Value::Null),
            other => other.map_err(|error| error.message),
        }
    }

    fn binding(&mut self, name: &str) -> Option<Result<Value, String>> {
        let known = self.names.contains(&name);
        known.then(|| self.context.query(name).map_err(|error| error.message))
    }
}

/// Judges the tree of a rule.
pub(crate) fn judge<'r>(
    rule: &str,
    (tree, entries): (&Value, &'r [ContextEntry]),
    (request, object): (&Request, Option<&Value>),
    context: &mut Context<'r>,
) -> Judgement {
    let GroupVersionKind { group, version, kind } = &request.kind;
    let payload = json!({
        "object": object,
        "oldObject": request.old_object,
        "admissionInfo": {
            "userInfo": request.user.to_json(), "roles": request.roles, "clusterRoles": request.cluster_roles,
        },
        "operation": request.operation.as_str(),
        "namespaceLabels": context.snapshot().labels_of(&request.namespace),
        "admissionOperation": !request.background,
        "requestResource": {"group": group, "version": version, "resource": request.resource},
        "resourceKind": {"group": group, "version": version, "kind": kind, "subResource": request.subresource},
    });
    let names = entries.iter().map(|entry| entry.name.as_str()).collect();
    match assertion::assert(tree, &payload, &mut Bound { context, names }) {
        Err(error) => Judgement::error("failed to apply assertion", &error),
        Ok(failures) if failures.is_empty() => {
            Judgement::new(Status::Pass, format!("Validation rule '{rule}' passed."))
        }
        Ok(failures) => Judgement::new(Status::Fail, failures.join("; ")),
    }
}
