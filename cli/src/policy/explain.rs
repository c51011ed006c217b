//! `biotope policy explain`: why a rule is about a resource or not, clause by clause.

use std::process::ExitCode;

use admission_policy::testing::Explained;
use admission_policy::{ClauseExplanation, Explanation};
use model::FaultKind;
use serde_json::json;

use super::args::PolicyExplain;
use super::world::World;
use super::{called, given};
use crate::args::Output;
use crate::print;

pub(super) fn explain(command: &PolicyExplain, output: Output) -> anyhow::Result<ExitCode> {
    let (given, mut faults) = given(&command.policies, &command.resource, &command.situation)?;
    let (mut explained, more) = given.explain(&World::new(&command.registries)?).map_err(anyhow::Error::msg)?;
    faults.extend(more);
    faults.iter().for_each(print::fault);
    for one in &mut explained {
        one.rules.retain(|rule| is_meant(rule, command));
    }
    anyhow::ensure!(explained.iter().any(|one| !one.rules.is_empty()), "no such policy or rule");
    match output {
        Output::Json => {
            let rules = explained.iter().flat_map(|one| one.rules.iter().map(|rule| rule_json(one, rule)));
            print::json(&rules.collect::<Vec<_>>())?;
        }
        Output::Table => explained.iter().for_each(print_one),
    }
    let set_aside = faults.iter().any(|fault| fault.kind != FaultKind::Warning);
    Ok(if set_aside { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn is_meant(rule: &Explanation, command: &PolicyExplain) -> bool {
    let origin = rule.rule.strip_prefix("autogen-cronjob-").or_else(|| rule.rule.strip_prefix("autogen-"));
    let right_rule = command.rule.as_ref().is_none_or(|wanted| rule.rule == *wanted || origin == Some(wanted.as_str()));
    let right_policy = command.policy.as_ref().is_none_or(|wanted| {
        let policy = &rule.policy;
        policy.name == *wanted || format!("{}/{}", policy.namespace, policy.name) == *wanted
    });
    right_rule && right_policy
}

fn holds(clause: &ClauseExplanation) -> &'static str {
    match clause.holds {
        Some(true) => "yes",
        Some(false) => "no",
        None => "-",
    }
}

fn print_one(explained: &Explained) {
    for rule in &explained.rules {
        let verdict = match (&rule.verdict, rule.matched) {
            (Some(verdict), _) => format!("{}: {}", verdict.status.as_str(), verdict.message),
            (None, true) => "matched, and has nothing to say".to_owned(),
            (None, false) => "not about this resource".to_owned(),
        };
        let slash = if rule.rule.is_empty() { "" } else { "/" };
        let (file, line) = &rule.place;
        print::line(format!(
            "{} - {}{slash}{} ({file}:{line})\n  {verdict}",
            called(&explained.resource),
            rule.policy.name,
            rule.rule
        ));
        let mut table = print::table(&["Clause", "Wanted", "Found", "Holds"]);
        for clause in &rule.clauses {
            table.add_row([&clause.clause, &clause.wanted, &clause.found, holds(clause)]);
        }
        table.print();
    }
}

fn rule_json(explained: &Explained, rule: &Explanation) -> serde_json::Value {
    let clause = |clause: &ClauseExplanation| json!({"clause": clause.clause, "wanted": clause.wanted, "found": clause.found, "holds": clause.holds});
    let verdict = rule.verdict.as_ref().map(|verdict| {
        json!({"result": verdict.status.as_str(), "message": verdict.message, "exceptions": verdict.exceptions})
    });
    json!({
        "resource": called(&explained.resource), "policy": rule.policy.name, "namespace": rule.policy.namespace,
        "kind": rule.policy.kind, "rule": rule.rule, "file": rule.place.0, "line": rule.place.1,
        "matched": rule.matched, "clauses": rule.clauses.iter().map(clause).collect::<Vec<_>>(), "verdict": verdict,
    })
}
