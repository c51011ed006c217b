//! `verifyImages`: who signed the images, from facts. A fact that is not there is an error that names what to verify.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Judgement;
use crate::conditions::Conditions;
use crate::context::{Context, EvaluationError, ExpressionCache, ImageInfo};
use crate::outcome::{Action, Status};
use crate::policy::compile::{Wrong, decode};
use crate::rules::extractors::{self, Extractor};
use crate::snapshot::{ImageTrust, MissingFact, RegistryAccess};
use crate::value::wildcard;

/// Attestor sets may nest this deep.
const MAX_NESTING: usize = 8;

/// The compiled `verifyImages` of a rule.
#[derive(Debug)]
pub(crate) struct VerifyImages {
    entries: Vec<ImageVerification>,
    extractors: Vec<(String, Extractor)>,
    /// What a failure leads to, when the entries say so.
    pub(crate) action: Option<Action>,
}

#[derive(Debug)]
struct ImageVerification {
    references: Vec<String>,
    skip: Vec<String>,
    attestors: Vec<Value>,
    attestations: Vec<Attestation>,
    repository: String,
    /// How registries are asked.
    access: Option<Value>,
    mutate_digest: bool,
    verify_digest: bool,
    required: bool,
}

#[derive(Debug)]
struct Attestation {
    predicate_type: String,
    attestors: Vec<Value>,
    conditions: Option<Conditions>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    image_references: Option<Vec<String>>,
    skip_image_references: Option<Vec<String>>,
    image: Option<String>,
    key: Option<String>,
    subject: Option<String>,
    issuer: Option<String>,
    roots: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    attestors: Option<Vec<Value>>,
    attestations: Option<Vec<RawAttestation>>,
    repository: Option<String>,
    image_registry_credentials: Option<Value>,
    annotations: Option<Value>,
    #[serde(rename = "cosignOCI11")]
    referrers: Option<bool>,
    mutate_digest: Option<bool>,
    verify_digest: Option<bool>,
    required: Option<bool>,
    failure_action: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAttestation {
    #[serde(rename = "type")]
    kind: Option<String>,
    predicate_type: Option<String>,
    attestors: Option<Vec<Value>>,
    conditions: Option<Value>,
}

impl VerifyImages {
    /// Compiles the entries and the rule's image extractors.
    pub(crate) fn compile(raw: &[Value], raw_extractors: Option<&Value>) -> Result<Self, Wrong> {
        let mut entries = Vec::new();
        let mut action = None;
        for one in raw {
            let one: Raw = decode(one).map_err(|(_, what)| Wrong::invalid(what))?;
            action = match one.failure_action.as_deref() {
                Some("Enforce") => Some(Action::Enforce),
                Some("Audit") => action.or(Some(Action::Audit)),
                _ => action,
            };
            entries.push(ImageVerification::compile(one)?);
        }
        Ok(Self { entries, extractors: extractors::compile(raw_extractors)?, action })
    }

