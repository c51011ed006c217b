//! `biotope up`: the platform for use.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use crate::args::Up;
use crate::platform::{INPUTS, Platform};
use crate::print;

/// Starts the platform and keeps it until a signal; ends with an error when a part ends by itself.
pub(crate) async fn up(up: &Up) -> anyhow::Result<ExitCode> {
    let spinner = print::spinner("starting nats, registry, openbao and the five services".to_owned());
    let folder = up.folder.clone();
    let started = tokio::task::spawn_blocking(move || Platform::start(&folder, None)).await?;
    spinner.finish_and_clear();
    let mut platform = started.context("the platform did not start")?;
    let addresses = &platform.addresses;
    print::line(format!("platform runs in {}", platform.folder.display()));
    print::line(format!("  console   http://{}", addresses.console));
    print::line(format!(
        "  webhook   https://{}/validate (CA: {}/run/certificates/ca.crt)",
        addresses.webhook,
        platform.folder.display()
    ));
    print::line(format!("  nats      {} (readers: {}/run/bus/reader.url)", addresses.nats, platform.folder.display()));
    print::line(format!("  registry  {}", addresses.registry));
    print::line(format!("  openbao   {} (token: {}/run/openbao-token)", addresses.openbao, platform.folder.display()));
    print::line("put your files into its folders, they are read as they come:");
    for (name, holds) in INPUTS {
        print::line(format!("  {name:<12} {holds}"));
    }
    print::line("Ctrl-C ends it");
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            _ = terminate.recv() => break,
            () = tokio::time::sleep(Duration::from_secs(1)) => {
                if let Some((name, status, log)) = platform.ended() {
                    anyhow::bail!("{name} ended with {status}; its log ends with:\n{log}");
                }
            }
        }
    }
    print::note("ending");
    tokio::task::spawn_blocking(move || platform.stop()).await?;
    Ok(ExitCode::SUCCESS)
}
