//! Exceptions of rules: reading, checking, and the text that they add to the condition.

use crate::ast::Operator;
use crate::items::{Entry, Exception, required};
use crate::lists::{list_item, quoted_item};
use crate::parser::parse_operand;
use crate::source::source;
use crate::yaml::Node;

/// Reads the exceptions of an item. Those that are appended may go without fields.
pub(crate) fn read(item: &Node, appends: bool) -> Result<Vec<Exception>, String> {
    let Some(list) = item.get("exceptions").filter(|list| !list.is_null()) else { return Ok(Vec::new()) };
    let Some(list) = list.items() else { return Err("Rule exceptions must be a sequence".to_owned()) };
    let mut read: Vec<Exception> = Vec::new();
    for item in list {
        if item.entries().is_none() {
            return Err("Rule exception must be a mapping".to_owned());
        }
        let name = required(item, "name")?;
        let fields = item.get("fields").map(Entry::read).transpose()?;
        if fields.is_none() && !appends {
            return Err("Item has no mapping for key 'fields'".to_owned());
        }
        let comps = item.get("comps").map(Entry::read).transpose()?;
        let values = match item.get("values") {
            None => Vec::new(),
            Some(values) => {
                let Some(values) = values.items() else {
                    return Err("Rule exception values must be a sequence".to_owned());
                };
                values.iter().map(Entry::read).collect::<Result<_, _>>()?
            }
        };
        read.push(Exception { name, fields, comps, values });
    }
    Ok(read)
}

/// What is odd about the exceptions of an item, though it can be read. `appends`: to those of an earlier item.
pub(crate) fn warnings(item: &Node, appends: bool) -> Vec<String> {
    let mut found = Vec::new();
    let mut names = Vec::new();
    for exception in item.get("exceptions").and_then(Node::items).unwrap_or_default() {
        let name = exception.get("name").and_then(Node::scalar).unwrap_or_default();
        if names.contains(&name) {
            found.push(format!("Multiple definitions of exception '{name}' in the same rule"));
        }
        names.push(name);
        if appends && exception.get("values").is_none() {
            found.push("Overriding/appending exception with no values".to_owned());
        }
    }
    found
}

/// Merges appended exceptions: new ones as a whole, of known ones the values only.
pub(crate) fn append(known: &mut Vec<Exception>, new: Vec<Exception>) -> Result<(), String> {
    for mut exception in new {
        match known.iter_mut().find(|known| known.name == exception.name) {
            Some(_) if exception.fields.is_some() => {
                return Err("Can not append exception fields to existing exception, only values".to_owned());
            }
            Some(_) if exception.comps.is_some() => {
                return Err("Can not append exception comps to existing exception, only values".to_owned());
            }
            Some(known) => known.values.append(&mut exception.values),
            None if exception.fields.is_none() => {
                return Err("Rule exception must have fields property with a list of fields".to_owned());
            }
            None if exception.values.is_empty() => {
                return Err("Rule exception must have values property with a list of values".to_owned());
            }
            None => {
                check(&mut exception)?;
                known.push(exception);
            }
        }
    }
    Ok(())
}

/// Checks an exception and fills in the operators that it leaves out.
pub(crate) fn check(exception: &mut Exception) -> Result<(), String> {
    let Some(fields) = &exception.fields else {
        return Err("Rule exception item must have fields property with a list of fields".to_owned());
    };
    match fields {
        Entry::List(fields) => {
            let comps = exception
                .comps
                .get_or_insert_with(|| Entry::List(fields.iter().map(|_| Entry::One("=".to_owned())).collect()));
            let Entry::List(comps) = comps else {
                return Err("Fields and comps lists must have equal length".to_owned());
            };
            if fields.len() != comps.len() {
                return Err("Fields and comps lists must have equal length".to_owned());
            }
            if let Some(comp) = comps.iter().find(|comp| comparison(comp.text()).is_none()) {
                return Err(format!("'{}' is not a supported comparison operator", comp.text()));
            }
            fields.iter().try_for_each(|field| check_field(field.text()))
        }
        Entry::One(field) => {
            let comps = exception.comps.get_or_insert_with(|| Entry::One("in".to_owned()));
            let Entry::One(comp) = comps else { return Err("Fields and comps must both be strings".to_owned()) };
            if !comparison(comp).is_some_and(|comparison| comparison == Takes::List) {
                return Err("When fields is a single value, comps must be one of (in, pmatch, intersects) \
                            or an operator with oneof, anyof or allof"
                    .to_owned());
            }
            check_field(field)
        }
    }
}

