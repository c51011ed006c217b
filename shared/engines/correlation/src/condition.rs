//! Judges one rule over the marks of one case, in event-time order.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use model::{EventId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::event::Phase;
use crate::rule::{CorrelationKind, Presence};
use crate::set::{CompiledCorrelation, CompiledPhase, CompiledRule};

/// That an event was selected: as much of it as rules need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) time: Timestamp,
    pub(crate) event: EventId,
    pub(crate) phase: Phase,
    /// Bits of the selections of the story that it passed.
    pub(crate) bits: u64,
    /// It came later than the allowed lateness: it takes no part in decisions about order.
    pub(crate) too_late: bool,
    /// Hash of the counted value, by rule of the story.
    pub(crate) values: Vec<(u8, u64)>,
}

impl Mark {
    pub(crate) fn key(&self) -> (Timestamp, EventId) {
        (self.time, self.event)
    }
}

/// Whether a facts clause holds for the images of a case at a time, and is within its bound.
pub(crate) type FactsHold<'a> = &'a dyn Fn(u8, Timestamp, Option<Duration>) -> bool;

/// The event time at which the marks, taken in order, first satisfy the rule.
pub(crate) fn satisfied_at(rule: (usize, &CompiledRule), marks: &[&Mark], facts: FactsHold<'_>) -> Option<Timestamp> {
    let (number, rule) = rule;
    let counted = match &rule.correlation {
        Some(correlation) => Some(correlated_at(correlation, number, marks)?),
        None => None,
    };
    let is_anchor = |phase: &CompiledPhase| phase.presence == Presence::Required && phase.bits != 0;
    match rule.phases.iter().rposition(is_anchor) {
        Some(anchor) => {
            phases_at(&rule.phases, anchor, marks, facts).map(|time| counted.map_or(time, |other| time.max(other)))
        }
        None => counted.filter(|time| rest_holds(&rule.phases, *time, marks, facts)),
    }
}

/// Walks the marks and stops where every phase holds around the latest anchor. The latest event of each phase counts.
fn phases_at(phases: &[CompiledPhase], anchor: usize, marks: &[&Mark], facts: FactsHold<'_>) -> Option<Timestamp> {
    let mut last: Vec<Option<Timestamp>> = vec![None; phases.len()];
    for mark in marks {
        let mut touched = false;
        for (phase, slot) in phases.iter().zip(&mut last) {
            if mark.bits & phase.bits != 0 {
                *slot = Some(mark.time);
                touched |= phase.presence == Presence::Required;
            }
        }
        let Some(at) = last.get(anchor).copied().flatten().filter(|_| touched) else { continue };
        let holds = |(number, phase): (usize, &CompiledPhase)| {
            let is_other = number != anchor && phase.presence == Presence::Required && phase.bits != 0;
            let near = |time: Timestamp| phase.within.is_none_or(|within| distance(time, at) <= within);
            !is_other || last.get(number).copied().flatten().is_some_and(near)
        };
        if phases.iter().enumerate().all(holds) && rest_holds(phases, at, marks, facts) {
            return Some(mark.time);
        }
    }
    None
}

/// What is not found by walking: facts, and absence.
fn rest_holds(phases: &[CompiledPhase], at: Timestamp, marks: &[&Mark], facts: FactsHold<'_>) -> bool {
    phases.iter().all(|phase| match (phase.presence, phase.clause) {
        (Presence::Optional, _) => true,
        (Presence::Required, Some(clause)) => facts(clause, at, phase.within),
        (Presence::Absent, Some(clause)) => !facts(clause, at, phase.within),
        (Presence::Required, None) => true,
        (Presence::Absent, None) => {
            let from = phase.within.map_or(Timestamp::from_nanos(i64::MIN), |within| at.minus(within));
            !marks.iter().any(|mark| mark.bits & phase.bits != 0 && mark.time >= from && mark.time <= at)
        }
    })
}

