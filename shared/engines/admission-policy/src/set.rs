//! Policies loaded from manifests into one immutable, indexed set.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use model::{Fault, FaultKind};
use serde_json::Value;

use crate::cel::{Binding, CelCompiler, CelException, CelPolicy};
use crate::cleanup::CleanupPolicy;
use crate::context::ExpressionCache;
use crate::index::Index;
use crate::limits::Limits;
use crate::outcome::PolicyRef;
use crate::policy::advice::{self, Advice};
use crate::policy::compile::{Compiler, decode};
use crate::policy::compiled::Policy;
use crate::policy::exception::Exception;
use crate::policy::fields::Fields;
use crate::policy::schema;
use crate::report::About;
use crate::yaml::{self, Document};

/// Compiled policies and exceptions. Immutable: load a new set and swap it.
#[derive(Debug, Default)]
pub struct PolicySet {
    pub(crate) policies: Vec<Policy>,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) cel_policies: Vec<CelPolicy>,
    pub(crate) cel_exceptions: Vec<CelException>,
    pub(crate) bindings: Vec<Binding>,
    pub(crate) cleanup: Vec<CleanupPolicy>,
    pub(crate) expressions: ExpressionCache,
    pub(crate) limits: Limits,
    pub(crate) index: Index,
    /// What reports tell of the policies.
    pub(crate) about: HashMap<Arc<PolicyRef>, About>,
}

/// A policy as the lists of the command line and the gateway show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySummary {
    /// Kind, such as `ClusterPolicy`.
    pub kind: String,
    /// `namespace/name`, or the name of a cluster-wide policy.
    pub name: String,
    /// Rules by name, those made for pod controllers included, each with file and line.
    pub rules: Vec<(String, String, u32)>,
}

impl PolicySet {
    /// Loads policies and exceptions from `(file, YAML text)` pairs.
    ///
    /// What cannot be used is set aside with a [`Fault`] that names its file, line and remedy; everything else is in the set.
    /// Manifests of other kinds are passed over.
    #[must_use]
    pub fn load<F: AsRef<str>, T: AsRef<str>>(files: impl IntoIterator<Item = (F, T)>) -> (Self, Vec<Fault>) {
        let mut loader = Loader::default();
        for (file, text) in files {
            loader.file(file.as_ref(), text.as_ref());
        }
        loader.finish()
    }

    /// The set with other limits than the default ones.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The policies in the set.
    #[must_use]
    pub fn summaries(&self) -> Vec<PolicySummary> {
        let summary = |policy: &Policy| PolicySummary {
            kind: policy.reference.kind.clone(),
            name: policy.key.clone(),
            rules: policy.rules.iter().map(|rule| (rule.name.clone(), rule.place.0.clone(), rule.place.1)).collect(),
        };
        let in_cel = |policy: &CelPolicy| PolicySummary {
            kind: policy.reference.kind.clone(),
            name: policy.key.clone(),
            rules: vec![(String::new(), policy.place.0.clone(), policy.place.1)],
        };
        self.policies.iter().map(summary).chain(self.cel_policies.iter().map(in_cel)).collect()
    }

    /// The names of the policies, without their namespaces.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        let in_cel = self.cel_policies.iter().map(|policy| policy.reference.name.as_str());
        let cleanups = self.cleanup.iter().map(|policy| policy.reference.name.as_str());
        self.policies.iter().map(|policy| policy.reference.name.as_str()).chain(in_cel).chain(cleanups).collect()
    }

    /// The place of each policy in the set.
    pub(crate) fn order(&self) -> HashMap<&PolicyRef, usize> {
        let in_cel = self.cel_policies.iter().map(|policy| &*policy.reference);
        let all = self.policies.iter().map(|policy| &*policy.reference).chain(in_cel);
        let mut order = HashMap::new();
        for (number, policy) in all.enumerate() {
            order.entry(policy).or_insert(number);
        }
        order
    }

    /// How many policies the set holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.policies.len() + self.cel_policies.len()
    }

    /// The exceptions, `namespace/name`, in the order they were loaded.
    #[must_use]
    pub fn exceptions(&self) -> Vec<String> {
        let in_cel = self.cel_exceptions.iter().map(|exception| exception.key.clone());
        self.exceptions.iter().map(|exception| exception.key.clone()).chain(in_cel).collect()
    }

    /// Whether the set holds no policy.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[derive(Default)]
struct Loader {
    set: PolicySet,
    faults: Vec<Fault>,
    fields: Fields,
    /// Where each policy is, by kind, namespace and name.
    places: HashMap<[String; 3], (String, u32)>,
}

