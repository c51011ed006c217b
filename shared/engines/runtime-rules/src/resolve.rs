//! From what the files say to the rules in force: exceptions and lists as text, macros as trees, then types.

use std::collections::HashMap;

use model::{Fault, FaultKind};

use crate::append;
use crate::ast::{Condition, Operand, Right};
use crate::collect::{Collected, SYSCALL};
use crate::exceptions;
use crate::items::{MacroItem, Place, RuleItem};
use crate::lists::Lists;
use crate::macros::{Failed, Macros};
use crate::output::Output;
use crate::parser::{parse, parse_operand};
use crate::set::{LoadOptions, Loaded, Rule, RuleSet};
use crate::source::source;
use crate::typed::typed;
use crate::types::EventTypes;

/// Resolves everything that the files define.
pub(crate) struct Resolver<'a> {
    collected: &'a Collected,
    options: &'a LoadOptions,
    lists: Lists,
    faults: Vec<Fault>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(collected: &'a Collected, options: &'a LoadOptions) -> Self {
        Self { lists: Lists::of(collected), collected, options, faults: collected.faults.clone() }
    }

    /// Builds the rules; what is broken becomes a fault.
    pub(crate) fn rules(mut self) -> Loaded {
        if self.collected.has_errors && self.options.all_or_nothing {
            return Loaded { faults: self.faults, ..Loaded::default() };
        }
        self.warn_of_names();
        let macros = self.macros();
        let (mut rules, mut disabled, mut switched_off) = (Vec::new(), Vec::new(), Vec::new());
        for item in self.collected.rules.all().iter().map(|rule| &rule.item).filter(|rule| rule.source == SYSCALL) {
            if !item.enabled {
                disabled.push(item.name.clone());
            }
            match self.rule(item, &macros) {
                Ok(_) if item.priority > self.options.least_priority => {}
                Ok(rule) if item.enabled => rules.push(rule),
                Ok(rule) => switched_off.push(rule),
                Err(what) => self.faults.push(self.rule_fault(item, &what)),
            }
            if self.options.all_or_nothing && self.faults.iter().any(|fault| fault.kind == FaultKind::Invalid) {
                return Loaded { faults: self.faults, ..Loaded::default() };
            }
        }
        if self.options.warn_unused {
            self.warn_unused();
        }
        Loaded { rules: RuleSet::new(rules), faults: self.faults, disabled, switched_off }
    }

    fn macros(&mut self) -> Macros {
        let parsed: HashMap<_, _> = self
            .collected
            .macros
            .all()
            .iter()
            .map(|item| (item.item.name.clone(), self.parse(&item.item.condition)))
            .collect();
        let (macros, failed) = Macros::resolve(&self.collected.macros, parsed, self.options.max_comparisons);
        for Failed { name, what, circle } in failed {
            if let Some(MacroItem { place, .. }) = self.collected.macros.get(&name).map(|item| &item.item) {
                let remedy = match circle.as_slice() {
                    [] => self.remedy_of_macro(&what, "is defined only later: move it up"),
                    circle => format!("these macros name each other in a circle: {}", circle.join(" -> ")),
                };
                let fault = fault(FaultKind::Invalid, place, &what).about(format!("macro {name}"));
                self.faults.push(fault.cure(&remedy));
            }
        }
        macros
    }

    /// What helps where a macro is missing: it is defined nowhere, or `otherwise`.
    fn remedy_of_macro(&self, what: &str, otherwise: &str) -> String {
        let Some(name) = what.strip_prefix("Undefined macro '").and_then(|rest| rest.split('\'').next()) else {
            return String::new();
        };
        match self.collected.macros.get(name) {
            Some(_) => format!("macro {name} {otherwise}"),
            None => "define it, or load the file that does before this one".to_owned(),
        }
    }

    fn parse(&self, condition: &str) -> Result<Condition, String> {
        let text = self.lists.substitute(condition)?;
        parse(&text).map_err(|error| format!("{} (at character {} of the condition)", error.what, error.position))
    }

    fn rule(&mut self, item: &RuleItem, macros: &Macros) -> Result<Rule, String> {
        let tree = self.parse(&exceptions::applied(&item.condition, &item.exceptions)?)?;
        let condition = macros.expand(tree)?;
        let output = Output::compile(&append::format(item, &self.options.append_output))?;
        let extra_outputs = append::extra_outputs(item, &self.options.append_output)?;
        let node = typed(&condition)?;
        let types = EventTypes::of(&condition);
        self.warn_of_rule(item, &condition, &output, &types);
        let mut tags = item.tags.clone();
        tags.sort();
        tags.dedup();
        Ok(Rule {
            name: item.name.clone(),
            description: item.description.clone(),
            priority: item.priority,
            tags,
            source: item.source.clone(),
            condition_text: item.condition.clone(),
            condition,
            output_text: item.output.clone(),
            output,
            extra_outputs,
            types,
            exceptions: item.exceptions.iter().map(|exception| exception.name.clone()).collect(),
            capture: item.capture,
            capture_duration_ms: item.capture_duration,
            place: (item.place.file.clone(), item.place.line),
            node,
        })
    }

    fn rule_fault(&self, item: &RuleItem, what: &str) -> Fault {
        let is_unknown = ["nonexistent field", "invalid formatting token", "unknown event type"]
            .iter()
            .any(|part| what.contains(part));
        let kind = if is_unknown && item.skips_unknown { FaultKind::Warning } else { FaultKind::Invalid };
        let remedy = match what {
            what if what.contains("unknown event type") => {
                "see `biotope rules fields --events` for the types there are"
            }
            _ if is_unknown => "see `biotope rules fields` for the fields there are",
            what => &self.remedy_of_macro(what, "is broken itself: see what is said of it"),
        };
        fault(kind, &item.place, what).about(format!("rule {}", item.name)).cure(remedy)
    }

    fn warn_of_rule(&mut self, item: &RuleItem, condition: &Condition, output: &Output, types: &EventTypes) {
        let mut said = Vec::new();
        if item.output.contains("%container.info") {
            said.push(CONTAINER_INFO.to_owned());
        }
        if types.is_broad() && item.warns_on_types {
            said.push("Rule matches too many evt.type values. This has a significant performance penalty.".to_owned());
        }
        let mut seen = Seen::default();
        look(condition, &mut seen);
        if seen.names_direction {
            said.push("usage of deprecated field 'evt.dir' has been detected in the rule condition".to_owned());
        }
        if output.names().any(|name| name == "evt.dir") {
            said.push("usage of deprecated field 'evt.dir' has been detected in the rule output".to_owned());
        }
        said.append(&mut seen.misused);
        for what in said {
            self.faults.push(fault(FaultKind::Warning, &item.place, &what).about(format!("rule {}", item.name)));
        }
    }

    /// Words that probably are names of lists which there are not.
    fn warn_of_names(&mut self) {
        let is_known = |word: &str| self.collected.macros.get(word).is_some();
        let macros = self.collected.macros.all().iter().map(|item| &item.item);
        let macros = macros.map(|item| (&item.place, format!("macro {}", item.name), &item.condition));
        let rules = self.collected.rules.all().iter().map(|item| &item.item);
        let rules = rules.map(|item| (&item.place, format!("rule {}", item.name), &item.condition));
        for (place, name, condition) in macros.chain(rules) {
            for what in self.lists.misspelt(condition, &is_known) {
                self.faults.push(fault(FaultKind::Warning, place, &what).about(name.clone()));
            }
        }
    }

    /// Lists and macros that no condition names, neither in the text nor through others.
    fn warn_unused(&mut self) {
        let mut words = std::collections::HashSet::new();
        let is_part = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '=' | '"' | '\'');
        let texts = self.collected.macros.all().iter().map(|item| item.item.condition.as_str());
        for text in texts.chain(self.collected.rules.all().iter().map(|rule| rule.item.condition.as_str())) {
            words.extend(text.split(is_part));
        }
        let exceptions = self.collected.rules.all().iter().flat_map(|rule| &rule.item.exceptions);
        let texts: Vec<String> = exceptions.map(|exception| format!("{:?}", exception.values)).collect();
        words.extend(texts.iter().flat_map(|text| text.split(is_part)));
        for list in self.collected.lists.all() {
            words.extend(list.item.items.iter().map(String::as_str));
        }
        let mut faults = Vec::new();
        for item in self.collected.macros.all().iter().filter(|item| !words.contains(item.item.name.as_str())) {
            let what = fault(FaultKind::Warning, &item.item.place, "Macro not referred to by any other rule/macro");
            faults.push(what.about(format!("macro {}", item.item.name)));
        }
        for item in self.collected.lists.all().iter().filter(|item| !words.contains(item.item.name.as_str())) {
            let what = fault(FaultKind::Warning, &item.item.place, "List not referred to by any other rule/macro");
            faults.push(what.about(format!("list {}", item.item.name)));
        }
        self.faults.append(&mut faults);
    }
}

