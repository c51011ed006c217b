//! Responses to incidents: each is carried out by the service that owns the means, which then says what came of it.

use std::future::Future;
use std::time::Duration;

use bus::{Bus, Class, Delivery, Disposed, Disposition, Outgoing, PublishError, Publisher, Subscription};
use model::{Identity, IncidentId};
use schemas::incident::v1::{Incident, ResponseDone, ResponseRequested};
use schemas::{EventType, Token};

use crate::context::Context;

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Order {
    /// A response that an incident asks for.
    Respond(Box<ResponseRequested>),
    /// An incident is over: what was done for it and can be undone is undone.
    Undo(IncidentId),
}

/// Hands every order about `kinds` of responses to `obey`, as long as the service lives. What it says, good or bad, is published as
/// `incident.response.done`; an order comes again after a crash, so `obey` is idempotent.
pub fn respond<H, F>(context: &Context, (bus, publisher): (&Bus, &Publisher), kinds: &'static [&'static str], obey: H)
where
    H: Fn(Order) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<String, String>> + Send + 'static,
{
    let (bus, publisher, shutdown) = (bus.clone(), publisher.clone(), context.shutdown.clone());
    let cluster = bus.origin().cluster.clone();
    let filter = |event: EventType, key: &str| format!("biotope.v1.{cluster}.{}.{key}", event.path());
    let mut filters: Vec<String> = kinds.iter().map(|kind| filter(EventType::ResponseRequested, kind)).collect();
    filters.push(filter(EventType::CaseResolved, "*"));
    let subscription = Subscription {
        stream: "BIOTOPE_INCIDENTS",
        durable: format!("{}_responses", bus.origin().service),
        filters,
        max_attempts: 5,
        ack_wait: Duration::from_secs(600),
    };
    context.spawn_vital("responses", async move {
        let consumed = bus.consume(&subscription, &shutdown, |delivery| {
            let (publisher, obey) = (publisher.clone(), obey.clone());
            async move { handle(&publisher, delivery, obey).await }
        });
        Ok(consumed.await?)
    });
}

async fn handle<H, F>(publisher: &Publisher, delivery: Delivery, obey: H) -> Result<(), Unfinished>
where
    H: Fn(Order) -> F,
    F: Future<Output = Result<String, String>>,
{
    let event = delivery.event;
    if event.known_type() == Some(EventType::CaseResolved) {
        let incident: Incident = serde_json::from_value(event.data).map_err(Unfinished::Malformed)?;
        match obey(Order::Undo(incident.id.clone())).await {
            Ok(detail) if detail.is_empty() => {}
            Ok(detail) => {
                tracing::info!(incident = %incident.id, detail, "responses of a resolved incident are undone")
            }
            Err(detail) => {
                tracing::error!(incident = %incident.id, detail, "responses of a resolved incident stay");
                return Err(Unfinished::Undo(detail));
            }
        }
        return Ok(());
    }
    let request: ResponseRequested = serde_json::from_value(event.data).map_err(Unfinished::Malformed)?;
    let (incident, kind) = (request.incident.clone(), request.kind.clone());
    let identity = request.identity.clone();
    // A service that is new reads all that was ever asked for.
    let is_late = crate::now().since(event.time) > HOLDS;
    let outcome = if is_late { Err(LATE.to_owned()) } else { obey(Order::Respond(Box::new(request))).await };
    let (succeeded, detail) = match outcome {
        Ok(detail) => (true, detail),
        Err(detail) => (false, detail),
    };
    tracing::warn!(%incident, kind, succeeded, detail, "response to an incident");
    let done = ResponseDone { incident, kind, succeeded, detail };
    publisher.publish(outgoing(event.id, identity, done)).await.map(drop).map_err(Unfinished::Publish)
}

fn outgoing(request: model::EventId, identity: Identity, done: ResponseDone) -> Outgoing<ResponseDone> {
    Outgoing {
        time: crate::now(),
        key: Token::lossy(&done.kind),
        identity,
        class: Class::High,
        id: Some(bus::derived_id(request, "done")),
        data: done,
    }
}

/// Why an order is not off the table.
#[derive(Debug, thiserror::Error)]
enum Unfinished {
    #[error("the order is malformed: {0}")]
    Malformed(serde_json::Error),
    #[error("cannot be undone: {0}")]
    Undo(String),
    #[error("its outcome was not published: {0}")]
    Publish(PublishError),
}

impl Disposed for Unfinished {
    fn disposition(&self) -> Disposition {
        match self {
            Self::Malformed(_) => Disposition::Park { reason: "malformed".to_owned() },
            Self::Undo(_) | Self::Publish(_) => Disposition::Retry { after: Duration::from_secs(30) },
        }
    }
}

/// How long after its event time a response is still right.
const HOLDS: Duration = Duration::from_secs(3_600);
const LATE: &str = "not done: it was asked for more than an hour ago";
