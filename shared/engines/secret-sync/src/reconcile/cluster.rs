//! Objects that make one object in each of many namespaces: ClusterExternalSecret and ClusterPushSecret.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Texts, selector};

/// Which namespaces are meant: those that a selector takes, and those that are named.
#[derive(Clone, Debug, Default)]
pub struct Choice<'a> {
    /// Selectors; each adds what it takes.
    pub selectors: Vec<&'a Value>,
    /// Names.
    pub names: Vec<&'a str>,
}

/// A namespace, as far as it is known.
#[derive(Clone, Debug, Default)]
pub struct Namespace {
    /// Its labels.
    pub labels: Texts,
    /// Whether it is being deleted: nothing is made there.
    pub is_deleting: bool,
    /// Who made the object of the child's name in it; `None` when there is none. An empty name stands for nobody of our kind.
    pub child_of: Option<String>,
}

/// What is to be done in all namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Where the child is made, or made as it should be.
    pub provision: BTreeSet<String>,
    /// Where the child goes.
    pub remove: BTreeSet<String>,
    /// Where nothing can be made, and why.
    pub failed: BTreeMap<String, String>,
}

impl Plan {
    /// Reason and message of the condition `Ready`, and whether it holds.
    #[must_use]
    pub fn condition(&self) -> (bool, &'static str) {
        match (self.failed.is_empty(), self.provision.is_empty()) {
            (true, _) => (true, ""),
            (false, false) => (false, "one or more namespaces failed"),
            (false, true) => (false, "all namespaces failed"),
        }
    }
}

/// Decides for the object `owner` what happens where. `child_kind` and `child` name what it makes.
#[must_use]
pub fn plan(
    choice: &Choice<'_>,
    namespaces: &BTreeMap<String, Namespace>,
    provisioned: &BTreeSet<String>,
    (owner, child_kind): (&str, &str),
) -> Plan {
    let mut plan = Plan::default();
    for (name, namespace) in namespaces {
        let is_chosen = choice.names.contains(&name.as_str())
            || choice.selectors.iter().any(|selector| selector::matches(selector, &namespace.labels));
        let is_mine = namespace.child_of.as_deref() == Some(owner);
        if !is_chosen || namespace.is_deleting {
            if is_mine && provisioned.contains(name) {
                plan.remove.insert(name.clone());
            }
            continue;
        }
        if namespace.child_of.is_some() && !is_mine {
            let kind = child_kind.to_lowercase();
            plan.failed.insert(name.clone(), format!("{kind} already exists in namespace"));
            continue;
        }
        plan.provision.insert(name.clone());
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn namespaces_are_chosen_left_and_refused() {
        let namespace = |env: &str, child_of: Option<&str>| Namespace {
            labels: Texts::from([("env".to_owned(), env.to_owned())]),
            is_deleting: false,
            child_of: child_of.map(str::to_owned),
        };
        let namespaces = BTreeMap::from([
            ("a".to_owned(), namespace("test", None)),
            ("b".to_owned(), namespace("live", Some("me"))),
            ("c".to_owned(), namespace("test", Some(""))),
            ("d".to_owned(), namespace("live", None)),
            ("e".to_owned(), Namespace { is_deleting: true, ..namespace("test", None) }),
        ]);
        let selector = json!({ "matchLabels": { "env": "test" } });
        let choice = Choice { selectors: vec![&selector], names: vec!["d"] };
        let plan = plan(&choice, &namespaces, &BTreeSet::from(["b".to_owned()]), ("me", "ExternalSecret"));
        assert_eq!(plan.provision, BTreeSet::from(["a".to_owned(), "d".to_owned()]));
        assert_eq!(plan.remove, BTreeSet::from(["b".to_owned()]));
        assert_eq!(plan.failed["c"], "externalsecret already exists in namespace");
        assert_eq!(plan.condition(), (false, "one or more namespaces failed"));
    }
}
