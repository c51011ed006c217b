//! `validate.podSecurity`: the Pod Security Standards, with exclusions by control, image, field and value.

mod baseline;
mod exclusion;
mod restricted;
#[cfg(test)]
mod tests;

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use serde::Deserialize;
use serde_json::Value;

pub(crate) use self::exclusion::{Exclusion, exclusions};
use super::Judgement;
use crate::context::pod_spec_pointer;
use crate::outcome::Status;
use crate::policy::compile::{Wrong, decode};
use crate::value::{go_text, path};

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

/// What the checks found in the object as it is now, for the next rule that asks.
#[derive(Default)]
pub(crate) struct Findings {
    /// Of the baseline, by minor version.
    baseline: RefCell<Vec<(u32, Rc<[Violation; 12]>)>>,
    whole: RefCell<Vec<Rc<Finding>>>,
}

/// What the checks of one level and version found.
struct Finding {
    level: Level,
    minor: u32,
    violations: Vec<Violation>,
    /// As messages tell it, once one has; empty where nothing was found.
    text: OnceCell<String>,
}

/// What one check found.
#[derive(Clone)]
struct Violation {
    control: &'static str,
    reason: &'static str,
    errors: Vec<FieldError>,
}

/// One offending field.
#[derive(Clone)]
struct FieldError {
    /// Path in the pod: `spec.containers[0].securityContext.privileged`.
    path: String,
    /// Name of the container, for container fields.
    container: Option<String>,
    /// What stands there.
    found: Found,
}

/// What a field should not be.
#[derive(Clone, Debug, PartialEq)]
enum Found {
    /// It is not set and has to be.
    Missing,
    /// It is set, whatever its value.
    Set,
    /// It has a value that is not allowed, or values.
    Value(Value),
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

    /// Judges a workload; `excused` are exclusions of the exceptions that cover it, with their keys. What is found is kept in
    /// `findings` for the next rule.
    pub(crate) fn judge(
        &self,
        rule: &str,
        (object, kind, findings): (&Value, &str, &Findings),
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
        let prefix = pointer.trim_start_matches('/').replace('/', ".");
        let finding = self.finding(&pod, findings);
        if self.exclude.is_empty() && excused.is_empty() {
            let found = finding.text.get_or_init(|| described(&finding.violations, &prefix));
            return (self.judgement(rule, found), Vec::new());
        }
        let mut violations = finding.violations.clone();
        self.excuse(&mut violations, &self.exclude, &pod);
        if is_clean(&violations) {
            return (self.judgement(rule, ""), Vec::new());
        }
        let mut keys = Vec::new();
        for (key, exclusions) in excused {
            self.excuse(&mut violations, exclusions, &pod);
            keys.push(key.clone());
        }
        if is_clean(&violations) {
            let message = format!("rule is skipped due to policy exception: {}", keys.join(", "));
            return (Judgement::new(Status::Skip, message), keys);
        }
        (self.judgement(rule, &described(&violations, &prefix)), Vec::new())
    }

    /// What comes of what was found.
    fn judgement(&self, rule: &str, found: &str) -> Judgement {
        if found.is_empty() {
            return Judgement::new(Status::Pass, ["Validation rule '", rule, "' passed."].concat());
        }
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        let message = [
            "Validation rule '",
            rule,
            "' failed. It violates PodSecurity \"",
            level,
            ":",
            &self.version,
            "\": ",
            found,
        ]
        .concat();
        Judgement::new(Status::Fail, message)
    }

    /// What the level's checks find in the object, looked for once.
    fn finding(&self, pod: &Pod<'_>, findings: &Findings) -> Rc<Finding> {
        let Self { level, minor, .. } = *self;
        if let Some(known) = findings.whole.borrow().iter().find(|one| (one.level, one.minor) == (level, minor)) {
            return Rc::clone(known);
        }
        let known = findings.baseline.borrow().iter().find(|(of, _)| *of == minor).map(|(_, known)| Rc::clone(known));
        let baseline = known.unwrap_or_else(|| {
            let found = Rc::new(baseline::check(pod, &|_| true));
            findings.baseline.borrow_mut().push((minor, Rc::clone(&found)));
            found
        });
        let violations = self.with_baseline(|| <[Violation; 12]>::clone(&baseline), pod, &|_| true);
        let finding = Rc::new(Finding { level, minor, violations, text: OnceCell::new() });
        findings.whole.borrow_mut().push(Rc::clone(&finding));
        finding
    }

