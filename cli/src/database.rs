//! `biotope db`: the databases that packages are matched with.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use model::Timestamp;
use registry_scanner::{
    Advisories, DatabaseKind, Fingerprint, Metadata, Pull, freshness, import_database, update_database,
};

use crate::args::{Database, Output};
use crate::print;

/// Runs one of the commands.
pub(crate) async fn database(command: &Database, output: Output) -> anyhow::Result<ExitCode> {
    match command {
        Database::Update { source, java_source, advisories, plain_http, force } => {
            let pull = Pull { plain_http_registries: plain_http.clone(), ..Pull::default() };
            for (kind, sources) in [(DatabaseKind::Vulnerabilities, source), (DatabaseKind::Java, java_source)] {
                if !sources.is_empty() {
                    update(kind, sources, &folder(advisories.as_deref()), (&pull, *force)).await?;
                }
            }
        }
        Database::Import { from, advisories } => {
            let folder = folder(advisories.as_deref());
            let spinner = print::spinner("reading the database".to_owned());
            let imported = import_database(from, &folder);
            spinner.finish_and_clear();
            for (kind, metadata) in imported.context("the database was not imported")? {
                told(kind, &metadata, &folder);
            }
        }
        Database::Status { advisories } => return status(&folder(advisories.as_deref()), output),
    }
    Ok(ExitCode::SUCCESS)
}

/// The folder of advisories that is named; else the one in the working folder, if there is one, else that of the user.
pub(crate) fn folder(named: Option<&Path>) -> PathBuf {
    let here = PathBuf::from("advisories");
    match (named, std::env::home_dir()) {
        (Some(named), _) => named.to_owned(),
        (None, Some(home)) if !here.is_dir() => home.join(".cache/biotope/advisories"),
        (None, _) => here,
    }
}

async fn update(
    kind: DatabaseKind,
    sources: &[String],
    folder: &Path,
    (pull, force): (&Pull, bool),
) -> anyhow::Result<()> {
    let known = freshness(kind, folder);
    if let Some(metadata) = known.filter(|known| !force && known.is_fresh(service::now())) {
        print::line(format!("{} is good until {}; --force fetches it all the same", name(kind), metadata.next_update));
        return Ok(());
    }
    let spinner = print::spinner(format!("fetching {}", name(kind)));
    let updated = update_database(kind, sources, folder, pull).await;
    spinner.finish_and_clear();
    let updated = updated.with_context(|| format!("{} was not updated", name(kind)))?;
    if !updated.is_new {
        print::line(format!("{} of the registry is in force already", name(kind)));
    }
    told(kind, &updated.metadata, folder);
    Ok(())
}

fn name(kind: DatabaseKind) -> &'static str {
    match kind {
        DatabaseKind::Vulnerabilities => "the database",
        DatabaseKind::Java => "the Java database",
    }
}

fn told(kind: DatabaseKind, metadata: &Metadata, folder: &Path) {
    let built = if metadata.updated_at.is_empty() { "at a time that it does not tell" } else { &metadata.updated_at };
    print::line(format!("{}: {}, built {built}", folder.display(), name(kind)));
}

/// How long ago a time was, for people; empty for what is no time.
pub(crate) fn age(time: &str) -> String {
    let Ok(time) = time.parse::<Timestamp>() else { return String::new() };
    let hours = (service::now().as_nanos() - time.as_nanos()).max(0) / (3_600 * 1_000_000_000);
    match hours / 24 {
        0 => format!("{hours} hours"),
        days => format!("{days} days, {} hours", hours % 24),
    }
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
            "next_update": metadata.next_update, "downloaded": metadata.downloaded_at, "age": age(&metadata.updated_at),
            "java_database": advisories.java_metadata().map(|java| serde_json::json!({
                "built": java.updated_at, "next_update": java.next_update, "age": age(&java.updated_at),
            })),
            "faults": faults,
        }))?,
        Output::Table => {
            let mut table = print::table(&["What", "Value"]);
            let java =
                advisories.java_metadata().map(|java| format!("{} ({})", java.updated_at, age(&java.updated_at)));
            for (what, value) in [
                ("database", advisories.name()),
                ("built", &metadata.updated_at),
                ("age", &age(&metadata.updated_at)),
                ("next update", &metadata.next_update),
                ("downloaded", &metadata.downloaded_at),
                ("Java database", java.as_deref().unwrap_or("none: archives without coordinates stay unknown")),
            ] {
                table.add_row([what, value]);
            }
            table.print();
            faults.iter().for_each(print::fault);
        }
    }
    let is_usable = faults.iter().all(|fault| fault.kind == model::FaultKind::Warning) && !advisories.is_empty();
    Ok(if is_usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
