//! What is to be scanned: one entry for each image however many ask for it, the most urgent first, and no more than there is room for.
//!
//! What surprises: who asks for an image that waits or is being scanned joins that scan; an entry only ever becomes more urgent; work
//! nobody waits for (all but [`Priority::Asked`]) gets half of the room, so that a storm of pods cannot lock out who asks.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use schemas::ask::{AskError, ScanReply};
use tokio::sync::{Notify, broadcast};

/// What came of a scan, for whoever waits.
pub(crate) type Outcome = Result<ScanReply, AskError>;

/// What to scan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Job {
    /// As it was asked for.
    pub(crate) target: String,
    /// Platform, when one was named.
    pub(crate) platform: Option<String>,
}

/// How urgent a scan is, the least urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Priority {
    /// A watched repository has something new.
    Watched,
    /// A pod runs it.
    Deployed,
    /// Admission met it, and may have refused it for want of a scan.
    Admitted,
    /// Somebody waits.
    Asked,
}

/// The queue has no room.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// The queue.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    work: Notify,
    space: Notify,
    most: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: BTreeMap<Place, Job>,
    entries: HashMap<Job, Entry>,
    next: u64,
}

type Place = (Reverse<Priority>, u64);

#[derive(Debug)]
struct Entry {
    /// Its place; `None` while it is being scanned.
    place: Option<Place>,
    done: broadcast::Sender<Outcome>,
}

impl Queue {
    /// A queue in which at most `most` entries wait.
    pub(crate) fn new(most: usize) -> Self {
        Self { state: Mutex::default(), work: Notify::new(), space: Notify::new(), most }
    }

    /// Enters a scan, or joins the one that is there.
    ///
    /// # Errors
    /// When there is no room.
    pub(crate) fn submit(&self, job: &Job, priority: Priority) -> Result<broadcast::Receiver<Outcome>, Full> {
        let mut state = self.lock();
        if let Some(entry) = state.entries.get(job) {
            let (place, receiver) = (entry.place, entry.done.subscribe());
            if let Some(old) = place.filter(|(Reverse(known), _)| *known < priority) {
                state.promote(job, old, priority);
            }
            return Ok(receiver);
        }
        let room = if priority == Priority::Asked { self.most } else { self.most.div_ceil(2) };
        if state.waiting.len() >= room {
            return Err(Full);
        }
        let place = (Reverse(priority), state.next);
        state.next = state.next.wrapping_add(1);
        let (done, receiver) = broadcast::channel(1);
        state.waiting.insert(place, job.clone());
        state.entries.insert(job.clone(), Entry { place: Some(place), done });
        drop(state);
        self.work.notify_one();
        Ok(receiver)
    }

    /// Enters a scan when there is room for it.
    pub(crate) async fn submit_patiently(&self, job: &Job, priority: Priority) {
        loop {
            let space = self.space.notified();
            if self.submit(job, priority).is_ok() {
                return;
            }
            space.await;
        }
    }

    /// The most urgent scan, the oldest of such; waits for one. Whoever takes it says at the end that it is finished.
    pub(crate) async fn next(&self) -> Job {
        loop {
            if let Some(job) = self.take() {
                return job;
            }
            self.work.notified().await;
        }
    }

    fn take(&self) -> Option<Job> {
        let mut state = self.lock();
        let (_, job) = state.waiting.pop_first()?;
        if let Some(entry) = state.entries.get_mut(&job) {
            entry.place = None;
        }
        let more = !state.waiting.is_empty();
        drop(state);
        if more {
            // A permit stands for any number of entries: the next worker is woken by this one.
            self.work.notify_one();
        }
        self.space.notify_waiters();
        Some(job)
    }

    /// Tells everybody who waits what came of a scan.
    pub(crate) fn finish(&self, job: &Job, outcome: Outcome) {
        if let Some(entry) = self.lock().entries.remove(job) {
            // Nobody need wait.
            drop(entry.done.send(outcome));
        }
    }

    /// Forgets what waits: those who wait for it learn that there is no outcome.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.waiting.clear();
        state.entries.retain(|_, entry| entry.place.is_none());
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn promote(&mut self, job: &Job, old: Place, priority: Priority) {
        let new = (Reverse(priority), old.1);
        if let Some(entry) = self.entries.get_mut(job) {
            entry.place = Some(new);
            self.waiting.remove(&old);
            self.waiting.insert(new, job.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(target: &str) -> Job {
        Job { target: target.to_owned(), platform: None }
    }

    fn order(queue: &Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.take()).map(|job| job.target).collect()
    }

    #[test]
    fn the_most_urgent_comes_first_and_nothing_twice() {
        let queue = Queue::new(10);
        for (target, priority) in [
            ("w", Priority::Watched),
            ("p", Priority::Deployed),
            ("a", Priority::Asked),
            ("w2", Priority::Watched),
            ("w2", Priority::Admitted),
            ("a", Priority::Watched),
            ("b", Priority::Asked),
        ] {
            queue.submit(&job(target), priority).unwrap();
        }
        assert_eq!(queue.waiting(), 5);
        assert_eq!(order(&queue), ["a", "b", "w2", "p", "w"]);
    }

    #[test]
    fn who_asks_has_room_when_others_have_none() {
        let queue = Queue::new(4);
        for number in 0..2 {
            queue.submit(&job(&number.to_string()), Priority::Deployed).unwrap();
        }
        assert_eq!(queue.submit(&job("2"), Priority::Admitted).err(), Some(Full));
        queue.submit(&job("0"), Priority::Admitted).unwrap();
        for number in 3..5 {
            queue.submit(&job(&number.to_string()), Priority::Asked).unwrap();
        }
        assert_eq!(queue.submit(&job("5"), Priority::Asked).err(), Some(Full));
        assert_eq!(order(&queue), ["3", "4", "0", "1"]);
    }

    #[tokio::test]
    async fn all_who_wait_get_the_one_answer_and_a_later_scan_is_a_new_one() {
        let queue = Queue::new(4);
        let mut first = queue.submit(&job("i"), Priority::Asked).unwrap();
        let taken = queue.next().await;
        let mut second = queue.submit(&job("i"), Priority::Asked).unwrap();
        assert_eq!(queue.waiting(), 0, "it joins the scan that runs");
        let refused = AskError { message: "m".to_owned(), remedy: String::new(), retryable: false };
        queue.finish(&taken, Err(refused));
        assert_eq!(first.recv().await.unwrap().unwrap_err().message, "m");
        assert_eq!(second.recv().await.unwrap().unwrap_err().message, "m");
        queue.submit(&job("i"), Priority::Asked).unwrap();
        assert_eq!(queue.waiting(), 1);
    }

    #[tokio::test]
    async fn patience_waits_for_room() {
        let queue = std::sync::Arc::new(Queue::new(2));
        queue.submit(&job("a"), Priority::Deployed).unwrap();
        let other = queue.clone();
        let waiting = tokio::spawn(async move { other.submit_patiently(&job("b"), Priority::Deployed).await });
        tokio::task::yield_now().await;
        assert_eq!(queue.next().await.target, "a");
        waiting.await.unwrap();
        assert_eq!(queue.next().await.target, "b");
    }
}
