//! A scanner that is killed while it matches all images again: nothing is lost, and little is told twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bus::From;
use image_inventory::{Application, ApplicationKind, ImageInventory, Package, purl};
use registry_scanner::{Advisories, Fingerprint, KnownImage, Store, TOLD_TOGETHER, rematch};
use testkit::parts::wait_until;

use crate::images::{advisories, sha256};
use crate::service::{LIMIT, connect, start};

const IMAGES: usize = 600;

fn image(number: usize) -> KnownImage {
    let mut urllib3 = Package { name: "urllib3".to_owned(), version: "1.26.4".to_owned(), ..Package::default() };
    urllib3.purl = purl::language(&urllib3, ApplicationKind::Pip);
    let file_path = format!("app{number}/requirements.txt");
    let application = Application { kind: ApplicationKind::Pip, file_path, packages: vec![urllib3] };
    KnownImage {
        image: format!("registry.example/app{number}:1"),
        digest: sha256(&number.to_le_bytes()),
        index_digest: None,
        inventory: ImageInventory { applications: vec![application], ..ImageInventory::default() },
    }
}

fn finished(log: &Path) -> usize {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines().filter(|line| line.contains("known images matched again")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_that_is_killed_while_it_matches_again_loses_nothing() {
    let Some(nats) = testkit::parts::nats() else { return };
    let folder = tempfile::tempdir().unwrap();
    let osv = advisories(&folder.path().join("osv"), false);
    let store = Store::open(Some(&folder.path().join("store"))).unwrap();
    (0..IMAGES).for_each(|number| store.keep_image(&image(number)).unwrap());
    let bus = connect(&nats.url()).await;
    let (told, log) = (folder.path().join("store/findings"), folder.path().join("log"));

    let mut first = start(folder.path(), &nats.url(), "");
    let kept = || std::fs::read_dir(&told).unwrap().count();
    wait_until(LIMIT, || (kept() >= 5).then_some(())).unwrap();
    first.kill();
    let (at_the_kill, ended) = (kept(), finished(&log));
    let _second = start(folder.path(), &nats.url(), "");
    let done = wait_until(LIMIT, || (finished(&log) > ended).then_some(()));
    assert!(done.is_some(), "{}", std::fs::read_to_string(&log).unwrap());

    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let mut cursor = bus.cursor("BIOTOPE_BUILD", From::Beginning, Vec::new());
    let begun = Instant::now();
    loop {
        let batch = cursor.next_batch(200, Duration::from_secs(1)).await;
        if batch.is_empty() && times.len() == IMAGES {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "{} of {IMAGES} images were told", times.len());
        for stored in batch {
            let event = bus::decode_any(&stored.payload).unwrap();
            assert_eq!(event.data["added"].as_array().unwrap().len(), 1);
            *times.entry(event.data["digest"].as_str().unwrap().to_owned()).or_default() += 1;
        }
    }
    // Whatever was being told when it was killed is told again, no more: a group of images on each core.
    let together = std::thread::available_parallelism().map_or(1, usize::from) * TOLD_TOGETHER;
    let twice = times.values().filter(|times| **times > 1).count();
    assert!(
        twice <= together && times.values().all(|times| *times <= 2),
        "{twice} told twice, {at_the_kill} kept then"
    );

    let (advisories, _) = Advisories::load(&osv, &Fingerprint::of(&osv));
    let more = Mutex::new(0);
    let again = rematch(&store, &advisories, |_, _| {
        *more.lock().unwrap() += 1;
        true
    });
    assert_eq!((again.unwrap().images, *more.lock().unwrap()), (IMAGES as u64, 0));
}
