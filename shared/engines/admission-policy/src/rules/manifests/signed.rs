//! The manifest that was signed, among those in the message: the one with the object's name, or else those most like it.

use serde_json::Value;

use super::difference::{self, Difference, Leaves};
use super::ignored::Ignored;

/// Finds the object's manifest and says in what the object differs from it; `None` when no manifest is of its kind.
pub(super) fn compare(manifests: &[Value], object: &Value, ignored: &Ignored) -> Option<Vec<Difference>> {
    let kind = object.get("kind");
    let of_kind: Vec<&Value> = manifests.iter().filter(|manifest| manifest.get("kind") == kind).collect();
    let leaves = difference::leaves(object);
    let may_differ = ignored.of(object);
    let candidates = match named_like(&of_kind, object) {
        Some(manifest) => vec![difference::leaves(manifest)],
        None => most_alike(&of_kind, (&leaves, &may_differ)),
    };
    let mut first = None;
    for candidate in &candidates {
        let mut found = difference::between(candidate, &leaves);
        found.retain(|one| !may_differ(&one.key));
        if found.is_empty() {
            return Some(found);
        }
        first = first.or(Some(found));
    }
    first
}

/// The manifest with the group, kind and name of the object; of several, the one with its namespace.
fn named_like<'m>(manifests: &[&'m Value], object: &Value) -> Option<&'m Value> {
    let identity = |one: &Value| (group(one).to_owned(), text(one, "/metadata/name").to_owned());
    let mut named = manifests.iter().filter(|manifest| identity(manifest) == identity(object));
    let first = named.next()?;
    let at_home = |manifest: &&&Value| text(manifest, "/metadata/namespace") == text(object, "/metadata/namespace");
    let exact = std::iter::once(first).chain(named).find(at_home);
    Some(exact.unwrap_or(first))
}

/// The leaves of the manifests that have most leaves in common with the object.
fn most_alike<'m>(
    manifests: &[&'m Value],
    (object, may_differ): (&Leaves<'_>, &impl Fn(&str) -> bool),
) -> Vec<Leaves<'m>> {
    let counting: Vec<(&String, &Value)> =
        object.iter().filter(|(way, _)| !may_differ(way)).map(|(way, value)| (way, *value)).collect();
    let score = |leaves: &Leaves<'_>| {
        let common =
            |(way, value): &&(&String, &Value)| leaves.get(*way).is_some_and(|own| difference::same(own, value));
        counting.iter().filter(common).count()
    };
    let mut scored: Vec<(usize, Leaves<'_>)> =
        manifests.iter().map(|manifest| difference::leaves(manifest)).map(|leaves| (score(&leaves), leaves)).collect();
    let best = scored.iter().map(|(score, _)| *score).max().unwrap_or_default();
    scored.retain(|(score, _)| *score == best);
    scored.into_iter().take(MAX_CANDIDATES).map(|(_, leaves)| leaves).collect()
}

fn group(object: &Value) -> &str {
    text(object, "/apiVersion").split_once('/').map_or("", |(group, _)| group)
}

fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// So many manifests that are equally alike are compared.
const MAX_CANDIDATES: usize = 3;
