//! `biotope policy`: Kyverno policies and their tests.

mod apply;
pub(crate) mod args;
mod cluster;
mod documents;
mod exceptions;
mod explain;
mod junit;
mod search;
mod test;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use admission_policy::Operation;
use admission_policy::testing::Given;
use anyhow::Context as _;
use model::Fault;

use self::args::{Policy, Situation};
use self::search::Search;
use crate::args::Format;

/// Tests, applies or explains.
pub(crate) async fn policy(command: &Policy, format: Format) -> anyhow::Result<ExitCode> {
    match command {
        Policy::Test(command) => test::test(command, format),
        Policy::Apply(command) => apply::apply(command, format.plain()).await,
        Policy::Explain(command) => explain::explain(command, format.plain()),
    }
}

/// The files below the given paths, absolute.
fn files(paths: &[PathBuf], faults: &mut Vec<Fault>) -> anyhow::Result<Vec<String>> {
    let mut search = Search::new(&is_yaml);
    let mut found = Vec::new();
    for path in paths {
        let text = path.to_string_lossy();
        if text == STDIN {
            found.push(STDIN.to_owned());
            continue;
        }
        let is_remote = text.contains("://") || text.starts_with("git@");
        anyhow::ensure!(!is_remote, "{text}: nothing is read from git or the web; clone it, and name the folder");
        let whole = std::path::absolute(path).with_context(|| format!("cannot read {}", path.display()))?;
        anyhow::ensure!(whole.exists(), "{} does not exist", path.display());
        search.below(&whole);
    }
    faults.append(&mut search.faults);
    found.extend(search.found.into_iter().map(|path| path.display().to_string()));
    Ok(found)
}

/// What stands for standard input among paths.
const STDIN: &str = "-";

/// What the command line gives, with every path absolute, and the folders that cannot be listed.
fn given(policies: &[PathBuf], resources: &[PathBuf], situation: &Situation) -> anyhow::Result<(Given, Vec<Fault>)> {
    let mut faults = Vec::new();
    let mut files = |paths: &[PathBuf]| files(paths, &mut faults);
    let variable = |pair: &String| {
        let (name, value) = pair.split_once('=').with_context(|| format!("`{pair}` is not name=value"))?;
        anyhow::Ok((name.to_owned(), serde_json::Value::from(value)))
    };
    let resources = files(resources)?;
    let mut exceptions = files(&situation.exception)?;
    if situation.exceptions_with_resources {
        exceptions.extend(resources.iter().cloned());
    }
    let variables = situation.set.iter().flat_map(|pairs| pairs.split(','));
    let operation = situation.operation.clone().unwrap_or_default().to_uppercase();
    let is_known = operation.is_empty() || Operation::parse(&operation).is_some();
    anyhow::ensure!(is_known, "`{operation}` is no operation: give CREATE, UPDATE, DELETE or CONNECT");
    let given = Given {
        policies: files(policies)?,
        resources,
        exceptions,
        targets: files(&situation.target_resource)?,
        parameters: files(&situation.parameter_resource)?,
        json: files(&situation.json)?,
        http: files(&situation.http_payload)?,
        envoy: files(&situation.envoy_payload)?,
        values_file: one_file(situation.values_file.as_deref())?,
        variables: variables.map(|pair| variable(&pair.to_owned())).collect::<anyhow::Result<_>>()?,
        user_info: one_file(situation.userinfo.as_deref())?,
        context: one_file(situation.context_file.as_deref())?,
        operation,
        now: Some(service::now()),
    };
    Ok((given, faults))
}

/// The path of a file, absolute; empty for none.
fn one_file(path: Option<&Path>) -> anyhow::Result<String> {
    let Some(path) = path else { return Ok(String::new()) };
    anyhow::ensure!(path.is_file(), "{} is no file", path.display());
    Ok(std::path::absolute(path)?.display().to_string())
}

/// `Kind/namespace/name`, or what stands for it.
fn called(resource: &serde_json::Value) -> String {
    let text = |pointer: &str| resource.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
    let parts = [text("/kind"), text("/metadata/namespace"), text("/metadata/name")];
    let known: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if known.is_empty() { "payload".to_owned() } else { known.join("/") }
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}
