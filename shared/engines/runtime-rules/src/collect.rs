//! Rules files, item by item: definitions, appends and overrides merged in the order of the files.

use std::collections::HashMap;

use model::{Fault, FaultKind};

use crate::exceptions;
use crate::items::{ListItem, MacroItem, Place, RuleItem, flag, is_bare, is_identifier, optional, required, texts};
use crate::overrides::{Change, RULE, change};
use crate::priority::Priority;
use crate::requirements::{engine_version, plugin_versions};
use crate::set::LoadOptions;
use crate::yaml::{self, Node};

/// An item with the times of its first definition and its last change.
#[derive(Clone, Debug)]
pub(crate) struct Versioned<T> {
    pub(crate) item: T,
    pub(crate) index: usize,
    pub(crate) visibility: usize,
}

/// Items by name, in the order of their first definition.
#[derive(Debug)]
pub(crate) struct Named<T> {
    items: Vec<Versioned<T>>,
    places: HashMap<String, usize>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { items: Vec::new(), places: HashMap::new() }
    }
}

impl<T> Named<T> {
    pub(crate) fn all(&self) -> &[Versioned<T>] {
        &self.items
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Versioned<T>> {
        self.items.get(*self.places.get(name)?)
    }

    /// The item to change; this counts as its last change.
    pub(crate) fn touch(&mut self, name: &str, now: usize) -> Option<&mut T> {
        let known = self.items.get_mut(*self.places.get(name)?)?;
        known.visibility = now;
        Some(&mut known.item)
    }

    /// Defines an item anew; one of the same name keeps its place.
    fn define(&mut self, name: &str, item: T, now: usize) {
        match self.places.get(name).and_then(|place| self.items.get_mut(*place)) {
            Some(known) => (known.item, known.visibility) = (item, now),
            None => {
                self.places.insert(name.to_owned(), self.items.len());
                self.items.push(Versioned { item, index: now, visibility: now });
            }
        }
    }
}

/// Everything that the files define, merged.
#[derive(Debug, Default)]
pub(crate) struct Collected {
    pub(crate) lists: Named<ListItem>,
    pub(crate) macros: Named<MacroItem>,
    pub(crate) rules: Named<RuleItem>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) has_errors: bool,
    now: usize,
}

impl Collected {
    /// Adds a file.
    pub(crate) fn file(&mut self, file: &str, text: &str, options: &LoadOptions) {
        if text.len() > options.max_file_bytes {
            let what = format!("the file is larger than {} bytes", options.max_file_bytes);
            return self.error(Fault::new(FaultKind::Invalid, file, what).cure("split it, or raise the limit"));
        }
        let documents = match yaml::documents(text) {
            Ok(documents) => documents,
            Err(fault) => {
                let what = format!("Could not load YAML: {}", fault.what);
                let fault = Fault::new(FaultKind::Invalid, file, what).at(fault.line, fault.column);
                return self.error(fault.cure("mend the syntax"));
            }
        };
        let before = self.now;
        for document in documents.iter().filter(|document| !document.is_null()) {
            let Some(items) = document.items() else {
                let is_map = document.entries().is_some();
                let what =
                    if is_map { "Rules content is not yaml array of objects" } else { "Rules content is not yaml" };
                let fault = Fault::new(FaultKind::Invalid, file, what).at(document.line, document.column);
                self.error(fault.cure("begin each item with `- rule:`, `- macro:` or `- list:`"));
                continue;
            };
            for item in items.iter().filter(|item| !item.is_null()) {
                self.now += 1;
                self.item(item, file);
                if self.has_errors && options.all_or_nothing {
                    return;
                }
            }
        }
        if options.warn_empty && self.now == before && !self.faults.iter().any(|fault| fault.file == file) {
            let fault = Fault::new(FaultKind::Warning, file, "the file defines nothing");
            self.faults.push(fault.cure("put rules, macros or lists there, or take it out"));
        }
    }

    fn error(&mut self, fault: Fault) {
        self.has_errors = true;
        self.faults.push(fault);
    }

