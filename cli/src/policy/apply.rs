//! `biotope policy apply`: judges resources by policies, without a cluster.

use std::collections::BTreeMap;
use std::process::ExitCode;

use admission_policy::testing::Answer;
use admission_policy::{Action, RuleKind, RuleVerdict, Status};
use model::{Fault, FaultKind};
use serde_json::{Value, json};

use super::world::World;
use super::{called, given};
use crate::args::{Output, PolicyApply};
use crate::print;

/// How many verdicts of each kind.
#[derive(Default)]
struct Counts {
    pass: usize,
    fail: usize,
    warn: usize,
    error: usize,
    skip: usize,
}

impl Counts {
    fn add(&mut self, status: Status) {
        match status {
            Status::Pass => self.pass += 1,
            Status::Fail => self.fail += 1,
            Status::Warn => self.warn += 1,
            Status::Error => self.error += 1,
            Status::Skip => self.skip += 1,
        }
    }
}

pub(super) fn apply(command: &PolicyApply, output: Output) -> anyhow::Result<ExitCode> {
    let nothing = command.resource.is_empty()
        && command.situation.json.is_empty()
        && command.situation.http_payload.is_empty()
        && command.situation.envoy_payload.is_empty();
    anyhow::ensure!(!nothing, "nothing to judge: give --resource, --json, --http-payload or --envoy-payload");
    let (given, mut faults) = given(&command.policies, &command.resource, &command.situation)?;
    let (answers, more) = given.apply(&World::new(&command.registries)?).map_err(anyhow::Error::msg)?;
    faults.extend(more);
    let status = |verdict: &RuleVerdict| match verdict.reported() {
        Status::Fail if command.audit_warn && verdict.action != Action::Enforce => Status::Warn,
        status => status,
    };
    let mut counts = Counts::default();
    answers.iter().flat_map(|answer| &answer.verdicts).for_each(|verdict| counts.add(status(verdict)));
    match output {
        Output::Json => print_json(&answers, &faults, status)?,
        Output::Table => print_table(&answers, status, command.detailed_results)?,
    }
    if output != Output::Json {
        let Counts { pass, fail, warn, error, skip } = counts;
        print::line(format!("\npass: {pass}, fail: {fail}, warn: {warn}, error: {error}, skip: {skip}"));
    }
    // Told last, where it is read: the verdicts above are those of a part of the policies.
    faults.iter().for_each(print::fault);
    let set_aside = faults.iter().filter(|fault| fault.kind != FaultKind::Warning).count();
    if set_aside > 0 {
        print::note(format_args!(
            "biotope: {set_aside} policies, rules, files or resources were set aside: correct them, or leave them out"
        ));
        return Ok(ExitCode::FAILURE);
    }
    Ok(match counts {
        Counts { fail: 0, error: 0, warn: 0, pass: 0, .. } if command.warn_no_pass => {
            ExitCode::from(command.warn_exit_code)
        }
        Counts { fail: 0, error: 0, warn: 1.., .. } => ExitCode::from(command.warn_exit_code),
        Counts { fail: 0, error: 0, .. } => ExitCode::SUCCESS,
        Counts { .. } => ExitCode::FAILURE,
    })
}

/// The resource of an answer, or the file of a JSON payload.
fn named(answer: &Answer) -> String {
    answer.payload.clone().unwrap_or_else(|| called(&answer.resource))
}

/// Resources as the last policy left them, where one changed them.
fn patched(answers: &[Answer]) -> Vec<(String, &Value)> {
    let mut last: BTreeMap<String, &Value> = BTreeMap::new();
    let mutates = |answer: &&Answer| {
        let changes = |verdict: &RuleVerdict| {
            matches!(verdict.kind, RuleKind::Mutate | RuleKind::VerifyImages) && verdict.status == Status::Pass
        };
        answer.patched != answer.resource && answer.verdicts.iter().any(changes)
    };
    for answer in answers.iter().filter(mutates) {
        last.insert(named(answer), &answer.patched);
    }
    last.into_iter().collect()
}

/// Existing objects as the rule would leave them.
fn targets(verdict: &RuleVerdict) -> impl Iterator<Item = &Value> {
    verdict.targets.iter().map(|target| &target.object)
}

fn print_json(answers: &[Answer], faults: &[Fault], status: impl Fn(&RuleVerdict) -> Status) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for answer in answers {
        for verdict in &answer.verdicts {
            all.push(json!({
                "resource": named(answer), "policy": answer.policy, "rule": verdict.rule,
                "result": status(verdict).as_str(), "message": verdict.message, "exceptions": verdict.exceptions,
                "generated": verdict.generated, "targets": targets(verdict).collect::<Vec<_>>(),
            }));
        }
    }
    all.extend(faults.iter().map(|fault| json!({"fault": fault})));
    all.extend(patched(answers).into_iter().map(|(name, object)| json!({"resource": name, "patched": object})));
    print::json(&all)
}

fn print_table(answers: &[Answer], status: impl Fn(&RuleVerdict) -> Status, detailed: bool) -> anyhow::Result<()> {
    let mut table = print::table(&["Resource", "Policy", "Rule", "Result", "Message"]);
    for answer in answers {
        for verdict in &answer.verdicts {
            let status = status(verdict);
            if detailed || status != Status::Skip {
                table.add_row([&named(answer), &answer.policy, &verdict.rule, status.as_str(), &verdict.message]);
            }
        }
    }
    table.print();
    let made = answers.iter().flat_map(|answer| &answer.verdicts);
    let made = made.flat_map(|verdict| verdict.generated.iter().chain(targets(verdict)));
    for (name, object) in patched(answers).into_iter().chain(made.map(|object| (called(object), object))) {
        print::line(format!("--- {name}"));
        print::json(object)?;
    }
    Ok(())
}
