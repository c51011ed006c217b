//! The sensor without the platform: alerts to standard output, events to a file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use model::FaultKind;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Level, RuleMatching, SourceKind};
use crate::container::Cgroups;
use crate::decode::decode;
use crate::metrics::Metrics;
use crate::out::Out;
use crate::outputs::Surroundings;
use crate::pipeline::Pipeline;
use crate::pods::Pods;
use crate::probe::Feature;
use crate::record::Writer;
use crate::rules::Rules;
use crate::source::Source;
use crate::{host, kernel};

/// Arguments of `run` and `replay`.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct Run {
    /// Rules file, or folder of them; may be given several times. Default: the rules that are built in.
    #[arg(long, value_name = "FILE")]
    pub rules: Vec<PathBuf>,
    /// Settings, as for the service: more outputs, and how alerts are written. `--rules` and what follows go before them.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Plays a recording instead of watching the kernel.
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// Rules less urgent than this are left out: emergency, alert, critical, error, warning, notice, informational, debug.
    #[arg(long, value_name = "PRIORITY")]
    pub priority: Option<Level>,
    /// How many rules may match one event.
    #[arg(long, value_enum, value_name = "HOW")]
    pub rule_matching: Option<RuleMatching>,
    /// Alerts begin with date and time in ISO 8601.
    #[arg(long)]
    pub iso_time: bool,
    /// Ends after this many seconds; 0 runs until a signal.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub seconds: u64,
    /// Short for `--rule-matching all`.
    #[arg(long)]
    pub match_all: bool,
}

/// Arguments of `record`.
#[derive(Clone, Debug, clap::Args)]
pub struct Record {
    /// File to write.
    pub file: PathBuf,
    /// Rules whose event types are recorded. Default: the rules that are built in.
    #[arg(long, value_name = "FILE")]
    pub rules: Vec<PathBuf>,
    /// How long to record, in seconds; a signal ends it before.
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    pub seconds: u64,
}

/// Prints alerts, one a line: JSON objects or text. Exit codes: 0 at the end, 1 when events or rules cannot be had, 64 for bad settings.
///
/// Blocks; not to be called from asynchronous code.
#[must_use]
pub fn run(run: &Run, json: bool) -> ExitCode {
    match config(run, json) {
        Ok(config) => finish(try_run(run, config)),
        Err(error) => {
            finish(Err(error));
            ExitCode::from(64)
        }
    }
}

/// Writes a recording. Exit codes as [`run`]. Blocks as it does.
#[must_use]
pub fn record(record: &Record) -> ExitCode {
    finish(try_record(record))
}

/// The settings of the file with those of the command line in them.
fn config(run: &Run, json: bool) -> anyhow::Result<Config> {
    let mut config = service::load::<Config>(run.config.as_deref())?.service;
    if !run.rules.is_empty() {
        config.rules.clone_from(&run.rules);
    }
    if run.replay.is_some() {
        (config.source, config.replay_file) = (SourceKind::Replay, run.replay.clone());
    }
    config.priority = run.priority.unwrap_or(config.priority);
    let all = run.match_all.then_some(RuleMatching::All);
    config.rule_matching = run.rule_matching.or(all).unwrap_or(config.rule_matching);
    config.alerts.time_format_iso_8601 |= run.iso_time;
    config.alerts.json_output |= json;
    // Where nothing else was asked for, alerts are what the command prints.
    config.alerts.stdout_output.enabled |= run.config.is_none();
    Ok(config)
}