    fn item(&mut self, item: &Node, file: &str) {
        let place = Place::of(file, item);
        if item.entries().is_none() {
            let what = "Unexpected element type. Each element should be a yaml associative array.";
            return self.error(Fault::new(FaultKind::Invalid, file, what).at(place.line, place.column));
        }
        let kinds = ["required_engine_version", "required_plugin_versions", "list", "macro", "rule"];
        let kind = kinds.into_iter().find(|kind| item.get(kind).is_some());
        let named = |kind: &str| item.get(kind).and_then(Node::scalar).unwrap_or_default().to_owned();
        let result = match kind {
            Some("required_engine_version") => engine_version(item),
            Some("required_plugin_versions") => plugin_versions(item),
            Some("list") => self.list(item, &place),
            Some("macro") => self.macro_(item, &place),
            Some("rule") => self.rule(item, &place),
            _ => return self.warn(&place, String::new(), "Unknown top level item"),
        };
        if let (Err(what), Some(kind)) = (result, kind) {
            let subject = format!("{kind} {}", named(kind)).trim_end().to_owned();
            self.error(Fault::new(FaultKind::Invalid, file, what).at(place.line, place.column).about(subject));
        }
    }

    fn warn(&mut self, place: &Place, subject: String, what: impl Into<String>) {
        let fault = Fault::new(FaultKind::Warning, &place.file, what).at(place.line, place.column);
        self.faults.push(fault.about(subject));
    }

    fn warn_unknown_keys(&mut self, item: &Node, subject: &str, known: &[&str], file: &str) {
        for (key, value) in item.entries().unwrap_or_default() {
            if !known.contains(&key.as_str()) {
                self.warn(&Place::of(file, value), subject.to_owned(), format!("Unknown key '{key}'"));
            }
        }
    }

    fn list(&mut self, item: &Node, place: &Place) -> Result<(), String> {
        let name = required(item, "list")?;
        let subject = format!("list {name}");
        self.warn_unknown_keys(item, &subject, &["list", "items", "append", "override"], &place.file);
        if !is_bare(&name) {
            let what = "List has an invalid name. List names should match a regular expression: \
                        ([^()\"'[:space:]=,]+)";
            self.warn(place, subject.clone(), what);
        }
        let items = texts(item, "items")?.ok_or("Item has no mapping for key 'items'")?;
        if self.appends(item, place, &subject, "items")? {
            let missing = "List uses 'append' or 'override.items: append' but no list by that name already exists";
            self.lists.touch(&name, self.now).ok_or(missing)?.items.extend(items);
        } else {
            self.lists.define(&name, ListItem { name: name.clone(), items, place: place.clone() }, self.now);
        }
        Ok(())
    }

    fn macro_(&mut self, item: &Node, place: &Place) -> Result<(), String> {
        let name = required(item, "macro")?;
        let subject = format!("macro {name}");
        self.warn_unknown_keys(item, &subject, &["macro", "condition", "append", "override"], &place.file);
        if !is_identifier(&name) {
            let what = "Macro has an invalid name. Macro names should match a regular expression: \
                        ([a-zA-Z]+[a-zA-Z0-9_]*)";
            self.warn(place, subject.clone(), what);
        }
        let condition = required(item, "condition")?;
        let place = item.get("condition").map_or_else(|| place.clone(), |value| Place::of(&place.file, value));
        if self.appends(item, &place, &subject, "condition")? {
            let missing =
                "Macro uses 'append' or 'override.condition: append' but no macro by that name already exists";
            let known = self.macros.touch(&name, self.now).ok_or(missing)?;
            known.condition = format!("{} {condition}", known.condition);
        } else {
            self.macros.define(&name, MacroItem { name: name.clone(), condition, place }, self.now);
        }
        Ok(())
    }

    /// Whether a list or a macro, which have one part only, adds to what there is.
    fn appends(&mut self, item: &Node, place: &Place, subject: &str, key: &str) -> Result<bool, String> {
        let appends = flag(item, "append")?.unwrap_or(false);
        if appends {
            self.warn(place, subject.to_owned(), APPEND_IS_DEPRECATED);
        }
        let change = Change::read(item, &[key], &[key])?;
        if appends && !change.is_empty() {
            return Err(OVERRIDE_AND_APPEND.to_owned());
        }
        Ok(appends || change.appends(key))
    }

