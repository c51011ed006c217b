//! What the other phases told decides over the real webhook: the policies of the documentation, word for word.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use model::Timestamp;
use schemas::{Event, EventData, Header, Token};
use serde_json::{Value, json};
use testkit::parts;

use crate::{start, write};

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000007";

fn documented() -> String {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policies.md")).unwrap();
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.collect::<Vec<_>>().join("\n---\n")
}

/// Publishes one event as its service would.
fn tell<D: EventData>(nats: &str, number: u32, key: &str, data: D) {
    tell_at(nats, (number, Timestamp::from_millis(1_790_000_000_000)), key, data);
}

/// As [`tell`], of what happens now.
fn tell_now<D: EventData>(nats: &str, number: u32, key: &str, data: D) {
    tell_at(nats, (number, service::now()), key, data);
}

fn tell_at<D: EventData>(nats: &str, (number, time): (u32, Timestamp), key: &str, data: D) {
    let header = Header {
        id: format!("01900000-0000-7000-8000-{number:012x}").parse().unwrap(),
        time,
        source: "/test/teller/1".to_owned(),
        sequence: u64::from(number),
        cluster: "local".parse().unwrap(),
        node: None,
        traceparent: None,
    };
    let event = Event::new(header, Token::lossy(key), model::Identity::default(), data);
    let payload = bus::encode(&event).unwrap();
    let mut stream = TcpStream::connect(nats.trim_start_matches("nats://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut bytes = b"CONNECT {\"verbose\":false}\r\nSUB _INBOX.ack 1\r\n".to_vec();
    bytes.extend(format!("PUB {} _INBOX.ack {}\r\n", event.subject, payload.len()).bytes());
    bytes.extend(payload);
    bytes.extend(b"\r\n");
    stream.write_all(&bytes).unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the server closed the connection");
        assert!(!line.starts_with("-ERR") && !line.contains("\"error\""), "{line}");
        if line.starts_with("{\"stream\"") {
            return;
        }
    }
}

fn scanned(published: &str) -> schemas::build::v1::ImageScanned {
    serde_json::from_value(json!({
        "image": "registry.example/web:1", "digest": DIGEST, "packages": 1,
        "findings": [{
            "id": "CVE-2021-33503", "package": "urllib3", "installed_version": "1.26.4", "fixed_version": "1.26.5",
            "severity": "CRITICAL", "published": published,
        }],
    }))
    .unwrap()
}

fn incident(status: &str) -> schemas::incident::v1::Incident {
    serde_json::from_value(json!({
        "id": "0123456789abcdef0123456789abcdef", "revision": 1, "rule": "shell-in-container", "title": "a shell", "severity": "HIGH",
        "score": 80.0, "status": status, "identity": {"image_digest": DIGEST}, "phases": [], "timeline": [],
        "first_time": "2026-09-21T00:00:00Z", "last_time": "2026-09-21T00:00:00Z",
    }))
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn scans_incidents_and_secrets_decide() {
    let Some(nats) = parts::nats() else { return };
    let gateway = start(&nats);
    write(nats.folder(), "platform.yaml", &documented());
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": [{
            "name": "web", "image": "registry.example/web:1", "envFrom": [{"secretRef": {"name": "db"}}],
        }]},
    });
    let answered = async |wanted: Option<&str>| -> Value {
        for _ in 0..150 {
            let answer = gateway.review("validate", pod.clone()).await;
            let message = answer["response"]["status"]["message"].as_str().map(str::to_owned);
            let done = match (&message, wanted) {
                (None, None) => answer["response"]["allowed"] == json!(true),
                (Some(message), Some(wanted)) => message.contains(wanted),
                _ => false,
            };
            if done {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("never answered with {wanted:?}: {}", gateway.review("validate", pod.clone()).await)
    };
    // Nothing is known: the policies fail closed.
    answered(Some("findings")).await;
    tell(&nats.url(), 1, DIGEST, scanned("2021-06-29T00:00:00Z"));
    answered(Some("could have been fixed a week ago")).await;
    tell(&nats.url(), 2, DIGEST, scanned(&service::now().to_string()));
    answered(Some("secrets-from-vault")).await;
    let synced = json!({
        "manifest": "ExternalSecret shop/db", "namespace": "shop", "target": "db", "keys": [],
        "sources": [{"store": "SecretStore shop/vault", "path": "db", "version": "3"}],
    });
    let synced: schemas::start::v1::SecretSynced = serde_json::from_value(synced).unwrap();
    tell(&nats.url(), 3, "shop", synced);
    answered(None).await;
    tell(&nats.url(), 4, "high", schemas::incident::v1::CaseOpened(incident("open")));
    answered(Some("registry.example/web:1 is under an open incident")).await;
    tell(&nats.url(), 5, "high", schemas::incident::v1::CaseResolved(incident("resolved")));
    answered(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_is_refused_as_long_as_an_incident_wants_it() {
    let Some(nats) = parts::nats() else { return };
    let gateway = start(&nats);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": [{"name": "web", "image": "registry.example/web:1"}]},
    });
    let answered = async |wanted: Option<&str>| {
        let mut last = Value::Null;
        for _ in 0..150 {
            last = gateway.review("validate", pod.clone()).await;
            let message = last["response"]["status"]["message"].as_str();
            if message.is_none() == wanted.is_none() && wanted.is_none_or(|wanted| message.unwrap().contains(wanted)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("never answered with {wanted:?}: {last}");
    };
    tell(&nats.url(), 1, DIGEST, scanned("2021-06-29T00:00:00Z"));
    answered(None).await;
    let id = incident("open").id;
    let request = |kind: &str| {
        let identity = model::Identity { image_digest: DIGEST.parse().ok(), ..model::Identity::default() };
        schemas::incident::v1::ResponseRequested { incident: id.clone(), kind: kind.to_owned(), identity }
    };
    tell_now(&nats.url(), 2, "block-digest", request("block-digest"));
    let refusal = format!("image registry.example/web:1 is refused as long as incident {id} is open (block-digest)");
    answered(Some(&refusal)).await;
    // Without a cluster there is nothing to cut a pod off with: that is said too.
    tell_now(&nats.url(), 3, "quarantine", request("quarantine"));
    // A service that is new must not act on what is long past.
    tell_at(&nats.url(), (4, service::now().minus(Duration::from_secs(7_200))), "evict", request("evict"));
    let done = told(&nats.url(), 3).await;
    assert!(done["block-digest"].0 && done["block-digest"].1.contains(DIGEST), "{done:?}");
    assert_eq!(done["quarantine"], (false, "the gateway serves no cluster: set service.kubernetes".to_owned()));
    assert_eq!(done["evict"], (false, "not done: it was asked for more than an hour ago".to_owned()));
    tell(&nats.url(), 5, "high", schemas::incident::v1::CaseResolved(incident("resolved")));
    answered(None).await;
}

/// Outcomes of responses by kind, once there are `count`.
async fn told(nats: &str, count: usize) -> std::collections::BTreeMap<String, (bool, String)> {
    let config = bus::Config { servers: vec![nats.to_owned()], ..bus::Config::default() };
    let origin = bus::Origin {
        cluster: "local".parse().unwrap(),
        service: "reader".to_owned(),
        instance: "1".to_owned(),
        node: None,
    };
    let bus = bus::Bus::connect(&config, origin).await.unwrap();
    let filter = vec!["biotope.v1.local.incident.response.done.*".to_owned()];
    let mut cursor = bus.cursor("BIOTOPE_INCIDENTS", bus::From::Beginning, filter);
    let mut done = std::collections::BTreeMap::new();
    for _ in 0..30 {
        for stored in cursor.next_batch(10, Duration::from_secs(1)).await {
            let event = bus::decode::<Event<schemas::incident::v1::ResponseDone>>(&stored.payload).unwrap();
            done.insert(event.data.kind, (event.data.succeeded, event.data.detail));
        }
        if done.len() >= count {
            break;
        }
    }
    assert_eq!(done.len(), count, "{done:?}");
    done
}
