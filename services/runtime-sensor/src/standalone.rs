//! The sensor without the platform: alerts to standard output, events to a file.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use model::{FaultKind, Identity, Timestamp};
use schemas::Token;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, SourceKind};
use crate::container::Cgroups;
use crate::decode::decode;
use crate::metrics::Metrics;
use crate::pipeline::{Pipeline, Sink};
use crate::pods::Pods;
use crate::probe::Feature;
use crate::record::Writer;
use crate::rules::Rules;
use crate::source::Source;
use crate::wire::Said;
use crate::{host, kernel, rules, wire};

/// Arguments of `run`.
#[derive(Clone, Debug, clap::Args)]
pub struct Run {
    /// Rules file; may be given several times. Default: the rules that are built in.
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Plays a recording instead of watching the kernel.
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Ends after this many seconds; 0 runs until a signal.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    seconds: u64,
    /// Reports every rule that an event matches, not only the first.
    #[arg(long)]
    match_all: bool,
}

/// Arguments of `record`.
#[derive(Clone, Debug, clap::Args)]
pub struct Record {
    /// File to write.
    file: PathBuf,
    /// Rules whose event types are recorded. Default: the rules that are built in.
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// How long to record, in seconds.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    seconds: u64,
}

/// Prints alerts as JSON lines. Exit codes: 0 at the end, 1 when events or rules cannot be had.
#[must_use]
pub fn run(run: &Run) -> ExitCode {
    finish(try_run(run))
}

/// Writes a recording. Exit codes as [`run`].
#[must_use]
pub fn record(record: &Record) -> ExitCode {
    finish(try_record(record))
}

fn try_run(run: &Run) -> anyhow::Result<()> {
    let set = load(&run.rules)?;
    let source = if run.replay.is_some() { SourceKind::Replay } else { SourceKind::Ebpf };
    let (rules, replay_file, match_all) = (run.rules.clone(), run.replay.clone(), run.match_all);
    let config = Config { rules, source, replay_file, match_all, ..Config::default() };
    let source = Source::open(&config, &set.now())?;
    tell(source.features());
    let shutdown = CancellationToken::new();
    if run.seconds > 0 {
        let (ending, seconds) = (shutdown.clone(), run.seconds);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(seconds));
            ending.cancel();
        });
    }
    let mut pipeline = Pipeline::new(set, Pods::default(), Metrics::default(), config);
    pipeline.ends_with_recording = true;
    let lines = Lines { hostname: source.hostname() };
    pipeline.run(source, &lines, &service::Readiness::default().part("events"), &shutdown)
}

fn try_record(record: &Record) -> anyhow::Result<()> {
    let set = load(&record.rules)?;
    let mut kernel = kernel::Kernel::load(Config::default().ring_bytes, &set.now())?;
    let mut writer = Writer::create(&record.file, host::boot_time(), &host::hostname())?;
    let until = Instant::now() + Duration::from_secs(record.seconds);
    let mut failed = None;
    let cgroups = Cgroups::new();
    let mut told = std::collections::HashSet::new();
    while Instant::now() < until && failed.is_none() {
        let mut keep = |event: &[u8]| -> std::io::Result<()> {
            if let Ok(event) = decode(event)
                && told.insert(event.cgroup)
                && let Some(path) = cgroups.path(event.cgroup, event.tgid)
            {
                writer.write_cgroup(event.cgroup, &path)?;
            }
            writer.write(event)
        };
        if kernel.poll(4_096, |event| failed = failed.take().or(keep(event).err())) == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    if let Some(error) = failed {
        return Err(error.into());
    }
    Ok(writer.finish()?)
}

#[expect(clippy::print_stderr, reason = "a command for people: faults go to where they look")]
fn load(files: &[PathBuf]) -> anyhow::Result<Rules> {
    let loaded = rules::load(files);
    for fault in &loaded.faults {
        eprintln!("{fault}");
    }
    let errors = loaded.faults.iter().filter(|fault| fault.kind != FaultKind::Warning).count();
    anyhow::ensure!(!loaded.rules.rules().is_empty(), "no rule could be loaded ({errors} set aside)");
    Ok(Rules::fixed(loaded.rules))
}

#[expect(clippy::print_stderr, reason = "a command for people: faults go to where they look")]
fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("runtime-sensor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// One line for each thing that the machine should have.
#[expect(clippy::print_stderr, reason = "a command for people: alerts have standard output for themselves")]
fn tell(features: &[Feature]) {
    features.iter().for_each(|feature| eprintln!("{feature}"));
}

/// Alerts as JSON lines.
struct Lines {
    hostname: String,
}

impl Sink for Lines {
    #[expect(clippy::print_stdout, reason = "the lines are the purpose")]
    fn say(&self, time: Timestamp, _: Token, _: Identity, said: Said) -> anyhow::Result<()> {
        match said {
            Said::Matched(matched) => println!("{}", wire::line(&matched.alert)?),
            Said::Lost(lost) => println!("{}", wire::lost_line(&lost, time, &self.hostname)),
            Said::Started(_) | Said::Exited(_) => {}
        }
        Ok(())
    }
}
