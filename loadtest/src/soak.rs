//! Whether the sensor stays as it is under load that does not end: processes that start, fork and open files without a pause, its
//! memory, its tables and its descriptors looked at all the while.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use parts::Process;

use crate::platform::{Platform, Service};

/// Options of the soak.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How long, in seconds.
    #[arg(long, default_value_t = 180)]
    seconds: u64,
    /// Processes that make the load.
    #[arg(long, default_value_t = 2)]
    churners: u32,
    /// Rules files. Default: a rule for opens and one for programs.
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
}

/// Options of a process that makes the load.
#[derive(Debug, clap::Args)]
pub(crate) struct Churner {
    /// How long, in seconds.
    #[arg(long)]
    seconds: u64,
    /// Folder for its files.
    #[arg(long)]
    folder: PathBuf,
}

/// What is looked at.
#[derive(Clone, Copy, Debug)]
struct Look {
    resident_kib: u64,
    descriptors: usize,
    processes: f64,
}

pub(crate) async fn run(platform: Platform, options: &Options) -> anyhow::Result<bool> {
    let folder = tempfile::tempdir()?;
    let rules = options.rules.iter().map(fs::read_to_string).collect::<Result<String, _>>()?;
    let sensor = platform.sense(if rules.is_empty() { RULES } else { &rules })?;
    let seconds = options.seconds.to_string();
    let churners = (0..options.churners).map(|number| {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["churner", "--seconds", &seconds, "--folder"]).arg(folder.path());
        Ok(Process::start("churner", &mut command, &folder.path().join(format!("churner-{number}.log")))?)
    });
    let mut churners = churners.collect::<anyhow::Result<Vec<_>>>()?;
    let (began, mut looks) = (Instant::now(), Vec::new());
    while began.elapsed() < Duration::from_secs(options.seconds) {
        tokio::time::sleep(Duration::from_secs(options.seconds.div_ceil(100).clamp(1, 10))).await;
        looks.push(look(&sensor)?);
    }
    for churner in &mut churners {
        churner.wait(Duration::from_secs(10));
    }
    for number in 0..options.churners {
        let said = fs::read_to_string(folder.path().join(format!("churner-{number}.log"))).unwrap_or_default();
        println!("{}", said.trim());
    }
    println!(
        "sensor: {:.0} events received, {:.0} matched, {:.0} dropped by the kernel's ring, {:.0} processes evicted",
        sensor.metric("runtime_sensor_events_received_total"),
        sensor.metric("runtime_sensor_rules_matched_total"),
        sensor.metric("runtime_sensor_events_dropped_total"),
        sensor.metric("runtime_sensor_processes_evicted"),
    );
    judge(&looks)
}

fn look(sensor: &Service) -> anyhow::Result<Look> {
    let pid = sensor.id();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the sensor ended")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok(Look {
        resident_kib: resident.split_whitespace().next().unwrap_or_default().parse()?,
        descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
        processes: sensor.metric("runtime_sensor_processes"),
    })
}

/// Flat is: from its second quarter to its last one, the memory grew by less than a twentieth and two MiB.
fn judge(looks: &[Look]) -> anyhow::Result<bool> {
    let quarter = looks.len() / 4;
    ensure!(quarter > 0, "the soak was too short to tell");
    let mean = |looks: &[Look]| looks.iter().map(|look| look.resident_kib).sum::<u64>() / looks.len().max(1) as u64;
    let (early, late) = (mean(&looks[quarter..2 * quarter]), mean(&looks[looks.len() - quarter..]));
    let most = |of: fn(&Look) -> f64| looks.iter().map(of).fold(0.0, f64::max);
    println!(
        "memory: {} KiB at first, {early} KiB in the second quarter, {late} KiB in the last one, {:.0} KiB at most",
        looks.first().map_or(0, |look| look.resident_kib),
        most(|look| look.resident_kib as f64),
    );
    println!(
        "at most {:.0} processes in the table, {:.0} descriptors",
        most(|look| look.processes),
        most(|look| look.descriptors as f64)
    );
    Ok(late <= early + early / 20 + 2_048)
}

/// The load itself: programs that start and end, and files that are opened between.
pub(crate) fn churn(churner: &Churner) -> anyhow::Result<()> {
    let (began, mut started, mut opened) = (Instant::now(), 0_u64, 0_u64);
    while began.elapsed() < Duration::from_secs(churner.seconds) {
        let mut child = Command::new("/bin/sh").args(["-c", "/bin/true; :"]).stdin(Stdio::null()).spawn()?;
        for number in 0..200 {
            let path = churner.folder.join(format!("file-{}-{number}", opened % 977));
            // Most are not there: a look for them is a call like any other.
            let _ = fs::File::open(path);
            opened += 1;
        }
        child.wait()?;
        started += 2;
    }
    println!("made {started} processes and {opened} opens in {:.0} s", began.elapsed().as_secs_f64());
    Ok(())
}

const RULES: &str = "\
- rule: opened
  desc: d
  condition: evt.type in (open, openat) and fd.name endswith file-1-7
  output: '%fd.name %user.name'
  priority: DEBUG
- rule: ran
  desc: d
  condition: evt.type in (execve, execveat) and proc.name = nobody and proc.aname = nobody
  output: '%proc.cmdline'
  priority: DEBUG
";
