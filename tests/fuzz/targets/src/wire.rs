//! What comes from the bus.

use schemas::Subject;

/// A message: what the check lets through decodes, and what was decoded can be encoded and decoded again.
pub(crate) fn event(bytes: &[u8]) {
    let Ok(event) = bus::decode_any(bytes) else { return };
    assert!(schemas::wire::check(bytes).is_ok(), "decoded without having passed the check");
    if let Ok(again) = bus::encode(&event) {
        assert!(bus::decode_any(&again).is_ok_and(|same| same.id == event.id), "an event changed on the way");
    }
}

/// A subject: what parses prints as it was.
pub(crate) fn subject(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(subject) = text.parse::<Subject>() {
        assert_eq!(subject.to_string(), text, "a subject prints otherwise than it was");
    }
}
