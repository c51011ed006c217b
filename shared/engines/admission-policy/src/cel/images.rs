//! ImageValidatingPolicy: which images are meant, and what is known about who signed them.
//!
//! Attestors are put into the form of `verifyImages` rules, so that one adapter gathers the facts for both.

use cel::{EvalError, Program, Val};
use serde_json::{Map, Value, json};

use super::scope::Scope;
use crate::context::{ImageInfo, extract_images};
use crate::rules::verify_images::attestor_key;
use crate::snapshot::{ImageTrust, MissingFact, RegistryAccess};
use crate::value::wildcard;

/// The image part of a policy.
#[derive(Debug)]
pub(crate) struct ImagePolicy {
    pub(super) references: Vec<ImageMatch>,
    /// Attestors by name, as expressions see them.
    pub(super) attestors: Value,
    /// Attestations by name.
    pub(super) attestations: Value,
    /// How registries are asked.
    pub(super) access: RegistryAccess,
    mutate_digest: bool,
    verify_digest: bool,
    /// An image must have passed a check of its signatures, or those of an attestation, by whatever policy.
    pub(super) required: bool,
}

/// A pattern for references.
#[derive(Debug)]
pub(crate) enum ImageMatch {
    Glob(String),
    Expression(Program),
}

impl ImagePolicy {
    /// Compiles the image part; `program` compiles an expression below a pointer.
    pub(super) fn compile(
        spec: &Value,
        program: impl Fn(&str, String) -> Result<Program, (String, String)>,
    ) -> Result<Self, (String, String)> {
        let items = |key: &str| spec.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let mut references = Vec::new();
        for (index, one) in items("matchImageReferences").iter().enumerate() {
            let pointer = format!("/matchImageReferences/{index}");
            references.push(match (text(one, "glob"), text(one, "expression")) {
                (Some(glob), None) => ImageMatch::Glob(glob),
                (None, Some(expression)) => ImageMatch::Expression(program(&expression, pointer)?),
                _ => return Err((pointer, "an image reference needs either `glob` or `expression`".to_owned())),
            });
        }
        let by_name = |key: &str| {
            let named = |one: &Value| Some((text(one, "name")?, one.clone()));
            Value::Object(items(key).iter().filter_map(named).collect::<Map<_, _>>())
        };
        let flag = |name: &str| {
            spec.pointer(&format!("/validationConfigurations/{name}")).and_then(Value::as_bool).unwrap_or(true)
        };
        Ok(Self {
            references,
            attestors: by_name("attestors"),
            attestations: by_name("attestations"),
            access: RegistryAccess::of(spec.get("credentials")),
            mutate_digest: flag("mutateDigest"),
            verify_digest: flag("verifyDigest"),
            required: flag("required"),
        })
    }

    /// Whether the policy is about an image; one without patterns is about all.
    pub(super) fn is_about<'a>(&'a self, reference: &str, scope: &Scope<'a>) -> Result<bool, EvalError> {
        if self.references.is_empty() {
            return Ok(true);
        }
        let parsed = ImageInfo::parse(reference);
        for pattern in &self.references {
            let fits = match pattern {
                ImageMatch::Glob(glob) => {
                    let tagged = parsed.as_ref().map(ImageInfo::reference_with_tag).unwrap_or_default();
                    let full = parsed.as_ref().map(ImageInfo::reference).unwrap_or_default();
                    [reference, &tagged, &full].iter().any(|one| wildcard::matches(glob, one))
                }
                ImageMatch::Expression(program) => scope.with_reference(reference, program)?,
            };
            if fits {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The object with the digests of the images that the policy is about, as far as they are known, and the first image whose
    /// digest is not.
    pub(super) fn pin<'a>(&'a self, scope: &Scope<'a>) -> Result<(Option<Value>, Option<String>), EvalError> {
        let given = scope.given();
        if !self.mutate_digest || !given.object.is_object() {
            return Ok((None, None));
        }
        let kind = given.object.get("kind").and_then(Value::as_str).unwrap_or_default();
        let (mut changed, mut unknown) = (None, None);
        for image in extract_images(given.object, kind) {
            if !image.digest.is_empty() || !self.is_about(&image.reference(), scope)? {
                continue;
            }
            let Some(digest) = digest_of(scope, &image.reference()) else {
                unknown = unknown.or_else(|| Some(image.reference()));
                continue;
            };
            if let Some(place) = changed.get_or_insert_with(|| given.object.clone()).pointer_mut(&image.pointer) {
                *place = Value::String(format!("{}@{digest}", image.reference_with_tag()));
            }
        }
        Ok((changed, unknown))
    }

    /// The first image without a digest, where the policy wants one.
    pub(super) fn unpinned<'i>(&self, images: &'i [String]) -> Option<&'i String> {
        images
            .iter()
            .find(|image| self.verify_digest && ImageInfo::parse(image).is_none_or(|one| one.digest.is_empty()))
    }
}

