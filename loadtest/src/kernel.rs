//! From the system call to the incident: processes in the cgroups of pods open files, the real sensor sees it, the real correlator
//! tells of it.
//!
//! One process keeps up the load by opening a file that a rule of low priority wants, on a schedule that does not wait. Each planted
//! process opens its file once, when it is due; the latency counts from just before that call.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use bus::From;
use hdrhistogram::Histogram;
use model::IncidentId;
use parts::Process;

use crate::latency::ratio;
use crate::platform::Platform;
use crate::story::Pod;

/// Options of the run from the kernel.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// System calls a second that a rule wants.
    #[arg(long, default_value_t = 5_000)]
    rate: u32,
    /// Length of the schedule in seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Planted incidents.
    #[arg(long, default_value_t = 100)]
    planted: u32,
}

/// Options of a process that makes system calls.
#[derive(Debug, clap::Args)]
pub(crate) struct Actor {
    /// File to open.
    #[arg(long)]
    file: PathBuf,
    /// When to begin, in nanoseconds since the epoch.
    #[arg(long)]
    at: u64,
    /// How often a second; 0 opens once.
    #[arg(long, default_value_t = 0)]
    rate: u32,
    /// How long, in seconds.
    #[arg(long, default_value_t = 0)]
    seconds: u32,
}

pub(crate) async fn run(platform: Platform, options: &Options) -> anyhow::Result<bool> {
    let root = cgroup_root().context("no cgroup2 hierarchy is mounted")?;
    let folder = tempfile::tempdir()?;
    let pods = (0..=options.planted).map(|n| Pod::new(0x6000_0000 + n)).collect::<Result<Vec<_>, _>>()?;
    let correlator = platform.correlate()?;
    let sensor = platform.sense(&rules(folder.path()))?;
    let publisher = platform.bus.publisher()?;
    for pod in pods.iter().skip(1) {
        pod.prepare(&publisher, service::now()).await?;
    }
    publisher.flush(Duration::from_secs(60)).await;
    let seconds = u64::from(options.seconds);
    let listener = tokio::spawn(listen(platform.bus.cursor("BIOTOPE_INCIDENTS", From::Now, Vec::new()), seconds + 10));
    let start = now_ns() + 3_000_000_000;
    let mut actors = vec![actor(
        &root,
        &pods[0],
        folder.path().join("noise"),
        &[("--at", start), ("--rate", u64::from(options.rate)), ("--seconds", seconds)],
    )?];
    let gap = seconds * 1_000_000_000 / (u64::from(options.planted) + 1);
    for (place, pod) in (1_u64..).zip(pods.iter().skip(1)) {
        actors.push(actor(
            &root,
            pod,
            folder.path().join(format!("planted-{}", pod.uid)),
            &[("--at", start + gap * place)],
        )?);
    }
    let opened = listener.await?;
    let mut due = HashMap::new();
    for (pod, actor) in pods.iter().zip(&mut actors).skip(1) {
        actor.wait(Duration::from_secs(5));
        let said = fs::read_to_string(actor.log()).unwrap_or_default();
        if let (Some(id), Ok(at)) = (pod.incident_id(), said.trim().parse::<u64>()) {
            due.insert(id, at);
        }
    }
    actors.first_mut().map(|noise| noise.wait(Duration::from_secs(5)));
    println!("{}", fs::read_to_string(folder.path().join("noise.log")).unwrap_or_default().trim());
    println!(
        "sensor: {:.0} events received, {:.0} matched, {:.0} dropped by the kernel's ring",
        sensor.metric("runtime_sensor_events_received_total"),
        sensor.metric("runtime_sensor_rules_matched_total"),
        sensor.metric("runtime_sensor_events_dropped_total")
    );
    for pod in &pods {
        let _ = fs::remove_dir(cgroup(&root, pod));
        for folder in pod_cgroup(&root, pod).ancestors().take_while(|folder| *folder != root) {
            // The processes are gone, so the folder is empty; a cgroup that stays does no harm.
            let _ = fs::remove_dir(folder);
        }
    }
    drop(correlator);
    judge(&due, &opened, options.planted as usize)
}

