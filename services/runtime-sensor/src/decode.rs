//! Raw kernel events: a fixed header and length-prefixed parts. Every read is checked, for the bytes hold what processes chose.

/// Layout version that this decoder reads; the kernel side writes it into each event.
pub(crate) const VERSION: u16 = 1;

/// Bytes of the header.
const HEADER: usize = 168;

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A system call returned.
    Syscall,
    /// A process runs another program.
    Exec,
    /// A process was made.
    Fork,
    /// A process ended.
    Exit,
}

impl Kind {
    /// Every kind, in the order of the kernel's numbers.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 4] = [Self::Syscall, Self::Exec, Self::Fork, Self::Exit];
}

/// What events are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Other,
    Exec,
    Fork,
    Exit,
    Open,
    Network,
    File,
    Process,
}

impl Class {
    /// In the order of the kernel's counters.
    pub(crate) const ALL: [Self; 8] =
        [Self::Other, Self::Exec, Self::Fork, Self::Exit, Self::Open, Self::Network, Self::File, Self::Process];

    /// Name, for metrics and loss reports.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Exec => "exec",
            Self::Fork => "fork",
            Self::Exit => "exit",
            Self::Open => "open",
            Self::Network => "network",
            Self::File => "file",
            Self::Process => "process",
        }
    }
}

/// One event, borrowed from the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of the kernel's header, see ebpf/sensor.bpf.c")]
pub struct RawEvent<'a> {
    pub kind: Kind,
    /// Nanoseconds since boot.
    pub time_ns: u64,
    pub nr: u32,
    pub is_truncated: bool,
    pub has_fault: bool,
    pub tgid: u32,
    pub tid: u32,
    pub ppid: u32,
    pub uid: u32,
    pub euid: u32,
    pub egid: u32,
    pub vpid: u32,
    pub mnt_ns: u32,
    pub pid_ns: u32,
    pub cgroup: u64,
    pub start_ns: u64,
    pub cap_effective: u64,
    pub cap_permitted: u64,
    pub ret: i64,
    pub args: [u64; 6],
    pub comm: &'a [u8],
    pub path0: Option<&'a [u8]>,
    pub path1: Option<&'a [u8]>,
    pub address: Option<&'a [u8]>,
    pub argv: Option<&'a [u8]>,
    pub environment: Option<&'a [u8]>,
    /// Facts of the program, see `facts`.
    pub exec: Option<&'a [u8]>,
    /// Names of a path: a status, then the names from the last to the first.
    pub exe: Option<&'a [u8]>,
    pub cwd: Option<&'a [u8]>,
    /// Facts of the file behind the descriptor.
    pub file: Option<&'a [u8]>,
    pub file_path: Option<&'a [u8]>,
    pub socket: Option<&'a [u8]>,
    pub directory0: Option<&'a [u8]>,
    pub directory1: Option<&'a [u8]>,
    pub structure: Option<&'a [u8]>,
    pub cgroup_path: Option<&'a [u8]>,
    pub unix_name: Option<&'a [u8]>,
    /// The first bytes that went through the call.
    pub payload: Option<&'a [u8]>,
    /// What a program that starts has as standard input, output and error.
    pub streams: [Option<&'a [u8]>; 3],
    pub stream_paths: [Option<&'a [u8]>; 3],
    /// What a verdict on the event would be filed under; 0 where there is none.
    pub key: u64,
    /// The same for a verdict on everything in its folder.
    pub folder: u64,
}

/// Decodes one event.
///
/// # Errors
/// When the bytes are no event of this version.
pub fn decode(bytes: &[u8]) -> Result<RawEvent<'_>, DecodeError> {
    let Some((head, parts)) = bytes.split_first_chunk::<HEADER>() else { return Err(DecodeError::Length) };
    let version = u16_at(head, 0);
    if version != VERSION {
        return Err(DecodeError::Version(version));
    }
    let kind = match u16_at(head, 2) {
        0 => Kind::Syscall,
        1 => Kind::Exec,
        2 => Kind::Fork,
        3 => Kind::Exit,
        other => return Err(DecodeError::Kind(other)),
    };
    if u32_at(head, 4) as usize != bytes.len() {
        return Err(DecodeError::Length);
    }
    let mut event = header(head, kind);
    let mut cursor = Cursor::new(parts);
    while cursor.at < parts.len() {
        let (part, length) = (cursor.u16()?, cursor.u16()?);
        let content = Some(cursor.take(usize::from(length))?);
        match part {
            1 => event.path0 = content,
            2 => event.path1 = content,
            3 => event.address = content,
            4 => event.argv = content,
            5 => event.environment = content,
            6 => event.exec = content,
            7 => event.exe = content,
            8 => event.cwd = content,
            10 => event.file_path = content,
            11 => event.socket = content,
            12 => event.directory0 = content,
            13 => event.directory1 = content,
            14 => event.structure = content,
            15 => event.cgroup_path = content,
            16 => event.unix_name = content,
            17 => event.file = content,
            18 => event.payload = content,
            19 => event.streams[0] = content,
            20 => event.streams[1] = content,
            21 => event.streams[2] = content,
            22 => event.stream_paths[0] = content,
            23 => event.stream_paths[1] = content,
            24 => event.stream_paths[2] = content,
            25 => (event.key, event.folder) = content.map_or((0, 0), keys),
            // A newer kernel side may add parts.
            _ => {}
        }
    }
    Ok(event)
}

