//! The stages of an evaluation.

use crate::outcome::RuleKind;
use crate::policy::compiled::Body;

/// The stages of an evaluation, in their order; each sees the object as the one before left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Changes of the object.
    Mutate,
    /// Who signed the images.
    VerifyImages,
    /// Allowed or not.
    Validate,
    /// Further objects, and changes of existing ones: what happens once the request was let in.
    Generate,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 4] = [Self::Mutate, Self::VerifyImages, Self::Validate, Self::Generate];

    /// What its rules do.
    pub(crate) fn rule_kind(self) -> RuleKind {
        match self {
            Self::Mutate => RuleKind::Mutate,
            Self::VerifyImages => RuleKind::VerifyImages,
            Self::Validate => RuleKind::Validate,
            Self::Generate => RuleKind::Generate,
        }
    }

    /// The stage that a rule belongs to.
    pub(crate) fn of(body: &Body) -> Self {
        match body {
            Body::Validate(_) => Self::Validate,
            Body::Mutate(mutate) if mutate.targets.is_empty() => Self::Mutate,
            Body::Mutate(_) | Body::Generate(_) => Self::Generate,
            Body::VerifyImages(_) => Self::VerifyImages,
        }
    }
}

/// What the body of a rule does.
pub(crate) fn kind_of(body: &Body) -> RuleKind {
    match body {
        Body::Validate(_) => RuleKind::Validate,
        Body::Mutate(_) => RuleKind::Mutate,
        Body::Generate(_) => RuleKind::Generate,
        Body::VerifyImages(_) => RuleKind::VerifyImages,
    }
}
