//! `matchConstraints`: which requests a policy is about.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cleanup::CleanupTarget;
use crate::context::is_plural_of;
use crate::explain::ClauseExplanation;
use crate::policy::schema;
use crate::policy::selector::{Labels, Selector};
use crate::request::{Operation, Request};

/// Compiled match constraints.
#[derive(Debug, Default)]
pub(crate) struct Constraints {
    rules: Vec<ResourceRule>,
    excluded: Vec<ResourceRule>,
    namespaces: Option<Selector>,
    objects: Option<Selector>,
    /// Bindings may leave the rules out: everything matches.
    unruled: bool,
    /// Nobody asks for anything when objects are deleted on a schedule: operations do not count.
    any_operation: bool,
}

/// A resource as a rule names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resource<'c> {
    pub(crate) group: &'c str,
    pub(crate) version: &'c str,
    pub(crate) name: &'c str,
    /// The subresource; empty for the resource itself.
    pub(crate) part: &'c str,
}

#[derive(Debug)]
struct ResourceRule {
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<String>,
    operations: Vec<String>,
    names: Vec<String>,
    scope: String,
}

impl Constraints {
    /// Compiles `matchConstraints`.
    ///
    /// # Errors
    /// When a selector is broken.
    pub(crate) fn compile(raw: &Value) -> Result<Self, String> {
        Ok(Self {
            rules: rules(raw.get("resourceRules")),
            excluded: rules(raw.get("excludeResourceRules")),
            namespaces: selector(raw.get("namespaceSelector"))?,
            objects: selector(raw.get("objectSelector"))?,
            unruled: false,
            any_operation: false,
        })
    }

    /// The same, whatever the operation.
    pub(crate) fn of_any_operation(self) -> Self {
        Self { any_operation: true, ..self }
    }

    /// Compiles the `matchResources` of a binding, whose rules may be absent.
    ///
    /// # Errors
    /// When a selector is broken.
    pub(crate) fn compile_binding(raw: Option<&Value>) -> Result<Self, String> {
        let compiled = raw.map(Self::compile).transpose()?.unwrap_or_default();
        Ok(Self { unruled: compiled.rules.is_empty(), ..compiled })
    }

    /// Whether the constraints are about the request.
    pub(crate) fn include(&self, request: &Request, namespace_labels: Option<&BTreeMap<String, String>>) -> bool {
        let fits = |rule: &ResourceRule| {
            rule.matches(request) && (self.any_operation || request.is_unasked() || rule.is_for(request.operation))
        };
        (self.unruled || self.rules.iter().any(fits))
            && !self.excluded.iter().any(fits)
            && self.selects_namespace(request, namespace_labels)
            && self.selects_object(request)
    }

    /// Whether the constraints may be about the request, whatever the labels of its namespace.
    pub(crate) fn may_include(&self, request: &Request) -> bool {
        let fits =
            |rule: &ResourceRule| rule.matches(request) && (self.any_operation || rule.is_for(request.operation));
        (self.unruled || self.rules.iter().any(fits)) && !self.excluded.iter().any(fits) && self.selects_object(request)
    }

    /// Whether there are rules that say what is meant.
    pub(crate) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// Whether deletions are among the operations that the rules name.
    pub(crate) fn names_deletions(&self) -> bool {
        let word = Operation::Delete.as_str();
        self.rules.iter().any(|rule| rule.operations.iter().any(|operation| operation == word))
    }

