//! Which kinds a server has.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::client::{Cluster, ClusterError, Resource};

/// A kind that the server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The kind.
    pub resource: Resource,
    /// Whether its objects lie in namespaces.
    pub is_namespaced: bool,
    /// What can be done with it: `get`, `list`, `delete`, ...
    pub verbs: Vec<String>,
    /// Whether this is the version of the group that the server prefers.
    pub is_preferred: bool,
}

impl Served {
    /// Whether something can be done with it: `get`, `list`, `delete`, ...
    #[must_use]
    pub fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }

    /// One version of each kind: the one that the server prefers, where it is among them.
    #[must_use]
    pub fn one_version_each(served: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut found: BTreeMap<(String, String), Self> = BTreeMap::new();
        for one in served {
            let key = (one.resource.group.clone(), one.resource.plural.clone());
            if one.is_preferred || !found.contains_key(&key) {
                found.insert(key, one);
            }
        }
        found.into_values().collect()
    }
}

impl Cluster {
    /// The kinds of the groups that are wanted (the core group is empty), in each version that they have. Subresources are left out.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn served(&self, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<Served>, ClusterError> {
        let mut versions = Vec::new();
        if is_wanted("") {
            versions.push((String::new(), "v1".to_owned(), true));
        }
        let groups = self.get("/apis").await?.unwrap_or_default();
        for group in groups.get("groups").and_then(Value::as_array).into_iter().flatten() {
            let name = group.get("name").and_then(Value::as_str).unwrap_or_default();
            if !is_wanted(name) {
                continue;
            }
            let preferred = group.pointer("/preferredVersion/version").and_then(Value::as_str);
            for version in group.get("versions").and_then(Value::as_array).into_iter().flatten() {
                let version = version.get("version").and_then(Value::as_str).unwrap_or_default();
                versions.push((name.to_owned(), version.to_owned(), preferred == Some(version)));
            }
        }
        let mut found = Vec::new();
        for (group, version, is_preferred) in versions {
            let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
            // A group whose own server is away is none.
            let Ok(Some(list)) = self.get(&root).await else { continue };
            let items = list.get("resources").and_then(Value::as_array).into_iter().flatten();
            found.extend(items.filter_map(|item| read(item, (&group, &version), is_preferred)));
        }
        Ok(found)
    }
}

fn read(item: &Value, (group, version): (&str, &str), is_preferred: bool) -> Option<Served> {
    let text = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default();
    let verbs = item.get("verbs").and_then(Value::as_array).into_iter().flatten();
    (!text("name").contains('/')).then(|| Served {
        resource: Resource::new(group, version, text("kind"), text("name")),
        is_namespaced: item.get("namespaced").and_then(Value::as_bool).unwrap_or(false),
        verbs: verbs.filter_map(Value::as_str).map(str::to_owned).collect(),
        is_preferred,
    })
}
