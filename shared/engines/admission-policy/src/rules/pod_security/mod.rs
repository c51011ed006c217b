//! `validate.podSecurity`: the Pod Security Standards, with exclusions by control, image, field and value.

mod baseline;
mod restricted;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::Value;

use super::Judgement;
use crate::context::pod_spec_pointer;
use crate::outcome::Status;
use crate::policy::compile::{Wrong, decode};
use crate::value::{go_text, path, wildcard};

/// A compiled `podSecurity` check.
#[derive(Clone, Debug)]
pub(crate) struct PodSecurity {
    level: Level,
    version: String,
    minor: u32,
    exclude: Vec<Exclusion>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Privileged,
    Baseline,
    Restricted,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPodSecurity {
    level: String,
    version: Option<String>,
    exclude: Option<Vec<Exclusion>>,
}

/// One excused control.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exclusion {
    control_name: String,
    images: Option<Vec<String>>,
    restricted_field: Option<String>,
    values: Option<Vec<String>>,
}

/// A pod as the checks see it.
struct Pod<'a> {
    spec: &'a Value,
    annotations: Option<&'a Value>,
    minor: u32,
}

/// A container with where it is.
#[derive(Clone, Copy)]
struct Container<'a> {
    group: &'static str,
    index: usize,
    value: &'a Value,
}

/// What one check found.
struct Violation {
    control: &'static str,
    reason: &'static str,
    errors: Vec<FieldError>,
}

/// One offending field.
struct FieldError {
    /// Path in the pod: `spec.containers[0].securityContext.privileged`.
    path: String,
    /// Image of the container, for container fields.
    image: Option<String>,
    /// The offending value; `None` when the field is missing.
    value: Option<Value>,
}

impl PodSecurity {
    /// Compiles the check.
    pub(crate) fn compile(raw: &Value) -> Result<Self, Wrong> {
        let raw: RawPodSecurity = decode(raw).map_err(|(_, what)| Wrong::invalid(what))?;
        let level = match raw.level.as_str() {
            "privileged" => Level::Privileged,
            "baseline" => Level::Baseline,
            "restricted" => Level::Restricted,
            other => {
                return Err(
                    Wrong::invalid(format!("`{other}` is not a pod security level")).cure("use baseline or restricted")
                );
            }
        };
        let version = raw.version.filter(|version| !version.is_empty()).unwrap_or_else(|| "latest".to_owned());
        let minor = match version.strip_prefix("v1.") {
            Some(minor) => minor
                .parse()
                .map_err(|_| Wrong::invalid(format!("`{version}` is not a version")).cure("use latest or v1.N"))?,
            None if version == "latest" => u32::MAX,
            None => return Err(Wrong::invalid(format!("`{version}` is not a version")).cure("use latest or v1.N")),
        };
        Ok(Self { level, version, minor, exclude: raw.exclude.unwrap_or_default() })
    }

    /// Judges a workload; `excused` are exclusions of the exceptions that cover it, with their keys.
    pub(crate) fn judge(
        &self,
        rule: &str,
        (object, kind): (&Value, &str),
        excused: &[(String, Vec<Exclusion>)],
    ) -> (Judgement, Vec<String>) {
        let Some(pointer) = pod_spec_pointer(kind) else {
            let what = "Error while getting new resource: could not find correct resource type";
            return (Judgement::new(Status::Error, what), Vec::new());
        };
        let parts = || pointer.split('/').skip(1);
        let template = parts().take(parts().count() - 1).try_fold(object, |value, part| path::at(value, &[part]));
        let pod = Pod {
            spec: template.and_then(|template| path::at(template, &["spec"])).unwrap_or(&Value::Null),
            annotations: template.and_then(|template| path::at(template, &["metadata", "annotations"])),
            minor: self.minor,
        };
        let mut violations = self.violations(&pod);
        excuse(&mut violations, &self.exclude);
        if violations.is_empty() {
            return (Judgement::new(Status::Pass, ["Validation rule '", rule, "' passed."].concat()), Vec::new());
        }
        let mut keys = Vec::new();
        for (key, exclusions) in excused {
            excuse(&mut violations, exclusions);
            keys.push(key.clone());
        }
        if violations.is_empty() {
            let message = format!("rule is skipped due to policy exception: {}", keys.join(", "));
            return (Judgement::new(Status::Skip, message), keys);
        }
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        let prefix = pointer.trim_start_matches('/').replace('/', ".");
        let found: String = violations.iter().map(|violation| violation.describe(&prefix)).collect();
        let message =
            format!("Validation rule '{rule}' failed. It violates PodSecurity \"{level}:{}\": {found}", self.version);
        (Judgement::new(Status::Fail, message), Vec::new())
    }

