//! `append` and `override`: changes to a rule that was defined before.

use crate::collect::{SYSCALL, capture_duration, priority};
use crate::exceptions;
use crate::items::{RuleItem, flag, optional, required, texts};
use crate::yaml::Node;

/// The keys of an item, and what may be done with them.
pub(crate) struct Keys<const N: usize, const A: usize, const R: usize> {
    pub(crate) keys: [&'static str; N],
    pub(crate) appendable: [&'static str; A],
    pub(crate) replaceable: [&'static str; R],
}

/// Those of rules.
pub(crate) const RULE: Keys<15, 5, 11> = Keys {
    keys: [
        "rule",
        "condition",
        "output",
        "desc",
        "priority",
        "tags",
        "enabled",
        "source",
        "exceptions",
        "warn_evttypes",
        "skip-if-unknown-filter",
        "capture",
        "capture_duration",
        "append",
        "override",
    ],
    appendable: ["condition", "output", "desc", "tags", "exceptions"],
    replaceable: [
        "condition",
        "output",
        "desc",
        "priority",
        "tags",
        "exceptions",
        "enabled",
        "capture",
        "capture_duration",
        "warn_evttypes",
        "skip-if-unknown-filter",
    ],
};

/// Which keys are appended and which are replaced.
#[derive(Debug, Default)]
pub(crate) struct Change {
    append: Vec<String>,
    replace: Vec<String>,
}

impl Change {
    /// Reads `override`.
    pub(crate) fn read(item: &Node, appendable: &[&str], replaceable: &[&str]) -> Result<Self, String> {
        let mut change = Self::default();
        let Some(wanted) = item.get("override").filter(|wanted| !wanted.is_null()) else { return Ok(change) };
        let Some(wanted) = wanted.entries() else { return Err("Value of key 'override' is not a mapping".to_owned()) };
        for (key, operation) in wanted {
            let (may_append, may_replace) = (appendable.contains(&key.as_str()), replaceable.contains(&key.as_str()));
            match operation.scalar().unwrap_or_default() {
                "append" if may_append => change.append.push(key.clone()),
                "append" => return Err(format!("Key '{key}' cannot be appended to, use 'replace' instead")),
                "replace" if may_replace => change.replace.push(key.clone()),
                "replace" => return Err(format!("Key '{key}' cannot be replaced")),
                operation => {
                    let allowed = [(may_append, "append "), (may_replace, "replace ")];
                    let allowed: String = allowed.iter().filter(|(may, _)| *may).map(|(_, word)| *word).collect();
                    return Err(format!(
                        "Invalid override operation for key '{key}': '{operation}'. Allowed values are: {allowed}"
                    ));
                }
            }
        }
        Ok(change)
    }

    /// What the old `append: true` asks for: every key that is there and can be appended.
    pub(crate) fn appending(item: &Node, appendable: &[&str]) -> Self {
        let there = appendable.iter().filter(|key| item.get(key).is_some());
        Self { append: there.map(|key| (*key).to_owned()).collect(), replace: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.append.is_empty() && self.replace.is_empty()
    }

    pub(crate) fn has_append(&self) -> bool {
        !self.append.is_empty()
    }

    pub(crate) fn appends(&self, key: &str) -> bool {
        self.append.iter().any(|known| known == key)
    }

    fn replaces(&self, key: &str) -> bool {
        self.replace.iter().any(|known| known == key)
    }

    /// Every key that is named must be there, and every key that is there and could be named must be.
    fn check(&self, item: &Node) -> Result<(), String> {
        for (keys, verb) in [(&self.append, "append"), (&self.replace, "replace")] {
            if let Some(key) = keys.iter().find(|key| item.get(key).is_none()) {
                return Err(format!("An {verb} override for '{key}' was specified but '{key}' is not defined"));
            }
        }
        let is_forgotten = |key: &&str| {
            let can = RULE.appendable.contains(key) || RULE.replaceable.contains(key);
            can && !self.appends(key) && !self.replaces(key)
        };
        let keys = item.entries().unwrap_or_default().iter().map(|(key, _)| key.as_str());
        match keys.filter(|_| item.get("override").is_some()).find(is_forgotten) {
            Some(key) => Err(format!("Unexpected key '{key}': no corresponding entry under 'override' is defined.")),
            None => Ok(()),
        }
    }
}

/// Changes a rule.
pub(crate) fn change(rule: &mut RuleItem, item: &Node, change: &Change) -> Result<(), String> {
    let source = item.get("source").filter(|source| !source.is_null()).and_then(Node::scalar);
    if let Some(source) = source.filter(|source| *source != rule.source) {
        let what = "Rule has been re-defined with a different source";
        return Err(format!("{what}: {source} instead of {}", rule.source));
    }
    if change.is_empty() {
        return Err("Appended rule must have exceptions or condition property".to_owned());
    }
    change.check(item)?;
    change_texts(rule, item, change)?;
    if let Some(tags) = texts(item, "tags")? {
        if change.replaces("tags") {
            rule.tags.clear();
        }
        if change.replaces("tags") || change.appends("tags") {
            rule.tags.extend(tags);
        }
    }
    if change.appends("exceptions") {
        exceptions::append(&mut rule.exceptions, exceptions::read(item, true)?)?;
    } else if change.replaces("exceptions") {
        let mut new = exceptions::read(item, false)?;
        if rule.source == SYSCALL {
            new.iter_mut().try_for_each(exceptions::check)?;
        }
        rule.exceptions = new;
    }
    change_settings(rule, item, change)
}

fn change_texts(rule: &mut RuleItem, item: &Node, change: &Change) -> Result<(), String> {
    let texts = [("condition", &mut rule.condition), ("output", &mut rule.output), ("desc", &mut rule.description)];
    for (key, text) in texts {
        if change.appends(key) {
            *text = format!("{text} {}", required(item, key)?);
        } else if change.replaces(key) {
            *text = required(item, key)?;
        }
    }
    Ok(())
}

fn change_settings(rule: &mut RuleItem, item: &Node, change: &Change) -> Result<(), String> {
    if change.replaces("priority") {
        rule.priority = priority(item)?;
    }
    let flags = [
        ("enabled", &mut rule.enabled),
        ("capture", &mut rule.capture),
        ("warn_evttypes", &mut rule.warns_on_types),
        ("skip-if-unknown-filter", &mut rule.skips_unknown),
    ];
    for (key, setting) in flags {
        if change.replaces(key) {
            *setting = flag(item, key)?.unwrap_or(*setting);
        }
    }
    if change.replaces("capture_duration") && optional(item, "capture_duration")?.is_some() {
        rule.capture_duration = capture_duration(item)?;
    }
    Ok(())
}