    /// Verifies the images of `object`; the object with digests comes along when they were added.
    pub(crate) fn judge(
        &self,
        (object, kind): (&Value, &str),
        context: &mut Context<'_>,
    ) -> (Option<Judgement>, Option<Value>) {
        let images = match extractors::images(&self.extractors, (object, kind), context) {
            Ok(Some(images)) => Arc::new(images),
            Ok(None) => context.images_of(object),
            Err(error) => return (Some(Judgement::error("failed to extract images", &error)), None),
        };
        let mut changed: Option<Value> = None;
        let (mut passed, mut failed) = (Vec::new(), Vec::new());
        let named: Vec<(&ImageInfo, String)> = images.iter().map(|image| (image, image.reference())).collect();
        for entry in &self.entries {
            for (image, _) in named.iter().filter(|(image, reference)| entry.is_about(image, reference)) {
                match entry.verify(image, context) {
                    Ok((message, digest)) => {
                        passed.extend(message);
                        if entry.adds_digest(image, &digest) {
                            add_digest(changed.get_or_insert_with(|| object.clone()), image, &digest);
                        }
                        if entry.verify_digest && digest.is_empty() && image.digest.is_empty() {
                            failed.push((Status::Fail, format!("missing digest for {}", image.reference())));
                        }
                    }
                    Err(failure) => failed.push(failure),
                }
            }
        }
        let judgement = match (failed.is_empty(), passed.is_empty()) {
            (true, true) => None,
            (true, false) => Some(Judgement::new(Status::Pass, passed.join("; "))),
            (false, _) => {
                let error = failed.iter().all(|(status, _)| *status == Status::Error);
                let texts: Vec<String> = failed.into_iter().map(|(_, text)| text).collect();
                Some(Judgement::new(if error { Status::Error } else { Status::Fail }, texts.join("; ")))
            }
        };
        (judgement, changed.filter(|changed| changed != object))
    }
}

impl ImageVerification {
    fn compile(raw: Raw) -> Result<Self, Wrong> {
        let mut references = raw.image_references.unwrap_or_default();
        references.extend(raw.image);
        if references.is_empty() {
            return Err(Wrong::invalid("verifyImages needs `imageReferences`").cure("say which images are meant"));
        }
        let mut attestors = raw.attestors.unwrap_or_default();
        attestors.extend(old_attestor(raw.key, raw.subject, (raw.issuer, raw.roots)));
        // Who verifies has to know what kind of signatures it is about.
        let kind = raw.kind.filter(|kind| !kind.is_empty() && kind != "Cosign").map(Value::String);
        let referrers = raw.referrers.filter(|is_so| *is_so).map(Value::Bool);
        let said = [("type", kind), ("cosignOCI11", referrers), ("annotations", raw.annotations)];
        let told = |mut sets: Vec<Value>| {
            for (field, value) in said.iter().filter_map(|(field, value)| Some((*field, value.as_ref()?))) {
                sets.iter_mut().for_each(|set| tell(set, (field, value), 0));
            }
            sets
        };
        let attestors = told(attestors);
        let attestation = |raw: RawAttestation| {
            let conditions = raw
                .conditions
                .as_ref()
                .map(|raw| Conditions::compile(raw, &mut ExpressionCache::default()))
                .transpose()
                .map_err(Wrong::invalid)?;
            Ok(Attestation {
                predicate_type: raw.kind.or(raw.predicate_type).unwrap_or_default(),
                attestors: told(raw.attestors.unwrap_or_default()),
                conditions,
            })
        };
        Ok(Self {
            references,
            skip: raw.skip_image_references.unwrap_or_default(),
            attestors,
            attestations: raw
                .attestations
                .unwrap_or_default()
                .into_iter()
                .map(attestation)
                .collect::<Result<_, Wrong>>()?,
            repository: raw.repository.unwrap_or_default(),
            access: raw.image_registry_credentials,
            mutate_digest: raw.mutate_digest.unwrap_or(true),
            verify_digest: raw.verify_digest.unwrap_or(true),
            required: raw.required.unwrap_or(true),
        })
    }

    fn is_about(&self, image: &ImageInfo, reference: &str) -> bool {
        let fits = |patterns: &[String]| {
            let one_of = |text: &str| patterns.iter().any(|pattern| wildcard::matches(pattern, text));
            // Without a digest, both references are the same.
            one_of(reference) || (!image.digest.is_empty() && one_of(&image.reference_with_tag()))
        };
        fits(&self.references) && !fits(&self.skip)
    }

    /// The message and digest of a verified image, or why it is not.
    fn verify(
        &self,
        image: &ImageInfo,
        context: &mut Context<'_>,
    ) -> Result<(Option<String>, String), (Status, String)> {
        let reference = image.reference();
        let needs_digest = self.mutate_digest && image.digest.is_empty();
        if self.attestors.is_empty() && self.attestations.is_empty() && !needs_digest {
            return self.without_attestors(image);
        }
        let refused = |what: String| (Status::Fail, format!("failed to verify image {reference}: {what}"));
        let unknown = |error: EvaluationError| (Status::Error, format!("failed to verify image {reference}: {error}"));
        let Some(trust) = context.snapshot().image_trust.get(&reference) else {
            return Err(unknown(self.missing(&reference, context)));
        };
        for (index, set) in self.attestors.iter().enumerate() {
            let set = context.substitute(set).map_err(unknown)?;
            let path = format!(".attestors[{index}]");
            let known = |key: &str| trust.signatures.get(key).copied();
            match attested(&set, &path, 0, &known) {
                Verified::Yes => {}
                Verified::No(what) if self.required => return Err(refused(what)),
                Verified::No(_) => return Ok((None, image.digest.clone())),
                Verified::Unknown => return Err(unknown(self.unknown((&reference, trust, &set), context))),
            }
        }
        for (index, attestation) in self.attestations.iter().enumerate() {
            self.attestation(attestation, (index, image, trust), context)?;
        }
        let kind = if self.attestations.is_empty() { "signatures" } else { "attestations" };
        let verified = !(self.attestors.is_empty() && self.attestations.is_empty());
        let message =
            if verified { format!("verified image {kind} for {reference}") } else { "mutated image digest".to_owned() };
        Ok((Some(message), trust.digest.clone()))
    }

