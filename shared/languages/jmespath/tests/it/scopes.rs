//! An expression over variables gives what it gives over one object that holds them.

use jmespath::{Context, Scope, Variable, compile};
use model::Timestamp;
use serde_json::{Map, Value, json};

/// An object whose fields are variables, and those of the fields named `scope` as well.
#[derive(Debug)]
struct Fields(Map<String, Value>, Option<Box<Fields>>);

impl Fields {
    fn new(value: &Value) -> Self {
        let mut fields = value.as_object().unwrap().clone();
        let below = fields.shift_remove("scope");
        Self(fields, below.map(|below| Box::new(Self::new(&below))))
    }
}

impl Scope for Fields {
    fn variable(&self, name: &str) -> Option<Variable<'_>> {
        match &self.1 {
            Some(below) if name == "scope" => Some(Variable::Scope(&**below)),
            _ => self.0.get(name).map(Variable::Value),
        }
    }

    fn whole(&self) -> Value {
        let mut fields = self.0.clone();
        fields.extend(self.1.as_ref().map(|below| ("scope".to_owned(), below.whole())));
        Value::Object(fields)
    }
}

#[test]
fn variables_are_as_an_object() {
    let whole = json!({"a": {"b": [1, 2]}, "n": null, "scope": {"x": {"y": "z"}, "l": [{"k": 1}], "scope": {"d": 3}}});
    let scope = Fields::new(&whole);
    let context = Context::new(Timestamp::from_millis(0));
    for text in [
        "a.b",
        "a.b[0]",
        "n",
        "n.x",
        "absent",
        "a.absent",
        "@",
        "@.a",
        "[0]",
        "[*]",
        "*",
        "[]",
        "keys(@)",
        "scope",
        "scope.x",
        "scope.x.y",
        "scope.absent",
        "scope.x.absent",
        "scope.scope",
        "scope.scope.d",
        "scope.scope.d.e",
        "scope.l[*].k",
        "scope.l[?k == `1`] | [0]",
        "keys(scope)",
        "scope | keys(@)",
        "scope.{a: x.y, b: scope.d}",
        "scope.[x, l]",
        "scope.*",
        "scope == scope",
        "scope.scope == `{\"d\": 3}`",
        "!scope",
        "scope && a.b",
        "scope || a",
        "absent || scope.x",
        "length(scope)",
        "type(scope)",
        "to_string(scope.scope)",
        "[scope, a]",
        "{s: scope}",
        "scope.x | y",
        "merge(scope.x, a)",
        "scope[0]",
        "scope[]",
        "(scope).x",
        "scope.scope | d",
        "map(&k, scope.l)",
        "not_null(n, scope.x.y)",
    ] {
        let expression = compile(text).unwrap();
        let expected = expression.search(&whole, &context);
        let found = expression.search_scope(&scope, &context).map(std::borrow::Cow::into_owned);
        assert_eq!(found.as_ref().map(sorted), expected.as_ref().map(sorted), "{text}");
        assert_eq!(
            expression.search_scope_with(&scope, &context, &[]).as_ref().map(sorted),
            expected.as_ref().map(sorted)
        );
        let names = expression.keys();
        let asks = |name: &str| names.as_ref().is_none_or(|names| names.contains(&name));
        let mut without = whole.clone();
        without.as_object_mut().unwrap().retain(|key, _| asks(key));
        let again = expression.search(&without, &context);
        assert_eq!(again.as_ref().map(sorted), expected.as_ref().map(sorted), "{text}: {names:?}");
    }
}

/// The value without an order of its fields, and of what comes of them.
fn sorted(value: &Value) -> Value {
    let mut text: Vec<char> = value.to_string().chars().collect();
    text.sort_unstable();
    Value::from(text.into_iter().collect::<String>())
}
