//! Fields that may differ from what was signed: what servers and controllers fill in, and what a policy says besides.

use regex::RegexSet;
use serde_json::Value;

use crate::policy::compile::Wrong;

/// Ways that may differ, each with the objects for which.
#[derive(Debug)]
pub(crate) struct Ignored {
    patterns: RegexSet,
    /// For which objects each pattern counts, in their order.
    objects: Vec<Vec<Reference>>,
}

/// Which objects are meant; an empty part means any.
#[derive(Clone, Debug, Default)]
struct Reference {
    group: String,
    version: String,
    kind: String,
    name: String,
    namespace: String,
}

impl Ignored {
    /// The fields that always may differ, those of the annotations of `domain`, and those of a policy's `ignoreFields`.
    pub(super) fn compile(domain: &str, raw: Option<&Value>) -> Result<Self, Wrong> {
        let of_kind = |kind: &str| {
            let (group, kind) = kind.split_once('/').unwrap_or(("", kind));
            Reference { group: group.to_owned(), kind: kind.to_owned(), ..Reference::default() }
        };
        let mut fields: Vec<(String, Vec<Reference>)> = Vec::new();
        let usual = USUAL.iter().flat_map(|(kinds, ways)| ways.iter().map(move |way| (way, kinds)));
        fields.extend(usual.map(|(way, kinds)| ((*way).to_owned(), kinds.iter().copied().map(of_kind).collect())));
        let annotations = ["message", "signature", "certificate", "bundle", "resourceBundleRef"];
        fields.extend(annotations.map(|name| (format!("metadata.annotations.{domain}/{name}"), Vec::new())));
        for one in raw.and_then(Value::as_array).into_iter().flatten() {
            let list = |key: &str| one.get(key).and_then(Value::as_array).into_iter().flatten();
            let objects: Vec<Reference> = list("objects").map(Reference::new).collect();
            let ways = list("fields").filter_map(Value::as_str);
            fields.extend(ways.map(|way| (way.to_owned(), objects.clone())));
        }
        let (ways, objects): (Vec<String>, _) = fields.into_iter().unzip();
        let patterns = ways.iter().map(|way| pattern(way)).collect::<Result<Vec<_>, _>>()?;
        let patterns = RegexSet::new(patterns).map_err(|error| {
            Wrong::invalid(format!("`ignoreFields` cannot be used: {error}")).cure("name fewer or shorter fields")
        })?;
        Ok(Self { patterns, objects })
    }

    /// Tells for the ways inside one object whether they may differ.
    pub(super) fn of<'i>(&'i self, object: &Value) -> impl Fn(&str) -> bool + use<'i> {
        let it = Reference::of(object);
        let counts = |wanted: &Vec<Reference>| wanted.is_empty() || wanted.iter().any(|wanted| wanted.includes(&it));
        let active: Vec<bool> = self.objects.iter().map(counts).collect();
        move |way: &str| {
            let matched = self.patterns.matches(way);
            matched.into_iter().any(|index| active.get(index) == Some(&true))
        }
    }
}

/// A field is met by every way in which it is found, from any place on: that is how the fields of a pod are met in its controllers. `*`
/// stands for anything.
fn pattern(way: &str) -> Result<String, Wrong> {
    let spelled = format!("{way}*").replace('*', ".*");
    let compiled = jmespath::go_regex::compile(&spelled).map_err(|_| {
        Wrong::invalid(format!("`ignoreFields` has `{way}`, which is no pattern"))
            .cure("name a field, with `*` for anything")
    })?;
    Ok(compiled.as_str().to_owned())
}

impl Reference {
    fn new(raw: &Value) -> Self {
        let text = |key: &str| raw.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            group: text("group"),
            version: text("version"),
            kind: text("kind"),
            name: text("name"),
            namespace: text("namespace"),
        }
    }

    fn of(object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let version = text("/apiVersion");
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: text("/kind"),
            name: text("/metadata/name"),
            namespace: text("/metadata/namespace"),
        }
    }

    fn includes(&self, object: &Self) -> bool {
        fits(&self.group, &object.group)
            && fits(&self.version, &object.version)
            && fits(&self.kind, &object.kind)
            && fits(&self.name, &object.name)
            && fits(&self.namespace, &object.namespace)
    }
}

/// Whether a value is meant: `*` and nothing mean any, `-` none, `a*` a beginning, and commas separate alternatives.
fn fits(pattern: &str, value: &str) -> bool {
    let pattern = pattern.trim();
    match pattern {
        "" | "*" => true,
        "-" if value.is_empty() => true,
        _ if pattern.ends_with('*') => value.starts_with(pattern.trim_end_matches('*')),
        _ if pattern == value => true,
        _ => pattern.contains(',') && pattern.split(',').any(|one| fits(one, value)),
    }
}

/// Kinds (with their group where it matters), none for all, and their fields that others than the author fill in.
const USUAL: [(&[&str], &[&str]); 8] = [
    (
        &[],
        &[
            "metadata.annotations.control-plane.alpha.kubernetes.io/leader",
            "metadata.annotations.deployment.kubernetes.io/revision",
            "metadata.annotations.deprecated.daemonset.template.generation",
            "metadata.annotations.kubectl.kubernetes.io/last-applied-configuration",
            "metadata.annotations.namespace",
            "metadata.creationTimestamp",
            "metadata.finalizers",
            "metadata.generation",
            "metadata.labels.app.kubernetes.io/instance",
            "metadata.managedFields",
            "metadata.namespace",
            "metadata.resourceVersion",
            "metadata.selfLink",
            "metadata.uid",
            "spec.containers.*.imagePullPolicy",
            "spec.containers.*.terminationMessagePath",
            "spec.containers.*.terminationMessagePolicy",
            "spec.dnsPolicy",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.terminationGracePeriodSeconds",
            "status",
        ],
    ),
    (
        &["Pod"],
        &[
            "spec.containers.*.volumeMounts",
            "spec.enableServiceLinks",
            "spec.preemptionPolicy",
            "spec.priority",
            "spec.serviceAccount",
            "spec.tolerations",
            "spec.volumes.*.configMap.defaultMode",
            "spec.volumes.*.name",
            "spec.volumes.*.projected",
        ],
    ),
    (
        &["Deployment"],
        &[
            "spec.containers.*.ports.*.protocol",
            "spec.containers.*.resources",
            "spec.progressDeadlineSeconds",
            "spec.revisionHistoryLimit",
            "spec.securityContext",
            "spec.strategy",
            "spec.template.metadata.creationTimestamp",
        ],
    ),
    (&["CustomResourceDefinition"], &["spec.conversion.strategy", "spec.names.listKind"]),
    (
        &["Service"],
        &[
            "spec.clusterIP",
            "spec.internalTrafficPolicy",
            "spec.ipFamilies",
            "spec.ipFamilyPolicy",
            "spec.ports.*.nodePort",
            "spec.sessionAffinity",
            "spec.type",
        ],
    ),
    (
        &["ClusterPolicy", "Policy"],
        &[
            "metadata.annotations.pod-policies.kyverno.io/autogen-controllers",
            "spec.background",
            "spec.failurePolicy",
            "spec.validationFailureAction",
        ],
    ),
    (&["ServiceAccount"], &["imagePullSecrets.*.name", "secrets.*.name"]),
    (&["route.openshift.io/Route"], &["spec.host"]),
];
