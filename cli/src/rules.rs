//! `biotope rules`: Falco rules files.

mod explain;

use std::path::PathBuf;
use std::process::ExitCode;

use model::FaultKind;
use runtime_rules::{Bracket, EventType, Loaded};
use serde_json::json;

use crate::args::{Output, Rules};
use crate::print;

/// Checks, lists or explains.
pub(crate) fn rules(command: &Rules, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        Rules::Check { files } => check(&runtime_sensor::load_rules(files), output),
        Rules::List { files } => list(&load(files), output),
        Rules::Explain(command) => explain::explain(&load(&command.files), command, output),
        Rules::Fields { part, events: false } => fields(part.as_deref().unwrap_or_default(), output),
        Rules::Fields { part, events: true } => events(part.as_deref().unwrap_or_default(), output),
    }
}

/// What is wrong with the files goes to standard error where the command is not about that.
fn load(files: &[PathBuf]) -> Loaded {
    let loaded = runtime_sensor::load_rules(files);
    loaded.faults.iter().filter(|fault| fault.kind != FaultKind::Warning).for_each(print::fault);
    loaded
}

fn check(loaded: &Loaded, output: Output) -> anyhow::Result<ExitCode> {
    let errors = loaded.faults.iter().filter(|fault| fault.kind != FaultKind::Warning).count();
    match output {
        Output::Json => print::json(
            &json!({ "rules": loaded.rules.rules().len(), "disabled": loaded.disabled, "faults": loaded.faults }),
        )?,
        Output::Table => {
            loaded.faults.iter().for_each(print::line);
            print::line(format!(
                "{} rules good, {} switched off, {errors} set aside",
                loaded.rules.rules().len(),
                loaded.disabled.len()
            ));
        }
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn list(loaded: &Loaded, output: Output) -> anyhow::Result<ExitCode> {
    let on = loaded.rules.rules().iter().map(|rule| (rule, true));
    let all = on.chain(loaded.switched_off.iter().map(|rule| (rule, false)));
    if output == Output::Json {
        let rules: Vec<_> = all
            .map(|(rule, is_on)| {
                let (file, line) = &rule.place;
                let priority = rule.priority.to_string();
                json!({
                    "rule": rule.name, "source": rule.source, "priority": priority, "tags": rule.tags, "file": file,
                    "line": line, "enabled": is_on,
                })
            })
            .collect();
        print::json(&rules)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = print::table(&["Priority", "Source", "Rule", "Enabled", "Tags", "Place"]);
    for (rule, is_on) in all {
        let place = format!("{}:{}", rule.place.0, rule.place.1);
        let tags = rule.tags.join(" ");
        let (priority, is_on) = (rule.priority.to_string(), yes(is_on).to_owned());
        table.add_row([priority, rule.source.clone(), rule.name.clone(), is_on, tags, place]);
    }
    table.print();
    Ok(ExitCode::SUCCESS)
}

fn fields(part: &str, output: Output) -> anyhow::Result<ExitCode> {
    let found = runtime_rules::catalogue(part);
    if output == Output::Json {
        let fields: Vec<_> = found
            .iter()
            .map(|field| {
                let has_values = runtime_sensor::has_values_for(field.id);
                json!({ "field": field.name, "type": format!("{:?}", field.field_type), "captured": has_values })
            })
            .collect();
        print::json(&fields)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = print::table(&["Field", "Type", "Argument", "The sensor has values"]);
    for field in found {
        let argument = match field.bracket {
            Bracket::No => "",
            Bracket::May => "may",
            Bracket::Must => "must",
        };
        let (kind, has) = (format!("{:?}", field.field_type), yes(runtime_sensor::has_values_for(field.id)));
        table.add_row([field.name, &kind, argument, has]);
    }
    table.print();
    Ok(ExitCode::SUCCESS)
}

fn events(part: &str, output: Output) -> anyhow::Result<ExitCode> {
    let found = EventType::all().map(EventType::name).filter(|name| name.contains(part));
    let found: Vec<_> = found.map(|name| (name, runtime_sensor::watches(name))).collect();
    if output == Output::Json {
        let types = found.iter().map(|(name, is_watched)| json!({ "event": name, "watched": is_watched }));
        print::json(&types.collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = print::table(&["Event", "The sensor watches it"]);
    for (name, is_watched) in found {
        table.add_row([name, yes(is_watched)]);
    }
    table.print();
    Ok(ExitCode::SUCCESS)
}

fn yes(holds: bool) -> &'static str {
    if holds { "yes" } else { "no" }
}
