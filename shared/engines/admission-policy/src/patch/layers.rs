//! Strategic merge patches made of maps, scalars and lists of scalars: the most common ones. They are merged where they
//! stand, without a copy for the object at hand.

use serde_json::{Map, Value};

use super::nodes;
use super::strategic::{Place, field_mut, set, value_into};
use super::view::View;
use crate::context::{TextTemplate, ValueTemplate};
use crate::pattern::anchor::{self, Anchor};
use crate::value::path::at;

/// A part of such a patch.
#[derive(Debug)]
pub(crate) enum Layer {
    Map(Vec<Field>),
    /// A scalar, or a list of scalars.
    Value(Value),
    /// The value of a variable, by its number.
    Filled(usize),
}

#[derive(Debug)]
pub(crate) struct Field {
    key: String,
    /// `+(key)`: only where the object has no such key.
    if_absent: bool,
    layer: Layer,
}

impl Layer {
    /// The layers of a patch; `None` where it is not made of them alone.
    pub(crate) fn new(patch: &ValueTemplate) -> Option<Self> {
        let layer = Self::of(patch, &mut 0)?;
        matches!(layer, Self::Map(_)).then_some(layer)
    }

    fn of(patch: &ValueTemplate, filled: &mut usize) -> Option<Self> {
        match patch {
            ValueTemplate::Constant(value) => Self::constant(value),
            ValueTemplate::Text(_) => {
                *filled += 1;
                Some(Self::Filled(*filled - 1))
            }
            ValueTemplate::Map(fields) => {
                let field = |(key, value): &(TextTemplate, ValueTemplate)| match key {
                    TextTemplate::Plain(key) => Field::new(key, Self::of(value, filled)?),
                    _ => None,
                };
                Self::map(fields.iter().map(field).collect::<Option<_>>()?)
            }
            ValueTemplate::List(_) | ValueTemplate::Document(_) => None,
        }
    }

    fn constant(value: &Value) -> Option<Self> {
        match value {
            Value::Object(fields) => {
                let fields = fields.iter().map(|(key, value)| Field::new(key, Self::constant(value)?));
                Self::map(fields.collect::<Option<_>>()?)
            }
            value => is_plain(value).then(|| Self::Value(value.clone())),
        }
    }

    fn map(fields: Vec<Field>) -> Option<Self> {
        let twice = |at: usize, field: &Field| fields.iter().skip(at + 1).any(|other| other.key == field.key);
        let unclear = fields.iter().enumerate().any(|(at, field)| twice(at, field));
        (!unclear).then_some(Self::Map(fields))
    }

    /// Whether variables can have these values: one that is more than a layer makes the patch another.
    pub(crate) fn takes(values: &[Value]) -> bool {
        values.iter().all(is_plain)
    }

    /// Merges the patch with these values of its variables into an object; whether that changed anything.
    ///
    /// # Errors
    /// The patch has a map, list or scalar where the object has another kind of node; the object is as it was.
    pub(crate) fn merge_into(&self, object: &mut Value, values: &[Value]) -> Result<bool, String> {
        let Self::Map(fields) = self else { return Ok(false) };
        let text = |key: &str| {
            let own = at(object, &[key]).map(Value::as_str);
            own.unwrap_or_else(|| self.text(key, values)).unwrap_or_default().to_owned()
        };
        let (kind, api_version) = (text("kind"), text("apiVersion"));
        let place = Place::top(&kind, &api_version);
        self.fits(object, values, place)?;
        Ok(match object {
            Value::Object(own) => map(own, fields, values, place),
            _ => false,
        })
    }

    /// As [`nodes::fits`].
    fn fits(&self, own: &Value, values: &[Value], place: Place<'_>) -> Result<(), String> {
        if let Some(value) = self.value(values) {
            return nodes::fits(own, View::from(value), place);
        }
        match (self, own) {
            (_, Value::Null) => Ok(()),
            (Self::Map(fields), Value::Object(own)) => {
                let unfit = fields.iter().filter(|field| !field.if_absent).filter_map(|field| {
                    let known = jmespath::field(own, &field.key)?;
                    field
                        .layer
                        .fits(known, values, place.below(&field.key))
                        .err()
                        .map(|error| (field.key.as_str(), error))
                });
                unfit.min_by_key(|(key, _)| *key).map_or(Ok(()), |(_, error)| Err(error))
            }
            (_, own) => Err(nodes::wrong_kind(nodes::node_kind(own), &self.part(values, true))),
        }
    }

    /// The text of a field of the patch itself.
    fn text<'v>(&'v self, key: &str, values: &'v [Value]) -> Option<&'v str> {
        let Self::Map(fields) = self else { return None };
        fields.iter().find(|field| field.key == key)?.layer.value(values)?.as_str()
    }

