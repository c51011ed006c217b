//! Opens that no rule can want are left out by the kernel itself, once one like them was judged. A verdict follows from the path as it
//! was given, the file that it led to, the flags, the name of the process and its container; whatever else the rules ask for is left open. See ebpf/filter.h.

use std::hash::{BuildHasher as _, RandomState};

use runtime_rules::{Field, FieldArgument, FieldId, RuleSet, Scratch};

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
    /// It came once: what comes but once is not worth a verdict.
    Once,
    /// Somebody may want the like of it, so that each has to be judged.
    Wanted,
    /// Nobody wants the like of it.
    Unwanted,
}

impl Default for Filter {
    fn default() -> Self {
        Self { known: vec![(0, Standing::Once); PLACES], unwanted: Vec::new(), scratch: Scratch::default() }
    }
}

impl Filter {
    /// Whether it is worth asking whether anybody wants the like of an event: it came before, and nobody asked yet.
    pub(crate) fn is_to_ask(&mut self, key: u64) -> bool {
        let Some(place) = self.known.get_mut(place(key)) else { return false };
        if place.0 == key {
            return place.1 == Standing::Once;
        }
        *place = (key, Standing::Once);
        false
    }

    /// Whether the like of an event is to be left out: for those that the kernel had sent before it was told.
    pub(crate) fn leaves_out(&self, key: u64) -> bool {
        key != 0 && self.known.get(place(key)) == Some(&(key, Standing::Unwanted))
    }

    /// Whether no rule can match the path that an event is judged by at present, whoever opens it.
    pub(crate) fn nobody_wants(&mut self, rules: &RuleSet, event: &Enriched<'_>) -> bool {
        // Only the first thread of a process tells what the process is called.
        let is_named = event.raw.tid == event.raw.tgid && event.process.comm.as_bytes() == event.raw.comm;
        !rules.may_match(event, &mut self.scratch, &|field| {
            is_settled(field) || (is_named && field.id == FieldId::ProcName)
        })
    }

    /// Nobody asks for the like of an event again; if nobody wants it, it is to be left out from now on.
    pub(crate) fn settle(&mut self, key: u64, is_unwanted: bool) {
        let standing = if is_unwanted { Standing::Unwanted } else { Standing::Wanted };
        self.known.get_mut(place(key)).into_iter().for_each(|place| *place = (key, standing));
        if is_unwanted {
            self.unwanted.push(key);
        }
    }

    /// Somebody may want now what nobody wanted before.
    pub(crate) fn forget(&mut self) {
        self.known.fill((0, Standing::Once));
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

fn place(key: u64) -> usize {
    usize::try_from(key).unwrap_or_default() % PLACES
}

/// As many as the kernel has places for verdicts.
const PLACES: usize = 65_536;

#[cfg(test)]
mod tests;
