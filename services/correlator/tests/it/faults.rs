//! What goes wrong is said, and the rest goes on.

use std::time::Duration;

use testkit::parts::{Nats, wait_until};

use crate::world::{Correlator, LONG, Message, Teller, nats, publish};

#[test]
fn poison_is_parked_and_the_rest_flows() {
    let Some(nats) = nats() else { return };
    let correlator = Correlator::start(&nats.url(), nats.folder(), "correlator");
    correlator.wait_ready();
    let mut story = Teller::new(1).story();
    let subject = story[4].subject.clone();
    let cut = Message { payload: story[4].payload[..40].to_vec(), subject: subject.clone() };
    let no_event = Message { payload: vec![0x93, 1, 2, 3], subject: subject.clone() };
    let strange =
        Message { subject: "biotope.v1.test.run.thing.happened.x".to_owned(), payload: story[4].payload.clone() };
    let bad_scan = Message { payload: vec![0xc1], subject: story[0].subject.clone() };
    story.splice(1..1, [cut, no_event, strange, bad_scan]);
    publish(&nats.url(), &story);
    correlator.one_incident(7);
    let parked =
        || correlator.get("admin", "/metrics").filter(|text| text.contains("correlator_events_parked_total 4"));
    wait_until(LONG, parked).unwrap_or_else(|| panic!("{}", correlator.process.last_lines(30)));
}

#[test]
fn a_restart_of_nats_in_the_middle_loses_nothing() {
    let Some(mut nats) = nats() else { return };
    let correlator = Correlator::start(&nats.url(), nats.folder(), "correlator");
    correlator.wait_ready();
    let story = Teller::new(1).story();
    publish(&nats.url(), &story[..5]);
    let before = correlator.one_incident(5);
    restart(&mut nats);
    publish(&nats.url(), &story[5..]);
    assert_eq!(correlator.one_incident(7).id, before.id);
}

fn restart(nats: &mut Nats) {
    nats.restart().unwrap();
}

#[test]
fn a_second_correlator_stands_by_and_takes_over() {
    let Some(nats) = nats() else { return };
    let mut first = Correlator::start(&nats.url(), nats.folder(), "first");
    first.wait_ready();
    let second = Correlator::start(&nats.url(), nats.folder(), "second");
    let says = |text: &str| second.process.last_lines(50).contains(text);
    wait_until(LONG, || says("standing by").then_some(()))
        .unwrap_or_else(|| panic!("{}", second.process.last_lines(30)));
    publish(&nats.url(), &Teller::new(1).story());
    let incident = first.one_incident(7);
    assert!(second.incidents().is_empty());
    first.process.stop(Duration::from_secs(20));
    second.wait_ready();
    assert_eq!(second.one_incident(7).id, incident.id, "the new owner comes to the same incident from the stream");
}

#[test]
fn a_cursor_behind_the_stream_is_a_loss_that_is_said() {
    let Some(mut nats) = nats() else { return };
    let mut correlator = Correlator::start(&nats.url(), nats.folder(), "correlator");
    correlator.wait_ready();
    publish(&nats.url(), &Teller::new(1).story());
    correlator.one_incident(7);
    correlator.process.stop(Duration::from_secs(20));
    // A server with an empty store: positions start over.
    nats.process.kill();
    std::fs::remove_dir_all(nats.folder().join("store")).unwrap();
    restart(&mut nats);
    let correlator = Correlator::start(&nats.url(), nats.folder(), "correlator");
    correlator.wait_ready();
    let said = || correlator.process.last_lines(80).contains("made anew").then_some(());
    wait_until(LONG, said).unwrap_or_else(|| panic!("{}", correlator.process.last_lines(30)));
    publish(&nats.url(), &Teller::new(2).story());
    wait_until(LONG, || (correlator.incidents().len() == 2).then_some(())).unwrap();
}
