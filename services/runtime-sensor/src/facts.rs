//! What the kernel says of files, programs, sockets and paths, beside the plain arguments (ebpf/event.h).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::decode::{Cursor, DecodeError};

/// A file, as its inode tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileFacts {
    pub(crate) inode: u64,
    pub(crate) device: u64,
    pub(crate) ctime_ns: u64,
    pub(crate) mtime_ns: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// `LAYER_*`, `FROM_MEMORY`, `READ_ONLY`.
    pub(crate) layer: u32,
}

/// The file behind a descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpenedFacts {
    pub(crate) inode: u64,
    pub(crate) device: u32,
    pub(crate) mode: u32,
    open_mode: u32,
    layer: u32,
}

impl OpenedFacts {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        Self::read(&mut Cursor::new(bytes)).ok()
    }

    fn read(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            inode: cursor.u64()?,
            device: cursor.u32()?,
            mode: cursor.u32()?,
            open_mode: cursor.u32()?,
            layer: cursor.u32()?,
        })
    }

    /// Whether this very open made the file.
    pub(crate) fn is_created(&self) -> bool {
        self.open_mode & FMODE_CREATED != 0
    }

    /// Whether an overlay holds it in its upper layer.
    pub(crate) fn is_upper(&self) -> bool {
        self.layer & 1 != 0
    }

    /// Whether an overlay holds it in a lower layer.
    pub(crate) fn is_lower(&self) -> bool {
        self.layer & 2 != 0
    }
}

impl FileFacts {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        let (inode, device) = (cursor.u64()?, cursor.u64()?);
        let (ctime_ns, mtime_ns) = (cursor.u64()?, cursor.u64()?);
        let (mode, uid, gid) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
        let (_links, _open_mode) = (cursor.u32()?, cursor.u32()?);
        Ok(Self { inode, device, ctime_ns, mtime_ns, mode, uid, gid, layer: cursor.u32()? })
    }

    /// Whether an overlay holds it in its upper layer: it was written since the container started.
    pub(crate) fn is_upper(&self) -> bool {
        self.layer & 1 != 0
    }

    /// Whether an overlay holds it in a lower layer: it is of the image.
    pub(crate) fn is_lower(&self) -> bool {
        self.layer & 2 != 0
    }

    /// Whether memfd_create(2) made it.
    pub(crate) fn is_from_memory(&self) -> bool {
        self.layer & 4 != 0
    }

    /// Whether a user may write it.
    pub(crate) fn is_writable(&self, uid: u32, gid: u32, cap_effective: u64) -> bool {
        let is_read_only = self.layer & 8 != 0;
        let by_mode = (self.uid == uid && self.mode & 0o200 != 0)
            || (self.gid == gid && self.mode & 0o020 != 0)
            || self.mode & 0o002 != 0;
        !is_read_only && (by_mode || cap_effective & CAP_DAC_OVERRIDE != 0)
    }
}

/// A program that was started, and the standing of its process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExecFacts {
    pub(crate) file: FileFacts,
    pub(crate) cap_inheritable: u64,
    /// When the first process of the pid namespace started, in nanoseconds since boot.
    pub(crate) namespace_start_ns: u64,
    pub(crate) tty: u32,
    pub(crate) session: u32,
    pub(crate) group: u32,
    /// The process group's number in the pid namespace of the process.
    pub(crate) group_in_namespace: u32,
    /// `None` for a process that nobody logged in for.
    pub(crate) login_uid: Option<u32>,
    /// Whether a filter of system calls is in force (seccomp(2)).
    pub(crate) is_filtered: bool,
    /// The most that the process can ever be allowed; 0 in events of an older layout.
    pub(crate) cap_bounding: u64,
}

impl ExecFacts {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        Self::read(&mut Cursor::new(bytes)).ok()
    }

    fn read(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            file: FileFacts::read(cursor)?,
            cap_inheritable: cursor.u64()?,
            namespace_start_ns: cursor.u64()?,
            tty: cursor.u32()?,
            session: cursor.u32()?,
            group: cursor.u32()?,
            group_in_namespace: cursor.u32()?,
            login_uid: Some(cursor.u32()?).filter(|uid| *uid != u32::MAX),
            is_filtered: cursor.u32().unwrap_or(0) != 0,
            cap_bounding: cursor.u64().unwrap_or(0),
        })
    }
}

/// A socket, as the kernel has it after the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SocketFacts {
    pub(crate) inode: u64,
    pub(crate) family: u16,
    pub(crate) protocol: u16,
    /// `TCP_ESTABLISHED` also for a datagram socket that is connected.
    state: u16,
    pub(crate) local: Option<(IpAddr, u16)>,
    pub(crate) remote: Option<(IpAddr, u16)>,
}

