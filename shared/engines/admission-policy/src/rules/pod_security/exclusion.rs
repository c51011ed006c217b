//! Controls that a rule or an exception excuses.
//!
//! An exclusion says which part of a pod it is about: the containers with some images, or, without images, the pod without
//! its containers. That part is checked for itself, and each of its errors excuses one error of the whole pod.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{FieldError, Found, Pod, PodSecurity, Violation};
use crate::policy::compile::decode;
use crate::value::{go_text, wildcard};

/// One excused control.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exclusion {
    control_name: String,
    images: Option<Vec<String>>,
    restricted_field: Option<String>,
    values: Option<Vec<String>>,
}

/// Reads the exclusions of an exception.
pub(crate) fn exclusions(raw: &[Value]) -> Result<Vec<Exclusion>, String> {
    raw.iter().map(|one| decode(one).map_err(|(_, what)| what)).collect()
}

impl PodSecurity {
    /// Takes out what the exclusions excuse.
    pub(super) fn excuse(&self, violations: &mut [Violation], exclusions: &[Exclusion], pod: &Pod<'_>) {
        for exclusion in exclusions {
            let concerned = |violation: &&mut Violation| violation.control == exclusion.control_name;
            if !violations.iter_mut().any(|violation| concerned(&violation) && !violation.errors.is_empty()) {
                continue;
            }
            let part = exclusion.part_of(pod.spec);
            let annotations = pod.annotations.filter(|_| !exclusion.is_about_containers());
            let excuses =
                self.violations_of(&exclusion.control_name, &Pod { spec: &part, annotations, minor: pod.minor });
            for (violation, excuse) in violations.iter_mut().zip(excuses).filter(|(violation, _)| concerned(violation))
            {
                for error in excuse.errors.iter().filter(|error| exclusion.fits(error)) {
                    if let Some(at) = violation.errors.iter().position(|own| exclusion.excuses(own, error)) {
                        violation.errors.remove(at);
                    }
                }
            }
        }
    }
}

impl Exclusion {
    fn is_about_containers(&self) -> bool {
        self.images.as_ref().is_some_and(|images| !images.is_empty())
    }

    /// The part of a pod's spec that the exclusion is about.
    fn part_of(&self, spec: &Value) -> Value {
        let images = self.images.as_deref().unwrap_or_default();
        let mut part = Map::new();
        if images.is_empty() {
            let own = spec.as_object().into_iter().flatten().filter(|(key, _)| !GROUPS.contains(&key.as_str()));
            part.extend(own.map(|(key, value)| (key.clone(), value.clone())));
            part.insert("containers".to_owned(), json!([{"name": "any"}]));
            return Value::Object(part);
        }
        let is_meant = |container: &&Value| {
            let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
            images.iter().any(|pattern| wildcard::matches(pattern, image))
        };
        for group in GROUPS {
            let containers = spec.get(group).and_then(Value::as_array).into_iter().flatten();
            part.insert(group.to_owned(), containers.filter(is_meant).cloned().collect());
        }
        Value::Object(part)
    }

    /// Whether field and value of an error are excluded.
    fn fits(&self, error: &FieldError) -> bool {
        let field = self.restricted_field.as_deref().filter(|field| !field.is_empty());
        let values = self.values.as_deref().unwrap_or_default();
        let allowed = |value: &String| values.is_empty() || values.iter().any(|one| wildcard::matches(one, value));
        field.is_none_or(|field| field == generic(&error.path)) && error.values().iter().all(allowed)
    }

    /// Whether an error of the part stands for this error of the pod: it is about the same field, and of the same container.
    fn excuses(&self, own: &FieldError, error: &FieldError) -> bool {
        let same_container = !self.is_about_containers() || own.container.is_none() || own.container == error.container;
        same_container && generic(&own.path) == generic(&error.path)
    }
}

impl FieldError {
    /// The values found, one by one; none where a field is missing.
    fn values(&self) -> Vec<String> {
        match &self.found {
            Found::Missing | Found::Set => Vec::new(),
            Found::Value(Value::Array(items)) => items.iter().map(|item| go_text::sprint(item).into_owned()).collect(),
            Found::Value(Value::String(text)) if text.is_empty() => Vec::new(),
            Found::Value(value) => vec![go_text::sprint(value).into_owned()],
        }
    }
}

/// The path with every number as `*`.
fn generic(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        match (c.is_ascii_digit(), inside) {
            (true, true) => {}
            (true, false) => out.push('*'),
            (false, _) => out.push(c),
        }
        inside = c.is_ascii_digit();
    }
    out
}

/// The lists of containers of a pod.
const GROUPS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];
