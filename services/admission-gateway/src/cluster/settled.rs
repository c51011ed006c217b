//! What became of a request that the gateway let in: other webhooks and the server itself may have refused it.
//!
//! ```text
//! created, changed --> the object as it is stored      deleted --> gone, or going
//! connections, and parts that are no object of their own (`pods/binding`) --> as they were asked for
//! ```

use std::time::Duration;

use admission_policy::{Operation, Request};
use kubernetes::Cluster;
use serde_json::Value;

use super::origin::text;

/// The request as it is to be followed up, once it is known that it came into effect; `None` when it did not.
pub(super) async fn settled(cluster: &Cluster, request: &Request) -> Option<Request> {
    if request.operation == Operation::Connect {
        return Some(request.clone());
    }
    let mut latest = None;
    for wait in WAITS {
        match look(cluster, request).await {
            Seen::Settled(settled) => return Some(*settled),
            Seen::Never => return None,
            Seen::Later(live) => latest = live.or(latest),
        }
        tokio::time::sleep(wait).await;
    }
    // A change that never shows was refused, or changed nothing: what there is counts.
    latest.map(|live| *stored(request, live))
}

/// What the server has of a request.
enum Seen {
    Settled(Box<Request>),
    Later(Option<Value>),
    Never,
}

async fn look(cluster: &Cluster, request: &Request) -> Seen {
    let Ok(found) = cluster.resource_of(&request.kind.api_version(), &request.kind.kind).await else {
        return Seen::Later(None);
    };
    let found = found.filter(|(resource, _)| request.subresource.is_empty() || resource.plural == request.resource);
    let Some((resource, namespaced)) = found else {
        return if request.subresource.is_empty() { Seen::Never } else { Seen::Settled(Box::new(request.clone())) };
    };
    let own = text(request.subject(), "/metadata/name");
    let name = if request.name.is_empty() { &own } else { &request.name };
    if name.is_empty() {
        // The server chose a name that the request does not know.
        return Seen::Never;
    }
    match cluster.get(&resource.path(if namespaced { &request.namespace } else { "" }, name)).await {
        Ok(live) => compare(request, live),
        Err(_) => Seen::Later(None),
    }
}

/// What an object that is there, or not, says of a request.
fn compare(request: &Request, live: Option<Value>) -> Seen {
    let uid = text(request.subject(), "/metadata/uid");
    let live = live.filter(|live| uid.is_empty() || text(live, "/metadata/uid") == uid);
    let version = |object: &Value| text(object, "/metadata/resourceVersion");
    match (request.operation, live) {
        (Operation::Delete, Some(live)) if live.pointer("/metadata/deletionTimestamp").is_none() => Seen::Later(None),
        (Operation::Delete, _) => Seen::Settled(Box::new(request.clone())),
        (Operation::Update, None) => Seen::Never,
        (Operation::Update, Some(live)) => {
            let old = request.old_object.as_ref();
            if old.is_some_and(|old| version(old) == version(&live)) && changes(request) {
                return Seen::Later(Some(live));
            }
            Seen::Settled(stored(request, live))
        }
        (Operation::Create | Operation::Connect, Some(live)) => Seen::Settled(stored(request, live)),
        (Operation::Create | Operation::Connect, None) => Seen::Later(None),
    }
}

/// The request with its object as it is stored.
fn stored(request: &Request, live: Value) -> Box<Request> {
    Box::new(Request { name: text(&live, "/metadata/name"), object: Some(live), ..request.clone() })
}

/// Whether the new object of a request is another than the old one, apart from who manages which field.
fn changes(request: &Request) -> bool {
    let bare = |object: &Option<Value>| {
        let mut object = object.clone().unwrap_or_default();
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        object
    };
    bare(&request.object) != bare(&request.old_object)
}

/// How long it is waited for what a request asked for.
const WAITS: [Duration; 7] = [
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(uid: &str, version: &str, more: &str) -> Value {
        let mut object = json!({ "metadata": { "name": "a", "uid": uid, "resourceVersion": version }, "data": more });
        if more == "going" {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        object
    }

    fn request(operation: Operation, object: Option<Value>, old: Option<Value>) -> Request {
        Request { operation, object: object.or(Some(Value::Null)), old_object: old, ..Request::default() }
    }

    #[test]
    fn a_request_counts_once_the_server_shows_it() {
        let (one, two) = (object("u", "1", "x"), object("u", "2", "y"));
        let created = request(Operation::Create, Some(one.clone()), None);
        let deleted = request(Operation::Delete, None, Some(one.clone()));
        let updated = request(Operation::Update, Some(object("u", "1", "y")), Some(one.clone()));
        let same = request(Operation::Update, Some(one.clone()), Some(one.clone()));
        for (what, request, live, expected) in [
            ("created", &created, Some(&two), "settled y"),
            ("created as another", &created, Some(&object("v", "2", "y")), "later"),
            ("not there yet", &created, None, "later"),
            ("deleted", &deleted, None, "settled -"),
            ("deleted and made anew", &deleted, Some(&object("v", "2", "y")), "settled -"),
            ("going", &deleted, Some(&object("u", "2", "going")), "settled -"),
            ("still there", &deleted, Some(&two), "later"),
            ("changed", &updated, Some(&two), "settled y"),
            ("not changed yet", &updated, Some(&one), "later x"),
            ("changed nothing", &same, Some(&one), "settled x"),
            ("changed and gone", &updated, None, "never"),
        ] {
            let data = |object: &Value| object.get("data").and_then(Value::as_str).unwrap_or("-").to_owned();
            let seen = match compare(request, live.cloned()) {
                Seen::Settled(settled) => format!("settled {}", data(settled.object.as_ref().unwrap())),
                Seen::Later(live) => format!("later {}", live.map(|live| data(&live)).unwrap_or_default()),
                Seen::Never => "never".to_owned(),
            };
            assert_eq!(seen.trim(), expected, "{what}");
        }
    }

    #[test]
    fn what_has_no_id_is_told_by_its_name() {
        let created = request(Operation::Create, Some(json!({ "metadata": "broken" })), None);
        assert!(matches!(compare(&created, Some(json!({ "metadata": { "name": "a" } }))), Seen::Settled(_)));
    }
}
