//! What waits to be published, in memory or on disk.

use std::collections::{HashMap, VecDeque};
use std::io;

use crate::publish::Class;
use crate::spool::Spool;

/// One encoded event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) class: Class,
    pub(crate) id: String,
    pub(crate) subject: String,
    pub(crate) payload: Vec<u8>,
}

impl Record {
    fn bytes(&self) -> u64 {
        (self.id.len() + self.subject.len() + self.payload.len()) as u64
    }
}

/// Names a record while it is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ticket {
    pub(crate) segment: u64,
    pub(crate) index: u32,
}

/// What taking a record in came to.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// Records that had to go, by class.
    pub(crate) lost: Vec<(Class, u64)>,
    /// The disk failed; the record waits in memory instead.
    pub(crate) fault: Option<io::Error>,
}

/// The queue of a publisher: the spool where there is one, and memory for the rest.
#[derive(Debug)]
pub(crate) struct Queue {
    memory: Memory,
    spool: Option<Spool>,
}

impl Queue {
    pub(crate) fn new(spool: Option<Spool>) -> Self {
        Self { memory: Memory::default(), spool }
    }

    /// Takes a record in; may have to drop others, lowest class and oldest first.
    pub(crate) fn push(&mut self, record: Record) -> Taken {
        let Some(spool) = &mut self.spool else { return self.memory.push(record) };
        match spool.push(&record) {
            Ok(lost) => Taken { lost, fault: None },
            Err(error) => Taken { fault: Some(error), ..self.memory.push(record) },
        }
    }

    /// The next record to send; it stays in the queue until [`Queue::acked`].
    pub(crate) fn pop(&mut self) -> Option<(Ticket, Record)> {
        self.spool.as_mut().and_then(Spool::pop).or_else(|| self.memory.pop())
    }

    /// The stream has it.
    pub(crate) fn acked(&mut self, ticket: Ticket, now_ms: i64) {
        match &mut self.spool {
            Some(spool) if ticket.segment != MEMORY => spool.acked(ticket, now_ms),
            _ => drop(self.memory.flying.remove(&ticket.index)),
        }
    }

    /// It was not taken: it goes back to the front.
    pub(crate) fn failed(&mut self, ticket: Ticket) {
        match &mut self.spool {
            Some(spool) if ticket.segment != MEMORY => spool.failed(ticket),
            _ => self.memory.failed(ticket),
        }
    }

    /// Deletes what was acknowledged long enough ago, and syncs the disk.
    pub(crate) fn sweep(&mut self, now_ms: i64) -> io::Result<()> {
        self.spool.as_mut().map_or(Ok(()), |spool| spool.sweep(now_ms))
    }

    /// Records that wait to be sent.
    pub(crate) fn waiting(&self) -> usize {
        self.memory.waiting.len() + self.spool.as_ref().map_or(0, Spool::waiting)
    }
}

#[derive(Debug, Default)]
struct Memory {
    waiting: VecDeque<Record>,
    flying: HashMap<u32, Record>,
    bytes: u64,
    next: u32,
}

impl Memory {
    fn push(&mut self, record: Record) -> Taken {
        let mut lost = Vec::new();
        while self.bytes + record.bytes() > MEMORY_BYTES {
            let lowest = self.waiting.iter().enumerate().min_by_key(|(place, waiting)| (waiting.class, *place));
            let victim = match lowest {
                Some((place, waiting)) if waiting.class <= record.class => self.waiting.remove(place),
                _ => return Taken { lost: vec![(record.class, 1)], fault: None },
            };
            if let Some(victim) = victim {
                self.bytes = self.bytes.saturating_sub(victim.bytes());
                lost.push((victim.class, 1));
            }
        }
        self.bytes += record.bytes();
        self.waiting.push_back(record);
        Taken { lost, fault: None }
    }

    fn pop(&mut self) -> Option<(Ticket, Record)> {
        let record = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(record.bytes());
        self.next = self.next.wrapping_add(1);
        self.flying.insert(self.next, record.clone());
        Some((Ticket { segment: MEMORY, index: self.next }, record))
    }

    fn failed(&mut self, ticket: Ticket) {
        if let Some(record) = self.flying.remove(&ticket.index) {
            self.bytes += record.bytes();
            self.waiting.push_front(record);
        }
    }
}

/// Segment number of records that are in memory only.
const MEMORY: u64 = 0;

/// Most bytes that wait in memory.
const MEMORY_BYTES: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn record(class: Class, id: &str, size: usize) -> Record {
        Record { class, id: id.to_owned(), subject: String::new(), payload: vec![0; size] }
    }

    #[test]
    fn memory_drops_the_lowest_class_first_and_counts() {
        let mut queue = Queue::new(None);
        let third = usize::try_from(MEMORY_BYTES / 3).unwrap();
        for (class, id) in [(Class::High, "a"), (Class::Low, "b"), (Class::Normal, "c")] {
            queue.push(record(class, id, third - 10));
        }
        assert_eq!(queue.push(record(Class::Normal, "d", third - 10)).lost, [(Class::Low, 1)]);
        assert_eq!(queue.push(record(Class::Low, "e", third - 10)).lost, [(Class::Low, 1)]);
        let order: Vec<String> = std::iter::from_fn(|| queue.pop()).map(|(_, record)| record.id).collect();
        assert_eq!(order, ["a", "c", "d"]);
    }

    #[test]
    fn what_failed_is_sent_again_first() {
        let mut queue = Queue::new(None);
        queue.push(record(Class::Low, "a", 1));
        queue.push(record(Class::Low, "b", 1));
        let (ticket, _) = queue.pop().unwrap();
        queue.failed(ticket);
        assert_eq!(queue.pop().unwrap().1.id, "a");
    }
}
