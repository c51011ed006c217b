//! Who must have signed, from an attestor's entry in a policy: the holder of a key, of a certificate, or (keyless) an identity that an
//! authority vouched for at the time of signing.

use regex::Regex;
use serde_json::Value;

use super::certificate::{Authorities, Certificate, ISSUER};
use super::cosign::Signed;
use super::entry::LogEntry;
use super::key::{Hash, PublicKey};
use super::tsa::Timestamper;
use super::{timestamp, trusted_root};

/// Whom the configuration trusts where a policy names nobody.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    /// Keys of transparency logs for signatures (Rekor).
    pub(super) logs: Vec<PublicKey>,
    /// Keys of transparency logs for certificates.
    pub(super) certificate_logs: Vec<PublicKey>,
    /// Who vouches for identities (Fulcio).
    pub(super) authorities: Authorities,
    /// Who vouches for times.
    pub(super) timestampers: Vec<Timestamper>,
}

/// Who must have signed.
#[derive(Debug)]
pub(super) struct Attestor {
    who: Who,
    hash: Hash,
    /// What the payload must say besides.
    annotations: Vec<(String, Value)>,
    logs: Logs,
    certificate_logs: Logs,
    timestampers: Vec<Timestamper>,
    /// Whether a timestamp has to be there.
    is_timed: bool,
    /// In what form its signatures are.
    pub(super) form: Form,
    /// Whether those of the older form are also looked for among what refers to the image.
    pub(super) by_reference: bool,
    /// Where its signatures lie, when not where the rule says.
    pub(super) repository: Option<String>,
    /// Secrets with logins for that place.
    pub(super) secrets: Vec<String>,
    /// What the tags of its signatures begin with.
    pub(super) prefix: String,
}

#[derive(Debug)]
enum Who {
    Key(PublicKey),
    /// The holder of this certificate.
    Holder(Box<Certificate>),
    /// Anyone with a certificate of the authorities and this identity.
    Identified(Authorities, Identity),
}

/// In what form signatures lie beside an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Cosign's older form, under tags.
    Tags,
    /// Bundles of Sigstore, which refer to the image.
    Bundles,
    /// Bundles where there is any, else the older form.
    Either,
}

impl Form {
    fn of(entry: &Value) -> Result<Self, String> {
        match text(entry, "type") {
            None | Some("Cosign") => Ok(Self::Tags),
            Some("SigstoreBundle") => Ok(Self::Bundles),
            Some("Detected") => Ok(Self::Either),
            Some(other) => Err(format!("signatures of type {other} are not verified: use Cosign's or SigstoreBundle")),
        }
    }
}

/// Which logs count.
#[derive(Debug)]
enum Logs {
    /// No log is asked for.
    Ignored,
    These(Vec<PublicKey>),
}

impl Logs {
    fn new(entry: Option<&Value>, (ignored, key): (&str, &str), configured: &[PublicKey]) -> Result<Self, String> {
        let Some(entry) = entry else { return Ok(Self::These(configured.to_vec())) };
        if entry.get(ignored).and_then(Value::as_bool) == Some(true) {
            return Ok(Self::Ignored);
        }
        Ok(Self::These(match text(entry, key) {
            Some(pem) => vec![PublicKey::from_pem(pem)?],
            None => configured.to_vec(),
        }))
    }
}

