//! Which resources and users a rule is about: `match` and `exclude`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::schema;
use super::selector::{Labels, Selector};
use crate::cleanup::CleanupTarget;
use crate::context::plural_of;
use crate::request::{GroupVersionKind, Operation, Request, UserInfo};
use crate::value::{path, wildcard};

/// A compiled `match` or `exclude`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Match {
    pub(crate) mode: Mode,
    pub(crate) filters: Vec<Filter>,
}

/// How filters combine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Mode {
    Any,
    All,
    /// One filter written without `any` or `all`.
    #[default]
    Plain,
}

/// One filter: every clause that is there must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Filter {
    /// The clauses that are there, in the order they are judged.
    clauses: Vec<Clause>,
    pub(crate) kinds: Vec<KindSelector>,
    names: Vec<String>,
    alternatives: Vec<String>,
    namespaces: Vec<String>,
    annotations: BTreeMap<String, String>,
    selector: Option<Selector>,
    namespace_selector: Option<Selector>,
    operations: Vec<String>,
    roles: Vec<String>,
    cluster_roles: Vec<String>,
    subjects: Vec<schema::Subject>,
}

/// What a filter is compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) object: &'a Value,
    pub(crate) kind: &'a GroupVersionKind,
    /// API group and version of the resource, and its plural name where it is known.
    api: (&'a str, &'a str),
    resource: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) operation: Operation,
    /// Rules about some operation are about all of them.
    any_operation: bool,
    pub(crate) namespace_labels: Option<&'a BTreeMap<String, String>>,
    pub(crate) user: &'a UserInfo,
    pub(crate) roles: &'a [String],
    pub(crate) cluster_roles: &'a [String],
    pub(crate) has_user: bool,
}

impl<'a> Subject<'a> {
    /// The subject of a request.
    pub(crate) fn of(
        request: &'a Request,
        object: &'a Value,
        namespace_labels: Option<&'a BTreeMap<String, String>>,
    ) -> Self {
        Self {
            object,
            kind: &request.kind,
            api: request.api(),
            resource: &request.resource,
            subresource: &request.subresource,
            operation: request.operation,
            any_operation: request.is_unasked(),
            namespace_labels,
            user: &request.user,
            roles: &request.roles,
            cluster_roles: &request.cluster_roles,
            has_user: request.has_user(),
        }
    }

    /// The same, made by somebody of whom nothing is known: no role and no name is theirs.
    pub(crate) fn made_by_nobody(self) -> Self {
        static NOBODY: UserInfo =
            UserInfo { username: String::new(), uid: String::new(), groups: Vec::new(), extra: None };
        Self { user: &NOBODY, roles: &[], cluster_roles: &[], has_user: true, ..self }
    }

    fn name(&self) -> &'a str {
        let name = path::text(self.object, &["metadata", "name"]);
        if name.is_empty() { path::text(self.object, &["metadata", "generateName"]) } else { name }
    }

    fn namespace(&self) -> &'a str {
        if self.kind.kind == "Namespace" {
            path::text(self.object, &["metadata", "name"])
        } else {
            path::text(self.object, &["metadata", "namespace"])
        }
    }
}

/// A kind as policies write it: `Pod`, `apps/v1/Deployment`, `Pod/exec`, `*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KindSelector {
    pub(crate) text: String,
    group: String,
    version: String,
    pub(crate) kind: String,
    subresource: String,
}

impl KindSelector {
    pub(crate) fn parse(text: &str) -> Self {
        let parts: Vec<&str> = text.split('/').collect();
        let (last, before) = parts.split_last().map_or((text, &[][..]), |(last, before)| (*last, before));
        let (last, dotted) = last.split_once('.').map_or((last, None), |(last, dotted)| (last, Some(dotted)));
        let parts: Vec<&str> = before.iter().copied().chain([last]).chain(dotted).collect();
        let (group, version, kind, sub) = match parts.as_slice() {
            ["*", "*"] => ("*", "*", "*", "*"),
            ["*", sub] if !sub.contains(|letter: char| letter.is_ascii_uppercase()) => ("*", "*", "*", *sub),
            [version, kind] if is_version(version) => ("*", *version, *kind, ""),
            [kind, sub] => ("*", "*", *kind, *sub),
            [version, kind, sub] if is_version(version) => ("*", *version, *kind, *sub),
            [group, version, kind] => (*group, *version, *kind, ""),
            [group, version, kind, sub] => (*group, *version, *kind, *sub),
            _ => ("*", "*", text, ""),
        };
        let own = str::to_owned;
        Self { text: own(text), group: own(group), version: own(version), kind: own(kind), subresource: own(sub) }
    }

