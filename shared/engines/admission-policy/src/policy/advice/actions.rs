//! What rules do: validate, mutate, generate, verify images.

use serde_json::Value;

use super::{Adviser, is_cluster_wide, is_namespaced, is_there, list, text};
use crate::pattern::anchor;

/// Controls that need the images they are excluded for, and those that take none.
const OF_CONTAINERS: [&str; 5] =
    ["Capabilities", "Privileged Containers", "Host Ports", "/proc Mount Type", "Privilege Escalation"];
const OF_PODS: [&str; 4] = ["Host Namespaces", "HostPath Volumes", "Sysctls", "Volume Types"];
/// Controls of the restricted level alone.
const OF_RESTRICTED: [&str; 4] =
    ["Volume Types", "Privilege Escalation", "Running as Non-root", "Running as Non-root user"];

impl Adviser {
    pub(super) fn actions(&mut self, spec: &Value, rule: &Value, pointer: &str) {
        if let Some(validate) = rule.get("validate") {
            self.validate(validate, &format!("{pointer}/validate"));
        }
        if let Some(mutate) = rule.get("mutate") {
            self.mutate(spec, mutate, &format!("{pointer}/mutate"));
        }
        if let Some(generate) = rule.get("generate") {
            self.generate(rule, generate, &format!("{pointer}/generate"));
        }
        for (index, images) in list(rule, "verifyImages").iter().enumerate() {
            self.verify_images(spec, images, &format!("{pointer}/verifyImages/{index}"));
        }
    }

    fn validate(&mut self, validate: &Value, pointer: &str) {
        let checks = ["pattern", "anyPattern", "deny", "foreach", "podSecurity", "cel", "manifests", "assert"];
        self.only_one(validate, &checks, pointer);
        self.overrides(list(validate, "failureActionOverrides"), &format!("{pointer}/failureActionOverrides"));
        for (index, item) in list(validate, "foreach").iter().enumerate() {
            let pointer = format!("{pointer}/foreach/{index}");
            if text(item, "list").is_empty() {
                self.tell(pointer.clone(), "`foreach` has no `list`", "give it a query that finds the elements");
            }
            self.only_one(item, &["pattern", "anyPattern", "deny", "foreach"], &pointer);
        }
        if let Some(security) = validate.get("podSecurity") {
            let exclude = format!("{pointer}/podSecurity/exclude");
            self.exclusions(list(security, "exclude"), text(security, "level"), &exclude);
        }
        for pattern in ["pattern", "anyPattern"] {
            let patterns = match validate.get(pattern) {
                Some(Value::Array(items)) => {
                    items.iter().enumerate().map(|(at, item)| (format!("/{at}"), item)).collect()
                }
                Some(other) => vec![(String::new(), other)],
                None => Vec::new(),
            };
            for (below, one) in patterns {
                self.texts(one, &format!("{pointer}/{pattern}{below}"));
            }
        }
    }

    /// Labels and annotations are texts.
    fn texts(&mut self, pattern: &Value, pointer: &str) {
        for field in ["labels", "annotations"] {
            let pairs = pattern.pointer(&format!("/metadata/{field}")).and_then(Value::as_object);
            if let Some((key, value)) = pairs.into_iter().flatten().find(|(_, value)| !value.is_string()) {
                let what = format!("{value} is no text, and `{key}` has texts only");
                self.tell(format!("{pointer}/metadata/{field}/{key}"), what, "put it into quotes");
            }
        }
    }

    fn only_one(&mut self, part: &Value, fields: &[&str], pointer: &str) {
        let found: Vec<&str> = fields.iter().copied().filter(|field| is_there(part, field)).collect();
        if let [first, second, ..] = found.as_slice() {
            let what = format!("`{first}` and `{second}` are both there");
            self.tell(pointer, what, "keep one of them, or split the rule: only one counts");
        }
    }

