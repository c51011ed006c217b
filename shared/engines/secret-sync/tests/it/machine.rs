//! The machine in time: first sync, rotation, failure, recovery.

use std::time::Duration;

use model::Timestamp;
use secret_sync::{
    Event, FetchKey, FetchProblem, Loss, Machine, Output, Reading, ReportKind, SecretJson, Settings, TargetContent,
};
use serde_json::json;

use crate::manifests::{STORE, external, load};

const DATA: &str = "  refreshInterval: 1h\n  data:\n  - secretKey: p\n    remoteRef: { key: db, property: p }\n";

struct World {
    machine: Machine,
    now: Timestamp,
    version: u32,
    is_sealed: bool,
    reads: u32,
    checks: u32,
    said: Vec<String>,
}

impl World {
    fn new(files: &[(&str, String)]) -> Self {
        let settings = Settings {
            hash_key: b"key".to_vec().into(),
            check_interval: Duration::from_secs(1),
            followed_interval: Duration::from_secs(600),
            stale_after: Duration::from_secs(30),
            back_off: (Duration::from_secs(1), Duration::from_secs(8)),
            render: |_, data| Ok(TargetContent { data: data.clone(), ..TargetContent::default() }),
            transform: |_, key| Ok(key.to_uppercase()),
        };
        let mut world = Self {
            machine: Machine::new(settings),
            now: Timestamp::from_millis(1_000_000),
            version: 1,
            is_sealed: false,
            reads: 0,
            checks: 0,
            said: Vec::new(),
        };
        world.machine.handle_event(Event::Manifests(load(files).set), world.now);
        world.settle();
        world
    }

    fn settle(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            if let Some(event) = self.perform(output) {
                self.machine.handle_event(event, self.now);
            }
        }
    }

    fn perform(&mut self, output: Output) -> Option<Event> {
        let sealed =
            || FetchProblem { what: "sealed".to_owned(), remedy: "unseal".to_owned(), is_check_refused: false };
        match output {
            Output::Check(key) => {
                self.checks += 1;
                let outcome = if self.is_sealed { Err(sealed()) } else { Ok(Some(self.version.to_string())) };
                Some(Event::Checked { key, outcome })
            }
            Output::Read(key) => {
                self.reads += 1;
                let outcome = if self.is_sealed { Err(sealed()) } else { Ok(Some(self.reading(&key))) };
                Some(Event::Read { key, outcome })
            }
            Output::Write(order) => Some(Event::Written { subject: order.subject, outcome: Ok(()) }),
            Output::Remove { namespace, target } => {
                self.said.push(format!("remove {namespace}/{target}"));
                None
            }
            Output::Report(report) => {
                let versions: Vec<&str> = report.sources.iter().map(|source| source.version.as_str()).collect();
                let kind = match report.kind {
                    ReportKind::Synced { .. } => "synced",
                    ReportKind::Restored { .. } => "restored",
                    ReportKind::Rotated { .. } => "rotated",
                    ReportKind::Removed => "removed",
                    ReportKind::Failed { .. } => "failed",
                    ReportKind::Stale { .. } => "stale",
                    ReportKind::Recovered => "recovered",
                };
                self.said.push(format!("{kind} {} {}", report.external.name, versions.join(",")));
                None
            }
        }
    }

    fn reading(&self, _: &FetchKey) -> Reading {
        let version = self.version.to_string();
        Reading { content: SecretJson::new(json!({ "p": format!("v{version}") })), revision: version.clone(), version }
    }

    fn pass(&mut self, seconds: u64) {
        let end = self.now.plus(Duration::from_secs(seconds));
        while let Some(next) = self.machine.poll_timeout().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            self.machine.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    fn said(&mut self) -> Vec<String> {
        std::mem::take(&mut self.said)
    }
}

fn world() -> World {
    World::new(&[("s.yaml", STORE.to_owned()), ("a.yaml", external("db", DATA))])
}

