//! Which roles a user has, by the role bindings of the cluster.

use std::collections::BTreeSet;

use admission_policy::Request;
use kubernetes::{Cluster, Resource, Seen};
use serde_json::Value;
use service::Context;
use tokio::sync::watch;

/// Role bindings, kept in memory. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Bindings {
    roles: watch::Receiver<Seen>,
    cluster_roles: watch::Receiver<Seen>,
}

impl Bindings {
    pub(super) fn follow(_: &Context, cluster: &Cluster) -> Self {
        let group = "rbac.authorization.k8s.io";
        Self {
            roles: cluster.follow(&Resource::new(group, "v1", "RoleBinding", "rolebindings")),
            cluster_roles: cluster.follow(&Resource::new(group, "v1", "ClusterRoleBinding", "clusterrolebindings")),
        }
    }

    /// Fills in the roles that are bound to who asks.
    pub(crate) fn fill(&self, request: &mut Request) {
        let local = self.roles.borrow().objects.clone();
        let everywhere = self.cluster_roles.borrow().objects.clone();
        let (roles, cluster_roles) =
            roles_of(request, local.values().chain(everywhere.values()).map(|object| &**object));
        request.roles.extend(roles);
        request.cluster_roles.extend(cluster_roles);
    }
}

/// The roles, `namespace:name`, and the cluster roles that bindings give to who asks.
pub fn roles_of<'b>(
    request: &Request,
    bindings: impl Iterator<Item = &'b Value>,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut roles, mut cluster_roles) = (BTreeSet::new(), BTreeSet::new());
    for binding in bindings.filter(|binding| is_bound(binding, request)) {
        let text = |pointer: &str| binding.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        match text("/roleRef/kind") {
            "Role" => drop(roles.insert(format!("{}:{}", text("/metadata/namespace"), text("/roleRef/name")))),
            _ => drop(cluster_roles.insert(text("/roleRef/name").to_owned())),
        }
    }
    (roles, cluster_roles)
}

fn is_bound(binding: &Value, request: &Request) -> bool {
    let subjects = binding.get("subjects").and_then(Value::as_array).into_iter().flatten();
    let namespace = binding.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let mut subjects = subjects.map(|subject| {
        let text = |name: &str| subject.get(name).and_then(Value::as_str).unwrap_or_default();
        (text("kind").to_owned(), text("name").to_owned(), text("namespace").to_owned())
    });
    subjects.any(|(kind, name, of)| match kind.as_str() {
        "ServiceAccount" => {
            let of = if of.is_empty() { namespace } else { &of };
            request.user.username == format!("system:serviceaccount:{of}:{name}")
        }
        "User" => request.user.username == name,
        "Group" => request.user.groups.contains(&name),
        _ => false,
    })
}
