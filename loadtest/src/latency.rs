//! Open loop: the schedule is made beforehand, no slot is skipped, and latency counts from the due time.

use std::collections::HashMap;
use std::time::Duration;

use bus::{From, Publisher};
use hdrhistogram::Histogram;
use model::IncidentId;
use schemas::EventType;
use tokio::time::Instant;

use crate::platform::Platform;
use crate::story::Pod;

/// Options of the open-loop run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Events a second.
    #[arg(long, default_value_t = 5_000)]
    rate: u32,
    /// Length of the schedule in seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Planted incidents.
    #[arg(long, default_value_t = 200)]
    planted: u32,
    /// Pods that make noise.
    #[arg(long, default_value_t = 2_000)]
    pods: u32,
}

/// One slot of the schedule.
struct Slot {
    due: Duration,
    /// Index of the pod that speaks, and whether its alert completes a planted story.
    pod: usize,
    is_planted: bool,
}

pub(crate) async fn run(platform: Platform, options: &Options) -> anyhow::Result<bool> {
    let noise = (0..options.pods).map(Pod::new).collect::<Result<Vec<_>, _>>()?;
    let planted = (0..options.planted).map(|n| Pod::new(0x7000_0000 + n)).collect::<Result<Vec<_>, _>>()?;
    let correlator = platform.correlate()?;
    let publisher = platform.bus.publisher()?;
    for pod in &planted {
        pod.prepare(&publisher, service::now()).await?;
    }
    publisher.flush(Duration::from_secs(60)).await;
    let listener =
        tokio::spawn(listen(platform.bus.cursor("BIOTOPE_INCIDENTS", From::Now, Vec::new()), options.seconds));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let schedule = schedule(options);
    let cpu = correlator.cpu_seconds();
    let (due, lag, took) = send(&publisher, &schedule, (&noise, &planted)).await?;
    publisher.flush(Duration::from_secs(60)).await;
    let cpu = correlator.cpu_seconds() - cpu;
    let opened = listener.await?;
    let total = schedule.len() as u64 + u64::from(options.planted) * 4;
    wait_received(&correlator, total).await;
    println!(
        "offered {}/s, sent {:.0}/s, {} events in {:.1} s",
        options.rate,
        schedule.len() as f64 / took.as_secs_f64(),
        schedule.len(),
        took.as_secs_f64()
    );
    println!(
        "send behind schedule: p50 {} us, p99 {} us, max {} us",
        lag.value_at_quantile(0.5),
        lag.value_at_quantile(0.99),
        lag.max()
    );
    println!("correlator processor time per event: {:.2} us", cpu * 1e6 / schedule.len() as f64);
    let lost = total.saturating_sub(correlator.metric("correlator_events_received_total") as u64);
    println!("losses: {lost} not received, {} dropped by the publisher", publisher.losses().lost().iter().sum::<u64>());
    Ok(judge(&planted, &due, &opened)? && lost == 0)
}

fn schedule(options: &Options) -> Vec<Slot> {
    let total = u64::from(options.rate) * u64::from(options.seconds);
    let every = total.checked_div(u64::from(options.planted)).unwrap_or(u64::MAX).max(1);
    let gap = Duration::from_secs(1) / options.rate.max(1);
    let slot = |number: u64| {
        let story = number / every;
        let is_planted = number % every == every / 2 && story < u64::from(options.planted);
        let pod =
            if is_planted { story } else { (number.wrapping_mul(2_654_435_761) >> 8) % u64::from(options.pods.max(1)) };
        Slot {
            due: gap * u32::try_from(number).unwrap_or(u32::MAX),
            pod: usize::try_from(pod).unwrap_or(0),
            is_planted,
        }
    };
    (0..total).map(slot).collect()
}

/// Sends each slot when it is due, or at once when that is past. Returns the due time of each planted alert by incident.
async fn send(
    publisher: &Publisher,
    schedule: &[Slot],
    pods: (&[Pod], &[Pod]),
) -> anyhow::Result<(HashMap<IncidentId, Instant>, Histogram<u64>, Duration)> {
    let mut lag = histogram()?;
    let mut due_times = HashMap::new();
    let start = Instant::now();
    for (number, slot) in schedule.iter().enumerate() {
        let due = start + slot.due;
        if due > Instant::now() {
            tokio::time::sleep_until(due).await;
        }
        lag.saturating_record(micros(due.elapsed()));
        let pod = if slot.is_planted { pods.1.get(slot.pod) } else { pods.0.get(slot.pod) };
        let Some(pod) = pod else { continue };
        // One alert in twenty passes the rules' selections; the rest is what a sensor says all day.
        let priority = if slot.is_planted || number % 20 == 0 { "Notice" } else { "Debug" };
        if slot.is_planted
            && let Some(id) = pod.incident_id()
        {
            due_times.insert(id, due);
        }
        pod.alert(publisher, service::now(), priority).await?;
    }
    Ok((due_times, lag, start.elapsed()))
}

/// Every `opened` with the time at which it was seen.
async fn listen(mut cursor: bus::Cursor, seconds: u32) -> Vec<(IncidentId, Instant)> {
    let until = Instant::now() + Duration::from_secs(u64::from(seconds) + 10);
    let mut seen = Vec::new();
    while Instant::now() < until {
        for message in cursor.next_batch(1_000, Duration::from_millis(500)).await {
            let at = Instant::now();
            let Ok(event) = bus::decode::<schemas::Event<schemas::incident::v1::Incident>>(&message.payload) else {
                continue;
            };
            if event.known_type() == Some(EventType::CaseOpened) {
                seen.push((event.data.id, at));
            }
        }
    }
    seen
}

/// Prints recall, precision, duplicates and latency; whether all is as planted.
fn judge(
    planted: &[Pod],
    due: &HashMap<IncidentId, Instant>,
    opened: &[(IncidentId, Instant)],
) -> anyhow::Result<bool> {
    let mut latency = histogram()?;
    let mut first: HashMap<&IncidentId, Instant> = HashMap::new();
    for (id, at) in opened {
        first.entry(id).and_modify(|seen| *seen = (*seen).min(*at)).or_insert(*at);
    }
    let mut found = 0_usize;
    for id in planted.iter().filter_map(Pod::incident_id) {
        if let (Some(at), Some(due)) = (first.get(&id), due.get(&id)) {
            found += 1;
            latency.saturating_record(micros(at.saturating_duration_since(*due)));
        }
    }
    let (duplicates, wrong) = (opened.len() - first.len(), first.len() - found);
    println!(
        "planted {}, found {found}: recall {:.3}, precision {:.3}, duplicates {duplicates}",
        planted.len(),
        ratio(found, planted.len()),
        ratio(found, found + wrong)
    );
    println!(
        "due time to incident published: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        latency.value_at_quantile(0.5) as f64 / 1e3,
        latency.value_at_quantile(0.99) as f64 / 1e3,
        latency.max() as f64 / 1e3
    );
    Ok(found == planted.len() && wrong == 0 && duplicates == 0)
}

pub(crate) async fn wait_received(correlator: &crate::platform::Service, total: u64) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while (correlator.metric("correlator_events_received_total") as u64) < total && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
