//! `match` and `exclude`.

use serde_json::Value;

use super::{Adviser, is_cluster_wide, is_there, list, text};
use crate::policy::matching::KindSelector;

/// Every filter of a block with its pointer: its own, and those of `any` and `all`.
pub(crate) fn whole<'v>(block: &'v Value, pointer: &str) -> Vec<(String, &'v Value)> {
    let below = |key: &str| {
        let filters = list(block, key).iter().enumerate();
        filters.map(|(index, filter)| (format!("{pointer}/{key}/{index}"), filter)).collect::<Vec<_>>()
    };
    let mut all = vec![(pointer.to_owned(), block)];
    all.extend(below("any"));
    all.extend(below("all"));
    all
}

/// Where a block is about who asks, and by which field.
pub(crate) fn users_in(block: &Value, pointer: &str) -> Vec<(String, &'static str)> {
    let fields = |(pointer, filter): (String, &Value)| {
        let set = ["roles", "clusterRoles", "subjects"].into_iter().filter(|field| !list(filter, field).is_empty());
        set.map(|field| (pointer.clone(), field)).collect::<Vec<_>>()
    };
    whole(block, pointer).into_iter().flat_map(fields).collect()
}

impl Adviser {
    /// One block.
    pub(super) fn block(&mut self, block: &Value, pointer: &str) {
        let (any, all) = (!list(block, "any").is_empty(), !list(block, "all").is_empty());
        if any && all {
            self.tell(pointer, "`any` and `all` are both there", "keep one of them: only `any` counts");
        }
        if (any || all) && is_there(block, "resources") {
            let remedy = "move it into `any` or `all`: it does not count beside them";
            self.tell(format!("{pointer}/resources"), "`resources` stands beside `any` or `all`", remedy);
        }
        if self.background {
            for (pointer, field) in users_in(block, pointer) {
                self.tell(
                    format!("{pointer}/{field}"),
                    format!("`{field}` is about who asks, whom nobody knows of objects that are stored already"),
                    "set `background: false`",
                );
            }
        }
        for (pointer, filter) in whole(block, pointer) {
            self.users(filter, &pointer);
            if let Some(resources) = filter.get("resources") {
                self.resources(resources, &format!("{pointer}/resources"));
            }
        }
    }

    fn users(&mut self, filter: &Value, pointer: &str) {
        for (index, subject) in list(filter, "subjects").iter().enumerate() {
            let pointer = format!("{pointer}/subjects/{index}");
            let kind = text(subject, "kind");
            if !matches!(kind, "User" | "Group" | "ServiceAccount") {
                let what = format!("a subject of kind `{kind}` is nobody");
                self.tell(pointer.clone(), what, "write User, Group or ServiceAccount");
            }
            if text(subject, "name").is_empty() {
                self.tell(pointer.clone(), "the subject has no name", "give it a `name`");
            }
            if kind == "ServiceAccount" && text(subject, "namespace").is_empty() {
                self.tell(pointer, "the service account has no namespace", "give it a `namespace`");
            }
        }
        for (index, role) in list(filter, "roles").iter().enumerate() {
            if role.as_str().is_some_and(|role| role.split(':').count() != 2) {
                let remedy = "write `namespace:name`; roles of the cluster go to `clusterRoles`";
                self.tell(format!("{pointer}/roles/{index}"), format!("the role {role} is no role"), remedy);
            }
        }
    }

    fn resources(&mut self, resources: &Value, pointer: &str) {
        if !text(resources, "name").is_empty() && !list(resources, "names").is_empty() {
            self.tell(pointer, "`name` and `names` are both there", "keep `names`");
        }
        let is_empty = |selector: &Value| {
            let has = |key: &str| {
                selector.get(key).is_some_and(|value| match value {
                    Value::Array(items) => !items.is_empty(),
                    Value::Object(fields) => !fields.is_empty(),
                    _ => false,
                })
            };
            selector.is_object() && !has("matchLabels") && !has("matchExpressions")
        };
        if resources.get("selector").is_some_and(is_empty) {
            self.tell(format!("{pointer}/selector"), "the selector asks for no label", "remove it, or name a label");
        }
        if self.namespace.is_none() {
            return;
        }
        if !list(resources, "namespaces").is_empty() {
            let what = "a Policy is about its own namespace and no other";
            self.tell(format!("{pointer}/namespaces"), what, "remove it, or write a ClusterPolicy");
        }
        for (index, kind) in list(resources, "kinds").iter().enumerate() {
            let Some(kind) = kind.as_str().filter(|kind| is_cluster_wide(&KindSelector::parse(kind).kind)) else {
                continue;
            };
            let what = format!("{kind} is in no namespace: a Policy never meets one");
            self.tell(format!("{pointer}/kinds/{index}"), what, "write a ClusterPolicy");
        }
    }

    /// The kinds of a rule, and what they do not go together with.
    pub(super) fn kinds(&mut self, rule: &Value, pointer: &str) {
        for key in ["match", "exclude"] {
            let Some(block) = rule.get(key) else { continue };
            for (place, filter) in whole(block, &format!("{pointer}/{key}")) {
                let kinds: Vec<&str> = filter
                    .get("resources")
                    .map(|resources| list(resources, "kinds"))
                    .unwrap_or_default()
                    .iter()
                    .filter_map(Value::as_str)
                    .collect();
                self.wildcards(rule, &kinds, &format!("{place}/resources/kinds"));
                let part = kinds.iter().find(|kind| KindSelector::parse(kind).has_subresource());
                if let Some(kind) = part.filter(|_| self.background && is_there(rule, "validate")) {
                    let what =
                        format!("{kind} is a part of an object, and only whole objects are judged in the background");
                    self.tell(format!("{place}/resources/kinds"), what, "set `background: false`");
                }
            }
        }
        self.empty_set(rule, pointer);
    }

    fn wildcards(&mut self, rule: &Value, kinds: &[&str], pointer: &str) {
        if !kinds.contains(&"*") {
            return;
        }
        if kinds.len() > 1 {
            self.tell(pointer, "`*` stands beside other kinds", "keep `*` alone: it means every kind");
        }
        if self.background {
            self.tell(pointer, "Kyverno judges no kind `*` in the background", "set `background: false`");
        }
        let foreach = rule.pointer("/validate/foreach").is_some();
        if foreach || is_there(rule, "generate") || is_there(rule, "verifyImages") {
            self.tell(pointer, "a rule of this type cannot be about every kind", "name the kinds");
        }
    }

    /// An `exclude` that takes away all that is matched.
    fn empty_set(&mut self, rule: &Value, pointer: &str) {
        let (Some(matched), Some(excluded)) = (rule.get("match"), rule.get("exclude")) else { return };
        let (matched, excluded) = match (list(matched, "any"), list(excluded, "any")) {
            ([], []) if list(matched, "all").is_empty() && list(excluded, "all").is_empty() => {
                (vec![matched], vec![excluded])
            }
            (matched, excluded) => (matched.iter().collect(), excluded.iter().collect()),
        };
        let says = |filter: &&Value| filter.as_object().is_some_and(|fields| !fields.is_empty());
        if matched.iter().filter(|filter| says(filter)).any(|filter| excluded.contains(filter)) {
            let remedy = "change `match` or `exclude`: the rule judges nothing of it";
            self.tell(format!("{pointer}/exclude"), "what is matched here is excluded as well", remedy);
        }
    }
}