/// The digest of an image, from what is known of its signatures or of itself.
fn digest_of(scope: &Scope<'_>, reference: &str) -> Option<String> {
    let trusted = trust_of(scope, reference).map(|trust| trust.digest.clone()).filter(|digest| !digest.is_empty());
    let metadata = || scope.given().snapshot.image_metadata.get(reference)?.get("digest")?.as_str().map(str::to_owned);
    trusted.or_else(metadata)
}

fn trust_of<'a>(scope: &Scope<'a>, image: &str) -> Option<&'a ImageTrust> {
    let known = &scope.given().snapshot.image_trust;
    if let Some(trust) = known.get(image) {
        return Some(trust);
    }
    let parsed = ImageInfo::parse(image)?;
    // What was found out under a tag is about the digest that the tag led to.
    let by_tag = || known.get(&parsed.reference_with_tag()).filter(|trust| trust.digest == parsed.digest);
    known.get(&parsed.reference()).or_else(by_tag)
}

/// Calls a function of the image library; `None` when there is none of this name for these values.
pub(super) fn call<'a>(scope: &Scope<'a>, name: &str, arguments: &[Val<'a>]) -> Option<Result<Val<'a>, EvalError>> {
    match (name, arguments) {
        ("verifyImageSignatures", [Val::Text(image), attestors @ Val::List(_)]) => {
            Some(attestors.to_json().and_then(|attestors| signatures(scope, image.as_str(), &attestors)))
        }
        ("verifyAttestationSignatures", [Val::Text(image), attestation, attestors @ Val::List(_)]) => {
            let both = || Ok((attestation.to_json()?, attestors.to_json()?));
            Some(both().and_then(|(attestation, attestors)| attested(scope, image.as_str(), &attestation, &attestors)))
        }
        ("extractPayload", [Val::Text(image), attestation]) => {
            Some(attestation.to_json().and_then(|attestation| payload(scope, image.as_str(), &attestation)))
        }
        ("getImageData", [Val::Text(image)]) => Some(match scope.given().snapshot.image_metadata.get(image.as_str()) {
            Some(known) => Ok(Val::from_json(known)),
            None => Err(scope.note_missing(name, metadata_of(scope, image.as_str()))),
        }),
        _ => None,
    }
}

/// The metadata of an image as a fact that is missing.
pub(super) fn metadata_of(scope: &Scope<'_>, image: &str) -> MissingFact {
    MissingFact::ImageMetadata { image: image.to_owned(), access: access_of(scope) }
}

fn access_of(scope: &Scope<'_>) -> RegistryAccess {
    scope.rule().verification.as_ref().map(|policy| policy.access.clone()).unwrap_or_default()
}

/// How many of the attestors signed; the fact must be known for each.
fn signatures<'a>(scope: &Scope<'a>, image: &str, attestors: &Value) -> Result<Val<'a>, EvalError> {
    if !is_meant(scope, image)? {
        return Ok(Val::Int(0));
    }
    let trust = trust_of(scope, image);
    let verified = count(attestors, |key| trust.and_then(|trust| trust.signatures.get(key).copied()));
    let verified = verified.ok_or_else(|| unknown(scope, "verifyImageSignatures", image, (attestors, None)))?;
    Ok(recorded(scope, image, attestors, verified))
}

/// Whether the policy whose expression asks is about the image.
fn is_meant<'a>(scope: &Scope<'a>, image: &str) -> Result<bool, EvalError> {
    scope.rule().verification.as_ref().map_or(Ok(true), |policy| policy.is_about(image, scope))
}

