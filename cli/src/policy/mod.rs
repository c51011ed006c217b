//! `biotope policy`: Kyverno policies and their tests.

mod apply;
mod explain;
mod junit;
mod test;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use admission_policy::testing::Given;
use anyhow::Context as _;

use crate::args::{Format, Policy, Situation};

/// Tests, applies or explains.
pub(crate) fn policy(command: &Policy, format: Format) -> anyhow::Result<ExitCode> {
    match command {
        Policy::Test(command) => test::test(command, format),
        Policy::Apply(command) => apply::apply(command, format.plain()),
        Policy::Explain(command) => explain::explain(command, format.plain()),
    }
}

/// The files below the given paths, absolute.
fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for path in paths {
        let whole = std::path::absolute(path).with_context(|| format!("cannot read {}", path.display()))?;
        anyhow::ensure!(whole.exists(), "{} does not exist", path.display());
        find(&whole, &is_yaml, &mut found);
    }
    Ok(found.into_iter().map(|path| path.display().to_string()).collect())
}

/// What the command line gives, with every path absolute.
fn given(policies: &[PathBuf], resources: &[PathBuf], situation: &Situation) -> anyhow::Result<Given> {
    let one = |path: &Option<PathBuf>| match path {
        Some(path) => Ok(files(std::slice::from_ref(path))?.into_iter().next().unwrap_or_default()),
        None => anyhow::Ok(String::new()),
    };
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
    Ok(Given {
        policies: files(policies)?,
        resources,
        exceptions,
        targets: files(&situation.target_resource)?,
        parameters: files(&situation.parameter_resource)?,
        json: files(&situation.json)?,
        http: files(&situation.http_payload)?,
        envoy: files(&situation.envoy_payload)?,
        values_file: one(&situation.values_file)?,
        variables: variables.map(|pair| variable(&pair.to_owned())).collect::<anyhow::Result<_>>()?,
        user_info: one(&situation.userinfo)?,
        context: one(&situation.context_file)?,
        operation: situation.operation.clone().unwrap_or_default().to_uppercase(),
    })
}

/// `Kind/namespace/name`, or what stands for it.
fn called(resource: &serde_json::Value) -> String {
    let text = |pointer: &str| resource.pointer(pointer).and_then(serde_json::Value::as_str).unwrap_or_default();
    let parts = [text("/kind"), text("/metadata/namespace"), text("/metadata/name")];
    let known: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if known.is_empty() { "payload".to_owned() } else { known.join("/") }
}

fn find(path: &Path, wanted: &dyn Fn(&Path) -> bool, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| find(entry, wanted, found));
    } else if wanted(path) {
        found.push(path.to_owned());
    }
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}
