//! Recordings: raw kernel events in a file, so that they can be played where there is no kernel to ask.
//!
//! ```text
//! recording = one line of JSON (format, boot time, hostname), then frames: u32 length (little-endian), bytes
//! bytes     = an event as the kernel wrote it, or
//!             0xffff, u64 cgroup id, path: told before the first event of that cgroup, or
//!             0xfffe, u64 number of events that are missing: told at the end, when there are any
//! ```

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::path::Path;

use model::Timestamp;
use serde::{Deserialize, Serialize};

/// The first line of a recording.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Head {
    format: String,
    pub(crate) boot_time: Timestamp,
    pub(crate) hostname: String,
}

/// Writes a recording.
pub(crate) struct Writer {
    out: BufWriter<File>,
}

impl Writer {
    pub(crate) fn create(path: &Path, boot_time: Timestamp, hostname: &str) -> io::Result<Self> {
        let mut out = BufWriter::new(File::create(path)?);
        let head = Head { format: FORMAT.to_owned(), boot_time, hostname: hostname.to_owned() };
        writeln!(out, "{}", serde_json::to_string(&head)?)?;
        Ok(Self { out })
    }

    pub(crate) fn write(&mut self, event: &[u8]) -> io::Result<()> {
        let length = u32::try_from(event.len()).map_err(io::Error::other)?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(event)
    }

    /// Tells the path of a cgroup, which another machine could not find out.
    pub(crate) fn write_cgroup(&mut self, cgroup: u64, path: &str) -> io::Result<()> {
        self.write(&[CGROUP.as_slice(), &cgroup.to_le_bytes(), path.as_bytes()].concat())
    }

    /// Ends the recording, which so many events are missing from.
    pub(crate) fn finish(mut self, missing: u64) -> io::Result<()> {
        if missing > 0 {
            self.write(&[MISSING.as_slice(), &missing.to_le_bytes()].concat())?;
        }
        self.out.flush()
    }
}

/// The cgroup that a frame tells of; `None` for an event.
pub(crate) fn cgroup(frame: &[u8]) -> Option<(u64, String)> {
    let (id, path) = frame.strip_prefix(&CGROUP)?.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*id), String::from_utf8_lossy(path).into_owned()))
}

/// How many events are missing, by a frame that tells it.
pub(crate) fn missing(frame: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(frame.strip_prefix(&MISSING)?.try_into().ok()?))
}

/// Reads a recording.
#[derive(Debug)]
pub(crate) struct Reader {
    input: BufReader<File>,
    pub(crate) head: Head,
}

impl Reader {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut input = BufReader::new(File::open(path)?);
        let mut line = Vec::new();
        (&mut input).take(4096).read_until(b'\n', &mut line)?;
        let wrong = |why: String| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} is no recording: {why}", path.display()))
        };
        let head: Head = serde_json::from_slice(&line).map_err(|error| wrong(error.to_string()))?;
        if head.format != FORMAT {
            Err(wrong(format!("format `{}` is not {FORMAT}", head.format)))
        } else {
            Ok(Self { input, head })
        }
    }

    /// The next event; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut length = [0; 4];
        match self.input.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > MAX_EVENT {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("an event of {length} bytes is over the limit of {MAX_EVENT}"),
            ));
        }
        let mut event = vec![0; length];
        self.input.read_exact(&mut event).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                io::Error::new(error.kind(), "it ends within an event; what came before was played")
            }
            _ => error,
        })?;
        Ok(Some(event))
    }
}

/// No layout version of events will be one of these.
const CGROUP: [u8; 2] = [0xff, 0xff];
const MISSING: [u8; 2] = [0xfe, 0xff];

const FORMAT: &str = "biotope-recording-1";

const MAX_EVENT: usize = 64 * 1024;
