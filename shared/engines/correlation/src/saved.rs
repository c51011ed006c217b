//! Saving and restoring the machine, piece by piece.

use std::collections::{BTreeMap, BTreeSet};

use model::{Digest, PodUid};

use crate::case::Case;
use crate::links::Awaited;
use crate::machine::Machine;
use crate::record::{Change, Record, Restored};
use crate::set::RuleSet;
use crate::subject::Subject;

/// What changed since changes were last taken.
#[derive(Debug, Default)]
pub(crate) struct Dirty {
    pub(crate) cases: BTreeSet<usize>,
    pub(crate) pods: BTreeSet<PodUid>,
    pub(crate) waiting: BTreeSet<Awaited>,
    pub(crate) facts: BTreeSet<Digest>,
    pub(crate) gone: BTreeMap<String, ()>,
    pub(crate) clock: bool,
}

impl Machine {
    /// All pieces of state that changed since the last call; save them in one transaction with the outputs taken so far.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let dirty = std::mem::take(&mut self.dirty);
        let mut changes: Vec<Change> = dirty.gone.into_keys().map(|key| Change { key, record: None }).collect();
        changes.extend(dirty.cases.into_iter().filter_map(|slot| self.case_change(slot)));
        for uid in dirty.pods {
            let record = self.links.pods.get(&uid).map(|record| Record::Pod(Box::new(record.clone())));
            changes.push(Change { key: pod_key(&uid), record });
        }
        for awaited in dirty.waiting {
            let record = self.links.waiting.get(&awaited).map(|list| Record::Waiting(list.clone()));
            changes.push(Change { key: waiting_key(&awaited), record });
        }
        for digest in dirty.facts {
            changes.push(Change { key: facts_key(&digest), record: Some(Record::Facts(self.facts.scans(&digest))) });
        }
        if dirty.clock {
            let record = Record::Clock { newest: self.newest, stats: self.stats };
            changes.push(Change { key: "clock".to_owned(), record: Some(record) });
        }
        changes
    }

    fn case_change(&self, slot: usize) -> Option<Change> {
        let case = self.cases.get(slot)?.as_deref()?;
        let number = *self.story_of.get(slot)?;
        let story = self.rules.stories.get(usize::from(number))?;
        let record = Record::Case {
            story: story.name.clone(),
            fingerprint: story.fingerprint.clone(),
            case: Box::new(case.clone()),
        };
        Some(Change { key: case_key(&self.rules, number, &case.subject), record: Some(record) })
    }

    /// Puts saved pieces back, in any order. Cases of rules that changed are left out and reported.
    pub fn restore(&mut self, pieces: impl IntoIterator<Item = (String, Record)>) -> Restored {
        let mut restored = Restored::default();
        let mut cases = Vec::new();
        for (key, record) in pieces {
            restored.taken = restored.taken.saturating_add(1);
            match record {
                Record::Case { story, fingerprint, case } => cases.push((key, story, fingerprint, case)),
                Record::Pod(record) => match key.strip_prefix("pod/").and_then(|uid| uid.parse().ok()) {
                    Some(uid) => self.links.restore(uid, *record),
                    None => restored.orphaned.push(key),
                },
                Record::Waiting(list) => match awaited_of(&key) {
                    Some(awaited) => list.into_iter().for_each(|mark| {
                        self.links.wait(awaited.clone(), mark);
                    }),
                    None => restored.orphaned.push(key),
                },
                Record::Facts(scans) => scans.into_iter().for_each(|scan| {
                    self.facts.insert(&self.rules, scan);
                }),
                Record::Clock { newest, stats } => (self.newest, self.stats) = (newest, stats),
            }
        }
        for (key, story, fingerprint, case) in cases {
            match self.story_number(&story, &fingerprint) {
                Some(number) => self.restore_case(number, *case),
                None => {
                    restored.orphaned_incidents.extend(case.open_id(&story));
                    restored.orphaned.push(key);
                }
            }
        }
        self.dirty = Dirty::default();
        restored
    }

    fn restore_case(&mut self, story: u16, case: Case) {
        let (armed, digests) = (case.armed, case.digests.clone());
        let publish_at = case.open.as_ref().and_then(|open| open.publish_at);
        let slot = self.place((story, case.subject.clone()), case);
        if let Some(armed) = armed {
            self.due.insert((armed, slot));
        }
        if let Some(at) = publish_at {
            self.publish.insert((at, slot));
        }
        for digest in digests {
            self.by_digest.entry(digest).or_default().insert(slot);
        }
    }
}

pub(crate) fn case_key(rules: &RuleSet, story: u16, subject: &Subject) -> String {
    let story = rules
        .stories
        .get(usize::from(story))
        .map_or(("", ""), |story| (story.name.as_str(), story.fingerprint.as_str()));
    format!("case/{}/{}/{}", story.0, story.1, subject.as_str())
}

pub(crate) fn pod_key(uid: &PodUid) -> String {
    format!("pod/{uid}")
}

pub(crate) fn facts_key(digest: &Digest) -> String {
    format!("facts/{digest}")
}

fn waiting_key(awaited: &Awaited) -> String {
    match awaited {
        Awaited::Admission(id) => format!("waiting/admission/{id}"),
        Awaited::Pod(uid) => format!("waiting/pod/{uid}"),
    }
}

fn awaited_of(key: &str) -> Option<Awaited> {
    let rest = key.strip_prefix("waiting/")?;
    match rest.split_once('/')? {
        ("admission", id) => id.parse().ok().map(Awaited::Admission),
        ("pod", uid) => uid.parse().ok().map(Awaited::Pod),
        _ => None,
    }
}
