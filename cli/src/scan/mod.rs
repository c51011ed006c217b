//! `biotope scan`: one image, folder or bill of material, without a platform.
//!
//! ```text
//! target -> scan_once -> what stands and what is left out (filter) -> a report in the form that is asked for (render, table)
//! ```

pub(crate) mod args;
mod filter;
mod render;
mod table;
mod template;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use registry_scanner::{
    Advisories, Fingerprint, Hashes, Making, Maven, Options, Platform, Progress, Pull, Report, ScanError, Skip, Store,
    document, paths_below, scan_once,
};

use crate::args::{Format, OutputTo};
use crate::database::{age, folder};
use crate::{docker, print};
use args::{Form, Scan};

/// Scans and prints. Exits with `--exit-code` when there are findings, with `--exit-on-partial` when it is not known whether there are.
pub(crate) async fn scan(scan: &Scan, output: &OutputTo) -> anyhow::Result<ExitCode> {
    let form = scan.form(output);
    anyhow::ensure!(
        (form == Form::Template) == scan.template.is_some(),
        "`--format template` and `--template` go together"
    );
    let options = scan.options(form, Arc::new(advisories(scan, form)?))?;
    let target = scan.subject();
    let report = watched(scan_once(&target, &options), &options.progress, (&target, scan.quiet)).await;
    let report = report.map_err(|error| anyhow::anyhow!("{error}: {}", error.remedy()))?;
    report.faults.iter().for_each(print::fault);
    let shown = filter::shown(scan, &report, &options.pull).await?;
    let making = Making {
        created: service::now(),
        uuid: uuid::Uuid::new_v4().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let document = document(&report, &shown, &options.advisories, making);
    let text = match form {
        Form::Table => table::render(scan, &report, &document),
        form => render::render(scan, form, &document)?,
    };
    match output {
        OutputTo::File(path) => {
            std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        OutputTo::Format(_) => print::text(&text),
    }
    if document.is_end_of_life && scan.exit_on_eol != 0 {
        return Ok(ExitCode::from(scan.exit_on_eol));
    }
    let of_findings = if shown.findings.is_empty() { 0 } else { scan.exit_code };
    if of_findings == 0 && report.partial && scan.exit_on_partial != 0 {
        print::note(format!("the scan is not complete: exit code {} (--exit-on-partial)", scan.exit_on_partial));
        return Ok(ExitCode::from(scan.exit_on_partial));
    }
    Ok(ExitCode::from(of_findings))
}

/// Loads the advisories. A database that is here for the first time is put into another form first, which takes a while. A bill of material
/// needs none, unless some are named.
fn advisories(scan: &Scan, form: Form) -> anyhow::Result<Advisories> {
    let folder = folder(scan.advisories.as_deref());
    if !folder.is_dir() && scan.advisories.is_none() && form.is_bill() {
        print::note(
            "there are no advisories: packages are listed, vulnerabilities are not (`biotope db update` fetches some)",
        );
        return Ok(Advisories::default());
    }
    anyhow::ensure!(
        folder.is_dir(),
        "{} is no folder of advisories: fetch Trivy's database with `biotope db update`, or name a folder of OSV files with --advisories",
        folder.display()
    );
    let spinner = if scan.quiet { ProgressBar::hidden() } else { print::spinner("reading the advisories".to_owned()) };
    let (advisories, faults) = Advisories::load(&folder, &Fingerprint::of(&folder));
    spinner.finish_and_clear();
    faults.iter().for_each(print::fault);
    if let Some(metadata) = advisories.metadata()
        && !metadata.next_update.is_empty()
        && !metadata.is_fresh(service::now())
    {
        let age = age(&metadata.updated_at);
        print::note(format!(
            "the database was built {age} ago, and there is a newer one: `biotope db update` fetches it"
        ));
    }
    Ok(advisories)
}

impl Scan {
    fn subject(&self) -> String {
        let input = self.input.as_ref().map(|path| path.display().to_string());
        input.or_else(|| self.target.clone()).unwrap_or_default()
    }

    /// Of a folder, paths that lead into it from the working folder count as paths below it.
    fn skip(&self) -> Skip {
        let (subject, working) = (PathBuf::from(self.subject()), std::env::current_dir().unwrap_or_default());
        let below = |paths: &[String]| {
            if subject.is_dir() { paths_below(&subject, paths, &working) } else { paths.to_vec() }
        };
        Skip::new(&below(&self.skip_files), &below(&self.skip_dirs))
    }

    /// `--output json` is another word for `--format json`.
    fn form(&self, output: &OutputTo) -> Form {
        match (self.format, output) {
            (Some(form), _) => form,
            (None, OutputTo::Format(Format::Json)) => Form::Json,
            (None, OutputTo::Format(Format::Junit)) => Form::Junit,
            (None, OutputTo::Format(Format::Table) | OutputTo::File(_)) => Form::Table,
        }
    }

    /// Bills of material tell the digests of packages, as Trivy's do.
    fn hashes(&self, form: Form) -> Hashes {
        match form {
            _ if self.checksums => Hashes::Programs,
            Form::Spdx | Form::SpdxJson | Form::Cyclonedx => Hashes::Packages,
            Form::Table | Form::Json | Form::Sarif | Form::Github | Form::CosignVuln | Form::Junit | Form::Template => {
                Hashes::None
            }
        }
    }

    fn options(&self, form: Form, advisories: Arc<Advisories>) -> anyhow::Result<Options> {
        let platform = self.platform.as_deref().map(str::parse::<Platform>).transpose();
        let cache = self.cache_dir.clone().or_else(|| Some(std::env::home_dir()?.join(".cache/biotope/scans")));
        let cache = cache.filter(|_| !self.no_cache);
        let mut mirrors: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (of, mirror) in &self.maven_mirror {
            mirrors.entry(of.clone()).or_default().push(mirror.clone());
        }
        let pull = Pull {
            maven: Maven { fetch: self.fetch_poms, mirrors },
            plain_http_registries: self.plain_http.clone(),
            docker_config: docker::configuration(self.docker_config.as_deref()),
            ..Pull::default()
        };
        Ok(Options {
            platform: platform.context("--platform is os/arch[/variant]")?.unwrap_or_default(),
            pull,
            store: kept_in(cache),
            advisories,
            skip: self.skip(),
            uninstalled: self.rpm_archives,
            hashes: self.hashes(form),
            is_offline: self.offline,
            ..Options::default()
        })
    }
}

/// A cache is a convenience: without it, everything is read.
fn kept_in(folder: Option<PathBuf>) -> Store {
    let store = Store::open(folder.as_deref());
    store.unwrap_or_else(|error| {
        print::note(format!("nothing is cached: {error}"));
        Store::default()
    })
}

/// Shows on a terminal how far a scan is.
async fn watched(
    scanning: impl Future<Output = Result<Report, ScanError>>,
    progress: &Progress,
    (target, is_quiet): (&str, bool),
) -> Result<Report, ScanError> {
    let bar = if is_quiet { ProgressBar::hidden() } else { print::spinner(format!("scanning {target}")) };
    let mut scanning = std::pin::pin!(scanning);
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let mut is_sized = false;
    let report = loop {
        tokio::select! {
            report = &mut scanning => break report,
            _ = tick.tick() => {}
        }
        let ((layers_done, layers), (done, all)) = (progress.layers(), progress.bytes());
        if all > 0 && !is_sized {
            is_sized = true;
            let style = "{spinner} {msg} [{bar:30}] {bytes}/{total_bytes} ({elapsed})";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
        }
        bar.set_length(all);
        bar.set_position(done);
        if layers > 0 {
            bar.set_message(format!("{target}: {layers_done} of {layers} layers"));
        }
    };
    bar.finish_and_clear();
    report
}