#[test]
fn a_rotation_is_seen_within_the_check_interval_and_read_once() {
    let mut world = world();
    assert_eq!(world.said(), ["synced db 1"]);
    world.pass(100);
    assert_eq!((world.reads, world.said()), (1, Vec::new()));
    assert!(world.checks >= 99);
    world.version = 2;
    world.pass(1);
    assert_eq!((world.reads, world.said()), (2, vec!["rotated db 2".to_owned()]));
}

#[test]
fn equal_references_are_read_once() {
    let second = external(
        "other",
        "  data:\n  - secretKey: q\n    remoteRef: { key: db, property: p }\n  - secretKey: r\n    remoteRef: { key: db }\n",
    );
    let mut world = World::new(&[("s.yaml", STORE.to_owned()), ("a.yaml", external("db", DATA)), ("b.yaml", second)]);
    assert_eq!((world.reads, world.said().len()), (1, 2));
    world.version = 2;
    world.pass(2);
    assert_eq!(world.said(), ["rotated db 2", "rotated other 2"]);
    assert_eq!(world.reads, 2);
}

#[test]
fn a_sealed_store_fails_goes_stale_and_heals() {
    let mut world = world();
    world.said();
    world.is_sealed = true;
    world.pass(60);
    let said = world.said();
    assert_eq!(said[0], "failed db 1");
    assert!(said.contains(&"stale db 1".to_owned()), "{said:?}");
    assert!(said.len() < 8, "{said:?}");
    (world.is_sealed, world.version) = (false, 2);
    world.pass(10);
    assert_eq!(world.said(), ["rotated db 2"]);
    world.is_sealed = true;
    world.pass(5);
    world.is_sealed = false;
    world.pass(10);
    assert_eq!(world.said().last().unwrap(), "recovered db 2");
}

#[test]
fn a_manifest_that_goes_takes_its_target_along() {
    let mut world = world();
    world.said();
    world.machine.handle_event(Event::Manifests(load(&[("s.yaml", STORE.to_owned())]).set), world.now);
    world.settle();
    assert_eq!(world.said(), ["remove shop/db"]);
    world.pass(100);
    assert_eq!(world.said(), Vec::<String>::new());
    assert_eq!(world.machine.poll_timeout(), None);
}

fn lose(world: &mut World, was: Loss) -> Vec<String> {
    let subject = "ExternalSecret shop/db".to_owned();
    world.machine.handle_event(Event::TargetLost { subject, was }, world.now);
    world.settle();
    world.said()
}

#[test]
fn what_somebody_else_did_to_a_target_is_undone_and_said() {
    for was in [Loss::Removed, Loss::Changed] {
        let mut world = world();
        world.said();
        assert_eq!(lose(&mut world, was), ["restored db 1"]);
        // Nothing is left of it: the next change is a plain rotation.
        world.version = 2;
        world.pass(2);
        assert_eq!(world.said(), ["rotated db 2"]);
    }
}

#[test]
fn who_changes_a_target_back_again_and_again_is_answered_more_and_more_rarely() {
    let mut world = world();
    world.said();
    let reads = world.reads;
    let mut restored = 0;
    for _ in 0..300 {
        restored += lose(&mut world, Loss::Changed).len();
        world.pass(1);
    }
    // The longest wait of these tests is eight seconds.
    assert!((30..60).contains(&restored), "{restored}");
    assert_eq!(world.reads - reads, u32::try_from(restored).unwrap());
    // After a while of peace, at once again.
    world.pass(200);
    assert_eq!(lose(&mut world, Loss::Changed), ["restored db 1"]);
}

#[test]
fn without_version_checks_the_interval_of_the_manifest_counts() {
    let mut world = world();
    world.said();
    let key = FetchKey {
        store: load(&[("s.yaml", STORE.to_owned())]).set.stores.into_keys().next().unwrap(),
        path: "db".to_owned(),
        version: None,
    };
    let refused = FetchProblem { what: "denied".to_owned(), remedy: String::new(), is_check_refused: true };
    world.machine.handle_event(Event::Checked { key, outcome: Err(refused) }, world.now);
    (world.version, world.checks) = (2, 0);
    world.pass(3_000);
    assert_eq!((world.said(), world.checks), (Vec::new(), 0));
    world.pass(700);
    assert_eq!(world.said(), ["rotated db 2"]);
}

