//! The disk spool: what was published stays here until three minutes after the stream had it, because JetStream acknowledges
//! before it syncs (every two minutes by default).
//!
//! One lane of segment files per class. A segment holds framed records; beside it a file of acknowledgements. When the folder is
//! full, the oldest segment of the lowest class goes, and its records that were not acknowledged are counted as lost.
//!
//! ```text
//! <class>-<number>.log   record = u32 length, u32 checksum (xxh3, low half), id '\n' subject '\n' payload
//! <class>-<number>.ack   entry  = u32 index of the record, i64 time in ms          all numbers little-endian
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::publish::Class;
use crate::queue::{Record, Ticket};

/// The spool of one publisher.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: PathBuf,
    max_bytes: u64,
    bytes: u64,
    segments: BTreeMap<u64, Segment>,
    waiting: VecDeque<Ticket>,
    next: u64,
    dirty: bool,
    /// Held for as long as the spool is used: a second process must not write here.
    _lock: File,
}

#[derive(Debug)]
struct Segment {
    class: Class,
    log: File,
    acks: File,
    log_path: PathBuf,
    ack_path: PathBuf,
    entries: Vec<Entry>,
    bytes: u64,
    unacked: u64,
    last_ack_ms: i64,
    is_open: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    offset: u64,
    length: u32,
    acked: bool,
}

