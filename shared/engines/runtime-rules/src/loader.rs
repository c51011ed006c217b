//! Rules files: lists, macros, rules, exceptions, appends and overrides, merged in the order of the files.

use std::collections::HashMap;
use std::fmt;

use model::{Fault, FaultKind};
use serde_json::{Map, Value};

/// How urgent an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each is its name")]
pub enum Priority {
    Emergency,
    Alert,
    Critical,
    Error,
    Warning,
    Notice,
    Informational,
    Debug,
}

impl Priority {
    const ALL: [Self; 8] = [
        Self::Emergency,
        Self::Alert,
        Self::Critical,
        Self::Error,
        Self::Warning,
        Self::Notice,
        Self::Informational,
        Self::Debug,
    ];

    /// The word that alerts carry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Emergency => "Emergency",
            Self::Alert => "Alert",
            Self::Critical => "Critical",
            Self::Error => "Error",
            Self::Warning => "Warning",
            Self::Notice => "Notice",
            Self::Informational => "Informational",
            Self::Debug => "Debug",
        }
    }

    /// Reads the word in any case; `INFO` is short for informational.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_it = |p: &Self| p.as_str().eq_ignore_ascii_case(text);
        Self::ALL.into_iter().find(is_it).or_else(|| text.eq_ignore_ascii_case("info").then_some(Self::Informational))
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Where an item stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub(crate) file: String,
    pub(crate) line: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct ListItem {
    pub(crate) name: String,
    pub(crate) items: Vec<String>,
    pub(crate) place: Place,
    pub(crate) order: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct MacroItem {
    pub(crate) name: String,
    pub(crate) condition: String,
    pub(crate) place: Place,
    pub(crate) order: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct RuleItem {
    pub(crate) name: String,
    pub(crate) condition: String,
    pub(crate) output: String,
    pub(crate) description: String,
    pub(crate) priority: Priority,
    pub(crate) tags: Vec<String>,
    pub(crate) enabled: bool,
    pub(crate) source: String,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) warns_on_types: bool,
    pub(crate) skips_unknown: bool,
    pub(crate) place: Place,
}

#[derive(Clone, Debug)]
pub(crate) struct Exception {
    pub(crate) name: String,
    pub(crate) fields: Vec<String>,
    pub(crate) comps: Vec<String>,
    pub(crate) is_scalar: bool,
    pub(crate) values: Vec<Value>,
}

/// Everything that the files define, merged.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) lists: Vec<ListItem>,
    pub(crate) macros: Vec<MacroItem>,
    pub(crate) rules: Vec<RuleItem>,
    pub(crate) faults: Vec<Fault>,
    order: usize,
    names: HashMap<(&'static str, String), usize>,
    /// Rules of other sources, by name.
    skipped: HashMap<String, String>,
}

impl Collected {
    /// Adds a file.
    pub(crate) fn file(&mut self, file: &str, text: &str, _options: &crate::LoadOptions) {
        if text.trim().is_empty() {
            return;
        }
        let options = serde_saphyr::options! { strict_booleans: true };
        let items = match serde_saphyr::from_str_with_options::<Value>(text, options) {
            Ok(Value::Array(items)) => items,
            Ok(Value::Null) => return,
            Ok(_) => {
                self.faults.push(
                    invalid(&Place { file: file.to_owned(), line: 1 }, "Rules content is not yaml array of objects")
                        .cure("begin each item with `- rule:`, `- macro:` or `- list:`"),
                );
                return;
            }
            Err(error) => {
                let line = error.location().map_or(0, |at| u32::try_from(at.line()).unwrap_or(0));
                let what = error.to_string().lines().next().unwrap_or_default().to_owned();
                self.faults.push(
                    invalid(&Place { file: file.to_owned(), line }, format!("Could not load YAML: {what}"))
                        .cure("mend the syntax"),
                );
                return;
            }
        };
        let lines = item_lines(text);
        for (number, item) in items.into_iter().enumerate() {
            let place = Place { file: file.to_owned(), line: lines.get(number).copied().unwrap_or(0) };
            self.order += 1;
            match item {
                Value::Object(item) => self.item(&item, place),
                Value::Null => {}
                _ => self
                    .faults
                    .push(invalid(&place, "Unexpected element type. Each element should be a yaml associative array.")),
            }
        }
    }

    fn item(&mut self, item: &Map<String, Value>, place: Place) {
        let has = |key: &str| item.contains_key(key);
        let (subject, result) = if has("required_engine_version") {
            ("required_engine_version".to_owned(), engine_version(item))
        } else if has("required_plugin_versions") {
            ("required_plugin_versions".to_owned(), plugin_versions(item))
        } else if has("list") {
            (format!("list {}", text(item, "list")), self.list(item, &place))
        } else if has("macro") {
            (format!("macro {}", text(item, "macro")), self.macro_(item, &place))
        } else if has("rule") {
            (format!("rule {}", text(item, "rule")), self.rule(item, &place))
        } else {
            self.faults.push(warning(&place, "Unknown top level item"));
            return;
        };
        if let Err(what) = result {
            self.faults.push(invalid(&place, what).about(subject));
        }
    }

    fn unknown_keys(&mut self, item: &Map<String, Value>, known: &[&str], place: &Place) {
        for key in item.keys().filter(|key| !known.contains(&key.as_str())) {
            self.faults.push(warning(place, format!("Unknown key '{key}'")));
        }
    }

    fn list(&mut self, item: &Map<String, Value>, place: &Place) -> Result<(), String> {
        let name = nonempty(item, "list")?;
        self.unknown_keys(item, &["list", "items", "append", "override"], place);
        let action = Action::of(item, &["items"], &["items"], "List")?;
        let items = match item.get("items") {
            Some(Value::Array(items)) => items.iter().map(scalar).collect::<Result<Vec<_>, _>>()?,
            Some(_) => return Err("Value of key 'items' is not a list".to_owned()),
            None => return Err("Item has no mapping for key 'items'".to_owned()),
        };
        let order = self.order;
        let known = self.names.get(&("list", name.clone())).copied().and_then(|at| self.lists.get_mut(at));
        match (action.appends("items"), known) {
            (true, Some(list)) => {
                list.items.extend(items);
                list.order = order;
            }
            (true, None) => {
                return Err(
                    "List uses 'append' or 'override.items: append' but no list by that name already exists".to_owned()
                );
            }
            (false, Some(list)) => *list = ListItem { name, items, place: place.clone(), order },
            (false, None) => {
                self.names.insert(("list", name.clone()), self.lists.len());
                self.lists.push(ListItem { name, items, place: place.clone(), order });
            }
        }
        Ok(())
    }

    fn macro_(&mut self, item: &Map<String, Value>, place: &Place) -> Result<(), String> {
        let name = nonempty(item, "macro")?;
        self.unknown_keys(item, &["macro", "condition", "append", "override"], place);
        let action = Action::of(item, &["condition"], &["condition"], "Macro")?;
        let condition = nonempty(item, "condition")?;
        if !is_identifier(&name) {
            let what = "Macro has an invalid name. Macro names should match a regular expression";
            self.faults.push(
                warning(place, what).about(format!("macro {name}")).cure("use letters, digits and `_`, first a letter"),
            );
        }
        let order = self.order;
        let new = MacroItem { name: name.clone(), condition, place: place.clone(), order };
        let known = self.names.get(&("macro", name.clone())).copied().and_then(|at| self.macros.get_mut(at));
        match (action.appends("condition"), known) {
            (true, Some(known)) => {
                known.condition = format!("{} {}", known.condition, new.condition);
                known.order = order;
            }
            (true, None) => {
                return Err(
                    "Macro uses 'append' or 'override.condition: append' but no macro by that name already exists"
                        .to_owned(),
                );
            }
            (false, Some(known)) => *known = new,
            (false, None) => {
                self.names.insert(("macro", name), self.macros.len());
                self.macros.push(new);
            }
        }
        Ok(())
    }

    fn rule(&mut self, item: &Map<String, Value>, place: &Place) -> Result<(), String> {
        let name = nonempty(item, "rule")?;
        self.unknown_keys(item, &RULE_KEYS, place);
        if item.get("append").is_some_and(is_true) {
            let what = "'append' key is deprecated. Add an 'append' entry (e.g. 'condition: append') under 'override' instead.";
            self.faults.push(warning(place, what).about(format!("rule {name}")));
        }
        let action = Action::of(item, &APPENDABLE, &REPLACEABLE, "Rule")?;
        let known = self.names.get(&("rule", name.clone())).copied();
        let source = optional(item, "source");
        if let Some(other) =
            self.skipped.get(&name).filter(|other| source.as_ref().is_none_or(|source| source != *other))
        {
            return Err(format!("Rule has been re-defined with a different source: {other}"));
        }
        if !action.is_empty() {
            return self.change(known, item, &action);
        }
        if let (Some(at), Some(enabled), true) = (known, item.get("enabled"), !item.contains_key("condition")) {
            let what = "The standalone 'enabled' key usage is deprecated. The correct approach requires also a 'replace' entry under the 'override' key (i.e. 'enabled: replace').";
            self.faults.push(warning(place, what).about(format!("rule {name}")));
            if let Some(rule) = self.rules.get_mut(at) {
                rule.enabled = is_true(enabled);
            }
            return Ok(());
        }
        let source = source.unwrap_or_else(|| SYSCALL.to_owned());
        if let Some(old) = known.and_then(|at| self.rules.get(at)).filter(|old| old.source != source) {
            return Err(format!(
                "Rule has been re-defined with a different source: {} instead of {source}",
                old.source
            ));
        }
        if source != SYSCALL {
            let what = format!("rule for source `{source}`, which no loaded plugin has, is skipped");
            self.skipped.insert(name.clone(), source);
            self.faults.push(warning(place, what).about(format!("rule {name}")));
            return Ok(());
        }
        let new = rule(item, name.clone(), source, place)?;
        match known.and_then(|at| self.rules.get_mut(at)) {
            Some(old) => *old = new,
            None => {
                self.names.insert(("rule", name), self.rules.len());
                self.rules.push(new);
            }
        }
        Ok(())
    }

    /// `append: true` and `override`.
    fn change(&mut self, known: Option<usize>, item: &Map<String, Value>, action: &Action) -> Result<(), String> {
        let Some(rule) = known.and_then(|at| self.rules.get_mut(at)) else {
            return Err(if action.has_append() {
                "Rule uses 'append' or 'override.<key>: append' but no rule by that name already exists".to_owned()
            } else {
                "An 'override.<key>: replace' to a rule was requested but no rule by that name already exists"
                    .to_owned()
            });
        };
        if let Some(source) = optional(item, "source").filter(|source| *source != rule.source) {
            return Err(format!(
                "Rule has been re-defined with a different source: {} instead of {source}",
                rule.source
            ));
        }
        let join = |old: &str, new: &str| format!("{old} {new}");
        for (key, old) in
            [("condition", &mut rule.condition), ("output", &mut rule.output), ("desc", &mut rule.description)]
        {
            if let Some(new) = optional(item, key) {
                if action.appends(key) {
                    *old = join(old, &new);
                } else if action.replaces(key) {
                    *old = new;
                }
            }
        }
        if let Some(tags) = item.get("tags") {
            let tags = strings(tags)?;
            if action.replaces("tags") {
                rule.tags = tags;
            } else if action.appends("tags") {
                rule.tags.extend(tags);
            }
        }
        if let Some(list) = item.get("exceptions") {
            if action.replaces("exceptions") {
                rule.exceptions = exceptions(list, &[])?;
            } else if action.appends("exceptions") {
                merge_exceptions(&mut rule.exceptions, list)?;
            }
        }
        if let Some(word) = optional(item, "priority").filter(|_| action.replaces("priority")) {
            rule.priority = Priority::parse(&word).ok_or_else(|| format!("Invalid priority '{word}'"))?;
        }
        if let Some(enabled) = item.get("enabled").filter(|_| action.replaces("enabled")) {
            rule.enabled = is_true(enabled);
        }
        if let Some(warns) = item.get("warn_evttypes").filter(|_| action.replaces("warn_evttypes")) {
            rule.warns_on_types = is_true(warns);
        }
        Ok(())
    }
}

/// What `append` and `override` ask for, by key.
#[derive(Debug, Default)]
struct Action {
    append: Vec<String>,
    replace: Vec<String>,
}

impl Action {
    fn of(item: &Map<String, Value>, appendable: &[&str], replaceable: &[&str], kind: &str) -> Result<Self, String> {
        let mut action = Self::default();
        let old_append = item.get("append").is_some_and(is_true);
        let Some(wanted) = item.get("override") else {
            if old_append {
                let has_any = appendable.iter().any(|key| item.contains_key(*key));
                if !has_any {
                    return Err(format!("{kind} with 'append' must have at least one of: {}", appendable.join(", ")));
                }
                action.append = appendable.iter().map(|key| (*key).to_owned()).collect();
            }
            return Ok(action);
        };
        let Value::Object(wanted) = wanted else { return Err("Value of key 'override' is not a mapping".to_owned()) };
        if old_append {
            return Err("Keys 'override' and 'append: true' cannot be used together".to_owned());
        }
        for (key, how) in wanted {
            let how = how.as_str().unwrap_or_default();
            let allowed = match how {
                "append" => appendable,
                "replace" => replaceable,
                _ => {
                    return Err(format!(
                        "Invalid override operation for key '{key}': '{how}'. Allowed values are: 'append', 'replace'"
                    ));
                }
            };
            if !allowed.contains(&key.as_str()) {
                let other = if how == "append" { "replace" } else { "append" };
                let may_other = if how == "append" { replaceable } else { appendable }.contains(&key.as_str());
                let verb = if how == "append" { "appended to" } else { "replaced" };
                let hint = if may_other { format!(", use '{other}' instead") } else { String::new() };
                return Err(format!("Key '{key}' cannot be {verb}{hint}"));
            }
            if !item.contains_key(key) {
                let verb = if how == "append" { "An append" } else { "A replace" };
                return Err(format!("{verb} override for '{key}' was specified but '{key}' is not defined"));
            }
            if how == "append" { action.append.push(key.clone()) } else { action.replace.push(key.clone()) }
        }
        let named = |key: &String| {
            matches!(key.as_str(), "rule" | "macro" | "list" | "override" | "source") || wanted.contains_key(key)
        };
        match item
            .keys()
            .find(|key| !named(key) && (appendable.contains(&key.as_str()) || replaceable.contains(&key.as_str())))
        {
            Some(key) => Err(format!("Unexpected key '{key}': no corresponding entry under 'override' is present")),
            None => Ok(action),
        }
    }

    fn is_empty(&self) -> bool {
        self.append.is_empty() && self.replace.is_empty()
    }

    fn has_append(&self) -> bool {
        !self.append.is_empty()
    }

    fn appends(&self, key: &str) -> bool {
        self.append.iter().any(|known| known == key)
    }

    fn replaces(&self, key: &str) -> bool {
        self.replace.iter().any(|known| known == key)
    }
}

fn rule(item: &Map<String, Value>, name: String, source: String, place: &Place) -> Result<RuleItem, String> {
    let condition = nonempty(item, "condition")?;
    let output = nonempty(item, "output")?;
    let description = nonempty(item, "desc")?;
    let word = nonempty(item, "priority")?;
    let flag = |key: &str, default: bool| item.get(key).map_or(default, is_true);
    Ok(RuleItem {
        name,
        condition,
        output: output.trim().to_owned(),
        description,
        priority: Priority::parse(&word).ok_or_else(|| format!("Invalid priority '{word}'"))?,
        tags: item.get("tags").map_or(Ok(Vec::new()), strings)?,
        enabled: flag("enabled", true),
        source,
        exceptions: item.get("exceptions").map_or(Ok(Vec::new()), |list| exceptions(list, &[]))?,
        warns_on_types: flag("warn_evttypes", true),
        skips_unknown: flag("skip-if-unknown-filter", false),
        place: place.clone(),
    })
}

/// Reads exceptions; those of `known` may go without fields.
fn exceptions(list: &Value, known: &[Exception]) -> Result<Vec<Exception>, String> {
    let Value::Array(list) = list else { return Err("Value of key 'exceptions' is not a list".to_owned()) };
    let mut read = Vec::new();
    for item in list {
        let Value::Object(item) = item else { return Err("Exception is not a mapping".to_owned()) };
        let name = nonempty(item, "name")?;
        let is_known = known.iter().any(|known| known.name == name);
        let (fields, is_scalar) = match item.get("fields") {
            Some(Value::Array(fields)) => (fields.iter().map(scalar).collect::<Result<_, _>>()?, false),
            Some(field) => (vec![scalar(field)?], true),
            None if is_known => (Vec::new(), false),
            None => return Err("Item has no mapping for key 'fields'".to_owned()),
        };
        let comps = match item.get("comps") {
            Some(Value::Array(comps)) => comps.iter().map(scalar).collect::<Result<Vec<_>, _>>()?,
            Some(comp) => vec![scalar(comp)?],
            None if is_scalar => vec!["in".to_owned()],
            None => vec!["=".to_owned(); fields.len()],
        };
        check_exception(&fields, &comps, is_scalar)?;
        let values = item.get("values").and_then(Value::as_array).cloned().unwrap_or_default();
        read.push(Exception { name, fields, comps, is_scalar, values });
    }
    Ok(read)
}

fn check_exception(fields: &[String], comps: &[String], is_scalar: bool) -> Result<(), String> {
    if !is_scalar && comps.len() != fields.len() {
        return Err("Fields and comps lists must have equal length".to_owned());
    }
    for comp in comps {
        let mut words = comp.split_whitespace();
        let (base, modifier) = (words.next().unwrap_or_default(), words.next());
        let operator = crate::ast::Operator::ALL
            .iter()
            .find(|operator| operator.as_str() == base || (base == "==" && operator.as_str() == "="));
        let is_good = match (operator, modifier) {
            (Some(operator), Some("oneof" | "anyof" | "allof")) => !operator.takes_list() && !operator.is_numeric(),
            (Some(_), None) => true,
            _ => false,
        };
        if is_scalar && !(is_good && (modifier.is_some() || matches!(base, "in" | "pmatch" | "intersects"))) {
            return Err("When the fields property is a single value, comps must be one of (in, pmatch, intersects) or an operator with oneof, anyof or allof".to_owned());
        }
        if !is_good {
            return Err(format!("'{comp}' is not a supported comparison operator"));
        }
    }
    for field in fields {
        let known = crate::parser::parse_operand(&field.replace(' ', ""))
            .map_err(|_| ())
            .and_then(|operand| crate::source::source(&operand).map_err(|_| ()));
        if known.is_err() {
            return Err(format!("'{field}' is not a supported filter field"));
        }
    }
    Ok(())
}

fn merge_exceptions(old: &mut Vec<Exception>, list: &Value) -> Result<(), String> {
    for new in exceptions(list, old)? {
        match old.iter_mut().find(|known| known.name == new.name) {
            Some(known) if !new.fields.is_empty() => {
                return Err(format!(
                    "Can not append exception '{}' to existing rule: fields and comps cannot be changed",
                    known.name
                ));
            }
            Some(known) => known.values.extend(new.values),
            None => old.push(new),
        }
    }
    Ok(())
}

fn engine_version(item: &Map<String, Value>) -> Result<(), String> {
    let wanted = text(item, "required_engine_version");
    let numbers: Option<Vec<u32>> = wanted.split('.').map(|number| number.parse().ok()).collect();
    let (major, minor, patch) = match numbers.as_deref() {
        Some([minor]) => (0, *minor, 0),
        Some([major, minor, patch]) => (*major, *minor, *patch),
        _ => {
            return Err(format!(
                "Unable to parse engine version '{wanted}' as a semver string. Expected \"x.y.z\" semver format."
            ));
        }
    };
    let (our_major, our_minor, our_patch) = ENGINE_VERSION;
    if major == our_major && (our_minor, our_patch) >= (minor, patch) {
        Ok(())
    } else {
        Err(format!(
            "Rules require engine version {major}.{minor}.{patch}, but engine version is {our_major}.{our_minor}.{our_patch}"
        ))
    }
}

fn plugin_versions(item: &Map<String, Value>) -> Result<(), String> {
    let Some(Value::Array(plugins)) = item.get("required_plugin_versions") else {
        return Err("Value of key 'required_plugin_versions' is not a list".to_owned());
    };
    for plugin in plugins {
        let alternatives = plugin.get("alternatives").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let is_met = std::iter::once(plugin).chain(alternatives).any(|plugin| {
            let (name, version) = (
                plugin.get("name").and_then(Value::as_str),
                plugin.get("version").map(|version| scalar(version).unwrap_or_default()),
            );
            let minor =
                version.unwrap_or_default().split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok()).unwrap_or(0);
            name == Some("container") && minor <= CONTAINER_PLUGIN_MINOR
        });
        if !is_met {
            let name = plugin.get("name").and_then(Value::as_str).unwrap_or("?");
            return Err(format!("Plugin requirement not satisfied, must load one of: {name}"));
        }
    }
    Ok(())
}

