//! `biotope policy apply --cluster`: the objects of a cluster, page by page. Nothing is written.
//!
//! ```text
//! policies --> kinds that they can be about --> lists, page by page --> verdicts; an object is forgotten once it is judged
//! namespaces' labels, exceptions, bindings --> before the first object
//! ```

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use admission_gateway::{are_about, roles_of};
use admission_policy::CleanupTarget;
use admission_policy::testing::{Answer, Session, Surroundings};
use anyhow::Context as _;
use indicatif::ProgressBar;
use kubernetes::{Cluster, ClusterError, Resource, Served};
use model::{Fault, FaultKind};
use serde_json::{Map, Value};

use super::args::Live;
use crate::print;

/// Connects, and sees that there is somebody.
pub(super) async fn connect(live: &Live) -> anyhow::Result<Cluster> {
    let connected = Cluster::connect_by(live.kubeconfig.as_deref(), live.context.as_deref()).await;
    let unusable = |error: ClusterError| {
        let why = match error {
            ClusterError::Configuration { source } => source.to_string(),
            error => error.chain(),
        };
        anyhow::anyhow!(
            "no cluster can be used, {why}; name a file with --kubeconfig or KUBECONFIG, and one of its contexts with --context"
        )
    };
    let cluster = connected.map_err(unusable)?;
    if let Err(why) = within(cluster.get("/version")).await {
        let url = cluster.url();
        anyhow::bail!(
            "the cluster at {url} does not answer, {why}; see --kubeconfig and --context, and whether it runs"
        );
    }
    Ok(cluster)
}

/// Waits for an answer, but not for ever.
async fn within<T>(asked: impl Future<Output = Result<T, ClusterError>>) -> Result<T, String> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map_err(|error| error.chain()),
        Err(_) => Err(format!("nothing came within {} s", PATIENCE.as_secs())),
    }
}

/// What counts beside the given files: exceptions, bindings, and the labels of namespaces. What cannot be listed is told.
pub(super) async fn surroundings(cluster: &Cluster, live: &Live, faults: &mut Vec<Fault>) -> Surroundings {
    let mut found = Surroundings::default();
    let mut warn = |what: String, remedy: &str| {
        faults.push(Fault::new(FaultKind::Warning, cluster.url(), what).cure(remedy));
    };
    match namespaces(cluster, live).await {
        Ok(namespaces) if namespaces.is_empty() => {
            let name = live.namespace.as_deref().unwrap_or_default();
            let fault = Fault::new(FaultKind::Invalid, cluster.url(), format!("there is no namespace {name}"));
            faults.push(fault.cure("correct --namespace"));
            return found;
        }
        Ok(namespaces) => {
            found.namespace_labels =
                namespaces.iter().map(|object| (text(object, "/metadata/name"), labels(object))).collect();
        }
        Err(why) => warn(
            format!("namespaces cannot be listed, {why}"),
            "their labels are not known to selectors; have the right to list them granted, or give --values-file",
        ),
    }
    let served = within(cluster.served(|group| BESIDE.iter().any(|(known, _)| *known == group))).await;
    let served = served.unwrap_or_default().into_iter().filter(|one| {
        let Resource { group, kind, .. } = &one.resource;
        BESIDE.contains(&(group.as_str(), kind.as_str()))
            && !(live.ignore_cluster_exceptions && kind == "PolicyException")
    });
    for one in Served::one_version_each(served) {
        let kind = &one.resource.kind;
        match list(cluster, &one.resource).await {
            Ok(objects) => found.manifests.extend(objects.into_iter().map(manifest)),
            Err(why) => warn(
                format!("objects of kind {kind} cannot be listed, {why}"),
                "they do not count; have the right to list them granted, or name them in a file",
            ),
        }
    }
    found
}

/// Gives who asks the roles that the cluster binds to them.
pub(super) async fn grant(cluster: &Cluster, session: &mut Session<'_>, faults: &mut Vec<Fault>) {
    let Some(request) = session.asker() else { return };
    let mut bindings = Vec::new();
    for (kind, plural) in [("RoleBinding", "rolebindings"), ("ClusterRoleBinding", "clusterrolebindings")] {
        match list(cluster, &Resource::new("rbac.authorization.k8s.io", "v1", kind, plural)).await {
            Ok(found) => bindings.extend(found),
            Err(why) => {
                let what = format!("{plural} cannot be listed, {why}");
                let fault = Fault::new(FaultKind::Warning, cluster.url(), what);
                faults.push(
                    fault.cure("have the right to list them granted, or name the roles in the file of --userinfo"),
                );
            }
        }
    }
    let (roles, cluster_roles) = roles_of(&request, bindings.iter());
    session.grant(roles, cluster_roles);
}

/// Kinds of manifests that count beside the given ones.
const BESIDE: [(&str, &str); 4] = [
    ("kyverno.io", "PolicyException"),
    ("policies.kyverno.io", "PolicyException"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"),
];

async fn namespaces(cluster: &Cluster, live: &Live) -> Result<Vec<Value>, String> {
    let kind = Resource::new("", "v1", "Namespace", "namespaces");
    match &live.namespace {
        None => list(cluster, &kind).await,
        Some(name) => {
            let found = within(cluster.get(&kind.path("", name))).await?;
            Ok(found.into_iter().collect())
        }
    }
}

/// All objects of a kind.
async fn list(cluster: &Cluster, resource: &Resource) -> Result<Vec<Value>, String> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let (objects, next) = within(cluster.page(resource, ("", ""), &token)).await?;
        all.extend(objects);
        if next.is_empty() {
            return Ok(all);
        }
        token = next;
    }
}

