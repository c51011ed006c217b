//! `biotope policy apply`: judges resources by policies, those in files or those of a cluster.
//!
//! ```text
//! policies, resources --Session--> answers --> table, JSON, policy reports, exceptions, or the objects as they are then
//! policies, cluster   --Session--> answers (cluster.rs)
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use admission_gateway::LookUps;
use admission_policy::report::{ReportResult, report};
use admission_policy::testing::{Answer, Session};
use admission_policy::{Action, RuleKind, RuleVerdict, Status};
use model::{Fault, FaultKind};
use serde_json::{Value, json};

use super::args::PolicyApply;
use super::cluster::{self, Sweep};
use super::exceptions::exception;
use super::world::World;
use super::{STDIN, called, documents, given};
use crate::args::Output;
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

pub(super) async fn apply(command: &PolicyApply, output: Output) -> anyhow::Result<ExitCode> {
    check(command)?;
    let live = &command.live;
    let resources = if live.cluster { &[][..] } else { &command.resource };
    let (given, mut faults) = given(&command.policies, resources, &command.situation)?;
    let cluster = if live.cluster { Some(cluster::connect(live).await?) } else { None };
    let surroundings = match &cluster {
        Some(cluster) => Some(cluster::surroundings(cluster, live, &mut faults).await),
        None => None,
    };
    let world = World::new(&command.registries)?.beside(cluster.clone().map(LookUps::new));
    let (mut session, more) = given.begin(&world, surroundings.as_ref()).map_err(anyhow::Error::msg)?;
    faults.extend(more);
    let answers = match &cluster {
        Some(cluster) => {
            cluster::grant(cluster, &mut session, &mut faults).await;
            let names = command.resource.iter().map(|name| name.display().to_string()).collect();
            Sweep::new((cluster, live), names).judge(&mut session, &mut faults).await?
        }
        None => session.judge_given().map_err(anyhow::Error::msg)?,
    };
    let counts = show(command, output, &Judged { session: &session, answers: &answers, faults: &faults })?;
    if let Some(path) = &command.shown.write_changed {
        let changed = patched(&answers).into_iter().map(|(_, object)| object);
        documents::write(path, changed.chain(made(&answers)))?;
    }
    // Told last, where it is read: the verdicts above are those of a part of the policies.
    faults.iter().for_each(print::fault);
    Ok(exit_code(command, &counts, &faults))
}

/// What cannot be meant together.
fn check(command: &PolicyApply) -> anyhow::Result<()> {
    let situation = &command.situation;
    let nothing = command.resource.is_empty()
        && situation.json.is_empty()
        && situation.http_payload.is_empty()
        && situation.envoy_payload.is_empty()
        && !command.live.cluster;
    anyhow::ensure!(
        !nothing,
        "nothing to judge: give --resource, --cluster, --json, --http-payload or --envoy-payload"
    );
    let reads = |paths: &[std::path::PathBuf]| paths.iter().filter(|path| path.as_os_str() == STDIN).count();
    let (of_policies, of_resources) = (reads(&command.policies), reads(&command.resource));
    anyhow::ensure!(of_policies + of_resources < 2, "standard input, `-`, can be read once: name it once");
    anyhow::ensure!(
        of_resources == 0 || !command.live.cluster,
        "with --cluster, --resource names objects: `-` is none"
    );
    Ok(())
}

/// What came of everything.
struct Judged<'j> {
    session: &'j Session<'j>,
    answers: &'j [Answer],
    faults: &'j [Fault],
}

impl Judged<'_> {
    fn verdicts(&self) -> impl Iterator<Item = (&Answer, &RuleVerdict)> {
        self.answers.iter().flat_map(|answer| answer.verdicts.iter().map(move |verdict| (answer, verdict)))
    }
}

/// What a verdict counts as.
fn status(command: &PolicyApply, verdict: &RuleVerdict) -> Status {
    match verdict.reported() {
        Status::Fail if command.audit_warn && verdict.action != Action::Enforce => Status::Warn,
        status => status,
    }
}

/// Prints what is asked for.
fn show(command: &PolicyApply, output: Output, judged: &Judged<'_>) -> anyhow::Result<Counts> {
    let mut counts = Counts::default();
    judged.verdicts().for_each(|(_, verdict)| counts.add(status(command, verdict)));
    let (shown, form) = (&command.shown, documents::form(&command.shown, output));
    if shown.policy_report {
        documents::print(&reports(command, judged), form)?;
    } else if shown.generate_exceptions {
        let failed = judged.verdicts().filter(|(_, verdict)| status(command, verdict) == Status::Fail);
        let ttl = shown.generated_exception_ttl;
        let exceptions = failed.filter_map(|(answer, verdict)| exception(verdict, &answer.resource, ttl));
        documents::print(&exceptions.collect::<Vec<_>>(), form)?;
    } else if shown.stdin {
        documents::print(left(judged.answers), form)?;
        for (answer, verdict) in judged.verdicts() {
            let status = status(command, verdict);
            if matches!(status, Status::Fail | Status::Warn | Status::Error) {
                let (resource, policy, rule) = (named(answer), &answer.policy, &verdict.rule);
                print::note(format_args!("{}: {resource} {policy}/{rule}: {}", status.as_str(), verdict.message));
            }
        }
    } else if output == Output::Json {
        print_json(command, judged)?;
    } else {
        print_table(command, judged)?;
        let Counts { pass, fail, warn, error, skip } = counts;
        print::line(format!("\npass: {pass}, fail: {fail}, warn: {warn}, error: {error}, skip: {skip}"));
    }
    Ok(counts)
}