fn try_run(run: &Run, config: Config) -> anyhow::Result<()> {
    service::install_crypto();
    service::log_to_stderr("warn,runtime_sensor::rules=info");
    let set = load(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let shutdown = ended_by_signal(&runtime, run.seconds);
    let metrics = Metrics::default();
    let dropped = metrics.falco.queue_drops.clone();
    // Where alerts only go to standard output, the end of its reader (`| head`) is the end.
    let reader_gone = if run.config.is_none() { shutdown.clone() } else { CancellationToken::new() };
    let surroundings = Surroundings { runtime: runtime.handle().clone(), bus: None, dropped, reader_gone };
    let source = Source::open(&config, &set.now())?;
    tell(source.features());
    let out = Out::new(&config, None, &surroundings, source.hostname())?;
    if !config.rules.is_empty() && source.is_live() {
        set.follow(&config, &shutdown)?;
    }
    let containers = config.containers(&metrics, runtime.handle(), &shutdown);
    let mut pipeline = Pipeline::new(set, Pods::default(), metrics, config);
    pipeline.containers = containers;
    pipeline.ends_with_recording = true;
    let result = pipeline.run(source, &out, &service::Readiness::default().part("events"), &shutdown);
    drop(out);
    result
}

/// What a signal ends, or the time. A second signal ends the process by itself.
fn ended_by_signal(runtime: &tokio::runtime::Runtime, seconds: u64) -> CancellationToken {
    let shutdown = CancellationToken::new();
    let ending = shutdown.clone();
    // Listened for from here on, not only when the runtime comes to it.
    let _within = runtime.enter();
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    runtime.spawn(async move {
        let _end = ending.drop_guard();
        let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) else {
            return std::future::pending().await;
        };
        let time = async {
            match seconds {
                0 => std::future::pending().await,
                seconds => tokio::time::sleep(Duration::from_secs(seconds)).await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            () = time => {}
        }
    });
    shutdown
}

fn try_record(record: &Record) -> anyhow::Result<()> {
    let config = Config { rules: record.rules.clone(), ..Config::default() };
    let set = load(&config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let shutdown = ended_by_signal(&runtime, 0);
    let mut kernel = kernel::Kernel::load(config.ring_bytes, &set.now())?;
    let mut recorder = Recorder::create(&record.file)?;
    let until = Instant::now() + Duration::from_secs(record.seconds);
    while Instant::now() < until && !shutdown.is_cancelled() {
        if recorder.take(&mut kernel, 4_096)? == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    // What came until now is still in the ring; what comes while it is read would never end.
    let sent: u64 = kernel.counted().classes.iter().map(|class| class.sent).sum();
    while recorder.taken < sent && recorder.take(&mut kernel, 4_096)? > 0 {}
    let missing = kernel.counted().lost();
    recorder.writer.finish(missing)?;
    tell_of_losses(missing);
    Ok(())
}

/// Writes what the kernel tells.
struct Recorder {
    writer: Writer,
    cgroups: Cgroups,
    /// The cgroups whose paths are written already.
    told: std::collections::HashSet<u64>,
    taken: u64,
}

impl Recorder {
    fn create(file: &Path) -> anyhow::Result<Self> {
        let writer = Writer::create(file, host::boot_time(), &host::hostname());
        let writer = writer.with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self { writer, cgroups: Cgroups::new(), told: std::collections::HashSet::new(), taken: 0 })
    }

    /// Writes what is there, at most so many events. Returns how many.
    fn take(&mut self, kernel: &mut kernel::Kernel, most: usize) -> std::io::Result<usize> {
        let mut failed = None;
        let count = kernel.poll(most, |event| failed = failed.take().or_else(|| self.write(event).err()));
        self.taken = self.taken.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        failed.map_or(Ok(count), Err)
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if let Ok(event) = decode(bytes)
            && self.told.insert(event.cgroup)
            && let Some(path) = self.cgroups.path(event.cgroup, event.tgid)
        {
            self.writer.write_cgroup(event.cgroup, &path)?;
        }
        self.writer.write(bytes)
    }
}

/// What is missing from a recording.
#[expect(clippy::print_stderr, reason = "a command for people: a recording that is not whole has to say so")]
fn tell_of_losses(missing: u64) {
    if missing > 0 {
        eprintln!(
            "runtime-sensor: {missing} events are missing: they came faster than they could be written; ask for less by --rules"
        );
    }
}

#[expect(clippy::print_stderr, reason = "a command for people: faults go to where they look")]
fn load(config: &Config) -> anyhow::Result<Rules> {
    let (rules, faults) = Rules::load(config);
    for fault in &faults {
        eprintln!("{fault}");
    }
    let errors = faults.iter().filter(|fault| fault.kind != FaultKind::Warning).count();
    anyhow::ensure!(!rules.now().rules().is_empty(), "no rule could be loaded ({errors} set aside)");
    Ok(rules)
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
