//! Runs test documents: loads what they name, evaluates every resource, grades the rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{Fault, FaultKind, Timestamp};
use serde_json::Value;

use super::compare::identity;
use super::format::{ResultRow, Test, field};
use super::grade::{Expected, Response, grade};
use super::reading::Wrong;
use super::values::{ValuesFile, apply_user, apply_variables, stand_ins};
use super::{Files, TestReport, checks, mocks, shape};
use crate::cel::AuthorizationKind;
use crate::evaluate::Acting;
use crate::explain::Explanation;
use crate::kinds::is_cluster_wide;
use crate::outcome::{ChangedTarget, Outcome, RuleVerdict};
use crate::request::{Operation, Request};
use crate::set::PolicySet;
use crate::snapshot::{MissingFact, Snapshot};
use crate::stage::Stage;
use crate::yaml;

/// Runs every test document of the file at `path`.
pub fn run(path: &str, files: &dyn Files) -> Vec<TestReport> {
    let failed = |error: String| TestReport {
        path: path.to_owned(),
        name: String::new(),
        error: Some(error),
        faults: Vec::new(),
        rows: Vec::new(),
    };
    let text = match files.read(path) {
        Ok(text) => text,
        Err(error) => return vec![failed(format!("the file cannot be read, {error}"))],
    };
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let reports: Vec<TestReport> = yaml::documents(&text)
        .into_iter()
        .map(|document| match parsed(document) {
            Ok(test) => Runner::new(folder, files, test).run(path),
            Err((line, what)) => failed(format!("line {line}: {what}")),
        })
        .collect();
    if reports.is_empty() {
        vec![failed("the file holds no test: write one, or remove the file".to_owned())]
    } else {
        reports
    }
}

/// Reads a test document.
fn parsed(document: Result<yaml::Document, yaml::SyntaxError>) -> Result<Test, (u32, String)> {
    let document = document.map_err(|error| (error.line, format!("not valid YAML: {error}")))?;
    let value = shape::shaped(document.clone(), &shape::TEST)?;
    Test::parse(&value).map_err(|(pointer, what)| (document.line_of(&pointer), what))
}

pub(super) struct Runner<'a> {
    pub(super) folder: &'a str,
    pub(super) files: &'a dyn Files,
    pub(super) test: Test,
    /// What cannot be read is set aside and told, and the rest goes on.
    pub(super) spares: bool,
    /// Manifests of a cluster, each with what faults call it.
    pub(super) beside: &'a [(String, Value)],
    /// What time it is; without, it is the beginning of all times.
    pub(super) now: Option<Timestamp>,
}

/// Something to judge.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Judged {
    pub(super) object: Value,
    /// The file of a JSON payload, as the test names it; `None` for a Kubernetes object.
    pub(super) payload: Option<String>,
}

/// Everything that a test loads before it evaluates.
pub(super) struct Loaded {
    pub(super) set: PolicySet,
    /// The policies as written.
    policies: Vec<Value>,
    pub(super) resources: Vec<Judged>,
    /// Resources that were judged already.
    done: Vec<Judged>,
    /// Resources as they were before an update.
    old: Vec<Value>,
    pub(super) values: ValuesFile,
    pub(super) user: Option<Value>,
    pub(super) snapshot: Snapshot,
    /// More is in the snapshot than there was at first.
    pub(super) has_learned: bool,
    /// The name of the resource that objects are of, where it is known.
    pub(super) plural: String,
    /// Roles and cluster roles that bindings give to who asks.
    pub(super) granted: (Vec<String>, Vec<String>),
}

impl<'a> Runner<'a> {
    /// A runner of a test.
    pub(super) fn new(folder: &'a str, files: &'a dyn Files, test: Test) -> Self {
        Self { folder, files, test, spares: false, beside: &[], now: None }
    }
}

