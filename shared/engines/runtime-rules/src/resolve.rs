//! Lists as text, macros as trees, exceptions: from what the files say to the rules in force.

use std::collections::HashMap;

use model::{Fault, FaultKind};
use serde_json::Value;

use crate::ast::{Condition, Operand, Operator, Quantifier, Right};
use crate::loader::{Collected, Exception, MacroItem, RuleItem};
use crate::output::Output;
use crate::parser::{parse, parse_operand};
use crate::set::{Loaded, Rule, RuleSet};
use crate::typed::typed;
use crate::types::EventTypes;

pub(crate) struct Compiler {
    collected: Collected,
    lists: Vec<(String, String)>,
    macros: HashMap<String, Condition>,
    faults: Vec<Fault>,
}

impl Compiler {
    pub(crate) fn new(mut collected: Collected, _options: &crate::LoadOptions) -> Self {
        let mut faults = std::mem::take(&mut collected.faults);
        faults.extend(unused_lists(&collected));
        let mut compiler = Self { lists: lists(&collected), collected, macros: HashMap::new(), faults };
        let mut macros = std::mem::take(&mut compiler.collected.macros);
        macros.sort_by_key(|item| item.order);
        for item in &macros {
            match compiler.macro_tree(item) {
                Ok(tree) => drop(compiler.macros.insert(item.name.clone(), tree)),
                Err(what) => {
                    let fault = Fault::new(FaultKind::Invalid, &item.place.file, what).at(item.place.line, 0);
                    compiler.faults.push(fault.about(format!("macro {}", item.name)));
                }
            }
        }
        compiler
    }

    /// A macro sees the macros before it: a later or undefined name, its own included, is an error.
    fn macro_tree(&self, item: &MacroItem) -> Result<Condition, String> {
        let text = substitute_lists(&item.condition, &self.lists);
        let tree = parse(&text).map_err(|error| error.to_string())?;
        self.expand(tree, 0)
    }

    fn expand(&self, tree: Condition, depth: usize) -> Result<Condition, String> {
        if depth > 400 {
            return Err("condition is nested too deep".to_owned());
        }
        let many = |children: Vec<Condition>| {
            children.into_iter().map(|child| self.expand(child, depth + 1)).collect::<Result<Vec<_>, _>>()
        };
        Ok(match tree {
            Condition::And(children) => Condition::And(many(children)?),
            Condition::Or(children) => Condition::Or(many(children)?),
            Condition::Not(child) => Condition::Not(Box::new(self.expand(*child, depth + 1)?)),
            Condition::Macro(name) => {
                self.macros.get(&name).cloned().ok_or_else(|| format!("Undefined macro '{name}' used in filter."))?
            }
            other @ (Condition::Exists(_) | Condition::Compare { .. }) => other,
        })
    }

    pub(crate) fn finish(mut self) -> Loaded {
        let mut rules = Vec::new();
        let mut disabled = Vec::new();
        for item in std::mem::take(&mut self.collected.rules) {
            if !item.enabled {
                disabled.push(item.name.clone());
            }
            match self.rule(&item) {
                Ok(rule) if item.enabled => rules.push(rule),
                Ok(_) => {}
                Err(what) => {
                    let is_unknown = what.contains("nonexistent field");
                    let kind = if is_unknown && item.skips_unknown { FaultKind::Warning } else { FaultKind::Invalid };
                    let remedy = if is_unknown { "see `biotope rules fields` for the fields there are" } else { "" };
                    let fault = Fault::new(kind, &item.place.file, what).at(item.place.line, 0);
                    self.faults.push(fault.about(format!("rule {}", item.name)).cure(remedy));
                }
            }
        }
        Loaded { rules: RuleSet::new(rules), faults: self.faults, disabled }
    }

    fn rule(&mut self, item: &RuleItem) -> Result<Rule, String> {
        let text = substitute_lists(&item.condition, &self.lists);
        let tree = parse(&text).map_err(|error| error.to_string())?;
        let tree = self.with_exceptions(tree, item)?;
        let condition = self.expand(tree, 0)?;
        let node = typed(&condition)?;
        let output = Output::compile(&item.output)?;
        let types = EventTypes::of(&condition);
        let mut warn = |what: &str| {
            let fault = Fault::new(FaultKind::Warning, &item.place.file, what).at(item.place.line, 0);
            self.faults.push(fault.about(format!("rule {}", item.name)));
        };
        if types.is_broad() && item.warns_on_types {
            warn("Rule matches too many evt.type values. This has a significant performance penalty.");
        }
        if names_field(&condition, "evt.dir") {
            warn("usage of deprecated field 'evt.dir' has been detected in the rule condition");
        }
        if output.names().any(|name| name == "evt.dir") {
            warn("usage of deprecated field 'evt.dir' has been detected in the rule output");
        }
        Ok(Rule {
            name: item.name.clone(),
            description: item.description.clone(),
            priority: item.priority,
            tags: item.tags.clone(),
            condition,
            output,
            types,
            place: (item.place.file.clone(), item.place.line),
            node,
        })
    }

