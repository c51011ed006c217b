//! What cannot work is said in one line, with the remedy.

use std::time::Duration;

use bus::{Bus, Config};
use testkit::parts;

use crate::origin;

async fn error(url: String) -> String {
    let config = Config { servers: vec![url], connect_timeout_s: 1, ..Config::default() };
    let connected = tokio::time::timeout(Duration::from_secs(20), Bus::connect(&config, origin("tester"))).await;
    connected.unwrap().unwrap_err().to_string()
}

#[tokio::test]
async fn no_server() {
    let port = parts::free_port().unwrap();
    let said = error(format!("nats://127.0.0.1:{port}")).await;
    assert!(said.contains("start `nats-server -js`"), "{said}");
}

#[tokio::test]
async fn no_jetstream() {
    let Some(nats) = parts::nats_without_jetstream() else { return };
    let said = error(nats.url()).await;
    assert!(said.contains("no JetStream: start it with `-js`"), "{said}");
}

#[tokio::test]
async fn no_address() {
    let said = error("nats://127.0.0.1:99999".to_owned()).await;
    assert!(said.contains("is not an address of the form nats://host:port"), "{said}");
}

/// A server with little room still gets every stream, only smaller ones.
#[tokio::test]
async fn little_room() {
    let configured =
        |folder: &std::path::Path| format!("jetstream: {{ max_file_store: 1400MB }}\n# {}\n", folder.display());
    let Some(server) = parts::nats_configured(configured) else { return };
    let bus = crate::connect(&server).await;
    assert_eq!(bus.stream_bounds("BIOTOPE_EVENTS").await.unwrap().1, 0);
    bus.ensure_streams().await.unwrap();
}