impl Loader {
    fn file(&mut self, file: &str, text: &str) {
        for document in yaml::documents(text) {
            match document {
                Ok(document) => self.document(file, &document, 0),
                Err(error) => {
                    let fault = Fault::new(FaultKind::Invalid, file, format!("not valid YAML: {error}"));
                    self.faults.push(fault.at(error.line, error.column).cure("correct the YAML at this place"));
                }
            }
        }
    }

    fn document(&mut self, file: &str, document: &Document, depth: usize) {
        let text = |key: &str| document.value.get(key).and_then(Value::as_str).unwrap_or_default();
        let (api, kind) = (text("apiVersion"), text("kind"));
        let group = api.split_once('/').map_or("", |(group, _)| group);
        if kind.ends_with("List") && depth == 0 {
            let items = document.value.get("items").and_then(Value::as_array).map_or(0, Vec::len);
            for index in 0..items {
                if let Some(item) = document.item(&format!("/items/{index}")) {
                    self.document(file, &item, depth + 1);
                }
            }
            return;
        }
        if is_of_policies(group) {
            self.unknown_fields(file, document, kind);
            self.keys_twice(file, document, kind);
            self.policy_twice(file, document, kind);
        }
        match (group, kind) {
            ("kyverno.io", "ClusterPolicy" | "Policy") => self.policy(file, document, kind),
            ("kyverno.io", "PolicyException") => self.exception(file, document),
            ("kyverno.io", "CleanupPolicy" | "ClusterCleanupPolicy") => self.cleanup(file, document, kind),
            ("policies.kyverno.io", "PolicyException") => {
                let Some(metadata) = self.metadata(file, document) else { return };
                let mut compiler = CelCompiler { file, document, faults: &mut self.faults };
                self.set.cel_exceptions.extend(compiler.exception(&metadata));
            }
            (
                "policies.kyverno.io",
                "ValidatingPolicy"
                | "NamespacedValidatingPolicy"
                | "MutatingPolicy"
                | "NamespacedMutatingPolicy"
                | "GeneratingPolicy"
                | "NamespacedGeneratingPolicy"
                | "DeletingPolicy"
                | "NamespacedDeletingPolicy"
                | "ImageValidatingPolicy"
                | "NamespacedImageValidatingPolicy",
            )
            | ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy" | "MutatingAdmissionPolicy") => {
                let Some(metadata) = self.metadata(file, document) else { return };
                let mut compiler = CelCompiler { file, document, faults: &mut self.faults };
                let Some(policy) = compiler.policy(kind, &metadata) else { return };
                let about = About::of(&metadata, (policy.background, policy.admission));
                self.set.about.insert(Arc::clone(&policy.reference), about);
                self.set.cel_policies.push(policy);
            }
            ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding" | "MutatingAdmissionPolicyBinding") => {
                let Some(metadata) = self.metadata(file, document) else { return };
                let mut compiler = CelCompiler { file, document, faults: &mut self.faults };
                self.set.bindings.extend(compiler.binding(&metadata));
            }
            ("kyverno.io", "GlobalContextEntry") => {
                let fault = Fault::new(FaultKind::Warning, file, "a global context entry is not read from files");
                let remedy = "apply it to the cluster: the gateway follows the entries that are there";
                self.faults.push(fault.at(document.line, 0).about(name_of(document)).cure(remedy));
            }
            ("kyverno.io", _) | ("policies.kyverno.io", _) => {
                let line = document.line;
                let fault = Fault::new(FaultKind::Unsupported, file, format!("kind {kind} of {api}"));
                self.faults.push(
                    fault.at(line, 0).about(name_of(document)).cure("write it as a ClusterPolicy of kyverno.io/v1"),
                );
            }
            _ => {}
        }
    }

    /// Tells of fields that do nothing; what has them works as if they were not there.
    fn unknown_fields(&mut self, file: &str, document: &Document, kind: &str) {
        for field in self.fields.unknown(kind, document) {
            let what = format!("there is no field `{}`", field.path);
            let remedy = match field.meant {
                Some(meant) => format!("write `{meant}` if that is meant; as it is, the field does nothing"),
                None => "remove it: the field does nothing".to_owned(),
            };
            let fault = Fault::new(FaultKind::Warning, file, what).at(document.line_of(&field.pointer), 0);
            self.faults.push(fault.about(format!("{kind} {}", name_of(document))).cure(remedy));
        }
    }

    /// Tells of keys that their map has twice: one of the two values is lost.
    fn keys_twice(&mut self, file: &str, document: &Document, kind: &str) {
        for (key, line) in &document.twice {
            let fault = Fault::new(FaultKind::Warning, file, format!("the key `{key}` is there twice")).at(*line, 0);
            let fault = fault.about(format!("{kind} {}", name_of(document)));
            self.faults.push(fault.cure("remove one of them; as it is, only the last one counts"));
        }
    }

    /// Tells of a policy whose kind and name another one has: a cluster would keep the last one, here both judge.
    fn policy_twice(&mut self, file: &str, document: &Document, kind: &str) {
        let text = |pointer: &str| document.value.pointer(pointer).and_then(Value::as_str);
        let Some(name) = text("/metadata/name") else { return };
        let key = [kind, text("/metadata/namespace").unwrap_or_default(), name].map(str::to_owned);
        let place = (file.to_owned(), document.line);
        if let Some((other, line)) = self.places.insert(key, place) {
            let what = format!("there is another one of this name at {other}:{line}");
            let fault = Fault::new(FaultKind::Warning, file, what).at(document.line, 0);
            let fault = fault.about(format!("{kind} {name}"));
            self.faults
                .push(fault.cure("rename or remove one: both are in force, and a cluster would keep only the last"));
        }
    }

    fn metadata(&mut self, file: &str, document: &Document) -> Option<schema::Metadata> {
        let raw = document.value.get("metadata").cloned().unwrap_or_default();
        let found = decode::<schema::Metadata>(&raw).map_err(|(_, what)| what);
        let checked = found.and_then(|metadata| {
            if metadata.name.is_empty() {
                Err("the manifest has no `metadata.name`".to_owned())
            } else if metadata.name.contains(char::is_control) {
                Err(format!("`metadata.name` has characters that no name has: {:?}", metadata.name))
            } else {
                Ok(metadata)
            }
        });
        checked
            .map_err(|what| {
                let line = document.line_of("/metadata");
                self.faults.push(Fault::new(FaultKind::Invalid, file, what).at(line, 0).cure("correct the metadata"));
            })
            .ok()
    }

    fn policy(&mut self, file: &str, document: &Document, kind: &str) {
        let Some(metadata) = self.metadata(file, document) else { return };
        let expressions = &mut self.set.expressions;
        let mut compiler = Compiler { file, document, expressions, faults: &mut self.faults };
        let Some(policy) = compiler.policy(kind, &metadata) else { return };
        let about = About::of(&metadata, (policy.background, policy.admission));
        self.set.about.insert(Arc::clone(&policy.reference), about);
        self.set.policies.push(policy);
    }

    /// Tells what is hardly meant in a manifest.
    fn advise(&mut self, file: &str, document: &Document, subject: &str, advice: &[Advice]) {
        self.faults.extend(advice.iter().map(|one| one.fault(file, document, subject)));
    }

    fn exception(&mut self, file: &str, document: &Document) {
        let Some(metadata) = self.metadata(file, document) else { return };
        let spec = document.value.get("spec").unwrap_or(&Value::Null);
        self.advise(file, document, &format!("PolicyException {}", metadata.name), &advice::of_exception(spec));
        let decoded = decode::<schema::Exception>(&document.value);
        let compiled =
            decoded.and_then(|raw| Exception::compile(&metadata, &raw.spec).map_err(|what| ("/spec".to_owned(), what)));
        match compiled {
            Ok(exception) => self.set.exceptions.push(exception),
            Err((pointer, what)) => {
                let line = document.line_of(&pointer);
                let fault = Fault::new(FaultKind::Invalid, file, what).at(line, 0);
                self.faults
                    .push(fault.about(format!("PolicyException {}", metadata.name)).cure("correct the exception"));
            }
        }
    }

    fn cleanup(&mut self, file: &str, document: &Document, kind: &str) {
        let Some(metadata) = self.metadata(file, document) else { return };
        let spec = document.value.get("spec").unwrap_or(&Value::Null);
        self.advise(file, document, &format!("{kind} {}", metadata.name), &advice::of_cleanup(spec));
        match CleanupPolicy::compile(kind, &metadata, document.value.get("spec").unwrap_or(&Value::Null)) {
            Ok(policy) => self.set.cleanup.push(policy),
            Err(wrong) => {
                let fault = Fault::new(wrong.kind, file, wrong.what).at(document.line_of("/spec"), 0);
                self.faults.push(fault.about(format!("{kind} {}", metadata.name)).cure(wrong.remedy));
            }
        }
    }

    fn finish(mut self) -> (PolicySet, Vec<Fault>) {
        self.set.index = Index::build(&self.set.policies);
        (self.set, self.faults)
    }
}

/// Whether the group's manifests are policies and what belongs to them.
fn is_of_policies(group: &str) -> bool {
    matches!(group, "kyverno.io" | "policies.kyverno.io" | "admissionregistration.k8s.io")
}

fn name_of(document: &Document) -> String {
    document.value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("without a name").to_owned()
}
