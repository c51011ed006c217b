//! The users of the chart: each may do what its service does, and nothing else.

use std::fs;
use std::time::Duration;

use bus::{Auth, Bus, Class, Config, From, Outgoing};
use futures::StreamExt as _;
use model::{Identity, Timestamp};
use schemas::EventData;
use schemas::access::{USERS, permissions_conf, reader_conf, variable};
use schemas::build::v1::ScanFailed;
use schemas::deploy::v1::PolicyChanged;
use schemas::incident::v1::ResponseDone;
use schemas::run::v1::ContainerStarted;
use schemas::start::v1::SecretStale;
use testkit::parts::{self, Nats, Part};

use crate::origin;

fn server() -> Option<Part<Nats>> {
    parts::nats_configured(|folder| {
        fs::write(folder.join("permissions.conf"), permissions_conf() + &reader_conf()).unwrap();
        let user = |user: &schemas::access::User| {
            fs::write(folder.join(user.name), format!("p-{}", user.name)).unwrap();
            format!("{{ user: {0}, password: \"p-{0}\", permissions: ${1} }}", user.name, variable(user.name))
        };
        let mut users: Vec<String> = USERS.iter().map(user).collect();
        fs::write(folder.join("reader"), "p-reader").unwrap();
        users.push("{ user: reader, password: p-reader, permissions: $READER }".to_owned());
        format!(
            "include ./permissions.conf\njetstream {{ max_file_store: 64GB }}\naccounts {{ PLATFORM {{ jetstream: enabled, users: [{}] }} }}\n",
            users.join(", ")
        )
    })
}

async fn join(nats: &Part<Nats>, name: &str) -> Bus {
    let password = Some(nats.folder().join(name));
    let auth = Auth { user: Some(name.to_owned()), password_file: password, ..Auth::default() };
    let config = Config { servers: vec![nats.url()], connect_timeout_s: 10, auth, ..Config::default() };
    Bus::connect(&config, origin(name)).await.unwrap()
}

/// Whether the stream takes an event of this user.
async fn may_say(bus: &Bus, data: impl EventData, limit: u64) -> bool {
    let publisher = bus.publisher().unwrap();
    let outgoing = Outgoing {
        time: Timestamp::from_millis(1),
        key: "key".parse().unwrap(),
        identity: Identity::default(),
        class: Class::Normal,
        id: None,
        data,
    };
    publisher.publish(outgoing).await.unwrap();
    publisher.flush(Duration::from_secs(limit)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_user_may_do_what_its_service_does() {
    let Some(nats) = server() else { return };
    for user in USERS {
        let bus = join(&nats, user.name).await;
        bus.ensure_streams().await.unwrap_or_else(|error| panic!("{}: {error:?}", user.name));
        let may = match user.name {
            "registry-scanner" => may_say(&bus, scan_failed(), 10).await,
            "admission-gateway" => may_say(&bus, PolicyChanged::default(), 10).await,
            "secret-broker" => may_say(&bus, stale(), 10).await,
            "runtime-sensor" => may_say(&bus, ContainerStarted::default(), 10).await,
            _ => bus.lease("all").await.is_ok(),
        };
        assert!(may, "{}", user.name);
        bus.park("some.subject", "undecodable", "why", b"bytes").await.unwrap();
        for stream in user.reads {
            let mut cursor = bus.cursor(stream, From::Beginning, Vec::new());
            cursor.next_batch(10, Duration::from_secs(1)).await;
            assert!(cursor.is_open(), "{} reads {stream}", user.name);
        }
        if user.name != "registry-scanner" {
            bus.asked("anything").await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_says_what_another_has_to_say() {
    let Some(nats) = server() else { return };
    let sensor = join(&nats, "runtime-sensor").await;
    sensor.ensure_streams().await.unwrap();
    assert!(!may_say(&sensor, scan_failed(), 2).await, "a sensor tells nothing of scans");
    assert!(!may_say(&sensor, done(), 2).await, "a sensor says nothing of incidents");
    assert!(
        !may_say(&join(&nats, "correlator").await, ContainerStarted::default(), 2).await,
        "the correlator sees no system calls"
    );
    let request = schemas::ask::RotateRequest::default();
    let limit = Duration::from_secs(2);
    let asked = sensor.ask::<_, schemas::ask::RotateReply>(("secret-broker", "rotate"), &request, limit);
    assert!(asked.await.is_err(), "a sensor rotates nothing");
    let mut cursor = join(&nats, "registry-scanner").await.cursor("BIOTOPE_INCIDENTS", From::Beginning, Vec::new());
    cursor.next_batch(10, Duration::from_secs(2)).await;
    assert!(!cursor.is_open(), "the scanner does not read incidents");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_hears_events_and_says_nothing() {
    let Some(nats) = server() else { return };
    let (scanner, gateway, reader) =
        (join(&nats, "registry-scanner").await, join(&nats, "admission-gateway").await, join(&nats, "reader").await);
    scanner.ensure_streams().await.unwrap();
    let mut heard = std::pin::pin!(reader.live("biotope.v1.>".to_owned()).await.unwrap());
    // Nobody answers it; what counts is who hears it.
    let request = schemas::ask::ScanRequest::default();
    let asked =
        gateway.ask::<_, schemas::ask::ScanReply>(("registry-scanner", "scan"), &request, Duration::from_secs(2));
    assert!(asked.await.is_err());
    scanner.park("some.subject", "undecodable", "why", b"bytes").await.unwrap();
    assert!(may_say(&scanner, scan_failed(), 10).await);
    let (subject, _) = tokio::time::timeout(Duration::from_secs(10), heard.next()).await.unwrap().unwrap();
    assert!(subject.contains(".build.image.scan-failed."), "neither commands nor dead letters: {subject}");
    let mut cursor = reader.cursor("BIOTOPE_BUILD", From::Beginning, Vec::new());
    assert_eq!(cursor.next_batch(10, Duration::from_secs(10)).await.len(), 1, "what is stored");
    assert!(!may_say(&reader, scan_failed(), 2).await, "a reader says nothing");
}

fn scan_failed() -> ScanFailed {
    ScanFailed { image: "x".to_owned(), reason: "x".to_owned(), remedy: String::new(), retryable: false }
}

fn stale() -> SecretStale {
    SecretStale { manifest: "x".to_owned(), namespace: "x".to_owned(), target: "x".to_owned(), age_s: 1 }
}

fn done() -> ResponseDone {
    let incident = "0123456789abcdef0123456789abcdef".parse().unwrap();
    ResponseDone { incident, kind: "evict".to_owned(), succeeded: true, detail: String::new() }
}