impl SocketFacts {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        Self::read(&mut Cursor::new(bytes)).ok()
    }

    pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<Self, DecodeError> {
        let inode = cursor.u64()?;
        let (family, _kind, protocol, state) = (cursor.u16()?, cursor.u16()?, cursor.u16()?, cursor.u16()?);
        let (local_port, remote_port) = (cursor.u16()?, cursor.u16()?);
        let _reserved = cursor.u32()?;
        let (local, remote) = (cursor.number::<16>()?, cursor.number::<16>()?);
        let address = |bytes: [u8; 16], port| {
            let [a, b, c, d, ..] = bytes;
            match family {
                AF_INET => Some((IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)),
                AF_INET6 => Some((unmapped(Ipv6Addr::from(bytes)), port)),
                _ => None,
            }
        };
        let (local, remote) = (address(local, local_port), address(remote, remote_port));
        Ok(Self { inode, family, protocol, state, local, remote: remote.filter(|(_, port)| *port != 0) })
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state == TCP_ESTABLISHED
    }
}

/// An IPv4 address that an IPv6 socket carries is one of IPv4.
pub(crate) fn unmapped(address: Ipv6Addr) -> IpAddr {
    address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)
}

/// The path whose names the kernel sent, from the last to the first. `None` when the walk gave nothing to trust.
pub(crate) fn path(names: &[u8]) -> Option<String> {
    let (status, names) = names.split_first()?;
    let mut parts: Vec<_> = split(names).map(String::from_utf8_lossy).collect();
    parts.reverse();
    match *status {
        COMPLETE => Some(format!("/{}", parts.join("/"))),
        // In no directory: memory, pipes, sockets. What it is called is all there is.
        DETACHED => parts.pop().filter(|name| parts.is_empty() && name != "/").map(String::from),
        // Too deep: the front is missing.
        _ => None,
    }
}

/// Whether the names are those of a path, without building it.
pub(crate) fn is_same_path(names: &[u8], path: &str) -> bool {
    let Some((status, names)) = names.split_first() else { return false };
    let mut rest = without_slashes(path.as_bytes());
    for name in split(names) {
        match rest.strip_suffix(name) {
            Some(above) if above.last().is_none_or(|byte| *byte == b'/') => rest = without_slashes(above),
            _ => return false,
        }
    }
    *status == COMPLETE && rest.is_empty()
}

fn without_slashes(mut path: &[u8]) -> &[u8] {
    while let Some(shorter) = path.strip_suffix(b"/") {
        path = shorter;
    }
    path
}

fn split(names: &[u8]) -> impl Iterator<Item = &[u8]> {
    let names = names.strip_suffix(b"\0").unwrap_or(names);
    names.split(|byte| *byte == 0).filter(|name| !name.is_empty())
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const TCP_ESTABLISHED: u16 = 1;
const FMODE_CREATED: u32 = 0x10_0000;
const CAP_DAC_OVERRIDE: u64 = 1 << 1;
pub(crate) const COMPLETE: u8 = 0;
const DETACHED: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths() {
        for (names, expected) in [
            (b"\0shadow\0etc\0".as_slice(), Some("/etc/shadow")),
            (b"\0", Some("/")),
            (b"\x02memfd:x\0", Some("memfd:x")),
            (b"\x02a\0b\0", None),
            (b"\x01deep\0", None),
            (b"", None),
        ] {
            assert_eq!(path(names).as_deref(), expected);
        }
        assert!(is_same_path(b"\0shadow\0etc\0", "/etc/shadow"));
        assert!(is_same_path(b"\0shadow\0etc\0", "//etc//shadow/"));
        assert!(is_same_path(b"\0", "/"));
        assert!(!is_same_path(b"\0", "/etc"));
        assert!(!is_same_path(b"\0shadow\0etc\0", "/etc/eshadow"));
        assert!(!is_same_path(b"\0shadow\0etc\0", "/etcshadow"));
        assert!(!is_same_path(b"\0shadow\0etc\0", "/x/etc/shadow"));
        assert!(!is_same_path(b"\0shadow\0etc\0", "/shadow"));
        assert!(!is_same_path(b"\x01shadow\0etc\0", "/etc/shadow"));
    }

    #[test]
    fn who_may_write_a_program() {
        let file = FileFacts { mode: 0o755, uid: 7, gid: 7, ..FileFacts::default() };
        for (facts, uid, gid, caps, expected) in [
            (file, 7, 7, 0, true),
            (file, 8, 7, 0, false),
            (file, 8, 8, 2, true),
            (FileFacts { mode: 0o775, ..file }, 8, 7, 0, true),
            (FileFacts { mode: 0o757, ..file }, 8, 8, 0, true),
            (FileFacts { layer: 8, ..file }, 7, 7, u64::MAX, false),
        ] {
            assert_eq!(facts.is_writable(uid, gid, caps), expected, "{facts:?} {uid} {gid} {caps}");
        }
    }

    #[test]
    fn a_socket_is_read_with_both_ends() {
        let mut bytes = 99_u64.to_le_bytes().to_vec();
        for number in [2_u16, 1, 6, 1, 40_000, 443] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend([0; 4]);
        for octets in [[10, 0, 0, 1], [192, 0, 2, 9]] {
            bytes.extend(octets);
            bytes.extend([0; 12]);
        }
        let facts = SocketFacts::parse(&bytes).unwrap();
        assert_eq!(facts.local, Some(("10.0.0.1".parse().unwrap(), 40_000)));
        assert_eq!(facts.remote, Some(("192.0.2.9".parse().unwrap(), 443)));
        assert!(facts.is_connected());
        assert_eq!(SocketFacts::parse(&bytes[..20]), None);
    }
}