    fn violations(&self, pod: &Pod<'_>) -> Vec<Violation> {
        let mut found = Vec::new();
        if self.level >= Level::Baseline {
            found.extend(baseline::check(pod, self.level == Level::Restricted));
        }
        if self.level == Level::Restricted {
            found.extend(restricted::check(pod));
        }
        found.retain(|violation| !violation.errors.is_empty());
        found
    }
}

/// Reads the exclusions of an exception.
pub(crate) fn exclusions(raw: &[Value]) -> Result<Vec<Exclusion>, String> {
    raw.iter().map(|one| decode(one).map_err(|(_, what)| what)).collect()
}

/// Takes out what the exclusions excuse.
fn excuse(violations: &mut Vec<Violation>, exclusions: &[Exclusion]) {
    for exclusion in exclusions {
        for violation in violations.iter_mut().filter(|violation| violation.control == exclusion.control_name) {
            violation.errors.retain(|error| !exclusion.covers(error));
        }
    }
    violations.retain(|violation| !violation.errors.is_empty());
}

impl Exclusion {
    fn covers(&self, error: &FieldError) -> bool {
        let images = self.images.as_deref().unwrap_or_default();
        let place = match &error.image {
            Some(image) => images.iter().any(|pattern| wildcard::matches(pattern, image)),
            None => images.is_empty(),
        };
        let field = self.restricted_field.as_deref().filter(|field| !field.is_empty());
        let field_fits = field.is_none_or(|field| {
            let path = generic(&error.path);
            let rest = path.strip_prefix(field);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        });
        let values = self.values.as_deref().unwrap_or_default();
        let value_fits = values.is_empty()
            || error
                .value
                .as_ref()
                .is_some_and(|value| values.iter().any(|pattern| wildcard::matches(pattern, &go_text::sprint(value))));
        place && field_fits && value_fits
    }
}

/// The path with every index as `[*]`.
fn generic(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        match c {
            '[' => {
                inside = true;
                out.push_str("[*]");
            }
            ']' => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out
}

impl Violation {
    fn new(control: &'static str, reason: &'static str, errors: Vec<FieldError>) -> Self {
        Self { control, reason, errors }
    }

    fn describe(&self, prefix: &str) -> String {
        let field = |error: &FieldError| {
            let path = if error.path.starts_with("spec") {
                format!("{prefix}{}", error.path.trim_start_matches("spec"))
            } else {
                format!("{}{}", prefix.trim_end_matches("spec"), error.path)
            };
            match &error.value {
                Some(value) => format!("{path} is forbidden, forbidden values found: {}", go_text::sprint(value)),
                None => format!("{path} is required"),
            }
        };
        let fields: Vec<String> = self.errors.iter().map(field).collect();
        format!("(Forbidden reason: {}, field error list: [{}])", self.reason, fields.join(", "))
    }
}

impl<'a> Pod<'a> {
    fn containers(&self) -> impl Iterator<Item = Container<'a>> + use<'a> {
        let spec = self.spec;
        ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(move |group| {
            let list = path::at(spec, &[group]).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            list.iter().enumerate().map(move |(index, value)| Container { group, index, value })
        })
    }

    /// A field by its dotted path.
    fn get(&self, field: &str) -> Option<&'a Value> {
        dotted(self.spec, field)
    }

    fn list(&self, field: &str) -> &'a [Value] {
        self.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    fn is_windows(&self) -> bool {
        self.get("os.name").and_then(Value::as_str) == Some("windows")
    }

    /// An error about a field of the pod itself.
    fn error(field: &str, value: Option<Value>) -> FieldError {
        FieldError { path: format!("spec.{field}"), image: None, value }
    }
}

impl<'a> Container<'a> {
    /// A field by its dotted path.
    fn get(&self, field: &str) -> Option<&'a Value> {
        dotted(self.value, field)
    }

    /// An error about a field of the container.
    fn error(&self, field: &str, value: Option<Value>) -> FieldError {
        let image = self.value.get("image").and_then(Value::as_str).unwrap_or_default();
        FieldError {
            path: ["spec.", self.group, "[", &self.index.to_string(), "].", field].concat(),
            image: Some(image.to_owned()),
            value,
        }
    }
}

/// The value at a dotted path; null counts as absent.
fn dotted<'v>(value: &'v Value, field: &str) -> Option<&'v Value> {
    let (mut found, mut rest) = (value, field);
    loop {
        // Faster on short texts than a search for a character.
        let end = rest.bytes().position(|byte| byte == b'.').unwrap_or(rest.len());
        let (part, behind) = rest.split_at_checked(end)?;
        found = jmespath::field(found.as_object()?, part)?;
        match behind.strip_prefix('.') {
            Some(next) => rest = next,
            None => return (!found.is_null()).then_some(found),
        }
    }
}