/// An object as a manifest: without what the server adds.
fn manifest(mut object: Value) -> (String, Value) {
    let name = ["/kind", "/metadata/namespace", "/metadata/name"].map(|pointer| text(&object, pointer)).join("/");
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    (format!("cluster:{name}"), object)
}

/// What is to be judged, and how far that has come.
pub(super) struct Sweep<'c> {
    cluster: &'c Cluster,
    live: &'c Live,
    /// Names of objects; none for all.
    names: BTreeSet<String>,
    /// The names that were met.
    met: BTreeSet<String>,
    /// Objects that were judged: some are served by several groups.
    seen: HashSet<String>,
    kinds: usize,
    objects: usize,
    answers: Vec<Answer>,
}

impl<'c> Sweep<'c> {
    /// Everything in the cluster, or what has one of the names.
    pub(super) fn new((cluster, live): (&'c Cluster, &'c Live), names: BTreeSet<String>) -> Self {
        let (met, seen, answers) = (BTreeSet::new(), HashSet::new(), Vec::new());
        Self { cluster, live, names, met, seen, kinds: 0, objects: 0, answers }
    }

    /// Judges. A kind that cannot be listed is told, and the rest goes on.
    pub(super) async fn judge(
        mut self,
        session: &mut Session<'_>,
        faults: &mut Vec<Fault>,
    ) -> anyhow::Result<Vec<Answer>> {
        let subjects = session.subjects();
        let served = within(self.cluster.served(|group| subjects.iter().any(|one| one.is_in_group(group)))).await;
        let served = served.map_err(anyhow::Error::msg).context("the kinds of the cluster cannot be listed")?;
        let spinner = print::spinner("judging".to_owned());
        for kind in Served::one_version_each(served.into_iter().filter(|one| self.is_meant(one, &subjects))) {
            self.kinds += 1;
            if let Err(why) = self.kind(&kind, session, &spinner).await {
                let Resource { plural, .. } = &kind.resource;
                let fault =
                    Fault::new(FaultKind::Invalid, self.cluster.url(), format!("{plural} cannot be listed, {why}"));
                let remedy =
                    "they are not judged, or not all of them; have the right to list them granted, or run it again";
                faults.push(fault.cure(remedy));
            }
        }
        spinner.finish_and_clear();
        for name in self.names.difference(&self.met) {
            let fault = Fault::new(FaultKind::Invalid, self.cluster.url(), format!("no object is called {name}"));
            faults.push(fault.cure("give the name of an object of a kind that the policies are about"));
        }
        let (objects, kinds, exceptions) = (self.objects, self.kinds, session.exceptions());
        let url = self.cluster.url();
        print::note(format_args!("biotope: {objects} objects of {kinds} kinds at {url}, {exceptions} exceptions"));
        Ok(self.answers)
    }

    fn is_meant(&self, one: &Served, subjects: &[CleanupTarget]) -> bool {
        one.can("list")
            && (one.is_namespaced || self.live.namespace.is_none())
            && !(one.is_namespaced && self.live.cluster_wide_resources)
            && are_about(subjects, &one.resource)
    }

    async fn kind(&mut self, kind: &Served, session: &mut Session<'_>, spinner: &ProgressBar) -> Result<(), String> {
        let namespace = self.live.namespace.as_deref().unwrap_or_default();
        let mut token = String::new();
        loop {
            spinner.set_message(format!("judging {}, {} objects so far", kind.resource.plural, self.objects));
            let (objects, next) = within(self.cluster.page(&kind.resource, (namespace, ""), &token)).await?;
            for object in objects {
                self.object(object, &kind.resource, session);
            }
            if next.is_empty() {
                return Ok(());
            }
            token = next;
        }
    }

    fn object(&mut self, object: Value, resource: &Resource, session: &mut Session<'_>) {
        let (name, uid) = (text(&object, "/metadata/name"), text(&object, "/metadata/uid"));
        if !self.names.is_empty() && !self.names.contains(&name) {
            return;
        }
        self.met.insert(name);
        if !uid.is_empty() && !self.seen.insert(uid) {
            return;
        }
        self.objects += 1;
        self.answers.extend(session.judge(object, &resource.plural).into_iter().map(slim));
    }
}

/// An answer without the object that it is about, of which no more is kept than what says which one it is.
fn slim(mut answer: Answer) -> Answer {
    let is_changed = !Arc::ptr_eq(&answer.patched, &answer.resource) && answer.patched != answer.resource;
    answer.resource = Arc::new(identity(&answer.resource));
    if !is_changed {
        answer.patched = Arc::clone(&answer.resource);
    }
    answer
}

fn identity(object: &Value) -> Value {
    let part = |from: &Value, names: &[&str]| -> Map<String, Value> {
        names.iter().filter_map(|name| Some(((*name).to_owned(), from.get(*name)?.clone()))).collect()
    };
    let mut own = part(object, &["apiVersion", "kind"]);
    let metadata = object.get("metadata").map(|all| part(all, &["name", "namespace", "uid", "resourceVersion"]));
    own.insert("metadata".to_owned(), Value::Object(metadata.unwrap_or_default()));
    Value::Object(own)
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// How long the server is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
