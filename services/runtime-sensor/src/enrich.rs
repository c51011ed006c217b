//! An event with everything that is known about it when it is judged.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::Timestamp;

use crate::container::Container;
use crate::decode::RawEvent;
use crate::pods::Pod;
use crate::process::{Process, Processes, resolve, text};
use crate::syscalls::Syscall;

/// One event, ready for the rules. Borrowed from the tables for as long as it is judged.
#[derive(Debug)]
pub(crate) struct Enriched<'a> {
    pub(crate) raw: &'a RawEvent<'a>,
    /// Its type.
    pub(crate) event_type: runtime_rules::EventType,
    /// `evt.type`
    pub(crate) name: &'static str,
    pub(crate) time: Timestamp,
    pub(crate) process: &'a Process,
    pub(crate) ancestors: Vec<&'a Process>,
    pub(crate) container: Option<&'a Container>,
    pub(crate) pod: Option<&'a Pod>,
    pub(crate) users: &'a crate::host::Users,
    pub(crate) hostname: &'a str,
    pub(crate) number: u64,
    /// Path of the first path argument, resolved against the working directory.
    pub(crate) path: Option<String>,
    /// The same of the second.
    pub(crate) second_path: Option<String>,
    /// The address, for events about sockets.
    pub(crate) address: Option<Address>,
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
                let address = Ipv6Addr::from(*octets);
                let address = address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4);
                Some(Self::Inet(address, u16::from_be_bytes(*port)))
            }
            _ => None,
        }
    }
}

/// The paths of an event, resolved.
pub(crate) fn paths(
    raw: &RawEvent<'_>,
    syscall: Option<&Syscall>,
    processes: &Processes,
) -> (Option<String>, Option<String>) {
    let cwd = processes.get(raw.tgid).map(|process| process.cwd.as_str()).unwrap_or_default();
    let folder = |place: usize| directory(raw, syscall, place).unwrap_or_else(|| cwd.to_owned());
    let first = raw.path0.map(|path| resolve(&folder(0), &text(path)));
    let second = raw.path1.map(|path| resolve(&folder(2), &text(path)));
    (first, second)
}

/// The folder that an `*at` call names by a descriptor, read from /proc while the process is there.
fn directory(raw: &RawEvent<'_>, syscall: Option<&Syscall>, place: usize) -> Option<String> {
    let name = syscall?.name;
    if !(name.ends_with("at") || name == "openat2" || name == "renameat2" || name == "fchmodat2") || name == "creat" {
        return None;
    }
    let place = if name == "symlinkat" { 1 } else { place };
    // Descriptors are ints; the upper half of the register means nothing.
    let descriptor = (raw.args.get(place).copied()? & 0xffff_ffff) as u32;
    if descriptor.cast_signed() == AT_FDCWD {
        return None;
    }
    std::fs::read_link(format!("/proc/{}/fd/{descriptor}", raw.tgid)).ok().map(|path| path.display().to_string())
}

const AT_FDCWD: i32 = -100;

#[cfg(test)]
mod tests {
    use super::*;

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
