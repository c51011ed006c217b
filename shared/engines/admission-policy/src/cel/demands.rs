//! What the kinds demand of their fields, as the API server would: words that are known, and parts without which a policy
//! does nothing.

use serde_json::Value;

use super::policy::CelKind;

/// What is wrong: pointer below `spec`, what, and the remedy.
pub(super) type Demand = (String, String, String);

/// The first demand of a policy's kind that its `spec` does not meet.
pub(super) fn unmet(spec: &Value, kind: CelKind, in_kubernetes: bool) -> Option<Demand> {
    let needed: &[(&str, bool)] = match kind {
        CelKind::Generate => &[("/generate", true)],
        CelKind::VerifyImages => &[("/validations", false), ("/attestors", false)],
        CelKind::Validate | CelKind::Mutate | CelKind::Delete => &[],
    };
    let matched = !matches!(kind, CelKind::VerifyImages) && in_kubernetes;
    word(spec, "failurePolicy", &["Ignore", "Fail"])
        .or_else(|| word(spec, "deletionPropagationPolicy", &["Foreground", "Background", "Orphan"]))
        .or_else(|| actions(spec))
        .or_else(|| needed.iter().find_map(|(field, filled)| lacking(spec, field, *filled)))
        .or_else(|| matched.then(|| lacking(spec, "/matchConstraints/resourceRules", true)).flatten())
        .or_else(|| (kind == CelKind::Mutate).then(|| idle(spec)).flatten())
}

/// The first demand that an exception does not meet.
pub(super) fn unmet_by_exception(spec: &Value) -> Option<Demand> {
    lacking(spec, "/policyRefs", true).or_else(|| word(spec, "reportResult", &["skip", "pass"]))
}

/// Actions that nobody knows.
pub(super) fn actions(spec: &Value) -> Option<Demand> {
    let key = ["validationActions", "validationAction"].into_iter().find(|key| spec.get(*key).is_some())?;
    let known = ["Deny", "Audit", "Warn"];
    let Some(list) = spec.get(key).and_then(Value::as_array) else {
        return one_of(format!("/{key}"), format!("`{key}` is no list"), &known);
    };
    let unknown = |(index, word): (usize, &Value)| {
        let is_known = word.as_str().is_some_and(|word| known.contains(&word));
        (!is_known).then(|| one_of(format!("/{key}/{index}"), format!("unsupported action {word}"), &known)).flatten()
    };
    list.iter().enumerate().find_map(unknown)
}

fn word(spec: &Value, key: &str, known: &[&str]) -> Option<Demand> {
    let value = spec.get(key).filter(|value| !value.is_null())?;
    let is_known = value.as_str().is_some_and(|word| word.is_empty() || known.contains(&word));
    (!is_known).then(|| one_of(format!("/{key}"), format!("unsupported {key} {value}"), known)).flatten()
}

fn one_of(pointer: String, what: String, known: &[&str]) -> Option<Demand> {
    Some((pointer, what, format!("use {}; the policy is not applied until then", known.join(", "))))
}

/// A list that is not there, or has nothing in it where it must be filled.
fn lacking(spec: &Value, pointer: &str, filled: bool) -> Option<Demand> {
    let is_there = spec.pointer(pointer).and_then(Value::as_array).is_some_and(|items| !filled || !items.is_empty());
    let field = pointer.trim_start_matches('/').replace('/', ".");
    let what = format!("`{field}` is missing{}", if filled { " or empty" } else { "" });
    (!is_there).then(|| (pointer.to_owned(), what, format!("give at least one item in `spec.{field}`")))
}

/// A mutation that is told to act neither on requests nor on what exists.
fn idle(spec: &Value) -> Option<Demand> {
    let flag = |part: &str| spec.pointer(&format!("/evaluation/{part}/enabled")).and_then(Value::as_bool);
    let acts = flag("admission").unwrap_or(true) || flag("mutateExisting").unwrap_or(false);
    let what = "both admission and mutateExisting are switched off, so the policy never acts".to_owned();
    (!acts).then(|| ("/evaluation".to_owned(), what, "switch one of them on".to_owned()))
}