/// The places are those of `struct header` in ebpf/event.h.
fn header(head: &[u8; HEADER], kind: Kind) -> RawEvent<'_> {
    let flags = u32_at(head, 20);
    let name = &head[152..];
    let mut args = [0; 6];
    for (place, argument) in args.iter_mut().enumerate() {
        *argument = u64_at(head, 104 + 8 * place);
    }
    RawEvent {
        kind,
        time_ns: u64_at(head, 8),
        nr: u32_at(head, 16),
        is_truncated: flags & 1 != 0,
        has_fault: flags & 2 != 0,
        tgid: u32_at(head, 24),
        tid: u32_at(head, 28),
        ppid: u32_at(head, 32),
        uid: u32_at(head, 36),
        euid: u32_at(head, 40),
        egid: u32_at(head, 44),
        vpid: u32_at(head, 48),
        mnt_ns: u32_at(head, 52),
        pid_ns: u32_at(head, 56),
        cgroup: u64_at(head, 64),
        start_ns: u64_at(head, 72),
        cap_effective: u64_at(head, 80),
        cap_permitted: u64_at(head, 88),
        ret: u64_at(head, 96).cast_signed(),
        args,
        comm: name.iter().position(|byte| *byte == 0).map_or(name, |end| &name[..end]),
        path0: None,
        path1: None,
        address: None,
        argv: None,
        environment: None,
        exec: None,
        exe: None,
        cwd: None,
        file: None,
        file_path: None,
        socket: None,
        directory0: None,
        directory1: None,
        structure: None,
        cgroup_path: None,
        unix_name: None,
        payload: None,
        streams: [None; 3],
        stream_paths: [None; 3],
        key: 0,
        folder: 0,
    }
}

/// Recordings of before there were folders have one key.
fn keys(bytes: &[u8]) -> (u64, u64) {
    let Some((key, rest)) = bytes.split_first_chunk::<8>() else { return (0, 0) };
    (u64::from_le_bytes(*key), rest.first_chunk::<8>().map_or(0, |folder| u64::from_le_bytes(*folder)))
}

fn u16_at(head: &[u8; HEADER], at: usize) -> u16 {
    u16::from_le_bytes([head[at], head[at + 1]])
}

fn u32_at(head: &[u8; HEADER], at: usize) -> u32 {
    u32::from(u16_at(head, at)) | u32::from(u16_at(head, at + 2)) << 16
}

fn u64_at(head: &[u8; HEADER], at: usize) -> u64 {
    u64::from(u32_at(head, at)) | u64::from(u32_at(head, at + 4)) << 32
}

/// Reads from the front; every read is checked.
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.at.checked_add(count).ok_or(DecodeError::Length)?;
        let taken = self.bytes.get(self.at..end).ok_or(DecodeError::Length)?;
        self.at = end;
        Ok(taken)
    }

    pub(crate) fn number<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        self.take(N)?.try_into().map_err(|_| DecodeError::Length)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        self.number().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.number().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.number().map(u64::from_le_bytes)
    }
}