    /// What the rules name with group, version and resource, each with the part of it that is meant, if any.
    pub(crate) fn resources(&self) -> Vec<Resource<'_>> {
        let mut found = Vec::new();
        for rule in &self.rules {
            for (group, version) in
                rule.groups.iter().flat_map(|group| rule.versions.iter().map(move |one| (group.as_str(), one.as_str())))
            {
                for resource in &rule.resources {
                    let (name, part) = resource.split_once('/').unwrap_or((resource, ""));
                    let one = Resource { group, version, name, part };
                    if ![group, version, name, part].contains(&"*") && !found.contains(&one) {
                        found.push(one);
                    }
                }
            }
        }
        found
    }

    /// The kinds that can match.
    pub(crate) fn targets(&self) -> Vec<CleanupTarget> {
        self.kinds_of(|resource| resource.split_once('/').is_none_or(|(_, part)| part == "*"))
    }

    /// The kinds that can match, or have a part that can.
    pub(crate) fn wholes(&self) -> Vec<CleanupTarget> {
        self.kinds_of(|_| true)
    }

    fn kinds_of(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<CleanupTarget> {
        let mut targets = Vec::new();
        for rule in &self.rules {
            for (group, version) in
                rule.groups.iter().flat_map(|group| rule.versions.iter().map(move |one| (group, one)))
            {
                let wanted = rule.resources.iter().filter(|resource| is_wanted(resource));
                targets.extend(wanted.map(|resource| CleanupTarget {
                    group: group.clone(),
                    version: version.clone(),
                    kind: String::new(),
                    resource: resource.split_once('/').map_or(resource.as_str(), |(whole, _)| whole).to_owned(),
                }));
            }
        }
        targets
    }

    /// Each constraint with what the request has for it.
    pub(crate) fn clauses(
        &self,
        request: &Request,
        namespace_labels: Option<&BTreeMap<String, String>>,
    ) -> Vec<ClauseExplanation> {
        let kind = &request.kind;
        let found = format!("{} of {}/{}/{}", request.operation.as_str(), kind.group, kind.version, kind.kind);
        let one = |name: &str, index: usize, rule: &ResourceRule| ClauseExplanation {
            clause: format!("matchConstraints.{name}[{index}]"),
            wanted: rule.describe(),
            found: found.clone(),
            holds: Some(
                rule.matches(request) && (self.any_operation || request.is_unasked() || rule.is_for(request.operation)),
            ),
        };
        let included = self.rules.iter().enumerate().map(|(index, rule)| one("resourceRules", index, rule));
        let excluded = self.excluded.iter().enumerate().map(|(index, rule)| one("excludeResourceRules", index, rule));
        let mut out: Vec<ClauseExplanation> = included.chain(excluded).collect();
        if let Some(selector) = &self.namespaces {
            out.push(ClauseExplanation {
                clause: "matchConstraints.namespaceSelector".to_owned(),
                wanted: selector.describe(),
                found: Labels::Plain(namespace_labels).describe(),
                holds: Some(self.selects_namespace(request, namespace_labels)),
            });
        }
        if let Some(selector) = &self.objects {
            out.push(ClauseExplanation {
                clause: "matchConstraints.objectSelector".to_owned(),
                wanted: selector.describe(),
                found: Labels::at(request.subject(), "labels").describe(),
                holds: Some(self.selects_object(request)),
            });
        }
        out
    }

    fn selects_namespace(&self, request: &Request, labels: Option<&BTreeMap<String, String>>) -> bool {
        let Some(selector) = &self.namespaces else { return true };
        if request.kind.kind == "Namespace" && request.kind.group.is_empty() {
            return selector.matches(Labels::at(request.subject(), "labels"));
        }
        if request.namespace.is_empty() {
            return true;
        }
        match labels {
            Some(_) => selector.matches(Labels::Plain(labels)),
            // Every namespace has at least this label.
            None => {
                let own = [("kubernetes.io/metadata.name".to_owned(), request.namespace.clone())].into();
                selector.matches(Labels::Plain(Some(&own)))
            }
        }
    }

    fn selects_object(&self, request: &Request) -> bool {
        let Some(selector) = &self.objects else { return true };
        let there = [&request.object, &request.old_object];
        let fits = |object: &Value| object.is_object() && selector.matches(Labels::at(object, "labels"));
        there.into_iter().flatten().any(fits)
    }
}

fn selector(raw: Option<&Value>) -> Result<Option<Selector>, String> {
    let Some(raw) = raw.filter(|raw| raw.as_object().is_some_and(|fields| !fields.is_empty())) else { return Ok(None) };
    let decoded = crate::policy::compile::decode::<schema::Selector>(raw).map_err(|(_, what)| what)?;
    Selector::compile(&decoded).map(Some)
}

fn rules(raw: Option<&Value>) -> Vec<ResourceRule> {
    let texts = |rule: &Value, key: &str| -> Vec<String> {
        let items = rule.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let rule = |rule: &Value| ResourceRule {
        groups: texts(rule, "apiGroups"),
        versions: texts(rule, "apiVersions"),
        resources: texts(rule, "resources"),
        operations: texts(rule, "operations"),
        names: texts(rule, "resourceNames"),
        scope: rule.get("scope").and_then(Value::as_str).unwrap_or("*").to_owned(),
    };
    raw.and_then(Value::as_array).into_iter().flatten().map(rule).collect()
}

impl ResourceRule {
    fn describe(&self) -> String {
        let list = |items: &[String]| items.join(",");
        let (operations, resources) = (list(&self.operations), list(&self.resources));
        format!("{operations} of {}/{}/{resources}", list(&self.groups), list(&self.versions))
    }

    fn is_for(&self, operation: Operation) -> bool {
        self.operations.is_empty() || self.operations.iter().any(|item| item == "*" || item == operation.as_str())
    }

    /// Whether the rule is about the resource of the request, whatever the operation.
    fn matches(&self, request: &Request) -> bool {
        let one = |list: &[String], value: &str| list.iter().any(|item| item == "*" || item == value);
        let namespaced = !request.namespace.is_empty() && request.kind.kind != "Namespace";
        let (group, version) = request.api();
        one(&self.groups, group)
            && one(&self.versions, version)
            && (self.names.is_empty() || self.names.contains(&request.name))
            && match self.scope.as_str() {
                "Cluster" => !namespaced,
                "Namespaced" => namespaced,
                _ => true,
            }
            && self.resources.iter().any(|resource| names_resource(resource, request))
    }
}

/// Whether `pattern` (`pods`, `pods/exec`, `*`, `*/scale`, `*/*`) names the resource of the request.
fn names_resource(pattern: &str, request: &Request) -> bool {
    let (resource, subresource) = pattern.split_once('/').unwrap_or((pattern, ""));
    let resource_fits = match resource {
        "*" => true,
        // A plural begins as its kind does, which is cheap to see.
        name if request.resource.is_empty() => {
            let first = |text: &str| text.as_bytes().first().map(u8::to_ascii_lowercase);
            first(name) == first(&request.kind.kind) && is_plural_of(name, &request.kind.kind)
        }
        name => name == request.resource,
    };
    resource_fits && (subresource == "*" || subresource == request.subresource)
}