/// What a certificate must say about who signed.
#[derive(Debug, Default)]
struct Identity {
    /// Each of them fits one of the subjects.
    subjects: Vec<Regex>,
    issuers: Vec<Regex>,
    /// Further facts by the number of their extension.
    facts: Vec<(u8, Regex)>,
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

impl Attestor {
    /// Reads an entry.
    ///
    /// # Errors
    /// What of it this verifier does not do, or cannot use.
    pub(super) fn new(entry: &Value, trust: &Trust) -> Result<Self, String> {
        let mut own = Trust::default();
        let trust = match text(entry, "trustedRoot") {
            Some(root) => {
                trusted_root::add(&mut own, root)?;
                &own
            }
            None => trust,
        };
        let part = |name: &str| entry.get(name).filter(|part| part.is_object());
        let (part, who) = match (part("keys"), part("certificates"), part("keyless")) {
            (Some(keys), _, _) => (keys, Who::Key(key_of(keys)?)),
            (None, Some(certificates), _) => (certificates, holder(certificates)?),
            (None, None, Some(keyless)) => (keyless, identified(keyless, &trust.authorities)?),
            (None, None, None) => {
                return Err("only attestors with `keys`, `certificates` or `keyless` are verified".to_owned());
            }
        };
        let certificate_log = part.get("ctlog");
        let given = certificate_log.and_then(|log| text(log, "tsaCertChain")).map(Timestamper::from_pem).transpose()?;
        let is_timed = given.is_some();
        let annotations = entry.get("annotations").and_then(Value::as_object);
        let secrets = entry.get("pullSecrets").and_then(Value::as_array).into_iter().flatten();
        let algorithm = text(part, "signatureAlgorithm").or_else(|| text(entry, "signatureAlgorithm"));
        Ok(Self {
            who,
            hash: Hash::parse(algorithm.unwrap_or_default())?,
            annotations: annotations.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect(),
            logs: Logs::new(part.get("rekor"), ("ignoreTlog", "pubkey"), &trust.logs)?,
            certificate_logs: Logs::new(certificate_log, ("ignoreSCT", "pubkey"), &trust.certificate_logs)?,
            timestampers: given.map_or_else(|| trust.timestampers.clone(), |one| vec![one]),
            is_timed,
            form: Form::of(entry)?,
            by_reference: entry.get("cosignOCI11").and_then(Value::as_bool) == Some(true),
            repository: text(entry, "repository").map(str::to_owned),
            prefix: text(entry, "tagPrefix").unwrap_or_default().to_owned(),
            secrets: secrets.filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }

    /// Reads an entry for the signature of a manifest: its certificate needs no log, and it is in one itself only if it says so.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(super) fn of_manifest(entry: &Value, trust: &Trust, is_logged: bool) -> Result<Self, String> {
        let mut attestor = Self::new(entry, trust)?;
        attestor.certificate_logs = Logs::Ignored;
        if !is_logged {
            attestor.logs = Logs::Ignored;
        }
        Ok(attestor)
    }

    /// Whether the attestor signed the document about the image, and the logs have it where that is asked for; `now` in seconds since
    /// 1970.
    pub(super) fn signed(&self, signed: &Signed, digest: &str, now: u64) -> bool {
        let made = |signature: &Vec<u8>| match self.made(signature, signed, now) {
            Ok(by_them) => by_them,
            Err(why) => {
                tracing::info!(why, "a signature does not count");
                false
            }
        };
        let is_said = || self.annotations.iter().all(|(name, value)| signed.says(digest, name, value));
        signed.is_about(digest) && signed.signatures.iter().any(made) && is_said()
    }

    /// Whether they made the signature; or why it does not count, though it is one.
    ///
    /// # Errors
    /// Why it does not count.
    pub(super) fn made(&self, signature: &[u8], signed: &Signed, now: u64) -> Result<bool, String> {
        let (key, certificate) = match (&self.who, &signed.certificate) {
            // A bundle says itself whether a key or a certificate is meant.
            (Who::Key(_), Some(_)) if signed.is_bundle => return Ok(false),
            (Who::Key(key), _) => (key, None),
            (Who::Holder(certificate), _) => (&certificate.key, None),
            (Who::Identified(..), Some(certificate)) => (&certificate.key, Some(certificate)),
            (Who::Identified(..), None) => return Ok(false),
        };
        if !key.verifies_with(self.hash, &signed.message, signature)
            && !self.verifies_by_default(key, signed, signature)
        {
            return Ok(false);
        }
        let mut times = self.logged((signed, signature), certificate)?;
        times.extend(self.timed(signed, signature)?);
        let Some(certificate) = certificate else { return Ok(true) };
        if times.is_empty() {
            match &self.logs {
                // Without anybody who knows when it was signed, the certificate must still be good.
                Logs::Ignored => times.push(now),
                Logs::These(_) => return Err("nobody who is trusted says when it was signed".to_owned()),
            }
        }
        times.into_iter().try_fold(true, |so_far, at| Ok(self.vouches(certificate, signed, at)? && so_far))
    }

    /// Whether the key of a bundle's certificate made the signature with the hash that goes with its curve.
    fn verifies_by_default(&self, key: &PublicKey, signed: &Signed, signature: &[u8]) -> bool {
        signed.is_bundle && self.hash == Hash::Sha256 && key.verifies_with(Hash::Sha384, &signed.message, signature)
    }

    /// When a log took it up, as far as the log signed for that; nothing where no log is asked for.
    fn logged(
        &self,
        (signed, signature): (&Signed, &[u8]),
        certificate: Option<&Certificate>,
    ) -> Result<Vec<u64>, String> {
        let Logs::These(keys) = &self.logs else { return Ok(Vec::new()) };
        let vouches = |entry: &LogEntry| entry.vouches((signed, signature), certificate, keys);
        let entries: Vec<Option<u64>> = signed.entries.iter().filter_map(vouches).collect();
        if entries.is_empty() {
            return Err("no trusted transparency log has an entry about it".to_owned());
        }
        Ok(entries.into_iter().flatten().collect())
    }

    /// When authorities for timestamps saw it; those that do not count are passed over unless there has to be one.
    fn timed(&self, signed: &Signed, signature: &[u8]) -> Result<Vec<u64>, String> {
        let (mut times, mut last) = (Vec::new(), "no authority has given it a timestamp".to_owned());
        for response in &signed.timestamps {
            for authority in &self.timestampers {
                match authority.saw(response, signature) {
                    Ok(time) => times.push(time),
                    Err(why) => last = why,
                }
            }
        }
        if times.is_empty() && self.is_timed { Err(last) } else { Ok(times) }
    }

    /// Whether the authorities and logs vouch for the certificate, and it is for who is asked for.
    fn vouches(&self, certificate: &Certificate, signed: &Signed, at: u64) -> Result<bool, String> {
        let Who::Identified(authorities, identity) = &self.who else { return Ok(false) };
        let issuer = certificate.issued_by(authorities, &signed.chain, at)?;
        let logged = match &self.certificate_logs {
            Logs::Ignored => true,
            Logs::These(keys) => timestamp::is_logged(certificate, &issuer, keys),
        };
        if !logged {
            return Err("no trusted log has seen its certificate".to_owned());
        }
        if identity.is_of(certificate) { Ok(true) } else { Err("its certificate is for another identity".to_owned()) }
    }
}

impl Identity {
    /// Reads `subject`, `issuer` (with wildcards, except where they are said to be exact), the regular expressions for both,
    /// and `additionalExtensions`.
    fn new(keyless: &Value) -> Result<Self, String> {
        let exact = keyless.get("exact").and_then(Value::as_bool) == Some(true);
        let patterns = |name: &str, expression: &str| {
            let plain = text(keyless, name).map(|text| glob(text, exact));
            let regular = text(keyless, expression).map(regular);
            plain.into_iter().chain(regular).collect::<Result<Vec<_>, String>>()
        };
        let wanted = keyless.get("additionalExtensions").and_then(Value::as_object);
        let fact = |(name, value): (&String, &Value)| {
            let pattern = glob(value.as_str().unwrap_or_default(), false)?;
            Ok((number_of(name).ok_or_else(|| format!("`{name}` is no extension of certificates"))?, pattern))
        };
        Ok(Self {
            subjects: patterns("subject", "subjectRegExp")?,
            issuers: patterns("issuer", "issuerRegExp")?,
            facts: wanted.into_iter().flatten().map(fact).collect::<Result<_, String>>()?,
        })
    }

