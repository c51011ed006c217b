//! What the kernel is asked for: the calls that the rules in force can match, and of each no more than they can.
//!
//! A rule that compares `fd.l4proto` with `tcp`, or asks that `fd.num` be a descriptor, cannot be true of what is assumed of an event;
//! then such events need not be sent. What is not known stays open, so that nothing is left out that a rule could match.

use runtime_rules::{Condition, EventType, FieldId, Operand, Operator, Right, Rule, RuleSet};

use crate::syscalls::{self, Need, Syscall};

/// The flags for a call; 0 when no event of it is wanted.
pub(crate) fn flags(rules: &RuleSet, syscall: &Syscall) -> u64 {
    let wanting: Vec<&Rule> = rules.rules().iter().filter(|rule| wants(rule, syscall)).collect();
    if wanting.is_empty() {
        let keeps_streams = matches!(syscall.name, "dup" | "dup2" | "dup3")
            && rules.fields().iter().any(|field| crate::streams::is_about(field.id));
        let is_state = keeps_streams || syscalls::STATE.contains(&syscall.name);
        return if is_state { syscall.flags(Need::default()) } else { 0 };
    }
    let can_be = |facts: Facts| {
        let assumed = Assumed { event_type: syscall.event_type, facts };
        wanting.iter().any(|rule| assumed.judge(&rule.condition, 0).can_hold)
    };
    let streams = syscall.is_for_datagrams() && (can_be(STREAM) || can_be(OTHER_SOCKET));
    let payload = wanting.iter().any(|rule| {
        let meaning = rule.meaning();
        meaning
            .condition_fields
            .iter()
            .chain(&meaning.output_fields)
            .any(|field| matches!(field.id, FieldId::EvtBuffer | FieldId::EvtBuflen))
    });
    syscall.flags(Need { failures: can_be(FAILURE), streams, payload })
}

/// A rule that names no types is judged for all that say more than numbers, but for no flood of reads and writes.
fn wants(rule: &Rule, syscall: &Syscall) -> bool {
    rule.types.contains(syscall.event_type) && (!rule.types.is_broad() || syscall.is_telling())
}

type Facts = &'static [(&'static str, Fact)];

/// What is assumed of a field.
#[derive(Clone, Copy, Debug)]
enum Fact {
    /// It has no value: every comparison with it is false.
    Missing,
    Is(&'static str),
    IsNot(&'static str),
    Negative,
}

const FAILURE: Facts = &[
    ("evt.failed", Fact::Is("true")),
    ("evt.rawres", Fact::Negative),
    ("evt.res", Fact::IsNot("SUCCESS")),
    ("evt.arg.res", Fact::IsNot("SUCCESS")),
];

const STREAM: Facts = &[("fd.l4proto", Fact::Is("tcp"))];

const OTHER_SOCKET: Facts = &[("fd.l4proto", Fact::Missing)];

/// An event of which only this is known.
struct Assumed {
    event_type: EventType,
    facts: Facts,
}

/// What a condition may turn out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct May {
    can_hold: bool,
    can_fail: bool,
}

impl May {
    const OPEN: Self = Self { can_hold: true, can_fail: true };

    fn be(holds: bool) -> Self {
        Self { can_hold: holds, can_fail: !holds }
    }
}

impl Assumed {
    fn judge(&self, condition: &Condition, depth: usize) -> May {
        if depth > MAX_DEPTH {
            return May::OPEN;
        }
        let below = |child: &Condition| self.judge(child, depth.saturating_add(1));
        match condition {
            Condition::And(children) => children.iter().map(below).fold(May::be(true), |a, b| May {
                can_hold: a.can_hold && b.can_hold,
                can_fail: a.can_fail || b.can_fail,
            }),
            Condition::Or(children) => children.iter().map(below).fold(May::be(false), |a, b| May {
                can_hold: a.can_hold || b.can_hold,
                can_fail: a.can_fail && b.can_fail,
            }),
            Condition::Not(child) => {
                let May { can_hold, can_fail } = below(child);
                May { can_hold: can_fail, can_fail: can_hold }
            }
            Condition::Compare { left: Operand::Field(field), operator, right } if field.argument.is_none() => {
                self.compare(&field.name, *operator, right)
            }
            Condition::Exists(_) | Condition::Macro(_) | Condition::Compare { .. } => May::OPEN,
        }
    }

    fn compare(&self, field: &str, operator: Operator, right: &Right) -> May {
        let values = match right {
            Right::Text(text) => std::slice::from_ref(text),
            Right::List(list) => list.as_slice(),
            Right::Quantified(..) | Right::Operand(_) => return May::OPEN,
        };
        if matches!(field, "evt.type" | "syscall.type") {
            return is(self.event_type.name(), operator, values);
        }
        if field == "fd.num" && !self.fails_with_descriptor() {
            return May::OPEN;
        }
        let fact = self.facts.iter().find(|(known, _)| *known == field).map(|(_, fact)| *fact);
        match fact.or_else(|| (field == "fd.num").then_some(Fact::Negative)) {
            None => May::OPEN,
            Some(Fact::Missing) => May::be(false),
            Some(Fact::Is(value)) => is(value, operator, values),
            Some(Fact::IsNot(value)) => is_not(value, operator, values),
            Some(Fact::Negative) => negative(operator, values),
        }
    }

