//! Commands and leases.

use std::time::Duration;

use bus::{AskFailure, LeaseError};
use schemas::ask::{AskError, ScanRequest};
use testkit::parts;

use crate::connect;

#[tokio::test(flavor = "multi_thread")]
async fn asks_and_answers() {
    let Some(nats) = parts::nats() else { return };
    let bus = connect(&nats).await;
    let mut asked = bus.asked("scan").await.unwrap();
    tokio::spawn(async move {
        while let Some(request) = asked.next().await {
            let scan: ScanRequest = request.decode().unwrap();
            match scan.target.as_str() {
                "good" => request.answer(scan.target.len()).await,
                _ => request.refuse(AskError { message: "no such image".to_owned(), ..AskError::default() }).await,
            }
        }
    });
    let scan = |target: &str| ScanRequest { target: target.to_owned(), platform: None };
    let limit = Duration::from_secs(5);
    let answer: usize = bus.ask(("tester", "scan"), &scan("good"), limit).await.unwrap();
    assert_eq!(answer, 4);
    let refused = bus.ask::<_, usize>(("tester", "scan"), &scan("bad"), limit).await.unwrap_err();
    assert_eq!(refused.to_string(), "no such image");
    let nobody = bus.ask::<_, usize>(("sleeper", "scan"), &scan("good"), limit).await.unwrap_err();
    assert!(matches!(nobody, AskFailure::NobodyThere { .. }), "{nobody}");
}

#[tokio::test]
async fn a_lease_has_one_holder() {
    let Some(nats) = parts::nats() else { return };
    let bus = connect(&nats).await;
    let mut lease = bus.lease("partition-1").await.unwrap();
    let before = lease.revision();
    let LeaseError::Held { by, .. } = bus.lease("partition-1").await.unwrap_err() else { panic!("two holders") };
    assert_eq!(by, "/test/tester/1");
    lease.renew().await.unwrap();
    assert!(lease.revision() > before, "the fencing token grows");
    // Who can prove to be the same owner need not wait for the end of a lease; others must.
    let mine = bus.lease_as("partition-2", "state-a").await.unwrap().revision();
    assert!(bus.lease_as("partition-2", "state-b").await.is_err());
    assert!(bus.lease_as("partition-2", "").await.is_err());
    assert!(bus.lease_as("partition-2", "state-a").await.unwrap().revision() > mine);
    lease.release().await;
    assert!(bus.lease("partition-1").await.unwrap().revision() > before);
}
