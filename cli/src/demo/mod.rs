//! `biotope demo`: one real story, told from build to run, checked against what was planted.

mod check;
mod image;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use schemas::incident::v1::Incident;

use crate::args::Demo;
use crate::incidents::{self, Console};
use crate::platform::Platform;
use crate::print;

use self::story::Story;

/// Plays the story. Exit code 0 only when the incident is right. Everything that was started is ended, also after Ctrl-C.
pub(crate) async fn demo(demo: &Demo) -> anyhow::Result<ExitCode> {
    let temporary =
        if demo.folder.is_none() { Some(tempfile::Builder::new().prefix("biotope-demo-").tempdir()?) } else { None };
    let folder = match (&demo.folder, &temporary) {
        (Some(folder), _) => folder.clone(),
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => PathBuf::from("."),
    };
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let told = tokio::select! {
        told = tell(demo, folder) => told,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("terminated")),
    };
    drop(temporary);
    told
}

async fn tell(demo: &Demo, folder: PathBuf) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let recording = story::recording(&folder, demo.replay)?;
    story::write_inputs(&folder)?;
    say(1, "starting nats, an OCI registry, OpenBao and the five services");
    let (place, source) = (folder.clone(), recording.clone());
    let platform = tokio::task::spawn_blocking(move || Platform::start(&place, source.as_deref())).await?;
    let mut platform = platform.context("the platform did not start")?;
    let mut story = Story::new(&platform, recording.is_some())?;
    story.scan().await?;
    story.admit().await?;
    story.deliver().await?;
    story.run(&mut platform).await?;
    say(6, "waiting for the incident");
    let incidents = settle(&platform).await?;
    let wrong = check::check(story.planted(), &incidents);
    incidents.iter().for_each(incidents::show);
    if !wrong.is_empty() {
        wrong.iter().for_each(|what| print::line(format!("WRONG: {what}")));
        print::line(format!("logs are in {} when the demo runs with --folder", platform.folder.join("logs").display()));
        return Ok(ExitCode::FAILURE);
    }
    print::line(format!("one incident, four phases, right ids: as planted ({:.1} s)", started.elapsed().as_secs_f64()));
    if demo.keep {
        print::line(format!("console: http://{}  (Ctrl-C ends the platform)", platform.addresses.console));
        tokio::signal::ctrl_c().await?;
    }
    tokio::task::spawn_blocking(move || platform.stop()).await?;
    Ok(ExitCode::SUCCESS)
}

/// Waits until an incident is there and has not changed for a few seconds.
async fn settle(platform: &Platform) -> anyhow::Result<Vec<Incident>> {
    let deadline = Instant::now() + Duration::from_secs(40);
    let mut last = Vec::new();
    let mut since = Instant::now();
    loop {
        let now = Console::local(&platform.addresses).incidents("all").await?;
        if now != last {
            last = now;
            since = Instant::now();
        }
        let is_settled = !last.is_empty() && since.elapsed() >= Duration::from_secs(7);
        if is_settled || Instant::now() >= deadline {
            return Ok(last);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// A step of the story, for the person who watches.
pub(crate) fn say(step: u32, what: &str) {
    print::line(format!("[{step}/6] {what}"));
}