    /// What the checks of one control find, in the places of all.
    fn violations_of(&self, control: &str, pod: &Pod<'_>) -> Vec<Violation> {
        let wanted = |one: &str| one == control;
        self.with_baseline(|| baseline::check(pod, &wanted), pod, &wanted)
    }

    /// What every check of the level found, always in the same order; most found nothing. The restricted level adds to the
    /// checks of the baseline and replaces none of them.
    fn with_baseline(
        &self,
        baseline: impl FnOnce() -> [Violation; 12],
        pod: &Pod<'_>,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Vec<Violation> {
        if self.level == Level::Privileged {
            return Vec::new();
        }
        let known = baseline();
        if self.level == Level::Baseline {
            return Vec::from(known);
        }
        let [apparmor, default_capabilities, namespaces, paths, ports, probes, privileged, proc_mount, rest @ ..] =
            known;
        let [selinux, set_seccomp, sysctls, process] = rest;
        let [escalation, capabilities, volumes, non_root, user, seccomp] = restricted::check(pod, wanted);
        let first = [escalation, apparmor, default_capabilities, capabilities, namespaces, paths, ports, probes];
        let last = [selinux, set_seccomp, seccomp, sysctls, process];
        first.into_iter().chain([privileged, proc_mount, volumes, non_root, user]).chain(last).collect()
    }
}

/// The violations as messages tell them.
fn described(violations: &[Violation], prefix: &str) -> String {
    let found = violations.iter().filter(|violation| !violation.errors.is_empty());
    found.map(|violation| violation.describe(prefix)).collect()
}

fn is_clean(violations: &[Violation]) -> bool {
    violations.iter().all(|violation| violation.errors.is_empty())
}

impl Violation {
    fn new(control: &'static str, reason: &'static str, errors: Vec<FieldError>) -> Self {
        Self { control, reason, errors }
    }

    fn describe(&self, prefix: &str) -> String {
        let field = |error: &FieldError| {
            let path = if error.path.starts_with("spec") {
                [prefix, error.path.trim_start_matches("spec")].concat()
            } else {
                [prefix.trim_end_matches("spec"), &error.path].concat()
            };
            match &error.found {
                Found::Value(value) if value.as_str() != Some("") => {
                    [&path, " is forbidden, forbidden values found: ", &*go_text::sprint(value)].concat()
                }
                Found::Set | Found::Value(_) => path + ": Forbidden",
                Found::Missing => path + ": Required value",
            }
        };
        let fields: Vec<String> = self.errors.iter().map(field).collect();
        ["(Forbidden reason: ", self.reason, ", field error list: [", &fields.join(", "), "])"].concat()
    }
}

impl<'a> Pod<'a> {
    /// What a check finds, where its control is wanted.
    fn found(
        &self,
        wanted: &dyn Fn(&str) -> bool,
        control: &'static str,
        check: &dyn Fn(&Pod<'_>) -> Violation,
    ) -> Violation {
        if wanted(control) { check(self) } else { Violation::new(control, "", Vec::new()) }
    }

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
    fn error(field: &str, value: Value) -> FieldError {
        FieldError { path: ["spec.", field].concat(), container: None, found: Found::Value(value) }
    }
}

impl<'a> Container<'a> {
    /// A field by its dotted path.
    fn get(&self, field: &str) -> Option<&'a Value> {
        dotted(self.value, field)
    }

    /// An error about the value of a field of the container.
    fn error(&self, field: &str, value: Value) -> FieldError {
        self.finds(field, Found::Value(value))
    }

    /// An error about a field of the container that has to be set.
    fn missing(&self, field: &str) -> FieldError {
        self.finds(field, Found::Missing)
    }

    fn finds(&self, field: &str, found: Found) -> FieldError {
        let name = self.value.get("name").and_then(Value::as_str).unwrap_or_default();
        let path = ["spec.", self.group, "[", &self.index.to_string(), "].", field].concat();
        FieldError { path, container: Some(name.to_owned()), found }
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