    /// Whether it means parts of objects, such as `Pod/exec`.
    pub(crate) fn has_subresource(&self) -> bool {
        !self.subresource.is_empty()
    }

    /// Whether the subject is a resource that is meant, or the subresource of one.
    fn matches(&self, subject: &Subject<'_>) -> bool {
        let (group, version) = subject.api;
        if !(self.is_kind_of(subject) && fits(&self.group, group) && fits(&self.version, version)) {
            return false;
        }
        // The containers that are added to a running pod are judged as those that it began with.
        let ephemeral = subject.subresource == "ephemeralcontainers" && group.is_empty() && subject.kind.kind == "Pod";
        fits(&self.subresource, subject.subresource) || ephemeral
    }

    /// A subresource is told by the resource that it belongs to: its object may be of any kind, such as `Scale`.
    fn is_kind_of(&self, subject: &Subject<'_>) -> bool {
        if subject.subresource.is_empty() || subject.resource.is_empty() {
            return fits(&self.kind, &subject.kind.kind);
        }
        self.kind == "*" || wildcard::matches(&plural_of(&self.kind), subject.resource)
    }
}

/// Whether a part of a kind is a version: `v1`, `v2beta1`, `*`.
fn is_version(part: &str) -> bool {
    let Some(rest) = part.strip_prefix('v') else { return part == "*" };
    let numbered = |text: &str| text.len() == 1 && text.bytes().all(|byte| byte.is_ascii_digit());
    let split = rest.split_once("alpha").or_else(|| rest.split_once("beta"));
    split.map_or_else(|| numbered(rest), |(main, stage)| numbered(main) && numbered(stage))
}

/// A wildcard match that decides the common cases at once.
fn fits(pattern: &str, text: &str) -> bool {
    pattern == "*" || pattern == text || wildcard::matches(pattern, text)
}

/// The clauses of a filter, in the order they are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Clause {
    Kinds,
    Name,
    Names,
    Namespaces,
    Annotations,
    Selector,
    NamespaceSelector,
    Operations,
    Roles,
    ClusterRoles,
    Subjects,
}

impl Clause {
    pub(crate) const ALL: [Self; 11] = [
        Self::Kinds,
        Self::Name,
        Self::Names,
        Self::Namespaces,
        Self::Annotations,
        Self::Selector,
        Self::NamespaceSelector,
        Self::Operations,
        Self::Roles,
        Self::ClusterRoles,
        Self::Subjects,
    ];

    /// The field's name in a policy.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kinds => "kinds",
            Self::Name => "name",
            Self::Names => "names",
            Self::Namespaces => "namespaces",
            Self::Annotations => "annotations",
            Self::Selector => "selector",
            Self::NamespaceSelector => "namespaceSelector",
            Self::Operations => "operations",
            Self::Roles => "roles",
            Self::ClusterRoles => "clusterRoles",
            Self::Subjects => "subjects",
        }
    }

    /// Whether it is about who asks.
    pub(crate) fn is_about_users(self) -> bool {
        matches!(self, Self::Roles | Self::ClusterRoles | Self::Subjects)
    }
}

impl Match {
    /// Compiles a `match` or `exclude`.
    ///
    /// # Errors
    /// What is wrong with a selector.
    pub(crate) fn compile(raw: &schema::Match) -> Result<Self, String> {
        let list = |filters: &[schema::Filter]| filters.iter().map(Filter::compile).collect::<Result<Vec<_>, _>>();
        let some =
            |filters: &Option<Vec<schema::Filter>>| filters.as_deref().filter(|filters| !filters.is_empty()).map(list);
        if let Some(filters) = some(&raw.any) {
            return Ok(Self { mode: Mode::Any, filters: filters? });
        }
        if let Some(filters) = some(&raw.all) {
            return Ok(Self { mode: Mode::All, filters: filters? });
        }
        Ok(Self { mode: Mode::Plain, filters: vec![Filter::compile(&raw.own)?] })
    }

    /// Whether the rule is about the subject.
    pub(crate) fn includes(&self, subject: &Subject<'_>) -> bool {
        let mut fits = self.filters.iter().map(|filter| filter.includes(subject));
        match self.mode {
            Mode::Any => fits.any(|fits| fits),
            Mode::All | Mode::Plain => fits.all(|fits| fits),
        }
    }