    fn rule(&mut self, item: &Node, place: &Place) -> Result<(), String> {
        let name = required(item, "rule")?;
        let subject = format!("rule {name}");
        self.warn_unknown_keys(item, &subject, &RULE.keys, &place.file);
        let appends = flag(item, "append")?.unwrap_or(false);
        if appends {
            self.warn(place, subject.clone(), APPEND_IS_DEPRECATED);
        }
        let overridden = Change::read(item, &RULE.appendable, &RULE.replaceable)?;
        if appends && !overridden.is_empty() {
            return Err(OVERRIDE_AND_APPEND.to_owned());
        }
        let wanted = if appends { Change::appending(item, &RULE.appendable) } else { overridden };
        for what in exceptions::warnings(item, wanted.appends("exceptions")) {
            self.warn(place, subject.clone(), what);
        }
        if appends || !wanted.is_empty() {
            let missing = if appends || wanted.has_append() { NO_RULE_TO_APPEND } else { NO_RULE_TO_REPLACE };
            let known = self.rules.touch(&name, self.now).ok_or(missing)?;
            return change(known, item, &wanted);
        }
        if !["condition", "output", "desc", "priority"].iter().any(|key| item.get(key).is_some()) {
            let enabled = flag(item, "enabled")?.ok_or("Item has no mapping for key 'enabled'")?;
            self.warn(place, subject, ENABLED_IS_DEPRECATED);
            let missing = "Rule has 'enabled' key but no rule by that name already exists";
            let index = self.rules.get(&name).ok_or(missing)?.visibility;
            self.rules.touch(&name, index).ok_or(missing)?.enabled = enabled;
            return Ok(());
        }
        self.define_rule(item, name, place)
    }

    fn define_rule(&mut self, item: &Node, name: String, place: &Place) -> Result<(), String> {
        let mut rule = rule(item, name, place)?;
        if let Some(old) = self.rules.get(&rule.name).filter(|old| old.item.source != rule.source) {
            let what = "Rule has been re-defined with a different source";
            return Err(format!("{what}: {} instead of {}", rule.source, old.item.source));
        }
        if rule.source == SYSCALL {
            rule.exceptions.iter_mut().try_for_each(exceptions::check)?;
        } else {
            let what = format!("Unknown source {}, skipping", rule.source);
            self.warn(place, format!("rule {}", rule.name), what);
        }
        let name = rule.name.clone();
        self.rules.define(&name, rule, self.now);
        Ok(())
    }
}

fn rule(item: &Node, name: String, place: &Place) -> Result<RuleItem, String> {
    let condition = required(item, "condition")?;
    let output = required(item, "output")?.trim().to_owned();
    let description = required(item, "desc")?;
    let priority = priority(item)?;
    Ok(RuleItem {
        name,
        condition,
        output,
        description,
        priority,
        tags: texts(item, "tags")?.unwrap_or_default(),
        enabled: flag(item, "enabled")?.unwrap_or(true),
        source: optional(item, "source")?.unwrap_or_else(|| SYSCALL.to_owned()),
        exceptions: exceptions::read(item, false)?,
        warns_on_types: flag(item, "warn_evttypes")?.unwrap_or(true),
        skips_unknown: flag(item, "skip-if-unknown-filter")?.unwrap_or(false),
        capture: flag(item, "capture")?.unwrap_or(false),
        capture_duration: capture_duration(item)?,
        place: place.clone(),
    })
}

/// Reads the priority.
pub(crate) fn priority(item: &Node) -> Result<Priority, String> {
    let word = required(item, "priority")?;
    Priority::parse(&word).ok_or_else(|| format!("Invalid priority '{word}'"))
}

/// Reads how long a capture lasts, in milliseconds.
pub(crate) fn capture_duration(item: &Node) -> Result<Option<u32>, String> {
    let Some(text) = optional(item, "capture_duration")? else { return Ok(None) };
    text.parse().map(Some).map_err(|_| "Can't decode YAML scalar value".to_owned())
}

/// The source that is always loaded.
pub(crate) const SYSCALL: &str = "syscall";

const APPEND_IS_DEPRECATED: &str = "'append' key is deprecated. \
    Add an 'append' entry (e.g. 'condition: append') under 'override' instead.";
const ENABLED_IS_DEPRECATED: &str = "The standalone 'enabled' key usage is deprecated. \
    The correct approach requires also a 'replace' entry under the 'override' key (i.e. 'enabled: replace').";
const OVERRIDE_AND_APPEND: &str = "Keys 'override' and 'append: true' cannot be used together. \
    Add an 'append' entry (e.g. 'condition: append') under 'override' instead.";
const NO_RULE_TO_APPEND: &str =
    "Rule uses 'append' or 'override.<key>: append' but no rule by that name already exists";
const NO_RULE_TO_REPLACE: &str =
    "An 'override.<key>: replace' to a rule was requested but no rule by that name already exists";
