//! A trusted root of Sigstore (`trusted_root.json`): the logs and authorities of an installation, in one document.

use serde_json::Value;

use super::attestor::Trust;
use super::bundle::{bytes_of, field};
use super::key::PublicKey;
use super::tsa::Timestamper;

/// Adds what a trusted root names to whom is trusted.
///
/// # Errors
/// What of it cannot be used.
pub(super) fn add(trust: &mut Trust, text: &str) -> Result<(), String> {
    if text.len() > MOST_BYTES {
        return Err(format!("a trusted root has more than {MOST_BYTES} bytes"));
    }
    let root: Value = serde_json::from_str(text).map_err(|error| format!("a trusted root is not JSON: {error}"))?;
    if !field(&root, "mediaType").and_then(Value::as_str).is_some_and(|kind| kind.starts_with(MEDIA_TYPE)) {
        return Err(format!("not a trusted root: its `mediaType` does not begin with {MEDIA_TYPE}"));
    }
    let list = |name: &str| field(&root, name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    trust.logs.extend(list("tlogs").iter().filter_map(key));
    trust.certificate_logs.extend(list("ctlogs").iter().filter_map(key));
    for authority in list("certificateAuthorities") {
        trust.authorities.add_all(certificates(authority)?)?;
    }
    for authority in list("timestampAuthorities") {
        trust.timestampers.push(Timestamper::new(certificates(authority)?, valid(authority))?);
    }
    Ok(())
}

/// The key of a log; none for one of a kind that is not verified, whose entries then do not count.
fn key(log: &Value) -> Option<PublicKey> {
    let given = field(log, "publicKey")?;
    let key = PublicKey::from_der(&bytes_of(given, "rawBytes")?);
    if key.is_none() {
        tracing::info!(kind = ?field(given, "keyDetails"), "a log of the trusted root has a key of another kind, passed over");
    }
    key.map(|key| key.valid_within(valid(given)))
}

fn certificates(authority: &Value) -> Result<Vec<Vec<u8>>, String> {
    let chain = field(authority, "certChain").and_then(|chain| field(chain, "certificates")).and_then(Value::as_array);
    let read = chain.into_iter().flatten().map(|certificate| bytes_of(certificate, "rawBytes"));
    read.collect::<Option<_>>().ok_or_else(|| "a certificate of the trusted root is malformed".to_owned())
}

/// From when until when something is believed, in seconds since 1970.
fn valid(part: &Value) -> (u64, u64) {
    let time = |name: &str| {
        let text = field(field(part, "validFor")?, name)?.as_str()?;
        let moment = go_time::Moment::parse(go_time::RFC3339, text).ok()?;
        u64::try_from(moment.as_unix()).ok()
    };
    (time("start").unwrap_or(0), time("end").unwrap_or(u64::MAX))
}

/// What trusted roots are called, before their version.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.trustedroot";
/// No trusted root is larger: upstream's bound.
const MOST_BYTES: usize = 1 << 20;
