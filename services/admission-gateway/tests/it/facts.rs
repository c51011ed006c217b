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
    let header = Header {
        id: format!("01900000-0000-7000-8000-{number:012x}").parse().unwrap(),
        time: Timestamp::from_millis(1_790_000_000_000),
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