    /// Whether the subject is excluded.
    pub(crate) fn excludes(&self, subject: &Subject<'_>) -> bool {
        let mut fits = self.filters.iter().map(|filter| filter.excludes(subject));
        match self.mode {
            Mode::Any | Mode::Plain => fits.any(|fits| fits),
            Mode::All => !self.filters.is_empty() && fits.all(|fits| fits),
        }
    }

    /// Whether deletions are among the operations that the filters name.
    pub(crate) fn names_deletions(&self) -> bool {
        let word = Operation::Delete.as_str();
        self.filters.iter().any(|filter| filter.operations.iter().any(|operation| operation == word))
    }

    /// The kinds that the filters name, without subresources.
    pub(crate) fn targets(&self) -> Vec<CleanupTarget> {
        let kinds = self
            .filters
            .iter()
            .flat_map(|filter| &filter.kinds)
            .filter(|kind| kind.subresource.is_empty() || kind.subresource == "*");
        let target = |kind: &KindSelector| CleanupTarget {
            group: kind.group.clone(),
            version: kind.version.clone(),
            kind: kind.kind.clone(),
            resource: String::new(),
        };
        kinds.map(target).collect()
    }

    /// The kinds of whole objects that can match.
    pub(crate) fn subjects(&self) -> Vec<CleanupTarget> {
        let mut of_any_kind = self.filters.iter().map(|filter| filter.kinds.is_empty());
        let is_open = match self.mode {
            Mode::All => of_any_kind.all(|any| any),
            Mode::Any | Mode::Plain => of_any_kind.any(|any| any),
        };
        if is_open { vec![CleanupTarget::any()] } else { self.targets() }
    }

    /// The kinds that can match at all; `None` when any kind can.
    pub(crate) fn kinds(&self) -> Option<Vec<&str>> {
        let mut kinds = Vec::new();
        for filter in &self.filters {
            if filter.kinds.is_empty() {
                if self.mode == Mode::All {
                    continue;
                }
                return None;
            }
            for selector in &filter.kinds {
                if wildcard::is_wildcard(&selector.kind) {
                    return None;
                }
                kinds.push(selector.kind.as_str());
            }
        }
        (!kinds.is_empty()).then_some(kinds)
    }
}

impl Filter {
    fn compile(raw: &schema::Filter) -> Result<Self, String> {
        let resources = raw.resources.clone().unwrap_or_default();
        let selector = |raw: &Option<schema::Selector>| raw.as_ref().map(Selector::compile).transpose();
        let mut filter = Self {
            clauses: Vec::new(),
            kinds: resources.kinds.unwrap_or_default().iter().map(|kind| KindSelector::parse(kind)).collect(),
            names: resources.name.into_iter().filter(|name| !name.is_empty()).collect(),
            alternatives: resources.names.unwrap_or_default(),
            namespaces: resources.namespaces.unwrap_or_default(),
            annotations: resources.annotations.unwrap_or_default(),
            selector: selector(&resources.selector)?,
            namespace_selector: selector(&resources.namespace_selector)?,
            operations: resources.operations.unwrap_or_default(),
            roles: raw.roles.clone().unwrap_or_default(),
            cluster_roles: raw.cluster_roles.clone().unwrap_or_default(),
            subjects: raw.subjects.clone().unwrap_or_default(),
        };
        filter.clauses = Clause::ALL.into_iter().filter(|clause| filter.has(*clause)).collect();
        Ok(filter)
    }

    /// Whether the filter says anything; without users, what it says about users does not count.
    fn is_empty(&self, users: bool) -> bool {
        self.clauses.iter().all(|clause| !users && clause.is_about_users())
    }

    fn includes(&self, subject: &Subject<'_>) -> bool {
        // Where nobody is known to ask (background, command line), clauses about users are left out.
        let counts = |clause: &&Clause| subject.has_user || !clause.is_about_users();
        !self.is_empty(subject.has_user)
            && self.clauses.iter().filter(counts).all(|clause| self.judge(*clause, subject).unwrap_or(true))
    }

    fn excludes(&self, subject: &Subject<'_>) -> bool {
        !self.clauses.is_empty() && self.clauses.iter().all(|clause| self.judge(*clause, subject).unwrap_or(true))
    }