impl Spool {
    /// Opens the folder and finds again what was not acknowledged, or only just.
    pub(crate) fn open(folder: &Path, max_bytes: u64, now_ms: i64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.try_lock().map_err(|error| {
            io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!("{} is in use by another process: {error}", folder.display()),
            )
        })?;
        let mut spool = Self {
            folder: folder.to_owned(),
            max_bytes: max_bytes.max(1024 * 1024),
            bytes: 0,
            segments: BTreeMap::new(),
            waiting: VecDeque::new(),
            next: 1,
            dirty: false,
            _lock: lock,
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if let Some((class, number)) = parse_name(&path) {
                spool.recover(class, number, now_ms, &mut found)?;
            }
        }
        // Ids are UUIDs of version 7: they sort by time of creation.
        found.sort();
        spool.waiting = found.into_iter().map(|(_, ticket)| ticket).collect();
        Ok(spool)
    }

    fn recover(&mut self, class: Class, number: u64, now_ms: i64, found: &mut Vec<(String, Ticket)>) -> io::Result<()> {
        let mut segment = Segment::open(&self.folder, class, number)?;
        let ids = segment.read_log()?;
        let acks = segment.read_acks()?;
        for (index, id) in (0_u32..).zip(ids) {
            match acks.get(&index) {
                Some(at) if now_ms.saturating_sub(*at) >= KEEP_MS => segment.mark(index, *at),
                _ => found.push((id, Ticket { segment: number, index })),
            }
        }
        self.bytes += segment.bytes;
        self.next = self.next.max(number + 1);
        self.segments.insert(number, segment);
        Ok(())
    }

    /// Appends a record. Returns what had to go for it.
    pub(crate) fn push(&mut self, record: &Record) -> io::Result<Vec<(Class, u64)>> {
        let frame = frame(record);
        let mut lost = Vec::new();
        while self.bytes + frame.len() as u64 > self.max_bytes {
            match self.victim(record.class) {
                Some(number) => {
                    let (class, count) = self.remove(number);
                    if count > 0 {
                        lost.push((class, count));
                    }
                }
                None => {
                    lost.push((record.class, 1));
                    return Ok(lost);
                }
            }
        }
        let number = self.open_segment(record.class)?;
        let Some(segment) = self.segments.get_mut(&number) else { return Ok(lost) };
        let index = segment.append(&frame)?;
        self.bytes += frame.len() as u64;
        self.dirty = true;
        self.waiting.push_back(Ticket { segment: number, index });
        Ok(lost)
    }

    /// The segment that goes next when there is no room: one that is fully acknowledged, else the oldest of the lowest class.
    fn victim(&self, at_most: Class) -> Option<u64> {
        let done = self.segments.iter().find(|(_, segment)| segment.unacked == 0 && !segment.entries.is_empty());
        let lowest =
            || self.segments.iter().filter(|(_, s)| s.class <= at_most).min_by_key(|(number, s)| (s.class, **number));
        done.or_else(lowest).map(|(number, _)| *number)
    }

    fn remove(&mut self, number: u64) -> (Class, u64) {
        let Some(segment) = self.segments.remove(&number) else { return (Class::Low, 0) };
        self.bytes = self.bytes.saturating_sub(segment.bytes);
        for path in [&segment.log_path, &segment.ack_path] {
            if let Err(error) = fs::remove_file(path) {
                tracing::warn!(path = %path.display(), %error, "spool file was not removed");
            }
        }
        self.waiting.retain(|ticket| ticket.segment != number);
        (segment.class, segment.unacked)
    }

    fn open_segment(&mut self, class: Class) -> io::Result<u64> {
        let most = (self.max_bytes / 16).clamp(64 * 1024, 8 * 1024 * 1024);
        let mut open = self.segments.iter_mut().filter(|(_, segment)| segment.is_open && segment.class == class);
        if let Some((number, segment)) = open.next() {
            if segment.bytes < most {
                return Ok(*number);
            }
            segment.is_open = false;
        }
        let number = self.next;
        self.segments.insert(number, Segment::open(&self.folder, class, number)?);
        self.next += 1;
        Ok(number)
    }

    /// The next record to send.
    pub(crate) fn pop(&mut self) -> Option<(Ticket, Record)> {
        while let Some(ticket) = self.waiting.pop_front() {
            match self.segments.get(&ticket.segment).map(|segment| segment.read(ticket.index)) {
                Some(Ok(record)) => return Some((ticket, record)),
                Some(Err(error)) => tracing::error!(%error, "a spooled event cannot be read back"),
                None => {}
            }
        }
        None
    }

    /// The stream has it.
    pub(crate) fn acked(&mut self, ticket: Ticket, now_ms: i64) {
        let Some(segment) = self.segments.get_mut(&ticket.segment) else { return };
        if let Err(error) = segment.write_ack(ticket.index, now_ms) {
            // Without the mark it is sent again after a restart, and the stream drops the repeat.
            tracing::debug!(%error, "acknowledgement was not spooled");
        }
        segment.mark(ticket.index, now_ms);
    }

    /// It was not taken: it goes back to the front.
    pub(crate) fn failed(&mut self, ticket: Ticket) {
        self.waiting.push_front(ticket);
    }

    /// Deletes segments whose last acknowledgement is old enough, and syncs what was written.
    pub(crate) fn sweep(&mut self, now_ms: i64) -> io::Result<()> {
        let is_over =
            |s: &Segment| s.unacked == 0 && !s.entries.is_empty() && now_ms.saturating_sub(s.last_ack_ms) >= KEEP_MS;
        let over: Vec<u64> = self.segments.iter().filter(|(_, s)| is_over(s)).map(|(number, _)| *number).collect();
        for number in over {
            self.remove(number);
        }
        if std::mem::take(&mut self.dirty) {
            for segment in self.segments.values().filter(|segment| segment.is_open) {
                segment.log.sync_data()?;
            }
        }
        Ok(())
    }

    /// Records that wait to be sent.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

impl Segment {
    fn open(folder: &Path, class: Class, number: u64) -> io::Result<Self> {
        let log_path = folder.join(format!("{}-{number:016}.log", class.as_str()));
        let ack_path = log_path.with_extension("ack");
        let open = |path: &Path| OpenOptions::new().read(true).append(true).create(true).open(path);
        Ok(Self {
            class,
            log: open(&log_path)?,
            acks: open(&ack_path)?,
            log_path,
            ack_path,
            entries: Vec::new(),
            bytes: 0,
            unacked: 0,
            last_ack_ms: 0,
            is_open: true,
        })
    }

