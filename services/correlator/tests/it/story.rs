//! One story, one incident, however it is told.

use testkit::parts::wait_until;

use crate::world::{Correlator, LONG, Message, Teller, nats, publish};

/// The timeline as the API gives it, byte for byte.
fn timeline(correlator: &Correlator, pieces: usize) -> (String, String) {
    let incident = correlator.one_incident(pieces);
    (incident.id.to_string(), serde_json::to_string(&incident.timeline).unwrap())
}

/// Tells `messages` to a fresh platform and returns id and timeline.
fn told(messages: &[Message], pieces: usize) -> Option<(String, String)> {
    let nats = nats()?;
    let correlator = Correlator::start(&nats.url(), nats.folder(), "correlator");
    correlator.wait_ready();
    publish(&nats.url(), messages);
    Some(timeline(&correlator, pieces))
}

#[test]
fn one_story_is_one_incident_over_four_phases() {
    let Some(nats) = nats() else { return };
    let correlator = Correlator::start(&nats.url(), nats.folder(), "correlator");
    correlator.wait_ready();
    publish(&nats.url(), &Teller::new(1).story());
    let incident = correlator.one_incident(7);
    assert_eq!(incident.rule, "exploited-exception");
    assert_eq!(incident.phases.len(), 4);
    let summaries: Vec<&str> = incident.timeline.iter().map(|piece| piece.summary.as_str()).collect();
    for (place, part) in [
        (0, "CVE-2021-33503"),
        (1, "exception default/let-web-in"),
        (3, "vault db version 3"),
        (4, "sh(7) < python3(1)"),
    ] {
        assert!(summaries[place].contains(part), "{part}: {summaries:#?}");
    }
    let again = wait_until(LONG, || correlator.get("http", &format!("/api/incidents/{}", incident.id))).unwrap();
    assert!(again.contains("exploited-exception"));
}

#[test]
fn duplicates_and_shuffles_give_the_same_bytes() {
    let story = Teller::new(1).story();
    let Some(straight) = told(&story, 7) else { return };
    let mut doubled: Vec<Message> = story.iter().flat_map(|message| [message.clone(), message.clone()]).collect();
    assert_eq!(told(&doubled, 7).unwrap(), straight);
    doubled.reverse();
    assert_eq!(told(&doubled, 7).unwrap(), straight);
    doubled.rotate_left(5);
    assert_eq!(told(&doubled, 7).unwrap(), straight);
}

#[test]
fn a_kill_in_the_middle_does_not_show() {
    let story = Teller::new(1).story();
    let Some(straight) = told(&story, 7) else { return };
    for cut in [1, 4, 5, 6] {
        let nats = nats().unwrap();
        let mut correlator = Correlator::start(&nats.url(), nats.folder(), "correlator");
        correlator.wait_ready();
        publish(&nats.url(), &story[..cut]);
        if cut > 4 {
            correlator.one_incident(cut);
        }
        correlator.process.kill();
        publish(&nats.url(), &story[cut..]);
        let correlator = Correlator::start(&nats.url(), nats.folder(), "correlator");
        assert_eq!(timeline(&correlator, 7), straight, "killed after {cut} messages");
    }
}
