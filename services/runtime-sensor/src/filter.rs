//! Opens that no rule can want are left out by the kernel itself, once one like them was judged. A verdict follows from the path as it
//! was given, the file that it led to, the flags, the name of the process and its container; whatever else the rules ask for is left
//! open. Where no name of a file can matter either, one verdict is on a whole folder. See ebpf/filter.h.

use std::hash::{BuildHasher as _, RandomState};

use runtime_rules::{Field, FieldArgument, FieldId, Known, RuleSet, Scratch};

use crate::decode::RawEvent;
use crate::enrich::Enriched;

/// Finds verdicts.
#[derive(Debug)]
pub(crate) struct Filter {
    /// Keys that came, each in the place that follows from it, and what is known of them.
    known: Vec<(u64, Standing)>,
    /// Keys of what nobody wants, which the kernel was not told yet.
    unwanted: Vec<u64>,
    scratch: Scratch,
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It came so often, and nobody asked yet: what comes but once is not worth a verdict.
    Seen(u8),
    /// Somebody may want the like of it, so that each has to be judged.
    Wanted,
    /// Nobody wants the like of it.
    Unwanted,
}

/// What is to be found out of an event: whether nobody wants its file, or anything in its folder. Keys are 0 where that is not asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Questions {
    file: u64,
    folder: u64,
}

impl Questions {
    /// Leaves the folder alone where there is a reason to.
    pub(crate) fn spare_folder_if(&mut self, is_needed: impl FnOnce() -> bool) {
        if self.folder != 0 && is_needed() {
            self.folder = 0;
        }
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self { known: vec![(0, Standing::Seen(0)); PLACES], unwanted: Vec::new(), scratch: Scratch::default() }
    }
}

impl Filter {
    /// What is worth asking of an event: what came before, and nobody asked of yet. An answer for a folder takes longer to find.
    pub(crate) fn questions(&mut self, event: &RawEvent<'_>) -> Questions {
        let file = if self.is_to_ask(event.key, WORTH_OF_FILE) { event.key } else { 0 };
        let folder = if self.is_to_ask(event.folder, WORTH_OF_FOLDER) { event.folder } else { 0 };
        Questions { file, folder }
    }

    fn is_to_ask(&mut self, key: u64, worth: u8) -> bool {
        let Some(place) = self.known.get_mut(place(key)).filter(|_| key != 0) else { return false };
        let times = match place {
            (known, Standing::Seen(times)) if *known == key => times.saturating_add(1),
            (known, _) if *known == key => return false,
            _ => 1,
        };
        *place = (key, Standing::Seen(times));
        times >= worth
    }

    /// Whether the like of an event is to be left out: for those that the kernel had sent before it was told.
    pub(crate) fn leaves_out(&self, event: &RawEvent<'_>) -> bool {
        let is_unwanted = |key: u64| key != 0 && self.known.get(place(key)) == Some(&(key, Standing::Unwanted));
        is_unwanted(event.key) || is_unwanted(event.folder)
    }

    /// Asks whether a rule can match the path that an event is judged by at present, whoever opens it; and whether one can match any in
    /// that folder. What somebody may want is no question any more.
    pub(crate) fn ask(&mut self, questions: &mut Questions, rules: &RuleSet, event: &Enriched<'_>) {
        // Only the first thread of a process tells what the process is called.
        let is_named = event.raw.tid == event.raw.tgid && event.process.comm.as_bytes() == event.raw.comm;
        for (key, is_folder) in [(&mut questions.file, false), (&mut questions.folder, true)] {
            let known = |field: &Field| match (of_file(field), field.id) {
                (Known::Folder, _) if !is_folder => Known::Value,
                (Known::Nothing, FieldId::ProcName) if is_named => Known::Value,
                (known, _) => known,
            };
            if *key != 0 && rules.may_match(event, &mut self.scratch, &known) {
                self.settle(std::mem::take(key), Standing::Wanted);
            }
        }
    }

    /// What was asked and is wanted by nobody is left out from now on.
    pub(crate) fn conclude(&mut self, questions: Questions) {
        // Who has the folder needs no verdict on the file.
        let key = if questions.folder == 0 { questions.file } else { questions.folder };
        if key != 0 {
            self.settle(key, Standing::Unwanted);
            self.unwanted.push(key);
        }
    }

    fn settle(&mut self, key: u64, standing: Standing) {
        self.known.get_mut(place(key)).into_iter().for_each(|place| *place = (key, standing));
    }

    /// Somebody may want now what nobody wanted before.
    pub(crate) fn forget(&mut self) {
        self.known.fill((0, Standing::Seen(0)));
        self.unwanted.clear();
    }

    /// What the kernel has to be told.
    pub(crate) fn take(&mut self) -> std::vec::Drain<'_, u64> {
        self.unwanted.drain(..)
    }
}

/// A place to start from and a factor that nobody can guess; the factor is odd.
pub(crate) fn seed() -> [u64; 2] {
    [RandomState::new().hash_one(0), RandomState::new().hash_one(1) | 1]
}

/// What follows of a field from the key of a folder. From that of a file its value follows, where this is not nothing.
fn of_file(field: &Field) -> Known {
    match field.id {
        FieldId::FdName | FieldId::FdNameraw | FieldId::FdFilename | FieldId::FsPathName | FieldId::FsPathNameraw => {
            Known::Folder
        }
        FieldId::EvtIsOpenRead
        | FieldId::EvtIsOpenWrite
        | FieldId::EvtIsOpenCreate
        | FieldId::EvtIsOpenExec
        | FieldId::EvtFailed
        | FieldId::EvtRes
        | FieldId::FdDirectory
        | FieldId::FdTypechar
        | FieldId::FdType
        | FieldId::ContainerId => Known::Value,
        FieldId::EvtArg => match field.argument.as_ref().map(FieldArgument::text) {
            Some("name") => Known::Folder,
            Some("flags") => Known::Value,
            _ => Known::Nothing,
        },
        _ => Known::Nothing,
    }
}

fn place(key: u64) -> usize {
    usize::try_from(key).unwrap_or_default() % PLACES
}

/// How often a key has to come before it is worth a verdict.
const WORTH_OF_FILE: u8 = 2;

/// The same of a folder: to find an answer takes as long as judging some dozens of events.
const WORTH_OF_FOLDER: u8 = 4;

/// As many as the kernel has places for verdicts.
const PLACES: usize = 65_536;

#[cfg(test)]
mod tests;