fn fault(kind: FaultKind, place: &Place, what: &str) -> Fault {
    Fault::new(kind, &place.file, what).at(place.line, place.column)
}

#[derive(Default)]
struct Seen {
    names_direction: bool,
    misused: Vec<String>,
}

/// Looks for what works, but probably not as meant.
fn look(condition: &Condition, seen: &mut Seen) {
    match condition {
        Condition::And(children) | Condition::Or(children) => children.iter().for_each(|child| look(child, seen)),
        Condition::Not(child) => look(child, seen),
        Condition::Exists(left) => seen.names_direction |= is_direction(left),
        Condition::Compare { left, right, .. } => {
            seen.names_direction |= is_direction(left);
            match right {
                Right::Text(text) => seen.misused.extend(misused(text)),
                Right::List(list) | Right::Quantified(_, list) => {
                    seen.misused.extend(list.iter().filter_map(|text| misused(text)))
                }
                Right::Operand(_) => {}
            }
        }
        Condition::Macro(_) => {}
    }
}

fn is_direction(operand: &Operand) -> bool {
    matches!(operand, Operand::Field(field) if field.name == "evt.dir")
}

/// A text that names a field or applies a transformer was probably not meant as a text.
fn misused(text: &str) -> Option<String> {
    if !text.contains(['.', '(']) {
        return None;
    }
    let operand = parse_operand(text.trim()).ok()?;
    source(&operand).ok()?;
    let kind = if matches!(operand, Operand::Field(_)) { "field" } else { "field transformer" };
    Some(format!("'{text}' may be a valid {kind} misused as a const string value"))
}

const CONTAINER_INFO: &str = "%container.info is deprecated and no more useful: \
    the container's fields are added to every output";
