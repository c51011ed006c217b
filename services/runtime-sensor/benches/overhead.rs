//! What the sensor costs those whom it watches: batches of open+close with and without it, in turn, in one run; and what it costs
//! itself for each event. Run as root:
//!
//! ```text
//! cargo bench -p runtime-sensor                     one rule that asks for every open and matches none
//! cargo bench -p runtime-sensor -- FILE...          these rules files
//! ```
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a measurement prints, and stops where it cannot go on"
)]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 8;
const BATCHES: usize = 250;
const CALLS: u32 = 200;

fn main() {
    let folder = std::env::temp_dir().join(format!("biotope-overhead-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("opened");
    fs::write(&file, "").unwrap();
    let mut rules: Vec<PathBuf> =
        std::env::args_os().skip(1).filter(|arg| arg != "--bench").map(PathBuf::from).collect();
    if rules.is_empty() {
        let condition = "evt.type in (open, openat) and fd.name = /nowhere";
        rules.push(folder.join("rules.yaml"));
        fs::write(
            &rules[0],
            format!("- rule: r\n  desc: d\n  condition: {condition}\n  output: x\n  priority: INFO\n"),
        )
        .unwrap();
    }
    println!("opens that are alike, which the kernel leaves out once no rule wanted one:");
    measure(&rules, &[file]);
    println!("opens of as many files of one folder, which it leaves out once no rule can want any there:");
    measure(&rules, &files(&folder, ""));
    println!("opens of which none is like another, each sent, decoded, enriched and judged:");
    measure(&rules, &files(&folder, "."));
    let _ = fs::remove_dir_all(&folder);
}

/// A file for each open of a round. Those whose names begin with a dot are judged one by one, whatever their folder.
fn files(folder: &std::path::Path, before: &str) -> Vec<PathBuf> {
    let file = |number: usize| folder.join(format!("{before}file-{number:06}"));
    let files: Vec<PathBuf> = (0..BATCHES * CALLS as usize).map(file).collect();
    files.iter().for_each(|file| fs::write(file, "").unwrap());
    files
}

fn measure(rules: &[PathBuf], files: &[PathBuf]) {
    let (mut without, mut with, mut cpu, mut idle) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.extend(batches(files));
        let mut sensor = start(rules);
        let (began, at_rest) = (Instant::now(), processor_ns(&sensor));
        std::thread::sleep(Duration::from_millis(300));
        let rest = (processor_ns(&sensor) - at_rest) / began.elapsed().as_nanos() as f64;
        let (began, before) = (Instant::now(), processor_ns(&sensor));
        let batch = batches(files);
        std::thread::sleep(Duration::from_millis(20));
        let spent = processor_ns(&sensor) - before - rest * began.elapsed().as_nanos() as f64;
        cpu.push(spent / (BATCHES as f64 * f64::from(CALLS)));
        idle.push(rest * 100.0);
        with.extend(batch);
        sensor.kill().unwrap();
        sensor.wait().unwrap();
    }
    let (base, loaded) = (at(&mut without, 10), at(&mut with, 10));
    println!("  open+close without the sensor: {base:.0} ns, with: {loaded:.0} ns (p10), ratio {:.2}", loaded / base);
    println!("  medians: {:.0} ns and {:.0} ns", at(&mut without, 50), at(&mut with, 50));
    println!(
        "  sensor's processor time for each open: {:.0} ns (median of {ROUNDS} rounds; best {:.0})",
        at(&mut cpu, 50),
        at(&mut cpu, 0)
    );
    println!("  sensor at rest: {:.2} % of a processor", at(&mut idle, 50));
}

/// Nanoseconds for each open+close, batch by batch, of these files in turn.
fn batches(files: &[PathBuf]) -> Vec<f64> {
    let mut next = files.iter().cycle();
    let mut batch = |_| {
        let started = Instant::now();
        for file in next.by_ref().take(CALLS as usize) {
            drop(File::open(file).unwrap());
        }
        started.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    (0..BATCHES).map(&mut batch).collect()
}

fn start(rules: &[PathBuf]) -> Child {
    // A sensor that outlives a measurement that was killed would disturb the next one.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_runtime-sensor"), "run"]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    rules.iter().for_each(|file| {
        command.arg("--rules").arg(file);
    });
    let mut child = command.spawn().unwrap();
    // The last thing that it says before it looks at events; the pipe stays open for as long as the child is kept.
    let mut said = BufReader::new(child.stderr.as_mut().unwrap()).lines().map_while(Result::ok);
    let is_attached = said.any(|line| line.contains("io_uring_submit_req"));
    assert!(is_attached, "the sensor ended: run this as root on a kernel with BTF");
    std::thread::sleep(Duration::from_millis(1_000));
    child
}

/// Processor time of all threads of a process, in nanoseconds (the first number of /proc/PID/task/TID/schedstat).
fn processor_ns(child: &Child) -> f64 {
    let threads = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    let spent = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    };
    threads.flatten().filter_map(spent).sum()
}

/// The value at a percentile.
fn at(values: &mut [f64], percentile: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() * percentile / 100]
}
