//! `biotope rules`: Falco rules files.

mod explain;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use model::FaultKind;
use runtime_rules::{FieldId, LoadOptions, Loaded, RuleSet, SourceFile};
use serde_json::json;

use crate::args::{Output, Rules};
use crate::print;

/// Checks, lists or explains.
pub(crate) fn rules(command: &Rules, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        Rules::Check { files } => check(&load(files)?, output),
        Rules::List { files } => list(&load(files)?, output),
        Rules::Explain(command) => explain::explain(&load(&command.files)?, command, output),
        Rules::Fields => fields(output),
    }
}

fn load(files: &[PathBuf]) -> anyhow::Result<Loaded> {
    let mut texts = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        texts.push((file.display().to_string(), text));
    }
    let sources: Vec<SourceFile<'_>> = texts.iter().map(|(name, text)| SourceFile { name, text }).collect();
    Ok(RuleSet::load(&sources, &LoadOptions::default()))
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
    if output == Output::Json {
        let rules: Vec<_> = loaded
            .rules
            .rules()
            .iter()
            .map(|rule| {
                let (file, line) = &rule.place;
                let priority = rule.priority.to_string();
                json!({
                    "rule": rule.name, "source": rule.source, "priority": priority, "tags": rule.tags, "file": file,
                    "line": line,
                })
            })
            .collect();
        print::json(&rules)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = print::table(&["Priority", "Source", "Rule", "Tags", "Place"]);
    for rule in loaded.rules.rules() {
        let place = format!("{}:{}", rule.place.0, rule.place.1);
        let tags = rule.tags.join(" ");
        table.add_row([rule.priority.to_string(), rule.source.clone(), rule.name.clone(), tags, place]);
    }
    print::line(table);
    Ok(ExitCode::SUCCESS)
}

fn fields(output: Output) -> anyhow::Result<ExitCode> {
    if output == Output::Json {
        let fields: Vec<_> = FieldId::ALL
            .iter()
            .map(|field| json!({ "field": field.name(), "type": format!("{:?}", field.field_type()) }))
            .collect();
        print::json(&fields)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = print::table(&["Field", "Type"]);
    for field in FieldId::ALL {
        table.add_row([field.name().to_owned(), format!("{:?}", field.field_type())]);
    }
    print::line(table);
    Ok(ExitCode::SUCCESS)
}
