//! The service as a process on a real bus.

use std::process::Command;
use std::time::Duration;

use bus::{AskFailure, Bus, From, Origin};
use schemas::ask::{ScanReply, ScanRequest};
use testkit::parts::Process;

use crate::images::{advisories, layout, story};

const LIMIT: Duration = Duration::from_secs(20);

async fn connect(url: &str) -> Bus {
    let config = bus::Config { servers: vec![url.to_owned()], connect_timeout_s: 10, ..bus::Config::default() };
    let (cluster, service) = ("local".parse().unwrap(), "tester".to_owned());
    let bus = Bus::connect(&config, Origin { cluster, service, instance: "1".to_owned(), node: None }).await.unwrap();
    bus.ensure_streams().await.unwrap();
    bus
}

/// The newest build events, by subject noun and participle, until one matches.
async fn event(bus: &Bus, wanted: &str) -> serde_json::Value {
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

async fn ask(bus: &Bus, target: &str) -> Result<ScanReply, AskFailure> {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_answered_published_and_matched_again() {
    let Some(nats) = testkit::parts::nats() else { return };
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    let digest = layout(&image, &story());
    let osv = advisories(&folder.path().join("osv"), false);
    let config = format!(
        "bus:\n  servers: ['{}']\nservice:\n  advisories: {}\n  advisories_poll_s: 1\n  store: {}\n",
        nats.url(),
        osv.display(),
        folder.path().join("store").display()
    );
    let path = folder.path().join("scanner.yaml");
    std::fs::write(&path, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_registry-scanner"));
    command.arg("--config").arg(&path);
    let _scanner = Process::start("registry-scanner", &mut command, &folder.path().join("log")).unwrap();
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