#[test]
fn a_closed_window_lets_a_change_wait() {
    // The story begins at a quarter past midnight; nothing may change before half past.
    let windows = "  syncWindows:\n    kind: deny\n    windows: [{ schedule: '0 0 * * *', duration: 30m }]\n";
    let mut world =
        World::new(&[("s.yaml", STORE.to_owned()), ("a.yaml", external("db", &format!("{windows}{DATA}")))]);
    assert_eq!(world.said(), ["synced db 1"], "the first time does not wait");
    world.version = 2;
    world.pass(600);
    assert_eq!(world.said(), Vec::<String>::new());
    world.pass(600);
    assert_eq!(world.said(), ["rotated db 2"]);
}

fn store_and_path() -> (secret_sync::StoreRef, String) {
    let store = load(&[("s.yaml", STORE.to_owned())]).set.stores.into_keys().next().unwrap();
    (store, "db".to_owned())
}

#[test]
fn a_store_that_tells_of_changes_is_seldom_asked() {
    let mut world = world();
    world.said();
    let (store, path) = store_and_path();
    world.machine.handle_event(Event::Followed([store.clone()].into()), world.now);
    world.settle();
    world.checks = 0;
    world.pass(3_600);
    assert!((6..=7).contains(&world.checks), "{} checks in an hour, every ten minutes", world.checks);
    assert_eq!(world.said(), Vec::<String>::new(), "nothing is stale between two looks");
    // What it tells is seen at once.
    (world.version, world.checks) = (2, 0);
    world.machine.handle_event(Event::Changed { store, path }, world.now);
    world.settle();
    assert_eq!((world.said(), world.checks), (vec!["rotated db 2".to_owned()], 1));
    // What it does not tell is found by the next look; when it tells no more, it is asked at once and as before.
    world.version = 3;
    world.pass(600);
    assert_eq!(world.said(), ["rotated db 3"]);
    world.version = 4;
    world.machine.handle_event(Event::Followed([].into()), world.now);
    world.settle();
    assert_eq!(world.said(), ["rotated db 4"]);
    world.checks = 0;
    world.pass(10);
    assert!(world.checks >= 9, "{}", world.checks);
}

/// Whoever corrects the credentials of a store does not wait for the next attempt after a failure.
#[test]
fn other_credentials_are_tried_at_once() {
    let mut world = world();
    world.is_sealed = true;
    world.pass(60);
    let (store, path) = store_and_path();
    world.machine.handle_event(Event::Changed { store, path }, world.now);
    world.settle();
    world.said();
    (world.is_sealed, world.version) = (false, 2);
    world.machine.handle_event(Event::Credentials, world.now);
    world.machine.handle_timeout(world.now);
    world.settle();
    assert!(world.said().contains(&"rotated db 2".to_owned()));
}

/// A change that is told while the answer about the one before is on its way, or while that is written, is not lost.
#[test]
fn changes_on_the_heels_of_a_change_are_not_lost() {
    let mut world = world();
    world.said();
    let (store, path) = store_and_path();
    world.machine.handle_event(Event::Followed([store.clone()].into()), world.now);
    world.settle();
    let changed = || Event::Changed { store: store.clone(), path: path.clone() };
    world.version = 2;
    world.machine.handle_event(changed(), world.now);
    // The check is answered with what is there now; before the read is, there is a third version.
    let mut outputs = Vec::new();
    while let Some(output) = world.machine.poll_output() {
        outputs.push(output);
    }
    for output in outputs {
        let event = world.perform(output).unwrap();
        world.version += 1;
        world.machine.handle_event(changed(), world.now);
        world.machine.handle_event(event, world.now);
    }
    world.settle();
    world.pass(1);
    let said = world.said();
    assert_eq!(said.last().map(String::as_str), Some("rotated db 3"), "{said:?}");

    // While it is written.
    world.version = 4;
    world.machine.handle_event(changed(), world.now);
    let mut write = None;
    while let Some(output) = world.machine.poll_output() {
        if matches!(output, Output::Write(_)) {
            write = Some(output);
            break;
        }
        if let Some(event) = world.perform(output) {
            world.machine.handle_event(event, world.now);
        }
    }
    world.version = 5;
    world.machine.handle_event(changed(), world.now);
    world.settle();
    let event = world.perform(write.unwrap()).unwrap();
    world.machine.handle_event(event, world.now);
    world.settle();
    assert_eq!(world.said().last().map(String::as_str), Some("rotated db 5"));
}