/// The process itself: begins on time, keeps to its schedule, says when it made its call.
pub(crate) fn act(actor: &Actor) -> anyhow::Result<()> {
    let wait = actor.at.saturating_sub(now_ns());
    std::thread::sleep(Duration::from_nanos(wait));
    if actor.rate == 0 {
        let before = now_ns();
        fs::File::open(&actor.file)?;
        println!("{before}");
        return Ok(());
    }
    let total = u64::from(actor.rate) * u64::from(actor.seconds);
    let start = std::time::Instant::now();
    let gap = Duration::from_secs(1) / actor.rate;
    let mut late = 0_u64;
    for number in 0..total {
        let due = gap * u32::try_from(number).unwrap_or(u32::MAX);
        match due.checked_sub(start.elapsed()) {
            Some(early) => std::thread::sleep(early),
            None => late += 1,
        }
        fs::File::open(&actor.file)?;
    }
    let took = start.elapsed().as_secs_f64();
    println!("made {total} system calls in {took:.1} s, {:.0}/s, {late} behind schedule", total as f64 / took);
    Ok(())
}

fn rules(folder: &Path) -> String {
    let rule = |name: &str, priority: &str| {
        format!(
            "- rule: {name}\n  desc: {name}\n  condition: >\n    evt.type in (open, openat, openat2) and fd.name startswith {}/{name}\n  output: {name} %fd.name\n  priority: {priority}\n  tags: [mitre_execution, shell, container]\n",
            folder.display()
        )
    };
    rule("planted", "NOTICE") + &rule("noise", "DEBUG")
}

/// Starts a process that is in its pod's cgroup before it is this program.
fn actor(root: &Path, pod: &Pod, file: PathBuf, options: &[(&str, u64)]) -> anyhow::Result<Process> {
    let cgroup = cgroup(root, pod);
    fs::create_dir_all(&cgroup)
        .with_context(|| format!("cannot make {}: root's rights are needed", cgroup.display()))?;
    // Here, for making it is opening it.
    fs::write(&file, "x")?;
    let log = file.with_extension("log");
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]).arg(&cgroup);
    command.arg(std::env::current_exe()?).arg("actor").arg("--file").arg(&file);
    for (name, value) in options {
        command.arg(name).arg(value.to_string());
    }
    Ok(Process::start("actor", &mut command, &log)?)
}

/// Not directly below the root: a kubelet on the same machine ends what it finds in pods' cgroups there and does not know.
fn pod_cgroup(root: &Path, pod: &Pod) -> PathBuf {
    root.join(format!("biotope-loadtest/kubepods/burstable/pod{}", pod.uid))
}

fn cgroup(root: &Path, pod: &Pod) -> PathBuf {
    pod_cgroup(root, pod).join(pod.container_id())
}

/// Where the unified hierarchy is mounted (cgroups(7)).
fn cgroup_root() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mut fields = mounts.lines().map(|line| line.split_whitespace());
    fields.find_map(|mut fields| {
        let (_, place, kind) = (fields.next()?, fields.next()?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(place))
    })
}

/// Every `opened` with the time at which it was seen.
async fn listen(mut cursor: bus::Cursor, seconds: u64) -> Vec<(IncidentId, u64)> {
    let until = tokio::time::Instant::now() + Duration::from_secs(seconds);
    let mut seen = Vec::new();
    while tokio::time::Instant::now() < until {
        for message in cursor.next_batch(1_000, Duration::from_millis(500)).await {
            let at = now_ns();
            let event = bus::decode::<schemas::Event<schemas::incident::v1::Incident>>(&message.payload);
            if let Ok(event) = event
                && event.known_type() == Some(schemas::EventType::CaseOpened)
            {
                seen.push((event.data.id, at));
            }
        }
    }
    seen
}

fn judge(due: &HashMap<IncidentId, u64>, opened: &[(IncidentId, u64)], planted: usize) -> anyhow::Result<bool> {
    ensure!(due.len() == planted, "{} of {planted} planted processes made their call", due.len());
    let mut latency = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    let mut found = 0;
    for (id, at) in opened {
        if let Some(due) = due.get(id) {
            found += 1;
            latency.saturating_record(at.saturating_sub(*due) / 1_000);
        }
    }
    println!(
        "planted {planted}, found {found}: recall {:.3}, precision {:.3}",
        ratio(found, planted),
        ratio(found, opened.len())
    );
    println!(
        "system call to incident published: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        latency.value_at_quantile(0.5) as f64 / 1e3,
        latency.value_at_quantile(0.99) as f64 / 1e3,
        latency.max() as f64 / 1e3
    );
    Ok(found == planted && opened.len() == planted)
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
