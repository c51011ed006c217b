//! ImageValidatingPolicy: images get their digests first, then expressions judge them, and in the end every image must have
//! passed a check of signatures by some policy of the request.

use std::collections::BTreeMap;

use cel::{EvalError, Val};

use super::exception::CelException;
use super::images::metadata_of;
use super::judge::{Answer, Input, excused, failed, work};
use super::lookup;
use super::policy::{CelPolicy, CelRule};
use super::scope::{Given, Scope};
use crate::outcome::{RuleVerdict, Status};
use crate::snapshot::MissingFact;

/// What a policy found out about images.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// Images whose signatures were checked, and whether one check was passed.
    images: BTreeMap<String, bool>,
    /// Images that must have passed one, by whatever policy.
    required: Vec<String>,
}

/// What all policies of a request found out about images.
#[derive(Debug, Default)]
pub(crate) struct Required {
    images: BTreeMap<String, bool>,
    /// Verdicts by their place, and the images that they stand for.
    pending: Vec<(usize, Vec<String>)>,
}

impl Required {
    /// Takes in what one policy found out, whose verdict is to stand at this place, if there is to be one.
    pub(crate) fn note(&mut self, checked: Checked, verdict: Option<usize>) {
        for (image, is_verified) in checked.images {
            *self.images.entry(image).or_default() |= is_verified;
        }
        if let Some(at) = verdict.filter(|_| !checked.required.is_empty()) {
            self.pending.push((at, checked.required));
        }
    }

    /// Whether an image still lacks a check that was passed.
    pub(crate) fn is_open(&self) -> bool {
        self.pending.iter().flat_map(|(_, images)| images).any(|image| !self.is_verified(image))
    }

    fn is_verified(&self, image: &str) -> bool {
        self.images.get(image).copied().unwrap_or(false)
    }

    /// Fails the verdicts that stand for an image which no policy verified.
    pub(crate) fn settle(&mut self, verdicts: &mut [RuleVerdict]) {
        for (at, images) in std::mem::take(&mut self.pending) {
            let lacking = images.iter().find(|image| !self.is_verified(image));
            if let (Some(image), Some(verdict)) = (lacking, verdicts.get_mut(at)) {
                verdict.status = Status::Fail;
                verdict.message = match self.images.contains_key(image) {
                    true => format!("image {image} failed signature or attestation verification"),
                    false => format!(
                        "image {image} is not verified: no policy performed a signature or attestation check on it"
                    ),
                };
            }
        }
    }
}

/// Judges the images of a request.
pub(super) fn verify<'a>(
    policy: &'a CelPolicy,
    (rule, exceptions): (&'a CelRule, &'a [CelException]),
    scope: &Scope<'a>,
    input: &Input<'_>,
) -> Answer {
    let Some(images) = &rule.verification else { return Answer::default() };
    let (pinned, unknown) = match images.pin(scope) {
        Ok(found) => found,
        Err(error) => return failed("failed to update digest", &error),
    };
    // `kyverno test` gives no image its digest.
    if let Some(image) = unknown.filter(|_| !scope.given().snapshot.is_all_there_is()) {
        return undecided(policy, rule, (scope, image), input);
    }
    let Some(object) = &pinned else { return judge(policy, rule, scope, input) };
    let answer = judge_pinned(policy, (rule, exceptions), Given { object, ..*scope.given() }, input);
    Answer { patched: pinned, ..answer }
}

/// Judges with the images as they will be.
fn judge_pinned(
    policy: &CelPolicy,
    (rule, exceptions): (&CelRule, &[CelException]),
    given: Given<'_>,
    input: &Input<'_>,
) -> Answer {
    let scope = Scope::new(given, rule);
    let mut answer = match excused(policy, &scope, exceptions) {
        Ok(_) => judge(policy, rule, &scope, input),
        Err(error) => failed("failed to load context", &error),
    };
    answer.missing = scope.take_missing();
    answer
}

/// Asks for the digest of an image, unless an expression asks for its signatures, with which it comes.
fn undecided<'a>(
    policy: &'a CelPolicy,
    rule: &'a CelRule,
    (scope, image): (&Scope<'a>, String),
    input: &Input<'_>,
) -> Answer {
    let answer = work(policy, rule, scope, input);
    let mut missing = scope.take_missing();
    let is_told = |fact: &MissingFact| matches!(fact, MissingFact::ImageTrust { image: about, .. } if *about == image);
    let asks = !missing.is_empty();
    if !missing.iter().any(is_told) {
        missing.push(metadata_of(scope, &image));
    }
    if answer.status == Some(Status::Fail) && !asks {
        return Answer { rule: policy.reference.name.clone(), missing, ..answer };
    }
    let error = EvalError::refused(format!("the digest of image {image} is not known"));
    Answer { missing, ..failed("failed to update digest", &error) }
}

fn judge<'a>(policy: &'a CelPolicy, rule: &'a CelRule, scope: &Scope<'a>, input: &Input<'_>) -> Answer {
    let Some(policy_images) = &rule.verification else { return Answer::default() };
    let images = match meant(scope) {
        Ok(images) => images,
        Err(error) => return failed("failed to extract images", &error),
    };
    let name = policy.reference.name.clone();
    if let Some(image) = policy_images.unpinned(&images) {
        let message = format!("image {image} does not have a digest");
        return Answer { rule: name, status: Some(Status::Fail), message, ..Answer::default() };
    }
    let mut answer = work(policy, rule, scope, input);
    if answer.status != Some(Status::Error) {
        answer.rule = name;
    }
    let required = if policy_images.required && answer.status == Some(Status::Pass) { images } else { Vec::new() };
    Answer { checked: Checked { images: scope.take_checked(), required }, ..answer }
}

/// The images that the policy is about.
fn meant(scope: &Scope<'_>) -> Result<Vec<String>, EvalError> {
    let Val::Map(images) = lookup::images(scope)? else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for (_, list) in images.entries() {
        if let Val::List(list) = list {
            all.extend(list.iter().filter_map(|image| image.as_str().map(str::to_owned)));
        }
    }
    Ok(all)
}
