//! Chains of certificates, ordered by who signed whom. Nothing is verified.

use super::certificate::Certificate;
use super::pem;

/// The certificates of a text from leaf to root.
///
/// # Errors
/// When one cannot be read, or they are not one chain.
pub(crate) fn ordered(text: &[u8]) -> Result<Vec<Certificate>, String> {
    let mut certificates = Vec::new();
    let mut rest = text;
    while let (Some(block), after) = pem::decode(rest) {
        certificates.push(Certificate::parse(&block.bytes)?);
        rest = after;
    }
    if certificates.len() > MAX_CERTIFICATES {
        return Err(format!("more than {MAX_CERTIFICATES} certificates"));
    }
    let parent = |index: usize, certificate: &Certificate| {
        let key = certificate.authority_key.clone().unwrap_or_default();
        certificates.iter().enumerate().position(|(other, candidate)| other != index && candidate.subject_key == key)
    };
    let parents: Vec<Option<usize>> =
        certificates.iter().enumerate().map(|(index, certificate)| parent(index, certificate)).collect();
    let mut leaves = (0..certificates.len()).filter(|index| !parents.contains(&Some(*index)));
    let leaf = match (leaves.next(), leaves.next()) {
        (Some(leaf), None) => leaf,
        (None, _) => return Err("no leaf certificate found".to_owned()),
        (Some(_), Some(_)) => return Err("found multiple leaf or disjunct certificates".to_owned()),
    };
    let (mut chain, mut next) = (Vec::new(), Some(leaf));
    while let Some(certificate) = next.and_then(|index| certificates.get(index)) {
        if chain.len() >= certificates.len() {
            return Err("constructing chain resulted in cycle".to_owned());
        }
        chain.push(certificate.clone());
        next = next.and_then(|index| parents.get(index).copied().flatten());
    }
    Ok(chain)
}

const MAX_CERTIFICATES: usize = 500;