    /// Whether the clause is there.
    pub(crate) fn has(&self, clause: Clause) -> bool {
        match clause {
            Clause::Kinds => !self.kinds.is_empty(),
            Clause::Name => !self.names.is_empty(),
            Clause::Names => !self.alternatives.is_empty(),
            Clause::Namespaces => !self.namespaces.is_empty(),
            Clause::Annotations => !self.annotations.is_empty(),
            Clause::Selector => self.selector.is_some(),
            Clause::NamespaceSelector => self.namespace_selector.is_some(),
            Clause::Operations => !self.operations.is_empty(),
            Clause::Roles => !self.roles.is_empty(),
            Clause::ClusterRoles => !self.cluster_roles.is_empty(),
            Clause::Subjects => !self.subjects.is_empty(),
        }
    }

    /// Whether the clause holds; `None` when it is not there or does not apply.
    pub(crate) fn judge(&self, clause: Clause, subject: &Subject<'_>) -> Option<bool> {
        if !self.has(clause) {
            return None;
        }
        let one_of = |patterns: &[String], text: &str| patterns.iter().any(|pattern| wildcard::matches(pattern, text));
        let crosses = |patterns: &[String], texts: &[String]| texts.iter().any(|text| one_of(patterns, text));
        Some(match clause {
            Clause::Kinds => self.kinds.iter().any(|kind| kind.matches(subject)),
            Clause::Name => one_of(&self.names, subject.name()),
            Clause::Names => one_of(&self.alternatives, subject.name()),
            Clause::Namespaces => one_of(&self.namespaces, subject.namespace()),
            Clause::Annotations => {
                let annotations = Labels::at(subject.object, "annotations");
                self.annotations.iter().all(|(key, value)| annotations.has(key, value))
            }
            Clause::Selector => {
                let labels = Labels::at(subject.object, "labels");
                self.selector.as_ref().is_none_or(|selector| selector.matches(labels))
            }
            Clause::NamespaceSelector => {
                // A namespace is in none.
                if subject.kind.kind == "Namespace" {
                    return Some(false);
                }
                if subject.kind.kind.is_empty() {
                    return None;
                }
                let labels = Labels::Plain(subject.namespace_labels);
                self.namespace_selector.as_ref().is_none_or(|selector| selector.matches(labels))
            }
            Clause::Operations => {
                subject.any_operation || self.operations.iter().any(|operation| operation == subject.operation.as_str())
            }
            Clause::Roles => crosses(&self.roles, subject.roles),
            Clause::ClusterRoles => crosses(&self.cluster_roles, subject.cluster_roles),
            Clause::Subjects => self.subjects.iter().any(|one| is_user(one, subject.user)),
        })
    }

    /// What the clause asks for, and what the subject has.
    pub(crate) fn describe(&self, clause: Clause, subject: &Subject<'_>) -> (String, String) {
        let kinds = || self.kinds.iter().map(|kind| kind.text.clone()).collect::<Vec<_>>().join(", ");
        let gvk = || format!("{}/{}", subject.kind.api_version(), subject.kind.kind);
        let pairs =
            || self.annotations.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
        let selector = |selector: &Option<Selector>| selector.as_ref().map(Selector::describe).unwrap_or_default();
        let subjects =
            || self.subjects.iter().map(|one| format!("{} {}", one.kind, one.name)).collect::<Vec<_>>().join(", ");
        match clause {
            Clause::Kinds => (kinds(), gvk()),
            Clause::Name => (self.names.join(", "), subject.name().to_owned()),
            Clause::Names => (self.alternatives.join(", "), subject.name().to_owned()),
            Clause::Namespaces => (self.namespaces.join(", "), subject.namespace().to_owned()),
            Clause::Annotations => (pairs(), Labels::at(subject.object, "annotations").describe()),
            Clause::Selector => (selector(&self.selector), Labels::at(subject.object, "labels").describe()),
            Clause::NamespaceSelector => {
                (selector(&self.namespace_selector), Labels::Plain(subject.namespace_labels).describe())
            }
            Clause::Operations => (self.operations.join(", "), subject.operation.to_string()),
            Clause::Roles => (self.roles.join(", "), subject.roles.join(", ")),
            Clause::ClusterRoles => (self.cluster_roles.join(", "), subject.cluster_roles.join(", ")),
            Clause::Subjects => (subjects(), subject.user.username.clone()),
        }
    }
}

fn is_user(one: &schema::Subject, user: &UserInfo) -> bool {
    match one.kind.as_str() {
        "ServiceAccount" => {
            let namespace = one.namespace.as_deref().unwrap_or_default();
            wildcard::matches(&format!("system:serviceaccount:{namespace}:{}", one.name), &user.username)
        }
        "User" => wildcard::matches(&one.name, &user.username),
        "Group" => user.groups.iter().any(|group| wildcard::matches(&one.name, group)),
        _ => false,
    }
}