    /// Whether the call would give a descriptor, had it not failed.
    fn fails_with_descriptor(&self) -> bool {
        let gives = ["open", "openat", "openat2", "creat", "accept", "accept4", "socket", "open_by_handle_at"];
        std::ptr::eq(self.facts, FAILURE) && gives.contains(&self.event_type.name())
    }
}

fn is(value: &str, operator: Operator, values: &[String]) -> May {
    match operator {
        Operator::Equal | Operator::In | Operator::Intersects => May::be(values.iter().any(|other| other == value)),
        Operator::NotEqual => May::be(values.iter().all(|other| other != value)),
        _ => May::OPEN,
    }
}

fn is_not(value: &str, operator: Operator, values: &[String]) -> May {
    let is_only = values.iter().all(|other| other == value);
    match operator {
        Operator::Equal | Operator::In | Operator::Intersects if is_only => May::be(false),
        Operator::NotEqual if is_only => May::be(true),
        _ => May::OPEN,
    }
}

/// A number below zero compared with one that is not.
fn negative(operator: Operator, values: &[String]) -> May {
    let [value] = values else { return May::OPEN };
    let Some(number) = value.parse::<i64>().ok().filter(|number| *number >= 0) else { return May::OPEN };
    match operator {
        Operator::Equal | Operator::Greater | Operator::GreaterOrEqual => May::be(false),
        Operator::NotEqual | Operator::LessOrEqual => May::be(true),
        Operator::Less if number >= 0 => May::be(true),
        _ => May::OPEN,
    }
}

const MAX_DEPTH: usize = 128;

#[cfg(test)]
mod tests {
    use runtime_rules::{LoadOptions, SourceFile};

    use super::*;

    fn set(conditions: &[&str]) -> RuleSet {
        let rule = |(number, condition): (usize, &&str)| {
            format!("- rule: r{number}\n  desc: d\n  condition: {condition}\n  output: x\n  priority: INFO\n")
        };
        let text: String = conditions.iter().enumerate().map(rule).collect();
        let loaded = RuleSet::load(&[SourceFile { name: "x", text: &text }], &LoadOptions::default());
        assert_eq!(loaded.rules.rules().len(), conditions.len(), "{:?}", loaded.faults);
        loaded.rules
    }

    fn needs(conditions: &[&str], call: &str) -> Option<Need> {
        let syscall = syscalls::all().find(|syscall| syscall.name == call).unwrap();
        let flags = flags(&set(conditions), syscall);
        let all = [false, true].into_iter().flat_map(|failures| {
            [false, true].into_iter().flat_map(move |streams| {
                [false, true].into_iter().map(move |payload| Need { failures, streams, payload })
            })
        });
        all.filter(|_| flags != 0).find(|need| syscall.flags(*need) == flags)
    }

    #[test]
    fn only_what_a_rule_can_match_is_asked_for() {
        let udp = "evt.type in (sendto, sendmsg) and fd.l4proto != tcp and fd.connected = false";
        for (conditions, call, expected) in [
            (&["evt.type = openat"][..], "open", None),
            (&["evt.type = openat and fd.name = /x"], "openat", Some((true, false, false))),
            (&["evt.type = openat and fd.num >= 0"], "openat", Some((false, false, false))),
            (&["evt.type = openat and not fd.num < 0"], "openat", Some((false, false, false))),
            (
                &["evt.type = openat and fd.num >= 0", "evt.type = openat and fd.num < 0"],
                "openat",
                Some((true, false, false)),
            ),
            (&["evt.type = openat and (fd.num >= 0 or proc.name = x)"], "openat", Some((true, false, false))),
            (&["evt.type = fchmod and fd.num > 3 and evt.res != SUCCESS"], "fchmod", Some((true, false, false))),
            (&["evt.type = fchmod and evt.res = SUCCESS"], "fchmod", Some((false, false, false))),
            (&["evt.type = setuid and evt.failed = false"], "setuid", Some((false, false, false))),
            (&["evt.type = setuid and evt.rawres = -1"], "setuid", Some((true, false, false))),
            (&["evt.type = setuid and evt.rawres >= 0"], "setuid", Some((false, false, false))),
            (&[udp], "sendto", Some((true, false, false))),
            (&[udp, "evt.type = sendto and fd.sport = 80"], "sendto", Some((true, true, false))),
            (&["evt.type = sendto and not fd.l4proto = udp"], "sendto", Some((true, true, false))),
            (&["evt.type = recvfrom and evt.buffer bcontains cafe"], "recvfrom", Some((true, true, true))),
            (&["proc.name = x"], "openat", Some((true, false, false))),
            (&["proc.name = x"], "futex", None),
            (&["evt.type = futex"], "futex", Some((true, false, false))),
            (&["evt.type = openat"], "chdir", Some((false, false, false))),
        ] {
            let need = needs(conditions, call).map(|need| (need.failures, need.streams, need.payload));
            assert_eq!(need, expected, "{conditions:?} {call}");
        }
    }
}
