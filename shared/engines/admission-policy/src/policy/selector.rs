//! Label selectors, with the wildcards that policies may use in them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::schema;
use crate::value::{path, wildcard};

/// A compiled label selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Selector {
    labels: Vec<(String, String)>,
    expressions: Vec<(String, Relation)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Relation {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

/// Labels from either side: a resource's JSON or a namespace's map.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Labels<'a> {
    Json(Option<&'a Map<String, Value>>),
    Plain(Option<&'a BTreeMap<String, String>>),
}

impl<'a> Labels<'a> {
    /// `labels` or `annotations` of an object.
    pub(crate) fn at(object: &'a Value, field: &str) -> Self {
        Self::Json(path::at(object, &["metadata", field]).and_then(Value::as_object))
    }

    fn get(self, key: &str) -> Option<&'a str> {
        match self {
            Self::Json(labels) => labels?.get(key)?.as_str(),
            Self::Plain(labels) => labels?.get(key).map(String::as_str),
        }
    }

    fn any(self, mut holds: impl FnMut(&str, &str) -> bool) -> bool {
        match self {
            Self::Json(labels) => labels.is_some_and(|labels| {
                labels.iter().any(|(key, value)| value.as_str().is_some_and(|value| holds(key, value)))
            }),
            Self::Plain(labels) => labels.is_some_and(|labels| labels.iter().any(|(key, value)| holds(key, value))),
        }
    }

    /// Whether some label fits the pair, wildcards allowed on both sides of it.
    pub(crate) fn has(self, key: &str, value: &str) -> bool {
        if wildcard::is_wildcard(key) || wildcard::is_wildcard(value) {
            return self.any(|k, v| wildcard::matches(key, k) && wildcard::matches(value, v));
        }
        self.get(key) == Some(value)
    }

    /// The labels as text, for explanations.
    pub(crate) fn describe(self) -> String {
        let mut pairs = Vec::new();
        self.any(|key, value| {
            pairs.push(format!("{key}={value}"));
            false
        });
        if pairs.is_empty() { "no labels".to_owned() } else { pairs.join(",") }
    }
}

impl Selector {
    /// Compiles a selector.
    ///
    /// # Errors
    /// An operator that selectors do not have.
    pub(crate) fn compile(raw: &schema::Selector) -> Result<Self, String> {
        let relation = |requirement: &schema::Requirement| {
            let values = requirement.values.clone().unwrap_or_default();
            let relation = match requirement.operator.as_str() {
                "In" => Relation::In(values),
                "NotIn" => Relation::NotIn(values),
                "Exists" => Relation::Exists,
                "DoesNotExist" => Relation::DoesNotExist,
                other => return Err(format!("`{other}` is not a label selector operator")),
            };
            Ok((requirement.key.clone(), relation))
        };
        let expressions = raw.match_expressions.iter().flatten().map(relation).collect::<Result<_, _>>()?;
        Ok(Self { labels: raw.match_labels.clone().unwrap_or_default().into_iter().collect(), expressions })
    }

    /// Whether the labels fit.
    pub(crate) fn matches(&self, labels: Labels<'_>) -> bool {
        self.labels.iter().all(|(key, value)| labels.has(key, value))
            && self.expressions.iter().all(|(key, relation)| relation.holds(labels.get(key)))
    }

    /// The selector as text, for explanations.
    pub(crate) fn describe(&self) -> String {
        let labels = self.labels.iter().map(|(key, value)| format!("{key}={value}"));
        let expressions = self.expressions.iter().map(|(key, relation)| match relation {
            Relation::In(values) => format!("{key} in ({})", values.join(",")),
            Relation::NotIn(values) => format!("{key} notin ({})", values.join(",")),
            Relation::Exists => key.clone(),
            Relation::DoesNotExist => format!("!{key}"),
        });
        labels.chain(expressions).collect::<Vec<_>>().join(",")
    }
}

impl Relation {
    fn holds(&self, value: Option<&str>) -> bool {
        match self {
            Self::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Self::NotIn(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
            Self::Exists => value.is_some(),
            Self::DoesNotExist => value.is_none(),
        }
    }
}
