//! The service as a process on a real bus.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bus::{AskFailure, Bus, From, Origin};
use model::Digest;
use schemas::ask::{ScanReply, ScanRequest};
use schemas::deploy::v1::{AdmissionReviewed, AdmittedImage, Decision, PodCreated};
use testkit::parts::Process;

use crate::images::{advisories, layout, story};
use crate::registry::push;

pub(crate) const LIMIT: Duration = Duration::from_secs(60);

pub(crate) async fn connect(url: &str) -> Bus {
    let config = bus::Config { servers: vec![url.to_owned()], connect_timeout_s: 10, ..bus::Config::default() };
    let (cluster, service) = ("local".parse().unwrap(), "tester".to_owned());
    let bus = Bus::connect(&config, Origin { cluster, service, instance: "1".to_owned(), node: None }).await.unwrap();
    bus.ensure_streams().await.unwrap();
    bus
}

/// The newest build events, by subject noun and participle, until one matches.
pub(crate) async fn event(bus: &Bus, wanted: &str) -> serde_json::Value {
    let mut cursor = bus.cursor("BIOTOPE_BUILD", From::Beginning, Vec::new());
    let started = std::time::Instant::now();
    while started.elapsed() < LIMIT {
        for stored in cursor.next_batch(10, Duration::from_secs(1)).await {
            let event = bus::decode_any(&stored.payload).unwrap();
            if event.event_type.as_str().contains(wanted) {
                return event.data;
            }
        }
    }
    panic!("no {wanted} came");
}

pub(crate) async fn ask(bus: &Bus, target: &str) -> Result<ScanReply, AskFailure> {
    let request = ScanRequest { target: target.to_owned(), platform: Some("linux/amd64".to_owned()) };
    let started = std::time::Instant::now();
    loop {
        match bus.ask(("registry-scanner", "scan"), &request, LIMIT).await {
            Err(AskFailure::NobodyThere { .. }) if started.elapsed() < LIMIT => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            answer => return answer,
        }
    }
}