    fn append(&mut self, frame: &[u8]) -> io::Result<u32> {
        if let Err(error) = self.log.write_all(frame) {
            // A full disk may have taken a part: it is cut off, so that the next record stands where it is expected.
            self.log.set_len(self.bytes)?;
            return Err(error);
        }
        let index = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        self.entries.push(Entry { offset: self.bytes, length, acked: false });
        self.bytes += frame.len() as u64;
        self.unacked += 1;
        Ok(index)
    }

    fn read(&self, index: u32) -> io::Result<Record> {
        let entry = self.entries.get(index as usize).copied().ok_or(io::ErrorKind::NotFound)?;
        let mut frame = vec![0; entry.length as usize];
        self.log.read_exact_at(&mut frame, entry.offset)?;
        unframe(&frame, self.class).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "checksum differs"))
    }

    /// Finds the records of a log; a torn tail is cut off. Returns their ids.
    fn read_log(&mut self) -> io::Result<Vec<String>> {
        let mut content = Vec::new();
        self.log.seek(SeekFrom::Start(0))?;
        self.log.read_to_end(&mut content)?;
        let mut ids = Vec::new();
        let mut rest = content.as_slice();
        while let Some(length) = rest.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes)) {
            let Some((frame, tail)) = rest.split_at_checked(length as usize).filter(|_| length >= 8) else { break };
            let Some(record) = unframe(frame, self.class) else { break };
            self.entries.push(Entry { offset: self.bytes, length, acked: false });
            self.bytes += u64::from(length);
            self.unacked += 1;
            ids.push(record.id);
            rest = tail;
        }
        if !rest.is_empty() {
            tracing::warn!(path = %self.log_path.display(), bytes = rest.len(), "spool ends in a torn record, which is cut off");
            self.log.set_len(self.bytes)?;
        }
        self.is_open = false;
        Ok(ids)
    }

    fn read_acks(&mut self) -> io::Result<BTreeMap<u32, i64>> {
        let mut content = Vec::new();
        self.acks.read_to_end(&mut content)?;
        let mut acks = BTreeMap::new();
        for entry in content.chunks_exact(12) {
            if let Some((index, at)) = entry.split_first_chunk::<4>() {
                let at = at.first_chunk::<8>().map_or(0, |bytes| i64::from_le_bytes(*bytes));
                acks.insert(u32::from_le_bytes(*index), at);
            }
        }
        Ok(acks)
    }

    fn write_ack(&mut self, index: u32, now_ms: i64) -> io::Result<()> {
        let mut entry = [0; 12];
        entry[..4].copy_from_slice(&index.to_le_bytes());
        entry[4..].copy_from_slice(&now_ms.to_le_bytes());
        self.acks.write_all(&entry)
    }

    fn mark(&mut self, index: u32, at_ms: i64) {
        if let Some(entry) = self.entries.get_mut(index as usize).filter(|entry| !entry.acked) {
            entry.acked = true;
            self.unacked = self.unacked.saturating_sub(1);
        }
        self.last_ack_ms = self.last_ack_ms.max(at_ms);
    }
}