    /// The scalar or list.
    fn value<'v>(&'v self, values: &'v [Value]) -> Option<&'v Value> {
        match self {
            Self::Map(_) => None,
            Self::Value(value) => Some(value),
            Self::Filled(number) => values.get(*number),
        }
    }

    /// The patch where the object has nothing: what it takes away is not there either.
    fn whole(&self, values: &[Value]) -> Value {
        self.part(values, false)
    }

    fn part(&self, values: &[Value], with_nulls: bool) -> Value {
        match self {
            Self::Map(fields) => {
                let mut out = Map::with_capacity(fields.len());
                let is_null = |field: &Field| field.layer.value(values).is_some_and(Value::is_null);
                for field in fields.iter().filter(|field| with_nulls || !is_null(field)) {
                    out.insert(field.key.clone(), field.layer.part(values, with_nulls));
                }
                Value::Object(out)
            }
            other => other.value(values).cloned().unwrap_or_default(),
        }
    }
}

impl Field {
    fn new(key: &str, layer: Layer) -> Option<Self> {
        let (key, if_absent) = match anchor::parse(key) {
            None => (key, false),
            Some((Anchor::AddIfAbsent, bare)) => (bare, true),
            Some(_) => return None,
        };
        let is_mark = key == "$patch" || anchor::parse(key).is_some();
        (!is_mark).then(|| Self { key: key.to_owned(), if_absent, layer })
    }
}

/// Whether a value is one that is set as it is, or a list of such.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Object(_) => false,
        Value::Array(items) => !items.iter().any(|item| item.is_object() || item.is_array()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

fn map(own: &mut Map<String, Value>, fields: &[Field], values: &[Value], place: Place<'_>) -> bool {
    let mut changed = false;
    for Field { key, if_absent, layer } in fields {
        let known = field_mut(own, key);
        if known.is_some() && *if_absent {
            continue;
        }
        let value = layer.value(values);
        changed |= match (known, layer) {
            (_, _) if value.is_some_and(Value::is_null) => own.shift_remove(key).is_some(),
            (Some(Value::Object(own)), Layer::Map(fields)) => map(own, fields, values, place.below(key)),
            (Some(known), Layer::Map(_)) => set(known, layer.whole(values)),
            (Some(known), _) => value.is_some_and(|value| value_into(known, View::from(value), place.below(key))),
            (None, _) => {
                own.insert(key.clone(), layer.whole(values));
                true
            }
        };
    }
    changed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::context::ExpressionCache;
    use crate::patch::{anchors, strategic};

    fn layered(patch: &Value) -> Option<Layer> {
        Layer::new(&ValueTemplate::new(patch, &mut ExpressionCache::default()))
    }

    #[test]
    fn tells_what_is_made_of_layers() {
        for (patch, expected) in [
            (json!({"spec": {"+(a)": 1, "b": null, "c": ["x"]}}), true),
            (json!({"metadata": {"labels": {"+(a)": "{{ request.namespace }}"}}}), true),
            (json!({"spec": {"(a)": 1}}), false),
            (json!({"spec": {"+((a))": 1}}), false),
            (json!({"spec": {"a": 1, "+(a)": 2}}), false),
            (json!({"spec": {"$patch": "delete"}}), false),
            (json!({"spec": {"containers": [{"name": "x"}]}}), false),
            (json!({"spec": {"{{ request.namespace }}": 1}}), false),
            (json!("{{ request.object }}"), false),
            (json!([]), false),
        ] {
            assert_eq!(layered(&patch).is_some(), expected, "{patch}");
        }
    }

    fn scalar() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3).prop_map(Value::from),
            "[xy]".prop_map(Value::from),
            prop::collection::vec("[xyz]", 0..3).prop_map(Value::from),
        ]
    }

    fn fields(key: &'static str, inner: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
        let fields = prop::collection::btree_map(key, inner, 0..4);
        fields.prop_map(|fields| Value::Object(fields.into_iter().collect())).boxed()
    }

    fn tree(key: &'static str) -> BoxedStrategy<Value> {
        let below = scalar().prop_recursive(3, 24, 4, move |inner| prop_oneof![fields(key, inner.boxed()), scalar()]);
        fields(key, below.boxed())
    }

    proptest! {
        #[test]
        fn merges_as_a_patch_that_is_resolved_first(
            patch in tree("[abc]|\\+\\([abc]\\)|finalizers"),
            object in tree("[abc]|finalizers|kind"),
        ) {
            let Some(layer) = layered(&patch) else { return Ok(()) };
            let (mut whole, mut inside) = (object.clone(), object.clone());
            let resolved = anchors::resolve(&patch, &whole).unwrap();
            let changed = strategic::merge_into(&mut whole, resolved.view());
            prop_assert!(changed.is_ok() || whole == object);
            prop_assert_eq!(layer.merge_into(&mut inside, &[]), changed);
            prop_assert_eq!(inside.to_string(), whole.to_string());
        }
    }
}