fn check_field(field: &str) -> Result<(), String> {
    let operand = parse_operand(field.trim()).ok();
    let is_known = operand.is_some_and(|operand| source(&operand).is_ok());
    if is_known { Ok(()) } else { Err(format!("'{field}' is not a supported filter field")) }
}

/// What stands on the right of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    One,
    List,
}

/// `contains`, `in`, `startswith oneof`, ...; `None` when there is no such operator.
fn comparison(text: &str) -> Option<Takes> {
    let mut words = text.split_ascii_whitespace();
    let base = words.next().unwrap_or_default();
    let operator = Operator::ALL.iter().copied().find(|operator| operator.as_str() == base);
    let operator = operator.or((base == "==").then_some(Operator::Equal));
    let (modifier, rest) = (words.next(), words.next());
    match (operator, modifier, rest) {
        (None, None, None) if base == "exists" => Some(Takes::One),
        (Some(operator), None, None) => Some(if operator.takes_list() { Takes::List } else { Takes::One }),
        (Some(operator), Some("oneof" | "anyof" | "allof"), None) => {
            (!operator.takes_list() && !operator.is_numeric()).then_some(Takes::List)
        }
        _ => None,
    }
}

/// The condition with its exceptions: `(condition) and not ((field op value and ...) or ...)`.
pub(crate) fn applied(condition: &str, exceptions: &[Exception]) -> Result<String, String> {
    if exceptions.is_empty() {
        return Ok(condition.to_owned());
    }
    let mut text = format!("({condition})");
    for exception in exceptions.iter().filter(|exception| !exception.values.is_empty()) {
        let place = (&exception.fields, &exception.comps);
        let excluded = match place {
            (Some(Entry::One(field)), Some(comp)) => single(field, comp.text(), &exception.values)?,
            (Some(Entry::List(fields)), Some(Entry::List(comps))) => several(fields, comps, &exception.values)?,
            _ => return Err("Fields and comps lists must have equal length".to_owned()),
        };
        text.push_str(" and not ");
        text.push_str(&excluded);
    }
    Ok(text)
}

fn single(field: &str, comp: &str, values: &[Entry]) -> Result<String, String> {
    let item = |value: &Entry| match value {
        Entry::One(text) => Ok(list_item(text)),
        Entry::List(_) => Err("Expected values array to contain a list of strings".to_owned()),
    };
    let items: Vec<_> = values.iter().map(item).collect::<Result<_, _>>()?;
    Ok(format!("({field} {comp} ({}))", items.join(", ")))
}

fn several(fields: &[Entry], comps: &[Entry], values: &[Entry]) -> Result<String, String> {
    let mut alternatives = Vec::new();
    for value in values {
        let Entry::List(value) = value else {
            return Err("Fields and values lists must have equal length".to_owned());
        };
        if value.len() != fields.len() {
            return Err("Fields and values lists must have equal length".to_owned());
        }
        let tests = fields.iter().zip(comps).zip(value);
        let tests: Vec<_> = tests
            .map(|((field, comp), value)| format!("{} {} {}", field.text(), comp.text(), right(comp.text(), value)))
            .collect();
        alternatives.push(format!("({})", tests.join(" and ")));
    }
    Ok(format!("({})", alternatives.join(" or ")))
}

fn right(comp: &str, value: &Entry) -> String {
    match value {
        Entry::List(items) => {
            let items: Vec<_> = items.iter().map(|item| list_item(item.text())).collect();
            format!("({})", items.join(", "))
        }
        Entry::One(text) if comparison(comp) == Some(Takes::List) => {
            if text.starts_with('(') {
                text.clone()
            } else {
                format!("({text})")
            }
        }
        Entry::One(text) => quoted_item(text),
    }
}
