//! Stored events: how fast they are correlated, as a ratio to reading them and doing nothing, in the same run.

use std::time::{Duration, Instant};

use bus::From;

use crate::latency::{ratio, wait_received};
use crate::platform::{Platform, cpu_seconds};
use crate::story::Pod;

/// Options of the throughput run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Events to store.
    #[arg(long, default_value_t = 1_000_000)]
    events: u32,
    /// Planted incidents.
    #[arg(long, default_value_t = 100)]
    planted: u32,
    /// Pods that make noise.
    #[arg(long, default_value_t = 2_000)]
    pods: u32,
    /// Events a second of event time: how dense the stored stream is.
    #[arg(long, default_value_t = 5_000)]
    rate: u32,
}

pub(crate) async fn run(platform: Platform, options: &Options) -> anyhow::Result<bool> {
    let stored = store(&platform, options).await?;
    let cpu = cpu_seconds("self");
    let raw = read_raw(&platform, stored).await?;
    let cpu = (cpu_seconds("self") - cpu) * 1e6 / (stored.max(1) * READS) as f64;
    println!(
        "raw: {stored} messages read by an AckAll consumer and dropped, {raw:.0}/s, {cpu:.2} us of processor time per message"
    );
    let correlator = platform.correlate()?;
    // The stream's events and one scan for each planted story.
    let total = stored + u64::from(options.planted);
    let started = Instant::now();
    let before = correlator.metric("correlator_events_received_total");
    let cpu = correlator.cpu_seconds();
    wait_received(&correlator, total).await;
    let received = correlator.metric("correlator_events_received_total");
    let rate = (received - before) / started.elapsed().as_secs_f64();
    let cpu = (correlator.cpu_seconds() - cpu) * 1e6 / (received - before).max(1.0);
    println!("correlated: {received:.0} events, {rate:.0}/s, {cpu:.2} us of processor time per event");
    println!("ratio to raw: {:.2}", rate / raw);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let opened = correlator.metric("correlator_incidents_opened");
    let right = known(&platform, options).await?;
    println!(
        "planted {}, found {right}: recall {:.3}; opened in all {opened:.0}",
        options.planted,
        ratio(right, options.planted as usize)
    );
    Ok(received as u64 >= total && right == options.planted as usize && opened as usize == right)
}

/// Stores noise with the planted stories spread over it; returns the last position of the events stream.
async fn store(platform: &Platform, options: &Options) -> anyhow::Result<u64> {
    let publisher = platform.bus.publisher()?;
    let noise = (0..options.pods).map(Pod::new).collect::<Result<Vec<_>, _>>()?;
    let started = Instant::now();
    let span = Duration::from_secs(1) / options.rate.max(1) * options.events;
    let first = service::now().minus(span);
    let every = (options.events / options.planted.max(1)).max(1);
    for number in 0..options.events {
        // The publisher's queue is bounded and drops what it cannot hold: here, waiting is right.
        if number % 20_000 == 0 {
            publisher.flush(Duration::from_secs(60)).await;
        }
        let time = first.plus(Duration::from_secs(1) / options.rate.max(1) * number);
        let story = number / every;
        if number % every == every / 2 && story < options.planted {
            let pod = Pod::new(0x7000_0000 + story)?;
            pod.prepare(&publisher, time).await?;
            pod.alert(&publisher, time, "Notice").await?;
            continue;
        }
        let priority = if number % 20 == 0 { "Notice" } else { "Debug" };
        let pod = (number.wrapping_mul(2_654_435_761) >> 8) % options.pods.max(1);
        if let Some(pod) = noise.get(pod as usize) {
            pod.alert(&publisher, time, priority).await?;
        }
    }
    publisher.flush(Duration::from_secs(300)).await;
    let (_, last) = platform.bus.stream_bounds("BIOTOPE_EVENTS").await?;
    println!("stored {last} events in {:.1} s", started.elapsed().as_secs_f64());
    Ok(last)
}

/// Reads the whole stream by a consumer that acknowledges each batch by its last message (AckAll), and does nothing with it.
async fn read_raw(platform: &Platform, last: u64) -> anyhow::Result<f64> {
    let mut best = 0.0_f64;
    for _ in 0..READS {
        let mut cursor = platform.bus.cursor("BIOTOPE_EVENTS", From::Beginning, Vec::new()).acknowledging();
        let (started, mut at) = (Instant::now(), 0);
        while at < last {
            let batch = cursor.next_batch(2_000, Duration::from_secs(5)).await;
            at = batch.last().map_or(at, |message| message.sequence);
        }
        best = best.max(last as f64 / started.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// How many planted incidents the incidents stream has, by their known ids.
async fn known(platform: &Platform, options: &Options) -> anyhow::Result<usize> {
    let mut ids = std::collections::BTreeSet::new();
    let (_, last) = platform.bus.stream_bounds("BIOTOPE_INCIDENTS").await?;
    let mut cursor = platform.bus.cursor("BIOTOPE_INCIDENTS", From::Beginning, Vec::new());
    let mut at = 0;
    while at < last {
        let batch = cursor.next_batch(1_000, Duration::from_secs(5)).await;
        if batch.is_empty() {
            break;
        }
        for message in batch {
            at = message.sequence;
            if let Ok(event) = bus::decode::<schemas::Event<schemas::incident::v1::Incident>>(&message.payload) {
                ids.insert(event.data.id.to_string());
            }
        }
    }
    let planted = (0..options.planted).filter_map(|n| Pod::new(0x7000_0000 + n).ok()?.incident_id());
    Ok(planted.filter(|id| ids.contains(id.as_str())).count())
}

/// How often the raw reading is repeated; the best counts.
const READS: u64 = 2;
