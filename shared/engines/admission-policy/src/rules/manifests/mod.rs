//! `validate.manifests`: whether the object is what was signed. Its annotations hold the signed manifest and the signatures over it, as
//! `kubectl sigstore sign` writes them; who made a signature is a fact of the snapshot.
//!
//! A dry run that would fill in the server's defaults (`dryRun`) is not made: the comparison is then as strict as without it, which is
//! what Kyverno does when it may not make one.

mod difference;
mod ignored;
mod signed;
mod unpack;

use serde_json::Value;

use self::difference::Difference;
use self::ignored::Ignored;
use self::unpack::Message;
use super::Judgement;
use super::verify_images::{attestor_key, expand, kind_of};
use crate::context::Context;
use crate::outcome::Status;
use crate::policy::compile::Wrong;
use crate::snapshot::{ManifestClaim, ManifestSignature, MissingFact, Snapshot};

/// The compiled `validate.manifests` of a rule.
#[derive(Debug)]
pub(crate) struct Manifests {
    attestors: Vec<Value>,
    /// What the names of the annotations begin with.
    domain: String,
    ignored: Ignored,
    /// Where manifest and signatures lie, when not in the annotations.
    repository: String,
}

impl Manifests {
    pub(crate) fn compile(raw: &Value) -> Result<Self, Wrong> {
        let text = |key: &str| raw.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
        let attestors = raw.get("attestors").and_then(Value::as_array).filter(|list| !list.is_empty());
        let none = || Wrong::invalid("`validate.manifests` has no attestors").cure("say who must have signed");
        let domain = text("annotationDomain").unwrap_or("cosign.sigstore.dev").to_owned();
        Ok(Self {
            attestors: attestors.ok_or_else(none)?.clone(),
            ignored: Ignored::compile(&domain, raw.get("ignoreFields"))?,
            domain,
            repository: text("repository").unwrap_or_default().to_owned(),
        })
    }

    /// Judges an object. A rehearsal passes, for nothing is stored.
    pub(crate) fn judge(&self, object: &Value, dry_run: bool, context: &mut Context<'_>) -> Judgement {
        const STEP: &str = "error occurred during manifest verification";
        if dry_run {
            return Judgement::new(Status::Pass, "allowed because of DryRun request");
        }
        let mut sets = Vec::new();
        for set in &self.attestors {
            match context.substitute(set) {
                Ok(set) => sets.push(set),
                Err(error) => return Judgement::error(STEP, &error),
            }
        }
        let mut verification =
            Verification { snapshot: context.snapshot(), object, read: self.read(object), unknown: Vec::new() };
        let mut said = Vec::new();
        let mut answer = None;
        for (index, set) in sets.iter().enumerate() {
            match verification.set(set, &format!(".attestors[{index}]"), 0) {
                Entry::Signed(how) => said.push(how),
                Entry::Refused(why) => answer = answer.or(Some(Judgement::new(Status::Fail, why))),
                Entry::Broken(why) => answer = answer.or_else(|| Some(Judgement::error(STEP, &why))),
            }
        }
        // Everything that is not known is asked for at once.
        let mut unknown = verification.unknown.into_iter();
        if let Some(claim) = unknown.next() {
            let error = context.note_missing(MissingFact::ManifestSignature(claim));
            unknown.for_each(|claim| drop(context.note_missing(MissingFact::ManifestSignature(claim))));
            return Judgement::error(STEP, &error);
        }
        answer.unwrap_or_else(|| {
            Judgement::new(Status::Pass, format!("verified manifest signatures; {}", said.join(",")))
        })
    }

    /// What the annotations of the object hold.
    fn read(&self, object: &Value) -> Result<Read, Entry> {
        let annotation = |name: &str| {
            let annotations = object.pointer("/metadata/annotations")?;
            annotations.get(format!("{}/{name}", self.domain))?.as_str()
        };
        if !self.repository.is_empty() || annotation("resourceBundleRef").is_some() {
            let what = "manifests in an OCI bundle (`repository`, `resourceBundleRef`) are not verified: put the message and \
                its signature into annotations of the object";
            return Err(Entry::Broken(what.to_owned()));
        }
        let not_found = |what: String| format!("YAML manifest not found for this resource: {what}");
        let message = annotation("message").ok_or_else(|| Entry::Refused(not_found("message not found".to_owned())))?;
        let message = Message::read(message).map_err(|what| Entry::Broken(not_found(what)))?;
        let differences = signed::compare(&message.manifests, object, &self.ignored);
        let none = || Entry::Refused(not_found("failed to find a YAML manifest in the gzipped message".to_owned()));
        let differences = differences.ok_or_else(none)?;
        let mut signatures = Vec::new();
        for number in 0..MAX_SIGNATURES {
            let numbered = |name: &str| if number == 0 { name.to_owned() } else { format!("{name}_{number}") };
            let Some(signature) = annotation(&numbered("signature")) else { break };
            let packed = |name: &str| annotation(&numbered(name)).and_then(unpack::text).unwrap_or_default();
            signatures.push(ManifestSignature {
                signature: signature.to_owned(),
                certificate: packed("certificate"),
                bundle: packed("bundle"),
            });
        }
        if signatures.is_empty() {
            return Err(Entry::Refused("failed to verify signature: signature not found".to_owned()));
        }
        Ok(Read { message: message.signed, signatures, differences })
    }
}