/// Remembers that an image was checked, whatever the expression makes of it.
fn recorded<'a>(scope: &Scope<'a>, image: &str, attestors: &Value, verified: i64) -> Val<'a> {
    if attestors.as_array().is_some_and(|list| !list.is_empty()) {
        scope.note_checked(image, verified > 0);
    }
    Val::Int(verified)
}

fn attested<'a>(scope: &Scope<'a>, image: &str, attestation: &Value, attestors: &Value) -> Result<Val<'a>, EvalError> {
    if !is_meant(scope, image)? {
        return Ok(Val::Int(0));
    }
    let kind = predicate_type(attestation);
    let unknown = || unknown(scope, "verifyAttestationSignatures", image, (attestors, Some(&kind)));
    let known = trust_of(scope, image).and_then(|trust| trust.attestations.as_ref()).ok_or_else(unknown)?;
    let mine: Vec<_> = known.iter().filter(|one| one.predicate_type == kind).collect();
    if mine.is_empty() {
        return Err(EvalError::refused(format!("no attestation of type {kind} for {image}")));
    }
    let signed = |key: &str| {
        let mut facts = mine.iter().map(|one| one.signatures.get(key).copied());
        facts.try_fold(false, |found, fact| if found { Some(true) } else { fact })
    };
    let verified = count(attestors, signed).ok_or_else(unknown)?;
    Ok(recorded(scope, image, attestors, verified))
}

fn payload<'a>(scope: &Scope<'a>, image: &str, attestation: &Value) -> Result<Val<'a>, EvalError> {
    let kind = predicate_type(attestation);
    let known = trust_of(scope, image).and_then(|trust| trust.attestations.as_ref());
    let known = known.ok_or_else(|| missing(scope, "extractPayload", image, (&Value::Null, Some(&kind))))?;
    match known.iter().find(|one| one.predicate_type == kind) {
        // The statement around the predicate, as far as policies look at it.
        Some(one) => Ok(Val::from_owned_json(json!({"predicateType": one.predicate_type, "predicate": one.predicate}))),
        None => Err(EvalError::refused(format!("no attestation of type {kind} for {image}"))),
    }
}

fn predicate_type(attestation: &Value) -> String {
    let text = |pointer: &str| attestation.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    text("/intoto/type").or_else(|| text("/referrer/type")).unwrap_or_default()
}

/// How many attestors signed; `None` when that is not known of one that might have.
fn count(attestors: &Value, known: impl Fn(&str) -> Option<bool>) -> Option<i64> {
    let mut signed = 0;
    for attestor in attestors.as_array().into_iter().flatten() {
        let facts: Vec<Option<bool>> = entries(attestor).iter().map(|entry| known(&attestor_key(entry))).collect();
        if facts.contains(&Some(true)) {
            signed += 1;
        } else if facts.contains(&None) {
            return None;
        }
    }
    Some(signed)
}

/// Why attestors are not judged: one cannot be verified, or nobody has looked yet.
fn unknown(
    scope: &Scope<'_>,
    function: &str,
    image: &str,
    (attestors, attestation): (&Value, Option<&str>),
) -> EvalError {
    let list = attestors.as_array().map(Vec::as_slice).unwrap_or_default();
    let keys: Vec<String> = list.iter().flat_map(entries).map(|entry| attestor_key(&entry)).collect();
    match trust_of(scope, image).and_then(|trust| trust.why_not(&keys)) {
        Some(why) => EvalError::refused(format!("{function}: failed to verify image {image}: {why}")),
        None => missing(scope, function, image, (attestors, attestation)),
    }
}

fn missing(
    scope: &Scope<'_>,
    function: &str,
    image: &str,
    (attestors, attestation): (&Value, Option<&str>),
) -> EvalError {
    let image = ImageInfo::parse(image).map_or_else(|| image.to_owned(), |image| image.reference());
    let list = attestors.as_array().map(Vec::as_slice).unwrap_or_default();
    let keys = list.iter().flat_map(entries).map(|entry| attestor_key(&entry)).collect();
    let attestations = attestation.map(str::to_owned).into_iter().collect();
    let access = access_of(scope);
    let fact = MissingFact::ImageTrust { image, repository: String::new(), attestors: keys, attestations, access };
    scope.note_missing(function, fact)
}

