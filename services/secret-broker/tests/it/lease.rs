//! Several brokers of one cluster: one leads, the others wait.

use std::time::{Duration, Instant};

use testkit::parts::wait_until;

use crate::cluster_world::{LIMIT, World, configure, encoded, external, launch, metric};

const CALLS: &str = "secret_broker_store_calls_total";

fn leads(folder: &std::path::Path) -> bool {
    metric(folder, "secret_broker_leading", "") == 1
}

#[test]
fn of_two_brokers_one_leads_and_the_other_takes_over() {
    let Some(mut world) = World::start() else { return };
    let first = world.folder.path().to_owned();
    assert!(wait_until(LIMIT, || leads(&first).then_some(())).is_some(), "{}", world.log());
    let other = tempfile::tempdir().unwrap();
    configure(other.path(), &world.nats, &world.server.kubeconfig, "");
    let mut second = launch(other.path());
    let said = wait_until(LIMIT, || second.last_lines(50).contains("another broker leads").then_some(()));
    assert!(said.is_some(), "{}", second.last_lines(20));

    world.bao.command(&["kv", "put", "secret/db", "password=canary-one"]).unwrap();
    world.server.apply(&external("db", "{}")).unwrap();
    world.until("secret", "db", "{.data.password}", &encoded("canary-one"));
    let holder = |world: &World| world.until_it("lease", "biotope-secret-broker", "{.spec.holderIdentity}", |_| true);
    let before = holder(&world);
    assert!(!before.is_empty() && leads(&first) && !leads(other.path()));
    // Who waits asks nobody, and counts as ready.
    assert_eq!(metric(other.path(), CALLS, ""), 0);
    let ready =
        wait_until(LIMIT, || crate::cluster_world::admin(other.path(), "/ready").contains(" 200 ").then_some(()));
    assert!(ready.is_some(), "{}", crate::cluster_world::admin(other.path(), "/ready"));

    // The leader is killed: the other takes over and goes on where it was.
    world.broker.kill();
    world.bao.command(&["kv", "put", "secret/db", "password=canary-two"]).unwrap();
    world.until("secret", "db", "{.data.password}", &encoded("canary-two"));
    let after = holder(&world);
    assert!(after != before && leads(other.path()), "{after}");
    world.until("lease", "biotope-secret-broker", "{.spec.leaseTransitions}", "1");

    // It comes back and waits; the leader ends in good order, and lets go of the lease.
    world.broker = launch(&first);
    let back = wait_until(LIMIT, || {
        (metric(&first, "secret_broker_leading", "") == 0 && world.log().matches("serving a cluster").count() == 2)
            .then_some(())
    });
    assert!(back.is_some(), "{}", world.log());
    let started = Instant::now();
    second.stop(Duration::from_secs(30));
    world.bao.command(&["kv", "put", "secret/db", "password=canary-three"]).unwrap();
    world.until("secret", "db", "{.data.password}", &encoded("canary-three"));
    assert!(leads(&first), "after {:?}: {}", started.elapsed(), world.log());

    // A leader that sleeps for longer than its lease finds another in its place and does not write.
    let mut third = launch(other.path());
    let waits = wait_until(LIMIT, || (third.last_lines(60).matches("another broker leads").count() >= 1).then_some(()));
    assert!(waits.is_some());
    world.broker.pause();
    assert!(wait_until(LIMIT, || leads(other.path()).then_some(())).is_some(), "{}", third.last_lines(20));
    world.broker.resume();
    assert!(wait_until(LIMIT, || (!leads(&first)).then_some(())).is_some(), "{}", world.log());
    world.bao.command(&["kv", "put", "secret/db", "password=canary-four"]).unwrap();
    world.until("secret", "db", "{.data.password}", &encoded("canary-four"));
    assert!(leads(other.path()) && !leads(&first));
    third.stop(Duration::from_secs(30));
}
