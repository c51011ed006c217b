//! Links between identities: which pod an admission became, which workload and images a pod has, and who waits for a link.

use std::collections::{BTreeSet, HashMap};

use model::{AdmissionId, Digest, Identity, NodeName, PodUid, Timestamp};
use serde::{Deserialize, Serialize};

use crate::case::Pending;

/// What is known of a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PodRecord {
    /// When it was first heard of, in event time.
    pub(crate) since: Timestamp,
    /// Identities of the pod as a whole.
    pub(crate) identity: Identity,
    /// Its images.
    pub(crate) digests: BTreeSet<Digest>,
    /// Its node.
    pub(crate) node: Option<NodeName>,
}

/// An event that was selected and waits to learn its subject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaitingMark {
    pub(crate) story: String,
    pub(crate) fingerprint: String,
    pub(crate) group: String,
    pub(crate) pending: Pending,
}

/// For what an event waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Awaited {
    /// For the pod of an admission.
    Admission(AdmissionId),
    /// For the workload or image of a pod.
    Pod(PodUid),
}

/// All links.
#[derive(Debug, Default)]
pub(crate) struct Links {
    pub(crate) pods: HashMap<PodUid, PodRecord>,
    by_age: BTreeSet<(Timestamp, PodUid)>,
    pub(crate) admissions: HashMap<AdmissionId, PodUid>,
    pub(crate) waiting: HashMap<Awaited, Vec<WaitingMark>>,
    pub(crate) waiting_by_age: BTreeSet<(Timestamp, Awaited)>,
    pub(crate) waiting_count: usize,
}

impl Links {
    /// Learns what an event says of a pod. `true` when it is new.
    pub(crate) fn learn(&mut self, uid: &PodUid, time: Timestamp, said: Said<'_>) -> bool {
        let is_new = !self.pods.contains_key(uid);
        let record = self.pods.entry(uid.clone()).or_default();
        let before = (record.digests.len(), record.node.is_some(), known(&record.identity));
        if is_new {
            record.since = time;
            self.by_age.insert((time, uid.clone()));
        }
        fill_pod(&mut record.identity, said.identity);
        keep_smaller(&mut record.node, said.node);
        let own = said.identity.image_digest.iter().chain(&said.identity.index_digest);
        for digest in said.digests.iter().chain(own) {
            if !record.digests.contains(digest) {
                record.digests.insert(digest.clone());
            }
        }
        while record.digests.len() > MAX_IMAGES {
            record.digests.pop_last();
        }
        if let Some(admission) = &said.identity.admission_id
            && !self.admissions.contains_key(admission)
        {
            self.admissions.insert(admission.clone(), uid.clone());
        }
        is_new || before != (record.digests.len(), record.node.is_some(), known(&record.identity))
    }

    /// Puts a saved pod back.
    pub(crate) fn restore(&mut self, uid: PodUid, record: PodRecord) {
        self.by_age.insert((record.since, uid.clone()));
        if let Some(admission) = &record.identity.admission_id {
            self.admissions.insert(admission.clone(), uid.clone());
        }
        self.pods.insert(uid, record);
    }

    /// Forgets the pod that was heard of first when there are more than `max`.
    pub(crate) fn evict(&mut self, max: usize) -> Option<PodUid> {
        if self.pods.len() <= max {
            return None;
        }
        let (_, uid) = self.by_age.pop_first()?;
        if let Some(admission) = self.pods.remove(&uid).and_then(|record| record.identity.admission_id) {
            self.admissions.remove(&admission);
        }
        Some(uid)
    }