fn frame(record: &Record) -> Vec<u8> {
    let body_length = record.id.len() + record.subject.len() + record.payload.len() + 2;
    let mut frame = Vec::with_capacity(body_length + 8);
    frame.extend_from_slice(&u32::try_from(body_length + 8).unwrap_or(u32::MAX).to_le_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(record.id.as_bytes());
    frame.push(b'\n');
    frame.extend_from_slice(record.subject.as_bytes());
    frame.push(b'\n');
    frame.extend_from_slice(&record.payload);
    let checksum = checksum(&frame[8..]);
    frame[4..8].copy_from_slice(&checksum);
    frame
}

fn unframe(frame: &[u8], class: Class) -> Option<Record> {
    let (head, body) = frame.split_first_chunk::<8>()?;
    if head[4..] != checksum(body) {
        return None;
    }
    let mut parts = body.splitn(3, |byte| *byte == b'\n');
    let (id, subject, payload) = (parts.next()?, parts.next()?, parts.next()?);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some(Record { class, id: text(id)?, subject: text(subject)?, payload: payload.to_vec() })
}

fn checksum(body: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = xxhash_rust::xxh3::xxh3_64(body).to_le_bytes();
    [a, b, c, d]
}

fn parse_name(path: &Path) -> Option<(Class, u64)> {
    if path.extension()? != "log" {
        return None;
    }
    let (class, number) = path.file_stem()?.to_str()?.split_once('-')?;
    Some((Class::parse(class)?, number.parse().ok()?))
}

/// How long a record stays after its acknowledgement: longer than the server's two minutes between syncs.
const KEEP_MS: i64 = 180_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(class: Class, id: u32, size: usize) -> Record {
        Record { class, id: format!("{id:08}"), subject: "s".to_owned(), payload: vec![b'\n'; size] }
    }

    #[test]
    fn finds_again_what_was_not_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20, 0).unwrap();
        for id in 0..5 {
            spool.push(&record(Class::Normal, id, 10)).unwrap();
        }
        let (first, _) = spool.pop().unwrap();
        spool.acked(first, 1_000);
        drop(spool);
        // Within three minutes also the acknowledged one is sent again: the server may have lost it.
        let mut soon = Spool::open(folder.path(), 1 << 20, 2_000).unwrap();
        assert_eq!(soon.waiting(), 5);
        assert_eq!(soon.pop().unwrap().1, record(Class::Normal, 0, 10));
        drop(soon);
        let later = Spool::open(folder.path(), 1 << 20, 1_000 + KEEP_MS).unwrap();
        assert_eq!(later.waiting(), 4);
    }

    #[test]
    fn is_deleted_three_minutes_after_the_last_acknowledgement() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20, 0).unwrap();
        spool.push(&record(Class::High, 1, 10)).unwrap();
        let (ticket, _) = spool.pop().unwrap();
        spool.acked(ticket, 5_000);
        spool.sweep(5_000 + KEEP_MS - 1).unwrap();
        assert_eq!(spool.segments.len(), 1);
        spool.sweep(5_000 + KEEP_MS).unwrap();
        assert_eq!((spool.segments.len(), spool.bytes), (0, 0));
    }

    #[test]
    fn a_full_spool_drops_low_before_high_and_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20, 0).unwrap();
        let mut lost: BTreeMap<Class, u64> = BTreeMap::new();
        for id in 0..400 {
            let class = if id % 2 == 0 { Class::Low } else { Class::High };
            for (class, count) in spool.push(&record(class, id, 4_000)).unwrap() {
                *lost.entry(class).or_default() += count;
            }
        }
        assert!(spool.bytes <= 1 << 20);
        assert!(!lost.contains_key(&Class::High), "{lost:?}");
        let left = std::iter::from_fn(|| spool.pop()).count() as u64;
        assert_eq!(left + lost[&Class::Low], 400);
    }

    #[test]
    fn a_torn_tail_is_cut_off_and_the_rest_read() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20, 0).unwrap();
        spool.push(&record(Class::Low, 1, 10)).unwrap();
        spool.push(&record(Class::Low, 2, 10)).unwrap();
        let path = spool.segments.values().next().unwrap().log_path.clone();
        drop(spool);
        let content = fs::read(&path).unwrap();
        fs::write(&path, &content[..content.len() - 3]).unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20, 0).unwrap();
        assert_eq!(spool.waiting(), 1);
        assert_eq!(spool.pop().unwrap().1.id, "00000001");
    }

    #[test]
    fn a_second_process_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Spool::open(folder.path(), 1 << 20, 0).unwrap();
        assert!(Spool::open(folder.path(), 1 << 20, 0).unwrap_err().to_string().contains("in use by another process"));
    }
}
