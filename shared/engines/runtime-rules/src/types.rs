//! For which event types a condition can be true: the index of the rules and the interest of the kernel.

use crate::ast::{Condition, Operand, Operator, Right};
use crate::catalogue::FieldId;
use crate::event_type::EventType;

const WORDS: usize = EventType::COUNT.div_ceil(64);

/// A set of event types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventTypes([u64; WORDS]);

impl EventTypes {
    /// No type.
    #[must_use]
    pub fn none() -> Self {
        Self([0; WORDS])
    }

    /// Every type.
    #[must_use]
    pub fn all() -> Self {
        EventType::all().collect()
    }

    /// Whether a type is in the set.
    #[must_use]
    pub fn contains(&self, event_type: EventType) -> bool {
        self.0.get(event_type.index() / 64).is_some_and(|word| word >> (event_type.index() % 64) & 1 == 1)
    }

    /// Adds a type.
    pub fn insert(&mut self, event_type: EventType) {
        if let Some(word) = self.0.get_mut(event_type.index() / 64) {
            *word |= 1 << (event_type.index() % 64);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The types, by name.
    pub fn iter(&self) -> impl Iterator<Item = EventType> + '_ {
        EventType::all().filter(|event_type| self.contains(*event_type))
    }

    /// In both.
    #[must_use]
    pub fn intersect(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= other);
        self
    }

    /// In either.
    #[must_use]
    pub fn unite(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
        self
    }

    /// All but these.
    #[must_use]
    pub fn complement(mut self) -> Self {
        self.0.iter_mut().for_each(|word| *word = !*word);
        self.intersect(&Self::all())
    }

    /// The types for which `condition` (macros expanded) can be true.
    #[must_use]
    pub fn of(condition: &Condition) -> Self {
        Self::judge(condition, false)
    }

    /// `negated` asks for the types for which the condition can be false: `not` is pushed down to the comparisons.
    fn judge(condition: &Condition, negated: bool) -> Self {
        match condition {
            Condition::Not(child) => Self::judge(child, !negated),
            Condition::And(children) | Condition::Or(children) => {
                let sets = children.iter().map(|child| Self::judge(child, negated));
                if matches!(condition, Condition::And(_)) != negated {
                    sets.fold(Self::all(), |a, b| a.intersect(&b))
                } else {
                    sets.fold(Self::none(), |a, b| a.unite(&b))
                }
            }
            Condition::Compare { left: Operand::Field(field), operator, right } => {
                Self::compare(&field.name, *operator, right, negated)
            }
            Condition::Compare { .. } | Condition::Exists(_) | Condition::Macro(_) => Self::all(),
        }
    }

    fn compare(field: &str, operator: Operator, right: &Right, negated: bool) -> Self {
        let names = match right {
            Right::Text(text) => std::slice::from_ref(text),
            Right::List(list) => list.as_slice(),
            Right::Quantified(..) | Right::Operand(_) => return Self::all(),
        };
        // The placeholder of the rules files for "never": events are counted from 1.
        if field == FieldId::EvtNum.name() && operator == Operator::Equal && names == ["0"] {
            return if negated { Self::all() } else { Self::none() };
        }
        if field != FieldId::EvtType.name() && field != FieldId::SyscallType.name() {
            return Self::all();
        }
        let inverted = match operator {
            Operator::Equal | Operator::In | Operator::Intersects => negated,
            Operator::NotEqual => !negated,
            _ => return Self::all(),
        };
        let named: Self = names.iter().filter_map(|name| EventType::named(name)).collect();
        if inverted { named.complement() } else { named }
    }

    /// Whether it holds so many types that a rule would be judged on nearly every event.
    #[must_use]
    pub fn is_broad(&self) -> bool {
        self.len() > 100
    }
}

impl FromIterator<EventType> for EventTypes {
    fn from_iter<T: IntoIterator<Item = EventType>>(types: T) -> Self {
        let mut set = Self::none();
        types.into_iter().for_each(|event_type| set.insert(event_type));
        set
    }
}