    /// `(condition) and not (values of the first exception) and not (...)`.
    fn with_exceptions(&mut self, tree: Condition, item: &RuleItem) -> Result<Condition, String> {
        let mut parts = vec![tree];
        for exception in item.exceptions.iter().filter(|exception| !exception.values.is_empty()) {
            let excluded = self.exception(exception, item)?;
            parts.push(Condition::Not(Box::new(excluded)));
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Condition::And(parts) })
    }

    fn exception(&mut self, exception: &Exception, item: &RuleItem) -> Result<Condition, String> {
        let operands: Vec<Operand> = exception
            .fields
            .iter()
            .map(|field| parse_operand(&field.replace(' ', "")).map_err(|error| error.to_string()))
            .collect::<Result<_, _>>()?;
        if exception.is_scalar {
            let (Some(left), Some(comp)) = (operands.first(), exception.comps.first()) else {
                return Err("exception without a field".to_owned());
            };
            let values = Value::Array(exception.values.clone());
            return self.exception_test(left, comp, &values, item);
        }
        let mut alternatives = Vec::new();
        for value in &exception.values {
            let Value::Array(values) = value else {
                return Err(format!(
                    "Exception values for {}: each must be a list with one item for each field",
                    exception.name
                ));
            };
            if values.len() != operands.len() {
                return Err(format!(
                    "Exception values for {}: fields and values lists must have equal length",
                    exception.name
                ));
            }
            let mut tests = Vec::new();
            for ((left, comp), value) in operands.iter().zip(&exception.comps).zip(values) {
                tests.push(self.exception_test(left, comp, value, item)?);
            }
            alternatives.push(if tests.len() == 1 { tests.remove(0) } else { Condition::And(tests) });
        }
        Ok(if alternatives.len() == 1 { alternatives.remove(0) } else { Condition::Or(alternatives) })
    }

    fn exception_test(
        &mut self,
        left: &Operand,
        comp: &str,
        value: &Value,
        item: &RuleItem,
    ) -> Result<Condition, String> {
        let mut words = comp.split_whitespace();
        let base = words.next().unwrap_or("=");
        let operator = Operator::ALL
            .iter()
            .copied()
            .find(|known| known.as_str() == base || (base == "==" && *known == Operator::Equal));
        let operator = operator.ok_or_else(|| format!("'{comp}' is not a supported comparison operator"))?;
        let quantifier = match words.next() {
            Some("oneof") => Some(Quantifier::OneOf),
            Some("anyof") => Some(Quantifier::AnyOf),
            Some("allof") => Some(Quantifier::AllOf),
            _ => None,
        };
        let right = if operator.takes_list() || quantifier.is_some() {
            let list = match value {
                Value::Array(items) => items.iter().map(text_of).collect(),
                single => self.list_named(&text_of(single)),
            };
            quantifier.map_or(Right::List(list.clone()), |quantifier| Right::Quantified(quantifier, list))
        } else {
            self.exception_right(&text_of(value), item)
        };
        Ok(Condition::Compare { left: left.clone(), operator, right })
    }

    /// A list by name, or a list in parentheses, or one value.
    fn list_named(&self, text: &str) -> Vec<String> {
        let inner = text.trim().strip_prefix('(').and_then(|text| text.strip_suffix(')'));
        let content = match inner {
            Some(inner) => substitute_lists(inner, &self.lists),
            None => self
                .lists
                .iter()
                .find(|(name, _)| name == text.trim())
                .map_or_else(|| text.to_owned(), |(_, content)| content.clone()),
        };
        match parse(&format!("a.b in ({content})")) {
            Ok(Condition::Compare { right: Right::List(list), .. }) => list,
            _ => vec![text.to_owned()],
        }
    }

    /// `val(field)` and transformers stay operands; a text that only looks like one is warned about.
    fn exception_right(&mut self, text: &str, item: &RuleItem) -> Right {
        let unquoted = text.trim_matches('"');
        if !unquoted.contains(' ')
            && let Ok(Condition::Compare { right: Right::Operand(operand), .. }) = parse(&format!("a.b = {unquoted}"))
        {
            return Right::Operand(operand);
        }
        let compact = text.replace([' ', '"'], "");
        let (looks_like, what) = match parse_operand(&compact) {
            Ok(operand @ Operand::Field(_)) => (crate::source::source(&operand).is_ok(), "field"),
            Ok(operand @ Operand::Transform { .. }) => (crate::source::source(&operand).is_ok(), "field transformer"),
            Err(_) => (false, ""),
        };
        if looks_like {
            let said = format!("'{unquoted}' may be a valid {what} misused as a const string value");
            self.faults.push(
                Fault::new(FaultKind::Warning, &item.place.file, said)
                    .at(item.place.line, 0)
                    .about(format!("rule {}", item.name)),
            );
        }
        Right::Text(unquoted.to_owned())
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Each list as the text that stands for its name; a list may use lists before it.
fn lists(collected: &Collected) -> Vec<(String, String)> {
    let mut in_order: Vec<_> = collected.lists.iter().collect();
    in_order.sort_by_key(|list| list.order);
    let mut known: Vec<(String, String)> = Vec::new();
    for list in in_order {
        let items = list.items.iter().filter_map(|item| match known.iter().find(|(name, _)| name == item) {
            Some((_, content)) if content.is_empty() => None,
            Some((_, content)) => Some(content.clone()),
            None => Some(quote_item(item)),
        });
        let content = items.collect::<Vec<_>>().join(", ");
        known.push((list.name.clone(), content));
    }
    known
}

/// A warning for each list that nothing names.
fn unused_lists(collected: &Collected) -> Vec<Fault> {
    let conditions =
        collected.macros.iter().map(|item| &item.condition).chain(collected.rules.iter().map(|item| &item.condition));
    let items = collected.lists.iter().flat_map(|list| &list.items);
    let values = collected
        .rules
        .iter()
        .flat_map(|rule| &rule.exceptions)
        .flat_map(|exception| &exception.values)
        .map(Value::to_string);
    let mut words: std::collections::HashSet<String> = std::collections::HashSet::new();
    for text in conditions.chain(items).cloned().chain(values) {
        words.extend(
            text.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '=' | '"' | '[' | ']'))
                .map(str::to_owned),
        );
    }
    let unused = collected.lists.iter().filter(|list| !words.contains(&list.name));
    unused
        .map(|list| {
            let what = "List not referred to by any other rule/macro";
            Fault::new(FaultKind::Warning, &list.place.file, what)
                .at(list.place.line, 0)
                .about(format!("list {}", list.name))
        })
        .collect()
}

