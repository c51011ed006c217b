//! The envelope: one named map with CloudEvents attribute names.

use model::{ClusterName, EventId, Identity, NodeName, Timestamp};
use serde::{Deserialize, Serialize};

use crate::event_type::EventType;
use crate::subject::{EventSubject, Token};

/// One event as it stands on the wire. `D` is the typed data, or `serde_json::Value` for a reader that takes any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Event<D> {
    /// CloudEvents version, always `1.0`.
    pub specversion: String,
    /// Unique id; also the `Nats-Msg-Id` by which the stream drops a repeat.
    pub id: EventId,
    /// Who sent it: `/<cluster>/<service>/<instance>`.
    pub source: String,
    /// What it is: `dev.biotope.build.image.scanned.v1`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When it happened (event time), not when it was sent.
    pub time: Timestamp,
    /// The subject it was published to.
    pub subject: String,
    /// Id of the JSON Schema of `data`.
    pub dataschema: String,
    /// W3C trace context, when the trace is sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Counts the events of this source from 1, so that a gap shows a loss. Starts again with a new source instance.
    #[serde(default)]
    pub sequence: u64,
    /// Cluster that it happened in.
    pub cluster: ClusterName,
    /// Node that it happened on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeName>,
    /// Every identity that the sender knew.
    #[serde(default)]
    pub identity: Identity,
    /// What the type says in detail.
    pub data: D,
}

/// An event whose data is read as it comes.
pub type AnyEvent = Event<serde_json::Value>;

/// Data of one event type.
pub trait EventData: Serialize + serde::de::DeserializeOwned + schemars::JsonSchema {
    /// The type that it is the data of.
    const TYPE: EventType;
}

/// What the publisher adds to data to make an event.
#[derive(Clone, Debug)]
pub struct Header {
    /// Unique id.
    pub id: EventId,
    /// Event time.
    pub time: Timestamp,
    /// Who sends.
    pub source: String,
    /// Number of the event at this source.
    pub sequence: u64,
    /// Cluster.
    pub cluster: ClusterName,
    /// Node, where it matters.
    pub node: Option<NodeName>,
    /// Trace context, if sampled.
    pub traceparent: Option<String>,
}

impl<D: EventData> Event<D> {
    /// Puts data of a known type into its envelope, with the subject that `key` leads to.
    #[must_use]
    pub fn new(header: Header, key: Token, identity: Identity, data: D) -> Self {
        let subject = EventSubject { cluster: header.cluster.clone(), event_type: D::TYPE, key };
        Self {
            specversion: "1.0".to_owned(),
            id: header.id,
            source: header.source,
            event_type: D::TYPE.cloud_event_type(),
            time: header.time,
            subject: subject.to_string(),
            dataschema: D::TYPE.data_schema(),
            traceparent: header.traceparent,
            sequence: header.sequence,
            cluster: header.cluster,
            node: header.node,
            identity,
            data,
        }
    }
}

impl<D> Event<D> {
    /// The known type of this event; `None` for a type that this reader does not know.
    #[must_use]
    pub fn known_type(&self) -> Option<EventType> {
        EventType::from_cloud_event_type(&self.event_type)
    }
}

impl AnyEvent {
    /// Reads the data as `D`.
    ///
    /// # Errors
    /// When the data does not fit the type.
    pub fn into_typed<D: EventData>(self) -> Result<Event<D>, serde_json::Error> {
        Ok(Event {
            data: serde_json::from_value(self.data)?,
            specversion: self.specversion,
            id: self.id,
            source: self.source,
            event_type: self.event_type,
            time: self.time,
            subject: self.subject,
            dataschema: self.dataschema,
            traceparent: self.traceparent,
            sequence: self.sequence,
            cluster: self.cluster,
            node: self.node,
            identity: self.identity,
        })
    }
}
