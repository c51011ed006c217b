//! The API and the console.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

use crate::world::{Correlator, LONG, Teller, http, nats, publish};

#[test]
fn pages_escape_and_the_api_guards_itself() {
    let Some(nats) = nats() else { return };
    let correlator = Correlator::start(&nats.url(), nats.folder(), "correlator");
    correlator.wait_ready();
    publish(&nats.url(), &Teller::new(1).story());
    let incident = correlator.one_incident(7);
    let address = correlator.address("http");
    let (status, page) = http(&address, &format!("/incidents/{}", incident.id), "").unwrap();
    assert_eq!(status, 200);
    assert!(page.contains("&lt;b&gt;happened") && !page.contains("<b>happened"), "{page}");
    assert_eq!(http(&address, "/", "").unwrap().0, 200);
    assert_eq!(http(&address, "/api/incidents/nonsense", "").unwrap().0, 404);
    assert_eq!(http(&address, "/api/incidents?status=open", "").unwrap().0, 200);
    assert_eq!(http(&address, "/api/incidents?status=x", "").unwrap().0, 400);
    assert_eq!(http(&address, "/api/incidents", "Host: evil.example\r\n").unwrap().0, 403, "a rebound name is refused");
}

#[test]
fn events_are_streamed_as_json() {
    let Some(nats) = nats() else { return };
    let correlator = Correlator::start(&nats.url(), nats.folder(), "correlator");
    correlator.wait_ready();
    publish(&nats.url(), &Teller::new(1).story());
    correlator.one_incident(7);
    let address = correlator.address("http");
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    write!(stream, "GET /api/events?since=2020-01-01T00:00:00Z HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut types = std::collections::BTreeSet::new();
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        if let Some(json) = line.strip_prefix("data: ") {
            let event: serde_json::Value = serde_json::from_str(json).unwrap();
            types.insert(event["type"].as_str().unwrap().to_owned());
        }
        if types.contains(OPENED) && types.contains(SCANNED) {
            break;
        }
    }
    assert!(types.contains(OPENED) && types.contains(SCANNED), "{types:?}");
}

const OPENED: &str = "dev.biotope.incident.case.opened.v1";
const SCANNED: &str = "dev.biotope.build.image.scanned.v1";
