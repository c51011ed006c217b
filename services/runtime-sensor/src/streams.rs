//! What processes read from and write to by default: a shell whose input is a connection is somebody else's.

use std::net::IpAddr;
use std::sync::Arc;

use runtime_rules::FieldId;

use crate::decode::{Cursor, RawEvent};
use crate::enrich::Address;
use crate::facts::{self, OpenedFacts, SocketFacts};
use crate::names;
use crate::sockets::Sockets;

/// Standard input, output and error of a process, as far as they are known.
pub(crate) type Streams = [Option<Arc<Stream>>; 3];

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    /// Upstream's word for its type.
    pub(crate) kind: &'static str,
    pub(crate) name: String,
}

/// Whether a field is about them.
pub(crate) fn is_about(field: FieldId) -> bool {
    field_of(field).is_some()
}

/// The stream that a field is about, and whether about its type.
pub(crate) fn field_of(field: FieldId) -> Option<(usize, bool)> {
    Some(match field {
        FieldId::ProcStdinType => (0, true),
        FieldId::ProcStdoutType => (1, true),
        FieldId::ProcStderrType => (2, true),
        FieldId::ProcStdinName => (0, false),
        FieldId::ProcStdoutName => (1, false),
        FieldId::ProcStderrName => (2, false),
        _ => return None,
    })
}

/// Those that a program begins with.
pub(crate) fn of_program(event: &RawEvent<'_>, sockets: &Sockets) -> Streams {
    let [input, output, error] = event.streams;
    let [input_path, output_path, error_path] = event.stream_paths;
    [(input, input_path), (output, output_path), (error, error_path)]
        .map(|(facts, path)| parse(facts?, path, sockets).map(Arc::new))
}

/// What a call put in the place of one of them.
pub(crate) fn of_call(event: &RawEvent<'_>, sockets: &Sockets) -> Option<Arc<Stream>> {
    if let Some(facts) = event.socket.and_then(SocketFacts::parse) {
        let name = event.unix_name.and_then(Address::parse);
        return of_socket(&facts, name, sockets).map(Arc::new);
    }
    let mode = event.file.and_then(OpenedFacts::parse)?.mode;
    Some(Arc::new(of_file(mode, event.file_path)))
}

/// Of a process that ran before the sensor, by what /proc links its descriptor to.
pub(crate) fn of_link(target: &str) -> Option<Arc<Stream>> {
    let kind = match target.split_once(":[") {
        Some(("pipe", _)) => "pipe",
        // Whose socket it is, the link does not tell.
        Some(("socket", _)) | None if !target.starts_with('/') => return None,
        _ => names::kind_of_file(0, target).1,
    };
    Some(Arc::new(Stream { kind, name: target.to_owned() }))
}

fn parse(bytes: &[u8], path: Option<&[u8]>, sockets: &Sockets) -> Option<Stream> {
    let (mode, rest) = bytes.split_first_chunk::<4>()?;
    let mode = u32::from_le_bytes(*mode);
    if mode & 0o170_000 != 0o140_000 {
        return Some(of_file(mode, path));
    }
    of_socket(&SocketFacts::read(&mut Cursor::new(rest.get(4..)?)).ok()?, None, sockets)
}

fn of_file(mode: u32, path: Option<&[u8]>) -> Stream {
    let name = path.and_then(facts::path).unwrap_or_default();
    Stream { kind: names::kind_of_file(mode, &name).1, name }
}

fn of_socket(facts: &SocketFacts, name: Option<Address>, sockets: &Sockets) -> Option<Stream> {
    let kind = match facts.family {
        1 => "unix",
        2 => "ipv4",
        10 if matches!(facts.remote.or(facts.local), Some((IpAddr::V4(_), _))) => "ipv4",
        10 => "ipv6",
        16 => "netlink",
        17 => "packet",
        _ => return None,
    };
    let end = |end: Option<(IpAddr, u16)>| end.map(|(address, port)| format!("{address}:{port}"));
    let (local, remote) = (end(facts.local), end(facts.remote));
    let (client, server) = if sockets.is_server(facts.inode) { (remote, local) } else { (local, remote) };
    let name = match (client, server, name) {
        (Some(client), Some(server), _) => format!("{client}->{server}"),
        (Some(end), None, _) | (None, Some(end), _) => end,
        (None, None, Some(Address::Unix(name))) => name,
        _ => String::new(),
    };
    Some(Stream { kind, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_proc_are_understood() {
        for (target, expected) in [
            ("/dev/null", Some("file")),
            ("pipe:[42]", Some("pipe")),
            ("socket:[42]", None),
            ("anon_inode:[eventfd]", Some("event")),
            ("", None),
        ] {
            assert_eq!(of_link(target).map(|stream| stream.kind), expected, "{target}");
        }
    }

    #[test]
    fn broken_facts_are_none() {
        let sockets = Sockets::default();
        assert_eq!(parse(b"", None, &sockets), None);
        assert_eq!(parse(&0o140_777_u32.to_le_bytes(), None, &sockets), None);
        let file = parse(&0o020_666_u32.to_le_bytes(), Some(b"\0null\0dev\0"), &sockets);
        assert_eq!(file, Some(Stream { kind: "file", name: "/dev/null".to_owned() }));
    }
}