/// An item with a blank or a character of the grammar is quoted, unless it is already.
fn quote_item(item: &str) -> String {
    let is_quoted = item.len() >= 2
        && ((item.starts_with('"') && item.ends_with('"')) || (item.starts_with('\'') && item.ends_with('\'')));
    let needs = item.is_empty()
        || item.contains(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '=' | '"' | '\''));
    if needs && !is_quoted { format!("\"{}\"", crate::escape::escaped(item)) } else { item.to_owned() }
}

/// Lists are substituted as text wherever their name stands as a whole word outside quotes; an empty list takes a comma with it.
fn substitute_lists(condition: &str, lists: &[(String, String)]) -> String {
    let contents: HashMap<&str, &str> = lists.iter().map(|(name, content)| (name.as_str(), content.as_str())).collect();
    let mut out = String::with_capacity(condition.len());
    let mut rest = condition;
    let is_delimiter = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '=');
    while let Some(first) = rest.chars().next() {
        if matches!(first, '"' | '\'') {
            let mut before = ' ';
            let body = rest.get(1..).unwrap_or_default();
            let end = body.char_indices().find(|(_, c)| {
                let closes = *c == first && before != '\\';
                before = *c;
                closes
            });
            let length = end.map_or(rest.len(), |(at, _)| at + 2);
            out.push_str(rest.get(..length).unwrap_or_default());
            rest = rest.get(length..).unwrap_or_default();
            continue;
        }
        if is_delimiter(first) {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        }
        let length = rest.find(|c: char| is_delimiter(c) || matches!(c, '"' | '\'')).unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default();
        rest = rest.get(length..).unwrap_or_default();
        match contents.get(word) {
            Some(&"") => {
                if let Some(tail) = rest.trim_start().strip_prefix(',') {
                    rest = tail;
                } else if out.trim_end().ends_with(',') {
                    out.truncate(out.trim_end().len().saturating_sub(1));
                }
            }
            Some(content) => out.push_str(content),
            None => out.push_str(word),
        }
    }
    out
}

fn names_field(condition: &Condition, name: &str) -> bool {
    match condition {
        Condition::And(children) | Condition::Or(children) => children.iter().any(|child| names_field(child, name)),
        Condition::Not(child) => names_field(child, name),
        Condition::Exists(Operand::Field(field)) | Condition::Compare { left: Operand::Field(field), .. } => {
            field.name == name
        }
        Condition::Exists(_) | Condition::Compare { .. } | Condition::Macro(_) => false,
    }
}
