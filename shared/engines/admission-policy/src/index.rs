//! Which rules can be about a kind, by stage: a review looks at no others.

use std::collections::HashMap;

use crate::evaluate::Stage;
use crate::policy::compiled::Policy;

/// A rule by the number of its policy in the set and its own in the policy.
pub(crate) type RuleAt = (usize, usize);

/// The rules of a set, each list in the order of the policies.
#[derive(Debug, Default)]
pub(crate) struct Index {
    by_kind: HashMap<String, ByStage>,
    /// Rules that may be about any kind.
    any_kind: ByStage,
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
        for (number, policy) in policies.iter().enumerate() {
            for (place, rule) in policy.rules.iter().enumerate() {
                let stage = Stage::of(&rule.body);
                match rule.matches.kinds() {
                    Some(kinds) => {
                        for kind in kinds {
                            index.by_kind.entry(kind.to_owned()).or_default().add(stage, (number, place));
                        }
                    }
                    None => index.any_kind.add(stage, (number, place)),
                }
            }
        }
        index
    }

    /// The rules of a stage that can be about `kind`, in the order of the policies and of their rules.
    pub(crate) fn of<'i>(&'i self, kind: &str, stage: Stage) -> impl Iterator<Item = RuleAt> + use<'i> {
        let mut known = self.by_kind.get(kind).map(|known| known.list(stage)).unwrap_or_default().iter().peekable();
        let mut others = self.any_kind.list(stage).iter().peekable();
        std::iter::from_fn(move || match (known.peek(), others.peek()) {
            (Some(one), Some(other)) if one > other => others.next().copied(),
            (Some(_), _) => known.next().copied(),
            (None, _) => others.next().copied(),
        })
    }
}