    /// Excluded controls of the Pod Security Standards.
    pub(super) fn exclusions(&mut self, exclusions: &[Value], level: &str, pointer: &str) {
        for (index, one) in exclusions.iter().enumerate() {
            let pointer = format!("{pointer}/{index}");
            let control = text(one, "controlName");
            let (images, values) = (!list(one, "images").is_empty(), !list(one, "values").is_empty());
            if OF_CONTAINERS.contains(&control) && !images {
                let what = format!("`{control}` is about containers, and no `images` say which");
                self.tell(pointer.clone(), what, "add `images`, such as '*'");
            }
            if OF_PODS.contains(&control) && images {
                let what = format!("`{control}` is about the pod, which has no image");
                self.tell(pointer.clone(), what, "remove `images`: with them the control is not excluded");
            }
            if level == "baseline" && OF_RESTRICTED.contains(&control) {
                let what = format!("the level baseline does not ask for `{control}`");
                self.tell(pointer.clone(), what, "remove it, or ask for the level restricted");
            }
            match (text(one, "restrictedField").is_empty(), values) {
                (false, false) => self.tell(pointer, "`restrictedField` has no `values`", "say which are allowed"),
                (true, true) => {
                    self.tell(pointer, "`values` have no `restrictedField`", "say which field may have them");
                }
                _ => {}
            }
        }
    }

    fn mutate(&mut self, spec: &Value, mutate: &Value, pointer: &str) {
        self.only_one(mutate, &["foreach", "patchStrategicMerge", "patchesJson6902"], pointer);
        let own = mutate.get("mutateExistingOnPolicyUpdate").and_then(Value::as_bool);
        let existing = own.or_else(|| spec.get("mutateExistingOnPolicyUpdate")?.as_bool()).unwrap_or(false);
        let targets = list(mutate, "targets");
        if existing && targets.is_empty() {
            let what = "existing objects are to be changed, and no `targets` say which";
            self.tell(pointer, what, "add `targets`, or remove `mutateExistingOnPolicyUpdate`");
        }
        for (index, target) in targets.iter().enumerate() {
            let namespace = text(target, "namespace");
            if self.namespace.as_deref().is_some_and(|own| !namespace.is_empty() && own != namespace) {
                let what = format!("a Policy changes objects of its own namespace, not of {namespace}");
                self.tell(format!("{pointer}/targets/{index}/namespace"), what, "remove it, or write a ClusterPolicy");
            }
        }
        self.each_change(mutate, pointer, 0);
    }

    fn each_change(&mut self, part: &Value, pointer: &str, depth: usize) {
        const DEEP: usize = 8;
        for (index, item) in list(part, "foreach").iter().enumerate().filter(|_| depth < DEEP) {
            let pointer = format!("{pointer}/foreach/{index}");
            let fields = ["foreach", "patchStrategicMerge", "patchesJson6902"];
            self.only_one(item, &fields, &pointer);
            if !fields.into_iter().any(|field| is_there(item, field)) {
                self.tell(pointer.clone(), "the list changes nothing", "add a patch");
            }
            self.each_change(item, &pointer, depth + 1);
        }
    }

    fn generate(&mut self, rule: &Value, generate: &Value, pointer: &str) {
        let items = list(generate, "foreach");
        self.only_one(generate, &["data", "clone", "cloneList", "foreach"], pointer);
        if items.is_empty() {
            self.made(generate, pointer);
        }
        for (index, item) in items.iter().enumerate() {
            self.made(item, &format!("{pointer}/foreach/{index}"));
        }
        let kind = text(generate, "kind");
        let matched = rule.pointer("/match/resources").map(|resources| list(resources, "kinds")).unwrap_or_default();
        if !kind.is_empty() && matched.iter().any(|one| one == kind) {
            let what = format!("the rule makes a {kind} for each {kind}");
            self.tell(format!("{pointer}/kind"), what, "change `match`, so that the rule is not about what it makes");
        }
    }