    pub(crate) fn wait(&mut self, awaited: Awaited, mark: WaitingMark) -> bool {
        let list = self.waiting.entry(awaited.clone()).or_default();
        let is_same = |other: &WaitingMark| {
            other.pending.mark.key() == mark.pending.mark.key()
                && other.story == mark.story
                && other.group == mark.group
        };
        if list.iter().any(is_same) {
            return false;
        }
        if let Some(first) = list.first() {
            self.waiting_by_age.remove(&(first.pending.mark.time, awaited.clone()));
        }
        let at = list.partition_point(|other| other.pending.mark.key() <= mark.pending.mark.key());
        list.insert(at, mark);
        if let Some(first) = list.first() {
            self.waiting_by_age.insert((first.pending.mark.time, awaited));
        }
        self.waiting_count = self.waiting_count.saturating_add(1);
        true
    }

    /// Takes all that wait for `awaited`.
    pub(crate) fn release(&mut self, awaited: &Awaited) -> Vec<WaitingMark> {
        let list = self.waiting.remove(awaited).unwrap_or_default();
        if let Some(first) = list.first() {
            self.waiting_by_age.remove(&(first.pending.mark.time, awaited.clone()));
        }
        self.waiting_count = self.waiting_count.saturating_sub(list.len());
        list
    }

    /// Whoever waits longest, when there are too many or it has waited since before `from`.
    pub(crate) fn overdue(&self, max: usize, from: Timestamp) -> Option<Awaited> {
        let (since, awaited) = self.waiting_by_age.first()?;
        (self.waiting_count > max || *since < from).then(|| awaited.clone())
    }
}

/// What one event says of a pod.
#[derive(Clone, Copy)]
pub(crate) struct Said<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) digests: &'a [Digest],
    pub(crate) node: Option<&'a NodeName>,
}

/// Fills what is missing in `into`; what is there stays. Secrets are gathered.
pub(crate) fn fill(into: &mut Identity, from: &Identity) {
    fn take<T: Clone>(slot: &mut Option<T>, value: &Option<T>) {
        if slot.is_none() {
            slot.clone_from(value);
        }
    }
    take(&mut into.image_digest, &from.image_digest);
    take(&mut into.index_digest, &from.index_digest);
    take(&mut into.image, &from.image);
    take(&mut into.admission_id, &from.admission_id);
    take(&mut into.pod_uid, &from.pod_uid);
    take(&mut into.pod_name, &from.pod_name);
    take(&mut into.namespace, &from.namespace);
    take(&mut into.workload, &from.workload);
    take(&mut into.service_account, &from.service_account);
    take(&mut into.container_id, &from.container_id);
    take(&mut into.container_name, &from.container_name);
    take(&mut into.cgroup_id, &from.cgroup_id);
    for secret in &from.secrets {
        if let Err(at) = into.secrets.binary_search(secret) {
            into.secrets.insert(at, secret.clone());
        }
    }
    into.secrets.truncate(MAX_SECRETS);
}

/// Takes what belongs to the pod as a whole. Where two events differ the smaller text stays, so that their order does not matter.
fn fill_pod(into: &mut Identity, from: &Identity) {
    keep_smaller(&mut into.admission_id, from.admission_id.as_ref());
    keep_smaller(&mut into.pod_uid, from.pod_uid.as_ref());
    keep_smaller(&mut into.pod_name, from.pod_name.as_ref());
    keep_smaller(&mut into.namespace, from.namespace.as_ref());
    keep_smaller(&mut into.workload, from.workload.as_ref());
    keep_smaller(&mut into.service_account, from.service_account.as_ref());
}

fn keep_smaller<T: Ord + Clone>(slot: &mut Option<T>, value: Option<&T>) {
    if let Some(value) = value
        && slot.as_ref().is_none_or(|old| value < old)
    {
        *slot = Some(value.clone());
    }
}

/// How much of a pod's identity is known.
fn known(identity: &Identity) -> usize {
    [
        identity.admission_id.is_some(),
        identity.pod_name.is_some(),
        identity.namespace.is_some(),
        identity.workload.is_some(),
        identity.service_account.is_some(),
    ]
    .into_iter()
    .filter(|is_known| *is_known)
    .count()
}

const MAX_IMAGES: usize = 16;
const MAX_SECRETS: usize = 32;