impl Runner<'_> {
    fn run(&self, path: &str) -> TestReport {
        let mut report = TestReport {
            path: path.to_owned(),
            name: self.test.name.clone(),
            error: None,
            faults: Vec::new(),
            rows: Vec::new(),
        };
        let mut loaded = match self.load(&mut report) {
            Ok(loaded) => loaded,
            Err(error) => {
                report.error = Some(error);
                return report;
            }
        };
        if self.test.results.is_empty() && self.test.checks.is_empty() {
            let fault = Fault::new(FaultKind::Warning, path, "the test has no results, so it proves nothing");
            report.faults.push(fault.cure("add rows to `results`"));
        }
        // Rows may ask for an operation of their own: every resource is then judged under that one too.
        let mut responses: BTreeMap<&str, Vec<Response>> = BTreeMap::new();
        for row in &self.test.results {
            responses.entry(&row.operation).or_default();
        }
        for (operation, responses) in &mut responses {
            for resource in std::mem::take(&mut loaded.resources) {
                self.resource(&mut loaded, &resource, (operation, responses));
                loaded.done.push(resource);
            }
            std::mem::swap(&mut loaded.resources, &mut loaded.done);
        }
        let every = responses.entry("").or_default();
        if let Err(error) = self.authorize(&loaded, every) {
            report.error = Some(error);
            return report;
        }
        let none = Vec::new();
        let names = loaded.set.names();
        let grade_one = |row: &ResultRow| {
            let responses = responses.get(row.operation.as_str()).unwrap_or(&none);
            grade(row, (&names, responses), &self.expected(row))
        };
        report.rows = self.test.results.iter().map(grade_one).collect();
        let everything = responses.get("").unwrap_or(&none);
        for check in &self.test.checks {
            match checks::grade(check, everything, &loaded.policies) {
                Ok(rows) => report.rows.extend(rows),
                Err(error) => report.error = Some(error),
            }
        }
        report
    }

    /// Requests of other protocols, each by the policies of its mode.
    pub(super) fn authorize(&self, loaded: &Loaded, responses: &mut Vec<Response>) -> Result<(), String> {
        let kinds = [
            (AuthorizationKind::Http, &self.test.http_payloads),
            (AuthorizationKind::Envoy, &self.test.envoy_payloads),
        ];
        for (kind, files) in kinds {
            for payload in self.documents(files)? {
                for verdict in loaded.set.authorize(kind, &payload, &loaded.snapshot) {
                    responses.push(Response {
                        policy: verdict.policy.name.clone(),
                        payload: None,
                        resource: Arc::default(),
                        patched: Arc::default(),
                        verdicts: vec![verdict],
                        ruleless: true,
                        lacks_registry: false,
                    });
                }
            }
        }
        Ok(())
    }

    pub(super) fn load(&self, report: &mut TestReport) -> Result<Loaded, String> {
        let mut faults = Vec::new();
        let mut wrong = Wrong { faults: &mut faults, spares: self.spares };
        let mut texts = self.texts(&self.test.policies, &mut wrong)?;
        texts.extend(self.texts(&self.test.exceptions, &mut wrong)?);
        texts.extend(self.of_cluster(&texts));
        let mut objects = self.objects_telling(&self.test.resources, &mut wrong)?;
        let policies = if self.test.checks.is_empty() { Vec::new() } else { self.objects(&self.test.policies)? };
        let (set, of_policies) = PolicySet::load(texts);
        report.faults = of_policies;
        report.faults.append(&mut faults);
        objects.iter_mut().for_each(default_namespace);
        let mut old = self.objects(&self.test.old_resources)?;
        old.iter_mut().for_each(default_namespace);
        let values = self.values()?;
        let user = match self.test.user_info.as_str() {
            "" => None,
            file => self.shaped(file, &shape::USER)?.into_iter().next(),
        };
        let snapshot = self.snapshot(&values, &objects)?;
        let mut resources: Vec<Judged> = Vec::new();
        for judged in objects.into_iter().map(|object| Judged { object, payload: None }).chain(self.payloads()?) {
            if !resources.contains(&judged) {
                resources.push(judged);
            }
        }
        let done = Vec::new();
        let (has_learned, plural, granted) = (false, String::new(), Default::default());
        Ok(Loaded { set, policies, resources, done, old, values, user, snapshot, has_learned, plural, granted })
    }

    /// The manifests of the cluster that count beside the files: exceptions, and bindings of policies that no file binds.
    fn of_cluster(&self, texts: &[(String, String)]) -> Vec<(String, String)> {
        if self.beside.is_empty() {
            return Vec::new();
        }
        let (set, _) = PolicySet::load(texts.iter().map(|(name, text)| (name, text)));
        let (names, bound) = (set.names(), set.bindings.iter().map(|binding| binding.policy.as_str()));
        let bound: BTreeSet<&str> = bound.collect();
        let counts = |object: &Value| match object.pointer("/spec/policyName").and_then(Value::as_str) {
            Some(policy) => names.contains(policy) && !bound.contains(policy),
            None => true,
        };
        let meant = self.beside.iter().filter(|(_, object)| counts(object));
        meant.map(|(name, object)| (name.clone(), object.to_string())).collect()
    }

    /// The JSON payloads; each is known by its file.
    fn payloads(&self) -> Result<Vec<Judged>, String> {
        let mut out = Vec::new();
        for file in &self.test.json_payloads {
            let objects = self.documents(std::slice::from_ref(file))?;
            out.extend(objects.into_iter().map(|object| Judged { object, payload: Some(file.clone()) }));
        }
        Ok(out)
    }

    /// The values given in the test, or in the file it names.
    pub(super) fn values(&self) -> Result<ValuesFile, String> {
        Ok(match (&self.test.values, self.test.variables.as_str()) {
            (Some(values), _) => ValuesFile::new(values.clone()),
            (None, "") => ValuesFile::default(),
            (None, file) => ValuesFile::new(self.shaped(file, &shape::VALUES)?.into_iter().next().unwrap_or_default()),
        })
    }

    fn snapshot(&self, values: &ValuesFile, resources: &[Value]) -> Result<Snapshot, String> {
        let mut objects = resources.to_vec();
        objects.extend(values.namespaces());
        let mut targets = self.objects(&self.test.target_resources)?;
        targets.iter_mut().for_each(default_namespace);
        objects.extend(targets);
        objects.extend(self.objects(&self.test.param_resources)?);
        let clusters = self.test.cluster_resources.iter().map(|file| self.shaped(file, &shape::CLUSTER));
        for cluster in clusters.collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
            let spec = field(&cluster, "spec").cloned().unwrap_or_default();
            objects.extend(field(&spec, "resources").and_then(Value::as_array).cloned().unwrap_or_default());
        }
        let mut images = Vec::new();
        if !self.test.context.is_empty() {
            for file in self.shaped(&self.test.context, &shape::CONTEXT)? {
                let spec = field(&file, "spec").cloned().unwrap_or_default();
                objects.extend(field(&spec, "resources").and_then(Value::as_array).cloned().unwrap_or_default());
                images.extend(field(&spec, "images").and_then(Value::as_array).cloned().unwrap_or_default());
            }
        }
        for row in self.test.results.iter().filter(|row| !row.clone_source.is_empty()) {
            objects.extend(self.objects(std::slice::from_ref(&row.clone_source))?);
        }
        let mut snapshot = Snapshot {
            namespace_labels: values.namespace_labels(),
            objects,
            values: Some(stand_ins(values)),
            ..Snapshot::default()
        };
        for mut image in images {
            let reference = field(&image, "image").and_then(Value::as_str).unwrap_or_default().to_owned();
            let config = field(&image, "config").cloned();
            if let (Some(fields), Some(config)) = (image.as_object_mut(), config) {
                fields.insert("configData".to_owned(), config);
            }
            snapshot.image_metadata.insert(reference, image);
        }
        snapshot.http_answers = mocks::answers(&self.test.api_call_responses)?;
        snapshot.global_context = mocks::entries(&self.test.global_context_entries, |files| self.objects(files))?;
        Ok(snapshot)
    }

    /// Every policy on one resource, stage by stage, each on what the one before left.
    pub(super) fn resource(
        &self,
        loaded: &mut Loaded,
        judged: &Judged,
        (operation, responses): (&str, &mut Vec<Response>),
    ) {
        let resource = Arc::new(judged.object.clone());
        let mut current = Arc::clone(&resource);
        for stage in Stage::ALL {
            for (policy, is_meant) in loaded.set.acting_in(stage, judged.payload.is_some()) {
                let key = loaded.set.key_of(policy).to_owned();
                let mut response = Response {
                    policy: key.rsplit('/').next().unwrap_or(&key).to_owned(),
                    payload: judged.payload.clone(),
                    resource: Arc::clone(&resource),
                    patched: Arc::clone(&current),
                    verdicts: Vec::new(),
                    ruleless: !matches!(policy, Acting::Plain(_)),
                    lacks_registry: false,
                };
                // One that is not meant is loaded, and has nothing to say about this.
                if is_meant {
                    let request = self.request(loaded, (&key, operation), &current);
                    let outcome = self.evaluate(loaded, &request, (policy, stage));
                    response.lacks_registry = outcome.missing_facts().iter().any(is_of_registry);
                    if let Some(patched) = outcome.patched {
                        current = Arc::new(patched);
                        response.patched = Arc::clone(&current);
                    }
                    responses.extend(outcome.verdicts.iter().flat_map(|verdict| of_targets(&response, verdict)));
                    response.verdicts = outcome.verdicts;
                }
                responses.push(response);
            }
        }
    }

    /// Evaluates one policy.
    fn evaluate(&self, loaded: &mut Loaded, request: &Request, policy: (Acting, Stage)) -> Outcome {
        let evaluate = |loaded: &Loaded| loaded.set.evaluate_policy(request, &loaded.snapshot, policy);
        self.informed(loaded, evaluate, Outcome::missing_facts)
    }

    /// Explains some policies, told by their keys.
    pub(super) fn explain(&self, loaded: &mut Loaded, request: &Request, keys: &BTreeSet<&str>) -> Vec<Explanation> {
        let is_meant = |key: &str| keys.contains(key);
        let explain = |loaded: &Loaded| loaded.set.explain_some(&is_meant, request, &loaded.snapshot);
        self.informed(loaded, explain, |rules| {
            let verdicts = rules.iter().filter_map(|rule| rule.verdict.as_ref());
            verdicts.flat_map(|verdict| verdict.missing.clone()).collect()
        })
    }

    /// Asks again as long as something is found out that was missing.
    fn informed<T>(
        &self,
        loaded: &mut Loaded,
        ask: impl Fn(&Loaded) -> T,
        missing: impl Fn(&T) -> Vec<MissingFact>,
    ) -> T {
        let mut answer = ask(loaded);
        for _ in 0..ROUNDS {
            let missing = missing(&answer);
            if missing.is_empty() || !self.files.gather(&missing, &mut loaded.snapshot) {
                break;
            }
            loaded.has_learned = true;
            answer = ask(loaded);
        }
        answer
    }

    /// The request for one policy and object; variables of the values file go into the snapshot.
    pub(super) fn request(&self, loaded: &mut Loaded, (policy, operation): (&str, &str), object: &Value) -> Request {
        let mut request = Request::create(object.clone());
        request.resource.clone_from(&loaded.plural);
        request.received_at = self.now;
        if let Some((kind, subresource)) = loaded.values.subresource(&request.kind) {
            (request.kind, request.subresource) = (kind, subresource);
        }
        let mut variables = loaded.values.variables(policy, &request.name);
        let given = variables.shift_remove("request.operation");
        let word = Some(operation).filter(|word| !word.is_empty()).or_else(|| given.as_ref().and_then(Value::as_str));
        let word = word.and_then(Operation::parse).unwrap_or_default();
        if let Some(user) = &loaded.user {
            apply_user(user, &mut request);
            request.roles.extend_from_slice(&loaded.granted.0);
            request.cluster_roles.extend_from_slice(&loaded.granted.1);
        }
        if let Some(Value::String(namespace)) = variables.get("request.namespace") {
            request.namespace.clone_from(namespace);
        }
        apply_variables(variables, &mut request, &mut loaded.snapshot);
        request.operation = word;
        match word {
            Operation::Update => {
                let before = loaded.old.iter().find(|old| identity(old) == identity(object));
                request.old_object = before.or(request.object.as_ref()).cloned();
            }
            Operation::Delete => request.old_object = request.object.take(),
            Operation::Create | Operation::Connect => {}
        }
        request
    }

    fn expected(&self, row: &ResultRow) -> Expected {
        let file = |file: &str| self.documents(&[file.to_owned()]);
        let patched = (!row.patched.is_empty()).then(|| file(&row.patched));
        let generated = (!row.generated.is_empty()).then(|| self.objects(&row.generated));
        Expected { patched, generated }
    }
}

fn is_of_registry(fact: &MissingFact) -> bool {
    matches!(fact, MissingFact::ImageTrust { .. } | MissingFact::ImageMetadata { .. })
}

/// What a mutation of other objects made of each of them.
fn of_targets(response: &Response, verdict: &RuleVerdict) -> Vec<Response> {
    let of_target = |target: &ChangedTarget| {
        let target = Arc::new(target.object.clone());
        let verdicts = vec![verdict.clone()];
        Response { resource: Arc::clone(&target), patched: target, verdicts, ..response.clone() }
    };
    verdict.targets.iter().map(of_target).collect()
}

/// What one fact says may lead to the next question, so many times.
const ROUNDS: usize = 4;

/// Namespaced objects without a namespace are in `default`.
fn default_namespace(object: &mut Value) {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    if is_cluster_wide(kind) || object.pointer("/metadata/namespace").is_some() {
        return;
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".to_owned(), Value::from("default"));
    }
}
