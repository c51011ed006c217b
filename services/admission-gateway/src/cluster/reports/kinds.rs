//! Which kinds are looked at, and in which kinds reports are written.

use admission_policy::CleanupTarget;
use admission_policy::report::ReportForm;
use kubernetes::{Cluster, ClusterError, Resource, Served};

use crate::cluster::are_about;

/// The kinds of reports.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ReportKinds {
    pub(super) form: ReportForm,
    /// On objects in namespaces.
    pub(super) namespaced: Resource,
    /// On all others.
    pub(super) cluster_wide: Resource,
}

impl ReportKinds {
    /// The kinds that the server has; `None` when it has none.
    pub(super) async fn find(cluster: &Cluster) -> Result<Option<Self>, ClusterError> {
        for form in [ReportForm::PolicyReport, ReportForm::OpenReports] {
            let of = async |is_namespaced| cluster.resource_of(form.api_version(), form.kind(is_namespaced)).await;
            let Some((namespaced, _)) = of(true).await? else { continue };
            if let Some((cluster_wide, _)) = of(false).await? {
                return Ok(Some(Self { form, namespaced, cluster_wide }));
            }
        }
        Ok(None)
    }

    /// The kind of a report on what lies in a namespace, or in none where it is empty.
    pub(super) fn of(&self, namespace: &str) -> &Resource {
        if namespace.is_empty() { &self.cluster_wide } else { &self.namespaced }
    }
}

/// The kinds among those of the server that policies are about: of several versions the preferred one, where it is meant.
pub(super) fn meant(served: &[Served], targets: &[CleanupTarget]) -> Vec<Served> {
    let is_meant = |one: &&Served| one.can("list") && !is_noise(&one.resource) && are_about(targets, &one.resource);
    Served::one_version_each(served.iter().filter(is_meant).cloned())
}

/// What nobody wants a report on: reports, and what comes and goes all the time.
fn is_noise(resource: &Resource) -> bool {
    let group = resource.group.as_str();
    ["openreports.io", "wgpolicyk8s.io", "reports.kyverno.io", "events.k8s.io", "coordination.k8s.io", "metrics.k8s.io"]
        .contains(&group)
        || (group.is_empty() && resource.kind == "Event")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(group: &str, version: &str, kind: &str, is_preferred: bool) -> Served {
        let plural = format!("{}s", kind.to_lowercase());
        let verbs = if kind == "Binding" { vec![] } else { vec!["get".to_owned(), "list".to_owned()] };
        let resource = Resource::new(group, version, kind, &plural);
        Served { resource, is_namespaced: true, verbs, is_preferred }
    }

    #[test]
    fn kinds_that_are_meant_are_looked_at_once_and_noise_never() {
        let all = [
            served("", "v1", "Pod", true),
            served("", "v1", "Event", true),
            served("", "v1", "Binding", true),
            served("apps", "v1beta1", "Deployment", false),
            served("apps", "v1", "Deployment", true),
            served("coordination.k8s.io", "v1", "Lease", true),
            served("wgpolicyk8s.io", "v1alpha2", "PolicyReport", true),
        ];
        let meant = |kind: &str, version: &str| {
            let target = CleanupTarget {
                group: "*".to_owned(),
                version: version.to_owned(),
                kind: kind.to_owned(),
                resource: String::new(),
            };
            let found = meant(&all, &[target]);
            let names = found.iter().map(|one| format!("{}/{}", one.resource.api_version(), one.resource.kind));
            names.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(meant("*", "*"), "v1/Pod apps/v1/Deployment");
        assert_eq!(meant("Deployment", "v1beta1"), "apps/v1beta1/Deployment");
        assert_eq!(meant("Event", "*"), "");
    }
}
