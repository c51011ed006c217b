//! Bytes that processes choose, read as everything that they may be: the door for those who search for bytes that break a reader.
//!
//! Both return whatever the bytes are; that they do is what the search is about.

use crate::container;
use crate::decode::{RawEvent, decode};
use crate::enrich::Address;
use crate::facts::{self, ExecFacts, OpenedFacts, SocketFacts};
use crate::process::{self, proc};

/// Reads an event of the kernel, and every part of it as what that part should be.
pub fn read_event(bytes: &[u8]) {
    if let Ok(event) = decode(bytes) {
        read_parts(&event);
    }
}

/// Reads bytes as each of the files of /proc that are asked of, and as the path of a cgroup.
pub fn read_proc(bytes: &[u8]) {
    proc::read_any(bytes);
    drop(container::parse(&process::text(bytes)));
}

pub(crate) fn read_parts(event: &RawEvent<'_>) {
    let _ = event.file.map(OpenedFacts::parse);
    let _ = event.exec.map(ExecFacts::parse);
    let _ = event.socket.map(SocketFacts::parse);
    let _ = event.address.map(Address::parse);
    drop(event.argv.map(process::split));
    for names in [event.exe, event.cwd, event.file_path, event.directory0, event.directory1, event.cgroup_path] {
        let built = names.and_then(facts::path);
        debug_assert!(is_what_was_built(names, built.as_deref()), "{built:?} is not what it was built from");
    }
    for path in [event.path0, event.path1].into_iter().flatten() {
        drop(process::resolve("/", &process::text(path)));
    }
}

/// Of names that are plain text, the path is the same that a comparison without building it finds.
fn is_what_was_built(names: Option<&[u8]>, built: Option<&str>) -> bool {
    let (Some(names), Some(built)) = (names, built) else { return true };
    let is_plain =
        names.first() == Some(&facts::COMPLETE) && std::str::from_utf8(names).is_ok() && !names.contains(&b'/');
    !is_plain || facts::is_same_path(names, built)
}
