//! Runs the engine with other rules over stored events, and tells what incidents there would have been.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bus::{Bus, From};
use correlation::{Limits, Machine, RuleSet, Stats};
use model::Timestamp;
use schemas::incident::v1::Incident;

use crate::wire;

/// What a replay came to.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Replayed {
    /// The last state of each incident, by time.
    pub incidents: Vec<Incident>,
    /// Events read.
    pub events: u64,
    /// Messages that are no events.
    pub unreadable: u64,
    /// What the engine counted.
    pub stats: Stats,
}

/// Replays what the events stream stored since `since`, with all scans that the build stream has. State and streams of the running
/// correlator are not touched.
///
/// # Errors
/// When a stream cannot be read.
pub async fn replay(bus: &Bus, rules: Arc<RuleSet>, since: Timestamp) -> anyhow::Result<Replayed> {
    let mut machine = Machine::new(Arc::clone(&rules), Limits::default());
    let mut replayed = Replayed { incidents: Vec::new(), events: 0, unreadable: 0, stats: Stats::default() };
    let mut last: BTreeMap<model::IncidentId, Incident> = BTreeMap::new();
    let (_, end) = bus.stream_bounds("BIOTOPE_BUILD").await.context("cannot replay")?;
    let mut build = bus.cursor("BIOTOPE_BUILD", From::Beginning, Vec::new());
    each(&mut build, end, |message| match wire::read_scan(&message.payload, |digest| machine.scan(digest)) {
        Ok(Some(facts)) => {
            let time = facts.time;
            machine.handle_scan(facts, time);
        }
        Ok(None) => {}
        Err(_) => replayed.unreadable += 1,
    })
    .await;
    let (_, end) = bus.stream_bounds("BIOTOPE_EVENTS").await.context("cannot replay")?;
    let mut events = bus.cursor("BIOTOPE_EVENTS", From::Time(since), Vec::new());
    let mut now = since;
    each(&mut events, end, |message| {
        replayed.events += 1;
        match wire::read(&rules, message.sequence, &message.payload, &message.subject) {
            Ok(wire::Read::Passed(time)) => {
                now = now.max(time);
                machine.pass(time, now);
            }
            Ok(wire::Read::Selected(event, hits)) => {
                now = now.max(event.time);
                machine.handle_selected(&event, &hits, now);
            }
            Err(_) => replayed.unreadable += 1,
        }
        gather(&mut machine, &mut last);
    })
    .await;
    // What is due by the wall clock is due in the replay too.
    machine.handle_timeout(service::now());
    gather(&mut machine, &mut last);
    replayed.incidents = last.into_values().collect();
    replayed.incidents.sort_by(|a, b| a.first_time.cmp(&b.first_time).then_with(|| a.id.as_str().cmp(b.id.as_str())));
    replayed.stats = machine.stats();
    Ok(replayed)
}

fn gather(machine: &mut Machine, last: &mut BTreeMap<model::IncidentId, Incident>) {
    while let Some(output) = machine.poll_output() {
        let incident = wire::incident(output.incident());
        last.insert(incident.id.clone(), incident);
    }
}

/// Reads up to position `end`, which may be gone by now.
async fn each(cursor: &mut bus::Cursor, end: u64, mut take: impl FnMut(&bus::Stored)) {
    let mut at = 0;
    while at < end {
        let batch = cursor.next_batch(5_000, Duration::from_secs(2)).await;
        let Some(newest) = batch.last() else { return };
        at = newest.sequence;
        batch.iter().filter(|message| message.sequence <= end).for_each(&mut take);
    }
}