/// Bytes are no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Another layout.
    #[error("event has layout version {0}, this sensor reads {VERSION}")]
    Version(u16),
    /// No such kind.
    #[error("event has the unknown kind {0}")]
    Kind(u16),
    /// Lengths that do not add up.
    #[error("event is cut short or too long")]
    Length,
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The bytes that the kernel side would write.
    pub(crate) fn encode(event: &RawEvent<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        let kind = Kind::ALL.iter().position(|kind| *kind == event.kind).unwrap() as u16;
        out.extend(VERSION.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend(0_u32.to_le_bytes());
        out.extend(event.time_ns.to_le_bytes());
        let flags = u32::from(event.is_truncated) | u32::from(event.has_fault) << 1;
        for number in [
            event.nr,
            flags,
            event.tgid,
            event.tid,
            event.ppid,
            event.uid,
            event.euid,
            event.egid,
            event.vpid,
            event.mnt_ns,
            event.pid_ns,
            0,
        ] {
            out.extend(number.to_le_bytes());
        }
        for number in [event.cgroup, event.start_ns, event.cap_effective, event.cap_permitted, event.ret as u64]
            .into_iter()
            .chain(event.args)
        {
            out.extend(number.to_le_bytes());
        }
        let mut comm = [0; 16];
        comm[..event.comm.len()].copy_from_slice(event.comm);
        out.extend(comm);
        assert_eq!(out.len(), HEADER);
        for (part, content) in [
            (1_u16, event.path0),
            (2, event.path1),
            (3, event.address),
            (4, event.argv),
            (5, event.environment),
            (6, event.exec),
            (7, event.exe),
            (8, event.cwd),
            (10, event.file_path),
            (11, event.socket),
            (12, event.directory0),
            (13, event.directory1),
            (14, event.structure),
            (15, event.cgroup_path),
            (16, event.unix_name),
            (17, event.file),
            (18, event.payload),
            (19, event.streams[0]),
            (20, event.streams[1]),
            (21, event.streams[2]),
            (22, event.stream_paths[0]),
            (23, event.stream_paths[1]),
            (24, event.stream_paths[2]),
        ] {
            if let Some(content) = content {
                out.extend(part.to_le_bytes());
                out.extend((content.len() as u16).to_le_bytes());
                out.extend(content);
            }
        }
        let length = (out.len() as u32).to_le_bytes();
        out[4..8].copy_from_slice(&length);
        out
    }

    pub(crate) fn sample() -> RawEvent<'static> {
        let bytes = Box::leak(vec![0; HEADER].into_boxed_slice());
        bytes[0] = 1;
        bytes[4..8].copy_from_slice(&(HEADER as u32).to_le_bytes());
        let mut event = decode(bytes).unwrap();
        (event.tgid, event.tid, event.ppid, event.comm) = (42, 42, 1, b"cat");
        event
    }

    #[test]
    fn reads_what_the_kernel_writes() {
        let event = RawEvent { path0: Some(b"/etc/shadow"), ret: -2, args: [1, 2, 3, 4, 5, 6], ..sample() };
        assert_eq!(decode(&encode(&event)).unwrap(), event);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), good in any::<bool>()) {
            let mut bytes = bytes;
            if good && bytes.len() >= 8 {
                let length = (bytes.len() as u32).to_le_bytes();
                bytes[..4].copy_from_slice(&[1, 0, 0, 0]);
                bytes[4..8].copy_from_slice(&length);
            }
            if let Ok(event) = decode(&bytes) {
                crate::hostile::read_parts(&event);
            }
        }

        /// Parts of any content, in any order, behind a good header.
        #[test]
        fn parts_of_any_content_never_panic(
            parts in proptest::collection::vec((0_u16..20, proptest::collection::vec(any::<u8>(), 0..120)), 0..8),
            kind in 0_u8..4,
        ) {
            let mut bytes = encode(&sample());
            bytes[2] = kind;
            for (part, content) in parts {
                bytes.extend(part.to_le_bytes());
                bytes.extend((content.len() as u16).to_le_bytes());
                bytes.extend(content);
            }
            let length = (bytes.len() as u32).to_le_bytes();
            bytes[4..8].copy_from_slice(&length);
            crate::hostile::read_parts(&decode(&bytes).unwrap());
        }
    }
}