    fn is_of(&self, certificate: &Certificate) -> bool {
        let issuer = certificate.issuer();
        let has = |number: u8| if number == ISSUER { issuer.clone() } else { certificate.fact(number) };
        self.subjects.iter().all(|pattern| certificate.subjects.iter().any(|subject| pattern.is_match(subject)))
            && self.issuers.iter().all(|pattern| issuer.as_ref().is_some_and(|issuer| pattern.is_match(issuer)))
            && self.facts.iter().all(|(number, pattern)| has(*number).is_some_and(|fact| pattern.is_match(&fact)))
    }
}

/// The Secret that has the attestor's key, `namespace/name` or `name`; `None` when the policy has the key itself. As upstream has it, a key
/// in the policy comes before a Secret.
pub(super) fn secret_of(entry: &Value) -> Option<String> {
    let keys = entry.get("keys")?;
    if let Some(given) = text(keys, "publicKeys") {
        return given.trim().strip_prefix("k8s://").map(str::to_owned);
    }
    let secret = keys.get("secret").filter(|secret| secret.is_object())?;
    let name = text(secret, "name")?;
    Some(match text(secret, "namespace") {
        Some(namespace) => format!("{namespace}/{name}"),
        None => name.to_owned(),
    })
}

fn key_of(keys: &Value) -> Result<PublicKey, String> {
    let from = |what: &str| format!("keys from {what} are not verified: write the public key into the policy");
    if text(keys, "kms").is_some() {
        return Err(from("a key management service"));
    }
    let pem = text(keys, "publicKeys").ok_or("the attestor has no public key")?;
    match pem.split_once("://") {
        Some((scheme, _)) if !pem.contains("-----BEGIN") => Err(from(&format!("`{scheme}://`"))),
        _ => PublicKey::from_pem(pem),
    }
}

/// A certificate that signs by itself, checked against its chain; or the chain alone, whose holders then count.
fn holder(certificates: &Value) -> Result<Who, String> {
    let mut authorities = Authorities::default();
    let chain = text(certificates, "certChain");
    if let Some(chain) = chain {
        authorities.add(chain)?;
    }
    let Some(pem) = text(certificates, "cert") else {
        let none = "the attestor has neither a certificate nor a chain";
        chain.ok_or(none)?;
        return Ok(Who::Identified(authorities, Identity::default()));
    };
    let certificate = Certificate::from_pem(pem)?;
    if chain.is_some() {
        let issued = certificate.issued_by(&authorities, &[], certificate.not_before());
        issued.map_err(|what| format!("the certificate of the policy cannot be used: {what}"))?;
    }
    Ok(Who::Holder(Box::new(certificate)))
}

fn identified(keyless: &Value, configured: &Authorities) -> Result<Who, String> {
    let authorities = match text(keyless, "roots") {
        Some(roots) => {
            let mut authorities = Authorities::default();
            authorities.add(roots)?;
            authorities
        }
        None => configured.clone(),
    };
    if authorities.is_empty() {
        return Err(
            "no authority is known that issues keyless identities: name its certificates in `roots`, or in the \
            gateway's `fulcio_roots`"
                .to_owned(),
        );
    }
    Ok(Who::Identified(authorities, Identity::new(keyless)?))
}

fn glob(text: &str, exact: bool) -> Result<Regex, String> {
    let escaped = regex::escape(text);
    let pattern = if exact { escaped } else { escaped.replace("\\*", ".*").replace("\\?", ".") };
    regular(&format!("(?s)\\A{pattern}\\z"))
}

fn regular(expression: &str) -> Result<Regex, String> {
    let built = regex::RegexBuilder::new(expression).size_limit(1 << 20).build();
    built.map_err(|error| format!("the regular expression `{expression}` cannot be used: {error}"))
}

/// The number of an extension of Fulcio, by its name or object identifier.
fn number_of(name: &str) -> Option<u8> {
    Some(match name.strip_prefix("1.3.6.1.4.1.57264.1.").unwrap_or(name) {
        "oidcIssuer" | "1" => ISSUER,
        "githubWorkflowTrigger" | "2" => 2,
        "githubWorkflowSha" | "3" => 3,
        "githubWorkflowName" | "4" => 4,
        "githubWorkflowRepository" | "5" => 5,
        "githubWorkflowRef" | "6" => 6,
        _ => return None,
    })
}