    /// One object to be made, or the copies of several.
    fn made(&mut self, item: &Value, pointer: &str) {
        self.only_one(item, &["data", "clone", "cloneList"], pointer);
        let copies = item.get("cloneList").map(|copies| list(copies, "kinds")).unwrap_or_default();
        if copies.is_empty() {
            for field in ["apiVersion", "kind", "name"].into_iter().filter(|field| text(item, field).is_empty()) {
                self.tell(pointer, format!("what is made has no `{field}`"), format!("give it a `{field}`"));
            }
        } else {
            self.copies(item, copies, &format!("{pointer}/cloneList"));
        }
        let (kind, namespace) = (text(item, "kind"), text(item, "namespace"));
        if is_cluster_wide(kind) && !namespace.is_empty() {
            let what = format!("a {kind} is in no namespace");
            self.tell(format!("{pointer}/namespace"), what, "remove `namespace`");
        } else if is_namespaced(kind) && namespace.is_empty() && self.namespace.is_none() {
            self.tell(pointer, format!("a {kind} is in a namespace, and none is given"), "add a `namespace`");
        }
        if let Some(own) = self.namespace.clone() {
            if !kind.is_empty() && is_cluster_wide(kind) {
                let what = format!("a Policy makes objects of its own namespace, and a {kind} is in none");
                self.tell(format!("{pointer}/kind"), what, "write a ClusterPolicy");
            } else if namespace != own {
                let what = format!("a Policy makes objects of its own namespace {own}, not of `{namespace}`");
                self.tell(pointer, what, format!("write `namespace: {own}`, or a ClusterPolicy"));
            }
            let source = item.pointer("/clone/namespace").and_then(Value::as_str).unwrap_or_default();
            if item.pointer("/clone/name").is_some() && source != own {
                let what = format!("a Policy copies objects of its own namespace {own}, not of `{source}`");
                self.tell(format!("{pointer}/clone"), what, "write a ClusterPolicy");
            }
        }
        if has_anchor(item.get("data").unwrap_or(&Value::Null)) {
            let what = "anchors are for patterns and patches; in what is made they are part of the name";
            self.tell(format!("{pointer}/data"), what, "remove the parentheses");
        }
    }

    fn copies(&mut self, item: &Value, kinds: &[Value], pointer: &str) {
        let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
        let namespace = item.pointer("/cloneList/namespace").and_then(Value::as_str).unwrap_or_default();
        let wide = kinds.iter().filter(|kind| is_cluster_wide(kind)).count();
        if wide > 0 && wide < kinds.len() && kinds.iter().any(|kind| is_namespaced(kind)) {
            let what = "some of the kinds are in namespaces and some are not";
            self.tell(format!("{pointer}/kinds"), what, "copy them by two rules");
        }
        if wide == kinds.len() && !namespace.is_empty() && self.namespace.is_none() {
            self.tell(format!("{pointer}/namespace"), "these kinds are in no namespace", "remove `namespace`");
        }
        if wide == 0 && namespace.is_empty() {
            self.tell(pointer, "no namespace says where the sources are", "add a `namespace`");
        }
        if self.namespace.as_deref().is_some_and(|own| wide > 0 || own != namespace) {
            self.tell(pointer, "a Policy copies objects of its own namespace only", "write a ClusterPolicy");
        }
    }

    fn verify_images(&mut self, spec: &Value, images: &Value, pointer: &str) {
        let action = Some(text(images, "failureAction")).filter(|action| !action.is_empty());
        let action = action.or_else(|| spec.get("validationFailureAction")?.as_str()).unwrap_or("Audit");
        let mutates = images.get("mutateDigest").and_then(Value::as_bool).unwrap_or(true);
        if action.eq_ignore_ascii_case("audit") && mutates {
            let what =
                "images that are only reported on are changed nevertheless: `mutateDigest` is on unless it is set";
            self.tell(pointer, what, "set `mutateDigest: false`, or enforce the rule");
        }
        self.attestors(images, pointer);
        for (index, attestation) in list(images, "attestations").iter().enumerate() {
            self.attestors(attestation, &format!("{pointer}/attestations/{index}"));
        }
    }

    fn attestors(&mut self, part: &Value, pointer: &str) {
        for (index, set) in list(part, "attestors").iter().enumerate() {
            let pointer = format!("{pointer}/attestors/{index}");
            let entries = list(set, "entries");
            if entries.is_empty() {
                self.tell(pointer.clone(), "the attestors have no entry", "add `entries`");
            }
            let count = set.get("count").and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
            if count.is_some_and(|count| count > entries.len()) {
                let what = format!("more signatures are asked for than the {} entries can give", entries.len());
                self.tell(format!("{pointer}/count"), what, "lower `count`, or add entries");
            }
        }
    }
}

fn has_anchor(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(key, value)| anchor::parse(key).is_some() || has_anchor(value)),
        Value::Array(items) => items.iter().any(has_anchor),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
