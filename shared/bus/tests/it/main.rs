//! The bus against a real nats-server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod access;
mod ask;
mod connect;
mod consume;
mod login;
mod publish;

use std::time::Duration;

use bus::{Bus, Class, Config, From, Origin, Outgoing, Publisher, Stored};
use model::{Identity, Timestamp};
use schemas::run::v1::ContainerStarted;
use testkit::parts::{Nats, Part};

pub(crate) fn origin(service: &str) -> Origin {
    Origin { cluster: "test".parse().unwrap(), service: service.to_owned(), instance: "1".to_owned(), node: None }
}

pub(crate) async fn connect(nats: &Part<Nats>) -> Bus {
    let config = Config { servers: vec![nats.url()], connect_timeout_s: 10, ..Config::default() };
    let bus = Bus::connect(&config, origin("tester")).await.unwrap();
    bus.ensure_streams().await.unwrap();
    bus
}

pub(crate) fn event(number: u32, class: Class) -> Outgoing<ContainerStarted> {
    Outgoing {
        time: Timestamp::from_millis(i64::from(number)),
        key: format!("pod-{}", number % 7).parse().unwrap(),
        identity: Identity::default(),
        class,
        id: None,
        data: ContainerStarted { image: format!("{number}"), ..ContainerStarted::default() },
    }
}

pub(crate) async fn publish_all(publisher: &Publisher, numbers: std::ops::Range<u32>) {
    for number in numbers {
        publisher.publish(event(number, Class::Normal)).await.unwrap();
    }
}

/// Reads until `count` messages came or ten seconds passed without one.
pub(crate) async fn read(bus: &Bus, count: usize) -> Vec<Stored> {
    let mut cursor = bus.cursor("BIOTOPE_EVENTS", From::Beginning, Vec::new());
    let mut all = Vec::new();
    while all.len() < count {
        let batch = cursor.next_batch(1_000, Duration::from_secs(10)).await;
        if batch.is_empty() {
            break;
        }
        all.extend(batch);
    }
    all
}

pub(crate) fn number(stored: &Stored) -> u32 {
    let event = bus::decode_any(&stored.payload).unwrap();
    event.data["image"].as_str().unwrap().parse().unwrap()
}