/// Lines of the top-level items: those that begin with a dash in the first column (of the first item).
fn item_lines(text: &str) -> Vec<u32> {
    let indent = text
        .lines()
        .find(|line| line.trim_start().starts_with("- "))
        .map_or(0, |line| line.len() - line.trim_start().len());
    let is_item = |line: &str| {
        line.len() - line.trim_start().len() == indent && (line.trim_start().starts_with("- ") || line.trim() == "-")
    };
    text.lines().zip(1..).filter(|(line, _)| is_item(line)).map(|(_, number)| number).collect()
}

fn invalid(place: &Place, what: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Invalid, &place.file, what).at(place.line, 0)
}

fn warning(place: &Place, what: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Warning, &place.file, what).at(place.line, 0)
}

fn scalar(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(boolean) => Ok(boolean.to_string()),
        Value::Null => Ok("null".to_owned()),
        Value::Array(_) | Value::Object(_) => Err("expected a scalar".to_owned()),
    }
}

fn strings(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(items) => items.iter().map(scalar).collect(),
        _ => Err("expected a list of strings".to_owned()),
    }
}

fn text(item: &Map<String, Value>, key: &str) -> String {
    item.get(key).and_then(|value| scalar(value).ok()).unwrap_or_default()
}

fn optional(item: &Map<String, Value>, key: &str) -> Option<String> {
    item.get(key).filter(|value| !value.is_null()).and_then(|value| scalar(value).ok()).filter(|text| !text.is_empty())
}