fn exit_code(command: &PolicyApply, counts: &Counts, faults: &[Fault]) -> ExitCode {
    let set_aside = faults.iter().filter(|fault| fault.kind != FaultKind::Warning).count();
    if set_aside > 0 {
        print::note(format_args!(
            "biotope: {set_aside} policies, rules, files or resources were set aside: correct them, or leave them out"
        ));
        return ExitCode::FAILURE;
    }
    match counts {
        Counts { fail: 0, error: 0, warn: 0, pass: 0, .. } if command.warn_no_pass => {
            ExitCode::from(command.warn_exit_code)
        }
        Counts { fail: 0, error: 0, warn: 1.., .. } => ExitCode::from(command.warn_exit_code),
        Counts { fail: 0, error: 0, .. } => ExitCode::SUCCESS,
        Counts { .. } => ExitCode::FAILURE,
    }
}

/// The resource of an answer, or the file of a JSON payload.
fn named(answer: &Answer) -> String {
    answer.payload.clone().unwrap_or_else(|| called(&answer.resource))
}

/// Reports of all results: those of cluster-wide policies in one, the others in one for each policy.
fn reports(command: &PolicyApply, judged: &Judged<'_>) -> Vec<Value> {
    let now = service::now();
    let mut of_policies: BTreeMap<(&str, &str), Vec<ReportResult>> = BTreeMap::new();
    for (answer, verdict) in judged.verdicts() {
        let policy = &verdict.policy;
        let subject = Some(&*answer.resource).filter(|object| object.is_object());
        let mut result = judged.session.report_result(verdict, subject, now);
        result.result = status(command, verdict);
        let key = match policy.namespace.as_str() {
            "" => ("", "merged"),
            namespace => (namespace, policy.name.as_str()),
        };
        of_policies.entry(key).or_default().push(result);
    }
    let form = command.shown.report_api.into();
    let one = |((namespace, name), results): ((&str, &str), Vec<ReportResult>)| {
        let mut metadata = json!({ "name": name });
        if !namespace.is_empty() {
            metadata["namespace"] = json!(namespace);
        }
        report(form, &metadata, None, &results)
    };
    of_policies.into_iter().map(one).collect()
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

/// Every resource as the last policy left it, in the order they were given, and what the policies make besides.
fn left(answers: &[Answer]) -> Vec<&Value> {
    let mut order: Vec<String> = Vec::new();
    let mut last: BTreeMap<String, &Value> = BTreeMap::new();
    // What was made of another object is no resource that was given.
    for answer in answers.iter().filter(|answer| answer.payload.is_none() && answer.resource.is_object()) {
        let key = named(answer);
        if last.insert(key.clone(), &answer.patched).is_none() {
            order.push(key);
        }
    }
    order.iter().filter_map(|key| last.get(key).copied()).chain(generated(answers)).collect()
}

fn generated(answers: &[Answer]) -> impl Iterator<Item = &Value> {
    answers.iter().flat_map(|answer| &answer.verdicts).flat_map(|verdict| &verdict.generated)
}

/// Generated objects, and existing ones as rules would leave them.
fn made(answers: &[Answer]) -> impl Iterator<Item = &Value> {
    let verdicts = answers.iter().flat_map(|answer| &answer.verdicts);
    verdicts.flat_map(|verdict| verdict.generated.iter().chain(targets(verdict)))
}

/// Existing objects as the rule would leave them.
fn targets(verdict: &RuleVerdict) -> impl Iterator<Item = &Value> {
    verdict.targets.iter().map(|target| &target.object)
}

fn print_json(command: &PolicyApply, judged: &Judged<'_>) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for (answer, verdict) in judged.verdicts() {
        all.push(json!({
            "resource": named(answer), "policy": answer.policy, "rule": verdict.rule,
            "result": status(command, verdict).as_str(), "message": verdict.message, "exceptions": verdict.exceptions,
            "generated": verdict.generated, "targets": targets(verdict).collect::<Vec<_>>(),
        }));
    }
    all.extend(judged.faults.iter().map(|fault| json!({"fault": fault})));
    let patched = patched(judged.answers).into_iter();
    all.extend(patched.map(|(name, object)| json!({"resource": name, "patched": object})));
    print::json(&all)
}

fn print_table(command: &PolicyApply, judged: &Judged<'_>) -> anyhow::Result<()> {
    let mut table = print::table(&["Resource", "Policy", "Rule", "Result", "Message"]);
    for (answer, verdict) in judged.verdicts() {
        let status = status(command, verdict);
        if command.shown.detailed_results || status != Status::Skip {
            table.add_row([&named(answer), &answer.policy, &verdict.rule, status.as_str(), &verdict.message]);
        }
    }
    table.print();
    let besides: BTreeSet<String> = made(judged.answers).map(called).collect();
    let (changed, besides) = (patched(judged.answers).len(), besides.len());
    if command.live.cluster && changed + besides > 0 {
        print::line(format!(
            "{changed} objects would change, and {besides} be made or changed besides; --write-changed has them"
        ));
        return Ok(());
    }
    let made = made(judged.answers).map(|object| (called(object), object));
    for (name, object) in patched(judged.answers).into_iter().chain(made) {
        print::line(format!("--- {name}"));
        print::json(object)?;
    }
    Ok(())
}
