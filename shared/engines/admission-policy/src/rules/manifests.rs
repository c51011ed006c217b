//! `validate.manifests`: who signed the manifest itself, from facts.

use serde_json::Value;

use super::Judgement;
use super::verify_images::{Verified, attested, collect_keys};
use crate::context::Context;
use crate::outcome::Status;
use crate::snapshot::MissingFact;

/// Judges the signatures of the manifest in the request. A rehearsal passes, for nothing is stored.
pub(crate) fn judge(attestors: &[Value], dry_run: bool, context: &mut Context<'_>) -> Judgement {
    if dry_run {
        return Judgement::new(Status::Pass, "allowed because of DryRun request");
    }
    let mut sets = Vec::new();
    for set in attestors {
        match context.substitute(set) {
            Ok(set) => sets.push(set),
            Err(error) => return Judgement::error("error occurred during manifest verification", &error),
        }
    }
    let known = context.snapshot().manifest_signatures.as_ref();
    for (index, set) in sets.iter().enumerate() {
        let verified = attested(set, &format!(".attestors[{index}]"), 0, &|key: &str| {
            known.and_then(|known| known.get(key).copied())
        });
        match verified {
            Verified::Yes => {}
            Verified::No(why) => {
                return Judgement::new(Status::Fail, format!("manifest verification failed; message {why}"));
            }
            Verified::Unknown => {
                let mut keys = Vec::new();
                sets.iter().for_each(|set| collect_keys(set, 0, &mut keys));
                let error = context.note_missing(MissingFact::ManifestSignatures { attestors: keys });
                return Judgement::error("error occurred during manifest verification", &error);
            }
        }
    }
    Judgement::new(Status::Pass, "verified manifest signatures")
}