fn correlated_at(correlation: &CompiledCorrelation, rule: usize, marks: &[&Mark]) -> Option<Timestamp> {
    match correlation.kind {
        CorrelationKind::EventCount => event_count(correlation, marks),
        CorrelationKind::ValueCount => value_count(correlation, rule, marks),
        CorrelationKind::Temporal => temporal(correlation, marks),
        CorrelationKind::TemporalOrdered => temporal_ordered(correlation, marks),
    }
}

fn event_count(correlation: &CompiledCorrelation, marks: &[&Mark]) -> Option<Timestamp> {
    let mut window: VecDeque<Timestamp> = VecDeque::new();
    for mark in members(correlation, marks) {
        window.push_back(mark.time);
        while window.front().is_some_and(|first| mark.time.since(*first) > correlation.timespan) {
            window.pop_front();
        }
        if window.len() >= correlation.threshold {
            return Some(mark.time);
        }
    }
    None
}

fn value_count(correlation: &CompiledCorrelation, rule: usize, marks: &[&Mark]) -> Option<Timestamp> {
    let mut window: VecDeque<(Timestamp, u64)> = VecDeque::new();
    let mut counts: HashMap<u64, usize> = HashMap::new();
    for mark in members(correlation, marks) {
        let Some((_, value)) = mark.values.iter().find(|(of, _)| usize::from(*of) == rule) else { continue };
        window.push_back((mark.time, *value));
        *counts.entry(*value).or_default() += 1;
        while let Some((_, old)) = window.pop_front_if(|(first, _)| mark.time.since(*first) > correlation.timespan) {
            if let Some(count) = counts.get_mut(&old) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    counts.remove(&old);
                }
            }
        }
        if counts.len() >= correlation.threshold {
            return Some(mark.time);
        }
    }
    None
}

fn temporal(correlation: &CompiledCorrelation, marks: &[&Mark]) -> Option<Timestamp> {
    let mut last: Vec<Option<Timestamp>> = vec![None; correlation.members.len()];
    for mark in members(correlation, marks) {
        for (bits, slot) in correlation.members.iter().zip(&mut last) {
            if mark.bits & bits != 0 {
                *slot = Some(mark.time);
            }
        }
        let near = last.iter().flatten().filter(|time| mark.time.since(**time) <= correlation.timespan);
        if near.count() >= correlation.threshold.min(correlation.members.len()) {
            return Some(mark.time);
        }
    }
    None
}

/// For each member the latest start of a chain that reaches it in order; the walk is from the back so that one event is one link.
fn temporal_ordered(correlation: &CompiledCorrelation, marks: &[&Mark]) -> Option<Timestamp> {
    let mut starts: Vec<Option<Timestamp>> = vec![None; correlation.members.len()];
    for mark in members(correlation, marks).filter(|mark| !mark.too_late) {
        for number in (0..correlation.members.len()).rev() {
            let is_member = correlation.members.get(number).is_some_and(|bits| mark.bits & bits != 0);
            if !is_member {
                continue;
            }
            let before = match number.checked_sub(1) {
                None => Some(mark.time),
                Some(before) => starts.get(before).copied().flatten(),
            };
            let start = before.filter(|start| mark.time.since(*start) <= correlation.timespan);
            if let (Some(start), Some(slot)) = (start, starts.get_mut(number)) {
                *slot = Some(slot.map_or(start, |old| old.max(start)));
            }
        }
        if starts.last().copied().flatten().is_some() {
            return Some(mark.time);
        }
    }
    None
}

fn members<'m>(correlation: &CompiledCorrelation, marks: &'m [&'m Mark]) -> impl Iterator<Item = &'m Mark> {
    let bits = correlation.members.iter().fold(0, |all, bits| all | bits);
    marks.iter().copied().filter(move |mark| mark.bits & bits != 0)
}

fn distance(a: Timestamp, b: Timestamp) -> Duration {
    a.since(b).max(b.since(a))
}
