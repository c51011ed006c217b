//! Finds the subject of an event, by what it says itself or by what links say of its pod, or lets it wait for a link.

use std::collections::BTreeSet;
use std::time::Duration;

use model::{Digest, PodUid, Timestamp};

use crate::case::Pending;
use crate::event::Event;
use crate::links::{Awaited, Said, WaitingMark};
use crate::machine::Machine;
use crate::rule::Join;
use crate::saved::pod_key;
use crate::subject::Subject;

impl Machine {
    /// Learns links, and sends on who waited for them.
    pub(crate) fn learn(&mut self, event: &Event, now: Timestamp) {
        let Some(uid) = &event.identity.pod_uid else { return };
        let said = Said { identity: &event.identity, digests: &event.digests, node: event.node.as_ref() };
        if !self.links.learn(uid, event.time, said) {
            return;
        }
        self.dirty.pods.insert(uid.clone());
        let slots: Vec<usize> = self.by_pod.get(uid).into_iter().flatten().copied().collect();
        for slot in slots {
            if self.give_context(slot, uid) {
                self.touch(slot, u64::MAX, None, now);
            }
        }
        let admission = event.identity.admission_id.clone().map(Awaited::Admission);
        for awaited in admission.into_iter().chain([Awaited::Pod(uid.clone())]) {
            self.release(&awaited, uid, now);
        }
        while let Some(gone) = self.links.evict(self.limits.max_pods) {
            self.stats.evicted_pods = self.stats.evicted_pods.saturating_add(1);
            self.dirty.pods.remove(&gone);
            self.dirty.gone.insert(pod_key(&gone), ());
        }
    }

    /// Gives a case what is known of its pod. `true` when that says something new of its images.
    pub(crate) fn give_context(&mut self, slot: usize, uid: &PodUid) -> bool {
        let Some(record) = self.links.pods.get(uid) else { return false };
        let Some(case) = self.cases.get_mut(slot).and_then(Option::as_deref_mut) else { return false };
        let is_new = case.add_context(&record.identity, &record.digests);
        for digest in &case.digests {
            self.by_digest.entry(digest.clone()).or_default().insert(slot);
        }
        self.dirty.cases.insert(slot);
        is_new
    }

    /// Sends on all that waited for `awaited`, now that `uid` is known. What still lacks a link waits again.
    fn release(&mut self, awaited: &Awaited, uid: &PodUid, now: Timestamp) {
        let released = self.links.release(awaited);
        if released.is_empty() {
            return;
        }
        self.dirty.waiting.insert(awaited.clone());
        for waiting in released {
            let Some(story) = self.story_number(&waiting.story, &waiting.fingerprint) else { continue };
            match self.subjects_of_pod(story, &waiting.group, uid) {
                Some(subjects) => {
                    subjects.into_iter().for_each(|subject| self.take(story, subject, waiting.pending.clone(), now))
                }
                None => self.wait(Awaited::Pod(uid.clone()), waiting),
            }
        }
    }

    pub(crate) fn story_number(&self, name: &str, fingerprint: &str) -> Option<u16> {
        let place =
            self.rules.stories.iter().position(|story| story.name == name && story.fingerprint == fingerprint)?;
        u16::try_from(place).ok()
    }

    /// Finds the subject that an event is about and gives it to its case, or lets it wait.
    pub(crate) fn route(&mut self, story: u16, group: &str, pending: Pending, event: &Event, now: Timestamp) {
        if let Some(subjects) = self.own_subjects(story, group, event) {
            return subjects.into_iter().for_each(|subject| self.take(story, subject, pending.clone(), now));
        }
        let identity = &event.identity;
        let uid =
            identity.pod_uid.clone().or_else(|| self.links.admissions.get(identity.admission_id.as_ref()?).cloned());
        if let Some(subjects) = uid.as_ref().and_then(|uid| self.subjects_of_pod(story, group, uid)) {
            return subjects.into_iter().for_each(|subject| self.take(story, subject, pending.clone(), now));
        }
        let awaited = uid.map(Awaited::Pod).or_else(|| identity.admission_id.clone().map(Awaited::Admission));
        let (Some(awaited), Some(compiled)) = (awaited, self.rules.stories.get(usize::from(story))) else {
            self.stats.unjoined = self.stats.unjoined.saturating_add(1);
            return;
        };
        let (story, fingerprint) = (compiled.name.clone(), compiled.fingerprint.clone());
        self.wait(awaited, WaitingMark { story, fingerprint, group: group.to_owned(), pending });
    }

    /// The subjects that the event names itself.
    fn own_subjects(&self, story: u16, group: &str, event: &Event) -> Option<Vec<Subject>> {
        let identity = &event.identity;
        match self.rules.stories.get(usize::from(story))?.join {
            Join::Pod => identity.pod_uid.as_ref().map(|uid| vec![Subject::pod(uid, group)]),
            Join::Workload => identity.workload.as_ref().map(|workload| vec![Subject::workload(workload, group)]),
            Join::Node => event.node.as_ref().map(|node| vec![Subject::node(node, group)]),
            Join::Image => {
                let digests: BTreeSet<&Digest> = identity.image_digest.iter().chain(&event.digests).collect();
                (!digests.is_empty()).then(|| digests.into_iter().map(|digest| Subject::image(digest, group)).collect())
            }
        }
    }

    /// The subjects that the event's pod leads to.
    fn subjects_of_pod(&self, story: u16, group: &str, uid: &PodUid) -> Option<Vec<Subject>> {
        let record = self.links.pods.get(uid);
        match self.rules.stories.get(usize::from(story))?.join {
            Join::Pod => Some(vec![Subject::pod(uid, group)]),
            Join::Workload => {
                record?.identity.workload.as_ref().map(|workload| vec![Subject::workload(workload, group)])
            }
            Join::Node => record?.node.as_ref().map(|node| vec![Subject::node(node, group)]),
            Join::Image => {
                let digests = &record?.digests;
                (!digests.is_empty()).then(|| digests.iter().map(|digest| Subject::image(digest, group)).collect())
            }
        }
    }

    fn wait(&mut self, awaited: Awaited, mark: WaitingMark) {
        if self.links.wait(awaited.clone(), mark) {
            self.dirty.waiting.insert(awaited);
        } else {
            self.stats.duplicates = self.stats.duplicates.saturating_add(1);
        }
        while let Some(overdue) = self.links.overdue(self.limits.max_waiting, self.watermark().minus(MAX_WAIT)) {
            let count = self.links.release(&overdue).len();
            self.stats.evicted_waiting =
                self.stats.evicted_waiting.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            self.dirty.waiting.insert(overdue);
        }
    }
}

/// How long an event waits for a link, in event time.
const MAX_WAIT: Duration = Duration::from_secs(3_600);