/// An attestor as entries of a `verifyImages` rule; any of them is enough.
fn entries(attestor: &Value) -> Vec<Value> {
    let at = |pointer: &str| attestor.pointer(pointer).filter(|value| !value.is_null()).cloned();
    let mut parts = Vec::new();
    if let Some(key) = at("/cosign/key") {
        parts.push(("keys", key_fields(&key)));
    }
    let identities = at("/cosign/keyless/identities");
    for identity in identities.as_ref().and_then(Value::as_array).into_iter().flatten() {
        let mut fields = identity.as_object().cloned().unwrap_or_default();
        // Unlike those of rules, these know no wildcards.
        fields.insert("exact".to_owned(), Value::Bool(true));
        if let Some(roots) = at("/cosign/keyless/roots") {
            fields.insert("roots".to_owned(), roots);
        }
        parts.push(("keyless", fields));
    }
    if let Some(certificate) = at("/cosign/certificate") {
        parts.push(("certificates", certificate_fields(&certificate)));
    }
    let log = at("/cosign/ctlog");
    let mut out: Vec<Value> =
        parts.into_iter().map(|(kind, fields)| entry(attestor, (kind, fields), log.as_ref())).collect();
    if attestor.get("notary").is_some_and(Value::is_object) {
        let certificate = at("/notary/certs/value").or_else(|| at("/notary/certs"));
        out.push(json!({"type": "Notary", "certificates": {"cert": certificate}}));
    }
    out
}

/// One entry, with the logs that count, further demands and the place of the signatures.
fn entry(attestor: &Value, (kind, mut fields): (&str, Map<String, Value>), log: Option<&Value>) -> Value {
    let set = |value: Option<&Value>| value.filter(|value| !value.is_null()).cloned();
    let copied = |names: &[(&str, &str)]| {
        let pair = |(name, field): &(&str, &str)| Some(((*field).to_owned(), set(log?.get(*name))?));
        names.iter().filter_map(pair).collect::<Map<_, _>>()
    };
    if log.is_some() {
        let rekor = copied(&[("insecureIgnoreTlog", "ignoreTlog"), ("rekorPubKey", "pubkey"), ("url", "url")]);
        fields.insert("rekor".to_owned(), Value::Object(rekor));
        let names = [("insecureIgnoreSCT", "ignoreSCT"), ("ctLogPubKey", "pubkey"), ("tsaCertChain", "tsaCertChain")];
        let certificates = copied(&names);
        if !certificates.is_empty() {
            fields.insert("ctlog".to_owned(), Value::Object(certificates));
        }
    }
    let mut out = Map::new();
    out.insert(kind.to_owned(), Value::Object(fields));
    // In which of cosign's forms the signatures are is found out when they are looked at.
    out.insert("type".to_owned(), Value::from("Detected"));
    let copied = [
        ("/cosign/annotations", "annotations"),
        ("/cosign/source/repository", "repository"),
        ("/cosign/source/tagPrefix", "tagPrefix"),
        ("/cosign/trustedRoot/value", "trustedRoot"),
    ];
    for (pointer, field) in copied {
        if let Some(value) = set(attestor.pointer(pointer)) {
            out.insert(field.to_owned(), value);
        }
    }
    let secrets = attestor.pointer("/cosign/source/signaturePullSecrets").and_then(Value::as_array);
    let secrets: Vec<Value> = secrets.into_iter().flatten().filter_map(|one| one.get("name").cloned()).collect();
    if !secrets.is_empty() {
        out.insert("pullSecrets".to_owned(), Value::Array(secrets));
    }
    Value::Object(out)
}

fn key_fields(key: &Value) -> Map<String, Value> {
    let names =
        [("data", "publicKeys"), ("secretRef", "secret"), ("kms", "kms"), ("hashAlgorithm", "signatureAlgorithm")];
    let pair = |(name, field): (&str, &str)| {
        let value = key.get(name).filter(|value| !value.is_null())?;
        Some((field.to_owned(), value.clone()))
    };
    names.into_iter().filter_map(pair).collect()
}

fn certificate_fields(certificate: &Value) -> Map<String, Value> {
    let pair = |(name, field): (&str, &str)| {
        let part = certificate.get(name).filter(|part| !part.is_null())?;
        Some((field.to_owned(), part.get("value").unwrap_or(part).clone()))
    };
    [("cert", "cert"), ("certChain", "certChain")].into_iter().filter_map(pair).collect()
}
