//! Rules that people write.

use correlation::RuleSet as IncidentRules;
use runtime_rules::{LoadOptions, RuleSet, SourceFile};

/// A Falco rules file.
pub(crate) fn rules(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    drop(RuleSet::load(&[SourceFile { name: "fuzz.yaml", text }], &LoadOptions::default()));
}

/// A Falco condition: what parses prints as something that parses to the same.
pub(crate) fn condition(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(condition) = runtime_rules::parse(text) else { return };
    let printed = condition.to_string();
    assert_eq!(runtime_rules::parse(&printed).as_ref(), Ok(&condition), "{printed:?} is not the same condition");
}

/// A file of incident rules.
pub(crate) fn incident_rule(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (rules, _faults) = correlation::Rule::parse("fuzz.yaml", text);
    drop(IncidentRules::compile(rules));
}
