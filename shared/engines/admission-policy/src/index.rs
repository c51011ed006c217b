//! Which rules can be about a kind, by stage: a review looks at no others.

use std::collections::HashMap;

use crate::policy::compiled::Policy;
use crate::stage::Stage;

/// A rule of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RuleAt {
    /// The number of its policy in the set.
    pub(crate) policy: usize,
    /// Its own number in the policy.
    pub(crate) rule: usize,
    /// The number of what it is about: rules that have it in common are about the same requests.
    pub(crate) scope: usize,
}

/// The rules of a set, each list in the order of the policies.
#[derive(Debug, Default)]
pub(crate) struct Index {
    by_kind: HashMap<String, ByStage>,
    /// Rules that may be about any kind.
    any_kind: ByStage,
    /// Every rule.
    every: ByStage,
    /// How many different scopes the rules have.
    pub(crate) scopes: usize,
}

#[derive(Debug, Default)]
struct ByStage {
    mutate: Vec<RuleAt>,
    verify_images: Vec<RuleAt>,
    validate: Vec<RuleAt>,
    generate: Vec<RuleAt>,
}

impl ByStage {
    fn list(&self, stage: Stage) -> &[RuleAt] {
        match stage {
            Stage::Mutate => &self.mutate,
            Stage::VerifyImages => &self.verify_images,
            Stage::Validate => &self.validate,
            Stage::Generate => &self.generate,
        }
    }

    fn add(&mut self, stage: Stage, at: RuleAt) {
        let list = match stage {
            Stage::Mutate => &mut self.mutate,
            Stage::VerifyImages => &mut self.verify_images,
            Stage::Validate => &mut self.validate,
            Stage::Generate => &mut self.generate,
        };
        if list.last() != Some(&at) {
            list.push(at);
        }
    }
}

impl Index {
    /// Indexes the rules of policies.
    pub(crate) fn build(policies: &[Policy]) -> Self {
        let mut index = Self::default();
        let mut scopes = HashMap::new();
        for (policy, own) in policies.iter().enumerate() {
            for (rule, one) in own.rules.iter().enumerate() {
                let next = scopes.len();
                let scope = *scopes.entry((&own.reference.namespace, &one.matches, &one.exclude)).or_insert(next);
                let (stage, at) = (Stage::of(&one.body), RuleAt { policy, rule, scope });
                index.every.add(stage, at);
                match one.matches.kinds() {
                    Some(kinds) => {
                        for kind in kinds {
                            index.by_kind.entry(kind.to_owned()).or_default().add(stage, at);
                        }
                    }
                    None => index.any_kind.add(stage, at),
                }
            }
        }
        index.scopes = scopes.len();
        index
    }

    /// The rules of a stage that can be about a kind, or every rule where none is given, in the order of the policies and of
    /// their rules.
    pub(crate) fn of<'i>(&'i self, kind: Option<&str>, stage: Stage) -> impl Iterator<Item = RuleAt> + use<'i> {
        let (known, others) = match kind {
            Some(kind) => (self.by_kind.get(kind), &self.any_kind),
            None => (None, &self.every),
        };
        let mut known = known.map(|known| known.list(stage)).unwrap_or_default().iter().peekable();
        let mut others = others.list(stage).iter().peekable();
        std::iter::from_fn(move || match (known.peek(), others.peek()) {
            (Some(one), Some(other)) if one > other => others.next().copied(),
            (Some(_), _) => known.next().copied(),
            (None, _) => others.next().copied(),
        })
    }
}
