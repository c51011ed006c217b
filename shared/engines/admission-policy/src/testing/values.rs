//! Values, user and context files: what stands for variables, users and the cluster.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::format::field;
use crate::request::{GroupVersionKind, Request, UserInfo};
use crate::snapshot::{RuleValues, Snapshot, Values};

/// A `kind: Values` document.
#[derive(Clone, Debug, Default)]
pub(super) struct ValuesFile {
    raw: Value,
}

impl ValuesFile {
    pub(super) fn new(raw: Value) -> Self {
        Self { raw }
    }

    /// Adds variables for every policy.
    pub(super) fn add_globals(&mut self, variables: Map<String, Value>) {
        if !self.raw.is_object() {
            self.raw = Value::Object(Map::new());
        }
        let Some(fields) = self.raw.as_object_mut() else { return };
        let known = fields.keys().find(|key| key.eq_ignore_ascii_case("globalvalues")).cloned();
        let globals = fields.entry(known.unwrap_or_else(|| "globalValues".to_owned())).or_insert(Value::Null);
        match globals {
            Value::Object(globals) => globals.extend(variables),
            other => *other = Value::Object(variables),
        }
    }

    /// Whether it says nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.raw.is_null()
    }

    /// The document itself.
    pub(super) fn into_raw(self) -> Value {
        self.raw
    }

    fn list(&self, name: &str) -> &[Value] {
        field(&self.raw, name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    /// The variables for one policy and resource: global ones, then those of the resource.
    pub(super) fn variables(&self, policy: &str, resource: &str) -> Map<String, Value> {
        let mut out = field(&self.raw, "globalvalues").and_then(Value::as_object).cloned().unwrap_or_default();
        for one in self.list("policies").iter().filter(|one| named(one, policy)) {
            for resource in items(one, "resources").iter().filter(|one| named(one, resource)) {
                out.extend(field(resource, "values").and_then(Value::as_object).cloned().unwrap_or_default());
            }
        }
        out
    }

    /// The values of rules.
    pub(super) fn rules(&self) -> BTreeMap<(String, String), RuleValues> {
        let mut out = BTreeMap::new();
        for policy in self.list("policies") {
            for rule in items(policy, "rules") {
                let foreach = field(rule, "foreachvalues").and_then(Value::as_object);
                let values = RuleValues {
                    values: field(rule, "values").and_then(Value::as_object).cloned().unwrap_or_default(),
                    foreach_values: foreach
                        .into_iter()
                        .flatten()
                        .map(|(name, list)| (name.clone(), list.as_array().cloned().unwrap_or_default()))
                        .collect(),
                };
                out.insert((name(policy), name(rule)), values);
            }
        }
        out
    }

    /// Namespaces as whole objects.
    pub(super) fn namespaces(&self) -> Vec<Value> {
        let whole = |one: &Value| {
            let mut object = one.clone();
            if let Some(fields) = object.as_object_mut() {
                fields.entry("apiVersion").or_insert_with(|| Value::from("v1"));
                fields.entry("kind").or_insert_with(|| Value::from("Namespace"));
            }
            object
        };
        self.list("namespaces").iter().map(whole).collect()
    }

    /// Labels of namespaces.
    pub(super) fn namespace_labels(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let labels = |value: Option<&Value>| -> BTreeMap<String, String> {
            let labels = value.and_then(Value::as_object).into_iter().flatten();
            labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
        };
        let mut out = BTreeMap::new();
        for one in self.list("namespaceselector") {
            out.insert(name(one), labels(field(one, "labels")));
        }
        for one in self.list("namespaces") {
            let metadata = field(one, "metadata").cloned().unwrap_or_default();
            out.insert(name(&metadata), labels(field(&metadata, "labels")));
        }
        out
    }

    /// Resources that stand for a subresource of another: kind of the resource to kind and subresource of the request.
    pub(super) fn subresource(&self, kind: &GroupVersionKind) -> Option<(GroupVersionKind, String)> {
        let read = |value: &Value| {
            let text = |key: &str| field(value, key).and_then(Value::as_str).unwrap_or_default().to_owned();
            GroupVersionKind { group: text("group"), version: text("version"), kind: text("kind") }
        };
        self.list("subresources").iter().find_map(|one| {
            let subresource = field(one, "subresource")?;
            let full = field(subresource, "name").and_then(Value::as_str)?;
            (read(subresource) == *kind).then(|| {
                (
                    field(one, "parentresource").map(read).unwrap_or_default(),
                    full.split('/').nth(1).unwrap_or_default().to_owned(),
                )
            })
        })
    }
}

/// Puts the variables of one policy and resource where they belong: the operation and objects into the request, the rest
/// into the snapshot.
pub(super) fn apply_variables(variables: Map<String, Value>, request: &mut Request, snapshot: &mut Snapshot) {
    let mut rest = Map::new();
    for (key, value) in variables {
        match key.strip_prefix("request.object.") {
            Some(path) => inject(request.object.get_or_insert_default(), path, value),
            None => {
                rest.insert(key, value);
            }
        }
    }
    if let Some(values) = &mut snapshot.values {
        values.variables = rest;
    }
}

fn inject(object: &mut Value, path: &str, value: Value) {
    let mut place = object;
    for part in segments(path) {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Some(fields) = place.as_object_mut() else { return };
        place = fields.entry(part).or_insert(Value::Null);
    }
    *place = value;
}

/// The parts of a dotted path; one in quotes may hold dots.
fn segments(path: &str) -> Vec<String> {
    let (mut parts, mut quoted) = (vec![String::new()], false);
    for letter in path.chars() {
        match letter {
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            letter => {
                if let Some(last) = parts.last_mut() {
                    last.push(letter);
                }
            }
        }
    }
    parts
}

/// Stand-ins without any value yet.
pub(super) fn stand_ins(file: &ValuesFile) -> Values {
    Values { rules: file.rules(), ..Values::default() }
}

/// Reads a `kind: UserInfo` document into a request.
pub(super) fn apply_user(raw: &Value, request: &mut Request) {
    let texts = |value: &Value, key: &str| super::format::texts(field(value, key));
    request.roles = texts(raw, "roles");
    request.cluster_roles = texts(raw, "clusterroles");
    if let Some(user) = field(raw, "userinfo") {
        let text = |key: &str| field(user, key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let extra = field(user, "extra").cloned();
        request.user = UserInfo { username: text("username"), uid: text("uid"), groups: texts(user, "groups"), extra };
    }
}

fn items<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    field(value, key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn name(value: &Value) -> String {
    field(value, "name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn named(value: &Value, wanted: &str) -> bool {
    field(value, "name").and_then(Value::as_str) == Some(wanted)
}