fn nonempty(item: &Map<String, Value>, key: &str) -> Result<String, String> {
    match item.get(key) {
        None => Err(format!("Item has no mapping for key '{key}'")),
        Some(value) => {
            let text = scalar(value).map_err(|_| format!("Can't decode value of key '{key}'"))?;
            if text.trim().is_empty() { Err(format!("Value of key '{key}' is empty")) } else { Ok(text) }
        }
    }
}

fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true")))
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The version of upstream's rule engine whose language this is.
const ENGINE_VERSION: (u32, u32, u32) = (0, 63, 0);

/// The version of upstream's container plugin whose fields are built in: 0.9.
const CONTAINER_PLUGIN_MINOR: u32 = 9;

/// The only event source.
const SYSCALL: &str = "syscall";

const APPENDABLE: [&str; 5] = ["condition", "output", "desc", "tags", "exceptions"];
const REPLACEABLE: [&str; 11] = [
    "condition",
    "output",
    "desc",
    "tags",
    "exceptions",
    "priority",
    "enabled",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "capture",
    "capture_duration",
];
const RULE_KEYS: [&str; 15] = [
    "rule",
    "condition",
    "output",
    "desc",
    "tags",
    "exceptions",
    "priority",
    "enabled",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "append",
    "override",
    "source",
    "capture",
    "capture_duration",
];
