//! Publishes what was committed, in order, and tells what the stream has.

use std::time::Duration;

use bus::{Bus, Class, Publisher};
use model::Identity;
use schemas::Token;
use schemas::incident::v1::{CaseOpened, CaseResolved, CaseUpdated, Incident, ResponseRequested};
use schemas::run::v1::EventsLost;
use tokio::sync::mpsc;

use crate::store::Outgoing;
use crate::wire::event_id;

/// Publishes until `inbox` is closed; numbers of acknowledged messages go to `sent`.
pub(crate) async fn run(
    bus: Bus,
    publisher: Publisher,
    mut inbox: mpsc::Receiver<(u64, Outgoing)>,
    sent: mpsc::Sender<Vec<u64>>,
) -> anyhow::Result<()> {
    let mut batch = Vec::new();
    while inbox.recv_many(&mut batch, MOST).await > 0 {
        let mut numbers = Vec::new();
        for (number, message) in batch.drain(..) {
            publish(&bus, &publisher, message).await?;
            numbers.push(number);
        }
        while !publisher.flush(PATIENCE).await {
            if inbox.is_closed() {
                return Ok(());
            }
            tracing::warn!(waiting = publisher.losses().waiting(), "incidents wait to be published");
        }
        if sent.send(numbers).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

async fn publish(bus: &Bus, publisher: &Publisher, message: Outgoing) -> Result<(), bus::PublishError> {
    match message {
        Outgoing::Opened(incident) => publisher.publish(case(&incident, "opened", CaseOpened((*incident).clone()))).await,
        Outgoing::Updated(incident) => publisher.publish(case(&incident, "updated", CaseUpdated((*incident).clone()))).await,
        Outgoing::Resolved(incident) => publisher.publish(case(&incident, "resolved", CaseResolved((*incident).clone()))).await,
        Outgoing::Response(incident, kind) => {
            let data = ResponseRequested { incident: incident.id.clone(), kind: kind.clone(), identity: incident.identity.clone() };
            let what = format!("response {kind}");
            publisher.publish(bus::Outgoing { key: Token::lossy(&kind), ..case(&incident, &what, data) }).await
        }
        Outgoing::Lost { from, count } => {
            let lost = EventsLost {
                at: "stream".to_owned(),
                lost: [("events".to_owned(), count)].into(),
                kept: 0,
                remedy: format!("from position {from} on the stream dropped events before they were read: give it more room, or read in time"),
            };
            let key = Token::lossy(&bus.origin().service);
            let (time, identity) = (service::now(), Identity::default());
            publisher.publish(bus::Outgoing { time, key, identity, class: Class::High, id: None, data: lost }).await
        }
    }
    .map(drop)
}

fn case<D>(incident: &Incident, what: &str, data: D) -> bus::Outgoing<D> {
    bus::Outgoing {
        time: incident.last_time,
        key: Token::from(incident.severity),
        identity: incident.identity.clone(),
        class: Class::High,
        id: Some(event_id(incident, what)),
        data,
    }
}

const MOST: usize = 256;
const PATIENCE: Duration = Duration::from_secs(10);