/// The signed manifest of an object.
struct Read {
    message: Vec<u8>,
    signatures: Vec<ManifestSignature>,
    differences: Vec<Difference>,
}

/// What came of an entry of an attestor set, or of the set.
#[derive(Clone, Debug)]
enum Entry {
    /// How it was signed.
    Signed(String),
    /// Why it does not count.
    Refused(String),
    /// Why it cannot be told.
    Broken(String),
}

/// One verification at work.
struct Verification<'v> {
    snapshot: &'v Snapshot,
    object: &'v Value,
    read: Result<Read, Entry>,
    /// Signatures that nobody has verified yet.
    unknown: Vec<ManifestClaim>,
}

impl Verification<'_> {
    /// Whether enough entries signed.
    fn set(&mut self, set: &Value, path: &str, depth: usize) -> Entry {
        let entries: Vec<Value> =
            set.get("entries").and_then(Value::as_array).into_iter().flatten().flat_map(expand).collect();
        let count = set.get("count").and_then(Value::as_u64).and_then(|count| usize::try_from(count).ok());
        let required = count.filter(|count| *count > 0).unwrap_or(entries.len());
        let (mut signed, mut refused, mut broken) = (Vec::new(), Vec::new(), Vec::new());
        for (index, entry) in entries.iter().enumerate() {
            let path = format!("{path}.entries[{index}]");
            match self.entry(entry, &path, depth) {
                Entry::Signed(how) => signed.push(how),
                Entry::Refused(why) => refused.push(why),
                Entry::Broken(why) => broken.push(why),
            }
            if signed.len() >= required {
                return Entry::Signed(Self::told("succeeded", (signed.len(), required), &signed));
            }
        }
        if broken.is_empty() {
            return Entry::Refused(Self::told("failed", (signed.len(), required), &refused));
        }
        Entry::Broken(broken.join("; "))
    }

    fn told(how: &str, (count, required): (usize, usize), messages: &[String]) -> String {
        let messages = messages.join(",");
        format!("manifest verification {how}; verifiedCount {count}; requiredCount {required}; message {messages}")
    }

    fn entry(&mut self, entry: &Value, path: &str, depth: usize) -> Entry {
        if let Some(nested) = entry.get("attestor").filter(|nested| nested.is_object()) {
            let path = format!("{path}.attestor");
            if depth >= MAX_NESTING {
                return Entry::Broken(format!("{path}: attestors are nested too deep"));
            }
            return match self.set(nested, &path, depth.saturating_add(1)) {
                Entry::Broken(why) => Entry::Broken(format!("failed to verify signature; {path}: {why}")),
                other => other,
            };
        }
        if let Some(why) = self.other_annotations(entry) {
            return Entry::Broken(why);
        }
        let path = format!("{path}{}", kind_of(entry));
        match self.signed(entry) {
            Entry::Signed(how) => Entry::Signed(how),
            Entry::Refused(why) => Entry::Refused(format!("{path}: {why}")),
            Entry::Broken(why) => Entry::Broken(format!("{path}: {why}")),
        }
    }

    /// An annotation of the object that is not as the attestor asks for.
    fn other_annotations(&self, entry: &Value) -> Option<String> {
        let of_object = |key: &str| {
            let annotations = self.object.pointer("/metadata/annotations")?;
            annotations.get(key)?.as_str()
        };
        let wanted = entry.get("annotations").and_then(Value::as_object)?;
        wanted.iter().find_map(|(key, value)| {
            let (found, value) = (of_object(key).unwrap_or_default(), value.as_str().unwrap_or_default());
            let why = || format!("annotations mismatch: {found} does not match expected value {value} for key {key}");
            (found != value).then(why)
        })
    }

    fn signed(&mut self, entry: &Value) -> Entry {
        let read = match &self.read {
            Ok(read) => read,
            Err(answer) => return answer.clone(),
        };
        if entry.get("repository").and_then(Value::as_str).is_some_and(|place| !place.is_empty()) {
            return Entry::Broken("manifests in an OCI bundle (`repository`) are not verified".to_owned());
        }
        let claim = ManifestClaim {
            attestor: attestor_key(entry),
            message: read.message.clone(),
            signatures: read.signatures.clone(),
        };
        let Some(verified) = self.snapshot.manifest_signatures.get(&claim) else {
            self.unknown.push(claim);
            return Entry::Broken("nobody has verified it yet".to_owned());
        };
        match verified {
            Err(why) => Entry::Broken(format!("failed to verify signature: {why}")),
            Ok(_) if !read.differences.is_empty() => {
                let differences = difference::render(&read.differences);
                Entry::Refused(format!("failed to verify signature. diff found; {differences}"))
            }
            // The spelling is Kyverno's.
            Ok(signer) => Entry::Signed(format!("singed by a valid signer: {signer}")),
        }
    }
}

/// Attestor sets may nest this deep.
const MAX_NESTING: usize = 8;
/// Most signatures of one manifest that are looked at.
const MAX_SIGNATURES: usize = 20;
