//! What rules do once they apply: one file per kind of rule.

pub(crate) mod assertions;
pub(crate) mod extractors;
pub(crate) mod generate;
pub(crate) mod manifests;
pub(crate) mod mutate;
pub(crate) mod pod_security;
pub(crate) mod validate;
pub(crate) mod verify_images;

use crate::outcome::Status;

/// What came of one rule's work.
#[derive(Clone, Debug)]
pub(crate) struct Judgement {
    pub(crate) status: Status,
    pub(crate) message: String,
}

impl Judgement {
    pub(crate) fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub(crate) fn error(step: &str, cause: &impl std::fmt::Display) -> Self {
        Self::new(Status::Error, format!("{step}: {cause}"))
    }
}
