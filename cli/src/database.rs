//! `biotope db`: the database that packages are matched with.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use registry_scanner::{Advisories, Fingerprint, Metadata, Pull, import_database, update_database};

use crate::args::{Database, Output};
use crate::print;

/// Runs one of the commands.
pub(crate) async fn database(command: &Database, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        Database::Update { source, advisories, plain_http, force } => {
            if !force && let Some(next) = fresh_until(advisories) {
                print::line(format!("the database is good until {next}; --force fetches it all the same"));
                return Ok(ExitCode::SUCCESS);
            }
            let pull = Pull { plain_http_registries: plain_http.clone(), ..Pull::default() };
            let spinner = print::spinner("fetching the database".to_owned());
            let updated = update_database(source, advisories, &pull).await;
            spinner.finish_and_clear();
            told(&updated.context("the database was not updated")?, advisories);
        }
        Database::Import { from, advisories } => {
            let imported = import_database(from, advisories).context("the database was not imported")?;
            told(&imported, advisories);
        }
        Database::Status { advisories } => return status(advisories, output),
    }
    Ok(ExitCode::SUCCESS)
}

fn told(metadata: &Metadata, folder: &Path) {
    let built = if metadata.updated_at.is_empty() { "at a time that it does not tell" } else { &metadata.updated_at };
    print::line(format!("{}: a database built {built}", folder.join("trivy.db").display()));
}

/// Until when the database in `folder` is as new as there is one, by its own word.
fn fresh_until(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("metadata.json")).ok()?;
    let metadata: Metadata = serde_json::from_str(&text).ok()?;
    let next: model::Timestamp = metadata.next_update.parse().ok()?;
    (folder.join("trivy.db").is_file() && next > service::now()).then_some(metadata.next_update)
}

/// Says what is there. Exits with 1 when nothing can be found with it.
fn status(folder: &Path, output: Output) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        folder.is_dir(),
        "{} is no folder of advisories: make it with `biotope db update`",
        folder.display()
    );
    let (advisories, faults) = Advisories::load(folder, &Fingerprint::of(folder));
    let metadata = advisories.metadata().cloned().unwrap_or_default();
    match output {
        Output::Json => print::json(&serde_json::json!({
            "folder": folder, "database": advisories.name(), "built": metadata.updated_at,
            "next_update": metadata.next_update, "downloaded": metadata.downloaded_at, "faults": faults,
        }))?,
        Output::Table => {
            let mut table = print::table(&["What", "Value"]);
            for (what, value) in [
                ("database", advisories.name()),
                ("built", &metadata.updated_at),
                ("next update", &metadata.next_update),
                ("downloaded", &metadata.downloaded_at),
            ] {
                table.add_row([what, value]);
            }
            print::line(table);
            faults.iter().for_each(print::note);
        }
    }
    let is_usable = faults.iter().all(|fault| fault.kind == model::FaultKind::Warning) && !advisories.is_empty();
    Ok(if is_usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
