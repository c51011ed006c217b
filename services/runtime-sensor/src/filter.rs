//! Opens that no rule can want are left out by the kernel itself, once one like them was judged. A verdict follows from the path as it
//! was given, the file that it led to, the flags, the name of the process and its container; whatever else the rules ask for is left open. See ebpf/filter.h.

use std::hash::{BuildHasher as _, RandomState};

use runtime_rules::{Field, FieldArgument, FieldId, RuleSet, Scratch};

use crate::enrich::Enriched;

/// Finds verdicts.
#[derive(Debug)]
pub(crate) struct Filter {
    /// Keys that came once, each in the place that follows from it: what comes but once is not worth a verdict.
    seen: Vec<u64>,
    /// Keys of what nobody wants, which the kernel was not told yet.
    unwanted: Vec<u64>,
    scratch: Scratch,
}

impl Default for Filter {
    fn default() -> Self {
        Self { seen: vec![0; PLACES], unwanted: Vec::new(), scratch: Scratch::default() }
    }
}

impl Filter {
    /// Whether the like of an event came before, so that it is worth asking whether anybody wants it.
    pub(crate) fn is_again(&mut self, key: u64) -> bool {
        let place = usize::try_from(key).unwrap_or_default() % PLACES;
        self.seen.get_mut(place).is_some_and(|seen| std::mem::replace(seen, key) == key)
    }

    /// Whether no rule can match the path that an event is judged by at present, whoever opens it.
    pub(crate) fn nobody_wants(&mut self, rules: &RuleSet, event: &Enriched<'_>) -> bool {
        // Only the first thread of a process tells what the process is called.
        let is_named = event.raw.tid == event.raw.tgid && event.process.comm.as_bytes() == event.raw.comm;
        !rules.may_match(event, &mut self.scratch, &|field| {
            is_settled(field) || (is_named && field.id == FieldId::ProcName)
        })
    }

    /// The like of an event is to be left out from now on.
    pub(crate) fn leave_out(&mut self, key: u64) {
        self.unwanted.push(key);
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

/// Whether the value of a field follows from what keys are made of.
fn is_settled(field: &Field) -> bool {
    match field.id {
        FieldId::EvtIsOpenRead
        | FieldId::EvtIsOpenWrite
        | FieldId::EvtIsOpenCreate
        | FieldId::EvtIsOpenExec
        | FieldId::EvtFailed
        | FieldId::EvtRes
        | FieldId::FdName
        | FieldId::FdNameraw
        | FieldId::FdDirectory
        | FieldId::FdFilename
        | FieldId::FdTypechar
        | FieldId::FdType
        | FieldId::FsPathName
        | FieldId::FsPathNameraw
        | FieldId::ContainerId => true,
        FieldId::EvtArg => {
            field.argument.as_ref().map(FieldArgument::text).is_some_and(|name| matches!(name, "name" | "flags"))
        }
        _ => false,
    }
}

/// As many as the kernel has places for verdicts.
const PLACES: usize = 65_536;

#[cfg(test)]
mod tests;
