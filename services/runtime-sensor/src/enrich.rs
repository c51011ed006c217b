//! An event with everything that is known about it when it is judged.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::Timestamp;

use crate::container::Container;
use crate::decode::RawEvent;
use crate::facts::{self, OpenedFacts, SocketFacts, unmapped};
use crate::pods::Pod;
use crate::process::{Process, Processes, resolve, text};
use crate::syscalls::Syscall;

/// One event, ready for the rules. Borrowed from the tables for as long as it is judged; what costs is computed when it is asked for.
#[derive(Debug)]
pub(crate) struct Enriched<'a> {
    pub(crate) raw: &'a RawEvent<'a>,
    /// Its type.
    pub(crate) event_type: runtime_rules::EventType,
    /// The system call; `None` for programs that started and processes that ended.
    pub(crate) call: Option<&'static Syscall>,
    /// `evt.type`
    pub(crate) name: &'static str,
    pub(crate) time: Timestamp,
    pub(crate) process: &'a Process,
    pub(crate) processes: &'a Processes,
    pub(crate) container: Option<&'a Container>,
    pub(crate) pod: Option<&'a Pod>,
    pub(crate) directory: &'a crate::host::Directory,
    pub(crate) addresses: &'a crate::addresses::Addresses,
    pub(crate) hostname: &'a str,
    pub(crate) number: u64,
    /// The address that the call names, for events about sockets.
    pub(crate) address: Option<Address>,
    pub(crate) socket: Option<SocketFacts>,
    /// Whether this process is the server of the socket.
    pub(crate) is_server: bool,
    /// Whether a datagram goes to, or comes from, another address than the one before.
    pub(crate) is_name_changed: bool,
    pub(crate) paths: Paths<'a>,
}

/// The paths of an event.
#[derive(Debug, Default)]
pub(crate) struct Paths<'a> {
    first: OnceCell<Option<Cow<'a, str>>>,
    second: OnceCell<Option<Cow<'a, str>>>,
    real: OnceCell<Option<String>>,
    /// Whether the event is judged by the file that was really opened.
    is_by_real: Cell<bool>,
}

impl<'a> Enriched<'a> {
    /// Path of the first path argument, resolved by its letters against the directory that it is relative to; or of the file that
    /// the call is about.
    pub(crate) fn path(&self) -> Option<&str> {
        if self.paths.is_by_real.get() || self.raw.path0.is_none() {
            return self.real_path();
        }
        self.paths.first.get_or_init(|| self.resolved(self.raw.path0, self.raw.directory0, 0)).as_deref()
    }

    /// The same of the second path argument.
    pub(crate) fn second_path(&self) -> Option<&str> {
        let place = if self.name == "symlinkat" { 1 } else { 2 };
        self.paths.second.get_or_init(|| self.resolved(self.raw.path1, self.raw.directory1, place)).as_deref()
    }

    /// Path of the file that was opened, whatever links led to it.
    pub(crate) fn real_path(&self) -> Option<&str> {
        self.paths.real.get_or_init(|| self.raw.file_path.and_then(facts::path)).as_deref()
    }

    pub(crate) fn file(&self) -> Option<OpenedFacts> {
        self.raw.file.and_then(OpenedFacts::parse)
    }

    /// From now on, `path` is that of the file itself. Says whether that makes a difference: a link led to another file than the path
    /// says, or the process changed the path while the kernel looked.
    pub(crate) fn switch_to_real_path(&self) -> bool {
        let Some(names) = self.raw.file_path.filter(|_| self.raw.path0.is_some()) else { return false };
        if self.path().is_none_or(|path| facts::is_same_path(names, path)) || self.real_path().is_none() {
            return false;
        }
        self.paths.is_by_real.set(true);
        true
    }

