//! Nothing is lost, and a repeat is one event.

use std::collections::BTreeSet;
use std::time::Duration;

use bus::{Bus, Class, Config, From, SpoolConfig};
use schemas::Subject;
use testkit::parts;

use crate::{connect, event, number, origin, publish_all, read};

#[tokio::test]
async fn events_arrive_in_order_under_partitioned_subjects() {
    let Some(nats) = parts::nats() else { return };
    let bus = connect(&nats).await;
    let publisher = bus.publisher().unwrap();
    publish_all(&publisher, 0..500).await;
    assert!(publisher.flush(Duration::from_secs(10)).await);
    let stored = read(&bus, 500).await;
    assert_eq!(stored.iter().map(number).collect::<Vec<_>>(), (0..500).collect::<Vec<_>>());
    for message in &stored {
        let Subject::Stored(event, partition) = message.subject.parse().unwrap() else { panic!("{}", message.subject) };
        assert_eq!(partition, schemas::partition(&event.key), "the server's partition is ours: {}", message.subject);
    }
}

#[tokio::test]
async fn the_same_id_twice_is_one_event() {
    let Some(nats) = parts::nats() else { return };
    let bus = connect(&nats).await;
    let publisher = bus.publisher().unwrap();
    let id = publisher.publish(event(1, Class::Normal)).await.unwrap();
    let again = bus::Outgoing { id: Some(id), ..event(1, Class::Normal) };
    publisher.publish(again).await.unwrap();
    publisher.publish(event(2, Class::Normal)).await.unwrap();
    assert!(publisher.flush(Duration::from_secs(10)).await);
    assert_eq!(bus.stream_bounds("BIOTOPE_EVENTS").await.unwrap().1, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_nothing() {
    let Some(mut nats) = parts::nats() else { return };
    let bus = connect(&nats).await;
    let publisher = bus.publisher().unwrap();
    publish_all(&publisher, 0..300).await;
    nats.process.kill();
    publish_all(&publisher, 300..600).await;
    nats.restart().unwrap();
    publish_all(&publisher, 600..700).await;
    assert!(publisher.flush(Duration::from_secs(30)).await);
    let numbers: BTreeSet<u32> = read(&bus, 700).await.iter().map(number).collect();
    assert_eq!(numbers, (0..700).collect());
    assert_eq!(publisher.losses().lost(), [0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_survives_its_process_and_an_empty_server() {
    let Some(nats) = parts::nats() else { return };
    let spool = SpoolConfig { folder: nats.folder().join("spool"), max_bytes: 1 << 24 };
    let config = Config { servers: vec![nats.url()], connect_timeout_s: 10, spool: Some(spool), ..Config::default() };
    let first = Bus::connect(&config, origin("tester")).await.unwrap();
    first.ensure_streams().await.unwrap();
    let publisher = first.publisher().unwrap();
    publish_all(&publisher, 0..100).await;
    assert!(publisher.flush(Duration::from_secs(10)).await);
    drop((publisher, first));
    // A server that lost its store after it had acknowledged: within three minutes everything is sent again.
    let Some(empty) = parts::nats() else { return };
    let config = Config { servers: vec![empty.url()], ..config };
    let second = Bus::connect(&config, origin("tester")).await.unwrap();
    second.ensure_streams().await.unwrap();
    let publisher = wait_for_lock(&second).await;
    assert!(publisher.flush(Duration::from_secs(10)).await);
    let numbers: BTreeSet<u32> = read(&second, 100).await.iter().map(number).collect();
    assert_eq!(numbers, (0..100).collect());
}

/// Reads on until `count` messages came, or none for five seconds: one batch may hold fewer than are on their way.
async fn all(cursor: &mut bus::Cursor, count: usize) -> Vec<bus::Stored> {
    let mut found = Vec::new();
    while found.len() < count {
        let batch = cursor.next_batch(100, Duration::from_secs(5)).await;
        if batch.is_empty() {
            break;
        }
        found.extend(batch);
    }
    found
}

#[tokio::test]
async fn a_cursor_goes_on_where_it_was_told() {
    let Some(nats) = parts::nats() else { return };
    let bus = connect(&nats).await;
    let publisher = bus.publisher().unwrap();
    publish_all(&publisher, 0..10).await;
    assert!(publisher.flush(Duration::from_secs(10)).await);
    let mut cursor = bus.cursor("BIOTOPE_EVENTS", From::Sequence(8), Vec::new());
    let batch = all(&mut cursor, 3).await;
    assert_eq!(batch.iter().map(|message| message.sequence).collect::<Vec<_>>(), [8, 9, 10]);
    assert!(cursor.next_batch(100, Duration::from_millis(50)).await.is_empty());
}

#[tokio::test]
async fn the_last_of_each_subject_needs_no_filter() {
    let Some(nats) = parts::nats() else { return };
    let bus = connect(&nats).await;
    let publisher = bus.publisher().unwrap();
    publish_all(&publisher, 0..20).await;
    assert!(publisher.flush(Duration::from_secs(10)).await);
    let mut cursor = bus.cursor("BIOTOPE_EVENTS", From::LastPerSubject, Vec::new());
    let batch = all(&mut cursor, 7).await;
    let mut numbers: Vec<u32> = batch.iter().map(number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (13..20).collect::<Vec<_>>());
    assert!(cursor.is_open());
}

/// The publisher of the bus that was dropped ends a moment later and then frees the spool.
async fn wait_for_lock(bus: &Bus) -> bus::Publisher {
    for _ in 0..100 {
        match bus.publisher() {
            Ok(publisher) => return publisher,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    panic!("the spool stays locked");
}

/// A file system of one mebibyte; unmounted when it is dropped.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(folder: std::path::PathBuf) -> Option<Self> {
        std::fs::create_dir(&folder).unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&folder);
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        testkit::require::skip("root", "a small file system cannot be mounted without the rights of root");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        std::process::Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing_while_the_process_lives() {
    let Some(mut nats) = parts::nats() else { return };
    let Some(disk) = SmallDisk::mount(nats.folder().join("disk")) else { return };
    let spool = SpoolConfig { folder: disk.0.join("spool"), max_bytes: 1 << 26 };
    let config = Config { servers: vec![nats.url()], connect_timeout_s: 10, spool: Some(spool), ..Config::default() };
    let bus = Bus::connect(&config, origin("tester")).await.unwrap();
    bus.ensure_streams().await.unwrap();
    let publisher = bus.publisher().unwrap();
    nats.process.kill();
    // About 400 bytes each: five times what fits.
    publish_all(&publisher, 0..12_000).await;
    assert!(wait_for(|| publisher.losses().is_spool_broken()).await, "the disk is full");
    nats.restart().unwrap();
    assert!(publisher.flush(Duration::from_secs(60)).await);
    let numbers: BTreeSet<u32> = read(&bus, 12_000).await.iter().map(number).collect();
    assert_eq!(numbers, (0..12_000).collect());
    assert_eq!(publisher.losses().lost(), [0, 0, 0]);
    // Room again: the next event is on the disk again.
    for entry in std::fs::read_dir(disk.0.join("spool")).unwrap().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "log") {
            std::fs::File::options().write(true).open(entry.path()).unwrap().set_len(0).unwrap();
        }
    }
    publish_all(&publisher, 12_000..12_001).await;
    assert!(wait_for(|| !publisher.losses().is_spool_broken()).await, "the spool is written again");
}

async fn wait_for(mut condition: impl FnMut() -> bool) -> bool {
    for _ in 0..500 {
        if condition() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    false
}
