//! What the sensor costs those whom it watches: batches of open+close with and without it, in turn, in one run; and what it costs
//! itself for each event. Run as root: `cargo bench -p runtime-sensor`.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a measurement prints, and stops where it cannot go on"
)]

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 8;
const BATCHES: usize = 100;
const CALLS: u32 = 200;

fn main() {
    let folder = std::env::temp_dir().join(format!("biotope-overhead-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("opened");
    fs::write(&file, "").unwrap();
    // A rule that wants every open, so that each is sent, decoded, enriched and judged; and never matches.
    let rules = folder.join("rules.yaml");
    fs::write(&rules, "- rule: r\n  desc: d\n  condition: evt.type in (open, openat) and fd.name = /nowhere\n  output: x\n  priority: INFO\n").unwrap();
    let (mut without, mut with, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.extend(batches(&file));
        let mut sensor = start(&rules);
        let before = processor_ms(&sensor);
        let batch = batches(&file);
        std::thread::sleep(Duration::from_millis(50));
        let spent = processor_ms(&sensor) - before;
        cpu.push(spent * 1_000.0 / (BATCHES as f64 * f64::from(CALLS)));
        with.extend(batch);
        sensor.kill().unwrap();
        sensor.wait().unwrap();
    }
    let (base, loaded) = (p10(&mut without), p10(&mut with));
    cpu.sort_by(f64::total_cmp);
    println!(
        "open+close without the sensor: {base:.0} ns, with: {loaded:.0} ns (p10 of batches), ratio {:.2}",
        loaded / base
    );
    println!("sensor's processor time: {:.2} us for each event (median of {ROUNDS} rounds)", cpu[ROUNDS / 2]);
    let _ = fs::remove_dir_all(&folder);
}

fn batches(file: &std::path::Path) -> Vec<f64> {
    let batch = |_| {
        let started = Instant::now();
        for _ in 0..CALLS {
            drop(File::open(file).unwrap());
        }
        started.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    (0..BATCHES).map(batch).collect()
}

fn start(rules: &std::path::Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runtime-sensor"));
    command.args(["run", "--rules"]).arg(rules).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(child.try_wait().unwrap().is_none(), "the sensor ended: run this as root on a kernel with BTF");
    child
}

/// Processor time of a process, from /proc (ticks of 10 ms).
fn processor_ms(child: &Child) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |place: usize| fields[place].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) * 10.0
}

fn p10(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 10]
}
