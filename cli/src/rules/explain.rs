//! `biotope rules explain`: what a rule means, and why it matches a recorded event or does not.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use runtime_rules::{Event as _, Field, Loaded, RecordedEvent, Rule, Step};
use serde_json::{Value, json};

use crate::args::{Output, RulesExplain};
use crate::print;

/// Explains one rule, or with an event alone every rule that is judged for events of its type.
pub(super) fn explain(loaded: &Loaded, command: &RulesExplain, output: Output) -> anyhow::Result<ExitCode> {
    let event = command.event.as_deref().map(read).transpose()?;
    let rules = chosen(loaded, command.rule.as_deref(), event.as_ref())?;
    if output == Output::Json {
        print::json(&rules.iter().map(|rule| to_json(rule, event.as_ref())).collect::<Vec<_>>())?;
    } else {
        for rule in rules {
            show(rule, event.as_ref());
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> anyhow::Result<RecordedEvent> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    RecordedEvent::read(&text).map_err(|what| anyhow!("{}: {what}", path.display()))
}

fn chosen<'a>(loaded: &'a Loaded, name: Option<&str>, event: Option<&RecordedEvent>) -> anyhow::Result<Vec<&'a Rule>> {
    match (name, event) {
        (Some(name), _) => {
            let rule = loaded.rules.rule(name).or_else(|| loaded.switched_off.iter().find(|rule| rule.name == name));
            let missing = || anyhow!("no good rule `{name}` in these files; `biotope rules list` names them");
            Ok(vec![rule.ok_or_else(missing)?])
        }
        (None, Some(event)) => {
            Ok(loaded.rules.rules().iter().filter(|rule| rule.types.contains(event.event_type())).collect())
        }
        (None, None) => bail!("name a rule with --rule, or give a recorded event with --event"),
    }
}

fn show(rule: &Rule, event: Option<&RecordedEvent>) {
    let meaning = rule.meaning();
    print::line(format!("{} ({}, {}:{})", rule.name, rule.priority, rule.place.0, rule.place.1));
    let Some(event) = event else {
        print::line(format!("  events: {}", meaning.event_types.map_or("all".to_owned(), |types| types.join(" "))));
        print::line(format!("  condition asks for: {}", names(&meaning.condition_fields)));
        print::line(format!("  output asks for: {}", names(&meaning.output_fields)));
        print::line(meaning.condition);
        return;
    };
    print::line(if rule.holds(event) { "  matches" } else { "  does not match" });
    rule.steps(event).iter().for_each(print::line);
    let unknown = unrecorded(&meaning.condition_fields, event);
    if !unknown.is_empty() {
        print::line(format!("  not recorded, judged as missing: {}", names(&unknown)));
    }
}

fn names(fields: &[Field]) -> String {
    fields.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn unrecorded(fields: &[Field], event: &RecordedEvent) -> Vec<Field> {
    fields.iter().filter(|field| !event.knows(field)).cloned().collect()
}

fn to_json(rule: &Rule, event: Option<&RecordedEvent>) -> Value {
    let meaning = rule.meaning();
    let list = |fields: &[Field]| fields.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut whole = json!({
        "rule": rule.name, "priority": rule.priority.to_string(), "file": rule.place.0, "line": rule.place.1,
        "event_types": meaning.event_types, "condition": rule.condition.to_string(),
        "comparisons": meaning.comparisons, "condition_fields": list(&meaning.condition_fields),
        "output_fields": list(&meaning.output_fields),
    });
    if let (Some(event), Some(object)) = (event, whole.as_object_mut()) {
        object.insert("matches".to_owned(), rule.holds(event).into());
        object.insert("steps".to_owned(), rule.steps(event).iter().map(step).collect());
        object.insert("not_recorded".to_owned(), list(&unrecorded(&meaning.condition_fields, event)).into());
    }
    whole
}

fn step(step: &Step) -> Value {
    let values: serde_json::Map<_, _> =
        step.values.iter().map(|(field, value)| (field.to_string(), json!(value))).collect();
    json!({ "depth": step.depth, "part": step.part, "holds": step.holds, "values": values })
}