    /// With nobody to sign, an image has its digest or not, and one that has to be verified never is.
    fn without_attestors(&self, image: &ImageInfo) -> Result<(Option<String>, String), (Status, String)> {
        let has_digest = !(self.verify_digest && image.digest.is_empty());
        match (has_digest, self.required) {
            (true, true) => Err((Status::Fail, format!("unverified image {}", image.reference()))),
            (true, false) if self.verify_digest => Ok((Some("image verified".to_owned()), image.digest.clone())),
            // That the digest is missing is told by who asked.
            _ => Ok((None, image.digest.clone())),
        }
    }

    fn attestation(
        &self,
        attestation: &Attestation,
        (index, image, trust): (usize, &ImageInfo, &ImageTrust),
        context: &mut Context<'_>,
    ) -> Result<(), (Status, String)> {
        let (path, reference) = (format!(".attestations[{index}]"), image.reference());
        let failed = |status: Status, what: &str| (status, format!("{path}: {what}"));
        let Some(known) = &trust.attestations else {
            let error = self.missing(&reference, context);
            return Err(failed(Status::Error, &error.message));
        };
        let wanted = known.iter().filter(|one| one.predicate_type == attestation.predicate_type);
        let mut reason = format!("no matching attestation of type {} for {reference}", attestation.predicate_type);
        for one in wanted {
            let mut signed = true;
            for (number, set) in attestation.attestors.iter().enumerate() {
                let set = context.substitute(set).map_err(|error| failed(Status::Error, &error.message))?;
                let verified =
                    attested(&set, &format!(".attestors[{number}]"), 0, &|key: &str| one.signatures.get(key).copied());
                match &verified {
                    Verified::Yes => {}
                    Verified::No(what) => reason.clone_from(what),
                    Verified::Unknown => {
                        let error = self.unknown((&reference, trust, &set), context);
                        return Err(failed(Status::Error, &error.message));
                    }
                }
                signed &= matches!(verified, Verified::Yes);
            }
            if !signed {
                continue;
            }
            let Some(conditions) = &attestation.conditions else { return Ok(()) };
            let mark = context.mark();
            for (key, value) in one.predicate.as_object().into_iter().flatten() {
                context.set(key, value.clone());
            }
            context.set("image", Value::from(reference.as_str()));
            let held = conditions.evaluate(context);
            context.restore(mark);
            match held {
                Ok((true, _)) => return Ok(()),
                Ok((false, message)) => {
                    let kind = &attestation.predicate_type;
                    reason = format!("attestation checks failed for {reference} and predicate {kind}: {message}");
                }
                Err(error) => return Err(failed(Status::Error, &error.message)),
            }
        }
        Err(failed(Status::Fail, &reason))
    }

    /// Why an attestor set is not judged: it cannot be verified, or nobody has looked yet.
    fn unknown(&self, (image, trust, set): (&str, &ImageTrust, &Value), context: &mut Context<'_>) -> EvaluationError {
        let mut keys = Vec::new();
        collect_keys(set, 0, &mut keys);
        match trust.why_not(&keys) {
            Some(why) => EvaluationError::new(why),
            None => self.missing(image, context),
        }
    }

    /// Notes what has to be verified for the fact to be there.
    fn missing(&self, image: &str, context: &mut Context<'_>) -> EvaluationError {
        let mut keys = Vec::new();
        let inside = self.attestations.iter().flat_map(|attestation| &attestation.attestors);
        for set in self.attestors.iter().chain(inside) {
            let set = context.substitute(set).unwrap_or_else(|_| set.clone());
            collect_keys(&set, 0, &mut keys);
        }
        let attestations = self.attestations.iter().map(|one| one.predicate_type.clone()).collect();
        let access = self.access.as_ref().map(|raw| context.substitute(raw).unwrap_or_else(|_| raw.clone()));
        context.note_missing(MissingFact::ImageTrust {
            image: image.to_owned(),
            repository: self.repository.clone(),
            attestors: keys,
            attestations,
            access: RegistryAccess::of(access.as_ref()),
        })
    }