/// A look that failed is made again soon, whatever else is told of the stores in between.
#[test]
fn a_failed_look_after_a_change_is_made_again_soon() {
    let mut world = world();
    world.said();
    let (store, path) = store_and_path();
    let followed = || Event::Followed([store.clone()].into());
    world.machine.handle_event(followed(), world.now);
    world.settle();
    (world.version, world.is_sealed) = (2, true);
    world.machine.handle_event(Event::Changed { store: store.clone(), path }, world.now);
    world.settle();
    world.is_sealed = false;
    world.machine.handle_event(followed(), world.now);
    world.pass(5);
    assert_eq!(world.said().last().map(String::as_str), Some("rotated db 2"));
}

#[test]
fn a_clock_that_is_set_changes_nothing() {
    let mut world = world();
    world.said();
    world.pass(5);
    // A year back: looked at as often as before.
    world.now = Timestamp::from_nanos(world.now.as_nanos() - 31_536_000_000_000_000);
    world.machine.handle_timeout(world.now);
    world.settle();
    (world.version, world.checks) = (2, 0);
    world.pass(3);
    assert_eq!(world.said(), ["rotated db 2"]);
    assert!((1..=4).contains(&world.checks), "{}", world.checks);
    // A day ahead, in which nobody could have answered: nothing is stale, and the next look comes at once.
    world.now = world.now.plus(Duration::from_secs(86_400));
    world.version = 3;
    world.machine.handle_timeout(world.now);
    world.settle();
    world.pass(2);
    assert_eq!(world.said(), ["rotated db 3"]);
}

/// Sets the clock ahead and back again, as two who quarrel about the time do.
fn swing(world: &mut World) {
    const DAY: Duration = Duration::from_secs(86_400);
    let back = Timestamp::from_nanos(world.now.as_nanos());
    for now in [world.now.plus(DAY), back] {
        world.now = now;
        world.machine.handle_timeout(world.now);
        world.settle();
    }
    world.pass(1);
}

#[test]
fn a_clock_that_swings_makes_no_storm_and_stops_nothing() {
    let mut world = world();
    world.said();
    (world.checks, world.reads) = (0, 0);
    for _ in 0..20 {
        swing(&mut world);
    }
    assert!(world.checks <= 60 && world.reads == 0, "{} checks, {} reads", world.checks, world.reads);
    assert_eq!(world.said(), Vec::<String>::new());
    world.version = 2;
    world.pass(2);
    assert_eq!(world.said(), ["rotated db 2"]);
}

#[test]
fn a_clock_that_swings_does_not_hurry_what_is_read_at_an_interval() {
    let mut world = world();
    let key = FetchKey { store: store_and_path().0, path: "db".to_owned(), version: None };
    let refused = FetchProblem { what: "denied".to_owned(), remedy: String::new(), is_check_refused: true };
    world.machine.handle_event(Event::Checked { key, outcome: Err(refused) }, world.now);
    world.settle();
    world.said();
    world.reads = 0;
    for _ in 0..20 {
        swing(&mut world);
    }
    assert_eq!((world.reads, world.said()), (0, Vec::new()));
    world.version = 2;
    world.pass(3_700);
    assert_eq!((world.reads, world.said()), (1, vec!["rotated db 2".to_owned()]));
}
