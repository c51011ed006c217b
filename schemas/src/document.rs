//! The contract as documents: JSON Schemas and AsyncAPI, generated from the types.

use serde_json::{Map, Value, json};

use crate::envelope::{Event, EventData};
use crate::event_type::EventType;
use crate::stream::{Discard, STREAMS};
use crate::{build, deploy, incident, run, start};

/// The JSON Schema of every event type, whole envelope included: file name and content.
#[must_use]
pub fn json_schemas() -> Vec<(String, Value)> {
    vec![
        schema::<build::v1::ImageScanned>(),
        schema::<build::v1::FindingsChanged>(),
        schema::<build::v1::ScanFailed>(),
        schema::<deploy::v1::AdmissionReviewed>(),
        schema::<deploy::v1::PolicyChanged>(),
        schema::<deploy::v1::PodCreated>(),
        schema::<start::v1::SecretSynced>(),
        schema::<start::v1::SecretRotated>(),
        schema::<start::v1::SecretSyncFailed>(),
        schema::<start::v1::SecretStale>(),
        schema::<start::v1::SecretDelivered>(),
        schema::<run::v1::ContainerStarted>(),
        schema::<run::v1::ContainerExited>(),
        schema::<run::v1::RuleMatched>(),
        schema::<run::v1::PackageLoaded>(),
        schema::<run::v1::EventsLost>(),
        schema::<incident::v1::CaseOpened>(),
        schema::<incident::v1::CaseUpdated>(),
        schema::<incident::v1::CaseResolved>(),
        schema::<incident::v1::ResponseRequested>(),
        schema::<incident::v1::ResponseDone>(),
    ]
}

/// The AsyncAPI 3 document of all channels.
#[must_use]
pub fn async_api() -> Value {
    let mut channels = Map::new();
    let mut messages = Map::new();
    let mut operations = Map::new();
    for event_type in EventType::ALL {
        let name = event_type.path();
        let id = name.replace(['.', '-'], "_");
        channels.insert(id.clone(), channel(*event_type, &id));
        messages.insert(id.clone(), message(*event_type));
        operations.insert(
            format!("receive_{id}"),
            json!({ "action": "receive", "channel": { "$ref": format!("#/channels/{id}") } }),
        );
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "biotope events",
            "version": "1.0.0",
            "description": "Every message is one MessagePack named map with CloudEvents attribute names. Times are RFC 3339 texts, ids are texts, digests are `algorithm:hex` texts. Readers ignore keys and enum values that they do not know.",
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/cloudevents+msgpack",
        "servers": { "nats": { "host": "localhost:4222", "protocol": "nats", "description": "JetStream must be on, server 2.11 or later" } },
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages },
        "x-jetstream-streams": STREAMS.iter().map(stream).collect::<Vec<_>>(),
    })
}

fn schema<D: EventData>() -> (String, Value) {
    let mut schema = serde_json::to_value(schemars::schema_for!(Event<D>)).unwrap_or(Value::Null);
    if let Some(map) = schema.as_object_mut() {
        map.insert("$id".to_owned(), Value::String(D::TYPE.data_schema()));
        map.insert("title".to_owned(), Value::String(D::TYPE.cloud_event_type()));
    }
    (format!("{}.v1.json", D::TYPE.path()), schema)
}

fn channel(event_type: EventType, id: &str) -> Value {
    json!({
        "address": format!("biotope.v1.{{cluster}}.{}.{{key}}", event_type.path()),
        "parameters": {
            "cluster": { "description": "cluster name, a DNS label" },
            "key": { "description": "join key: image digest (hex), pod uid, namespace, node or severity" },
        },
        "messages": { id: { "$ref": format!("#/components/messages/{id}") } },
    })
}

fn message(event_type: EventType) -> Value {
    json!({
        "name": event_type.cloud_event_type(),
        "contentType": "application/cloudevents+msgpack",
        "headers": { "type": "object", "properties": {
            "Content-Type": { "const": "application/cloudevents+msgpack" },
            "Nats-Msg-Id": { "type": "string", "description": "equals the event's id" },
        } },
        "payload": { "schemaFormat": "application/schema+json;version=draft-2020-12", "schema": { "$ref": format!("./json/{}.v1.json", event_type.path()) } },
    })
}

fn stream(stream: &crate::stream::Stream) -> Value {
    json!({
        "name": stream.name,
        "description": stream.description,
        "subjects": stream.subjects,
        "max_age_s": stream.max_age.as_secs(),
        "discard": match stream.discard { Discard::Old => "old", Discard::New => "new" },
        "stored_as": stream.transform.map(|transform| transform.destination),
    })
}