/// Starts the service on the advisories in `osv`, with `more` lines of its section.
pub(crate) fn start(folder: &Path, nats: &str, more: &str) -> Process {
    let config = format!(
        "bus:\n  servers: ['{nats}']\nservice:\n  advisories: {}\n  advisories_poll_s: 1\n  store: {}\n{more}",
        folder.join("osv").display(),
        folder.join("store").display()
    );
    let path = folder.join("scanner.yaml");
    std::fs::write(&path, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_registry-scanner"));
    command.arg("--config").arg(&path);
    Process::start("registry-scanner", &mut command, &folder.join("log")).unwrap()
}

/// All images that were scanned, once `wanted` are there and for a second more.
async fn scanned(bus: &Bus, wanted: usize) -> Vec<String> {
    let mut cursor = bus.cursor("BIOTOPE_BUILD", From::Beginning, Vec::new());
    let (mut images, begun) = (Vec::new(), std::time::Instant::now());
    while begun.elapsed() < LIMIT {
        let batch = cursor.next_batch(10, Duration::from_secs(1)).await;
        if batch.is_empty() && images.len() >= wanted {
            break;
        }
        for stored in batch {
            let event = bus::decode_any(&stored.payload).unwrap();
            assert!(event.event_type.contains(".scanned"), "{event:?}");
            images.push(event.data["image"].as_str().unwrap().to_owned());
        }
    }
    images.sort();
    images
}

fn met(images: &[(&str, Option<&Digest>)]) -> Vec<AdmittedImage> {
    let image = |(reference, digest): &(&str, Option<&Digest>)| AdmittedImage {
        container: "c".to_owned(),
        reference: (*reference).to_owned(),
        digest: digest.cloned(),
    };
    images.iter().map(image).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_cluster_meets_and_what_watched_repositories_get_is_scanned_once() {
    let (Some(nats), Some(registry)) = (testkit::parts::nats(), testkit::parts::registry()) else { return };
    let folder = tempfile::tempdir().unwrap();
    advisories(&folder.path().join("osv"), true);
    let at = |name: &str| format!("{}/{name}", registry.address);
    for name in ["watched/app", "other/app"] {
        push(&registry.address, name, &story(), false).await;
    }
    let running = push(&registry.address, "run/app", &story()[..2], false).await;
    let admitted = push(&registry.address, "met/app", &story()[..1], false).await;
    let watched = format!(
        "  watched: [{{ repository: '{}', tags: ['[0-9]*'], every_s: 1 }}]\n  scan_deployed: true\n",
        at("watched/app")
    );
    let _scanner = start(folder.path(), &nats.url(), &watched);
    let bus = connect(&nats.url()).await;
    let publisher = bus.publisher().unwrap();
    let outgoing = |images| bus::Outgoing {
        time: model::Timestamp::default(),
        key: schemas::Token::lossy("pod"),
        identity: model::Identity::default(),
        class: bus::Class::Normal,
        id: None,
        data: PodCreated { images, ..PodCreated::default() },
    };
    let run = at("run/app:1");
    for _ in 0..3 {
        publisher.publish(outgoing(met(&[(&run, Some(&running)), ("not a reference", None)]))).await.unwrap();
    }
    let data = AdmissionReviewed {
        operation: "CREATE".to_owned(),
        kind: "Pod".to_owned(),
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        user: String::new(),
        decision: Decision::default(),
        results: Vec::new(),
        images: met(&[(&at("met/app:1"), None), (&run, Some(&running))]),
        dry_run: false,
        duration_us: 1,
    };
    let review = outgoing(Vec::new());
    let review = bus::Outgoing {
        time: review.time,
        key: review.key,
        identity: review.identity,
        class: review.class,
        id: None,
        data,
    };
    publisher.publish(review).await.unwrap();
    let images = scanned(&bus, 3).await;
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    assert_eq!(images, [at("met/app:1"), format!("{}@{running}", at("run/app")), at("watched/app:1")], "{log}");
    // A tag that moves is scanned again.
    push(&registry.address, "watched/app", &story()[..1], false).await;
    assert_eq!(scanned(&bus, 4).await.len(), 4);
    assert_ne!(running, admitted);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_for_one_image_share_one_scan() {
    let Some(nats) = testkit::parts::nats() else { return };
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    layout(&image, &story());
    advisories(&folder.path().join("osv"), false);
    let _scanner = start(folder.path(), &nats.url(), "  parallel_scans: 1\n");
    let bus = connect(&nats.url()).await;
    let target = image.to_str().unwrap();
    ask(&bus, target).await.unwrap();
    let answers = futures::future::join_all((0..40).map(|_| ask(&bus, target))).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|reply| reply.packages == 2)));
    let scans = scanned(&bus, 2).await.len();
    assert!((2..=20).contains(&scans), "{scans} scans for 41 commands");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_answered_published_and_matched_again() {
    let Some(nats) = testkit::parts::nats() else { return };
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    let digest = layout(&image, &story());
    let osv = advisories(&folder.path().join("osv"), false);
    let _scanner = start(folder.path(), &nats.url(), "");
    let bus = connect(&nats.url()).await;

    let reply = ask(&bus, image.to_str().unwrap()).await.unwrap();
    assert_eq!((reply.digest.clone(), reply.packages, reply.counts.high, reply.partial), (digest, 2, 1, false));
    let data = event(&bus, "scanned").await;
    assert_eq!(data["findings"][0]["id"], "CVE-2021-33503");
    assert_eq!(data["operating_system"]["family"], "debian");

    let refused = ask(&bus, "./nowhere").await.unwrap_err().to_string();
    assert!(refused.contains("no such file") && refused.contains("give registry/repository:tag"), "{refused}");
    assert_eq!(event(&bus, "scan-failed").await["retryable"], false);

    advisories(&osv, true);
    let data = event(&bus, "findings-changed").await;
    assert_eq!(data["added"][0]["id"], "CVE-2023-45853");
    assert_eq!(data["counts"]["high"], 1);
}

#[test]
fn a_bad_configuration_ends_with_64() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scanner.yaml");
    std::fs::write(&path, "service:\n  parallel_scans: 0\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_registry-scanner"))
        .arg("--check-config")
        .arg("--config")
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("`service.parallel_scans`: must be from 1 to 64, not 0"), "{said}");
}
