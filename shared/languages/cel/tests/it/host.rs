//! Hosts that lend variables, functions and objects.

use cel::{EvalError, Host, Limits, Object, Program, Val};
use model::Timestamp;
use serde_json::{Value, json};

#[derive(Debug)]
struct Images;

impl<'a> Object<'a> for Images {
    fn type_name(&self) -> &str {
        "test.Images"
    }

    fn field(&self, name: &str) -> Option<Result<Val<'a>, EvalError>> {
        (name == "count").then_some(Ok(Val::Int(2)))
    }

    fn to_json(&self) -> Option<Value> {
        Some(json!("images"))
    }
}

#[derive(Debug)]
struct Lookup<'a>(&'a Value);

impl<'a> Object<'a> for Lookup<'a> {
    fn type_name(&self) -> &str {
        "test.Lookup"
    }

    fn call(&self, name: &str, arguments: &[Val<'a>]) -> Option<Result<Val<'a>, EvalError>> {
        let [Val::Text(key)] = arguments else { return None };
        (name == "get").then(|| {
            let missing =
                || EvalError::Unavailable { function: "lookup.get".to_owned(), what: key.as_str().to_owned() };
            self.0.get(key.as_str()).map(Val::from_json).ok_or_else(missing)
        })
    }
}

struct Facts<'a> {
    known: &'a Value,
}

impl<'a> Host<'a> for Facts<'a> {
    fn variable(&self, name: &str) -> Option<Result<Val<'a>, EvalError>> {
        match name {
            "lookup" => Some(Ok(Val::object(Lookup(self.known)))),
            "broken" => Some(Err(EvalError::refused("this variable fails"))),
            _ => None,
        }
    }

    fn call(&self, name: &str, arguments: &[Val<'a>]) -> Option<Result<Val<'a>, EvalError>> {
        match (name, arguments) {
            ("generator.apply", [Val::Text(_), Val::List(list)]) => Some(Ok(Val::Bool(!list.is_empty()))),
            ("shout", [Val::Text(text)]) => Some(Ok(Val::text(format!("{}!", text.as_str())))),
            ("size", [Val::Null]) => Some(Ok(Val::Int(0))),
            _ => None,
        }
    }

    fn now(&self) -> Option<Timestamp> {
        Some(Timestamp::from_millis(0))
    }
}

#[test]
fn lends_variables_functions_and_objects() {
    let known = json!({"a": {"b": [1]}});
    let run = |text: &str| {
        let program = Program::compile(text).unwrap();
        program
            .evaluate(&Facts { known: &known }, Limits::default())
            .and_then(|value| value.to_json())
            .map_err(|error| error.to_string())
    };
    assert_eq!(run("lookup.get('a').b[0]"), Ok(json!(1)));
    assert_eq!(run("lookup.get('z')"), Err("lookup.get: z is not known".to_owned()));
    assert_eq!(run("generator.apply('ns', [1])"), Ok(json!(true)));
    assert_eq!(run("'a'.shout() + shout('b')"), Ok(json!("a!b!")));
    assert_eq!(run("size(null)"), Ok(json!(0)));
    assert_eq!(run("string(now())"), Ok(json!("1970-01-01T00:00:00Z")));
    assert_eq!(run("true || broken"), Ok(json!(true)));
    assert_eq!(run("broken"), Err("this variable fails".to_owned()));
    assert!(run("missing.apply(1)").is_err());
}

#[test]
fn objects_have_fields_and_json() {
    let program = Program::compile("images.count + (has(images.other) ? 1 : 0) + images.?other.orValue(1)").unwrap();
    let host = cel::Variables::new().with("images", Val::object(Images));
    assert_eq!(program.evaluate(&host, Limits::default()).unwrap().to_json(), Ok(json!(3)));
}