    fn resolved(&self, path: Option<&'a [u8]>, directory: Option<&[u8]>, place: usize) -> Option<Cow<'a, str>> {
        let path = String::from_utf8_lossy(path?);
        // The target of a symbolic link is text, not a path of this process.
        if is_plain(&path) || (place == 0 && matches!(self.name, "symlink" | "symlinkat")) {
            return Some(path);
        }
        if path.starts_with('/') {
            return Some(resolve("/", &path).into());
        }
        if let Some(directory) = directory.and_then(facts::path) {
            return Some(resolve(&directory, &path).into());
        }
        // Descriptors are ints; the upper half of the register means nothing.
        let descriptor = (self.raw.args.get(place).copied().unwrap_or(0) & 0xffff_ffff) as u32;
        let is_elsewhere = self.call.is_some_and(|call| call.is_at()) && descriptor.cast_signed() != AT_FDCWD;
        // The kernel tells where a process is that opens what is not there; the table only what it was told of.
        let cwd = self.raw.cwd.filter(|_| self.is_open()).and_then(facts::path);
        let cwd = cwd.as_deref().unwrap_or(&self.process.cwd);
        Some(if is_elsewhere { format!("<UNKNOWN>/{path}") } else { resolve(cwd, &path) }.into())
    }
}

/// Whether there is nothing to resolve in a path: it begins at the root, and no name in it is empty or made of one or two dots.
fn is_plain(path: &str) -> bool {
    let mut rest = path.as_bytes();
    if rest.first() != Some(&b'/') {
        return false;
    }
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let is_end = |at: usize| after.get(at).is_none_or(|byte| *byte == b'/');
        if *byte == b'/'
            && (is_end(0) || after.starts_with(b".") && (is_end(1) || after.starts_with(b"..") && is_end(2)))
        {
            return false;
        }
    }
    true
}

/// A socket address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Inet(IpAddr, u16),
    Unix(String),
}

impl Address {
    /// Reads a sockaddr (unix(7), ip(7), ipv6(7)).
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (family, rest) = bytes.split_first_chunk::<2>()?;
        match u16::from_ne_bytes(*family) {
            1 => {
                let is_abstract = rest.first() == Some(&0);
                let name = if is_abstract { rest.get(1..)? } else { rest };
                let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                Some(Self::Unix(format!("{}{}", if is_abstract { "@" } else { "" }, text(name))))
            }
            2 => {
                let (port, rest) = rest.split_first_chunk::<2>()?;
                let octets = rest.first_chunk::<4>()?;
                Some(Self::Inet(IpAddr::V4(Ipv4Addr::from(*octets)), u16::from_be_bytes(*port)))
            }
            10 => {
                let (port, rest) = rest.split_first_chunk::<2>()?;
                let octets = rest.get(4..)?.first_chunk::<16>()?;
                Some(Self::Inet(unmapped(Ipv6Addr::from(*octets)), u16::from_be_bytes(*port)))
            }
            _ => None,
        }
    }
}

const AT_FDCWD: i32 = -100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_without_anything_to_resolve() {
        for (path, expected) in [
            ("/etc/passwd", true),
            ("/etc/.hidden/..data/a..", true),
            ("/...", true),
            ("/", false),
            ("", false),
            ("etc/passwd", false),
            ("/etc/", false),
            ("/etc//passwd", false),
            ("/etc/./passwd", false),
            ("/etc/../passwd", false),
            ("/.", false),
            ("/etc/..", false),
        ] {
            assert_eq!(is_plain(path), expected, "{path}");
            assert!(!expected || resolve("/", path) == path, "{path}");
        }
    }

    #[test]
    fn reads_addresses_of_every_family() {
        let v4 = [2, 0, 0x1f, 0x90, 192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Address::parse(&v4), Some(Address::Inet("192.0.2.7".parse().unwrap(), 8080)));
        let mut v6 = vec![10, 0, 0, 80, 0, 0, 0, 0];
        v6.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(Address::parse(&v6), Some(Address::Inet("2001:db8::1".parse().unwrap(), 80)));
        assert_eq!(Address::parse(b"\x01\0/run/x.sock\0"), Some(Address::Unix("/run/x.sock".to_owned())));
        assert_eq!(Address::parse(&[2, 0, 1]), None);
    }
}