    fn adds_digest(&self, image: &ImageInfo, digest: &str) -> bool {
        self.mutate_digest && !digest.is_empty() && image.digest.is_empty()
    }
}

fn add_digest(object: &mut Value, image: &ImageInfo, digest: &str) {
    if let Some(place) = object.pointer_mut(&image.pointer) {
        *place = Value::String(format!("{}@{digest}", image.reference_with_tag()));
    }
}

/// Whether an attestor set signed.
enum Verified {
    Yes,
    /// Why not.
    No(String),
    /// Some attestor has not been looked at.
    Unknown,
}

/// Whether enough entries of an attestor set signed.
fn attested(set: &Value, path: &str, depth: usize, known: &dyn Fn(&str) -> Option<bool>) -> Verified {
    let entries: Vec<Value> =
        set.get("entries").and_then(Value::as_array).into_iter().flatten().flat_map(expand).collect();
    let required =
        set.get("count").and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok()).unwrap_or(entries.len());
    let (mut count, mut reasons, mut unknown) = (0, Vec::new(), false);
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("{path}.entries[{index}]");
        let nested = entry.get("attestor").filter(|nested| nested.is_object());
        let verified = match nested {
            Some(nested) if depth < MAX_NESTING => attested(nested, &format!("{path}.attestor"), depth + 1, known),
            _ => match known(&attestor_key(entry)) {
                Some(true) => Verified::Yes,
                Some(false) => Verified::No(format!("{path}{}: no matching signatures", kind_of(entry))),
                None => Verified::Unknown,
            },
        };
        match verified {
            Verified::Yes => count += 1,
            Verified::No(reason) => reasons.push(reason),
            Verified::Unknown => unknown = true,
        }
    }
    match (count >= required && required > 0, unknown) {
        (true, _) => Verified::Yes,
        (false, true) => Verified::Unknown,
        (false, false) => Verified::No(reasons.join("; ")),
    }
}

/// Several PEM keys in one entry are one entry each.
pub(super) fn expand(entry: &Value) -> Vec<Value> {
    const END: &str = "-----END PUBLIC KEY-----";
    let keys = entry.pointer("/keys/publicKeys").and_then(Value::as_str).unwrap_or_default();
    if keys.matches(END).count() < 2 {
        return vec![entry.clone()];
    }
    let one = |key: &str| {
        let mut entry = entry.clone();
        if let Some(place) = entry.pointer_mut("/keys/publicKeys") {
            *place = Value::String(format!("{}{END}", key.trim_start()));
        }
        entry
    };
    keys.split_inclusive(END).filter(|key| key.contains(END)).map(|key| one(key.trim_end_matches(END))).collect()
}

/// Says in every entry of an attestor set what the rule says of all, unless the entry says it itself.
fn tell(set: &mut Value, (field, value): (&str, &Value), depth: usize) {
    for entry in set.get_mut("entries").and_then(Value::as_array_mut).into_iter().flatten() {
        match entry.get_mut("attestor").filter(|nested| nested.is_object()) {
            Some(nested) if depth < MAX_NESTING => tell(nested, (field, value), depth + 1),
            _ => {
                if let Some(fields) = entry.as_object_mut() {
                    fields.entry(field).or_insert_with(|| value.clone());
                }
            }
        }
    }
}

pub(super) fn kind_of(entry: &Value) -> &'static str {
    if entry.get("keys").is_some() {
        ".keys"
    } else if entry.get("certificates").is_some() {
        ".certificates"
    } else if entry.get("keyless").is_some() {
        ".keyless"
    } else {
        ""
    }
}

/// The keys of every attestor in a set.
fn collect_keys(set: &Value, depth: usize, keys: &mut Vec<String>) {
    for entry in set.get("entries").and_then(Value::as_array).into_iter().flatten().flat_map(expand) {
        match entry.get("attestor").filter(|nested| nested.is_object()) {
            Some(nested) if depth < MAX_NESTING => collect_keys(nested, depth + 1, keys),
            _ => keys.push(attestor_key(&entry)),
        }
    }
}

/// The name under which a snapshot knows an attestor: its entry in `attestors[].entries` as JSON with sorted keys, variables
/// replaced.
#[must_use]
pub fn attestor_key(entry: &Value) -> String {
    sorted(entry).to_string()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut pairs: Vec<(&String, &Value)> = fields.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            Value::Object(pairs.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// The fields `key`, `subject`, `issuer`, `roots` of older policies as an attestor set.
fn old_attestor(
    key: Option<String>,
    subject: Option<String>,
    (issuer, roots): (Option<String>, Option<String>),
) -> Option<Value> {
    let set = |value: Option<String>| value.filter(|value| !value.is_empty()).map(Value::String);
    let mut fields = Map::new();
    let kind = if let Some(key) = set(key) {
        fields.insert("publicKeys".to_owned(), key);
        "keys"
    } else {
        for (name, value) in [("subject", set(subject)), ("issuer", set(issuer)), ("roots", set(roots))] {
            if let Some(value) = value {
                fields.insert(name.to_owned(), value);
            }
        }
        "keyless"
    };
    if fields.is_empty() {
        return None;
    }
    let mut entry = Map::new();
    entry.insert(kind.to_owned(), Value::Object(fields));
    let mut set = Map::new();
    set.insert("entries".to_owned(), Value::Array(vec![Value::Object(entry)]));
    Some(Value::Object(set))
}
